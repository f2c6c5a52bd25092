"""A given table: rows in this process, as an Arrow table or as an object that Arrow can stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from metering_duck.engine.duckdb import Engine
from metering_duck.errors import SourceError
from metering_duck.inputs.footers import NO_FOOTERS, Footers
from metering_duck.inputs.from_columns import check_names
from metering_duck.inputs.in_shell import InShell
from metering_duck.inputs.input import OF_THIS_MACHINE, Input, Needed, OtherEngine
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query, Stage


@dataclass(frozen=True)
class GivenTable:
    """An object with an Arrow stream; `rereadable` says whether the stream can be read more than once.

    `shell_sql` is SQL by which a shell reads the same rows, "" where there is none.
    """

    data: Any
    name: str
    rereadable: bool
    shell_sql: str = ""
    paths: ClassVar[Sequence[str]] = ()
    extensions: ClassVar[Sequence[str]] = ()
    versions: ClassVar[Sequence[str]] = ()
    footers: ClassVar[Footers] = NO_FOOTERS

    def relation(self, engine: Engine, name: str = "input") -> Relation:
        """The table where it is in memory, or, of a stream that is read once, a copy of its rows in the engine."""
        if self.rereadable:
            return Relation(register_rows(engine, self.data, self.name, name))
        return Relation(keep_rows(engine, self.data, self.name, name))

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """The whole table: it has no partitions."""
        needed.check_no_times(self.name)
        return self, None

    def in_shell(self) -> InShell:
        """By the SQL for the same rows, if there is any; otherwise the reader has to make a table of them."""
        if self.shell_sql:
            return InShell(relation=self.shell_sql)
        return InShell(kind="rows" if self.rereadable else "spooled", rows="the rows")

    def file_sizes(self) -> list[int]:
        """No number: the table is in memory."""
        return []

    def read_by(self, engine: OtherEngine) -> Any:
        """Only DuckDB reads this kind of input."""
        engine.refuse(self.name, OF_THIS_MACHINE)


def register_rows(engine: Engine, data: Any, where: str, name: str) -> str:
    """Register a table in the engine as it is; gives its name there.

    Raises: SourceError for a table without columns; SchemaError for names that differ only in case.
    """
    if not data.schema.names:
        raise SourceError(f"{where}: found no column; expected those of events.")
    check_names(data.schema, where)
    engine.register(f"{name}_rows", data, where)
    return f"{name}_rows"


def keep_rows(engine: Engine, data: Any, where: str, name: str) -> str:
    """Copy a stream, whose rows are read more than once, into a table of the engine, which may spill; gives its name.

    Raises: SourceError for a stream without columns; SchemaError for names that differ only in case.
    """
    registered = register_rows(engine, data, where, name)
    rows = Stage("rows", "a stream, kept so that it can be read twice", select({}, registered, star="*"))
    engine.fill(Query(f"{name}_spooled", (rows,)))
    engine.unregister(registered)
    return f"{name}_spooled"
