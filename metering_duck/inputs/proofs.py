"""Proofs: what the statistics in the footers of Parquet files prove for every row of a column.

A column that has one text in every row is written into the SQL as that text, and a column without an empty value is not
checked for empty values. Only proven facts are used: a file without statistics, or without the column, proves nothing.
Footers have no checksum, so the engine's gate compares with the values what is used of columns with one text and of
times; that other columns have a value in every row, it compares with --verify-files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import scheme_of, shown
from metering_duck.inputs.fields import Column, Proven
from metering_duck.inputs.footers import Footers
from metering_duck.statements.quote import identifier, path_list
from metering_duck.statements.select import select

# Reading the footers of more files than this takes longer than it saves.
FILES_MAX = 2_000
# A writer may cut long texts in its statistics; no writer cuts a text of fewer bytes.
EXACT_BYTES = 32


def proven_columns(engine: Engine, footers: Footers) -> dict[str, Proven]:
    """Column → what the statistics of all files prove for it; a column of which nothing is proven may be missing."""
    if not footers.paths or len(footers.paths) > FILES_MAX:
        return {}
    first, last = "TIMESTAMPTZ '0001-01-02 00:00:00Z'", "TIMESTAMPTZ '9999-12-30 00:00:00Z'"
    times = [f"TRY_CAST(stats_{name}_value AS TIMESTAMP WITH TIME ZONE)" for name in ("min", "max")]
    is_ordinary = " AND ".join(f"isfinite({time}) AND {time} BETWEEN {first} AND {last}" for time in times)
    # Objects are not read a second time unasked: what is said of their texts is not used, of their times it is.
    is_compared = engine.gate.verifies or not any(map(scheme_of, footers.paths))
    columns = {
        "path_in_schema": "path_in_schema",
        "least": "min(stats_min_value)",
        "greatest": "max(stats_max_value)",
        "is_exact": "bool_and(type = 'BYTE_ARRAY' AND min_is_exact IS NOT FALSE AND max_is_exact IS NOT FALSE)",
        "is_ordinary_time": f"bool_and(coalesce(type = 'INT64' AND {is_ordinary}, FALSE))",
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
        # A value that is no UTF-8 is shown with escapes, and so is not its own text.
        is_one = (
            is_compared
            and is_exact
            and least == greatest
            and 0 < len(least.encode()) < EXACT_BYTES
            and "\\x" not in least
        )
        if name.lower() not in partitions:
            proven[name] = Proven(least if is_one else None, least != "", is_ordinary_time)
    return proven


def take_for_granted(
    engine: Engine, paths: Sequence[str], columns: Iterable[Column], proven: Mapping[str, Proven]
) -> None:
    """Have the gate compare the statistics by which `columns` of fields are constants or ordinary times."""
    read = {column.sql for column in columns if column.proven.constant is not None or column.proven.is_ordinary_time}
    taken = [name for name in proven if identifier(name) in read]
    if taken and not engine.gate.verifies:
        for path in paths:
            if not scheme_of(path):
                engine.gate.take(path, shown(path), taken)
