"""Database views: a view of a database is read if it gives the same rows at each run, and needs only its database.

A view may call what differs from run to run, such as random() and now(), and what tells of the run itself, such as its
settings, its tables and its files. The text of a view is parsed, and of each view and macro of the database that it
uses; whatever is not known to depend on its arguments alone is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from metering_duck.engine.duckdb import Engine
from metering_duck.errors import SourceError

# The text of a view behind its name and the names of its columns; names in quotes may hold anything.
_SELECT = re.compile(
    r'CREATE\s+(?:OR\s+REPLACE\s+)?VIEW\s+(?:"(?:[^"]|"")*"|[^\s"(])+\s*(?:\((?:"(?:[^"]|"")*"|[^")])*\)\s*)?AS\s+(.*)',
    re.DOTALL | re.IGNORECASE,
)
# Functions of DuckDB that depend on the moment or on the run, though DuckDB does not call them volatile.
OF_THE_RUN = {
    *("age", "current_database", "current_date", "current_localtime", "current_localtimestamp", "current_schema"),
    *("current_schemas", "current_setting", "current_time", "current_timestamp", "get_current_time", "getenv"),
    *("get_current_timestamp", "getvariable", "in_search_path", "localtime", "localtimestamp", "now", "today"),
    *("transaction_timestamp", "txid_current", "version", "current_catalog", "currval", "reservoir_quantile"),
}
# Aggregations that take one value of many: which, only an ORDER BY within them says.
OF_ANY_ROW = {"any_value", "arbitrary", "first", "last"}
# Table functions that depend on their arguments alone.
TABLES_OF_ARGUMENTS = {"generate_series", "json_each", "json_tree", "range", "repeat", "unnest"}
# Schemas and catalogs that tell of the run.
OF_THE_SYSTEM = {"information_schema", "pg_catalog", "system", "temp"}


def check_view(engine: Engine, table: str, where: str) -> None:
    """Refuse a view of the attached database, or a computed column, that depends on more than the database.

    Raises: SourceError.
    """
    known = _Known(engine)
    waiting, seen = [(table.rpartition(".")[2].lower(), "table")], set()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        for text in known.texts(*one):
            tree = _parsed(engine, text)
            fault = "SQL that cannot be looked at" if tree is None else ""
            for name, kind in _uses(tree, _names_of_ctes(tree)):
                fault = fault or known.fault(name, kind)
                waiting.append((name, kind))
            if fault:
                raise SourceError(
                    f"{where}: found {fault} in {one[0]}; expected a view that depends on nothing but its database. "
                    "hint: read the table under it, or write its rows into a table: CREATE TABLE … AS FROM the view"
                )


class _Known:
    """What the attached database has: its tables, and the texts of its views, macros and computed columns."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        of_input = "database_name = 'the_input' AND NOT internal"
        self.views: dict[str, list[str]] = {}
        for name, sql in engine.rows(f"SELECT lower(view_name), sql FROM duckdb_views() WHERE {of_input}"):
            found = _SELECT.match(sql or "")
            self.views.setdefault(name, []).append(found[1].strip().rstrip(";") if found else "")
        self.tables: dict[str, list[str]] = {}
        for name, computed in engine.rows(
            "SELECT lower(t.table_name), c.column_default FROM duckdb_tables() AS t LEFT JOIN duckdb_columns() AS c ON "
            "c.table_oid = t.table_oid AND c.database_name = t.database_name AND t.sql LIKE '%GENERATED ALWAYS AS%' "
            "AND c.column_default IS NOT NULL WHERE t.database_name = 'the_input' AND NOT t.internal"
        ):
            self.tables.setdefault(name, []).extend([f"SELECT {computed}"] if computed else [])

    @cached_property
    def macros(self) -> dict[str, list[str]]:
        """Macro → its texts, of the database and of DuckDB."""
        found: dict[str, list[str]] = {}
        for name, text, is_table in self.engine.rows(
            "SELECT lower(function_name), macro_definition, function_type = 'table_macro' FROM duckdb_functions() "
            "WHERE macro_definition IS NOT NULL"
        ):
            found.setdefault(name, []).append(text if is_table else f"SELECT {text}")
        return found

    @cached_property
    def functions(self) -> dict[str, bool]:
        """Function of DuckDB that is no macro → whether it differs from call to call."""
        return dict(
            self.engine.rows(
                "SELECT lower(function_name), coalesce(bool_or(stability = 'VOLATILE'), FALSE) FROM duckdb_functions() "
                "WHERE macro_definition IS NULL GROUP BY ALL"
            )
        )

    def texts(self, name: str, kind: str) -> list[str]:
        """The texts that a table, a view or a function stands for."""
        if kind == "table":
            return [*self.views.get(name, ()), *self.tables.get(name, ())]
        return self.macros.get(name, [])

    def fault(self, name: str, kind: str) -> str:
        """What is wrong with a name that a text uses; "" where nothing is."""
        if kind == "table":
            return (
                "" if name in self.views or name in self.tables else f"the table {name}, which is not of the database,"
            )
        if kind == "column":
            return f"{name}" if name in OF_THE_RUN and name.startswith(("current_", "local")) else ""
        if kind == "clause":
            return name
        known = TABLES_OF_ARGUMENTS if kind == "table function" else self.functions
        is_stable = (name in self.macros or name in known) and not self.functions.get(name, False)
        return "" if is_stable and name not in OF_THE_RUN else f"{name}()"


