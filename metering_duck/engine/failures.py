"""DuckDB's errors as errors of ours: an input that cannot be read, the machine's limits, or our bug."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from metering_duck.engine.remote import changed, explained, shown
from metering_duck.errors import Interrupted, MeteringError, SourceError, StageError, first_few

# Makes the error that a person sees of DuckDB's message about a file or a table that it cannot use.
Explain = Callable[[str], MeteringError]
# Errors that correct SQL never raises, whatever the data; all other errors come from the data.
OUR_BUGS = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.SyntaxException)
# How a message begins that comes from a file system, not from one of DuckDB's readers; it may not name the file.
_OF_A_FILE_SYSTEM = re.compile(r"\b(HTTP|IO|Permission) Error: |^Traceback |^\w+(Error|Expired): ", re.MULTILINE)
_UNNAMED = re.compile(r"https?://|HTTP Error: |^Traceback |^\w+(Error|Expired): ", re.MULTILINE)
_URL = re.compile(r"\w+://\S+")
# The pattern that DuckDB reads for a folder of Parquet files; the folder may have been a file when it was listed.
_BELOW_FOLDER = "/**/*.parquet"


class Overflow(MeteringError):
    """A sum has more than 38 digits, or had them before its end: the caller adds again in two parts."""


@contextlib.contextmanager
def translated(name: str, sql: str, parameters: dict[str, object], explain: Explain, spills_to: Path) -> Iterator[None]:
    """Raise DuckDB's errors of a with statement as errors of ours; `name`, `sql` and `parameters` are the statement."""
    try:
        yield
    except (duckdb.InterruptException, KeyboardInterrupt):
        raise Interrupted("run: was interrupted; nothing was written.") from None
    except duckdb.OutOfRangeException as error:
        raise Overflow(first_line(error)) from None
    except duckdb.OutOfMemoryException as error:
        raise MeteringError(
            f"run: memory is used up ({first_line(error)}); expected to spill to {spills_to}. "
            "hint: a larger --memory-limit, fewer --threads, or a --temp-dir with more room"
        ) from None
    except OUR_BUGS as error:
        raise StageError(name, sql, parameters, first_line(error)) from error
    except (duckdb.HTTPException, UnicodeDecodeError) as error:
        # httpfs 1.5.5 puts the bytes that it got into the message where an object has changed.
        raise explain(f"HTTP Error: {error}") from None
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        # A stream of Arrow raises OSError for whatever DuckDB says while it is read.
        if "has an open result" in str(error):
            raise MeteringError(
                "run: found a stream of its rows that was not read to its end; expected one stream at a time. "
                "hint: read or delete it first, or take to_arrow()"
            ) from None
        raise explain(str(error)) from None


def first_line(error: BaseException | str) -> str:
    """The first line of an error's text that is not blank, without its full stop; without text, the error's class."""
    for line in str(error).splitlines():
        if line.strip():
            return line.strip().rstrip(".")
    return "no reason was given" if isinstance(error, str) else type(error).__name__


def attach_failure(name: str, error: duckdb.Error) -> SourceError:
    """Why a DuckDB file or a DuckLake could not be attached."""
    if "lock on file" in str(error):
        return SourceError(
            f"{name}: found it open in another process, which may write to it; expected nobody to. "
            "hint: run once it has closed it, or read a copy"
        )
    return SourceError(f"{name}: cannot be read ({first_line(error)}); expected a table of a DuckDB database.")


@dataclass(frozen=True)
class RemoteInputs:
    """The URLs that a connection reads, and what the listing said of each: its size, its ETag."""

    urls: Sequence[str] = ()
    listed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def failure(self, text: str) -> MeteringError:
        """The error for DuckDB's message about an input that it cannot read."""
        # httpfs may write http://endpoint/bucket/key for s3://bucket/key.
        named = [url for url in self.urls if url.partition("://")[2] in text]
        is_remote = bool(named) or _UNNAMED.search(text) is not None
        if self.urls and is_remote and _OF_A_FILE_SYSTEM.search(text):
            return self._remote_failure(text, named)
        for url in named:
            text = text.replace(url, shown(url))
        return SourceError(unreadable(text))

    def _remote_failure(self, text: str, named: Sequence[str]) -> SourceError:
        """The error for a file system's message about a remote file; if it names none, any of the URLs may be meant."""
        for url in named:
            text = text.replace(url, "")
        suspects = named or self.urls
        said = _URL.sub("", text)
        have_changed = changed(self.listed, suspects)
        if have_changed:
            suspects, said = have_changed, "FileExpired"
        where = first_few(shown(url) for url in suspects)
        return SourceError(f"{where}: {explained(said, suspects[0])}")


def unreadable(text: str) -> str:
    """A message for DuckDB's about a file that it cannot read: which file, which line, what is wrong."""
    where = _file_named_in(text) or "input"
    if where.endswith(_BELOW_FOLDER):
        # The path is no file any more, so DuckDB has taken it for a folder.
        return f"{where.removesuffix(_BELOW_FOLDER)}: is gone; expected it to be there until the end. hint: run again"
    line = re.search(r"CSV Error on Line: (\d+)", text)
    if line is None:
        why = re.sub(r"^(\w+ )+Error: ", "", first_line(text)).removesuffix(f": {where}")
        return f"{where}: cannot be read ({why}); expected a file that can be read to its end."
    return f"{where}: line {line.group(1)} {_csv_fault(text)}"


def _file_named_in(text: str) -> str | None:
    """The file that a message names: by itself, in quotes, or at a line's end."""
    patterns = (r"^\s*file = (.+)$", r"[\"']((?:/|[A-Za-z]:\\|\w+://)[^\"'\n]+)[\"']", r": (/\S+)$")
    for pattern in patterns:
        found = re.search(pattern, text, re.MULTILINE)
        if found:
            return found.group(1)
    return None


def _csv_fault(text: str) -> str:
    """What is wrong with a line of a CSV file."""
    if "unicode" in text.lower():
        return "is not UTF-8; expected text in UTF-8."
    counts = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    if counts:
        expected, found = counts.groups()
        return f"has {found} columns; expected {expected}, as in its header."
    for row in text.splitlines()[1:]:
        if row.strip() and ":" not in row:
            return f"cannot be read ({row.strip().rstrip('.')}); expected CSV."
    return "cannot be read (not CSV); expected CSV."
