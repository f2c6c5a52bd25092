"""Checking: the problems of a config, and of events under the config; nothing is written."""

from __future__ import annotations

from typing import Any

from metering_duck.calls.arguments import checked_config
from metering_duck.calls.metering import meter
from metering_duck.contract.config import ConfigLike, MeteringConfig
from metering_duck.contract.schemas import REASONS
from metering_duck.decimals.columns import DecimalType, common_type
from metering_duck.errors import ConfigError
from metering_duck.judging.slots import place
from metering_duck.readings.series import Totals
from metering_duck.runs.results import Result
from metering_duck.statements.select import select
from metering_duck.windows.periods import NO_WINDOW


def check(config: ConfigLike, events: Any = None, **options: Any) -> dict[str, Any]:
    """What is wrong with a config, and with events under it; writes nothing.

    Shape:  {"problems": […], "warnings": […], "measurements": n} and, with events, also "accounting", "types" (events
            by type), "rejects" (counts by reason, measurement and text) and "notices".
    Raises: SchemaError and SourceError for events that cannot be read at all; ConfigError only for other options.
    """
    try:
        loaded = checked_config(config)
    except ConfigError as error:
        return {"problems": error.problems, "warnings": [], "measurements": 0}
    report: dict[str, Any] = {
        "problems": [],
        "warnings": _warnings(loaded),
        "measurements": len(loaded.measurements),
    }
    if events is None:
        return report
    with meter(events, loaded, **options) as result:
        accounting = result.accounting
        report["accounting"] = accounting.to_dict()
        report["types"] = _events_by_type(result)
        report["rejects"] = _reject_counts(result) if accounting.rejected else []
        report["notices"] = result.notices
    return report


def _warnings(config: MeteringConfig) -> list[str]:
    """Warnings of a config: values that are allowed, but seldom meant."""
    warnings = []
    seen: dict[tuple[str, str], str] = {}
    for path, measurement in config.measurements:
        key = (path.rpartition(".")[0], measurement.unit)
        if key in seen:
            warnings.append(
                f"{path}: has the unit {measurement.unit!r} of {seen[key]}; where both match, they make one reading."
            )
        seen.setdefault(key, path)
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


def _events_by_type(result: Result) -> list[dict[str, Any]]:
    """How many events there are of each type and status."""
    columns = {"type": "type", "status": "status", "events": "count(*)"}
    return result.inspect(
        "by_type",
        select(columns, "judged", group_by=["type", "status"], order_by=["type", "status"]),
    )


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
