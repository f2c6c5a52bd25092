"""Levels at the end of a window, with which each gauge goes into the next window.

Only a ledger asks for them: with these levels a later window needs no event from before it (runs/history.py).
"""

from __future__ import annotations

import pyarrow as pa

from metering_duck.readings.gauges import gauged_queries
from metering_duck.readings.levels import levels_of
from metering_duck.runs.history import LEVELS_SCHEMA
from metering_duck.runs.local import LocalReadings
from metering_duck.statements.stages import Query


def levels_at_end(readings: LocalReadings) -> pa.Table:
    """The level of each gauge when the window ends (LEVELS_SCHEMA), in the order of their keys."""
    judged = readings.judged
    tables = []
    for found in levels_of(readings.totals):
        query = Query("levels_at_end", (*judged, *found.levels_at_end()))
        tables.append(readings.opened.table(query).cast(LEVELS_SCHEMA))
    order = [(name, "ascending") for name in LEVELS_SCHEMA.names]
    return pa.concat_tables(tables or [LEVELS_SCHEMA.empty_table()]).sort_by(order)


def levels_only(readings: LocalReadings) -> pa.Table:
    """The level of each gauge when the window ends, where no reading is wanted."""
    readings.settle()
    series, *_ = gauged_queries(readings.totals, readings.judged)
    readings.opened.fill(series)
    levels = levels_at_end(readings)
    readings.opened.engine.gate.proofs()
    return levels
