"""Spark: it reads the input, runs each step in its tasks, and brings parts together by its shuffle.

    aggregate("s3://lake/events/", config, start=…, end=…, engine="spark", master="spark://host:7077")

A session that runs already (spark-submit, Databricks, Spark Connect) is taken as it is; else one is started.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import socket
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, reduce
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from metering_duck.errors import ConfigError, MeteringError, SourceError
from metering_duck.inputs import Files, Input, Rows
from metering_duck.lakes import LakeTable
from metering_duck.layouts import FILE_COLUMN
from metering_duck.remote import open_url, reading, scheme_of
from metering_duck.tasks import Part, Work, run_task

PARTS_DDL = "kind STRING, bucket INT, payload BINARY"
SAMPLE_ROWS = 1_000
# The ports of a master and of a Connect server where none is given.
PORTS = {"spark": 7077, "sc": 15002}
PATIENCE_S = 10
# Times in UTC, those without a zone as such, names letter by letter, folders' names as texts, batches of bounded size.
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "spark.sql.caseSensitive": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(64 << 20),
}
# Where Spark runs in this process tree, its own log is not what a person wants to read.
QUIET = {"spark.log.level": "OFF", "spark.ui.showConsoleProgress": "false", "spark.ui.enabled": "false"}


class Spark:
    """A Spark session, and an input that it reads: files, a table, or a DataFrame of its own."""

    def __init__(self, session: Any, frame: Any = None) -> None:
        self.session, self.frame = session, frame
        self.buckets = _partitions(session)
        self.kept: list[Any] = []

    def opened(self, found: Input) -> Rows:
        """The input as Spark sees it: its columns, and its first rows.

        Raises: SourceError for an input that Spark does not read, or cannot.
        """
        with _errors(found.name):
            if self.frame is None:
                self.frame = self._read(found)
            first = self.frame.limit(SAMPLE_ROWS).toArrow()
            return Rows(pa.concat_tables([first, *self._first_texts(first)]).to_reader(), found.name, rereadable=False)

    def _first_texts(self, first: pa.Table) -> list[pa.Table]:
        """Of text columns that say nothing in the first rows, a row that does: it tells how the column is meant."""
        found = []
        for name, kind in zip(first.schema.names, first.schema.types, strict=True):
            if pa.types.is_string(kind) and not any(str(text or "").strip() for text in first[name].to_pylist()):
                found.append(self.frame.where(f"trim({_quoted(name)}) <> ''").limit(1).toArrow())
        return found

    def _read(self, found: Input) -> Any:
        read = self.session.read.option("mergeSchema", "true")
        if isinstance(found, Files) and found.format == "parquet":
            _check_names(found.paths)
            if found.keys:
                read = read.option("basePath", _url(found.paths[0].split("=", 1)[0].rpartition("/")[0]))
            rows = read.parquet(*(_url(path) for path in found.paths)).selectExpr(
                "*", f"{_file_sql(found.paths[0])} AS {FILE_COLUMN}"
            )
            # DuckDB knows no zone of these times; Spark gives them one.
            for name in _without_zone(found.paths[0]):
                rows = rows.withColumn(name, rows[_quoted(name)].cast("timestamp_ntz"))
            return rows
        if isinstance(found, LakeTable):
            return self._read_table(found)
        kind = found.format if isinstance(found, Files) else "an input of this machine"
        raise SourceError(
            f"{found.name}: found {kind}; expected Parquet, a Delta or Iceberg table, or a Spark DataFrame, for the "
            "engine spark. hint: leave --engine out"
        )

    def _read_table(self, found: LakeTable) -> Any:
        """A table of a lake at its version, by what the cluster has for it."""
        place, _, version = found.name.removeprefix(f"{found.kind}://").rpartition("?")
        number = version.partition("=")[2]
        if found.kind == "delta":
            rows = self.session.read.format("delta").option("versionAsOf", number).load(_url(os.path.abspath(place)))
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
        numbered = [self.frame[_quoted(name)].alias(f"c{n}") for n, name in enumerate(wanted)]
        return _applied(self.frame.select(*numbered), partial(_run_named, wanted, work, step))

    def keep(self, parts: Any) -> Any:
        """The same parts, in the workers' memory or on their disks, until the readings are here."""
        self.kept.append(parts.persist())
        return self.kept[-1]

    def gather(self, work: Work, step: str, parts: Iterable[Any], kinds: Sequence[str] = ()) -> Any:
        """The parts that a step gives of all parts, or those of some kinds, those of one bucket in one task."""
        together = reduce(lambda some, more: some.unionAll(more), parts)
        if kinds:
            together = together.where(together["kind"].isin(list(kinds)))
        return _applied(self._by_bucket(together), partial(run_task, work, step))

    def _by_bucket(self, parts: Any) -> Any:
        if hasattr(parts, "repartitionById"):
            return parts.repartitionById(self.buckets, parts["bucket"])
        return parts.repartition(self.buckets, "bucket")

    def collect(self, parts: Any) -> Iterator[Part]:
        """The parts, here; computed once, all tasks beside each other, and then brought one by one."""
        with _errors("engine"):
            computed = self.keep(parts)
            try:
                computed.count()
                for row in computed.toLocalIterator(prefetchPartitions=True):
                    yield row.kind, row.bucket, bytes(row.payload)
            finally:
                while self.kept:
                    self.kept.pop().unpersist()


