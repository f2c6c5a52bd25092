"""Filling: with --fill, rows are added to the totals, so that there is one for every key and window.

The keys are the keys of all records, whatever their window; a filled row has a record count of zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metering_duck.decimals.columns import DIGITS_MAX
from metering_duck.readings.gauges import WEIGHED, divisor_sql
from metering_duck.readings.series import KEY
from metering_duck.statements.quote import literal
from metering_duck.statements.select import case, names, select
from metering_duck.statements.stages import Stage, load_stage

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
                "aggregation": literal(series.aggregation.keyed),
            }
            keys.append(select(columns, "judged", where=[*totals.shown, f"v_{slot.index} IS NOT NULL"]))
    everything = "\nUNION ALL\n".join(keys)
    return select({}, f"(\n{everything}\n)", star="DISTINCT *")


def dense_stages(totals: Totals) -> list[Stage]:
    """From `totals` and `filled_keys` to a row for every key and window: sql/dense_zero.sql or sql/dense_carry.sql."""
    why = "every key in every window, and what a reading has there without any record"
    return [Stage("filled_windows", why, _filled_windows_sql(totals)), load_stage(f"dense_{totals.fill}")]


def _filled_windows_sql(totals: Totals) -> str:
    """Each key in each of its windows, and the values that a reading without a record has."""
    windows = totals.windows.name
    source = f"({_windows_before_sql(totals)}) AS {windows}" if totals.fill == "carry" else windows
    joined = f"JOIN {source} USING (universe_id, subject)" if totals.windows.by_subject else f"CROSS JOIN {source}"
    zero = f"CAST(0 AS DECIMAL({DIGITS_MAX}, {totals.rounding(totals.series[0]).column_scale}))"
    # Where there was no level no time is known, and nothing to divide by it.
    divided = [definition for definition in WEIGHED if definition.divided_by != "known-time"]
    divisors = {literal(definition.name): divisor_sql(definition) for definition in divided}
    columns = {name: f"filled_keys.{name}" for name in (*KEY, "unit", "aggregation")} | {
        "window_index": f"{windows}.window_index",
        "zero": zero if totals.digits is None else "'0'",
        "no_numerator": case({f"filled_keys.aggregation IN ({', '.join(divisors)})": "'0'"}),
        "no_divisor_us": case(divisors, of="filled_keys.aggregation"),
    }
    if totals.fill == "carry":
        columns["windows_before"] = f"{windows}.windows_before"
    return select(columns, f"filled_keys\n{joined}")


def _windows_before_sql(totals: Totals) -> str:
    """The windows, each with a digest of those before it; what a filled window carries is from one of them (R21)."""
    bounds = " || ".join(f"encoded(CAST(epoch_us({name}) AS VARCHAR))" for name in ("window_start", "window_end"))
    partition = "PARTITION BY universe_id, subject " if totals.windows.by_subject else ""
    before = f"OVER ({partition}ORDER BY window_index ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    digests = f"bit_xor(CAST('0x' || digest({bounds}) AS UHUGEINT)) {before}"
    return select({"windows_before": f"CAST({digests} AS VARCHAR)"}, totals.windows.name, star="*")
