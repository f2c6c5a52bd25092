"""Checking: the problems of a config, and of events under the config; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from metering_duck.calls.arguments import checked_config, is_asked, moment_of, names_of
from metering_duck.calls.metering import meter
from metering_duck.calls.notices import made_of_some
from metering_duck.contract.config import ConfigLike, MeteringConfig
from metering_duck.contract.idle_keys import idle_filters, idle_keys, same_measurements
from metering_duck.contract.lapsing import lapses
from metering_duck.contract.schemas import REASONS
from metering_duck.contract.times import format_time
from metering_duck.decimals.columns import DecimalType, common_type
from metering_duck.errors import ConfigError, did_you_mean
from metering_duck.judging.slots import place
from metering_duck.readings.series import Totals
from metering_duck.runs.books import counted_noun
from metering_duck.runs.question import Question
from metering_duck.runs.results import Result
from metering_duck.statements.select import select
from metering_duck.windows.periods import NO_WINDOW


def check(config: ConfigLike, events: Any = None, **options: Any) -> dict[str, Any]:
    """What is wrong with a config, and with events under it; writes nothing.

    Shape:  {"problems": […], "warnings": […], "lapses": […], "measurements": n} and, with events, also "accounting",
            "types" (events by type and status, with their first and last time), "rejects" (counts by reason,
            measurement and text) and "notices". Warnings name every key that changes nothing, types that no entry
            matches, and times before 2000 or after tomorrow, by the `clock`. Lapses are the warnings that a level goes
            on where it should not, which `strict` refuses.
    Raises: SchemaError and SourceError for events that cannot be read at all; ConfigError only for other options.
    """
    try:
        loaded = checked_config(config)
    except ConfigError as error:
        return {"problems": error.problems, "warnings": [], "lapses": [], "measurements": 0}
    lapsed = [lapse.sentence for lapse in lapses(loaded)]
    warnings = [*_warnings(loaded), *lapsed]
    report: dict[str, Any] = {
        "problems": [],
        "warnings": warnings,
        "lapses": lapsed,
        "measurements": len(loaded.measurements),
    }
    if events is None:
        asked = [name.strip("_").replace("_", "-") for name, value in options.items() if is_asked(value)]
        warnings += [f"{name}: changes nothing without events." for name in asked]
        return report
    with meter(events, loaded, **options) as result:
        accounting = result.accounting
        report["accounting"] = accounting.to_dict()
        types = _events_by_type(result)
        warnings += [*_of_types(types, loaded), *_of_times(types, moment_of(options.get("clock"), "clock"))]
        report["types"] = [_type_shown(row) for row in types]
        report["rejects"] = _reject_counts(result) if accounting.rejected else []
        unsaid = _of_records(options)
        report["notices"] = [notice for notice in result.notices if notice not in unsaid]
    return report


def _warnings(config: MeteringConfig) -> list[str]:
    """Warnings of a config: what changes nothing, and what is allowed but seldom meant."""
    warnings = [*same_measurements(config), *_alike_units(config), *idle_keys(config), *idle_filters(config)]
    for path, measurement in config.measurements:
        chosen = measurement.filter
        if chosen and (chosen.property,) == measurement.source_property and chosen.equals is not None:
            warnings.append(f"{path}.filter: tests the property it measures; only {chosen.equals!r} is ever counted.")
    try:
        slots = tuple(placed.slot for placed in place(config))
        _ = Totals(tuple(slot for slot in slots if slot.aggregation), NO_WINDOW).series
    except ConfigError as error:
        warnings.append(str(error))
    try:
        common_type((DecimalType(m.integer_digits, m.scale) for _, m in config.measurements), "measurements")
    except ConfigError as error:
        warnings.append(str(error))
    return warnings


# The first and the last of times, by the names in a row of the events by type.
RECORDED, ENTERED = ("first_at", "last_at"), ("first_entered_at", "last_entered_at")
SECONDS = "are they seconds, taken for milliseconds?"


# --- events by type --------------------------------------------------------------------------------------------------


def _events_by_type(result: Result) -> list[dict[str, Any]]:
    """How many events there are of each type and status, and when the first and the last of them is."""
    columns = {
        "type": "type",
        "status": "status",
        "events": "count(*)",
        "first_at": "min(recorded_at)",
        "last_at": "max(recorded_at)",
        "first_entered_at": "min(metered_at)",
        "last_entered_at": "max(metered_at)",
    }
    return result.inspect(
        "by_type",
        select(columns, "judged", group_by=["type", "status"], order_by=["type", "status"]),
    )


def _type_shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the events by type, its times as RFC 3339."""
    times = {name: row[name] and format_time(row[name].replace(tzinfo=UTC)) for name in ("first_at", "last_at")}
    return {name: value for name, value in row.items() if name not in ENTERED} | times


