"""The public functions: meter, aggregate, periods, check and compile_sql. They check what they are given, then plan; a
Result runs the plan.

    events → fields → arrivals → accepted → projected → quantified → judged → records, or counted and gauged → readings
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from os import PathLike
from typing import Any

from metering_duck.calls.arguments import (
    ENGINES,
    WINDOWED,
    Names,
    check_result_shape,
    column_of,
    names_of,
    periods_of,
    promise_of,
    universes_of,
    zone_of,
)
from metering_duck.contract import aggregations
from metering_duck.contract.config import ConfigLike, MeteringConfig, load_config
from metering_duck.contract.schemas import EVENT_SCHEMA, REASONS
from metering_duck.decimals.columns import DecimalType, common_type
from metering_duck.engine.duckdb import Progress, pattern_faults
from metering_duck.errors import ConfigError
from metering_duck.inputs import files as inputs
from metering_duck.inputs.foreign_shapes import shape_of
from metering_duck.inputs.layout import Reach
from metering_duck.judging.events import Compiler, Selection, place
from metering_duck.judging.given_records import RecordCompiler
from metering_duck.readings.filling import FILLS
from metering_duck.readings.totals import Totals
from metering_duck.runs.results import Result
from metering_duck.runs.rows import Rows
from metering_duck.runs.run import NO_WINDOW, Machine, Moment, Run
from metering_duck.statements.select import select

# What SQL that is made for no events in particular reads.
EVENTS_FILE = inputs.Rows(
    EVENT_SCHEMA.empty_table(), "events.parquet", rereadable=True, in_shell="read_parquet('events.parquet')"
)


def meter(
    events: Any,
    config: ConfigLike,
    *,
    from_: str | None = None,
    map: Mapping[str, Any] | None = None,
    workspace: Names = None,
    universe: Names = None,
    event_type: Names = None,
    map_universe: Mapping[str, str] | None = None,
    as_of: Moment = None,
    bundled: bool = False,
    clock: Moment = None,
    assume_timezone: str | None = None,
    generate_ids: bool = False,
    assume_unique: bool = False,
    strict: bool = False,
    threads: int | None = None,
    memory_limit: str | None = None,
    temp_dir: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Result:
    """Meter events into records: what each event measured, once, exactly.

    Shape:  one row per event and measurement (RECORD_SCHEMA), or per event with `bundled` (RECORD_BUNDLE_SCHEMA).
    Units:  `clock` is metered_at where events have none; `as_of` compares with metered_at, both UTC.
            `assume_unique` promises that no id occurs twice: nothing is looked for, and a notice says so.
            `map_universe` gives universes other names, before anything else is looked at: {"production": "legacy"}.
            `event_type` leaves out what has another type, as if it were not there: an id that came under another type,
            too, is not compared with it.
            `from_` names the system whose events these are: cloudevents, openmeter, lago or stripe.
    Exact:  a quantity is kept digit by digit or its event is rejected (R5).
    Raises: ConfigError, SchemaError, SourceError; RejectedEvents when `strict` and any is rejected or in conflict.
    SQL:    repeated_keys, verdicts, and the stages `compile_sql` shows.
    Source: metering-spec "Metered usage record", R1–R9.
    """
    loaded, shape = checked_config(config), shape_of(from_)
    machine = Machine(threads, memory_limit, temp_dir, progress)
    types = names_of(event_type, "event_type")
    selection = Selection(
        names_of(workspace, "workspace"), names_of(universe, "universe"), as_of=as_of is not None, types=types
    )
    run = Run.open(
        machine,
        events,
        selection,
        clock=clock,
        as_of=as_of,
        map=map,
        zone=zone_of(assume_timezone),
        generate_ids=generate_ids,
        unique=promise_of(assume_unique, "assume-unique"),
        universes=universes_of(map_universe),
        shape=shape,
    )
    try:
        return run.records(Compiler(loaded, run.layout, selection), bundled=bundled, strict=strict)
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
    timezone: str | None = None,
    anchor: Moment = None,
    windows: Any = None,
    subscriptions: Any = None,
    whole_periods: bool = False,
    fill: str = "none",
    group_by: Names = None,
    workspace: Names = None,
    universe: Names = None,
    event_type: Names = None,
    map_universe: Mapping[str, str] | None = None,
    subject: Names = None,
    time_partition: str | None = None,
    across_workspaces: bool = False,
    as_of: Moment = None,
    scale: int | None = None,
    digits: int | None = None,
    bundled: bool = False,
    from_: str | None = None,
    map: Mapping[str, Any] | None = None,
    clock: Moment = None,
    assume_timezone: str | None = None,
    generate_ids: bool = False,
    assume_unique: bool = False,
    strict: bool = False,
    threads: int | None = None,
    memory_limit: str | None = None,
    temp_dir: str | PathLike[str] | None = None,
    progress: Progress | None = None,
    engine: str = "duckdb",
    master: str | None = None,
) -> Result:
    """Aggregate events (with a config) or records (which need none) into readings.

    Shape:  one row per workspace, universe, subject, unit, aggregation, dimensions and window (READING_SCHEMA; R10).
    Units:  `start` and `end` are half-open, on the clocks of `timezone` where they have no offset; `every` cuts them:
            hour, day, week, week-sunday, month, quarter, year, or an ISO 8601 duration, from an `anchor` if given.
            `windows` lists windows instead; `subscriptions` gives each subject its own periods. `whole_periods` keeps
            the periods that begin in the window and cuts none. `fill` is none, zero or carry. `time_partition` names
            the Hive column that has the UTC date of each event's time: files that the window does not need are not
            read. `assume_unique` promises that no id occurs twice. Both are the caller's word. `event_type` is as in
            meter().
            `from_` names the system whose events these are: cloudevents, openmeter, lago or stripe.
            `engine` is duckdb, or spark, where `events` may be a Spark DataFrame, `master` is the cluster's URL, and
            `memory_limit` is each task's.
    Exact:  sums and extremes as they are; averages rounded once, half to even, to `scale` fraction digits (18), or to
            `digits` significant ones, which makes quantity a text.
    Raises: ConfigError, SchemaError, SourceError; on reading also QuantityOverflow; RejectedEvents when `strict`.
    SQL:    repeated_keys, verdicts, spans, weighted, averages, readings, and the stages `compile_sql` shows.
    Source: metering-spec "Aggregation Strategies", R10–R22.
    """
    if (events is None) == (records is None):
        found = "neither events nor records" if events is None else "events and records"
        raise ConfigError(f"aggregate: found {found}; expected one of them.")
    if events is not None and config is None:
        raise ConfigError("config: found none; expected one, since events were given. hint: --config FILE")
    theirs = shape_of(from_)
    if theirs and events is None:
        raise ConfigError(f"from: found {from_!r} with records; expected events. hint: records have one shape")
    loaded = None if config is None else checked_config(config)
    chosen = None if aggregation is None else aggregations.canonical(aggregation, "aggregation")
    periods_given = periods_of(start, end, every, timezone, anchor, windows, subscriptions, whole_periods)
    check_result_shape(scale, digits)
    if fill not in FILLS:
        raise ConfigError(f"fill: found {fill!r}; expected one of {', '.join(FILLS)}.")
    groups, subjects = names_of(group_by, "group_by"), names_of(subject, "subject")
    selection = Selection(
        names_of(workspace, "workspace"),
        names_of(universe, "universe"),
        subjects,
        as_of is not None,
        types=_types_of(event_type, events),
    )
    if records is None and loaded is not None:
        _need_aggregations(loaded, chosen)
    # What records are aggregated by is known only when they are read.
    reach = _reach(loaded, chosen, fill) if records is None else "all"
    partition = None if time_partition is None else (column_of(time_partition, "time-partition"), reach)
    machine = Machine(threads, memory_limit, temp_dir, progress)
    run = _opener(engine, master, events, generate_ids=generate_ids)(
        machine,
        records if events is None else events,
        selection,
        records=events is None,
        periods=periods_given,
        clock=clock,
        as_of=as_of,
        map=map,
        zone=zone_of(assume_timezone),
        generate_ids=generate_ids,
        unique=promise_of(assume_unique, "assume-unique"),
        universes=universes_of(map_universe),
        shape=theirs,
        partition=partition,
    )
    try:
        shape = Totals((), run.windows, across_workspaces, len(subjects), scale, digits, fill)
        run.parameters |= {f"subject_{n}": name for n, name in enumerate(subjects)}
        if loaded is not None and records is None:
            run.remarks += _whole_ones(loaded, chosen)
            return run.readings(
                Compiler(loaded, run.layout, selection, chosen, groups), shape, bundled=bundled, strict=strict
            )
        of_records = RecordCompiler(loaded, run.layout, selection, chosen, groups, (chosen,) if chosen else ())
        return run.readings(of_records, shape, bundled=bundled, strict=strict)
    except BaseException:
        run.engine.close()
        raise


def periods(
    *,
    start: Moment = None,
    end: Moment = None,
    every: str | None = None,
    timezone: str | None = None,
    anchor: Moment = None,
    windows: Any = None,
    subscriptions: Any = None,
    whole_periods: bool = False,
) -> Rows:
    """The windows that aggregate() would cut with the same arguments, so that a person can check them.

    Shape:  one row per subject and window: universe_id and subject (NULL where windows are for all), window_index from
            0, window_start and window_end in UTC, local_start and local_end as the clocks of `zone` show them.
    Units:  hours, rounded to 6 digits; length_us is exact.
    Raises: ConfigError for an unknown zone or interval, and for periods that are inverted or overlap; SchemaError.
    SQL:    windows.
    Source: R11; RFC 5545, 3.3.5, for local times that clocks skip or show twice.
    """
    given = periods_of(start, end, every, timezone, anchor, windows, subscriptions, whole_periods)
    run = Run.open(
        Machine(),
        EVENT_SCHEMA.empty_table(),
        Selection(),
        clock=None,
        as_of=None,
        map=None,
        zone=None,
        generate_ids=False,
        periods=given,
    )
    return run.periods()


def check(config: ConfigLike, events: Any = None, **options: Any) -> dict[str, Any]:
    """What is wrong with a config, and with events under it; writes nothing.

    Shape:  {"problems": […], "warnings": […], "measurements": n} and, with events, also "accounting", "types" (events
            by type), "rejects" (counts by reason, measurement and text) and "notices".
    Raises: SchemaError and SourceError for events that cannot be read at all; ConfigError only for other options.
    """
    try:
        loaded = checked_config(config)
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
    if events is None and shape_of(options.get("from_")):
        raise ConfigError("from: found it without events; expected some, since their SQL depends on how they lie.")
    given = EVENTS_FILE if events is None else events
    if all(options.get(name) is None for name in ("start", "end", "windows", "subscriptions")):
        for name in WINDOWED:
            if options.get(name) is not None:
                raise ConfigError(f"{name}: found it without a window; expected start and end beside it.")
        result = meter(given, config, **options)
    else:
        result = aggregate(given, config, **options)
    with result:
        return result.sql if stage is None else result.stage_sql(stage)


def checked_config(config: ConfigLike) -> MeteringConfig:
    """A config whose regular expressions RE2 can read, which only the engine knows.

    Raises: ConfigError.
    """
    loaded = load_config(config)
    filters = [(f"{path}.filter", m.filter) for path, m in loaded.measurements if m.filter]
    patterns = dict(found for path, chosen in filters for found in chosen.patterns(path))
    faults = pattern_faults(set(patterns.values())) if patterns else {}
    problems = [
        f"{path}: found {pattern!r}; expected a regular expression as RE2 reads it. hint: {faults[pattern]}"
        for path, pattern in patterns.items()
        if pattern in faults
    ]
    if problems:
        raise ConfigError(problems)
    return loaded


# --- arguments -------------------------------------------------------------------------------------------------------


def _opener(engine: str, master: str | None, events: Any, *, generate_ids: bool) -> Callable[..., Run]:
    """What opens a run on an engine."""
    if engine not in ENGINES:
        raise ConfigError(f"engine: found {engine!r}; expected one of {', '.join(ENGINES)}.")
    if engine == "duckdb":
        if master is not None:
            raise ConfigError(f"master: found {master!r} without a cluster; expected the engine spark beside it.")
        return Run.open
    if events is None:
        raise ConfigError(f"engine: found {engine} with records; expected events. hint: leave the engine out")
    if generate_ids:
        raise ConfigError(
            f"generate-ids: found it with the engine {engine}, whose tasks do not see all rows that are equal; "
            "expected events with ids. hint: leave the engine out, or make ids where the events are written"
        )
    from metering_duck.spark.cluster import open_spark
    from metering_duck.spark.driver import DistributedRun

    return partial(DistributedRun.on, open_spark(master, events))


def _types_of(event_type: Names, events: Any) -> tuple[str, ...]:
    """The types that are asked for; records have none."""
    types = names_of(event_type, "event_type")
    if types and events is None:
        raise ConfigError(f"event-type: found {types[0]!r} with records, which have no type; expected events.")
    return types


def _need_aggregations(config: MeteringConfig, chosen: str | None) -> None:
    """Every measurement must have an aggregation, its own or the call's."""
    lacking = [path for path, measurement in config.measurements if not (chosen or measurement.aggregation)]
    if lacking:
        known = ", ".join((*aggregations.COUNTERS, *aggregations.GAUGES))
        fault = f"aggregation: found none; expected one of {known}. hint: --aggregation sum"
        raise ConfigError([f"{path}.{fault}" for path in lacking])
    for path, measurement in config.measurements:
        found = measurement.aggregated(chosen)
        if found is not None:
            aggregations.check_inner(found, f"{path}.aggregation")


