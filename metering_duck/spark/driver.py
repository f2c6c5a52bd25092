"""Distributed: readings that are computed by an engine of many machines, put together on this one.

The driver checks the config, cuts the windows and learns the layout as on one machine, over no rows; then the rows go
through the steps of spark/tasks.py wherever they lie, and what comes back fills the same tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, Self

import numpy as np
import pyarrow as pa

from metering_duck.contract.schemas import CONFLICT_SCHEMA
from metering_duck.engine.duckdb import Engine
from metering_duck.errors import ConfigError
from metering_duck.inputs.file_checks import old_times
from metering_duck.inputs.input import Input, Rows
from metering_duck.judging.events import Compiler
from metering_duck.readings.counters import counted_query
from metering_duck.runs.machine import Machine
from metering_duck.runs.run import Run
from metering_duck.spark.tasks import BUCKET, ROWS, Cluster, Work, distribute, judged_rows, rows_of
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query, Stage

# What a task may take before it spills, where nothing else is said: several run beside each other on a worker.
TASK_MEMORY = "1GB"
LOST_SCHEMA = pa.schema([("verdict", pa.string()), ("events", pa.int64())])
REJECTS_ORDER = ("workspace_id", "universe_id", "id", '"time"', "measurement", '"text"', "reason", "file")
CONFLICTS_ORDER = ("workspace_id", "universe_id", "id", "lost_metered_at", "lost_content")
# Kind of part → the table that its rows go into.
TABLES = {"readings": "readings", "books": "counted", "rejects": "rejects", "conflicts": "conflicts", "lost": "lost"}


class Elsewhere(Cluster, Protocol):
    """An engine of many machines, and the input that it reads."""

    @property
    def buckets(self) -> int:
        """How many buckets it spreads keys over."""

    def opened(self, found: Input, old_times: Sequence[str]) -> Rows:
        """Rows like those of the input, of which the layout is learnt: its columns, and a few rows at most.

        The times of the columns `old_times` have no zone, whatever the engine makes of their type (INT96).
        """

    def close(self) -> None:
        """Nothing more is asked of it."""


class DistributedRun(Run):
    """A run whose rows are counted elsewhere."""

    elsewhere: Elsewhere
    of_tasks: Machine
    schema: pa.Schema

    @classmethod
    def on(cls, elsewhere: Elsewhere, machine: Machine, *given: Any, **options: Any) -> Self:
        """Find the input and learn its layout; a task has one thread, and the machine's limit of memory."""
        schemas = []

        def opened(engine: Engine, found: Input) -> Rows:
            rows = elsewhere.opened(found, old_times(engine))
            schemas.append(rows.data.schema)
            return rows

        try:
            run = cls.open(machine, *given, read_by=opened, **options)
        except BaseException:
            elsewhere.close()
            raise
        run.engine.at_close(elsewhere.close)
        run.elsewhere, run.schema = elsewhere, schemas[0]
        run.of_tasks = Machine(1, machine.memory_limit or TASK_MEMORY, machine.temp_dir)
        return run

    def fill_readings(self) -> None:
        """Fill `readings`, and the books of all rows."""
        self.engine.rows(f"DELETE FROM {ROWS}")
        super().fill_readings()
        work = self._work()
        rejects = self.engine.table(super().rejects())
        for name, schema in (("rejects", rejects.schema), ("conflicts", CONFLICT_SCHEMA), ("lost", LOST_SCHEMA)):
            self.engine.keep(name, schema.empty_table())
        for kind, _, payload in distribute(self.elsewhere, work):
            if kind == "read":
                self.rows_read += int(np.frombuffer(payload, np.int64)[0])
            else:
                self.engine.insert(TABLES[kind], rows_of(payload))

    def _work(self) -> Work:
        """What every task is told; fills `counted`, of no row, as it is counted there."""
        if not isinstance(self.compiler, Compiler):
            raise ConfigError("engine: found records; expected events. hint: leave --engine out")
        windows = {query.name: self._table(query.name) for query in self.windows.queries()}
        work = Work(
            self.schema,
            self.layout,
            self.compiler,
            self.shape,
            self.windows,
            windows,
            self.parameters,
            self.of_tasks,
            self.unique,
            self.elsewhere.buckets,
        )
        judged = self.compiler.judged(repeated=False)
        self.engine.fill(self.query(counted_query(work.first_totals, judged)))
        parts = {"counted_rows": self._table("counted").schema} if work.counts_in_parts else {}
        if work.whole_slots:
            schema = self.engine.table(self.query(judged_rows(work, judged))).schema
            parts["judged_rows"] = schema.remove(schema.get_field_index(BUCKET))
        return replace(work, part_schemas=parts)

    def _table(self, name: str) -> pa.Table:
        return self.engine.table(Query(name, (Stage(name, "the whole table", select({}, name, star="*")),)))

    def lost(self) -> dict[str, int]:
        """How many rows did not count, by verdict, of all tasks."""
        counts = {"verdict": "verdict", "events": "CAST(sum(events) AS BIGINT)"}
        return dict(self.engine.rows(select(counts, "lost", group_by=["verdict"])))

    def rejects(self) -> Query:
        """Every rejected event."""
        rejects = select({}, "rejects", star="*", order_by=REJECTS_ORDER)
        return Query("rejects", (Stage("rejects_in_order", "in a fixed order", rejects),))

    def conflicts(self) -> Query:
        """Every event that lost to another of the same key."""
        conflicts = select({}, "conflicts", star="*", order_by=CONFLICTS_ORDER)
        return Query("conflicts", (Stage("conflicts_in_order", "in a fixed order", conflicts),))
