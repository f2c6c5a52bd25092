"""Given: what a caller gives (paths, tables, frames, dicts) becomes an input of one kind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from metering_duck.engine.remote import shown
from metering_duck.errors import SourceError, a_kind
from metering_duck.inputs.files import find_files
from metering_duck.inputs.input import Files, Input, Lines, Rows
from metering_duck.inputs.lake_days import find_days, parts_of
from metering_duck.inputs.lakes import find_lake, is_lake

EXPECTED = "paths, an Arrow, Polars, pandas or DuckDB table, or a list of dicts"


def find_input(given: Any, scratch: Path, *, is_elsewhere: bool = False) -> Input:
    """What `given` is; standard input and lazy frames are first written to `scratch`.

    Where `is_elsewhere`, another engine reads it.

    Raises: SourceError when it cannot be told, found, or is of several formats.
    """
    if type(given).__module__.startswith("pyspark.sql"):
        if not is_elsewhere:
            raise SourceError(
                f"input: found a Spark DataFrame, which Spark reads; expected {EXPECTED}. "
                'hint: aggregate(…, engine="spark"), or give frame.toArrow()'
            )
        return Rows(None, "a Spark DataFrame", rereadable=True)
    if isinstance(given, Rows):
        return given
    if isinstance(given, str | os.PathLike):
        given = [given]
    if isinstance(given, Mapping):
        given = [given]
    if isinstance(given, Sequence) and given and all(isinstance(item, str | os.PathLike) for item in given):
        paths = [os.fspath(item) for item in given]
        if all(parts_of(path) for path in paths):
            return find_days(paths)
        lake = next((path for path in paths if is_lake(path)), None)
        if lake and len(paths) > 1:
            raise SourceError(f"{shown(lake)}: found other inputs beside it; expected a table alone, or files.")
        return find_lake(lake) if lake else find_files(paths, scratch)
    if isinstance(given, bytes | bytearray):
        raise SourceError(f"input: found bytes; expected {EXPECTED}.")
    if isinstance(given, Sequence | Iterable) and not hasattr(given, "__arrow_c_stream__") and _is_plain(given):
        return Lines(_lines_of(given), f"a {type(given).__name__} of objects")
    return _rows_of(given, scratch)


def _is_plain(given: Any) -> bool:
    return type(given).__module__.split(".")[0] not in ("polars", "pandas", "pyarrow", "duckdb", "_duckdb")


def _rows_of(given: Any, scratch: Path) -> Input:
    name = f"a {type(given).__module__.split('.')[0].lstrip('_')} {type(given).__name__}"
    home = type(given).__module__.split(".")[0]
    if home == "polars" and type(given).__name__ == "LazyFrame":
        path = scratch / "lazyframe.parquet"
        given.sink_parquet(path)
        return Files((str(path),), "parquet")
    if home == "pandas":
        return Rows(_pandas_table(given), name, rereadable=True)
    if isinstance(given, pa.RecordBatch):
        return Rows(pa.Table.from_batches([given]), name, rereadable=True)
    if isinstance(given, pa.Table):
        return Rows(given, name, rereadable=True)
    if home in ("duckdb", "_duckdb"):
        return Rows(given.to_arrow_reader(), name, rereadable=False)
    if home == "polars":
        return Rows(given.to_arrow(), name, rereadable=True)
    if isinstance(given, pa.RecordBatchReader):
        return Rows(given, name, rereadable=False)
    if hasattr(given, "__arrow_c_stream__"):
        return Rows(pa.RecordBatchReader.from_stream(given), name, rereadable=False)
    if hasattr(given, "to_reader"):
        return Rows(given.to_reader(), name, rereadable=False)
    if hasattr(given, "to_batches") and hasattr(given, "schema"):
        return Rows(pa.RecordBatchReader.from_batches(given.schema, given.to_batches()), name, rereadable=False)
    found = name if home in ("polars", "pandas", "pyarrow", "duckdb", "_duckdb") else a_kind(given)
    raise SourceError(f"input: found {found}; expected {EXPECTED}.")


def _pandas_table(frame: Any) -> pa.Table:
    """A frame as Arrow; a column of mixed objects has no type there."""
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError) as error:
        raise SourceError(
            f"a pandas DataFrame: cannot be read ({str(error).splitlines()[0]}); expected one type in each column. "
            'hint: frame.astype({"COLUMN": "string"})'
        ) from None


def _lines_of(given: Iterable[Any]) -> pa.Table:
    """Objects as JSON text, written by the standard library: a number keeps the digits its Python value has."""
    try:
        texts = [json.dumps(_as_dict(item), default=_json_text, ensure_ascii=True) for item in given]
    except TypeError as error:
        kind = str(error).rpartition(" ")[2]
        raise SourceError(f"input: found a key of type {kind} in an object; expected text.") from None
    except (ValueError, RecursionError) as error:
        raise SourceError(f"input: found an object that JSON cannot hold ({error}); expected plain values.") from None
    return pa.table({"line": pa.array(texts, pa.string())})


def _as_dict(item: Any) -> Any:
    if isinstance(item, Mapping):
        return item
    if hasattr(item, "to_json_dict"):
        return item.to_json_dict()
    raise SourceError(f"input: found {a_kind(item)} in a list; expected dicts or EventPayload objects.")


def _json_text(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "item"):
        return value.item()
    raise SourceError(
        f"input: found a value of type {type(value).__name__} in an object; expected text, a number or a boolean."
    )
