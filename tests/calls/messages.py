"""What is said of options, and of calls and their results."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from metering_duck import (
    ConfigError,
    MeteringError,
    QuantityOverflow,
    RejectedEvents,
    SchemaError,
    SourceError,
    aggregate,
    compile_sql,
    json_schema,
    meter,
)
from metering_duck.calls.allocating import allocate_column
from tests.messages import (
    AGGREGATIONS,
    CONFIG,
    FIRST_AGGREGATIONS,
    ONE,
    RECORD,
    WINDOW,
    Case,
    Event,
    M,
    big,
    config_of,
    metered,
    records_of,
    table,
    two_streams,
)

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
        f'aggregation: found "xyz"; expected an aggregation. hint: {FIRST_AGGREGATIONS}',
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
        "matched, projected, plain, respelled, quantified, judged, windowed, counted, observed, records.",
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
