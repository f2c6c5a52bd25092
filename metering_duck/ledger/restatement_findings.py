"""Restatement findings: whether restatements are still the difference of the two runs that they name (R25)."""

from __future__ import annotations

from collections.abc import Iterator

from metering_duck.contract.schemas import IDS_VERSION
from metering_duck.errors import MeteringError
from metering_duck.ledger.changes import CHANGE, fill_changes, side_of
from metering_duck.ledger.findings import Finding
from metering_duck.ledger.restating import restatement_id
from metering_duck.ledger.runs import RunRow, find_runs
from metering_duck.ledger.store import StoreEngine
from metering_duck.statements.quote import literal

CHECK = "adjustments"
# What an earlier definition of ids may have spelled otherwise (R21).
OF_IDS = ("reading_id", "dimensions")


def restatement_findings(engine: StoreEngine) -> Iterator[Finding]:
    """Whether each restatement is known by its readings, and has the adjustments that lead from one to the other."""
    faults = []
    for name, old, new in engine.rows("SELECT restatement_id, old_run_id, new_run_id FROM restatements ORDER BY ALL"):
        runs = [*find_runs(engine, f"run_id = {old}"), *find_runs(engine, f"run_id = {new}")]
        if len(runs) < 2:
            continue
        try:
            faults += [(str(name), fault) for fault in _faults(engine, str(name), *runs)]
        except MeteringError as error:
            faults.append((str(name), f"cannot be recomputed ({error})"))
    if not faults:
        yield Finding(CHECK, "all")
    for where, problem in faults:
        yield Finding(CHECK, where, problem)


def _faults(engine: StoreEngine, name: str, old: RunRow, new: RunRow) -> Iterator[str]:
    expected = restatement_id(old, new)
    if name != expected:
        yield f"is the restatement {expected} of the runs {old.run_id} and {new.run_id}"
    fill_changes(engine, side_of(engine, old), side_of(engine, new))
    same_ids = old.ids_version == new.ids_version == IDS_VERSION
    compared = [column for column in CHANGE if same_ids or column not in OF_IDS]
    columns = ", ".join("CAST(to_json(dimensions) AS VARCHAR)" if name == "dimensions" else name for name in compared)
    kept = f"SELECT {columns} FROM adjustments WHERE restatement_id = {literal(name)}"
    made = f"SELECT {columns} FROM changes"
    for one, other, what in ((kept, made, "is kept, and is not"), (made, kept, "is not kept, and is")):
        for row in engine.rows(f"({one}) EXCEPT ALL ({other}) ORDER BY ALL"):
            said = dict(zip(compared, row, strict=True))
            change = f"{said['old'] or 0} + {said['delta']} = {said['new'] or 0}"
            yield (
                f"{change} {said['unit']} of {said['subject']} {what} what leads from run {old.run_id} to {new.run_id}"
            )
