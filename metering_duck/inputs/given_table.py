"""A given table: rows that this process has, of Arrow, or of anything that Arrow streams."""

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
    """Something with an Arrow stream; `rereadable` says whether it can be scanned more than once.

    `shell_sql` is SQL for the same rows where there is any.
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
        """The table where it is, or its stream kept."""
        if self.rereadable:
            return Relation(register_rows(engine, self.data, self.name, name))
        return Relation(keep_rows(engine, self.data, self.name, name))

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """All of it."""
        needed.check_no_times(self.name)
        return self, None

    def in_shell(self) -> InShell:
        """By what has the same rows there, if there is anything."""
        if self.shell_sql:
            return InShell(relation=self.shell_sql)
        return InShell("-- It reads input_rows, which is to be there: the rows that were given.")

    def file_sizes(self) -> list[int]:
        """It is in memory."""
        return []

    def read_by(self, engine: OtherEngine) -> Any:
        """Read by DuckDB alone."""
        engine.refuse(self.name, OF_THIS_MACHINE)


def register_rows(engine: Engine, data: Any, where: str, name: str) -> str:
    """A table as it is, under a name of ours.

    Raises: SourceError for one without columns; SchemaError for names that differ only in case.
    """
    if not data.schema.names:
        raise SourceError(f"{where}: found no column; expected those of events.")
    check_names(data.schema, where)
    engine.connection.register(f"{name}_rows", data)
    return f"{name}_rows"


def keep_rows(engine: Engine, data: Any, where: str, name: str) -> str:
    """A stream in a table of the engine's, which spills: it is read more than once.

    Raises: SourceError for one without columns; SchemaError for names that differ only in case.
    """
    registered = register_rows(engine, data, where, name)
    rows = Stage("rows", "a stream, kept so that it can be read twice", select({}, registered, star="*"))
    engine.fill(Query(f"{name}_spooled", (rows,)))
    engine.connection.unregister(registered)
    return f"{name}_spooled"
