"""Restating: what a closed period would be now, against what it is; and booking that (R25).

A restatement is known by what it changes into what: made again it is the same one, and booked again it changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from metering_duck.contract.json_shapes import JSON_SQL
from metering_duck.engine.duckdb import Engine
from metering_duck.errors import LedgerError
from metering_duck.ledger.changes import (
    Side,
    diff_query,
    explained_stages,
    fill_causes,
    fill_changes,
    side_of,
    usage_of,
)
from metering_duck.ledger.configs import digest
from metering_duck.ledger.meterer import Meterer
from metering_duck.ledger.runs import RunRow, find_runs, insert_row
from metering_duck.ledger.store import StoreEngine
from metering_duck.readings.series import READING_ORDER
from metering_duck.runs.machine import Machine
from metering_duck.runs.rows import Rows
from metering_duck.statements.select import names, select
from metering_duck.statements.stages import Query, Stage

# Nothing is asked of a run with no change.
ASKED_SCHEMA = pa.schema([("universe_id", pa.string()), ("subject", pa.string())])


@dataclass(frozen=True)
class Comparison:
    """Two runs compared: the tables `changes` and `causes` of an engine of its own."""

    engine: Engine
    old: Side
    new: Side
    digits: int

    def rows(self) -> Rows:
        """Every change with its causes; the rows own the engine."""
        return Rows(self.engine, diff_query(), "diff", JSON_SQL["diff"])

    @property
    def count(self) -> int:
        """How many readings differ."""
        return self.engine.count("changes")

    def table(self, name: str, columns: Sequence[str]) -> pa.Table:
        """The rows of `changes` or `causes`."""
        sql = select(names(columns), name)
        return self.engine.table(Query(name, (Stage(name, name, sql),)))


def find_run(engine: StoreEngine, run_id: int) -> RunRow:
    """A run by its number.

    Raises: LedgerError.
    """
    found = find_runs(engine, "run_id = $run", {"run": run_id})
    if found and found[0].kind == "levels":
        raise LedgerError(f"run {run_id}: has levels only, for the period after it; expected a run with readings.")
    if not found:
        raise LedgerError(f"run {run_id}: is not in the ledger; expected one of ledger export runs.")
    return found[0]


def compare(
    meterer: Meterer, old: RunRow, new: RunRow, *, universe: str | None = None, with_causes: bool = True
) -> Comparison:
    """Two runs side by side; `universe` limits them to one (of the first name).

    Raises: LedgerError where events are no longer there to tell the causes.
    """
    with meterer.store.reading() as reading:
        sides = [side_of(reading, run) for run in (old, new)]
    engine = meterer.machine.engine()
    try:
        old_side, new_side = (_only(side, universe) for side in sides)
        digits = fill_changes(engine, old_side, new_side)
        comparison = Comparison(engine, old_side, new_side, digits)
        asked = engine.table(Query("asked", (Stage("asked", "who differs", ASKED),))).cast(ASKED_SCHEMA)
        if with_causes:
            old_usage, old_files = _usage(meterer, old_side, asked)
            new_usage, _ = _usage(meterer, new_side, asked)
            fill_causes(engine, old_side, new_side, old_usage, new_usage, old_files)
        else:
            engine.keep("causes", CAUSES_SCHEMA.empty_table())
        return comparison
    except BaseException:
        engine.close()
        raise


def together(comparisons: Sequence[Comparison], machine: Machine) -> Rows:
    """The rows of several comparisons as one; they own an engine of their own."""
    tables = []
    for comparison in comparisons:
        with comparison.rows() as rows:
            tables.append(rows.to_arrow())
    engine = machine.engine()
    engine.keep("diffs", pa.concat_tables(tables))
    one = Stage(
        "diffs",
        "the differences of all periods",
        select({}, "diffs", star="*", order_by=[*READING_ORDER.values(), "window_start"]),
    )
    return Rows(engine, Query("diff", (one,)), "diff", JSON_SQL["diff"])


ASKED = "SELECT DISTINCT universe_id, subject FROM changes ORDER BY ALL"
CAUSES = (
    *("reading_id", "cause", "workspace_id", "universe_id", "event_id", "recorded_at"),
    *("old_quantity", "new_quantity", "measurement", "file"),
)
CAUSES_SCHEMA = pa.schema(
    [(name, pa.timestamp("us", tz="UTC") if name == "recorded_at" else pa.string()) for name in CAUSES]
)


def _only(side: Side, universe: str | None) -> Side:
    """A side, of one universe only."""
    if universe is None:
        return side
    return replace(side, readings=side.readings.filter(pc.equal(side.readings.column("universe_id"), universe)))


def _usage(meterer: Meterer, side: Side, asked: pa.Table) -> tuple[pa.Table, list[str]]:
    """What events counted for in a run, and which files it had."""
    plan, _ = meterer.plan_as_was(side.run, side.run.clock)
    first_to_new = dict(side.run.question.renamed)
    renamed = [first_to_new.get(name, name) for name in asked.column("universe_id").to_pylist()]
    own = asked.set_column(0, "universe_id", pa.array(renamed, pa.string()))
    return usage_of(plan, own, meterer.machine, side.run), [file.path for file in plan.files]


def restatement_id(old: RunRow, new: RunRow) -> str:
    """The same for the same change of the same period."""
    return digest(old.period.start, old.period.end, old.readings_sha256, new.readings_sha256)[:32]


def keep_restatement(meterer: Meterer, comparison: Comparison, now: datetime) -> str:
    """A restatement with its adjustments and causes, once: its id.

    Raises: LedgerError where the sums are not right.
    """
    check_sums(comparison)
    old, new = comparison.old.run, comparison.new.run
    made = restatement_id(old, new)
    rows = comparison.engine.table(Query("adjustments", tuple(explained_stages())))
    causes = comparison.table("causes", CAUSES)
    with meterer.store.transaction() as engine:
        if engine.rows("FROM restatements WHERE restatement_id = $id", {"id": made}):
            return made
        bounds = {"period_start": old.period.start, "period_end": old.period.end}
        insert_row(
            engine,
            "restatements",
            {"restatement_id": made, **bounds, "old_run_id": old.run_id, "new_run_id": new.run_id, "made_at": now},
        )
        engine.insert("adjustments", rows, {"restatement_id": f"'{made}'"})
        engine.insert("causes", causes, {"restatement_id": f"'{made}'"})
    return made


def check_sums(comparison: Comparison) -> None:
    """Σ old + Σ delta = Σ new, of every unit and aggregation of all readings (R25), exactly.

    Raises: LedgerError.
    """
    parts = ("old_readings", "quantity", ""), ("changes", "delta", ""), ("new_readings", "quantity", "-")
    sums = [
        f"SELECT unit, aggregation, {sign}sum(units_of({name}, {comparison.digits})) AS part FROM {table} GROUP BY ALL"
        for table, name, sign in parts
    ]
    total = f"SELECT unit, aggregation, sum(part) FROM ({' UNION ALL '.join(sums)}) GROUP BY ALL HAVING sum(part) <> 0"
    wrong = comparison.engine.rows(f"{total} ORDER BY ALL")
    if wrong:
        unit, aggregation, rest = wrong[0]
        raise LedgerError(
            f"restatement of {comparison.old.run.period.name}: old + adjustments differ from new by {rest} units in "
            f"the {aggregation} of {unit!r}; expected 0. hint: this is a bug in metering-duck; nothing was kept"
        )


def book(meterer: Meterer, made: str, who: str, now: datetime) -> bool:
    """A restatement's new run counts from now on. Whether anything was changed by that: booked twice is booked once."""
    with meterer.store.transaction() as engine:
        ((booked, start, end, run),) = engine.rows(
            "SELECT booked_at, period_start, period_end, new_run_id FROM restatements WHERE restatement_id = $id",
            {"id": made},
        )
        if booked is not None:
            return False
        engine.rows(
            "UPDATE restatements SET booked_at = $now, booked_by = $who WHERE restatement_id = $id",
            {"id": made, "now": now, "who": who},
        )
        engine.rows(
            "UPDATE periods SET run_id = $run WHERE period_start = $start AND period_end = $end",
            {"run": run, "start": start, "end": end},
        )
        return True
