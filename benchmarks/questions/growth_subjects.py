"""How the time grows with subjects: the same number of events, of ten subjects up to one for ten events.

A tenth of the events asked for. More subjects are more readings, up to about one for each event.
"""

from __future__ import annotations

import pyarrow as pa

from benchmarks.contestants import TWO_COUNTERS, bare, by_unit, metered
from benchmarks.events import Shape
from benchmarks.question import Contestant, Dataset, Question
from benchmarks.questions.counters_by_subject_day import BARE


def metering_duck(dataset: Dataset) -> pa.Table:
    """Two counters by subject and day, all checks on."""
    return metered(dataset, TWO_COUNTERS, every="day")


def bare_query(dataset: Dataset) -> pa.Table:
    """The same by hand, without checks."""
    return by_unit(bare(BARE, dataset))


def tenth(events: int, subjects: int = 10) -> Shape:
    """A tenth of the events, of so many subjects."""
    return Shape(events=max(100, events // 10), subjects=subjects)


def contestants(events: int) -> list[Contestant]:
    """A pair for each number of subjects, whose answers are equal."""
    most = tenth(events).events // 10
    return [
        Contestant(f"{name}, {count:,} subjects", answer, group=f"{count:,} subjects", shape=tenth(events, count))
        for count in sorted({10, max(10, most // 100), most})
        for name, answer in (("metering-duck", metering_duck), ("bare query", bare_query))
    ]


QUESTION = Question(
    name="growth_subjects",
    title="Growth with subjects",
    why="Whether many small customers take longer than a few large ones.",
    shape=tenth,
    contestants=contestants,
    notes="A tenth of the events.",
    options={"growth": "subjects"},
)
