"""Schemas: what events, records and readings are in Arrow, and the reason codes of rejects.

The same things in JSON, where their names are in camelCase, are in contract/payloads.py.
"""

from __future__ import annotations

import pyarrow as pa

# The definition by which the ids of readings are made now (R21). By the first, absent dimensions, inner windows and
# settings of the run were no part of an id.
IDS_VERSION = 2
REASONS = {
    "json-invalid": "the line is not a JSON object",
    "shape-invalid": "the line does not hold an event of the shape that `--from` names",
    "number-inexact": "a JSON number with a fraction, an exponent or over 15 digits stands beside the mark of digits",
    "property-repeated": "a name occurs twice in one JSON object or MAP, or a field under two names",
    "properties-invalid": "properties is not a JSON object",
    "text-invalid": "bytes that are read as text are no UTF-8 (`--binary-as-text`)",
    "id-missing": "the event has no id",
    "workspace-missing": "the event has no workspace",
    "universe-missing": "the event has no universe",
    "subject-missing": "the event has no subject",
    "type-missing": "the event has no type",
    "source-event-missing": "the record does not say which event it came from",
    "unit-missing": "the record has no unit",
    "observations-missing": "the bundled record has no observation",
    "window-invalid": "the observation's window lacks a bound or is inverted",
    "time-missing": "there is no time",
    "time-invalid": "the time is no RFC 3339 time that exists",
    "metered-at-invalid": "metered_at is no RFC 3339 time that exists, or the zero of one that was never set",
    "source-missing": "the measured property is absent (R3)",
    "value-missing": "the record does not say which text it counts",
    "quantity-syntax": "the text is not a quantity (R4)",
    "span-missing": "a property that says the span is absent",
    "span-invalid": "the span is no time or duration, or ends before it starts",
    "quantity-too-large": "more integer digits than the DECIMAL has (R5)",
    "quantity-too-fine": "more fraction digits than the DECIMAL has (R5)",
}

TIME = pa.timestamp("us", tz="UTC")
TEXT_MAP = pa.map_(pa.string(), pa.string())
DECIMAL = pa.decimal128(38, 18)
_WINDOW = pa.struct([("start", TIME), ("end", TIME)])
_OBSERVATION = pa.struct(
    [
        ("quantity", DECIMAL),
        ("unit", pa.string()),
        ("aggregation", pa.string()),
        ("window", _WINDOW),
        ("value", pa.string()),
    ]
)

EVENT_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("workspace_id", pa.string()),
        ("universe_id", pa.string()),
        ("type", pa.string()),
        ("subject", pa.string()),
        ("time", TIME),
        ("properties", TEXT_MAP),
        ("metered_at", TIME),
    ]
)
_RECORD_HEAD = [
    ("id", pa.string()),
    ("workspace_id", pa.string()),
    ("universe_id", pa.string()),
    ("subject", pa.string()),
    ("recorded_at", TIME),
]
_RECORD_TAIL = [("dimensions", TEXT_MAP), ("source_event_id", pa.string()), ("metered_at", TIME)]
RECORD_SCHEMA = pa.schema(
    [
        *_RECORD_HEAD,
        ("quantity", DECIMAL),
        ("unit", pa.string()),
        ("aggregation", pa.string()),
        *_RECORD_TAIL,
        ("window_start", TIME),
        ("window_end", TIME),
        ("value", pa.string()),
    ]
)
RECORD_BUNDLE_SCHEMA = pa.schema([*_RECORD_HEAD, ("observations", pa.list_(_OBSERVATION)), *_RECORD_TAIL])
READING_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("workspace_id", pa.string()),
        ("universe_id", pa.string()),
        ("subject", pa.string()),
        ("unit", pa.string()),
        ("aggregation", pa.string()),
        ("window_start", TIME),
        ("window_end", TIME),
        ("dimensions", TEXT_MAP),
        ("quantity", DECIMAL),
        ("record_count", pa.int64()),
        ("max_metered_at", TIME),
        ("created_at", TIME),
        ("numerator", pa.string()),
        ("divisor_us", pa.int64()),
        ("carried", pa.bool_()),
        ("last_recorded_at", TIME),
        ("last_metered_at", TIME),
        ("last_event_id", pa.string()),
        ("prorated", pa.bool_()),
    ]
)
REJECT_SCHEMA = pa.schema(
    [
        (name, pa.string())
        for name in (
            "workspace_id",
            "universe_id",
            "id",
            "type",
            "subject",
            "time",
            "measurement",
            "source_property",
            "unit",
            "text",
            "reason",
            "file",
        )
    ]
)
OUTCOME_SCHEMA = pa.schema(
    [
        ("workspace_id", pa.string()),
        ("universe_id", pa.string()),
        ("id", pa.string()),
        ("type", pa.string()),
        ("subject", pa.string()),
        ("recorded_at", TIME),
        ("metered_at", TIME),
        ("properties", TEXT_MAP),
        ("status", pa.string()),
        ("file", pa.string()),
    ]
)
CONFLICT_SCHEMA = pa.schema(
    [
        ("workspace_id", pa.string()),
        ("universe_id", pa.string()),
        ("id", pa.string()),
        ("kept_metered_at", TIME),
        ("kept_content", pa.string()),
        ("lost_metered_at", TIME),
        ("lost_content", pa.string()),
    ]
)
