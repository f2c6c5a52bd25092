"""What runs beside a question while it is asked: an S3 server, a Spark cluster. Each is processes of its own.

They are on this machine, so what they take is taken from whoever is measured, and is in nobody's CPU seconds.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.question import CannotAsk

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BUCKET = "lake"
MASTER = "BENCH_SPARK_MASTER"
PATIENCE_S = 60
KEYS = {"AWS_ACCESS_KEY_ID": "benchmarks", "AWS_SECRET_ACCESS_KEY": "benchmarks", "AWS_DEFAULT_REGION": "us-east-1"}


def need(*libraries: str) -> None:
    """Raise CannotAsk where one of the libraries is not installed."""
    missing = [name for name in libraries if find_spec(name) is None]
    if missing:
        raise CannotAsk(
            f"found no {', '.join(missing)}; expected {', '.join(libraries)}. hint: pip install -e '.[benchmarks]'"
        )


# --- S3 --------------------------------------------------------------------------------------------------------------


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """A server that speaks S3; where it is, and what opens it, as the usual chain finds them.

    Raises: CannotAsk.
    """
    need("moto", "flask", "s3fs")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(server, port)
        yield {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", **KEYS}
    finally:
        server.kill()
        server.wait()


def _wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    """Until the server takes calls."""
    for _ in range(PATIENCE_S * 10):
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise CannotAsk(f"found no S3 server that answers (exit code {server.poll()}); expected moto to start.")


def upload(folder: Path, place: str) -> None:
    """All Parquet files of a folder, as objects of the server that the environment names."""
    import fsspec

    files = fsspec.filesystem("s3")
    if not files.exists(BUCKET):
        files.mkdir(BUCKET)
    for file in sorted(folder.glob("*.parquet")):
        files.put_file(str(file), f"{BUCKET}/{place}/{file.name}")


# --- Spark -----------------------------------------------------------------------------------------------------------


@contextmanager
def spark_cluster(workers: int = 2) -> Iterator[dict[str, str]]:
    """A standalone master and so many workers of one core each; where it is.

    Raises: CannotAsk.
    """
    need("pyspark", "pandas")
    home = os.environ.get("JAVA_HOME")
    if shutil.which(os.path.join(home, "bin", "java") if home else "java") is None:
        raise CannotAsk("found no Java; expected 17 or newer, for Spark. hint: install OpenJDK 17, or set JAVA_HOME")
    from tests.spark_cluster import running_cluster

    with ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="benchmarks-spark-", ignore_cleanup_errors=True)
        )
        try:
            cluster = stack.enter_context(running_cluster(Path(folder), workers))
        except TimeoutError as error:
            raise CannotAsk(str(error).splitlines()[0]) from error
        for number, worker in enumerate(cluster.processes[1:]):
            _keep_to_core(worker.pid, number)
        yield {MASTER: cluster.master}


def _keep_to_core(process: int, number: int) -> None:
    """A worker and all that it starts on one core: Spark's cores are places for tasks, and a task may take more."""
    cores = sorted(os.sched_getaffinity(0))
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {cores[number % len(cores)]})


def spark_session(master: str, cores: int, settings: dict[str, str] | None = None) -> SparkSession:
    """A session on so many cores, as on a cluster that is up: executors wait, and their Pythons have what they need."""
    from pyspark.sql import SparkSession

    from metering_duck.spark.sessions import QUIET

    warnings.filterwarnings("ignore", category=FutureWarning, module="pyspark")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    all_there = {"spark.cores.max": str(cores), "spark.scheduler.minRegisteredResourcesRatio": "1.0"}
    builder = SparkSession.builder.master(master).appName("benchmarks")
    for name, value in {**QUIET, **all_there, **(settings or {})}.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()

    # A function inside of a function travels whole: workers need not have this module.
    def importing(batches):  # type: ignore[no-untyped-def]
        import metering_duck.clusters.tasks  # noqa: F401

        yield from batches

    session.range(cores, numPartitions=cores).mapInArrow(importing, "id LONG").count()
    return session
