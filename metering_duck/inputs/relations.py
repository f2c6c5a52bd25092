"""Relations: what stands behind FROM for each kind of input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import open_url, scheme_of, shown
from metering_duck.errors import SchemaError, SourceError
from metering_duck.inputs.fields import ABSENT, FILE_COLUMN
from metering_duck.inputs.files import csv_header, parquet_schema
from metering_duck.inputs.from_columns import check_names, check_not_ours
from metering_duck.inputs.input import Files, Input, Lines, Rows
from metering_duck.inputs.lake_days import TableDays
from metering_duck.inputs.lakes import Attached, LakeTable
from metering_duck.statements.quote import literal, path_list
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query, Stage

PLACE_COLUMN = "metering_duck_place"
SAMPLE_ROWS = 1_000
# A line of JSON is read as one CSV column: no text that JSON allows holds these raw control characters.
NO_DELIMITER = "\x01\x02\x03\x04"


LINE_BYTES_MAX = 64 << 20
BLANK = "chr(9) || chr(13) || ' '"


def relation_of(engine: Engine, found: Input, name: str = "input") -> tuple[str, bool]:
    """SQL that can stand behind FROM, and whether it is JSON in a column `line`; `name` begins that of what is kept."""
    if isinstance(found, Lines):
        engine.connection.register(f"{name}_lines", found.table)
        return f"(SELECT line, {ABSENT} AS {FILE_COLUMN} FROM {name}_lines)", True
    if isinstance(found, Rows):
        return _rows(engine, found, name), False
    if isinstance(found, LakeTable):
        return _lake_rows(engine, found, name), False
    if isinstance(found, TableDays):
        return _days(engine, found, name), False
    if isinstance(found, Attached):
        return engine.attach(found.attach_sql, found.table, found.name), False
    readers = {"parquet": _parquet, "csv": _csv, "ndjson": _ndjson, "json": _json_objects, "objects": _json_objects}
    if found.format == "arrow":
        return _rows(engine, Rows(_arrow_reader(found.paths), found.name, rereadable=False), name), False
    return readers[found.format](found), found.format in ("ndjson", "json", "objects")


def _reader(function: str, found: Files, **options: str) -> str:
    """A table function over the files, with their path in a column of its own and Hive partitions as text."""
    hive = "hive_partitioning = true, hive_types_autocast = false" if found.keys else "hive_partitioning = false"
    given = ", ".join(f"{name} = {value}" for name, value in options.items())
    return f"{function}({path_list(found.paths)}, {given}, {hive}, filename = {literal(FILE_COLUMN)})"


def _parquet(found: Files) -> str:
    """Files together by name. Names that differ only in case are refused, since SQL cannot tell them apart."""
    schema = parquet_schema(found.paths[0])
    check_names(schema, found.paths[0])
    check_not_ours(schema.names, found.paths[0])
    return _reader("read_parquet", found, union_by_name="true")


def _csv(found: Files) -> str:
    """Files of one header and delimiter together, others beside them by name; every column is text.

    Nothing is sniffed: a sniffed type would lose digits, and a sniffed header may be any row.
    """
    by_header: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for path in found.paths:
        by_header.setdefault(csv_header(path), []).append(path)
    readers = []
    (_, first), *_ = by_header
    for (delimiter, header), paths in by_header.items():
        if not set(first) & set(header):
            hint = "give it a header line, or read it apart"
            columns = ", ".join(header[:5])
            raise SchemaError(
                paths[0], columns, found="a header of its own", expected="columns as in the others", hint=hint
            )
        types = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in header)
        reader = _reader(
            "read_csv",
            replace(found, paths=tuple(paths)),
            columns=f"{{{types}}}",
            header="true",
            auto_detect="false",
            allow_quoted_nulls="false",
            delim=literal(delimiter),
            quote="'\"'",
            escape="'\"'",
        )
        readers.append(f"SELECT * FROM {reader}")
    return f"({' UNION ALL BY NAME '.join(readers)})"


def _ndjson(found: Files) -> str:
    lines = _reader(
        "read_csv",
        found,
        columns="{'line': 'VARCHAR'}",
        delim=literal(NO_DELIMITER),
        quote="''",
        escape="''",
        header="false",
        auto_detect="false",
        max_line_size=str(LINE_BYTES_MAX),
        strict_mode="false",
    )
    return f"(SELECT line, {FILE_COLUMN} FROM {lines} WHERE trim(line, {BLANK}) <> '')"


def _json_objects(found: Files) -> str:
    """An array, or objects written over several lines."""
    layout = "'array'" if found.format == "json" else "'unstructured'"
    objects = _reader("read_json_objects", found, format=layout, maximum_object_size=str(LINE_BYTES_MAX))
    return f"(SELECT CAST(json AS VARCHAR) AS line, {FILE_COLUMN} FROM {objects})"


def _rows(engine: Engine, found: Rows, name: str) -> str:
    """A table as it is; a stream first goes into a table of the engine's, which spills: it is read more than once."""
    if not found.data.schema.names:
        raise SourceError(f"{found.name}: found no column; expected those of events.")
    check_names(found.data.schema, found.name)
    engine.connection.register(f"{name}_rows", found.data)
    if found.rereadable:
        return f"{name}_rows"
    rows = Stage("rows", "a stream, kept so that it can be read twice", select({}, f"{name}_rows", star="*"))
    engine.fill(Query(f"{name}_spooled", (rows,)))
    engine.connection.unregister(f"{name}_rows")
    return f"{name}_spooled"


