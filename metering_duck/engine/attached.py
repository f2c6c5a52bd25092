"""Attached: the table of a DuckDB file, or of a DuckLake, in an engine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import duckdb

from metering_duck.engine.duckdb import Engine
from metering_duck.errors import SourceError, first_line
from metering_duck.statements.quote import identifier


def attach(engine: Engine, sql: str, table: str, name: str) -> str:
    """Attach a DuckDB file or a DuckLake by the SQL behind ATTACH; its table, as it can stand behind FROM.

    Raises: SourceError for a file that is no DuckDB database, or has no such table.
    """
    found = f"the_input.{'.'.join(identifier(part) for part in table.split('.'))}"
    with engine.lock, engine.errors(name, f"ATTACH {sql}", {}), _named(name):
        engine.connection.execute(f"ATTACH {sql}")
        engine.connection.execute(f"DESCRIBE SELECT * FROM {found}")
    return found


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Raise why a DuckDB file or a DuckLake could not be attached in a with statement."""
    try:
        yield
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        raise _failure(name, error) from None


def _failure(name: str, error: duckdb.Error) -> SourceError:
    if "lock on file" in str(error):
        return SourceError(
            f"{name}: found it open in another process, which may write to it; expected nobody to. "
            "hint: run once it has closed it, or read a copy"
        )
    return SourceError(f"{name}: cannot be read ({first_line(error)}); expected a table of a DuckDB database.")
