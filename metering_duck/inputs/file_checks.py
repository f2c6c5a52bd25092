"""File checks: the columns of several Parquet files are compared, so that no value changes when the files are read as
one table."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.ipc

from metering_duck.decimals.columns import DIGITS_MAX
from metering_duck.engine.at_once import rows_at_once
from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import scheme_of, shown
from metering_duck.errors import SchemaError
from metering_duck.inputs.fields import field_names
from metering_duck.inputs.footers import Footers, parquet_schema
from metering_duck.inputs.from_columns import check_names, check_not_ours
from metering_duck.inputs.mapping import SHOWN_COLUMNS, FieldMap
from metering_duck.inputs.parquet_columns import (
    cut_decimals,
    is_variant,
    kept_as_numbers,
    leaves,
    rounded_numbers,
    wide_decimals,
)
from metering_duck.inputs.partitions import check_folder_keys
from metering_duck.inputs.unreadable import NONE, Unreadable, UnreadableColumns
from metering_duck.statements.quote import path_list
from metering_duck.statements.select import case, select
from metering_duck.statements.stages import load_stage

# How many footers of remote files one query reads; several queries run at once.
FOOTERS_AT_ONCE = 32
# Types that DuckDB would unite with another type by changing values: the digits of whole numbers, or what a time means.
APPROXIMATE = {"DOUBLE", "FLOAT"}
MOMENTS = ("TIMESTAMP", "DATE")


def check_files(
    engine: Engine, footers: Footers, mapping: FieldMap, *, has_shape: bool, is_elsewhere: bool
) -> UnreadableColumns:
    """Refuse Parquet files whose columns cannot be read as one table; gives the columns that cannot be read exactly.

    A single file is looked at only where another engine reads it (`is_elsewhere`), which refuses all that differ.

    Raises: SchemaError for a column that differs from file to file, and for names that one file has twice.
    """
    wanted = 1 if is_elsewhere else 2
    if len(footers.paths) < wanted:
        return NONE
    engine.keep("file_columns", columns_of_files(engine, footers.paths))
    unreadable: dict[str, Unreadable] = {}
    schemas = {path: parquet_schema(path) for (path,) in engine.rows(load_stage("checks/file_kinds").sql)}
    for path, schema in schemas.items():
        unreadable = {**unreadable_of_schema(schema, path, footers), **unreadable}
        if not has_shape:
            mapping.check_spelled_once(names_in(schema, footers), footers.keys, shown(path))
        if is_elsewhere:
            unreadable = {**unreadable_elsewhere(schema, path), **unreadable}
    check_spellings(engine)
    if not has_shape and mapping.is_option:
        check_plain_columns(engine, footers, mapping)
    differing, cut = differing_types(engine), cut_decimals(_with_cut_decimals(engine))
    if is_elsewhere:
        # The other engine brings all columns of the files together, whether they are used or not.
        for why in differing.values():
            why.refuse()
    return {**differing, **rounded_numbers(schemas), **cut, **numbers_of_files(engine, footers.paths), **unreadable}


def names_in(schema: pa.Schema, footers: Footers) -> list[str]:
    """The names that a field may have in a Parquet file: of its columns, of its folders, and of members of STRUCTs."""
    members = [f"{one.name}.{name}" for one in schema if pa.types.is_struct(one.type) for name in one.type.names]
    return [*schema.names, *footers.keys, *members]


def unreadable_of_file(engine: Engine, path: str, footers: Footers) -> UnreadableColumns:
    """The columns of one Parquet file that cannot be read exactly.

    Raises: SchemaError for names that it has twice, or that are of folders or of ours.
    """
    schema = parquet_schema(path)
    unreadable = unreadable_of_schema(schema, path, footers)
    return {**cut_decimals_of_files(engine, [path], schema), **unreadable}


def cut_decimals_of_files(engine: Engine, paths: Sequence[str], schema: pa.Schema) -> UnreadableColumns:
    """The DECIMALs of Parquet files that have values which DuckDB would cut; `schema` says whether they have any."""
    if not any(pa.types.is_decimal(kind) for field in schema for _, kind in leaves(field)):
        return NONE
    engine.keep("file_columns", columns_of_files(engine, paths))
    return cut_decimals(_with_cut_decimals(engine))


def unreadable_of_schema(schema: pa.Schema, path: str, footers: Footers) -> dict[str, Unreadable]:
    """The columns of a schema that DuckDB would read as another type.

    Raises: SchemaError for names that it has twice, or that are of folders or of ours.
    """
    check_names(schema, shown(path))
    check_not_ours(schema.names, shown(path))
    if not footers.keys_are_chosen:
        check_folder_keys(schema.names, footers.keys, path)
    return {**wide_decimals(schema, path), **kept_as_numbers(schema, path)}


def unreadable_elsewhere(schema: pa.Schema, path: str) -> dict[str, Unreadable]:
    """The columns of a Parquet file with a VARIANT, which another engine hands over as its bytes.

    Raises: SchemaError for a DECIMAL for which another engine refuses the whole file.
    """
    for column in wide_decimals(schema, path).values():
        column.refuse("leave the engine out, if the column is not needed")
    found = {}
    for field in schema:
        if any(is_variant(kind) for _, kind in leaves(field)):
            found[field.name] = variant_elsewhere(shown(path), field.name)
    return found


def variant_elsewhere(where: str, column: str) -> Unreadable:
    """Why a VARIANT is not read where another engine reads the rows."""
    hint = "write it as JSON text, or leave the engine out"
    return Unreadable(where, column, "VARIANT, which only DuckDB reads", "text, a MAP or a STRUCT", hint)


def _with_cut_decimals(engine: Engine) -> list[str]:
    """The files whose DECIMALs DuckDB may change without a look at their values."""
    return [str(row[0]) for row in engine.rows(load_stage("checks/file_decimals").sql)]


def columns_of_files(engine: Engine, paths: Sequence[str]) -> pa.Table:
    """The name and the types of every column of every Parquet file, from the footers of the files."""
    size = FOOTERS_AT_ONCE if any(scheme_of(path) for path in paths) else len(paths)
    # DuckDB says DOUBLE of a DECIMAL that it does not have.
    wide = case({f"precision > {DIGITS_MAX}": "'DECIMAL(' || precision || ',' || scale || ')'"}, "duckdb_type")
    same = ("file_name", "name", "type", "type_length", "num_children", "precision")
    columns = {name: name for name in same} | {"duckdb_type": wide}
    parts = [paths[n : n + size] for n in range(0, len(paths), size)]
    listed = [select(columns, f"parquet_schema({path_list(part)})") for part in parts]
    return _with_paths(rows_at_once(engine, listed))


def _with_paths(columns: pa.Table) -> pa.Table:
    """The columns, each with the names that lead to it; without the roots, and without what a VARIANT is stored in."""
    names, kinds, counts = (columns.column(name).to_pylist() for name in ("name", "duckdb_type", "num_children"))
    kept, left, place = list[bool](), [0], list[str]()
    paths: list[list[str]] = []
    for name, kind, count in zip(names, kinds, counts, strict=True):
        while left and left[-1] == 0:
            left.pop()
            place = place[:-1]
        if not left:
            # The root of the next file, whose name says nothing.
            kept.append(False)
            paths.append([])
            left = [count or 0]
            continue
        left[-1] -= 1
        # Nothing within a VARIANT is kept: its names and types differ from file to file.
        is_within = len(place) < len(left) - 1
        kept.append(not is_within)
        paths.append([*place, name])
        if count:
            left.append(count)
            if not is_within and kind != "VARIANT":
                place = [*place, name]
    path = pa.array(paths, pa.list_(pa.string()))
    return columns.append_column("path", path).filter(pa.array(kept, pa.bool_()))


def old_times(engine: Engine) -> list[str]:
    """The columns that have times of the type INT96, which is older and has no zone, in any of the Parquet files."""
    if not engine.has("file_columns"):
        return []
    return [str(row[0]) for row in engine.rows(load_stage("checks/file_old_times").sql)]


def differing_types(engine: Engine) -> dict[str, Unreadable]:
    """Column → why it cannot be read, where its types in several files have no common type that keeps every value."""
    found: dict[str, Unreadable] = {}
    for path, types, one, other in engine.rows(load_stage("checks/file_types").sql):
        # A FLOAT has other digits once it is a DOUBLE, and a BOOLEAN would become a number.
        loses_digits = bool(APPROXIMATE & set(types))
        mixes_booleans = "BOOLEAN" in types and set(types) != {"BOOLEAN", "VARCHAR"}
        mixes_times = any(kind.startswith(MOMENTS) for kind in types)
        if loses_digits or mixes_booleans or mixes_times or _differ_in_kind(types):
            where = f"{shown(one)}, {shown(other)}"
            hint = "write the files anew with one type, or read them apart"
            why = Unreadable(where, ".".join(path), " and ".join(types), "one type in all files", hint)
            found.setdefault(path[0], why)
    return found


def numbers_of_files(engine: Engine, paths: Sequence[str]) -> dict[str, Unreadable]:
    """Column → why it cannot be read, for durations and their like in any of the files.

    In Parquet they are whole numbers; what they are is said in Arrow's words in each file by itself.
    """
    size = FOOTERS_AT_ONCE if any(scheme_of(path) for path in paths) else len(paths)
    parts = [paths[n : n + size] for n in range(0, len(paths), size)]
    columns = {"value": "decode(value)", "file_name": "min(file_name)"}
    listed = [
        select(
            columns,
            f"parquet_kv_metadata({path_list(part)})",
            where=["key = 'ARROW:schema'::BLOB"],
            group_by=["value"],
        )
        for part in parts
    ]
    found: dict[str, Unreadable] = {}
    for row in rows_at_once(engine, listed).to_pylist():
        with contextlib.suppress(ValueError, OSError, pa.ArrowException):
            # What is none is no fault: readers do without it.
            schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(row["value"])))
            found = {**kept_as_numbers(schema, row["file_name"]), **found}
    return found


def check_spellings(engine: Engine) -> None:
    """Refuse a name that is spelled with other capitals in another file: SQL would take both for one column."""
    for names, path, others, other_path in engine.rows(load_stage("checks/file_spellings").sql):
        shown = " and ".join(repr(name) for name in dict.fromkeys((*names, *others)))
        hint = "write the files anew with one spelling, or read them apart"
        raise SchemaError(f"{path}, {other_path}", names[0], found=shown, expected="one spelling", hint=hint)


def check_plain_columns(engine: Engine, footers: Footers, mapping: FieldMap) -> None:
    """Refuse files with properties in plain columns beside files with all properties in one column.

    The properties in plain columns would not be read.

    Raises: SchemaError.
    """
    bag = mapping.columns.get(mapping.bag, mapping.bag)
    if mapping.lists_properties:
        return
    lacking = engine.rows(load_stage("checks/file_bags").sql, {"bag": bag})
    for path, other in lacking:
        _refuse_plain(parquet_schema(path).names, path, other, footers.keys, mapping)


def check_plain_headers(headers: Sequence[tuple[str, tuple[str, ...]]], keys: Sequence[str], mapping: FieldMap) -> None:
    """The same, of text files: `headers` are the names in each; `keys` are those of folders.

    Raises: SchemaError.
    """
    bag = mapping.columns.get(mapping.bag, mapping.bag)
    with_bag = next((path for path, names in headers if bag in names), None)
    if mapping.lists_properties or with_bag is None:
        return
    for path, names in headers:
        if bag not in names:
            _refuse_plain(names, path, with_bag, keys, mapping)


def _refuse_plain(names: Sequence[str], path: str, other: str, keys: Sequence[str], mapping: FieldMap) -> None:
    """Refuse a file with a column beside its fields, where an `other` has properties in one column.

    Raises: SchemaError.
    """
    fields = field_names(records=mapping.bag == "dimensions")
    known = {*fields, *mapping.columns.values(), *keys}
    for aliases in fields.values():
        known.update(aliases)
    plain = [name for name in names if name not in known]
    if plain:
        bag = mapping.columns.get(mapping.bag, mapping.bag)
        shown = f"no such column, and {', '.join(plain[:SHOWN_COLUMNS])} beside its fields"
        hint = "read the files apart, or list the columns that all have: --map properties=COLUMN,COLUMN"
        raise SchemaError(path, bag, found=shown, expected=f"one, as in {other}", hint=hint)


def _differ_in_kind(types: Sequence[str]) -> bool:
    """Whether files have properties in different kinds of column; a STRUCT beside a MAP of texts is no difference."""
    kinds = {kind.partition("(")[0] for kind in types if not kind.endswith("[]")}
    if len(kinds) < 2 or not kinds & {"MAP", "STRUCT"}:
        return False
    of_texts = all(kind == "MAP(VARCHAR, VARCHAR)" for kind in types if kind.startswith("MAP"))
    return kinds != {"MAP", "STRUCT"} or not of_texts
