"""Lake snapshots: what Delta and Iceberg tables at a version have in common, and how their rows are read.

inputs/delta.py and inputs/iceberg.py find and open the tables; inputs/table_days.py reads them day by day.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import scheme_of
from metering_duck.errors import ConfigError
from metering_duck.files.proofs import Claim
from metering_duck.inputs.file_checks import cut_decimals_of_files
from metering_duck.inputs.from_columns import check_names
from metering_duck.inputs.given_table import keep_rows, register_rows
from metering_duck.inputs.iceberg_types import VARIANT
from metering_duck.inputs.input import Input, Needed, NeededTimes
from metering_duck.inputs.mapping import FieldMap
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import SAMPLE_ROWS, Relation
from metering_duck.inputs.unreadable import Unreadable, check_readable
from metering_duck.inputs.wanted_rows import Between, WantedRows
from metering_duck.statements.quote import identifier, literal, path_list
from metering_duck.statements.select import select


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
        listed = ", ".join(f"{literal(name)}: {kind}" for name, kind in self.types.items())
        hive = f"hive_partitioning = true, hive_types = {{{listed}}}" if self.types else "hive_partitioning = false"
        return f"read_parquet({path_list(self.paths)}, union_by_name = true, {hive})"


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
    """Rows that a table's library gives, of which columns of foreign types may not be used."""
    return replace(rows, unreadable={**rows.unreadable, **foreign_columns(found)})


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
    if _without(lying, odd) != _without(expected, odd):
        return None
    engine.gate.add(Claim(path, path, "parquet") for path in plain.paths)
    left_out = foreign_columns(found, [name for name in found.foreign if lying.get(name) != "VARIANT"])
    excluded = [identifier(name) for name in left_out if name in lying]
    star = f"* EXCLUDE ({', '.join(excluded)})" if excluded else "*"
    unreadable = {**cut_decimals_of_files(engine, plain.paths, found.schema), **left_out}
    return Relation(f"({select({}, plain.sql, star=star, where=found.wanted.conditions)})", unreadable=unreadable)


def _without(types: Mapping[str, str], names: Container[str]) -> dict[str, str]:
    return {name: kind for name, kind in types.items() if name not in names}


def foreign_columns(found: LakeSnapshot, names: Iterable[str] | None = None) -> dict[str, Unreadable]:
    """Column → why it cannot be read, for columns of types that a table's library does not have; for all, or some."""
    alone = "read the Parquet files of the table by themselves"
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
