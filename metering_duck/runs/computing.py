"""Computing: the protocol by which a result is computed: on this machine, on a cluster, or from finer readings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from metering_duck.runs.books import Accounting
from metering_duck.runs.deduplicating import Judge
from metering_duck.statements.stages import Query


@dataclass(frozen=True)
class Filled:
    """What a computing gives once its tables are filled: the books, and the query that reads the rows."""

    accounting: Accounting
    rows: Query


class Computing(Protocol):
    """Fills the tables of a result, and then knows what became of every row that was read.

    runs/local.py computes on this machine, clusters/driver.py on a cluster, rollups/combining.py from finer readings.
    """

    def queries(self) -> list[Query]:
        """All queries in order, as if keys were repeated and levels large; the last query reads the rows."""

    def fill(self) -> Filled:
        """Fill the tables that the rows are read from; a second call fills them anew."""

    def lost(self) -> Mapping[str, int]:
        """Verdict → how many rows did not count because another row of their key did."""

    def rejects(self) -> Query:
        """The query of every rejected event."""

    def conflicts(self) -> Query | None:
        """The query of every event that lost to another event of its key; None where there is no such event."""

    def outcomes(self) -> Query | None:
        """The query of every event that was read, and what became of it; None where only readings are made."""


class Judging(Computing, Protocol):
    """A computing whose rows are judged ones of an input."""

    @property
    def judge(self) -> Judge:
        """What judged the rows."""
