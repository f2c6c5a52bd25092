"""Spark: it reads the input, runs each step in its tasks, and brings parts together by its shuffle.

    aggregate("s3://lake/events/", config, start=…, end=…, engine="spark", master="spark://host:7077")

A session that runs already (spark-submit, Databricks, Spark Connect) is taken as it is; else one is started.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial, reduce
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from metering_duck.engine.remote import scheme_of, shown
from metering_duck.errors import ConfigError, SchemaError, SourceError
from metering_duck.inputs.fields import FILE_COLUMN
from metering_duck.inputs.from_columns import check_not_ours
from metering_duck.inputs.input import Files, Input, Rows
from metering_duck.inputs.lakes import NO_SNAPSHOT, LakeTable
from metering_duck.outputs.trees import NO_VALUE
from metering_duck.spark.errors import errors, is_gone
from metering_duck.spark.parts import Part
from metering_duck.spark.sessions import check_installed, check_master, own_session
from metering_duck.spark.tasks import run_task
from metering_duck.spark.work import Work

PARTS_DDL = "kind STRING, bucket INT, payload BINARY"
SAMPLE_ROWS = 1_000
# More than there are cores: Spark cuts a range into one part for each.
RANGE_ROWS = 1 << 20
# Where Spark says which file a row is of.
HIDDEN_COLUMN = "_metadata"


class Spark:
    """A Spark session, and an input that it reads: files, a table, or a DataFrame of its own."""

    def __init__(self, master: str | None, frame: Any = None) -> None:
        self.master, self.frame = master, frame
        self.kept: list[Any] = []
        self._opened = contextlib.ExitStack()

    @cached_property
    def session(self) -> Any:
        """The DataFrame's own, or one that is started when it is needed."""
        if self.frame is not None:
            return self.frame.sparkSession
        session = self._opened.enter_context(own_session(self.master))
        # A result that nobody closed: what Connect has running would keep the process from its end.
        atexit.register(self.close)
        return session

    @cached_property
    def buckets(self) -> int:
        """How many tasks parts are spread over: two for each core that Spark has, whatever a session can say of it."""
        with errors("engine"):
            parts = self.session.range(RANGE_ROWS).selectExpr("spark_partition_id() AS part")
            return 2 * int(parts.distinct().count())

    def close(self) -> None:
        """Leave the session; one of a user goes on as it was."""
        atexit.unregister(self.close)
        self._opened.close()

    def opened(self, found: Input, old_times: Sequence[str]) -> Rows:
        """The input as Spark sees it: its columns, and its first rows.

        Raises: SourceError for an input that Spark does not read, or cannot.
        """
        with errors(found.name):
            if self.frame is None:
                self.frame = self._read(found, old_times)
                _check_places(old_times, self.frame.columns, found.name)
            rows = self.frame
            if isinstance(found, Files) and len(found.paths) > 1:
                # What comes first is of the first file, as on one machine.
                only = self._read_files(replace(found, paths=found.paths[:1]), old_times)
                rows = rows.limit(0).unionByName(only, True)
            first = rows.limit(SAMPLE_ROWS).toArrow()
            return Rows(pa.concat_tables([first, *self._first_texts(first)]).to_reader(), found.name, rereadable=False)

    def _first_texts(self, first: pa.Table) -> list[pa.Table]:
        """Of text columns that say nothing in the first rows, a row that does: it tells how the column is meant."""
        found = []
        for name, kind in zip(first.schema.names, first.schema.types, strict=True):
            if pa.types.is_string(kind) and not any(str(text or "").strip() for text in first[name].to_pylist()):
                told = self.frame.where(f"trim({_quoted(name)}) <> ''")
                told = told.orderBy(FILE_COLUMN) if FILE_COLUMN in first.schema.names else told
                found.append(told.limit(1).toArrow())
        return found

    def _read(self, found: Input, old_times: Sequence[str]) -> Any:
        if isinstance(found, Files) and found.format == "parquet":
            return self._read_files(found, old_times)
        if isinstance(found, LakeTable):
            return self._read_table(found)
        kind = found.format if isinstance(found, Files) else "an input of this machine"
        raise SourceError(
            f"{found.name}: found {kind}; expected Parquet, a Delta or Iceberg table, or a Spark DataFrame, for the "
            "engine spark. hint: leave --engine out"
        )

    def _read_files(self, found: Files, old_times: Sequence[str]) -> Any:
        """Parquet, with the file of each row, and with what folders say in columns of their names."""
        _check_files(found)
        # Folders are ours to read: Spark takes those of one tree at a time, and guesses at what they mean.
        read = self.session.read.option("mergeSchema", "true").option("recursiveFileLookup", "true")
        rows = read.parquet(*(_url(path) for path in found.paths))
        check_not_ours(rows.columns, found.name)
        if HIDDEN_COLUMN in rows.columns:
            hint = "rename it, or leave the engine out"
            raise SchemaError(found.name, HIDDEN_COLUMN, found="a name that Spark uses", expected="another", hint=hint)
        file = _file_sql(found.paths[0])
        folders = {key: _partition_sql(file, key) for key in found.keys}
        within = [_quoted(name) for name in rows.columns if name not in folders]
        made = [f"{sql} AS {_quoted(name)}" for name, sql in folders.items()]
        rows = rows.selectExpr(*within, *made, f"{file} AS {FILE_COLUMN}")
        for name in old_times:
            if name in rows.columns and name not in folders:
                # DuckDB knows no zone of these times; Spark gives them one.
                rows = rows.withColumn(name, rows[_quoted(name)].cast("timestamp_ntz"))
        return rows

    def _read_table(self, found: LakeTable) -> Any:
        """A table of a lake at its version, by what the cluster has for it."""
        place, _, version = found.name.removeprefix(f"{found.kind}://").rpartition("?")
        number = version.partition("=")[2]
        if found.kind == "delta":
            rows = self.session.read.format("delta").option("versionAsOf", number).load(_url(place))
        elif number == NO_SNAPSHOT:
            rows = self.session.read.table(place.replace("/", ".", 1)).where("FALSE")
        else:
            rows = self.session.read.option("snapshot-id", number).table(place.replace("/", ".", 1))
        for column, texts in found.texts.items():
            rows = rows.where(rows[_quoted(column)].isin(list(texts)))
        for column, bounds in found.times.items():
            for sign, bound in zip((">=", "<"), bounds, strict=True):
                rows = rows.where(f"{_quoted(column)} {sign} TIMESTAMP '{bound}Z'") if bound else rows
        return rows

    def scan(self, work: Work, step: str, columns: Iterable[str]) -> Any:
        """The parts that a step gives of the input's rows."""
        # A name may have dots and quotes in it, of which Spark makes something else on the way into a task.
        wanted = list(columns)
        with errors("engine"):
            numbered = [self.frame[_quoted(name)].alias(f"c{n}") for n, name in enumerate(wanted)]
            return self.frame.select(*numbered).mapInArrow(partial(_run_named, wanted, work, step), PARTS_DDL)

    def keep(self, parts: Any) -> Any:
        """The same parts, in the workers' memory or on their disks, until the readings are here."""
        with errors("engine"):
            self.kept.append(parts.persist())
        return self.kept[-1]

    def gather(self, work: Work, step: str, parts: Iterable[Any], kinds: Sequence[str] = ()) -> Any:
        """The parts that a step gives of all parts, or those of some kinds, those of one bucket in one task."""
        with errors("engine"):
            together = reduce(lambda some, more: some.unionAll(more), parts)
            if kinds:
                together = together.where(together["kind"].isin(list(kinds)))
            return self._by_bucket(together).mapInArrow(partial(run_task, work, step), PARTS_DDL)

    def _by_bucket(self, parts: Any) -> Any:
        if hasattr(parts, "repartitionById"):
            return parts.repartitionById(self.buckets, parts["bucket"])
        return parts.repartition(self.buckets, "bucket")

    def collect(self, parts: Any) -> Iterator[Part]:
        """The parts, here; computed once, all tasks beside each other, and then brought one by one."""
        with errors("engine"):
            computed = self.keep(parts)
            try:
                computed.count()
                for row in computed.toLocalIterator(prefetchPartitions=True):
                    yield row.kind, row.bucket, bytes(row.payload)
            except Exception as error:
                if is_gone(str(error)):
                    self.kept.clear()
                raise
            finally:
                while self.kept:
                    with contextlib.suppress(Exception):
                        self.kept.pop().unpersist()


