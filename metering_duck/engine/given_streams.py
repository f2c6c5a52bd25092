"""Given streams: rows that come from outside while DuckDB reads them, and why they broke off.

Who reads an Arrow stream is told the text of an error at most. So the error itself is kept here.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import duckdb
import pyarrow as pa

from metering_duck.engine.locking import locked
from metering_duck.errors import SchemaError, SourceError

# Streams whose rows were taken here, and are gone.
_taken: weakref.WeakSet[pa.RecordBatchReader] = weakref.WeakSet()


class GivenStream:
    """The batches of a stream that somebody gave; `failure` is why it broke off, if it did."""

    def __init__(self, given: pa.RecordBatchReader, where: str) -> None:
        self.where = where
        self.failure: BaseException | None = None
        self._given = given

    @property
    def reader(self) -> pa.RecordBatchReader:
        """The same batches."""
        return pa.RecordBatchReader.from_batches(self._given.schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            if self._given in _taken:
                raise consumed(self.where)
            _taken.add(self._given)
            is_empty = True
            for batch in self._given:
                is_empty = False
                check_batch(batch, self._given.schema, self.where)
                yield batch
            if is_empty:
                self._check_not_consumed()
        except BaseException as error:
            self.failure = error
            raise

    def _check_not_consumed(self) -> None:
        """Refuse a stream whose rows somebody else's connection has taken: pyarrow would call it empty, DuckDB knows.

        Raises: SourceError.
        """
        with locked() as connection:
            try:
                connection.register("given", self._given)
                connection.execute("SELECT count(*) FROM given")
            except duckdb.InvalidInputException:
                raise consumed(self.where) from None


def check_batch(batch: pa.RecordBatch, schema: pa.Schema, where: str) -> None:
    """Refuse a batch of other columns than its stream: DuckDB would read its memory by the stream's schema.

    Raises: SchemaError.
    """
    if batch.schema.names == schema.names and batch.schema.types == schema.types:
        return
    expected, found = (dict(zip(one.names, one.types, strict=True)) for one in (schema, batch.schema))
    for name in {**expected, **found}:
        if _spelled(expected.get(name)) != _spelled(found.get(name)):
            raise SchemaError(
                where,
                name,
                found=f"{_spelled(found.get(name))} in a batch",
                expected=f"{_spelled(expected.get(name))}, as the stream's schema says",
                hint="give all batches one schema",
            )
    if list(expected) != list(found):
        hint = "give all batches one schema"
        raise SchemaError(where, batch.schema.names[0], found="it first in a batch", expected="one order", hint=hint)


def _spelled(kind: pa.DataType | None) -> str:
    """A type in words; whether its parts may be absent does not matter for how they lie in memory."""
    return "none" if kind is None else str(kind).replace(" not null", "")


def consumed(where: str) -> SourceError:
    """The error for a stream that was read before."""
    return SourceError(
        f"{where}: is consumed, since it was read before; expected a stream that was not. "
        "hint: give a new one, or a table, which can be read again"
    )
