"""Parquet pages: whether all that a footer counts is there, and whether the bytes of pages fit their checksums.

No reader of ours compares checksums without decoding every value. DuckDB compares neither those in the headers of
pages, nor those that gzip puts behind the bytes that it compresses.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from dataclasses import dataclass
from typing import IO

import pyarrow as pa
from pyarrow import parquet

from metering_duck.files.faults import FETCH_AGAIN, Fault
from metering_duck.files.parquet_footer import MAGIC, Chunk, Footer, footer_of
from metering_duck.files.thrift import Reader, Struct

# How many bytes are read for a page's header: it has a few dozen, unless its statistics are long texts.
HEADER_BYTES = (1 << 9, 1 << 14, 1 << 22)
BLOCK_BYTES = 1 << 20
# Codecs whose bytes may have a checksum of their own.
_GZIP, _ZSTD = 2, 6
# Fields of a page's header; of what it says of a page of values, in either version of pages.
_KIND, _LENGTH, _SIZE, _CHECKSUM = 1, 2, 3, 4
_VALUES, _DEFINITIONS, _REPETITIONS, _IS_COMPRESSED = 1, 5, 6, 7
# Kinds of pages with values → the field of what their headers say of them; those of version 2 of pages.
_SAID_OF, _VERSION_2 = {0: 5, 3: 8}, 3
# The window of gzip, with a header of gzip's or of zlib's.
_GZIP_OR_ZLIB = 47
_ZSTD_BEGIN, _ZSTD_CHECKED = b"\x28\xb5\x2f\xfd", 0b100
_AS_WRITTEN = "pages as they were written"


@dataclass(frozen=True)
class Pages:
    """The rows of a Parquet file by its footer, and how many of its pages have a checksum that fits."""

    rows: int
    row_groups: int
    checked: int


def pages_of(path: str) -> Pages:
    """The rows of a file that has all the values that its footer counts, and whose checksums fit.

    Raises: Fault; OSError, ArrowException for a file whose footer cannot be read.
    """
    parquet.read_metadata(path)
    footer = footer_of(path)
    with open(path, "rb") as file:
        _check_claimed(file, footer)
        # A chunk without values has no pages, and says that it lies anywhere.
        checked = sum(_checked_pages(file, chunk, footer.start) for chunk in footer.chunks if chunk.values)
    return Pages(footer.rows, footer.row_groups, checked)


@dataclass(frozen=True)
class Page:
    """A page: where its bytes are, and its header."""

    start: int
    end: int
    header: Struct

    @property
    def values(self) -> int:
        """How many values it has, absent ones included; those of a dictionary are no rows."""
        return int(self._said.get(_VALUES, 0))

    @property
    def _said(self) -> Struct:
        said: Struct = self.header.get(_SAID_OF.get(self.header[_KIND], 0), {})
        return said

    @property
    def plain_bytes(self) -> int | None:
        """How many bytes in front of the values are not compressed; None if all of the page is as it is."""
        if self.header[_KIND] == _VERSION_2 and not self._said.get(_IS_COMPRESSED, True):
            return None
        is_new = self.header[_KIND] == _VERSION_2
        return int(self._said[_DEFINITIONS] + self._said[_REPETITIONS]) if is_new else 0


def _page_at(file: IO[bytes], start: int, end: int) -> Page | None:
    """The page at a position, None where there is none that ends before `end`."""
    for size in HEADER_BYTES:
        file.seek(start)
        reader = Reader(file.read(min(size, end - start)))
        with contextlib.suppress(IndexError, RecursionError):
            header = reader.struct()
            if not _is_page(header):
                return None
            page = Page(start + reader.position, start + reader.position + header[_SIZE], header)
            return page if page.end <= end else None
    return None


def _is_page(header: Struct) -> bool:
    """Whether a struct says all that a page's header has to."""
    numbers = [header.get(field) for field in (_KIND, _LENGTH, _SIZE)]
    kind = header.get(_KIND)
    if isinstance(kind, int) and kind in _SAID_OF:
        said = header.get(_SAID_OF[kind])
        if not isinstance(said, dict):
            return False
        numbers += [said.get(_VALUES)]
        numbers += [said.get(_DEFINITIONS), said.get(_REPETITIONS)] if kind == _VERSION_2 else []
    return all(isinstance(number, int) and number >= 0 for number in numbers)


def _checked_pages(file: IO[bytes], chunk: Chunk, footer: int) -> int:
    """How many pages of a column chunk have a checksum that fits.

    Raises: Fault for a page that is harmed, and for pages of other values than the footer counts.
    """
    start, end, pages, checked, values = chunk.start, chunk.start + chunk.size, 0, 0, 0
    while start < end:
        page = _page_at(file, start, footer)
        pages += 1
        if page is None:
            raise Fault(f"that page {pages} of the column {chunk.column} is harmed", _AS_WRITTEN, FETCH_AGAIN)
        start = page.end
        values += page.values
        if _is_checked(file, page, chunk.codec, f"page {pages} of the column {chunk.column}"):
            checked += 1
    if values != chunk.values:
        raise Fault(
            f"pages of {values:,} values in the column {chunk.column}, of which the footer counts {chunk.values:,}",
            "a footer that counts every value",
            FETCH_AGAIN,
        )
    if checked and start != end:
        raise Fault(f"that the pages of the column {chunk.column} are not as long as the footer says", _AS_WRITTEN)
    return checked


