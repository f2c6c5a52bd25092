"""Tasks: what one task of a run on a cluster computes: batches of rows in, parts out.

    rows → keys → repeated                      (which keys occur more than once: 64-bit hashes, brought together)
    rows → counted ──────────────┬→ readings    (counters in two phases by their exact state, R20; levels by subject)
                └ suspects → settled            (the few rows of repeated keys, each key whole)

Each step is the SQL of a run on one machine, in a DuckDB of its own. A step takes the parts of the step before by
buckets: equal keys are in one bucket. The driver calls `distribute`, which asks a cluster (clusters/cluster.py) for
each step; the cluster calls `run_task` wherever it has the rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain

import numpy as np
import pyarrow as pa

from metering_duck import errors
from metering_duck.clusters.cluster import Cluster
from metering_duck.clusters.parts import (
    BUCKET,
    Part,
    batch_of,
    parts_in,
    payload_of,
    rows_as_parts,
    rows_by_bucket,
    take_parts,
)
from metering_duck.clusters.work import ROWS, VERSIONS, Work
from metering_duck.engine.duckdb import Engine
from metering_duck.errors import MeteringError
from metering_duck.judging.arrivals import key_hashes_query, settled_query
from metering_duck.judging.events import Compiler
from metering_duck.judging.repeated_hashes import RepeatedHashes, as_column, as_numpy
from metering_duck.readings.counters import counted_query, merged_query
from metering_duck.readings.series import Totals
from metering_duck.runs.deduplicating import (
    check_partitions,
    conflicts_query,
    deduplicate,
    lost_rows,
    orders_levels,
)
from metering_duck.runs.local import has_type_among
from metering_duck.runs.machine import HASHES_AT_ONCE
from metering_duck.runs.opening import Opened
from metering_duck.runs.reading_tables import Judged, fill_readings
from metering_duck.statements.select import names, select
from metering_duck.statements.stages import Query, Stage, load_stage


def run_task(work: Work, step: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """One task: batches of the input's rows, or of parts (PARTS_SCHEMA), in; batches of parts out.

    Exact:  the same rows give the same parts, so a task may run again, elsewhere; what is wrong with the data is a
            part, too, and no failure of the task.
    """
    try:
        if work.versions != VERSIONS:
            here, there = (f"metering-duck {ours} with duckdb {theirs}" for ours, theirs in (VERSIONS, work.versions))
            raise MeteringError(f"engine: found {here} on a worker; expected {there}, as on the driver.")
        first = next(batches, None)
        if first is not None:
            for part in STEPS[step](work, chain([first], batches)):
                yield batch_of(part)
    except MeteringError as error:
        told = {"error": type(error).__name__, "text": str(error), "known": vars(error)}
        yield batch_of(("error", 0, json.dumps(told, default=str).encode()))


def distribute(cluster: Cluster, work: Work) -> Iterator[Part]:
    """Run all steps in order; gives the kind, bucket and payload of the parts with the results.

    Raises: the error that a task found.
    """
    if not work.source.assume_unique:
        hashes = cluster.scan(work, "keys", work.key_columns)
        found = []
        for kind, bucket, payload in _checked(cluster.collect(cluster.gather(work, "repeated", [hashes]))):
            if kind == "repeated":
                found.append(np.frombuffer(payload, np.uint64))
            else:
                yield kind, bucket, payload
        work = replace(work, repeated=np.concatenate([work.repeated, *found]))
    parts = [cluster.scan(work, "counted", work.schema.names)]
    if len(work.repeated):
        parts = [cluster.keep(parts[0])]
        parts.append(cluster.gather(work, "settled", parts, ["suspects"]))
    yield from _checked(cluster.collect(cluster.gather(work, "readings", parts)))


def any_has_type(cluster: Cluster, work: Work) -> bool:
    """Whether an event has a property `type`.

    Raises: the error that a task found.
    """
    parts = list(_checked(cluster.collect(cluster.scan(work, "typed", work.schema.names))))
    return bool(parts)


def _checked(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts without errors; after the last part, the first error of all tasks in a fixed order is raised here."""
    faults = []
    for part in parts:
        if part[0] == "error":
            faults.append(part[2])
        else:
            yield part
    if faults:
        told = json.loads(min(faults))
        raised = getattr(errors, told["error"])
        error = raised.__new__(raised, told["text"])
        vars(error).update(told["known"])
        raise error


