"""Comparing two runs of a period: which readings differ, and which events are behind each difference (R25)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from metering_duck.contract.json_shapes import JSON_SQL
from metering_duck.contract.schemas import TIME
from metering_duck.engine.duckdb import Engine
from metering_duck.errors import LedgerError
from metering_duck.ledger.changes import Side, diff_query, fill_causes, fill_changes, side_of, usage_of
from metering_duck.ledger.meterer import Meterer
from metering_duck.ledger.runs import RunRow, find_runs
from metering_duck.ledger.store import StoreEngine
from metering_duck.readings.series import READING_ORDER
from metering_duck.runs.machine import Machine
from metering_duck.runs.rows import Rows
from metering_duck.statements.select import names, select
from metering_duck.statements.stages import Query, Stage

ASKED = "SELECT DISTINCT universe_id, subject FROM changes ORDER BY ALL"
# The type of the columns of ASKED, also where there is no change and so no row.
ASKED_SCHEMA = pa.schema([("universe_id", pa.string()), ("subject", pa.string())])
CAUSES = (
    *("reading_id", "cause", "workspace_id", "universe_id", "event_id", "recorded_at"),
    *("old_quantity", "new_quantity", "measurement", "file"),
)
CAUSES_SCHEMA = pa.schema([(name, TIME if name == "recorded_at" else pa.string()) for name in CAUSES])


@dataclass(frozen=True)
class Comparison:
    """Two runs compared: an engine that only this comparison uses, with the tables `changes` and `causes`."""

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


def diff(meterer: Meterer, old: int, new: int, *, causes: bool) -> Rows:
    """Every change between two runs of one period, with its causes.

    Raises: LedgerError for an unknown run, and for runs of two periods.
    """
    with meterer.store.reader() as engine:
        first, second = find_run(engine, old), find_run(engine, new)
    if (first.period.start, first.period.end) != (second.period.start, second.period.end):
        raise LedgerError(
            f"diff: found runs of {first.period.name} and of {second.period.name}; expected two of one period."
        )
    return compare(meterer, first, second, with_causes=causes).rows()


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
    """Two runs compared; `universe` limits both to the readings of one universe, by its first name.

    Raises: LedgerError where events are no longer there to tell the causes.
    """
    with meterer.store.reader() as stored:
        sides = [side_of(stored, run) for run in (old, new)]
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
    """The rows of several comparisons as one, in an engine that these rows own."""
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


def _only(side: Side, universe: str | None) -> Side:
    """A side with only the readings of one universe, if one is given."""
    if universe is None:
        return side
    return replace(side, readings=side.readings.filter(pc.equal(side.readings.column("universe_id"), universe)))


def _usage(meterer: Meterer, side: Side, asked: pa.Table) -> tuple[pa.Table, list[str]]:
    """The usage behind a run, of the subjects `asked` for, and the paths of the run's files."""
    plan, _ = meterer.plan_as_was(side.run, side.run.clock)
    first_to_new = dict(side.run.question.renamed)
    renamed = [first_to_new.get(name, name) for name in asked.column("universe_id").to_pylist()]
    own = asked.set_column(0, "universe_id", pa.array(renamed, pa.string()))
    return usage_of(plan, own, meterer.machine, side.run), [file.path for file in plan.files]
