"""Spark: it reads the input, runs each step in its tasks, and brings parts together by its shuffle.

    aggregate("s3://lake/events/", config, start=…, end=…, engine="spark", master="spark://host:7077")

A session that runs already (spark-submit, Databricks, Spark Connect) is taken as it is; else one is started.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial, reduce
from typing import Any

import pyarrow as pa

from metering_duck.errors import ConfigError
from metering_duck.inputs.fields import FILE_COLUMN
from metering_duck.inputs.given_table import GivenTable
from metering_duck.inputs.input import Input
from metering_duck.spark.errors import errors, is_gone
from metering_duck.spark.frames import FrameReader, check_places, is_spark_frame, quoted
from metering_duck.spark.parts import Part
from metering_duck.spark.sessions import check_installed, check_master, own_session
from metering_duck.spark.tasks import run_task
from metering_duck.spark.work import Work

PARTS_DDL = "kind STRING, bucket INT, payload BINARY"
SAMPLE_ROWS = 1_000
# More than there are cores: Spark cuts a range into one part for each.
RANGE_ROWS = 1 << 20


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

    def opened(self, found: Input, old_times: Sequence[str]) -> GivenTable:
        """The input as Spark sees it: its columns, and its first rows.

        Raises: SourceError for an input that Spark does not read, or cannot.
        """
        with errors(found.name):
            frames = found.read_by(FrameReader(lambda: self.session, old_times))
            check_places(old_times, frames.rows.columns, found.name)
            self.frame = frames.rows
            first = frames.first.limit(SAMPLE_ROWS).toArrow()
            return GivenTable(
                pa.concat_tables([first, *self._first_texts(first)]).to_reader(), found.name, rereadable=False
            )

    def _first_texts(self, first: pa.Table) -> list[pa.Table]:
        """Of text columns that say nothing in the first rows, a row that does: it tells how the column is meant."""
        found = []
        for name, kind in zip(first.schema.names, first.schema.types, strict=True):
            if pa.types.is_string(kind) and not any(str(text or "").strip() for text in first[name].to_pylist()):
                told = self.frame.where(f"trim({quoted(name)}) <> ''")
                told = told.orderBy(FILE_COLUMN) if FILE_COLUMN in first.schema.names else told
                found.append(told.limit(1).toArrow())
        return found

    def scan(self, work: Work, step: str, columns: Iterable[str]) -> Any:
        """The parts that a step gives of the input's rows."""
        # A name may have dots and quotes in it, of which Spark makes something else on the way into a task.
        wanted = list(columns)
        with errors("engine"):
            numbered = [self.frame[quoted(name)].alias(f"c{n}") for n, name in enumerate(wanted)]
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


def _run_named(names: list[str], work: Work, step: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """A task whose rows have their names again."""
    return run_task(work, step, (batch.rename_columns(names) for batch in batches))
