"""The meterer: keeps the manifest up to date, and turns plans into runs of the ledger.

The levels that a run begins with are taken from an earlier run whose levels still hold; where no such run is there, the
time before the period is metered for them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from metering_duck.contract.times import utc
from metering_duck.errors import (
    Interrupted,
    LedgerError,
    MeteringError,
    RejectedEvents,
    SchemaError,
    SourceError,
    first_few,
)
from metering_duck.inputs.source import Source
from metering_duck.ledger import configs, manifest, runs
from metering_duck.ledger.configs import KnownConfig
from metering_duck.ledger.counting import make_current
from metering_duck.ledger.discovering import discover
from metering_duck.ledger.level_digests import EMPTY_LEVELS
from metering_duck.ledger.levels import stored_levels
from metering_duck.ledger.looking import look
from metering_duck.ledger.manifest import Found, SourceFile, files_of
from metering_duck.ledger.periods import Period
from metering_duck.ledger.places import patterns_of
from metering_duck.ledger.plans import (
    BEGINNING,
    CarriedLevels,
    Plan,
    check_readable,
    history_sha256,
    make_plan,
    touching,
    visible_files,
    whole_sha256,
)
from metering_duck.ledger.store import Store, StoreEngine
from metering_duck.ledger.stored import DEFAULT_SOURCE, question_text, same_source, source_text, stored_source
from metering_duck.ledger.tables import look_at_table, table_of
from metering_duck.runs.books import counted_noun
from metering_duck.runs.levels import levels_only
from metering_duck.runs.machine import Machine
from metering_duck.runs.question import Question


@dataclass(frozen=True)
class Situation:
    """What a run is made of, beside its period: the files it may use, as of when, and how they are read.

    `is_whole` is false where files are left out that the run's levels are made of. Such a run does not tell under which
    files its levels hold. `notices` say what was done before the run.
    """

    visible: tuple[SourceFile, ...]
    source: Source
    as_of: datetime | None
    clock: datetime
    is_whole: bool = True
    notices: tuple[str, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """A digest of the files that may be used: while it is the same, no run that was made of them changes."""
        return whole_sha256(self.visible, self.as_of)


# Whether a run counts; or what tells it of the run that was made.
Counts = bool | Callable[[runs.RunRow], bool]


@dataclass(frozen=True)
class Meterer:
    """Meters periods into a ledger; the caller must be its only writer (Store.writer)."""

    store: Store
    machine: Machine

    def plan_as_was(self, base: runs.RunRow, now: datetime) -> tuple[Plan, Situation]:
        """The plan that an earlier run had: the files that it read, and the levels that it began with."""
        with self.store.reader() as engine:
            source = ledger_source(engine) or DEFAULT_SOURCE
            ids = f"file_id IN (SELECT file_id FROM run_files WHERE run_id = {base.run_id})"
            files = manifest.files_of(engine, ids)
            others = {
                row[0]
                for row in engine.rows(f"SELECT file_id FROM run_files WHERE NOT counts AND run_id = {base.run_id}")
            }
            known = configs.stored(engine, base.config_sha256)
            plan = make_plan(engine, base.period, known, base.question, source, files, base.as_of)
            levels = None
            if base.levels_before_sha256 is not None:
                before, digest = base.levels_before_run_id, base.levels_before_sha256
                levels = CarriedLevels(before, digest, stored_levels(engine, before, digest))
        counting = tuple(file for file in files if file.file_id not in others)
        compared = tuple(file for file in files if file.file_id in others)
        plan = replace(plan, files=counting, others=compared, levels=levels)
        return plan, Situation(tuple(files), source, base.as_of, now, is_whole=False)

    def situation_of(self, run: runs.RunRow, clock: datetime) -> Situation:
        """The situation of an earlier run: the files that had been seen by its clock, and the files that it used."""
        used = """
            WITH RECURSIVE behind(run_id) AS (
                SELECT CAST($run AS BIGINT)
                UNION
                SELECT levels_before_run_id FROM runs JOIN behind USING (run_id) WHERE levels_before_run_id IS NOT NULL
            )
            SELECT DISTINCT file_id FROM run_files JOIN behind USING (run_id)
        """
        with self.store.reader() as engine:
            ids = {int(row[0]) for row in engine.rows(used, {"run": run.run_id})}
            moment = run.as_of or run.clock
            # A day that a table does not have any more can be read in the version of that moment.
            still = f"gone_at IS NULL OR ({manifest.IS_OF_TABLE} AND gone_at > $moment)"
            known = files_of(engine, still, {"moment": moment})
            source = ledger_source(engine) or DEFAULT_SOURCE
        visible = tuple(file for file in known if file.entered_at <= moment or file.file_id in ids)
        return Situation(visible, source, run.as_of, clock, is_whole=False)

    def confirm(self, run_id: int, plan: Plan, situation: Situation) -> None:
        """Note that a run also holds under the files of this situation."""
        with self.store.reader() as engine:
            history = _history_of(engine, plan, situation)
        with self.store.transaction() as engine:
            _add_histories(engine, run_id, situation, history)

    def situation(
        self,
        events: Any,
        source: Source | None,
        as_of: datetime | None,
        clock: datetime,
        *,
        without_missing: bool = False,
    ) -> Situation:
        """Bring the manifest up to date, and say which files may be used.

        Raises: LedgerError for files that are gone or changed, and where there is no file; SourceError, SchemaError.
        """
        patterns = patterns_of(events)
        with self.store.reader() as engine:
            chosen = same_source(ledger_source(engine), source)
            entered_at, notice = manifest.entering(engine, clock)
            found = self._look(engine, patterns, chosen, as_of, entered_at)
            used = {int(row[0]) for row in engine.rows("SELECT DISTINCT file_id FROM run_files")}
        if as_of is not None:
            # A file that has gone since then matters only to a run that needs it, and may come back.
            found = found.without_losses
        elif not without_missing:
            manifest.check_gone(found, used)
        if not found.present:
            what = "row in the table" if table_of(patterns) else "file"
            raise LedgerError(
                f"events: found no {what}; expected some. hint: name files, folders or globs, or run later"
            )
        notices = self._keep_found(found, patterns, chosen, entered_at)
        if notice and (found.new or found.lost):
            notices = (notice, *notices)
        with self.store.reader() as engine:
            visible = visible_files(engine, as_of)
        if not visible:
            raise LedgerError(f"as-of: found no file that had been seen by {as_of:%Y-%m-%dT%H:%M:%SZ}; expected some.")
        return Situation(tuple(visible), chosen, as_of, clock, notices=notices)

    def _look(
        self, engine: StoreEngine, patterns: Sequence[str], source: Source, as_of: datetime | None, entered_at: datetime
    ) -> Found:
        """The files that are there now; for a run as of a moment, the known files if the places cannot be looked at."""
        try:
            return look_around(engine, patterns, entered_at, source, self.machine)
        except (SourceError, SchemaError):
            if as_of is None or patterns:
                raise
            # The files of that moment may be readable, whatever is there now.
            return Found(known=tuple(files_of(engine)))

    def _keep_found(
        self, found: Found, patterns: Sequence[str], source: Source, entered_at: datetime
    ) -> tuple[str, ...]:
        """Read the new files, and bring the manifest up to date if anything has changed; the notices of what was read.

        Where an earlier version kept the keys of files, all files are read for their keys again.
        """
        lacking = sum(not file.has_keys for file in (*found.known, *found.moved))
        learnt = discover(found, source, self.machine) if found.new or lacking else None
        if not (learnt or found.moved or found.lost or patterns):
            return ()
        with self.store.transaction() as engine:
            add_patterns(engine, patterns, entered_at)
            engine.rows(
                "UPDATE ledger SET reading_options = $options WHERE reading_options IS NULL",
                {"options": source_text(source)},
            )
            manifest.write(engine, found, learnt, entered_at)
        if not lacking:
            return ()
        read = counted_noun(lacking, "file")
        return (f"the event keys of {read} were read again from the files: an earlier version kept hashes of them.",)

    def plan(
        self, engine: StoreEngine, period: Period, config: KnownConfig, question: Question, situation: Situation
    ) -> Plan:
        """A plan with the levels that it begins with, or with the gap that is to be run for them first."""
        plan = make_plan(engine, period, config, question, situation.source, situation.visible, situation.as_of)
        if plan.needs_levels:
            return replace(plan, levels=levels_before(engine, plan, situation))
        return plan

    def ready(self, plan: Plan, situation: Situation) -> Plan:
        """A plan with the levels that it begins with; the gap before them, if it has one, is run first."""
        if plan.levels is None or plan.levels.gap is None:
            return plan
        return replace(plan, levels=self._run_levels(plan.levels.gap, situation))

    def _run_levels(self, plan: Plan, situation: Situation) -> CarriedLevels:
        """The levels at the end of a plan's period, kept in the ledger as a run without readings."""
        began = datetime.now(UTC)
        metered = runs.open_plan(plan, self.machine, situation.clock)
        with metered.engine:
            levels = levels_only(metered.readings)
        check_readable([*plan.files, *plan.others])
        with self.store.transaction() as engine:
            history = _history_of(engine, plan, situation)
            return runs.commit_levels(engine, plan, levels, situation.clock, situation.as_of, began, history)

    def run(
        self,
        plan: Plan,
        kind: str,
        situation: Situation,
        began: datetime,
        *,
        counts: Counts = True,
        strict: bool = False,
    ) -> runs.RunRow:
        """Meter a plan and keep it as a run; if it `counts`, its readings are those of the period from now on."""
        try:
            metered = runs.open_plan(plan, self.machine, situation.clock)
            try:
                notices = (*self.store.notices, *situation.notices, *metered.result.notices)
                if not metered.accounting.read:
                    with self.store.reader() as engine:
                        notices += manifest.times_of_files(engine)
                if strict:
                    _refuse_doubts(metered)
                with self.store.transaction() as engine:
                    run_id = runs.commit(engine, metered, kind, as_of=situation.as_of, started_at=began)
                    if situation.is_whole:
                        _add_histories(engine, run_id, situation, _history_of(engine, plan, situation))
                    (made,) = runs.find_runs(engine, f"run_id = {run_id}")
                    if counts(made) if callable(counts) else counts:
                        make_current(engine, plan.period, run_id)
                    return replace(made, notices=notices)
            finally:
                metered.close()
        except LedgerError:
            raise
        except MeteringError as error:
            self._keep_failure(plan, kind, error, situation, began)
            raise

    def _keep_failure(self, plan: Plan, kind: str, error: MeteringError, situation: Situation, began: datetime) -> None:
        """Keep a run that failed as a row, too, and say in the error which period it was.

        A run that somebody stopped leaves no row, as one that was killed leaves none.
        """
        if not isinstance(error, Interrupted):
            # The error is raised in any case, also if it cannot be kept.
            with contextlib.suppress(LedgerError), self.store.transaction() as engine:
                runs.commit_failure(engine, plan, kind, str(error), situation.clock, began)
        error.args = (f"period {plan.period.name}: {error}", *error.args[1:])