def _is_checked(file: IO[bytes], page: Page, codec: int, name: str) -> bool:
    """Whether a page has a checksum, which fits.

    Raises: Fault for one that does not.
    """
    checksum = page.header.get(_CHECKSUM)
    plain = page.plain_bytes
    is_gzip = codec == _GZIP and plain is not None and page.end > page.start + plain
    has_frame = codec == _ZSTD and plain is not None and _has_checksum(file, page.start + plain)
    if checksum is None and not is_gzip and not has_frame:
        return False
    file.seek(page.start)
    data = memoryview(file.read(page.end - page.start))
    if checksum is not None and zlib.crc32(data) != checksum & 0xFFFFFFFF:
        raise _unfit(name)
    length = page.header[_LENGTH] - (plain or 0)
    if is_gzip:
        _check_gzip(data[plain:], length, name)
    if has_frame:
        _check_zstd(data[plain:], length, name)
    return True


def _has_checksum(file: IO[bytes], start: int) -> bool:
    """Whether a zstd frame that begins here has a checksum."""
    file.seek(start)
    begin = file.read(len(_ZSTD_BEGIN) + 1)
    return begin.startswith(_ZSTD_BEGIN) and bool(begin[-1] & _ZSTD_CHECKED)


def _check_gzip(data: memoryview, length: int, name: str) -> None:
    """Refuse what gzip has compressed, where it is harmed."""
    made, rest = 0, bytes(data)
    while rest:
        member = zlib.decompressobj(_GZIP_OR_ZLIB)
        try:
            made += len(member.decompress(rest, max(1, length - made)))
            # What comes behind the bytes that are expected is their checksum.
            made += len(member.decompress(member.unconsumed_tail, 1))
        except zlib.error as error:
            if "incorrect data check" in str(error):
                raise _unfit(name) from None
            raise Fault(f"that {name} is harmed ({str(error).rpartition(': ')[2]})", _AS_WRITTEN) from None
        if not member.eof or made > length:
            break
        rest = member.unused_data
    if rest or made != length:
        raise Fault(f"that {name} is not as long as it says", _AS_WRITTEN)


def _check_zstd(data: memoryview, length: int, name: str) -> None:
    """Refuse what zstd has compressed, where it is harmed."""
    try:
        pa.Codec("zstd").decompress(pa.py_buffer(data), length)
    except (OSError, pa.ArrowException) as error:
        if "checksum" in str(error):
            raise _unfit(name) from None
        raise Fault(f"that {name} is harmed ({str(error).rpartition(': ')[2].rstrip('.')})", _AS_WRITTEN) from None


def _unfit(name: str) -> Fault:
    return Fault(f"that the checksum of {name} does not fit its bytes", _AS_WRITTEN)


def _check_claimed(file: IO[bytes], footer: Footer) -> None:
    """Refuse a file with rows that its footer does not know of, such as those of another file in front of it."""
    starts = [chunk.start for chunk in footer.chunks if chunk.values]
    if len(set(starts)) < len(starts):
        raise Fault("two columns at one place", "a place of its own for each", FETCH_AGAIN)
    claimed = [(chunk.start, chunk.size) for chunk in footer.chunks if chunk.values]
    claimed += [place for chunk in footer.chunks for place in chunk.more]
    file.seek(0)
    if file.read(len(MAGIC)) != MAGIC:
        raise Fault("a file that does not begin as Parquet does", "a Parquet file", FETCH_AGAIN)
    position = len(MAGIC)
    for start, size in [*sorted(claimed), (footer.start, 0)]:
        if start > position and _has_rows(file, position, start):
            raise Fault(
                "rows that its footer does not count",
                "one Parquet file, whose footer counts all its rows",
                "where several files were put into one, name them apart; else fetch it again",
            )
        position = max(position, start + size)


def _has_rows(file: IO[bytes], start: int, end: int) -> bool:
    """Whether a page of values, or a whole file, lies between two positions; zeros may fill the space."""
    before, is_first = b"", True
    file.seek(start)
    for position in range(start, end, BLOCK_BYTES):
        block = file.read(min(BLOCK_BYTES, end - position))
        if MAGIC in before + block:
            return True
        before = block[1 - len(MAGIC) :]
        filled = block.lstrip(b"\0")
        if is_first and filled:
            is_first = False
            if _begins_pages(file, position + len(block) - len(filled), end):
                return True
            file.seek(position + len(block), os.SEEK_SET)
    return False


def _begins_pages(file: IO[bytes], start: int, end: int) -> bool:
    """Whether pages lie at a position, of which one has values."""
    while start < end and (page := _page_at(file, start, end)) is not None:
        if page.values:
            return True
        start = page.end
    return False
