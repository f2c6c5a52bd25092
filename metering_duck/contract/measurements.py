"""Measurements as frozen models: what quantity an event has, of which unit, over which span, aggregated how.

Each model says what is wrong with its values; contract/config.py puts the path before that message. Owns no SQL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    model_validator,
)

from metering_duck.contract import aggregations
from metering_duck.contract.filters import Filter
from metering_duck.contract.intervals import parse_interval
from metering_duck.contract.models import Model, SomeText, plain_text
from metering_duck.decimals import arithmetic
from metering_duck.decimals.columns import DIGITS_MAX, SCALE_DEFAULT
from metering_duck.errors import ConfigError, cut

FACTOR_DIGITS = 18
RoundingMode = Literal["half-even", "half-up", "ceiling", "floor"]
UNIT_US = {
    "microseconds": 1,
    "milliseconds": 1_000,
    "seconds": 1_000_000,
    "minutes": 60_000_000,
    "hours": 3_600_000_000,
    "days": 86_400_000_000,
}


def _unit(text: str) -> str:
    if not text:
        raise ValueError('is empty; a unit is required, e.g. "tokens"')
    return plain_text(text)


def _aggregation(name: str) -> str:
    try:
        return aggregations.canonical(name, "it")
    except ConfigError as error:
        raise ValueError(str(error).removeprefix("it: ")) from None


Aggregation = Annotated[StrictStr, AfterValidator(_aggregation)]


# In place of source properties where a count has none: each event counts one, whatever it holds.
_EACH_EVENT = object()


def _counts_events(aggregation: object) -> bool:
    """Whether an aggregation, or its inner function, is a count, which needs no property."""
    try:
        found = aggregations.parse(aggregation, "it") if isinstance(aggregation, str) else None
    except ConfigError:
        return False
    return found is not None and not found.definition.needs_property


def _sources(value: object) -> tuple[str, ...]:
    """The source properties as a tuple, also where one is given by itself."""
    if value is _EACH_EVENT:
        return ()
    listed = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not listed:
        raise ValueError("is empty; at least one is required")
    for name in listed:
        if not isinstance(name, str):
            found = cut(json.dumps(name, default=str))
            raise ValueError(f"found {found}; expected text. hint: property values are text, write it in quotes")
        if not name:
            raise ValueError("is empty; some text is required")
        plain_text(name)
    if len(set(listed)) < len(listed):
        raise ValueError(f"found {cut(json.dumps(listed))}, a property twice; expected each once")
    return listed


def _factor(value: object) -> object:
    """A decimal as text, or a whole number, that is not zero."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f'found {cut(json.dumps(value, default=str))}; expected a decimal as text, such as "1.5"')
    try:
        fraction = Fraction(arithmetic.parse(str(value), precision=2 * FACTOR_DIGITS, scale=FACTOR_DIGITS))
    except ValueError as error:
        raise ValueError(str(error).partition(": ")[2]) from None
    if not fraction:
        raise ValueError("found zero; expected another number")
    return str(value)


def _interval(value: object) -> object:
    try:
        parse_interval(value, "it")
    except ConfigError as error:
        raise ValueError(str(error).removeprefix("it: ")) from None
    return value


_ONE_TEXT = {"type": "string", "minLength": 1}
Sources = Annotated[
    tuple[str, ...],
    BeforeValidator(_sources),
    WithJsonSchema({"anyOf": [_ONE_TEXT, {"type": "array", "minItems": 1, "items": _ONE_TEXT}]}),
]
Factor = Annotated[
    StrictStr, BeforeValidator(_factor), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})
]
Every = Annotated[StrictStr, AfterValidator(_interval)]


