"""Configs as frozen models: what is measured, for whom, and since when.

Reads JSON in both spellings of the spec (`measurements`, and `observations` of its later revision) and reports every
fault at once with its path. Owns no SQL: compiler.py turns a config into text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    StrictInt,
    StrictStr,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from metering_duck import aggregations, exact
from metering_duck.calendars import parse_interval
from metering_duck.errors import ConfigError, a_kind, did_you_mean
from metering_duck.filters import KEYS as FILTER_KEYS
from metering_duck.filters import Filter as Filter
from metering_duck.models import Model, SomeText, plain_text
from metering_duck.times import parse_time

PRECISION_MAX = 38
SCALE_DEFAULT = 18
FACTOR_DIGITS = 18
UNIT_US = {
    "microseconds": 1,
    "milliseconds": 1_000,
    "seconds": 1_000_000,
    "minutes": 60_000_000,
    "hours": 3_600_000_000,
    "days": 86_400_000_000,
}


def check_text(text: str, where: str) -> None:
    """Refuse what is not Unicode text.

    Raises: ConfigError with `where`.
    """
    try:
        plain_text(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {text!r} {error}.") from None


def _unit(text: str) -> str:
    if not text:
        raise ValueError('is empty; a unit is required, e.g. "tokens"')
    return plain_text(text)


def _moment(value: object) -> datetime | None:
    """RFC 3339 text through our own reader: pydantic's takes numbers too."""
    if value is None:
        return None
    try:
        return parse_time(value, "it")
    except ConfigError as error:
        raise ValueError(str(error).removeprefix("it: ")) from None


def _aggregation(name: str) -> str:
    try:
        return aggregations.canonical(name, "it")
    except ConfigError as error:
        raise ValueError(str(error).removeprefix("it: ")) from None


Moment = Annotated[datetime | None, BeforeValidator(_moment)]
Aggregation = Annotated[StrictStr, AfterValidator(_aggregation)]


def _sources(value: object) -> tuple[str, ...]:
    """One property or several: always several."""
    listed = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not listed:
        raise ValueError("is empty; at least one is required")
    for name in listed:
        if not isinstance(name, str):
            found = json.dumps(name, default=str)
            raise ValueError(f"found {found}; expected text. hint: property values are text, write it in quotes")
        if not name:
            raise ValueError("is empty; some text is required")
        plain_text(name)
    if len(set(listed)) < len(listed):
        raise ValueError("names a property twice; expected each once")
    return listed


