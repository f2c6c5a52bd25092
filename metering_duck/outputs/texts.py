"""Queries on top of a query: its first rows, how many rows it has, and every column of it as text."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from metering_duck.contract.json_shapes import LIST_SQL
from metering_duck.engine.duckdb import Engine
from metering_duck.statements.quote import identifier
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query, Stage


def on_top(rows: Query, name: str, why: str, sql_of: Callable[[str], str]) -> Query:
    """A query with one more stage on top of its last stage; `sql_of` makes its SQL from the last stage's name."""
    *before, last = rows.stages
    kept = Stage(f"{last.name}_rows", last.why, last.sql)
    return Query(rows.name, (*before, kept, Stage(name, why, sql_of(kept.name))), rows.parameters)


def limited(rows: Query, count: int) -> Query:
    """The first rows of a query."""
    return on_top(rows, "limited", "the first rows", lambda source: f"{select({}, source, star='*')}\nLIMIT {count}")


def counted(rows: Query) -> Query:
    """The query that counts the rows of a query, as row_count."""
    return on_top(rows, "counted_rows", "how many", lambda source: select({"row_count": "count(*)"}, source))


def as_texts(engine: Engine, rows: Query) -> Query:
    """The query with every column as text for a person or a CSV file: plain quantities, RFC 3339, maps as JSON."""
    schema = engine.table(limited(rows, 0)).schema
    texts = {identifier(name): _text_sql(name, kind) for name, kind in zip(schema.names, schema.types, strict=True)}
    return on_top(rows, "texts", "each value as text", lambda source: select(texts, source))


def _text_sql(name: str, kind: pa.DataType) -> str:
    """SQL for the text of a column, by the column's name and type."""
    column = identifier(name)
    if pa.types.is_decimal(kind):
        return f"plain_text({column})"
    if pa.types.is_timestamp(kind):
        return f"time_text({column} AT TIME ZONE 'UTC')"
    if name in LIST_SQL:
        return LIST_SQL[name]
    if pa.types.is_nested(kind):
        return f"CAST(to_json({column}) AS VARCHAR)"
    return column