def _lake_rows(engine: Engine, found: LakeTable, name: str) -> str:
    """A table of a lake; where its reader only streams, its first rows until the others are asked for."""
    plain = _plain_rows(engine, found)
    if plain:
        return plain
    data, rereadable = found.opened()
    if rereadable:
        return _rows(engine, Rows(data, found.name, rereadable), name)
    check_names(data.schema, found.name)
    spooled = f"{name}_spooled"
    engine.connection.register(f"{name}_rows", data)
    first = select({}, f"(FROM {name}_rows LIMIT {SAMPLE_ROWS})", star="*")
    engine.fill(Query(spooled, (Stage("first_rows", "what tells how rows lie", first),)))
    engine.connection.unregister(f"{name}_rows")
    engine.postpone(lambda: _rows(engine, Rows(found.opened()[0], found.name, rereadable=False), name))
    return spooled


def _plain_rows(engine: Engine, found: LakeTable) -> str:
    """A table by its files, which DuckDB reads faster than any library can hand rows to it; "" where it may not be.

    A file may have a column in another type than the table says, such as times without a zone.
    """
    plain = found.plain_files
    if plain is None or not plain.are_here:
        return ""
    engine.connection.register("lake_columns", found.schema.empty_table())
    expected = engine.describe("lake_columns")
    engine.connection.unregister("lake_columns")
    return (
        f"({select({}, plain.sql, star='*', where=found.conditions)})" if engine.describe(plain.sql) == expected else ""
    )


def _days(engine: Engine, found: TableDays, name: str) -> str:
    """Days of a table by the names of their columns, each row with its day in place of a file."""
    scans = []
    for n, (table, where) in enumerate(found.scans()):
        rows = _plain_rows(engine, table)
        if not rows:
            data, rereadable = table.opened()
            rows = _rows(engine, Rows(data, table.name, rereadable), f"{name}_{n}")
        scans.append(select({FILE_COLUMN: found.day_sql(table)}, rows, star="*", where=[where] if where else []))
    return f"({' UNION ALL BY NAME '.join(scans)})"


def _arrow_reader(paths: tuple[str, ...]) -> pa.RecordBatchReader:
    """Arrow IPC files and streams, memory-mapped, one batch at a time."""
    try:
        schema = _open_arrow(paths[0]).schema
        return pa.RecordBatchReader.from_batches(schema, (batch for path in paths for batch in _arrow_batches(path)))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise SourceError(f"{shown(paths[0])}: cannot be read ({error}); expected an Arrow IPC file.") from None


def _open_arrow(path: str) -> Any:
    source = pa.PythonFile(open_url(path)) if scheme_of(path) else pa.memory_map(path)
    try:
        return pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_stream(source)


def _arrow_batches(path: str) -> Iterator[pa.RecordBatch]:
    opened = _open_arrow(path)
    if isinstance(opened, pa.RecordBatchFileReader):
        return (opened.get_batch(n) for n in range(opened.num_record_batches))
    return iter(opened)


def first_keys(engine: Engine, relation: str, text: str = "line") -> list[str]:
    """The names that the first objects have; `text` is SQL for theirs."""
    first = f"(SELECT {text} AS line FROM {relation} LIMIT {SAMPLE_ROWS})"
    rows = engine.rows(
        f"SELECT DISTINCT unnest(json_keys(line)) AS key FROM {first} "
        "WHERE json_valid(line) AND json_type(line) = 'OBJECT' ORDER BY key"
    )
    return [str(row[0]) for row in rows]
