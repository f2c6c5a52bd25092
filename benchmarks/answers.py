"""Whether answers are equal: as sets of rows that may repeat, numbers by their value, times in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from metering_duck.statements.quote import identifier, literal

SHOWN = 3
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
TIMES = ("DATE", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S", "TIMESTAMP WITH TIME ZONE")
INEXACT = ("FLOAT", "DOUBLE")


@dataclass(frozen=True)
class Answer:
    """Whose answer, in which Parquet file."""

    contestant: str
    path: Path


def difference(question: str, one: Answer, other: Answer) -> str | None:
    """None if two answers are equal, else what is wrong, with the first rows that only one of them has."""
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        types = [_types(connection, answer) for answer in (one, other)]
        fault = _fault(one, other, *types)
        if fault:
            return f"{question}: {fault}"
        columns = [_comparable(name, types[0][name], types[1][name]) for name in sorted(types[0])]
        sides = [f"SELECT {', '.join(columns)} FROM {literal(str(answer.path))}" for answer in (one, other)]
        extra = [_only(connection, sides[0], sides[1]), _only(connection, sides[1], sides[0])]
    if not extra[0][0] + extra[1][0]:
        return None
    lines = [
        f"{question}: found {extra[0][0]:,} rows that only {one.contestant} has and {extra[1][0]:,} that only "
        f"{other.contestant} has; expected equal answers."
    ]
    for answer, (_, rows) in zip((one, other), extra, strict=True):
        lines += [f"  only {answer.contestant}: {row}" for row in rows]
    return "\n".join(lines)


def _types(connection: duckdb.DuckDBPyConnection, answer: Answer) -> dict[str, str]:
    rows = connection.execute(f"DESCRIBE SELECT * FROM {literal(str(answer.path))}").fetchall()
    return {str(row[0]): str(row[1]) for row in rows}


def _fault(one: Answer, other: Answer, left: dict[str, str], right: dict[str, str]) -> str | None:
    """Why two answers cannot be compared at all."""
    if sorted(left) != sorted(right):
        return (
            f"found columns {', '.join(sorted(left))} of {one.contestant} and {', '.join(sorted(right))} of "
            f"{other.contestant}; expected the same."
        )
    for answer, types in ((one, left), (other, right)):
        for name, kind in types.items():
            if kind in INEXACT:
                return f"{answer.contestant}: column {name}: found {kind}; expected a type that is exact."
    return None


def _comparable(name: str, left: str, right: str) -> str:
    """A column in a type in which both sides are equal if they mean the same."""
    column = identifier(name)
    if {left, right} <= set(TIMES):
        return f"CAST({column} AS TIMESTAMP) AS {column}"
    if {left, right} <= set(INTEGERS):
        return f"CAST({column} AS HUGEINT) AS {column}"
    if _is_number(left) or _is_number(right):
        return f"CAST({column} AS DECIMAL(38, 18)) AS {column}"
    return f"CAST({column} AS VARCHAR) AS {column}"


def _is_number(kind: str) -> bool:
    return kind in INTEGERS or kind.startswith("DECIMAL")


def _only(connection: duckdb.DuckDBPyConnection, one: str, other: str) -> tuple[int, list[str]]:
    """How many rows only the first has, and the first few of them as text."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE extra AS ({one}) EXCEPT ALL ({other})")
    names = [str(row[0]) for row in connection.execute("DESCRIBE extra").fetchall()]
    count = int(connection.table("extra").count("*").fetchall()[0][0])
    rows = connection.execute(f"SELECT COLUMNS(*)::VARCHAR FROM extra ORDER BY ALL LIMIT {SHOWN}").fetchall()
    return count, [", ".join(f"{name} {value}" for name, value in zip(names, row, strict=True)) for row in rows]
