"""File sizes: the bytes of files where they lie."""

from __future__ import annotations

import os
from collections.abc import Iterable

from metering_duck.engine.remote import explaining_reads, filesystem_of, scheme_of


def size_of(path: str) -> int:
    """How many bytes a file has.

    Raises: SourceError for a remote file that cannot be looked at.
    """
    if not scheme_of(path):
        return os.path.getsize(path)
    with explaining_reads(path):
        return int(filesystem_of(path).info(path)["size"] or 0)


def sizes_of_existing(paths: Iterable[str]) -> list[int]:
    """The bytes of each file; a local file that is not there is left out."""
    return [size_of(path) for path in paths if scheme_of(path) or os.path.exists(path)]
