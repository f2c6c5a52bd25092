"""What DuckDB and Arrow raise as errors of ours: an input that cannot be read, the machine's limits, or our bug.

An input that cannot be read is named by its file. Where a message names none, the files are read again one by one.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from metering_duck.engine.given_streams import GivenStream
from metering_duck.engine.unreadable import TO_ITS_END, NoFileNamed
from metering_duck.errors import (
    Interrupted,
    LedgerError,
    MeteringError,
    SourceError,
    StageError,
    first_few,
    first_line,
    of_the_system,
)

# Makes the error that a person sees of DuckDB's message about a file or a table that it cannot use.
Explain = Callable[[str], MeteringError]
# The error of the first file of an input that cannot be read by itself, where there is one.
FindBadFile = Callable[[], MeteringError | None]
# Errors that correct SQL never raises, whatever the data; all other errors come from the data.
OUR_BUGS = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.SyntaxException)
# After one of these a database takes no statement any more. Damaged files raise them, and so do faults of DuckDB.
BREAKS = (duckdb.InternalException, duckdb.FatalException)
# What DuckDB and Arrow raise: pyarrow has OSError, ValueError and others of Python's beside errors of its own, and
# DuckDB passes on what Python's file systems and streams raise.
RAISED = (duckdb.Error, pa.ArrowException, OSError, ValueError, TypeError, ArithmeticError, LookupError, RuntimeError)


# With less memory than this a file that is whole may ask for more at once.
_SMALL_BYTES = 256 << 20


class Overflow(MeteringError):
    """A sum has more than 38 digits, or had them before its end: the caller adds again in two parts."""


@dataclass(frozen=True)
class Suspect:
    """An input of an engine: what messages call it, and how its bad file is found."""

    name: str
    find: FindBadFile


@dataclass
class Failures:
    """What an engine makes of errors: by what it knows of its inputs.

    `explain` is asked about inputs that cannot be read; `spills_to` is where the engine writes what does not fit into
    memory. `streams` are the rows from outside that it reads. `broken` is why it takes no statement any more. `twin` is
    the engine that reads files alone while the bad one is looked for.
    """

    explain: Explain
    spills_to: Path
    suspects: list[Suspect] = field(default_factory=list)
    streams: dict[str, GivenStream] = field(default_factory=dict)
    broken: MeteringError | None = None
    twin: Any = None

    def interrupt(self) -> None:
        """Stop looking for the bad file, from another thread."""
        if self.twin is not None:
            self.twin.interrupt()

    @contextlib.contextmanager
    def translated(self, name: str, sql: str, parameters: dict[str, object]) -> Iterator[None]:
        """Raise what DuckDB and Arrow raise in a with statement as errors of ours; the arguments are the statement."""
        try:
            yield
        except MeteringError:
            raise
        except (*RAISED, MemoryError, KeyboardInterrupt) as error:
            if _is_interrupt(error):
                raise Interrupted("run: was interrupted; nothing was written.") from None
            self._raise_stream_failure()
            if isinstance(error, BREAKS):
                raise self._broken(error, name, sql, parameters) from error
            if isinstance(error, OUR_BUGS):
                raise StageError(name, sql, parameters, first_line(error)) from error
            raise self._told(error) from None

    def _raise_stream_failure(self) -> None:
        """Raise why a stream from outside broke off, if one did, with the error that it raised as the cause."""
        for name, stream in list(self.streams.items()):
            if stream.failure is None:
                continue
            del self.streams[name]
            if isinstance(stream.failure, MeteringError):
                raise stream.failure
            raise given_failure(stream.where, stream.failure) from stream.failure

    def _broken(self, error: duckdb.Error, name: str, sql: str, parameters: dict[str, object]) -> MeteringError:
        """The error after which the engine takes no statement any more: of a bad file if there is one, else a bug."""
        if self.broken is None:
            told = self.explain(str(error))
            # The words of a ledger's engine say which ledger it is.
            bug = told if isinstance(told, LedgerError) else StageError(name, sql, parameters, first_line(error))
            self.broken = self._of_bad_file() or bug
        return self.broken

    def _told(self, error: BaseException) -> MeteringError:
        """The error of ours for one that comes from the data or the machine."""
        text = str(error)
        if isinstance(error, duckdb.OutOfRangeException):
            told = self.explain(text)
            # The words of a ledger's engine say which ledger it is.
            return told if isinstance(told, LedgerError) else Overflow(first_line(error))
        if isinstance(error, duckdb.OutOfMemoryException | MemoryError):
            return self._out_of_memory(first_line(error))
        if "has an open result" in text:
            return MeteringError(
                "run: found a stream of its rows that was not read to its end; expected one stream at a time. "
                "hint: read or delete it first, or take to_arrow()"
            )
        if not isinstance(error, duckdb.Error) and isinstance(error, OSError) and error.errno:
            known = of_the_system(error)
            if known is not None:
                return known
        if isinstance(error, duckdb.HTTPException | UnicodeDecodeError):
            # httpfs 1.5.5 puts the bytes that it got into the message where an object has changed.
            text = f"HTTP Error: {text}"
        told = self.explain(text)
        return self._named(told) if isinstance(told, NoFileNamed) else told

    def _out_of_memory(self, said: str) -> MeteringError:
        """The error for memory that is used up; a damaged file may ask for more than any machine has."""
        asked = _asked_for(said)
        if asked is not None:
            found = f"cannot be read (a size in it asks for {asked}, more than all memory that may be used)"
            return self._named(NoFileNamed(found, TO_ITS_END))
        return MeteringError(
            f"run: memory is used up ({said}); expected to spill to {self.spills_to}. "
            "hint: a larger --memory-limit, fewer --threads, or a --temp-dir with more room"
        )

    def _named(self, told: NoFileNamed) -> MeteringError:
        """The error for a file that DuckDB does not name: of the first that is bad by itself, else of the inputs."""
        bad = self._of_bad_file()
        if bad is not None:
            return bad
        return told.at(first_few(suspect.name for suspect in self.suspects) or "input")

    def _of_bad_file(self) -> MeteringError | None:
        """The error of the first file that cannot be read by itself."""
        return next(filter(None, (suspect.find() for suspect in self.suspects)), None)


def _asked_for(said: str) -> str | None:
    """The size that DuckDB was asked for at once, if it is more than all memory that it may use.

    Only a damaged file has such a size.
    """
    sizes = re.findall(r"([\d.]+) (bytes|[KMGTPE]iB)", said)
    amounts = [float(number) * 1024 ** "bKMGTPE".index(unit[0]) for number, unit in sizes]
    if len(amounts) == 3 and amounts[0] > max(amounts[1:]) >= _SMALL_BYTES:
        return " ".join(sizes[0])
    return None


def _is_interrupt(error: BaseException) -> bool:
    """Whether somebody stopped the run; DuckDB says so in several ways, and Arrow passes on the text of one."""
    if isinstance(error, KeyboardInterrupt | duckdb.InterruptException):
        return True
    return "INTERRUPT Error" in str(error) or (isinstance(error, RuntimeError) and "Query interrupted" in str(error))


def given_failure(where: str, error: BaseException) -> MeteringError:
    """The error for what somebody's own rows raise while they are read; the caller raises it from `error`."""
    if _is_interrupt(error):
        return Interrupted("run: was interrupted; nothing was written.")
    if isinstance(error, MeteringError):
        return error
    if "unfinished result" in str(error):
        return SourceError(
            f"{where}: cannot be read while its connection has a result that was not fetched to its end; "
            "expected a connection that is free. hint: fetch the rows of the last execute() to their end, "
            "or make the relation on connection.cursor()"
        )
    return SourceError(
        f"{where}: cannot be read ({type(error).__name__}: {first_line(error)}); expected rows to their end."
    )


@contextlib.contextmanager
def naming(where: str) -> Iterator[None]:
    """Raise what the operating system refuses in a with statement as an error of ours, at its file, or else `where`."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise of_the_system(error, where) or error from None


@contextlib.contextmanager
def reading(where: str) -> Iterator[None]:
    """Raise what a library raises while it reads an input as SourceError, with the library's error as its cause."""
    try:
        yield
    except (MeteringError, ImportError):
        raise
    except Exception as error:
        raise of_the_system(error, where) or given_failure(where, error) from error
