"""Periods: the windows of a call before any table of them is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from metering_duck.contract.times import Local
from metering_duck.engine.duckdb import Engine
from metering_duck.inputs.given import find_input
from metering_duck.inputs.input import Input
from metering_duck.statements.stages import Query
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
    return Query("periods", (windows.stage("periods", "windows"),))
