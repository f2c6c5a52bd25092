"""The formats of files that are read: one list, and how a file's format is told."""

from __future__ import annotations

from metering_duck.engine.remote import shown
from metering_duck.errors import SourceError
from metering_duck.inputs.arrow_files import ARROW
from metering_duck.inputs.csv_files import CSV
from metering_duck.inputs.file_bytes import first_bytes, suffix_of
from metering_duck.inputs.file_formats import FileFormat
from metering_duck.inputs.json_files import JSON, NDJSON, OBJECTS
from metering_duck.inputs.parquet_files import PARQUET

# A format has its own file, and is listed here; what begins like several of them is the first one.
SOURCE_FORMATS = (PARQUET, NDJSON, JSON, OBJECTS, CSV, ARROW)
BY_SUFFIX = {suffix: one for one in SOURCE_FORMATS for suffix in one.suffixes}


def format_of(path: str) -> FileFormat:
    """The format of a file, by its suffix, else by its first bytes.

    JSON is an array, NDJSON, or, where the first line is not a whole object, objects written over several lines.

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
