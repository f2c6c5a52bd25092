"""Database files: what is named as a DuckDB database, or as a DuckLake's metadata, is looked at before it is opened."""

from __future__ import annotations

from pathlib import Path

from metering_duck.errors import SourceError
from metering_duck.files.databases import check_database
from metering_duck.files.faults import Fault

BY_ITS_PATH = "name a file of events by its path, without a scheme"


def check_is_database(where: str, place: str, expected: str) -> None:
    """Refuse a place that is no DuckDB database.

    Raises: SourceError that says what lies there.
    """
    try:
        check_database(Path(place), expected=expected, hint=BY_ITS_PATH)
    except (FileNotFoundError, NotADirectoryError):
        raise SourceError(f"{where}: found no such file; expected {expected}.") from None
    except Fault as fault:
        raise fault.of(where) from None
