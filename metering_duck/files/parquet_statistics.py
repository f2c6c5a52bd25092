"""Parquet statistics: whether what a footer says of the values of its columns holds for the values.

A reader takes the least and the greatest value and the number of absent ones from the footer, which has no checksum. So
the values are read, and compared: none lies beyond them. Bounds that are wider than the values change no answer.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pyarrow as pa
from pyarrow import compute, parquet

from metering_duck.files.faults import Fault
from metering_duck.files.parquet_footer import footer_of
from metering_duck.files.thrift import Struct

ROWS_AT_ONCE = 1 << 17
SHOWN_BYTES = 60
# Fields of statistics; the older ones of texts are of another order.
_OLD_GREATEST, _OLD_LEAST, _NULLS, _GREATEST, _LEAST = 1, 2, 3, 5, 6
_FORMATS = {"INT32": "<i", "INT64": "<q", "FLOAT": "<f", "DOUBLE": "<d", "BOOLEAN": "<?"}
_DICTIONARY_READ = frozenset(("PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "RLE", "BIT_PACKED"))
_BYTES = ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
_EXPECTED = "statistics that hold for every value"
_HINT = "write the file anew; its bytes were changed, or what wrote it has written wrong statistics"


@dataclass
class Values:
    """What is said, or found, of the values of a column in a row group; None is not known."""

    least: Any = None
    greatest: Any = None
    nulls: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether anything is."""
        return self.least is not None or self.greatest is not None or self.nulls is not None

    def add(self, values: Any) -> None:
        """More values."""
        self.nulls = (self.nulls or 0) + values.null_count
        bounds = compute.min_max(values).as_py()
        if bounds["min"] is not None:
            self.least = bounds["min"] if self.least is None else min(self.least, bounds["min"])
            self.greatest = bounds["max"] if self.greatest is None else max(self.greatest, bounds["max"])

    def are_within(self, said: Values) -> bool:
        """Whether no value lies beyond the bounds that are said."""
        if self.least is None:
            return True
        is_less = said.least is not None and self.least < said.least
        return not is_less and not (said.greatest is not None and self.greatest > said.greatest)


def compared_statistics(
    path: str, columns: Collection[str] | None = None, is_stopped: Callable[[], bool] = lambda: False
) -> int:
    """How many columns of row groups have statistics that hold; of these `columns`, or of all where there are none.

    Where all are compared, those without statistics are read, too: harmed pages without a checksum may be told by that.

    Raises: Fault for statistics that do not hold; OSError, ArrowException for a file that cannot be read.
    """
    metadata = parquet.read_metadata(path)
    schema, chunks, compared = metadata.schema, footer_of(path).chunks, 0
    wanted = [n for n in range(len(schema)) if columns is None or schema.column(n).path in columns]
    # A text that is there once is read once.
    texts = [schema.column(n).path for n in wanted if columns and _may_be_dictionary(metadata, n)]
    with parquet.ParquetFile(path, metadata=metadata, read_dictionary=texts, memory_map=True) as file:
        for group in range(metadata.num_row_groups):
            for n in wanted:
                said = said_of(schema.column(n), chunks[group * len(schema) + n].statistics)
                if (said.is_known or columns is None) and not is_stopped():
                    compared += _is_compared(file, group, schema.column(n), said)
    return compared


def _may_be_dictionary(metadata: Any, column: int) -> bool:
    """Whether pyarrow reads a column as a dictionary: texts that are in none of its newer encodings."""
    if metadata.schema.column(column).physical_type != "BYTE_ARRAY":
        return False
    groups = range(metadata.num_row_groups)
    return all(_DICTIONARY_READ.issuperset(metadata.row_group(group).column(column).encodings) for group in groups)


def _is_compared(file: Any, group: int, column: Any, said: Values) -> bool:
    """Whether what is said of a column in a row group could be compared with its values, which are read in any case.

    Raises: Fault for those that do not hold.
    """
    found = _found(file, group, column, in_full=False)
    if found is None or not said.is_known:
        return False
    if not found.are_within(said):
        # A dictionary may have texts that no row has.
        found = _found(file, group, column, in_full=True) or found
    where = f"row group {group + 1}"
    if not found.are_within(said):
        bounds = [_shown(value) for value in (said.least, said.greatest, found.least, found.greatest)]
        what = "that the footer says values from {} to {} of the column {} in {}, and they are from {} to {}"
        raise Fault(what.format(*bounds[:2], column.path, where, *bounds[2:]), _EXPECTED, _HINT)
    if said.nulls is not None and found.nulls is not None and said.nulls != found.nulls:
        raise Fault(
            f"that the footer says {said.nulls:,} absent values of the column {column.path} in {where}, and there are "
            f"{found.nulls:,}",
            _EXPECTED,
            _HINT,
        )
    return True


