"""Simulating: periods under another config, in a universe made for it; the readings that count stay as they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from metering_duck.errors import ConfigError
from metering_duck.ledger.comparing import compare, together
from metering_duck.ledger.configs import KnownConfig
from metering_duck.ledger.counting import check_universe, counting_run
from metering_duck.ledger.exporting import readings
from metering_duck.ledger.meterer import Meterer
from metering_duck.ledger.periods import known_period, periods_between
from metering_duck.ledger.rerunning import ready_plan
from metering_duck.ledger.runs import RunRow, sha256_of
from metering_duck.ledger.texts import naming_ledger
from metering_duck.runs.rows import Rows


@dataclass(frozen=True)
class Simulation:
    """The simulated runs, the digests of all readings that count before and after them, and what differs."""

    run_ids: tuple[int, ...]
    counting_before_sha256: str
    counting_after_sha256: str
    rows: Rows
    notices: tuple[str, ...] = ()


def simulate(
    meterer: Meterer,
    period: str | None,
    config: KnownConfig,
    universe: str,
    of: str,
    between: tuple[datetime | None, datetime | None],
    *,
    timezone: str | None,
    clock: datetime,
    causes: bool,
) -> Simulation:
    """Meter one period, or all between two moments, with the universe `of` under the name of `universe`.

    Raises: ConfigError for a universe that does not begin with simulation-.
    """
    if not universe.startswith("simulation-"):
        raise ConfigError(f"universe: found {universe!r}; expected a name that begins with simulation-.")
    if period and between != (None, None):
        raise ConfigError(f"start, end: found one beside the period {period}; expected one of the two.")
    if not period and timezone is not None:
        raise ConfigError("timezone: found it without a period; expected one beside it, whose name it explains.")
    with meterer.store.writer():
        with meterer.store.reader() as engine:
            if period:
                periods = [known_period(engine, period, timezone)]
            else:
                periods = periods_between(engine, *between)
            bases = [counting_run(engine, found) for found in periods]
            check_universe(engine, bases, of)
        before = _counting_sha256(meterer)
        made = [_simulated(meterer, base, config, {of: universe}, clock) for base in bases]
        comparisons = [
            compare(meterer, base, run, universe=of, with_causes=causes) for base, run in zip(bases, made, strict=True)
        ]
        after = _counting_sha256(meterer)
    notices = tuple(dict.fromkeys(notice for run in made for notice in run.notices))
    return Simulation(tuple(run.run_id for run in made), before, after, together(comparisons, meterer.machine), notices)


def _simulated(meterer: Meterer, base: RunRow, config: KnownConfig, renamed: dict[str, str], clock: datetime) -> RunRow:
    """Meter the period of a run under another config, its universe under another name."""
    began = datetime.now(UTC)
    situation = meterer.situation_of(base, clock)
    question = replace(base.question, renamed=tuple(renamed.items()), universes=tuple(renamed))
    plan = ready_plan(meterer, base.period, config, question, situation)
    return meterer.run(plan, "simulation", situation, began, counts=False)


def _counting_sha256(meterer: Meterer) -> str:
    """The digest of all readings that count."""
    with naming_ledger(meterer.store.path), readings(meterer.store.open_to_read()) as rows:
        return sha256_of(rows)