def _reach(config: MeteringConfig | None, chosen: str | None, fill: str) -> Reach:
    """Which events the readings need."""
    if config is None or fill != "none":
        return "all"
    found = config.aggregated(chosen)
    if any(made.prorated for made in found):
        return "all"
    return "before" if any(made.is_gauge for made in found) else "window"


def _warnings(config: MeteringConfig) -> list[str]:
    """What is allowed but seldom meant."""
    warnings = []
    seen: dict[tuple[str, str], str] = {}
    for path, measurement in config.measurements:
        key = (path.rpartition(".")[0], measurement.unit)
        if key in seen:
            warnings.append(
                f"{path}: has the unit {measurement.unit!r} of {seen[key]}; where both match, they make one reading."
            )
        seen.setdefault(key, path)
        chosen = measurement.filter
        if chosen and (chosen.property,) == measurement.source_property and chosen.equals is not None:
            warnings.append(f"{path}.filter: tests the property it measures; only {chosen.equals!r} is ever counted.")
    try:
        slots = tuple(placed.slot for placed in place(config))
        _ = Totals(tuple(slot for slot in slots if slot.aggregation), NO_WINDOW).series
    except ConfigError as error:
        warnings.append(str(error))
    try:
        common_type((DecimalType(m.integer_digits, m.scale) for _, m in config.measurements), "measurements")
    except ConfigError as error:
        warnings.append(str(error))
    return warnings


