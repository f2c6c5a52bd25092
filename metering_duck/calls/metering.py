"""The public functions meter, aggregate, periods and compile_sql. They check their arguments and make a Result,
which runs the queries when it is read.

    events → fields → arrivals → accepted → projected → quantified → judged → records, or counted and gauged → readings
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from metering_duck.calls.arguments import (
    WINDOWED,
    TextOrTexts,
    aggregation_of,
    check_aggregations,
    check_result_shape,
    checked_config,
    fill_of,
    machine_of,
    moment_of,
    names_of,
    periods_of,
    source_of,
    zone_of,
)
from metering_duck.calls.engines import (
    check_no_cluster,
    cluster_of,
    readings_here,
    readings_of_cluster,
    readings_of_records,
)
from metering_duck.calls.idle_options import idle_reading
from metering_duck.calls.notices import made_of_some
from metering_duck.contract.config import ConfigLike, load_config
from metering_duck.contract.idle_keys import dead_filters
from metering_duck.contract.schemas import EVENT_SCHEMA
from metering_duck.engine.progress import Progress
from metering_duck.errors import ConfigError
from metering_duck.inputs.assumed_file import assumed_file
from metering_duck.inputs.fields import field_names
from metering_duck.inputs.foreign_shapes import shape_of
from metering_duck.inputs.mapping import FieldMap
from metering_duck.inputs.source import Source
from metering_duck.runs.local import LocalRecords, compiler_of
from metering_duck.runs.machine import GivenTime, Machine
from metering_duck.runs.opening import closed_on_failure, open_input
from metering_duck.runs.question import Question
from metering_duck.runs.results import Result, result_of
from metering_duck.runs.rows import Rows
from metering_duck.windows.periods import periods_query


def meter(
    events: Any,
    config: ConfigLike,
    *,
    from_: str | None = None,
    map: Mapping[str, Any] | None = None,
    workspace: TextOrTexts = None,
    universe: TextOrTexts = None,
    event_type: TextOrTexts = None,
    map_universe: Mapping[str, str] | None = None,
    as_of: GivenTime = None,
    bundled: bool = False,
    clock: GivenTime = None,
    assume_timezone: str | None = None,
    generate_ids: bool = False,
    assume_unique: bool = False,
    folder_keys: bool | None = None,
    binary_as_text: bool = False,
    strict: bool = False,
    threads: int | None = None,
    memory_limit: str | None = None,
    temp_dir: str | PathLike[str] | None = None,
    verify_files: bool = False,
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
            `folder_keys` says whether the names of Hive folders are columns, where a file has a column of such a name;
            `binary_as_text` takes columns of bytes as text in UTF-8. `verify_files` fetches objects once more, to prove
            them whole as files of this machine always are (R35).
    Exact:  a quantity is kept digit by digit or its event is rejected (R5).
    Raises: ConfigError, SchemaError, SourceError; RejectedEvents when `strict` and any is rejected or in conflict.
    SQL:    repeated_keys, verdicts, and the stages `compile_sql` shows.
    Source: metering-spec "Metered usage record", R1–R9.
    """
    loaded = checked_config(config)
    source = source_of(
        from_=from_,
        map=map,
        assume_timezone=assume_timezone,
        generate_ids=generate_ids,
        assume_unique=assume_unique,
        folder_keys=folder_keys,
        binary_as_text=binary_as_text,
        map_universe=map_universe,
        event_type=event_type,
    )
    question = Question(
        workspaces=names_of(workspace, "workspace"),
        types=names_of(event_type, "event_type"),
        universes=names_of(universe, "universe"),
        as_of=moment_of(as_of, "as-of"),
        clock=moment_of(clock, "clock"),
        bundled=bundled,
        strict=strict,
    )
    opened = open_input(machine_of(threads, memory_limit, temp_dir, progress, verify_files), events, source, question)
    with closed_on_failure(opened.engine):
        opened = opened.noting([*dead_filters(loaded), *idle_reading(source), *made_of_some(question)])
        return result_of(opened, LocalRecords(opened, compiler_of(loaded, opened)), "record")


