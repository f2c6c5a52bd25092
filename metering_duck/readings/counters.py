"""Counters: sums, extremes, counts and averages, as conditional aggregates over the wide projection (R12).

One scan of `judged` gives `counted`: per key, window and status how many events there were, and each slot's aggregates.
Counting what became of every event costs nothing more that way. Only `counter_N` has one row per unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metering_duck.decimals.columns import from_unscaled_sql
from metering_duck.decimals.quotients import Quotient, numerator_text_sql
from metering_duck.judging.slots import UNIT_COLUMN, Slot
from metering_duck.readings.series import KEY, last_columns
from metering_duck.statements.quote import literal
from metering_duck.statements.select import case, names, select, struct
from metering_duck.statements.stages import Query, Stage

if TYPE_CHECKING:
    from metering_duck.readings.series import Series, Totals

SUMMED = ("sum", "avg")
# The counters whose parts come together exactly (R20).
COMBINED = (*SUMMED, "min", "max", "latest", "first", "count")
PLACED_RECORDS = {"latest": "max", "first": "min"}


def counted_query(totals: Totals, judged: Sequence[Stage]) -> Query:
    """`counted`, from `judged`."""
    slots = [(slot, series) for series in totals.counters for slot in series.slots]
    placed = [totals.windows.placed_stage()] if slots else []
    used = " AND ".join([*totals.shown, "in_window"]) if slots else "FALSE"
    windowed = Stage(
        "windowed",
        "which rows make readings: metered, of a subject that is asked for, inside a window",
        select({"used": used} | _scheduled(totals), "placed" if slots else "judged", star="*"),
    )
    # Where a row makes a reading its status is known: it is not grouped by a text then.
    columns = {"used": "used", "status": case({"NOT used": "status"}), **_key_columns(totals, [s for s, _ in slots])}
    aggregates = _aggregates(totals)
    positions = [str(place + 1) for place, name in enumerate(columns) if name not in totals.constants]
    why = "one scan: what became of every event, and the counters of each subject and window"
    counted = Stage("counted", why, select(columns | aggregates, "windowed", group_by=positions))
    return Query(f"{totals.prefix}counted", (*judged, *placed, windowed, counted))


def merged_query(totals: Totals, parts: str) -> Query:
    """`counted`, from `parts` that were counted apart, their sums in two parts: the exact state of a counter (R20)."""
    keys = ["used", "status", *_key_columns(totals, [slot for series in totals.counters for slot in series.slots])]
    functions = {slot.index: series.aggregation.function for series in totals.counters for slot in series.slots}
    aggregates = {}
    for name in _aggregates(totals):
        what, _, number = name.rpartition("_")
        if what in ("high", "low"):
            aggregates[name] = f"sum({name})"
        elif what == "x":
            function = functions[int(number)]
            aggregates[name] = f"{PLACED_RECORDS.get(function, function)}({name})"
        elif what in ("metered", "widest"):
            aggregates[name] = f"max({name})"
        elif name == "unscheduled_subject":
            aggregates[name] = f"min({name})"
        else:
            aggregates[name] = f"CAST(sum({name}) AS BIGINT)"
    merged = select(names(keys) | aggregates, parts, group_by=[str(place + 1) for place in range(len(keys))])
    return Query("counted", (Stage("counted", "what was counted apart, together", merged),))


def _aggregates(totals: Totals) -> dict[str, str]:
    """What is counted of each key: how many events, and the aggregates of each slot."""
    aggregates = {
        "events": "count(*)",
        "times_cut": _count_where(totals, "time_cut"),
        "times_naive": _count_where(totals, "time_naive"),
    }
    if totals.windows.by_subject:
        aggregates |= {
            "unscheduled": "count(*) FILTER (NOT scheduled AND status = 'metered')",
            "unscheduled_subject": "min(subject) FILTER (NOT scheduled AND status = 'metered')",
        }
    aggregates |= {f"widest_{slot.index}": f"max(abs(v_{slot.index}))" for slot, _ in totals.weighed}
    for series in totals.counters:
        for slot in series.slots:
            aggregates |= _slot_aggregates(slot, series, exact=totals.exact)
    return aggregates


def _scheduled(totals: Totals) -> dict[str, str]:
    """Where each subject has periods of its own, whether a row's subject has any."""
    if not totals.windows.by_subject:
        return {}
    there = f"(SELECT universe_id, subject FROM {totals.windows.name})"
    return {"scheduled": f"coalesce((universe_id, subject) IN {there}, FALSE)"}


