"""Arguments: the arguments of the public functions are checked, and become the three values that inner functions take.

A Source says how the input is read, a Question what is asked of it, a Machine what a run may use. Every error names the
argument. Nothing here reads data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from os import PathLike
from typing import Any

from metering_duck.contract import aggregations
from metering_duck.contract.config import ConfigLike, MeteringConfig, check_text, load_config, name_of_config
from metering_duck.contract.definitions import COUNTERS, GAUGES
from metering_duck.contract.intervals import check_zone
from metering_duck.contract.times import parse_time
from metering_duck.decimals.columns import DIGITS_MAX
from metering_duck.engine.patterns import pattern_faults
from metering_duck.engine.progress import Progress
from metering_duck.errors import ConfigError, cut, spelled
from metering_duck.inputs.fields import Reach
from metering_duck.inputs.foreign_shapes import shape_of
from metering_duck.inputs.source import Source
from metering_duck.readings.filling import FILLS
from metering_duck.runs.machine import GivenTime, Machine
from metering_duck.runs.question import Question
from metering_duck.windows.cutting import make_windows
from metering_duck.windows.periods import Periods
from metering_duck.windows.schedules import listed_pairs

# An argument that is one text, several, or not given.
TextOrTexts = str | Sequence[str] | None
SIGNIFICANT_DIGITS_MAX = 34
# The options that aggregate has and meter does not.
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


def is_asked(value: object) -> bool:
    """Whether the value of an argument asks anything; a scale of 0 does, though it equals False."""
    return value is not False and value not in (None, (), {}, "none")


def names_of(given: TextOrTexts, what: str) -> tuple[str, ...]:
    """One name or several, as a tuple without repeats.

    Raises: ConfigError.
    """
    if given is None:
        return ()
    if not isinstance(given, Iterable):
        raise ConfigError(f"{what}: found {spelled(given)}; expected text, or a list of texts.")
    names = [given] if isinstance(given, str) else list(given)
    for name in names:
        if not isinstance(name, str) or not name:
            raise ConfigError(f"{what}: found {spelled(name)}; expected text that is not empty.")
        check_text(name, what)
    return tuple(dict.fromkeys(names))


def check_result_shape(scale: int | None, digits: int | None) -> None:
    """Refuse `scale` beside `digits`, and a number that a DECIMAL does not have room for.

    Raises: ConfigError.
    """
    if scale is not None and digits is not None:
        raise ConfigError("scale: found digits beside it; expected one of the two.")
    if scale is not None and not (isinstance(scale, int) and 0 <= scale <= DIGITS_MAX):
        raise ConfigError(f"scale: found {spelled(scale)}; expected 0 to {DIGITS_MAX} fraction digits.")
    if digits is not None and not (isinstance(digits, int) and 1 <= digits <= SIGNIFICANT_DIGITS_MAX):
        raise ConfigError(
            f"digits: found {spelled(digits)}; expected 1 to {SIGNIFICANT_DIGITS_MAX} significant digits."
        )


def universe_names_of(given: Any) -> dict[str, str]:
    """Universe → its other name."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"map_universe: found {spelled(given)}; expected names and other names, such as {{'old': 'new'}}."
        )
    for name in (*given, *given.values()):
        names_of(name, "map_universe")
    return dict(given)


def promise_of(given: Any, what: str) -> bool:
    """Whether the caller promises `what`."""
    if not isinstance(given, bool):
        raise ConfigError(f"{what}: found {spelled(given)}; expected True or False.")
    return given


def machine_of(
    threads: int | None,
    memory_limit: str | None,
    temp_dir: str | PathLike[str] | None,
    progress: Progress | None,
    verify_files: bool,
) -> Machine:
    """What a run may use of the machine, and whether it fetches files once more to prove them whole."""
    return Machine(threads, memory_limit, temp_dir, progress, promise_of(verify_files, "verify-files"))


def column_of(given: Any, what: str) -> str:
    """The name of a column."""
    if not isinstance(given, str) or not given:
        raise ConfigError(f"{what}: found {spelled(given)}; expected the name of a column.")
    return given