def _of_records(options: Mapping[str, Any]) -> list[str]:
    """The notices of meter() about the records that it makes, which check does not."""
    types, workspaces = (names_of(options.get(name), name) for name in ("event_type", "workspace"))
    return made_of_some(Question(types=types, workspaces=workspaces))


def _alike_units(config: MeteringConfig) -> list[str]:
    """Warnings of units that are different texts, and look alike on a bill."""
    alike: dict[str, dict[str, str]] = {}
    for path, measurement in config.measurements:
        alike.setdefault(measurement.unit.strip().casefold(), {}).setdefault(measurement.unit, path)
    found = [[(path, unit) for unit, path in units.items()] for units in alike.values() if len(units) > 1]
    return [
        f"{path}.unit: {unit!r} differs from {first!r} of {place} in blanks or case only; they make readings apart."
        for (place, first), *others in found
        for path, unit in others
    ]


def _of_types(types: Sequence[dict[str, Any]], config: MeteringConfig) -> list[str]:
    """Warnings of types that no entry matches, and of entries that no event matches."""
    expected = {entry.type for entry in config.entries if entry.type is not None}
    found = {row["type"] for row in types if row["type"]}
    warnings = []
    for row in types:
        if row["status"] != "unmatched-entry":
            continue
        what = f"type {row['type']!r}: no entry matches {counted_noun(row['events'], 'event')}"
        if row["type"] in expected or any(entry.type is None for entry in config.entries):
            warnings.append(f"{what}, by workspace or time.")
        else:
            warnings.append(f"{what}. hint: {did_you_mean(str(row['type']), sorted(expected))}")
    if found:
        for n, entry in enumerate(config.entries):
            if entry.type is not None and entry.type not in found:
                hint = did_you_mean(entry.type, sorted(found))
                warnings.append(f"entries[{n}]: no event has the type {entry.type!r}. hint: {hint}")
    return warnings


def _of_times(types: Sequence[dict[str, Any]], clock: datetime | None) -> list[str]:
    """Warnings of times, and of moments of entry, before 2000 and after tomorrow.

    An event enters at its metered_at, which decides which of several counts, and what was known as of a moment.
    """
    today = (clock or datetime.now(UTC)).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first, last = datetime(2000, 1, 1, tzinfo=UTC), today + timedelta(days=2)
    warnings = []
    for row in types:
        for noun, names in {"times": RECORDED, "metered_at": ENTERED}.items():
            if row[names[0]] is None:
                continue
            earliest, latest = (row[name].replace(tzinfo=UTC) for name in names)
            what = f"type {row['type']!r}: {row['status']} events have {noun}"
            if earliest < first:
                warnings.append(f"{what} before 2000, the first {format_time(earliest)}. hint: {SECONDS}")
            if latest >= last:
                hint = "are they milliseconds, taken for seconds, or a clock that is wrong?"
                warnings.append(f"{what} after tomorrow, the last {format_time(latest)}. hint: {hint}")
    return warnings


def _reject_counts(result: Result) -> list[dict[str, Any]]:
    """The rejects by reason and measurement: how many, and one example."""
    table = result.rejects.group_by(["reason", "measurement"]).aggregate(
        [("reason", "count"), ("text", "min"), ("id", "min")]
    )
    rows = [
        {
            "reason": row["reason"],
            "measurement": row["measurement"],
            "count": row["reason_count"],
            "meaning": REASONS[row["reason"]],
            "example_text": row["text_min"],
            "example_id": row["id_min"],
        }
        for row in table.to_pylist()
    ]
    return sorted(rows, key=lambda row: (-row["count"], row["reason"], row["measurement"] or ""))
