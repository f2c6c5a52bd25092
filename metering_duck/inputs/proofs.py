"""Statistics: what the footers of Parquet files prove of their columns, so that the rows need not be asked.

A column that is one text in every row is written into the SQL as that text, and one that is nowhere missing is not
looked at for it. Only what is proven is used: a file without statistics, or without the column, proves nothing.
"""

from __future__ import annotations

from metering_duck.engine.duckdb import Engine
from metering_duck.inputs.fields import Proven
from metering_duck.inputs.footers import Footers
from metering_duck.statements.quote import path_list
from metering_duck.statements.select import select

# Reading the footers of more files than this takes longer than it saves.
FILES_MAX = 2_000
# A writer may cut long texts in its statistics; none cuts shorter ones.
EXACT_BYTES = 32


def proven_columns(engine: Engine, footers: Footers) -> dict[str, Proven]:
    """Column → what the files' statistics prove of it; a column of which they prove nothing may be missing."""
    if not footers.paths or len(footers.paths) > FILES_MAX:
        return {}
    first, last = "TIMESTAMPTZ '0001-01-02 00:00:00Z'", "TIMESTAMPTZ '9999-12-30 00:00:00Z'"
    times = [f"TRY_CAST(stats_{name}_value AS TIMESTAMP WITH TIME ZONE)" for name in ("min", "max")]
    is_ordinary = " AND ".join(f"isfinite({time}) AND {time} BETWEEN {first} AND {last}" for time in times)
    columns = {
        "path_in_schema": "path_in_schema",
        "least": "min(stats_min_value)",
        "greatest": "max(stats_max_value)",
        "is_exact": "bool_and(min_is_exact IS NOT FALSE AND max_is_exact IS NOT FALSE)",
        "is_ordinary_time": f"bool_and(coalesce({is_ordinary}, FALSE))",
    }
    listed = path_list(footers.paths)
    row_count = f"(SELECT sum(num_rows) FROM parquet_file_metadata({listed}))"
    is_full = "bool_and(coalesce(stats_null_count = 0 AND stats_min_value IS NOT NULL, FALSE))"
    by_column = select(columns, f"parquet_metadata({listed})", group_by=["path_in_schema"])
    # A partition's value stands in place of a column of its name.
    partitions = {key.lower() for key in footers.keys}
    proven = {}
    for name, least, greatest, is_exact, is_ordinary_time in engine.rows(
        f"{by_column}\nHAVING sum(row_group_num_rows) = {row_count} AND {is_full}"
    ):
        # What is no UTF-8 is shown escaped.
        is_one = is_exact and least == greatest and 0 < len(least.encode()) < EXACT_BYTES and "\\x" not in least
        if name.lower() not in partitions:
            proven[name] = Proven(least if is_one else None, least != "", is_ordinary_time)
    return proven
