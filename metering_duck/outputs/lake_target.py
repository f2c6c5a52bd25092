"""What a table that rows are written into does, whichever library writes it, and how the rows reach that library.

A target is a table as it was when it was opened. A commit is made on this version, or fails with the target's
`conflict`. Libraries would try a late commit again by themselves, without looking for ids that came meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.statements.stages import Query

# How many rows of Batches.tables are in memory at once.
CHUNK_ROWS = 500_000
Partition = Mapping[str, object]


class Batches:
    """Rows on their way into a library; `failure` is the error that stopped them, which libraries only retell.

    `ids` is the definition of the rows' ids, which a table that has no others is marked with; "" for no mark.
    """

    def __init__(self, engine: Engine, query: Query, schema: pa.Schema, ids: str = "") -> None:
        self._engine, self._query, self.schema, self.ids = engine, query, schema, ids
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._engine.stream(self._query)
        except Exception as error:
            self.failure = error
            raise

    def reader(self, schema: pa.Schema) -> pa.RecordBatchReader:
        """The rows as a stream of batches, one of them in memory at a time, under these columns."""
        return pa.RecordBatchReader.from_batches(schema, iter(self))

    def tables(self) -> Iterator[pa.Table]:
        """The rows as tables of CHUNK_ROWS rows, or a few more, one of them in memory at a time."""
        held: list[pa.RecordBatch] = []
        for batch in self:
            held.append(batch)
            if sum(part.num_rows for part in held) >= CHUNK_ROWS:
                yield pa.Table.from_batches(held, self.schema)
                held = []
        if held:
            yield pa.Table.from_batches(held, self.schema)


class Target(Protocol):
    """A table as it was when it was opened; `schema` is None where there is no such table yet.

    `ids` is the definition of ids that the table is marked with, "" where it has no mark.
    """

    where: str
    place: str
    schema: pa.Schema | None
    partitions: tuple[str, ...]
    ids: str
    conflict: type[Exception]

    @property
    def name(self) -> str:
        """The table at its version, as an input that reads the same version again."""

    @property
    def state(self) -> object:
        """A value that every commit changes."""

    def rows(self, columns: Sequence[str]) -> Any:
        """The table's rows, which Arrow can stream once, with these columns and perhaps others."""

    def create(self, batches: Batches, partition_by: Sequence[str]) -> None:
        """Make the table and put rows into it."""

    def append(self, batches: Batches) -> None:
        """Add rows."""

    def merge(self, batches: Batches, ids: Sequence[str]) -> None:
        """Add rows in place of those that have the `ids`."""

    def overwrite(self, batches: Batches, partitions: Sequence[Partition] | None) -> None:
        """Put rows in place of all rows of the table, or of the rows of some partitions."""


@dataclass(frozen=True)
class Destination:
    """A kind of table that can be written: its library, an example of its name, and what opens one.

    `opened` takes the table's name for messages and its place; it raises ImportError where the library is missing.
    """

    library: str
    example: str
    opened: Callable[[str, str], Target]
