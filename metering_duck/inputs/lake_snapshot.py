"""Lake snapshots: what Delta and Iceberg tables at a version have in common, and how their rows are read.

inputs/delta.py and inputs/iceberg.py find and open the tables; inputs/table_days.py reads them day by day.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import pyarrow as pa

from metering_duck.decimals.columns import decimal_of_type
from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import scheme_of
from metering_duck.errors import ConfigError
from metering_duck.files.proofs import Claim
from metering_duck.inputs.file_checks import columns_of_files, cut_decimals_of_files
from metering_duck.inputs.footers import parquet_schema
from metering_duck.inputs.from_columns import check_names
from metering_duck.inputs.given_table import keep_rows, register_rows
from metering_duck.inputs.iceberg_types import VARIANT
from metering_duck.inputs.input import Input, Needed, NeededTimes
from metering_duck.inputs.lake_columns import Changed, changed_columns, changed_in_table
from metering_duck.inputs.mapping import FieldMap
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import SAMPLE_ROWS, Relation
from metering_duck.inputs.unreadable import Unreadable, check_readable
from metering_duck.inputs.wanted_rows import Between, WantedRows
from metering_duck.statements.quote import identifier, literal, path_list
from metering_duck.statements.select import select, star_with, united
from metering_duck.statements.stages import load_stage


@dataclass(frozen=True)
class PlainFiles:
    """Parquet files, and the SQL types of the columns that are in the names of their folders only."""

    paths: tuple[str, ...]
    types: Mapping[str, str] = field(default_factory=dict)

    @property
    def are_here(self) -> bool:
        """Whether there are files, and all are on this machine."""
        return bool(self.paths) and not any(scheme_of(path) for path in self.paths)

    @property
    def sql(self) -> str:
        """SQL that reads all files, united by the names of their columns."""
        return self.sql_of(self.paths)

    def exact_sql(self, changed: Changed) -> str:
        """SQL that reads all files; FLOATs of some, which are DOUBLEs of the table, as the numbers of their digits."""
        groups = changed.groups
        if not any(groups):
            return self.sql
        parts = []
        for columns, paths in groups.items():
            numbers = {name: f"CAST(CAST({name} AS VARCHAR) AS DOUBLE)" for name in map(identifier, columns)}
            parts.append(select({}, self.sql_of(paths), star=star_with(numbers)))
        return united(parts)

    def sql_of(self, paths: Sequence[str]) -> str:
        """SQL that reads some of the files, united by the names of their columns."""
        listed = ", ".join(f"{literal(name)}: {kind}" for name, kind in self.types.items())
        hive = f"hive_partitioning = true, hive_types = {{{listed}}}" if self.types else "hive_partitioning = false"
        return f"read_parquet({path_list(paths)}, union_by_name = true, {hive})"


class LakeSnapshot(Input, Protocol):
    """A table at a version; its name says the version."""

    @property
    def schema(self) -> pa.Schema:
        """The columns of the table at the version."""

    @property
    def identity(self) -> str:
        """The table's own id, which stays when its rows change; another table at the same place has another id."""

    @property
    def foreign(self) -> Mapping[str, str]:
        """Column → its type as the table says it, where the table's library has no such type: it does not read it."""

    @property
    def wanted(self) -> WantedRows:
        """Which rows of the table are read."""

    @property
    def plain_files(self) -> PlainFiles | None:
        """The Parquet files that may have wanted rows, where the files alone say what the rows are.

        None where some rows in the files are deleted, or columns have other names in the files.
        """

    def file_schemas(self) -> Iterator[tuple[str, pa.Schema]]:
        """Each file that may have wanted rows, and its columns; without a file that cannot be read."""

    def limited(self, wanted: WantedRows) -> LakeSnapshot:
        """The table with other wanted rows."""

    def opened(self) -> tuple[Any, bool]:
        """The wanted rows as an object that Arrow can stream, and whether it can be scanned more than once."""


def place_and_number(name: str) -> tuple[str, str]:
    """The place, and the version or snapshot, in a snapshot's name."""
    place, _, version = name.partition("://")[2].rpartition("?")
    return place, version.partition("=")[2]


