"""One name: an input that has one field under several names is refused (R37); tables of ours are opened here.

A table of ours has readings, or the periods that people give: its fields have fixed names, which no option maps.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from metering_duck.engine.duckdb import Engine
from metering_duck.inputs.fields import FILE_COLUMN
from metering_duck.inputs.file_checks import check_files, check_plain_headers
from metering_duck.inputs.file_set import FileSet
from metering_duck.inputs.input import Input
from metering_duck.inputs.mapping import FieldMap, Spellings
from metering_duck.inputs.relations import Relation
from metering_duck.statements.quote import identifier, literal_list
from metering_duck.statements.select import select, star_with, united

Types = Mapping[str, str]


def check_spelled_once(
    relation: Relation, found: Input, types: Types, members: Mapping[str, Iterable[str]], mapping: FieldMap
) -> None:
    """Refuse a field that one file or table has under several names; inputs/file_checks.py looks at several footers.

    So are text files refused of which some have properties in one column, and some in columns of their own. `members`
    are those of each STRUCT among the columns `types`.

    Raises: SchemaError.
    """
    files = getattr(found, "files", None)
    keys = files.keys if isinstance(files, FileSet) else ()
    if relation.headers:
        for where, names in relation.headers:
            mapping.check_spelled_once([*names, *keys], keys, where)
        if mapping.is_option:
            check_plain_headers(relation.headers, keys, mapping)
    elif len(found.footers.paths) < 2:
        nested = [f"{outer}.{name}" for outer, names in members.items() for name in names]
        mapping.check_spelled_once([*types, *nested], keys, found.name)


@dataclass(frozen=True)
class Table:
    """A table of ours: its rows, the types of its columns, and of the members of each STRUCT; none for JSON."""

    rows: Relation
    types: Types
    members: Mapping[str, Types]


def open_table(engine: Engine, found: Input, name: str, fields: Spellings, exact: Collection[str] = ()) -> Table:
    """A table of ours; `fields` are field → its spellings, and a member of a STRUCT is spelled `outer.inner`.

    Of the columns `exact`, files may have exact numbers that no one type holds: all are read as text, with every digit.

    Raises: SchemaError for a field under several names, and for files that cannot be read as one table.
    """
    mapping = FieldMap(None, fields, is_option=False)
    unreadable = check_files(engine, found.footers, mapping, has_shape=False, is_elsewhere=False)
    rows = found.relation(engine, name)
    as_text = [column for column in exact if column in unreadable and unreadable[column].is_exact_as_text]
    files = getattr(found, "files", None)
    if as_text and isinstance(files, FileSet):
        rows = replace(rows, sql=_with_texts(engine, files, as_text))
        unreadable = {column: why for column, why in unreadable.items() if column not in as_text}
    engine.rows("DROP TABLE IF EXISTS file_columns")
    rows = replace(rows, unreadable={**unreadable, **rows.unreadable})
    if rows.is_json:
        return Table(rows, {}, {})
    types = engine.describe(rows.sql)
    types.pop(FILE_COLUMN, None)
    outer = {place.partition(".")[0] for spellings in fields.values() for place in spellings if "." in place}
    members = {
        one: engine.describe(f"(SELECT UNNEST({identifier(one)}) FROM {rows.sql})")
        for one in sorted(outer)
        if types.get(one, "").startswith("STRUCT(") and not types[one].endswith("]")
    }
    check_spelled_once(rows, found, types, members, mapping)
    return Table(rows, types, members)


def _with_texts(engine: Engine, files: FileSet, columns: Sequence[str]) -> str:
    """SQL for the rows of Parquet files whose `columns` differ in type, as text: those of one type are read at once."""
    listed = select(
        {"file_name": "file_name", "name": "name", "duckdb_type": "duckdb_type"},
        "file_columns",
        where=["duckdb_type IS NOT NULL", f"list_contains({literal_list(columns)}, name)"],
        order_by=["file_name", "name"],
    )
    kinds: dict[str, tuple[str, ...]] = dict.fromkeys(files.paths, ())
    for path, name, kind in engine.rows(listed):
        kinds[path] += (name, kind)
    readers = []
    for kind in dict.fromkeys(kinds.values()):
        alike = replace(files, paths=tuple(path for path, own in kinds.items() if own == kind))
        there = [identifier(name) for name in columns if name in kind]
        texts = {name: f"CAST({name} AS VARCHAR)" for name in there}
        readers.append(select({}, alike.reader_sql("read_parquet", union_by_name="true"), star=star_with(texts)))
    return united(readers)
