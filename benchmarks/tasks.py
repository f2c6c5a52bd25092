"""How evenly tasks share the work when one subject has half of all events: their times by step, from Spark's event log.

    counters                their exact state is counted where the rows lie, and brought together by subject (R20):
                            a giant subject is some more rows of a task, and one row a window when parts come together
    a time-weighted average needs all levels of a subject in one task, and the giant's are in one

Nothing of the engine is measured from within: Spark writes down when each task began and ended.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet

from benchmarks.answers import Answer, difference
from benchmarks.contestants import SEATS, TWO_COUNTERS, metered, standard
from benchmarks.events import Shape, generate
from benchmarks.machine import commit, machine, versions
from benchmarks.pages import README, measured_on, number_text, table_text, with_block
from benchmarks.question import Dataset
from benchmarks.results import Report, size, unused
from benchmarks.servers import MASTER, spark_cluster, spark_session

WORKERS = 2
GIANT = 0.5
# Some tasks for each worker, so that there is something to compare: two for each core come of 2M events otherwise.
SETTINGS = {
    "spark.sql.files.maxPartitionBytes": str(16 << 20),
    "spark.default.parallelism": "4",
    "spark.eventLog.enabled": "true",
    "spark.eventLog.compress": "false",
    "spark.eventLog.rolling.enabled": "false",
}
# What distribute() of metering_duck/clusters/tasks.py does with events that came once, in its order.
STEPS = ("keys", "repeated", "counted", "readings")
WHAT = {
    "keys": "the ids of a part of the files",
    "repeated": "equal ids, together",
    "counted": "a part of the files",
    "readings": "some of the subjects",
}
ASKED: dict[str, tuple[str, list[dict[str, Any]], str]] = {
    "counters": ("Two counters by subject and day", TWO_COUNTERS, "day"),
    "average": ("A time-weighted average by subject and month", SEATS, "month"),
}
COLUMNS = ("subject", "window_start", "unit", "quantity")


@dataclass(frozen=True)
class Step:
    """The tasks of one step. Units: seconds of a task from its launch to its end; rows of files; bytes of all tasks."""

    name: str
    seconds: list[float]
    rows_read: int
    shuffle_read_bytes: int
    shuffle_written_bytes: int

    @property
    def median(self) -> float:
        """Of the tasks."""
        return median(self.seconds)

    @property
    def max(self) -> float:
        """The task that the others wait for."""
        return max(self.seconds)


@dataclass(frozen=True)
class Found:
    """What was asked, how long it took in all, and its steps."""

    name: str
    title: str
    seconds: float
    steps: list[Step]


@dataclass(frozen=True)
class TaskReport:
    """All that was found; `on` says of which machine and commit, and asks no question."""

    on: Report
    subjects: int
    giant: float
    workers: int
    settings: dict[str, str]
    found: list[Found]


def uneven(events: int) -> Shape:
    """A clean month in which the first subject has half of all events."""
    return replace(standard(events), giant=GIANT)


def run_tasks(events: int, data: Path) -> TaskReport:
    """Ask both on a cluster of two workers, and read what Spark wrote down.

    Raises: CannotAsk; ValueError if an answer is not that of one machine.
    """
    shape = uneven(events)
    head, dirty = commit()
    started, load = _now(), round(os.getloadavg()[0], 2)
    with spark_cluster(WORKERS) as environment:
        dataset = Dataset(generate(shape, data), shape)
        found = [_asked(name, dataset, environment[MASTER]) for name in ASKED]
    on = Report(events, 1, None, started, _now(), load, head, dirty, machine(), versions(), [])
    settings = {name: text for name, text in SETTINGS.items() if "eventLog" not in name}
    return TaskReport(on, shape.subjects, shape.giant, WORKERS, settings, found)


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _asked(name: str, dataset: Dataset, master: str) -> Found:
    """One of them in a session of its own, with its log; the answer is compared with that of one machine."""
    title, measurements, every = ASKED[name]
    with tempfile.TemporaryDirectory(prefix="benchmarks-tasks-") as folder:
        log = Path(folder) / "log"
        log.mkdir()
        session = spark_session(master, WORKERS, {**SETTINGS, "spark.eventLog.dir": log.as_uri()})
        began = time.perf_counter()
        answers = {"Spark": metered(dataset, measurements, COLUMNS, every=every, engine="spark")}
        seconds = time.perf_counter() - began
        session.stop()
        answers["one machine"] = metered(dataset, measurements, COLUMNS, every=every)
        written = [Answer(who, Path(folder) / f"{who}.parquet") for who in answers]
        for answer in written:
            pyarrow.parquet.write_table(answers[answer.contestant], answer.path)
        wrong = difference(name, *written)
        if wrong:
            raise ValueError(wrong)
        return Found(name, title, seconds, steps_of(_events(log)))


# --- Spark's event log -----------------------------------------------------------------------------------------------


def _events(log: Path) -> list[dict[str, Any]]:
    """The lines of the log of the session that has ended."""
    (file,) = [path for path in log.iterdir() if not path.name.startswith(".")]
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def steps_of(events: Sequence[dict[str, Any]]) -> list[Step]:
    """The tasks by step: those of the stages that compute it, not of those that read what was kept of it.

    Each step is one MapInArrow, and those are numbered as they were made; the first one is of making the session ready.
    """
    stages = [event["Stage Info"] for event in events if event["Event"] == "SparkListenerStageCompleted"]
    computed = {stage["Stage ID"]: _computed(stage["RDD Info"]) for stage in stages}
    made = sorted({one for some in computed.values() for one in some})[1:]
    if len(made) != len(STEPS):
        raise ValueError(f"event log: found {len(made)} steps; expected {', '.join(STEPS)}.")
    ended = [event for event in events if event["Event"] == "SparkListenerTaskEnd"]
    return [
        _step(name, [event for event in ended if number in computed.get(event["Stage ID"], ())])
        for name, number in zip(STEPS, made, strict=True)
    ]


def _computed(infos: Iterable[dict[str, Any]]) -> set[int]:
    """The numbers of the MapInArrow of a stage, but for those whose rows were kept and are only read."""
    known = {info["RDD ID"]: info for info in infos}
    found, asked = set(), [max(known)] if known else []
    while asked:
        number = asked.pop()
        if number not in known:
            continue
        scope = json.loads(known[number].get("Scope", "{}")).get("name", "")
        if scope == "MapInArrow":
            found.add(number)
        if scope != "InMemoryTableScan":
            asked += known[number]["Parent IDs"]
    return found


def _step(name: str, ended: Sequence[dict[str, Any]]) -> Step:
    times = [(event["Task Info"]["Launch Time"], event["Task Info"]["Finish Time"]) for event in ended]
    metrics = [event["Task Metrics"] for event in ended]
    reads = [one["Shuffle Read Metrics"] for one in metrics]
    return Step(
        name,
        sorted((finish - launch) / 1000 for launch, finish in times),
        rows_read=sum(one["Input Metrics"]["Records Read"] for one in metrics),
        shuffle_read_bytes=sum(one["Local Bytes Read"] + one["Remote Bytes Read"] for one in reads),
        shuffle_written_bytes=sum(one["Shuffle Write Metrics"]["Shuffle Bytes Written"] for one in metrics),
    )


# --- files -----------------------------------------------------------------------------------------------------------


def write_tasks(report: TaskReport, folder: Path) -> Path:
    """Write the report as JSON, and beside it as Markdown; the JSON file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = unused(folder, f"{report.on.started_at[:10]}-{size(report.on.events)}-tasks")
    path.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(tasks_markdown(report), encoding="utf-8")
    return path


