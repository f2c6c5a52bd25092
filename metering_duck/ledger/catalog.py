"""The catalog: what a ledger of each version has, and whether a file has that and nothing else.

A ledger may come from somebody else. Where a table is a view, a column is computed, or a macro has the name of a
function, queries of ours would run SQL of theirs. So a ledger is looked through before it is used, and refused if it
has anything that this library would not have made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import duckdb

from metering_duck.engine.locking import locked
from metering_duck.errors import LedgerError
from metering_duck.ledger.texts import CHANGED
from metering_duck.statements.quote import identifier
from metering_duck.statements.stages import load_text

# The name of a ledger's file within a connection.
NAME = "the_ledger"
# What a database may have → its names, and how each was made. The tables come last: a file that has more than tables is
# refused before their columns are told.
KINDS = {
    "schema": "SELECT schema_name, '' FROM duckdb_schemas() WHERE NOT internal",
    "function": "SELECT function_name, '' FROM duckdb_functions() WHERE NOT internal",
    "type": "SELECT type_name, '' FROM duckdb_types() WHERE NOT internal",
    "sequence": "SELECT sequence_name, '' FROM duckdb_sequences() WHERE TRUE",
    "trigger": "SELECT trigger_name, '' FROM duckdb_triggers() WHERE TRUE",
    "index": "SELECT index_name, '' FROM duckdb_indexes() WHERE TRUE",
    "view": "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal",
    "table": "SELECT table_name, sql FROM duckdb_tables() WHERE NOT internal",
}
# The first moment, and the first one after all, that Python has; infinite ones are before or after them.
FIRST, AFTER_ALL = "0001-01-01", "10000-01-01"
# The words of a text. Blanks, parentheses and INNER are what a later version of DuckDB may spell in another way without
# meaning anything else; so are the quotes of a name that is one plain word.
_WORD = re.compile(r"""("(?:[^"]|"")*"|'(?:[^']|'')*')|\w+|[^\s()]""")
_PLAIN_NAME = re.compile(r'"[a-z_][a-z0-9_]*"', re.IGNORECASE | re.ASCII)
# How a column is told in the text of its table: up to the next comma outside of parentheses.
_COLUMN = re.compile(r"(?:[^,()]|\((?:[^()]|\([^()]*\))*\))+")

Catalog = Mapping[str, Mapping[str, str]]


def catalog_of(connection: duckdb.DuckDBPyConnection) -> Catalog:
    """Kind → name → how it was made, of all that the attached file has. Must be asked before the file is in use."""
    found = {}
    for kind, sql in KINDS.items():
        rows = connection.execute(f"{sql} AND database_name = '{NAME}' ORDER BY ALL").fetchall()
        found[kind] = {str(name): str(text) for name, text in rows}
    return found


@cache
def expected_catalog(version: int) -> Catalog:
    """What a ledger of a version has: what its statements make."""
    with locked() as connection:
        connection.execute(f"ATTACH ':memory:' AS {NAME}")
        connection.execute(f"USE {NAME}")
        for number in range(1, version + 1):
            for statement in connection.extract_statements(load_text(f"ledger/{number}")):
                connection.execute(statement.query)
        connection.execute("USE memory")
        return catalog_of(connection)


def check_catalog(connection: duckdb.DuckDBPyConnection, path: Path, version: int) -> None:
    """Refuse a file that has anything else than a ledger of its version has.

    Raises: LedgerError that names the table, and the column.
    """
    made = f"expected what version {version} of a ledger has"
    hint = "hint: whatever is beside its own tables belongs into another file"
    expected = expected_catalog(version)
    for kind, found in catalog_of(connection).items():
        known = expected[kind]
        for name in found:
            if name not in known:
                raise LedgerError(f"{path}: found the {kind} {name}; {made}. {hint}")
        for name, text in known.items():
            if name not in found:
                raise LedgerError(f"{path}: found no {kind} {name}; {made}. {hint}")
            if _plain(found[name]) != _plain(text):
                what = f"table {name}: {_difference(found[name], text)}" if kind == "table" else f"{kind} {name}"
                raise LedgerError(f"{path}: found another {what}; {made}. {hint}")


def check_values(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Refuse moments out of the years of our times, and paths with NUL.

    Comparisons with a constant are asked, which skip what the statistics of a table rule out.

    Raises: LedgerError that names the table and the column.
    """
    columns = connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() JOIN duckdb_tables() "
        f"USING (database_name, schema_name, table_name) WHERE database_name = '{NAME}' ORDER BY ALL"
    ).fetchall()
    for table, column, sql_type in columns:
        place, name = f"{NAME}.main.{identifier(table)}", identifier(column)
        if sql_type.startswith("TIMESTAMP"):
            first, after = (f"CAST('{moment} 00:00:00+00' AS {sql_type})" for moment in (FIRST, AFTER_ALL))
            fault, expected = f"{name} < {first} OR {name} >= {after}", "one of the years 1 to 9999"
        elif (table, column) == ("source_files", "path"):
            fault, expected = f"contains({name}, chr(0))", "a path without NUL"
        else:
            continue
        row = connection.execute(f"SELECT CAST({name} AS VARCHAR) FROM {place} WHERE {fault} LIMIT 1").fetchone()
        if row:
            raise LedgerError(f"{path}: {table}.{column}: found {row[0]!r}; expected {expected}. {CHANGED}")


def _plain(text: str) -> str:
    words = (match[0] for match in _WORD.finditer(text))
    plain = (word[1:-1].lower() if _PLAIN_NAME.fullmatch(word) else word for word in words)
    return " ".join(word if word[0] in "\"'" else word.lower() for word in plain if word.lower() != "inner")


def _difference(found: str, expected: str) -> str:
    """The first column of a table that is not as it is expected, as it was found."""
    wanted = {_plain(part) for part in _columns(expected)}
    others = [part for part in _columns(found) if _plain(part) not in wanted]
    if others:
        return f"column {others[0]}"
    missing = {_plain(part): part for part in _columns(expected)}
    for part in _columns(found):
        missing.pop(_plain(part), None)
    return f"no column {next(iter(missing.values()), '')}".rstrip()


def _columns(text: str) -> list[str]:
    """The columns and constraints in the text of a table."""
    inside = text.partition("(")[2].rpartition(")")[0]
    return [part.strip() for part in _COLUMN.findall(inside)]
