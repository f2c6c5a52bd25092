"""Computing on this machine: records and readings from an input that the engine reads itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from metering_duck.contract.config import MeteringConfig
from metering_duck.errors import ConfigError
from metering_duck.inputs.fields import ABSENT
from metering_duck.judging.arrivals import arrivals_stages
from metering_duck.judging.events import TYPE, Compiler
from metering_duck.judging.given_records import RecordCompiler, twins_queries
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
from metering_duck.runs.question import PROPERTY
from metering_duck.runs.reading_tables import check_overflow, fill_readings, judged_here
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query, Stage
from metering_duck.windows.periods import NO_WINDOW

# The totals where no reading is made: only what became of the events is counted.
ONLY_BOOKS = Totals((), NO_WINDOW)


def compiler_of(config: MeteringConfig, opened: Opened, *, has_type: bool | None = None) -> Compiler:
    """The compiler of the queries that judge events under a config.

    `has_type` says whether an event has a property `type`; where the call groups by it and that is not known, nor
    decided by the question, the events are looked at.
    """
    question = opened.question
    compiler = Compiler(config, opened.layout, opened.selection, question.aggregation, question.group_by)
    if TYPE not in question.group_by:
        return compiler
    if has_type is None:
        has_type = question.type_is == PROPERTY if question.type_is else has_type_property(opened)
    return replace(compiler, groups_by_field=not has_type)


def has_type_property(opened: Opened) -> bool:
    """Whether an event has a property `type`, of those that had entered by the cut-off and are asked for, at any time.

    So neither what came later nor the windows change what `type` is (R24); the files of other times are looked at last.
    """
    if has_type_among(opened, opened):
        return True
    if opened.source.time_partition is None or opened.again is None:
        return False
    whole = opened.again()
    with whole.engine:
        return has_type_among(whole, opened)


def has_type_among(read: Opened, asked: Opened) -> bool:
    """Whether one of the events that are read, of those that are asked for, has it; the first one ends the look."""
    layout = read.layout
    if layout.property_sql is not None and layout.property_sql(TYPE) == ABSENT:
        return False
    arrivals = arrivals_stages(layout, [TYPE], replace(asked.selection, reach="all"))
    has_it = select({"found": "1"}, "arrivals", where=["p_0 IS NOT NULL"]) + "\nLIMIT 1"
    found = Stage("events_with_it", "an event that has the property", has_it)
    query = Query("events_with_it", (*arrivals, found))
    return bool(read.engine.table(asked.query(query)).num_rows)


def grouping_notices(opened: Opened, compiler: Compiler) -> list[str]:
    """A notice where `type` is grouped by and is a property of events, beside the field of that name."""
    if TYPE not in compiler.group_by:
        return []
    if not compiler.groups_by_field:
        return ["group-by: type is the property of that name, which events have, and not the field."]
    if opened.question.type_is and has_type_among(opened, opened):
        return [
            "group-by: type is the field, as it was decided before an event had a property of that name; some have it."
        ]
    return []


def record_compiler_of(config: MeteringConfig | None, opened: Opened) -> RecordCompiler:
    """The compiler of the queries that judge records.

    It reads the records first, for the aggregations and units that they have.

    Raises: ConfigError for aggregations of one unit whose readings could not be told apart.
    """
    question = opened.question
    found = (question.aggregation,) if question.aggregation else ()
    judge = RecordCompiler(config, opened.layout, opened.selection, question.aggregation, question.group_by, found)
    rows = opened.table(judge.aggregations_query()).to_pylist()
    judge = judge.with_found([(row["aggregation"], row["unit"]) for row in rows])
    for query in twins_queries(judge):
        for row in opened.table(query).to_pylist():
            texts = " and ".join(f'"{name}"' for name in row["aggregations"])
            raise ConfigError(
                f"the unit {row['unit']!r}: found {texts}; expected one of them. hint: give each a unit of its own"
            )
    return judge


class LocalRecords:
    """Records of events: a query over the input, whose repeated keys are settled before."""

    def __init__(self, opened: Opened, compiler: Compiler) -> None:
        self.opened, self.compiler = opened, compiler
        self.judge: Judge = compiler
        renamed = {"universe_id": opened.noted_universes} if opened.noted_universes else {}
        self._books = replace(ONLY_BOOKS, noted=tuple((opened.selection.several | renamed).items()))
        self._found = Deduplicated()

    def queries(self) -> list[Query]:
        """All queries, as if keys were repeated, unless the caller promises that no key is."""
        repeated = not self.opened.source.assume_unique
        return [
            *deduplication_queries(self.opened, self.compiler, has_levels=False),
            counted_query(self._books, self.compiler.judged(repeated=repeated)),
            self._rows(repeated=repeated),
        ]

    def _rows(self, *, repeated: bool) -> Query:
        """The query of the records."""
        return records_query(self.compiler, repeated=repeated, bundled=self.opened.question.bundled)

    def fill(self) -> Filled:
        """Settle repeated keys, and count what became of every event."""
        self._found = deduplicate(self.opened, self.compiler, has_levels=False)
        repeated = self._found.repeated
        self.opened.fill(counted_query(self._books, self.compiler.judged(repeated=repeated)))
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
    has_levels_before = history is not None and history.levels is not None
    return replace(totals, has_levels_before=has_levels_before, noted=tuple(opened.selection.several.items()))