def _factor(value: object) -> object:
    """A decimal as text, or a whole number, that is not zero."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f'found {json.dumps(value, default=str)}; expected a decimal as text, such as "1.5"')
    try:
        fraction = Fraction(exact.parse(str(value), precision=2 * FACTOR_DIGITS, scale=FACTOR_DIGITS))
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
            raise ValueError("names no property; expected start, end or duration")
        if self.start is not None and self.end is not None and self.duration is not None:
            raise ValueError("found start, end and duration; expected two of them at most")
        if (self.duration is None) != (self.unit is None):
            raise ValueError("found one of duration and unit; expected both or neither")
        if "event_time" in self.model_fields_set and (self.start is not None or self.end is not None):
            raise ValueError("found eventTime beside start or end; expected it only beside a duration alone")
        return self

    @property
    def properties(self) -> list[str]:
        """The properties that say it."""
        return [name for name in (self.start, self.end, self.duration) if name is not None]


class Measurement(Model):
    """What to measure: the quantity in `source_property`, counted in `unit`, where `filter` matches.

    Several source properties are added. `multiply` and `divide` convert the quantity, `times_duration` multiplies it by
    the length of its `span`; `proration` by-time splits it over the windows that the span overlaps (R26).

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
    precision: Annotated[StrictInt, Field(ge=1, le=PRECISION_MAX)] = PRECISION_MAX
    scale: Annotated[StrictInt, Field(ge=0, le=PRECISION_MAX)] = SCALE_DEFAULT
    result_scale: Annotated[StrictInt, Field(ge=-PRECISION_MAX, le=PRECISION_MAX)] | None = Field(
        default=None,
        validation_alias=AliasChoices("resultScale", "result_scale"),
        serialization_alias="resultScale",
    )
    rounding: Literal["half-even", "half-up", "ceiling", "floor"] = "half-even"
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
        """A precision below 18 given alone takes the scale along: no more fraction digits than digits."""
        if isinstance(data, Mapping) and "scale" not in data:
            precision = data.get("precision")
            if isinstance(precision, int) and precision < SCALE_DEFAULT:
                return {**data, "scale": 0}
        return data

    @model_validator(mode="after")
    def _scale_fits(self) -> Measurement:
        if self.scale > self.precision:
            raise ValueError(f"scale {self.scale} is more than precision {self.precision}; it may be at most that")
        return self

    @model_validator(mode="after")
    def _factor_is_short(self) -> Measurement:
        unit_us = UNIT_US[self.times_duration] if self.times_duration else 1
        numerator, denominator = abs(self.factor).as_integer_ratio()
        if numerator > 10**FACTOR_DIGITS or denominator * unit_us > 10 ** (FACTOR_DIGITS + (unit_us > 1)):
            raise ValueError(
                f"multiply / divide is {self.factor}; expected a fraction of two numbers of at most {FACTOR_DIGITS} "
                "digits. hint: fewer digits, or another unit"
            )
        return self

    @model_validator(mode="after")
    def _span_is_there(self) -> Measurement:
        for key, used in (("proration", self.proration == "by-time"), ("timesDuration", self.times_duration)):
            if used and self.span is None:
                raise ValueError(f'{key} needs a span; expected one, e.g. "span": {{"start": "from", "end": "to"}}')
        if self.inner_window and self.inner_dimension:
            raise ValueError("found innerWindow and innerDimension; expected one of the two")
        return self

    @model_validator(mode="after")
    def _aggregation_is_whole(self) -> Measurement:
        """Keys that say more of the aggregation must fit it, when there is one."""
        if self.aggregation is None:
            return self
        found = self.aggregated()
        if found is None:
            return self
        if found.outer and not (found.per or found.by):
            raise ValueError(
                f"the aggregation {found.name} needs innerWindow or innerDimension; expected one of the two"
            )
        if (self.inner_window or self.inner_dimension) and not found.outer:
            key = "innerWindow" if self.inner_window else "innerDimension"
            raise ValueError(f'{key} needs an aggregation of two levels, e.g. "sum-of-max"; found {found.name}')
        if self.values == "deltas" and not found.is_gauge:
            raise ValueError(f"values: deltas are for gauges, such as time-weighted-avg; found {found.name}")
        if self.divisor == "known" and found.function != aggregations.KNOWN_AVERAGE:
            raise ValueError(f"divisor: known is for time-weighted-avg; found {found.name}")
        if self.proration == "by-time" and not found.prorated:
            raise ValueError(f"proration: by-time is for sum; found {found.name}")
        return self

    def aggregated(self, chosen: str | None = None) -> aggregations.Aggregation | None:
        """The whole aggregation: the call's or its own, with what this measurement says of its quantities."""
        text = chosen or self.aggregation
        if text is None:
            return None
        found = aggregations.parse(text, "aggregation")
        if found.is_gauge and self.values == "deltas":
            found = replace(found, deltas=True)
        if found.function == aggregations.AVERAGE and self.divisor == "known":
            found = replace(found, function=aggregations.KNOWN_AVERAGE)
        if found.function == "sum" and self.proration == "by-time":
            found = replace(found, prorated=True)
        if found.outer and not (found.per or found.by):
            found = replace(found, per=self.inner_window, by=self.inner_dimension)
        return found

    @property
    def factor(self) -> Fraction:
        """What the quantity is multiplied by."""
        return Fraction(self.multiply or 1) / Fraction(self.divide or 1)

    @property
    def properties(self) -> list[str]:
        """Every property that it measures: its quantity's and its span's."""
        return [*self.source_property, *(self.span.properties if self.span else [])]

    @property
    def integer_digits(self) -> int:
        """How many digits the quantity may have before its point."""
        return self.precision - self.scale


