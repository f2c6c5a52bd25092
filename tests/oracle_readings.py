"""Readings for the oracle: records by key and window, aggregated one by one (R10–R22, R26).

An aggregation is a text, the one that records carry: `sum`, `p95-interpolated`, `sum-of-max per hour`, `max-of-sum by
region`, `time-weighted-avg-of-deltas`, `prorated-sum`. What no text says (scales and rounding) is in the config.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from typing import Any

from tests.oracle_values import MICROSECOND, Row, parts_of, rounded, significant
from tests.oracle_windows import Window, periods, windows_for

OTHER_NAMES = {
    "sum-events": "sum",
    "max-event": "max",
    "min-event": "min",
    "latest-event": "latest",
    "integral-seconds": "integral",
    "median": "p50-interpolated",
}
GAUGES = ("time-weighted-avg", "peak-state", "min-state", "final-state")
LEVELS = (*GAUGES, "integral", "integral-hours", "time-weighted-avg-known")
DIVISORS = {"integral": 1_000_000, "integral-hours": 3_600_000_000}


# --- what an aggregation's text says ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Method:
    """An aggregation in its parts: `outer` of `inner`, inner windows or groups, and how records become levels."""

    inner: str
    outer: str | None = None
    per: str | None = None
    by: str | None = None
    deltas: bool = False
    prorated: bool = False

    @property
    def name(self) -> str:
        """What a reading calls it."""
        return f"{self.outer}-of-{self.inner}" if self.outer else self.inner


def method_of(text: str) -> Method:
    """The parts of an aggregation's text."""
    name, _, per = text.partition(" per ")
    name, _, by = name.partition(" by ") if not per else (name, "", "")
    deltas, prorated = name.endswith("-of-deltas"), name.startswith("prorated-")
    name = name.removesuffix("-of-deltas").removeprefix("prorated-")
    outer, _, inner = name.rpartition("-of-")
    return Method(
        OTHER_NAMES.get(inner, inner), OTHER_NAMES.get(outer, outer) or None, per or None, by or None, deltas, prorated
    )


def aggregation_of(measurement: Mapping[str, Any]) -> str | None:
    """The text that a measurement's records carry."""
    text = measurement.get("aggregation")
    if text is None:
        return None
    if text == "time-weighted-avg" and measurement.get("divisor") == "known":
        text = "time-weighted-avg-known"
    text = OTHER_NAMES.get(text, text)
    if measurement.get("values") == "deltas":
        text += "-of-deltas"
    if measurement.get("proration") == "by-time":
        text = f"prorated-{text}"
    if "innerWindow" in measurement:
        return f"{text} per {measurement['innerWindow']}"
    return f"{text} by {measurement['innerDimension']}" if "innerDimension" in measurement else text


@dataclass(frozen=True)
class Shape:
    """How the quantities of a unit are rounded, and at which scale they are split."""

    result_scale: int = 18
    rounding: str = "half-even"
    scale: int = 18


