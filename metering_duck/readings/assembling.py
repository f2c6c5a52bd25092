"""Assembling: the queries that make readings of judged events, in the order in which they run.

judged → counted                      (readings/counters.py: one scan, conditional aggregates, still wide)
judged → levels → gauged_N            (readings/gauges.py: spans, cut at windows, weighted)
judged → values_seen → valued_N       (readings/values.py: percentiles, split spans, the outer of two levels)
counted, gauged_N, valued_N → totals → readings        (one row per unit at last)

An aggregation of two levels has a Totals of its own for the inner level, whose tables begin with `inner_N_`.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from metering_duck.readings.counters import counted_query, counter_stages
from metering_duck.readings.filling import dense_stages, keys_sql
from metering_duck.readings.gauges import gauged_queries, gauges_of
from metering_duck.readings.own_settings import readings_stage
from metering_duck.readings.series import LAST_IN_ORDER, READING_ORDER, Series, Totals
from metering_duck.readings.values import value_stages, valued_queries
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query, Stage, load_stage, over


def totals_queries(totals: Totals, judged: Sequence[Stage]) -> list[Query]:
    """The queries from `judged` to `totals`, in order; `counted`, which also has the books, comes first."""
    inner = []
    for series in totals.valued:
        if series.aggregation.outer:
            inner += _inner_queries(totals, series, judged)
    return [
        counted_query(totals, judged),
        *gauged_queries(totals, judged),
        *inner,
        *valued_queries(totals, judged),
    ]


def _inner_queries(totals: Totals, series: Series, judged: Sequence[Stage]) -> list[Query]:
    """The queries that fill the inner totals of a series of two levels."""
    inner = totals.inner_of(series)
    windows = [] if inner.windows.name == totals.windows.name else inner.windows.queries()
    united = Query(f"{inner.prefix}totals", tuple(totals_stages(inner)), quantities_in=inner.windows.name)
    return [*windows, *totals_queries(inner, judged), united]


def totals_stages(totals: Totals) -> list[Stage]:
    """The stages up to `totals`: every reading without its id and window."""
    counters, values = counter_stages(totals), value_stages(totals)
    gauges = [found.reading_stages(n) for n, found in enumerate(gauges_of(totals))]
    lasts = [stage for stage in (*counters, *values) if stage.name.split("_")[0] in ("counter", "value")]
    lasts += [stages[-1] for stages in gauges]
    union = "\nUNION ALL\n".join(f"SELECT * FROM {stage.name}" for stage in lasts)
    united = Stage("totals", "counters, gauges and the others, one row per reading", union)
    return [*counters, *values, *(stage for stages in gauges for stage in stages), united]


def readings_queries(totals: Totals, judged: Sequence[Stage]) -> list[Query]:
    """`readings`: one row per key (R10) with its id, window and exact state; with `fill`, one in every window."""
    if totals.fill == "none":
        return [Query("readings", (*totals_stages(totals), readings_stage(totals)))]
    dense = dense_stages(totals)
    readings = over(readings_stage(totals), {"totals": f"SELECT * FROM {dense[-1].name}"})
    keys = Stage("filled_keys", "every key that has a record", keys_sql(totals))
    return [
        Query("filled_keys", (*judged, keys)),
        Query("readings", (*totals_stages(totals), *dense, readings)),
    ]


def reading_rows(*, bundled: bool, constants: Container[str] = ()) -> Query:
    """The query of the table `readings`, in the order of its keys without constants; bundled, one row per window."""
    if bundled:
        return Query("readings", (load_stage("bundled_readings"),))
    order = [*(sql for name, sql in READING_ORDER.items() if name not in constants), *LAST_IN_ORDER]
    rows = select({}, "readings", star="*", order_by=order)
    return Query("readings", (Stage("readings_in_order", "the readings, in the order of their keys", rows),))
