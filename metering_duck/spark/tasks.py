"""Tasks: a run in parts, for an engine that has many machines. What one task computes: batches in, parts out.

    rows → keys → repeated                      (which keys occur more than once: 64-bit hashes, brought together)
    rows → counted ──────────────┬→ readings    (counters in two phases by their exact state, R20; levels by subject)
                └ suspects → settled            (the few rows of repeated keys, each key whole)

Each step is the SQL of a run on one machine, in a DuckDB of its own. What one step gives, the next takes by buckets:
equal keys are in the same bucket. Nothing is known here of the engine; it calls `run_task`, and spark/cluster.py is
one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, pairwise
from typing import Any, Protocol

import duckdb
import numpy as np
import pyarrow as pa

from metering_duck import errors
from metering_duck.engine.duckdb import Engine
from metering_duck.errors import MeteringError
from metering_duck.inputs.layout import Layout
from metering_duck.judging.arrivals import key_hashes_query, settled_query
from metering_duck.judging.events import Compiler
from metering_duck.judging.repeated_hashes import Hashes, RepeatedHashes, as_column, as_numpy
from metering_duck.judging.slots import Slot
from metering_duck.readings.counters import COMBINED, counted_query, merged_query
from metering_duck.readings.series import Totals
from metering_duck.runs.machine import HASHES_AT_ONCE, Machine
from metering_duck.runs.run import Run
from metering_duck.statements.quote import identifier
from metering_duck.statements.select import names, select
from metering_duck.statements.stages import Query, Stage, load_stage
from metering_duck.version import __version__
from metering_duck.windows.cutting import Windows

# What steps give and take: what it is, which bucket it belongs in, and its rows as an Arrow stream (or as numbers).
PARTS_SCHEMA = pa.schema([("kind", pa.string()), ("bucket", pa.int32()), ("payload", pa.binary())])
# The table that a task's rows are in.
ROWS = "input_spooled"
BUCKET = "metering_duck_bucket"
PART_ROWS = 32_768
VERSIONS = (__version__, duckdb.__version__)
Part = tuple[str, int, bytes]


@dataclass(frozen=True)
class Work:
    """What every task of a run is told. The driver has read the config and learnt the layout; tasks only compute.

    `windows_tables` are the tables of the windows; `part_schemas` are those of `judged_rows` and `counted_rows`, so far
    as there are such. `repeated` are the hashes of keys that may occur more than once.
    """

    schema: pa.Schema
    layout: Layout
    compiler: Compiler
    shape: Totals
    windows: Windows
    windows_tables: dict[str, pa.Table]
    parameters: dict[str, object]
    machine: Machine
    unique: bool
    buckets: int
    part_schemas: dict[str, pa.Schema] = field(default_factory=dict)
    repeated: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))
    versions: tuple[str, str] = VERSIONS

    @cached_property
    def totals(self) -> Totals:
        """How the readings are made; sums in two parts, so that parts of them come together."""
        constants = tuple(self.compiler.constants.items())
        return replace(self.shape, slots=tuple(self.compiler.slots), exact=True, constant_fields=constants)

    @cached_property
    def counts_in_parts(self) -> bool:
        """Whether the counters are counted where their rows lie, whatever the subject."""
        counters = self.totals.counters
        all_combine = all(series.aggregation.function in COMBINED for series in counters)
        return bool(counters) and all_combine and self.totals.fill == "none"

    @cached_property
    def whole_slots(self) -> list[Slot]:
        """The slots whose rows are brought together by subject."""
        apart = {slot for series in self.totals.counters for slot in series.slots} if self.counts_in_parts else set()
        return [slot for slot in self.totals.slots if slot not in apart]

    @cached_property
    def first_totals(self) -> Totals:
        """What is counted where the rows lie: the counters, or only what became of the rows."""
        return self.totals if self.counts_in_parts else Totals((), self.windows)

    @cached_property
    def key_columns(self) -> list[str]:
        """The columns of the input that a row's key is made of; the others need not be read to compare keys."""
        if self.layout.json or self.layout.relation != ROWS:
            return list(self.schema.names)
        fields = [
            "workspace_id",
            "universe_id",
            "id",
            "metered_at",
            *(["type"] if self.compiler.selection.types else []),
        ]
        texts = [self.layout.column(name).sql for name in fields]
        texts += [text for fault in self.layout.keyless for text in (fault.condition, fault.text)]
        # A name is quoted in SQL: what is in it may be doubled there.
        return [name for name in self.schema.names if any(name in text or identifier(name) in text for text in texts)]


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
                yield _batch(part)
    except MeteringError as error:
        told = {"error": type(error).__name__, "text": str(error), "known": vars(error)}
        yield _batch(("error", 0, json.dumps(told, default=str).encode()))


