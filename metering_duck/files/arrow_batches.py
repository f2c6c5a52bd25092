"""Arrow batches: a file or a stream of them is walked to its end, message by message, beside the reader."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from metering_duck.files.faults import FETCH_AGAIN, Fault

# In front of the messages of a file; behind its footer: the footer's length, and the magic.
HEAD_BYTES, TAIL_BYTES = 8, 10
# Fields of the footer that say where dictionaries and batches lie, and how many bytes it takes to say so of one.
BLOCK_FIELDS, BLOCK_BYTES = (2, 3), 24
# Nobody fills more than this with zeros.
GAP_BYTES_MAX = 1 << 12
_CLOSED = "a stream that was closed, and nothing behind it"
_ONE_FILE = "one Arrow file, whose footer knows all its batches"
_PUT_TOGETHER = f"where several were put into one, name them apart; else {FETCH_AGAIN}"


def batches_of(path: str) -> tuple[int, int]:
    """How many batches and rows a file has whose footer knows all of them, or a stream that ends with its mark.

    Raises: Fault; OSError, ArrowException for a file that cannot be read.
    """
    with pa.memory_map(path) as source:
        try:
            opened = pa.ipc.open_file(source)
        except pa.ArrowInvalid:
            source.seek(0)
            rows = [batch.num_rows for batch in pa.ipc.open_stream(source)]
            _check_stream(source)
        else:
            rows = [opened.get_batch(n).num_rows for n in range(opened.num_record_batches)]
            _check_file(source)
        return len(rows), sum(rows)


def _check_stream(source: Any) -> None:
    """Refuse a stream that is cut, or that is not all of its file."""
    source.seek(0)
    messages, end = pa.ipc.MessageReader.open_stream(source), 0
    with contextlib.suppress(StopIteration):
        while messages.read_next_message():
            end = source.tell()
    if source.tell() == end:
        raise Fault("an Arrow stream without the mark of its end", _CLOSED)
    behind = source.size() - source.tell()
    if behind:
        raise Fault(f"{behind:,} bytes behind the end of an Arrow stream", _CLOSED, _PUT_TOGETHER)


def _check_file(source: Any) -> None:
    """Refuse a file with batches that its footer does not know of, such as those of another file in front of it.

    Between the batches that it knows lies nothing but zeros, and behind them the mark of the end.
    """
    size = source.size()
    source.seek(size - TAIL_BYTES)
    footer_start = size - TAIL_BYTES - int.from_bytes(source.read(4), "little")
    source.seek(footer_start)
    blocks = sorted(_blocks(source.read(size - TAIL_BYTES - footer_start)))
    position = _behind_schema(source) or (blocks[0][0] if blocks else footer_start)
    for start, end in [*blocks, (footer_start, footer_start)]:
        source.seek(position)
        gap = source.read(min(max(0, start - position), GAP_BYTES_MAX))
        is_last = start == footer_start
        if not 0 <= start - position < GAP_BYTES_MAX or gap.strip(b"\0\xff" if is_last else b"\0"):
            raise Fault("batches that its footer does not know of", _ONE_FILE, _PUT_TOGETHER)
        position = end


def _behind_schema(source: Any) -> int | None:
    """Where the schema ends that a file begins with; None for a writer that does not write it as a message."""
    source.seek(HEAD_BYTES)
    with contextlib.suppress(OSError, pa.ArrowException, StopIteration):
        if pa.ipc.MessageReader.open_stream(source).read_next_message().type == "schema":
            return int(source.tell())
    return None


def _blocks(footer: bytes) -> Iterator[tuple[int, int]]:
    """Where each dictionary and each batch begins and ends, by a footer, which is a table of FlatBuffers."""

    def number(kind: str, at: int) -> int:
        return int(struct.unpack_from(f"<{kind}", footer, at)[0])

    try:
        table = number("I", 0)
        fields = table - number("i", table)
        for field in BLOCK_FIELDS:
            place = 4 + 2 * field
            offset = number("H", fields + place) if place < number("H", fields) else 0
            vector = table + offset + number("I", table + offset) if offset else 0
            for n in range(number("I", vector) if offset else 0):
                block = vector + 4 + BLOCK_BYTES * n
                start = number("q", block)
                yield start, start + number("i", block + 8) + number("q", block + 16)
    except struct.error:
        raise Fault("a footer that cannot be read", "an Arrow IPC file", FETCH_AGAIN) from None
