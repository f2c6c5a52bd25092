"""Counters: sum, max, min, latest and count, as conditional aggregates over the wide projection (R12).

One scan of `judged` gives `counted`: per key, window and status how many events there were, and each slot's aggregates.
Counting what became of every event costs nothing more that way. Only `counter_N` has one row per unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metering_duck.compiler import Slot
from metering_duck.decimals import from_unscaled_sql
from metering_duck.quote import literal
from metering_duck.stages import Query, Stage
from metering_duck.statements import names, select, struct

if TYPE_CHECKING:
    from metering_duck.totals import Series, Totals

KEY = ("workspace_id", "universe_id", "subject", "dimensions")
UNIT_COLUMN = "unit"


def counted_query(totals: Totals, judged: Sequence[Stage]) -> Query:
    """`counted`, from `judged`."""
    slots = [(slot, series) for series in totals.counters for slot in series.slots]
    inside = ["recorded_at >= $start", "recorded_at < $end"]
    used = " AND ".join([*totals.shown, *inside]) if slots else "FALSE"
    windowed = Stage(
        "windowed",
        "which rows make readings: metered, of a subject that is asked for, inside the window",
        select({"used": used}, "judged", star="*"),
    )
    columns = {"status": "status", "used": "used", **_key_columns(totals, [slot for slot, _ in slots])}
    aggregates = {
        "events": "count(*)",
        "times_cut": "count(*) FILTER (time_cut)",
        "times_naive": "count(*) FILTER (time_naive)",
    }
    for slot, series in slots:
        aggregates |= _slot_aggregates(slot, series, exact=totals.exact)
    positions = [str(place + 1) for place in range(len(columns))]
    why = "one scan: what became of every event, and the counters of each subject and window"
    counted = Stage("counted", why, select(columns | aggregates, "windowed", group_by=positions))
    return Query("counted", (*judged, windowed, counted))


def _key_columns(totals: Totals, slots: Sequence[Slot]) -> dict[str, str]:
    """The key of a reading (R10) where a row makes one, else NULL, so that the others add up in few rows."""
    if not slots:
        return {}
    key = names(KEY) | {"workspace_id": totals.workspace_sql}
    if any(slot.unit_sql == UNIT_COLUMN for slot in slots):
        key[UNIT_COLUMN] = UNIT_COLUMN
    key["window_index"] = totals.windows.index_sql("recorded_at")
    return {name: _where_used(sql) for name, sql in key.items()}


def _where_used(value: str) -> str:
    return f"CASE WHEN used THEN {value} END"


def _slot_aggregates(slot: Slot, series: Series, *, exact: bool) -> dict[str, str]:
    n, value = slot.index, f"v_{slot.index}"
    present = f"used AND {value} IS NOT NULL"
    columns = {
        f"n_{n}": f"count({_where_used(value)})",
        f"metered_{n}": f"max(CASE WHEN {present} THEN metered_at END)",
    }
    if slot.aggregation == "sum" and exact:
        high, low = series.decimal.parts_sql(f"CAST({_where_used(value)} AS {series.decimal.wide_sql})")
        columns |= {f"high_{n}": f"sum({high})", f"low_{n}": f"sum({low})"}
    elif slot.aggregation in ("sum", "min", "max"):
        columns[f"x_{n}"] = f"{slot.aggregation}({_where_used(value)})"
    elif slot.aggregation == "latest":
        last = struct({"recorded_at": "recorded_at", "metered_at": "metered_at", "id": "event_id", "quantity": value})
        columns[f"x_{n}"] = f"max(CASE WHEN {present} THEN {last} END)"
    return columns


def counter_stages(totals: Totals) -> list[Stage]:
    """`counter_N` for each counter: its slots together, one row per reading."""
    return [
        Stage(f"counter_{n}", f"the {series.aggregation} of {series.unit_shown}", _counter_sql(totals, series))
        for n, series in enumerate(totals.counters)
    ]


def _counter_sql(totals: Totals, series: Series) -> str:
    numbers = [slot.index for slot in series.slots]
    count = " + ".join(f"n_{n}" for n in numbers)
    value = _value_sql(totals, series, numbers)
    scale = 0 if series.aggregation == "count" else series.decimal.scale
    columns = {
        **names(KEY),
        "unit": series.unit_sql,
        "aggregation": literal(series.aggregation),
        "window_index": "window_index",
        "quantity": totals.rounding(series).quantity_sql(value, scale),
        "numerator": totals.rounding(series).exact_text_sql(value, scale),
        "divisor_us": "CAST(NULL AS BIGINT)",
        "record_count": count,
        "carried": "FALSE",
        "max_metered_at": _one_of("greatest", [f"metered_{n}" for n in numbers]),
        **last_columns(_last_sql(series, numbers) if series.aggregation == "latest" else None),
    }
    return select(columns, "counted", where=["used", f"{count} > 0"])


def _value_sql(totals: Totals, series: Series, numbers: Sequence[int]) -> str:
    """The counter's value as DECIMAL(38, scale), whatever slots a key has."""
    wide = series.decimal.wide_sql
    values = [f"CAST(x_{n} AS {wide})" for n in numbers]
    match series.aggregation:
        case "count":
            return f"CAST({' + '.join(f'n_{n}' for n in numbers)} AS DECIMAL(38, 0))"
        case "sum" if totals.exact:
            return _exact_sum_sql(series, numbers)
        case "sum":
            return values[0] if len(values) == 1 else " + ".join(f"coalesce({value}, 0)" for value in values)
        case "min" | "max":
            return _one_of("least" if series.aggregation == "min" else "greatest", values)
        case _:
            return f"({_last_sql(series, numbers)}).quantity"


def _exact_sum_sql(series: Series, numbers: Sequence[int]) -> str:
    """A sum from its two parts; NULL when it has more than 38 digits (R18)."""
    high = " + ".join(f"coalesce(CAST(high_{n} AS HUGEINT), 0)" for n in numbers)
    low = " + ".join(f"coalesce(unscaled(CAST(low_{n} AS {series.decimal.low_sql})), 0)" for n in numbers)
    whole = f"sum_of_parts({high}, {low}, power_of_ten({series.decimal.low_digits}))"
    return from_unscaled_sql(whole, series.decimal.scale)


def _last_sql(series: Series, numbers: Sequence[int]) -> str:
    """The last of the slots' last records, in the order of R13."""
    last = f"STRUCT(recorded_at TIMESTAMP, metered_at TIMESTAMP, id VARCHAR, quantity {series.decimal.wide_sql})"
    casts = [f"CAST(x_{n} AS {last})" for n in numbers]
    return casts[0] if len(casts) == 1 else f"list_max([{', '.join(casts)}])"


def _one_of(function: str, values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"{function}({', '.join(values)})"


def last_columns(last: str | None) -> dict[str, str]:
    """Which record gave a latest or a final state: what its combination with a neighbour compares (R13, R20)."""
    if last is None:
        moment = "CAST(NULL AS TIMESTAMP)"
        return {"last_recorded_at": moment, "last_metered_at": moment, "last_event_id": "CAST(NULL AS VARCHAR)"}
    return {
        "last_recorded_at": f"({last}).recorded_at",
        "last_metered_at": f"({last}).metered_at",
        "last_event_id": f"({last}).id",
    }
