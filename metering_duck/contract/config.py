"""Configs as frozen models: what is measured, for whom, and since when.

Reads JSON in both spellings of the spec (`measurements`, and `observations` of its later revision) and reports every
fault at once with its path. Owns no SQL: judging/events.py turns a config into text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field, ValidationError, model_validator

from metering_duck.contract.aggregations import Aggregation
from metering_duck.contract.filters import KEYS as FILTER_KEYS
from metering_duck.contract.measurements import Measurement, Span
from metering_duck.contract.models import Model, SomeText, plain_text
from metering_duck.contract.times import parse_time
from metering_duck.errors import SPELLED_AT_MOST, ConfigError, a_kind, did_you_mean
from metering_duck.files.kinds import SAVE_AS_UTF8

# More digits than this has no number of a config.
DIGITS_MAX = 1_000
BITS_MAX = 3_321


def check_text(text: str, where: str) -> None:
    """Refuse what is not Unicode text.

    Raises: ConfigError with `where`.
    """
    try:
        plain_text(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {text!r} {error}.") from None


def _moment(value: object) -> datetime | None:
    """A moment from RFC 3339 text, parsed by `parse_time`, since pydantic would take numbers, too."""
    if value is None:
        return None
    try:
        return parse_time(value, "it")
    except ConfigError as error:
        raise ValueError(str(error).removeprefix("it: ")) from None


Moment = Annotated[datetime | None, BeforeValidator(_moment)]


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
        """Whether one event could match this entry and the other entry (R1)."""
        starts_in_time = _before(self.effective_from, other.effective_to)
        ends_in_time = _before(other.effective_from, self.effective_to)
        return (
            _could_be_same(self.workspace_id, other.workspace_id)
            and _could_be_same(self.type, other.type)
            and starts_in_time
            and ends_in_time
        )


def _could_be_same(one: str | None, other: str | None) -> bool:
    """Whether one event could have both texts; None stands for all texts."""
    return one is None or other is None or one == other


def _before(start: datetime | None, end: datetime | None) -> bool:
    """Whether a start comes before an end; a bound that is None is never in the way."""
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

    def aggregated(self, chosen: str | None) -> list[Aggregation]:
        """The aggregation of each measurement: the one `chosen` by the call, or else the measurement's own, if any."""
        found = [measurement.aggregated(chosen) for _, measurement in self.measurements]
        return [aggregation for aggregation in found if aggregation is not None]

    @property
    def measurements(self) -> list[tuple[str, Measurement]]:
        """Each measurement with its path in the config, in the config's order."""
        first = self.entries[0]
        is_plain = len(self.entries) == 1 and first.workspace_id is None and first.type is None
        found = []
        for e, entry in enumerate(self.entries):
            before = "" if is_plain else f"entries[{e}]."
            for m, measurement in enumerate(entry.measurements):
                found.append((f"{before}measurements[{m}]", measurement))
        return found


ConfigLike = MeteringConfig | Mapping[str, Any] | str | os.PathLike[str]


def load_config(config: ConfigLike) -> MeteringConfig:
    """A config from a path, a dict, JSON text, or a MeteringConfig (given back as it is).

    Raises: ConfigError with every fault and its path; SourceError never: an unreadable config is a ConfigError.
    Source: metering-spec "Metering config", R1, R2, R5.
    """
    if isinstance(config, MeteringConfig):
        return config
    if isinstance(config, Mapping):
        _check_numbers(config)
        return _from_json(dict(config), "config")
    if isinstance(config, str) and config.lstrip().startswith("{"):
        return _from_json(_parse_json(config, "config"), "config")
    if not isinstance(config, str | os.PathLike):
        raise ConfigError(f"config: found {a_kind(config)}; expected a path, a dict or a MeteringConfig.")
    path = Path(config)
    return _from_json(_parse_json(_read_text(path), str(path)), str(path))


def name_of_config(config: ConfigLike) -> str:
    """What messages call a config: the name of its file, otherwise "config"."""
    is_path = isinstance(config, os.PathLike) or (isinstance(config, str) and not config.lstrip().startswith("{"))
    return str(Path(config)) if is_path else "config"  # type: ignore[arg-type]


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: found no such file; expected a config in JSON. hint: --config FILE") from None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        way = f" hint: {SAVE_AS_UTF8.format(encoding='ENCODING')}" if isinstance(error, UnicodeDecodeError) else ""
        raise ConfigError(f"{path}: cannot be read ({why}); expected a config in JSON, UTF-8.{way}") from None


def _parse_json(text: str, where: str) -> Any:
    """The value of JSON text, in which no object has a key twice."""

    def once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ConfigError(f'{where}: found the key "{key}" twice in one object; expected it once.')
            found[key] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=once, parse_int=partial(_whole_number, where))
    except RecursionError:
        raise ConfigError(
            f"{where}: found objects or lists that are nested too deep to be read; expected a config. "
            "hint: see `metering-duck schema`"
        ) from None
    except ValueError as error:
        raise ConfigError(
            f"{where}: is not JSON ({error}); expected an object. hint: see `metering-duck schema`"
        ) from None


