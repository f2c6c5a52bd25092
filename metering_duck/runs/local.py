"""Local: records and readings that are computed on this machine, in one engine, from an input that it reads itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from metering_duck.contract.config import MeteringConfig
from metering_duck.judging.events import Compiler
from metering_duck.judging.given_records import RecordCompiler
from metering_duck.judging.made_records import records_query
from metering_duck.judging.outcomes import outcomes_query
from metering_duck.readings.assembling import reading_rows, readings_queries, totals_queries
from metering_duck.readings.counters import counted_query
from metering_duck.readings.series import Totals
from metering_duck.runs.books import keep_books
from metering_duck.runs.computing import Filled
from metering_duck.runs.deduplicating import (
    Deduplicated,
    Judge,
    conflicts_query,
    deduplicate,
    deduplication_queries,
    lost_rows,
    orders_levels,
)
from metering_duck.runs.opening import Opened
from metering_duck.runs.reading_tables import check_overflow, fill_readings, judged_here
from metering_duck.statements.stages import Query, Stage
from metering_duck.windows.periods import NO_WINDOW

# What is counted where no reading is made: what became of the events.
ONLY_BOOKS = Totals((), NO_WINDOW)


def compiler_of(config: MeteringConfig, opened: Opened) -> Compiler:
    """What judges events under a config."""
    question = opened.question
    return Compiler(config, opened.layout, opened.selection, question.aggregation, question.group_by)


def record_compiler_of(config: MeteringConfig | None, opened: Opened) -> RecordCompiler:
    """What judges records; looks which aggregations they have, or what the one that is asked for becomes for each."""
    question = opened.question
    found = (question.aggregation,) if question.aggregation else ()
    judge = RecordCompiler(config, opened.layout, opened.selection, question.aggregation, question.group_by, found)
    rows = opened.table(judge.aggregations_query()).to_pylist()
    return judge.with_found([(row["aggregation"], row["unit"]) for row in rows])


class LocalRecords:
    """Records of events: a query over the input, its repeated keys settled before."""

    def __init__(self, opened: Opened, compiler: Compiler) -> None:
        self.opened, self.compiler = opened, compiler
        self._found = Deduplicated()

    def queries(self) -> list[Query]:
        """All that runs, as if keys were repeated, unless it is promised that none is."""
        repeated = not self.opened.source.assume_unique
        return [
            *deduplication_queries(self.opened, self.compiler, has_levels=False),
            counted_query(ONLY_BOOKS, self.compiler.judged(repeated=repeated)),
            self._rows(repeated=repeated),
        ]

    def _rows(self, *, repeated: bool) -> Query:
        return records_query(self.compiler, repeated=repeated, bundled=self.opened.question.bundled)

    def fill(self) -> Filled:
        """Settle repeated keys, and count what became of every event."""
        self._found = deduplicate(self.opened, self.compiler, has_levels=False)
        repeated = self._found.repeated
        self.opened.fill(counted_query(ONLY_BOOKS, self.compiler.judged(repeated=repeated)))
        rows = self.opened.query(self._rows(repeated=repeated))
        return Filled(keep_books(self.opened, self._found.rows_read, self.lost(), self.rejects), rows)

    def lost(self) -> Mapping[str, int]:
        """How many rows did not count, by verdict."""
        return lost_rows(self.opened.engine, self._found)

    def rejects(self) -> Query:
        """Every rejected event."""
        return self.opened.query(self.compiler.rejects(repeated=self._found.repeated))

    def conflicts(self) -> Query | None:
        """Every event that lost to another of the same key."""
        return conflicts_query(self._found)

    def outcomes(self) -> Query | None:
        """Every event that was read, and what became of it."""
        return self.opened.query(outcomes_query(self.compiler, repeated=self._found.repeated))


class LocalReadings:
    """Readings of events or of records: the table `readings`, and all that it is made from."""

    def __init__(self, opened: Opened, judge: Judge) -> None:
        self.opened, self.judge = opened, judge
        self._found = Deduplicated()
        self._totals = totals_of(opened, judge)

    @property
    def totals(self) -> Totals:
        """How the readings are made, as far as it is known by now."""
        return self._totals

    @property
    def judged(self) -> list[Stage]:
        """The stages up to `judged`, as they run."""
        return self.judge.judged(repeated=self._found.repeated)

    def queries(self) -> list[Query]:
        """All that runs, as if keys were repeated, moments tied and levels large."""
        judged = self.judge.judged(repeated=not self.opened.source.assume_unique)
        totals = replace(self._totals, tied=True, exact_levels=True)
        return [
            *self.opened.windows.queries(),
            *deduplication_queries(self.opened, self.judge, has_levels=orders_levels(self.judge.slots)),
            *totals_queries(totals, judged),
            *readings_queries(totals, judged),
            self.rows,
        ]

    @property
    def rows(self) -> Query:
        """What reads the readings, once they are there."""
        return reading_rows(bundled=self.opened.question.bundled, constants=self._totals.constants)

    def fill(self) -> Filled:
        """Settle repeated keys, fill the tables up to `readings`, and keep the books."""
        self.fill_tables()
        check_overflow(self.opened.engine, "readings")
        return Filled(keep_books(self.opened, self._found.rows_read, self.lost(), self.rejects), self.rows)

    def fill_tables(self) -> None:
        """Settle repeated keys, and fill the tables up to `readings`."""
        self.settle()
        self._totals = fill_readings(self.opened, judged_here(self.judged), self._totals)

    def settle(self) -> None:
        """Settle repeated keys, and find the moments that are not one event's."""
        has_levels = orders_levels(self.judge.slots)
        self._found = deduplicate(self.opened, self.judge, has_levels=has_levels)
        self._totals = replace(self._totals, tied=self._found.tied)

    def lost(self) -> Mapping[str, int]:
        """How many rows did not count, by verdict."""
        return lost_rows(self.opened.engine, self._found)

    def rejects(self) -> Query:
        """Every rejected event."""
        return self.opened.query(self.judge.rejects(repeated=self._found.repeated))

    def conflicts(self) -> Query | None:
        """Every event that lost to another of the same key."""
        return conflicts_query(self._found)

    def outcomes(self) -> Query | None:
        """None: events were judged for readings alone."""
        return None


def totals_of(opened: Opened, judge: Judge) -> Totals:
    """How the readings of an input are made, before anything of it is known."""
    history = opened.history
    constants = judge.constants
    if history is not None:
        constants = {name: sql for name, sql in constants.items() if history.holds(name, sql, opened.engine)}
    totals = opened.question.totals(opened.windows, judge.slots, constants)
    return replace(totals, has_levels_before=history is not None and history.levels is not None)
