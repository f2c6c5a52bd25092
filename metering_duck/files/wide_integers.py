"""Wide integers: whole numbers of 128 bits in Parquet and Arrow files of Polars, which neither Arrow nor DuckDB reads.

Arrow refuses the whole file and names no column, so the schema is read here as it is written, a table of FlatBuffers.
"""

from __future__ import annotations

import base64
import os
import re
import struct

from metering_duck.errors import first_few
from metering_duck.files.arrow_batches import TAIL_BYTES
from metering_duck.files.faults import Placed

# What Arrow says of such a file.
NOT_OF_ARROW = "Integers with more than 64 bits"
BITS = 128
# Where a Parquet footer has Arrow's schema: behind its key the length, then base64, which begins as its bytes do.
_OF_PARQUET = re.compile(rb"ARROW:schema\x18[\x80-\xff]*[\x00-\x7f](/////[A-Za-z0-9+/]+=*)")
_MARK = b"\xff\xff\xff\xff"
# A schema is in the first or the last so many bytes of a file.
_SCHEMA_BYTES_MAX = 1 << 24
# Fields of the tables of FlatBuffers, by their numbers, and the number of the type of whole numbers.
_OF_FOOTER, _OF_MESSAGE, _FIELDS, _NAME, _KIND, _TYPE, _CHILDREN, _BITS = 1, 2, 1, 0, 2, 3, 5, 0
_INTEGER = 2


def wide_integers_of(path: str) -> Placed | None:
    """What is wrong with a file on this machine of which Arrow says that it has such numbers.

    None where no column is of 128 bits: a harmed byte may make another number of bits.
    """
    with open(path, "rb") as file:
        head = file.read(_SCHEMA_BYTES_MAX)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _SCHEMA_BYTES_MAX))
        tail = file.read()
    try:
        if head.startswith(b"ARROW1"):
            names = _wide_columns(_footer(tail), _OF_FOOTER)
        else:
            in_footer = _OF_PARQUET.search(tail) if head.startswith(b"PAR1") else None
            message = base64.b64decode(in_footer[1]) if in_footer else head
            names = _wide_columns(message.removeprefix(_MARK)[4:], _OF_MESSAGE)
    except (struct.error, ValueError, IndexError, RecursionError):
        return None
    if not names:
        return None
    return Placed(
        f"column {first_few(names)}: found whole numbers of {BITS} bits, which stop Arrow from reading the file",
        "whole numbers of at most 64 bits, DECIMALs, or text",
        f"write it anew from frame.with_columns(polars.col({names[0]!r}).cast(polars.String)), or give the frame",
    )


def _footer(tail: bytes) -> bytes:
    """The footer of an Arrow file: in front of its length and of the magic."""
    return tail[-TAIL_BYTES - int.from_bytes(tail[-TAIL_BYTES:][:4], "little") : -TAIL_BYTES]


def _wide_columns(data: bytes, place: int) -> list[str]:
    """The names of columns with such numbers in them, by a message or a footer, which has the schema at a place."""
    schema = _follow(data, _follow(data, 0), place)
    return [_text(data, field) for field in _listed(data, schema, _FIELDS) if _is_wide(data, field)]


def _is_wide(data: bytes, field: int) -> bool:
    """Whether a field, or one within it, is of such numbers."""
    kind = _place(data, field, _KIND)
    if kind and data[kind] == _INTEGER:
        bits = _place(data, _follow(data, field, _TYPE), _BITS)
        return bool(bits) and _number(data, "i", bits) == BITS
    return any(_is_wide(data, child) for child in _listed(data, field, _CHILDREN))


def _number(data: bytes, kind: str, at: int) -> int:
    return int(struct.unpack_from(f"<{kind}", data, at)[0])


def _place(data: bytes, table: int, field: int) -> int:
    """Where a field of a table is; 0 for one that is not there."""
    fields = table - _number(data, "i", table)
    entry = 4 + 2 * field
    offset = _number(data, "H", fields + entry) if entry < _number(data, "H", fields) else 0
    return table + offset if offset else 0


def _follow(data: bytes, table: int, field: int | None = None) -> int:
    """What a field of a table points to; without a field, what the first number does."""
    at = table if field is None else _place(data, table, field)
    return at + _number(data, "I", at)


def _listed(data: bytes, table: int, field: int) -> list[int]:
    """The tables that a field of a table lists."""
    if not _place(data, table, field):
        return []
    vector = _follow(data, table, field)
    return [_follow(data, vector + 4 + 4 * n) for n in range(_number(data, "I", vector))]


def _text(data: bytes, table: int) -> str:
    """The name that a field has."""
    at = _follow(data, table, _NAME)
    return data[at + 4 : at + 4 + _number(data, "I", at)].decode(errors="replace")