class Entry(Model):
    """The measurements of one workspace and event type (or of all, where left out), while it is in effect (R1).

    Units: `effective_from` (inclusive) and `effective_to` (exclusive) are business time, compared with recorded_at.
    """

    workspace_id: SomeText | None = Field(
        default=None,
        validation_alias=AliasChoices("workspaceID", "workspace_id", "workspaceId", "workspace"),
        serialization_alias="workspaceID",
    )
    type: SomeText | None = Field(default=None, validation_alias=AliasChoices("type", "eventType", "event_type"))
    effective_from: Moment = Field(
        default=None,
        validation_alias=AliasChoices("effectiveFrom", "effective_from"),
        serialization_alias="effectiveFrom",
    )
    effective_to: Moment = Field(
        default=None,
        validation_alias=AliasChoices("effectiveTo", "effective_to"),
        serialization_alias="effectiveTo",
    )
    measurements: Annotated[tuple[Measurement, ...], Field(min_length=1)] = Field(
        validation_alias=AliasChoices("measurements", "observations")
    )

    @model_validator(mode="after")
    def _in_effect_some_time(self) -> Entry:
        if self.effective_from and self.effective_to and self.effective_from >= self.effective_to:
            raise ValueError("effectiveTo is not after effectiveFrom; the entry would never be in effect")
        return self

    @property
    def source_properties(self) -> list[str]:
        """Every property that is measured, also where its filter misses: none of them is a dimension (R6)."""
        return sorted({name for m in self.measurements for name in m.properties})

    def overlaps(self, other: Entry) -> bool:
        """Whether one event could match both (R1)."""
        same = all(
            mine is None or theirs is None or mine == theirs
            for mine, theirs in ((self.workspace_id, other.workspace_id), (self.type, other.type))
        )
        return (
            same
            and _before(self.effective_from, other.effective_to)
            and _before(other.effective_from, self.effective_to)
        )


def _before(start: datetime | None, end: datetime | None) -> bool:
    return start is None or end is None or start < end


class MeteringConfig(Model):
    """A catalog: entries by workspace and event type. A plain `{"measurements": […]}` is a catalog of one entry."""

    entries: Annotated[tuple[Entry, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_entry_per_event(self) -> MeteringConfig:
        for later, entry in enumerate(self.entries):
            for earlier in range(later):
                if self.entries[earlier].overlaps(entry):
                    raise ValueError(
                        f"entries[{earlier}] and entries[{later}] could match the same event at the same time; "
                        "expected one entry per workspace, type and moment"
                    )
        return self

    @property
    def measurements(self) -> list[tuple[str, Measurement]]:
        """Each measurement with its path in the config, in the config's order."""
        alone = len(self.entries) == 1 and self.entries[0].workspace_id is None and self.entries[0].type is None
        return [
            (f"measurements[{m}]" if alone else f"entries[{e}].measurements[{m}]", measurement)
            for e, entry in enumerate(self.entries)
            for m, measurement in enumerate(entry.measurements)
        ]


ConfigLike = MeteringConfig | Mapping[str, Any] | str | os.PathLike[str]


def load_config(config: ConfigLike) -> MeteringConfig:
    """A config from a path, a dict, JSON text, or a MeteringConfig (given back as it is).

    Raises: ConfigError with every fault and its path; SourceError never: an unreadable config is a ConfigError.
    Source: metering-spec "Metering config", R1, R2, R5.
    """
    if isinstance(config, MeteringConfig):
        return config
    if isinstance(config, Mapping):
        return _from_json(dict(config), "config")
    if isinstance(config, str) and config.lstrip().startswith("{"):
        return _from_json(_parse_json(config, "config"), "config")
    if not isinstance(config, str | os.PathLike):
        raise ConfigError(f"config: found {a_kind(config)}; expected a path, a dict or a MeteringConfig.")
    path = Path(config)
    return _from_json(_parse_json(_read_text(path), str(path)), str(path))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: found no such file; expected a config in JSON. hint: --config FILE") from None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot be read ({why}); expected a config in JSON, UTF-8.") from None


def _parse_json(text: str, where: str) -> Any:
    def once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ConfigError(f'{where}: found the key "{key}" twice in one object; expected it once.')
            found[key] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{where}: is not JSON ({error}); expected an object. hint: see `metering-duck schema`"
        ) from None