def local_paths(found: LakeSnapshot) -> tuple[str, ...]:
    """The files that DuckDB opens for a table: its plain files, if they are on this machine."""
    plain = found.plain_files
    return plain.paths if plain and plain.are_here else ()


def rows_of(engine: Engine, found: LakeSnapshot, name: str) -> Relation:
    """A table's rows in the engine.

    Of rows that can only be streamed, the first rows are there until the engine reads its postponed inputs.
    """
    plain = plain_rows(engine, found)
    if plain is not None:
        return plain
    data, rereadable = found.opened()
    if rereadable:
        return _without_foreign(found, register_rows(engine, data, found.name, name))
    first = _without_foreign(found, keep_rows(engine, data, found.name, name, first=SAMPLE_ROWS))

    def keep_all() -> None:
        kept = keep_rows(engine, found.opened()[0], found.name, name)
        check_readable(set(kept.unreadable) - set(first.unreadable), kept.unreadable)

    engine.postpone(keep_all)
    return first


def _without_foreign(found: LakeSnapshot, rows: Relation) -> Relation:
    """Rows that a table's library gives, of which some columns may not be used."""
    return replace(rows, unreadable={**rows.unreadable, **not_of_library(found)})


def not_of_library(found: LakeSnapshot) -> dict[str, Unreadable]:
    """The columns that may not be used where another library or engine reads a table's rows.

    They are those of types that it does not have, and those that a file has in a type with other values.
    """
    return {**changed_in_table(found), **foreign_columns(found)}


def exact_sql(found: LakeSnapshot, plain: PlainFiles) -> str:
    """SQL that reads a table's plain files exactly."""
    if pa.float64() not in found.schema.types:
        return plain.sql
    schemas = ((path, parquet_schema(path)) for path in plain.paths)
    return plain.exact_sql(changed_columns(found.schema, schemas, found.name, reads_floats=True))


def _changed_in(engine: Engine, found: LakeSnapshot, plain: PlainFiles, *, differ: bool) -> Changed:
    """What plain files have in other types than their table; without `differ`, they have its types when united."""
    if not differ and len(plain.paths) < 2:
        return Changed()
    engine.keep("file_columns", columns_of_files(engine, plain.paths))
    if not differ and not engine.rows(load_stage("checks/file_types").sql):
        return Changed()
    schemas = ((path, parquet_schema(path)) for path in plain.paths)
    return changed_columns(found.schema, schemas, found.name, reads_floats=True)


def plain_rows(engine: Engine, found: LakeSnapshot) -> Relation | None:
    """A table's plain files, which DuckDB reads faster than a library hands it rows; None where that is not safe.

    It is not safe where a file has a column in another type than the table says, such as times without a zone.
    """
    plain = found.plain_files
    check_names(found.schema, found.name)
    if plain is None or not plain.are_here:
        return None
    engine.register("lake_columns", found.schema.empty_table(), found.name)
    expected = engine.describe("lake_columns")
    engine.unregister("lake_columns")
    lying = engine.describe(plain.sql)
    # A column of no type has no value, and no file has it.
    odd = {*found.foreign, *(column.name for column in found.schema if pa.types.is_null(column.type))}
    casts = _casts_of(_without(lying, odd), _without(expected, odd))
    if casts is None:
        return None
    changed = _changed_in(engine, found, plain, differ=bool(casts))
    if not changed.is_judged or (casts and changed.unreadable):
        return None
    engine.gate.add(Claim(path, path, "parquet") for path in plain.paths)
    return _rows_of_plain(engine, found, plain, lying, changed, casts)


def _rows_of_plain(
    engine: Engine,
    found: LakeSnapshot,
    plain: PlainFiles,
    lying: Mapping[str, str],
    changed: Changed,
    casts: Sequence[str],
) -> Relation:
    """The rows of plain files without what is foreign to DuckDB; `casts` are the columns that become wider."""
    left_out = foreign_columns(found, [name for name in found.foreign if lying.get(name) != "VARIANT"])
    excluded = [identifier(name) for name in left_out if name in lying]
    star = f"* EXCLUDE ({', '.join(excluded)})" if excluded else "*"
    star += f" REPLACE ({', '.join(casts)})" if casts else ""
    unreadable = {**cut_decimals_of_files(engine, plain.paths, found.schema), **changed.unreadable, **left_out}
    rows = select({}, plain.exact_sql(changed), star=star, where=found.wanted.conditions)
    return Relation(f"({rows})", unreadable=unreadable)


