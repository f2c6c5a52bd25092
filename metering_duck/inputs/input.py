"""What every input can be asked, whatever its kind.

A kind is one file that implements `Input` whole: parquet_files, csv_files, json_files, arrow_files, given_table,
given_objects, spark_frame, delta, iceberg, ducklake, duckdb_file and table_days. Formats of files are listed in
inputs/formats.py, tables by URL in inputs/lakes.py; other Python objects become inputs in inputs/given.py.
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
    """The times whose events are needed: from `first`, included, to `last`, not included; naive UTC, None is no bound.

    `column` is the column that the input tells times by: a partition of files, or a column of a table.
    """

    column: str
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True)
class Needed:
    """What a run needs of an input: which tenants (field → texts), and which times.

    `mapping` and `shape` say what the input calls its fields.
    """

    tenants: Mapping[str, Sequence[str]]
    mapping: FieldMap
    times: NeededTimes | None = None
    shape: Shape | None = None

    @property
    def tenants_in_rows(self) -> dict[str, Sequence[str]]:
        """The tenants that are asked for, without the fields that are constants: no row has a column for those."""
        constants = self.mapping.constants
        return {name: texts for name, texts in self.tenants.items() if texts and name not in constants}

    def check_no_times(self, where: str) -> None:
        """Refuse times for an input that has no partitions.

        Raises: ConfigError.
        """
        if self.times is not None:
            raise not_partitioned(where, (), self.times.column)


class OtherEngine(Protocol):
    """An engine beside DuckDB that reads inputs where they lie; each method gives rows in that engine's own form."""

    def read_parquet(self, files: FileSet) -> Any:
        """The rows of Parquet files, united by the names of their columns."""

    def read_delta(self, place: str, version: str, wanted: WantedRows) -> Any:
        """The wanted rows of a Delta table at a version."""

    def read_iceberg(self, place: str, snapshot: str, wanted: WantedRows) -> Any:
        """The wanted rows of an Iceberg table at a snapshot; `place` is CATALOG/NAMESPACE.TABLE."""

    def read_frame(self, frame: Any) -> Any:
        """The rows of a Spark DataFrame."""

    def refuse(self, name: str, found: str) -> NoReturn:
        """Say that the engine does not read such an input.

        Raises: SourceError.
        """


class Input(Protocol):
    """Where rows come from. Finding an input reads names and schemas only; its rows are read by `relation`."""

    @property
    def name(self) -> str:
        """What messages call the input; the name of a lake's table says its version."""

    @property
    def paths(self) -> Sequence[str]:
        """The files that the engine is allowed to open for this input."""

    @property
    def extensions(self) -> Sequence[str]:
        """The DuckDB extensions that reading this input needs."""

    @property
    def versions(self) -> Sequence[str]:
        """The names of the lake tables, each at a version, that the input is read from."""

    @property
    def footers(self) -> Footers:
        """The footers of its Parquet files; an input of another kind has none."""

    def relation(self, engine: Engine, name: str = "input") -> Relation:
        """The input as SQL behind FROM; a table that the engine keeps for it has a name that begins with `name`.

        Raises: SchemaError, SourceError for what cannot be read.
        """

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """The input without the files or rows that it knows are not needed; and its partition by time, if it has one.

        Raises: ConfigError for times that it cannot tell; SchemaError for a column that is not there.
        """

    def in_shell(self) -> InShell:
        """How a DuckDB shell reads this input."""

    def file_sizes(self) -> list[int]:
        """The bytes of each file that is read, as far as they are known; no number for an input in memory."""

    def read_by(self, engine: OtherEngine) -> Any:
        """The input as rows of another engine.

        Raises: SourceError where that engine does not read this kind of input.
        """


def paths_of(found: Input | None) -> list[str]:
    """The files that the engine opens for an input; none where there is no input."""
    return list(found.paths) if found else []


def extensions_of(*inputs: Input | None) -> set[str]:
    """The DuckDB extensions that reading the inputs needs."""
    return {name for found in inputs if found for name in found.extensions}
