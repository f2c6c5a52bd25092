"""Gauges: averages, integrals and states over levels that hold until the next (R14, R19).

    placed → levels → spans (LEAD) → pieces (cut at the windows they touch) → weighted    = gauged_N
    gauged_N → carried_N → numerators_N → averages_N → gauge_N

Linear in rows and windows. The carried-in level needs no search: a span that began before the window reaches into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metering_duck.aggregations import AVERAGE, INTEGRALS, KNOWN_AVERAGE
from metering_duck.compiler import Slot
from metering_duck.counters import KEY, last_columns
from metering_duck.decimals import DecimalType, Rounding
from metering_duck.quote import literal
from metering_duck.quotients import Quotient, numerator_text_sql
from metering_duck.stages import Query, Stage, load_stage
from metering_duck.statements import case, names, select

if TYPE_CHECKING:
    from metering_duck.totals import Series, Totals
    from metering_duck.windows import Windows

STATES = {"'peak-state'": "peak", "'min-state'": "lowest", "'final-state'": "last.quantity"}
DIVISORS = {
    literal(AVERAGE): "epoch_us(window_end) - epoch_us(window_start)",
    literal(KNOWN_AVERAGE): "nullif(known_us, 0)",
    **{literal(name): str(divisor) for name, divisor in INTEGRALS.items()},
}
IS_QUOTIENT = f"aggregation IN ({', '.join(DIVISORS)})"


def gauged_queries(totals: Totals, judged: Sequence[Stage]) -> list[Query]:
    """`gauged_N` for each DECIMAL among the gauges, from `judged`."""
    return [
        Query(f"{totals.prefix}gauged_{n}", (*judged, *_gauged_stages(totals, group)))
        for n, group in enumerate(totals.gauges)
    ]


def widest_levels(totals: Totals, judged: Sequence[Stage]) -> list[Query]:
    """The first level too large of each DECIMAL that has deltas: unit, subject, moment; about is enough here."""
    queries = []
    for group in totals.gauges:
        stages = _levels_stages(totals, group)
        if stages[0].name != "deltas":
            continue
        key = "workspace_id, universe_id, subject, dimensions, unit, aggregation"
        level = f"sum(CAST(level AS DOUBLE)) OVER (PARTITION BY {key} ORDER BY recorded_at, metered_at, id)"
        sums = Stage("sums", "running sums, about", select({"about": f"abs({level})"}, "deltas", star="*"))
        columns = {**names(("unit", "subject")), "moment": "time_text(recorded_at)"}
        too_large = select(
            columns, "sums", where=[f"about >= 1e{38 - group[0].decimal.scale}"], order_by=["recorded_at", "subject"]
        )
        placed = totals.windows.placed_stage()
        last = Stage("widest", "the first level too large", f"{too_large}\nLIMIT 1")
        queries.append(Query("widest", (*judged, placed, stages[0], sums, last)))
    return queries


def _gauged_stages(totals: Totals, group: Sequence[Series]) -> list[Stage]:
    return [
        totals.windows.placed_stage(),
        *_levels_stages(totals, group),
        load_stage("spans"),
        Stage("pieces", "each span cut at the windows it touches", _pieces_sql(totals.windows, group[0].decimal)),
        load_stage("weighted"),
    ]


def _levels_stages(totals: Totals, group: Sequence[Series]) -> list[Stage]:
    """`levels`: as they were sent, or as running sums of deltas."""
    sent = {deltas: _union(totals, [s for s in group if s.aggregation.deltas == deltas]) for deltas in (False, True)}
    why = "every level a gauge was set to before the last window's end, one row each"
    if not sent[True]:
        return [Stage("levels", why, sent[False])]
    deltas = [Stage("deltas", "every change of a level, one row each", sent[True]), load_stage("running")]
    levels = [select({}, "running", star="*"), *([sent[False]] if sent[False] else [])]
    return [*deltas, Stage("levels", why, "\nUNION ALL\n".join(levels))]


def _union(totals: Totals, group: Sequence[Series]) -> str:
    return "\nUNION ALL\n".join(_levels_sql(totals, series, slot) for series in group for slot in series.slots)


def _levels_sql(totals: Totals, series: Series, slot: Slot) -> str:
    columns = {
        **names(KEY),
        "workspace_id": totals.workspace_sql,
        "dimensions": totals.dimensions_sql,
        "unit": series.unit_sql,
        "aggregation": literal(series.aggregation.name),
        "recorded_at": "recorded_at",
        "metered_at": "metered_at",
        "id": "event_id",
        "level": f"CAST(v_{slot.index} AS {series.decimal.wide_sql})",
        **names(("window_index", "last_index", "last_end")),
    }
    where = [*totals.shown, f"v_{slot.index} IS NOT NULL", "window_index IS NOT NULL"]
    return select(columns, "placed", where=where)


def _pieces_sql(windows: Windows, decimal: DecimalType) -> str:
    """A span has a piece in each window it touches; one that ends at a window's start is carried in for no time."""
    high, low = decimal.parts_sql("level")
    columns = {
        "level_high": high,
        "level_low": low,
        "window_index": f"{windows.name}.window_index",
        "window_start": "window_start",
        "held_us": "epoch_us(least(held_until, window_end)) - epoch_us(greatest(recorded_at, window_start))",
        "holds_at_end": "held_until >= window_end AND held_until > recorded_at",
    }
    touching = ["held_until >= window_start"]
    if windows.is_one:
        source = f"spans\nJOIN {windows.name} ON {windows.name}.window_index = spans.window_index"
        return select(columns, source, star="spans.* EXCLUDE (window_index)", where=touching)
    indexes = {"touched_index": "unnest(range(window_index, until_index + 1))"}
    touched = select(indexes, "spans", star="* EXCLUDE (window_index)").replace("\n", "\n    ")
    source = f"(\n    {touched}\n) AS touched\nJOIN {windows.name} ON {windows.name}.window_index = touched_index"
    return select(columns, source, star="touched.* EXCLUDE (touched_index)", where=touching)