def said_of(column: Any, statistics: Struct) -> Values:
    """What a footer says, each bound as the kind of value that `_found` finds."""
    least, greatest = statistics.get(_LEAST), statistics.get(_GREATEST)
    if column.physical_type not in _BYTES:
        least = least if least is not None else statistics.get(_OLD_LEAST)
        greatest = greatest if greatest is not None else statistics.get(_OLD_GREATEST)
    nulls = statistics.get(_NULLS)
    is_flat = column.max_repetition_level == 0 and column.max_definition_level <= 1
    nulls = nulls if is_flat and isinstance(nulls, int) else None
    return Values(_bound(column, least), _bound(column, greatest), nulls)


def _bound(column: Any, raw: Any) -> Any:
    """A bound out of its bytes; None of one that cannot be compared."""
    kind = column.physical_type
    if not isinstance(raw, bytes) or (kind not in _BYTES and kind not in _FORMATS):
        return None
    if kind in _BYTES:
        return int.from_bytes(raw, "big", signed=True) if column.logical_type.type == "DECIMAL" else raw
    form = _FORMATS[kind]
    if len(raw) != struct.calcsize(form):
        return None
    is_unsigned = column.logical_type.type == "INT" and '"isSigned": false' in column.logical_type.to_json()
    bound = struct.unpack(form.upper() if is_unsigned else form, raw)[0]
    # What is not equal to itself is no number, and bounds nothing.
    return bound if bound == bound else None


def _found(file: Any, group: int, column: Any, *, in_full: bool) -> Values | None:
    """What the values of a column in a row group are; None where they cannot be compared with what a footer says."""
    found = Values(nulls=0)
    try:
        for values in _batches(file, group, column):
            found.add(_plain(values, column, in_full=in_full))
            if pa.types.is_dictionary(values.type) and not in_full:
                # Absent values are absent in the numbers of a dictionary's texts, not in the dictionary.
                found.nulls = (found.nulls or 0) + values.null_count
    except pa.ArrowNotImplementedError:
        return None
    if column.logical_type.type == "DECIMAL":
        found.least, found.greatest = (
            None if bound is None else int(Fraction(bound) * 10**column.scale)
            for bound in (found.least, found.greatest)
        )
    return found


def _batches(file: Any, group: int, column: Any) -> Iterator[Any]:
    """The values of a column in a row group, out of the lists, MAPs and STRUCTs that they are in."""
    read = {"row_groups": [group], "columns": [column.path], "use_threads": False}
    for batch in file.iter_batches(ROWS_AT_ONCE, **read):
        # A name with a point in it may be that of a member, too.
        if batch.num_columns == 1:
            values = batch.column(0)
            while pa.types.is_nested(values.type):
                values = values.flatten()[0] if pa.types.is_struct(values.type) else values.flatten()
            yield values


def _plain(values: Any, column: Any, *, in_full: bool) -> Any:
    """Values as the numbers or bytes that the file has.

    Raises: ArrowNotImplementedError for a type of which that is not known.
    """
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode() if in_full else values.dictionary
    kind = values.type
    if column.physical_type in _BYTES:
        return values if pa.types.is_decimal(kind) else values.cast(pa.binary())
    if pa.types.is_timestamp(kind):
        unit = {"milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}
        said = next((unit[name] for name in unit if name in column.logical_type.to_json()), kind.unit)
        return values.cast(pa.timestamp(said, kind.tz)).cast(pa.int64())
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        return values.cast(pa.int32())
    if pa.types.is_time64(kind) or pa.types.is_duration(kind):
        return values.cast(pa.int64())
    return values


def _shown(value: Any) -> str:
    """A bound, in a message."""
    if isinstance(value, bytes):
        return repr(value[:SHOWN_BYTES].decode(errors="backslashreplace"))
    return "none" if value is None else str(value)