def open_spark(master: str | None, events: Any) -> Spark:
    """The session that is asked for, that runs already, or a new one; with `events`, where they are a DataFrame of it.

    Raises: ConfigError where there is no pyspark, or no Java for it.
    """
    if importlib.util.find_spec("pyspark") is None:
        raise ConfigError(
            "engine: found no pyspark; expected it for the engine spark. hint: pip install 'metering-duck[spark]'"
        )
    if is_spark_frame(events):
        return Spark(events.sparkSession, events)
    session = _session(master)
    # Settings of this run are not those of the user's session.
    own = session.newSession() if hasattr(session, "newSession") else session
    for name, value in SETTINGS.items():
        own.conf.set(name, value)
    return Spark(own)


def is_spark_frame(given: Any) -> bool:
    """Whether this is a Spark DataFrame."""
    return type(given).__module__.startswith("pyspark.sql") and hasattr(given, "mapInArrow")


def _session(master: str | None) -> Any:
    from pyspark.sql import SparkSession

    running = SparkSession.getActiveSession()
    is_connect = (master or os.environ.get("SPARK_REMOTE") or "").startswith("sc://")
    if running is not None and master is None:
        return running
    _check_answers(master or os.environ.get("SPARK_REMOTE") or "")
    if is_connect:
        with _errors("engine"):
            return SparkSession.builder.remote(master or os.environ["SPARK_REMOTE"]).getOrCreate()
    java = os.path.join(os.environ["JAVA_HOME"], "bin", "java") if os.environ.get("JAVA_HOME") else "java"
    if shutil.which(java) is None:
        raise ConfigError(
            "engine: found no Java; expected 17 or newer for the engine spark. "
            "hint: install OpenJDK 17, or set JAVA_HOME"
        )
    # Workers on this machine have the Python that runs here, and its libraries.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("metering-duck")
    for name, value in QUIET.items():
        builder = builder.config(name, value)
    with _errors("engine"):
        return (builder.master(master) if master else builder).getOrCreate()


