"""The rules of semantics.md row by row, in plain Python with Fraction: slow and obvious, to hold the engine to.

Imports nothing from metering_duck and shares nothing with it. Times are aware datetimes in UTC, quantities Fractions.
What the rules leave open is fixed here in words: of equal (recorded_at, metered_at, event id) the greater quantity is
last; a level that another replaced at the same instant was never in effect; the last record before a window is carried
in even if another replaces it at the window's very start (for no time: it is flagged and watermarked, and no extreme).
"""

from __future__ import annotations

import json
import re
from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

Row = dict[str, Any]
OTHER_NAMES = {"sum-events": "sum", "max-event": "max", "min-event": "min", "latest-event": "latest"}
IDENTITY = {
    "id": "id",
    "workspace_id": "workspaceID",
    "universe_id": "universeID",
    "subject": "subject",
    "type": "type",
}
GAUGES = ("time-weighted-avg", "peak-state", "min-state", "final-state")
MICROSECOND = timedelta(microseconds=1)
QUANTITY = re.compile(r"([+-]?)(?=\.?[0-9])([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?")
TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ]([01]\d|2[0-3])(:[0-5]\d:[0-5]\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", re.ASCII)


# --- texts to values -------------------------------------------------------------------------------------------------


def time_of(text: str | None) -> datetime | None:
    """RFC 3339 text as a moment, digits finer than a microsecond cut; None when there is no such moment (R11)."""
    match = TIME.fullmatch(text or "")
    if match is None or text == "0001-01-01T00:00:00Z":
        return None
    date, hour, rest, fraction, offset = match.groups()
    zone = "+00:00" if offset is None or offset in "Zz" else offset
    try:
        return datetime.fromisoformat(f"{date}T{hour}{rest}.{(fraction or '')[:6]:0<6}{zone}").astimezone(UTC)
    except ValueError:
        return None


def text_of_time(moment: datetime) -> str:
    """A moment as RFC 3339 text without idle zeros."""
    whole = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return whole + (f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else "") + "Z"


def quantity_of(text: str, precision: int = 38, scale: int = 18) -> Fraction | str:
    """A quantity's exact value, or the reason why the text is none that fits (R4, R5)."""
    match = QUANTITY.fullmatch(text)
    if match is None:
        return "quantity-syntax"
    sign, whole, fraction, exponent = match.groups()
    digits = int(whole + fraction)
    if digits == 0:
        return Fraction(0)
    power = int(exponent or 0) - len(fraction)
    if power > 10_000:
        return "quantity-too-large"
    if power < -10_000:
        return "quantity-too-fine"
    value = digits * Fraction(10) ** power
    if value >= Fraction(10) ** (precision - scale):
        return "quantity-too-large"
    if (value * 10**scale).denominator != 1:
        return "quantity-too-fine"
    return -value if sign == "-" else value


def rounded(value: Fraction, scale: int = 18) -> Fraction:
    """Half to even, once (R16)."""
    return Fraction(round(value * 10**scale), 10**scale)


def significant(value: Fraction, digits: int) -> Fraction:
    """Half to even, once, to so many significant digits (R16)."""
    if value == 0:
        return value
    places = 0
    while abs(value) * Fraction(10) ** places >= 10**digits:
        places -= 1
    while abs(value) * Fraction(10) ** places < 10 ** (digits - 1):
        places += 1
    return round(value * Fraction(10) ** places) / Fraction(10) ** places


# --- events to records -----------------------------------------------------------------------------------------------


@dataclass
class Books:
    """What became of every event (R9); `conflicts` are the losers, each with what was kept."""

    read: int = 0
    records: list[Row] = field(default_factory=list)
    rejects: list[Row] = field(default_factory=list)
    unmatched_entry: list[str] = field(default_factory=list)
    unmatched_filter: list[str] = field(default_factory=list)
    duplicates: int = 0
    conflicts: list[Row] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """The five counts that balance, and the two reasons of unmatched."""
        metered = {(r["workspace_id"], r["universe_id"], r["source_event_id"]) for r in self.records}
        return {
            "read": self.read,
            "metered": len(metered),
            "unmatched": len(self.unmatched_entry) + len(self.unmatched_filter),
            "unmatched_entry": len(self.unmatched_entry),
            "unmatched_filter": len(self.unmatched_filter),
            "duplicates": self.duplicates,
            "conflicts": len(self.conflicts),
            "rejected": len(self.rejects),
        }


def meter(
    events: Iterable[Mapping[str, Any]],
    config: Mapping[str, Any],
    *,
    clock: str = "2024-06-01T00:00:00Z",
    as_of: str | None = None,
    workspaces: Sequence[str] = (),
    universes: Sequence[str] = (),
) -> Books:
    """Events → records, and what became of every event (R1–R9)."""
    cutoff = time_of(as_of)
    entered = []
    for event in events:
        row = read_event(event, clock)
        if workspaces and row["workspace_id"] not in workspaces:
            continue
        if universes and row["universe_id"] not in universes:
            continue
        if cutoff is not None and row["metered_at"] > cutoff:
            continue
        entered.append(row)
    books = Books(read=len(entered))
    for row in settle(entered, books):
        meter_event(row, config, books)
    return books


def read_event(event: Mapping[str, Any], clock: str) -> Row:
    """An event's fields, and the first thing that makes it unusable."""
    row: Row = {ours: event.get(theirs) for ours, theirs in IDENTITY.items()}
    row["recorded_at"] = time_of(event.get("time"))
    row["metered_at"] = time_of(event.get("meteredAt")) or time_of(clock)
    properties = {key: value for key, value in (event.get("properties") or {}).items() if value is not None}
    row["properties"] = dict(sorted(properties.items()))
    faults = [(name.removesuffix("_id") + "-missing", row[name], not row[name]) for name in IDENTITY]
    faults.append(("time-missing", event.get("time"), not event.get("time")))
    faults.append(("time-invalid", event.get("time"), row["recorded_at"] is None))
    unreadable = bool(event.get("meteredAt")) and time_of(event["meteredAt"]) is None
    faults.append(("metered-at-invalid", event.get("meteredAt"), unreadable))
    row["fault"], row["fault_text"] = next(((name, text) for name, text, at_fault in faults if at_fault), (None, None))
    moment = text_of_time(row["recorded_at"]) if row["recorded_at"] else event.get("time")
    content = {"type": row["type"], "subject": row["subject"], "time": moment, "properties": row["properties"]}
    row["content"] = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return row


def settle(rows: Sequence[Row], books: Books) -> list[Row]:
    """One event, once: of the rows of one key the first to enter is kept (R8)."""
    by_key: dict[tuple[str, str, str], list[Row]] = {}
    kept = []
    for row in rows:
        key = (row["workspace_id"], row["universe_id"], row["id"])
        if all(key):
            by_key.setdefault(key, []).append(row)
        else:
            kept.append(row)
    far = datetime.max.replace(tzinfo=UTC)
    for same in by_key.values():
        first, *others = sorted(same, key=lambda r: (r["metered_at"], r["recorded_at"] or far, r["content"].encode()))
        kept.append(first)
        contents = {first["content"]}
        for other in others:
            if other["content"] in contents:
                books.duplicates += 1
            else:
                contents.add(other["content"])
                books.conflicts.append(
                    {
                        **{name: first[name] for name in ("workspace_id", "universe_id", "id")},
                        "kept_metered_at": first["metered_at"],
                        "kept_content": first["content"],
                        "lost_metered_at": other["metered_at"],
                        "lost_content": other["content"],
                    }
                )
    return kept


def entries_of(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A config's entries; a plain config is one entry."""
    return config.get("entries") or [config]


def entry_for(row: Row, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The one entry that an event matches (R1)."""
    for entry in entries_of(config):
        start, end = time_of(entry.get("effectiveFrom")), time_of(entry.get("effectiveTo"))
        if (
            entry.get("workspaceID") in (None, row["workspace_id"])
            and entry.get("type") in (None, row["type"])
            and (start is None or start <= row["recorded_at"])
            and (end is None or row["recorded_at"] < end)
        ):
            return entry
    return None


def meter_event(row: Row, config: Mapping[str, Any], books: Books) -> None:
    """One event's records, or why it has none (R1–R6)."""
    identity = {name: row[name] for name in ("workspace_id", "universe_id", "id")}
    if row["fault"]:
        nothing = {"source_property": None, "unit": None}
        books.rejects.append({**identity, **nothing, "text": row["fault_text"], "reason": row["fault"]})
        return
    entry = entry_for(row, config)
    if entry is None:
        books.unmatched_entry.append(row["id"])
        return
    measurements = entry.get("measurements") or entry["observations"]
    applying = [m for m in measurements if applies(m, row["properties"])]
    if not applying:
        books.unmatched_filter.append(row["id"])
        return
    values = []
    for measurement in applying:
        text = row["properties"].get(measurement["sourceProperty"])
        precision = measurement.get("precision", 38)
        scale = measurement.get("scale", 18 if precision >= 18 else 0)
        value = "source-missing" if text is None else quantity_of(text, precision, scale)
        if isinstance(value, str):
            source = {"source_property": measurement["sourceProperty"], "unit": measurement["unit"]}
            books.rejects.append({**identity, **source, "text": text, "reason": value})
            return
        values.append(value)
    measured = {m["sourceProperty"] for m in measurements}
    for measurement, value in zip(applying, values, strict=True):
        aggregation = measurement.get("aggregation")
        books.records.append(
            {
                **{name: row[name] for name in ("workspace_id", "universe_id", "subject", "recorded_at", "metered_at")},
                "quantity": value,
                "unit": measurement["unit"],
                "aggregation": OTHER_NAMES.get(aggregation, aggregation),
                "dimensions": {key: text for key, text in row["properties"].items() if key not in measured},
                "source_event_id": row["id"],
            }
        )


def applies(measurement: Mapping[str, Any], properties: Mapping[str, str]) -> bool:
    """Whether a measurement's filter hits (R2)."""
    chosen = measurement.get("filter")
    return chosen is None or properties.get(chosen["property"]) == chosen["equals"]


# --- windows ---------------------------------------------------------------------------------------------------------


def windows(start: str, end: str, every: str | None = None) -> list[tuple[datetime, datetime]]:
    """`[start, end)` whole, or cut back to back (R11)."""
    first, last = time_of(start), time_of(end)
    assert first is not None
    assert last is not None
    cuts = [first]
    while every is not None and (cut := boundary(first, every, len(cuts))) < last:
        cuts.append(cut)
    return list(pairwise([*cuts, last]))


def boundary(start: datetime, every: str, count: int) -> datetime:
    """Where the window number `count` begins: at the calendar's boundaries, or so many durations after the start."""
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    if every == "hour":
        return start.replace(minute=0, second=0, microsecond=0) + timedelta(hours=count)
    if every == "day":
        return midnight + timedelta(days=count)
    if every == "week":
        return midnight - timedelta(days=start.weekday()) + timedelta(weeks=count)
    if every == "month":
        return add_months(midnight.replace(day=1), count)
    if every == "year":
        return midnight.replace(year=start.year + count, month=1, day=1)
    match = DURATION.fullmatch(every)
    assert match is not None
    years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    return add_months(start, count * (12 * years + months)) + count * length


def add_months(moment: datetime, months: int) -> datetime:
    """So many months later, on the month's last day where it is shorter."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))


# --- records to readings ---------------------------------------------------------------------------------------------


def readings(
    records: Iterable[Row],
    *,
    start: str,
    end: str,
    aggregation: str | None = None,
    every: str | None = None,
    group_by: Sequence[str] = (),
    across_workspaces: bool = False,
    subjects: Sequence[str] = (),
    scale: int = 18,
    digits: int | None = None,
) -> list[Row]:
    """Records → readings, one per key and window that has any (R10–R22).

    All quantities are rounded to `scale`; with `digits` only averages are, and what needs no rounding is left exact.
    """
    series: dict[tuple[Any, ...], list[Row]] = {}
    for record in records:
        if subjects and record["subject"] not in subjects:
            continue
        name = aggregation or record["aggregation"]
        workspace = None if across_workspaces else record["workspace_id"]
        dimensions = tuple((g, record["dimensions"][g]) for g in sorted(set(group_by)) if g in record["dimensions"])
        scope = (workspace, record["universe_id"], record["subject"], record["unit"])
        key = (*scope, OTHER_NAMES.get(name, name), dimensions)
        series.setdefault(key, []).append(record)
    made = []
    for key, same in series.items():
        for window in windows(start, end, every):
            reading = read_window(sorted(same, key=order), key[4], window)
            if reading is None:
                continue
            value = reading["exact"] / (reading["divisor_us"] or 1)
            if digits is None:
                quantity = rounded(value, scale)
            else:
                quantity = significant(value, digits) if reading["divisor_us"] else value
            names = ("workspace_id", "universe_id", "subject", "unit", "aggregation")
            made.append(
                {
                    **dict(zip(names, key, strict=False)),
                    "window_start": window[0],
                    "window_end": window[1],
                    "dimensions": dict(key[5]),
                    "quantity": quantity,
                    **reading,
                }
            )
    return made


def order(record: Row) -> tuple[Any, ...]:
    """The last in this order wins (R13)."""
    return record["recorded_at"], record["metered_at"], record["source_event_id"], record["quantity"]


def read_window(ordered: Sequence[Row], aggregation: str, window: tuple[datetime, datetime]) -> Row | None:
    """One key's reading in one window: its exact value, or for an average its numerator and divisor."""
    start, end = window
    inside = [r for r in ordered if start <= r["recorded_at"] < end]
    held = held_levels(ordered, window) if aggregation in GAUGES else []
    carried = [r for r in ordered if r["recorded_at"] < start][-1:] if aggregation in GAUGES else []
    if not inside and not carried:
        return None
    reading: Row = {
        "exact": None,
        "divisor_us": None,
        "record_count": len(inside),
        "carried": bool(carried),
        "max_metered_at": max(r["metered_at"] for r in inside + carried),
        "last": None,
    }
    last = held[-1][0] if aggregation == "final-state" else inside[-1] if aggregation == "latest" else None
    if last is not None:
        reading["last"] = (last["recorded_at"], last["metered_at"], last["source_event_id"])
    if aggregation == "time-weighted-avg":
        reading["exact"] = sum((r["quantity"] * microseconds for r, microseconds in held), Fraction(0))
        reading["divisor_us"] = (end - start) // MICROSECOND
        return reading
    reading["exact"] = {
        "sum": lambda: sum((r["quantity"] for r in inside), Fraction(0)),
        "max": lambda: max(r["quantity"] for r in inside),
        "min": lambda: min(r["quantity"] for r in inside),
        "count": lambda: Fraction(len(inside)),
        "latest": lambda: inside[-1]["quantity"],
        "peak-state": lambda: max(r["quantity"] for r, _ in held),
        "min-state": lambda: min(r["quantity"] for r, _ in held),
        "final-state": lambda: held[-1][0]["quantity"],
    }[aggregation]()
    return reading


def held_levels(ordered: Sequence[Row], window: tuple[datetime, datetime]) -> list[tuple[Row, int]]:
    """The levels that were in effect in a window, each with its microseconds there (R14)."""
    start, end = window
    held = []
    for n, level in enumerate(ordered):
        until = ordered[n + 1]["recorded_at"] if n + 1 < len(ordered) else end
        overlap = min(until, end) - max(level["recorded_at"], start)
        if overlap > timedelta(0):
            held.append((level, overlap // MICROSECOND))
    return held


# --- the engine's rows, to be compared with the oracle's -------------------------------------------------------------


def plain_reading(row: Row) -> Row:
    """An engine's reading in the oracle's words: Fractions, and the exact value wherever the engine keeps it."""
    quantity = Fraction(row["quantity"])
    last = (row["last_recorded_at"], row["last_metered_at"], row["last_event_id"])
    renamed = ("id", "created_at", "numerator", "last_recorded_at", "last_metered_at", "last_event_id")
    return {
        **{name: value for name, value in row.items() if name not in renamed},
        "quantity": quantity,
        "exact": quantity if row["numerator"] is None else Fraction(row["numerator"]),
        "last": None if last == (None, None, None) else last,
    }


def plain_record(row: Row) -> Row:
    """An engine's record in the oracle's words."""
    return {**{k: v for k, v in row.items() if k != "id"}, "quantity": Fraction(row["quantity"])}


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Rows in one order, whatever it is, so that two lists of them can be compared."""
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True, default=_text))


def _text(value: Any) -> str:
    return text_of_time(value) if isinstance(value, datetime) else str(Fraction(value))
