"""Arrow schemas: the columns of several Arrow files are compared, so that all files are read as one table.

DuckDB reads the memory of a batch by the schema of its stream: a batch of another schema would bring it down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from metering_duck.decimals.columns import DIGITS_MAX
from metering_duck.engine.remote import shown
from metering_duck.errors import SchemaError, first_few
from metering_duck.inputs.from_columns import check_names

APART = "write the files anew with one schema, or read them apart"
DIGITS_MOST = 76
# The digits of any whole number.
DIGITS_OF_WHOLE = 20


def united_schema(schemas: Mapping[str, pa.Schema]) -> pa.Schema:
    """One schema for the files of these schemas, which keeps every value: same names, in any order, and types that fit.

    Raises: SchemaError that names the file that differs.
    """
    first, *others = schemas
    schema = schemas[first]
    for path in others:
        if schemas[path] == schema:
            continue
        for one in (first, path):
            check_names(schemas[one], shown(one))
        _check_columns(schema, schemas[path], first, path)
        kinds = [_common(known.type, schemas[path].field(known.name).type) for known in schema]
        for known, kind in zip(schema, kinds, strict=True):
            if kind is None:
                found = f"{schemas[path].field(known.name).type} and {known.type}"
                raise SchemaError(
                    f"{shown(path)}, {shown(first)}",
                    known.name,
                    found=found,
                    expected="one type in all files",
                    hint=APART,
                )
        fields = zip(schema, kinds, strict=True)
        schema = pa.schema([known.with_type(kind).with_nullable(True) for known, kind in fields])
    return schema


def in_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The rows of a batch in a schema that was united of its own."""
    if batch.schema.names == schema.names and batch.schema.types == schema.types:
        return batch
    columns = [_in_type(batch.column(one.name), one.type) for one in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _check_columns(known: pa.Schema, schema: pa.Schema, first: str, path: str) -> None:
    """Refuse a file with other columns than the first file has.

    Raises: SchemaError.
    """
    for one, other, name in ((schema, known, path), (known, schema, first)):
        lacking = [column for column in other.names if column not in one.names]
        if lacking:
            beside = first if name == path else path
            raise SchemaError(
                shown(name),
                lacking[0],
                found=f"no such column among {first_few(one.names)}",
                expected=f"it, as in {shown(beside)}",
                hint=APART,
            )


def _common(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that keeps every value of two types as it is; None where there is none."""
    if one == other:
        return one
    one, other = _plain(one), _plain(other)
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    both = (one, other)
    if all(map(_is_text, both)) or (any(map(_is_text, both)) and any(map(pa.types.is_integer, both))):
        return pa.large_string()
    if all(map(_digits, both)):
        return _common_number(both)
    if all(map(pa.types.is_struct, both)):
        return _common_struct(one, other)
    return None


def _plain(kind: Any) -> pa.DataType:
    """The type of the values, of a type that spells them once."""
    is_shared = pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind)
    return kind.value_type if is_shared else kind


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _digits(kind: Any) -> tuple[int, int] | None:
    """The most digits before and behind the point that an exact number of a type has; None for any other type."""
    if pa.types.is_integer(kind):
        return DIGITS_OF_WHOLE, 0
    return (kind.precision - kind.scale, kind.scale) if pa.types.is_decimal(kind) else None


def _common_number(kinds: Sequence[pa.DataType]) -> pa.DataType | None:
    """The type of exact numbers that are whole, or have a fixed number of fraction digits."""
    if all(map(pa.types.is_signed_integer, kinds)):
        return pa.int64()
    if all(map(pa.types.is_unsigned_integer, kinds)):
        return pa.uint64()
    digits = [found for found in map(_digits, kinds) if found]
    scale = max(behind for _, behind in digits)
    precision = max(before for before, _ in digits) + scale
    if precision > DIGITS_MOST:
        return None
    return pa.decimal128(precision, scale) if precision <= DIGITS_MAX else pa.decimal256(precision, scale)


def _common_struct(one: Any, other: Any) -> pa.DataType | None:
    """A STRUCT with the members of both; a member that one lacks is absent there."""
    members: dict[str, pa.DataType] = {}
    for kind in (one, other):
        names = [kind.field(n).name for n in range(kind.num_fields)]
        if len(names) > len(set(names)):
            return None
        for name in names:
            common = _common(members.get(name, pa.null()), kind.field(name).type)
            if common is None:
                return None
            members[name] = common
    return pa.struct(members.items())


def _in_type(values: Any, kind: pa.DataType) -> Any:
    if values.type == kind:
        return values
    if pa.types.is_run_end_encoded(values.type):
        from pyarrow import compute

        values = compute.run_end_decode(values)
    return values.cast(kind)
