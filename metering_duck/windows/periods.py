"""Periods: the windows of a call before any table of them is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from metering_duck.contract.times import Local
from metering_duck.engine.duckdb import Engine
from metering_duck.inputs.given import find_input
from metering_duck.inputs.input import Input
from metering_duck.statements.select import names, select
from metering_duck.statements.stages import Query, Stage
from metering_duck.windows.cutting import Windows
from metering_duck.windows.schedules import Schedule, resolve

NO_WINDOW = Windows(datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC))


@dataclass(frozen=True)
class Periods:
    """The windows of a call before any table is read: what bounds and cuts them, and the table, if there is one."""

    windows: Windows
    kind: str = ""
    given: Any = None

    @property
    def has_bounds(self) -> bool:
        """Whether the call says both from when and to when."""
        return None not in self.windows.bounds

    def between(self, first: datetime, last: datetime) -> Periods:
        """The same windows; where the call gives no start or no end, from `first` or to `last`."""
        found = (Local(first, in_utc=True), Local(last, in_utc=True))
        start, end = (given or other for given, other in zip(self.windows.bounds, found, strict=True))
        return replace(self, windows=replace(self.windows, bounds=(start, end)))

    def found(self, engine: Engine) -> Input | None:
        """Where the table is."""
        return find_input(self.given, engine.directory) if self.kind else None

    def opened(self, engine: Engine, found: Input | None) -> Windows:
        """The windows, with those of the table."""
        windows = resolve(engine, self.windows)
        return windows if found is None else Schedule(self.kind, found).opened(engine, windows)


def periods_query(windows: Windows) -> Query:
    """`periods`: the windows one row each, as a person checks them, with what clocks show at their bounds."""
    length = "epoch_us(window_end) - epoch_us(window_start)"
    columns = {
        **names(("universe_id", "subject")),
        "window_index": "row_number() OVER (PARTITION BY universe_id, subject ORDER BY window_start) - 1",
        **{bound: f"{bound} AT TIME ZONE 'UTC'" for bound in ("window_start", "window_end")},
        "local_start": "clock_text(window_start, zone)",
        "local_end": "clock_text(window_end, zone)",
        "zone": "zone",
        "hours": f"decimal_division(CAST({length} AS DECIMAL(18, 0)), CAST(3600000000 AS DECIMAL(10, 0)), 6)",
        "length_us": length,
    }
    order = ("universe_id", "subject", f"{windows.name}.window_start")
    rows = select(columns, windows.name, order_by=order)
    return Query("periods", (Stage("periods", "the windows, as clocks show them", rows),))
