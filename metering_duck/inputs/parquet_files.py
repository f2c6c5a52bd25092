"""Parquet files, read by DuckDB, together by the names of their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from metering_duck.engine.duckdb import Engine
from metering_duck.inputs.file_formats import FileFormat
from metering_duck.inputs.file_set import FileSet
from metering_duck.inputs.footers import Footers, parquet_schema
from metering_duck.inputs.from_columns import check_names, check_not_ours
from metering_duck.inputs.in_shell import InShell
from metering_duck.inputs.input import Input, Needed, OtherEngine
from metering_duck.inputs.mapping import FieldMap
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation


@dataclass(frozen=True)
class ParquetFiles:
    """Parquet files; their partitions say which of them are needed, their footers what is so in every row."""

    files: FileSet
    extensions: ClassVar[Sequence[str]] = ()
    versions: ClassVar[Sequence[str]] = ()

    @property
    def name(self) -> str:
        """What a message calls them."""
        return self.files.name

    @property
    def paths(self) -> Sequence[str]:
        """All of them."""
        return self.files.paths

    @property
    def footers(self) -> Footers:
        """What they say of their columns."""
        return Footers(self.files.paths, self.files.keys)

    def relation(self, engine: Engine, name: str = "input") -> Relation:  # noqa: ARG002 - nothing is kept for them
        """Files together by name. Names that differ only in case are refused, since SQL cannot tell them apart."""
        first = self.files.paths[0]
        schema = parquet_schema(first)
        check_names(schema, first)
        check_not_ours(schema.names, first)
        sql = self.files.reader_sql("read_parquet", union_by_name="true")
        return Relation(sql, file_sql=self.files.file_sql, row_numbers="by reader")

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """The files of the partitions that are needed."""
        files, partition = self.files, None
        if needed.times is not None:
            times = needed.times
            files, partition = files.of_times(times.column, times.first, times.last)
        if files.keys and needed.tenants_in_rows:
            files = _of_tenants(files, needed.tenants_in_rows, needed.mapping)
        return (self if files is self.files else replace(self, files=files)), partition

    def in_shell(self) -> InShell:
        """As they are."""
        return InShell()

    def file_sizes(self) -> list[int]:
        """The bytes of each."""
        return self.files.sizes()

    def read_by(self, engine: OtherEngine) -> Any:
        """Read by every other engine."""
        return engine.read_parquet(self.files)


def _of_tenants(files: FileSet, tenants: Mapping[str, Sequence[str]], mapping: FieldMap) -> FileSet:
    """The files whose folders name the tenants, if their folders, and no column within, are these fields."""
    keys = {name: next((one for one in mapping.spellings(name) if one in files.keys), "") for name in tenants}
    pruned = files.of_texts({key: tenants[name] for name, key in keys.items()})
    columns = [*parquet_schema(pruned.paths[0]).names, *files.keys]
    for name, key in keys.items():
        if key and key != mapping.column_of(name, mapping.names[name], columns, ""):
            return files
    return pruned


PARQUET = FileFormat(
    "parquet", (".parquet", ".pq"), ParquetFiles, begins=lambda first: first.startswith(b"PAR1"), has_partitions=True
)
