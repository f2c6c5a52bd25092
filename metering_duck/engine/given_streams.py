"""Given streams: rows that come from outside while DuckDB reads them, and why they broke off.

Who reads an Arrow stream is told the text of an error at most. So the error itself is kept here.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import duckdb
import pyarrow as pa

from metering_duck.engine.locking import locked
from metering_duck.errors import SourceError

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


def consumed(where: str) -> SourceError:
    """The error for a stream that was read before."""
    return SourceError(
        f"{where}: is consumed, since it was read before; expected a stream that was not. "
        "hint: give a new one, or a table, which can be read again"
    )