# --- the steps -------------------------------------------------------------------------------------------------------


def _typed(work: Work, batches: Iterator[pa.RecordBatch]) -> Iterator[Part]:
    """Rows → a part where one of them has a property `type`."""
    with work.machine.engine() as engine:
        opened = _opened(work, engine)
        _spool(engine, _reader(work.schema, batches))
        if has_type_among(opened, opened):
            yield "typed", 0, b""


def _keys(work: Work, batches: Iterator[pa.RecordBatch]) -> Iterator[Part]:
    """Rows → the hashes of their keys, and how many rows there are."""
    with work.machine.engine() as engine:
        opened = _opened(work, engine)
        engine.connection.register(ROWS, _reader(work.schema, batches))
        rows = 0
        query = key_hashes_query(work.compiler.arrivals(), keys=True, moments=False)
        for batch in engine.stream(opened.query(query), HASHES_AT_ONCE):
            rows += batch.num_rows
            hashes = np.sort(as_numpy(batch.column(0)))
            bounds = (np.arange(1, work.buckets) * (2**64 / work.buckets)).astype(np.uint64)
            for bucket, of_bucket in enumerate(np.split(hashes, np.searchsorted(hashes, bounds))):
                if len(of_bucket):
                    yield "hashes", bucket, of_bucket.tobytes()
        yield "read", 0, np.int64(rows).tobytes()


def _repeated(work: Work, batches: Iterator[pa.RecordBatch]) -> Iterator[Part]:
    """Hashes → the hashes that occur more than once."""
    with work.machine.engine() as engine:
        found = RepeatedHashes(engine.directory, "keys")
        for kind, bucket, payload in parts_in(batches):
            if kind == "hashes":
                found.add(np.frombuffer(payload, np.uint64))
            else:
                yield kind, bucket, payload
        hashes = found.found()
        if len(hashes):
            yield "repeated", 0, hashes.tobytes()


def _suspects(work: Work) -> Query:
    """The query of the rows whose keys may occur more than once, with the columns of the input."""
    layout = work.layout
    lying = Stage("input", "the input as it lies", select({}, layout.relation, star="*"))
    parsed = layout.json.stages(()) if layout.json else []
    key = f"hash({', '.join(layout.column(name).text_sql for name in ('workspace_id', 'universe_id', 'id'))})"
    where = [f"{key} IN (SELECT key_hash FROM repeated_keys)"]
    star = "*"
    if layout.json:
        made = [layout.json.object_name, layout.json.texts_name, *layout.json.made]
        star = f"* EXCLUDE ({', '.join(made)})"
    bucket = {BUCKET: f"CAST({key} % {work.buckets} AS INTEGER)"}
    rows = select(bucket, parsed[-1].name if parsed else "input", star=star, where=where, order_by=[BUCKET])
    return Query("suspects", (lying, *parsed, Stage("suspects", "the rows of keys that may be repeated", rows)))


def _settled(work: Work, batches: Iterator[pa.RecordBatch]) -> Iterator[Part]:
    """All rows of some repeated keys → which of the rows count, and the counts of those rows."""
    with work.machine.engine() as engine:
        opened = _opened(work, engine)
        # These rows are shaped already: the columns that a shape makes are not made again.
        compiler = replace(work.compiler, layout=replace(work.layout, relation=ROWS))
        yield from take_parts(engine, {"suspects": ROWS}, batches)
        if not engine.has(ROWS):
            return
        found = deduplicate(opened, compiler, has_levels=False)
        yield from _metered(work, opened, compiler, repeated=found.repeated)
        for verdict, count in lost_rows(engine, found).items():
            yield "lost", 0, payload_of(pa.table({"verdict": [verdict], "events": [count]}))
        conflicts = conflicts_query(found)
        if conflicts is not None:
            yield from rows_as_parts(engine, conflicts, "conflicts")