def _run_named(names: list[str], work: Work, step: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """A task whose rows have their names again."""
    return run_task(work, step, (batch.rename_columns(names) for batch in batches))


def _quoted(name: str) -> str:
    """A column's name in Spark's SQL."""
    return "`" + name.replace("`", "``") + "`"


def _check_names(paths: Iterable[str]) -> None:
    """Spark passes over files that seem hidden, without a word, and takes some characters of a path for a pattern.

    Raises: SourceError.
    """
    for path in paths:
        wrong = re.search(r"(?<=/)[_.](?=[^/]*$)|[\[\]{}*?\\]", path)
        if wrong:
            said = f"a name that begins with {wrong[0]}" if wrong[0] in "_." else f"{wrong[0]} in a path"
            raise SourceError(
                f"{path}: found {said}, which Spark reads otherwise; expected a plain name. "
                "hint: rename it, or leave the engine out"
            )


def _without_zone(path: str) -> list[str]:
    """The columns of a Parquet file whose times are INT96, an older type that has no zone."""
    from pyarrow import parquet

    with reading(path), open_url(path) if scheme_of(path) else Path(path).open("rb") as file:
        schema = parquet.ParquetFile(file).schema
        columns = [schema.column(n) for n in range(len(schema.names))]
        return [
            column.path for column in columns if column.physical_type == "INT96" and column.max_repetition_level == 0
        ]


def _check_answers(url: str) -> None:
    """Somebody listens where a master or a Connect server is said to be: Spark itself goes on trying for minutes.

    Raises: SourceError.
    """
    scheme, mark, rest = url.partition("://")
    if not mark or scheme not in PORTS:
        return
    places = [urlsplit(f"//{place}") for place in rest.partition("/")[0].split(",")]
    for place in places:
        with contextlib.suppress(OSError, ValueError):
            socket.create_connection((place.hostname, place.port or PORTS[scheme]), PATIENCE_S).close()
            return
    shown = ", ".join(place.netloc.rpartition("@")[2] for place in places)
    raise SourceError(
        f"engine: found nobody who answers at {scheme}://{shown}; expected a Spark master, or a Connect server. "
        "hint: look at --master, SPARK_REMOTE and the network"
    )


def _applied(rows: Any, task: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]) -> Any:
    """A step in every task; nothing runs yet."""
    with _errors("engine"):
        return rows.mapInArrow(task, PARTS_DDL)


def _partitions(session: Any) -> int:
    """How many tasks parts are spread over: two for each core, where Spark says how many there are."""
    with contextlib.suppress(Exception):
        return int(session.sparkContext.defaultParallelism) * 2
    return int(session.conf.get("spark.sql.shuffle.partitions", "200"))


def _url(path: str) -> str:
    """A path as Hadoop calls it."""
    if not scheme_of(path):
        return f"file://{path}"
    return re.sub("^s3://", "s3a://", path)


def _file_sql(path: str) -> str:
    """The file of each row as it is called without Spark."""
    plain = "url_decode(replace(_metadata.file_path, '+', '%2B'))"
    if path.startswith("s3://"):
        return f"regexp_replace({plain}, '^s3a:', 's3:')"
    return plain if scheme_of(path) else f"regexp_replace({plain}, '^file:/+', '/')"


@contextlib.contextmanager
def _errors(where: str) -> Iterator[None]:
    """Spark's errors in our words; what is ours already stays."""
    try:
        with warnings.catch_warnings():
            # What Spark says of the pandas that is beside it; none is used here.
            warnings.simplefilter("ignore", FutureWarning)
            yield
    except MeteringError:
        raise
    except Exception as error:
        raise _in_our_words(where, str(error) or type(error).__name__) from error


def _in_our_words(where: str, said: str) -> MeteringError:
    """What Spark says, in one line: a task's own error is behind the traceback of its worker."""
    missing = re.search(r"ModuleNotFoundError: No module named '(metering_duck|duckdb|pyarrow)'", said)
    if missing:
        return SourceError(
            f"{where}: found no {missing[1]} on a worker; expected metering-duck there as on the driver. "
            "hint: pip install metering-duck on every node, and name its Python in PYSPARK_PYTHON"
        )
    if "CANNOT_MERGE_SCHEMAS" in said or "CANNOT_MERGE_INCOMPATIBLE_DATA_TYPE" in said:
        return SourceError(
            f"{where}: found a column whose types in several files Spark cannot bring together; expected one type in "
            "all files. hint: write the files anew with one type, or leave the engine out"
        )
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    of_task = [line for line in lines if re.match(r"[\w.]+(Error|Exception)\b", line)]
    # Of what the JVM says, the class of an error comes first, behind where it was called from.
    of_spark = [found[0] for line in lines if (found := re.search(r"\[[A-Z][A-Z0-9_.]+\] .*", line))]
    text = (of_task[-1] if "Traceback" in said and of_task else (of_spark or lines)[0]).rstrip(".")
    if "PARQUET_TYPE_ILLEGAL" in said:
        hint = "hint: write times in microseconds and ids as text, or leave the engine out"
        return SourceError(f"{where}: Spark cannot read it ({text}); expected types that it has. {hint}")
    return SourceError(f"{where}: Spark failed ({text}); expected it to finish. hint: its log says more")