def fill_of(given: str, known: Sequence[str] = FILLS) -> str:
    """How windows without an event are filled."""
    if given not in known:
        raise ConfigError(f"fill: found {spelled(given)}; expected one of {', '.join(known)}.")
    return given


def aggregation_of(name: str | None) -> str | None:
    """The canonical name of the aggregation that a call chooses for all measurements."""
    return None if name is None else aggregations.canonical(name, "aggregation")


def moment_of(given: GivenTime, what: str) -> datetime | None:
    """A moment; None where no moment is given."""
    return None if given is None else parse_time(given, what)


def zone_of(name: str | None) -> str | None:
    """An IANA zone that exists; None where no zone is given."""
    return None if name is None else check_zone(name, "assume-timezone")


def map_of(given: Any) -> Mapping[str, Any] | None:
    """Which columns or constants the fields are."""
    if given is not None and not isinstance(given, Mapping):
        raise ConfigError(f"map: found {spelled(given)}; expected fields and columns, such as {{'subject': 'who'}}.")
    return given


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
    folder_keys: bool | None = None,
    binary_as_text: bool = False,
) -> Source:
    """How an input is to be read."""
    shape = shape_of(from_)
    if shape and is_records:
        raise ConfigError(f"from: found {spelled(from_)} with records; expected events. hint: records have one shape")
    return Source(
        map=map_of(map),
        shape=shape,
        timezone=zone_of(assume_timezone),
        generate_ids=generate_ids,
        assume_unique=promise_of(assume_unique, "assume-unique"),
        time_partition=None if time_partition is None else column_of(time_partition, "time-partition"),
        universe_names=universe_names_of(map_universe),
        # Records have no type: of them it is said what they were made of, and nothing is chosen by it.
        types=() if is_records else names_of(event_type, "event_type"),
        is_records=is_records,
        folder_keys=None if folder_keys is None else promise_of(folder_keys, "folder-keys"),
        binary_as_text=promise_of(binary_as_text, "binary-as-text"),
    )


def periods_of(
    start: GivenTime,
    end: GivenTime,
    every: str | None,
    timezone: str | None,
    anchor: GivenTime,
    windows: Any,
    subscriptions: Any,
    whole: bool,
    *,
    open_ended: bool = False,
) -> Periods:
    """The windows that a call asks for; `open_ended` windows may lack bounds, which the input's rows then give."""
    if windows is not None and subscriptions is not None:
        raise ConfigError("windows: found subscriptions beside them; expected one of the two.")
    if windows is not None and every is not None:
        raise ConfigError("windows: found every beside them; expected one of the two.")
    if windows is not None and anchor is not None:
        raise ConfigError("windows: found anchor beside them; expected one of the two.")
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
    if subscriptions is not None:
        return Periods(made, "subscriptions", subscriptions)
    return Periods(made)


def checked_config(config: ConfigLike) -> MeteringConfig:
    """A loaded config; the engine checks that RE2, which it uses, can read each regular expression.

    Raises: ConfigError.
    """
    loaded = load_config(config)
    patterns: dict[str, str] = {}
    for path, measurement in loaded.measurements:
        if measurement.filter:
            patterns.update(measurement.filter.patterns(f"{path}.filter"))
    faults = pattern_faults(set(patterns.values())) if patterns else {}
    where = name_of_config(config)
    problems = [
        f"{where}: {path}: found {spelled(pattern)}; expected a regular expression as RE2 reads it. "
        f"hint: {cut(faults[pattern])}"
        for path, pattern in patterns.items()
        if pattern in faults
    ]
    if problems:
        raise ConfigError(problems)
    return loaded


def check_aggregations(config: MeteringConfig, chosen: str | None) -> None:
    """Refuse a measurement without an aggregation, of its own or of the call.

    Raises: ConfigError.
    """
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
    """Which events the readings need, by their times."""
    if question.fill != "none":
        return "all"
    found = config.aggregated(question.aggregation)
    if any(made.prorated for made in found):
        return "all"
    if any(made.is_gauge for made in found):
        return "before"
    return "window"
