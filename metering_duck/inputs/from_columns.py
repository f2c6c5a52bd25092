"""Typed columns → a layout: for Parquet, CSV, Arrow and data frames, whatever column their properties are in.

Reads only the schema. Every error names the input, the column, what was found, what was expected, and the option that
mends it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from metering_duck.decimals.columns import INTEGER_DIGITS, decimal_of_type, most_sql
from metering_duck.errors import SchemaError
from metering_duck.inputs.fields import (
    ABSENT,
    NANOSECONDS,
    NO_PROPERTIES,
    NOTHING,
    WITH_OFFSET,
    Column,
    Fault,
    Proven,
    constant_column,
    field_names,
    map_sql,
)
from metering_duck.inputs.from_json import object_faults
from metering_duck.inputs.layout import Json, Layout
from metering_duck.inputs.mapping import MEASURED, FieldMap, may_lack, raise_missing
from metering_duck.inputs.parquet_columns import is_variant
from metering_duck.inputs.unreadable import NONE, UnreadableColumns, check_readable
from metering_duck.statements.quote import identifier, literal
from metering_duck.statements.select import case, select

TIME_TYPES = ("VARCHAR", "DATE", "TIMESTAMP", "TIMESTAMP_MS", "TIMESTAMP_S", *NANOSECONDS, *WITH_OFFSET)
TIMES = ("time", "recorded_at", "metered_at", "window_start", "window_end")
# The names of columns that metering-duck adds while rows are read begin with this.
OURS = "metering_duck_"
BAGS = ("properties", "dimensions")
# The type of a column without a value in any row.
ONLY_NULL = '"NULL"'
# A type stands before a bracket, a comma or the end; a member's name stands before a blank.
HOLDS_BYTES = re.compile(r"\bBLOB(?=[,)\[]|$)")
BYTES = "--binary-as-text takes bytes as text in UTF-8"
TAKE_SOME = "--map properties=COLUMN,COLUMN names the columns to take"
ENTRIES = re.compile(r'STRUCT\(("?key"? .*, "?value"? .*|"?value"? .*, "?key"? .*)\)\[\]')
# A MAP whose values are nested; those that are lists end with a bracket.
NESTED_VALUE = re.compile(r"MAP\([^(]+(?:\([^()]*\))?, (?:STRUCT|MAP|UNION|VARIANT)\b")
Types = Mapping[str, str]


def columns_layout(
    layout: Layout,
    types: Types,
    where: str,
    mapping: FieldMap,
    struct_types: Mapping[str, Types],
    proven: Mapping[str, Proven],
    unreadable: UnreadableColumns = NONE,
) -> Layout:
    """`layout`, completed from the input's columns; `struct_types` has the fields of each STRUCT, `proven` what
    holds in every row of a column, `unreadable` the columns that may not be used.

    Raises: SchemaError for a column that is missing or of a wrong type, or cannot be read exactly.
    """
    columns = _find(layout, types, where, mapping, proven, unreadable)
    taken = _taken(columns, mapping)
    if layout.is_records:
        check_readable({"measurement"} - set(mapping.properties.values()), unreadable)
        for name, column in _measured(struct_types.get("measurement", {})).items():
            columns.setdefault(name, column)
    quantity = columns.get("quantity", Column(ABSENT))
    layout = replace(layout, columns=columns, quantity_type=quantity.type, has_ids="id" in columns)
    if "observations" in columns:
        layout = _unbundled(layout, types, where, struct_types.get("observations"))
    if mapping.lists_properties:
        mapping.check_properties(types, where)
        check_readable(mapping.properties.values(), unreadable)
        listed = {name: Column(identifier(column), types[column]) for name, column in mapping.properties.items()}
        return _flat(layout, listed, where)
    held = columns.get(mapping.bag)
    if held is not None:
        return _bag(layout, held, types, where, mapping.bag, struct_types)
    if layout.is_records:
        return _flat(layout, {}, where)
    rest = {name: Column(identifier(name), kind) for name, kind in types.items() if identifier(name) not in taken}
    check_readable(rest, unreadable, TAKE_SOME)
    return _flat(layout, rest, where)


def _taken(columns: Iterable[str], mapping: FieldMap) -> set[str]:
    """The columns of fields, as SQL; the other columns are properties."""
    spelled = [*mapping.columns.values()]
    for name in columns:
        if name not in mapping.columns:
            spelled += mapping.spellings(name)
    return {identifier(column) for column in spelled}


def _measured(types: Types) -> dict[str, Column]:
    """The fields of a record that are in its STRUCT column `measurement`, whose fields have these `types`."""
    names = [name for name in MEASURED if name in types]
    return {name: Column(f'CAST("measurement".{name} AS VARCHAR)') for name in names}


def check_not_ours(names: Iterable[str], where: str) -> None:
    """Refuse columns with names that metering-duck may add while rows are read.

    Raises: SchemaError.
    """
    for name in names:
        if name.lower().startswith(OURS):
            expected = f"none that begins with {OURS}"
            raise SchemaError(where, name, found="a name of ours", expected=expected, hint="rename it")


def check_names(fields: Iterable[pa.Field], where: str) -> None:
    """Refuse a name that is there twice, or with other capitals, which SQL cannot tell apart (R37); in STRUCTs too.

    Raises: SchemaError.
    """
    seen: dict[str, str] = {}
    for field in fields:
        other = seen.get(field.name.lower())
        if other is not None:
            found = "it twice" if other == field.name else f"{other} beside it"
            hint = "rename one of them"
            raise SchemaError(
                where, field.name, found=found, expected="names that differ, also without case", hint=hint
            )
        seen[field.name.lower()] = field.name
        if pa.types.is_struct(field.type) and not is_variant(field.type):
            check_names(field.type, where)


def _find(
    layout: Layout,
    types: Types,
    where: str,
    mapping: FieldMap,
    proven: Mapping[str, Proven],
    unreadable: UnreadableColumns,
) -> dict[str, Column]:
    """Field → its column or constant.

    Raises: SchemaError for a column that is missing or of a wrong type.
    """
    names = field_names(records=layout.is_records)
    columns, missing = {}, []
    for name, aliases in names.items():
        if name in mapping.constants:
            columns[name] = constant_column(mapping.constants[name])
            continue
        column = mapping.column_of(name, aliases, types, where)
        if column is not None:
            spellings = [column]
            if name not in mapping.columns:
                spellings = [alias for alias in dict.fromkeys((*aliases, name)) if alias in types]
            found = []
            check_readable(spellings, unreadable)
            for spelling in spellings:
                checked = _checked(name, spelling, types[spelling], where)
                found.append(replace(checked, proven=proven.get(spelling, NOTHING)))
            columns[name] = _either(found, spellings, where)
        elif not may_lack(name, types, generates_ids=layout.generates_ids):
            missing.append(name)
    if missing:
        raise_missing(missing, where, list(types), names, mapping.told_apart)
    return columns


def _either(found: list[Column], spellings: Sequence[str], where: str) -> Column:
    """One column for a field that files spell in several ways; no file has it in two.

    Raises: SchemaError for spellings of several types.
    """
    first = found[0]
    for column, spelling in zip(found, spellings, strict=True):
        if column.type != first.type:
            raise SchemaError(
                where,
                spellings[0],
                found=f"{first.type}, and {column.type} in {spelling}",
                expected="one type in all files",
                hint="write the files anew with one spelling, or read them apart",
            )
    return first if len(found) == 1 else Column(f"coalesce({', '.join(column.sql for column in found)})", first.type)


def _checked(name: str, column: str, kind: str, where: str) -> Column:
    """A field's column, if its type can be used; an ENUM is cast to text, since it sorts by the order of its list.

    Raises: SchemaError.
    """
    sql = identifier(column)
    if kind == ONLY_NULL:
        return Column(ABSENT)
    if kind.startswith("ENUM"):
        return Column(f"CAST({sql} AS VARCHAR)")
    if HOLDS_BYTES.search(kind):
        raise SchemaError(where, column, found=kind, expected="text", hint=BYTES)
    if name in TIMES and kind not in TIME_TYPES:
        hint = f"--map {name}=COLUMN names another; turn epoch numbers into timestamps first"
        raise SchemaError(where, column, found=kind, expected="TIMESTAMP, TIMESTAMPTZ or RFC 3339 text", hint=hint)
    if name not in (*BAGS, "observations", *TIMES) and not is_scalar(kind):
        raise SchemaError(where, column, found=kind, expected="text", hint=f"--map {name}=COLUMN names another")
    return Column(sql, kind)


def is_scalar(kind: str) -> bool:
    """Whether a type has single values, which can be cast to text."""
    return not (kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "BLOB", "VARIANT", "GEOMETRY")))


def _flat(layout: Layout, properties: Mapping[str, Column], where: str) -> Layout:
    """The layout with properties that are columns of their own.

    Raises: SchemaError for a property that is no scalar.
    """
    for name, column in properties.items():
        if not is_scalar(column.type):
            hint = f"{BYTES}; {TAKE_SOME}" if HOLDS_BYTES.search(column.type) else TAKE_SOME
            expected = "a scalar: text, a number, a boolean or a time"
            raise SchemaError(where, name, found=column.type, expected=expected, hint=hint)
    texts = {name: column.text_sql for name, column in properties.items()}
    numbers = {name: within_digits(column) for name, column in properties.items() if decimal_of_type(column.type)}
    return replace(
        layout,
        property_sql=lambda name: texts.get(name, ABSENT),
        properties_sql=map_sql(texts),
        property_numbers=numbers,
    )


def within_digits(column: Column) -> Column:
    """An exact number; NULL, and so a reject, where a DECIMAL holds more digits than its type declares (R36)."""
    if column.type in INTEGER_DIGITS:
        return column
    most = most_sql(column.type)
    return replace(column, sql=case({f"{column.sql} BETWEEN -{most} AND {most}": column.sql}))


def _bag(layout: Layout, held: Column, types: Types, where: str, bag: str, struct_types: Mapping[str, Types]) -> Layout:
    """The layout with properties in one column: a STRUCT, a MAP, a list of entries, or JSON text.

    Raises: SchemaError for a column of another type.
    """
    kind, sql = held.type, held.sql
    if ENTRIES.fullmatch(kind):
        return _entries(layout, sql)
    if kind.startswith("STRUCT") and not kind.endswith("]"):
        fields = next(fields for name, fields in struct_types.items() if identifier(name) == sql)
        members = {name: Column(f"{sql}.{identifier(name)}", type) for name, type in fields.items()}
        return _flat(layout, members, where)
    if kind.startswith("MAP") and not kind.endswith("]"):
        _check_scalar_values(kind, where, bag)
        texts = sql if kind == "MAP(VARCHAR, VARCHAR)" else f"CAST({sql} AS MAP(VARCHAR, VARCHAR))"
        return replace(
            layout,
            property_sql=lambda name: f"{texts}[{literal(name)}]",
            properties_sql=f"in_order({texts})",
            map_column=texts,
        )
    if kind in ("VARCHAR", "JSON"):
        return _json_text(layout, held.text_sql, types)
    hint = f"--map {bag}=COLUMN,COLUMN takes plain columns"
    raise SchemaError(
        where, bag, found=kind, expected="MAP(VARCHAR, VARCHAR), STRUCT of scalars, or JSON text", hint=hint
    )


def _check_scalar_values(kind: str, where: str, bag: str) -> None:
    """Refuse a MAP whose values are lists, MAPs, STRUCTs or unions: none of them is a property's text.

    Raises: SchemaError.
    """
    if kind.endswith("])") or NESTED_VALUE.match(kind):
        expected = "a MAP of scalars: text, numbers, booleans or times"
        raise SchemaError(where, bag, found=kind, expected=expected, hint="write it as JSON text, or with plain values")


def _unbundled(layout: Layout, types: Types, where: str, fields: Types | None) -> Layout:
    """The layout of bundled records, one row per observation; a record without observations is one row, and a reject.

    Raises: SchemaError for observations that are no LIST of STRUCTs.
    """
    listed = layout.columns["observations"]
    if fields is None:
        expected = "a LIST of STRUCT(quantity, unit, …)"
        raise SchemaError(
            where, "observations", found=listed.type, expected=expected, hint="records in CSV must be flat"
        )
    observation, place = _unused("observation", types), _unused("place", types)
    rows = select(
        {
            observation: f"unnest(CASE WHEN len({listed.sql}) > 0 THEN {listed.sql} ELSE [NULL] END)",
            place: f"unnest(range(1, greatest(coalesce(len({listed.sql}), 0), 1) + 1))",
        },
        layout.relation,
        star="*",
    )
    columns = dict(layout.columns)
    for name in ("quantity", "unit", "aggregation", "value"):
        columns[name] = Column(f"CAST({observation}.{name} AS VARCHAR)" if name in fields else ABSENT)
    if "window" in fields:
        for bound in ("start", "end"):
            columns[f"window_{bound}"] = Column(f'CAST({observation}."window"."{bound}" AS TIMESTAMP)', "TIMESTAMP")
    id_sql = columns["id"].text_sql
    columns["id"] = Column(
        f"CASE WHEN {id_sql} <> '' THEN {id_sql} || '[' || CAST({place} AS VARCHAR) || ']' ELSE {id_sql} END"
    )
    faults = [Fault(f"{observation} IS NULL", "observations-missing", ABSENT)]
    if "window" in fields:
        window = f'{observation}."window"'
        ordered = f'coalesce({window}.start <= {window}."end", FALSE)'
        faults.append(Fault(f"{window} IS NOT NULL AND NOT {ordered}", "window-invalid", f"CAST({window} AS VARCHAR)"))
    return replace(
        layout,
        relation=f"({rows})",
        columns=columns,
        faults=(*layout.faults, *faults),
        quantity_type=fields.get("quantity", ""),
    )


def _entries(layout: Layout, sql: str) -> Layout:
    """The layout with properties in a LIST of STRUCT(key, value), as Polars writes a MAP."""
    keys = f"list_transform({sql}, lambda e: e.key)"
    pairs = f"list_transform({sql}, lambda e: {{'key': CAST(e.key AS VARCHAR), 'value': CAST(e.value AS VARCHAR)}})"
    faults = (
        Fault(f"len(list_filter({keys}, lambda k: k IS NULL)) > 0", "properties-invalid", f"CAST({sql} AS VARCHAR)"),
        Fault(f"len({keys}) <> len(list_distinct({keys}))", "property-repeated", f"CAST({sql} AS VARCHAR)"),
    )
    return replace(
        layout,
        property_sql=lambda name: f"CAST(list_filter({sql}, lambda e: e.key = {literal(name)})[1].value AS VARCHAR)",
        properties_sql=f"in_order(map_from_entries({pairs}))",
        faults=(*layout.faults, *faults),
    )


def _json_text(layout: Layout, text: str, types: Types) -> Layout:
    """The layout with properties in the text of a JSON object."""
    parsed, texts = _unused("object", types), _unused("texts", types)
    members = f"CASE WHEN {parsed} IS NULL THEN {NO_PROPERTIES} ELSE in_order(json_members({parsed})) END"
    broken = Fault(f"{parsed} IS NULL AND {text} IS NOT NULL", "properties-invalid", text)
    json = Json(text, properties=(), object_name=parsed, texts_name=texts)
    return replace(
        layout, properties_sql=members, json=json, faults=(*layout.faults, broken, *object_faults(parsed, text))
    )


def _unused(name: str, types: Types) -> str:
    """A column's name that the input does not have, in upper or lower case."""
    taken = {column.lower() for column in types}
    while name in taken:
        name += "_"
    return name
