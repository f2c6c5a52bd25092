"""Writing: rows in the formats people use, beside the target first and then renamed, so that no half file is ever seen.

Rows go from DuckDB to the file as Arrow batches; what is JSON or CSV is already text when it leaves SQL. Excel is
outputs/workbooks.py's.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa

from metering_duck.contract.json_shapes import LIST_SQL
from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import filesystem_of, scheme_of, shown, written_url
from metering_duck.errors import ConfigError, SourceError, did_you_mean
from metering_duck.inputs.lakes import is_lake
from metering_duck.statements.quote import identifier
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query, Stage

FORMATS = {
    "json": (".json",),
    "ndjson": (".ndjson", ".jsonl"),
    "csv": (".csv",),
    "parquet": (".parquet", ".pq"),
    "arrow": (".arrow", ".feather", ".ipc"),
    "xlsx": (".xlsx",),
}
ROW_GROUP_ROWS = 122_880
_partial_files: set[str] = set()


def format_of_path(path: Path) -> str:
    """The format that a file's suffix names.

    Raises: ConfigError for a suffix that names none.
    """
    for kind, suffixes in FORMATS.items():
        if path.suffix.lower() in suffixes:
            return kind
    known = [suffix for suffixes in FORMATS.values() for suffix in suffixes]
    raise ConfigError(
        f"{path}: found the suffix {path.suffix!r}; expected a format. hint: {did_you_mean(path.suffix, known)}"
    )


def path_or_url(target: str) -> Path | str:
    """What was written, as a path where it is on this machine."""
    return target if scheme_of(target) else Path(target)


def written_whole(target: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    """A new file at a path or a URL that is there when it is whole."""
    return written_url(target) if scheme_of(target) else written_beside(Path(target))


@contextlib.contextmanager
def written_beside(target: Path) -> Iterator[IO[bytes]]:
    """A new file beside `target` that takes its place when all went well, and is removed when not."""
    if target.exists() and not target.is_file():
        with open(target, "wb") as file:
            yield file
        return
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".partial", dir=target.parent)
    except OSError as error:
        raise SourceError(
            f"{target}: cannot be written ({error.strerror}); expected a folder that exists and may be written."
        ) from None
    _partial_files.add(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    finally:
        _partial_files.discard(name)


def remove_partial_files() -> None:
    """Remove files that are being written: for a process that is about to leave."""
    for name in list(_partial_files):
        with contextlib.suppress(OSError):
            os.unlink(name)


def check_target(given: str) -> str:
    """The format of a file that is to be written later; finds out now whether it can be.

    Raises: ConfigError for a suffix that names no format, or a table; SourceError for a folder that is not there.
    """
    if is_lake(given):
        raise ConfigError(f"{shown(given)}: found a table; expected a file. hint: a table takes records and readings")
    target = Path(given)
    kind = format_of_path(target)
    if scheme_of(given):
        filesystem_of(given)
        return kind
    if target.is_dir() or not target.parent.is_dir():
        raise SourceError(f"{target}: cannot be written; expected a file in a folder that exists.")
    return kind


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


def on_top(rows: Query, name: str, why: str, sql_of: Callable[[str], str]) -> Query:
    """Another stage that reads the query's last one, in its order; `sql_of` is given the name to read."""
    *before, last = rows.stages
    kept = Stage(f"{last.name}_rows", last.why, last.sql)
    return Query(rows.name, (*before, kept, Stage(name, why, sql_of(kept.name))), rows.parameters)


def limited(rows: Query, count: int) -> Query:
    """The first rows of a query."""
    return on_top(rows, "limited", "the first rows", lambda source: f"{select({}, source, star='*')}\nLIMIT {count}")


def counted(rows: Query) -> Query:
    """How many rows a query has."""
    return on_top(rows, "counted_rows", "how many", lambda source: select({"row_count": "count(*)"}, source))


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


def as_texts(engine: Engine, rows: Query) -> Query:
    """The rows with every column as the text a person or a CSV file wants: plain quantities, RFC 3339, maps as JSON."""
    schema = engine.table(limited(rows, 0)).schema
    texts = {identifier(name): _text_sql(name, kind) for name, kind in zip(schema.names, schema.types, strict=True)}
    return on_top(rows, "texts", "each value as text", lambda source: select(texts, source))


def _text_sql(name: str, kind: pa.DataType) -> str:
    column = identifier(name)
    if pa.types.is_decimal(kind):
        return f"plain_text({column})"
    if pa.types.is_timestamp(kind):
        return f"time_text({column} AT TIME ZONE 'UTC')"
    if name in LIST_SQL:
        return LIST_SQL[name]
    if pa.types.is_nested(kind):
        return f"CAST(to_json({column}) AS VARCHAR)"
    return column


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