def _counted(work: Work, batches: Iterator[pa.RecordBatch]) -> Iterator[Part]:
    """Rows → the counts of the rows whose keys occur once, and the other rows as they are."""
    with work.machine.engine() as engine:
        opened, compiler = _opened(work, engine), work.compiler
        _spool(engine, _reader(work.schema, batches))
        if work.source.assume_unique:
            rows_read = deduplicate(opened, compiler, has_levels=False).rows_read
            yield "read", 0, np.int64(rows_read).tobytes()
        else:
            check_partitions(opened, compiler)
        if len(work.repeated):
            engine.keep("repeated_keys", pa.table({"key_hash": as_column(work.repeated)}))
            opened.fill(_settled_elsewhere(compiler))
            yield from rows_by_bucket(engine, opened.query(_suspects(work)), "suspects")
        yield from _metered(work, opened, compiler, repeated=len(work.repeated) > 0)


def _settled_elsewhere(compiler: Compiler) -> Query:
    """`settled` without a row: repeated keys are settled in a task that has all rows of the key."""
    settled = settled_query(compiler.arrivals(suspects=True))
    none = Stage("none", "they are settled elsewhere", select({}, "verdicts", star="*", where=["FALSE"]))
    return replace(settled, stages=(*settled.stages, none))


def _metered(work: Work, opened: Opened, compiler: Compiler, *, repeated: bool) -> Iterator[Part]:
    """What became of the rows of a task, its counters, and the rows that other aggregations need by subject."""
    engine, judged = opened.engine, compiler.judged(repeated=repeated)
    opened.fill(counted_query(work.first_totals, judged))
    yield from rows_as_parts(engine, Query("books", (_books(work),)), "books")
    if work.counts_in_parts:
        counted = _bucketed("counted", work, "counted", "universe_id, subject", ["used"])
        yield from rows_by_bucket(engine, Query("counted", (counted,)), "counted")
    if work.whole_slots:
        yield from rows_by_bucket(engine, opened.query(judged_rows(work, judged)), "judged")
    ((rejected,),) = engine.rows("SELECT count(*) FROM counted WHERE status = 'rejected'")
    if rejected:
        rejects = opened.query(compiler.rejects(repeated=repeated))
        yield from rows_as_parts(engine, replace(rejects, stages=rejects.stages[:-1]), "rejects")


def _books(work: Work) -> Stage:
    """The stage that counts what became of the rows, by status."""
    sums = {name: f"CAST(sum({name}) AS BIGINT)" for name in ("events", "times_cut", "times_naive")}
    if work.windows.by_subject:
        sums |= {"unscheduled": "CAST(sum(unscheduled) AS BIGINT)", "unscheduled_subject": "min(unscheduled_subject)"}
    status = {"status": "coalesce(status, 'metered')"}
    return Stage("books", "what became of the rows", select(status | sums, "counted", group_by=["1"]))


def _bucketed(name: str, work: Work, source: str, key: str, where: Iterable[str], columns: Iterable[str] = ()) -> Stage:
    bucket = {BUCKET: f"CAST(hash({key}) % {work.buckets} AS INTEGER)"}
    star = None if columns else "*"
    rows = select(names(columns) | bucket, source, star=star, where=list(where), order_by=[BUCKET])
    return Stage(name, "in the order of the buckets that they belong in", rows)


def judged_rows(work: Work, judged: Iterable[Stage]) -> Query:
    """`judged_rows`: the rows of slots that are brought together by subject, with the columns that readings need."""
    columns = ["workspace_id", "universe_id", "subject", "id", "event_id", "recorded_at", "metered_at"]
    columns += ["dimensions", "status"]
    for slot in work.whole_slots:
        columns.append(f"v_{slot.index}")
        if slot.inner_column:
            columns.append(slot.inner_column)
        if slot.span:
            columns += [f"start_{slot.index}", f"end_{slot.index}"]
        if slot.counts_texts:
            columns.append(slot.text_sql)
    has_value = " OR ".join(f"v_{slot.index} IS NOT NULL" for slot in work.whole_slots)
    where = [*work.totals.shown, f"({has_value})"]
    last = _bucketed("judged_rows", work, "judged", "universe_id, subject", where, columns)
    return Query("judged_rows", (*judged, last))


