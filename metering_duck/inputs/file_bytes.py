"""File bytes: the bytes that a file begins with, wherever it lies, compressed or not."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from metering_duck.engine.remote import open_url, scheme_of, shown
from metering_duck.errors import SourceError, first_line
from metering_duck.files.faults import Fault
from metering_duck.files.gzip_members import Members
from metering_duck.files.kinds import BYTE_ORDER_MARK, GZIP, ZSTD, check_bytes, check_content
from metering_duck.files.own_formats import check_format
from metering_duck.files.proofs import Claim, Proof, prove

FIRST_BYTES = 65_536
# Suffix → its codec, and the bytes that a file of that codec begins with.
COMPRESSIONS = {".gz": (GZIP, b"\x1f\x8b"), ".zst": (ZSTD, b"\x28\xb5\x2f\xfd")}


def compression_of(magic: bytes) -> str:
    """The suffix of the compression that a file's first bytes show; "" for a file that is not compressed."""
    for suffix, (_, begin) in COMPRESSIONS.items():
        if magic.startswith(begin):
            return suffix
    return ""


def first_bytes(path: str, size: int = FIRST_BYTES) -> bytes:
    """The first bytes of a file, so many or a few less, without compression.

    Raises: SourceError for a file that cannot be read.
    """
    if scheme_of(path):
        return _first_bytes_of_url(path, size)
    first, codec = _bytes_as_they_lie(path, size), codec_of(path)
    if not codec:
        return first
    made = _decompressed(first, codec, size)
    if first and not made:
        # Whatever keeps the first bytes from being told is what is wrong with the file.
        check_start(path)
        check_whole(Claim(path, path, "ndjson", codec))
    return made


def _first_bytes_of_url(url: str, size: int) -> bytes:
    try:
        with open_bytes(url) as stream:
            return bytes(stream.read(size))
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
        raise SourceError(f"{shown(url)}: cannot be read ({first_line(error)}); expected a readable file.") from None


def _bytes_as_they_lie(path: str, size: int = FIRST_BYTES) -> bytes:
    """The first bytes of a file on this machine."""
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); expected a readable file.") from None


def check_whole(claim: Claim) -> Proof:
    """A file's proof.

    Raises: SourceError for a file that is not whole.
    """
    try:
        return prove(claim)
    except Fault as fault:
        raise fault.of(claim.name) from None


def codec_of(path: str) -> str | None:
    """What a file is compressed with, by the suffix of its name."""
    return COMPRESSIONS.get(Path(path.lower()).suffix, (None, b""))[0]


def check_start(path: str, name: str = "", *, format: str = "", of_text: bool = True) -> None:
    """Refuse a file on this machine that does not begin as its name says, or that is nothing that events are read from.

    `format` is the one that its name says, as a Claim has it.

    Raises: SourceError.
    """
    if scheme_of(path):
        return
    first, codec = _bytes_as_they_lie(path), codec_of(path)
    try:
        check_bytes(first, codec, of_text=of_text)
        content = _decompressed(first, codec) if codec else first
        if codec:
            check_content(content, of_text=of_text)
        if format:
            check_format(content, format)
    except Fault as fault:
        raise fault.of(name or path) from None


def _decompressed(first: bytes, codec: str, size: int = FIRST_BYTES) -> bytes:
    """What can be decompressed of a file's first bytes, at most so many.

    What is wrong with the bytes is said by who reads them all.
    """
    made = bytearray()
    with contextlib.suppress(Fault, OSError):
        for block in _blocks(first, codec):
            made += block
            if len(made) >= size:
                break
    return bytes(made[:size])


def _blocks(first: bytes, codec: str) -> Iterator[bytes]:
    """What compressed bytes hold."""
    if codec == GZIP:
        yield from Members(io.BytesIO(first)).blocks()
        return
    with pa.input_stream(pa.BufferReader(first), compression=codec) as stream:
        while block := stream.read(1 << 10):
            yield block


def open_bytes(path: str) -> Any:
    """A file's bytes as a stream, without their compression."""
    return pa.input_stream(open_url(path) if scheme_of(path) else path, compression=codec_of(path))


def text_start(first: bytes) -> bytes:
    """A file's first bytes, without a byte order mark and without the blanks before its text."""
    return first.removeprefix(BYTE_ORDER_MARK).lstrip()
