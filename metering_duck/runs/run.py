"""A run: an engine with an input open in it, the order in which its queries are run, and the books it keeps.

The only module that knows both the SQL (judging/events.py, judging/given_records.py, readings/assembling.py) and the
engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self

import pyarrow as pa

from metering_duck.contract.times import parse_time
from metering_duck.decimals.columns import DIGITS_MAX
from metering_duck.engine.duckdb import Engine, Overflow
from metering_duck.engine.remote import shown
from metering_duck.errors import ConfigError, QuantityOverflow, SchemaError, SourceError, first_few
from metering_duck.inputs.dry_run import Reads, reads_of
from metering_duck.inputs.fields import ENTERED_BY_FILE, Reach, field_names
from metering_duck.inputs.files import extensions_of, paths_of, stamp_of
from metering_duck.inputs.foreign_shapes import Shape
from metering_duck.inputs.given import find_input
from metering_duck.inputs.in_shell import InShell, in_shell
from metering_duck.inputs.input import Input
from metering_duck.inputs.lake_days import TableDays, check_moments
from metering_duck.inputs.lakes import LakeTable, has_version
from metering_duck.inputs.layout import Layout
from metering_duck.inputs.mapping import FieldMap
from metering_duck.inputs.opening import open_source
from metering_duck.inputs.partitions import TimePartition, of_tenants, of_times, prune
from metering_duck.judging.arrivals import (
    Selection,
    key_hashes_query,
    repeated_keys_query,
    settled_query,
    tied_moments_query,
)
from metering_duck.judging.events import Compiler
from metering_duck.judging.given_records import RecordCompiler
from metering_duck.judging.made_records import records_query
from metering_duck.judging.outcomes import outcomes_query
from metering_duck.judging.repeated_hashes import Hashes, RepeatedHashes, as_column, as_numpy
from metering_duck.readings.assembling import reading_rows, readings_queries, totals_queries
from metering_duck.readings.counters import counted_query
from metering_duck.readings.gauges import gauged_queries, gauges_of, widest_levels
from metering_duck.readings.series import Totals
from metering_duck.readings.usage import usage_query
from metering_duck.runs.books import Accounting, counted_noun
from metering_duck.runs.history import LEVELS_SCHEMA, History, widest_before_sql
from metering_duck.runs.machine import HASHES_AT_ONCE, Machine, Moment
from metering_duck.runs.results import Plan, Result
from metering_duck.runs.rows import Rows
from metering_duck.runs.script import script_text
from metering_duck.statements.select import case, names, select
from metering_duck.statements.stages import Query, Stage, load_stage
from metering_duck.windows.cutting import WINDOWS_MAX, Windows
from metering_duck.windows.periods import NO_WINDOW, Periods
from metering_duck.windows.schedules import check_windows

Judge = Compiler | RecordCompiler


class Run:
    """An engine with an input open in it, and what has been computed so far."""

    layout: Layout

    def __init__(
        self, engine: Engine, parameters: dict[str, object], *, zone_given: bool, unique: bool = False
    ) -> None:
        self.engine, self.parameters, self.zone_given, self.unique = engine, parameters, zone_given, unique
        self.compiler: Judge
        self.shape = Totals((), NO_WINDOW)
        self.windows = NO_WINDOW
        self.repeated = False
        self.tied = True
        self.makes_readings = False
        self.rows_read = 0
        self.exact = False
        self.exact_levels = False
        self.remarks: list[str] = []
        self.history: History | None = None
        self.reach: Reach = "all"
        self.types: tuple[str, ...] = ()
        self.stamps: dict[str, object] = {}
        self.reads: Callable[[], Reads] | None = None
        self.shell: Callable[[], InShell] = InShell

    @classmethod
    def open(
        cls,
        machine: Machine,
        given: Any,
        selection: Selection,
        *,
        clock: Moment,
        as_of: Moment,
        map: Mapping[str, Any] | None,
        zone: str | None,
        generate_ids: bool,
        unique: bool = False,
        partition: tuple[str, Reach] | None = None,
        records: bool = False,
        periods: Periods | None = None,
        history: History | None = None,
        universes: Mapping[str, str] | None = None,
        shape: Shape | None = None,
        read_by: Callable[[Engine, Input], Input] | None = None,
    ) -> Self:
        """Find the input, allow its files, lock the engine, and learn the input's layout.

        Where something else reads it, `read_by` gives rows like those that it has, and no row of a file is read here.
        """
        now = datetime.now(UTC) if clock is None else parse_time(clock, "clock")
        parameters: dict[str, object] = {"clock": now.replace(tzinfo=None)}
        if as_of is not None:
            parameters["as_of"] = parse_time(as_of, "as-of").replace(tzinfo=None)
        parameters |= selection.parameters
        engine = machine.engine()
        try:
            found = find_input(given, engine.directory, is_elsewhere=read_by is not None)
            table = periods.found(engine) if periods else None
            paths = [path for one in (found, table) for path in paths_of(one)]
            engine.lock_down(paths, extensions=extensions_of(found, table))
            run = cls(engine, parameters, zone_given=zone is not None, unique=unique)
            run.stamps = {path: stamp_of(path) for path in paths}
            if periods:
                run.windows = periods.opened(engine, table)
                run.parameters |= run.windows.parameters
                run.fill_windows(run.windows)
            tenants = {column: values for column, (_, values) in selection.columns.items()}
            if universes:
                # What is asked for are their new names.
                del tenants["universe_id"]
            if shape is not None and shape.is_wrapped:
                # What is beside the event is not the event's.
                tenants = {}
                if partition is not None and isinstance(found, LakeTable):
                    raise ConfigError(
                        f"time-partition: found it beside --from {shape.name}, whose times are within each event; "
                        "expected one of the two. hint: leave --time-partition out"
                    )
            whole = found
            found, part = run.narrowed(found, partition, tenants, map, records=records)
            run.reads, run.shell = partial(reads_of, whole, found), partial(in_shell, found)
            layout = open_source(
                engine,
                found,
                records=records,
                map=map,
                zone=zone or "UTC",
                generate_ids=generate_ids,
                numbers_rows=history is not None and history.numbers_rows,
                shape=shape,
                read_by=read_by,
            )
            run.layout = replace(layout, partition=part).with_universes(universes or {})
            run.reach, run.types = selection.reach, selection.types
            if history is not None:
                run.remember(history)
            if as_of is not None and history is None and not (layout.has_metered_at and "metered_at" in layout.columns):
                raise SchemaError(
                    found.name,
                    "metered_at",
                    found="no such column",
                    expected="when each event entered, for --as-of",
                    hint="--map metered_at=COLUMN",
                )
            return run
        except BaseException:
            engine.close()
            raise

    def narrowed(
        self,
        found: Input,
        partition: tuple[str, Reach] | None,
        tenants: Mapping[str, Sequence[str]],
        map: Mapping[str, Any] | None,
        *,
        records: bool,
    ) -> tuple[Input, TimePartition | None]:
        """The input without what it says itself that it is not asked for, and how it is partitioned by time."""
        fields, part = field_names(records=records), None
        mapping = FieldMap(map, fields)
        if partition is not None and isinstance(found, LakeTable):
            found = of_times(found, partition[0], *self.bounds(partition[1]), fields, mapping)
        elif partition is not None:
            found, part = prune(found, partition[0], *self.bounds(partition[1]))
        if has_version(found):
            self.remarks.append(f"input: {found.name}, as it is at this version.")
        if isinstance(found, TableDays):
            column = mapping.column_of("time", fields["time"], found.schema.names, found.name)
            found = replace(found, time=check_moments(found.schema, column, found.name))
            self.remarks += [f"input: {table.name}, as it is at this version." for table, _ in found.parts]
        return of_tenants(found, tenants, fields, mapping), part

    def remember(self, history: History) -> None:
        """Take what is known of the events that are not read."""
        self.history = history
        history.keep(self.engine)
        self.layout = replace(self.layout, by_file=history.entered_sql == ENTERED_BY_FILE)
        if history.others:
            others = set(history.others)
            own = tuple(path for path in history.paths if path not in others)
            self.layout = replace(self.layout, only_files=own)

    def fill_windows(self, windows: Windows) -> None:
        """Fill `windows` and what looks them up, and refuse those that overlap."""
        for query in windows.queries():
            self.engine.fill(self.query(query))
            if query.name == windows.name:
                check_windows(self.engine, windows)

    def bounds(self, reach: Reach) -> tuple[datetime | None, datetime | None]:
        """From when to when events are needed; None where there is no bound."""
        bounds = {"first": "min(window_start)", "last": "max(window_end)"}
        ((first, last),) = self.engine.rows(select(bounds, self.windows.name))
        return (first if reach == "window" else None), (None if reach == "all" else last)

    def with_found_aggregations(self, compiler: RecordCompiler) -> RecordCompiler:
        """Records: look which aggregations they have, or what the one that is chosen for all becomes for each."""
        table = self.engine.table(self.query(compiler.aggregations_query()))
        return compiler.with_found([(row["aggregation"], row["unit"]) for row in table.to_pylist()])

    def query(self, query: Query) -> Query:
        """A query with this run's values."""
        return replace(query, parameters=self.parameters)

    def deduplication(self) -> list[Query]:
        """What finds and settles repeated keys, and finds tied moments, in SQL alone, as the script shows it."""
        arrivals = self.compiler.arrivals()
        suspects = self.compiler.arrivals(suspects=True)
        keys = [] if self.unique else [repeated_keys_query(arrivals), settled_query(suspects)]
        return [*keys, *([tied_moments_query(arrivals)] if self._has_levels else [])]

    @property
    def _has_levels(self) -> bool:
        """Whether events are put in order."""
        return self.makes_readings and any(s.aggregation and s.aggregation.is_gauge for s in self.compiler.slots)

    def deduplicate(self) -> None:
        """Find the keys that occur more than once (R8), and settle which of their rows count.

        In the same pass, where levels are put in order, the moments that are not one event's (R13).
        """
        self.check_partitions()
        self.rows_read = 0
        is_known = self.history is not None and self.history.repeated is not None
        wanted = ([] if self.unique or is_known else ["repeated_keys"]) + (["tied_moments"] if self._has_levels else [])
        if not wanted:
            self.rows_read = self._count_rows()
        repeated = self._repeated(wanted) if wanted else {}
        for name, found in repeated.items():
            column = "key_hash" if name == "repeated_keys" else "moment_hash"
            self.engine.keep(name, pa.table({column: as_column(found)}))
        self.tied = len(repeated.get("tied_moments", ())) > 0
        known = self.history.repeated if self.history and is_known else repeated.get("repeated_keys")
        self.repeated = known is not None and len(known) > 0
        if self.repeated:
            self.engine.fill(self.query(settled_query(self.compiler.arrivals(suspects=True), self.reach)))

    def _repeated(self, wanted: Sequence[str]) -> dict[str, Hashes]:
        """Table → the hashes that occur more than once; counts the rows on its way."""
        arrivals = self.compiler.arrivals()
        query = key_hashes_query(arrivals, keys="repeated_keys" in wanted, moments="tied_moments" in wanted)
        found = {name: RepeatedHashes(self.engine.directory, name) for name in wanted}
        with self.engine.watched(query.name):
            for batch in self.engine.stream(self.query(query), HASHES_AT_ONCE):
                self.rows_read += batch.num_rows
                for hashes, column in zip(found.values(), batch.columns, strict=True):
                    hashes.add(as_numpy(column))
        return {name: hashes.found() for name, hashes in found.items()}

    def _count_rows(self) -> int:
        """How many rows the input has, counted apart from what became of them: the books could fail to balance."""
        count = Stage("read", "how many rows were read", "SELECT count(*) AS events FROM arrivals")
        rows = self.engine.table(self.query(Query("read", (*self.compiler.arrivals(), count)))).to_pylist()
        return int(rows[0]["events"])

    def accounting(self) -> Accounting:
        """The books of `counted` and `settled` (R9), if the files are still what they were."""
        for path, stamp in self.stamps.items():
            if stamp_of(path) != stamp:
                raise SourceError(
                    f"{shown(path)}: changed while it was read; expected it to hold still. hint: run again"
                )
        counted = ("events", "times_cut", "times_naive")
        status_sql = "coalesce(status, 'metered')"
        sums = {"status": status_sql} | {name: f"CAST(sum({name}) AS BIGINT)" for name in counted}
        rows = self.engine.rows(select(sums, "counted", group_by=[status_sql]))
        status = {row[0]: row[1] for row in rows}
        lost = {"duplicate": 0, "conflict": 0} | self.lost()
        rejected = status.get("rejected", 0)
        unmatched = status.get("unmatched-entry", 0) + status.get("unmatched-filter", 0)
        metered = status.get("metered", 0)
        books = Accounting(
            read=self.rows_read,
            metered=metered,
            unmatched=unmatched,
            duplicates=lost["duplicate"],
            conflicts=lost["conflict"],
            rejected=rejected,
            unmatched_entry=status.get("unmatched-entry", 0),
            unmatched_filter=status.get("unmatched-filter", 0),
            times_cut=sum(row[2] for row in rows),
            times_naive=sum(row[3] for row in rows),
            reasons=self._reasons() if rejected else {},
        )
        if not books.balances:
            raise SourceError(f"input: changed while it was read ({books}); expected it to hold still. hint: run again")
        return books

    def lost(self) -> dict[str, int]:
        """How many rows did not count, since another row of their key did, by verdict."""
        if not self.repeated:
            return {}
        counts = {"verdict": "verdict", "events": "count(*)"}
        return dict(self.engine.rows(select(counts, "settled", where=["verdict <> 'kept'"], group_by=["verdict"])))

    def check_partitions(self) -> None:
        """Rows that are not in the partition of their time may be in a file that was left out."""
        part = self.layout.partition
        if part is None:
            return
        first = case({"misplaced": "recorded_at"})
        columns = {"events": "count(*) FILTER (misplaced)", "moment": f"time_text(min({first}))"}
        check = Stage("misplaced", "rows in another partition than their time's", select(columns, "arrivals"))
        query = self.query(Query("misplaced", (*self.compiler.arrivals(), check)))
        ((misplaced, moment),) = (row.values() for row in self.engine.table(query).to_pylist())
        if misplaced:
            found = counted_noun(misplaced, "event")
            raise SourceError(
                f"time-partition: found {found} in another {part.column} than the UTC {part.unit} of its time, the "
                f"first of {moment}; expected none. hint: leave --time-partition out to read every file"
            )

    def _reasons(self) -> dict[str, int]:
        """How many were rejected for each reason."""
        rejects = self.rejects()
        counts = select({"reason": "reason", "events": "count(*)"}, "rejects", group_by=["reason"], order_by=["reason"])
        grouped = Stage("reasons", "how many for each reason", counts)
        table = self.engine.table(replace(rejects, stages=(*rejects.stages[:-1], grouped)))
        return {row["reason"]: row["events"] for row in table.to_pylist()}

    def rejects(self) -> Query:
        """Every rejected event."""
        return self.query(self.compiler.rejects(repeated=self.repeated))

    def conflicts(self) -> Query | None:
        """Every event that lost to another of the same key."""
        return Query("conflicts", (load_stage("conflicts"),)) if self.repeated else None

    def notices(self, accounting: Accounting) -> list[str]:
        """What was taken for granted."""
        notices = list(self.remarks)
        if self.types:
            shown = first_few(repr(name) for name in self.types)
            notices.append(f"events of other types than {shown} are taken not to be there (event-type).")
        if self.unique:
            notices.append("no duplicate was looked for: every id is taken to occur once (assume-unique).")
        if accounting.times_naive and not self.zone_given:
            naive = counted_noun(accounting.times_naive, "time")
            notices.append(f"{naive} had no offset, taken as UTC. hint: --assume-timezone ZONE")
        if accounting.times_cut:
            cut = counted_noun(accounting.times_cut, "time")
            notices.append(f"{cut} had digits finer than a microsecond, cut toward the past (R11).")
        if self.windows.by_subject:
            ((events, subject),) = self.engine.rows(
                "SELECT CAST(sum(unscheduled) AS BIGINT), min(unscheduled_subject) FROM counted"
            )
            if events:
                lost = counted_noun(events, "event")
                unnamed = f"that no subscription or window names, such as {subject!r}"
                notices.append(f"{lost} of subjects {unnamed}, made no reading.")
        return notices

    def count_events(self, totals: Totals) -> None:
        """Fill `counted`, adding sums in two parts if one passes 38 digits on its way."""
        self.engine.fill(self.query(counted_query(totals, self.compiler.judged(repeated=self.repeated))))

    def periods(self) -> Rows:
        """The windows, as rows of their own."""
        length = "epoch_us(window_end) - epoch_us(window_start)"
        columns = {
            **names(("universe_id", "subject")),
            "window_index": "row_number() OVER (PARTITION BY universe_id, subject ORDER BY window_start) - 1",
            **{bound: f"{bound} AT TIME ZONE 'UTC'" for bound in ("window_start", "window_end")},
            "local_start": "clock_text(window_start, zone)",
            "local_end": "clock_text(window_end, zone)",
            "zone": "zone",
            "hours": f"decimal_division(CAST({length} AS DECIMAL(18, 0)), CAST(3600000000 AS DECIMAL(10, 0)), 6)",
            "length_us": length,
        }
        order = ("universe_id", "subject", f"{self.windows.name}.window_start")
        stage = Stage("periods", "the windows, as clocks show them", select(columns, self.windows.name, order_by=order))
        return Rows(self.engine, self.query(Query("periods", (stage,))), "period")

    # --- results ----------------------------------------------------------------------------------------------------

    def records(self, compiler: Compiler, *, bundled: bool, strict: bool) -> Result:
        """A result whose rows are a query over the input."""
        self.compiler = compiler
        counting = Totals((), NO_WINDOW)

        def prepare() -> Accounting:
            self.deduplicate()
            self.count_events(counting)
            plan.rows = self.query(records_query(compiler, repeated=self.repeated, bundled=bundled))
            return self.accounting()

        def script() -> list[Query]:
            repeated = not self.unique
            last = records_query(compiler, repeated=repeated, bundled=bundled)
            return [*self.deduplication(), counted_query(counting, compiler.judged(repeated=repeated)), last]

        plan = self._plan("record-bundle" if bundled else "record", prepare, script)
        plan.outcomes = lambda: self.query(outcomes_query(compiler, repeated=self.repeated))
        return Result(self.engine, plan, strict=strict)

    def readings(self, compiler: Judge, shape: Totals, *, bundled: bool, strict: bool) -> Result:
        """A result whose rows are the table `readings`."""
        self.makes_readings = True
        self.compiler = self.with_found_aggregations(compiler) if isinstance(compiler, RecordCompiler) else compiler

        self.shape, totals = shape, self.totals

        def prepare() -> Accounting:
            self.fill_readings()
            self._check_overflow("readings")
            plan.rows = reading_rows(bundled=bundled, constants=totals().constants)
            return self.accounting()

        def script() -> list[Query]:
            judged = self.compiler.judged(repeated=not self.unique)
            all_ties = replace(totals(), tied=True, exact_levels=True)
            return [
                *self.windows.queries(),
                *self.deduplication(),
                *totals_queries(all_ties, judged),
                *readings_queries(all_ties, judged),
                reading_rows(bundled=bundled, constants=all_ties.constants),
            ]

        plan = self._plan("reading-bundle" if bundled else "reading", prepare, script)
        return Result(self.engine, plan, strict=strict)

    def fill_readings(self) -> None:
        """Fill the table `readings`, and all that it is made from."""
        self.deduplicate()
        try:
            self._compute()
        except Overflow:
            self.exact = True
            self._compute_exactly()

    def _compute(self) -> None:
        judged, windows = self.compiler.judged(repeated=self.repeated), self.windows.name
        self._check_inner_windows(self.totals())
        self.engine.fill(self.query(self.counted_query()))
        self.exact_levels = self._levels_are_large(self.totals())
        for query in totals_queries(self.totals(), judged)[1:]:
            self.engine.fill(self.query(query))
            if query.name.endswith("_windows"):
                windows = query.name
            if query.name.endswith("_totals"):
                self._check_overflow(query.name, windows)
                windows = self.windows.name
        for query in readings_queries(self.totals(), judged):
            self.engine.fill(self.query(query))

    def counted_query(self) -> Query:
        """What fills `counted`."""
        return counted_query(self.totals(), self.compiler.judged(repeated=self.repeated))

    def totals(self) -> Totals:
        """How the readings are made, as far as it is known by now."""
        history, engine = self.history, self.engine
        known = self.compiler.constants.items()
        return replace(
            self.shape,
            slots=tuple(self.compiler.slots),
            exact=self.exact,
            constant_fields=tuple((n, sql) for n, sql in known if not history or history.holds(n, sql, engine)),
            exact_levels=self.exact or self.exact_levels,
            tied=self.tied,
            has_levels_before=history is not None and history.levels is not None,
        )

    def levels_only(self, compiler: Compiler, shape: Totals) -> pa.Table:
        """The level of each gauge when the window ends, where no reading is wanted."""
        self.makes_readings, self.compiler, self.shape = True, compiler, shape
        self.deduplicate()
        series, *_ = gauged_queries(self.totals(), compiler.judged(repeated=self.repeated))
        self.engine.fill(self.query(series))
        return self.levels_at_end()

    def usage(self, asked: pa.Table) -> pa.Table:
        """The rows behind readings of the subjects `asked` for (universe_id, subject), once the readings are made."""
        if not isinstance(self.compiler, Compiler):
            raise TypeError("usage is of events")
        self.engine.keep("asked", asked)
        query = usage_query(self.compiler, self.totals(), self.compiler.judged(repeated=self.repeated))
        return self.engine.table(self.query(query))

    def levels_at_end(self) -> pa.Table:
        """The level of each gauge when the window ends (LEVELS_SCHEMA), in the order of their keys."""
        judged = self.compiler.judged(repeated=self.repeated)
        tables = []
        for query in [Query("levels_at_end", (*judged, *found.levels_at_end())) for found in gauges_of(self.totals())]:
            tables.append(self.engine.table(self.query(query)).cast(LEVELS_SCHEMA))
        order = [(name, "ascending") for name in LEVELS_SCHEMA.names]
        return pa.concat_tables(tables or [LEVELS_SCHEMA.empty_table()]).sort_by(order)

    def _plan(self, shape: str, prepare: Callable[[], Accounting], script: Callable[[], list[Query]]) -> Plan:
        """A plan whose SQL has been made once already, so that a config's faults are found before anything runs."""
        rows = script()[-1]
        told = (script, self.script_text, self.notices, rows, self.reads)
        return Plan(shape, prepare, self.rejects, self.conflicts, *told)

    def _levels_are_large(self, totals: Totals) -> bool:
        """Whether a sum of level × time may pass 38 digits: of a window it is at most the widest level × its length."""
        if not totals.weighed:
            return False
        longest = "max(epoch_us(window_end) - epoch_us(window_start))"
        ((length,),) = self.engine.rows(select({"length": longest}, self.windows.name))
        found = self.widest_levels(totals)
        levels = [(level, series) for level, (_, series) in zip(found, totals.weighed, strict=True)]
        if totals.has_levels_before:
            for _, series in totals.weighed:
                sql = widest_before_sql(series.unit_sql, series.aggregation.name, series.decimal.wide_sql)
                levels += [(level, series) for (level,) in self.engine.rows(sql)]
        return any(
            level is not None and level * (length or 0) >= 10 ** (DIGITS_MAX - series.decimal.scale)
            for level, series in levels
        )

    def widest_levels(self, totals: Totals) -> tuple[Any, ...]:
        """The widest level of each slot that is weighed, None where it has none."""
        widest = {f"widest_{slot.index}": f"max(widest_{slot.index})" for slot, _ in totals.weighed}
        return self.engine.rows(select(widest, "counted"))[0]

    def _compute_exactly(self) -> None:
        """What still has more than 38 digits when it is added in parts is a running sum of deltas (R18)."""
        try:
            self._compute()
        except Overflow:
            whose = "a quantity"
            for query in widest_levels(self.totals(), self.compiler.judged(repeated=self.repeated)):
                for row in self.engine.table(self.query(query)).to_pylist():
                    whose = "a level of {unit!r} for {subject!r} at {moment}".format(**row)
            raise QuantityOverflow(
                f"reading: found {whose} with more digits than its DECIMAL; expected at most 38, those behind the "
                'point included. hint: "scale": 0 in the measurement, or a larger unit'
            ) from None

    def _check_inner_windows(self, totals: Totals) -> None:
        """Inner windows are not too many to list."""
        for text, interval in totals.inner_intervals:
            length = f"sum((epoch_us(window_end) - epoch_us(window_start)) // {interval.shortest_us} + 1)"
            ((count,),) = self.engine.rows(select({"inner_windows": length}, self.windows.name))
            if (count or 0) > WINDOWS_MAX:
                raise ConfigError(
                    f'aggregation: found "{text}", which cuts more than {WINDOWS_MAX:,} inner windows; expected fewer.'
                )

    def _check_overflow(self, table: str, windows: str | None = None) -> None:
        """A reading whose quantity does not fit is no reading, but an error that says whose (R18)."""
        source = f"{table}\nJOIN {windows} USING (window_index)" if windows else table
        zone = "" if windows else " AT TIME ZONE 'UTC'"
        bounds = {name: f"time_text({name}{zone})" for name in ("window_start", "window_end")}
        columns = {name: f"{table}.{name}" for name in ("aggregation", "unit", "subject")} | bounds
        order = ("universe_id", "workspace_id", "subject", "unit", "window_start")
        where = [f"{table}.quantity IS NULL"]
        sql = select(
            columns,
            source,
            where=where,
            order_by=[f"{windows if n == 4 and windows else table}.{name}" for n, name in enumerate(order)],
        )
        for aggregation, unit, subject, start, end in self.engine.rows(f"{sql}\nLIMIT 1"):
            article = "an" if aggregation[0] in "aiu" else "a"
            raise QuantityOverflow(
                f"reading: found {article} {aggregation} of {unit!r} for {subject!r} in [{start}, {end}) with more "
                "digits than its DECIMAL; expected at most 38, those behind the point included. "
                'hint: "scale": 0 in the measurement together with --scale 0, or a larger unit'
            )

    def script_text(self, queries: Iterable[Query]) -> str:
        """Queries as one SQL script with this run's values in it."""
        return script_text(queries, self.parameters, self.shell(), has_history=self.history is not None)
