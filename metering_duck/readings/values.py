"""Values: aggregations that need a row for each value: percentiles, sums of split spans, the outer of two levels.

    placed → values_seen                           (each record of a window)
    placed → spanned → … → portions → values_seen  (each part of a span in the windows it overlaps, R26)
    inner totals → values_seen                     (each inner reading of a window)
    values_seen [→ ranked] → valued_N → value_N

These tables have many rows, and so are apart from the wide counters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metering_duck.contract.definitions import Percentile
from metering_duck.decimals.columns import from_unscaled_sql
from metering_duck.decimals.quotients import Quotient
from metering_duck.judging.slots import Slot
from metering_duck.readings.series import KEY, last_columns
from metering_duck.statements.quote import literal
from metering_duck.statements.select import case, names, select, tried
from metering_duck.statements.stages import Query, Stage, load_stage

if TYPE_CHECKING:
    from metering_duck.readings.series import Series, Totals

SEEN = (*KEY, "unit", "window_index")
# State → its aggregate over values, which are exact already.
STATES = {"greatest": "max(quantity)", "least": "min(quantity)", "count": "count(*)"}


def valued_queries(totals: Totals, judged: Sequence[Stage]) -> list[Query]:
    """`valued_N` for each series that needs a row for each value."""
    return [
        Query(f"{totals.prefix}valued_{n}", tuple(_valued_stages(totals, n, series, judged)))
        for n, series in enumerate(totals.valued)
    ]


def _valued_stages(totals: Totals, n: int, series: Series, judged: Sequence[Stage]) -> list[Stage]:
    if series.aggregation.outer:
        seen = [_of_inner(totals, series)]
    elif series.aggregation.prorated:
        seen = [*judged, *_split_stages(totals, series)]
    else:
        records = "\nUNION ALL\n".join(_records_sql(totals, series, slot) for slot in series.slots)
        seen = [*judged, totals.windows.placed_stage(), Stage("values_seen", "each record of a window", records)]
    percentile = series.aggregation.percentile
    ranked: list[Stage] = []
    if percentile:
        ranked = [load_stage("ranked")]
        source, value_columns = "ranked", _percentile_columns(series, percentile)
    else:
        source, value_columns = "values_seen", _plain_columns(series)
    columns = names(SEEN) | {
        **value_columns,
        "record_count": "CAST(sum(record_count) AS BIGINT)",
        "carried": "bool_or(carried)",
        "prorated": "bool_or(is_part)",
        "max_metered_at": "max(metered_at)",
    }
    grouped = select(columns, source, group_by=[str(n + 1) for n in range(len(SEEN))])
    why = f"the {series.aggregation.name} of {series.unit_shown}, one row per reading"
    return [*seen, *ranked, Stage(f"valued_{n}", why, grouped)]


def _records_sql(totals: Totals, series: Series, slot: Slot) -> str:
    columns = {
        **names(KEY),
        "workspace_id": totals.workspace_sql,
        "dimensions": totals.dimensions_sql,
        "unit": series.unit_sql,
        "window_index": "window_index",
        "quantity": f"CAST(v_{slot.index} AS {series.decimal.wide_sql})",
        "record_count": "1",
        "metered_at": "metered_at",
        "carried": "FALSE",
        "is_part": "FALSE",
    }
    return select(columns, "placed", where=[*totals.shown, f"v_{slot.index} IS NOT NULL", "in_window"])


# --- percentiles, sums, averages of values ---------------------------------------------------------------------------


def _percentile_columns(series: Series, percentile: Percentile) -> dict[str, str]:
    if not percentile.interpolated:
        rank = f"(value_count * {percentile.parts} + {percentile.whole - 1}) // {percentile.whole}"
        return {"value": f"max(CASE WHEN value_rank = {rank} THEN quantity END)"}
    steps = f"(value_count - 1) * {percentile.parts}"
    lower, rest = f"{steps} // {percentile.whole} + 1", f"({steps}) % {percentile.whole}"
    base = f"power_of_ten({series.decimal.low_digits})"
    weight = case(
        {
            f"value_rank = {lower}": f"{percentile.whole} - {rest}",
            f"value_rank = {lower} + 1": rest,
        },
        "0",
    )
    return {
        "high": f"sum((unscaled(quantity) // {base}) * ({weight}))",
        "low": f"sum((unscaled(quantity) % {base}) * ({weight}))",
        "divisor": str(percentile.whole),
    }


def _plain_columns(series: Series) -> dict[str, str]:
    """A sum in two parts and its divisor; the value of any other aggregation as one column."""
    outermost, base = series.aggregation.outermost, f"power_of_ten({series.decimal.low_digits})"
    if "sum" not in outermost.keeps:
        return {"value": outermost.value_sql(STATES)}
    # A value that does not fit is NULL, and then the sum with it is NULL, too (R18).
    whole = "count(quantity) = count(*)"
    return {
        "high": case({whole: f"sum(unscaled(quantity) // {base})"}),
        "low": case({whole: f"sum(unscaled(quantity) % {base})"}),
        "divisor": "count(*)",
    }


def value_stages(totals: Totals) -> list[Stage]:
    """`value_N` for each series, after the stages of its quotient if its value is divided."""
    return [stage for n, series in enumerate(totals.valued) for stage in _value_stages(totals, n, series)]


def _value_stages(totals: Totals, n: int, series: Series) -> list[Stage]:
    rounding, source = totals.rounding(series), f"{totals.prefix}valued_{n}"
    stages: list[Stage] = []
    numerator = "CAST(NULL AS VARCHAR)"
    if _is_quotient(series):
        renamed = f"(SELECT * RENAME (high AS high_sum, low AS low_sum, divisor AS divided_by) FROM {source})"
        parts = Quotient(renamed, "high_sum", "low_sum", "divided_by")
        stages = parts.stages(f"of_value_{n}", series.decimal, rounding)
        source, quantity = stages[-1].name, rounding.average_sql
    else:
        value, scale = _value_sql(series)
        quantity, numerator = rounding.quantity_sql(value, scale), rounding.exact_text_sql(value, scale)
    columns = {
        **names(KEY),
        "unit": "unit",
        "aggregation": literal(series.aggregation.keyed),
        "window_index": "window_index",
        "quantity": quantity,
        "numerator": numerator,
        "divisor_us": "CAST(NULL AS BIGINT)",
        **names(("record_count", "carried", "prorated", "max_metered_at")),
        **last_columns(None),
    }
    why = f"the {series.aggregation.name} of {series.unit_shown}"
    return [*stages, Stage(f"value_{n}", why, select(columns, source))]


def _is_quotient(series: Series) -> bool:
    """Whether the value of a series is a sum that is divided."""
    percentile = series.aggregation.percentile
    if percentile is not None:
        return percentile.interpolated
    return series.aggregation.outermost.divided_by is not None


def _value_sql(series: Series) -> tuple[str, int]:
    """SQL for a value that is not divided, as DECIMAL(38, scale), and the scale."""
    outermost, decimal = series.aggregation.outermost, series.decimal
    if "sum" in outermost.keeps:
        base = f"power_of_ten({decimal.low_digits})"
        whole = f"sum_of_parts(CAST(high AS HUGEINT), CAST(low AS HUGEINT), {base})"
        return from_unscaled_sql(whole, decimal.scale), decimal.scale
    scale = 0 if outermost.is_whole else decimal.scale
    return f"CAST(value AS DECIMAL(38, {scale}))", scale


# --- two levels ------------------------------------------------------------------------------------------------------


def _of_inner(totals: Totals, series: Series) -> Stage:
    """`values_seen`: each inner reading, in the outer window that it lies in."""
    inner = totals.inner_of(series)
    columns = {name: f"inner_totals.{name}" for name in (*KEY, "unit")} | {
        "window_index": "inner_totals.window_index",
        "quantity": f"CAST(inner_totals.quantity AS {series.decimal.wide_sql})",
        "record_count": "inner_totals.record_count",
        "metered_at": "inner_totals.max_metered_at",
        "carried": "inner_totals.carried",
        "is_part": "inner_totals.prorated",
    }
    source = f"{inner.prefix}totals AS inner_totals"
    if inner.inner_column:
        columns["dimensions"] = "CAST(inner_totals.dimensions AS JSON) ->> 0"
    if inner.windows.name != totals.windows.name:
        source += (
            f"\nJOIN {inner.windows.name} AS inner_windows USING (window_index)"
            f"\nJOIN {totals.windows.name} AS outer_windows ON outer_windows.window_index = inner_windows.outer_index"
        )
        columns["carried"] += " AND inner_windows.window_start = outer_windows.window_start"
        columns["window_index"] = "outer_windows.window_index"
    return Stage("values_seen", f"each inner {inner.series[0].aggregation.name}", select(columns, source))


# --- spans split by time ---------------------------------------------------------------------------------------------


def _split_stages(totals: Totals, series: Series) -> list[Stage]:
    """The stages from `judged` to `values_seen`: each span's quantity is split over the windows that it overlaps."""
    windows = totals.windows
    spans = "\nUNION ALL\n".join(_span_sql(totals, series, slot) for slot in series.slots)
    last_moment = "greatest(span_end - to_microseconds(1), span_start)"
    return [
        Stage("spanned", "each quantity and its span, in whole units of the last digit it is split at", spans),
        windows.placed_stage("spanned", moment="span_start", name="begun"),
        windows.placed_stage("begun", moment=last_moment, name="ended", suffix="_of_end"),
        windows.stage("window_parts", "windows"),
        load_stage("cuts"),
        load_stage("portions"),
        Stage("values_seen", "each part as a value of its window", _parts_sql(series)),
    ]


