"""Idle keys: what a config says that changes no number, by the aggregation that is made of each measurement.

A key may be idle because the measurement's own aggregation has no use for it, or because a call chose another one.
Nothing here refuses a config: a key that changes nothing does no harm but the harm of being believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from metering_duck.contract.aggregations import Aggregation
from metering_duck.contract.config import Entry, MeteringConfig
from metering_duck.contract.idle_filters import Condition, idle_conditions, never_holds
from metering_duck.contract.measurements import Measurement
from metering_duck.contract.result_scales import result_scales
from metering_duck.decimals.columns import DIGITS_MAX, HALF_EVEN, SCALE_DEFAULT


@dataclass(frozen=True)
class Made:
    """A measurement, the aggregation that is made of it, and the measurements of the same unit.

    `result_scale` is that of its readings, None where no measurement says one; `scale` is the number of fraction digits
    that a call asks for, `has_digits` whether it asks for significant ones.
    """

    measurement: Measurement
    aggregation: Aggregation
    same_unit: tuple[Measurement, ...]
    result_scale: int | None
    scale: int | None
    has_digits: bool

    @property
    def counts_records(self) -> bool:
        """Whether its value is a number of records or of texts, whatever their quantities are."""
        return self.aggregation.definition.is_whole

    @property
    def is_exact(self) -> bool:
        """Whether its value has all digits of the quantities, if a result has room for them."""
        outermost, percentile = self.aggregation.outermost, self.aggregation.percentile
        return outermost.divided_by is None and not (percentile and percentile.interpolated)

    @property
    def drops_digits(self) -> bool:
        """Whether a result may have fewer fraction digits than its value."""
        if self.has_digits:
            return False
        asked = self.scale if self.scale is not None else self.result_scale
        scale = 0 if self.aggregation.outermost.is_whole else max(m.scale for m in self.same_unit)
        if self.aggregation.outer and scale:
            scale = max(scale, SCALE_DEFAULT)
        return asked is not None and asked < scale


# What is said of a key: None where the key changes something, or is not given.
Rule = Callable[[Made], str | None]


def _span(made: Made) -> str | None:
    m = made.measurement
    if m.span is None or made.aggregation.prorated or m.proration == "by-time":
        return None
    if made.counts_records:
        return _of_counted(made)
    if m.times_duration:
        return None
    if made.aggregation.is_gauge:
        return "a level holds from its event to the next, however long the span is"
    return 'each quantity counts whole, at its recorded_at. hint: "proration": "by-time", or "timesDuration"'


def _proration(made: Made) -> str | None:
    if made.measurement.proration == "none" or made.aggregation.prorated:
        return None
    return "by-time is for sum; each quantity counts whole, at its recorded_at"


def _times_duration(made: Made) -> str | None:
    return _of_counted(made) if made.measurement.times_duration else None


def _of_counted(made: Made) -> str | None:
    if not made.counts_records:
        return None
    what = "texts" if made.aggregation.definition.takes_texts else "records"
    return f"{what} are counted, whatever their quantities are"


def _factor(made: Made) -> str | None:
    if made.measurement.factor == 1:
        return "it comes to a factor of 1"
    return _of_counted(made)


def _multiply(made: Made) -> str | None:
    return _factor(made) if made.measurement.multiply is not None else None


def _divide(made: Made) -> str | None:
    both = made.measurement.multiply is not None
    return _factor(made) if made.measurement.divide is not None and not both else None


def _precision(made: Made) -> str | None:
    m = made.measurement
    if (m.precision, m.scale) == (DIGITS_MAX, SCALE_DEFAULT) or not made.aggregation.definition.takes_texts:
        return None
    return "texts are told apart as they are, and are no quantities"


def _result_scale(made: Made) -> str | None:
    asked = made.measurement.result_scale
    if asked is None:
        return None
    if made.scale is not None:
        return "the scale of the call comes first"
    if made.has_digits and not made.aggregation.prorated:
        return "the digits of the call come first"
    if asked >= 0 and made.aggregation.outermost.is_whole:
        return "its result is a whole number"
    if asked != made.result_scale:
        return f"another measurement of the same unit says {made.result_scale}, and a reading has one scale"
    return None


def _rounding(made: Made) -> str | None:
    if made.measurement.rounding == HALF_EVEN or made.aggregation.prorated:
        return None
    if made.has_digits and not made.is_exact:
        return "the digits of the call come first, half to even"
    if not made.is_exact or made.drops_digits:
        return None
    if made.has_digits or made.aggregation.outermost.is_whole:
        return "its result is exact, and never rounded"
    return 'its result keeps all digits, and is never rounded. hint: "resultScale", or the scale of a call'


def _values(made: Made) -> str | None:
    if made.measurement.values == "levels" or made.aggregation.is_gauge:
        return None
    return "deltas are for gauges, such as time-weighted-avg; each quantity counts as it is"


def _divisor(made: Made) -> str | None:
    if made.measurement.divisor == "window" or made.aggregation.definition.divided_by == "known-time":
        return None
    return "known is for time-weighted-avg"


def _inner(key: str) -> Rule:
    def rule(made: Made) -> str | None:
        if getattr(made.measurement, key) is None:
            return None
        if not made.aggregation.outer:
            return "it is for an aggregation of two levels, such as sum-of-max"
        used = made.aggregation.per if key == "inner_window" else made.aggregation.by
        if used == getattr(made.measurement, key):
            return None
        return "the aggregation says its own inner window or dimension"

    return rule


def _span_key(key: str) -> Rule:
    def rule(made: Made) -> str | None:
        span = made.measurement.span
        if span is None or _span(made):
            return None
        is_placed = made.aggregation.prorated
        has_times = span.start is not None or span.end is not None
        if key == "times" and span.times != "rfc3339" and not has_times:
            return "no property of the span is a time"
        if is_placed or span.duration is None:
            return None
        if key == "event_time" and span.event_time == "end":
            return "only the length of the span counts, not when it is"
        if key in ("start", "end") and getattr(span, key) is not None:
            return "the duration says the length of the span, and when it is does not count"
        return None

    return rule


# Key of a measurement → what is said where it changes nothing.
RULES: dict[str, Rule] = {
    "span": _span,
    "span.start": _span_key("start"),
    "span.end": _span_key("end"),
    "span.eventTime": _span_key("event_time"),
    "span.times": _span_key("times"),
    "proration": _proration,
    "timesDuration": _times_duration,
    "multiply": _multiply,
    "divide": _divide,
    "precision and scale": _precision,
    "resultScale": _result_scale,
    "rounding": _rounding,
    "values": _values,
    "divisor": _divisor,
    "innerWindow": _inner("inner_window"),
    "innerDimension": _inner("inner_dimension"),
}


def idle_keys(
    config: MeteringConfig, chosen: str | None = None, *, scale: int | None = None, has_digits: bool = False
) -> list[str]:
    """What a config says that changes nothing, a sentence each; `chosen` is the aggregation that a call asks for."""
    found: list[str] = []
    scales = result_scales(config, chosen)
    for path, m in config.measurements:
        aggregation = m.aggregated(chosen)
        if aggregation is not None:
            same_unit = tuple(other for _, other in config.measurements if other.unit == m.unit)
            found += _of_keys(path, Made(m, aggregation, same_unit, scales[path], scale, has_digits))
    return found


def _of_keys(path: str, made: Made) -> Iterator[str]:
    """What is said of the keys of one measurement."""
    for key, rule in RULES.items():
        why = rule(made)
        if why:
            end = "" if "hint: " in why else "."
            yield f"{path}.{key}: changes nothing under {made.aggregation.name}: {why}{end}"


def dead_filters(config: MeteringConfig) -> list[str]:
    """The filters that no event passes, a sentence each."""
    return [
        f"{path}.filter: can never hold, so that nothing passes it."
        for path, m, entry in _placed(config)
        if m.filter is not None and never_holds(m.filter, _known(entry))
    ]


def idle_filters(config: MeteringConfig) -> list[str]:
    """Conditions of filters that change nothing or never hold, a sentence each."""
    found: list[str] = []
    for path, m, entry in _placed(config):
        if m.filter is None:
            continue
        known = _known(entry)
        found += idle_conditions(m.filter, f"{path}.filter", known)
        there = [Condition(("property", name), "exists", True) for name in m.source_property]
        if not never_holds(m.filter, known) and never_holds(m.filter, [*known, *there]):
            found.append(f"{path}.filter: lets only events through that lack what is measured: each is a reject (R3).")
    return found


def same_measurements(config: MeteringConfig) -> list[str]:
    """Measurements that are in their entry twice, and those that make one reading with another of their entry."""
    found = []
    seen: dict[tuple[int, str, Aggregation | None], list[tuple[str, Measurement]]] = {}
    for path, m, entry in _placed(config):
        before = seen.setdefault((id(entry), m.unit, m.aggregated()), [])
        same = next((other for other, measurement in before if measurement == m), None)
        if same:
            found.append(f"{path}: is the same as {same}; the reading of {m.unit!r} takes each event twice.")
        elif before:
            found.append(f"{path}: has the unit {m.unit!r} of {before[0][0]}; where both match, they make one reading.")
        before.append((path, m))
    return found


def _placed(config: MeteringConfig) -> list[tuple[str, Measurement, Entry]]:
    """Each measurement with its path and its entry."""
    entries = [entry for entry in config.entries for _ in entry.measurements]
    return [(path, m, entry) for (path, m), entry in zip(config.measurements, entries, strict=True)]


def _known(entry: Entry) -> list[Condition]:
    """What holds of every event of an entry: it has a type and a subject."""
    known = [Condition(("field", name), "exists", True) for name in ("type", "subject")]
    if entry.type is not None:
        known.append(Condition(("field", "type"), "equals", entry.type))
    return known
