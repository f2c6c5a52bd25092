"""The public functions: meter, aggregate, check and compile_sql. They check what they are given, then plan; a Result
runs the plan.

    events → fields → arrivals → accepted → projected → quantified → judged → records, or counted and gauged → readings
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from os import PathLike
from typing import Any
from zoneinfo import ZoneInfo

from metering_duck import aggregations
from metering_duck.compiler import (
    Compiler,
    Selection,
    deduplication_queries,
    records_query,
)
from metering_duck.config import ConfigLike, MeteringConfig, load_config
from metering_duck.contract import REASONS
from metering_duck.engine import Engine, Overflow, Progress
from metering_duck.errors import ConfigError, QuantityOverflow, RejectedEvents, SchemaError
from metering_duck.inputs import Files, find_input
from metering_duck.layouts import Layout
from metering_duck.records import RecordCompiler
from metering_duck.results import Accounting, Plan, Result
from metering_duck.sources import open_source
from metering_duck.stages import Query, Stage, load_stage, load_text, with_values
from metering_duck.times import format_time, parse_time
from metering_duck.totals import DIGITS_MAX, Totals
from metering_duck.windows import Windows, make_windows

Names = str | Sequence[str] | None
Moment = str | datetime | None
Judge = Compiler | RecordCompiler
NO_WINDOW = Windows(datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC))


@dataclass(frozen=True)
class Machine:
    """What a run may use, and how it tells its progress. None of it changes an answer (R23)."""

    threads: int | None = None
    memory_limit: str | None = None
    temp_dir: str | PathLike[str] | None = None
    progress: Progress | None = None

    def engine(self) -> Engine:
        """A new engine."""
        return Engine(
            threads=self.threads,
            memory_limit=self.memory_limit,
            temp_dir=None if self.temp_dir is None else str(self.temp_dir),
            progress=self.progress,
        )


def meter(
    events: Any,
    config: ConfigLike,
    *,
    map: Mapping[str, Any] | None = None,
    workspace: Names = None,
    universe: Names = None,
    as_of: Moment = None,
    bundled: bool = False,
    clock: Moment = None,
    assume_timezone: str | None = None,
    generate_ids: bool = False,
    strict: bool = False,
    threads: int | None = None,
    memory_limit: str | None = None,
    temp_dir: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Result:
    """Meter events into records: what each event measured, once, exactly.

    Shape:  one row per event and measurement (RECORD_SCHEMA), or per event with `bundled` (RECORD_BUNDLE_SCHEMA).
    Units:  `clock` is metered_at where events have none; `as_of` compares with metered_at, both UTC.
    Exact:  a quantity is kept digit by digit or its event is rejected (R5).
    Raises: ConfigError, SchemaError, SourceError; RejectedEvents when `strict` and something was rejected or in conflict.
    SQL:    repeated_keys, verdicts, and the stages `compile_sql` shows.
    Source: metering-spec "Metered usage record", R1–R9.
    """
    loaded = load_config(config)
    machine = Machine(threads, memory_limit, temp_dir, progress)
    selection = Selection(_names(workspace, "workspace"), _names(universe, "universe"), as_of=as_of is not None)
    run = _Run.open(
        machine, events, selection, clock=clock, as_of=as_of, map=map, zone=assume_timezone, generate_ids=generate_ids
    )
    try:
        run.compiler = Compiler(loaded, run.layout, selection)
        return run.records(bundled=bundled, strict=strict)
    except BaseException:
        run.engine.close()
        raise


def aggregate(
    events: Any = None,
    config: ConfigLike | None = None,
    *,
    records: Any = None,
    aggregation: str | None = None,
    start: Moment = None,
    end: Moment = None,
    every: str | None = None,
    group_by: Names = None,
    workspace: Names = None,
    universe: Names = None,
    subject: Names = None,
    across_workspaces: bool = False,
    as_of: Moment = None,
    scale: int | None = None,
    digits: int | None = None,
    bundled: bool = False,
    map: Mapping[str, Any] | None = None,
    clock: Moment = None,
    assume_timezone: str | None = None,
    generate_ids: bool = False,
    strict: bool = False,
    threads: int | None = None,
    memory_limit: str | None = None,
    temp_dir: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Result:
    """Aggregate events (with a config) or records (which need none) into readings.

    Shape:  one row per workspace, universe, subject, unit, aggregation, dimensions and window (READING_SCHEMA; R10).
    Units:  `start` and `end` are half-open, UTC; `every` cuts them: hour, day, week, month, year, or ISO 8601.
    Exact:  sums and extremes as they are; averages rounded once, half to even, to `scale` fraction digits (18), or to
            `digits` significant ones, which makes quantity a text.
    Raises: ConfigError, SchemaError, SourceError; on reading also QuantityOverflow; RejectedEvents when `strict`.
    SQL:    repeated_keys, verdicts, spans, weighted, averages, readings, and the stages `compile_sql` shows.
    Source: metering-spec "Aggregation Strategies", R10–R22.
    """
    if (events is None) == (records is None):
        raise ConfigError("aggregate: found events and records both or neither; expected one of them.")
    if events is not None and config is None:
        raise ConfigError("config: found none; expected one, since events were given. hint: --config FILE")
    loaded = None if config is None else load_config(config)
    chosen = None if aggregation is None else aggregations.canonical(aggregation, "aggregation")
    windows = make_windows(start, end, every)
    _check_result_shape(scale, digits)
    groups, subjects = _names(group_by, "group_by"), _names(subject, "subject")
    selection = Selection(_names(workspace, "workspace"), _names(universe, "universe"), subjects, as_of is not None)
    if records is None and loaded is not None:
        _need_aggregations(loaded, chosen)
    machine = Machine(threads, memory_limit, temp_dir, progress)
    run = _Run.open(
        machine, records if events is None else events, selection, records=events is None, clock=clock, as_of=as_of,
        map=map, zone=assume_timezone, generate_ids=generate_ids,
    )
    try:
        shape = Totals((), windows, across_workspaces, len(subjects), scale, digits)
        run.parameters |= windows.parameters | {f"subject_{n}": name for n, name in enumerate(subjects)}
        if loaded is not None and records is None:
            run.compiler = Compiler(loaded, run.layout, selection, chosen, groups)
        else:
            run.judge_records(RecordCompiler(loaded, run.layout, selection, chosen, groups))
        return run.readings(shape, bundled=bundled, strict=strict)
    except BaseException:
        run.engine.close()
        raise


def check(config: ConfigLike, events: Any = None, **options: Any) -> dict[str, Any]:
    """What is wrong with a config, and with events under it; writes nothing.

    Shape:  {"problems": […], "warnings": […], "measurements": n} and, with events, also "accounting", "types" (events by
            type), "rejects" (counts by reason, measurement and text) and "notices".
    Raises: SchemaError and SourceError for events that cannot be read at all; ConfigError only for other options.
    """
    try:
        loaded = load_config(config)
    except ConfigError as error:
        return {"problems": error.problems, "warnings": [], "measurements": 0}
    report: dict[str, Any] = {
        "problems": [],
        "warnings": _warnings(loaded),
        "measurements": len(loaded.measurements),
    }
    if events is None:
        return report
    with meter(events, loaded, **options) as result:
        accounting = result.accounting
        report["accounting"] = accounting.to_dict()
        report["types"] = _events_by_type(result)
        report["rejects"] = _reject_counts(result) if accounting.rejected else []
        report["notices"] = result.notices
    return report


def compile_sql(
    config: ConfigLike,
    events: Any = None,
    *,
    stage: str | None = None,
    **options: Any,
) -> str:
    """The SQL that a config becomes: the whole script, or one stage of it; nothing is run.

    With `start` and `end` it is the SQL of aggregate, without them that of meter. Without events, they are taken to lie
    in `events.parquet` with properties as a MAP.

    Raises: ConfigError; for an unknown `stage`, with the stages there are.
    """
    given = _sample_events() if events is None else events
    if options.get("start") is None and options.get("end") is None:
        for name in ("aggregation", "every", "group_by"):
            if options.get(name):
                raise ConfigError(f"{name}: found it without a window; expected start and end beside it.")
        result = meter(given, config, **options)
    else:
        result = aggregate(given, config, **options)
    with result:
        if stage is None:
            script = result.sql
            return script.replace("FROM input_rows", "FROM read_parquet('events.parquet')") if events is None else script
        return result.stage_sql(stage)


def _sample_events() -> Any:
    from metering_duck.contract import EVENT_SCHEMA

    return EVENT_SCHEMA.empty_table()


# --- arguments -------------------------------------------------------------------------------------------------------


def _names(given: Names, what: str) -> tuple[str, ...]:
    """One name or several, as a tuple without repeats."""
    names = [] if given is None else [given] if isinstance(given, str) else list(given)
    for name in names:
        if not isinstance(name, str) or not name:
            raise ConfigError(f"{what}: found {name!r}; expected text that is not empty.")
    return tuple(dict.fromkeys(names))


def _check_result_shape(scale: int | None, digits: int | None) -> None:
    if scale is not None and digits is not None:
        raise ConfigError("scale: found digits beside it; expected one of the two.")
    if scale is not None and not 0 <= scale <= DIGITS_MAX:
        raise ConfigError(f"scale: found {scale}; expected 0 to {DIGITS_MAX} fraction digits.")
    if digits is not None and not 1 <= digits <= 34:
        raise ConfigError(f"digits: found {digits}; expected 1 to 34 significant digits.")


def _need_aggregations(config: MeteringConfig, chosen: str | None) -> None:
    """Every measurement must have an aggregation, its own or the call's."""
    lacking = [path for path, measurement in config.measurements if not (chosen or measurement.aggregation)]
    if lacking:
        raise ConfigError(
            [f"{path}.aggregation: found none; expected one of {', '.join(aggregations.NAMES[:9])}. hint: --aggregation sum" for path in lacking]
        )


