"""The manifest: which event files a ledger knows, and when each was first seen.

A file is known by its content. A file that was changed is another file; a file that only moved is the same file. A day
of a table is a file like any other. ledger/looking.py finds the files that are there now, ledger/tables.py the days of
a table, and ledger/discovering.py the content of new files.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from metering_duck.contract.times import format_time, utc
from metering_duck.engine.arrow_rows import insert
from metering_duck.errors import ConfigError, LedgerError
from metering_duck.inputs.table_days import parts_of
from metering_duck.ledger.places import Stamp
from metering_duck.ledger.store import StoreEngine
from metering_duck.runs.books import counted_noun
from metering_duck.runs.history import History

# The columns of repeated_rows that are an event's key (R8).
EVENT_KEY = ("workspace_id", "universe_id", "event_id")
# How keys are kept now; a file whose keys were kept otherwise has no keys_version, and is read again (migrating.py).
KEYS_VERSION = 1
WITHOUT_KEYS = f"keys_version IS DISTINCT FROM {KEYS_VERSION}"


@dataclass(frozen=True)
class SourceFile:
    """A file of the manifest. Times are UTC; `file_id` is 0 until the file is in the ledger.

    A table's log tells when a day came, but not when each of its rows did: so events of a table that do not say when
    they entered count as having entered when the ledger first saw the table, at `first_seen_at`.
    """

    file_id: int
    path: str
    sha256: str
    entered_at: datetime
    stamp: Stamp
    last_metered_at: datetime | None = None
    first_seen_at: datetime | None = None
    keys_version: int | None = None

    @property
    def has_keys(self) -> bool:
        """Whether the ledger keeps the file's repeated keys as they are kept now."""
        return self.keys_version == KEYS_VERSION

    @property
    def is_day(self) -> bool:
        """Whether the file is a day of a table."""
        return parts_of(self.path) is not None

    def moved_from(self, before: SourceFile) -> SourceFile:
        """This file, known as the one `before` it that had the same content elsewhere."""
        return replace(
            self,
            file_id=before.file_id,
            entered_at=before.entered_at,
            last_metered_at=before.last_metered_at,
            keys_version=before.keys_version,
        )

    def is_as(self, stamp: Stamp | None) -> bool:
        """Whether the file is unchanged, by the stamp of the file that is there now; its bytes are not read."""
        if stamp is None:
            return False
        if self.is_day:
            return stamp.etag == self.stamp.etag
        return stamp == self.stamp


@dataclass(frozen=True)
class Found:
    """The files that are there, compared with the manifest: `moved` files have another path or time, and their content.

    A day is `superseded` if a later version of its table does not have it any more, or has it with other rows. That is
    no loss, since the earlier version of the table can still be read.
    """

    known: tuple[SourceFile, ...] = ()
    new: tuple[SourceFile, ...] = ()
    moved: tuple[SourceFile, ...] = ()
    changed: tuple[SourceFile, ...] = ()
    gone: tuple[SourceFile, ...] = ()
    superseded: tuple[SourceFile, ...] = ()

    @property
    def present(self) -> tuple[SourceFile, ...]:
        """All files that can be read."""
        return (*self.known, *self.moved, *self.new)

    @property
    def lost(self) -> tuple[SourceFile, ...]:
        """All files that are not there any more as they were."""
        return (*self.gone, *self.changed, *self.superseded)

    @property
    def without_losses(self) -> Found:
        """Without the files that have gone or changed, and without the changed content of the latter."""
        changed = {file.path for file in self.changed}
        return replace(self, new=tuple(f for f in self.new if f.path not in changed), changed=(), gone=())


# SQL for whether a row of source_files is a day of a table.
IS_OF_TABLE = "regexp_matches(path, '^(delta|iceberg)://')"


def files_of(
    engine: StoreEngine, where: str = "gone_at IS NULL", parameters: Mapping[str, object] | None = None
) -> list[SourceFile]:
    """The files of the manifest of which a condition holds, in the order in which they came."""
    first = f"(SELECT min(entered_at) FROM source_files WHERE {IS_OF_TABLE})"
    rows = engine.rows(
        "SELECT file_id, path, size_bytes, modified_ns, sha256, entered_at, last_metered_at, etag, "
        f"CASE WHEN {IS_OF_TABLE} THEN {first} END, keys_version FROM source_files WHERE {where} ORDER BY file_id",
        dict(parameters or {}),
    )
    files = []
    for number, path, size, modified_ns, sha256, entered, last, etag, first_seen, keys in rows:
        first_seen_at = None if first_seen is None else utc(first_seen)
        stamp = Stamp(size, modified_ns, etag)
        files.append(SourceFile(number, path, sha256, utc(entered), stamp, utc(last), first_seen_at, keys))
    return files


def known_files(engine: StoreEngine, paths: Iterable[str]) -> set[str]:
    """Those of some files on this machine that are in the manifest, or lie in a table that is."""
    by_name: dict[str, list[str]] = {}
    for path in paths:
        for spelled in (path, os.path.realpath(path)):
            by_name.setdefault(os.path.basename(spelled), []).append(path)
    rows = engine.rows(
        "SELECT DISTINCT CASE WHEN path LIKE 'delta://%' THEN split_part(path, '?', 1) ELSE path END FROM source_files "
        "WHERE path LIKE 'delta://%' OR split_part(path, '/', -1) IN (SELECT unnest($names))",
        {"names": list(by_name)},
    )
    found = set()
    for (known,) in rows:
        place = os.path.realpath(known.removeprefix("delta://"))
        for path in {path for listed in by_name.values() for path in listed}:
            real = os.path.realpath(path)
            if real == place or (known.startswith("delta://") and real.startswith(f"{place}/")):
                found.add(path)
    return found


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


