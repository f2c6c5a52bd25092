"""The manifest: which event files there are, when each was first seen, which periods it touches, and what is repeated.

A file is known by its content. One that was changed is another file; one that only moved is the same. What is new is
read once here: its times, and the keys of all files, since one event counts once over all history (R8). A day of a
table is a file like any other; ledger/tables.py says which there are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from metering_duck.contract.schemas import REJECT_SCHEMA
from metering_duck.engine.remote import shown
from metering_duck.errors import LedgerError, SourceError
from metering_duck.inputs.fields import HAS_TIME
from metering_duck.inputs.files import expand, is_pipe
from metering_duck.inputs.source import Source
from metering_duck.inputs.table_days import parts_of
from metering_duck.judging.arrivals import arrivals_stages, key_hashes_query
from metering_duck.judging.repeated_hashes import RepeatedHashes, as_column, as_numpy
from metering_duck.ledger.periods import utc
from metering_duck.ledger.places import Stamp, sha256_of_file, stamps_of
from metering_duck.ledger.store import StoreEngine
from metering_duck.runs.history import History
from metering_duck.runs.machine import HASHES_AT_ONCE, Machine
from metering_duck.runs.opening import Opened, open_input
from metering_duck.runs.question import Question
from metering_duck.statements.select import case, names, select
from metering_duck.statements.stages import Query, Stage


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


def look(
    known: Sequence[SourceFile], patterns: Iterable[str], remembered: Iterable[str], entered_at: datetime
) -> Found:
    """What is there now, where it is told to look and where it did before: which files are new, moved, changed, gone.

    Days of tables are known to ledger/tables.py.

    Raises: SourceError for one of `patterns` that finds nothing, and for what is not a file.
    """
    patterns = list(patterns)
    for pattern in patterns:
        if pattern == "-" or is_pipe(pattern):
            raise SourceError(f"{pattern}: is no file; expected event files, which a ledger can read again later.")
    stamps = stamps_of(file.path for file in known)
    absent = [file for file in known if file.path not in stamps]
    there = [file for file in known if file.path in stamps]
    same = [file for file in there if file.is_as(stamps[file.path])]
    taken = {file.path for file in same}
    listed = [path for path in _paths(patterns, remembered, {file.path for file in absent}) if path not in taken]
    listed = list(dict.fromkeys([*(file.path for file in there if file.path not in taken), *listed]))
    hashed = _hashed(listed, entered_at)
    # What is not where it was, or not as it was, may be what it was all the same: its content tells.
    lost: dict[str, list[SourceFile]] = {}
    for file in [*absent, *there]:
        if file.path not in taken:
            lost.setdefault(file.sha256, []).append(file)
    moved, new = [], []
    for file in hashed:
        twins = lost.get(file.sha256)
        if twins:
            was = next((twin for twin in twins if twin.path == file.path), twins[0])
            twins.remove(was)
            kept = {name: getattr(was, name) for name in ("file_id", "entered_at", "last_metered_at")}
            moved.append(replace(file, **kept))
        else:
            new.append(file)
    left = {file.file_id for twins in lost.values() for file in twins}
    changed = [file for file in there if file.file_id in left]
    gone = [file for file in absent if file.file_id in left]
    return Found(tuple(same), tuple(new), tuple(moved), tuple(changed), tuple(gone))


def _paths(patterns: Iterable[str], remembered: Iterable[str], absent: set[str]) -> list[str]:
    """The files that patterns name now. What was there before and is not now is told of elsewhere."""
    found: dict[str, None] = {}
    for pattern in remembered:
        with contextlib.suppress(SourceError):
            found |= dict.fromkeys(expand(pattern))
    for pattern in patterns:
        if pattern not in absent:
            found |= dict.fromkeys(expand(pattern))
    return list(found)


def _hashed(paths: Sequence[str], entered_at: datetime) -> list[SourceFile]:
    """Files by their content.

    Raises: SourceError for one that cannot be read, or changes meanwhile.
    """
    stamps = stamps_of(paths)
    digests: dict[str, str] = {}
    for path in paths:
        try:
            digests[path] = sha256_of_file(path)
        except OSError as error:
            raise SourceError(f"{path}: cannot be read ({error.strerror}); expected a file that can be read.") from None
    after = stamps_of(paths)
    for path in paths:
        if path not in stamps or after.get(path) != stamps[path]:
            raise SourceError(f"{shown(path)}: changed while it was read; expected it to hold still. hint: run again")
    return [SourceFile(0, path, digest, entered_at, stamps[path]) for path, digest in digests.items()]


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


def discover(found: Found, source: Source, machine: Machine) -> Discovery:
    """Read what is new: when its events were, and which keys occur more than once in all files.

    Raises: SourceError and SchemaError for files that cannot be read together.
    """
    hours, totals, rejects = _times(found.new, source, machine)
    files = _manifest_rows(found, totals)
    unique = source.assume_unique or source.generate_ids
    repeated = REPEATED_SCHEMA.empty_table() if unique else _repeated(found.present, source, machine)
    return Discovery(files, hours, repeated, rejects)


REPEATED_SCHEMA = pa.schema([("key_hash", pa.uint64()), ("file", pa.string()), ("recorded_at", pa.timestamp("us"))])


def open_files(files: Sequence[SourceFile], source: Source, machine: Machine) -> Opened:
    """Whole files, open in an engine."""
    history = history_of(files)
    return open_input(machine, history.paths, source, Question(), history=history)


def history_of(files: Iterable[SourceFile]) -> History:
    """When the events of each file entered, by its path."""
    entered = {file.path: file.first_seen_at or file.entered_at for file in files}
    return History({path: moment.astimezone(UTC).replace(tzinfo=None) for path, moment in entered.items()})


def times_of(files: Sequence[SourceFile], source: Source, machine: Machine) -> pa.Table:
    """How many events of each hour new files have."""
    return _times(files, source, machine)[0]


def _times(
    files: Sequence[SourceFile], source: Source, machine: Machine
) -> tuple[pa.Table, list[dict[str, Any]], pa.Table]:
    """By hour and by file, and the events without a time."""
    opened = open_files(files, source, machine)
    with opened.engine as engine:
        arrivals = arrivals_stages(opened.layout, (), opened.selection)
        engine.fill(opened.query(Query("source_hours", (*arrivals, _by_hour()))))
        hours = engine.table(Query("hours", (_with_time(),)))
        totals = engine.table(Query("files", (_by_file(),))).to_pylist()
        if not any(row["rows_without_time"] for row in totals):
            return hours, totals, REJECT_SCHEMA.empty_table()
        return hours, totals, engine.table(opened.query(Query("timeless", (*arrivals, _timeless()))))


def _by_hour() -> Stage:
    columns = {
        "file": "file",
        "hour": case({HAS_TIME: "date_trunc('hour', recorded_at)"}),
        "events": "count(*)",
        "first_recorded_at": "min(recorded_at)",
        "last_recorded_at": "max(recorded_at)",
        "last_metered_at": "max(metered_at)",
    }
    return Stage(
        "by_hour", "how many events of each hour each file has", select(columns, "arrivals", group_by=["1", "2"])
    )


def _with_time() -> Stage:
    columns = names(("file", "hour", "events", "first_recorded_at", "last_recorded_at"))
    sql = select(columns, "source_hours", where=["hour IS NOT NULL"], order_by=["file", "hour"])
    return Stage("hours", "those with a time", sql)


def _by_file() -> Stage:
    columns = {
        "file": "file",
        "rows": "CAST(sum(events) AS BIGINT)",
        "rows_without_time": "CAST(coalesce(sum(events) FILTER (hour IS NULL), 0) AS BIGINT)",
        "first_recorded_at": "min(first_recorded_at) FILTER (hour IS NOT NULL)",
        "last_recorded_at": "max(last_recorded_at) FILTER (hour IS NOT NULL)",
        "last_metered_at": "max(last_metered_at)",
    }
    return Stage("files", "each file", select(columns, "source_hours", group_by=["file"]))


def _timeless() -> Stage:
    columns = names(("workspace_id", "universe_id", "id", "type", "subject", "file"))
    columns |= {"time": "time_text", "text": "reason_text", "reason": "coalesce(reason, 'time-invalid')"}
    order = ["file", "workspace_id", "universe_id", "id", "text"]
    sql = select(columns, "arrivals", where=[f"({HAS_TIME}) IS NOT TRUE"], order_by=order)
    return Stage("timeless", "events without a time", sql)


def _manifest_rows(found: Found, totals: list[dict[str, Any]]) -> pa.Table:
    """The new files as rows of source_files, but for their numbers."""
    by_path = {row["file"]: row for row in totals}
    nothing = {"rows": 0, "rows_without_time": 0}
    rows = []
    for file in found.new:
        learnt = by_path.get(file.path, nothing)
        own = {"path": file.path, "sha256": file.sha256, "entered_at": file.entered_at, **asdict(file.stamp)}
        last = learnt.get("last_metered_at") or file.entered_at
        if file.first_seen_at and _aware(last) == file.first_seen_at:
            # None of its events says itself when it entered.
            last = file.entered_at
        rows.append(own | {name: learnt.get(name) for name in FILE_COUNTS} | {"last_metered_at": last})
    return pa.Table.from_pylist([{**row, **{n: _aware(row[n]) for n in FILE_TIMES}} for row in rows], FILE_SCHEMA)


FILE_COUNTS = ("rows", "rows_without_time", "first_recorded_at", "last_recorded_at")
FILE_TIMES = ("first_recorded_at", "last_recorded_at", "last_metered_at")
FILE_SCHEMA = pa.schema(
    [("path", pa.string()), ("size_bytes", pa.int64()), ("modified_ns", pa.int64()), ("sha256", pa.string())]
    + [("etag", pa.string())]
    + [("rows", pa.int64()), ("rows_without_time", pa.int64())]
    + [(name, pa.timestamp("us", tz="UTC")) for name in (*FILE_TIMES, "entered_at")]
)


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _repeated(files: Sequence[SourceFile], source: Source, machine: Machine) -> pa.Table:
    """Every row of a key whose hash occurs more than once."""
    opened = open_files(files, source, machine)
    with opened.engine as engine:
        hashes = RepeatedHashes(engine.directory, "repeated_keys")
        keys = key_hashes_query(arrivals_stages(opened.layout, (), opened.selection), keys=True, moments=False)
        with engine.watched(keys.name):
            for batch in engine.stream(opened.query(keys), HASHES_AT_ONCE):
                hashes.add(as_numpy(batch.column(0)))
        found = hashes.found()
        if not len(found):
            return REPEATED_SCHEMA.empty_table()
        engine.keep("repeated_keys", pa.table({"key_hash": as_column(found)}))
        columns = {"key_hash": "hash(workspace_id, universe_id, id)", **names(("file", "recorded_at"))}
        rows = select(columns, "arrivals", where=["NOT keyless"])
        suspects = arrivals_stages(opened.layout, (), opened.selection, suspects=True)
        why = "where the keys are that may occur more than once"
        return engine.table(opened.query(Query("repeated_rows", (*suspects, Stage("repeated_rows", why, rows))))).cast(
            REPEATED_SCHEMA
        )


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
