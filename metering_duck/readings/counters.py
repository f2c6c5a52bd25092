"""Counters: sums, extremes, counts and averages, as conditional aggregates over the wide projection (R12).

One scan of `judged` gives `counted`: per key, window and status how many events there were, and each slot's aggregates.
The same scan counts what became of every event, at no more cost. Only `counter_N` has one row per unit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from metering_duck.decimals.columns import from_unscaled_sql
from metering_duck.decimals.quotients import Quotient, numerator_text_sql
from metering_duck.judging.slots import UNIT_COLUMN, Slot
from metering_duck.readings.series import KEY, last_columns
from metering_duck.statements.quote import literal
from metering_duck.statements.select import case, names, select, struct
from metering_duck.statements.stages import Query, Stage

if TYPE_CHECKING:
    from metering_duck.contract.aggregations import Aggregation
    from metering_duck.readings.series import Series, Totals


# SQL for a state of each of several slots → SQL for the state of all. A slot that a key lacks has NULL.
Together = Callable[[Sequence[str]], str]


def _calling(function: str) -> Together:
    """The slots' states as the arguments of a function, which leaves out NULL."""
    return lambda values: f"{function}({', '.join(values)})"


def _calling_on_list(function: str) -> Together:
    """The slots' states in a list, under a function of lists, which leaves out NULL."""
    return lambda values: f"{function}([{', '.join(values)}])"


def _added(values: Sequence[str]) -> str:
    return " + ".join(f"coalesce({value}, 0)" for value in values)


def _told_apart(values: Sequence[str]) -> str:
    """How many different texts are in the slots' lists."""
    lists = ", ".join(f"coalesce({value}, [])" for value in values)
    return f"len(list_distinct(flatten([{lists}])))"


@dataclass(frozen=True)
class State:
    """What a counter keeps of a slot's quantities (contract/definitions.py names its states).

    A state is a quantity in the DECIMAL of its series, a whole record, whose quantity is the value, or a number of
    texts. `scanned` is the aggregate of the scan over a `{quantity}`, `{record}` or `{text}` of the rows that count.
    `merged` is the aggregate that brings the states of several parts together; None where it would not be exact (R20).
    `together` brings the states of several slots together, where a unit has several measurements.
    """

    holds: Literal["quantity", "record", "texts"]
    scanned: str
    merged: str | None
    together: Together


STATES = {
    "sum": State("quantity", "sum({quantity})", "sum", _added),
    "greatest": State("quantity", "max({quantity})", "max", _calling("greatest")),
    "least": State("quantity", "min({quantity})", "min", _calling("least")),
    "last": State("record", "max({record})", "max", _calling_on_list("list_max")),
    "first": State("record", "min({record})", "min", _calling_on_list("list_min")),
    "texts": State("texts", "count(DISTINCT {text})", None, _told_apart),
}
# A counter's first state is in the column x_N of slot N, the second in y_N: a letter for each state that there is.
# For every counter, n_N counts the slot's quantities.
COLUMNS = "xyzstu"
# How many names a column of `counted` notes, a bit each.
BITS = 62
ADDED = "CAST(sum({column}) AS BIGINT)"
SUMMED_TWICE = (
    "Where the quantities that one sum or average adds come to more than 38 digits on the way, those behind the point "
    "included, this stops with an overflow; what runs then adds in two parts, and has the row if the result fits."
)


@dataclass(frozen=True)
class Aggregate:
    """A column of `counted`: its SQL in the scan, and the SQL that merges the `{column}` of several parts."""

    scanned: str
    merged: str = ADDED


def is_counted_in_parts(aggregation: Aggregation) -> bool:
    """Whether parts of a window can be counted apart and come together exactly (R20)."""
    states = [STATES[name] for name in aggregation.definition.keeps if name in STATES]
    return aggregation.is_counter and all(state.merged is not None for state in states)


