"""A sum by subject and day and a time-weighted average, on this machine, on one Spark worker, and on two.

Some events came twice, so that all steps run: keys are compared, the few repeated ones settled, counters counted where
their rows lie, levels brought together by subject. The cluster is a standalone one on this machine, each worker with
one core: two of them have what the plain contestant has. Before anything is timed there is a session with its
executors, and a Python in each that has imported what it needs: on a cluster that is shared all that is up already.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pyarrow as pa

from benchmarks.contestants import SEATS, metered
from benchmarks.events import Shape
from benchmarks.question import Contestant, Dataset, Question, Target
from benchmarks.questions.deduplication import TOKENS, dirty
from benchmarks.servers import MASTER, spark_cluster, spark_session

MEASUREMENTS = [*TOKENS, *SEATS]
COLUMNS = ("subject", "window_start", "unit", "quantity", "numerator")
SMOKE = 1_000_000
# A file of a million events a task, not two: so the same number of them falls to each worker.
SETTINGS = {"spark.sql.files.maxPartitionBytes": str(64 << 20)}
# Where times do not count, a JVM that compiles less is up sooner.
HASTY = dict.fromkeys(
    ("spark.driver.extraJavaOptions", "spark.executor.extraJavaOptions"), "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
)


def events_of(events: int) -> Shape:
    """A month with duplicates, conflicts and late events; a tenth of it in a smoke run, where times do not count."""
    return dirty(events if events > SMOKE else max(1, events // 10))


@contextmanager
def around(dataset: Dataset) -> Iterator[dict[str, str]]:
    """Two workers, and whoever wants one leaves the other idle; in a smoke run only one."""
    with spark_cluster(2 if dataset.shape.events > SMOKE else 1) as environment:
        yield environment


def metering_duck(dataset: Dataset, **options: Any) -> pa.Table:
    """Here with two threads, or by the engine that the options name."""
    return metered(dataset, MEASUREMENTS, COLUMNS, every="day", **options)


def connect(cores: int, settings: dict[str, str]) -> None:
    """The session that metering-duck then finds."""
    spark_session(os.environ[MASTER], cores, settings)


def contestants(events: int) -> list[Contestant]:
    """All of them give the same answer; in a smoke run one worker speaks for both."""
    on_spark = partial(metering_duck, engine="spark")
    settings = SETTINGS if events > SMOKE else SETTINGS | HASTY
    one, two = (partial(connect, cores, settings) for cores in (1, 2))
    return [
        Contestant("metering-duck", metering_duck),
        Contestant("metering-duck, Spark 1 worker", on_spark, ready=one),
        *([Contestant("metering-duck, Spark 2 workers", on_spark, ready=two)] if events > SMOKE else []),
    ]


QUESTION = Question(
    name="spark_workers",
    title="On one machine, on one Spark worker, on two",
    why="What spreading costs, and whether twice the workers take half the time.",
    shape=events_of,
    contestants=contestants,
    targets=(Target("metering-duck, Spark 2 workers", ("metering-duck, Spark 1 worker",), 0.6),),
    notes="A worker keeps to one core of this machine. A ratio r to one worker is an efficiency of 1 / 2r: of 0.6, 83 "
    "%. Sessions and executors are up before. CPU and memory of Spark are those of the driver's Python only, without "
    "its JVM and the workers.",
    options={"around": around},
)
