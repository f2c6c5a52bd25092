"""File bytes: the bytes that a file begins with, wherever it lies, compressed or not; and suffixes of file names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from metering_duck.engine.remote import open_url, scheme_of, shown
from metering_duck.errors import SourceError, first_line

FIRST_BYTES = 65_536
# Suffix → its codec, and the bytes that a file of that codec begins with.
COMPRESSIONS = {".gz": ("gzip", b"\x1f\x8b"), ".zst": ("zstd", b"\x28\xb5\x2f\xfd")}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def suffix_of(name: str) -> str:
    """The suffix that says a file's format, in lower case: the last, or the last before a suffix of compression."""
    path = Path(name.lower())
    return Path(path.stem).suffix if path.suffix in COMPRESSIONS else path.suffix


def compression_of(magic: bytes) -> str:
    """The suffix of the compression that a file's first bytes show; "" for a file that is not compressed."""
    for suffix, (_, begin) in COMPRESSIONS.items():
        if magic.startswith(begin):
            return suffix
    return ""


def first_bytes(path: str) -> bytes:
    """The first bytes of a file, without compression.

    Raises: SourceError for a file that cannot be read.
    """
    try:
        with open_bytes(path) as stream:
            return bytes(stream.read(FIRST_BYTES))
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
        raise SourceError(f"{shown(path)}: cannot be read ({first_line(error)}); expected a readable file.") from None


def open_bytes(path: str) -> Any:
    """A file's bytes as a stream, without their compression."""
    codec, _ = COMPRESSIONS.get(Path(path.lower()).suffix, (None, b""))
    return pa.input_stream(open_url(path) if scheme_of(path) else path, compression=codec)


def text_start(first: bytes) -> bytes:
    """A file's first bytes, without a byte order mark and without the blanks before its text."""
    return first.removeprefix(BYTE_ORDER_MARK).lstrip()
