"""The rules of semantics.md row by row, in plain Python with Fraction: slow and obvious, to hold the engine to.

Imports nothing from metering_duck and shares nothing with it. Times are aware datetimes in UTC, quantities Fractions.
What the rules leave open is fixed here in words: of equal (recorded_at, metered_at, event id) the greater quantity is
last; a level that another replaced at the same instant was never in effect; the last record before a window is carried
in even if another replaces it at the window's very start (for no time: it is flagged and watermarked, and no extreme).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import floor
from typing import Any

from tests.oracle_filters import passes
from tests.oracle_readings import GAUGES, OTHER_NAMES, aggregation_of, readings
from tests.oracle_values import (
    NEVER_SET,
    UNIT_US,
    Row,
    moment_written,
    quantity_of,
    rounded,
    significant,
    text_of_time,
    time_of,
)

__all__ = [
    "GAUGES",
    "OTHER_NAMES",
    "Books",
    "Row",
    "in_order",
    "meter",
    "plain_reading",
    "plain_record",
    "quantity_of",
    "readings",
    "rounded",
    "significant",
    "text_of_time",
    "time_of",
]
IDENTITY = {
    "id": "id",
    "workspace_id": "workspaceID",
    "universe_id": "universeID",
    "subject": "subject",
    "type": "type",
}
EPOCHS_US = {"epoch-seconds": 1_000_000, "epoch-milliseconds": 1_000, "epoch-microseconds": 1}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    is_absent = not event.get("time") or moment_written(event["time"]) == NEVER_SET
    faults.append(("time-missing", event.get("time"), is_absent))
    faults.append(("time-invalid", event.get("time"), row["recorded_at"] is None))
    unreadable = bool(event.get("meteredAt")) and time_of(event["meteredAt"]) is None
    faults.append(("metered-at-invalid", event.get("meteredAt"), unreadable))
    row["fault"], row["fault_text"] = next(((name, text) for name, text, at_fault in faults if at_fault), (None, None))
    moment = text_of_time(row["recorded_at"]) if row["recorded_at"] else event.get("time")
    content = {"type": row["type"], "subject": row["subject"], "time": moment, "properties": row["properties"]}
    row["content"] = spelled(content)
    return row


def spelled(content: Row) -> str:
    """An event's content as one text."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


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

    def entered(row: Row) -> tuple[Any, ...]:
        at = row["recorded_at"]
        return row["metered_at"], at is None, at or far, row["content"].encode()

    for same in by_key.values():
        first, *others = sorted(same, key=entered)
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
    applying = [m for m in measurements if applies(m, row)]
    if not applying:
        books.unmatched_filter.append(row["id"])
        return
    measured_rows = []
    for measurement in applying:
        found = measure(measurement, row)
        if found.get("reason"):
            books.rejects.append({**identity, "unit": measurement["unit"], **found})
            return
        measured_rows.append(found)
    measured = {name for m in measurements for name in measured_properties(m)}
    for measurement, found in zip(applying, measured_rows, strict=True):
        books.records.append(
            {
                **{name: row[name] for name in ("workspace_id", "universe_id", "subject", "recorded_at", "metered_at")},
                **found,
                "unit": measurement["unit"],
                "aggregation": aggregation_of(measurement),
                "dimensions": {key: text for key, text in row["properties"].items() if key not in measured},
                "source_event_id": row["id"],
            }
        )


# --- one measurement of one event ------------------------------------------------------------------------------------


def source_properties(measurement: Mapping[str, Any]) -> list[str]:
    """The properties that a measurement adds up, mostly one."""
    sources = measurement.get("sourceProperty", [])
    return [sources] if isinstance(sources, str) else list(sources)


def measured_properties(measurement: Mapping[str, Any]) -> list[str]:
    """Every property that a measurement reads: its quantity's and its span's. None of them is a dimension (R6)."""
    span = measurement.get("span") or {}
    return source_properties(measurement) + [span[bound] for bound in ("start", "end", "duration") if bound in span]


