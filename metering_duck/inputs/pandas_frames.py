"""Pandas frames: their columns as Arrow has them, and what Arrow would change in value (R36).

Of a column of Python objects, Arrow takes the type of the first value or so: it cuts a datetime beside a date to its
day, reads an aware datetime beside a naive one as if it were local, and makes a date of a number beside a date.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time, timedelta
from types import NoneType
from typing import Any

import pyarrow as pa

from metering_duck.errors import SchemaError, first_line
from metering_duck.inputs.parquet_columns import leaves
from metering_duck.inputs.unreadable import Unreadable, UnreadableColumns

WHERE = "a pandas DataFrame"
ONE_TYPE = "values of one type, which Arrow has"
# Numbers of NumPy that Arrow widens beside others: text of the wider type has other digits, and a boolean is 1.
WIDENED = ("float16", "float32", "bool", "bool_")
CANNOT = (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError)


def pandas_table(frame: Any) -> tuple[pa.Table, UnreadableColumns]:
    """A pandas frame as an Arrow table, and its columns that cannot be read exactly, which are left out.

    Raises: SchemaError for two columns of one name.
    """
    if not frame.columns.is_unique:
        twice = str(frame.columns[frame.columns.duplicated()][0])
        raise SchemaError(WHERE, twice, found="it twice", expected="names that differ", hint="rename one of them")
    unreadable = {str(name): _period(frame.iloc[:, n], str(name)) for n, name in _periods(frame)}
    table = _as_table(frame, unreadable)
    for n, name in enumerate(map(str, frame.columns)):
        if name not in unreadable and _holds_objects(frame.iloc[:, n]):
            table = _exact_objects(table, frame.iloc[:, n], name, unreadable)
    kept = [name for name in table.column_names if name not in unreadable]
    if unreadable and not kept:
        next(iter(unreadable.values())).refuse()
    return (table.select(kept) if len(kept) < table.num_columns else table), unreadable


def _as_table(frame: Any, unreadable: dict[str, Unreadable]) -> pa.Table:
    """The columns that Arrow can have; the others are added to `unreadable`."""
    readable = _without(frame, unreadable)
    try:
        return pa.Table.from_pandas(readable, preserve_index=False)
    except CANNOT:
        # The library names the column in some cases only.
        found = {}
        for n, name in enumerate(map(str, readable.columns)):
            why = _fault_of(readable.iloc[:, n], name)
            if why is not None:
                found[name] = why
        if not found:
            raise
        unreadable.update(found)
    return pa.Table.from_pandas(_without(readable, found), preserve_index=False)


def _without(frame: Any, names: Mapping[str, Unreadable]) -> Any:
    """The frame without some columns."""
    return frame.iloc[:, [n for n, name in enumerate(frame.columns) if str(name) not in names]] if names else frame


def _fault_of(column: Any, name: str) -> Unreadable | None:
    """Why Arrow cannot have a column of a frame; None where it can."""
    try:
        pa.Table.from_pandas(column.to_frame(), preserve_index=False)
    except CANNOT as error:
        is_said = bool(error.args) and isinstance(error.args[0], str) and not isinstance(error, UnicodeError)
        why = first_line(str(error.args[0] if is_said else error))
        found = f"{column.dtype} values that cannot be read ({why})"
        return Unreadable(WHERE, name, found, ONE_TYPE, _way_out(column, name))
    return None


def _way_out(column: Any, name: str) -> str:
    """How a column of a frame becomes text: objects as JSON, since text would have them as Python spells them."""
    if column.dtype == object and any(isinstance(value, dict | list | tuple) for value in column):
        return f"frame[{name!r}] = frame[{name!r}].map(json.dumps)"
    return f"frame.astype({{{name!r}: 'string'}})"


def _periods(frame: Any) -> Iterator[tuple[int, Any]]:
    """Where the columns of periods are, and their names."""
    import pandas

    for n, (name, kind) in enumerate(frame.dtypes.items()):
        if isinstance(kind, pandas.PeriodDtype):
            yield n, name


def _period(column: Any, name: str) -> Unreadable:
    """A column of periods: Arrow has the number of each since 1970."""
    return Unreadable(WHERE, name, str(column.dtype), "text, a number or a time", _way_out(column, name))


# --- Python objects --------------------------------------------------------------------------------------------------


def _holds_objects(column: Any) -> bool:
    """Whether the values of a column are Python objects, by themselves or as categories."""
    import pandas

    is_category = isinstance(column.dtype, pandas.CategoricalDtype)
    return bool(pandas.api.types.is_object_dtype(column.dtype.categories if is_category else column.dtype))


def _exact_objects(table: pa.Table, column: Any, name: str, unreadable: dict[str, Unreadable]) -> pa.Table:
    """The table with text in place of a column of several types of times; one of other types is `unreadable`.

    Values are looked at where Arrow made of them what it may have changed: not those of text.
    """
    kind = table.schema.field(name).type
    if pa.types.is_nested(kind):
        if any(_is_of_time(leaf) for _, leaf in leaves(table.schema.field(name))):
            _check_members(column, name, unreadable)
        return table
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if _is_of_time(kind):
        return _exact_times(table, column.astype(object), name, unreadable)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        known = column.astype(object).dropna()
        types = set(map(type, known))
        if len(types) > 1 and any(one.__module__ == "numpy" and one.__name__ in WIDENED for one in types):
            unreadable[name] = _of_types(name, types, _way_out(known, name))
    return table


def _exact_times(table: pa.Table, values: Any, name: str, unreadable: dict[str, Unreadable]) -> pa.Table:
    """The table with text in place of times of several types; times beside other values are `unreadable`."""
    known = values.dropna()
    kinds = set(map(_kind_of, known))
    if not _is_changed(kinds):
        return table
    if all(issubclass(one, date | time) for one, *_ in kinds):
        texts = pa.array(values.map(_text_of, na_action="ignore"), pa.string(), from_pandas=True)
        return table.set_column(table.column_names.index(name), name, texts)
    unreadable[name] = _of_types(name, (one for one, *_ in kinds), _way_out(known, name))
    return table


def _check_members(column: Any, name: str, unreadable: dict[str, Unreadable]) -> None:
    """Make a column of objects `unreadable` where a member has times of several types."""
    import pandas

    kinds: dict[str, set[tuple[Any, ...]]] = {}
    for value in column.astype(object):
        for place, part in _parts_of(value, name):
            kinds.setdefault(place, set()).add(_kind_of(part))
    # What is absent may be a float: Arrow refuses other floats beside times.
    absent = (NoneType, float, type(pandas.NaT), type(pandas.NA))
    for place, all_kinds in kinds.items():
        found = {kind for kind in all_kinds if not issubclass(kind[0], absent)}
        if any(issubclass(one, date | time | timedelta) for one, *_ in found) and _is_changed(found):
            hint = f"frame[{name!r}] = frame[{name!r}].map(lambda value: json.dumps(value, default=str))"
            unreadable.setdefault(name, _of_types(place, (one for one, *_ in found), hint))


def _parts_of(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Each plain value within an object, and the names that lead to it."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _parts_of(part, f"{place}.{key}")
    elif isinstance(value, list | tuple) or hasattr(value, "tolist"):
        for part in value if isinstance(value, list | tuple) else [value.tolist()]:
            yield from _parts_of(part, place)
    else:
        yield place, value


def _is_of_time(kind: pa.DataType) -> bool:
    """Whether a type is of times or of durations."""
    return bool(pa.types.is_temporal(kind))


def _kind_of(value: Any) -> tuple[Any, ...]:
    """The type of a value, whether it has an offset, and whether it has nanoseconds."""
    nanoseconds = getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0)
    return type(value), getattr(value, "tzinfo", None) is not None, bool(nanoseconds)


def _is_changed(kinds: set[tuple[Any, ...]]) -> bool:
    """Whether Arrow has times of such kinds with other values: of several kinds, with nanoseconds, hours with zones."""
    return len(kinds) > 1 or any(nanoseconds or (zoned and issubclass(one, time)) for one, zoned, nanoseconds in kinds)


def _text_of(value: Any) -> str:
    """A date or a time as RFC 3339 writes it: a datetime keeps its offset and its nanoseconds, a date has no time."""
    text: str = value.isoformat()
    return text


def _of_types(place: str, types: Iterable[Any], hint: str) -> Unreadable:
    """A column, or a member of one, that has values of several types."""
    found = " and ".join(sorted({one.__name__ for one in types}))
    return Unreadable(WHERE, place, f"values of {found}", ONE_TYPE, hint)
