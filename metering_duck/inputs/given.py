"""Given: what a caller gives (paths, tables, frames, dicts) becomes an input of one kind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from metering_duck.engine.failures import given_failure, naming, reading
from metering_duck.engine.remote import shown
from metering_duck.errors import MeteringError, SourceError, a_kind, first_few
from metering_duck.inputs.exact_frames import exact_frame, exact_relation
from metering_duck.inputs.file_set import FileSet
from metering_duck.inputs.files import find_files
from metering_duck.inputs.given_objects import GivenObjects
from metering_duck.inputs.given_table import GivenTable
from metering_duck.inputs.input import Input
from metering_duck.inputs.lakes import find_lake, is_lake
from metering_duck.inputs.pandas_frames import pandas_table
from metering_duck.inputs.parquet_files import ParquetFiles
from metering_duck.inputs.plain_values import json_value
from metering_duck.inputs.spark_frame import EXPECTED, SparkFrame, is_of_spark, refuse_here
from metering_duck.inputs.table_days import find_days, parts_of
from metering_duck.inputs.unreadable import NONE, UnreadableColumns

DUCKDB_LIBRARIES = ("duckdb", "_duckdb")
# The libraries whose objects are tables; an iterable object of another library is a list of events.
FRAME_LIBRARIES = ("polars", "pandas")
TABLE_LIBRARIES = ("polars", "pandas", "pyarrow", *DUCKDB_LIBRARIES)


def find_input(given: Any, scratch: Path, *, is_elsewhere: bool = False, folder_keys: bool | None = None) -> Input:
    """The input that `given` is; standard input and lazy frames are first written to `scratch`.

    With `is_elsewhere`, another engine reads the input. `folder_keys` is that of Source.

    Raises: SourceError when the kind of input cannot be told, a file is not there, or files are of several formats.
    """
    if is_of_spark(given):
        if not is_elsewhere:
            refuse_here()
        return SparkFrame(given)
    if isinstance(given, GivenTable):
        return given
    if is_path(given) or isinstance(given, Mapping):
        given = [given]
    if _are_paths(given):
        return _find_paths([os.fspath(item) for item in given], scratch, folder_keys)
    if isinstance(given, bytes | bytearray):
        raise SourceError(f"input: found bytes; expected {EXPECTED}.")
    if _are_objects(given):
        return GivenObjects(_lines_of(given), f"a {type(given).__name__} of objects")
    return _find_rows(given, scratch)


def let_go(found: Input | None) -> None:
    """Close the stream of an input, if it was opened here."""
    if isinstance(found, GivenTable):
        found.let_go()


def find_table(given: Any, scratch: Path) -> GivenTable | None:
    """The table that `given` is, if it is a table in this process.

    Raises: SourceError when the kind of input cannot be told, a file is not there, or files are of several formats.
    """
    found = find_input(given, scratch)
    return found if isinstance(found, GivenTable) else None


def is_path(given: Any) -> bool:
    """Whether `given` is a path, a glob, a folder or a URL."""
    return isinstance(given, str | os.PathLike)


def is_read_once(given: Any) -> bool:
    """Whether `given` is a stream or an iterator, whose rows are gone once they have been read."""
    return isinstance(given, Iterator | pa.RecordBatchReader)


def is_duckdb_relation(given: Any) -> bool:
    """Whether `given` is a relation of DuckDB: its own connection reads it, which runs one query at a time."""
    return _library_of(given) in DUCKDB_LIBRARIES and hasattr(given, "columns")


def are_pairs(given: Any) -> bool:
    """Whether `given` is a list of pairs, such as (start, end)."""
    if not isinstance(given, Sequence) or isinstance(given, str | bytes) or not given:
        return False
    return all(isinstance(item, tuple | list) and len(item) == 2 for item in given)


def _are_paths(given: Any) -> bool:
    """Whether `given` is a list of paths, globs, folders and URLs."""
    return isinstance(given, Sequence) and len(given) > 0 and all(is_path(item) for item in given)


def _are_objects(given: Any) -> bool:
    """Whether `given` can be iterated, and is no table of a library."""
    if hasattr(given, "__arrow_c_stream__") or _library_of(given) in TABLE_LIBRARIES:
        return False
    return isinstance(given, Sequence | Iterable)


def _library_of(given: Any) -> str:
    return type(given).__module__.split(".")[0]


def _find_paths(paths: Sequence[str], scratch: Path, folder_keys: bool | None) -> Input:
    """The input that paths name: days of a table, one table, or files.

    Raises: SourceError for a table beside other inputs.
    """
    if all(parts_of(path) for path in paths):
        return find_days(paths)
    lake = next((path for path in paths if is_lake(path)), None)
    if lake is None:
        with naming(first_few(paths)):
            return find_files(paths, scratch, folder_keys)
    if len(paths) > 1:
        raise SourceError(f"{shown(lake)}: found other inputs beside it; expected a table alone, or files.")
    return find_lake(lake)


def _find_rows(given: Any, scratch: Path) -> Input:
    """The input of a library's table, or of any object with an Arrow stream.

    Raises: SourceError for anything else.
    """
    library, kind = _library_of(given), type(given).__name__
    name = f"a {library.strip('_')} {kind}"
    unreadable: UnreadableColumns = NONE
    if library in FRAME_LIBRARIES and not hasattr(type(given), "columns"):
        raise SourceError(f"input: found {name}; expected {EXPECTED}.")
    if library == "polars":
        with reading(name):
            given, unreadable = exact_frame(given, name)
    if library == "polars" and kind == "LazyFrame":
        path = scratch / "lazyframe.parquet"
        with reading(name):
            given.sink_parquet(path)
        return ParquetFiles(FileSet((str(path),), copies=(str(path),)))
    with reading(name):
        if library == "pandas":
            given, unreadable = pandas_table(given)
        table = _table_of(given, library)
    if table is not None:
        return GivenTable(table, name, rereadable=True, unreadable=unreadable)
    with reading(name):
        stream = _stream_of(given, library)
    if stream is not None:
        return GivenTable(stream, name, rereadable=False, is_opened_here=stream is not given)
    found = name if library in TABLE_LIBRARIES else a_kind(given)
    raise SourceError(f"input: found {found}; expected {EXPECTED}.")


def _table_of(given: Any, library: str) -> pa.Table | None:
    """The rows of an object in memory as an Arrow table; None for an object that can only be streamed."""
    if isinstance(given, pa.RecordBatch):
        return pa.Table.from_batches([given])
    if isinstance(given, pa.Table):
        return given
    if library == "polars":
        return given.to_arrow()
    return None


def _stream_of(given: Any, library: str) -> pa.RecordBatchReader | None:
    """The rows of an object that is read once as an Arrow stream; None for an object that has no stream."""
    if library in DUCKDB_LIBRARIES:
        return exact_relation(given).to_arrow_reader()
    if isinstance(given, pa.RecordBatchReader):
        return given
    if hasattr(given, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(given)
    if hasattr(given, "to_reader"):
        return given.to_reader()
    if hasattr(given, "to_batches") and hasattr(given, "schema"):
        return pa.RecordBatchReader.from_batches(given.schema, given.to_batches())
    return None


def _lines_of(given: Iterable[Any]) -> pa.Table:
    """Objects as JSON text, written by the standard library: a number keeps the digits its Python value has."""
    try:
        texts = [json.dumps(_as_dict(item), default=json_value, ensure_ascii=True) for item in _items_of(given)]
    except TypeError as error:
        kind = str(error).rpartition(" ")[2]
        raise SourceError(f"input: found a key of type {kind} in an object; expected text.") from None
    except (ValueError, RecursionError) as error:
        raise SourceError(f"input: found an object that JSON cannot hold ({error}); expected plain values.") from None
    return pa.table({"line": pa.array(texts, pa.string())})


def _items_of(given: Iterable[Any]) -> Iterator[Any]:
    """What an iterable gives.

    Raises: SourceError from the error that it raises itself.
    """
    try:
        yield from given
    except MeteringError:
        raise
    except Exception as error:
        raise given_failure(f"a {type(given).__name__} of objects", error) from error


def _as_dict(item: Any) -> Any:
    if isinstance(item, Mapping):
        return item
    if hasattr(item, "to_json_dict"):
        return item.to_json_dict()
    raise SourceError(f"input: found {a_kind(item)} in a list; expected dicts or EventPayload objects.")