def counted_query(totals: Totals, judged: Sequence[Stage]) -> Query:
    """`counted`, computed from `judged` in one scan."""
    slots = [(slot, series) for series in totals.counters for slot in series.slots]
    placed = [totals.windows.placed_stage()] if slots else []
    used = " AND ".join([*totals.shown, "in_window"]) if slots else "FALSE"
    windowed = Stage(
        "windowed",
        "which rows make readings: metered, of a subject that is asked for, inside a window",
        select({"used": used} | _scheduled(totals), "placed" if slots else "judged", star="*"),
    )
    # A row that makes a reading is metered: its status is NULL, so that rows are not grouped by a text.
    columns = {"used": "used", "status": case({"NOT used": "status"}), **_key_columns(totals, [s for s, _ in slots])}
    aggregates = {name: aggregate.scanned for name, aggregate in _aggregates(totals).items()}
    positions = [str(place + 1) for place, name in enumerate(columns) if name not in totals.constants]
    why = "one scan: what became of every event, and the counters of each subject and window"
    instead = SUMMED_TWICE if _adds_once(totals) else ""
    counted = Stage("counted", why, select(columns | aggregates, "windowed", group_by=positions), instead=instead)
    return Query(f"{totals.prefix}counted", (*judged, *placed, windowed, counted))


def merged_query(totals: Totals, parts: str) -> Query:
    """`counted`, merged from the table `parts` of several tasks, with sums in two parts: their exact state (R20).

    `is_counted_in_parts` must be true of all counters.
    """
    keys = ["used", "status", *_key_columns(totals, [slot for series in totals.counters for slot in series.slots])]
    aggregates = {name: aggregate.merged.format(column=name) for name, aggregate in _aggregates(totals).items()}
    merged = select(names(keys) | aggregates, parts, group_by=[str(place + 1) for place in range(len(keys))])
    return Query("counted", (Stage("counted", "the counts of several parts, added up", merged),))


def _aggregates(totals: Totals) -> dict[str, Aggregate]:
    """The aggregates of each key: the number of events, and the aggregates of each slot."""
    aggregates = {
        "events": Aggregate("count(*)"),
        "times_cut": Aggregate(_count_where(totals, "time_cut")),
        "times_naive": Aggregate(_count_where(totals, "time_naive")),
    }
    if totals.windows.by_subject:
        unscheduled = "FILTER (NOT scheduled AND status = 'metered')"
        aggregates["unscheduled"] = Aggregate(f"count(*) {unscheduled}")
        aggregates["unscheduled_subject"] = Aggregate(f"min(subject) {unscheduled}", "min({column})")
    for column, values in totals.noted:
        for name, sql in noted_columns(column, len(values), values).items():
            aggregates[name] = Aggregate(sql, "bit_or({column})")
    for slot, _ in totals.weighed:
        aggregates[f"widest_{slot.index}"] = Aggregate(f"max(abs(v_{slot.index}))", "max({column})")
    for series in totals.counters:
        for slot in series.slots:
            aggregates |= _slot_aggregates(slot, series, exact=totals.exact)
    return aggregates


def noted_columns(column: str, count: int, values: Sequence[str] = ()) -> dict[str, str]:
    """The columns of `counted` that note which of `count` values occur in a column, with their SQL, a bit each."""
    found = {}
    for number, start in enumerate(range(0, count, BITS)):
        bits = [(literal(value), str(1 << n)) for n, value in enumerate(values[start : start + BITS])]
        found[f"noted_{column}_{number}"] = f"bit_or(CAST({case(bits, '0', of=column)} AS BIGINT))"
    return found


def _adds_once(totals: Totals) -> bool:
    """Whether a sum is added as one number, which it may outgrow."""
    return not totals.exact and any("sum" in _columns_of(series) for series in totals.counters)


