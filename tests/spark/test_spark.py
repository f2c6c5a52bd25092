"""Spark: a standalone master and two workers, each a process; what they say is byte for byte what one machine says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import metering_duck
from metering_duck.errors import ConfigError
from tests.spark_cluster import BRIEF_JVM, SPARK_CLASS, SparkCluster, connect_server, running_cluster

pytestmark = pytest.mark.spark

EVENTS = 2_000_000
CONFIG = """{"entries": [
  {"type": "tokens", "measurements": [
    {"sourceProperty": "quantity", "unit": "tokens", "aggregation": "sum", "scale": 2}]},
  {"type": "seats", "measurements": [
    {"sourceProperty": "quantity", "unit": "seats", "aggregation": "time-weighted-avg", "scale": 2}]}
]}"""
# Every hundredth id is another's, every two-hundredth event was sent twice, every five-hundredth has no number.
EVENT_SQL = """
    'acme' AS workspace_id,
    'production' AS universe_id,
    'event-' || (i - CASE WHEN hash(i) % 100 = 0 THEN 7 ELSE 0 END) AS id,
    CASE WHEN i % 2 = 0 THEN 'tokens' ELSE 'seats' END AS type,
    'customer-' || (hash(i * 5) % 2000) AS subject,
    TIMESTAMPTZ '2024-01-01 00:00:00+00' + to_microseconds(CAST(hash(i * 7) % 2678400000000 AS BIGINT)) AS time,
    MAP {'quantity': CASE WHEN hash(i * 11) % 500 = 0 THEN 'many' ELSE CAST(i % 9973 / 4 AS VARCHAR) END} AS properties
"""
ANSWERS = {"-o": "readings.parquet", "--rejects": "rejects.ndjson", "--conflicts": "conflicts.ndjson"}


def command(folder: Path, events: Path, *more: str) -> list[str]:
    """An aggregation into files of a folder."""
    folder.mkdir()
    config = folder / "config.json"
    config.write_text(CONFIG)
    window = ("--start", "2024-01-01", "--end", "2024-02-01", "--every", "week", "--clock", "2024-06-01T00:00:00Z")
    files = [text for option, name in ANSWERS.items() for text in (option, str(folder / name))]
    summary = ("--summary", str(folder / "summary.json"))
    start = (sys.executable, "-m", "metering_duck", "aggregate", str(events), "--config", str(config))
    return [*start, *window, *files, *summary, *more]


@pytest.fixture(autouse=True)
def brief_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drivers that are started here live for seconds."""
    monkeypatch.setenv("JDK_JAVA_OPTIONS", BRIEF_JVM)


def answers(folder: Path) -> dict[str, bytes]:
    """What was written, by file; the summary without what is proven of files, which Spark reads in its own way."""
    summary = json.loads((folder / "summary.json").read_bytes())
    assert summary.pop("files")
    return {name: (folder / name).read_bytes() for name in ANSWERS.values()} | {"summary": json.dumps(summary).encode()}


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two million events in eight files, and those that were sent twice."""
    folder = tmp_path_factory.mktemp("events")
    with duckdb.connect() as connection:
        for n in range(8):
            first, last = EVENTS * n // 8, EVENTS * (n + 1) // 8
            twice = f"SELECT {EVENT_SQL} FROM range({first}, {last}, 200) AS again(i)"
            rows = f"SELECT {EVENT_SQL} FROM range({first}, {last}) AS once(i) UNION ALL {twice}"
            connection.execute(f"COPY ({rows}) TO '{folder / f'{n}.parquet'}'")
    return folder


@pytest.fixture(scope="module")
def expected(events: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one machine says."""
    folder = tmp_path_factory.mktemp("one") / "machine"
    subprocess.run(command(folder, events, "-q"), check=True)
    return answers(folder)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    """A master and two workers of one core each."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


def test_two_workers_say_what_one_machine_says(
    events: Path, expected: dict[str, bytes], cluster: SparkCluster, tmp_path: Path
) -> None:
    """Two million events: readings, rejects, conflicts and books are the same bytes (R23)."""
    on_spark = command(tmp_path / "spark", events, "--engine", "spark", "--master", cluster.master, "-q")
    done = subprocess.run(on_spark, capture_output=True, text=True)

    assert 0 == done.returncode, done.stderr
    assert expected == answers(tmp_path / "spark")
    assert b'"duplicates": 0' not in expected["summary"]


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A few thousand events, and what one machine says of them."""
    folder = tmp_path_factory.mktemp("some")
    rows = f"SELECT {EVENT_SQL} FROM range(20000) AS r(i)"
    duckdb.execute(f"COPY ({rows}) TO '{folder / 'events.parquet'}'")
    subprocess.run(command(folder / "machine", folder / "events.parquet", "-q"), check=True)
    return folder / "events.parquet", answers(folder / "machine")


