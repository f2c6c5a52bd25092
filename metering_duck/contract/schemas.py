"""The contracts: what events, records and readings are, as models, Arrow schemas, JSON shapes and reason codes.

JSON uses the names of the specification in camelCase; Python, SQL and Arrow the same words in snake_case. Flat shapes
have one row per measurement; bundled shapes, of the specification's later revision, have one row per event or key.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from metering_duck.contract.config import MeteringConfig
from metering_duck.errors import ConfigError, did_you_mean

QUANTITY_PATTERN = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
QuantityText = Annotated[str, Field(pattern=QUANTITY_PATTERN, description="a decimal as text, exact (R4, R5, R17)")]
Text = Annotated[str, Field(min_length=1)]

REASONS = {
    "json-invalid": "the line is not a JSON object",
    "shape-invalid": "the line does not hold an event of the shape that `--from` names",
    "number-inexact": "a JSON number of more than 15 digits stands beside the mark that keeps its digits",
    "property-repeated": "a name occurs twice in one JSON object",
    "properties-invalid": "properties is not a JSON object",
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
    "metered-at-invalid": "metered_at is no RFC 3339 time that exists",
    "source-missing": "the measured property is absent (R3)",
    "value-missing": "the record does not say which text it counts",
    "quantity-syntax": "the text is not a quantity (R4)",
    "span-missing": "a property that says the span is absent",
    "span-invalid": "the span is no time or duration, or ends before it starts",
    "quantity-too-large": "more integer digits than the DECIMAL has (R5)",
    "quantity-too-fine": "more fraction digits than the DECIMAL has (R5)",
}


def _json_name(name: str) -> str:
    """A field's name in JSON: camelCase, in which an id is called ID, as in workspaceID."""
    return name if name == "id" else to_camel(name).replace("Id", "ID")


class Contract(BaseModel):
    """A model whose JSON names are those of the specification."""

    model_config = ConfigDict(
        frozen=True,
        populate_by_name=True,
        alias_generator=_json_name,
    )

    def to_json_dict(self) -> dict[str, Any]:
        """The model as its JSON object, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class EventPayload(Contract):
    """A raw usage event. Its id is unique in (workspace, universe); `properties` are untyped text."""

    id: Text
    workspace_id: Text
    universe_id: Text
    type: Text
    subject: Text
    time: datetime
    properties: dict[str, str] = {}
    metered_at: datetime | None = None


class Quantity(Contract):
    """A quantity and its unit; `aggregation` when the measurement names its own, `value` the text of a unique-count."""

    quantity: QuantityText
    unit: Text
    aggregation: str | None = None
    value: str | None = None


class Window(Contract):
    """Half-open: `start <= t < end`."""

    start: datetime
    end: datetime


class Observation(Quantity):
    """One quantity of a bundled record."""

    window: Window


class MeterRecord(Contract):
    """One measurement of one event (R7); `window` is its span, where it has one."""

    id: Text
    workspace_id: Text
    universe_id: Text
    subject: Text
    measurement: Quantity
    dimensions: dict[str, str] = {}
    recorded_at: datetime
    source_event_id: Text = Field(alias="sourceEventID")
    metered_at: datetime
    window: Window | None = None


class MeterRecordBundle(Contract):
    """All measurements of one event: the later revision's record."""

    id: Text
    workspace_id: Text
    universe_id: Text
    subject: Text
    observed_at: datetime
    observations: list[Observation]
    dimensions: dict[str, str] = {}
    source_event_id: Text = Field(alias="sourceEventID")
    metered_at: datetime


class State(Contract):
    """What lets readings of adjacent windows combine exactly (R15, R20); `prorated`: it has parts of split records."""

    carried: bool | None = None
    prorated: bool | None = None
    numerator: str | None = None
    divisor_us: int | None = None
    last_recorded_at: datetime | None = None
    last_metered_at: datetime | None = None
    last_event_id: str | None = Field(default=None, alias="lastEventID")


class MeterReading(Contract):
    """What one subject used of one unit in one window (R10); a filled one has no `max_metered_at`."""

    id: Text
    workspace_id: Text | None = None
    universe_id: Text
    subject: Text
    measurement: Quantity
    aggregation: str
    window: Window
    dimensions: dict[str, str] = {}
    record_count: int
    max_metered_at: datetime | None = None
    created_at: datetime
    state: State | None = None


class ComputedValue(Contract):
    """One value of a bundled reading."""

    quantity: QuantityText
    unit: Text
    aggregation: str


class MeterReadingBundle(Contract):
    """All values of one subject in one window: the later revision's reading."""

    id: Text
    workspace_id: Text | None = None
    universe_id: Text
    subject: Text
    window: Window
    dimensions: dict[str, str] = {}
    computed_values: list[ComputedValue]
    record_count: int
    max_metered_at: datetime | None = None
    created_at: datetime


class AggregateConfig(Contract):
    """How records become readings: the aggregation and the window."""

    aggregation: str
    window: Window
    every: str | None = None
    group_by: list[str] = []


MODELS: dict[str, type[BaseModel]] = {
    "EventPayload": EventPayload,
    "MeteringConfig": MeteringConfig,
    "MeterRecord": MeterRecord,
    "MeterRecordBundle": MeterRecordBundle,
    "AggregateConfig": AggregateConfig,
    "MeterReading": MeterReading,
    "MeterReadingBundle": MeterReadingBundle,
}


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a contract, by its name in any spelling.

    Raises: ConfigError for an unknown name.
    """
    plain = {known.lower(): known for known in MODELS}
    known = plain.get(name.lower().replace("-", "").replace("_", ""))
    if known is None:
        raise ConfigError(f"schema: found {name!r}; expected a contract. hint: {did_you_mean(name, MODELS)}")
    schema = MODELS[known].model_json_schema(by_alias=True)
    if known == "MeteringConfig":
        schema = _with_plain_config(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": known, **schema}


def _with_plain_config(schema: dict[str, Any]) -> dict[str, Any]:
    """A config is a catalog, or just measurements, in either spelling."""
    definitions = schema.pop("$defs")
    measured = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Measurement"}}
    entry = definitions["Entry"]
    entry["properties"]["observations"] = measured
    entry["required"] = []
    entry["anyOf"] = [{"required": ["measurements"]}, {"required": ["observations"]}]
    catalog = {key: value for key, value in schema.items() if key not in ("title", "description")}
    return {"description": schema["description"], "anyOf": [catalog, {"$ref": "#/$defs/Entry"}], "$defs": definitions}


# --- Arrow -----------------------------------------------------------------------------------------------------------

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