class Cluster(Protocol):
    """An engine that has many machines. `Parts` is whatever it has for parts that are somewhere."""

    def scan(self, work: Work, step: str, columns: Iterable[str]) -> Any:
        """The parts that a step gives of the input's rows, of these columns, wherever they lie."""

    def keep(self, parts: Any) -> Any:
        """The same parts, which are used twice."""

    def gather(self, work: Work, step: str, parts: Iterable[Any], kinds: Sequence[str] = ()) -> Any:
        """The parts that a step gives of all parts, or those of some kinds, those of one bucket in one task."""

    def collect(self, parts: Any) -> Iterator[Part]:
        """The parts, here."""


def distribute(cluster: Cluster, work: Work) -> Iterator[Part]:
    """All steps, in their order: kind, bucket and payload of everything that becomes of the rows.

    Raises: what a task found.
    """
    if not work.unique:
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


def _checked(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts; at their end, what tasks found wrong is raised as what it was there: the same one each time."""
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


def _keys(work: Work, batches: Iterator[pa.RecordBatch]) -> Iterator[Part]:
    """Rows → the hashes of their keys, and how many rows there are."""
    with work.machine.engine() as engine:
        run = _opened(work, engine)
        engine.connection.register(ROWS, _reader(work.schema, batches))
        rows = 0
        query = run.query(key_hashes_query(run.compiler.arrivals(), keys=True, moments=False))
        for batch in engine.stream(query, HASHES_AT_ONCE):
            rows += batch.num_rows
            hashes = np.sort(as_numpy(batch.column(0)))
            bounds = (np.arange(1, work.buckets) * (2**64 / work.buckets)).astype(np.uint64)
            for bucket, of_bucket in enumerate(np.split(hashes, np.searchsorted(hashes, bounds))):
                if len(of_bucket):
                    yield "hashes", bucket, of_bucket.tobytes()
        yield "read", 0, np.int64(rows).tobytes()


def _repeated(work: Work, batches: Iterator[pa.RecordBatch]) -> Iterator[Part]:
    """Hashes → those that occur more than once."""
    with work.machine.engine() as engine:
        found = RepeatedHashes(engine.directory, "keys")
        for kind, bucket, payload in _parts(batches):
            if kind == "hashes":
                found.add(np.frombuffer(payload, np.uint64))
            else:
                yield kind, bucket, payload
        hashes = found.found()
        if len(hashes):
            yield "repeated", 0, hashes.tobytes()


def _suspects(work: Work) -> Query:
    """The rows whose keys may occur more than once, as they lie."""
    layout = work.layout
    lying = Stage("input", "the input as it lies", select({}, layout.relation, star="*"))
    parsed = layout.json.stages(()) if layout.json else []
    key = f"hash({', '.join(layout.column(name).text_sql for name in ('workspace_id', 'universe_id', 'id'))})"
    where = [f"{key} IN (SELECT key_hash FROM repeated_keys)"]
    made = [layout.json.object_name, layout.json.texts_name, *layout.json.made] if layout.json else []
    star = f"* EXCLUDE ({', '.join(made)})" if made else "*"
    bucket = {BUCKET: f"CAST({key} % {work.buckets} AS INTEGER)"}
    rows = select(bucket, parsed[-1].name if parsed else "input", star=star, where=where, order_by=[BUCKET])
    return Query("suspects", (lying, *parsed, Stage("suspects", "the rows of keys that may be repeated", rows)))


def _settled(work: Work, batches: Iterator[pa.RecordBatch]) -> Iterator[Part]:
    """Rows of repeated keys, each key whole → which of them count, and what is counted of those."""
    with work.machine.engine() as engine:
        # What a shape makes of the input's columns is made of these rows already.
        run = _opened(replace(work, layout=replace(work.layout, relation=ROWS)), engine)
        yield from _taken(engine, {"suspects": ROWS}, batches)
        if not engine.has(ROWS):
            return
        run.deduplicate()
        yield from _metered(work, run)
        for verdict, count in run.lost().items():
            yield "lost", 0, _payload(pa.table({"verdict": [verdict], "events": [count]}))
        conflicts = run.conflicts()
        if conflicts is not None:
            yield from _rows(engine, conflicts, "conflicts")


def _counted(work: Work, batches: Iterator[pa.RecordBatch]) -> Iterator[Part]:
    """Rows → what is counted of those whose keys occur once; the others as they lie."""
    with work.machine.engine() as engine:
        run = _opened(work, engine)
        _spool(engine, _reader(work.schema, batches))
        if work.unique:
            run.deduplicate()
            yield "read", 0, np.int64(run.rows_read).tobytes()
        elif len(work.repeated):
            run.check_partitions()
            engine.keep("repeated_keys", pa.table({"key_hash": as_column(work.repeated)}))
            settled = settled_query(run.compiler.arrivals(suspects=True))
            none = Stage("none", "they are settled elsewhere", select({}, "verdicts", star="*", where=["FALSE"]))
            engine.fill(run.query(replace(settled, stages=(*settled.stages, none))))
            run.repeated = True
            yield from _by_bucket(engine, run.query(_suspects(work)), "suspects")
        else:
            run.check_partitions()
        yield from _metered(work, run)


def _metered(work: Work, run: Run) -> Iterator[Part]:
    """What became of the rows of a run, its counters, and the rows that other aggregations need whole."""
    engine, judged = run.engine, run.compiler.judged(repeated=run.repeated)
    engine.fill(run.query(counted_query(work.first_totals, judged)))
    yield from _rows(engine, Query("books", (_books(work),)), "books")
    if work.counts_in_parts:
        counted = _bucketed("counted", work, "counted", "universe_id, subject", ["used"])
        yield from _by_bucket(engine, Query("counted", (counted,)), "counted")
    if work.whole_slots:
        yield from _by_bucket(engine, run.query(judged_rows(work, judged)), "judged")
    ((rejected,),) = engine.rows("SELECT count(*) FROM counted WHERE status = 'rejected'")
    if rejected:
        rejects = run.rejects()
        yield from _rows(engine, replace(rejects, stages=rejects.stages[:-1]), "rejects")


def _books(work: Work) -> Stage:
    """What became of the rows, by status."""
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
    """`judged_rows`: the rows of slots that are brought together by subject, and of their columns those that count."""
    columns = {**names(("workspace_id", "universe_id", "subject", "id", "event_id", "recorded_at", "metered_at"))}
    columns |= names(("dimensions", "status"))
    for slot in work.whole_slots:
        columns |= names([f"v_{slot.index}", *([slot.inner_column] if slot.inner_column else [])])
        columns |= names([f"start_{slot.index}", f"end_{slot.index}"] if slot.span else [])
        columns |= names([slot.text_sql] if slot.counts_texts else [])
    has_value = " OR ".join(f"v_{slot.index} IS NOT NULL" for slot in work.whole_slots)
    where = [*work.totals.shown, f"({has_value})"]
    last = _bucketed("judged_rows", work, "judged", "universe_id, subject", where, columns)
    return Query("judged_rows", (*judged, last))


def _readings(work: Work, batches: Iterator[pa.RecordBatch]) -> Iterator[Part]:
    """What was counted apart, and the rows of whole subjects → readings."""
    with work.machine.engine() as engine:
        run = _opened(work, engine, Together)
        run.of_parts = work.counts_in_parts
        for table, schema in work.part_schemas.items():
            engine.keep(table, schema.empty_table())
        tables = {"counted": "counted_rows", "judged": "judged_rows"}
        yield from _taken(engine, tables, batches, without="suspects")
        if not any(engine.count(table) for table in work.part_schemas):
            return
        run.fill_readings()
        yield from _rows(engine, Query("readings", (Stage("all", "all", "SELECT * FROM readings"),)), "readings")


STEPS: dict[str, Callable[[Work, Iterator[pa.RecordBatch]], Iterator[Part]]] = {
    "keys": _keys,
    "repeated": _repeated,
    "settled": _settled,
    "counted": _counted,
    "readings": _readings,
}


class JudgedRows(Compiler):
    """A config whose events are judged already, in the table `judged_rows`."""

    @property
    def constants(self) -> dict[str, str]:
        """What is the same in every row; whose times were cut was counted before."""
        return super().constants | {"time_cut": "FALSE", "time_naive": "FALSE"}

    def judged(self, *, repeated: bool) -> list[Stage]:  # noqa: ARG002 - as every judge is asked
        """The rows as they are; no key is repeated among them."""
        return [Stage("judged", "the events of whole subjects", select({}, "judged_rows", star="*"))]


class Together(Run):
    """The readings of whole subjects, out of what was counted apart and of judged rows."""

    of_parts = False

    def deduplicate(self) -> None:
        """Nothing is left to settle, but whether events share their moments."""
        if self._has_levels:
            arrivals = Stage("arrivals", "the events of whole subjects", select({}, "judged_rows", star="*"))
            self.engine.fill(Query("tied_moments", (arrivals, load_stage("tied_moments"))))
            self.tied = self.engine.count("tied_moments") > 0

    def totals(self) -> Totals:
        """As on one machine, but sums are in two parts."""
        found = super().totals()
        return replace(found, exact=True, exact_levels=self.exact or self.exact_levels)

    def counted_query(self) -> Query:
        """`counted`, merged, or of the rows."""
        return merged_query(self.totals(), "counted_rows") if self.of_parts else super().counted_query()

    def widest_levels(self, totals: Totals) -> tuple[Any, ...]:
        """The widest level of each slot that is weighed, of the rows that are here."""
        widest = {f"widest_{slot.index}": f"max(abs(v_{slot.index}))" for slot, _ in totals.weighed}
        return self.engine.rows(select(widest, "judged_rows"))[0]


# --- batches, parts, tables ------------------------------------------------------------------------------------------


def _opened(work: Work, engine: Engine, kind: type[Run] = Run) -> Any:
    """A run that knows what the driver has learnt."""
    engine.lock_down([])
    run = kind(engine, dict(work.parameters), zone_given=True, unique=work.unique)
    run.layout, run.windows, run.shape, run.makes_readings = work.layout, work.windows, work.shape, True
    judge = JudgedRows if kind is Together else Compiler
    told = work.compiler
    run.compiler = judge(told.config, work.layout, told.selection, told.aggregation, told.group_by)
    for name, table in work.windows_tables.items():
        engine.keep(name, table)
    return run


def _reader(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> pa.RecordBatchReader:
    """The rows as a stream of the input's columns, NULL where they were not read."""

    def whole(batch: pa.RecordBatch) -> pa.RecordBatch:
        there = set(batch.schema.names)
        columns = [batch.column(f.name) if f.name in there else pa.nulls(batch.num_rows, f.type) for f in schema]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, (whole(batch) for batch in batches))


