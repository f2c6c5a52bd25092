"""Parquet footers: where a file says what rows it has, and where its columns lie.

They are read here, beside pyarrow, which ends the process over a column that is encrypted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from metering_duck.files.faults import FETCH_AGAIN, Fault
from metering_duck.files.thrift import Reader, Struct

MAGIC, ENCRYPTED = b"PAR1", b"PARE"
# Behind a footer: its length, and the magic.
TAIL_BYTES = 8
_REPEATED = 2
# Fields of the footer; of a row group, a column chunk and what it says of its column; of an element of the schema.
_SCHEMA, _ROWS, _GROUPS, _ENCRYPTION = 2, 3, 4, 8
_CHUNKS, _GROUP_ROWS = 1, 3
_OTHER_FILE, _COLUMN, _INDEXES, _CRYPTO = 1, 3, ((4, 5), (6, 7)), 8
_PATH, _CODEC, _VALUES, _SIZE, _DATA, _DICTIONARY, _STATISTICS, _BLOOM = 3, 4, 5, 7, 9, 11, 12, (14, 15)
_REPETITION, _CHILDREN = 3, 5
_WHOLE = "a footer that says where all rows lie"


@dataclass(frozen=True)
class Chunk:
    """One column of a row group: where its pages lie, how they are compressed, and how many values they have.

    `more` are the places of what belongs to it beside its pages, `statistics` what it says of its values.
    """

    column: str
    codec: int
    start: int
    size: int
    values: int
    more: Sequence[tuple[int, int]]
    statistics: Struct


@dataclass(frozen=True)
class Footer:
    """The rows of a file, the chunks of its row groups, and where the footer begins."""

    rows: int
    row_groups: int
    chunks: Sequence[Chunk]
    start: int


def footer_of(path: str) -> Footer:
    """The footer of a file on this machine.

    Raises: Fault for one that contradicts itself, or that is of encrypted columns; OSError.
    """
    with open(path, "rb") as file:
        return footer_in(file)


def footer_in(file: IO[bytes]) -> Footer:
    """The footer of an open file, whose position is behind it then.

    Raises: Fault, as footer_of; OSError.
    """
    found, start = _struct_of(file)
    try:
        return _footer(found, start)
    except (KeyError, TypeError, AttributeError, IndexError):
        raise Fault("a footer that lacks what it has to say", _WHOLE, FETCH_AGAIN) from None


def _struct_of(file: IO[bytes]) -> tuple[Struct, int]:
    """The footer as it is written, and where it begins."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL_BYTES))
    tail = file.read(TAIL_BYTES)
    start = size - TAIL_BYTES - int.from_bytes(tail[:4], "little")
    if tail[4:] == ENCRYPTED:
        raise _encrypted("a Parquet file whose footer is encrypted")
    if tail[4:] != MAGIC or start < len(MAGIC):
        raise Fault("a file that does not end with the footer of Parquet", "a Parquet file", FETCH_AGAIN)
    file.seek(start)
    data = file.read(size - TAIL_BYTES - start)
    try:
        found = Reader(data).struct()
    except (IndexError, RecursionError):
        raise Fault("a footer that cannot be read", "a Parquet file", FETCH_AGAIN) from None
    chunks = [
        chunk for group in _listed(found, _GROUPS) if isinstance(group, dict) for chunk in _listed(group, _CHUNKS)
    ]
    if _ENCRYPTION in found or any(isinstance(chunk, dict) and _CRYPTO in chunk for chunk in chunks):
        raise _encrypted("a Parquet file whose columns are encrypted")
    return found, start


def _listed(struct: Struct, field: int) -> list[Any]:
    """A list in a struct, empty where harmed bytes make it something else."""
    listed = struct.get(field)
    return listed if isinstance(listed, list) else []


def _encrypted(found: str) -> Fault:
    return Fault(found, "Parquet, NDJSON, JSON, CSV or Arrow", "write it without encryption of its footer and columns")


def _footer(found: Struct, start: int) -> Footer:
    groups = found.get(_GROUPS, [])
    rows = sum(group[_GROUP_ROWS] for group in groups)
    if rows != found[_ROWS]:
        raise Fault(
            f"a footer of {found[_ROWS]:,} rows over row groups of {rows:,}", "a footer that counts its rows once"
        )
    are_flat = list(_are_flat(iter(found[_SCHEMA])))
    chunks = []
    for group in groups:
        if len(group[_CHUNKS]) != len(are_flat):
            raise Fault(f"a row group of {len(group[_CHUNKS])} columns in place of {len(are_flat)}", _WHOLE)
        for chunk, is_flat in zip(group[_CHUNKS], are_flat, strict=True):
            chunks.append(_chunk(chunk, start))
            if is_flat and chunks[-1].values != group[_GROUP_ROWS]:
                raise Fault(
                    f"{chunks[-1].values:,} values of the column {chunks[-1].column} in a row group of "
                    f"{group[_GROUP_ROWS]:,} rows",
                    "a value for each row",
                )
    return Footer(rows, len(groups), chunks, start)


def _are_flat(elements: Iterator[Struct], *, is_flat: bool = True) -> Iterator[bool]:
    """Of each column with values: whether each row has one, which in a list it has not."""
    root = next(elements, {})
    yield from _leaves(elements, root.get(_CHILDREN, 0), is_flat=is_flat)


def _leaves(elements: Iterator[Struct], count: int, *, is_flat: bool) -> Iterator[bool]:
    for _ in range(count):
        element = next(elements, None)
        if element is None:
            raise IndexError
        is_one = is_flat and element.get(_REPETITION) != _REPEATED
        if element.get(_CHILDREN):
            yield from _leaves(elements, element[_CHILDREN], is_flat=is_one)
        else:
            yield is_one


def _chunk(chunk: Struct, end: int) -> Chunk:
    """A chunk of columns, which has to lie before the footer, whose beginning is the `end`."""
    if chunk.get(_OTHER_FILE):
        raise Fault("a footer of columns that lie in other files", "a file with rows of its own", "name those files")
    of_column = chunk[_COLUMN]
    start, size, dictionary = of_column[_DATA], of_column[_SIZE], of_column.get(_DICTIONARY, 0)
    if 0 < dictionary < start:
        start = dictionary
    column = ".".join(name.decode(errors="replace") for name in of_column[_PATH])
    if size < 0 or start < 0 or start + size > end or not isinstance(of_column[_VALUES], int):
        raise Fault(f"that the column {column} lies outside of the file", _WHOLE)
    more = [(chunk[at], chunk[size]) for at, size in _INDEXES if at in chunk and size in chunk]
    more.append((of_column.get(_BLOOM[0], 0), of_column.get(_BLOOM[1], 0)))
    places = [place for place in more if all(isinstance(number, int) for number in place)]
    statistics = of_column.get(_STATISTICS)
    statistics = statistics if isinstance(statistics, dict) else {}
    return Chunk(column, of_column[_CODEC], start, size, of_column[_VALUES], places, statistics)
