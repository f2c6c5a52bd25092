"""Every message that a user can get, in one table: it names the place, what was found, what was expected, and how to
mend it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import metering_duck
from metering_duck import (
    ConfigError,
    Interrupted,
    LedgerError,
    MeteringError,
    QuantityOverflow,
    RejectedEvents,
    SchemaError,
    SourceError,
    StageError,
    aggregate,
    check,
    compile_sql,
    json_schema,
    load_config,
    meter,
)
from metering_duck.calls.allocating import allocate_column

Event = dict[str, Any]
ONE: Event = {
    "id": "e1",
    "workspaceID": "w",
    "universeID": "u",
    "type": "t",
    "subject": "c:1",
    "time": "2024-01-01T00:00:00Z",
    "properties": {"q": "1"},
    "meteredAt": "2024-01-01T00:00:00Z",
}
RECORD: Event = {
    "id": "r1",
    "workspaceID": "w",
    "universeID": "u",
    "subject": "c:1",
    "measurement": {"quantity": "1", "unit": "x"},
    "recordedAt": "2024-01-01T00:00:00Z",
    "sourceEventID": "e1",
    "meteredAt": "2024-01-01T00:00:00Z",
}
M = {"sourceProperty": "q", "unit": "x", "aggregation": "sum"}
CONFIG = {"measurements": [M]}
WINDOW = {"start": "2024-01-01", "end": "2024-02-01"}
AGGREGATIONS = (
    "sum, max, min, latest, first, count, avg, unique-count, time-weighted-avg, time-weighted-avg-known, peak-state, "
    "min-state, final-state, integral, integral-hours"
)
SUFFIXES = ".parquet, .pq, .ndjson, .jsonl, .json, .csv, .tsv, .arrow, .feather, .ipc"
ALL_MAPS = (
    "--map \"workspace_id='acme'\" --map \"universe_id='production'\" --map id=COLUMN --map \"type='api.request'\" "
    "--map subject=COLUMN --map time=COLUMN, or --generate-ids where events have no id"
)
ALL_FIELDS = "workspace_id (or workspaceID), universe_id (or universeID), id, type, subject, time"
KEYS = "known: id, meteredAt, properties, subject, time, and 3 more."


def table(**columns: Any) -> pa.Table:
    """One event as Arrow columns; None leaves one out."""
    fields = {
        "id": "e1",
        "workspace_id": "w",
        "universe_id": "u",
        "type": "t",
        "subject": "c",
        "time": ONE["time"],
        "q": "1",
    }
    return pa.table({k: [v] for k, v in {**fields, **columns}.items() if v is not None})


def file(name: str, content: bytes | str) -> str:
    """A file in the working folder."""
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def config_of(**keys: Any) -> Event:
    """A config of one measurement with other keys; ... leaves a key out."""
    return {"measurements": [{k: v for k, v in {**M, **keys}.items() if v is not ...}]}


def entries_of(*entries: Event) -> Event:
    """A catalog of entries with the one measurement."""
    return {"entries": [{**CONFIG, **entry} for entry in entries]}


def run(**options: Any) -> Any:
    """An aggregate of one event, read to its end."""
    with aggregate([ONE], CONFIG, **{**WINDOW, **options}) as readings:
        return readings.to_dicts()


def metered(events: Any, config: Any = CONFIG, **options: Any) -> Any:
    """Records, read to their end."""
    with meter(events, config, **options) as records:
        return records.to_dicts()


def records_of(records: Any, **options: Any) -> Any:
    """An aggregate of records, read to its end."""
    with aggregate(records=records, **{**WINDOW, **options}) as readings:
        return readings.to_dicts()


def part(folder: str, times: tuple[str, ...] = (ONE["time"],)) -> str:
    """A CSV file in folders of the working folder, with an event at each time."""
    os.makedirs(folder, exist_ok=True)
    rows = [f"e{n},w,u,t,c,{time},1" for n, time in enumerate(times)]
    return file(f"{folder}/a.csv", "\n".join(["id,workspace_id,universe_id,type,subject,time,q", *rows]) + "\n")


def partitioned(events: Any) -> Any:
    """An aggregate of what the partitions of January 2024 hold, read to its end."""
    with aggregate(events, CONFIG, time_partition="date", **WINDOW) as readings:
        return readings.to_dicts()


def two_streams() -> None:
    """Read two streams of records by turns."""
    count = 300_000
    ids = pa.array(range(count)).cast(pa.string())
    fields = {
        "workspace_id": "w",
        "universe_id": "u",
        "type": "t",
        "subject": "s",
        "time": "2024-01-01T00:00:00Z",
        "q": "1",
    }
    events = pa.table({"id": ids, **{name: pa.repeat(text, count) for name, text in fields.items()}})
    with metering_duck.meter(events, {"measurements": [M]}) as result:
        reader = result.to_reader()
        reader.read_next_batch()
        result.to_reader().read_next_batch()
        reader.read_next_batch()


def big(name: str, **options: Any) -> Any:
    """Two quantities of twenty nines each: their sum has 21 digits before the point."""
    events = [{**ONE, "id": f"e{n}", "properties": {"q": "9" * 20}} for n in range(2)]
    return aggregate(events, CONFIG, aggregation=name, **{**WINDOW, **options}).to_dicts()


Case = tuple[Callable[[], Any], type[MeteringError], str]

CONFIGS: dict[str, tuple[Any, str]] = {
    "no such file": (
        lambda: "nowhere.json",
        "nowhere.json: found no such file; expected a config in JSON. hint: --config FILE",
    ),
    "a folder": (lambda: ".", ".: cannot be read (Is a directory); expected a config in JSON, UTF-8."),
    "not JSON": (
        lambda: file("bad.json", "{"),
        "bad.json: is not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1)); "
        "expected an "
        "object. hint: see `metering-duck schema`",
    ),
    "JSON text": (
        lambda: '{"measurements": [',
        "config: is not JSON (Expecting value: line 1 column 19 (char 18)); expected an object. hint: see "
        "`metering-duck schema`",
    ),
    "not UTF-8": (
        lambda: file("latin.json", '{"a": "é"}'.encode("latin1")),
        "latin.json: cannot be read ('utf-8' codec can't decode byte 0xe9 in position 7: invalid continuation byte); "
        "expected a config in JSON, UTF-8.",
    ),
    "a key twice": (
        lambda: file("twice.json", '{"measurements": [{"unit": "a", "unit": "b"}]}'),
        'twice.json: found the key "unit" twice in one object; expected it once.',
    ),
    "no object": (
        lambda: file("five.json", "5"),
        "five.json: found 5; expected an object with measurements or entries.",
    ),
    "a number": (lambda: 5, "config: found an int; expected a path, a dict or a MeteringConfig."),
    "nothing": (lambda: None, "config: found None; expected a path, a dict or a MeteringConfig."),
    "empty": (
        dict,
        "config: found no measurements; expected at least one. hint: known: measurements, observations, entries.",
    ),
    "a typing error": (
        lambda: {"measurments": []},
        'config: found no measurements; expected at least one. hint: did you mean "measurements"?',
    ),
    "no measurement": (lambda: {"measurements": []}, "config: measurements: is empty; at least one is required."),
    "no list": (lambda: {"measurements": {}}, "config: measurements: found {}; expected a list."),
    "both spellings": (
        lambda: {"measurements": [M], "observations": [M]},
        "config: found measurements and observations; expected one of them.",
    ),
    "no measurement but a number": (
        lambda: {"measurements": [5]},
        "config: measurements[0]: found 5; expected an object.",
    ),
    "no entry": (lambda: {"entries": []}, "config: entries: is empty; at least one is required."),
    "a key beside entries": (
        lambda: {**entries_of({}), "extra": 1},
        "config: found extra beside the entries; expected only entries.",
    ),
    "a missing key": (lambda: config_of(unit=...), "config: measurements[0].unit: is missing; it is required."),
    "all at once": (
        lambda: {"measurements": [{"unit": ""}, {"sourceProperty": 5, "unit": "x"}]},
        "config: measurements[0].sourceProperty: is missing; it is required.\n"
        'config: measurements[0].unit: is empty; a unit is required, e.g. "tokens".\n'
        "config: measurements[1].sourceProperty: found 5; expected text. hint: property values are text, write "
        "it in quotes.",
    ),
    "the first five": (
        lambda: {"measurements": [{}] * 4},
        "".join(
            f"config: measurements[{n // 2}].{key}: is missing; it is required.\n"
            for n, key in enumerate(("sourceProperty", "unit", "sourceProperty", "unit", "sourceProperty"))
        )
        + "and 3 more",
    ),
    "in the later spelling": (
        lambda: {"observations": [{"sourceProperty": "q", "unit": ""}]},
        'config: observations[0].unit: is empty; a unit is required, e.g. "tokens".',
    ),
    "in a catalog": (
        lambda: {"entries": [{"measurements": [M, config_of(unit="")["measurements"][0]]}]},
        'config: entries[0].measurements[1].unit: is empty; a unit is required, e.g. "tokens".',
    ),
    "an empty source": (
        lambda: config_of(sourceProperty=""),
        "config: measurements[0].sourceProperty: is empty; some text is required.",
    ),
    "a key that is none": (
        lambda: config_of(filtr={}),
        'config: measurements[0].filtr: is not a key of this object. hint: did you mean "filter"?',
    ),
    "a key of an entry that is none": (
        lambda: entries_of({"typ": "a"}),
        'config: entries[0].typ: is not a key of this object. hint: did you mean "type"?',
    ),
    "half a filter": (
        lambda: config_of(filter={"property": "a"}),
        'config: measurements[0].filter: found "property" alone; expected a condition beside it, such as "equals".',
    ),
    "a filter of another kind": (
        lambda: config_of(filter=[]),
        "config: measurements[0].filter: found []; expected an object.",
    ),
    "a filter value that is no text": (
        lambda: config_of(filter={"property": "a", "equals": True}),
        "config: measurements[0].filter.equals: found true; expected text. hint: property values are text, write "
        "it in quotes.",
    ),
    "an unknown aggregation": (
        lambda: config_of(aggregation="summ"),
        'config: measurements[0].aggregation: found "summ"; expected an aggregation. hint: did you mean "sum"?',
    ),
    "an empty aggregation": (
        lambda: config_of(aggregation=""),
        "config: measurements[0].aggregation: found nothing; expected an aggregation. hint: known: sum, max, "
        "min, latest, "
        "first, and 21 more.",
    ),
    "too much precision": (
        lambda: config_of(precision=39),
        "config: measurements[0].precision: found 39; expected at most 38.",
    ),
    "no precision": (
        lambda: config_of(precision=0),
        "config: measurements[0].precision: found 0; expected at least 1.",
    ),
    "a precision in quotes": (
        lambda: config_of(precision="9"),
        'config: measurements[0].precision: found "9"; expected a whole number.',
    ),
    "more scale than precision": (
        lambda: config_of(precision=10, scale=11),
        "config: measurements[0]: scale 11 is more than precision 10; it may be at most that.",
    ),
    "a lone surrogate": (
        lambda: config_of(unit="x\ud800"),
        "config: measurements[0].unit: holds a lone surrogate, which is not text; expected Unicode text.",
    ),
    "a time that is none": (
        lambda: entries_of({"effectiveFrom": "yesterday"}),
        "config: entries[0].effectiveFrom: found 'yesterday'; expected a time such as \"2024-01-31T00:00:00Z\".",
    ),
    "a time that does not exist": (
        lambda: entries_of({"effectiveTo": "2024-02-30"}),
        'config: entries[0].effectiveTo: found "2024-02-30" (day is out of range for month); expected a time '
        "that exists.",
    ),
    "never in effect": (
        lambda: entries_of({"effectiveFrom": "2024-01-01", "effectiveTo": "2024-01-01"}),
        "config: entries[0]: effectiveTo is not after effectiveFrom; the entry would never be in effect.",
    ),
    "overlapping entries": (
        lambda: entries_of({"type": "a"}, {"type": "b"}, {"workspaceID": "w", "type": "a"}),
        "config: entries[0] and entries[2] could match the same event at the same time; expected one entry per "
        "workspace, "
        "type and moment.",
    ),
}

OPTIONS: dict[str, tuple[Event, str]] = {
    "no start": (
        {"start": None},
        "window: found no start; expected start and end. hint: --start 2024-01-01 --end 2024-02-01",
    ),
    "no end": (
        {"end": None},
        "window: found no end; expected start and end. hint: --start 2024-01-01 --end 2024-02-01",
    ),
    "no window": (
        {"start": None, "end": None},
        "window: found no start and end; expected both. hint: --start 2024-01-01 --end 2024-02-01",
    ),
    "empty": (
        {"end": "2024-01-01"},
        "window: found the empty window [2024-01-01T00:00:00Z, 2024-01-01T00:00:00Z); expected end after start.",
    ),
    "inverted": (
        {"end": "2023-01-01T00:00:00.5+01:00"},
        "window: found the inverted window [2024-01-01T00:00:00Z, 2022-12-31T23:00:00.5Z); expected end after start.",
    ),
    "start": ({"start": "yesterday"}, "start: found 'yesterday'; expected a time such as \"2024-01-31T00:00:00Z\"."),
    "start that does not exist": (
        {"start": "2024-02-30"},
        'start: found "2024-02-30" (day is out of range for month); expected a time that exists.',
    ),
    "every": (
        {"every": "dya"},
        "every: found 'dya'; expected hour, day, week, month, quarter, year, week-sunday or an ISO 8601 duration such "
        "as PT15M. hint: "
        "did you mean "
        '"day"?',
    ),
    "every in words": (
        {"every": "fortnight"},
        "every: found 'fortnight'; expected hour, day, week, month, quarter, year, week-sunday or an ISO 8601 duration "
        "such as PT15M. "
        "hint: known: "
        "hour, day, week, month, quarter, and 8 more.",
    ),
    "every of two kinds": (
        {"every": "P1MT1H"},
        "every: found 'P1MT1H', months together with days or hours; expected either months and years, or weeks "
        "to seconds.",
    ),
    "every without a length": (
        {"every": "PT0S"},
        "every: found 'PT0S', no length; expected either months and years, or weeks to seconds.",
    ),
    "every beyond time": ({"every": "P99999Y"}, "every: found 'P99999Y'; expected at most ten thousand years."),
    "aggregation": (
        {"aggregation": "summ"},
        'aggregation: found "summ"; expected an aggregation. hint: did you mean "sum"?',
    ),
    "aggregation far off": (
        {"aggregation": "xyz"},
        'aggregation: found "xyz"; expected an aggregation. hint: known: sum, max, min, latest, first, and 21 more.',
    ),
    "scale": ({"scale": 39}, "scale: found 39; expected 0 to 38 fraction digits."),
    "digits": ({"digits": 35}, "digits: found 35; expected 1 to 34 significant digits."),
    "scale and digits": ({"scale": 1, "digits": 1}, "scale: found digits beside it; expected one of the two."),
    "group_by": ({"group_by": ""}, "group_by: found ''; expected text that is not empty."),
    "group_by a quantity": (
        {"group_by": "q"},
        "group_by: found 'q', which the config measures; expected a dimension. hint: a property that is measured is no "
        "dimension (R6)",
    ),
    "workspace": ({"workspace": ""}, "workspace: found ''; expected text that is not empty."),
    "subject": ({"subject": [None]}, "subject: found None; expected text that is not empty."),
    "map of no field": (
        {"map": {"subjekt": "a"}},
        "map: found 'subjekt'; expected a field. hint: did you mean \"subject\"?",
    ),
    "map to nothing": (
        {"map": {"subject": ""}},
        "map: found subject=''; expected a column's name, or a constant such as \"'acme'\".",
    ),
    "clock": ({"clock": "now"}, "clock: found 'now'; expected a time such as \"2024-01-31T00:00:00Z\"."),
    "as-of": ({"as_of": "later"}, "as-of: found 'later'; expected a time such as \"2024-01-31T00:00:00Z\"."),
    "zone": (
        {"assume_timezone": "Berlin"},
        'assume-timezone: found "Berlin"; expected an IANA zone such as Europe/Berlin.',
    ),
    "promise": ({"assume_unique": "no"}, "assume-unique: found 'no'; expected True or False."),
    "memory limit": ({"memory_limit": "much"}, "memory-limit: found 'much'; expected a size such as 4GB."),
    "negative memory limit": ({"memory_limit": "-1GB"}, "memory-limit: found '-1GB'; expected a size such as 4GB."),
    "threads": ({"threads": 0}, "threads: found 0; expected a whole number above 0."),
    "temp-dir": ({"temp_dir": "nowhere"}, "temp-dir: found no directory nowhere; expected one that exists."),
}

CALLS: dict[str, Case] = {
    "neither": (
        lambda: aggregate(**WINDOW),
        ConfigError,
        "aggregate: found neither events nor records; expected one of them.",
    ),
    "both": (
        lambda: aggregate([ONE], CONFIG, records=[RECORD], **WINDOW),
        ConfigError,
        "aggregate: found events and records; expected one of them.",
    ),
    "events without a config": (
        lambda: aggregate([ONE], **WINDOW),
        ConfigError,
        "config: found none; expected one, since events were given. hint: --config FILE",
    ),
    "no aggregation": (
        lambda: aggregate([ONE], config_of(aggregation=...), **WINDOW),
        ConfigError,
        f"measurements[0].aggregation: found none; expected one of {AGGREGATIONS}. hint: --aggregation sum",
    ),
    "records without an aggregation": (
        lambda: records_of([RECORD]),
        ConfigError,
        f"records: found no aggregation for the unit 'x'; expected one of {AGGREGATIONS}. hint: --aggregation sum",
    ),
    "records of an unknown aggregation": (
        lambda: records_of([{**RECORD, "measurement": {"quantity": "1", "unit": "x", "aggregation": "summ"}}]),
        ConfigError,
        'records of \'x\': aggregation: found "summ"; expected an aggregation. hint: did you mean "sum"?',
    ),
    "events for records": (
        lambda: records_of([ONE], aggregation="sum"),
        SchemaError,
        "a list of objects: column recorded_at (or recordedAt), quantity, unit, source_event_id (or "
        "sourceEventID): found no "
        "such columns among id, meteredAt, properties, subject, time, type, universeID, workspaceID; expected "
        "one for each. "
        "hint: --map recorded_at=COLUMN --map quantity=COLUMN --map \"unit='tokens'\" --map source_event_id=COLUMN",
    ),
    "decimals that do not go together": (
        lambda: metered([ONE], {"measurements": [{**M, "unit": "a", "scale": 38}, {**M, "unit": "b", "scale": 0}]}),
        ConfigError,
        "measurements: found 38 digits before the point in one measurement and 38 behind it in another; expected "
        "at most 38 "
        "together. hint: narrow precision and scale, or use two runs",
    ),
    "strict": (
        lambda: metered([ONE, {**ONE, "properties": {"q": "2"}}, {**ONE, "id": "e2", "properties": {}}], strict=True),
        RejectedEvents,
        "strict: found 1 rejected and 1 in conflict; expected none. hint: --rejects FILE and --conflicts FILE "
        "list them",
    ),
    "two streams": (
        lambda: two_streams(),
        MeteringError,
        "run: found a stream of its rows that was not read to its end; expected one stream at a time. hint: read or "
        "delete it first, or take to_arrow()",
    ),
    "overflow of a sum": (
        lambda: big("sum"),
        QuantityOverflow,
        "reading: found a sum of 'x' for 'c:1' in [2024-01-01T00:00:00Z, 2024-02-01T00:00:00Z) with more digits "
        "than its "
        'DECIMAL; expected at most 38, those behind the point included. hint: "scale": 0 in the measurement '
        "together with "
        "--scale 0, or a larger unit",
    ),
    "stage": (
        lambda: compile_sql(CONFIG, stage="judgd"),
        ConfigError,
        "stage: found 'judgd'; expected one of input, named, fields, arrivals, repeated_keys, suspects, "
        "verdicts, accepted, "
        "matched, projected, plain, respelled, quantified, judged, windowed, counted, observed, unnested, records.",
    ),
    "an option of windows without one": (
        lambda: compile_sql(CONFIG, every="day"),
        ConfigError,
        "every: found it without a window; expected start and end beside it.",
    ),
    "schema": (
        lambda: json_schema("MeterRecrod"),
        ConfigError,
        "schema: found 'MeterRecrod'; expected a contract. hint: did you mean \"MeterRecord\"?",
    ),
    "format of a file": (
        lambda: meter([ONE], CONFIG).write("x.docx"),
        ConfigError,
        "x.docx: found the suffix '.docx'; expected a format. hint: known: .json, .ndjson, .jsonl, .csv, "
        ".parquet, and 5 more.",
    ),
    "format by name": (
        lambda: meter([ONE], CONFIG).write("x", format="cvs"),
        ConfigError,
        "format: found 'cvs'; expected one of json, ndjson, csv, parquet, arrow, xlsx. hint: did you mean \"csv\"?",
    ),
    "a folder that is not there": (
        lambda: meter([ONE], CONFIG).write("nowhere/x.csv"),
        SourceError,
        "nowhere/x.csv: cannot be written (No such file or directory); expected a folder that exists and may be "
        "written.",
    ),
    "a closed result": (
        lambda: closed().to_dicts(),
        MeteringError,
        "result: is closed; expected an open one. hint: read it inside its with statement",
    ),
    "weights": (
        lambda: allocate_column(splits(weight=[0])),
        ConfigError,
        "splits: found the split 's' with no one total, or with weights that are negative, all zero or more than 10^18 "
        "together; expected one total and whole weights.",
    ),
    "columns of splits": (
        lambda: allocate_column(pa.table({"a": [1]})),
        SchemaError,
        "splits: column split_id, part_key, total, weight: found no such columns among a; expected one for each. hint: "
        "split_id and part_key text, total DECIMAL(38, 18), weight BIGINT",
    ),
    "as-of without metered_at, in columns": (
        lambda: metered(table(), as_of="2024-01-01"),
        SchemaError,
        "a pyarrow Table: column metered_at: found no such column; expected when each event entered, for "
        "--as-of. hint: --map "
        "metered_at=COLUMN",
    ),
    "as-of without metered_at, in JSON": (
        lambda: metered([{k: v for k, v in ONE.items() if k != "meteredAt"}], as_of="2024-01-01"),
        SchemaError,
        "a list of objects: column metered_at: found no such column; expected when each event entered, for "
        "--as-of. hint: --map "
        "metered_at=COLUMN",
    ),
}


def closed() -> Any:
    """A result that is closed."""
    result = meter([ONE], CONFIG)
    result.close()
    return result


def splits(**columns: Any) -> pa.Table:
    """One split of one part."""
    total = pa.array([1], pa.decimal128(38, 18))
    return pa.table({"split_id": ["s"], "part_key": ["a"], "total": total, "weight": [1], **columns})


HERE = "{here}"
PLAIN_FILE = "expected a file that can be read to its end."
SOURCES: dict[str, tuple[Callable[[], Any], type[MeteringError], str]] = {
    "no such file": (
        lambda: "nowhere.parquet",
        SourceError,
        "nowhere.parquet: found no such file; expected a path, a folder, a glob, or - for standard input.",
    ),
    "a glob of nothing": (
        lambda: "*.nothing",
        SourceError,
        "*.nothing: found no such file; expected a path, a folder, a glob, or - for standard input.",
    ),
    "NUL": (lambda: "a\0b", SourceError, "input: found a NUL in the path 'a\\x00b'; expected a path."),
    "an empty folder": (
        lambda: os.makedirs("empty", exist_ok=True) or "empty",
        SourceError,
        f"empty: found no file with events in the folder; expected one of {SUFFIXES}.",
    ),
    "several formats": (
        lambda: [file("a.ndjson", "{}"), file("a.csv", "id\n1\n")],
        SourceError,
        "input: found files of several formats, csv (a.csv), ndjson (a.ndjson); expected one. hint: name them "
        "apart, e.g. "
        "'*.parquet'",
    ),
    "a short Parquet file": (
        lambda: file("bad.parquet", b"PAR1x"),
        SourceError,
        f"{HERE}/bad.parquet: cannot be read (Parquet file size is 5 bytes, smaller than the minimum file footer "
        "(8 bytes)); expected a Parquet file.",
    ),
    "a corrupt Parquet file": (
        lambda: file("bad.parquet", b"PAR1" + b"x" * 200 + b"PAR1"),
        SourceError,
        f"{HERE}/bad.parquet: cannot be read (Parquet file size is 208 bytes, smaller than the size reported by "
        "footer's (2021161080bytes)); expected a Parquet file.",
    ),
    "an empty CSV file": (
        lambda: file("empty.csv", ""),
        SourceError,
        f"{HERE}/empty.csv: is empty; expected a header line with the columns' names.",
    ),
    "a CSV file that is not UTF-8": (
        lambda: file("latin.csv", "id,workspace_id,universe_id,type,subject,time\né,w,u,t,s,x\n".encode("latin1")),
        SourceError,
        f"{HERE}/latin.csv: line 2 is not UTF-8; expected text in UTF-8.",
    ),
    "an NDJSON file that is not UTF-8": (
        lambda: file("latin.ndjson", '{"a": "b"}\n{"a": "é"}\n'.encode("latin1")),
        SourceError,
        f"{HERE}/latin.ndjson: line 2 is not UTF-8; expected text in UTF-8.",
    ),
    "a bad Arrow file": (
        lambda: file("bad.arrow", b"xx"),
        SourceError,
        f"{HERE}/bad.arrow: cannot be read (Corrupted message, only 2 bytes available); expected an Arrow IPC file.",
    ),
    "a bad gzip file": (
        lambda: file("bad.ndjson.gz", b"xx"),
        SourceError,
        f"{HERE}/bad.ndjson.gz: cannot be read (Input is not a GZIP stream); {PLAIN_FILE}",
    ),
    "a bad zstd file": (
        lambda: file("bad.csv.zst", b"xx"),
        SourceError,
        f"{HERE}/bad.csv.zst: cannot be read (ZSTD decompress failed: Unknown frame descriptor); expected a "
        f"readable file.",
    ),
    "an int": (
        lambda: 5,
        SourceError,
        "input: found an int; expected paths, an Arrow, Polars, pandas or DuckDB table, or a list of dicts.",
    ),
    "None": (
        lambda: None,
        SourceError,
        "input: found None; expected paths, an Arrow, Polars, pandas or DuckDB table, or a list of dicts.",
    ),
    "bytes": (
        lambda: b"{}",
        SourceError,
        "input: found bytes; expected paths, an Arrow, Polars, pandas or DuckDB table, or a list of dicts.",
    ),
    "an int in a list": (
        lambda: [ONE, 5],
        SourceError,
        "input: found an int in a list; expected dicts or EventPayload objects.",
    ),
    "a set in a dict": (
        lambda: [{**ONE, "properties": {"q": {1}}}],
        SourceError,
        "input: found a value of type set in an object; expected text, a number or a boolean.",
    ),
    "a tuple for a key": (
        lambda: [{**ONE, "properties": {("q",): 1}}],
        SourceError,
        "input: found a key of type tuple in an object; expected text.",
    ),
    "one column missing": (
        lambda: table(time=None),
        SchemaError,
        "a pyarrow Table: column time: found no such column among id, workspace_id, universe_id, type, subject, "
        "q; expected "
        "one. hint: --map time=COLUMN",
    ),
    "no id": (
        lambda: table(id=None),
        SchemaError,
        "a pyarrow Table: column id: found no such column among workspace_id, universe_id, type, subject, time, "
        "q; expected "
        "one. hint: --map id=COLUMN, or --generate-ids where events have no id",
    ),
    "all columns missing": (
        lambda: file("a.csv", "a\n1\n"),
        SchemaError,
        f"{HERE}/a.csv: column {ALL_FIELDS}: found no such columns among a; expected one for each. hint: {ALL_MAPS}",
    ),
    "all names missing in JSON": (
        lambda: file("a.ndjson", '{"a": 1}\n'),
        SchemaError,
        f"{HERE}/a.ndjson: column {ALL_FIELDS}: found no such columns among a; expected one for each. hint: {ALL_MAPS}",
    ),
    "many columns": (
        lambda: pa.table({f"c{n}": [1] for n in range(20)}),
        SchemaError,
        f"a pyarrow Table: column {ALL_FIELDS}: found no such columns among c0, c1, c2, c3, c4, c5, c6, c7, c8, "
        f"c9, c10, c11 "
        f"and 8 more; expected one for each. hint: {ALL_MAPS}",
    ),
    "a time of numbers": (
        lambda: table(time=1_704_067_200),
        SchemaError,
        "a pyarrow Table: column time: found BIGINT; expected TIMESTAMP, TIMESTAMPTZ or RFC 3339 text. hint: "
        "--map time=COLUMN "
        "names another; turn epoch numbers into timestamps first",
    ),
    "a subject of lists": (
        lambda: table(subject=[1]),
        SchemaError,
        "a pyarrow Table: column subject: found BIGINT[]; expected text. hint: --map subject=COLUMN names another",
    ),
    "a property of lists": (
        lambda: table(q=[1]),
        SchemaError,
        "a pyarrow Table: column q: found BIGINT[]; expected a scalar: text, a number, a boolean or a time. "
        "hint: --map "
        "properties=COLUMN,COLUMN names the columns to take",
    ),
    "properties of another kind": (
        lambda: table(properties=5),
        SchemaError,
        "a pyarrow Table: column properties: found BIGINT; expected MAP(VARCHAR, VARCHAR), STRUCT of scalars, or "
        "JSON text. "
        "hint: --map properties=COLUMN,COLUMN takes plain columns",
    ),
}

MAPS: dict[str, tuple[Event, str]] = {
    "a column": (
        {"subject": "nowhere"},
        f"a list of objects: column 'nowhere': found no such column; expected the column of subject. hint: {KEYS}",
    ),
    "a near column": (
        {"subject": "subjekt"},
        "a list of objects: column 'subjekt': found no such column; expected the column of subject. hint: did you mean "
        '"subject"?',
    ),
    "a property": (
        {"properties.q": "nowhere"},
        f"a list of objects: column 'nowhere': found no such column; expected a property's column. hint: {KEYS}",
    ),
}


def reading(call: Callable[..., Any], *given: Any, **options: Any) -> Callable[[], Any]:
    """A call to be made later."""
    return lambda: call(*given, **options)


# Windows, and tables of them.
PERIODS: dict[str, tuple[Event, type[MeteringError], str]] = {
    "timezone": (
        {"timezone": "Mars/X"},
        ConfigError,
        'timezone: found "Mars/X"; expected an IANA zone such as Europe/Berlin.',
    ),
    "anchor": (
        {"every": "P1M", "anchor": "soon"},
        ConfigError,
        "anchor: found 'soon'; expected a time such as \"2024-01-31T00:00:00Z\".",
    ),
    "anchor alone": (
        {"anchor": "2024-01-31"},
        ConfigError,
        "anchor: found one without an interval; expected every beside it. hint: --every P1M",
    ),
    "too many windows": (
        {"every": "PT0.001S"},
        ConfigError,
        "every: found 'PT0.001S', which cuts more than 10,000,000 windows; expected fewer.",
    ),
    "fill": (
        {"fill": "forward"},
        ConfigError,
        "fill: found 'forward'; expected one of none, zero, carry.",
    ),
    "windows and subscriptions": (
        {"windows": [("2024-01-01", "2024-01-02")], "subscriptions": [{"universe": "u", "subject": "c:1"}]},
        ConfigError,
        "windows: found subscriptions beside them; expected one of the two.",
    ),
    "windows and every": (
        {"windows": [("2024-01-01", "2024-01-02")], "every": "day"},
        ConfigError,
        "windows: found every beside them; expected one of the two.",
    ),
    "no window at all": (
        {"windows": []},
        ConfigError,
        "windows: found none; expected at least one.",
    ),
    "a window without a start": (
        {"windows": [{"end": "2024-01-02"}]},
        SchemaError,
        "windows: column start: found no such column among end; expected one. hint: the columns are start, end",
    ),
    "an inverted window": (
        {"windows": [("2024-01-05", "2024-01-02")]},
        ConfigError,
        "windows: found the inverted period [2024-01-05T00:00:00Z, 2024-01-02T00:00:00Z); expected its end "
        "after its start.",
    ),
    "an empty window": (
        {"windows": [("2024-01-05", "2024-01-05")]},
        ConfigError,
        "windows: found the empty period [2024-01-05T00:00:00Z, 2024-01-05T00:00:00Z); expected its end after"
        " its start.",
    ),
    "windows that overlap": (
        {"windows": [("2024-01-01", "2024-01-08"), ("2024-01-07", "2024-01-09")]},
        ConfigError,
        "windows: found two that overlap, one that ends at 2024-01-08T00:00:00Z and one that starts at "
        "2024-01-07T00:00:00Z; expected periods that do not.",
    ),
    "windows elsewhere": (
        {"windows": [("2020-01-01", "2020-01-08")]},
        ConfigError,
        "windows: found none between start and end; expected at least one.",
    ),
    "windows of some subjects": (
        {
            "windows": [
                {"start": "2024-01-01", "end": "2024-01-02", "universe": "u", "subject": "c:1"},
                {"start": "2024-01-02", "end": "2024-01-03"},
            ]
        },
        ConfigError,
        "windows: found 1 without a subject among 2; expected one in all or in none.",
    ),
    "a window that is no time": (
        {"windows": [("2024-01-01", "later")]},
        ConfigError,
        'windows: found "later" in end; expected a time such as 2024-01-31 or RFC 3339.',
    ),
    "a subscription without a universe": (
        {"subscriptions": [{"subject": "c:1"}]},
        SchemaError,
        "subscriptions: column universe: found no such column among subject; expected one. hint: the columns "
        "are universe, subject, anchor, interval, zone, starts, ends",
    ),
    "a subscription of nobody": (
        {"subscriptions": [{"universe": "u", "subject": ""}]},
        ConfigError,
        "subscriptions: found no universe or no subject in a row; expected both.",
    ),
    "a subscription's zone": (
        {"subscriptions": [{"universe": "u", "subject": "c:1", "zone": "Mars/X"}]},
        ConfigError,
        "subscriptions of 'c:1': found the zone \"Mars/X\"; expected an IANA zone such as Europe/Berlin.",
    ),
    "a subscription's interval": (
        {"subscriptions": [{"universe": "u", "subject": "c:1", "interval": "moon"}]},
        ConfigError,
        "subscriptions: interval: found 'moon'; expected hour, day, week, month, quarter, year, week-sunday "
        'or an ISO 8601 duration such as PT15M. hint: did you mean "month"?',
    ),
    "a subscription's anchor": (
        {"subscriptions": [{"universe": "u", "subject": "c:1", "anchor": "soon"}]},
        ConfigError,
        "subscriptions of 'c:1': found \"soon\" in anchor; expected a time such as 2024-01-31 or RFC 3339.",
    ),
    "a subscription's start": (
        {"subscriptions": [{"universe": "u", "subject": "c:1", "starts": "2024-13-01"}]},
        ConfigError,
        "subscriptions of 'c:1': found \"2024-13-01\" in starts; expected a time such as 2024-01-31 or RFC 3339.",
    ),
    "an inverted subscription": (
        {"subscriptions": [{"universe": "u", "subject": "c:1", "starts": "2024-01-05", "ends": "2024-01-02"}]},
        ConfigError,
        "subscriptions of 'c:1': found the inverted period [2024-01-05T00:00:00Z, 2024-01-02T00:00:00Z); "
        "expected its end after its start.",
    ),
    "subscriptions that overlap": (
        {
            "subscriptions": [
                {"universe": "u", "subject": "c:1", "starts": "2024-01-01", "ends": "2024-01-12"},
                {"universe": "u", "subject": "c:1", "starts": "2024-01-11"},
            ]
        },
        ConfigError,
        "periods of 'c:1': found two that overlap, one that ends at 2024-01-12T00:00:00Z and one that starts "
        "at 2024-01-11T00:00:00Z; expected periods that do not.",
    ),
    "a subscription without bounds": (
        {"start": None, "subscriptions": [{"universe": "u", "subject": "c:1"}]},
        ConfigError,
        "subscriptions of 'c:1': found no starts; expected one in the row, or start for all. hint: --start 2024-01-01",
    ),
    "too many periods": (
        {"subscriptions": [{"universe": "u", "subject": "c:1", "interval": "PT0.1S"}]},
        ConfigError,
        "subscriptions: found more than 10,000,000 periods; expected fewer.",
    ),
    "too many inner windows": (
        {"aggregation": "sum-of-max per PT0.1S"},
        ConfigError,
        'aggregation: found "sum-of-max per PT0.1S", which cuts more than 10,000,000 inner windows; expected fewer.',
    ),
    "two levels of nothing": (
        {"aggregation": "sum-of-max"},
        ConfigError,
        'measurements[0].aggregation: found "sum-of-max"; expected an inner window or dimension. hint: "sum-'
        'of-max per hour" or "sum-of-max by PROPERTY"',
    ),
    "one level per hour": (
        {"aggregation": "sum per hour"},
        ConfigError,
        'aggregation: found "sum per hour"; expected two functions before "per". hint: "sum-of-max per hour"',
    ),
    "two levels per moon": (
        {"aggregation": "sum-of-max per moon"},
        ConfigError,
        "aggregation: found 'moon'; expected hour, day, week, month, quarter, year, week-sunday or an ISO "
        '8601 duration such as PT15M. hint: did you mean "month"?',
    ),
    "a zone of Python alone": (
        {"timezone": "localtime"},
        ConfigError,
        'timezone: found "localtime"; expected an IANA zone such as Europe/Berlin.',
    ),
    "before the year 1": (
        {"start": "0001-01-01", "timezone": "Europe/Berlin"},
        ConfigError,
        "start: found 0001-01-01 in Europe/Berlin; expected a time of the years 1 to 9999.",
    ),
    "a column almost ours": (
        {"subscriptions": [{"universe": "u", "subject": "c:1", "Starts": "2024-01-01"}]},
        SchemaError,
        "subscriptions: column Starts: found it, almost starts; expected starts. hint: rename it, to that or "
        "to something else",
    ),
    "no subscription at all": (
        {"subscriptions": []},
        ConfigError,
        "subscriptions: found none; expected at least one.",
    ),
    "a percentile of nothing": (
        {"aggregation": "p0"},
        ConfigError,
        'aggregation: found "p0"; expected a percentile above 0 and at most 100, such as p99.9.',
    ),
    "an outer function that is none": (
        {"aggregation": "latest-of-sum"},
        ConfigError,
        'aggregation: found "latest-of-sum"; expected sum, max, min, avg, count or a percentile before '
        '"-of-". hint: "max-of-sum per hour"',
    ),
    "an inner function that is none": (
        {"aggregation": "sum-of-foo"},
        ConfigError,
        'aggregation: found "sum-of-foo"; expected an aggregation behind "-of-". hint: known: sum, max, min, '
        "latest, first, and 21 more.",
    ),
    "a prorated sum without spans": (
        {"aggregation": "prorated-sum"},
        ConfigError,
        'measurements[0]: found prorated-sum without a span; expected one. hint: "span": {"start": "from", '
        '"end": "to"}',
    ),
    "an inner dimension that is measured": (
        {"aggregation": "sum-of-max by q"},
        ConfigError,
        "measurements[0]: found the inner dimension 'q', which the config measures; expected a dimension. "
        "hint: a property that is measured is no dimension (R6)",
    ),
}

# One measurement.
MEASUREMENTS: dict[str, tuple[Event, str]] = {
    "no source": (
        {"sourceProperty": []},
        "config: measurements[0].sourceProperty: is empty; at least one is required.",
    ),
    "a source twice": (
        {"sourceProperty": ["q", "q"]},
        'config: measurements[0].sourceProperty: found ["q", "q"], a property twice; expected each once.',
    ),
    "a factor": (
        {"multiply": "a"},
        "config: measurements[0].multiply: found 'a'; expected digits such as 12.50 or 1e3.",
    ),
    "a float": (
        {"multiply": 1.5},
        'config: measurements[0].multiply: found 1.5; expected a decimal as text, such as "1.5".',
    ),
    "zero": (
        {"divide": "0"},
        "config: measurements[0].divide: found zero; expected another number.",
    ),
    "a long factor": (
        {"multiply": "1.123456789012345678", "divide": "7000000000000000001"},
        "config: measurements[0].divide: found '7000000000000000001'; expected at most 18 digits before the point.",
    ),
    "a long factor of time": (
        {"divide": "99999999999", "span": {"start": "s"}, "timesDuration": "hours"},
        "config: measurements[0]: found 1/99999999999 of multiply and divide; expected a fraction of two "
        "numbers of at most 18 digits. hint: fewer digits, or another unit.",
    ),
    "rounding": (
        {"rounding": "up"},
        "config: measurements[0].rounding: found \"up\"; expected 'half-even', 'half-up', 'ceiling' or 'floor'.",
    ),
    "values": (
        {"values": "delta"},
        "config: measurements[0].values: found \"delta\"; expected 'levels' or 'deltas'.",
    ),
    "deltas of a sum": (
        {"values": "deltas"},
        "config: measurements[0]: found deltas with sum; expected a gauge, such as time-weighted-avg.",
    ),
    "known": (
        {"divisor": "known"},
        "config: measurements[0]: found the divisor known with sum; expected time-weighted-avg.",
    ),
    "inner of one level": (
        {"innerWindow": "hour"},
        'config: measurements[0]: found innerWindow with sum; expected two levels, such as "sum-of-max".',
    ),
    "no inner": (
        {"aggregation": "sum-of-max"},
        "config: measurements[0]: found sum-of-max alone; expected innerWindow or innerDimension beside it.",
    ),
    "both inner": (
        {"aggregation": "sum-of-max", "innerWindow": "hour", "innerDimension": "k"},
        "config: measurements[0]: found innerWindow and innerDimension; expected one of the two.",
    ),
    "an inner window": (
        {"aggregation": "sum-of-max", "innerWindow": "moon"},
        "config: measurements[0].innerWindow: found 'moon'; expected hour, day, week, month, quarter, year, "
        'week-sunday or an ISO 8601 duration such as PT15M. hint: did you mean "month"?',
    ),
    "span": (
        {"span": 5},
        "config: measurements[0].span: found 5; expected an object.",
    ),
    "a span of nothing": (
        {"span": {}},
        "config: measurements[0].span: found no property; expected start, end or duration.",
    ),
    "a span of three": (
        {"span": {"start": "a", "end": "b", "duration": "c", "unit": "hours"}},
        "config: measurements[0].span: found start, end and duration; expected two of them at most.",
    ),
    "a duration without a unit": (
        {"span": {"duration": "c"}},
        "config: measurements[0].span: found one of duration and unit; expected both or neither.",
    ),
    "a unit": (
        {"span": {"duration": "c", "unit": "fortnights"}},
        "config: measurements[0].span.unit: found \"fortnights\"; expected 'microseconds', 'milliseconds', "
        "'seconds', 'minutes', 'hours' or 'days'.",
    ),
    "eventTime": (
        {"span": {"start": "a", "eventTime": "end"}},
        "config: measurements[0].span: found eventTime beside start or end; expected it only beside a duration alone.",
    ),
    "a key of a span": (
        {"span": {"begin": "a"}},
        "config: measurements[0].span.begin: is not a key of this object. hint: known: start, end, duration, "
        "unit, eventTime, and 1 more.",
    ),
    "proration without a span": (
        {"proration": "by-time"},
        'config: measurements[0]: found proration without a span; expected one. hint: "span": {"start": '
        '"from", "end": "to"}.',
    ),
    "proration of a maximum": (
        {"aggregation": "max", "span": {"start": "a"}, "proration": "by-time"},
        "config: measurements[0]: found proration by-time with max; expected sum.",
    ),
    "timesDuration": (
        {"timesDuration": "hours"},
        'config: measurements[0]: found timesDuration without a span; expected one. hint: "span": {"start": '
        '"from", "end": "to"}.',
    ),
    "resultScale": (
        {"resultScale": -39},
        "config: measurements[0].resultScale: found -39; expected at least -38.",
    ),
}

# What --time-partition says of folders.
MISPLACED = "expected none. hint: leave --time-partition out to read every file"
PARTITIONS: dict[str, tuple[Callable[[], Any], type[MeteringError], str]] = {
    "no file": (
        lambda: [ONE],
        ConfigError,
        "time-partition: found no partitions in a list of objects; expected folders date=DATE. hint: leave it out to "
        "read every file",
    ),
    "no folder": (
        lambda: part("."),
        ConfigError,
        f"time-partition: found no partitions in {HERE}/a.csv; expected folders date=DATE. hint: leave it out to "
        "read every file",
    ),
    "other folders": (
        lambda: part("day=2024-01-01/region=eu"),
        ConfigError,
        f"time-partition: found the partitions day, region in {HERE}/day=2024-01-01/region=eu/a.csv; expected folders "
        "date=DATE. hint: leave it out to read every file",
    ),
    "no date": (
        lambda: part("date=20240101"),
        SourceError,
        f"{HERE}/date=20240101/a.csv: found the partition '20240101'; expected the UTC date of its events, such as "
        "2024-01-31. hint: leave --time-partition out to read every file",
    ),
    "two forms": (
        lambda: [part("date=2024-01-01"), part("date=2024-01"), part("date=2023")],
        ConfigError,
        "time-partition: found years and months and days in date; expected dates of one form.",
    ),
    "unequal trees": (
        lambda: [part("date=2024-01-01"), part("region=eu/date=2024-01-01")],
        SourceError,
        f"input: found the partitions date ({HERE}/date=2024-01-01/a.csv) and region, date "
        f"({HERE}/region=eu/date=2024-01-01/a.csv); expected the same in every path. hint: read the trees apart",
    ),
    "an event of another day": (
        lambda: part("date=2024-01-02"),
        SourceError,
        "time-partition: found 1 event in another date than the UTC day of its time, the first of "
        f"2024-01-01T00:00:00Z; {MISPLACED}",
    ),
    "events of another year": (
        lambda: part("date=2024", times=("2023-01-01T00:00:00Z", "2022-05-01T01:00:00+02:00", "2024-01-01T00:00:00Z")),
        SourceError,
        "time-partition: found 2 events in another date than the UTC year of its time, the first of "
        f"2022-04-30T23:00:00Z; {MISPLACED}",
    ),
}


CASES: dict[str, Case] = {
    **{
        f"config: {k}": (lambda make=make: load_config(make()), ConfigError, text)
        for k, (make, text) in CONFIGS.items()
    },
    **{f"option: {k}": (reading(run, **options), ConfigError, text) for k, (options, text) in OPTIONS.items()},
    **{f"periods: {k}": (reading(run, **options), kind, text) for k, (options, kind, text) in PERIODS.items()},
    **{
        f"measurement: {k}": (lambda keys=keys: load_config({"measurements": [{**M, **keys}]}), ConfigError, text)
        for k, (keys, text) in MEASUREMENTS.items()
    },
    **{f"call: {k}": case for k, case in CALLS.items()},
    **{f"source: {k}": (lambda make=make: metered(make()), kind, text) for k, (make, kind, text) in SOURCES.items()},
    **{
        f"partition: {k}": (lambda make=make: partitioned(make()), kind, text)
        for k, (make, kind, text) in PARTITIONS.items()
    },
    **{f"map: {k}": (reading(metered, [ONE], map=given), SchemaError, text) for k, (given, text) in MAPS.items()},
}


@pytest.mark.parametrize("case", CASES)
def test_every_message_is_exactly_this(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One test lists every message: a user's mistake of each kind, and the whole text of what is said about it."""
    monkeypatch.chdir(tmp_path)
    call, kind, text = CASES[case]
    with pytest.raises(kind) as caught:
        call()

    assert text.replace(HERE, str(tmp_path)) == str(caught.value)


