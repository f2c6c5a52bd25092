"""How the time grows with measurements: sums of 1, 2, 5, 10 and 20 properties, by subject and day.

A tenth of the events asked for, with as many numeric properties as are measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from benchmarks.contestants import bare, by_unit, metered, standard
from benchmarks.events import Shape
from benchmarks.question import Contestant, Dataset, Question

COUNTS = (1, 2, 5, 10, 20)

BARE = """
SELECT subject, make_timestamp(day * $day_us) AS window_start, * EXCLUDE (subject, day)
FROM (
    SELECT subject, epoch_us(time) // $day_us AS day, $sums
    FROM $events
    GROUP BY subject, day
)"""


def measured(shape: Shape) -> Sequence[str]:
    """As many properties as the shape has measurements: tokens and cost first."""
    return ("tokens", "cost", *shape.extras)[: shape.measurements]


def metering_duck(dataset: Dataset) -> pa.Table:
    """All checks on."""
    names = measured(dataset.shape)
    return metered(
        dataset, [{"sourceProperty": name, "unit": name, "aggregation": "sum"} for name in names], every="day"
    )


def bare_query(dataset: Dataset) -> pa.Table:
    """The same by hand, without checks."""
    names = measured(dataset.shape)
    return by_unit(
        bare(BARE, dataset, sums=", ".join(f'sum(properties.{name}::DECIMAL(18, 6)) AS "{name}"' for name in names))
    )


def tenth(events: int, measurements: int = 2) -> Shape:
    """A tenth of the events, with so many measurements."""
    return replace(standard(max(1, events // 10)), measurements=measurements)


def contestants(events: int) -> list[Contestant]:
    """A pair for each number of measurements, whose answers are equal."""
    return [
        Contestant(f"{name}, {count} measurements", answer, group=f"{count} measurements", shape=tenth(events, count))
        for count in COUNTS
        for name, answer in (("metering-duck", metering_duck), ("bare query", bare_query))
    ]


QUESTION = Question(
    name="growth_measurements",
    title="Growth with measurements",
    why="Whether another measurement costs a column, or another pass.",
    shape=tenth,
    contestants=contestants,
    notes="A tenth of the events.",
    options={"growth": "measurements"},
)
