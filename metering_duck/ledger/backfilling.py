"""Backfilling: one period after another is metered; periods whose inputs have not changed are left as they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from metering_duck.calls.notices import lapsed_levels
from metering_duck.contract.times import format_time, utc
from metering_duck.errors import LedgerError, RejectedEvents, first_few
from metering_duck.inputs.source import Source
from metering_duck.ledger import configs
from metering_duck.ledger.configs import KnownConfig
from metering_duck.ledger.counting import closed_periods, current_run, is_closed_period
from metering_duck.ledger.grouping import with_type_decided
from metering_duck.ledger.meterer import Meterer, Situation, settled_runs, still_holds
from metering_duck.ledger.outcomes import Outcome, Report, outcome_of, refuse_rejects
from metering_duck.ledger.periods import Period, check_beside
from metering_duck.ledger.requests import Request
from metering_duck.ledger.store import StoreEngine
from metering_duck.runs.question import Question


def backfill(
    meterer: Meterer,
    periods: Sequence[Period],
    config: KnownConfig | None,
    question: Question,
    source: Source | None,
    request: Request,
    *,
    strict: bool,
    report: Report | None,
) -> list[Outcome]:
    """Meter the periods; without a config, each by the config of the ledger that is effective when it starts.

    Raises: RejectedEvents with `strict`, once all periods are done.
    """
    with meterer.store.writer():
        with meterer.store.reader() as engine:
            check_beside(engine, periods)
            if config is None:
                effective_config(engine, periods[0])
        situation = meterer.situation(
            request.events, source, request.as_of, request.clock, without_missing=request.without_missing
        )
        if config is not None:
            with meterer.store.transaction() as engine:
                configs.store(engine, config, request.clock)
                configs.make_effective(engine, config, periods[0].start, periods[-1].end, request.clock)
        question = with_type_decided(meterer, question, situation)
        outcomes = _backfill_each(meterer, periods, question, situation, strict=strict, report=report)
        outcomes = [one.noting((*meterer.store.notices, *situation.notices)) for one in outcomes]
    if strict:
        refuse_rejects(outcomes)
        _refuse_lapses(meterer, periods, question)
    return outcomes


def _refuse_lapses(meterer: Meterer, periods: Sequence[Period], question: Question) -> None:
    """Refuse levels that go on where they should not, also in periods that were metered before.

    Raises: RejectedEvents.
    """
    with meterer.store.reader() as engine:
        known: dict[str | None, KnownConfig] = {}
        for period in periods:
            sha256 = configs.effective(engine, period.start)
            if sha256 not in known:
                known[sha256] = effective_config(engine, period)
            lapsed = lapsed_levels(known[sha256].config, question, period.end)
            if lapsed:
                lines = first_few((f"strict: {lapse}" for lapse in lapsed), separator="\n")
                raise RejectedEvents(f"period {period.name}: {lines}", None)


def effective_config(engine: StoreEngine, period: Period) -> KnownConfig:
    """The config of the ledger that is effective when a period starts.

    Raises: LedgerError where there is none.
    """
    sha256 = configs.effective(engine, period.start)
    if sha256 is None:
        first = engine.rows("SELECT min(effective_from) FROM config_versions")[0][0]
        found = f"none before {format_time(utc(first))}" if first else "none"
        raise LedgerError(f"period {period.name}: config: found {found}; expected one. hint: --config FILE")
    return configs.stored(engine, sha256)


def _backfill_each(
    meterer: Meterer,
    periods: Sequence[Period],
    question: Question,
    situation: Situation,
    *,
    strict: bool,
    report: Report | None,
) -> list[Outcome]:
    """The outcome of each period, told to `report` as soon as it is known."""
    with meterer.store.reader() as engine:
        settled = settled_runs(engine, question, situation)
        closed = closed_periods(engine)
    outcomes: list[Outcome] = []
    for period in periods:
        began = datetime.now(UTC)
        same_start = settled.get(period.start, [])
        run = next((one for one in same_start if one.period.end == period.end), None)
        if run is None:
            outcome = _backfill_one(meterer, period, question, situation, strict=strict)
        elif (period.start, period.end) in closed:
            outcome = outcome_of(period, "closed", run, began)
        else:
            outcome = outcome_of(period, "unchanged", run, began)
        outcomes.append(outcome)
        if report:
            report(outcome, len(periods))
    return outcomes


def _backfill_one(
    meterer: Meterer, period: Period, question: Question, situation: Situation, *, strict: bool
) -> Outcome:
    """Meter one period, unless it is closed or its inputs are those of the run that counts."""
    began = datetime.now(UTC)
    with meterer.store.reader() as engine:
        config = effective_config(engine, period)
        current = current_run(engine, period)
        if current and is_closed_period(engine, period):
            is_stale = not still_holds(engine, current, situation)
            return outcome_of(period, "closed", current, began, is_stale=is_stale)
        plan = meterer.plan(engine, period, config, question, situation)
    plan = meterer.ready(plan, situation)
    if current and current.inputs_sha256 == plan.inputs_sha256:
        meterer.confirm(current.run_id, plan, situation)
        return outcome_of(period, "unchanged", current, began)
    run = meterer.run(plan, "backfill", situation, began, strict=strict)
    return outcome_of(period, "done", run, began)