def open_spark(master: str | None, events: Any) -> Spark:
    """The engine, before any session is started; with `events`, where they are a DataFrame, on its own session.

    Raises: ConfigError where there is no pyspark, or no Java for it; SourceError where no master answers.
    """
    if importlib.util.find_spec("pyspark") is None:
        raise ConfigError(
            "engine: found no pyspark; expected it for the engine spark. hint: pip install 'metering-duck[spark]'"
        )
    if is_spark_frame(events):
        check_master(events.sparkSession, master)
        return Spark(master, events)
    check_installed(master)
    return Spark(master)


def is_spark_frame(given: Any) -> bool:
    """Whether this is a Spark DataFrame."""
    return type(given).__module__.startswith("pyspark.sql") and hasattr(given, "mapInArrow")


def _run_named(names: list[str], work: Work, step: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """A task whose rows have their names again."""
    return run_task(work, step, (batch.rename_columns(names) for batch in batches))


def _quoted(name: str) -> str:
    """A column's name in Spark's SQL."""
    return "`" + name.replace("`", "``") + "`"


def _check_files(found: Files) -> None:
    """Spark passes over files that seem hidden, without a word, and takes some characters for a pattern.

    Raises: SourceError.
    """
    for path in found.paths:
        wrong = re.search(r"(?<=/)[_.](?=[^/]*$)|:(?=[^/]*$)|[\[\]{}*?\\]", path)
        if wrong:
            said = f"a name that begins with {wrong[0]}" if wrong[0] in "_." else f"{wrong[0]} in a path"
            raise SourceError(
                f"{shown(path)}: found {said}, which Spark reads otherwise; expected a plain name. "
                "hint: rename it, or leave the engine out"
            )
        if found.keys:
            try:
                unquote(path, errors="strict")
            except UnicodeDecodeError:
                raise SourceError(f"{shown(path)}: found a folder that is no UTF-8; expected a name that is.") from None


def _check_places(old_times: Iterable[str], columns: Sequence[str], where: str) -> None:
    """Inside of a column, the zone that Spark gives to a time of the type INT96 stays.

    Raises: SchemaError.
    """
    for name in old_times:
        if name not in columns:
            expected, hint = "TIMESTAMP, which Spark reads as it is", "write the files anew, or leave the engine out"
            raise SchemaError(where, name, found="INT96 in a column", expected=expected, hint=hint)


def _url(path: str) -> str:
    """A path as Hadoop calls it."""
    if not scheme_of(path):
        return f"file://{os.path.abspath(path)}"
    return re.sub("^s3://", "s3a://", path)


def _file_sql(path: str) -> str:
    """The file of each row as it is called without Spark."""
    plain = "url_decode(replace(_metadata.file_path, '+', '%2B'))"
    if path.startswith("s3://"):
        return f"regexp_replace({plain}, '^s3a:', 's3:')"
    return plain if scheme_of(path) else f"regexp_replace({plain}, '^file:/+', '/')"


def _partition_sql(file: str, key: str) -> str:
    """What a row's folder says of a column, as it is without Spark: percent signs decoded, and no value as NULL."""
    pattern = re.escape(key).replace("'", ".")
    text = f"regexp_extract({file}, r'/{pattern}=([^/]*)/', 1)"
    decoded = f"try_url_decode(replace({text}, '+', '%2B'))"
    return f"nullif(coalesce({decoded}, {text}), '{NO_VALUE}')"
