"""The time-weighted average by subject and month with less and less memory: DuckDB puts on disk what does not fit.

Answers are equal whatever the limit. The limit is what DuckDB's buffers may take; the process needs some more, for
Python, the libraries and the answer.
"""

from __future__ import annotations

from functools import partial

import pyarrow as pa

from benchmarks.contestants import SEATS, metered, standard
from benchmarks.question import Contestant, Dataset, Question

LIMITS = ("2GB", "1GB", "500MB")


def metering_duck(dataset: Dataset, limit: str | None = None) -> pa.Table:
    """All checks on, with this much memory, or as much as DuckDB likes."""
    return metered(dataset, SEATS, ("subject", "window_start", "numerator"), memory_limit=limit)


def contestants(_events: int) -> list[Contestant]:
    """All of them give the same answer."""
    limited = [Contestant(f"metering-duck, {limit}", partial(metering_duck, limit=limit)) for limit in LIMITS]
    return [Contestant("metering-duck", metering_duck), *limited]


QUESTION = Question(
    name="memory",
    title="A time-weighted average within less and less memory",
    why="What it costs to run where memory is small: how the time grows, and whether the peak keeps to the limit.",
    shape=standard,
    contestants=contestants,
)