def _history_of(engine: StoreEngine, plan: Plan, situation: Situation) -> str:
    """A digest of the files of a situation that the levels at the end of a plan's period are made of."""
    return history_sha256(engine, plan.period.end, situation.visible, plan.as_of)


def _add_histories(engine: StoreEngine, run_id: int, situation: Situation, history: str) -> None:
    """Note that a run holds under the files of a situation, and under those of its `history`."""
    for sha256 in (history, situation.sha256):
        runs.add_history(engine, run_id, sha256)


def _refuse_doubts(metered: runs.Metered) -> None:
    """Refuse a run with levels that go on where they should not, with rejected events, or with conflicts.

    Raises: RejectedEvents.
    """
    if metered.readings.opened.lapses:
        lapsed = (f"strict: {lapse}" for lapse in metered.readings.opened.lapses)
        raise RejectedEvents(first_few(lapsed, separator="\n"), metered.accounting)
    if metered.accounting.rejected or metered.accounting.conflicts:
        raise RejectedEvents(
            f"strict: found {metered.accounting}; expected no rejected event and no conflict. "
            "hint: metering-duck meter --rejects FILE --conflicts FILE lists them",
            metered.accounting,
        )


def settled_runs(engine: StoreEngine, question: Question, situation: Situation) -> dict[datetime, list[runs.RunRow]]:
    """Start of a period → runs that count in it and are settled: no file that they could be made of has changed."""
    found = runs.find_runs(
        engine,
        "options = $options AND run_id IN (SELECT run_id FROM periods) "
        "AND run_id IN (SELECT run_id FROM run_histories WHERE history_sha256 = $sha)",
        {"options": question_text(question), "sha": situation.sha256},
    )
    settled: dict[datetime, list[runs.RunRow]] = {}
    for run in found:
        if configs.effective(engine, run.period.start) == run.config_sha256 and not runs.has_old_ids(engine, run):
            settled.setdefault(run.period.start, []).append(run)
    return settled


