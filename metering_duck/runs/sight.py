"""Sight: a run that is computed, as it is looked at once more where something is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metering_duck.runs.books import Accounting
from metering_duck.runs.deduplicating import Judge
from metering_duck.runs.opening import Opened
from metering_duck.statements.stages import Query, Stage

Row = dict[str, Any]


@dataclass(frozen=True)
class Sight:
    """A run that is computed: its input, how its rows were judged, and its books."""

    opened: Opened
    judge: Judge
    books: Accounting
    makes_readings: bool

    @property
    def noun(self) -> str:
        """What a row of the input is."""
        return "record" if self.opened.source.is_records else "event"

    def rows(self, name: str, sql: str, stages: Sequence[Stage]) -> list[Row]:
        """The rows of one more SELECT over stages of the input."""
        query = Query(name, (*stages, Stage(name, "what is there", sql)))
        found: list[Row] = self.opened.table(query).to_pylist()
        return found

    @property
    def kept(self) -> list[str]:
        """The conditions of rows that have a key and a time."""
        return ["reason IS NULL"]