def _whole_ones(config: MeteringConfig, chosen: str | None) -> list[str]:
    """What is split by time under sum only, and is whole under the aggregation that is chosen for all."""
    return [
        f"{path}: by-time is for sum; under {chosen} each quantity counts whole, at its recorded_at."
        for path, measurement in config.measurements
        if measurement.proration == "by-time" and (found := measurement.aggregated(chosen)) and not found.prorated
    ]


def _events_by_type(result: Result) -> list[dict[str, Any]]:
    """How many events of each type became what."""
    columns = {"type": "type", "status": "status", "events": "count(*)"}
    return result.inspect(
        "by_type",
        select(columns, "judged", group_by=["type", "status"], order_by=["type", "status"]),
    )


def _reject_counts(result: Result) -> list[dict[str, Any]]:
    """Rejects by reason, measurement and example."""
    table = result.rejects.group_by(["reason", "measurement"]).aggregate(
        [("reason", "count"), ("text", "min"), ("id", "min")]
    )
    rows = [
        {
            "reason": row["reason"],
            "measurement": row["measurement"],
            "count": row["reason_count"],
            "meaning": REASONS[row["reason"]],
            "example_text": row["text_min"],
            "example_id": row["id_min"],
        }
        for row in table.to_pylist()
    ]
    return sorted(rows, key=lambda row: (-row["count"], row["reason"], row["measurement"] or ""))
