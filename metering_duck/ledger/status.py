"""Status: which periods are metered, open, closed and stale, and which of them new files touch; nothing is metered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from metering_duck.contract.times import format_time, utc
from metering_duck.errors import SchemaError, SourceError, first_few
from metering_duck.inputs.source import Source
from metering_duck.ledger.discovering import times_of
from metering_duck.ledger.manifest import WITHOUT_KEYS, Found, SourceFile, files_of
from metering_duck.ledger.meterer import Meterer, ledger_source, look_around
from metering_duck.ledger.places import patterns_of
from metering_duck.ledger.plans import history_sha256, visible_files, whole_sha256
from metering_duck.ledger.runs import find_runs, has_history, has_old_ids
from metering_duck.ledger.store import StoreEngine
from metering_duck.ledger.stored import DEFAULT_SOURCE
from metering_duck.runs.books import counted_noun
from metering_duck.runs.machine import Machine
from metering_duck.statements.stages import load_stage

NEW_HOURS = pa.schema(
    [("file", pa.string()), ("events", pa.int64())]
    + [(name, pa.timestamp("us")) for name in ("first_recorded_at", "last_recorded_at")]
)


@dataclass(frozen=True)
class PeriodStatus:
    """A period: `status` is open or closed; `is_stale` where its files are not those of its run, `because` says why."""

    period: str
    timezone: str
    start: str
    end: str
    status: str
    is_stale: bool
    run_id: int
    readings: int
    read: int
    rejected: int
    closed_at: str | None = None
    closed_by: str | None = None
    because: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Status:
    """The ledger as a whole: its periods, and the files that are new, changed or gone.

    `notices` say what an earlier version kept otherwise, and how to go on.
    """

    ledger: str
    files: int
    events: int
    without_time: int
    configs: int
    runs: int
    new_files: list[str]
    changed_files: list[str]
    gone_files: list[str]
    problems: list[str]
    periods: list[PeriodStatus]
    notices: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As a plain dict."""
        return asdict(self)


def look_at_status(meterer: Meterer, events: Any) -> Status:
    """The status of a ledger; `events` are places to look at beside the places that it knows. Writes nothing.

    Raises: SourceError, SchemaError for `events`; a place of the ledger that cannot be read is a problem of the status.
    """
    with meterer.store.reader() as engine:
        source = ledger_source(engine) or DEFAULT_SOURCE
        problems = []
        try:
            found = look_around(engine, patterns_of(events), datetime.now(UTC), source, meterer.machine)
        except (SourceError, SchemaError) as error:
            if events is not None:
                raise
            found = Found(known=tuple(files_of(engine)))
            problems = [f"what is there now cannot be read: {error}"]
        return status_of(engine, found, source, meterer.machine, problems)


def status_of(
    engine: StoreEngine, found: Found, source: Source, machine: Machine, problems: Sequence[str] = ()
) -> Status:
    """The status of a ledger, by the files that were `found`; reads the times of new files, and writes nothing."""
    hours = NEW_HOURS.empty_table()
    try:
        if found.new:
            hours = times_of(found.new, source, machine)
    except (SourceError, SchemaError) as error:
        problems = [*problems, f"the new files cannot be read: {error}"]
    engine.keep("new_hours", hours.select(NEW_HOURS.names).cast(NEW_HOURS))
    lost = [file.file_id for file in found.lost]
    engine.keep("lost_files", pa.table({"file_id": pa.array(lost, pa.int32())}))
    counted = "count(*), coalesce(sum(rows), 0), coalesce(sum(rows_without_time), 0)"
    (found_files,) = engine.rows(f"SELECT {counted} FROM source_files WHERE gone_at IS NULL")
    ((configs, runs),) = engine.rows("SELECT (SELECT count(*) FROM configs), (SELECT count(*) FROM runs)")
    files, events, without_time = (int(count) for count in found_files)
    differ = (*found.changed, *found.superseded)
    new, changed, gone = ([file.path for file in files] for files in (found.new, differ, found.gone))
    counts = files, events, without_time, configs, runs
    periods = _periods(engine, found)
    return Status(str(engine.path), *counts, new, changed, gone, list(problems), periods, notices_of_before(engine))


def notices_of_before(engine: StoreEngine) -> list[str]:
    """What an earlier version kept otherwise: the keys of events (R38), and the ids of readings (R21)."""
    notices = []
    lacking = [file.path for file in files_of(engine, WITHOUT_KEYS)]
    if lacking:
        notices.append(
            f"event keys: those of {counted_noun(len(lacking), 'file')} are kept as hashes, as an earlier version did. "
            "hint: the next backfill reads them again from the files, and metering-duck ledger migrate does only that"
        )
    runs = find_runs(engine, "run_id IN (SELECT run_id FROM periods)")
    old = sorted(run.period.name for run in runs if has_old_ids(engine, run))
    if old:
        notices.append(
            f"ids: the readings of {first_few(old)} have ids as an earlier version made them. hint: backfill gives "
            "open periods new ones; a closed period keeps its own until a restatement of it is booked (docs/ids.md)"
        )
    return notices


def _periods(engine: StoreEngine, found: Found) -> list[PeriodStatus]:
    """Every period, and what has changed in its files or in the files that its levels were made of."""
    lost = {file.file_id for file in found.lost}
    visible = [file for file in visible_files(engine, None) if file.file_id not in lost]
    earliest = engine.rows("SELECT min(first_recorded_at) FROM new_hours")[0][0]
    periods: list[PeriodStatus] = []
    touched = ""
    for row in engine.rows(load_stage("ledger/period_status").sql):
        name, zone, start, end, closed_at, closed_by, run_id, readings, read, rejected, because, has_levels = row
        if because:
            touched = name
        elif has_levels:
            comes_before = earliest is not None and earliest < utc(start).replace(tzinfo=None)
            if comes_before or not _levels_hold(engine, run_id, utc(end), visible):
                because = [f"levels may differ that are carried in from {touched or 'earlier periods'}"]
        closed = _text(closed_at) if closed_at else None
        status = "closed" if closed else "open"
        bounds = _text(start), _text(end)
        counts = run_id, readings, read, rejected
        periods.append(PeriodStatus(name, zone, *bounds, status, bool(because), *counts, closed, closed_by, because))
    return periods


def _levels_hold(engine: StoreEngine, run_id: int, end: datetime, visible: Sequence[SourceFile]) -> bool:
    """Whether a run is known to hold under the files that there are now."""
    if has_history(engine, run_id, whole_sha256(visible, None)):
        return True
    return has_history(engine, run_id, history_sha256(engine, end, visible, None))


def _text(moment: datetime) -> str:
    return format_time(utc(moment))
