"""File bytes: what a file begins and ends with, wherever it lies, compressed or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from metering_duck.engine.remote import open_url, scheme_of, shown
from metering_duck.errors import SourceError

FIRST_BYTES = 65_536
# Suffix → the codec, and what a file of it begins with.
COMPRESSIONS = {".gz": ("gzip", b"\x1f\x8b"), ".zst": ("zstd", b"\x28\xb5\x2f\xfd")}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def suffix_of(name: str) -> str:
    """The suffix that says what format a file has, in lower case: the last one, or the one before a compression's."""
    path = Path(name.lower())
    return Path(path.stem).suffix if path.suffix in COMPRESSIONS else path.suffix


def compression_of(magic: bytes) -> str:
    """The suffix of the compression that a file's first bytes show, "" for none."""
    return next((suffix for suffix, (_, begin) in COMPRESSIONS.items() if magic.startswith(begin)), "")


def first_bytes(path: str) -> bytes:
    """What a file begins with.

    Raises: SourceError for one that cannot be read.
    """
    try:
        with open_bytes(path) as stream:
            return bytes(stream.read(FIRST_BYTES))
    except (OSError, pa.ArrowException) as error:
        raise SourceError(
            f"{shown(path)}: cannot be read ({str(error).splitlines()[0]}); expected a readable file."
        ) from None


def open_bytes(path: str) -> Any:
    """A file's bytes as a stream, without their compression."""
    codec, _ = COMPRESSIONS.get(Path(path.lower()).suffix, (None, b""))
    return pa.input_stream(open_url(path) if scheme_of(path) else path, compression=codec)


def text_start(first: bytes) -> bytes:
    """Where the text of a file begins, behind its byte order mark and blanks."""
    return first.removeprefix(BYTE_ORDER_MARK).lstrip()
