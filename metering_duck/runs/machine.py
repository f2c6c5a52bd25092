"""Machine: what a run may use of the machine, and how it tells its progress."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from os import PathLike, fspath

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.progress import Progress
from metering_duck.errors import ConfigError, spelled
from metering_duck.files.gate import Gate

GivenTime = str | datetime | None
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
        directory = None if self.temp_dir is None else _path_of(self.temp_dir)
        if self.progress is not None and not callable(self.progress):
            raise ConfigError(f"progress: found {spelled(self.progress)}; expected a function.")
        gate = Gate(threads=self.threads, verifies=self.verify_files)
        return Engine(
            threads=self.threads,
            memory_limit=self.memory_limit,
            temp_dir=directory,
            progress=self.progress,
            gate=gate,
        )


def _path_of(given: object) -> str:
    """The path of a folder.

    Raises: ConfigError.
    """
    if not isinstance(given, str | PathLike):
        raise ConfigError(f"temp-dir: found {spelled(given)}; expected the path of a folder.")
    return str(fspath(given))