def _whole_number(where: str, text: str) -> int:
    """A whole number of JSON; Python refuses to read one of more than some thousand digits.

    Raises: ConfigError.
    """
    if len(text) > DIGITS_MAX:
        raise ConfigError(f"{where}: found a number of {len(text):,} digits; expected at most {DIGITS_MAX:,}.")
    return int(text)


def _check_numbers(config: Any) -> None:
    """Refuse numbers of more digits than Python spells, wherever in a config of dicts and lists they are.

    Raises: ConfigError.
    """
    waiting, seen = [config], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            waiting += value.values() if isinstance(value, Mapping) else value
        elif isinstance(value, int) and value.bit_length() > BITS_MAX:
            raise ConfigError(f"config: found a number of more than {DIGITS_MAX:,} digits; expected fewer.")


def _shortened(text: str) -> str:
    """A text that is shown in a message, cut where it is long."""
    return text if len(text) <= SPELLED_AT_MOST else f"{text[:SPELLED_AT_MOST]}…"


def _from_json(data: Any, where: str) -> MeteringConfig:
    """A config from JSON: a list of entries, an object with entries, or a plain object with measurements."""
    if isinstance(data, list):
        data = {"entries": data}
    if not isinstance(data, dict):
        found = _shortened(json.dumps(data))
        raise ConfigError(f"{where}: found {found}; expected an object with measurements or entries.")
    if {"measurements", "observations"} <= set(data):
        raise ConfigError(f"{where}: found measurements and observations; expected one of them.")
    catalog = data.get("entries", data.get("catalog"))
    is_plain = catalog is None
    if is_plain:
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
        raise ConfigError([_sentence(fault, where, data, is_plain=is_plain) for fault in faults]) from None


def _follows(fault: Any, faults: Iterable[Any]) -> bool:
    """Whether a fault only follows from other faults: pydantic calls a list too short whose items are at fault."""
    place = fault["loc"]
    deeper = any(other["loc"][: len(place)] == place and len(other["loc"]) > len(place) for other in faults)
    return fault["type"] == "too_short" and deeper


def _sentence(fault: Any, where: str, data: dict[str, Any], *, is_plain: bool) -> str:
    """One of pydantic's faults as a message: where, the path in the config, what was found and what was expected."""
    location = list(fault["loc"])
    if is_plain:
        # A plain config has no entries[0] that a person wrote.
        location = location[2:]
    path = _path_of(location)
    if path.startswith("measurements") and "observations" in data and "measurements" not in data:
        path = path.replace("measurements", "observations", 1)
    wrong = _what_is_wrong(fault, location)
    return f"{where}: {path}: {wrong}" if path else f"{where}: {wrong}"


def _path_of(location: Iterable[str | int]) -> str:
    """The keys and indexes that lead to a value as one text, such as entries[0].measurements[1].unit."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif path:
            path += f".{part}"
        else:
            path = str(part)
    return path


EXPECTED = {
    "tuple_type": "a list",
    "literal_error": "{expected}",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "int_type": "a whole number",
    "less_than_equal": "at most {le}",
    "greater_than_equal": "at least {ge}",
}


def _keys(model: type[Model]) -> list[str]:
    return [info.serialization_alias or name for name, info in model.model_fields.items()]


KNOWN_KEYS = {
    **dict.fromkeys(("filter", "and", "or", "not"), FILTER_KEYS),
    **dict.fromkeys(("measurements", "observations"), _keys(Measurement)),
    "span": _keys(Span),
    "entries": _keys(Entry),
}


def _what_is_wrong(fault: Any, location: list[Any]) -> str:
    """What was found and expected, for each kind of fault that pydantic tells apart."""
    kind = fault["type"]
    if kind == "value_error":
        text = str(fault["ctx"]["error"])
        return text if text.endswith((".", "?")) else f"{text}."
    if kind == "missing" and location[-1:] == ["sourceProperty"]:
        return "is missing; it is required, unless the aggregation is count."
    if kind == "missing":
        return "is missing; it is required."
    if kind == "extra_forbidden":
        parents = [part for part in location[:-1] if isinstance(part, str)]
        known = KNOWN_KEYS.get(parents[-1] if parents else "entries", KNOWN_KEYS["entries"])
        return f"is not a key of this object. hint: {did_you_mean(str(location[-1]), known)}"
    if kind == "too_short":
        return "is empty; at least one is required."
    if kind == "string_type":
        found = _shortened(json.dumps(fault["input"], default=str))
        return f"found {found}; expected text. hint: property values are text, write it in quotes."
    expected = EXPECTED.get(kind, fault["msg"]).format(**fault.get("ctx", {}))
    found = _shortened(json.dumps(fault["input"], default=str))
    return f"found {found}; expected {expected}."
