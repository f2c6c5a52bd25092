"""Closing: the readings of a period become final."""

from __future__ import annotations

import getpass
from dataclasses import replace
from datetime import UTC, datetime

from metering_duck.ledger.counting import closed_by, counting_run
from metering_duck.ledger.meterer import Meterer
from metering_duck.ledger.outcomes import Outcome, outcome_of
from metering_duck.ledger.periods import known_period
from metering_duck.ledger.status import look_at_status


def close(meterer: Meterer, period: str, *, by: str | None, timezone: str | None, clock: datetime) -> Outcome:
    """Close a period; if it was closed before, the outcome has a notice by whom and when."""
    began = datetime.now(UTC)
    stale = {one.period for one in look_at_status(meterer, None).periods if one.because}
    with meterer.store.writer(), meterer.store.transaction() as engine:
        found = known_period(engine, period, timezone)
        current = counting_run(engine, found)
        who = by or getpass.getuser()
        before = closed_by(engine, found)
        engine.rows(
            "UPDATE periods SET closed_at = $now, closed_by = $who, closed_run_id = run_id "
            "WHERE period_start = $start AND period_end = $end AND closed_at IS NULL",
            {"now": clock, "who": who, **found.parameters},
        )
        notices = (*meterer.store.notices, *((f"{found.name} was closed before, {before}.",) if before else ()))
        return outcome_of(found, "closed", replace(current, notices=notices), began, is_stale=found.name in stale)
