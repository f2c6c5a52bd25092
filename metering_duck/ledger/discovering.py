"""Discovering: how many events of which hours new event files have, and which keys occur more than once.

Each new file is read once for its hours. The keys of all files are read, since one event counts once over all history
(R8).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from metering_duck.contract.schemas import REJECT_SCHEMA
from metering_duck.files.proofs import Proof
from metering_duck.inputs.fields import HAS_TIME
from metering_duck.inputs.source import Source
from metering_duck.inputs.whole_files import check_counts
from metering_duck.judging.arrivals import arrivals_stages, key_hashes_query
from metering_duck.judging.repeated_hashes import RepeatedHashes, as_column, as_numpy
from metering_duck.ledger.manifest import EVENT_KEY, Discovery, Found, SourceFile, history_of
from metering_duck.runs.machine import HASHES_AT_ONCE, Machine
from metering_duck.runs.opening import Opened, open_input
from metering_duck.runs.question import Question
from metering_duck.statements.select import case, names, select
from metering_duck.statements.stages import Query, Stage


def discover(found: Found, source: Source, machine: Machine) -> Discovery:
    """Read the new files, if any, for the times of their events, and all files for keys that occur more than once.

    Raises: SourceError and SchemaError for files that cannot be read together.
    """
    if not found.new:
        return Discovery(repeated=repeated_rows(found.present, source, machine))
    learnt = learnt_of(found.new, source, machine)
    return replace(learnt, repeated=repeated_rows(found.present, source, machine))


def learnt_of(files: Sequence[SourceFile], source: Source, machine: Machine) -> Discovery:
    """What is learnt of files from their own rows: all but their repeated keys.

    Raises: SourceError and SchemaError for files that cannot be read together.
    """
    hours, totals, rejects, proven = _times(files, source, replace(machine, verify_files=True))
    return Discovery(_manifest_rows(files, totals, proven), hours, None, rejects)


REPEATED_SCHEMA = pa.schema(
    [(name, pa.string()) for name in (*EVENT_KEY, "file")] + [("recorded_at", pa.timestamp("us"))]
)


def open_files(files: Sequence[SourceFile], source: Source, machine: Machine) -> Opened:
    """Whole files, open in an engine."""
    history = history_of(files)
    return open_input(machine, history.paths, source, Question(), history=history)


def times_of(files: Sequence[SourceFile], source: Source, machine: Machine) -> pa.Table:
    """One row for each file and hour: how many events it has of that hour."""
    return _times(files, source, machine)[0]


def _times(
    files: Sequence[SourceFile], source: Source, machine: Machine
) -> tuple[pa.Table, list[dict[str, Any]], pa.Table, Mapping[str, Proof]]:
    """The events of files counted by hour, and by file; the events without a time as rejects; and what is proven.

    Raises: SourceError for a file that is not whole, or of which not all rows were read.
    """
    opened = open_files(files, source, machine)
    with opened.engine as engine:
        arrivals = arrivals_stages(opened.layout, (), opened.selection)
        engine.fill(opened.query(Query("source_hours", (*arrivals, _by_hour()))))
        hours = engine.table(Query("hours", (_with_time(),)))
        totals = engine.table(Query("files", (_by_file(),))).to_pylist()
        proven = engine.gate.proofs()
        if opened.lies is not None:
            check_counts(opened.lies.claims, proven, {row["file"]: row["rows"] for row in totals})
        if not any(row["rows_without_time"] for row in totals):
            return hours, totals, REJECT_SCHEMA.empty_table(), proven
        return hours, totals, engine.table(opened.query(Query("timeless", (*arrivals, _timeless())))), proven


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


def _manifest_rows(files: Sequence[SourceFile], totals: list[dict[str, Any]], proven: Mapping[str, Proof]) -> pa.Table:
    """Files as rows of source_files, without their numbers."""
    by_path = {row["file"]: row for row in totals}
    nothing = {"rows": 0, "rows_without_time": 0}
    rows = []
    for file in files:
        learnt = by_path.get(file.path, nothing)
        own = {"path": file.path, "sha256": file.sha256, "entered_at": file.entered_at, **asdict(file.stamp)}
        last = learnt.get("last_metered_at") or file.entered_at
        if file.first_seen_at and _aware(last) == file.first_seen_at:
            # No event of the file says when it entered.
            last = file.entered_at
        counts = {name: learnt.get(name) for name in FILE_COUNTS}
        row = {**own, **counts, "last_metered_at": last, "proven": _proven_text(proven.get(file.path))}
        for name in FILE_TIMES:
            row[name] = _aware(row[name])
        rows.append(row)
    return pa.Table.from_pylist(rows, FILE_SCHEMA)


def _proven_text(proof: Proof | None) -> str | None:
    """What is proven of a file, as JSON; None of a day of a table, which is no file."""
    if proof is None:
        return None
    return json.dumps({name: value for name, value in proof.to_dict().items() if name != "file"})


FILE_COUNTS = ("rows", "rows_without_time", "first_recorded_at", "last_recorded_at")
FILE_TIMES = ("first_recorded_at", "last_recorded_at", "last_metered_at")
FILE_SCHEMA = pa.schema(
    [("path", pa.string()), ("size_bytes", pa.int64()), ("modified_ns", pa.int64()), ("sha256", pa.string())]
    + [("etag", pa.string()), ("proven", pa.string())]
    + [("rows", pa.int64()), ("rows_without_time", pa.int64())]
    + [(name, pa.timestamp("us", tz="UTC")) for name in (*FILE_TIMES, "entered_at")]
)


def _aware(moment: datetime | None) -> datetime | None:
    """A moment with its zone; DuckDB gives moments in UTC without one."""
    if moment is not None and moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment


def repeated_rows(files: Sequence[SourceFile], source: Source, machine: Machine) -> pa.Table:
    """Every row of a key that occurs more than once in files, with its key.

    DuckDB's own hashes of keys are compared within this run only; what is kept are the keys (R38).
    """
    if source.assume_unique or source.generate_ids or not files:
        return REPEATED_SCHEMA.empty_table()
    opened = open_files(files, source, machine)
    with opened.engine as engine:
        hashes = RepeatedHashes(engine.directory, "repeated_keys")
        keys = key_hashes_query(arrivals_stages(opened.layout, (), opened.selection), keys=True, moments=False)
        with engine.watched(keys.name):
            for batch in engine.stream(opened.query(keys), HASHES_AT_ONCE):
                hashes.add(as_numpy(batch.column(0)))
        engine.gate.proofs()
        found = hashes.found()
        if not len(found):
            return REPEATED_SCHEMA.empty_table()
        engine.keep("repeated_keys", pa.table({"key_hash": as_column(found)}))
        columns = {**names(("workspace_id", "universe_id")), "event_id": "id", **names(("file", "recorded_at"))}
        rows = select(columns, "arrivals", where=["NOT keyless"])
        key = ", ".join(EVENT_KEY)
        twice = f"SELECT {key} FROM suspected GROUP BY ALL HAVING count(*) > 1"
        suspects = arrivals_stages(opened.layout, (), opened.selection, suspects=True)
        stages = (
            *suspects,
            Stage("suspected", "the rows whose keys have a hash that occurs more than once", rows),
            Stage(
                "repeated_rows",
                "those whose keys do",
                f"SELECT *\nFROM suspected\nSEMI JOIN ({twice}) AS twice USING ({key})",
            ),
        )
        return engine.table(opened.query(Query("repeated_rows", stages))).cast(REPEATED_SCHEMA)
