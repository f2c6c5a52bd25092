"""Writing: rows in the formats people use, beside the target first and then renamed, so that no half file is ever seen.

Rows go from DuckDB to the file as Arrow batches; JSON and CSV are already text when they leave SQL. A format is a name
in outputs/formats.py and a writer in this module; the writer of Excel's format is in outputs/workbooks.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import IO

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.errors import ConfigError, did_you_mean
from metering_duck.outputs.files import check_target, written_whole
from metering_duck.outputs.formats import OUTPUT_FORMATS
from metering_duck.outputs.texts import as_texts, limited, on_top
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query

ROW_GROUP_ROWS = 122_880


def write_query(engine: Engine, rows: Query, shape: str, target: str) -> None:
    """A query's rows in the format of the file's suffix; `shape` says what a row is."""
    kind = check_target(target)
    with written_whole(target) as file:
        write_rows(engine, rows, shape, None, file, kind)


def write_rows(engine: Engine, rows: Query, shape: str, json_sql: str | None, file: IO[bytes], kind: str) -> None:
    """A query's rows in one of OUTPUT_FORMATS; `json_sql` is a row's JSON, by default its columns."""
    if kind not in WRITERS:
        known = ", ".join(OUTPUT_FORMATS)
        raise ConfigError(
            f"format: found {kind!r}; expected one of {known}. hint: {did_you_mean(kind, OUTPUT_FORMATS)}"
        )
    WRITERS[kind](Written(engine, rows, shape, json_sql), file)


@dataclass(frozen=True)
class Written:
    """The rows to write: a query, what a row is called, and SQL for the JSON of a row where it is not its columns."""

    engine: Engine
    rows: Query
    shape: str
    json_sql: str | None

    @property
    def schema(self) -> pa.Schema:
        """The columns and their Arrow types."""
        return self.engine.table(limited(self.rows, 0)).schema

    def json_lines(self, before: str, after: str) -> Iterator[bytes]:
        """Each row's JSON between two texts, given as SQL; several rows at a time."""
        rows = as_texts(self.engine, self.rows) if self.json_sql is None else self.rows

        def line_sql(source: str) -> str:
            shaped = self.json_sql or f"CAST(to_json({source}) AS VARCHAR)"
            return select({"line": f"{before} || {shaped} || {after}"}, source)

        for batch in self.engine.stream(on_top(rows, "lines", "each row as JSON", line_sql)):
            yield from _bytes_of(batch.column(0))


def _write_ndjson(written: Written, file: IO[bytes]) -> None:
    for lines in written.json_lines("''", "chr(10)"):
        file.write(lines)


def _write_json(written: Written, file: IO[bytes]) -> None:
    """Write one array, with a row on each line."""
    is_empty = True
    for lines in written.json_lines("',' || chr(10)", "''"):
        if is_empty:
            # The comma of the first row is the bracket that opens the array.
            file.write(b"[" + lines[1:])
            is_empty = False
        else:
            file.write(lines)
    file.write(b"[]\n" if is_empty else b"\n]\n")


def _bytes_of(column: pa.Array) -> Iterator[bytes]:
    """All texts of a column one behind the other, straight from the column's Arrow buffer."""
    if len(column):
        plain = column if pa.types.is_string(column.type) else column.cast(pa.large_string())
        offsets = memoryview(plain.buffers()[1]).cast("i" if pa.types.is_string(plain.type) else "q")
        start, end = offsets[plain.offset], offsets[plain.offset + len(plain)]
        yield bytes(memoryview(plain.buffers()[2])[start:end])


def _write_csv(written: Written, file: IO[bytes]) -> None:
    from pyarrow import csv

    texts = replace(written, rows=as_texts(written.engine, written.rows))
    with csv.CSVWriter(file, texts.schema, write_options=csv.WriteOptions(quoting_style="needed")) as writer:
        for batch in texts.engine.stream(texts.rows):
            writer.write_batch(batch)


def _write_parquet(written: Written, file: IO[bytes]) -> None:
    from pyarrow import parquet

    schema = written.schema
    with parquet.ParquetWriter(file, schema, compression="zstd", store_schema=True) as writer:
        for table in _regular(written.engine.stream(written.rows), schema):
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)


def _write_arrow(written: Written, file: IO[bytes]) -> None:
    """Write an Arrow file; on a pipe, which cannot seek, an Arrow stream."""
    schema = written.schema
    opened = pa.ipc.new_file if file.seekable() else pa.ipc.new_stream
    with opened(file, schema) as writer:
        for table in _regular(written.engine.stream(written.rows), schema):
            writer.write_table(table)


def _write_xlsx(written: Written, file: IO[bytes]) -> None:
    from metering_duck.outputs.workbooks import write_workbook

    write_workbook(written.engine, written.rows, written.shape, file)


def _regular(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Rows cut anew every ROW_GROUP_ROWS rows, so that a file's bytes do not depend on how rows were batched (R23)."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        while count >= ROW_GROUP_ROWS:
            table = pa.Table.from_batches(held, schema).combine_chunks()
            yield table.slice(0, ROW_GROUP_ROWS)
            held = table.slice(ROW_GROUP_ROWS).to_batches()
            count -= ROW_GROUP_ROWS
    if count:
        yield pa.Table.from_batches(held, schema).combine_chunks()


# The name of a format in OUTPUT_FORMATS → the function that writes it.
WRITERS: dict[str, Callable[[Written, IO[bytes]], None]] = {
    "json": _write_json,
    "ndjson": _write_ndjson,
    "csv": _write_csv,
    "parquet": _write_parquet,
    "arrow": _write_arrow,
    "xlsx": _write_xlsx,
}
