"""What every input answers, whatever kind it is.

A kind is one file that implements `Input` whole: parquet_files, csv_files, json_files, arrow_files, given_table,
given_objects, spark_frame, delta, iceberg, ducklake, duckdb_file and table_days. Formats of files are listed in
inputs/formats.py, tables by URL in inputs/lakes.py; what else Python gives becomes an input in inputs/given.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, Protocol

from metering_duck.engine.duckdb import Engine
from metering_duck.inputs.file_set import FileSet
from metering_duck.inputs.footers import Footers
from metering_duck.inputs.foreign_shapes import Shape
from metering_duck.inputs.in_shell import InShell
from metering_duck.inputs.mapping import FieldMap
from metering_duck.inputs.partitions import TimePartition, not_partitioned
from metering_duck.inputs.relations import Relation
from metering_duck.inputs.wanted_rows import WantedRows

# What another engine is told of an input that lies in this process or is read by DuckDB alone.
OF_THIS_MACHINE = "an input of this machine"


@dataclass(frozen=True)
class NeededTimes:
    """From when, included, to when, not included, in naive UTC, None where there is no bound.

    `column` is the one that the input tells times by: a partition of files, or a column of a table.
    """

    column: str
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True)
class Needed:
    """What a run needs of an input: which tenants (field → texts) and which times; and what its fields are called."""

    tenants: Mapping[str, Sequence[str]]
    mapping: FieldMap
    times: NeededTimes | None = None
    shape: Shape | None = None

    @property
    def tenants_in_rows(self) -> dict[str, Sequence[str]]:
        """The tenants that are asked for by fields that the rows have."""
        constants = self.mapping.constants
        return {name: texts for name, texts in self.tenants.items() if texts and name not in constants}

    def check_no_times(self, where: str) -> None:
        """Refuse times for an input that has no partitions.

        Raises: ConfigError.
        """
        if self.times is not None:
            raise not_partitioned(where, (), self.times.column)


class OtherEngine(Protocol):
    """An engine beside DuckDB that reads inputs where they lie; what it gives is its own."""

    def read_parquet(self, files: FileSet) -> Any:
        """Parquet files, together by the names of their columns."""

    def read_delta(self, place: str, version: str, wanted: WantedRows) -> Any:
        """Rows of a Delta table at a version."""

    def read_iceberg(self, place: str, snapshot: str, wanted: WantedRows) -> Any:
        """Rows of an Iceberg table at a snapshot; `place` is CATALOG/NAMESPACE.TABLE."""

    def read_frame(self, frame: Any) -> Any:
        """A Spark DataFrame."""

    def refuse(self, name: str, found: str) -> NoReturn:
        """Say that the engine does not read such an input.

        Raises: SourceError.
        """


class Input(Protocol):
    """Where rows come from. Nothing of them is read before `relation` is asked for, but what finds them."""

    @property
    def name(self) -> str:
        """What a message calls it; of a table the version is in it."""

    @property
    def paths(self) -> Sequence[str]:
        """The files that the engine is allowed to open for it."""

    @property
    def extensions(self) -> Sequence[str]:
        """The extensions of DuckDB that it needs."""

    @property
    def versions(self) -> Sequence[str]:
        """The tables at one of their versions that it is read from, by name."""

    @property
    def footers(self) -> Footers:
        """What its Parquet files say of their columns; of another input nothing."""

    def relation(self, engine: Engine, name: str = "input") -> Relation:
        """What stands behind FROM; `name` begins that of what is kept in the engine for it.

        Raises: SchemaError, SourceError for what cannot be read.
        """

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """The input without what it knows itself is not needed, and how it is partitioned by time.

        Raises: ConfigError for times that it cannot tell; SchemaError for a column that is not there.
        """

    def in_shell(self) -> InShell:
        """How a DuckDB shell reads it."""

    def file_sizes(self) -> list[int]:
        """The bytes of each file that is read, as far as they are known; none for what is in memory."""

    def read_by(self, engine: OtherEngine) -> Any:
        """What another engine makes of it.

        Raises: SourceError where it does not read this kind.
        """


def paths_of(found: Input | None) -> list[str]:
    """The files that the engine opens for an input, if there is one."""
    return list(found.paths) if found else []


def extensions_of(*inputs: Input | None) -> set[str]:
    """The extensions of DuckDB that inputs need."""
    return {name for found in inputs if found for name in found.extensions}
