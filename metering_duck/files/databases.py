"""Databases: whether a file is a DuckDB database, and what it is instead.

DuckDB attaches a CSV or Parquet file, too, as a database in memory, and for others it wants an extension. So a file is
looked at before it is attached.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from metering_duck.files.faults import Fault
from metering_duck.files.kinds import COMPRESSED, LOOKED_AT, encoding_of, other_kind
from metering_duck.files.own_formats import MAGIC, file_of

# What a database has at its ninth byte.
DUCKDB, DUCKDB_AT = b"DUCK", 8
FOLDER_ABOVE = "look at its permissions, and at those of the folders above it, with ls -l"


def check_database(path: Path, *, expected: str, hint: str) -> None:
    """Refuse a file that does not begin as a DuckDB database does, and say what it is. Its first bytes are read.

    Raises: FileNotFoundError, NotADirectoryError; Fault for whatever lies there.
    """
    first = _first_bytes(path, expected, hint)
    if not first.startswith(DUCKDB, DUCKDB_AT):
        raise Fault(_what_it_is(first), expected, hint)


def _first_bytes(path: Path, expected: str, hint: str) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            with path.open("rb") as file:
                return file.read(LOOKED_AT)
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise Fault(f"a link to {os.readlink(path)}, which is not there", expected, hint) from None
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Fault("a link that leads back to itself", expected, hint) from None
        raise Fault(f"that it cannot be read ({error.strerror})", "one that may be read", FOLDER_ABOVE) from None
    raise Fault("a folder" if stat.S_ISDIR(mode) else "a pipe or a device", expected, hint)


def _what_it_is(first: bytes) -> str:
    """What bytes that are no database are the beginning of."""
    if not first:
        return "an empty file"
    if not first.strip(b"\0"):
        return "a file that begins with NUL only"
    codec = next((codec for codec, begins in COMPRESSED.items() if begins.match(first)), None)
    if codec:
        return f"a file compressed with {codec}"
    for magic, name in MAGIC.items():
        if first.startswith(magic):
            return file_of(name)
    other = other_kind(first)
    if other:
        return other.name
    encoding = encoding_of(first)
    if encoding:
        return f"text in {encoding}"
    return "a text file" if _is_text(first) else "bytes of no kind that is known"


def _is_text(first: bytes) -> bool:
    """Whether bytes are text in UTF-8; the last character may be cut."""
    return b"\0" not in first and b"\xef\xbf\xbd" not in first[:-4].decode("utf-8", "replace").encode()