def fill_page(report: TaskReport, page: Path = README) -> None:
    """Put the tables where the page has `<!-- latest 2M tasks -->`."""
    parts = "\n\n".join([measured_on(report.on), summary(report), *tables(report)])
    text = page.read_text(encoding="utf-8")
    page.write_text(with_block(text, f"<!-- latest {size(report.on.events)} tasks -->", parts), encoding="utf-8")


def tasks_markdown(report: TaskReport) -> str:
    """The whole report: what was asked, what it shows, a table for each."""
    asked = (
        f"A clean month of {report.subjects:,} subjects, of which one has {report.giant:.0%} of all events and its "
        f"share of the others, on a standalone cluster of {report.workers} workers with one core each. "
        f"{', '.join(f'{name} = {text}' for name, text in report.settings.items())}; all else is Spark's default. "
        "The first task of a worker waits for its JVM to warm up, most of all in the first step."
    )
    title = f"# One subject with {report.giant:.0%} of {size(report.on.events)} events"
    return "\n\n".join([title, measured_on(report.on), asked, summary(report), *tables(report)]) + "\n"


def summary(report: TaskReport) -> str:
    """What the numbers show, in the numbers."""
    longest = {(one.name, step.name): number_text(step.max / step.median) for one in report.found for step in one.steps}
    return (
        "The longest task by the median one of its step. "
        f"Counters: {longest['counters', 'counted']} × where their rows lie, {longest['counters', 'readings']} × where "
        "their exact state comes together: a giant is some more rows of each task, and then as small as any other. "
        f"The average: {longest['average', 'counted']} × where the rows lie, {longest['average', 'readings']} × where "
        "levels come together: those of one subject stay whole, in one task, and the others wait for it."
    )


def tables(report: TaskReport) -> list[str]:
    """A heading and a table for each that was asked."""
    header = ("step", "of a task", "tasks", "median s", "max s", "max / median", "rows read", "shuffle in MB", "out MB")
    return [
        f"### {one.title}, {number_text(one.seconds)} s\n\n" + table_text(header, map(_row, one.steps), texts=2)
        for one in report.found
    ]


def _row(step: Step) -> tuple[str, ...]:
    return (
        step.name,
        WHAT[step.name],
        str(len(step.seconds)),
        number_text(step.median),
        number_text(step.max),
        number_text(step.max / step.median),
        f"{step.rows_read:,}" if step.rows_read else "",
        number_text(step.shuffle_read_bytes / 1e6) if step.shuffle_read_bytes else "",
        number_text(step.shuffle_written_bytes / 1e6) if step.shuffle_written_bytes else "",
    )
