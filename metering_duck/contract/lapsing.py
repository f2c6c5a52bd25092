"""Lapsing: levels that are wrong where a config changes in time, since R28 is not built.

A level goes on under an entry that is no longer in effect, and a level of the next entry begins with its first event.
Until the entry in force decides, this says where that makes a number wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from metering_duck.contract.config import Entry, MeteringConfig
from metering_duck.contract.measurements import Measurement
from metering_duck.contract.times import format_time


@dataclass(frozen=True)
class Lapse:
    """A moment from which the level of a measurement is wrong, and a sentence that says so."""

    moment: datetime
    sentence: str


def lapses(config: MeteringConfig, chosen: str | None = None) -> list[Lapse]:
    """Where levels are wrong over a change of the config; `chosen` is the aggregation that a call asks for."""
    found = []
    paths = iter(path for path, _ in config.measurements)
    for entry in config.entries:
        for measurement in entry.measurements:
            path = next(paths)
            aggregation = measurement.aggregated(chosen)
            if aggregation is None or not aggregation.is_gauge:
                continue
            found += _ending(config, entry, measurement, path, chosen)
            found += _beginning(config, entry, measurement, path, chosen)
    return found


def _ending(config: MeteringConfig, entry: Entry, m: Measurement, path: str, chosen: str | None) -> list[Lapse]:
    """The lapse at an entry's end, unless the next entry measures the same."""
    end = entry.effective_to
    if end is None:
        return []
    after = [other for other in config.entries if other.effective_from == end and _are_of_one(entry, other)]
    if any(_measures(other, m, chosen) for other in after):
        return []
    until = format_time(end)
    ways = "windows that end by then"
    if after:
        number = config.entries.index(after[0])
        ways += f", and others from then on under entries[{number}] alone without its effectiveFrom"
    else:
        ways += ", or an event just before that sets it to 0"
    return [
        Lapse(
            end,
            f"{path}: the level of {m.unit!r} goes on after {until}, the effectiveTo of its entry; expected it to end "
            f"there (R28, which is not built yet). hint: {ways}",
        )
    ]


def _beginning(config: MeteringConfig, entry: Entry, m: Measurement, path: str, chosen: str | None) -> list[Lapse]:
    """The lapse at an entry's beginning, unless the entry before measured the same."""
    start = entry.effective_from
    if start is None:
        return []
    before = [o for o in config.entries if o.effective_to and o.effective_to <= start and _are_of_one(entry, o)]
    if not before or any(_measures(other, m, chosen) for other in before if other.effective_to == start):
        return []
    number = config.entries.index(entry)
    return [
        Lapse(
            start,
            f"{path}: the level of {m.unit!r} begins with the first event from {format_time(start)} on, the "
            "effectiveFrom of its entry; expected it there, from the last event before (R28, which is not built yet). "
            f"hint: windows from then on under entries[{number}] alone without its effectiveFrom",
        )
    ]


def _are_of_one(entry: Entry, other: Entry) -> bool:
    """Whether both entries may be of one event's type and workspace."""
    pairs = ((entry.workspace_id, other.workspace_id), (entry.type, other.type))
    return entry is not other and all(one is None or two is None or one == two for one, two in pairs)


def _measures(entry: Entry, m: Measurement, chosen: str | None) -> bool:
    """Whether an entry makes the same level of the same events as a measurement."""
    return any(_level(other, chosen) == _level(m, chosen) for other in entry.measurements)


def _level(m: Measurement, chosen: str | None) -> tuple[object, ...]:
    """What decides about a level."""
    return m.source_property, m.unit, m.filter, m.factor, m.span, m.times_duration, m.aggregated(chosen)