def test_spark_connect_says_what_one_machine_says(some: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    """The client has no JVM, and ends when the work does."""
    events, expected = some
    env = os.environ | {"PATH": str(tmp_path), "JAVA_HOME": str(tmp_path)}
    with connect_server(tmp_path) as remote:
        on_connect = command(tmp_path / "connect", events, "--engine", "spark", "--master", remote, "-q")
        done = subprocess.run(on_connect, capture_output=True, text=True, env=env, timeout=120)

    assert (0, "") == (done.returncode, done.stderr)
    assert expected == answers(tmp_path / "connect")


def test_spark_submit_says_what_one_machine_says(some: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    """A script of a few lines; the session that spark-submit has made is the one that is used."""
    events, expected = some
    script = tmp_path / "job.py"
    script.write_text("from metering_duck.cli import main\nmain()\n")
    _, *arguments = command(tmp_path / "submitted", events, "--engine", "spark", "-q")
    submit = [str(SPARK_CLASS.parent / "spark-submit"), "--master", "local[1]", str(script), *arguments[2:]]
    env = os.environ | {"PYSPARK_PYTHON": sys.executable, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(submit, capture_output=True, text=True, env=env)

    assert 0 == done.returncode, done.stderr[-3000:]
    assert expected == answers(tmp_path / "submitted")


def test_a_worker_that_is_killed_changes_nothing(
    events: Path, expected: dict[str, bytes], cluster: SparkCluster, tmp_path: Path
) -> None:
    """One of two workers is killed, with its executor, once parts are on its disk; the bytes are the same (R23)."""
    on_spark = command(tmp_path / "spark", events, "--engine", "spark", "--master", cluster.master, "-q")
    before = set(cluster.folder.glob("**/shuffle_*.data"))
    with open(tmp_path / "log.txt", "wb") as log:
        running = subprocess.Popen(on_spark, stderr=log)
        while running.poll() is None and len(set(cluster.folder.glob("**/shuffle_*.data")) - before) < 3:
            time.sleep(0.05)
        is_halfway = running.poll() is None
        os.killpg(cluster.processes[-1].pid, signal.SIGKILL)
        running.wait()

    assert is_halfway
    assert 0 == running.returncode, (tmp_path / "log.txt").read_text()[-3000:]
    assert expected == answers(tmp_path / "spark")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine", "spark", "--generate-ids"], "generate-ids: found it with the engine spark"),
        (["--master", "local[1]"], "master: found 'local[1]' without a cluster; expected the engine spark beside it."),
    ],
)
def test_what_spark_does_not_do_is_said(arguments: list[str], said: str, events: Path, tmp_path: Path) -> None:
    """What cannot be spread over tasks is refused before anything starts."""
    done = subprocess.run(command(tmp_path / "one", events, *arguments), capture_output=True, text=True)

    assert 2 == done.returncode
    assert said in done.stderr


@pytest.mark.parametrize("master", ["spark://127.0.0.1:1", "sc://127.0.0.1:1/;token=secret"])
def test_a_master_that_does_not_answer_is_named_at_once(master: str, events: Path, tmp_path: Path) -> None:
    """Spark would go on trying for minutes; what may be a secret is not shown."""
    done = subprocess.run(
        command(tmp_path / "one", events, "--engine", "spark", "--master", master), capture_output=True, text=True
    )

    place = master.partition("/;")[0]
    hint = "hint: look at --master, SPARK_REMOTE and the network"
    expected = (
        f"error: engine: found nobody who answers at {place}; expected a Spark master, or a Connect server. {hint}"
    )
    assert (1, [expected]) == (done.returncode, done.stderr.splitlines())


def test_without_java_the_hint_is_one_line(events: Path, tmp_path: Path) -> None:
    """Where there is no Java, the message says how to get one."""
    env = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"} | {"PATH": str(tmp_path)}
    done = subprocess.run(
        command(tmp_path / "one", events, "--engine", "spark"), capture_output=True, text=True, env=env
    )

    expected = (
        "engine: found no Java; expected 17 or newer for the engine spark. hint: install OpenJDK 17, or set JAVA_HOME"
    )
    assert (2, [f"error: {expected}"]) == (done.returncode, done.stderr.splitlines())


def test_without_the_extra_the_hint_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pyspark is not installed, the message says how to install it."""
    monkeypatch.setitem(sys.modules, "pyspark", None)
    config = {"measurements": [{"sourceProperty": "n", "unit": "n", "aggregation": "sum"}]}
    with pytest.raises(ConfigError) as raised:
        metering_duck.aggregate([], config, start="2024-01-01", end="2024-02-01", engine="spark")

    hint = "hint: pip install 'metering-duck[spark]'"
    assert f"engine: found no pyspark; expected it for the engine spark. {hint}" == str(raised.value)
