"""The driver: readings are computed by a cluster of many machines, and put together on this machine.

The driver checks the config, cuts the windows and learns the layout as for one machine, over no rows. Then the tasks of
clusters/tasks.py take the rows where they lie, and the parts that they give fill the tables of one machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from metering_duck.clusters.cluster import Cluster
from metering_duck.clusters.parts import BUCKET, rows_of
from metering_duck.clusters.tasks import any_has_type, distribute, judged_rows
from metering_duck.clusters.work import ROWS, Work
from metering_duck.contract.config import MeteringConfig
from metering_duck.contract.schemas import CONFLICT_SCHEMA
from metering_duck.engine.arrow_rows import insert
from metering_duck.engine.duckdb import Engine
from metering_duck.inputs.fields import ABSENT, Reach
from metering_duck.inputs.file_checks import old_times
from metering_duck.inputs.given_table import GivenTable
from metering_duck.inputs.input import Input
from metering_duck.inputs.source import Source
from metering_duck.judging.events import TYPE, Compiler
from metering_duck.readings.counters import counted_query
from metering_duck.runs.books import keep_books
from metering_duck.runs.computing import Filled
from metering_duck.runs.deduplicating import Judge
from metering_duck.runs.local import LocalReadings, compiler_of
from metering_duck.runs.machine import Machine
from metering_duck.runs.opening import Opened, open_input
from metering_duck.runs.question import Question
from metering_duck.runs.reading_tables import check_overflow
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query, Stage

# The memory of a task before it spills, without another limit: several tasks run at once on a worker.
TASK_MEMORY = "1GB"
LOST_SCHEMA = pa.schema([("verdict", pa.string()), ("events", pa.int64())])
REJECTS_ORDER = ("workspace_id", "universe_id", "id", '"time"', "measurement", '"text"', "reason", "file")
CONFLICTS_ORDER = ("workspace_id", "universe_id", "id", "lost_metered_at", "lost_content")
# Kind of part → the table that its rows go into.
TABLES = {"readings": "readings", "books": "counted", "rejects": "rejects", "conflicts": "conflicts", "lost": "lost"}


def open_on_cluster(
    cluster: Cluster, machine: Machine, given: Any, source: Source, question: Question, reach: Reach
) -> tuple[Opened, pa.Schema]:
    """An input that a cluster reads, whose layout is learnt here; and the columns that its rows have on the cluster."""
    try:
        opened, schema = _open(cluster, machine, given, source, question, reach)
    except BaseException:
        cluster.close()
        raise
    opened.engine.at_close(cluster.close)
    return opened, schema


def _open(
    cluster: Cluster, machine: Machine, given: Any, source: Source, question: Question, reach: Reach
) -> tuple[Opened, pa.Schema]:
    """The same, of a cluster that stays open."""
    schemas: list[pa.Schema] = []

    def read_by(engine: Engine, found: Input) -> GivenTable:
        rows = cluster.opened(found, old_times(engine))
        schemas.append(rows.data.schema)
        return rows

    return open_input(machine, given, source, question, reach=reach, read_by=read_by), schemas[0]


def has_type_on_cluster(
    cluster: Cluster, machine: Machine, given: Any, config: MeteringConfig, source: Source, question: Question
) -> bool:
    """Whether an event has a property `type`, at any time: the input is opened whole for that look.

    It is before `open_on_cluster`: the cluster reads what was opened last.
    """
    try:
        whole = replace(source, time_partition=None)
        opened, schema = _open(cluster, machine, given, whole, question, "all")
        with opened.engine:
            compiler = compiler_of(config, opened, has_type=True)
            return DistributedReadings(cluster, schema, opened, compiler, machine).has_type()
    except BaseException:
        cluster.close()
        raise


class DistributedReadings:
    """Readings of events that are counted on a cluster.

    The tables are first filled on this machine without a row: they then have the columns of the parts to insert.
    """

    def __init__(
        self, cluster: Cluster, schema: pa.Schema, opened: Opened, compiler: Compiler, machine: Machine
    ) -> None:
        self.cluster, self.schema, self.opened, self.compiler = cluster, schema, opened, compiler
        self.judge: Judge = compiler
        # A task has one thread, and its progress is not told on this machine.
        self.of_tasks = replace(machine, threads=1, memory_limit=machine.memory_limit or TASK_MEMORY, progress=None)
        self._of_no_rows = LocalReadings(opened, compiler)

    def queries(self) -> list[Query]:
        """The queries that one machine would run."""
        return self._of_no_rows.queries()

    def fill(self) -> Filled:
        """Fill `readings` with the parts that tasks give, and keep the books of all rows."""
        engine = self.opened.engine
        engine.rows(f"DELETE FROM {ROWS}")
        self._of_no_rows.fill_tables()
        rejects = engine.table(self._of_no_rows.rejects())
        work = self._work()
        for name, schema in (("rejects", rejects.schema), ("conflicts", CONFLICT_SCHEMA), ("lost", LOST_SCHEMA)):
            engine.keep(name, schema.empty_table())
        rows_read = 0
        for kind, _, payload in distribute(self.cluster, work):
            if kind == "read":
                rows_read += int(np.frombuffer(payload, np.int64)[0])
            else:
                insert(engine, TABLES[kind], rows_of(payload))
        check_overflow(engine, "readings")
        return Filled(keep_books(self.opened, rows_read, self.lost(), self.rejects), self._of_no_rows.rows)

    def has_type(self) -> bool:
        """Whether an event has a property `type`; the cluster looks, unless the columns tell."""
        layout = self.opened.layout
        if layout.property_sql is not None and layout.property_sql(TYPE) == ABSENT:
            return False
        self.opened.engine.rows(f"DELETE FROM {ROWS}")
        self._of_no_rows.fill_tables()
        return any_has_type(self.cluster, self._work())

    def _work(self) -> Work:
        """The work of every task. Fills the table `counted` without a row, for the columns that tasks count."""
        opened = self.opened
        windows = {query.name: self._table(query.name) for query in opened.windows.queries()}
        work = Work(
            schema=self.schema,
            source=opened.source,
            # Tasks get the windows as tables; the periods, from which they are cut, stay here.
            question=replace(opened.question, periods=None),
            machine=self.of_tasks,
            compiler=self.compiler,
            windows=opened.windows,
            windows_tables=windows,
            parameters=opened.parameters,
            buckets=self.cluster.buckets,
        )
        judged = self.compiler.judged(repeated=False)
        opened.fill(counted_query(work.first_totals, judged))
        parts = {"counted_rows": self._table("counted").schema} if work.counts_in_parts else {}
        if work.whole_slots:
            schema = opened.table(judged_rows(work, judged)).schema
            parts["judged_rows"] = schema.remove(schema.get_field_index(BUCKET))
        return replace(work, part_schemas=parts)

    def _table(self, name: str) -> pa.Table:
        """All rows of a table of this machine."""
        whole = Stage(name, "the whole table", select({}, name, star="*"))
        return self.opened.engine.table(Query(name, (whole,)))

    def lost(self) -> Mapping[str, int]:
        """Verdict → how many rows of all tasks did not count."""
        counts = {"verdict": "verdict", "events": "CAST(sum(events) AS BIGINT)"}
        return dict(self.opened.engine.rows(select(counts, "lost", group_by=["verdict"])))

    def rejects(self) -> Query:
        """The query of every rejected event."""
        rejects = select({}, "rejects", star="*", order_by=REJECTS_ORDER)
        return Query("rejects", (Stage("rejects_in_order", "in a fixed order", rejects),))

    def conflicts(self) -> Query | None:
        """The query of every event that lost to another event of its key."""
        conflicts = select({}, "conflicts", star="*", order_by=CONFLICTS_ORDER)
        return Query("conflicts", (Stage("conflicts_in_order", "in a fixed order", conflicts),))

    def outcomes(self) -> Query | None:
        """None: events were judged for readings only."""
        return None
