"""File checks: columns of several Parquet files held against each other, so that no value changes when they are read
as one."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import scheme_of
from metering_duck.errors import SchemaError
from metering_duck.inputs.fields import field_names
from metering_duck.inputs.footers import Footers, parquet_schema
from metering_duck.inputs.mapping import SHOWN_COLUMNS, FieldMap
from metering_duck.statements.quote import path_list
from metering_duck.statements.stages import load_stage

# How many footers are asked for one after another, where they are elsewhere.
FOOTERS_AT_ONCE = 32


# Types that DuckDB would bring together by changing values: digits of whole numbers, or what a time means.
APPROXIMATE = {"DOUBLE", "FLOAT"}
MOMENTS = ("TIMESTAMP", "DATE")


def check_files(engine: Engine, footers: Footers, mapping: FieldMap, *, has_shape: bool, is_elsewhere: bool) -> None:
    """Refuse Parquet files whose columns cannot be read as one; one file is looked at only for another engine.

    Raises: SchemaError for a column that differs from file to file.
    """
    wanted = 1 if is_elsewhere else 2
    if len(footers.paths) < wanted:
        return
    engine.keep("file_columns", columns_of_files(engine, footers.paths))
    check_types(engine)
    check_spellings(engine)
    if not has_shape:
        check_plain_columns(engine, footers, mapping)


def columns_of_files(engine: Engine, paths: Sequence[str]) -> pa.Table:
    """Name and types of every column of every Parquet file, out of their footers."""
    size = FOOTERS_AT_ONCE if any(scheme_of(path) for path in paths) else len(paths)
    columns = "SELECT file_name, name, type, duckdb_type FROM parquet_schema"
    parts = [paths[n : n + size] for n in range(0, len(paths), size)]
    return engine.at_once([f"{columns}({path_list(part)})" for part in parts])


def old_times(engine: Engine) -> list[str]:
    """The columns whose times are INT96 in any of the Parquet files, an older type that has no zone."""
    if not engine.has("file_columns"):
        return []
    return [str(row[0]) for row in engine.rows(load_stage("checks/file_old_times").sql)]


def check_types(engine: Engine) -> None:
    """Refuse a column whose types in several files have no common type that keeps every value."""
    for name, types, one, other in engine.rows(load_stage("checks/file_types").sql):
        # The digits of a FLOAT as a DOUBLE are others, and a truth is no number.
        changed = bool(APPROXIMATE & set(types)) or ("BOOLEAN" in types and set(types) != {"BOOLEAN", "VARCHAR"})
        if changed or _differ_in_kind(types) or any(kind.startswith(MOMENTS) for kind in types):
            shown = f"{' and '.join(types)}"
            hint = "write the files anew with one type, or read them apart"
            raise SchemaError(f"{one}, {other}", name, found=shown, expected="one type in all files", hint=hint)


def check_spellings(engine: Engine) -> None:
    """Refuse a name that is spelled with other capitals in another file: SQL would take both for one column."""
    for names, path, others, other_path in engine.rows(load_stage("checks/file_spellings").sql):
        shown = " and ".join(repr(name) for name in dict.fromkeys((*names, *others)))
        hint = "write the files anew with one spelling, or read them apart"
        raise SchemaError(f"{path}, {other_path}", names[0], found=shown, expected="one spelling", hint=hint)


def check_plain_columns(engine: Engine, footers: Footers, mapping: FieldMap) -> None:
    """Refuse files whose properties are plain columns beside files that have them in one: they would not be seen."""
    bag = mapping.columns.get(mapping.bag, mapping.bag)
    if mapping.lists_properties:
        return
    lacking = engine.rows(load_stage("checks/file_bags").sql, {"bag": bag})
    fields = field_names(records=mapping.bag == "dimensions")
    known = {*fields, *(alias for aliases in fields.values() for alias in aliases), *mapping.columns.values()}
    for path, other in lacking:
        plain = [field.name for field in parquet_schema(path) if field.name not in known | set(footers.keys)]
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
