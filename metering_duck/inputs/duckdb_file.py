"""Tables and views of a DuckDB file, attached where it lies.

duckdb://usage.duckdb?table=events
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from metering_duck.engine.attached import attach
from metering_duck.engine.duckdb import Engine
from metering_duck.errors import SourceError
from metering_duck.inputs.collations import by_bytes
from metering_duck.inputs.database_files import check_is_database
from metering_duck.inputs.database_views import check_view
from metering_duck.inputs.file_sizes import sizes_of_existing
from metering_duck.inputs.footers import NO_FOOTERS, Footers
from metering_duck.inputs.in_shell import InShell
from metering_duck.inputs.input import OF_THIS_MACHINE, Input, Needed, OtherEngine
from metering_duck.inputs.lake_schemes import LakeScheme, Options
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation
from metering_duck.statements.quote import literal


@dataclass(frozen=True)
class DuckDBTable:
    """A table of a DuckDB file."""

    path: str
    table: str
    name: str
    extensions: ClassVar[Sequence[str]] = ()
    versions: ClassVar[Sequence[str]] = ()
    footers: ClassVar[Footers] = NO_FOOTERS

    @property
    def paths(self) -> Sequence[str]:
        """The file, and its write-ahead log with the changes since the last checkpoint.

        The log lies beside the file itself, also where a link leads to it.
        """
        return self.path, f"{self.path}.wal"

    @property
    def attach_sql(self) -> str:
        """The SQL behind ATTACH."""
        return f"{literal(self.path)} AS the_input (READ_ONLY)"

    def relation(self, engine: Engine, name: str = "input") -> Relation:  # noqa: ARG002 - nothing is kept for it
        """The table in the attached file."""
        found = attach(engine, self.attach_sql, self.table, self.name)
        check_view(engine, self.table, self.name)
        return by_bytes(engine, found, self.name)

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """The whole table: it has no partitions."""
        needed.check_no_times(self.name)
        return self, None

    def in_shell(self) -> InShell:
        """A shell attaches the file, too."""
        return InShell(f"ATTACH OR REPLACE {self.attach_sql};")

    def file_sizes(self) -> list[int]:
        """The bytes of the file, and of its write-ahead log."""
        return sizes_of_existing(self.paths)

    def read_by(self, engine: OtherEngine) -> Any:
        """Only DuckDB reads this kind of input."""
        engine.refuse(self.name, OF_THIS_MACHINE)


def find_duckdb(place: str, options: Options) -> DuckDBTable:
    """A table or view of a DuckDB file.

    Raises: SourceError for a file that is not there.
    """
    table = options.get("table")
    if not table:
        raise SourceError(f"duckdb://{place}: found no table's name; expected {DUCKDB.example}.")
    check_is_database(f"duckdb://{place}", place, "a DuckDB database")
    return DuckDBTable(os.path.realpath(place), table, f"duckdb://{place}?table={table}")


DUCKDB = LakeScheme("duckdb", ("table",), "duckdb://usage.duckdb?table=events", find_duckdb)
