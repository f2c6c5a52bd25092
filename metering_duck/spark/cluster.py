"""Spark as a cluster: Spark reads the input, runs each step in its tasks, and brings parts together by its shuffle.

    aggregate("s3://lake/events/", config, start=…, end=…, engine="spark", master="spark://host:7077")

A session that runs already (spark-submit, Databricks, Spark Connect) is used as it is; otherwise one is started.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial, reduce
from typing import Any

import pyarrow as pa

from metering_duck.clusters.parts import Part
from metering_duck.clusters.tasks import run_task
from metering_duck.clusters.work import Work
from metering_duck.errors import ConfigError
from metering_duck.inputs.fields import FILE_COLUMN
from metering_duck.inputs.file_checks import variant_elsewhere
from metering_duck.inputs.given_table import GivenTable
from metering_duck.inputs.input import Input
from metering_duck.inputs.spark_frame import is_spark_frame
from metering_duck.spark.errors import errors, is_gone
from metering_duck.spark.frames import FrameReader, check_places, quoted
from metering_duck.spark.sessions import check_installed, check_master, own_session

PARTS_DDL = "kind STRING, bucket INT, payload BINARY"
SAMPLE_ROWS = 1_000
# More than there are cores: Spark cuts a range into one part for each.
RANGE_ROWS = 1 << 20
# A VARIANT, or one within the type of a column, as Spark writes it.
_VARIANT = re.compile(r"(^|[<,:])variant\b")


class Spark:
    """A Spark session, and the input that Spark reads: files, a table, or a DataFrame of the session."""

    def __init__(self, master: str | None, frame: Any = None) -> None:
        self.master, self.frame = master, frame
        self.kept: list[Any] = []
        self._opened = contextlib.ExitStack()

    @cached_property
    def session(self) -> Any:
        """The session of the DataFrame, or a session that is started when it is first needed."""
        if self.frame is not None:
            return self.frame.sparkSession
        session = self._opened.enter_context(own_session(self.master))
        # If nobody closes the result, the threads of Connect would keep the process from ending.
        atexit.register(self.close)
        return session

    @cached_property
    def buckets(self) -> int:
        """How many tasks parts are spread over: two for each core of Spark, which any session can count by a query."""
        with errors("engine"):
            parts = self.session.range(RANGE_ROWS).selectExpr("spark_partition_id() AS part")
            return 2 * int(parts.distinct().count())

    def close(self) -> None:
        """Leave the session; a user's own session goes on as it was."""
        atexit.unregister(self.close)
        self._opened.close()

    def opened(self, found: Input, old_times: Sequence[str]) -> GivenTable:
        """The input as Spark sees it: its columns, and its first rows.

        Raises: SourceError for an input that Spark does not read, or cannot.
        """
        with errors(found.name):
            frames = found.read_by(FrameReader(lambda: self.session, old_times))
            check_places(old_times, frames.rows.columns, found.name)
            self.frame = frames.rows
            first = frames.first.limit(SAMPLE_ROWS).toArrow()
            rows = pa.concat_tables([first, *self._first_texts(first)]).to_reader()
            kinds = {column.name: column.dataType.simpleString() for column in self.frame.schema.fields}
            unreadable = {
                name: variant_elsewhere(found.name, name) for name, kind in kinds.items() if _VARIANT.search(kind)
            }
            return GivenTable(rows, found.name, rereadable=False, unreadable=unreadable)

    def _first_texts(self, first: pa.Table) -> list[pa.Table]:
        """For each text column that is empty in the first rows, a row with a text: it tells what the column holds."""
        found = []
        for name, kind in zip(first.schema.names, first.schema.types, strict=True):
            if pa.types.is_string(kind) and not any(str(text or "").strip() for text in first[name].to_pylist()):
                rows = self.frame.where(f"trim({quoted(name)}) <> ''")
                if FILE_COLUMN in first.schema.names:
                    rows = rows.orderBy(FILE_COLUMN)
                found.append(rows.limit(1).toArrow())
        return found

    def scan(self, work: Work, step: str, columns: Iterable[str]) -> Any:
        """The parts that a step makes of the input's rows."""
        # Columns are numbered on the way into a task: Spark would change a name with dots or quotes in it.
        wanted = list(columns)
        with errors("engine"):
            numbered = [self.frame[quoted(name)].alias(f"c{n}") for n, name in enumerate(wanted)]
            return self.frame.select(*numbered).mapInArrow(partial(_run_named, wanted, work, step), PARTS_DDL)

    def keep(self, parts: Any) -> Any:
        """The parts, kept in the workers' memory or on their disks until the readings are on the driver."""
        with errors("engine"):
            self.kept.append(parts.persist())
        return self.kept[-1]

    def gather(self, work: Work, step: str, parts: Iterable[Any], kinds: Sequence[str] = ()) -> Any:
        """The parts that a step makes of `parts`, or of some `kinds` of them; one task takes all parts of a bucket."""
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
        """The parts, brought to the driver one by one, after all tasks have computed them in parallel."""
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
    """The cluster, before a session is started; where `events` are a DataFrame, on the session of the DataFrame.

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


def _run_named(names: list[str], work: Work, step: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """A task over rows whose numbered columns get their names back."""
    return run_task(work, step, (batch.rename_columns(names) for batch in batches))