def nearest_levels(engine: StoreEngine, plan: Plan, situation: Situation) -> tuple[datetime, CarriedLevels] | None:
    """The last levels before a plan's period that are known to hold under the visible files, and their moment."""
    found = engine.rows(
        "SELECT period_end, run_id, levels_sha256 FROM runs WHERE status = 'done' AND levels_sha256 IS NOT NULL "
        "AND config_sha256 = $config AND options = $options AND period_end <= $start "
        "ORDER BY period_end DESC, run_id DESC",
        {"config": plan.config.sha256, "options": question_text(plan.question), "start": plan.period.start},
    )
    histories: dict[datetime, str] = {}
    for end, run_id, sha256 in found:
        if end not in histories:
            histories[end] = history_sha256(engine, utc(end), situation.visible, plan.as_of)
        if runs.has_history(engine, run_id, histories[end]):
            return utc(end), CarriedLevels(run_id, sha256, stored_levels(engine, run_id, sha256))
    return None


def still_holds(engine: StoreEngine, run: runs.RunRow, situation: Situation) -> bool:
    """Whether a run would read the same files now, and is known to begin with the same levels."""
    config, visible = configs.stored(engine, run.config_sha256), situation.visible
    now = make_plan(engine, run.period, config, run.question, situation.source, visible, situation.as_of)
    if now.sources_sha256 != run.sources_sha256:
        return False
    history = history_sha256(engine, run.period.end, visible, now.as_of)
    return run.levels_before_sha256 is None or runs.has_history(engine, run.run_id, history)


