"""Arguments: what the public functions are given, checked and brought into the three values that travel inside.

A Source says how the input is read, a Question what is asked of it, a Machine what may be used. Every complaint names
the argument. Nothing here reads data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from metering_duck.contract import aggregations
from metering_duck.contract.config import ConfigLike, MeteringConfig, check_text, load_config
from metering_duck.contract.definitions import COUNTERS, GAUGES
from metering_duck.contract.intervals import check_zone
from metering_duck.contract.times import parse_time
from metering_duck.decimals.columns import DIGITS_MAX
from metering_duck.engine.patterns import pattern_faults
from metering_duck.errors import ConfigError
from metering_duck.inputs.fields import Reach
from metering_duck.inputs.foreign_shapes import shape_of
from metering_duck.inputs.source import Source
from metering_duck.readings.filling import FILLS
from metering_duck.runs.machine import Moment
from metering_duck.runs.question import Question
from metering_duck.windows.cutting import make_windows
from metering_duck.windows.periods import Periods
from metering_duck.windows.schedules import listed_pairs

# An argument that is one text, several, or not given.
TextOrTexts = str | Sequence[str] | None
SIGNIFICANT_DIGITS_MAX = 34
# What aggregate takes and meter does not.
WINDOWED = (
    "start",
    "end",
    "every",
    "timezone",
    "anchor",
    "windows",
    "subscriptions",
    "whole_periods",
    "aggregation",
    "fill",
    "group_by",
    "subject",
    "time_partition",
    "across_workspaces",
    "scale",
    "digits",
)


def names_of(given: TextOrTexts, what: str) -> tuple[str, ...]:
    """One name or several, as a tuple without repeats."""
    names = [] if given is None else [given] if isinstance(given, str) else list(given)
    for name in names:
        if not isinstance(name, str) or not name:
            raise ConfigError(f"{what}: found {name!r}; expected text that is not empty.")
        check_text(name, what)
    return tuple(dict.fromkeys(names))


def check_result_shape(scale: int | None, digits: int | None) -> None:
    """At most one of the two, and within what a DECIMAL has."""
    if scale is not None and digits is not None:
        raise ConfigError("scale: found digits beside it; expected one of the two.")
    if scale is not None and not 0 <= scale <= DIGITS_MAX:
        raise ConfigError(f"scale: found {scale}; expected 0 to {DIGITS_MAX} fraction digits.")
    if digits is not None and not 1 <= digits <= SIGNIFICANT_DIGITS_MAX:
        raise ConfigError(f"digits: found {digits}; expected 1 to {SIGNIFICANT_DIGITS_MAX} significant digits.")


def universes_of(given: Any) -> dict[str, str]:
    """Universe → its other name."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigError(f"map_universe: found {given!r}; expected names and other names, such as {{'old': 'new'}}.")
    for name in (*given, *given.values()):
        names_of(name, "map_universe")
    return dict(given)


def promise_of(given: Any, what: str) -> bool:
    """What a caller promises or does not."""
    if not isinstance(given, bool):
        raise ConfigError(f"{what}: found {given!r}; expected True or False.")
    return given


def column_of(given: Any, what: str) -> str:
    """The name of a column."""
    if not isinstance(given, str) or not given:
        raise ConfigError(f"{what}: found {given!r}; expected the name of a column.")
    return given


def fill_of(given: str, known: Sequence[str] = FILLS) -> str:
    """What stands in windows without an event."""
    if given not in known:
        raise ConfigError(f"fill: found {given!r}; expected one of {', '.join(known)}.")
    return given


def aggregation_of(name: str | None) -> str | None:
    """The aggregation that is chosen for all."""
    return None if name is None else aggregations.canonical(name, "aggregation")


def moment_of(given: Moment, what: str) -> datetime | None:
    """A moment, where one is given."""
    return None if given is None else parse_time(given, what)


def zone_of(name: str | None) -> str | None:
    """An IANA zone that exists; None is none given."""
    return None if name is None else check_zone(name, "assume-timezone")