def measure(measurement: Mapping[str, Any], row: Row) -> Row:
    """A measurement's quantity, span and value, or the reason why the event is rejected (R3–R5), the span's first."""
    precision = measurement.get("precision", 38)
    scale = measurement.get("scale", 18 if precision >= 18 else 0)
    start = end = None
    if "span" in measurement:
        spanned = span_of(measurement["span"], row)
        if isinstance(spanned[0], str):
            return {"source_property": spanned[1], "text": row["properties"].get(spanned[1]), "reason": spanned[0]}
        start, end = spanned
    quantity = Fraction(0 if source_properties(measurement) else 1)
    value = None
    for name in source_properties(measurement):
        text = row["properties"].get(name)
        if (aggregation_of(measurement) or "").partition(" ")[0].endswith("unique-count"):
            found = "source-missing" if text is None else Fraction(1)
            value = text
        else:
            found = "source-missing" if text is None else quantity_of(text, precision, scale)
        if isinstance(found, str):
            return {"source_property": name, "text": text, "reason": found}
        quantity += found
    too_long = abs(quantity) * 10**scale >= 10**38
    quantity *= Fraction(str(measurement.get("multiply", 1))) / Fraction(str(measurement.get("divide", 1)))
    if "timesDuration" in measurement:
        quantity *= Fraction((end - start) // timedelta(microseconds=1), UNIT_US[measurement["timesDuration"]])
    quantity = rounded(quantity, scale)
    if too_long or abs(quantity) >= Fraction(10) ** (precision - scale):
        name = source_properties(measurement)[0]
        return {"source_property": name, "text": row["properties"][name], "reason": "quantity-too-large"}
    return {"quantity": quantity, "value": value, "window_start": start, "window_end": end}


def span_of(span: Mapping[str, Any], row: Row) -> tuple[Any, Any]:
    """A record's span; or the reason why it has none, and the property at fault."""
    found: dict[str, Any] = {}
    for bound in ("start", "end", "duration"):
        if bound in span:
            text = row["properties"].get(span[bound])
            if text is None:
                return "span-missing", span[bound]
            found[bound] = length_of(text, span["unit"]) if bound == "duration" else span_time(text, span)
            if found[bound] is None:
                return "span-invalid", span[bound]
    start, end, length, at = found.get("start"), found.get("end"), found.get("duration"), row["recorded_at"]
    try:
        if length is not None and start is None and end is None:
            start, end = (at - length, at) if span.get("eventTime") == "end" else (at, at + length)
        elif length is not None:
            start, end = (start, start + length) if start is not None else (end - length, end)
    except OverflowError:
        return "span-invalid", span["duration"]
    start, end = at if start is None else start, at if end is None else end
    return (start, end) if start <= end else ("span-invalid", span.get("end") or span.get("start"))


def span_time(text: str, span: Mapping[str, Any]) -> datetime | None:
    """A span's bound, by how its times are written; digits finer than a microsecond are cut (R11)."""
    kind = span.get("times", "rfc3339")
    if kind == "rfc3339":
        return time_of(text)
    number = quantity_of(text)
    return None if isinstance(number, str) else EPOCH + timedelta(microseconds=floor(number * EPOCHS_US[kind]))


def length_of(text: str, unit: str) -> timedelta | None:
    """A duration, none when it is negative or no number; digits finer than a microsecond are cut."""
    number = quantity_of(text)
    if isinstance(number, str) or number < 0:
        return None
    return timedelta(microseconds=floor(number * UNIT_US[unit]))


def applies(measurement: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether a measurement's filter hits (R2)."""
    chosen = measurement.get("filter")
    return chosen is None or passes(chosen, row)


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
        "prorated": row.get("prorated", False),
    }


def plain_record(row: Row) -> Row:
    """An engine's record in the oracle's words."""
    found = {**{k: v for k, v in row.items() if k != "id"}, "quantity": Fraction(row["quantity"])}
    return {"value": None, "window_start": None, "window_end": None, **found}


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Rows in one order, whatever it is, so that two lists of them can be compared."""
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True, default=_text))


def _text(value: Any) -> str:
    return text_of_time(value) if isinstance(value, datetime) else str(Fraction(value))
