"""Writing: rows in the formats people use, beside the target first and then renamed, so that no half file is ever seen.

Rows go from DuckDB to the file as Arrow batches; what is JSON or CSV is already text when it leaves SQL. Excel is
outputs/workbooks.py's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.errors import ConfigError, did_you_mean
from metering_duck.outputs.files import FORMATS, check_target, written_whole
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
    """A query's rows in one of FORMATS; `json_sql` is a row's JSON, by default its columns."""
    if kind in ("json", "ndjson"):
        _write_json(engine, rows, json_sql, file, array=kind == "json")
    elif kind == "csv":
        _write_csv(engine, rows, file)
    elif kind in ("parquet", "arrow"):
        _write_arrow(engine, rows, file, kind)
    elif kind == "xlsx":
        from metering_duck.outputs.workbooks import write_workbook

        write_workbook(engine, rows, shape, file)
    else:
        raise ConfigError(
            f"format: found {kind!r}; expected one of {', '.join(FORMATS)}. hint: {did_you_mean(kind, FORMATS)}"
        )


def _write_json(engine: Engine, rows: Query, json_sql: str | None, file: IO[bytes], *, array: bool) -> None:
    before, after = ("',' || chr(10)", "''") if array else ("''", "chr(10)")
    if json_sql is None:
        rows = as_texts(engine, rows)

    def line_sql(source: str) -> str:
        shaped = json_sql or f"CAST(to_json({source}) AS VARCHAR)"
        return select({"line": f"{before} || {shaped} || {after}"}, source)

    lines = on_top(rows, "lines", "each row as JSON", line_sql)
    first = True
    for batch in engine.stream(lines):
        for text_bytes in _bytes_of(batch.column(0)):
            file.write((b"[" + text_bytes[1:] if first else text_bytes) if array else text_bytes)
            first = False
    if array:
        file.write(b"[]\n" if first else b"\n]\n")


def _bytes_of(column: pa.Array) -> Iterator[bytes]:
    """All texts of a column one behind the other, straight from its Arrow buffer."""
    if len(column):
        plain = column if pa.types.is_string(column.type) else column.cast(pa.large_string())
        offsets = memoryview(plain.buffers()[1]).cast("i" if pa.types.is_string(plain.type) else "q")
        start, end = offsets[plain.offset], offsets[plain.offset + len(plain)]
        yield bytes(memoryview(plain.buffers()[2])[start:end])


def _write_csv(engine: Engine, rows: Query, file: IO[bytes]) -> None:
    from pyarrow import csv

    texts = as_texts(engine, rows)
    schema = engine.table(limited(texts, 0)).schema
    with csv.CSVWriter(file, schema, write_options=csv.WriteOptions(quoting_style="needed")) as writer:
        for batch in engine.stream(texts):
            writer.write_batch(batch)


def _write_arrow(engine: Engine, rows: Query, file: IO[bytes], kind: str) -> None:
    schema = engine.table(limited(rows, 0)).schema
    if kind == "parquet":
        from pyarrow import parquet

        with parquet.ParquetWriter(file, schema, compression="zstd", store_schema=True) as writer:
            for table in _regular(engine.stream(rows), schema):
                writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        return
    new = pa.ipc.new_file if file.seekable() else pa.ipc.new_stream
    with new(file, schema) as writer:
        for table in _regular(engine.stream(rows), schema):
            writer.write_table(table)


def _regular(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Batches cut anew every ROW_GROUP_ROWS rows, so that a file's bytes do not depend on how they came (R23)."""
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
