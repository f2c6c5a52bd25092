"""Regular expressions as DuckDB reads them, by RE2."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb

from metering_duck.engine.locking import locked
from metering_duck.errors import first_line


def pattern_faults(patterns: Iterable[str]) -> dict[str, str]:
    """Regular expression → why RE2 cannot read it, of the expressions that RE2 cannot read."""
    faults = {}
    with locked() as connection:
        for pattern in patterns:
            try:
                connection.execute("SELECT regexp_matches('', $pattern)", {"pattern": pattern})
            except duckdb.Error as error:
                faults[pattern] = first_line(error).partition("Error: ")[2]
    return faults
