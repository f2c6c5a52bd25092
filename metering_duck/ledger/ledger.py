"""The ledger, as Python and the command line use it: what is metered, by which run, and what counts.

Every method opens the file for as long as it needs it. Those that write are the only one to do so at a time; each run
is kept with all of its rows, or not at all.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from os import PathLike
from typing import Any

from metering_duck.calls.arguments import checked_config
from metering_duck.calls.forking import forked
from metering_duck.contract.config import ConfigLike
from metering_duck.contract.times import format_time
from metering_duck.engine.progress import Progress
from metering_duck.errors import ConfigError, LedgerError, RejectedEvents, SchemaError, SourceError
from metering_duck.ledger import configs, runs
from metering_duck.ledger.configs import KnownConfig
from metering_duck.ledger.counting import (
    check_universe,
    closed_by,
    closed_periods,
    counting_run,
    current_run,
    is_closed_period,
    make_current,
    run_around,
    run_as_of,
)
from metering_duck.ledger.exporting import export
from metering_duck.ledger.manifest import Found, files_of, history_of
from metering_duck.ledger.meterer import (
    Meterer,
    Situation,
    ledger_source,
    look_around,
    patterns_of,
    settled_runs,
    still_holds,
)
from metering_duck.ledger.periods import (
    Period,
    check_beside,
    cut_periods,
    find_period,
    known_period,
    moment_of,
    parse_period,
    periods_between,
    utc,
)
from metering_duck.ledger.plans import Plan, check_readable, visible_files
from metering_duck.ledger.restating import book as book_restatement
from metering_duck.ledger.restating import compare, find_run, keep_restatement, together
from metering_duck.ledger.status import Status, status_of
from metering_duck.ledger.store import WAIT_SECONDS, Store, StoreEngine
from metering_duck.ledger.stored import PLAIN, make_question, make_source
from metering_duck.ledger.tracing import Trace, trace
from metering_duck.ledger.verifying import Finding, verify
from metering_duck.runs.machine import Machine, Moment
from metering_duck.runs.question import Question
from metering_duck.runs.rows import Rows

# Told of each period that is done, and how many there are.
Report = Callable[["Outcome", int], None]


@dataclass(frozen=True)
class Outcome:
    """What became of one period: `status` is done, unchanged, closed, reproduced, changed, same or new.

    Shape:  the five of R9 are those of the run; `is_stale` says of a closed period that its files are others by now;
            `notices` are what the run took for granted.
    """

    period: str
    status: str
    run_id: int
    read: int
    metered: int
    unmatched: int
    duplicates: int
    conflicts: int
    rejected: int
    readings: int
    readings_sha256: str
    seconds: float
    is_stale: bool = False
    notices: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As a plain dict."""
        return asdict(self)