def _key_columns(totals: Totals, slots: Sequence[Slot]) -> dict[str, str]:
    """The key of a reading (R10) where a row makes one, else NULL, so that the others add up in few rows."""
    if not slots:
        return {}
    key = totals.key_columns
    if any(slot.unit_sql == UNIT_COLUMN for slot in slots):
        key[UNIT_COLUMN] = UNIT_COLUMN
    key["window_index"] = "window_index"
    return {name: sql if name in totals.constants else _where_used(sql) for name, sql in key.items()}


def _where_used(value: str) -> str:
    return f"CASE WHEN used THEN {value} END"


def _count_where(totals: Totals, condition: str) -> str:
    """How many rows; none where the condition is known to hold nowhere."""
    return "CAST(0 AS BIGINT)" if totals.constants.get(condition) == "FALSE" else f"count(*) FILTER ({condition})"


def _slot_aggregates(slot: Slot, series: Series, *, exact: bool) -> dict[str, str]:
    n, value, function = slot.index, f"v_{slot.index}", series.aggregation.function
    present = f"used AND {value} IS NOT NULL"
    columns = {
        f"n_{n}": f"count({_where_used(value)})",
        f"metered_{n}": f"max(CASE WHEN {present} THEN metered_at END)",
    }
    if slot.is_in_all:
        columns = {
            f"n_{n}": case({"used": "count(*)"}, "0"),
            f"metered_{n}": f"max({_where_used('metered_at')})",
        }
    if function in SUMMED and exact:
        high, low = series.decimal.parts_sql(f"CAST({_where_used(value)} AS {series.decimal.wide_sql})")
        columns |= {f"high_{n}": f"sum({high})", f"low_{n}": f"sum({low})"}
    elif function in (*SUMMED, "min", "max"):
        columns[f"x_{n}"] = f"{'sum' if function in SUMMED else function}({_where_used(value)})"
    elif function in PLACED_RECORDS:
        record = struct({"recorded_at": "recorded_at", "metered_at": "metered_at", "id": "event_id", "quantity": value})
        columns[f"x_{n}"] = f"{PLACED_RECORDS[function]}(CASE WHEN {present} THEN {record} END)"
    elif function == "unique-count":
        distinct = f"DISTINCT CASE WHEN {present} THEN {slot.text_sql} END"
        alone = len(series.slots) == 1
        columns[f"x_{n}"] = f"count({distinct})" if alone else f"list({distinct}) FILTER ({present})"
    return columns


def counter_stages(totals: Totals) -> list[Stage]:
    """`counter_N` for each counter: its slots together, one row per reading; averages behind their quotients."""
    return [stage for n, series in enumerate(totals.counters) for stage in _counter_stages(totals, n, series)]


def _counter_stages(totals: Totals, n: int, series: Series) -> list[Stage]:
    why = f"the {series.aggregation.name} of {series.unit_shown}"
    count = _count_sql(series)
    if series.aggregation.function != "avg":
        source = f"{totals.prefix}counted"
        return [Stage(f"counter_{n}", why, _counter_sql(totals, series, source, where=["used", f"{count} > 0"]))]
    counted = f"(SELECT * FROM {totals.prefix}counted WHERE used AND {count} > 0)"
    high, low = _sum_parts(totals, series)
    stages = Quotient(counted, high, low, count).stages(f"of_counter_{n}", series.decimal, totals.rounding(series))
    return [*stages, Stage(f"counter_{n}", why, _counter_sql(totals, series, stages[-1].name, where=[]))]


