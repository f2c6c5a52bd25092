"""How the time grows with events: a tenth of them, a third, all. Subjects grow with them, 5,000 events each."""

from __future__ import annotations

import pyarrow as pa

from benchmarks.contestants import TWO_COUNTERS, bare, by_unit, metered, standard
from benchmarks.question import Contestant, Dataset, Question
from benchmarks.questions.counters_by_subject_day import BARE


def metering_duck(dataset: Dataset) -> pa.Table:
    """Two counters by subject and day, all checks on."""
    return metered(dataset, TWO_COUNTERS, every="day")


def bare_query(dataset: Dataset) -> pa.Table:
    """The same by hand, without checks."""
    return by_unit(bare(BARE, dataset))


def contestants(events: int) -> list[Contestant]:
    """A pair for each size, whose answers are equal."""
    return [
        Contestant(f"{name}, {size:,} events", answer, group=f"{size:,} events", shape=standard(size))
        for size in (max(1, events // 10), max(1, events // 3), events)
        for name, answer in (("metering-duck", metering_duck), ("bare query", bare_query))
    ]


QUESTION = Question(
    name="growth_rows",
    title="Growth with events",
    why="Whether twice the events take twice the time.",
    shape=standard,
    contestants=contestants,
    options={"growth": "events"},
)