class Ledger:
    """A ledger: configs, files seen, runs, readings by run, rejects, conflicts, periods and restatements, in one file.

    Shape:  `path` is a DuckDB file; docs/ledger.md lists its tables. It never holds events.
    Units:  `wait` is in seconds: for how long to wait for another process that writes.
    Exact:  a run is repeatable byte for byte, and known by the SHA-256 of its readings as NDJSON (R23, R24).
    Raises: LedgerError for a file that is absent, damaged, in use or of a later version.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        wait: float = WAIT_SECONDS,
        threads: int | None = None,
        memory_limit: str | None = None,
        temp_dir: str | PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.store = Store(path, wait=wait)
        self.machine = Machine(threads, memory_limit, temp_dir, progress)
        self.meterer = Meterer(self.store, self.machine)

    @classmethod
    def init(cls, path: str | PathLike[str], **options: Any) -> Ledger:
        """Make a new, empty ledger.

        Raises: LedgerError for a file that is there already.
        """
        ledger = cls(path, **options)
        ledger.store.create()
        return ledger

    # --- metering ---------------------------------------------------------------------------------------------------

    def backfill(
        self,
        events: Any = None,
        config: ConfigLike | None = None,
        *,
        start: Moment = None,
        end: Moment = None,
        every: str | None = None,
        timezone: str | None = None,
        anchor: Moment = None,
        as_of: Moment = None,
        clock: Moment = None,
        map: Mapping[str, str] | None = None,
        map_universe: Mapping[str, str] | None = None,
        assume_timezone: str | None = None,
        generate_ids: bool = False,
        assume_unique: bool = False,
        without_missing: bool = False,
        strict: bool = False,
        report: Report | None = None,
        **options: Any,
    ) -> list[Outcome]:
        """Meter every period between two moments, one after another; each is kept as soon as it is done.

        Shape:  `events` are paths, folders and globs, added to those that the ledger knows; `config` is effective from
                `start` on, and to `end` in any case; without one, those that were effective before. How events are
                read (`map` to `assume_unique`) is the same for all files of a ledger. `options` are those of
                aggregate(): aggregation, fill (none or zero), group_by, workspace, universe, subject,
                across_workspaces, scale, digits.
                A period that was metered from the same inputs is left as it is; a closed one is never touched.
        Raises: LedgerError, ConfigError, SourceError, SchemaError, QuantityOverflow. What was done before stays done.
        Source: R9, R23.
        """
        question = make_question(**options)
        source = make_source(map, map_universe, assume_timezone, generate_ids=generate_ids, unique=assume_unique)
        periods = cut_periods(start=start, end=end, every=every, timezone=timezone, anchor=anchor)
        moment = moment_of(as_of, "as-of")
        now = moment_of(clock, "clock") or datetime.now(UTC)
        loaded = None if config is None else configs.known(checked_config(config))
        outcomes: list[Outcome] = []
        with self.store.writer():
            with self.store.reading() as engine:
                check_beside(engine, periods)
                _ = loaded or self._effective(engine, periods[0])
            situation = self.meterer.situation(events, source, moment, now, without_missing=without_missing)
            if loaded is not None:
                with self.store.transaction() as engine:
                    configs.store(engine, loaded, now)
                    configs.make_effective(engine, loaded, periods[0].start, periods[-1].end, now)
            with self.store.reading() as engine:
                settled = settled_runs(engine, question, situation)
                closed = closed_periods(engine)
            for period in periods:
                began = datetime.now(UTC)
                run = next((one for one in settled.get(period.start, []) if one.period.end == period.end), None)
                if run:
                    status = "closed" if (period.start, period.end) in closed else "unchanged"
                    outcomes.append(_outcome(period, status, run, began))
                else:
                    outcomes.append(self._backfill_one(period, question, situation, strict=strict))
                if report:
                    report(outcomes[-1], len(periods))
        if strict:
            refuse_rejects(outcomes)
        return outcomes

    def _effective(self, engine: StoreEngine, period: Period) -> KnownConfig:
        sha256 = configs.effective(engine, period.start)
        if sha256 is None:
            first = engine.rows("SELECT min(effective_from) FROM config_versions")[0][0]
            found = f"none before {format_time(utc(first))}" if first else "none"
            raise LedgerError(f"period {period.name}: config: found {found}; expected one. hint: --config FILE")
        return configs.stored(engine, sha256)

    def _backfill_one(self, period: Period, question: Question, situation: Situation, *, strict: bool) -> Outcome:
        """One period: left as it is where nothing has changed."""
        began = datetime.now(UTC)
        with self.store.reading() as engine:
            config = self._effective(engine, period)
            current = current_run(engine, period)
            if current and is_closed_period(engine, period):
                is_stale = not still_holds(engine, current, situation)
                return _outcome(period, "closed", current, began, is_stale=is_stale)
            plan = self.meterer.plan(engine, period, config, question, situation)
        plan = self.meterer.ready(plan, situation)
        if current and current.inputs_sha256 == plan.inputs_sha256:
            self.meterer.confirm(current.run_id, plan, situation)
            return _outcome(period, "unchanged", current, began)
        run = self.meterer.run(plan, "backfill", situation, began, strict=strict)
        return _outcome(period, "done", run, began)

    def rerun(
        self,
        period: str,
        *,
        config: ConfigLike | None = None,
        as_of: Moment = None,
        as_was: bool = False,
        events: Any = None,
        timezone: str | None = None,
        clock: Moment = None,
        without_missing: bool = False,
    ) -> Outcome:
        """Meter a period again: as it is now, as of a moment, as it was, or as if another config had been in force.

        Shape:  a run of its own. It counts only where the period is open and config is its own; otherwise it is there
                to be compared. `status` is reproduced where the same inputs gave the same bytes; else changed, or
                same where no quantity differs; and new for a part of a period, such as a day of a month, which is
                metered as the whole was.
        Raises: LedgerError where the same inputs gave other bytes, or a file is not what it was.
        Source: R23, R24.
        """
        moment = moment_of(as_of, "as-of")
        if as_was and (moment or config is not None):
            raise ConfigError("as-was: found as-of or config beside it; expected it alone.")
        loaded = None if config is None else configs.known(checked_config(config))
        now = moment_of(clock, "clock") or datetime.now(UTC)
        began = datetime.now(UTC)
        with self.store.writer():
            with self.store.reading() as engine:
                found = find_period(engine, period, timezone) or parse_period(period, timezone)
                base = run_as_of(engine, found, moment) or run_around(engine, found)
                known = loaded or configs.stored(engine, base.config_sha256)
            if as_was and base.period != found:
                raise LedgerError(f"period {period}: has no run; expected one for as-was. hint: backfill it first")
            if as_was:
                plan, situation = self.meterer.plan_as_was(base, now)
            else:
                situation = self.meterer.situation(events, None, moment, now, without_missing=without_missing)
                plan = self._plan(found, known, base.question, situation)
            is_own = loaded is None and moment is None and not as_was and base.period == found
            return self._rerun(plan, situation, began, base, is_own=is_own)

    def _plan(self, period: Period, config: KnownConfig, question: Question, situation: Situation) -> Plan:
        """A plan that is ready to be run; its config is kept."""
        with self.store.transaction() as engine:
            configs.store(engine, config, situation.clock)
            plan = self.meterer.plan(engine, period, config, question, situation)
        return self.meterer.ready(plan, situation)

    def _known_run(self, plan: Plan) -> runs.RunRow | None:
        """The first run of the same inputs, if there is one."""
        with self.store.reading() as engine:
            found = runs.find_runs(
                engine,
                "kind <> 'levels' AND inputs_sha256 = $sha AND period_start = $start AND period_end = $end",
                {"sha": plan.inputs_sha256, **plan.period.parameters},
            )
        return found[-1] if found else None

    def _rerun(self, plan: Plan, situation: Situation, began: datetime, base: runs.RunRow, *, is_own: bool) -> Outcome:
        """Run a plan; where it was run before, its bytes must be the same."""
        period, known = plan.period, self._known_run(plan)
        situation = replace(situation, clock=known.clock if known else situation.clock)
        run = self.meterer.run(plan, "rerun", situation, began, counts=False)
        if known and run.readings_sha256 != known.readings_sha256:
            raise LedgerError(
                f"period {period.name}: run {run.run_id} gave other bytes than run {known.run_id} of the same inputs; "
                "expected the same. hint: were they made by other versions? see ledger export runs"
            )
        if is_own:
            with self.store.transaction() as engine:
                make_current(engine, period, run.run_id)
        if known:
            return _outcome(period, "reproduced", run, began)
        if base.period != period:
            return _outcome(period, "new", run, began)
        with self.store.reading() as engine:
            differs = runs.differ(engine, base, run)
        return _outcome(period, "changed" if differs else "same", run, began)

    # --- closing ----------------------------------------------------------------------------------------------------

    def close(
        self, period: str, *, by: str | None = None, timezone: str | None = None, clock: Moment = None
    ) -> Outcome:
        """The readings of a period become final: no later run overwrites them. Closing it again changes nothing.

        Shape:  `is_stale` says that its files are others than those of its run already; it is closed all the same.
        Raises: LedgerError for a period that was not metered.
        """
        now = moment_of(clock, "clock") or datetime.now(UTC)
        began = datetime.now(UTC)
        stale = {one.period for one in self.status().periods if one.because}
        with self.store.writer(), self.store.transaction() as engine:
            found = known_period(engine, period, timezone)
            current = counting_run(engine, found)
            who = by or getpass.getuser()
            before = closed_by(engine, found)
            engine.rows(
                "UPDATE periods SET closed_at = $now, closed_by = $who, closed_run_id = run_id "
                "WHERE period_start = $start AND period_end = $end AND closed_at IS NULL",
                {"now": now, "who": who, **found.parameters},
            )
            current = replace(current, notices=(f"{found.name} was closed before, {before}.",) if before else ())
            return _outcome(found, "closed", current, began, is_stale=found.name in stale)

    # --- looking ----------------------------------------------------------------------------------------------------

    def status(self, events: Any = None) -> Status:
        """What is metered, open, closed and stale, and which periods new files touch; writes nothing.

        Shape:  `events` are paths, folders and globs to look at beside those that the ledger knows.
        """
        with self.store.reading() as engine:
            source = ledger_source(engine) or PLAIN
            problems = []
            try:
                found = look_around(engine, patterns_of(events), datetime.now(UTC), source, self.machine)
            except (SourceError, SchemaError) as error:
                if events is not None:
                    raise
                found, problems = Found(known=tuple(files_of(engine))), [f"what is there now cannot be read: {error}"]
            return status_of(engine, found, source, self.machine, problems)

    def verify(self, *, files: bool = False) -> list[Finding]:
        """Recompute the digests and the books; with `files`, also the digest of every event file.

        Shape:  one Finding for each thing that was looked at; its `problem` is empty where all is well.
        """
        return verify(self.store, files=files)

    def export(self, table: str, *, run: int | None = None) -> Rows:
        """The rows of readings (those that count now, or of one run), rejects, conflicts, runs, periods, files,
        restatements or causes.

        Raises: ConfigError for another table; LedgerError for an unknown run.
        """
        engine = self.store.open_to_read()
        try:
            return export(engine, table, run)
        except BaseException:
            engine.close()
            raise

    def trace(self, reading: str, *, run: int | None = None) -> Trace:
        """The events behind a reading, by its id or the beginning of it, with totals that add up to it.

        Raises: LedgerError for a reading that there is not, and for files that are not what they were.
        """
        return trace(self.meterer, reading, run)

    # --- comparing --------------------------------------------------------------------------------------------------

    def diff(self, old: int, new: int, *, causes: bool = True) -> Rows:
        """Two runs side by side: of every reading whose quantity differs old, new and delta, and its causes.

        Shape:  one row per reading; `causes` is a list of {cause, event_id, recorded_at, old, new, measurement, file}.
        Exact:  old + delta = new, to the last digit (R25).
        Raises: LedgerError for an unknown run, and where files are gone that tell the causes (causes=False needs none).
        """
        with self.store.reading() as engine:
            first, second = (find_run(engine, run) for run in (old, new))
        if (first.period.start, first.period.end) != (second.period.start, second.period.end):
            raise LedgerError(
                f"diff: found runs of {first.period.name} and of {second.period.name}; expected two of one period."
            )
        return compare(self.meterer, first, second, with_causes=causes).rows()

    def restate(
        self,
        period: str,
        *,
        config: ConfigLike | None = None,
        events: Any = None,
        book: bool = False,
        by: str | None = None,
        timezone: str | None = None,
        clock: Moment = None,
        without_missing: bool = False,
    ) -> Restatement:
        """What a closed period would be now, against what it is; with `book`, from now on it is that.

        Shape:  one row per reading that changes, as diff gives them. Nothing is kept where nothing changes.
        Exact:  Σ old + Σ delta = Σ new is checked before anything is kept (R25). Booked twice it is booked once.
        Raises: LedgerError for a period that is open: it is simply metered again.
        """
        now = moment_of(clock, "clock") or datetime.now(UTC)
        began = datetime.now(UTC)
        loaded = None if config is None else configs.known(checked_config(config))
        with self.store.writer():
            with self.store.reading() as engine:
                found = known_period(engine, period, timezone)
                current = counting_run(engine, found)
                if not is_closed_period(engine, found):
                    raise LedgerError(
                        f"period {period}: is open; expected a closed one. hint: backfill meters it again"
                    )
                known = loaded or configs.stored(engine, current.config_sha256)
            situation = self.meterer.situation(events, None, None, now, without_missing=without_missing)
            plan = self._plan(found, known, current.question, situation)
            new = self._known_run(plan) or self.meterer.run(plan, "rerun", situation, began, counts=False)
            comparison = compare(self.meterer, current, new)
            if not comparison.count:
                return Restatement("", False, comparison.rows())
            made = keep_restatement(self.meterer, comparison, now)
            booked = book_restatement(self.meterer, made, by or getpass.getuser(), now) if book else False
            return Restatement(made, booked, comparison.rows())

    def simulate(
        self,
        period: str | None = None,
        *,
        config: ConfigLike,
        universe: str,
        of: str = "production",
        start: Moment = None,
        end: Moment = None,
        timezone: str | None = None,
        clock: Moment = None,
        causes: bool = False,
    ) -> Simulation:
        """What periods would be under another config, in a universe of its own; those of the ledger stay as they are.

        Shape:  one row per reading that differs, as diff gives them, under the name of the universe `of`. The periods
                are the one that is named, or all of the ledger between `start` and `end`. The simulated readings are
                those of runs that never count.
        Raises: ConfigError for a universe that does not begin with simulation-; LedgerError.
        """
        if not universe.startswith("simulation-"):
            raise ConfigError(f"universe: found {universe!r}; expected a name that begins with simulation-.")
        known = configs.known(checked_config(config))
        now = moment_of(clock, "clock") or datetime.now(UTC)
        with self.store.writer():
            with self.store.reading() as engine:
                named = [known_period(engine, period, timezone)] if period else []
                periods = named or periods_between(engine, moment_of(start, "start"), moment_of(end, "end"))
                bases = [counting_run(engine, found) for found in periods]
                check_universe(engine, bases, of)
            before = self._counting_sha256()
            made = [self._simulated(base, known, {of: universe}, now) for base in bases]
            pairs = zip(bases, made, strict=True)
            found = [compare(self.meterer, base, run, universe=of, with_causes=causes) for base, run in pairs]
            after = self._counting_sha256()
        return Simulation(tuple(run.run_id for run in made), before, after, together(found, self.machine))

    def _simulated(self, base: runs.RunRow, config: KnownConfig, renamed: dict[str, str], now: datetime) -> runs.RunRow:
        """A run's period under another config, its universe under another name."""
        began = datetime.now(UTC)
        situation = self.meterer.situation_of(base, now)
        question = replace(base.question, renamed=tuple(renamed.items()), universes=tuple(renamed))
        plan = self._plan(base.period, config, question, situation)
        return self.meterer.run(plan, "simulation", situation, began, counts=False)

    def fork_universe(self, source: str, target: str, *, as_of: Moment = None) -> Rows:
        """The events of one universe under the name of another, out of all files that the ledger knows.

        Shape:  one row per event, to be written to a file and metered beside the others; `as_of` keeps those that had
                entered by then. Nothing is written to the ledger.
        """
        moment = moment_of(as_of, "as-of")
        with self.store.reading() as engine:
            read = ledger_source(engine) or PLAIN
            visible = visible_files(engine, moment)
        check_readable(visible)
        if not visible:
            raise LedgerError("fork-universe: found no file; expected some. hint: name EVENTS, or backfill first")
        # A universe is forked under the name that it has in the files.
        read = replace(read, universes={})
        return forked(None, read, source, target, Question(as_of=moment), self.machine, history_of(visible))

    def _counting_sha256(self) -> str:
        """The digest of all readings that count."""
        with self.export("readings") as rows:
            return runs.sha256_of(rows)