class Span(Model):
    """From when to when a quantity extends: each bound a property, or the event's own time where it is not given.

    Units: `duration` counts `unit`; times are RFC 3339, or numbers since 1970 in the unit that `times` says.
    """

    start: SomeText | None = None
    end: SomeText | None = None
    duration: SomeText | None = None
    unit: Literal["microseconds", "milliseconds", "seconds", "minutes", "hours", "days"] | None = None
    event_time: Literal["start", "end"] = Field(
        default="start",
        validation_alias=AliasChoices("eventTime", "event_time"),
        serialization_alias="eventTime",
    )
    times: Literal["rfc3339", "epoch-seconds", "epoch-milliseconds", "epoch-microseconds"] = "rfc3339"

    @model_validator(mode="after")
    def _is_a_span(self) -> Span:
        if self.start is None and self.end is None and self.duration is None:
            raise ValueError("found no property; expected start, end or duration")
        if self.start is not None and self.end is not None and self.duration is not None:
            raise ValueError("found start, end and duration; expected two of them at most")
        if (self.duration is None) != (self.unit is None):
            raise ValueError("found one of duration and unit; expected both or neither")
        if "event_time" in self.model_fields_set and (self.start is not None or self.end is not None):
            raise ValueError("found eventTime beside start or end; expected it only beside a duration alone")
        return self

    @property
    def properties(self) -> list[str]:
        """The properties that say the span."""
        return [name for name in (self.start, self.end, self.duration) if name is not None]


def _source_or_count(schema: dict[str, Any]) -> None:
    """A JSON Schema in which a measurement has a source property, or counts."""
    schema["required"].remove("sourceProperty")
    count = {"properties": {"aggregation": {"pattern": "^([^ ]+-of-)?count( |$)"}}, "required": ["aggregation"]}
    schema["anyOf"] = [{"required": ["sourceProperty"]}, count]