def _zone(name: str | None) -> str:
    if name is None:
        return "UTC"
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, OSError):
        raise ConfigError(f'assume-timezone: found "{name}"; expected an IANA zone such as Europe/Berlin.') from None


def _warnings(config: MeteringConfig) -> list[str]:
    """What is allowed but seldom meant."""
    warnings = []
    seen: dict[tuple[str, str], str] = {}
    for path, measurement in config.measurements:
        key = (path.rpartition(".")[0], measurement.unit)
        if key in seen:
            warnings.append(
                f"{path}: has the unit {measurement.unit!r} of {seen[key]}; where both match, their records go into one reading."
            )
        seen.setdefault(key, path)
        if measurement.filter and measurement.filter.property == measurement.source_property:
            warnings.append(f"{path}.filter: tests the property it measures; only {measurement.filter.equals!r} is ever counted.")
    return warnings


def _events_by_type(result: Result) -> list[dict[str, Any]]:
    """How many events of each type became what."""
    return result.inspect(
        "by_type",
        "SELECT\n    type,\n    status,\n    count(*) AS events\nFROM judged\nGROUP BY type, status\nORDER BY type, status",
    )


def _reject_counts(result: Result) -> list[dict[str, Any]]:
    """Rejects by reason, measurement and example."""
    table = result.rejects.group_by(["reason", "measurement"]).aggregate([("reason", "count"), ("text", "min"), ("id", "min")])
    rows = [
        {"reason": row["reason"], "measurement": row["measurement"], "count": row["reason_count"],
         "meaning": REASONS[row["reason"]], "example_text": row["text_min"], "example_id": row["id_min"]}
        for row in table.to_pylist()
    ]
    return sorted(rows, key=lambda row: (-row["count"], row["reason"], row["measurement"] or ""))


