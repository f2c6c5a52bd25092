"""Deduplicating: which keys of the input occur more than once, and which of their rows count (R8).

The hashes of all keys are compared first; only the rows of the few keys that may be repeated are looked at again. Where
levels are put in order, the same pass finds the moments that several events share (R13).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.errors import SourceError
from metering_duck.judging.arrivals import (
    key_hashes_query,
    reads_all,
    repeated_keys_query,
    settled_query,
    tied_moments_query,
)
from metering_duck.judging.events import Compiler
from metering_duck.judging.given_records import RecordCompiler
from metering_duck.judging.repeated_hashes import Hashes, RepeatedHashes, as_column, as_numpy
from metering_duck.judging.slots import Slot
from metering_duck.runs.books import counted_noun
from metering_duck.runs.machine import HASHES_AT_ONCE
from metering_duck.runs.opening import Opened
from metering_duck.statements.select import case, select
from metering_duck.statements.stages import Query, Stage, load_stage

Judge = Compiler | RecordCompiler
REPEATED_KEYS, TIED_MOMENTS = "repeated_keys", "tied_moments"
# Table of hashes → the column with the hashes.
HASH_COLUMNS = {REPEATED_KEYS: "key_hash", TIED_MOMENTS: "moment_hash"}


@dataclass(frozen=True)
class Deduplicated:
    """How many rows were read, whether a key of the rows is repeated, and whether several events may share a moment."""

    rows_read: int = 0
    repeated: bool = False
    tied: bool = True


def orders_levels(slots: Iterable[Slot]) -> bool:
    """Whether the readings of the slots put events in the order of time."""
    return any(slot.aggregation and slot.aggregation.is_gauge for slot in slots)


def deduplicate(opened: Opened, judge: Judge, *, has_levels: bool) -> Deduplicated:
    """Fill the tables `repeated_keys`, `settled` if a key is repeated, and, with `has_levels`, `tied_moments`.

    Raises: SourceError for rows that are not in the partition of their time.
    """
    check_partitions(opened, judge)
    known = opened.history.repeated if opened.history else None
    wanted = []
    if not opened.source.assume_unique and known is None:
        wanted.append(REPEATED_KEYS)
    if has_levels:
        wanted.append(TIED_MOMENTS)
    if wanted:
        rows_read, found = _repeated(opened, judge, wanted)
    else:
        rows_read, found = _count_rows(opened, judge), {}
    for name, hashes in found.items():
        opened.engine.keep(name, pa.table({HASH_COLUMNS[name]: as_column(hashes)}))
    keys = found.get(REPEATED_KEYS) if known is None else known
    repeated = keys is not None and len(keys) > 0
    if repeated:
        opened.fill(settled_query(judge.arrivals(suspects=True), opened.selection.reach))
    tied = TIED_MOMENTS in found and len(found[TIED_MOMENTS]) > 0
    return Deduplicated(rows_read, repeated, tied)


def deduplication_queries(opened: Opened, judge: Judge, *, has_levels: bool) -> list[Query]:
    """The queries that fill the same tables in SQL alone, as a script shows them."""
    arrivals = judge.arrivals()
    queries = []
    if not opened.source.assume_unique:
        suspects = judge.arrivals(suspects=not reads_all(opened.layout, opened.selection))
        queries = [repeated_keys_query(arrivals), settled_query(suspects)]
    if has_levels:
        queries.append(tied_moments_query(arrivals))
    return queries


def lost_rows(engine: Engine, found: Deduplicated) -> Mapping[str, int]:
    """Verdict → how many rows did not count because another row of their key did."""
    if not found.repeated:
        return {}
    counts = {"verdict": "verdict", "events": "count(*)"}
    return dict(engine.rows(select(counts, "settled", where=["verdict <> 'kept'"], group_by=["verdict"])))


def conflicts_query(found: Deduplicated) -> Query | None:
    """The query of every event that lost to another event of its key; None where no key is repeated."""
    return Query("conflicts", (load_stage("conflicts"),)) if found.repeated else None


def check_partitions(opened: Opened, judge: Judge) -> None:
    """Refuse an input with rows outside of the partition of their time: such rows may be in files that were left out.

    Raises: SourceError.
    """
    part = opened.layout.partition
    if part is None:
        return
    first = case({"misplaced": "recorded_at"})
    columns = {"events": "count(*) FILTER (misplaced)", "moment": f"time_text(min({first}))"}
    check = Stage("misplaced", "rows in another partition than their time's", select(columns, "arrivals"))
    rows = opened.table(Query("misplaced", (*judge.arrivals(), check))).to_pylist()
    misplaced, moment = rows[0].values()
    if misplaced:
        found = counted_noun(misplaced, "event")
        raise SourceError(
            f"time-partition: found {found} in another {part.column} than the UTC {part.unit} of its time, the "
            f"first of {moment}; expected none. hint: leave --time-partition out to read every file"
        )


def _repeated(opened: Opened, judge: Judge, wanted: Sequence[str]) -> tuple[int, dict[str, Hashes]]:
    """How many rows there are, and, for each wanted table, the hashes that occur more than once."""
    query = key_hashes_query(judge.arrivals(), keys=REPEATED_KEYS in wanted, moments=TIED_MOMENTS in wanted)
    found = {name: RepeatedHashes(opened.engine.directory, name) for name in wanted}
    rows_read = 0
    with opened.engine.watched(query.name):
        for batch in opened.engine.stream(opened.query(query), HASHES_AT_ONCE):
            rows_read += batch.num_rows
            for hashes, column in zip(found.values(), batch.columns, strict=True):
                hashes.add(as_numpy(column))
    return rows_read, {name: hashes.found() for name, hashes in found.items()}


def _count_rows(opened: Opened, judge: Judge) -> int:
    """How many rows the input has, counted apart from what became of them, so that the books check both."""
    count = Stage("read", "how many rows were read", "SELECT count(*) AS events FROM arrivals")
    rows = opened.table(Query("read", (*judge.arrivals(), count))).to_pylist()
    return int(rows[0]["events"])
