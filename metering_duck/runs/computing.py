"""Computing: what a result is computed by, whether on this machine, on many, or out of readings made before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from metering_duck.runs.books import Accounting
from metering_duck.statements.stages import Query


@dataclass(frozen=True)
class Filled:
    """What is there once the tables are filled: the books, and the query that reads the rows."""

    accounting: Accounting
    rows: Query


class Computing(Protocol):
    """Fills the tables of a result, and then knows what became of every row that was read.

    runs/local.py is one on this machine, spark/driver.py one on many, rollups/combining.py one out of readings.
    """

    def queries(self) -> list[Query]:
        """All that runs, in order, as if keys were repeated and levels large; the last reads the rows. Runs nothing."""

    def fill(self) -> Filled:
        """Fill the tables that the rows are read from. Asked again, it begins anew."""

    def lost(self) -> Mapping[str, int]:
        """How many rows did not count, since another row of their key did, by verdict."""

    def rejects(self) -> Query:
        """Every rejected event."""

    def conflicts(self) -> Query | None:
        """Every event that lost to another of the same key; None where there is none."""

    def outcomes(self) -> Query | None:
        """Every event that was read, and what became of it; None where nothing but readings is made."""