def source_of(
    *,
    from_: str | None = None,
    map: Mapping[str, Any] | None = None,
    assume_timezone: str | None = None,
    generate_ids: bool = False,
    assume_unique: bool = False,
    map_universe: Mapping[str, str] | None = None,
    event_type: TextOrTexts = None,
    time_partition: str | None = None,
    is_records: bool = False,
) -> Source:
    """How an input is to be read."""
    shape = shape_of(from_)
    if shape and is_records:
        raise ConfigError(f"from: found {from_!r} with records; expected events. hint: records have one shape")
    return Source(
        map=map,
        shape=shape,
        timezone=zone_of(assume_timezone),
        generate_ids=generate_ids,
        assume_unique=promise_of(assume_unique, "assume-unique"),
        time_partition=None if time_partition is None else column_of(time_partition, "time-partition"),
        universes=universes_of(map_universe),
        types=types_of(event_type, is_records=is_records),
        is_records=is_records,
    )


def periods_of(
    start: Moment,
    end: Moment,
    every: str | None,
    timezone: str | None,
    anchor: Moment,
    windows: Any,
    subscriptions: Any,
    whole: bool,
    *,
    open_ended: bool = False,
) -> Periods:
    """The windows that a call asks for; where they are `open_ended`, what is read says what bounds they lack."""
    if windows is not None and subscriptions is not None:
        raise ConfigError("windows: found subscriptions beside them; expected one of the two.")
    if windows is not None and every is not None:
        raise ConfigError("windows: found every beside them; expected one of the two.")
    listed = windows is not None or subscriptions is not None
    made = make_windows(
        start,
        end,
        every,
        timezone=timezone,
        anchor=anchor,
        whole=whole,
        bounded=listed,
        open_ended=open_ended,
    )
    if windows is not None:
        return Periods(made, "windows", listed_pairs(windows))
    return Periods(made, "subscriptions", subscriptions) if listed else Periods(made)


def checked_config(config: ConfigLike) -> MeteringConfig:
    """A config whose regular expressions RE2 can read, which only the engine knows.

    Raises: ConfigError.
    """
    loaded = load_config(config)
    filters = [(f"{path}.filter", m.filter) for path, m in loaded.measurements if m.filter]
    patterns = dict(found for path, chosen in filters for found in chosen.patterns(path))
    faults = pattern_faults(set(patterns.values())) if patterns else {}
    problems = [
        f"{path}: found {pattern!r}; expected a regular expression as RE2 reads it. hint: {faults[pattern]}"
        for path, pattern in patterns.items()
        if pattern in faults
    ]
    if problems:
        raise ConfigError(problems)
    return loaded


def types_of(event_type: TextOrTexts, *, is_records: bool) -> tuple[str, ...]:
    """The types that are asked for; records have none."""
    types = names_of(event_type, "event_type")
    if types and is_records:
        raise ConfigError(f"event-type: found {types[0]!r} with records, which have no type; expected events.")
    return types


def check_aggregations(config: MeteringConfig, chosen: str | None) -> None:
    """Every measurement must have an aggregation, its own or the call's."""
    lacking = [path for path, measurement in config.measurements if not (chosen or measurement.aggregation)]
    if lacking:
        known = ", ".join((*COUNTERS, *GAUGES))
        fault = f"aggregation: found none; expected one of {known}. hint: --aggregation sum"
        raise ConfigError([f"{path}.{fault}" for path in lacking])
    for path, measurement in config.measurements:
        found = measurement.aggregated(chosen)
        if found is not None:
            aggregations.check_inner(found, f"{path}.aggregation")


def reach_of(config: MeteringConfig, question: Question) -> Reach:
    """Which events the readings need."""
    if question.fill != "none":
        return "all"
    found = config.aggregated(question.aggregation)
    if any(made.prorated for made in found):
        return "all"
    return "before" if any(made.is_gauge for made in found) else "window"


def prorated_notices(config: MeteringConfig, chosen: str | None) -> list[str]:
    """What is split by time under sum only, and is whole under the aggregation that is chosen for all."""
    return [
        f"{path}: by-time is for sum; under {chosen} each quantity counts whole, at its recorded_at."
        for path, measurement in config.measurements
        if measurement.proration == "by-time" and (found := measurement.aggregated(chosen)) and not found.prorated
    ]
