"""Payloads: what events, records and readings are in JSON, as pydantic models and as JSON Schema.

JSON uses the names of the specification in camelCase; Python, SQL and Arrow the same words in snake_case. Flat shapes
have one row per measurement; bundled shapes, of the specification's later revision, have one row per event or key.
The columns of the same things are in contract/schemas.py, which no model has to be built for.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from metering_duck.contract.config import MeteringConfig
from metering_duck.errors import ConfigError, did_you_mean

QUANTITY_PATTERN = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
QuantityText = Annotated[str, Field(pattern=QUANTITY_PATTERN, description="a decimal as text, exact (R4, R5, R17)")]
Text = Annotated[str, Field(min_length=1)]


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
    dimensions: dict[str, str | None] = {}
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
    dimensions: dict[str, str | None] = {}
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
    dimensions: dict[str, str | None] = {}
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
    dimensions: dict[str, str | None] = {}
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
