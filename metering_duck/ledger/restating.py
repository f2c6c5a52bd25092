"""Restating: how the readings of a closed period would differ if it were metered now, and booking the difference (R25).

A restatement is known by the readings before and after it: made again it is the same restatement, and booked again it
changes nothing.
"""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from datetime import UTC, datetime

from metering_duck.engine.arrow_rows import insert
from metering_duck.errors import ConfigError, LedgerError
from metering_duck.ledger import configs
from metering_duck.ledger.changes import explained_stages
from metering_duck.ledger.comparing import CAUSES, Comparison, compare
from metering_duck.ledger.configs import KnownConfig, digest
from metering_duck.ledger.counting import counting_run, is_closed_period
from metering_duck.ledger.meterer import Meterer
from metering_duck.ledger.periods import known_period
from metering_duck.ledger.requests import Request
from metering_duck.ledger.rerunning import ready_plan, run_of_same_inputs, situation_of_request
from metering_duck.ledger.runs import RunRow, has_old_ids, insert_row
from metering_duck.runs.rows import Rows
from metering_duck.statements.stages import Query


@dataclass(frozen=True)
class Restatement:
    """A restatement: its id ("" where nothing changes), whether it was booked now, its rows, and notices."""

    restatement_id: str
    booked: bool
    rows: Rows
    notices: tuple[str, ...] = ()


def restate(
    meterer: Meterer,
    period: str,
    config: KnownConfig | None,
    request: Request,
    *,
    books: bool,
    by: str | None,
    timezone: str | None,
) -> Restatement:
    """Meter a closed period again, keep the differences as a restatement, and book it if that is asked for.

    Raises: LedgerError for a period that is open; ConfigError for `by` without `books`.
    """
    if by is not None and not books:
        raise ConfigError("by: found it without book; expected both, since only a booking has a name. hint: --book")
    began = datetime.now(UTC)
    with meterer.store.writer():
        with meterer.store.reader() as engine:
            found = known_period(engine, period, timezone)
            current = counting_run(engine, found)
            if not is_closed_period(engine, found):
                raise LedgerError(f"period {period}: is open; expected a closed one. hint: backfill meters it again")
            known = config or configs.stored(engine, current.config_sha256)
        situation = situation_of_request(meterer, request)
        plan = ready_plan(meterer, found, known, current.question, situation)
        new = run_of_same_inputs(meterer, plan)
        if new is None:
            new = meterer.run(plan, "rerun", situation, began, counts=False)
        comparison = compare(meterer, current, new)
        notices = tuple(
            dict.fromkeys((*meterer.store.notices, *situation.notices, *new.notices, *_of_ids(meterer, current)))
        )
        if not comparison.count:
            return Restatement("", False, comparison.rows(), notices)
        made = keep_restatement(meterer, comparison, request.clock)
        booked = books and book(meterer, made, by or getpass.getuser(), request.clock)
        return Restatement(made, booked, comparison.rows(), notices)


def _of_ids(meterer: Meterer, current: RunRow) -> tuple[str, ...]:
    """The notice that the readings of a restated period have other ids than those that were closed."""
    with meterer.store.reader() as engine:
        if not has_old_ids(engine, current):
            return ()
    return (
        f"the readings of {current.period.name} have ids as an earlier version made them, and those of the restatement "
        "have others: they are matched by their keys.",
    )


def restatement_id(old: RunRow, new: RunRow) -> str:
    """The id of a restatement, which is the same for the same change of the same period."""
    return digest(old.period.start, old.period.end, old.readings_sha256, new.readings_sha256)[:32]


def keep_restatement(meterer: Meterer, comparison: Comparison, now: datetime) -> str:
    """Keep a restatement with its adjustments and causes, if it is not there yet; the restatement's id.

    Raises: LedgerError where the sums do not add up.
    """
    check_sums(comparison)
    old, new = comparison.old.run, comparison.new.run
    made = restatement_id(old, new)
    rows = comparison.engine.table(Query("adjustments", tuple(explained_stages())))
    causes = comparison.table("causes", CAUSES)
    with meterer.store.transaction() as engine:
        if engine.rows("FROM restatements WHERE restatement_id = $id", {"id": made}):
            return made
        bounds = {"period_start": old.period.start, "period_end": old.period.end}
        insert_row(
            engine,
            "restatements",
            {"restatement_id": made, **bounds, "old_run_id": old.run_id, "new_run_id": new.run_id, "made_at": now},
        )
        insert(engine, "adjustments", rows, {"restatement_id": f"'{made}'"})
        insert(engine, "causes", causes, {"restatement_id": f"'{made}'"})
    return made


def check_sums(comparison: Comparison) -> None:
    """Check that Σ old + Σ delta = Σ new for every unit and aggregation of all readings (R25), exactly.

    Raises: LedgerError.
    """
    parts = ("old_readings", "quantity", ""), ("changes", "delta", ""), ("new_readings", "quantity", "-")
    sums = [
        f"SELECT unit, aggregation, {sign}sum(units_of({name}, {comparison.digits})) AS part FROM {table} GROUP BY ALL"
        for table, name, sign in parts
    ]
    total = f"SELECT unit, aggregation, sum(part) FROM ({' UNION ALL '.join(sums)}) GROUP BY ALL HAVING sum(part) <> 0"
    wrong = comparison.engine.rows(f"{total} ORDER BY ALL")
    if wrong:
        unit, aggregation, rest = wrong[0]
        raise LedgerError(
            f"restatement of {comparison.old.run.period.name}: old + adjustments differ from new by {rest} units in "
            f"the {aggregation} of {unit!r}; expected 0. hint: this is a bug in metering-duck; nothing was kept"
        )


def book(meterer: Meterer, made: str, who: str, now: datetime) -> bool:
    """Make the new run of a restatement the run that counts. False if the restatement had been booked before."""
    with meterer.store.transaction() as engine:
        ((booked, start, end, run),) = engine.rows(
            "SELECT booked_at, period_start, period_end, new_run_id FROM restatements WHERE restatement_id = $id",
            {"id": made},
        )
        if booked is not None:
            return False
        engine.rows(
            "UPDATE restatements SET booked_at = $now, booked_by = $who WHERE restatement_id = $id",
            {"id": made, "now": now, "who": who},
        )
        engine.rows(
            "UPDATE periods SET run_id = $run WHERE period_start = $start AND period_end = $end",
            {"run": run, "start": start, "end": end},
        )
        return True
