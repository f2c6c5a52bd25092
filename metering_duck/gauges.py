"""Gauges: time-weighted-avg, peak-state, min-state and final-state, over levels that hold until the next (R14, R19).

    judged → levels → spans (LEAD) → pieces (cut at the windows they touch) → weighted    = gauged_N
    gauged_N → carried_N → numerators_N → averages_N → gauge_N

Linear in rows and windows. The carried-in level needs no search: a span that began before the window reaches into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from metering_duck.compiler import Slot
from metering_duck.counters import KEY, last_columns
from metering_duck.decimals import DecimalType, Rounding
from metering_duck.quote import literal
from metering_duck.stages import Query, Stage, load_stage
from metering_duck.statements import case, names, select

if TYPE_CHECKING:
    from metering_duck.totals import Series, Totals
    from metering_duck.windows import Windows

STATES = {"'peak-state'": "peak", "'min-state'": "lowest", "'final-state'": "last.quantity"}
IS_AVERAGE = "aggregation = 'time-weighted-avg'"


def gauged_queries(totals: Totals, judged: Sequence[Stage]) -> list[Query]:
    """`gauged_N` for each DECIMAL among the gauges, from `judged`."""
    return [Query(f"gauged_{n}", (*judged, *_gauged_stages(totals, group))) for n, group in enumerate(totals.gauges)]


def _gauged_stages(totals: Totals, group: Sequence[Series]) -> list[Stage]:
    levels = [_levels_sql(totals, series, slot) for series in group for slot in series.slots]
    return [
        Stage("levels", "every level a gauge was set to before the end, one row each", "\nUNION ALL\n".join(levels)),
        load_stage("spans"),
        totals.windows.stage,
        Stage("pieces", "each span cut at the windows it touches", _pieces_sql(totals.windows, group[0].decimal)),
        load_stage("weighted"),
    ]


def _levels_sql(totals: Totals, series: Series, slot: Slot) -> str:
    columns = {
        **names(KEY),
        "workspace_id": totals.workspace_sql,
        "unit": series.unit_sql,
        "aggregation": literal(series.aggregation),
        "recorded_at": "recorded_at",
        "metered_at": "metered_at",
        "id": "event_id",
        "level": f"CAST(v_{slot.index} AS {series.decimal.wide_sql})",
    }
    return select(columns, "judged", where=[*totals.shown, f"v_{slot.index} IS NOT NULL", "recorded_at < $end"])


def _pieces_sql(windows: Windows, decimal: DecimalType) -> str:
    """A span has a piece in each window it touches; one that ends at a window's start is carried in for no time."""
    high, low = decimal.parts_sql("level")
    columns = {
        "level_high": high,
        "level_low": low,
        "window_index": "windows.window_index",
        "window_start": "window_start",
        "held_us": "epoch_us(least(held_until, window_end)) - epoch_us(greatest(recorded_at, window_start))",
        "holds_at_end": "held_until >= window_end AND held_until > recorded_at",
    }
    touching = ["(held_until >= $start OR recorded_at >= $start)"]
    if windows.is_one:
        return select(columns, "spans\nCROSS JOIN windows", star="spans.*", where=touching)
    first = windows.index_sql("greatest(recorded_at, $start)")
    last = windows.index_sql("greatest(least(held_until, $end - to_microseconds(1)), $start)")
    indexes = f"unnest(range(CAST({first} AS BIGINT), CAST({last} AS BIGINT) + 1))"
    touched = select({"window_index": indexes}, "spans", star="*", where=touching).replace("\n", "\n    ")
    source = f"(\n    {touched}\n) AS touched\nJOIN windows ON windows.window_index = touched.window_index"
    return select(columns, source, star="touched.* EXCLUDE (window_index)")


def gauge_reading_stages(totals: Totals, n: int, series: Series) -> list[Stage]:
    """From `gauged_N` to `gauge_N`: averages by their quotient, states as they are. `series` stands for its group."""
    decimal, rounding = series.decimal, totals.rounding(series)
    base = f"power_of_ten({decimal.low_digits})"
    low = f"unscaled(CAST(low_us AS {decimal.low_sql}))"
    carried = {"high_carried": f"CAST(high_us AS HUGEINT) + {low} // {base}", "low_carried": f"{low} % {base}"}
    over, under = "high_carried > 0 AND low_carried < 0", "high_carried < 0 AND low_carried > 0"
    numerators = {
        "high": f"high_carried + {case({over: '-1', under: '1'}, '0')}",
        "low": f"low_carried + {case({over: base, under: f'-{base}'}, '0')}",
        "base": base,
        "divisor": "CAST(epoch_us(window_end) - epoch_us(window_start) AS HUGEINT)",
        "scale": str(decimal.scale),
        "result_scale": str(rounding.scale),
    }
    stages = [
        Stage(
            f"carried_{n}",
            "the numerator's two parts, the lower one below its base",
            select(carried, f"gauged_{n}\nJOIN windows USING (window_index)", star="*"),
        ),
        Stage(
            f"numerators_{n}",
            "Σ level × microseconds as high × base + low, both of one sign (R15)",
            select(numerators, f"carried_{n}", star="*"),
        ),
        _reading(load_stage("averages"), f"averages_{n}", "numerators", f"numerators_{n}"),
    ]
    if totals.digits is not None:
        divided = f"(SELECT *, {totals.digits} AS digits FROM averages_{n})"
        stages.append(_reading(load_stage("significant"), f"significant_{n}", "divided", divided))
    final = _gauge_sql(rounding, stages[-1].name, decimal)
    return [*stages, Stage(f"gauge_{n}", "the gauges of one DECIMAL, one row per reading", final)]


def _reading(stage: Stage, name: str, was: str, source: str) -> Stage:
    """A stage of sql/ that reads another relation than its file says, under another name."""
    return replace(stage, name=name, sql=stage.sql.replace(f"FROM {was}\n", f"FROM {source}\n"))


def _gauge_sql(rounding: Rounding, source: str, decimal: DecimalType) -> str:
    state = case(STATES, of="aggregation")
    numerator = f"parts_text(high, low, {decimal.low_digits}, {decimal.scale})"
    columns = {
        **names(KEY),
        "unit": "unit",
        "aggregation": "aggregation",
        "window_index": "window_index",
        "quantity": case({IS_AVERAGE: rounding.average_sql}, rounding.quantity_sql(state, decimal.scale)),
        "numerator": case({IS_AVERAGE: numerator}, rounding.exact_text_sql(state, decimal.scale)),
        "divisor_us": case({IS_AVERAGE: "CAST(divisor AS BIGINT)"}),
        "record_count": "record_count",
        "carried": "carried",
        "max_metered_at": "max_metered_at",
        **last_columns("CASE WHEN aggregation = 'final-state' THEN last END"),
    }
    return select(columns, source, where=[f"({IS_AVERAGE} OR {state} IS NOT NULL)"])
