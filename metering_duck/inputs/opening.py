"""Sources: any input becomes something that can stand behind FROM, and the one layout that judging/events.py reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import open_url, scheme_of, shown
from metering_duck.errors import SchemaError, SourceError
from metering_duck.inputs.files import Files, Input, Lines, Rows, csv_header, parquet_schema
from metering_duck.inputs.foreign_shapes import EVENT_COLUMN, Shape, check_wrapped
from metering_duck.inputs.from_columns import check_names, check_not_ours, columns_layout, is_scalar
from metering_duck.inputs.from_json import objects_layout
from metering_duck.inputs.lake_days import TableDays
from metering_duck.inputs.lakes import Attached, LakeTable
from metering_duck.inputs.layout import ABSENT, FILE_COLUMN, NO_PROPERTIES, Layout, field_names
from metering_duck.inputs.mapping import SHOWN_COLUMNS, FieldMap
from metering_duck.inputs.proofs import proven_columns
from metering_duck.statements.quote import identifier, literal, path_list
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query, Stage

PLACE_COLUMN = "metering_duck_place"
SAMPLE_ROWS = 1_000
# A line of JSON is read as one CSV column: no text that JSON allows holds these raw control characters.
NO_DELIMITER = "\x01\x02\x03\x04"
# How many footers are asked for one after another, where they are elsewhere.
FOOTERS_AT_ONCE = 32
LINE_BYTES_MAX = 64 << 20
BLANK = "chr(9) || chr(13) || ' '"


def open_source(
    engine: Engine,
    found: Input,
    *,
    records: bool = False,
    map: Mapping[str, Any] | None = None,
    zone: str = "UTC",
    generate_ids: bool = False,
    numbers_rows: bool = False,
    shape: Shape | None = None,
    read_by: Callable[[Engine, Input], Input] | None = None,
) -> Layout:
    """The layout of an input. The engine must already be allowed to read its files.

    Where something else reads it, `read_by` gives rows like those that it has; files are held against each other here.
    With `numbers_rows`, each row knows its place in its file, counted from 1. With a `shape`, its events have other
    names and places.

    Raises: SchemaError for a column that is missing or of a wrong type; SourceError for what cannot be read.
    """
    mapping = FieldMap(map, field_names(records=records))
    if isinstance(found, Files) and found.format == "parquet" and (len(found.paths) > 1 or read_by):
        engine.keep("file_columns", _columns_of_files(engine, found.paths))
        _check_drift(engine)
        _check_spellings(engine)
        if shape is None:
            _check_plain_columns(engine, found, mapping)
    if read_by is not None:
        found = read_by(engine, found)
    relation, is_json = relation_of(engine, found)
    if shape and shape.is_wrapped and not is_json:
        relation, is_json = _events_of(engine, found, relation, shape), True
        shape = None
    if shape and is_json:
        shape.add_constants(mapping)
        relation = shape.unwrapped(relation)
    layout = Layout(relation, {}, NO_PROPERTIES, zone=zone, is_records=records, generates_ids=generate_ids)
    if numbers_rows and isinstance(found, Files):
        numbered, row_sql = _numbered(found, relation)
        layout = replace(layout, relation=numbered, row_sql=row_sql)
    label = found.label if isinstance(found, Files) else None
    file_sql = literal(label) if label else FILE_COLUMN
    if is_json:
        layout = replace(layout, file_sql=file_sql)
        if shape:
            return _shaped_objects(engine, layout, found.name, mapping, shape)
        return objects_layout(layout, first_keys(engine, relation), found.name, mapping)
    types = engine.describe(relation)
    if types.pop(FILE_COLUMN, None):
        layout = replace(layout, file_sql=file_sql)
    _take_plain_column(engine, relation, types, mapping)
    if shape:
        shape.add_constants(mapping, types)
        relation = shape.as_columns(relation, types, found.name, mapping, generates_ids=generate_ids)
        layout, types = replace(layout, relation=relation), engine.describe(relation)
        types.pop(FILE_COLUMN, None)
    structs = [name for name, kind in types.items() if kind.startswith("STRUCT") and not kind.endswith("]")]
    fields = {name: engine.describe(f"(SELECT UNNEST({identifier(name)}) FROM {relation})") for name in structs}
    if types.get("observations", "").startswith("STRUCT") and types["observations"].endswith(")[]"):
        fields["observations"] = engine.describe(f"(SELECT UNNEST(observations[1]) FROM {relation})")
    proven = proven_columns(engine, found) if isinstance(found, Files) and found.format == "parquet" else {}
    return columns_layout(layout, types, found.name, mapping, fields, proven)


def _numbered(found: Files, relation: str) -> tuple[str, str]:
    """A relation and what numbers the rows of each file: Parquet knows; of other formats they are counted in order."""
    if found.format == "parquet":
        return relation, "file_row_number + 1"
    counted = select({"row_of_all": "row_number() OVER ()"}, relation, star="*")
    first = f"min(row_of_all) OVER (PARTITION BY {FILE_COLUMN})"
    rows = select({PLACE_COLUMN: f"row_of_all - {first} + 1"}, f"(\n{counted}\n)", star="* EXCLUDE (row_of_all)")
    return f"(\n{rows}\n)", PLACE_COLUMN


def _shaped_objects(engine: Engine, layout: Layout, where: str, mapping: FieldMap, shape: Shape) -> Layout:
    """The layout of the events that a shape takes out of JSON."""
    keys = first_keys(engine, layout.relation, EVENT_COLUMN)
    check_wrapped(shape, where, first_keys(engine, layout.relation), keys, mapping)
    inner = []
    if shape.properties and (mapping.columns or mapping.properties):
        inner = first_keys(engine, layout.relation, shape.properties_sql)
    return objects_layout(layout, keys, where, mapping, shape, inner)


def _events_of(engine: Engine, found: Input, relation: str, shape: Shape) -> str:
    """Tables whose column has whole events as JSON text: as lines of it.

    Raises: SchemaError for a column that is missing or no text.
    """
    types = engine.describe(relation)
    kind = types.get(shape.wrapper)
    if kind is None:
        shape.refuse([shape.wrapper], found.name, [name for name in types if name != FILE_COLUMN])
    if kind not in ("VARCHAR", "JSON"):
        hint = "write it as JSON text, which keeps every digit"
        raise SchemaError(found.name, shape.wrapper, found=kind, expected="each event as JSON text", hint=hint)
    file = FILE_COLUMN if FILE_COLUMN in types else ABSENT
    return f"({select({'line': f'CAST({identifier(shape.wrapper)} AS VARCHAR)', FILE_COLUMN: file}, relation)})"


def _take_plain_column(engine: Engine, relation: str, types: Mapping[str, str], mapping: FieldMap) -> None:
    """`--map properties=COLUMN` with a plain column: unless its first text is a JSON object, it is one property."""
    column = mapping.columns.get(mapping.bag, "")
    kind = types.get(column, "")
    if kind == "VARCHAR":
        sql, name = select({"first": f"trim({identifier(column)})"}, relation), identifier(column)
        rows = engine.rows(f"{sql}\nWHERE trim({name}) <> ''\nLIMIT 1")
        is_plain = bool(rows) and not str(rows[0][0]).startswith("{")
    else:
        is_plain = is_scalar(kind) and kind not in ("", "JSON")
    if is_plain:
        del mapping.columns[mapping.bag]
        mapping.take_property(column, column)


# Types that DuckDB would bring together by changing values: digits of whole numbers, or what a time means.
APPROXIMATE = {"DOUBLE", "FLOAT"}
MOMENTS = ("TIMESTAMP", "DATE")


def _columns_of_files(engine: Engine, paths: Sequence[str]) -> pa.Table:
    """Name and types of every column of every Parquet file, out of their footers."""
    size = FOOTERS_AT_ONCE if any(scheme_of(path) for path in paths) else len(paths)
    columns = "SELECT file_name, name, type, duckdb_type FROM parquet_schema"
    parts = [paths[n : n + size] for n in range(0, len(paths), size)]
    return engine.at_once([f"{columns}({path_list(part)})" for part in parts])


def old_times(engine: Engine) -> list[str]:
    """The columns whose times are INT96 in any of the Parquet files, an older type that has no zone."""
    if not engine.has("file_columns"):
        return []
    return [
        str(row[0]) for row in engine.rows("SELECT DISTINCT name FROM file_columns WHERE type = 'INT96' ORDER BY 1")
    ]


def _check_drift(engine: Engine) -> None:
    """Refuse a column whose types in several files have no common type that keeps every value."""
    rows = engine.rows(
        "SELECT name, list(DISTINCT duckdb_type ORDER BY duckdb_type) AS types, "
        "arg_min(file_name, duckdb_type) AS one, arg_max(file_name, duckdb_type) AS other "
        "FROM file_columns WHERE duckdb_type IS NOT NULL GROUP BY name HAVING len(types) > 1 ORDER BY name"
    )
    for name, types, one, other in rows:
        # The digits of a FLOAT as a DOUBLE are others, and a truth is no number.
        changed = bool(APPROXIMATE & set(types)) or ("BOOLEAN" in types and set(types) != {"BOOLEAN", "VARCHAR"})
        if changed or _differ_in_kind(types) or any(kind.startswith(MOMENTS) for kind in types):
            shown = f"{' and '.join(types)}"
            hint = "write the files anew with one type, or read them apart"
            raise SchemaError(f"{one}, {other}", name, found=shown, expected="one type in all files", hint=hint)


def _check_spellings(engine: Engine) -> None:
    """Refuse a name that is spelled with other capitals in another file: SQL would take both for one column."""
    rows = engine.rows(
        """
        WITH spelled AS (
            SELECT lower(name) AS lower_name, file_name, list(DISTINCT name ORDER BY name) AS names
            FROM file_columns GROUP BY ALL
        ),
        ways AS (SELECT lower_name, names, min(file_name) AS file_name FROM spelled GROUP BY ALL)
        SELECT one.names, one.file_name, other.names, other.file_name
        FROM ways AS one JOIN ways AS other USING (lower_name)
        WHERE one.names < other.names
            AND NOT list_has_all(one.names, other.names) AND NOT list_has_all(other.names, one.names)
        ORDER BY ALL LIMIT 1
        """
    )
    for names, path, others, other_path in rows:
        shown = " and ".join(repr(name) for name in dict.fromkeys((*names, *others)))
        hint = "write the files anew with one spelling, or read them apart"
        raise SchemaError(f"{path}, {other_path}", names[0], found=shown, expected="one spelling", hint=hint)


def _check_plain_columns(engine: Engine, found: Files, mapping: FieldMap) -> None:
    """Refuse files whose properties are plain columns beside files that have them in one: they would not be seen."""
    bag = mapping.columns.get(mapping.bag, mapping.bag)
    if mapping.lists_properties:
        return
    lacking = engine.rows(
        f"""
        WITH files AS (
            SELECT file_name, list(name ORDER BY name) AS names, bool_or(name = {literal(bag)}) AS has_bag
            FROM file_columns GROUP BY file_name
        )
        SELECT min(file_name), (SELECT min(file_name) FROM files WHERE has_bag)
        FROM files WHERE NOT has_bag AND EXISTS (FROM files WHERE has_bag) GROUP BY names ORDER BY ALL
        """
    )
    fields = field_names(records=mapping.bag == "dimensions")
    known = {*fields, *(alias for aliases in fields.values() for alias in aliases), *mapping.columns.values()}
    for path, other in lacking:
        plain = [field.name for field in parquet_schema(path) if field.name not in known | set(found.keys)]
        if plain:
            shown = f"no such column, and {', '.join(plain[:SHOWN_COLUMNS])} beside its fields"
            hint = "read the files apart, or list the columns that all have: --map properties=COLUMN,COLUMN"
            raise SchemaError(path, bag, found=shown, expected=f"one, as in {other}", hint=hint)


def _differ_in_kind(types: Sequence[str]) -> bool:
    """Whether properties lie in another kind of column here than there; a STRUCT fits into a MAP of texts."""
    kinds = {kind.partition("(")[0] for kind in types if not kind.endswith("[]")}
    if len(kinds) < 2 or not kinds & {"MAP", "STRUCT"}:
        return False
    of_texts = all(kind == "MAP(VARCHAR, VARCHAR)" for kind in types if kind.startswith("MAP"))
    return kinds != {"MAP", "STRUCT"} or not of_texts


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