# In which no file enters: what comes after it would have no moment.
LAST_YEAR = 9999


def entering(engine: StoreEngine, clock: datetime) -> tuple[datetime, str]:
    """When files enter that are found now, and a notice where that is not the clock's time; "" where it is.

    A moment that the ledger has stored for a file must not be passed again: what was asked as of that moment would have
    other files from now on (R24). So a clock of the far future is told: all that is found later enters after it.

    Raises: ConfigError for a clock of the last year, LedgerError where a ledger has seen a file then.
    """
    if clock.year == LAST_YEAR:
        raise ConfigError(f"clock: found {_second(clock)}; expected a moment after which files can still enter.")
    ((last,),) = engine.rows("SELECT max(greatest(entered_at, coalesce(gone_at, entered_at))) FROM source_files")
    if last is None or utc(last) <= clock:
        return clock, _of_the_future(clock)
    if last.year == LAST_YEAR:
        raise LedgerError(
            f"source_files: found a file that entered at {_second(utc(last))}; expected a moment after which files can "
            "still enter. hint: its clock was wrong; backfill into a new ledger"
        )
    moment = utc(last) + timedelta(microseconds=1)
    return moment, (
        f"clock: found {_second(clock)}, before {_second(utc(last))}, when this ledger last saw files come or go; what "
        f"was found now entered at {format_time(moment)}, so that what was asked as of then stays as it is."
    )


def _of_the_future(clock: datetime) -> str:
    """The notice of a clock after tomorrow, by the clock of this machine; "" for any other."""
    now = datetime.now(UTC)
    if clock < now + timedelta(days=2):
        return ""
    return (
        f"clock: found {_second(clock)}, after tomorrow, where now is {_second(now)}; files that are found later will "
        "enter after it, whatever the clock says then."
    )


def times_of_files(engine: StoreEngine) -> tuple[str, ...]:
    """The notice of how many events the ledger's files have, from when to when."""
    span = "coalesce(sum(rows), 0), min(first_recorded_at), max(last_recorded_at)"
    ((events, first, last),) = engine.rows(f"SELECT {span} FROM source_files WHERE gone_at IS NULL")
    if first is None:
        return ()
    times = f"from {format_time(utc(first))} to {format_time(utc(last))}"
    return (f"ledger: its files have {counted_noun(int(events), 'event')} {times}.",)


def _second(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True)
class Discovery:
    """What one pass over files finds: the rows of their repeated keys; of new files rows of source_files and
    source_hours, and rejects, too.
    """

    files: pa.Table | None = None
    hours: pa.Table | None = None
    repeated: pa.Table | None = None
    rejects: pa.Table | None = None


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
    if learnt.files is not None and learnt.hours is not None and learnt.rejects is not None:
        first = "(SELECT coalesce(max(file_id), 0) FROM source_files)"
        insert(engine, "source_files", learnt.files, {"file_id": f"{first} + row_number() OVER ()"})
        ids = "(SELECT file_id FROM source_files WHERE path = file AND gone_at IS NULL)"
        insert(engine, "source_hours", learnt.hours, {"file_id": ids}, without=["file"])
        insert(engine, "rejects", learnt.rejects, {"run_id": "0"})
    if learnt.repeated is not None:
        present = files_of(engine)
        paths = {file.path for file in found.present}
        write_keys(engine, [file for file in present if file.path in paths], learnt.repeated)


def keep_files(engine: StoreEngine, files: Iterable[SourceFile]) -> None:
    """Fill the table `files_read`: the path and the number of each file."""
    read = [{"file": file.path, "file_id": file.file_id} for file in files]
    schema = pa.schema([("file", pa.string()), ("file_id", pa.int32())])
    engine.keep("files_read", pa.Table.from_pylist(read, schema))


def write_keys(engine: StoreEngine, files: Iterable[SourceFile], repeated: pa.Table) -> None:
    """Keep the rows of the repeated keys of files, which have been compared with one another.

    Rows of other files are kept, so that runs that read these files can be done again.
    """
    keep_files(engine, files)
    engine.keep("learnt_rows", repeated)
    learnt = f"(SELECT {', '.join(EVENT_KEY)}, file_id FROM learnt_rows JOIN files_read USING (file))"
    same = " AND ".join(f"repeated_rows.{name} = learnt.{name}" for name in (*EVENT_KEY, "file_id"))
    engine.rows(f"DELETE FROM repeated_rows USING {learnt} AS learnt WHERE {same}")
    ids = "(SELECT file_id FROM files_read WHERE files_read.file = rows_to_insert.file)"
    insert(engine, "repeated_rows", repeated, {"file_id": ids}, without=["file"])
    engine.rows(
        f"UPDATE source_files SET keys_version = {KEYS_VERSION} WHERE file_id IN (SELECT file_id FROM files_read)"
    )
