"""Totals: how judged events become readings. Which unit is which kind, and the queries that run, in their order.

judged → counted                    (counters.py: one scan, conditional aggregates, still wide)
judged → levels → gauged_N          (gauges.py: spans, cut at windows, weighted)
counted, gauged_N → readings        (one row per unit at last)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from metering_duck.aggregations import COUNTERS
from metering_duck.compiler import Slot
from metering_duck.config import SCALE_DEFAULT
from metering_duck.counters import UNIT_COLUMN, counted_query, counter_stages
from metering_duck.decimals import DecimalType, Rounding, common_type
from metering_duck.gauges import gauge_reading_stages, gauged_queries
from metering_duck.stages import Query, Stage, load_stage
from metering_duck.statements import names, select, struct
from metering_duck.windows import Windows

SCOPE_ORDER = ("universe_id", "workspace_id NULLS FIRST", "subject")


@dataclass(frozen=True)
class Series:
    """What makes the readings of one unit under one aggregation (R10): its slots, all held in one DECIMAL."""

    unit_sql: str
    aggregation: str
    slots: tuple[Slot, ...]
    decimal: DecimalType

    @property
    def result_scale(self) -> int:
        """The fraction digits of its results: its measurements' own, else 18, or more where a quantity has more."""
        own = [slot.result_scale for slot in self.slots if slot.result_scale is not None]
        return max(own) if own else max(self.decimal.scale, SCALE_DEFAULT)

    @property
    def unit_shown(self) -> str:
        """The unit in a comment: on one line, whatever its text."""
        return " ".join(self.unit_sql.split())


@dataclass(frozen=True)
class Totals:
    """The shape of an aggregation: its slots, windows, and options.

    `subjects` is how many the readings are limited to, 0 for all. `exact` adds sums in two parts, for the rare one that
    passes 38 digits on its way. `scale` and `digits` are as in aggregate().
    """

    slots: tuple[Slot, ...]
    windows: Windows
    across_workspaces: bool = False
    subjects: int = 0
    scale: int | None = None
    digits: int | None = None
    exact: bool = False

    @property
    def series(self) -> list[Series]:
        """The slots by unit and aggregation, in a fixed order."""

        def key(slot: Slot) -> tuple[str, str, int]:
            # Where the unit is a column of records, each slot has units of its own.
            return slot.unit_sql, str(slot.aggregation), slot.index if slot.unit_sql == UNIT_COLUMN else 0

        made = []
        for (unit, aggregation, _), group in groupby(sorted(self.slots, key=key), key=key):
            slots = tuple(group)
            made.append(Series(unit, aggregation, slots, common_type((s.decimal for s in slots), f"the unit {unit}")))
        return made

    @property
    def counters(self) -> list[Series]:
        """The series that look at a window's records only (R12)."""
        return [series for series in self.series if series.aggregation in COUNTERS]

    @property
    def gauges(self) -> list[list[Series]]:
        """The series that see levels (R14, R19), those of one DECIMAL and one result scale together."""
        by_type: dict[tuple[DecimalType, int], list[Series]] = {}
        for series in self.series:
            if series.aggregation not in COUNTERS:
                by_type.setdefault((series.decimal, series.result_scale), []).append(series)
        return list(by_type.values())

    def rounding(self, series: Series) -> Rounding:
        """As asked for the call, else as its measurements say (R16); all in one column."""
        if self.scale is not None:
            return Rounding(self.scale, column_scale=self.scale)
        return Rounding(series.result_scale, self.digits, max(s.result_scale for s in self.series))

    @property
    def shown(self) -> list[str]:
        """Which rows make readings: metered, and of a subject that is asked for. The others are still counted."""
        subjects = ", ".join(f"$subject_{n}" for n in range(self.subjects))
        return ["status = 'metered'", *([f"subject IN ({subjects})"] if subjects else [])]

    @property
    def workspace_sql(self) -> str:
        """The workspace of a reading; across workspaces there is none (R10)."""
        return "CAST(NULL AS VARCHAR)" if self.across_workspaces else "workspace_id"

    def counted(self, judged: Sequence[Stage]) -> Query:
        """`counted`: what became of every event, and every counter's aggregates."""
        return counted_query(self, judged)

    def gauged(self, judged: Sequence[Stage]) -> list[Query]:
        """`gauged_N`: what each window sees of the levels, one query for each DECIMAL among the gauges."""
        return gauged_queries(self, judged)

    def readings(self) -> Query:
        """`readings`: one row per key (R10), with its id, its window and its exact state."""
        counters = counter_stages(self)
        gauges = [gauge_reading_stages(self, n, group[0]) for n, group in enumerate(self.gauges)]
        lasts = [*counters, *(stages[-1] for stages in gauges)]
        totals = Stage(
            "totals",
            "counters and gauges, one row per reading",
            "\nUNION ALL\n".join(f"SELECT * FROM {stage.name}" for stage in lasts),
        )
        before = [self.windows.stage, *counters, *(stage for stages in gauges for stage in stages)]
        return Query("readings", (*before, totals, load_stage("readings")))


def reading_rows(*, bundled: bool) -> Query:
    """The table `readings` in the order of its keys; bundled, all values of one subject and window together."""
    if not bundled:
        order = [*SCOPE_ORDER, "unit", "aggregation", "CAST(dimensions AS VARCHAR)", "window_start"]
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
    order = [*SCOPE_ORDER, "CAST(dimensions AS VARCHAR)", "window_start"]
    rows = select(columns, "readings", group_by=key, order_by=order)
    return Query("readings", (Stage("bundles", "one reading per subject and window, its values together", rows),))
