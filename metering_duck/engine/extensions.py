"""Extensions of DuckDB that are on this machine: loaded where they are, and never installed or fetched."""

from __future__ import annotations

from functools import cache

import duckdb

from metering_duck.engine.locking import unlocked
from metering_duck.statements.quote import identifier


def load(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load an extension.

    Raises: duckdb.Error where there is none for this version of DuckDB.
    """
    connection.execute(f"LOAD {identifier(name)}")


@cache
def can_load(name: str) -> bool:
    """Whether an extension is on this machine."""
    with unlocked() as connection:
        try:
            load(connection, name)
        except duckdb.Error:
            return False
        return True


def missing(name: str) -> str:
    """The words of a message for an extension that is not on this machine."""
    return f"no extension {name} for duckdb {duckdb.__version__}"
