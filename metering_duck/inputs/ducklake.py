"""DuckLake tables at a version, read by DuckDB's own extension.

ducklake://usage.ducklake?table=main.events&version=3    ducklake://usage.ducklake?table=events&timestamp=2024-05-01
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import duckdb

from metering_duck.contract.times import parse_time
from metering_duck.engine.attached import attach
from metering_duck.engine.duckdb import Engine
from metering_duck.engine.extensions import can_load, load, missing
from metering_duck.engine.locking import lock, unlocked
from metering_duck.engine.remote import scheme_of
from metering_duck.errors import SourceError, did_you_mean
from metering_duck.inputs.collations import by_bytes
from metering_duck.inputs.database_files import check_is_database
from metering_duck.inputs.database_views import check_view
from metering_duck.inputs.file_sizes import sizes_of_existing
from metering_duck.inputs.footers import NO_FOOTERS, Footers
from metering_duck.inputs.in_shell import InShell, load_sql
from metering_duck.inputs.input import OF_THIS_MACHINE, Input, Needed, OtherEngine
from metering_duck.inputs.lake_files import check_below
from metering_duck.inputs.lake_schemes import LakeScheme, Options, number_of
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation
from metering_duck.statements.quote import literal


@dataclass(frozen=True)
class DuckLakeSnapshot:
    """A table of a DuckLake at a version; `path` is the file of the lake's metadata, `files` have the rows."""

    path: str
    table: str
    name: str
    version: int
    files: tuple[str, ...] = ()
    footers: ClassVar[Footers] = NO_FOOTERS

    @property
    def paths(self) -> Sequence[str]:
        """The file of the metadata, its write-ahead log, and the files of the rows."""
        return self.path, f"{self.path}.wal", *self.files

    @property
    def extensions(self) -> Sequence[str]:
        """DuckLake's own extension, and httpfs where a file is remote: DuckLake opens it by no other file system."""
        is_remote = any(scheme_of(path) for path in self.files)
        return ("ducklake", "httpfs") if is_remote else ("ducklake",)

    @property
    def versions(self) -> Sequence[str]:
        """The name of this table, which says its version."""
        return (self.name,)

    @property
    def attach_sql(self) -> str:
        """The SQL behind ATTACH."""
        return f"{literal(f'ducklake:{self.path}')} AS the_input (READ_ONLY, SNAPSHOT_VERSION {self.version:d})"

    def relation(self, engine: Engine, name: str = "input") -> Relation:  # noqa: ARG002 - nothing is kept for it
        """The table in the attached lake."""
        found = attach(engine, self.attach_sql, self.table, self.name)
        check_view(engine, self.table, self.name)
        return by_bytes(engine, found, self.name)

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """The whole table: it has no partitions."""
        needed.check_no_times(self.name)
        return self, None

    def in_shell(self) -> InShell:
        """A shell attaches the lake, too."""
        loads = [load_sql(name) for name in self.extensions]
        return InShell("\n".join([*loads, f"ATTACH OR REPLACE {self.attach_sql};"]))

    def file_sizes(self) -> list[int]:
        """The bytes of the metadata and of each file with rows; a file that is not there is left out."""
        return sizes_of_existing(self.paths)

    def read_by(self, engine: OtherEngine) -> Any:
        """Only DuckDB reads this kind of input."""
        engine.refuse(self.name, OF_THIS_MACHINE)


def find_ducklake(place: str, options: Options) -> DuckLakeSnapshot:
    """A table of a DuckLake whose metadata is a DuckDB file, and the files that its rows are in at a version.

    Raises: SourceError for a lake, a table or a version that is not there.
    """
    where, table = f"ducklake://{place}", options.get("table")
    if not table:
        raise SourceError(f"{where}: found no table's name; expected {DUCKLAKE.example}.")
    if not can_load("ducklake"):
        raise SourceError(
            f"{where}: found {missing('ducklake')}; expected it, to read DuckLake. "
            "hint: INSTALL ducklake in a DuckDB shell of the same version, once"
        )
    check_is_database(where, place, "the DuckDB file with a DuckLake's metadata")
    moment = parse_time(options["timestamp"], f"{where}: timestamp") if "timestamp" in options else None
    path = os.path.realpath(place)
    version, files = table_at(path, table, number_of(options, "version", where), moment, where)
    return DuckLakeSnapshot(path, table, f"{where}?table={table}&version={version}", version, files)


def table_at(
    path: str, table: str, version: int | None, moment: datetime | None, where: str
) -> tuple[int, tuple[str, ...]]:
    """The number of a version, and the files of a table's rows and of its deleted rows at that version.

    The version is given by its number or by a moment; otherwise it is the latest. Only the metadata is opened.

    Raises: SourceError for a file that is no DuckLake, and for a version or a table that is not there.
    """
    with unlocked() as connection:
        load(connection, "ducklake")
        if can_load("httpfs"):
            load(connection, "httpfs")
        lock(connection, [path, f"{path}.wal"])
        try:
            place = literal(f"ducklake:{path}")
            connection.execute(f"ATTACH {place} AS lake (READ_ONLY)")
            number = _version_number(connection, version, moment, where)
            connection.execute("DETACH lake")
            connection.execute(f"ATTACH {place} AS lake (READ_ONLY, SNAPSHOT_VERSION {number:d})")
            return number, _files(connection, table, where, os.path.dirname(path))
        except duckdb.Error as error:
            why = str(error).splitlines()[0]
            if "requires the extension httpfs" in why:
                raise SourceError(
                    f"{where}: found rows on object storage, and {missing('httpfs')}; expected it, to read them. "
                    "hint: INSTALL httpfs in a DuckDB shell of the same version, once"
                ) from None
            raise SourceError(f"{where}: cannot be read ({why}); expected a DuckLake.") from None


def _version_number(
    connection: duckdb.DuckDBPyConnection, version: int | None, moment: datetime | None, where: str
) -> int:
    """The number of the latest version that fits what is asked for.

    Raises: SourceError.
    """
    found = connection.execute(
        "SELECT max(snapshot_id) FROM ducklake_snapshots('lake') "
        "WHERE ($version IS NULL OR snapshot_id = $version) AND ($moment IS NULL OR snapshot_time <= $moment)",
        {"version": version, "moment": moment},
    ).fetchone()
    if found is None or found[0] is None:
        asked = f"version {version}" if moment is None else f"timestamp {moment.isoformat()}"
        raise SourceError(f"{where}: found no such version ({asked}); expected one of the lake's.")
    return int(found[0])


def _files(connection: duckdb.DuckDBPyConnection, table: str, where: str, folder: str) -> tuple[str, ...]:
    """The files of a table's rows and of its deleted rows in the attached lake.

    Raises: SourceError for a table that is not there, and for a file on this machine outside of `folder`.
    """
    full_name = table if "." in table else f"main.{table}"
    schema, _, name = full_name.partition(".")
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
    files = tuple(dict.fromkeys(file for row in rows for file in row if file))
    # Rows on object storage are where the lake says; files on this machine lie beside its metadata.
    check_below(where, (file for file in files if scheme_of(file) in ("", "file")), [folder])
    return files


DUCKLAKE = LakeScheme(
    "ducklake", ("table", "version", "timestamp"), "ducklake://usage.ducklake?table=events", find_ducklake
)
