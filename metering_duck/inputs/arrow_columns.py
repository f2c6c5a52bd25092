"""Arrow columns: the columns of Arrow tables and streams as DuckDB reads them exactly (R36).

A type that DuckDB does not have, or whose values it would change, becomes another type that keeps every value: batch by
batch, before DuckDB sees it. Where there is none, the column is left out, and refused by whoever wants to use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from metering_duck.decimals.columns import DIGITS_MAX
from metering_duck.engine.arrow_rows import can_scan
from metering_duck.engine.duckdb import Engine
from metering_duck.engine.given_streams import check_batch
from metering_duck.inputs.parquet_columns import NO_NUMBERS, extension_of
from metering_duck.inputs.unreadable import Unreadable

# Up to so many digits, DuckDB holds a DECIMAL in fewer bytes than Arrow may, and does not look at what it cuts.
DIGITS_CUT = 18
# The extension type that Arrow has in place of pandas' periods: their number since 1970.
PERIOD = "pandas.period"


@dataclass
class ExactRows:
    """Rows whose types DuckDB reads exactly; `data` is what it scans, `unreadable` are the columns left out.

    A stream is changed while DuckDB reads it: a column with a value that its type does not hold is `unreadable` then,
    and NULL from there on.
    """

    data: Any
    unreadable: dict[str, Unreadable] = field(default_factory=dict)


def exact_rows(engine: Engine, data: Any, where: str) -> ExactRows:
    """The rows of an Arrow table, reader or dataset, with the types that DuckDB reads exactly."""
    rows = ExactRows(data)
    plans = _exact_fields(engine, rows, where)
    kept = [one for one in data.schema if one.name in plans]
    changes = any(plans[one.name] != one or needs_look(one.type) for one in kept)
    if not rows.unreadable and not changes:
        return rows
    if isinstance(data, pa.Table):
        columns = {one.name: _exact_column(rows, data.column(one.name), plans[one.name], where) for one in kept}
        schema = pa.schema([plans[name] for name in columns if name not in rows.unreadable])
        rows.data = pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
    elif isinstance(data, pa.RecordBatchReader):
        schema = pa.schema(plans.values())
        rows.data = pa.RecordBatchReader.from_batches(schema, _exact_batches(rows, data, schema, where))
    else:
        _leave_out(rows, plans, where)
    return rows


def _exact_fields(engine: Engine, rows: ExactRows, where: str) -> dict[str, pa.Field]:
    """Column → its field in the type that DuckDB reads exactly; a column without such a type is unreadable."""
    plans: dict[str, pa.Field] = {}
    for one in rows.data.schema:
        exact = _exact_field(engine, one)
        if extension_of(one) == PERIOD:
            rows.unreadable[one.name] = Unreadable(where, one.name, PERIOD, *NO_NUMBERS[PERIOD])
        elif exact is None:
            member, kind = _part_of(one, lambda part: _exact_field(engine, part) is None or _is_changed_run(part.type))
            rows.unreadable[one.name] = Unreadable(where, member, str(kind))
        else:
            plans[one.name] = exact
    return plans


def _leave_out(rows: ExactRows, plans: dict[str, pa.Field], where: str) -> None:
    """Of a dataset, which DuckDB scans by itself, leave out what would have to be changed."""
    for one in rows.data.schema:
        if one.name in plans and plans[one.name] != one and not pa.types.is_timestamp(one.type):
            rows.unreadable[one.name] = Unreadable(where, one.name, str(one.type))
    if rows.unreadable:
        kept = pa.schema([one for one in rows.data.schema if one.name not in rows.unreadable])
        rows.data = rows.data.replace_schema(kept)


def _exact_field(engine: Engine, one: pa.Field) -> pa.Field | None:
    """A field in the type that DuckDB reads exactly; None where there is none."""
    kind = exact_type(one.type)
    if kind is None or not _can_cast(one.type, kind) or not _can_read(engine, one.with_type(kind)):
        return None
    return one.with_type(kind)


def _is_changed_run(kind: pa.DataType) -> bool:
    """Whether a type is run-end encoded, of values that become another type: no cast reaches them within a STRUCT."""
    return bool(pa.types.is_run_end_encoded(kind)) and exact_type(kind) != kind


def _part_of(one: pa.Field, is_wrong: Callable[[pa.Field], bool], place: str = "") -> tuple[str, pa.DataType]:
    """The name and type of the field that is wrong: the member of a STRUCT, where one by itself is."""
    place = f"{place}.{one.name}" if place else one.name
    if pa.types.is_struct(one.type):
        for n in range(one.type.num_fields):
            if is_wrong(one.type.field(n)):
                return _part_of(one.type.field(n), is_wrong, place)
    return place, one.type


# --- types -----------------------------------------------------------------------------------------------------------


def exact_type(kind: pa.DataType) -> pa.DataType | None:
    """The type in which DuckDB reads every value of a type as it is; None where there is none."""
    if isinstance(kind, pa.BaseExtensionType):
        return kind
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        value = exact_type(kind.value_type)
        return kind if value == kind.value_type else value
    if pa.types.is_nested(kind):
        return _exact_nested(kind)
    if pa.types.is_decimal(kind):
        return _exact_decimal(kind)
    if pa.types.is_float16(kind):
        return pa.float32()
    if kind == pa.duration("ns"):
        return pa.duration("us")
    if pa.types.is_timestamp(kind) and kind.unit in ("s", "ms"):
        # DuckDB goes down over a time that its own microseconds do not reach.
        return pa.timestamp("us", kind.tz)
    return kind


def _exact_decimal(kind: Any) -> pa.DataType:
    """A DECIMAL of at most 38 digits, none of them before the last one; text where there are more."""
    digits, scale = kind.precision - min(kind.scale, 0), max(kind.scale, 0)
    if digits > DIGITS_MAX:
        return pa.string()
    is_small = pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind) or pa.types.is_decimal128(kind)
    return kind if is_small and kind.scale >= 0 else pa.decimal128(digits, scale)


def _exact_nested(kind: Any) -> pa.DataType | None:
    """A nested type with exact types in it."""
    if pa.types.is_union(kind):
        return kind
    inner = [kind.field(n) for n in range(kind.num_fields)] if pa.types.is_struct(kind) else _inner_fields(kind)
    made = []
    for one in inner:
        exact = exact_type(one.type)
        if exact is None:
            return None
        made.append(one.with_type(exact))
    if [one.type for one in made] == [one.type for one in inner]:
        return kind
    if pa.types.is_struct(kind):
        return pa.struct(made)
    if pa.types.is_map(kind):
        return pa.map_(made[0].type, made[1].type)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(made[0], kind.list_size)
    return pa.large_list(made[0]) if pa.types.is_large_list(kind) else pa.list_(made[0])


def _inner_fields(kind: Any) -> list[pa.Field]:
    """The fields of a MAP or of a list."""
    return [kind.key_field, kind.item_field] if pa.types.is_map(kind) else [kind.value_field]


def needs_look(kind: pa.DataType) -> bool:
    """Whether values of a type may be other than their type says, and DuckDB would not see it."""
    if isinstance(kind, pa.BaseExtensionType):
        return False
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return needs_look(kind.value_type)
    if pa.types.is_struct(kind):
        return any(needs_look(kind.field(n).type) for n in range(kind.num_fields))
    if pa.types.is_nested(kind):
        return not pa.types.is_union(kind) and any(needs_look(one.type) for one in _inner_fields(kind))
    if pa.types.is_decimal(kind):
        return bool(kind.precision <= DIGITS_CUT)
    return bool(pa.types.is_date64(kind) or pa.types.is_time(kind) or kind == pa.month_day_nano_interval())


def _can_cast(kind: pa.DataType, target: pa.DataType) -> bool:
    """Whether Arrow has a cast between two types."""
    if kind == target:
        return True
    try:
        _cast(pa.nulls(1, kind), target)
    except (pa.ArrowException, TypeError):
        return False
    return True


def _can_read(engine: Engine, one: pa.Field) -> bool:
    """Whether DuckDB has the type; only types that are rare are tried."""
    kind = one.type
    if not (pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType) or pa.types.is_interval(kind)):
        return True
    return can_scan(engine, pa.RecordBatchReader.from_batches(pa.schema([one]), []))


# --- values ----------------------------------------------------------------------------------------------------------


def _exact_batches(
    rows: ExactRows, data: pa.RecordBatchReader, schema: pa.Schema, where: str
) -> Iterator[pa.RecordBatch]:
    """The batches of a stream in exact types."""
    for batch in data:
        check_batch(batch, data.schema, where)
        columns = [_exact_column(rows, batch.column(one.name), one, where) for one in schema]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _exact_column(rows: ExactRows, values: Any, one: pa.Field, where: str) -> Any:
    """The values of a column in the exact type of a field; NULL, and unreadable, where the type does not hold one."""
    if one.name not in rows.unreadable:
        fault = _fault_of(values, one.type)
        if not fault:
            return values if values.type == one.type else _cast(values, one.type)
        name, kind, said = _member_at_fault(values, one, fault)
        expected = "values that its type holds, in the digits that DuckDB has"
        rows.unreadable[one.name] = Unreadable(where, name, f"{kind} ({said})", expected)
    return pa.nulls(len(values), one.type)


def _fault_of(values: Any, target: pa.DataType) -> str:
    """What is wrong with values, of their type or of a type that they are to have; "" where nothing is."""
    try:
        if needs_look(values.type):
            values.validate(full=True)
            _check_microseconds(values)
        if values.type != target:
            _cast(values, target)
    except (pa.ArrowException, ValueError) as error:
        return str(error).splitlines()[0].rpartition("Invalid: ")[2].rstrip(".")
    return ""


def _member_at_fault(values: Any, one: pa.Field, fault: str) -> tuple[str, pa.DataType, str]:
    """The name, type and fault of the member of a STRUCT with a wrong value; of another column, its own."""
    from pyarrow import compute

    if pa.types.is_struct(values.type):
        for n in range(values.type.num_fields):
            member = one.type.field(n)
            found = _fault_of(compute.struct_field(values, [n]), member.type)
            if found:
                return f"{one.name}.{member.name}", values.type.field(n).type, found
    return one.name, values.type, fault


def _cast(values: Any, target: pa.DataType) -> Any:
    """Values in another type, none of them changed."""
    if pa.types.is_run_end_encoded(values.type):
        from pyarrow import compute

        values = compute.run_end_decode(values)
    return values.cast(target)


def _check_microseconds(values: Any) -> None:
    """Refuse intervals with digits finer than a microsecond, which DuckDB would cut; in STRUCTs too.

    Raises: ValueError.
    """
    from pyarrow import compute

    if pa.types.is_struct(values.type):
        for n in range(values.type.num_fields):
            _check_microseconds(compute.struct_field(values, [n]))
    if values.type != pa.month_day_nano_interval():
        return
    import numpy as np

    layout = np.dtype([("months", "i4"), ("days", "i4"), ("nanoseconds", "i8")])
    for part in values.chunks if isinstance(values, pa.ChunkedArray) else [values]:
        raw = part.buffers()[1]
        if raw is not None:
            found = np.frombuffer(raw, layout)[part.offset : part.offset + len(part)]
            if (found["nanoseconds"] % 1_000).any():
                raise ValueError("digits finer than a microsecond")
