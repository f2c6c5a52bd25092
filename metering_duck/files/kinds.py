"""Kinds: what a file is whose first bytes are not what its name says, or nothing that events are read from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from metering_duck.files.faults import Fault

GZIP, ZSTD = "gzip", "zstd"
# Codec → the suffix of files that it has compressed.
SUFFIX_OF = {GZIP: ".gz", ZSTD: ".zst"}
# Name of a text encoding → the bytes of its mark; UTF-32 before UTF-16, whose mark it begins with.
MARKS = {
    "UTF-32": (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff"),
    "UTF-16": (b"\xff\xfe", b"\xfe\xff"),
}
# What may stand before text in UTF-8.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
SAVE_AS_UTF8 = "save it as UTF-8, or iconv -f {encoding} -t UTF-8"


@dataclass(frozen=True)
class Kind:
    """A kind of file: its name with its article, how it begins, and how events get out of it."""

    name: str
    begins: re.Pattern[bytes]
    hint: str


def _kind(name: str, begins: bytes, hint: str) -> Kind:
    return Kind(name, re.compile(begins, re.DOTALL), hint)


# The first that fits is meant. What is compressed with gzip or zstd is read, if its name says so.
COMPRESSED: Mapping[str, re.Pattern[bytes]] = {
    GZIP: re.compile(rb"\x1f\x8b\x08", re.DOTALL),
    ZSTD: re.compile(rb"(?:\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)", re.DOTALL),
}
OTHERS = (
    _kind(
        "a Parquet file whose footer is encrypted", rb"PARE", "write it without encryption of its footer and columns"
    ),
    _kind(
        "a file compressed with bzip2",
        rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)",
        "bunzip2 FILE, or compress it with gzip or zstd",
    ),
    _kind("a file compressed with xz", rb"\xfd7zXZ\x00", "unxz FILE, or compress it with gzip or zstd"),
    _kind("a file compressed with lz4", rb"\x04\x22\x4d\x18", "lz4 -d FILE, or compress it with gzip or zstd"),
    _kind("a file compressed with snappy", rb"\xff\x06\x00\x00sNaPpY", "compress it with gzip or zstd instead"),
    _kind("a file compressed with compress", rb"\x1f\x9d", "uncompress FILE, or compress it with gzip or zstd"),
    _kind("an Excel workbook", rb"PK\x03\x04.{0,4000}(?:\[Content_Types\]\.xml|xl/)", "save its sheet as CSV in UTF-8"),
    _kind("an Excel workbook of the old kind", rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "save its sheet as CSV in UTF-8"),
    _kind("a zip archive", rb"PK(?:\x03\x04|\x05\x06|\x07\x08)", "unzip FILE, and name the files in it"),
    _kind("a 7z archive", rb"7z\xbc\xaf\x27\x1c", "7z x FILE, and name the files in it"),
    _kind("a RAR archive", rb"Rar!\x1a\x07", "unrar x FILE, and name the files in it"),
    _kind("a tar archive", rb".{257}ustar", "tar -xf FILE, and name the files in it"),
    _kind("an ORC file", rb"ORC", "write it as Parquet"),
    _kind("an Avro file", rb"Obj\x01", "write it as Parquet or NDJSON"),
    _kind("a Feather file of the old kind", rb"FEA1", "write it as Arrow or Parquet"),
    _kind("a SQLite database", rb"SQLite format 3\x00", "write its table as CSV or Parquet"),
    _kind("a PDF", rb"%PDF-", "ask for the table itself, as CSV or Parquet"),
    _kind("a web page", rb"(?i)\s*<(?:!doctype html|html)", "fetch the file itself; a page was saved in its place"),
)
# How far into a file its kind is looked for.
LOOKED_AT = 4_096


def check_bytes(first: bytes, wanted: str | None, *, of_text: bool) -> None:
    """Refuse a file that, by its `first` bytes as they lie, is of another kind than its name says.

    `wanted` is the codec that its name says, None where it says none; `of_text` says whether its format is text.

    Raises: Fault.
    """
    found = next((codec for codec, begins in COMPRESSED.items() if begins.match(first)), None)
    if found and not of_text:
        raise Fault(f"a file compressed with {found}", "one that compresses its own parts", "decompress it")
    if found == wanted:
        if wanted is None:
            check_content(first, of_text=of_text)
        return
    other = other_kind(first)
    if wanted is not None:
        what = f"a file compressed with {found}" if found else other.name if other else "a file that is not compressed"
        suffix = SUFFIX_OF[wanted]
        way = f"name it {SUFFIX_OF[found]} instead of {suffix}" if found else f"name it without {suffix}"
        way = other.hint if other and not found else way
        raise Fault(
            what if first else "an empty file", f"one compressed with {wanted}, as its suffix {suffix} says", way
        )
    if found is not None:
        raise Fault(
            f"a file compressed with {found}",
            "a name that says so",
            f"add {SUFFIX_OF[found]} to its name, or decompress it",
        )


def check_content(first: bytes, *, of_text: bool) -> None:
    """Refuse a file whose `first` bytes, without its compression, are no events: another kind, or text not in UTF-8.

    Raises: Fault.
    """
    other = other_kind(first)
    if other is not None:
        raise Fault(other.name, "Parquet, NDJSON, JSON, CSV or Arrow", other.hint)
    if not of_text or not first:
        return
    encoding = encoding_of(first)
    if encoding is not None:
        raise Fault(f"text in {encoding}", "text in UTF-8", SAVE_AS_UTF8.format(encoding=encoding))
    if first.startswith(b"\0"):
        raise Fault("a NUL where text begins", "text", "look at how it was written: what is all NUL was never filled")


def other_kind(first: bytes) -> Kind | None:
    """The kind that bytes begin like, where no events are read from such a file."""
    return next((kind for kind in OTHERS if kind.begins.match(first[:LOOKED_AT])), None)


def encoding_of(first: bytes) -> str | None:
    """The encoding of text that is not UTF-8, by its mark, or by the NULs that it has where text has letters."""
    for name, marks in MARKS.items():
        if first.startswith(marks):
            return name
    start = first[:64]
    zeros = [n for n, byte in enumerate(start) if not byte]
    if len(start) < 8 or len(zeros) < len(start) // 3:
        return None
    rests = {n % 4 for n in zeros}
    if len(zeros) > len(start) * 2 // 3:
        return "UTF-32" if len(rests) == 3 else None
    parities = {n % 2 for n in zeros}
    if len(parities) > 1:
        return None
    return "UTF-16LE" if parities == {1} else "UTF-16BE"