# --- running ---------------------------------------------------------------------------------------------------------


class _Run:
    """An engine with an input open in it, and what has been computed so far."""

    def __init__(self, engine: Engine, layout: Layout, selection: Selection, parameters: dict[str, object]) -> None:
        self.engine, self.layout, self.selection, self.parameters = engine, layout, selection, parameters
        self.compiler: Judge
        self.repeated = False
        self.exact = False
        self.naive = layout.zone == "UTC"

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
        records: bool = False,
    ) -> _Run:
        """Find the input, allow its files, lock the engine, and learn the input's layout."""
        now = datetime.now(UTC) if clock is None else parse_time(clock, "clock")
        parameters: dict[str, object] = {"clock": now.replace(tzinfo=None)}
        if as_of is not None:
            parameters["as_of"] = parse_time(as_of, "as-of").replace(tzinfo=None)
        for name, values in (("workspace", selection.workspaces), ("universe", selection.universes)):
            parameters |= {f"{name}_{n}": value for n, value in enumerate(values)}
        checked_zone = _zone(zone)
        engine = machine.engine()
        try:
            found = find_input(given, engine.directory)
            engine.lock_down(found.paths if isinstance(found, Files) else [])
            layout = open_source(engine, found, records=records, map=map, zone=checked_zone, generate_ids=generate_ids)
            if as_of is not None and "metered_at" not in layout.columns:
                raise SchemaError(
                    found.name, "metered_at", found="no such column", expected="when each event entered, for --as-of",
                    hint="--map metered_at=COLUMN",
                )
            run = cls(engine, layout, selection, parameters)
            run.naive = zone is None
            return run
        except BaseException:
            engine.close()
            raise

    def judge_records(self, compiler: RecordCompiler) -> None:
        """Records: where no aggregation is chosen for all, look which ones they have."""
        if compiler.aggregation is None:
            table = self.engine.table(self.query(compiler.aggregations_query()))
            compiler = compiler.with_found([(row["aggregation"], row["unit"]) for row in table.to_pylist()])
        self.compiler = compiler

    def query(self, query: Query) -> Query:
        """A query with this run's values."""
        return replace(query, parameters=self.parameters)

    def deduplication(self) -> tuple[Query, Query]:
        """The two queries of deduplicate."""
        return deduplication_queries(self.compiler.arrivals())

    def deduplicate(self) -> None:
        """Find the keys that occur more than once (R8), and settle which of their rows count."""
        repeated_keys, settled = self.deduplication()
        self.engine.fill(self.query(repeated_keys))
        self.repeated = self.engine.count("repeated_keys") > 0
        if self.repeated:
            self.engine.fill(self.query(settled))

    def accounting(self) -> Accounting:
        """The books of `counted` and `settled` (R9)."""
        rows = self.engine.rows(
            "SELECT status, CAST(sum(events) AS BIGINT), CAST(sum(times_cut) AS BIGINT), CAST(sum(times_naive) AS BIGINT) "
            "FROM counted GROUP BY status"
        )
        status = {row[0]: row[1] for row in rows}
        lost = {"duplicate": 0, "conflict": 0}
        if self.repeated:
            lost |= dict(self.engine.rows("SELECT verdict, count(*) FROM settled WHERE verdict <> 'kept' GROUP BY verdict"))
        rejected = status.get("rejected", 0)
        unmatched = status.get("unmatched-entry", 0) + status.get("unmatched-filter", 0)
        metered = status.get("metered", 0)
        return Accounting(
            read=metered + unmatched + rejected + lost["duplicate"] + lost["conflict"],
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

    def _reasons(self) -> dict[str, int]:
        """How many were rejected for each reason."""
        rejects = self.rejects()
        grouped = Stage("reasons", "how many for each reason", "SELECT reason, count(*) AS events FROM rejects GROUP BY reason ORDER BY reason")
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
        notices = []
        if accounting.times_naive and self.naive:
            notices.append(f"{accounting.times_naive:,} times had no offset and were taken as UTC. hint: --assume-timezone ZONE")
        if accounting.times_cut:
            notices.append(f"{accounting.times_cut:,} times were finer than a microsecond and were cut toward the past (R11).")
        return notices

    def count_events(self, totals: Totals) -> None:
        """Fill `counted`, adding sums in two parts if one passes 38 digits on its way."""
        self.engine.fill(self.query(totals.counted(self.compiler.judged(repeated=self.repeated))))

    # --- results ----------------------------------------------------------------------------------------------------

    def records(self, *, bundled: bool, strict: bool) -> Result:
        """A result whose rows are a query over the input."""
        compiler = self.compiler
        assert isinstance(compiler, Compiler)
        counting = Totals((), NO_WINDOW)

        def prepare() -> Accounting:
            self.deduplicate()
            self.count_events(counting)
            plan.rows = self.query(records_query(compiler, repeated=self.repeated, bundled=bundled))
            return self.accounting()

        def script() -> list[Query]:
            last = records_query(compiler, repeated=True, bundled=bundled)
            return [*self.deduplication(), counting.counted(compiler.judged(repeated=True)), last]

        script()
        plan = self._plan("record-bundle" if bundled else "record", prepare, script)
        return Result(self.engine, plan, _strictly if strict else None)

    def readings(self, shape: Totals, *, bundled: bool, strict: bool) -> Result:
        """A result whose rows are the table `readings`."""

        def totals() -> Totals:
            return replace(shape, slots=tuple(self.compiler.slots), exact=self.exact)

        def compute() -> None:
            self.count_events(totals())
            for query in totals().gauge_queries(self.compiler.judged(repeated=self.repeated)):
                self.engine.fill(self.query(query))
            self.engine.fill(self.query(totals().readings()))

        def prepare() -> Accounting:
            self.deduplicate()
            try:
                compute()
            except Overflow:
                self.exact = True
                compute()
            self._check_overflow()
            plan.rows = reading_rows(bundled)
            return self.accounting()

        def script() -> list[Query]:
            judged = self.compiler.judged(repeated=True)
            counted = totals().counted(judged)
            return [*self.deduplication(), counted, *totals().gauge_queries(judged), totals().readings(), reading_rows(bundled)]

        script()
        plan = self._plan("reading-bundle" if bundled else "reading", prepare, script)
        return Result(self.engine, plan, _strictly if strict else None)

    def _plan(self, shape: str, prepare: Callable[[], Accounting], script: Callable[[], list[Query]]) -> Plan:
        return Plan(shape, prepare, self.rejects, self.conflicts, script, self.script_text, self.notices)

    def _check_overflow(self) -> None:
        """A reading whose quantity does not fit is no reading, but an error that says whose (R18)."""
        rows = self.engine.rows(
            "SELECT unit, subject, aggregation, window_start AT TIME ZONE 'UTC', window_end AT TIME ZONE 'UTC' FROM readings "
            "WHERE quantity IS NULL ORDER BY workspace_id, universe_id, subject, unit, window_start LIMIT 1"
        )
        for unit, subject, aggregation, start, end in rows:
            window = f"[{format_time(start.replace(tzinfo=UTC))}, {format_time(end.replace(tzinfo=UTC))})"
            raise QuantityOverflow(
                f"reading: found a {aggregation} of {unit!r} for {subject!r} in {window} with more digits than its DECIMAL; "
                "expected at most 38 together with the result scale. hint: a smaller --scale, or a larger unit"
            )

    def script_text(self, queries: Iterable[Query]) -> str:
        """Queries as one SQL script with this run's values in it."""
        *before, last = [self.query(query) for query in queries]
        parts = ["-- Made by metering-duck. Runs as it stands in the DuckDB shell.\nSET TimeZone = 'UTC';", load_text("functions").strip()]
        parts += [f"CREATE OR REPLACE TEMP TABLE {q.name} AS\n{with_values(q.sql, q.parameters)};" for q in before]
        return "\n\n".join([*parts, with_values(last.sql, last.parameters) + ";"]) + "\n"


READING_ORDER = "universe_id, workspace_id NULLS FIRST, subject, unit, aggregation, CAST(dimensions AS VARCHAR), window_start"


def reading_rows(bundled: bool) -> Query:
    """The readings in the order of their keys; bundled, all values of one subject and window together."""
    if not bundled:
        return Query("readings", (Stage("readings_in_order", "the readings, in the order of their keys", f"SELECT * FROM readings\nORDER BY {READING_ORDER}"),))
    sql = (
        "SELECT\n"
        "    digest(string_agg(id, '' ORDER BY unit, aggregation)) AS id,\n"
        "    workspace_id,\n    universe_id,\n    subject,\n    window_start,\n    window_end,\n    dimensions,\n"
        "    list({'quantity': quantity, 'unit': unit, 'aggregation': aggregation, 'record_count': record_count} ORDER BY unit, aggregation) AS computed_values,\n"
        "    CASE WHEN count(DISTINCT aggregation) = 1 THEN any_value(aggregation) END AS aggregation,\n"
        "    CAST(sum(record_count) AS BIGINT) AS record_count,\n    max(max_metered_at) AS max_metered_at,\n    any_value(created_at) AS created_at\n"
        "FROM readings\nGROUP BY workspace_id, universe_id, subject, window_start, window_end, dimensions\n"
        "ORDER BY universe_id, workspace_id NULLS FIRST, subject, CAST(dimensions AS VARCHAR), window_start"
    )
    return Query("readings", (Stage("bundles", "one reading per subject and window, its values together", sql),))


def _strictly(result: Result) -> None:
    accounting = result.accounting
    if accounting.rejected or accounting.conflicts:
        raise RejectedEvents(
            f"strict: found {accounting.rejected:,} rejected and {accounting.conflicts:,} in conflict; expected none. "
            "hint: --rejects FILE and --conflicts FILE list them",
            result,
        )
