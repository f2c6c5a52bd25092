"""Parquet files, read by DuckDB and united by the names of their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from metering_duck.engine.duckdb import Engine
from metering_duck.inputs.file_checks import unreadable_of_file
from metering_duck.inputs.file_formats import FileFormat
from metering_duck.inputs.file_set import FileSet
from metering_duck.inputs.footers import Footers, parquet_schema
from metering_duck.inputs.in_shell import InShell
from metering_duck.inputs.input import Input, Needed, OtherEngine
from metering_duck.inputs.mapping import FieldMap
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation
from metering_duck.inputs.whole_files import admit, check_starts, claims_of


@dataclass(frozen=True)
class ParquetFiles:
    """Parquet files. Their partitions say which files are needed; their footers prove what holds in every row."""

    files: FileSet
    extensions: ClassVar[Sequence[str]] = ()
    versions: ClassVar[Sequence[str]] = ()

    @property
    def name(self) -> str:
        """What messages call the files."""
        return self.files.name

    @property
    def paths(self) -> Sequence[str]:
        """Every file."""
        return self.files.paths

    @property
    def footers(self) -> Footers:
        """Where the files say what columns they have."""
        return Footers(self.files.paths, self.files.keys, self.files.keys_are_chosen)

    def relation(self, engine: Engine, name: str = "input") -> Relation:  # noqa: ARG002 - no table is kept
        """The files united by the names of columns; names that differ only in case are one in SQL, and refused.

        Only the first file is looked at here; inputs/file_checks.py compares it with the others.
        """
        check_starts(self.files, "parquet")
        _, claims = admit(engine, self.files, claims_of(self.files.paths, "parquet", self.files.label))
        first = self.files.paths[0]
        unreadable = unreadable_of_file(engine, first, self.footers)
        sql = self.files.reader_sql("read_parquet", union_by_name="true")
        return Relation(
            sql, file_sql=self.files.file_sql, row_numbers="by reader", unreadable=unreadable, claims=claims
        )

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """The files of the partitions that are needed."""
        files, partition = self.files, None
        if needed.times is not None:
            times = needed.times
            files, partition = files.of_times(times.column, times.first, times.last)
        if files.keys and needed.tenants_in_rows:
            files = _of_tenants(files, needed.tenants_in_rows, needed.mapping)
        if files is self.files:
            return self, partition
        return replace(self, files=files), partition

    def in_shell(self) -> InShell:
        """A shell reads the files as they are."""
        return self.files.in_shell()

    def file_sizes(self) -> list[int]:
        """The bytes of each file."""
        return self.files.sizes()

    def read_by(self, engine: OtherEngine) -> Any:
        """Every other engine reads Parquet files."""
        return engine.read_parquet(self.files)


def _of_tenants(files: FileSet, tenants: Mapping[str, Sequence[str]], mapping: FieldMap) -> FileSet:
    """The files whose folders name the tenants.

    All files, where a field of a tenant is a column within the files and not the name of a folder.
    """
    keys = {}
    for name in tenants:
        partitions = [spelling for spelling in mapping.spellings(name) if spelling in files.keys]
        keys[name] = partitions[0] if partitions else ""
    pruned = files.of_texts({key: tenants[name] for name, key in keys.items()})
    columns = [*parquet_schema(pruned.paths[0]).names, *files.keys]
    for name, key in keys.items():
        if key and key != mapping.column_of(name, mapping.names[name], columns, ""):
            return files
    return pruned


PARQUET = FileFormat(
    "parquet", (".parquet", ".pq"), ParquetFiles, begins=lambda first: first.startswith(b"PAR1"), has_partitions=True
)
