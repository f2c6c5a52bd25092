"""Commands as processes of their own, forked from one that has everything loaded: they can be killed at any moment."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests import resident

LOADED = [
    "metering_duck.calls.metering",
    "metering_duck.cli.main",
    "metering_duck.ledger.ledger",
    "tests.fire.processes",
]
forked = multiprocessing.get_context("forkserver")
forked.set_forkserver_preload(LOADED)


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit code, or minus the signal that ended it, and what it said."""

    code: int
    output: bytes
    error: str


class Command:
    """A command that has been started; `where` is a folder of its own for what it says."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        file_bytes_max: int | None = None,
    ) -> None:
        self.where = Path(tempfile.mkdtemp(prefix="fire-said-"))
        self.process: BaseProcess = forked.Process(
            target=_run, args=(list(arguments), str(folder), str(self.where), dict(environment or {}), file_bytes_max)
        )
        self.process.start()

    @property
    def pid(self) -> int:
        """The process."""
        assert self.process.pid is not None
        return self.process.pid

    def signal(self, number: int) -> None:
        """Send a signal, if the process is there yet."""
        if self.process.is_alive():
            # It may end between the two.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def end(self, seconds: float = 60) -> Done:
        """Wait for the end; a process that does not end is killed, and its code is that of SIGALRM."""
        self.process.join(seconds)
        code = self.process.exitcode
        if code is None:
            self.process.kill()
            self.process.join()
            code = -14
        said = [self.where / name for name in ("output", "error")]
        output, error = (path.read_bytes() if path.exists() else b"" for path in said)
        for path in said:
            path.unlink(missing_ok=True)
        self.where.rmdir()
        self.process.close()
        return Done(code, output, error.decode(errors="replace"))


def run(arguments: Sequence[str], folder: Path, **options: object) -> Done:
    """A command from its start to its end."""
    return Command(arguments, folder, **options).end()  # type: ignore[arg-type]


def _run(
    arguments: list[str], folder: str, where: str, environment: dict[str, str], file_bytes_max: int | None
) -> None:
    """What the console script does, in a folder, with its streams in files."""
    streams = [os.open(os.devnull, os.O_RDONLY)]
    streams += [os.open(f"{where}/{name}", os.O_WRONLY | os.O_CREAT, 0o600) for name in ("output", "error")]
    resident.take_streams(streams)
    os.chdir(folder)
    os.environ.update(environment)
    tempfile.tempdir = None
    if file_bytes_max is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, resource.RLIM_INFINITY))
    sys.exit(resident.run(arguments))
