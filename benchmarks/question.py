"""What a question is: which events, who answers it, whose answers must be equal, and what ratio was aimed at."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.events import Shape

MEMORY_LIMIT = "BENCH_MEMORY_LIMIT"
_MEMORY = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT])(i?)B", re.IGNORECASE)


def memory_limit() -> str | None:
    """How much memory a contestant's engine may take, as DuckDB writes it ("4GB"); None is as much as there is."""
    return os.environ.get(MEMORY_LIMIT)


def memory_bytes(text: str) -> int:
    """4GB as 4000000000; KiB, MiB, GiB and TiB are powers of 1024.

    Raises: ValueError.
    """
    match = _MEMORY.fullmatch(text)
    count = int(float(match[1]) * (1024 if match[3] else 1000) ** ("KMGT".index(match[2].upper()) + 1)) if match else 0
    if not count:
        raise ValueError(f"found {text!r}; expected a size such as 4GB.")
    return count


@dataclass(frozen=True)
class Dataset:
    """Generated events on disk: `path` is a folder of Parquet files, `shape` is what they were made from."""

    path: Path
    shape: Shape

    @property
    def files(self) -> str:
        """A glob of all files."""
        return f"{self.path}/**/*.parquet" if self.shape.partitioned else f"{self.path}/*.parquet"


@dataclass(frozen=True)
class Contestant:
    """One way to answer a question.

    `answer` takes the dataset and returns the answer as Arrow, in the question's columns; only it is timed, in a new
    process that has imported the contestant's library before, and called `ready`. `shape` replaces the question's
    shape. Contestants of the same `group` must give equal answers; None is for answers that are compared with nobody's.
    `events_max` is the most events it is asked to answer for: a slow one is left out above it. `rounds_max` bounds how
    often it is run.
    """

    name: str
    answer: Callable[[Dataset], pa.Table]
    group: str | None = "answer"
    shape: Shape | None = None
    events_max: int | None = None
    rounds_max: int | None = None
    ready: Callable[[], object] | None = None


@dataclass(frozen=True)
class Target:
    """The median of `contestant` is to be at most `at_most` times that of the fastest of `against`.

    With `per_event` both are divided by how many events they were given.
    """

    contestant: str
    against: tuple[str, ...]
    at_most: float
    per_event: bool = False


class CannotAsk(Exception):
    """The question cannot be asked on this machine; the text says in a line what is missing."""


@dataclass(frozen=True)
class Question:
    """A question with its contestants; `why` says in a sentence what it tells a reader.

    `shape` and `contestants` take how many events were asked for, and give the same every time. `options` may hold
    `growth`: the field of a contestant's result (events, subjects, measurements, answer_rows) that a chart has the
    seconds over, one line for all contestants of one name up to its first comma; `prepare`, a function of the dataset
    that is called once before the first round of a run, in a process of its own, and not timed; and `around`, a context
    manager of the question's dataset that is open from before `prepare` to after the last round. It gives environment
    variables for all of these processes, and raises CannotAsk where the question cannot be asked here. With
    `takes_long`, a smoke run asks it over a tenth of the events.
    """

    name: str
    title: str
    why: str
    shape: Callable[[int], Shape]
    contestants: Callable[[int], list[Contestant]]
    targets: tuple[Target, ...] = ()
    notes: str = ""
    options: dict[str, Any] = field(default_factory=dict)
