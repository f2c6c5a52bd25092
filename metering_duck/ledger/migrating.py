"""Migrating: the keys of repeated events are read again from the files of a ledger that an earlier version made.

Earlier versions kept DuckDB's hash of a key, which another version of DuckDB does not find again (R38). Backfill, rerun
and restate read the keys of the files that are there before they meter (meterer.py). `ledger migrate` does only that,
and also reads files that count no more, so that runs which read them can be made again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from metering_duck.errors import SchemaError, SourceError
from metering_duck.inputs.source import Source
from metering_duck.ledger.discovering import repeated_rows
from metering_duck.ledger.manifest import SourceFile, files_of, write_keys
from metering_duck.ledger.meterer import Meterer, ledger_source
from metering_duck.ledger.places import stamps_of
from metering_duck.ledger.stored import DEFAULT_SOURCE


@dataclass(frozen=True)
class Migration:
    """What was read again: how many files, how many rows of repeated keys they have, and which files could not be read.

    The runs that read a file of `unread` cannot be made again until the file is there as it was. `notices` say what
    else was done.
    """

    files: int = 0
    repeated_rows: int = 0
    unread: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As a plain dict."""
        return asdict(self)


def migrate(meterer: Meterer) -> Migration:
    """Read the keys again of all files whose keys are kept as an earlier version kept them.

    Raises: SourceError, SchemaError for files that are there as they were and cannot be read.
    """
    with meterer.store.writer():
        with meterer.store.reader() as engine:
            source = ledger_source(engine) or DEFAULT_SOURCE
            files, counting = files_of(engine, "TRUE"), {file.file_id for file in files_of(engine)}
        lacking = [file for file in files if not file.has_keys]
        if not lacking:
            return Migration(notices=meterer.store.notices)
        there = _as_they_were(files)
        read = [file for file in there if file.file_id in counting]
        rows = _read(meterer, read, source)
        if len(read) < len(there):
            # Files that count no more need not be of one schema with those that do.
            with contextlib.suppress(SchemaError, SourceError):
                rows, read = _read(meterer, there, source), there
        done = {file.file_id for file in read}
        unread = tuple(file.path for file in lacking if file.file_id not in done)
        return Migration(len(read), rows, unread, meterer.store.notices)


def _as_they_were(files: Sequence[SourceFile]) -> list[SourceFile]:
    """The files that are where they were and have not changed."""
    stamps = stamps_of(file.path for file in files)
    return [file for file in files if file.is_as(stamps.get(file.path))]


def _read(meterer: Meterer, files: Sequence[SourceFile], source: Source) -> int:
    """Read files for their repeated keys, and keep these; how many rows have one."""
    repeated = repeated_rows(files, source, meterer.machine)
    with meterer.store.transaction() as engine:
        write_keys(engine, files, repeated)
    return len(repeated)
