"""Rerunning: a period is metered again: as it is now, as of a moment, as it was, or under another config (R23, R24)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from metering_duck.errors import ConfigError, LedgerError
from metering_duck.ledger import configs, runs
from metering_duck.ledger.configs import KnownConfig
from metering_duck.ledger.counting import run_around, run_as_of
from metering_duck.ledger.meterer import Meterer, Situation
from metering_duck.ledger.outcomes import Outcome, outcome_of
from metering_duck.ledger.periods import Period, find_period, parse_period
from metering_duck.ledger.plans import Plan
from metering_duck.ledger.requests import Request
from metering_duck.runs.question import Question


def rerun(
    meterer: Meterer,
    period: str,
    config: KnownConfig | None,
    request: Request,
    *,
    as_was: bool,
    timezone: str | None,
) -> Outcome:
    """Meter a period again, and compare the new run with the run that counts, or that counted at `as_of`.

    Raises: ConfigError for `as_was` with a config or a moment; LedgerError where the same inputs gave other bytes.
    """
    if as_was:
        _check_alone(config, request)
    began = datetime.now(UTC)
    with meterer.store.writer():
        with meterer.store.reader() as engine:
            found = find_period(engine, period, timezone) or parse_period(period, timezone)
            base = run_as_of(engine, found, request.as_of) or run_around(engine, found)
            known = config or configs.stored(engine, base.config_sha256)
        if as_was and base.period != found:
            raise LedgerError(f"period {period}: has no run; expected one for as-was. hint: backfill it first")
        if as_was:
            plan, situation = meterer.plan_as_was(base, request.clock)
        else:
            situation = situation_of_request(meterer, request)
            plan = ready_plan(meterer, found, known, base.question, situation)
        counts = config is None and request.as_of is None and not as_was and base.period == found
        return _run_again(meterer, plan, situation, began, base, counts=counts)


def _check_alone(config: KnownConfig | None, request: Request) -> None:
    """Refuse what would be ignored where a run is made again as it was.

    Raises: ConfigError.
    """
    if request.as_of or config is not None:
        raise ConfigError("as-was: found as-of or config beside it; expected it alone.")
    if request.events or request.without_missing:
        what = "events" if request.events else "without-missing"
        raise ConfigError(f"as-was: found {what} beside it; expected it alone, since the files are those of the run.")


def situation_of_request(meterer: Meterer, request: Request) -> Situation:
    """The situation of a request; its event files are read as the files of the ledger before."""
    return meterer.situation(
        request.events, None, request.as_of, request.clock, without_missing=request.without_missing
    )


def ready_plan(meterer: Meterer, period: Period, config: KnownConfig, question: Question, situation: Situation) -> Plan:
    """A plan that is ready to be run, with the levels that it begins with; the ledger keeps its config."""
    with meterer.store.transaction() as engine:
        configs.store(engine, config, situation.clock)
        plan = meterer.plan(engine, period, config, question, situation)
    return meterer.ready(plan, situation)


def run_of_same_inputs(meterer: Meterer, plan: Plan) -> runs.RunRow | None:
    """The first run of the same inputs; None where there is no such run."""
    with meterer.store.reader() as engine:
        found = runs.find_runs(
            engine,
            "kind <> 'levels' AND inputs_sha256 = $sha AND period_start = $start AND period_end = $end",
            {"sha": plan.inputs_sha256, **plan.period.parameters},
        )
    return found[-1] if found else None


def _is_like(run: runs.RunRow, before: runs.RunRow | None) -> bool:
    """Whether a run has the readings of the one before, if there was one."""
    return before is None or run.readings_sha256 == before.readings_sha256


def _run_again(
    meterer: Meterer, plan: Plan, situation: Situation, began: datetime, base: runs.RunRow, *, counts: bool
) -> Outcome:
    """Run a plan; if an earlier run had the same inputs, the bytes of the readings must be the same."""
    period, before = plan.period, run_of_same_inputs(meterer, plan)
    if before is not None:
        situation = replace(situation, clock=before.clock)
    run = meterer.run(plan, "rerun", situation, began, counts=lambda made: counts and _is_like(made, before))
    if before is not None and not _is_like(run, before):
        raise LedgerError(
            f"period {period.name}: run {run.run_id} gave other bytes than run {before.run_id} of the same inputs; "
            "expected the same. hint: metering-duck ledger verify --files tells whether a file has changed under its "
            "size and time; ledger export runs, whether the runs were made by other versions"
        )
    if before is not None:
        return outcome_of(period, "reproduced", run, began)
    if base.period != period:
        return outcome_of(period, "new", run, began)
    with meterer.store.reader() as engine:
        differs = runs.differ(engine, base, run)
    return outcome_of(period, "changed" if differs else "same", run, began)