def _span_sql(totals: Totals, series: Series, slot: Slot) -> str:
    """SQL for a slot's quantities and spans; a quantity that is not split has a span without length at recorded_at."""
    rounding, scale = totals.rounding(series), series.decimal.scale
    finer = scale - slot.decimal.scale
    value = f"unscaled(v_{slot.index})"
    if finer:
        value = tried(f"{value} * power_of_ten({finer})", f"v_{slot.index}")
    coarse = f"power_of_ten({min(max(scale - rounding.scale, 0), 38)})"
    columns = {
        **names(KEY),
        "workspace_id": totals.workspace_sql,
        "dimensions": totals.dimensions_sql,
        "unit": series.unit_sql,
        "metered_at": "metered_at",
        "row_id": f"encoded(workspace_id) || encoded(universe_id) || encoded(id) || '{slot.index}'",
        "unit_size": case({f"({value}) % {coarse} = 0": coarse}, "1"),
        "units": f"({value}) // {case({f'({value}) % {coarse} = 0': coarse}, '1')}",
        "span_start": f"coalesce(start_{slot.index}, recorded_at)" if slot.is_prorated else "recorded_at",
        "span_end": f"coalesce(end_{slot.index}, recorded_at)" if slot.is_prorated else "recorded_at",
    }
    return select(columns, "judged", where=[*totals.shown, f"v_{slot.index} IS NOT NULL"])


def _parts_sql(series: Series) -> str:
    """SQL for each part's quantity; NULL where it has more than 38 digits (R18)."""
    part = from_unscaled_sql("part_units * unit_size", series.decimal.scale)
    columns = {
        **names(SEEN),
        "window_index": "portions.window_index",
        "quantity": tried(part, "part_units"),
        "record_count": "1",
        "metered_at": "metered_at",
        "carried": "FALSE",
        "is_part": "is_part",
    }
    return select(columns, "portions\nJOIN spanned USING (row_id)")
