"""Ten times the events within the same memory: the time for each event should stay as it is.

Both questions are asked over all events and over a tenth of them, which has a tenth of the subjects too. DuckDB may
take 3 GB, so that the whole process stays within 4 GB.
"""

from __future__ import annotations

import pyarrow as pa

from benchmarks.contestants import SEATS, TWO_COUNTERS, metered, standard
from benchmarks.question import Contestant, Dataset, Question, Target

LIMIT = "3GB"


def counters(dataset: Dataset) -> pa.Table:
    """Two counters by subject and day."""
    return metered(dataset, TWO_COUNTERS, every="day", memory_limit=LIMIT)


def average(dataset: Dataset) -> pa.Table:
    """The time-weighted average by subject and month."""
    return metered(dataset, SEATS, ("subject", "window_start", "numerator"), memory_limit=LIMIT)


def contestants(events: int) -> list[Contestant]:
    """The answers are of different events: none are compared."""
    tenth = standard(max(1, events // 10))
    return [
        Contestant("metering-duck, counters", counters, group=None),
        Contestant("metering-duck, counters of a tenth", counters, group=None, shape=tenth),
        Contestant("metering-duck, average", average, group=None),
        Contestant("metering-duck, average of a tenth", average, group=None, shape=tenth),
    ]


QUESTION = Question(
    name="ten_times",
    title="Ten times the events, within 4 GB",
    why="Whether the time for each event stays as it is when the events no longer fit into memory.",
    shape=standard,
    contestants=contestants,
    targets=(
        Target("metering-duck, counters", ("metering-duck, counters of a tenth",), 1.15, per_event=True),
        Target("metering-duck, average", ("metering-duck, average of a tenth",), 1.15, per_event=True),
    ),
)
