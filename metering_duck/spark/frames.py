"""Inputs as Spark DataFrames: which kinds of input Spark reads, and how."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn
from urllib.parse import unquote

from metering_duck.engine.remote import scheme_of, shown
from metering_duck.errors import SchemaError, SourceError
from metering_duck.inputs.fields import FILE_COLUMN
from metering_duck.inputs.file_set import FileSet
from metering_duck.inputs.from_columns import check_not_ours
from metering_duck.inputs.iceberg import NO_SNAPSHOT
from metering_duck.inputs.input import OF_THIS_MACHINE
from metering_duck.inputs.spark_frame import is_spark_frame
from metering_duck.inputs.wanted_rows import WantedRows
from metering_duck.outputs.trees import NO_VALUE

# The column in which Spark says which file a row is from.
HIDDEN_COLUMN = "_metadata"


@dataclass(frozen=True)
class Frames:
    """An input as a DataFrame of all `rows`, and a DataFrame `first` that begins with the input's first rows."""

    rows: Any
    first: Any


@dataclass(frozen=True)
class FrameReader:
    """Reads inputs with Spark; `session` starts a session if there is none. `old_times` are columns of INT96 times."""

    session: Callable[[], Any]
    old_times: Sequence[str]

    def read_parquet(self, files: FileSet) -> Frames:
        """The rows of Parquet files; the first rows are those of the first file, as on one machine."""
        rows = self._read_files(files)
        if len(files.paths) == 1:
            return Frames(rows, rows)
        only = self._read_files(replace(files, paths=files.paths[:1]))
        return Frames(rows, rows.limit(0).unionByName(only, True))

    def read_delta(self, place: str, version: str, wanted: WantedRows) -> Frames:
        """A Delta table at a version, read by the library for Delta on the cluster."""
        rows = self.session().read.format("delta").option("versionAsOf", version).load(hadoop_url(place))
        return _filtered(rows, wanted)

    def read_iceberg(self, place: str, snapshot: str, wanted: WantedRows) -> Frames:
        """An Iceberg table at a snapshot, found by a catalog of the cluster."""
        table = place.replace("/", ".", 1)
        if snapshot == NO_SNAPSHOT:
            rows = self.session().read.table(table).where("FALSE")
        else:
            rows = self.session().read.option("snapshot-id", snapshot).table(table)
        return _filtered(rows, wanted)

    def read_frame(self, frame: Any) -> Frames:
        """The DataFrame of a user."""
        if not is_spark_frame(frame):
            self.refuse("a Spark DataFrame", OF_THIS_MACHINE)
        return Frames(frame, frame)

    def refuse(self, name: str, found: str) -> NoReturn:
        """Say that Spark does not read such an input.

        Raises: SourceError.
        """
        raise SourceError(
            f"{name}: found {found}; expected Parquet, a Delta or Iceberg table, or a Spark DataFrame, for the "
            "engine spark. hint: leave --engine out"
        )

    def _read_files(self, files: FileSet) -> Any:
        """Parquet files, with columns for the file of each row, and for the Hive partitions in its folders."""
        check_file_names(files)
        # Partitions are taken from the paths here: Spark reads those of one tree only, and guesses their types.
        read = self.session().read.option("mergeSchema", "true").option("recursiveFileLookup", "true")
        # Where a page has a checksum, it is compared: Spark does not by itself.
        read = read.option("parquet.page.verify-checksum.enabled", "true")
        rows = read.parquet(*(hadoop_url(path) for path in files.paths))
        check_not_ours(rows.columns, files.name)
        if HIDDEN_COLUMN in rows.columns:
            hint = "rename it, or leave the engine out"
            raise SchemaError(files.name, HIDDEN_COLUMN, found="a name that Spark uses", expected="another", hint=hint)
        file = _file_sql(files.paths[0])
        folders = {key: _partition_sql(file, key) for key in files.keys}
        within = [quoted(name) for name in rows.columns if name not in folders]
        made = [f"{sql} AS {quoted(name)}" for name, sql in folders.items()]
        rows = rows.selectExpr(*within, *made, f"{file} AS {FILE_COLUMN}")
        for name in self.old_times:
            if name in rows.columns and name not in folders:
                # DuckDB knows no zone of these times; Spark gives them one.
                rows = rows.withColumn(name, rows[quoted(name)].cast("timestamp_ntz"))
        return rows


def quoted(name: str) -> str:
    """A column's name in Spark's SQL."""
    return "`" + name.replace("`", "``") + "`"


def _filtered(rows: Any, wanted: WantedRows) -> Frames:
    """The wanted rows of a table."""
    for column, texts in wanted.texts.items():
        rows = rows.where(rows[quoted(column)].isin(list(texts)))
    for column, bounds in wanted.times.items():
        for sign, bound in zip((">=", "<"), bounds, strict=True):
            if bound:
                rows = rows.where(f"{quoted(column)} {sign} TIMESTAMP '{bound}Z'")
    return Frames(rows, rows)


def check_file_names(files: FileSet) -> None:
    """Refuse paths that Spark reads otherwise: it skips hidden files silently, and takes some marks for a pattern.

    Raises: SourceError.
    """
    for path in files.paths:
        wrong = re.search(r"(?<=/)[_.](?=[^/]*$)|:(?=[^/]*$)|[\[\]{}*?\\]", path)
        if wrong:
            said = f"a name that begins with {wrong[0]}" if wrong[0] in "_." else f"{wrong[0]} in a path"
            raise SourceError(
                f"{shown(path)}: found {said}, which Spark reads otherwise; expected a plain name. "
                "hint: rename it, or leave the engine out"
            )
        if files.keys:
            try:
                unquote(path, errors="strict")
            except UnicodeDecodeError:
                raise SourceError(f"{shown(path)}: found a folder that is no UTF-8; expected a name that is.") from None


def check_places(old_times: Iterable[str], columns: Sequence[str], where: str) -> None:
    """Refuse INT96 times inside of a STRUCT or a list, where the zone that Spark gives them cannot be taken off.

    Raises: SchemaError.
    """
    for name in old_times:
        if name not in columns:
            expected, hint = "TIMESTAMP, which Spark reads as it is", "write the files anew, or leave the engine out"
            raise SchemaError(where, name, found="INT96 in a column", expected=expected, hint=hint)


def hadoop_url(path: str) -> str:
    """A path as the URL by which Hadoop opens it."""
    if not scheme_of(path):
        return f"file://{os.path.abspath(path)}"
    return re.sub("^s3://", "s3a://", path)


def _file_sql(path: str) -> str:
    """SQL for the file of each row, under the name that it has without Spark."""
    plain = "url_decode(replace(_metadata.file_path, '+', '%2B'))"
    if path.startswith("s3://"):
        return f"regexp_replace({plain}, '^s3a:', 's3:')"
    return plain if scheme_of(path) else f"regexp_replace({plain}, '^file:/+', '/')"


def _partition_sql(file: str, key: str) -> str:
    """SQL for a row's partition value, as DuckDB reads it: percent signs decoded, and NULL for no value."""
    pattern = re.escape(key).replace("'", ".")
    text = f"regexp_extract({file}, r'/{pattern}=([^/]*)/', 1)"
    decoded = f"try_url_decode(replace({text}, '+', '%2B'))"
    return f"nullif(coalesce({decoded}, {text}), '{NO_VALUE}')"