class Measurement(Model, json_schema_extra=_source_or_count):
    """What to measure: the quantity in `source_property`, counted in `unit`, where `filter` matches.

    Several source properties are added; without one, which only a count may be, each event is a quantity of 1.
    `multiply` and `divide` convert the quantity, `times_duration` multiplies it by the length of its `span`;
    `proration` by-time splits it over the windows that the span overlaps (R26).

    Units:   `precision` and `scale` are the decimal digits of the quantity's DECIMAL, 38 and 18 by default (R5).
             `result_scale` is the number of fraction digits a result is rounded to, as `rounding` says (R16).
    Exact:   a conversion is rounded once, half to even, to `scale` digits.
    """

    source_property: Sources = Field(
        validation_alias=AliasChoices("sourceProperty", "source_property"), serialization_alias="sourceProperty"
    )
    unit: Annotated[StrictStr, AfterValidator(_unit)]
    filter: Filter | None = None
    aggregation: Aggregation | None = None
    precision: Annotated[StrictInt, Field(ge=1, le=DIGITS_MAX)] = DIGITS_MAX
    scale: Annotated[StrictInt, Field(ge=0, le=DIGITS_MAX)] = SCALE_DEFAULT
    result_scale: Annotated[StrictInt, Field(ge=-DIGITS_MAX, le=DIGITS_MAX)] | None = Field(
        default=None,
        validation_alias=AliasChoices("resultScale", "result_scale"),
        serialization_alias="resultScale",
    )
    rounding: RoundingMode = "half-even"
    multiply: Factor | None = None
    divide: Factor | None = None
    values: Literal["levels", "deltas"] = "levels"
    divisor: Literal["window", "known"] = "window"
    inner_window: Every | None = Field(
        default=None,
        validation_alias=AliasChoices("innerWindow", "inner_window"),
        serialization_alias="innerWindow",
    )
    inner_dimension: SomeText | None = Field(
        default=None,
        validation_alias=AliasChoices("innerDimension", "inner_dimension"),
        serialization_alias="innerDimension",
    )
    span: Span | None = None
    proration: Literal["none", "by-time"] = "none"
    times_duration: Literal["seconds", "minutes", "hours", "days"] | None = Field(
        default=None,
        validation_alias=AliasChoices("timesDuration", "times_duration"),
        serialization_alias="timesDuration",
    )

    @model_validator(mode="before")
    @classmethod
    def _scale_follows_precision(cls, data: Any) -> Any:
        """A precision below 18 without a scale means whole numbers: the default scale has more digits than it."""
        if isinstance(data, Mapping) and "scale" not in data:
            precision = data.get("precision")
            if isinstance(precision, int) and precision < SCALE_DEFAULT:
                return {**data, "scale": 0}
        return data

    @model_validator(mode="before")
    @classmethod
    def _count_needs_no_source(cls, data: Any) -> Any:
        """A count without a source property is of every event that the measurement applies to."""
        if not isinstance(data, Mapping) or any(data.get(key) for key in ("sourceProperty", "source_property")):
            return data
        if not _counts_events(data.get("aggregation")):
            return data
        others = {key: value for key, value in data.items() if key not in ("sourceProperty", "source_property")}
        return {**others, "sourceProperty": _EACH_EVENT}

    @model_validator(mode="after")
    def _nothing_is_converted_where_events_count(self) -> Measurement:
        for key, used in (("multiply", self.multiply), ("divide", self.divide), ("timesDuration", self.times_duration)):
            if used is not None and not self.source_property:
                raise ValueError(f"found {key} without a sourceProperty; expected one, whose quantities it converts")
        return self

    @model_validator(mode="after")
    def _scale_fits(self) -> Measurement:
        if self.scale > self.precision:
            raise ValueError(f"scale {self.scale} is more than precision {self.precision}; it may be at most that")
        return self

    @model_validator(mode="after")
    def _factor_is_short(self) -> Measurement:
        if max(abs(self.factor).as_integer_ratio()) > 10**FACTOR_DIGITS:
            raise ValueError(
                f"found {self.factor} of multiply and divide; expected a fraction of two numbers of at most "
                f"{FACTOR_DIGITS} digits. hint: fewer digits, or another unit"
            )
        return self

    @model_validator(mode="after")
    def _span_is_there(self) -> Measurement:
        for key, used in (("proration", self.proration == "by-time"), ("timesDuration", self.times_duration)):
            if used and self.span is None:
                raise ValueError(
                    f'found {key} without a span; expected one. hint: "span": {{"start": "from", "end": "to"}}'
                )
        if self.inner_window and self.inner_dimension:
            raise ValueError("found innerWindow and innerDimension; expected one of the two")
        return self

    @model_validator(mode="after")
    def _aggregation_is_whole(self) -> Measurement:
        """The keys that complete an aggregation must fit the measurement's own, if it has one."""
        found = self.aggregated()
        if found is not None:
            self._check_levels(found)
            self._check_kind(found)
        return self

    def _check_levels(self, found: aggregations.Aggregation) -> None:
        """An aggregation of two levels needs an inner window or dimension; an aggregation of one level has neither."""
        if found.outer and not (found.per or found.by):
            raise ValueError(f"found {found.name} alone; expected innerWindow or innerDimension beside it")
        if (self.inner_window or self.inner_dimension) and not found.outer:
            key = "innerWindow" if self.inner_window else "innerDimension"
            raise ValueError(f'found {key} with {found.name}; expected two levels, such as "sum-of-max"')

    def _check_kind(self, found: aggregations.Aggregation) -> None:
        """Refuse keys that this kind of aggregation has no use for."""
        if self.values == "deltas" and not found.is_gauge:
            raise ValueError(f"found deltas with {found.name}; expected a gauge, such as time-weighted-avg")
        if self.divisor == "known" and found.definition.divided_by != "known-time":
            raise ValueError(f"found the divisor known with {found.name}; expected time-weighted-avg")
        if self.proration == "by-time" and not found.prorated:
            raise ValueError(f"found proration by-time with {found.name}; expected sum")

    def aggregated(self, chosen: str | None = None) -> aggregations.Aggregation | None:
        """The aggregation `chosen` by the call, or else the measurement's own, completed by its other keys."""
        text = chosen or self.aggregation
        if text is None:
            return None
        found = aggregations.parse(text, "aggregation")
        if found.is_gauge and self.values == "deltas":
            found = replace(found, deltas=True)
        if found.definition.known_name and self.divisor == "known":
            found = replace(found, function=found.definition.known_name)
        if found.definition.prorated_name and self.proration == "by-time":
            found = replace(found, prorated=True)
        if found.outer and not (found.per or found.by):
            found = replace(found, per=self.inner_window, by=self.inner_dimension)
        return found

    @property
    def factor(self) -> Fraction:
        """The number that the quantity is multiplied by."""
        return Fraction(self.multiply or 1) / Fraction(self.divide or 1)

    @property
    def properties(self) -> list[str]:
        """Every property that is measured: the source properties, and those that say the span."""
        of_span = self.span.properties if self.span else []
        return [*self.source_property, *of_span]

    @property
    def integer_digits(self) -> int:
        """How many digits the quantity may have before its point."""
        return self.precision - self.scale
