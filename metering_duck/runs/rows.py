"""Rows: one query's rows, as Arrow, DataFrames, dicts and files.

Rows own their engine, and close it when they are closed or forgotten. outputs/writing.py writes them to files.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import shown
from metering_duck.errors import ConfigError, spelled
from metering_duck.inputs.lakes import is_lake
from metering_duck.outputs.files import check_not_read, path_or_url, target_of, written_whole
from metering_duck.outputs.formats import format_of_path
from metering_duck.outputs.texts import as_texts, counted, limited
from metering_duck.outputs.trees import write_tree
from metering_duck.outputs.writing import write_rows
from metering_duck.statements.stages import Query

if TYPE_CHECKING:
    import pandas
    import polars


def _no_library(method: str, library: str) -> ConfigError:
    return ConfigError(
        f"{method}: found no {library}; expected it installed. hint: pip install {library}, or take to_arrow()"
    )


def _checked(count: int) -> int:
    """A number of rows.

    Raises: ConfigError for a negative one, and for what is no whole number.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count < 1 << 63:
        raise ConfigError(f"count: found {spelled(count)}; expected a whole number of rows, 0 or more.")
    return count


class Rows:
    """The rows of a query, read as often as is wanted; they own the query's engine.

    Shape:  `shape` says in a word what a row is; `json_sql` is a row's JSON text in SQL, by default its columns.
    Exact:  quantities are DECIMAL; the same input gives the same bytes in every format (R23).
    Raises: SourceError, Interrupted; ConfigError once they are closed.

    `has_earlier_ids` says that readings have ids as an earlier version made them (R21).
    """

    has_earlier_ids = False

    def __init__(self, engine: Engine, query: Query, shape: str, json_sql: str | None = None) -> None:
        self._engine, self._query, self._shape, self._json_sql = engine, query, shape, json_sql
        self._finalizer = weakref.finalize(self, engine.close)

    @property
    def shape(self) -> str:
        """What a row is: record, record-bundle, reading, reading-bundle, period, …"""
        return self._shape

    @property
    def schema(self) -> pa.Schema:
        """The columns and their Arrow types."""
        return self._engine.table(limited(self._rows(), 0)).schema

    def _check_open(self) -> None:
        """Refuse to read rows that are closed."""
        if not self._finalizer.alive:
            raise ConfigError("result: is closed; expected an open one. hint: read it inside its with statement")

    def _rows(self) -> Query:
        """The query of the rows, ready to run; whatever files they are read from are proven whole first."""
        self._check_open()
        self._engine.gate.proofs()
        return self._query

    def to_arrow(self) -> pa.Table:
        """The rows as an Arrow table."""
        return self._engine.table(self._rows())

    def to_reader(self) -> pa.RecordBatchReader:
        """The rows as Arrow batches, one at a time in memory."""
        return pa.RecordBatchReader.from_batches(self.schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """The batches of the rows, which stay open as long as somebody has their batches."""
        for batch in self._engine.stream(self._rows()):
            yield batch
            self._check_open()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The Arrow PyCapsule stream, so that any Arrow library reads a result as it is."""
        return self.to_reader().__arrow_c_stream__(requested_schema)

    def pl(self) -> polars.DataFrame:
        """The rows as a Polars DataFrame; a map becomes a list of entries there."""
        try:
            import polars
        except ImportError:
            raise _no_library("pl", "polars") from None
        return polars.DataFrame(self.to_arrow())

    def df(self) -> pandas.DataFrame:
        """The rows as a pandas DataFrame; quantities stay Decimal objects. Needs pandas."""
        try:
            import pandas  # noqa: F401 - Arrow imports it
        except ImportError:
            raise _no_library("df", "pandas") from None
        return self.to_arrow().to_pandas(maps_as_pydicts="strict")

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as dicts by column name: Decimal quantities, datetimes in UTC, maps as dicts."""
        rows: list[dict[str, Any]] = self.to_arrow().to_pylist(maps_as_pydicts="strict")
        return rows

    def write(
        self,
        path: str | os.PathLike[str],
        format: str | None = None,
        *,
        partition_by: Sequence[str] = (),
        mode: str | None = None,
    ) -> Path | str:
        """Write the rows to a file, a URL or a table, which is there when it is whole: nothing half-written is seen.

        The format is taken from the suffix: .json .ndjson .csv .parquet .arrow .xlsx. With `partition_by`, Parquet in
        Hive-partitioned folders below `path`: columns of the rows, or the year, month or date of their UTC time.
        Records and readings go into delta://PATH and iceberg://CATALOG/NAMESPACE.TABLE, too, in one commit, by `mode`:
        merge (if none is given) by their ids, append those that are not there, overwrite their partitions or all.
        Gives back what was written, a table with its version.

        Raises: ConfigError for a suffix or a column that there is not; SchemaError for a table of other columns;
                SourceError where nothing can be written.
        """
        target = target_of(path)
        if is_lake(target):
            return self._write_table(target, format, partition_by, mode)
        if mode is not None:
            raise ConfigError(f"mode: found {mode!r} for {shown(target)}; expected a Delta or Iceberg table.")
        check_not_read(target, self._engine.reads, next(iter(partition_by), ""))
        if partition_by:
            write_tree(self._engine, self._rows(), self._shape, target, partition_by)
            return path_or_url(target)
        kind = format or format_of_path(Path(target))
        with written_whole(target) as file:
            self.write_to(file, kind)
        return path_or_url(target)

    def _write_table(self, target: str, format: str | None, partition_by: Sequence[str], mode: str | None) -> str:
        from metering_duck.outputs.lake_writing import write_table

        if format is not None:
            raise ConfigError(
                f"format: found {format!r} for {shown(target)}; expected none, since a table has its own."
            )
        rows, ids = self._rows(), self.has_earlier_ids
        return write_table(
            self._engine, rows, self._shape, target, mode=mode, partition_by=partition_by, has_earlier_ids=ids
        )

    def write_to(self, file: IO[bytes], format: str) -> None:
        """Write the rows to an open binary file."""
        write_rows(self._engine, self._rows(), self._shape, self._json_sql, file, format)

    def head(self, count: int) -> list[dict[str, Any]]:
        """The first rows as plain texts, for a table on a screen."""
        texts = as_texts(self._engine, self._rows())
        rows: list[dict[str, Any]] = self._engine.table(limited(texts, _checked(count))).to_pylist()
        return rows

    def count(self) -> int:
        """How many rows there are."""
        return int(self._engine.table(counted(self._rows())).column(0)[0].as_py())

    def close(self) -> None:
        """Give back memory and temporary files; nothing can be read afterwards."""
        self._finalizer()

    def first(self, count: int) -> Rows:
        """The first rows only; the new rows own the engine from now on."""
        return self.handed_over(limited(self._rows(), _checked(count)), self._shape)

    def handed_over(self, query: Query, shape: str) -> Rows:
        """The rows of another query of the same engine; the new rows own the engine from now on."""
        self._finalizer.detach()
        return Rows(self._engine, query, shape)

    def interrupt(self) -> None:
        """Stop a read that runs in another thread; it raises Interrupted there."""
        self._engine.interrupt()

    def __repr__(self) -> str:
        """What a row is; nothing is read."""
        return f"<Rows: {self.shape}s>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
