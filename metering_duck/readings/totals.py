"""Totals: how judged events become readings. Which unit is which kind, and the queries that run, in their order.

judged → counted                      (readings/counters.py: one scan, conditional aggregates, still wide)
judged → levels → gauged_N            (readings/gauges.py: spans, cut at windows, weighted)
judged → values_seen → valued_N       (readings/values.py: percentiles, split spans, the outer of two levels)
counted, gauged_N, valued_N → totals → readings        (one row per unit at last)

Of two levels the inner one is a Totals of its own, whose tables begin with `inner_N_`.
"""

from __future__ import annotations

from collections.abc import Container

from metering_duck.readings.series import DIMENSIONS_ORDER, READING_ORDER, SCOPE_ORDER
from metering_duck.statements.select import names, select, struct
from metering_duck.statements.stages import Query, Stage


def reading_rows(*, bundled: bool, constants: Container[str] = ()) -> Query:
    """The table `readings` in the order of its keys, but for constant ones; bundled, all of one window together."""
    if not bundled:
        order = [*(sql for name, sql in READING_ORDER.items() if name not in constants), "window_start"]
        rows = select({}, "readings", star="*", order_by=order)
        return Query("readings", (Stage("readings_in_order", "the readings, in the order of their keys", rows),))
    key = ("workspace_id", "universe_id", "subject", "window_start", "window_end", "dimensions")
    value = struct(names(("quantity", "unit", "aggregation", "record_count")))
    columns = {
        "id": "digest(string_agg(id, '' ORDER BY unit, aggregation))",
        **names(key),
        "computed_values": f"list({value} ORDER BY unit, aggregation)",
        "aggregation": "CASE WHEN count(DISTINCT aggregation) = 1 THEN any_value(aggregation) END",
        "record_count": "CAST(sum(record_count) AS BIGINT)",
        "max_metered_at": "max(max_metered_at)",
        "created_at": "any_value(created_at)",
    }
    order = [*SCOPE_ORDER.values(), DIMENSIONS_ORDER, "window_start"]
    rows = select(columns, "readings", group_by=key, order_by=order)
    return Query("readings", (Stage("bundles", "one reading per subject and window, its values together", rows),))