def levels_before(engine: StoreEngine, plan: Plan, situation: Situation) -> CarriedLevels:
    """The levels that a plan's period begins with: the levels of the last run whose levels are known to hold.

    Where events lie between the end of that run and the period, the levels have a gap: a plan for the time in between.
    """
    moment = plan.period.start
    start, known = nearest_levels(engine, plan, situation) or (BEGINNING, CarriedLevels(None, EMPTY_LEVELS))
    gap = replace(plan.period, start=min(start, moment), end=moment, name="")
    if start >= moment or not touching(engine, gap, "window", situation.visible):
        return known
    between = make_plan(engine, gap, plan.config, plan.question, plan.source, situation.visible, situation.as_of)
    return replace(known, gap=replace(between, levels=known))


def ledger_source(engine: StoreEngine) -> Source | None:
    """How the ledger's files are read; None before the first file."""
    text = engine.rows("SELECT reading_options FROM ledger")[0][0]
    return stored_source(text) if text else None


def look_around(engine: StoreEngine, patterns: Sequence[str], now: datetime, source: Source, machine: Machine) -> Found:
    """The files that are there now, where the ledger has looked before and where `patterns` say to look."""
    known = [str(row[0]) for row in engine.rows("SELECT pattern FROM source_patterns ORDER BY added_at, rowid")]
    files = files_of(engine)
    table = table_of([*known, *patterns])
    if table:
        return look_at_table(files, table, now, source, machine)
    return look(files, patterns, known, now)


def add_patterns(engine: StoreEngine, patterns: Iterable[str], now: datetime) -> None:
    """Remember places where the ledger looks for files from now on."""
    for pattern in patterns:
        engine.rows(
            "INSERT INTO source_patterns VALUES ($pattern, $now) ON CONFLICT DO NOTHING",
            {"pattern": pattern, "now": now},
        )
