"""Row counts: how many rows a text file has, counted over its bytes, apart from the reader that makes rows of them.

Bytes come in blocks. A line ends with \\n, \\r\\n or a lone \\r.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from typing import Protocol

import numpy as np

from metering_duck.files.faults import Fault, Placed
from metering_duck.files.kinds import BYTE_ORDER_MARK, SAVE_AS_UTF8
from metering_duck.files.masks import Bytes, Flags, behind, odd, positions_of, words_of

LINE_FEED, RETURN, QUOTE = 10, 13, 34
# A quoted value without an end is looked for no further than this.
VALUE_BYTES_MAX = 256 << 20


class RowCounter(Protocol):
    """Counts rows in bytes that are added block by block."""

    def add(self, block: bytes) -> None:
        """Take the next bytes."""

    def rows(self) -> int:
        """How many rows there were, now that all bytes are there."""


class LineCounter:
    """Counts lines; one that has nothing but `blanks` is no row, unless `every` line is one."""

    def __init__(self, blanks: bytes = b" \t", *, every: bool = False) -> None:
        self._blanks, self._every = blanks, every
        self._count, self._is_first = 0, True
        # The bytes that wait for the next block: those of a mark, and a \r, behind which a \n may follow. And whether
        # the line that has begun is a row already.
        self._held, self._is_row = b"", False

    def add(self, block: bytes) -> None:
        """Take the next bytes."""
        block, self._held = self._held + block, b""
        if self._is_first:
            if len(block) < len(BYTE_ORDER_MARK) and BYTE_ORDER_MARK.startswith(block):
                self._held = block
                return
            block, self._is_first = block.removeprefix(BYTE_ORDER_MARK), False
        if block.endswith(b"\r"):
            block, self._held = block[:-1], b"\r"
        if block:
            self._add(block)

    def _add(self, block: bytes) -> None:
        data = np.frombuffer(block, np.uint8)
        if RETURN in block:
            is_return = data == RETURN
            if is_return[-1] or bool((is_return[:-1] & (data[1:] != LINE_FEED)).any()):
                self._add(block.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
                return
        ends = data == LINE_FEED
        self._count += int(np.count_nonzero(ends)) - self._blank_lines(data, ends)
        last = block.rfind(b"\n")
        if last >= 0:
            self._is_row = False
        rest = block[last + 1 :]
        self._is_row = self._is_row or bool(rest if self._every else rest.strip(self._blanks))

    def _blank_lines(self, data: Bytes, ends: Flags) -> int:
        """How many of the lines that end in a block are no rows; their first byte tells of most that they are rows."""
        if self._every or not ends.any():
            return 0
        may_be = (data[1:] <= 32) & ends[:-1]
        if self._is_row and not may_be.any():
            return 0
        positions = np.flatnonzero(ends)
        is_text = ~ends & (data != RETURN)
        for blank in self._blanks:
            is_text &= data != blank
        starts = np.concatenate(([0], positions[:-1]))
        texts = np.add.reduceat(is_text[: positions[-1] + 1], starts, dtype=np.int64)
        if self._is_row:
            texts[0] += 1
        return int(np.count_nonzero(texts == 0))

    def rows(self) -> int:
        """How many lines there were; the last one may lack its end."""
        has_end = self._every and self._held == b"\r"
        return self._count + int(self._is_row or has_end or (self._is_first and self._held != b""))


class CsvCounter:
    """Counts the rows of CSV: a line end in a quoted value ends no row.

    A value is quoted if its first byte is a quote. With a blank before it the engine takes it for quoted, too, and
    other readers do not: that is a fault. `without` lines are no rows: the header, and what is before it. An empty line
    is a row only where there is one column.
    """

    def __init__(self, delimiter: str, columns: int, without: int) -> None:
        self._lines = LineCounter(b"", every=columns == 1)
        self._without = without
        self._delimiter = delimiter.encode()
        start = rb"(\A|[\r\n" + re.escape(self._delimiter) + rb"])( *)"
        self._closed = re.compile(start + rb'"(?:[^"]|"")*+"(?=[\r\n ' + re.escape(self._delimiter) + rb"])")
        self._open = re.compile(start + rb'(?:"|\Z)')
        # Whether a quoted value has begun and not ended; the last byte before the block that is no blank, and whether
        # a blank is behind it.
        self._is_inside, self._before, self._has_blank = False, self._delimiter, False
        # Once a quote stands inside of a value that is not quoted, values are told apart one by one.
        self._by_value, self._waiting = False, b""
        self._decoder, self._line_ends = getincrementaldecoder("utf-8")(), 0

    def add(self, block: bytes) -> None:
        """Take the next bytes.

        Raises: Fault for bytes that are no UTF-8, also in columns that nobody reads.
        """
        if not block:
            return
        self._check_text(block)
        if self._by_value:
            self._waiting_for(block)
        elif self._is_inside or b'"' in block:
            self._quoted(block)
        else:
            self._remember(block)
            self._lines.add(block)

    def _check_text(self, block: bytes, *, is_last: bool = False) -> None:
        held = len(self._decoder.getstate()[0])
        if held or is_last or not block.isascii():
            try:
                self._decoder.decode(block, is_last)
            except UnicodeDecodeError as error:
                line = self._line_ends + block.count(b"\n", 0, max(0, error.start - held)) + 1
                raise Placed(
                    f"line {line:,} is not UTF-8", "text in UTF-8", SAVE_AS_UTF8.format(encoding="ENCODING")
                ) from None
        self._line_ends += block.count(b"\n")

    def _quoted(self, block: bytes) -> None:
        """Take a block with quotes: the line ends between an odd quote and the next one are not counted."""
        data = np.frombuffer(block, np.uint8)
        is_quote = data == QUOTE
        is_end = (data == LINE_FEED) | (data == RETURN)
        quotes = words_of(is_quote)
        inside = odd(quotes, before=self._is_inside)
        begins = quotes & inside
        before = words_of(is_end | is_quote | (data == self._delimiter[0]))
        first = not self._has_blank and self._before in (b"\n", b"\r", b'"', self._delimiter)
        may_begin = behind(before, first=first)
        if bool((begins & ~may_begin).any()):
            self._by_value = True
            self._waiting_for(self._value_before(block) + block)
            return
        self._is_inside = bool(np.count_nonzero(is_quote) % 2) != self._is_inside
        self._remember(block)
        hidden = words_of(is_end) & inside
        if hidden.any():
            shown = data.copy()
            shown[positions_of(hidden)] = QUOTE
            block = shown.tobytes()
        self._lines.add(block)

    def _value_before(self, block: bytes) -> bytes:
        """What stands for the value that a block goes on with: how it begins is all that matters."""
        if self._is_inside:
            return b'"'
        if self._before == b'"' and not self._has_blank and block.startswith(b'"'):
            # Two quotes in a quoted value, one in each block.
            return b'""'
        blank = b" " if self._has_blank else b""
        return blank if self._before in (b"\n", b"\r", self._delimiter) else b"x"

    def _remember(self, block: bytes) -> None:
        """How a block ends, which decides how the next one begins."""
        self._before = block.rstrip(b" ")[-1:] or self._before
        self._has_blank = block.endswith(b" ")

    def _waiting_for(self, block: bytes) -> None:
        """Take a block value by value; a quoted value that has not ended waits for the next block."""
        self._waiting += block
        if len(block) * 2 >= len(self._waiting):
            self._take(self._waiting)

    def _take(self, text: bytes) -> None:
        shown = self._closed.sub(rb"\1\2\0", text)
        found = self._open.search(shown)
        if b" \0" in shown or (found and found.group().endswith(b' "')):
            raise Fault(
                "a blank before a quote, which some readers take for the begin of a quoted value, and others do not",
                "quotes that begin and end their value",
                "take the blank out, or write the file anew with every quote doubled in quotes",
            )
        known = found.start(2) if found else len(shown)
        self._lines.add(shown[:known])
        rest = shown[known:]
        is_within = shown[-1:] not in (b"", b"\n", b"\r", self._delimiter)
        self._waiting = rest or (b"x" if is_within else b"")
        if len(self._waiting) > VALUE_BYTES_MAX:
            raise ValueError(f"a quoted value that does not end within {VALUE_BYTES_MAX >> 20} MB")

    def rows(self) -> int:
        """How many rows there were, without the header."""
        self._check_text(b"", is_last=True)
        if self._by_value:
            is_cut = self._waiting[-1:] not in (b"", b"\n", b"\r")
            self._take(self._waiting + self._delimiter if is_cut else self._waiting)
            self._lines.add(self._waiting)
        return max(0, self._lines.rows() - self._without)


class ObjectCounter:
    """Counts JSON values that stand one after another or, with `in_array`, in one array."""

    def __init__(self, *, in_array: bool) -> None:
        self._in_array = in_array
        self._count, self._depth, self._tops = 0, 0, 0
        self._is_inside, self._held, self._is_empty = False, b"", True

    def add(self, block: bytes) -> None:
        """Take the next bytes."""
        block = self._held + block
        self._held = b""
        if b"\\" in block:
            escapes = len(block) - len(block.rstrip(b"\\"))
            if escapes % 2:
                block, self._held = block[:-1], b"\\"
            block = re.sub(rb"\\.", b"", block, flags=re.DOTALL)
        if block:
            self._add(np.frombuffer(block, np.uint8))

    def _add(self, data: Bytes) -> None:
        is_quote = data == QUOTE
        quoted = odd(words_of(is_quote), before=self._is_inside) | words_of(is_quote)
        outside = np.unpackbits(quoted.astype("<u8", copy=False).view(np.uint8), bitorder="little")[: len(data)] == 0
        self._is_inside = bool(np.count_nonzero(is_quote) % 2) != self._is_inside
        begins = outside & ((data == ord("{")) | (data == ord("[")))
        ends = outside & ((data == ord("}")) | (data == ord("]")))
        depths = np.cumsum(begins.astype(np.int8) - ends.astype(np.int8), dtype=np.int64) + self._depth
        self._tops += int(np.count_nonzero(begins & (depths == 1)))
        if self._in_array:
            within = depths == 1
            self._count += int(np.count_nonzero(outside & within & (data == ord(","))))
            has_text = (data > 32) & ~(begins & within)
            self._is_empty = self._is_empty and not bool((has_text & (depths >= 1)).any())
        self._depth = int(depths[-1])

    def rows(self) -> int:
        """How many values there were.

        Raises: ValueError for text that does not end where its brackets say.
        """
        if self._depth or self._is_inside:
            raise ValueError("a JSON text that does not end")
        if not self._in_array:
            return self._tops
        if self._tops != 1:
            raise ValueError(f"{self._tops} JSON values one after another, the first an array")
        return self._count + int(not self._is_empty)
