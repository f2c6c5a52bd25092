"""Lake columns: what a file of a table has in another type than its table says is read exactly, or refused (R36).

A table may have been given a wider type after a file was written, and nothing proves that a file has the types of its
table. Types that hold every value are left to the reader. A FLOAT is the number that its digits say, in a column of
DOUBLE as well: DuckDB reads it as text first. All else is a column that may not be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from metering_duck.engine.remote import shown
from metering_duck.errors import MeteringError
from metering_duck.inputs.parquet_columns import exact_digits, is_variant
from metering_duck.inputs.unreadable import Unreadable

# The most bits of whole numbers that each type of numbers with a floating point has.
WHOLE_BITS = {pa.float16(): 8, pa.float32(): 16, pa.float64(): 32}
# How many footers are read at once.
READS_AT_ONCE = 16
# What messages call types, as DuckDB does.
SQL_NAMES = {
    "bool": "BOOLEAN",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "string": "VARCHAR",
    "large_string": "VARCHAR",
}
HINT = "rewrite the data files of the table, so that all have its type"
# By what a column of a file is found in its table, where it is not by its name.
ID, PHYSICAL_NAME = b"PARQUET:field_id", b"delta.columnMapping.physicalName"


@dataclass
class Changed:
    """What files have in other types: columns that may not be used, and files whose FLOATs are DOUBLEs of the table.

    `is_judged` says whether nothing differs beside these: of times and nested types, the table's library knows.
    """

    unreadable: dict[str, Unreadable] = field(default_factory=dict)
    floats: dict[str, tuple[str, ...]] = field(default_factory=dict)
    is_judged: bool = True

    @property
    def groups(self) -> dict[tuple[str, ...], list[str]]:
        """Columns that are FLOATs → the files in which these columns are."""
        found: dict[tuple[str, ...], list[str]] = {}
        for path, columns in self.floats.items():
            found.setdefault(columns, []).append(path)
        return found


def schemas_of(files: Sequence[tuple[str, Callable[[], pa.Schema]]]) -> Iterator[tuple[str, pa.Schema]]:
    """The columns of files, several read at once; without a file that cannot be read, which its reader will say."""
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        for (path, _), schema in zip(files, pool.map(_read, (read for _, read in files)), strict=True):
            if schema is not None:
                yield path, schema


def _read(read: Callable[[], pa.Schema]) -> pa.Schema | None:
    with suppress(MeteringError, OSError, ValueError, pa.ArrowException):
        return read()
    return None


def changed_in_table(found: Any) -> dict[str, Unreadable]:
    """The columns that may not be used where another library or engine reads a table; none of what is no such table."""
    if not hasattr(found, "file_schemas"):
        return {}
    return changed_columns(found.schema, found.file_schemas(), found.name, reads_floats=False).unreadable


def changed_columns(
    schema: pa.Schema, files: Iterable[tuple[str, pa.Schema]], where: str, *, reads_floats: bool
) -> Changed:
    """What files have in other types than the `schema` of their table; `reads_floats` says that FLOATs become text."""
    changed = Changed()
    for path, found in files:
        floats = []
        for name, place, kind, other in _pairs(schema, found):
            if kind == other or _holds(kind, other):
                continue
            if not (_kind(kind) and _kind(other)) or _kind(kind) == _kind(other) == "time":
                changed.is_judged = False
            elif reads_floats and place == name and _kind(kind) == _kind(other) == "float" and _is_wider(kind, other):
                floats.append(name)
            else:
                what = f"{_shown(kind)} and {_shown(other)}"
                why = Unreadable(f"{where}, {shown(path)}", place, what, "one type in all files", HINT)
                changed.unreadable.setdefault(name, why)
        changed.floats[path] = tuple(floats)
    return changed


def _pairs(
    ours: Iterable[pa.Field], theirs: Iterable[pa.Field], column: str = "", place: str = ""
) -> Iterator[tuple[str, str, pa.DataType, pa.DataType]]:
    """Column, the place within it, the type in the table and that in the file, of each plain type that both have."""
    by_name = {one.name: one for one in theirs}
    by_id = {(one.metadata or {}).get(ID): one for one in theirs}
    for one in ours:
        told: Mapping[bytes, bytes] = one.metadata or {}
        physical = told.get(PHYSICAL_NAME, one.name.encode()).decode()
        other = by_id.get(told[ID]) if by_id.keys() - {None} and ID in told else by_name.get(physical)
        if other is not None:
            name = f"{place}.{one.name}" if place else one.name
            yield from _pairs_within(one.type, other.type, column or one.name, name)


def _pairs_within(
    kind: Any, other: Any, column: str, place: str
) -> Iterator[tuple[str, str, pa.DataType, pa.DataType]]:
    """The pairs of a column's type in the table and in a file."""
    kind, other = (one.value_type if pa.types.is_dictionary(one) else one for one in (kind, other))
    if pa.types.is_struct(kind) and pa.types.is_struct(other) and not is_variant(kind):
        yield from _pairs(list(kind), list(other), column, place)
    elif pa.types.is_map(kind) and pa.types.is_map(other):
        yield from _pairs_within(kind.key_type, other.key_type, column, place)
        yield from _pairs_within(kind.item_type, other.item_type, column, place)
    elif _is_list(kind) and _is_list(other):
        yield from _pairs_within(kind.value_type, other.value_type, column, place)
    else:
        yield column, place, kind, other


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _kind(kind: pa.DataType) -> str:
    """What sort of plain type a type is; "" for those that are not judged here."""
    if pa.types.is_floating(kind):
        return "float"
    if pa.types.is_boolean(kind) or exact_digits(kind):
        return "exact"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    return "time" if pa.types.is_timestamp(kind) or pa.types.is_date(kind) else ""


def _holds(kind: pa.DataType, other: pa.DataType) -> bool:
    """Whether a type holds every value of another one as it is, without a look at its digits."""
    if pa.types.is_null(other):
        return True
    if "text" in (_kind(kind), _kind(other)):
        return _kind(kind) == _kind(other)
    if pa.types.is_integer(other) and kind in WHOLE_BITS:
        return bool(other.bit_width <= WHOLE_BITS[kind])
    if pa.types.is_integer(other) and pa.types.is_integer(kind):
        bits = kind.bit_width - pa.types.is_signed_integer(kind)
        is_signed = pa.types.is_signed_integer(other)
        return bool(other.bit_width - is_signed <= bits and pa.types.is_signed_integer(kind) >= is_signed)
    wide, digits = exact_digits(kind), exact_digits(other)
    return bool(wide and digits and pa.types.is_decimal(kind) and digits[0] <= wide[0] and digits[1] <= wide[1])


def _is_wider(kind: pa.DataType, other: pa.DataType) -> bool:
    return bool(kind.bit_width > other.bit_width)


def _shown(kind: pa.DataType) -> str:
    """What messages call a type."""
    text = str(kind)
    return SQL_NAMES.get(text, text.replace("decimal128", "DECIMAL"))
