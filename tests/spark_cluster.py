"""A Spark cluster for tests: a standalone master and its workers, each a process of its own on this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyspark

# A JVM that lives for seconds has no time to win by compiling well.
BRIEF_JVM = "-XX:TieredStopAtLevel=1"
SPARK_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"
PATIENCE_S = 60


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class SparkCluster:
    """A running master, its address, and its workers."""

    folder: Path
    port: int = field(default_factory=free_port)
    web_port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def master(self) -> str:
        """The URL that a session connects to."""
        return f"spark://127.0.0.1:{self.port}"

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A process of Spark's own, with its log in the folder."""
        env = os.environ | {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_DIRS": str(self.folder)}
        env["SPARK_DAEMON_JAVA_OPTS"] = BRIEF_JVM
        command = [str(SPARK_CLASS), *arguments]
        with open(self.folder / f"log-{time.monotonic_ns()}.txt", "wb") as log:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=env, start_new_session=True))
        return self.processes[-1]

    def start_worker(self, *, cores: int = 1, memory: str = "1g") -> subprocess.Popen[bytes]:
        """One more worker."""
        work = self.folder / f"worker-{len(self.processes)}"
        options = ("--host", "127.0.0.1", "--cores", str(cores), "--memory", memory, "--work-dir", str(work))
        return self.start("org.apache.spark.deploy.worker.Worker", *options, "--webui-port", "0", self.master)

    def alive_workers(self) -> int:
        """How many workers the master knows to be alive."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.web_port}/json/", timeout=5) as answer:
                page: bytes = answer.read()
                return page.count(b'"ALIVE"') - 1
        except OSError:
            return 0

    def wait_for(self, workers: int) -> None:
        """Until so many workers are there."""
        for _ in range(PATIENCE_S * 5):
            if self.alive_workers() >= workers:
                return
            time.sleep(0.2)
        logs = "".join(path.read_text()[-2000:] for path in self.folder.glob("log-*.txt"))
        raise TimeoutError(f"found {self.alive_workers()} workers; expected {workers}\n{logs}")


@contextlib.contextmanager
def running_cluster(folder: Path, workers: int = 2) -> Iterator[SparkCluster]:
    """A cluster with so many workers of one core each; all its processes end with it."""
    cluster = SparkCluster(folder)
    try:
        options = ("--host", "127.0.0.1", "--port", str(cluster.port), "--webui-port", str(cluster.web_port))
        cluster.start("org.apache.spark.deploy.master.Master", *options)
        for _ in range(workers):
            cluster.start_worker()
        cluster.wait_for(workers)
        yield cluster
    finally:
        for process in cluster.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def connect_server(folder: Path) -> Iterator[str]:
    """A Connect server with a core of its own, and its URL."""
    server = SparkCluster(folder)
    settings = {"spark.connect.grpc.binding.port": str(server.port), "spark.ui.enabled": "false"}
    options = [text for name, value in settings.items() for text in ("--conf", f"{name}={value}")]
    served = ("--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal")
    process = server.start("org.apache.spark.deploy.SparkSubmit", "--master", "local[1]", *options, *served)
    try:
        for _ in range(PATIENCE_S * 5):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", server.port), 1).close()
                break
            time.sleep(0.2)
        yield f"sc://127.0.0.1:{server.port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
