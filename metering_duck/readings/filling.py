"""Filling: with --fill, rows are added to the totals, so that there is one for every key and window.

The keys are the keys of all records, whatever their window; a filled row has a record count of zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metering_duck.readings.gauges import WEIGHED, divisor_sql
from metering_duck.readings.series import KEY
from metering_duck.statements.quote import literal
from metering_duck.statements.select import case, names, select

if TYPE_CHECKING:
    from metering_duck.readings.series import Totals

FILLS = ("none", "zero", "carry")


def keys_sql(totals: Totals) -> str:
    """SQL for the keys of all records, whatever their window."""
    keys = []
    for series in totals.series:
        for slot in series.slots:
            columns = names(KEY) | {
                "workspace_id": totals.workspace_sql,
                "unit": series.unit_sql,
                "aggregation": literal(series.aggregation.name),
            }
            keys.append(select(columns, "judged", where=[*totals.shown, f"v_{slot.index} IS NOT NULL"]))
    everything = "\nUNION ALL\n".join(keys)
    return select({}, f"(\n{everything}\n)", star="DISTINCT *")


def dense_sql(totals: Totals) -> str:
    """SQL for a row per key and window; without a reading, its quantity is zero, or that of the window before it."""
    key = (*KEY, "unit", "aggregation")
    same = "\n    AND ".join(f"totals.{name} IS NOT DISTINCT FROM filled_keys.{name}" for name in key)
    by_subject = f"JOIN {totals.windows.name} USING (universe_id, subject)"
    windows = by_subject if totals.windows.by_subject else f"CROSS JOIN {totals.windows.name}"
    there = "totals.window_index IS NOT NULL"
    zero = "'0'" if totals.digits is not None else "0"
    # A filled row has no known time, and so no divisor for an aggregation that is divided by known time.
    divided = [definition for definition in WEIGHED if definition.divided_by != "known-time"]
    divisors = {literal(definition.name): divisor_sql(definition) for definition in divided}

    def filled(column: str, otherwise: str) -> str:
        """A column of the reading; without one, of the last reading before, with --fill carry, or `otherwise`."""
        value = otherwise
        if totals.fill == "carry":
            value = f"coalesce(last_value(totals.{column} IGNORE NULLS) OVER so_far, {otherwise})"
        return case({there: f"totals.{column}"}, value)

    carried = "FALSE"
    if totals.fill == "carry":
        carried = "coalesce(last_value(totals.quantity IGNORE NULLS) OVER so_far IS NOT NULL, FALSE)"
    columns = {name: f"filled_keys.{name}" for name in key} | {
        "window_index": f"{totals.windows.name}.window_index",
        "quantity": filled("quantity", zero),
        "numerator": case({there: "totals.numerator", f"filled_keys.aggregation IN ({', '.join(divisors)})": "'0'"}),
        "divisor_us": case({there: "totals.divisor_us"}, case(divisors, of="filled_keys.aggregation")),
        "record_count": "coalesce(totals.record_count, 0)",
        "carried": case({there: "totals.carried"}, carried),
        "prorated": "coalesce(totals.prorated, FALSE)",
        "max_metered_at": filled("max_metered_at", "NULL"),
        **{name: f"totals.{name}" for name in ("last_recorded_at", "last_metered_at", "last_event_id")},
    }
    joined = (
        f"filled_keys\n{windows}\nLEFT JOIN totals\n"
        f"    ON totals.window_index = {totals.windows.name}.window_index\n    AND {same}"
    )
    partition = ", ".join(f"filled_keys.{name}" for name in key)
    over = f"WINDOW so_far AS (PARTITION BY {partition} ORDER BY {totals.windows.name}.window_index)"
    return select(columns, joined) + f"\n{over}"
