"""Pieces: each level holds from its time to the time of the next level, and is cut at the windows that it touches.

    levels → spans (LEAD) → touched → pieces

The level that is carried into a window needs no search: its span began before the window and reaches into it.
"""

from __future__ import annotations

from metering_duck.statements.select import case, select
from metering_duck.statements.stages import Stage
from metering_duck.windows.cutting import Windows


def spans_stage(windows: Windows, order_sql: str) -> Stage:
    """`spans`: each level with the time until which it holds, in the order of R13."""
    columns = {"held_until": f"coalesce(lead(recorded_at) OVER by_series, {windows.last_end_sql})"}
    if windows.carried_columns:
        columns["until_index"] = "coalesce(lead(window_index) OVER by_series, last_index)"
    excluded = ", ".join(name for name in windows.carried_columns if name != "window_index")
    star = f"* EXCLUDE ({excluded})" if excluded else "*"
    spans = select(columns, "levels", star=star)
    spans += f"\nWINDOW by_series AS (PARTITION BY series ORDER BY {order_sql})"
    return Stage("spans", "a level holds from its time to the next record's (R14, R13)", spans)


def pieces_stages(windows: Windows) -> list[Stage]:
    """`pieces`: a span has a piece in each window that it touches, of no length if it ends at the window's start."""
    why = "each span cut at the windows it touches"
    if windows.is_one:
        return [Stage("pieces", why, _pieces_sql(windows, "spans", "$start", "$end", star="*"))]
    source = f"touched\nJOIN {windows.name} USING (window_index)"
    return [
        Stage("touched", "the windows that each span touches", _touched_sql(windows)),
        Stage("pieces", why, _pieces_sql(windows, source, "window_start", "window_end", star="touched.*")),
    ]


def _touched_sql(windows: Windows) -> str:
    """SQL for each span once for every window, from the first window that it touches to the last."""
    if not windows.is_arithmetic:
        touched = {"window_index": "unnest(range(window_index, until_index + 1))"}
        return select(touched, "spans", star="* EXCLUDE (window_index, until_index)")
    first = windows.index_sql("greatest(recorded_at, $start)")
    last = windows.index_sql("$end - to_microseconds(1)")
    until = case({"held_until < $end": windows.index_sql("greatest(held_until, $start)")}, last)
    return select({"window_index": f"unnest(range({first}, {until} + 1))"}, "spans", star="*")


def _pieces_sql(windows: Windows, source: str, start: str, end: str, *, star: str) -> str:
    columns = {
        "held_us": f"epoch_us(least(held_until, {end})) - epoch_us(greatest(recorded_at, {start}))",
        "begins_here": f"recorded_at >= {start}",
        "holds_at_end": f"held_until >= {end} AND held_until > recorded_at",
    }
    if windows.is_one:
        columns["window_index"] = "CAST(0 AS BIGINT)"
    return select(columns, source, star=star, where=[f"held_until >= {start}"])
