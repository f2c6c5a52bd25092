"""Locking: the one place where connections are opened, and what a locked connection may open.

A file from somebody else may hold SQL: views, macros, defaults. So a connection is locked before its first query, and a
locked connection reaches nothing but what it was told, whatever it runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import duckdb

from metering_duck.statements.quote import literal_list, pattern_of

# Without these settings DuckDB fetches an extension at the first statement that needs it, some at LOAD, and takes
# secrets from files, and a name in SQL for a Python variable.
CLOSED: dict[str, Any] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
}


def unlocked() -> duckdb.DuckDBPyConnection:
    """A connection in memory, whose settings and extensions are still to be chosen; lock it before its first query."""
    return duckdb.connect(":memory:", config=CLOSED)


def locked() -> duckdb.DuckDBPyConnection:
    """A connection in memory that opens no file."""
    connection = unlocked()
    lock(connection)
    return connection


def lock(connection: duckdb.DuckDBPyConnection, paths: Iterable[str] = (), directories: Iterable[str] = ()) -> None:
    """Allow these files and directories, forbid all other files, and lock the settings."""
    listed = list(paths)
    connection.execute(f"SET allowed_directories = {literal_list(directories)}")
    # DuckDB looks a path up as a pattern first, so the pattern that matches only this path is allowed, too.
    allowed = dict.fromkeys([*listed, *map(pattern_of, listed)])
    connection.execute(f"SET allowed_paths = {literal_list(allowed)}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