def _scheduled(totals: Totals) -> dict[str, str]:
    """The column that says whether a row's subject has periods; none where windows are for all subjects."""
    if not totals.windows.by_subject:
        return {}
    there = f"(SELECT universe_id, subject FROM {totals.windows.name})"
    return {"scheduled": f"coalesce((universe_id, subject) IN {there}, FALSE)"}


def _key_columns(totals: Totals, slots: Sequence[Slot]) -> dict[str, str]:
    """The key of a reading (R10) for rows that make one; NULL for other rows, which so add up in few rows."""
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
    """SQL for the number of rows with a condition; zero where no row is known to have it."""
    return "CAST(0 AS BIGINT)" if totals.constants.get(condition) == "FALSE" else f"count(*) FILTER ({condition})"


def _slot_aggregates(slot: Slot, series: Series, *, exact: bool) -> dict[str, Aggregate]:
    """The aggregates of a slot: how many quantities it has, when the last one entered, and its counter's states."""
    n, value = slot.index, f"v_{slot.index}"
    present = f"used AND {value} IS NOT NULL"
    if slot.is_in_all:
        count, metered = case({"used": "count(*)"}, "0"), _where_used("metered_at")
    else:
        count, metered = f"count({_where_used(value)})", f"CASE WHEN {present} THEN metered_at END"
    aggregates = {f"n_{n}": Aggregate(count), f"metered_{n}": Aggregate(f"max({metered})", "max({column})")}
    for name, column in _columns_of(series).items():
        if name == "sum" and exact:
            high, low = series.decimal.parts_sql(f"CAST({_where_used(value)} AS {series.decimal.wide_sql})")
            aggregates[f"high_{n}"] = Aggregate(f"sum({high})", "sum({column})")
            aggregates[f"low_{n}"] = Aggregate(f"sum({low})", "sum({column})")
        else:
            aggregates[f"{column}_{n}"] = _state_aggregate(slot, series, STATES[name], present)
    return aggregates


def _state_aggregate(slot: Slot, series: Series, state: State, present: str) -> Aggregate:
    """One state of a slot's quantities."""
    value = f"v_{slot.index}"
    record = struct({"recorded_at": "recorded_at", "metered_at": "metered_at", "id": "event_id", "quantity": value})
    scanned = state.scanned
    if slot.counts_texts and len(series.slots) > 1:
        # A text may be in several slots: the lists of all slots are made distinct together, in `_told_apart`.
        scanned = "list(DISTINCT {text}) FILTER ({present})"
    sql = scanned.format(
        quantity=_where_used(value),
        record=f"CASE WHEN {present} THEN {record} END",
        text=f"CASE WHEN {present} THEN {slot.text_sql} END",
        present=present,
    )
    return Aggregate(sql, f"{state.merged}({{column}})" if state.merged else "")


def _columns_of(series: Series) -> dict[str, str]:
    """State → the column that each slot of a counter has it in, without the slot's number."""
    states = [name for name in series.aggregation.definition.keeps if name in STATES]
    return dict(zip(states, COLUMNS[: len(states)], strict=True))


def counter_stages(totals: Totals) -> list[Stage]:
    """`counter_N` for each counter: its slots together, one row per reading; an average after its quotient's stages."""
    return [stage for n, series in enumerate(totals.counters) for stage in _counter_stages(totals, n, series)]


def _counter_stages(totals: Totals, n: int, series: Series) -> list[Stage]:
    why = f"the {series.aggregation.name} of {series.unit_shown}"
    count = _count_sql(series)
    if series.aggregation.definition.divided_by is None:
        source = f"{totals.prefix}counted"
        return [Stage(f"counter_{n}", why, _counter_sql(totals, series, source, where=["used", f"{count} > 0"]))]
    counted = f"(SELECT * FROM {totals.prefix}counted WHERE used AND {count} > 0)"
    high, low = _sum_parts(totals, series)
    stages = Quotient(counted, high, low, count).stages(f"of_counter_{n}", series.decimal, totals.rounding(series))
    return [*stages, Stage(f"counter_{n}", why, _counter_sql(totals, series, stages[-1].name, where=[]))]


