"""Machine: what a run may use of the machine, and how it tells its progress."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from os import PathLike

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.progress import Progress
from metering_duck.files.gate import Gate

Moment = str | datetime | None
HASHES_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Machine:
    """What a run may use of the machine, and how it tells its progress; no value here changes an answer (R23).

    With `verify_files`, files that lie elsewhere are fetched once more, and proven whole as those of this machine are.

    The package engine is below runs and cannot hold a Machine, so `engine` hands its values over one by one.
    """

    threads: int | None = None
    memory_limit: str | None = None
    temp_dir: str | PathLike[str] | None = None
    progress: Progress | None = None
    verify_files: bool = False

    def engine(self) -> Engine:
        """A new engine with these limits."""
        directory = None if self.temp_dir is None else str(self.temp_dir)
        gate = Gate(threads=self.threads, verifies=self.verify_files, temp_dir=directory)
        return Engine(
            threads=self.threads,
            memory_limit=self.memory_limit,
            temp_dir=directory,
            progress=self.progress,
            gate=gate,
        )
