"""Reading tables: the tables from `counted` to `readings` are filled one after another, without a false number.

A sum that passes 38 digits while it is added is added again in two parts; a quantity that does not fit in its DECIMAL
is an error that says whose quantity it is (R18).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from metering_duck.decimals.columns import DIGITS_MAX
from metering_duck.engine.duckdb import Engine
from metering_duck.engine.failures import Overflow
from metering_duck.errors import ConfigError, QuantityOverflow
from metering_duck.readings.assembling import readings_queries, totals_queries
from metering_duck.readings.counters import counted_query
from metering_duck.readings.levels import widest_levels
from metering_duck.readings.series import Totals
from metering_duck.runs.history import widest_before_sql
from metering_duck.runs.opening import Opened
from metering_duck.statements.select import names, select
from metering_duck.statements.stages import Query, Stage, load_stage, over
from metering_duck.windows.cutting import WINDOWS_MAX


@dataclass(frozen=True)
class Judged:
    """Judged rows, as stages up to `judged`, and how their counters are counted.

    `counted` gives the query of the table `counted`; `widest_sql` takes the number of a slot, and gives SQL over
    `widest_source` for the widest level of that slot.
    """

    stages: tuple[Stage, ...]
    counted: Callable[[Totals], Query]
    widest_sql: Callable[[int], str]
    widest_source: str


def judged_here(stages: Sequence[Stage]) -> Judged:
    """Rows of an input that this engine reads and counts."""
    judged = tuple(stages)
    return Judged(
        judged,
        lambda totals: counted_query(totals, judged),
        lambda slot: f"max(widest_{slot})",
        widest_source="counted",
    )


def fill_readings(opened: Opened, judged: Judged, totals: Totals) -> Totals:
    """Fill the table `readings` and the tables that it is made from; gives back how the sums were added at last.

    Quantities of `readings` that do not fit are found by `check_overflow`, which the caller calls.

    Raises: QuantityOverflow, ConfigError for too many inner windows.
    """
    try:
        return _fill(opened, judged, totals)
    except Overflow:
        return _fill_in_parts(opened, judged, replace(totals, exact=True, exact_levels=True))


def _fill(opened: Opened, judged: Judged, totals: Totals) -> Totals:
    """Fill the tables in their order; sums of level × time are added in two parts where they may be too large."""
    _check_inner_windows(opened.engine, totals)
    opened.fill(judged.counted(totals))
    totals = replace(totals, exact_levels=totals.exact_levels or _levels_are_large(opened.engine, judged, totals))
    for query in totals_queries(totals, judged.stages)[1:]:
        opened.fill(query)
        if query.quantities_in:
            check_overflow(opened.engine, query.name, query.quantities_in)
    for query in readings_queries(totals, judged.stages):
        opened.fill(query)
    return totals


def _fill_in_parts(opened: Opened, judged: Judged, totals: Totals) -> Totals:
    """Fill the tables with sums in two parts; only a running sum of deltas can then pass 38 digits (R18).

    Raises: QuantityOverflow.
    """
    try:
        return _fill(opened, judged, totals)
    except Overflow:
        whose = "a quantity"
        for query in widest_levels(totals, judged.stages):
            for row in opened.table(query).to_pylist():
                whose = "a level of {unit!r} for {subject!r} at {moment}".format(**row)
        raise QuantityOverflow(
            f"reading: found {whose} with more digits than its DECIMAL; expected at most 38, those behind the "
            'point included. hint: "scale": 0 in the measurement, or a larger unit'
        ) from None


def _levels_are_large(engine: Engine, judged: Judged, totals: Totals) -> bool:
    """Whether a sum of level × time may pass 38 digits; it is at most the widest level × the longest window."""
    if not totals.weighed:
        return False
    longest = "max(epoch_us(window_end) - epoch_us(window_start))"
    ((length,),) = engine.rows(select({"length": longest}, totals.windows.name))
    widest = {f"widest_{slot.index}": judged.widest_sql(slot.index) for slot, _ in totals.weighed}
    found: tuple[Any, ...] = engine.rows(select(widest, judged.widest_source))[0]
    levels = [(level, series) for level, (_, series) in zip(found, totals.weighed, strict=True)]
    if totals.has_levels_before:
        for _, series in totals.weighed:
            sql = widest_before_sql(series.unit_sql, series.aggregation.name, series.decimal.wide_sql)
            levels += [(level, series) for (level,) in engine.rows(sql)]
    return any(
        level is not None and level * (length or 0) >= 10 ** (DIGITS_MAX - series.decimal.scale)
        for level, series in levels
    )


def _check_inner_windows(engine: Engine, totals: Totals) -> None:
    """Refuse an aggregation that cuts too many inner windows to list.

    Raises: ConfigError.
    """
    for text, interval in totals.inner_intervals:
        length = f"sum((epoch_us(window_end) - epoch_us(window_start)) // {interval.shortest_us} + 1)"
        ((count,),) = engine.rows(select({"inner_windows": length}, totals.windows.name))
        if (count or 0) > WINDOWS_MAX:
            raise ConfigError(
                f'aggregation: found "{text}", which cuts more than {WINDOWS_MAX:,} inner windows; expected fewer.'
            )


def check_overflow(engine: Engine, table: str, windows: str | None = None) -> None:
    """Refuse a reading whose quantity does not fit in its DECIMAL; the error says whose reading it is (R18).

    Raises: QuantityOverflow.
    """
    if windows:
        joined = f"{table}\nJOIN {windows} USING (window_index)"
        checked = select(names(("window_start", "window_end")), joined, star=f"{table}.*")
    else:
        bounds = ", ".join(f"{name} AT TIME ZONE 'UTC' AS {name}" for name in ("window_start", "window_end"))
        checked = select({}, table, star=f"* REPLACE ({bounds})")
    sql = over(load_stage("checks/overflow"), {"checked": checked}).sql
    for aggregation, unit, subject, first, last in engine.rows(sql):
        article = "an" if aggregation[0] in "aiu" else "a"
        raise QuantityOverflow(
            f"reading: found {article} {aggregation} of {unit!r} for {subject!r} in [{first}, {last}) with more "
            "digits than its DECIMAL; expected at most 38, those behind the point included. "
            'hint: "scale": 0 in the measurement together with --scale 0, or a larger unit'
        )
