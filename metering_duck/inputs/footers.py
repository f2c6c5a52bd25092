"""Footers: where Parquet files say what columns they have; inputs/file_checks.py and inputs/proofs.py read them."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from metering_duck.engine.remote import explaining_reads, open_url, scheme_of, shown
from metering_duck.errors import SourceError, first_line
from metering_duck.files.faults import FETCH_AGAIN


@dataclass(frozen=True)
class Footers:
    """The footers of an input's Parquet files; `keys` are the columns that are in the names of their folders.

    `keys_are_chosen` says that the caller takes such a column, too, where a file has another of its name.
    """

    paths: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    keys_are_chosen: bool = False


# The footers of an input that is not made of Parquet files.
NO_FOOTERS = Footers()


def parquet_schema(path: str) -> pa.Schema:
    """A Parquet file's columns and their types.

    Raises: SourceError.
    """
    from pyarrow import parquet

    try:
        if scheme_of(path):
            with explaining_reads(path), open_url(path) as file:
                return parquet.read_schema(file)
        return parquet.read_schema(path)
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
        raise SourceError(
            f"{shown(path)}: cannot be read ({first_line(error)}); expected a Parquet file. hint: {FETCH_AGAIN}"
        ) from None
