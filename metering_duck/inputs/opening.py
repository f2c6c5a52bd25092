"""Sources: any input becomes something that can stand behind FROM, and the one layout that judging/events.py reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from metering_duck.engine.duckdb import Engine
from metering_duck.errors import SchemaError
from metering_duck.inputs.fields import ABSENT, FILE_COLUMN, NO_PROPERTIES, field_names
from metering_duck.inputs.file_checks import check_plain_columns, check_spellings, check_types, columns_of_files
from metering_duck.inputs.foreign_shapes import EVENT_COLUMN, Shape, check_wrapped
from metering_duck.inputs.from_columns import columns_layout, is_scalar
from metering_duck.inputs.from_json import objects_layout
from metering_duck.inputs.input import Files, Input
from metering_duck.inputs.layout import Layout
from metering_duck.inputs.mapping import FieldMap
from metering_duck.inputs.proofs import proven_columns
from metering_duck.inputs.relations import PLACE_COLUMN, first_keys, relation_of
from metering_duck.statements.quote import identifier, literal
from metering_duck.statements.select import select


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
        engine.keep("file_columns", columns_of_files(engine, found.paths))
        check_types(engine)
        check_spellings(engine)
        if shape is None:
            check_plain_columns(engine, found, mapping)
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
