"""Parquet pages: whether the bytes of pages that have a checksum fit it.

A page's header is read here, since no reader of ours compares checksums without decoding every value: it is a struct of
Thrift's compact protocol, of which only the sizes and the checksum are wanted.
"""

from __future__ import annotations

import contextlib
import zlib
from dataclasses import dataclass
from typing import IO, Any

from pyarrow import parquet

from metering_duck.files.faults import FETCH_AGAIN, Fault

# How many bytes are read for a page's header: it has a few dozen, unless its statistics are long texts.
HEADER_BYTES = (1 << 14, 1 << 22)
# Fields of a page's header.
_SIZE, _CHECKSUM = 3, 4
# Types of Thrift's compact protocol.
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
# Pages that are looked at before a chunk is taken to have no checksums: a dictionary, and a page of values.
PAGES_LOOKED_AT = 2


@dataclass(frozen=True)
class Pages:
    """The rows of a Parquet file by its footer, and how many of its pages have a checksum that fits."""

    rows: int
    row_groups: int
    checked: int


def pages_of(path: str) -> Pages:
    """The rows of a file, whose checksums fit wherever there is one.

    Raises: Fault; OSError, ArrowException for a file whose footer cannot be read.
    """
    footer = parquet.read_metadata(path)
    groups = [footer.row_group(n) for n in range(footer.num_row_groups)]
    rows = sum(group.num_rows for group in groups)
    if rows != footer.num_rows:
        raise Fault(
            f"a footer of {footer.num_rows:,} rows over row groups of {rows:,}", "a footer that counts its rows once"
        )
    checked = 0
    with open(path, "rb") as file:
        for group in groups:
            for n in range(group.num_columns):
                checked += _checked_pages(file, group.column(n))
    return Pages(rows, len(groups), checked)


def _checked_pages(file: IO[bytes], chunk: Any) -> int:
    """How many pages of a column chunk have a checksum that fits.

    Raises: Fault for a page whose bytes do not fit.
    """
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < start:
        start = chunk.dictionary_page_offset
    end, pages, checked = start + chunk.total_compressed_size, 0, 0
    while start < end and (checked or pages < PAGES_LOOKED_AT):
        header, data = _header(file, start, end)
        if header is None:
            # Who has no checksum proves nothing of its bytes; the reader says what is wrong with them.
            if not checked:
                return 0
            raise _unfit(chunk, pages + 1)
        body = start + header.length
        start = body + header.size
        pages += 1
        if header.checksum is not None:
            if start > end or _crc(file, data[header.length :], body, header.size) != header.checksum & 0xFFFFFFFF:
                raise _unfit(chunk, pages)
            checked += 1
    if checked and start != end:
        raise _unfit(chunk, pages)
    return checked


def _header(file: IO[bytes], start: int, end: int) -> tuple[PageHeader | None, bytes]:
    """The header of the page at a position, None for bytes that are none; and the bytes that were read for it."""
    data = b""
    for size in HEADER_BYTES:
        file.seek(start)
        data = file.read(min(size, end - start))
        with contextlib.suppress(IndexError, RecursionError):
            return PageHeader(data), data
    return None, data


def _crc(file: IO[bytes], known: bytes, body: int, size: int) -> int:
    """The checksum of a page's bytes, some of which are known already."""
    if size <= len(known):
        return zlib.crc32(memoryview(known)[:size])
    file.seek(body + len(known))
    return zlib.crc32(file.read(size - len(known)), zlib.crc32(known))


def _unfit(chunk: Any, page: int) -> Fault:
    found = f"that the checksum of page {page} of the column {chunk.path_in_schema} does not fit its bytes"
    return Fault(found, "pages as they were written", FETCH_AGAIN)


class PageHeader:
    """The header that bytes begin with: its own `length`, the `size` of the page behind it, and the `checksum` if any.

    Raises: IndexError for bytes that are no header, or too few.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0
        self.size, self.checksum = -1, None
        field = 0
        while (kind := self._byte()) != 0:
            field = field + (kind >> 4) if kind >> 4 else self._signed()
            if field == _SIZE:
                self.size = self._signed()
            elif field == _CHECKSUM:
                self.checksum = self._signed()
            else:
                self._skip(kind & 15)
        if self.size < 0:
            raise IndexError
        self.length = self._position

    checksum: int | None

    def _byte(self) -> int:
        self._position += 1
        return self._data[self._position - 1]

    def _number(self) -> int:
        number, shift = 0, 0
        while True:
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7

    def _signed(self) -> int:
        number = self._number()
        return (number >> 1) ^ -(number & 1)

    def _skip(self, kind: int) -> None:
        """Go behind a value."""
        if kind in (_BYTE,):
            self._position += 1
        elif kind in (_I16, _I32, _I64):
            self._number()
        elif kind == _DOUBLE:
            self._position += 8
        elif kind == _BINARY:
            length = self._number()
            self._position += length
        elif kind in (_LIST, _SET):
            self._skip_list()
        elif kind == _STRUCT:
            self._skip_struct()
        elif kind not in (_TRUE, _FALSE):
            raise IndexError

    def _skip_list(self) -> None:
        head = self._byte()
        count = self._number() if head >> 4 == 15 else head >> 4
        for _ in range(min(count, len(self._data))):
            # A boolean in a list takes a byte.
            self._skip(_BYTE if head & 15 in (_TRUE, _FALSE) else head & 15)

    def _skip_struct(self) -> None:
        while (kind := self._byte()) != 0:
            if not kind >> 4:
                self._signed()
            self._skip(kind & 15)
