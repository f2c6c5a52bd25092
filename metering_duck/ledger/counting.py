"""Counting: which run's readings count in a period, and which periods are closed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from metering_duck.contract.times import utc
from metering_duck.errors import LedgerError, first_few
from metering_duck.ledger import runs
from metering_duck.ledger.periods import Period
from metering_duck.ledger.store import StoreEngine


def current_run(engine: StoreEngine, period: Period) -> runs.RunRow | None:
    """The run whose readings count in a period; None where there is no such run."""
    found = runs.find_runs(
        engine,
        "run_id = (SELECT run_id FROM periods WHERE period_start = $start AND period_end = $end)",
        period.parameters,
    )
    return found[0] if found else None


def counting_run(engine: StoreEngine, period: Period) -> runs.RunRow:
    """The run whose readings count in a period.

    Raises: LedgerError where there is none.
    """
    current = current_run(engine, period)
    if current is None:
        raise LedgerError(f"period {period.name}: has no run; expected one. hint: backfill it first")
    return current


def run_as_of(engine: StoreEngine, period: Period, as_of: datetime | None) -> runs.RunRow | None:
    """The run to compare with, if any: the run that counts now, or with `as_of` the last backfill by that moment."""
    if as_of is None:
        return current_run(engine, period)
    where = "kind = 'backfill' AND clock <= $as_of AND period_start = $start AND period_end = $end"
    then = runs.find_runs(engine, where, {"as_of": as_of, **period.parameters})
    return then[0] if then else current_run(engine, period)


def run_around(engine: StoreEngine, period: Period) -> runs.RunRow:
    """The run that counts in the shortest period of the ledger that contains a part of a period.

    Raises: LedgerError where no period contains it.
    """
    around = runs.find_runs(
        engine,
        "run_id IN (SELECT run_id FROM periods WHERE period_start <= $start AND period_end >= $end)",
        period.parameters,
    )
    if not around:
        raise LedgerError(
            f"period {period.name}: is not in the ledger; expected one that was metered. hint: backfill it first"
        )
    return min(around, key=lambda run: run.period.end - run.period.start)


def closed_periods(engine: StoreEngine) -> set[tuple[datetime, datetime]]:
    """Start and end of the periods whose readings are final."""
    rows = engine.rows("SELECT period_start, period_end FROM periods WHERE closed_at IS NOT NULL")
    return {(utc(start), utc(end)) for start, end in rows}


def closed_by(engine: StoreEngine, period: Period) -> str:
    """Who has closed a period, and when; "" where it is open."""
    rows = engine.rows(
        "SELECT closed_by, closed_at FROM periods "
        "WHERE period_start = $start AND period_end = $end AND closed_at IS NOT NULL",
        period.parameters,
    )
    return f"by {rows[0][0]} on {utc(rows[0][1]):%Y-%m-%d}" if rows else ""


def check_universe(engine: StoreEngine, bases: Sequence[runs.RunRow], universe: str) -> None:
    """Refuse a universe of which the runs `bases` have no reading.

    Raises: LedgerError.
    """
    holders = ", ".join(str(base.readings_of) for base in bases)
    rows = engine.rows(f"SELECT DISTINCT universe_id FROM readings WHERE run_id IN ({holders}) ORDER BY universe_id")
    found = [str(row[0]) for row in rows]
    if found and universe not in found:
        raise LedgerError(f"universe: found no reading of {universe!r}; expected one of {first_few(found)}. hint: --of")


def is_closed_period(engine: StoreEngine, period: Period) -> bool:
    """Whether the readings of a period are final."""
    return (period.start, period.end) in closed_periods(engine)


def make_current(engine: StoreEngine, period: Period, run_id: int) -> None:
    """Make a run the one that counts in its period, unless the period is closed."""
    engine.rows(
        "INSERT INTO periods (period_start, period_end, name, timezone, run_id) "
        "VALUES ($start, $end, $name, $zone, $run) ON CONFLICT DO UPDATE SET run_id = "
        "CASE WHEN closed_at IS NULL THEN excluded.run_id ELSE periods.run_id END",
        {**period.parameters, "name": period.name, "zone": period.timezone, "run": run_id},
    )
