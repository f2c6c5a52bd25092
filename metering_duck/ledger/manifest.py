"""The manifest: which event files a ledger knows, and when each was first seen.

A file is known by its content. One that was changed is another file; one that only moved is the same. A day of a table
is a file like any other. What is there now is found by ledger/looking.py and, of tables, ledger/tables.py; what new
files have in them by ledger/discovering.py.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pyarrow as pa

from metering_duck.errors import LedgerError
from metering_duck.inputs.table_days import parts_of
from metering_duck.ledger.periods import utc
from metering_duck.ledger.places import Stamp
from metering_duck.ledger.store import StoreEngine
from metering_duck.runs.history import History


@dataclass(frozen=True)
class SourceFile:
    """A file of the manifest. Times are UTC; `file_id` is 0 as long as it is not in the ledger.

    Which version of a table has a day since when is known, which of its rows is not: events of a table that do not say
    themselves when they entered all entered when the table was `first_seen_at`.
    """

    file_id: int
    path: str
    sha256: str
    entered_at: datetime
    stamp: Stamp
    last_metered_at: datetime | None = None
    first_seen_at: datetime | None = None

    @property
    def is_day(self) -> bool:
        """Whether it is a day of a table."""
        return parts_of(self.path) is not None

    def moved_from(self, before: SourceFile) -> SourceFile:
        """This file, known as the one `before` it that had the same content elsewhere."""
        return replace(
            self, file_id=before.file_id, entered_at=before.entered_at, last_metered_at=before.last_metered_at
        )

    def is_as(self, stamp: Stamp | None) -> bool:
        """Whether what is there now is what it was, as far as that is told without its bytes."""
        if stamp is None or self.is_day:
            return stamp is not None and stamp.etag == self.stamp.etag
        return stamp == self.stamp


@dataclass(frozen=True)
class Found:
    """What is there, against what is in the ledger: `moved` files have another path or time, and the same content.

    Days that a later version of their table has no more, or has with other rows, are `superseded`: no loss, since the
    version before is still there.
    """

    known: tuple[SourceFile, ...] = ()
    new: tuple[SourceFile, ...] = ()
    moved: tuple[SourceFile, ...] = ()
    changed: tuple[SourceFile, ...] = ()
    gone: tuple[SourceFile, ...] = ()
    superseded: tuple[SourceFile, ...] = ()

    @property
    def present(self) -> tuple[SourceFile, ...]:
        """All that can be read."""
        return (*self.known, *self.moved, *self.new)

    @property
    def lost(self) -> tuple[SourceFile, ...]:
        """All that is not there any more as it was."""
        return (*self.gone, *self.changed, *self.superseded)

    @property
    def without_losses(self) -> Found:
        """The same, as if what has gone or changed were still to be seen to."""
        changed = {file.path for file in self.changed}
        return replace(self, new=tuple(f for f in self.new if f.path not in changed), changed=(), gone=())


# Which rows of source_files are days of a table.
IS_OF_TABLE = "regexp_matches(path, '^(delta|iceberg)://')"


def files_of(
    engine: StoreEngine, where: str = "gone_at IS NULL", parameters: Mapping[str, object] | None = None
) -> list[SourceFile]:
    """The files of the manifest, in the order in which they came."""
    first = f"(SELECT min(entered_at) FROM source_files WHERE {IS_OF_TABLE})"
    rows = engine.rows(
        "SELECT file_id, path, size_bytes, modified_ns, sha256, entered_at, last_metered_at, etag, "
        f"CASE WHEN {IS_OF_TABLE} THEN {first} END FROM source_files WHERE {where} ORDER BY file_id",
        dict(parameters or {}),
    )
    return [
        SourceFile(n, path, sha, utc(entered), Stamp(size, ns, etag), utc(last), first and utc(first))
        for n, path, size, ns, sha, entered, last, etag, first in rows
    ]


def history_of(files: Iterable[SourceFile]) -> History:
    """When the events of each file entered, by its path."""
    entered = {file.path: file.first_seen_at or file.entered_at for file in files}
    return History({path: moment.astimezone(UTC).replace(tzinfo=None) for path, moment in entered.items()})


def check_gone(found: Found, used: Container[int]) -> None:
    """Refuse to go on without files that are gone, or that have changed since runs `used` them.

    Raises: LedgerError.
    """
    changed = tuple(file for file in found.changed if file.file_id in used)
    for kind, lost in (("is gone", found.gone), ("has changed", changed)):
        if lost:
            more = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
            raise LedgerError(
                f"{lost[0].path}: was seen on {lost[0].entered_at:%Y-%m-%d} and {kind}{more}; expected it as it was. "
                "hint: put it back, or --without-missing to go on without it"
            )


@dataclass(frozen=True)
class Discovery:
    """What is learnt of new files in one pass: rows of source_files, source_hours, repeated_rows, and rejects."""

    files: pa.Table
    hours: pa.Table
    repeated: pa.Table
    rejects: pa.Table


def write(engine: StoreEngine, found: Found, learnt: Discovery | None, now: datetime) -> None:
    """Bring the manifest up to date, inside a transaction."""
    for file in found.lost:
        engine.rows("UPDATE source_files SET gone_at = $now WHERE file_id = $id", {"now": now, "id": file.file_id})
    for file in found.moved:
        engine.rows(
            "UPDATE source_files SET path = $path, modified_ns = $modified, etag = $etag WHERE file_id = $id",
            {"path": file.path, "modified": file.stamp.modified_ns, "etag": file.stamp.etag, "id": file.file_id},
        )
    if learnt is None:
        return
    first = "(SELECT coalesce(max(file_id), 0) FROM source_files)"
    engine.insert("source_files", learnt.files, {"file_id": f"{first} + row_number() OVER ()"})
    ids = "(SELECT file_id FROM source_files WHERE path = file AND gone_at IS NULL)"
    engine.insert("source_hours", learnt.hours, {"file_id": ids}, without=["file"])
    # What files that have gone had in common with others is kept: runs that read them are still to be done again.
    engine.keep("learnt_rows", learnt.repeated)
    engine.rows(
        "DELETE FROM repeated_rows WHERE (key_hash, file_id) IN (SELECT (key_hash, file_id) FROM learnt_rows "
        "JOIN source_files ON path = file AND gone_at IS NULL)"
    )
    engine.insert("repeated_rows", learnt.repeated, {"file_id": ids}, without=["file"])
    engine.insert("rejects", learnt.rejects, {"run_id": "0"})