def _count_sql(series: Series) -> str:
    return " + ".join(f"n_{slot.index}" for slot in series.slots)


def _counter_sql(totals: Totals, series: Series, source: str, *, where: Sequence[str]) -> str:
    definition, rounding = series.aggregation.definition, totals.rounding(series)
    if definition.divided_by == "records":
        quantity, numerator = rounding.average_sql, numerator_text_sql(series.decimal)
    else:
        scale = 0 if definition.is_whole else series.decimal.scale
        value = definition.value_sql(_states_sql(totals, series))
        quantity, numerator = rounding.quantity_sql(value, scale), rounding.exact_text_sql(value, scale)
    records = [name for name in _columns_of(series) if STATES[name].holds == "record"]
    deciding = _together_sql(series, records[0]) if records else None
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
        "max_metered_at": _one_of([f"metered_{slot.index}" for slot in series.slots], _calling("greatest")),
        **last_columns(deciding),
    }
    return select(columns, source, where=where)


def _states_sql(totals: Totals, series: Series) -> dict[str, str]:
    """State → its SQL over all slots of a counter, of which a key may lack some; counts have scale 0."""
    return {name: _state_sql(totals, series, name) for name in series.aggregation.definition.keeps}


def _state_sql(totals: Totals, series: Series, name: str) -> str:
    """One state of all slots of a counter together, as a number."""
    if name == "count":
        return f"CAST({_count_sql(series)} AS DECIMAL(38, 0))"
    if name == "sum" and totals.exact:
        high, low = _sum_parts(totals, series)
        whole = f"sum_of_parts({high}, {low}, power_of_ten({series.decimal.low_digits}))"
        return from_unscaled_sql(whole, series.decimal.scale)
    together = _together_sql(series, name)
    match STATES[name].holds:
        case "quantity":
            return together
        case "record":
            return f"({together}).quantity"
        case "texts":
            return f"CAST({together} AS DECIMAL(38, 0))"


def _together_sql(series: Series, name: str) -> str:
    """One state of all slots of a counter together; of records, the record that decides in the order of R13."""
    return _one_of(_values_sql(series, name), STATES[name].together)


def _values_sql(series: Series, name: str) -> list[str]:
    """SQL for a state of each slot; quantities in the DECIMAL of the series."""
    columns = [f"{_columns_of(series)[name]}_{slot.index}" for slot in series.slots]
    decimal = series.decimal.wide_sql
    match STATES[name].holds:
        case "quantity":
            return [f"CAST({column} AS {decimal})" for column in columns]
        case "record":
            record = f"STRUCT(recorded_at TIMESTAMP, metered_at TIMESTAMP, id VARCHAR, quantity {decimal})"
            return [f"CAST({column} AS {record})" for column in columns]
        case "texts":
            return columns


def _sum_parts(totals: Totals, series: Series) -> tuple[str, str]:
    """SQL for the high and the low part of the sum over all slots, of which a key may lack some."""
    numbers = [slot.index for slot in series.slots]
    low_sql, base = series.decimal.low_sql, f"power_of_ten({series.decimal.low_digits})"
    if totals.exact:
        highs = [f"coalesce(CAST(high_{n} AS HUGEINT), 0)" for n in numbers]
        lows = [f"coalesce(unscaled(CAST(low_{n} AS {low_sql})), 0)" for n in numbers]
    else:
        wholes = [f"unscaled(coalesce({value}, 0))" for value in _values_sql(series, "sum")]
        highs = [f"{whole} // {base}" for whole in wholes]
        lows = [f"{whole} % {base}" for whole in wholes]
    return f"({' + '.join(highs)})", f"({' + '.join(lows)})"


def _one_of(values: Sequence[str], together: Together) -> str:
    """A single value as it is, several values brought together."""
    return values[0] if len(values) == 1 else together(values)