def _from_json(data: Any, where: str) -> MeteringConfig:
    if isinstance(data, list):
        data = {"entries": data}
    if not isinstance(data, dict):
        found = json.dumps(data)
        raise ConfigError(f"{where}: found {found}; expected an object with measurements or entries.")
    if {"measurements", "observations"} <= set(data):
        raise ConfigError(f"{where}: found measurements and observations; expected one of them.")
    catalog = next((data[key] for key in ("entries", "catalog") if key in data), None)
    wrapped = catalog is None
    if wrapped:
        if not {"measurements", "observations"} & set(data):
            found = did_you_mean(next(iter(data), ""), ["measurements", "observations", "entries"])
            raise ConfigError(f"{where}: found no measurements; expected at least one. hint: {found}")
        catalog = [data]
    elif len(data) > 1:
        extra = next(key for key in data if key not in ("entries", "catalog"))
        raise ConfigError(f"{where}: found {extra} beside the entries; expected only entries.")
    try:
        return MeteringConfig.model_validate({"entries": catalog})
    except ValidationError as error:
        faults = [fault for fault in error.errors() if not _follows(fault, error.errors())]
        raise ConfigError([_sentence(fault, where, data, wrapped) for fault in faults]) from None


def _follows(fault: Any, faults: Iterable[Any]) -> bool:
    """Whether a list is only called too short because its items are at fault."""
    place = fault["loc"]
    deeper = any(other["loc"][: len(place)] == place and len(other["loc"]) > len(place) for other in faults)
    return fault["type"] == "too_short" and deeper


def _sentence(fault: Any, where: str, data: dict[str, Any], wrapped: bool) -> str:
    """One of pydantic's faults in the voice of the house."""
    location = list(fault["loc"])[2 if wrapped else 0 :]
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    if path.startswith("measurements") and "observations" in data and "measurements" not in data:
        path = path.replace("measurements", "observations", 1)
    return f"{where}: {path}{': ' if path else ''}{_what_is_wrong(fault, location)}"


EXPECTED = {
    "tuple_type": "a list",
    "literal_error": "{expected}",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "int_type": "a whole number",
    "less_than_equal": "at most {le}",
    "greater_than_equal": "at least {ge}",
}
KNOWN_KEYS = {
    **dict.fromkeys(("filter", "and", "or", "not"), FILTER_KEYS),
    "measurements": ["sourceProperty", "unit", "filter", "aggregation", "precision", "scale", "resultScale"],
    "observations": ["sourceProperty", "unit", "filter", "aggregation", "precision", "scale", "resultScale"],
    "entries": ["workspaceID", "type", "effectiveFrom", "effectiveTo", "measurements"],
}


def _what_is_wrong(fault: Any, location: list[Any]) -> str:
    kind = fault["type"]
    if kind == "value_error":
        text = str(fault["ctx"]["error"])
        return text if text.endswith((".", "?")) else f"{text}."
    if kind == "missing":
        return "is missing; it is required."
    if kind == "extra_forbidden":
        parents = [part for part in location[:-1] if isinstance(part, str)]
        known = KNOWN_KEYS.get(parents[-1] if parents else "entries", KNOWN_KEYS["entries"])
        return f"is not a key of this object. hint: {did_you_mean(str(location[-1]), known)}"
    if kind == "too_short":
        return "is empty; at least one is required."
    if kind == "string_type":
        found = json.dumps(fault["input"], default=str)
        return f"found {found}; expected text. hint: property values are text, write it in quotes."
    expected = EXPECTED.get(kind, fault["msg"]).format(**fault.get("ctx", {}))
    return f"found {json.dumps(fault['input'], default=str)}; expected {expected}."


def utc(moment: datetime) -> datetime:
    """The same moment, in UTC."""
    return moment.astimezone(UTC)
