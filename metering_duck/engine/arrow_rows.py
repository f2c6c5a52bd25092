"""Arrow rows: whether an engine has their types, and how they are added to one of its tables."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.statements.quote import identifier
from metering_duck.statements.select import select


def can_scan(engine: Engine, rows: pa.RecordBatchReader) -> bool:
    """Whether DuckDB has the types of Arrow rows; the rows are gone afterwards."""
    with engine.lock, contextlib.suppress(duckdb.Error), engine.connection.cursor() as cursor:
        cursor.register("rows_to_try", rows)
        cursor.execute("SELECT * FROM rows_to_try").fetchall()
        return True
    return False


def insert(
    engine: Engine,
    table: str,
    rows: pa.Table | pa.RecordBatchReader,
    columns: Mapping[str, str] | None = None,
    *,
    without: Sequence[str] = (),
) -> None:
    """Add rows to a table by the names of their columns, `without` some, and with more `columns` (name → SQL)."""
    star = f"* EXCLUDE ({', '.join(without)})" if without else "*"
    sql = f"INSERT INTO {identifier(table)} BY NAME\n{select(columns or {}, 'rows_to_insert', star=star)}"
    with engine.lock:
        engine.register("rows_to_insert", rows, table)
        engine.rows(sql)
        engine.unregister("rows_to_insert")