def aggregate(
    events: Any = None,
    config: ConfigLike | None = None,
    *,
    records: Any = None,
    aggregation: str | None = None,
    start: GivenTime = None,
    end: GivenTime = None,
    every: str | None = None,
    timezone: str | None = None,
    anchor: GivenTime = None,
    windows: Any = None,
    subscriptions: Any = None,
    whole_periods: bool = False,
    fill: str = "none",
    group_by: TextOrTexts = None,
    workspace: TextOrTexts = None,
    universe: TextOrTexts = None,
    event_type: TextOrTexts = None,
    map_universe: Mapping[str, str] | None = None,
    subject: TextOrTexts = None,
    time_partition: str | None = None,
    across_workspaces: bool = False,
    as_of: GivenTime = None,
    scale: int | None = None,
    digits: int | None = None,
    bundled: bool = False,
    from_: str | None = None,
    map: Mapping[str, Any] | None = None,
    clock: GivenTime = None,
    assume_timezone: str | None = None,
    generate_ids: bool = False,
    assume_unique: bool = False,
    folder_keys: bool | None = None,
    binary_as_text: bool = False,
    strict: bool = False,
    threads: int | None = None,
    memory_limit: str | None = None,
    temp_dir: str | PathLike[str] | None = None,
    verify_files: bool = False,
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
            meter(); of records it says what they were made with, which is part of ids, and chooses none.
            `from_`, `folder_keys`, `binary_as_text` and `verify_files` are as in meter().
            `engine` is duckdb, or spark, where `events` may be a Spark DataFrame, `master` is the cluster's URL, and
            `memory_limit` is each task's.
    Exact:  sums and extremes as they are; averages rounded once, half to even, to `scale` fraction digits (18), or to
            `digits` significant ones, which makes quantity a text.
    Raises: ConfigError, SchemaError, SourceError; on reading also QuantityOverflow; RejectedEvents when `strict`.
    SQL:    repeated_keys, verdicts, spans, weighted, averages, readings, and the stages `compile_sql` shows.
    Source: metering-spec "Aggregation Strategies", R10–R22.
    """
    _check_given(events, config, records)
    loaded = None if config is None else checked_config(config)
    source = source_of(
        from_=from_,
        map=map,
        assume_timezone=assume_timezone,
        generate_ids=generate_ids,
        assume_unique=assume_unique,
        folder_keys=folder_keys,
        binary_as_text=binary_as_text,
        map_universe=map_universe,
        event_type=event_type,
        time_partition=time_partition,
        is_records=events is None,
    )
    check_result_shape(scale, digits)
    question = Question(
        periods=periods_of(start, end, every, timezone, anchor, windows, subscriptions, whole_periods),
        aggregation=aggregation_of(aggregation),
        fill=fill_of(fill),
        group_by=names_of(group_by, "group_by"),
        workspaces=names_of(workspace, "workspace"),
        types=names_of(event_type, "event_type"),
        universes=names_of(universe, "universe"),
        subjects=names_of(subject, "subject"),
        across_workspaces=across_workspaces,
        scale=scale,
        digits=digits,
        as_of=moment_of(as_of, "as-of"),
        clock=moment_of(clock, "clock"),
        bundled=bundled,
        strict=strict,
    )
    machine = machine_of(threads, memory_limit, temp_dir, progress, verify_files)
    if events is None or loaded is None:
        check_no_cluster(engine, master)
        return readings_of_records(records, loaded, source, question, machine)
    check_aggregations(loaded, question.aggregation)
    cluster = cluster_of(engine, master, events, source)
    if cluster is None:
        return readings_here(events, loaded, source, question, machine)
    return readings_of_cluster(cluster, events, loaded, source, question, machine)


def periods(
    *,
    start: GivenTime = None,
    end: GivenTime = None,
    every: str | None = None,
    timezone: str | None = None,
    anchor: GivenTime = None,
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
    question = Question(periods_of(start, end, every, timezone, anchor, windows, subscriptions, whole_periods))
    opened = open_input(Machine(), EVENT_SCHEMA.empty_table(), Source(), question)
    return Rows(opened.engine, opened.query(periods_query(opened.windows)), "period")


def compile_sql(
    config: ConfigLike,
    events: Any = None,
    *,
    stage: str | None = None,
    explain: bool = False,
    **options: Any,
) -> str:
    """The SQL that a config becomes: the whole script, or one stage of it; nothing is run.

    With `explain` a page in plain words stands above it, in comments: what counts, what is left out, and why.

    With `start` and `end` it is the SQL of aggregate, without them that of meter. Without events, they are taken to lie
    in `events.parquet` with properties as a MAP, and times as TIMESTAMPs with or without a time zone.

    Raises: ConfigError; for an unknown `stage`, with the stages there are.
    """
    if events is None and shape_of(options.get("from_")):
        raise ConfigError("from: found it without events; expected some, since their SQL depends on how they lie.")
    given = _assumed(options) if events is None else events
    if all(options.get(name) is None for name in ("start", "end", "windows", "subscriptions")):
        for name in WINDOWED:
            if options.get(name) is not None:
                raise ConfigError(f"{name}: found it without a window; expected start and end beside it.")
        result = meter(given, config, **options)
    else:
        result = aggregate(given, config, **options)
    with result:
        page = ""
        if explain:
            from metering_duck.calls.explaining import comment_of

            page = comment_of(load_config(config), result.opened)
        return page + (result.sql if stage is None else result.stage_sql(stage))


def _assumed(options: Mapping[str, Any]) -> Any:
    """The file of events that nobody gave, its times by the zone and in the column that the options say."""
    mapped = FieldMap(options.get("map"), field_names(records=False)).columns
    return assumed_file(zone_of(options.get("assume_timezone")), mapped.get("time", "time"))


def _check_given(events: Any, config: ConfigLike | None, records: Any) -> None:
    """Refuse events beside records, neither of them, and events without a config.

    Raises: ConfigError.
    """
    if (events is None) == (records is None):
        found = "neither events nor records" if events is None else "events and records"
        raise ConfigError(f"aggregate: found {found}; expected one of them.")
    if events is not None and config is None:
        raise ConfigError("config: found none; expected one, since events were given. hint: --config FILE")
