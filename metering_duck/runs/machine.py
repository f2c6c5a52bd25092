"""Machine: what a run may use of the machine, and how it tells its progress."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from os import PathLike

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.progress import Progress

GivenTime = str | datetime | None
HASHES_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Machine:
    """What a run may use of the machine, and how it tells its progress; no value here changes an answer (R23).

    The package engine is below runs and cannot hold a Machine, so `engine` hands its values over one by one.
    """

    threads: int | None = None
    memory_limit: str | None = None
    temp_dir: str | PathLike[str] | None = None
    progress: Progress | None = None

    def engine(self) -> Engine:
        """A new engine with these limits."""
        directory = None if self.temp_dir is None else str(self.temp_dir)
        return Engine(threads=self.threads, memory_limit=self.memory_limit, temp_dir=directory, progress=self.progress)