def _count_sql(series: Series) -> str:
    return " + ".join(f"n_{slot.index}" for slot in series.slots)


def _counter_sql(totals: Totals, series: Series, source: str, *, where: Sequence[str]) -> str:
    numbers = [slot.index for slot in series.slots]
    function, rounding = series.aggregation.function, totals.rounding(series)
    if function == "avg":
        quantity, numerator = rounding.average_sql, numerator_text_sql(series.decimal)
    else:
        value = _value_sql(totals, series, numbers)
        scale = 0 if function in ("count", "unique-count") else series.decimal.scale
        quantity, numerator = rounding.quantity_sql(value, scale), rounding.exact_text_sql(value, scale)
    columns = {
        **{name: totals.constants.get(name, name) for name in KEY},
        "unit": series.unit_sql,
        "aggregation": literal(series.aggregation.name),
        "window_index": "window_index",
        "quantity": quantity,
        "numerator": numerator,
        "divisor_us": "CAST(NULL AS BIGINT)",
        "record_count": _count_sql(series),
        "carried": "FALSE",
        "prorated": "FALSE",
        "max_metered_at": _one_of("greatest", [f"metered_{n}" for n in numbers]),
        **last_columns(_record_sql(series, numbers) if function in PLACED_RECORDS else None),
    }
    return select(columns, source, where=where)


def _value_sql(totals: Totals, series: Series, numbers: Sequence[int]) -> str:
    """The counter's value as DECIMAL(38, scale), whatever slots a key has."""
    wide = series.decimal.wide_sql
    values = [f"CAST(x_{n} AS {wide})" for n in numbers]
    match series.aggregation.function:
        case "count":
            return f"CAST({_count_sql(series)} AS DECIMAL(38, 0))"
        case "unique-count":
            lists = ", ".join(f"coalesce(x_{n}, [])" for n in numbers)
            distinct = f"x_{numbers[0]}" if len(numbers) == 1 else f"len(list_distinct(flatten([{lists}])))"
            return f"CAST({distinct} AS DECIMAL(38, 0))"
        case "sum" if totals.exact:
            high, low = _sum_parts(totals, series)
            whole = f"sum_of_parts({high}, {low}, power_of_ten({series.decimal.low_digits}))"
            return from_unscaled_sql(whole, series.decimal.scale)
        case "sum":
            return values[0] if len(values) == 1 else " + ".join(f"coalesce({value}, 0)" for value in values)
        case "min" | "max" as extreme:
            return _one_of("least" if extreme == "min" else "greatest", values)
        case _:
            return f"({_record_sql(series, numbers)}).quantity"


def _sum_parts(totals: Totals, series: Series) -> tuple[str, str]:
    """A sum as its two parts, whatever slots a key has."""
    numbers = [slot.index for slot in series.slots]
    low_sql, base = series.decimal.low_sql, f"power_of_ten({series.decimal.low_digits})"
    if totals.exact:
        high = " + ".join(f"coalesce(CAST(high_{n} AS HUGEINT), 0)" for n in numbers)
        return f"({high})", f"({' + '.join(f'coalesce(unscaled(CAST(low_{n} AS {low_sql})), 0)' for n in numbers)})"
    wholes = [f"unscaled(coalesce(CAST(x_{n} AS {series.decimal.wide_sql}), 0))" for n in numbers]
    return (
        f"({' + '.join(f'{whole} // {base}' for whole in wholes)})",
        f"({' + '.join(f'{w} % {base}' for w in wholes)})",
    )


def _record_sql(series: Series, numbers: Sequence[int]) -> str:
    """The last, or first, of the slots' last, or first, records in the order of R13."""
    record = f"STRUCT(recorded_at TIMESTAMP, metered_at TIMESTAMP, id VARCHAR, quantity {series.decimal.wide_sql})"
    casts = [f"CAST(x_{n} AS {record})" for n in numbers]
    return casts[0] if len(casts) == 1 else f"list_{PLACED_RECORDS[series.aggregation.function]}([{', '.join(casts)}])"


def _one_of(function: str, values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"{function}({', '.join(values)})"
