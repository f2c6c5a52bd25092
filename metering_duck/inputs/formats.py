"""The formats of files that can be read, in one list, and how the format of a file is told."""

from __future__ import annotations

from metering_duck.engine.remote import shown
from metering_duck.errors import SourceError
from metering_duck.files.names import suffix_of
from metering_duck.inputs.arrow_files import ARROW
from metering_duck.inputs.csv_files import CSV
from metering_duck.inputs.file_bytes import first_bytes
from metering_duck.inputs.file_formats import FileFormat
from metering_duck.inputs.json_files import JSON, NDJSON, OBJECTS
from metering_duck.inputs.parquet_files import PARQUET

# Each format has a module of its own, and is listed here; a file that begins like several formats is of the first.
SOURCE_FORMATS = (PARQUET, NDJSON, JSON, OBJECTS, CSV, ARROW)
BY_SUFFIX = {suffix: one for one in SOURCE_FORMATS for suffix in one.suffixes}


def format_of(path: str) -> FileFormat:
    """The format of a file, by its suffix; without a known suffix, by its first bytes.

    A file with the suffix .json may be an array, NDJSON, or, where its first line is not a whole object, objects over
    several lines: its first bytes tell which.

    Raises: SourceError for a file that cannot be read, or is a database.
    """
    known = BY_SUFFIX.get(suffix_of(path))
    if known is not None and known is not JSON:
        return known
    first = first_bytes(path)
    if first[8:12] == b"DUCK":
        raise SourceError(
            f"{shown(path)}: found a DuckDB database; expected a file of events, or a table in it. "
            f"hint: duckdb://{shown(path)}?table=events"
        )
    for one in SOURCE_FORMATS:
        if one.begins(first):
            return one
    return NDJSON if known is JSON else CSV