# where: what was found; what was expected. hint
VOICE = re.compile(
    r"(?P<where>[^;]+?): (?P<found>(found|is|are|holds|cannot|scale|effectiveTo|line|entries)\b.+?|.+? could .+?)"
    r"((; (?P<expected>(expected|at least|it |a unit|some text|the entry) ?.*?))[.]?|[.])( hint: (?P<hint>\S.*))?"
)


@pytest.mark.parametrize("case", CASES)
def test_every_message_speaks_in_one_voice(case: str) -> None:
    """*where: what was found; what was expected. hint*: no other library's words, no punctuation twice."""
    lines = [line for line in CASES[case][2].split("\n") if not re.fullmatch(r"and \d+ more", line)]

    assert [] == [line for line in lines if not VOICE.fullmatch(line)]
    assert [] == re.findall(r"\.\.|\?\.|!\.|Input should|[A-Z][a-z]+ Error:|NoneType|builtins", "\n".join(lines))


def test_every_error_is_a_metering_error() -> None:
    """One except clause catches all that metering-duck raises on purpose, and the tree is as its docstring draws it."""
    public = [getattr(metering_duck, name) for name in metering_duck.__all__]
    errors = {kind for kind in public if isinstance(kind, type) and issubclass(kind, Exception)}

    assert {
        ConfigError, Interrupted, LedgerError, MeteringError, QuantityOverflow, RejectedEvents, SchemaError,
        SourceError, StageError,
    } == errors  # fmt: skip
    assert all(issubclass(kind, MeteringError) for kind in errors)


