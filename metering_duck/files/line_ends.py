"""Line ends: where a CSV file ends its lines in more than one way, which the engine does not read.

Files are read here on the way to an error only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain

import pyarrow as pa

from metering_duck.files.kinds import SUFFIX_OF

BLOCK_BYTES = 1 << 20
CODECS = {suffix.removeprefix("."): codec for codec, suffix in SUFFIX_OF.items()}
QUOTE, RETURN = b'"', b"\r"
KNOWN = (b"\n", b"\r\n", b"\r")
# A quote, or a line's end; a feed takes all returns before it along.
_MARK = re.compile(rb'"|\r*\n|\r')


def odd_line_end_of(path: str) -> str:
    """Which line of a CSV file on this machine ends otherwise than a line before it; "" where none does."""
    codec = CODECS.get(path.lower().rpartition(".")[2])
    with suppress(OSError), pa.input_stream(path, compression=codec) as file:
        return odd_line_end(iter(lambda: bytes(file.read(BLOCK_BYTES)), b""))
    return ""


def odd_line_end(blocks: Iterable[bytes]) -> str:
    """Which line of a CSV file ends otherwise than a line before it, or in no known way; "" where none does.

    What is within quotes ends no line.
    """
    first, first_line, line, is_inside, held = b"", 1, 1, False, b""
    for block in chain(blocks, [b""]):
        # Behind a return at the end of a block a feed may follow.
        data = held + block
        text = data.rstrip(RETURN) if block else data
        held = data[len(text) :]
        for mark in _MARK.findall(text):
            if mark == QUOTE:
                is_inside = not is_inside
                continue
            line += 1
            if is_inside:
                continue
            if mark not in KNOWN:
                return f"line {line - 1} ends with {_spelled(mark)}"
            if first and mark != first:
                return f"line {line - 1} ends with {_spelled(mark)}, and line {first_line} with {_spelled(first)}"
            if not first:
                first, first_line = mark, line - 1
    return ""


def _spelled(end: bytes) -> str:
    """A line's end as people write it."""
    return end.decode().replace("\r", "\\r").replace("\n", "\\n")