@dataclass(frozen=True)
class Restatement:
    """A restatement: its id ("" where nothing changes), whether it was booked now, and its rows."""

    restatement_id: str
    booked: bool
    rows: Rows


@dataclass(frozen=True)
class Simulation:
    """The simulated runs, the digests of all readings that count before and after them, and what differs."""

    run_ids: tuple[int, ...]
    counting_before_sha256: str
    counting_after_sha256: str
    rows: Rows


def refuse_rejects(outcomes: Sequence[Outcome]) -> None:
    """What `strict` does about periods that were metered before.

    Raises: RejectedEvents.
    """
    for outcome in outcomes:
        if outcome.rejected or outcome.conflicts:
            raise RejectedEvents(
                f"strict: found {outcome.rejected:,} rejected and {outcome.conflicts:,} in conflict in "
                f"{outcome.period}; expected none. hint: metering-duck ledger export rejects",
                outcomes,
            )


def _outcome(period: Period, status: str, run: runs.RunRow, began: datetime, *, is_stale: bool = False) -> Outcome:
    return Outcome(
        period.name,
        status,
        run.run_id,
        **{name: run.books[name] for name in runs.BOOKS[:6]},
        readings=run.readings,
        readings_sha256=run.readings_sha256,
        seconds=round((datetime.now(UTC) - began).total_seconds(), 3),
        is_stale=is_stale,
        notices=run.notices,
    )