def _casts_of(lying: Mapping[str, str], expected: Mapping[str, str]) -> list[str] | None:
    """The numbers that become wider, as the table says; None where the files have other columns, or others differ."""
    differing = [name for name in expected if lying.get(name) != expected[name]]
    if set(lying) != set(expected) or not all(
        _is_number(types[name]) for name in differing for types in (lying, expected)
    ):
        return None
    return [f"CAST({identifier(name)} AS {expected[name]}) AS {identifier(name)}" for name in differing]


def _is_number(kind: str) -> bool:
    return kind in ("FLOAT", "DOUBLE") or decimal_of_type(kind) is not None


def _without(types: Mapping[str, str], names: Container[str]) -> dict[str, str]:
    return {name: kind for name, kind in types.items() if name not in names}


def foreign_columns(found: LakeSnapshot, names: Iterable[str] | None = None) -> dict[str, Unreadable]:
    """Column → why it cannot be read, for columns of types that a table's library does not have; for all, or some."""
    alone = "read copies of the table's Parquet files by themselves"
    chosen = found.foreign if names is None else names
    return {
        name: Unreadable(
            found.name,
            name,
            found.foreign[name],
            "a type that is read from this table",
            # A VARIANT is not read through Spark either.
            alone if found.foreign[name] == VARIANT else f"{alone}, or let Spark read it: --engine spark",
        )
        for name in chosen
    }


def narrowed_snapshot(found: LakeSnapshot, needed: Needed) -> tuple[Input, TimePartition | None]:
    """The table limited to the times and the tenants that are needed.

    Raises: ConfigError for a column that is not the moment of each event; SchemaError for one that is not there.
    """
    if needed.times is not None:
        if needed.shape is not None and needed.shape.is_wrapped:
            raise ConfigError(
                f"time-partition: found it beside --from {needed.shape.name}, whose times are within each event; "
                "expected one of the two. hint: leave --time-partition out"
            )
        found = _of_times(found, needed.times, needed.mapping)
    return with_texts(found, columns_of_tenants(needed, found.schema, found.name)), None


def columns_of_tenants(needed: Needed, schema: pa.Schema, where: str) -> dict[str, Sequence[str]]:
    """Column of a table → the texts of the tenants that are asked for.

    Raises: SchemaError for a column that is not there.
    """
    found = {}
    for name, texts in needed.tenants_in_rows.items():
        column = needed.mapping.column_of(name, needed.mapping.names[name], schema.names, where)
        if column:
            found[column] = texts
    return found


def with_texts(found: LakeSnapshot, texts: Mapping[str, Sequence[str]]) -> LakeSnapshot:
    """The table limited to the rows whose text columns have one of the texts; columns of other types limit nothing."""
    of_text_columns = {}
    for column, wanted in texts.items():
        kind = found.schema.field(column).type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            of_text_columns[column] = wanted
    return found.limited(found.wanted.with_texts(of_text_columns)) if of_text_columns else found


def between(found: LakeSnapshot, column: str, bounds: Between) -> LakeSnapshot:
    """The table limited to the rows whose column is within the bounds."""
    return found.limited(found.wanted.between(column, bounds))


def _of_times(found: LakeSnapshot, times: NeededTimes, mapping: FieldMap) -> LakeSnapshot:
    """The table limited to the times that the windows need, by the column of the events' times.

    Raises: ConfigError for a column that is not the moment of each event.
    """
    column = times.column
    time = mapping.column_of("time", mapping.names["time"], found.schema.names, found.name)
    kind = found.schema.field(column).type if column in found.schema.names else None
    if column != time or kind is None or not pa.types.is_timestamp(kind) or kind.tz is None:
        raise ConfigError(
            f"time-partition: found {column} ({kind or 'no such column'}) in {found.name}; expected the column of the "
            f"events' times, as a timestamp with a zone. hint: --time-partition {time or 'time'}, or leave it out"
        )
    return between(found, column, (times.first, times.last))
