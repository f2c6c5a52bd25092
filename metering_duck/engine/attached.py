"""Attached: the table of a DuckDB file, or of a DuckLake, in an engine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import duckdb

from metering_duck.engine.duckdb import Engine
from metering_duck.errors import SourceError, did_you_mean, first_line
from metering_duck.statements.quote import identifier


def attach(engine: Engine, sql: str, table: str, name: str) -> str:
    """Attach a DuckDB file or a DuckLake by the SQL behind ATTACH; its table, as it can stand behind FROM.

    Raises: SourceError for a file that is no DuckDB database, or has no such table.
    """
    found = f"the_input.{'.'.join(identifier(part) for part in table.split('.'))}"
    with engine.lock, engine.errors(name, f"ATTACH {sql}", {}), _named(name):
        engine.connection.execute(f"ATTACH {sql}")
        try:
            engine.connection.execute(f"DESCRIBE SELECT * FROM {found}")
        except duckdb.CatalogException:
            known = _tables(engine)
            if table in known or f"main.{table}" in known:
                raise
            hint = f" hint: {did_you_mean(table, known)}" if known else ""
            raise SourceError(f"{name}: found no table {table}; expected a table of a DuckDB database.{hint}") from None
    return found


def _tables(engine: Engine) -> list[str]:
    """The tables and views of the attached database, each with its schema."""
    names = (
        "SELECT schema_name || '.' || {0}_name FROM duckdb_{0}s() WHERE database_name = 'the_input' AND NOT internal"
    )
    sql = f"{names.format('table')} UNION ALL {names.format('view')} ORDER BY ALL"
    return [str(row[0]) for row in engine.connection.execute(sql).fetchall()]


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
