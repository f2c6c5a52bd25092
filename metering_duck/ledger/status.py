"""Status: what is metered, open, closed and stale, and which periods new files touch, before anyone runs anything."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from metering_duck.ledger.manifest import Found, ReadingOptions, times_of
from metering_duck.ledger.periods import utc
from metering_duck.ledger.store import StoreEngine
from metering_duck.run import Machine
from metering_duck.stages import load_stage
from metering_duck.times import format_time

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
    """The ledger as a whole: its periods, and the files that are new, changed or gone."""

    ledger: str
    files: int
    events: int
    without_time: int
    configs: int
    runs: int
    new_files: list[str]
    changed_files: list[str]
    gone_files: list[str]
    periods: list[PeriodStatus]

    def to_dict(self) -> dict[str, Any]:
        """As a plain dict."""
        return asdict(self)


def status_of(engine: StoreEngine, found: Found, reading: ReadingOptions, machine: Machine) -> Status:
    """What is and what is no longer so; reads the times of new files, and writes nothing."""
    hours = times_of(found.new, reading, machine) if found.new else NEW_HOURS.empty_table()
    engine.keep("new_hours", hours.select(NEW_HOURS.names).cast(NEW_HOURS))
    lost = [file.file_id for file in (*found.gone, *found.changed)]
    engine.keep("lost_files", pa.table({"file_id": pa.array(lost, pa.int32())}))
    counted = "count(*), coalesce(sum(rows), 0), coalesce(sum(rows_without_time), 0)"
    (counts,) = engine.rows(f"SELECT {counted} FROM source_files WHERE gone_at IS NULL")
    ((configs, runs),) = engine.rows("SELECT (SELECT count(*) FROM configs), (SELECT count(*) FROM runs)")
    files, events, without_time = (int(count) for count in counts)
    new, changed, gone = ([file.path for file in files] for files in (found.new, found.changed, found.gone))
    return Status(str(engine.path), files, events, without_time, configs, runs, new, changed, gone, _periods(engine))


def _periods(engine: StoreEngine) -> list[PeriodStatus]:
    """Every period with what has changed under it. Levels that are carried in change with the periods before."""
    return [_period(row) for row in engine.rows(load_stage("ledger/period_status").sql)]


def _period(row: tuple[Any, ...]) -> PeriodStatus:
    name, zone, start, end, closed_at, closed_by, run_id, readings, read, rejected, because, carried_from = row
    if carried_from:
        because = [*because, f"levels may differ that are carried in from {carried_from}"]
    return PeriodStatus(
        name,
        zone,
        _text(start),
        _text(end),
        "closed" if closed_at else "open",
        bool(because),
        run_id,
        readings,
        read,
        rejected,
        _text(closed_at) if closed_at else None,
        closed_by,
        because,
    )


def _text(moment: datetime) -> str:
    return format_time(utc(moment))