def gauge_reading_stages(totals: Totals, n: int, series: Series) -> list[Stage]:
    """From `gauged_N` to `gauge_N`: averages by their quotient, states as they are. `series` stands for its group."""
    decimal, rounding = series.decimal, totals.rounding(series)
    source = f"{totals.prefix}gauged_{n}\nJOIN {totals.windows.name} USING (window_index)"
    low = f"unscaled(CAST(low_us AS {decimal.low_sql}))"
    stages = Quotient(source, "high_us", low, case(DIVISORS, DIVISORS[literal(AVERAGE)], of="aggregation")).stages(
        str(n), decimal, rounding
    )
    final = _gauge_sql(rounding, stages[-1].name, decimal)
    return [*stages, Stage(f"gauge_{n}", "the gauges of one DECIMAL, one row per reading", final)]


def _gauge_sql(rounding: Rounding, source: str, decimal: DecimalType) -> str:
    state = case(STATES, of="aggregation")
    columns = {
        **names(KEY),
        "unit": "unit",
        "aggregation": "aggregation",
        "window_index": "window_index",
        "quantity": case({IS_QUOTIENT: rounding.average_sql}, rounding.quantity_sql(state, decimal.scale)),
        "numerator": case({IS_QUOTIENT: numerator_text_sql(decimal)}, rounding.exact_text_sql(state, decimal.scale)),
        "divisor_us": case({IS_QUOTIENT: "CAST(divisor AS BIGINT)"}),
        "record_count": "record_count",
        "carried": "carried",
        "prorated": "FALSE",
        "max_metered_at": "max_metered_at",
        **last_columns("CASE WHEN aggregation = 'final-state' THEN last END"),
    }
    return select(columns, source, where=[f"({IS_QUOTIENT} AND divisor IS NOT NULL OR {state} IS NOT NULL)"])
