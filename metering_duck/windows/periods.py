"""Periods: the windows of a call before any table of them is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from metering_duck.engine.duckdb import Engine
from metering_duck.inputs.given import find_input
from metering_duck.inputs.input import Input
from metering_duck.windows.cutting import Windows
from metering_duck.windows.schedules import Schedule, resolve

NO_WINDOW = Windows(datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC))


@dataclass(frozen=True)
class Periods:
    """The windows of a call before any table is read: what bounds and cuts them, and the table, if there is one."""

    windows: Windows
    kind: str = ""
    given: Any = None

    def found(self, engine: Engine) -> Input | None:
        """Where the table is."""
        return find_input(self.given, engine.directory) if self.kind else None

    def opened(self, engine: Engine, found: Input | None) -> Windows:
        """The windows, with those of the table."""
        windows = resolve(engine, self.windows)
        return windows if found is None else Schedule(self.kind, found).opened(engine, windows)