def test_a_config_error_holds_every_problem() -> None:
    """However many are shown, `problems` has all of them, each with its path."""
    with pytest.raises(ConfigError) as caught:
        load_config({"measurements": [{}] * 4})

    assert [f"config: measurements[{n}].{key}" for n in range(4) for key in ("sourceProperty", "unit")] == [
        problem.rsplit(":", 1)[0] for problem in caught.value.problems
    ]
    assert caught.value.problems == check({"measurements": [{}] * 4})["problems"]


def test_a_schema_error_holds_its_parts() -> None:
    """A program can read the column, what was found and what was expected without parsing the message."""
    with pytest.raises(SchemaError) as caught:
        metered(table(time=5))

    assert ("a pyarrow Table", "time", "BIGINT", "TIMESTAMP, TIMESTAMPTZ or RFC 3339 text") == (
        caught.value.where,
        caught.value.column,
        caught.value.found,
        caught.value.expected,
    )


def test_rejected_events_hold_the_result() -> None:
    """What strict refuses can still be read: the rejects with their reasons."""
    with meter([{**ONE, "properties": {"q": "x"}}], CONFIG, strict=True) as records:
        with pytest.raises(RejectedEvents) as caught:
            records.to_dicts()

        assert records is caught.value.result
        assert ["quantity-syntax"] == records.rejects["reason"].to_pylist()
