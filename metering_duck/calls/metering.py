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
    check_aggregations,
    check_result_shape,
    checked_config,
    column_of,
    names_of,
    periods_of,
    promise_of,
    prorated_notices,
    reach_of,
    types_of,
    universes_of,
    zone_of,
)
from metering_duck.contract import aggregations
from metering_duck.contract.config import ConfigLike
from metering_duck.contract.schemas import EVENT_SCHEMA
from metering_duck.engine.duckdb import Progress
from metering_duck.errors import ConfigError
from metering_duck.inputs.foreign_shapes import shape_of
from metering_duck.inputs.input import Rows as GivenRows
from metering_duck.judging.arrivals import Selection
from metering_duck.judging.events import Compiler
from metering_duck.judging.given_records import RecordCompiler
from metering_duck.readings.filling import FILLS
from metering_duck.readings.series import Totals
from metering_duck.runs.machine import Machine, Moment
from metering_duck.runs.results import Result
from metering_duck.runs.rows import Rows
from metering_duck.runs.run import Run

# What SQL that is made for no events in particular reads.
EVENTS_FILE = GivenRows(
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
        types=types_of(event_type, events),
    )
    if records is None and loaded is not None:
        check_aggregations(loaded, chosen)
    # What records are aggregated by is known only when they are read.
    reach = reach_of(loaded, chosen, fill) if records is None else "all"
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
            run.remarks += prorated_notices(loaded, chosen)
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