def _measured(entry: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return entry.get("measurements") or entry.get("observations") or ()


def shape_of(
    config: Mapping[str, Any] | None, workspace: str | None, unit: str, text: str | None, scale: int | None
) -> Shape:
    """What the measurements of a unit and an aggregation say about scales; the call's scale comes first.

    Entries of other workspaces say nothing, unless an entry is of every workspace, or the reading is.
    Where the call says the aggregation (`text` is None), it is that of all measurements of the unit (R16).
    """
    entries = (config or {}).get("entries") or [config or {}]
    by_workspace: dict[str | None, list[Mapping[str, Any]]] = {}
    for entry in entries:
        same = [
            m for m in _measured(entry) if m["unit"] == unit and (text is None or aggregation_of(m) in (None, text))
        ]
        by_workspace.setdefault(entry.get("workspaceID"), []).extend(same)
    if workspace is None or by_workspace.get(None):
        same = [m for found in by_workspace.values() for m in found]
    else:
        # Workspaces that say the same share the type that quantities are held in.
        said = _largest(by_workspace.get(workspace, ()))
        same = [m for found in by_workspace.values() if _largest(found) == said for m in found]
    own = _largest(same)
    finest = max([18, *(m["scale"] for m in same if "scale" in m)])
    return Shape(
        scale if scale is not None else own if own is not None else finest,
        next((m["rounding"] for m in same if "rounding" in m), "half-even"),
        max((m.get("scale", 18) for m in same), default=18),
    )


def _largest(measured: Iterable[Mapping[str, Any]]) -> int | None:
    return max((m["resultScale"] for m in measured if "resultScale" in m), default=None)


# --- records to readings ---------------------------------------------------------------------------------------------


def readings(
    records: Iterable[Row],
    *,
    aggregation: str | None = None,
    group_by: Sequence[str] = (),
    across_workspaces: bool = False,
    subjects: Sequence[str] = (),
    scale: int | None = None,
    digits: int | None = None,
    fill: str = "none",
    config: Mapping[str, Any] | None = None,
    **cut: Any,
) -> list[Row]:
    """Records → readings, one per key and window that has any (R10–R22); `cut` is what windows_for takes.

    All quantities are rounded to `scale`; with `digits` only averages are, and what needs no rounding is left exact.
    Only `config` knows the scales and the rounding of single measurements.
    """
    chosen = [r for r in records if not subjects or r["subject"] in subjects]
    made = []
    for key, same in series_of(chosen, aggregation, sorted(set(group_by)), across_workspaces).items():
        workspace, universe, subject, unit, text, dimensions = key
        method, shape = method_of(text), shape_of(config, workspace, unit, None if aggregation else text, scale)
        found = windows_for(universe, subject, **cut)
        parts = read_series(same, method, shape, found, zone_for(universe, subject, **cut))
        before: Row | None = None
        for window, part in zip(found, parts, strict=True):
            reading = (
                filled(before, fill, divisor_of(method, window)) if part is None else shown(part, method, shape, digits)
            )
            if reading is None:
                continue
            before = {
                "workspace_id": workspace,
                "universe_id": universe,
                "subject": subject,
                "unit": unit,
                "aggregation": method.name,
                "window_start": window[0],
                "window_end": window[1],
                "dimensions": dict(dimensions),
                **reading,
            }
            made.append(before)
    return made


def series_of(
    records: Iterable[Row], aggregation: str | None, group_by: Sequence[str], across_workspaces: bool
) -> dict[tuple[Any, ...], list[Row]]:
    """The records of each key (R10), their aggregation as the whole text."""
    series: dict[tuple[Any, ...], list[Row]] = {}
    for record in records:
        text = aggregation or record["aggregation"]
        workspace = None if across_workspaces else record["workspace_id"]
        dimensions = tuple((g, record["dimensions"].get(g)) for g in group_by)
        key = (workspace, record["universe_id"], record["subject"], record["unit"], text, dimensions)
        series.setdefault(key, []).append(record)
    return series


def zone_for(
    universe: str,
    subject: str,
    timezone: str | None = None,
    subscriptions: Iterable[Mapping[str, Any]] | None = None,
    **_: Any,
) -> str:
    """The zone whose calendar cuts a subject's windows; a subject's subscriptions are taken to have one."""
    zones = [row.get("zone") for row in subscriptions or () if (row["universe"], row["subject"]) == (universe, subject)]
    return next((zone for zone in zones if zone), timezone or "UTC")


def shown(part: Row, method: Method, shape: Shape, digits: int | None) -> Row:
    """A window's part of a series with its quantity, rounded once (R16), and exact only where readings combine."""
    value = part.pop("value")
    outermost = method.outer or method.inner
    if digits is None:
        quantity = rounded(value, shape.result_scale, shape.rounding)
    else:
        quantity = significant(value, digits) if is_quotient(outermost) else value
    if outermost.endswith("-interpolated") or method.outer == "avg":
        part["exact"] = quantity
    return {**part, "quantity": quantity}


def is_quotient(name: str) -> bool:
    """Whether an aggregation divides, so that its value may have no end."""
    return name.endswith("-interpolated") or name in ("avg", "time-weighted-avg", "time-weighted-avg-known", *DIVISORS)


def divisor_of(method: Method, window: Window) -> int | None:
    """What an aggregation divides a window by, where there is nothing in it."""
    if method.outer:
        return None
    if method.inner == "time-weighted-avg":
        return (window[1] - window[0]) // MICROSECOND
    return DIVISORS.get(method.inner)


def filled(before: Row | None, fill: str, divisor: int | None) -> Row | None:
    """The reading of a window that has none of its own: zero, or what the window before it said.

    `divisor` is what the aggregation divides by in every window, if it does.
    """
    if fill == "none":
        return None
    carries = fill == "carry" and before is not None and before["max_metered_at"] is not None
    quantity = before["quantity"] if carries and before is not None else Fraction(0)
    return {
        "quantity": quantity,
        "exact": quantity * (divisor or 1),
        "divisor_us": divisor,
        "record_count": 0,
        "carried": carries,
        "max_metered_at": before["max_metered_at"] if carries and before is not None else None,
        "last": None,
        "prorated": False,
    }


def order(record: Row) -> tuple[Any, ...]:
    """The last in this order wins (R13)."""
    return record["recorded_at"], record["metered_at"], record["source_event_id"], record["quantity"]


# --- one key in its windows ------------------------------------------------------------------------------------------


def read_series(
    records: Sequence[Row], method: Method, shape: Shape, found: Sequence[Window], zone: str
) -> list[Row | None]:
    """One key's reading in each window, with `value` not yet rounded; None where it has none."""
    ordered = sorted(records, key=order)
    if method.deltas and method.by is None:
        ordered = running(ordered)
    if method.prorated:
        return prorated(ordered, found, shape)
    if method.outer is None:
        return [read_window(ordered, method.inner, window) for window in found]
    return [read_two_levels(ordered, method, shape, window, zone) for window in found]


def running(ordered: Sequence[Row]) -> list[Row]:
    """Changes as the levels that they lead to."""
    level = Fraction(0)
    found = []
    for record in ordered:
        level += record["quantity"]
        found.append({**record, "quantity": level})
    return found


def read_window(ordered: Sequence[Row], aggregation: str, window: Window) -> Row | None:
    """One key's reading in one window: its exact value, or what is divided for it and by what."""
    start, end = window
    inside = [r for r in ordered if start <= r["recorded_at"] < end]
    held = held_levels(ordered, window) if aggregation in LEVELS else []
    carried = [r for r in ordered if r["recorded_at"] < start][-1:] if aggregation in LEVELS else []
    if not inside and not carried:
        return None
    reading: Row = {
        "exact": None,
        "divisor_us": None,
        "record_count": len(inside),
        "carried": bool(carried),
        "max_metered_at": max(r["metered_at"] for r in inside + carried),
        "last": None,
        "prorated": False,
    }
    deciding = {"final-state": held[-1:], "latest": inside[-1:], "first": inside[:1]}.get(aggregation)
    if deciding:
        last = deciding[0][0] if aggregation == "final-state" else deciding[0]
        reading["last"] = (last["recorded_at"], last["metered_at"], last["source_event_id"])
    if aggregation in ("time-weighted-avg", "time-weighted-avg-known", *DIVISORS):
        reading["exact"] = sum((r["quantity"] * microseconds for r, microseconds in held), Fraction(0))
        known = sum(microseconds for _, microseconds in held)
        whole = {"time-weighted-avg": (end - start) // MICROSECOND, "time-weighted-avg-known": known}
        reading["divisor_us"] = {**whole, **DIVISORS}[aggregation]
        reading["value"] = reading["exact"] / reading["divisor_us"]
        return reading
    values = [r["quantity"] for r, _ in held] if aggregation in LEVELS else [r["quantity"] for r in inside]
    if aggregation == "unique-count":
        reading["value"] = Fraction(len({r["value"] for r in inside}))
    else:
        reading["value"] = value_of(aggregation, values)
    # What an average is divided by is its record_count.
    reading["exact"] = sum(values, Fraction(0)) if aggregation == "avg" else reading["value"]
    return reading


def value_of(aggregation: str, values: Sequence[Fraction]) -> Fraction:
    """One value of many, exactly; they are in the order of R13."""
    if aggregation.startswith("p") and aggregation[1].isdigit():
        return percentile(aggregation, values)
    return {
        "sum": lambda: sum(values, Fraction(0)),
        "avg": lambda: sum(values, Fraction(0)) / len(values),
        "max": lambda: max(values),
        "min": lambda: min(values),
        "count": lambda: Fraction(len(values)),
        "latest": lambda: values[-1],
        "first": lambda: values[0],
        "peak-state": lambda: max(values),
        "min-state": lambda: min(values),
        "final-state": lambda: values[-1],
    }[aggregation]()


def percentile(aggregation: str, values: Sequence[Fraction]) -> Fraction:
    """The smallest value that at least p % are no greater than; interpolated: on the line between two ranks."""
    part = Fraction(aggregation.removesuffix("-interpolated")[1:]) / 100
    ascending = sorted(values)
    if not aggregation.endswith("-interpolated"):
        return ascending[ceil(part * len(ascending)) - 1]
    place = part * (len(ascending) - 1)
    low, high = ascending[floor(place)], ascending[ceil(place)]
    return low + (place - floor(place)) * (high - low)


def held_levels(ordered: Sequence[Row], window: Window) -> list[tuple[Row, int]]:
    """The levels that were in effect in a window, each with its microseconds there (R14)."""
    start, end = window
    held = []
    for n, level in enumerate(ordered):
        until = ordered[n + 1]["recorded_at"] if n + 1 < len(ordered) else end
        overlap = min(until, end) - max(level["recorded_at"], start)
        if overlap > timedelta(0):
            held.append((level, overlap // MICROSECOND))
    return held


def read_two_levels(ordered: Sequence[Row], method: Method, shape: Shape, window: Window, zone: str) -> Row | None:
    """One aggregation of the readings of another, by inner windows or by the values of a property."""
    if method.per is not None:
        parts = [read_window(ordered, method.inner, inner) for inner in periods(*window, method.per, zone)]
        first = parts[:1]
    else:
        groups: dict[str | None, list[Row]] = {}
        for record in ordered:
            groups.setdefault(record["dimensions"].get(method.by), []).append(record)
        levels = [running(group) if method.deltas else group for group in groups.values()]
        first = parts = [read_window(group, method.inner, window) for group in levels]
    inner = [part for part in parts if part is not None]
    if not inner:
        return None
    values = [rounded(part["value"], max(18, shape.scale)) for part in inner]
    value = value_of(method.outer or "", values)
    return {
        "value": value,
        "exact": value,
        "divisor_us": None,
        "record_count": sum(part["record_count"] for part in inner),
        "carried": any(part is not None and part["carried"] for part in first),
        "max_metered_at": max(part["max_metered_at"] for part in inner),
        "last": None,
        "prorated": False,
    }


# --- quantities of spans, split by time ------------------------------------------------------------------------------


def prorated(records: Sequence[Row], found: Sequence[Window], shape: Shape) -> list[Row | None]:
    """The sum in each window, each record's quantity split over all the time that its span covers (R26)."""
    shares: list[list[tuple[Row, Fraction, bool]]] = [[] for _ in found]
    for record in records:
        parts = parts_in_windows(record, found, scale_of_parts(record["quantity"], shape))
        for n, part in parts.items():
            shares[n].append((record, part, part_is_split(record, found[n])))
    return [read_parts(share) if share else None for share in shares]


def scale_of_parts(quantity: Fraction, shape: Shape) -> int:
    """Parts have the result's scale, so that they add up as they are shown; or the quantity's, if that is finer."""
    fits = rounded(quantity, shape.result_scale) == quantity
    return shape.result_scale if fits else shape.scale


def part_is_split(record: Row, window: Window) -> bool:
    """Whether a window holds some of a record's span, but not all of it."""
    start, end = record["window_start"], record["window_end"]
    return start < end and not (window[0] <= start and end <= window[1])


def parts_in_windows(record: Row, found: Sequence[Window], scale: int) -> dict[int, Fraction]:
    """A record's quantity in each window that its span touches; what lies before, between and after are parts too."""
    start, end = record["window_start"], record["window_end"]
    if start == end:
        return {n: record["quantity"] for n, window in enumerate(found) if window[0] <= start < window[1]}
    pieces = [(max(w[0], start), min(w[1], end), n) for n, w in enumerate(found) if w[0] < end and start < w[1]]
    bounds = [start, *(bound for piece in pieces for bound in piece[:2]), end]
    gaps = [(a, b, None) for a, b in list(pairwise(bounds))[::2] if a < b]
    in_order = sorted([*pieces, *gaps], key=lambda piece: piece[0])
    parts = parts_of(record["quantity"], [(b - a) // MICROSECOND for a, b, _ in in_order], scale)
    return {n: part for (_, _, n), part in zip(in_order, parts, strict=True) if n is not None}


def read_parts(share: Sequence[tuple[Row, Fraction, bool]]) -> Row:
    """The sum of the parts in one window."""
    total = sum((part for _, part, _ in share), Fraction(0))
    return {
        "value": total,
        "exact": total,
        "divisor_us": None,
        "record_count": len(share),
        "carried": False,
        "max_metered_at": max(record["metered_at"] for record, _, _ in share),
        "last": None,
        "prorated": any(split for _, _, split in share),
    }