def _readings(work: Work, batches: Iterator[pa.RecordBatch]) -> Iterator[Part]:
    """Counters of several tasks, and the rows of whole subjects → readings."""
    with work.machine.engine() as engine:
        opened = _opened(work, engine)
        for table, schema in work.part_schemas.items():
            engine.keep(table, schema.empty_table())
        tables = {"counted": "counted_rows", "judged": "judged_rows"}
        yield from take_parts(engine, tables, batches, without="suspects")
        if not any(engine.count(table) for table in work.part_schemas):
            return
        fill_readings(opened, _judged_apart(work), _totals_together(work, engine))
        yield from rows_as_parts(
            engine, Query("readings", (Stage("all", "all", "SELECT * FROM readings"),)), "readings"
        )


def _judged_apart(work: Work) -> Judged:
    """The rows of whole subjects, judged by other tasks, and the counters that other tasks counted."""
    judged = (Stage("judged", "the events of whole subjects", select({}, "judged_rows", star="*")),)

    def counted(totals: Totals) -> Query:
        return merged_query(totals, "counted_rows") if work.counts_in_parts else counted_query(totals, judged)

    return Judged(judged, counted, lambda slot: f"max(abs(v_{slot}))", widest_source="judged_rows")


def _totals_together(work: Work, engine: Engine) -> Totals:
    """How the readings are made of parts; where levels are ordered, finds the moments that several events share."""
    # The tasks that judged the rows have counted the cut and the naive times.
    constants = work.compiler.constants | {"time_cut": "FALSE", "time_naive": "FALSE"}
    totals = replace(work.question.totals(work.windows, work.compiler.slots, constants), exact=True)
    if not orders_levels(totals.slots):
        return totals
    arrivals = Stage("arrivals", "the events of whole subjects", select({}, "judged_rows", star="*"))
    engine.fill(Query("tied_moments", (arrivals, load_stage("tied_moments"))))
    return replace(totals, tied=engine.count("tied_moments") > 0)


STEPS: dict[str, Callable[[Work, Iterator[pa.RecordBatch]], Iterator[Part]]] = {
    "typed": _typed,
    "keys": _keys,
    "repeated": _repeated,
    "settled": _settled,
    "counted": _counted,
    "readings": _readings,
}


# --- the input of a task ---------------------------------------------------------------------------------------------


def _opened(work: Work, engine: Engine) -> Opened:
    """The opened input of a task: what the driver has learnt, with the engine of the task."""
    engine.lock_down([])
    for name, table in work.windows_tables.items():
        engine.keep(name, table)
    return Opened(
        engine=engine,
        source=work.source,
        question=work.question,
        selection=work.compiler.selection,
        layout=work.layout,
        windows=work.windows,
        parameters=work.parameters,
    )


def _reader(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> pa.RecordBatchReader:
    """The rows as a stream with all columns of the input; columns that were not read are NULL."""

    def whole(batch: pa.RecordBatch) -> pa.RecordBatch:
        names_read = set(batch.schema.names)
        columns = []
        for field in schema:
            if field.name in names_read:
                columns.append(batch.column(field.name))
            else:
                columns.append(pa.nulls(batch.num_rows, field.type))
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, (whole(batch) for batch in batches))


def _spool(engine: Engine, reader: pa.RecordBatchReader) -> None:
    """Copy the rows, which are read more than once, into a table of the engine, which may spill."""
    engine.connection.register("task_rows", reader)
    engine.fill(Query(ROWS, (Stage("rows", "this task's rows", select({}, "task_rows", star="*")),)))
    engine.connection.unregister("task_rows")
