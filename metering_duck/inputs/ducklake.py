"""DuckLake: which version a table is read at, and which files its rows are in, by DuckDB's own extension."""

from __future__ import annotations

from datetime import datetime

import duckdb

from metering_duck.engine.extensions import CLOSED, can_load, load, missing
from metering_duck.errors import SourceError, did_you_mean
from metering_duck.statements.quote import literal, literal_list


def table_at(
    path: str, table: str, version: int | None, moment: datetime | None, where: str
) -> tuple[int, tuple[str, ...]]:
    """A table's version by its number or as of a moment, else the latest; the files of its rows and of those deleted.

    Nothing but the metadata is opened for it.
    Raises: SourceError for what is no DuckLake, or has no such version or table.
    """
    with duckdb.connect(":memory:", config=CLOSED) as connection:
        for name in ("ducklake", *(["httpfs"] if can_load("httpfs") else [])):
            load(connection, name)
        connection.execute(f"SET allowed_paths = {literal_list([path, f'{path}.wal'])}")
        connection.execute("SET enable_external_access = false")
        try:
            place = literal(f"ducklake:{path}")
            connection.execute(f"ATTACH {place} AS lake (READ_ONLY)")
            number = _number(connection, version, moment, where)
            connection.execute("DETACH lake")
            connection.execute(f"ATTACH {place} AS lake (READ_ONLY, SNAPSHOT_VERSION {number:d})")
            return number, _files(connection, table, where)
        except duckdb.Error as error:
            why = str(error).splitlines()[0]
            if "requires the extension httpfs" in why:
                raise SourceError(
                    f"{where}: found rows on object storage, and {missing('httpfs')}; expected it, to read them. "
                    "hint: INSTALL httpfs in a DuckDB shell of the same version, once"
                ) from None
            raise SourceError(f"{where}: cannot be read ({why}); expected a DuckLake.") from None


def _number(connection: duckdb.DuckDBPyConnection, version: int | None, moment: datetime | None, where: str) -> int:
    found = connection.execute(
        "SELECT max(snapshot_id) FROM ducklake_snapshots('lake') "
        "WHERE ($version IS NULL OR snapshot_id = $version) AND ($moment IS NULL OR snapshot_time <= $moment)",
        {"version": version, "moment": moment},
    ).fetchone()
    if found is None or found[0] is None:
        asked = f"version {version}" if moment is None else f"timestamp {moment.isoformat()}"
        raise SourceError(f"{where}: found no such version ({asked}); expected one of the lake's.")
    return int(found[0])


def _files(connection: duckdb.DuckDBPyConnection, table: str, where: str) -> tuple[str, ...]:
    schema, _, name = ("main." + table if "." not in table else table).partition(".")
    tables = connection.execute(
        "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = 'lake'"
    ).fetchall()
    known = [row[0] for row in tables]
    if f"{schema}.{name}" not in known:
        hint = f" hint: {did_you_mean(f'{schema}.{name}', known)}" if known else ""
        raise SourceError(f"{where}: found no table {table}; expected one that is there at this version.{hint}")
    rows = connection.execute(
        "SELECT data_file, delete_file FROM ducklake_list_files('lake', $name, schema => $schema)",
        {"name": name, "schema": schema},
    ).fetchall()
    return tuple(dict.fromkeys(file for row in rows for file in row if file))