def _parsed(engine: Engine, text: str) -> Any:
    """The syntax tree of a SELECT; None where DuckDB has none."""
    found = json.loads(engine.rows("SELECT json_serialize_sql($text)", {"text": text})[0][0])
    statements = found.get("statements", ())
    return statements[0] if not found.get("error") and len(statements) == 1 else None


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object in a syntax tree."""
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _names_of_ctes(tree: Any) -> set[str]:
    return {
        str(entry["key"]).lower()
        for node in _nodes(tree)
        for entry in (node.get("cte_map") or {}).get("map", ())
        if isinstance(node.get("cte_map"), dict)
    }


def _uses(tree: Any, ctes: set[str]) -> Iterator[tuple[str, str]]:
    """Each name in a syntax tree, and whether that is a table, a function, a table function, a column or a clause."""
    of_tables = [node["function"] for node in _nodes(tree) if node.get("type") == "TABLE_FUNCTION"]
    for node in _nodes(tree):
        kind = node.get("type")
        if kind == "BASE_TABLE":
            yield from _table_of(node, ctes)
        elif node.get("class") == "FUNCTION" and not any(node is one for one in of_tables):
            yield str(node["function_name"]).lower(), "function"
        elif kind == "COLUMN_REF" and len(node.get("column_names", ())) == 1:
            yield str(node["column_names"][0]).lower(), "column"
        elif kind == "SHOW_REF":
            yield "DESCRIBE, SHOW or SUMMARIZE", "clause"
        if node.get("sample"):
            yield "a SAMPLE", "clause"
        yield from _chosen_by_chance(node)
    for function in of_tables:
        yield str(function["function_name"]).lower(), "table function"


def _chosen_by_chance(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A clause that takes some rows, or an aggregation that takes one value, in no order that the text says."""
    modifiers = {one["type"] for one in node.get("modifiers") or ()}
    if modifiers & {"LIMIT_MODIFIER", "DISTINCT_MODIFIER"} and "ORDER_MODIFIER" not in modifiers:
        for one in node["modifiers"]:
            if one["type"] == "LIMIT_MODIFIER":
                yield "a LIMIT without ORDER BY", "clause"
            elif one.get("distinct_on_targets"):
                yield "a DISTINCT ON without ORDER BY", "clause"
    name = str(node.get("function_name", "")).lower()
    if node.get("class") == "FUNCTION" and name in OF_ANY_ROW and not (node.get("order_bys") or {}).get("orders"):
        yield f"{name}() without ORDER BY", "clause"


def _table_of(node: dict[str, Any], ctes: set[str]) -> Iterator[tuple[str, str]]:
    """The table that a node names, unless it is a part of the query itself."""
    path = [str(part).lower() for part in node.get("qualified_name", {}).get("path", [node.get("table_name", "")])]
    if OF_THE_SYSTEM.intersection(path[:-1]):
        yield f"the table {'.'.join(path)}", "clause"
    elif len(path) > 1 or path[-1] not in ctes:
        yield path[-1], "table"
