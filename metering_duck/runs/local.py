"""Computing on this machine: records and readings from an input that the engine reads itself."""

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

# The totals where no reading is made: only what became of the events is counted.
ONLY_BOOKS = Totals((), NO_WINDOW)


def compiler_of(config: MeteringConfig, opened: Opened) -> Compiler:
    """The compiler of the queries that judge events under a config."""
    question = opened.question
    return Compiler(config, opened.layout, opened.selection, question.aggregation, question.group_by)


def record_compiler_of(config: MeteringConfig | None, opened: Opened) -> RecordCompiler:
    """The compiler of the queries that judge records.

    It reads the records first, for the aggregations and units that they have.
    """
    question = opened.question
    found = (question.aggregation,) if question.aggregation else ()
    judge = RecordCompiler(config, opened.layout, opened.selection, question.aggregation, question.group_by, found)
    rows = opened.table(judge.aggregations_query()).to_pylist()
    return judge.with_found([(row["aggregation"], row["unit"]) for row in rows])


class LocalRecords:
    """Records of events: a query over the input, whose repeated keys are settled before."""

    def __init__(self, opened: Opened, compiler: Compiler) -> None:
        self.opened, self.compiler = opened, compiler
        self._found = Deduplicated()

    def queries(self) -> list[Query]:
        """All queries, as if keys were repeated, unless the caller promises that no key is."""
        repeated = not self.opened.source.assume_unique
        return [
            *deduplication_queries(self.opened, self.compiler, has_levels=False),
            counted_query(ONLY_BOOKS, self.compiler.judged(repeated=repeated)),
            self._rows(repeated=repeated),
        ]

    def _rows(self, *, repeated: bool) -> Query:
        """The query of the records."""
        return records_query(self.compiler, repeated=repeated, bundled=self.opened.question.bundled)

    def fill(self) -> Filled:
        """Settle repeated keys, and count what became of every event."""
        self._found = deduplicate(self.opened, self.compiler, has_levels=False)
        repeated = self._found.repeated
        self.opened.fill(counted_query(ONLY_BOOKS, self.compiler.judged(repeated=repeated)))
        rows = self.opened.query(self._rows(repeated=repeated))
        return Filled(keep_books(self.opened, self._found.rows_read, self.lost(), self.rejects), rows)

    def lost(self) -> Mapping[str, int]:
        """Verdict → how many rows did not count."""
        return lost_rows(self.opened.engine, self._found)

    def rejects(self) -> Query:
        """The query of every rejected event."""
        return self.opened.query(self.compiler.rejects(repeated=self._found.repeated))

    def conflicts(self) -> Query | None:
        """The query of every event that lost to another event of its key."""
        return conflicts_query(self._found)

    def outcomes(self) -> Query | None:
        """The query of every event that was read, and what became of it."""
        return self.opened.query(outcomes_query(self.compiler, repeated=self._found.repeated))


class LocalReadings:
    """Readings of events or of records: the table `readings`, and the tables that it is made from."""

    def __init__(self, opened: Opened, judge: Judge) -> None:
        self.opened, self.judge = opened, judge
        self._found = Deduplicated()
        self._totals = totals_of(opened, judge)

    @property
    def totals(self) -> Totals:
        """How the readings are made, as far as is known before or after the tables are filled."""
        return self._totals

    @property
    def judged(self) -> list[Stage]:
        """The stages up to `judged`, for the repeated keys that were found."""
        return self.judge.judged(repeated=self._found.repeated)

    def queries(self) -> list[Query]:
        """All queries, as if keys were repeated, moments were shared and levels were large."""
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
        """The query of the table `readings`, once it is filled."""
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
        """Settle repeated keys, and find the moments that several events share."""
        has_levels = orders_levels(self.judge.slots)
        self._found = deduplicate(self.opened, self.judge, has_levels=has_levels)
        self._totals = replace(self._totals, tied=self._found.tied)

    def lost(self) -> Mapping[str, int]:
        """Verdict → how many rows did not count."""
        return lost_rows(self.opened.engine, self._found)

    def rejects(self) -> Query:
        """The query of every rejected event."""
        return self.opened.query(self.judge.rejects(repeated=self._found.repeated))

    def conflicts(self) -> Query | None:
        """The query of every event that lost to another event of its key."""
        return conflicts_query(self._found)

    def outcomes(self) -> Query | None:
        """None: events were judged for readings only."""
        return None


def totals_of(opened: Opened, judge: Judge) -> Totals:
    """How the readings of an input are made, before any row is read."""
    history = opened.history
    constants = judge.constants
    if history is not None:
        constants = {name: sql for name, sql in constants.items() if history.holds(name, sql, opened.engine)}
    totals = opened.question.totals(opened.windows, judge.slots, constants)
    return replace(totals, has_levels_before=history is not None and history.levels is not None)
