"""Readings of days and of the month: from readings of hours by roll-up, or from the events again.

A sum and a time-weighted average, 720 readings of hours a subject and unit. They are made once, kept as Parquet
beside the data set, and not timed. Both ways give the same readings, to the last digit of every quotient.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from benchmarks.contestants import END, SEATS, START, finished, metered, standard
from benchmarks.question import Contestant, Dataset, Question, memory_limit

MEASUREMENTS = [{"sourceProperty": "tokens", "unit": "tokens", "aggregation": "sum"}, *SEATS]
WINDOWS = ("day", "month")
COLUMNS = ["subject", "window_start", "unit", "quantity"]


def hours_of(dataset: Dataset) -> Path:
    """Where the readings of hours are."""
    return dataset.path.parent / f"{dataset.path.name}-hours.parquet"


def prepare(dataset: Dataset) -> None:
    """Make the readings of hours anew: those that are there may be an older engine's."""
    from metering_duck import aggregate

    with aggregate(dataset.files, {"measurements": MEASUREMENTS}, start=START, end=END, every="hour") as readings:
        readings.write(hours_of(dataset))


def metering_duck(dataset: Dataset) -> pa.Table:
    """Hours to days, and hours to the month."""
    from metering_duck import rollup

    parts = []
    for every in WINDOWS:
        with rollup(hours_of(dataset), every=every, start=START, end=END, memory_limit=memory_limit()) as readings:
            parts.append(named(readings.to_arrow(), every))
    return pa.concat_tables(parts)


def from_events(dataset: Dataset) -> pa.Table:
    """Events to days, and events to the month."""
    return pa.concat_tables(named(metered(dataset, MEASUREMENTS, COLUMNS, every=every), every) for every in WINDOWS)


def named(readings: pa.Table, every: str) -> pa.Table:
    """An answer whose units say of which windows they are: a day may start when the month does."""
    units = [f"{unit} per {every}" for unit in readings["unit"].to_pylist()]
    place = readings.column_names.index("unit")
    return finished(readings.set_column(place, "unit", pa.array(units, pa.string())).select(COLUMNS))


def contestants(_events: int) -> list[Contestant]:
    """Both give the same answer."""
    return [
        Contestant("metering-duck", metering_duck),
        Contestant("metering-duck, from events", from_events),
    ]


QUESTION = Question(
    name="rollup",
    title="Days and the month, from readings of hours or from the events",
    why="Whether it pays to keep readings of hours instead of reading all events again.",
    shape=standard,
    contestants=contestants,
    notes="The readings of hours are made before, and not timed.",
    options={"prepare": prepare},
)