def _spool(engine: Engine, reader: pa.RecordBatchReader) -> None:
    """The rows in a table of the engine's, which spills: they are read more than once."""
    engine.connection.register("task_rows", reader)
    engine.fill(Query(ROWS, (Stage("rows", "this task's rows", select({}, "task_rows", star="*")),)))
    engine.connection.unregister("task_rows")


def _taken(
    engine: Engine, tables: Mapping[str, str], batches: Iterator[pa.RecordBatch], without: str = ""
) -> Iterator[Part]:
    """Parts into the tables of their kinds; what has none is passed on, but for what was settled before."""
    for kind, bucket, payload in _parts(batches):
        if kind == without:
            continue
        if kind not in tables:
            yield kind, bucket, payload
        elif engine.has(tables[kind]):
            engine.insert(tables[kind], rows_of(payload))
        else:
            engine.keep(tables[kind], rows_of(payload))


def rows_of(payload: bytes) -> pa.Table:
    """The rows of a part."""
    return pa.ipc.open_stream(payload).read_all()


def _parts(batches: Iterator[pa.RecordBatch]) -> Iterator[Part]:
    for batch in batches:
        for n in range(batch.num_rows):
            yield batch.column(0)[n].as_py(), batch.column(1)[n].as_py(), batch.column(2)[n].as_py()


def _batch(part: Part) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([value]) for value in part], schema=PARTS_SCHEMA)


def _payload(rows: pa.Table | pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write(rows)
    return bytes(sink.getvalue())


def _rows(engine: Engine, query: Query, kind: str) -> Iterator[Part]:
    """A query's rows, in any bucket."""
    for n, batch in enumerate(engine.stream(query, PART_ROWS)):
        yield kind, n, _payload(batch)


def _by_bucket(engine: Engine, query: Query, kind: str) -> Iterator[Part]:
    """A query's rows, which are in the order of their buckets: a part for each."""
    for batch in engine.stream(query, PART_ROWS):
        buckets = batch.column(BUCKET).to_numpy(zero_copy_only=False)
        rows = batch.drop_columns([BUCKET])
        cuts = [0, *(np.flatnonzero(np.diff(buckets)) + 1), len(buckets)]
        for start, end in pairwise(cuts):
            if end > start:
                yield kind, int(buckets[start]), _payload(rows.slice(start, end - start))
