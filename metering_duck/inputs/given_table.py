"""A given table: rows in this process, as an Arrow table or as an object that Arrow can stream."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.errors import SourceError
from metering_duck.inputs.arrow_columns import ExactRows, exact_rows
from metering_duck.inputs.footers import NO_FOOTERS, Footers
from metering_duck.inputs.from_columns import check_names
from metering_duck.inputs.in_shell import InShell
from metering_duck.inputs.input import OF_THIS_MACHINE, Input, Needed, OtherEngine
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation
from metering_duck.inputs.unreadable import NONE, UnreadableColumns
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query, Stage


@dataclass(frozen=True)
class GivenTable:
    """An object with an Arrow stream; `rereadable` says whether the stream can be read more than once.

    `shell_sql` is SQL by which a shell reads the same rows, "" where there is none; `assumed` is the file that it
    reads, if nobody gave it. `unreadable` are columns that Arrow does not have, and that may not be used. A stream that
    `is_opened_here` is closed with the engine.
    """

    data: Any
    name: str
    rereadable: bool
    shell_sql: str = ""
    assumed: str = ""
    unreadable: UnreadableColumns = field(default_factory=lambda: NONE)
    is_opened_here: bool = False
    paths: ClassVar[Sequence[str]] = ()
    extensions: ClassVar[Sequence[str]] = ()
    versions: ClassVar[Sequence[str]] = ()
    footers: ClassVar[Footers] = NO_FOOTERS

    def relation(self, engine: Engine, name: str = "input") -> Relation:
        """The table where it is in memory, or, of a stream that is read once, a copy of its rows in the engine."""
        take = register_rows if self.rereadable else keep_rows
        found = take(engine, self.data, self.name, name)
        return replace(found, unreadable={**found.unreadable, **self.unreadable})

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """The whole table: it has no partitions."""
        needed.check_no_times(self.name)
        return self, None

    def in_shell(self) -> InShell:
        """By the SQL for the same rows, if there is any; otherwise the reader has to make a table of them."""
        if self.shell_sql:
            return InShell(relation=self.shell_sql, assumed=self.assumed)
        return InShell(kind="rows" if self.rereadable else "spooled", rows="the rows")

    def let_go(self) -> None:
        """Close a stream that was opened here: a DuckDB relation keeps its connection for itself until then."""
        if self.is_opened_here:
            with contextlib.suppress(pa.ArrowException):
                self.data.close()

    def file_sizes(self) -> list[int]:
        """No number: the table is in memory."""
        return []

    def read_by(self, engine: OtherEngine) -> Any:
        """Only DuckDB reads this kind of input."""
        engine.refuse(self.name, OF_THIS_MACHINE)


def register_rows(engine: Engine, data: Any, where: str, name: str) -> Relation:
    """Register a table in the engine, with the types that it reads exactly.

    Raises: SourceError for a table without columns; SchemaError for names that differ only in case.
    """
    rows = _checked(engine, data, where)
    engine.register(f"{name}_rows", rows.data, where)
    return Relation(f"{name}_rows", unreadable=rows.unreadable, has_keys_once=True)


def keep_rows(engine: Engine, data: Any, where: str, name: str, *, first: int | None = None) -> Relation:
    """Copy a stream, whose rows are read more than once, into a table of the engine, which may spill.

    With `first`, only so many rows.

    Raises: SourceError for a stream without columns; SchemaError for names that differ only in case.
    """
    rows = _checked(engine, data, where)
    engine.register(f"{name}_rows", rows.data, where)
    source = f"{name}_rows" if first is None else f"(FROM {name}_rows LIMIT {first})"
    stage = Stage("rows", "a stream, kept so that it can be read twice", select({}, source, star="*"))
    engine.fill(Query(f"{name}_spooled", (stage,)))
    engine.unregister(f"{name}_rows")
    return Relation(f"{name}_spooled", unreadable=rows.unreadable, has_keys_once=True)


def _checked(engine: Engine, data: Any, where: str) -> ExactRows:
    """The rows with types that the engine reads exactly, their names checked."""
    try:
        names = data.schema.names
    except UnicodeDecodeError:
        raise SourceError(
            f"{where}: found a column whose name is not UTF-8; expected names in UTF-8. hint: write it anew"
        ) from None
    if not names:
        raise SourceError(f"{where}: found no column; expected those of events.")
    check_names(data.schema, where)
    rows = exact_rows(engine, data, where)
    if not rows.data.schema.names:
        next(iter(rows.unreadable.values())).refuse()
    return rows
