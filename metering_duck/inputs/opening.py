"""Opening a source: any input becomes SQL behind FROM, and the one layout that judging/events.py reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from metering_duck.engine.duckdb import Engine
from metering_duck.errors import SchemaError
from metering_duck.files.proofs import Proof
from metering_duck.inputs.column_texts import NOT_TEXT, NOT_TEXT_FAULT, texts_of
from metering_duck.inputs.fields import ABSENT, FILE_COLUMN, NO_PROPERTIES, field_names
from metering_duck.inputs.file_checks import check_files
from metering_duck.inputs.file_set import FileSet
from metering_duck.inputs.foreign_shapes import EVENT_COLUMN, Shape, check_wrapped
from metering_duck.inputs.from_columns import HOLDS_BYTES, columns_layout, is_scalar
from metering_duck.inputs.from_json import objects_layout
from metering_duck.inputs.idle_choices import idle_choices
from metering_duck.inputs.input import Input
from metering_duck.inputs.lake_columns import changed_in_table
from metering_duck.inputs.layout import Layout
from metering_duck.inputs.mapping import FieldMap
from metering_duck.inputs.one_name import check_spelled_once
from metering_duck.inputs.proofs import proven_columns, take_for_granted
from metering_duck.inputs.relations import Relation, first_keys
from metering_duck.inputs.source import Source
from metering_duck.inputs.unreadable import check_readable
from metering_duck.inputs.whole_files import claims_of
from metering_duck.statements.quote import identifier
from metering_duck.statements.select import select

READ_ELSEWHERE = "another engine reads it, and it was not read a second time; --verify-files does"


def open_source(
    engine: Engine,
    found: Input,
    source: Source,
    *,
    numbers_rows: bool = False,
    read_by: Callable[[Engine, Input], Input] | None = None,
) -> tuple[Layout, Relation]:
    """The layout of an input, and the input as it lies. The engine must already be allowed to read its files.

    Where another engine reads the input, `read_by` gives a few rows like those of the input; the columns of several
    files are compared with each other here all the same. With `numbers_rows`, each row knows its place in its file,
    counted from 1. Where the `source` has a shape, the fields of events have other names and places.

    Raises: SchemaError for a column that is missing or of a wrong type; SourceError for what cannot be read.
    """
    mapping = FieldMap(source.map, field_names(records=source.is_records))
    shape = source.shape
    files = getattr(found, "files", None)
    if isinstance(files, FileSet) and files.keys_are_chosen:
        mapping.take_folder_keys(files.keys)
    unreadable = check_files(
        engine, found.footers, mapping, has_shape=shape is not None, is_elsewhere=read_by is not None
    )
    if read_by is not None:
        _claim_elsewhere(engine, found)
        unreadable = {**unreadable, **changed_in_table(found)}
        found = read_by(engine, found)
    relation = given = found.relation(engine)
    relation = replace(relation, unreadable={**unreadable, **relation.unreadable})
    if not relation.is_json:
        relation = _with_texts(engine, relation, mapping, shape, binary=source.binary_as_text)
    if shape and shape.is_wrapped and not relation.is_json:
        events = _events_of(engine, relation.sql, found.name, shape)
        relation, shape = replace(relation, sql=events, is_json=True), None
    if shape and relation.is_json:
        shape.add_constants(mapping)
        relation = replace(relation, sql=shape.unwrapped(relation.sql))
    sql, row_sql = relation.numbered() if numbers_rows else (relation.sql, "")
    layout = Layout(
        sql,
        {},
        NO_PROPERTIES,
        zone=source.zone,
        is_records=source.is_records,
        generates_ids=source.generate_ids,
        row_sql=row_sql,
    )
    if relation.is_json:
        layout = replace(layout, file_sql=relation.file_sql)
        layout = _objects(engine, layout, relation, found.name, mapping, shape)
    else:
        layout = _columns(engine, layout, relation, found, mapping, shape)
    linked = files.notes() if isinstance(files, FileSet) else ()
    notes = [] if read_by is not None else idle_choices(engine, found, source, given, layout)
    return layout, replace(given, notes=(*given.notes, *linked, *notes))


def _claim_elsewhere(engine: Engine, found: Input) -> None:
    """Have the gate say of files that another engine reads that they were not read a second time, or read them."""
    claims = claims_of(found.footers.paths, "parquet")
    if not engine.gate.verifies:
        claims = [replace(claim, known=Proof(claim.name, unproven=READ_ELSEWHERE)) for claim in claims]
    engine.gate.add(claims)


def _objects(
    engine: Engine, layout: Layout, relation: Relation, where: str, mapping: FieldMap, shape: Shape | None
) -> Layout:
    """The layout of JSON objects."""
    if shape:
        return _shaped_objects(engine, layout, where, mapping, shape)
    return objects_layout(layout, first_keys(engine, relation.sql), where, mapping)


def _columns(
    engine: Engine, layout: Layout, relation: Relation, found: Input, mapping: FieldMap, shape: Shape | None
) -> Layout:
    """The layout of typed columns."""
    types = engine.describe(relation.sql)
    if types.pop(FILE_COLUMN, None):
        layout = replace(layout, file_sql=relation.file_sql)
    if types.pop(NOT_TEXT, None):
        layout = replace(layout, keyless=(NOT_TEXT_FAULT,))
    unreadable = relation.unreadable
    # What the engine cannot have at all is no column of the relation.
    types |= {name: why.found for name, why in unreadable.items() if name not in types}
    _take_plain_column(engine, relation.sql, types, mapping)
    mapping.told_apart = relation.told_apart
    sql = relation.sql
    if shape:
        shape.add_constants(mapping, types)
        check_readable(shape.columns_of(types, mapping), unreadable)
        sql = shape.as_columns(relation.sql, types, found.name, mapping, generates_ids=layout.generates_ids)
        layout, types = replace(layout, relation=sql), types | engine.describe(sql)
        for ours in (FILE_COLUMN, NOT_TEXT):
            types.pop(ours, None)
    fields = _struct_types(engine, sql, types)
    if not shape:
        check_spelled_once(relation, found, types, fields, mapping)
    proven = proven_columns(engine, found.footers)
    layout = columns_layout(layout, types, found.name, mapping, fields, proven, unreadable)
    take_for_granted(engine, found.footers.paths, layout.columns.values(), proven)
    return replace(layout, map_column="") if relation.has_keys_once else layout


def _with_texts(
    engine: Engine, relation: Relation, mapping: FieldMap, shape: Shape | None, *, binary: bool
) -> Relation:
    """The relation with text in place of VARIANTs, and of bytes where the caller says that they are text."""
    types = engine.describe(relation.sql)
    types.pop(FILE_COLUMN, None)
    if not any(kind == "VARIANT" or (binary and HOLDS_BYTES.search(kind)) for kind in types.values()):
        return relation
    objects = {mapping.columns.get(mapping.bag, mapping.bag)}
    if shape:
        objects |= {shape.wrapper, shape.properties}
    used = {"measurement", *mapping.properties.values(), *objects}
    for name in mapping.names:
        used.update(mapping.spellings(name))
    if shape:
        used.update(path[0] for paths in shape.fields.values() for path in paths)
    if not mapping.lists_properties and not objects & set(types):
        used = set(types)
    texts = texts_of(
        types,
        _struct_types(engine, relation.sql, types),
        objects,
        [name for name in types if name in used],
        binary=binary,
    )
    if not texts.columns:
        return relation
    return replace(relation, sql=texts.relation(relation.sql))


def _struct_types(engine: Engine, relation: str, types: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
    """STRUCT column, or list of observations → the types of its fields."""
    fields: dict[str, Mapping[str, str]] = {}
    for name, kind in types.items():
        if kind.startswith("STRUCT") and not kind.endswith("]"):
            fields[name] = engine.describe(f"(SELECT UNNEST({identifier(name)}) FROM {relation})")
    observations = types.get("observations", "")
    if observations.startswith("STRUCT") and observations.endswith(")[]"):
        fields["observations"] = engine.describe(f"(SELECT UNNEST(observations[1]) FROM {relation})")
    return fields


def _shaped_objects(engine: Engine, layout: Layout, where: str, mapping: FieldMap, shape: Shape) -> Layout:
    """The layout of the events that a shape takes out of JSON."""
    keys = first_keys(engine, layout.relation, EVENT_COLUMN)
    check_wrapped(shape, where, first_keys(engine, layout.relation), keys, mapping)
    inner = []
    if shape.properties and (mapping.columns or mapping.properties):
        inner = first_keys(engine, layout.relation, shape.properties_sql)
    return objects_layout(layout, keys, where, mapping, shape, inner)


def _events_of(engine: Engine, relation: str, where: str, shape: Shape) -> str:
    """A table whose wrapper column has whole events as JSON text, as a relation of lines.

    Raises: SchemaError for a column that is missing or no text.
    """
    types = engine.describe(relation)
    kind = types.get(shape.wrapper)
    if kind is None:
        shape.refuse([shape.wrapper], where, [name for name in types if name != FILE_COLUMN])
    if kind not in ("VARCHAR", "JSON"):
        hint = "write it as JSON text, which keeps every digit"
        raise SchemaError(where, shape.wrapper, found=kind, expected="each event as JSON text", hint=hint)
    file = FILE_COLUMN if FILE_COLUMN in types else ABSENT
    return f"({select({'line': f'CAST({identifier(shape.wrapper)} AS VARCHAR)', FILE_COLUMN: file}, relation)})"


def _take_plain_column(engine: Engine, relation: str, types: Mapping[str, str], mapping: FieldMap) -> None:
    """Take the column of `--map properties=COLUMN` as one property if it is plain: no JSON, STRUCT, MAP or list."""
    column = mapping.columns.get(mapping.bag, "")
    kind = types.get(column, "")
    if kind == "VARCHAR":
        is_plain = _has_plain_text(engine, relation, column)
    else:
        is_plain = is_scalar(kind) and kind not in ("", "JSON")
    if is_plain:
        del mapping.columns[mapping.bag]
        mapping.take_property(column, column)


def _has_plain_text(engine: Engine, relation: str, column: str) -> bool:
    """Whether the first text of a column is no JSON object; False for a column without any text."""
    name = identifier(column)
    sql = select({"first": f"trim({name})"}, relation)
    rows = engine.rows(f"{sql}\nWHERE trim({name}) <> ''\nLIMIT 1")
    return bool(rows) and not str(rows[0][0]).startswith("{")
