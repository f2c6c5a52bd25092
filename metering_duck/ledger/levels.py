"""Levels as a ledger keeps them: they are compared with their digest wherever they are read, since usage is made of
them.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from metering_duck.errors import LedgerError
from metering_duck.ledger.level_digests import levels_sha256
from metering_duck.ledger.store import StoreEngine
from metering_duck.ledger.texts import CHANGED, SHOWN_CHARACTERS
from metering_duck.runs.history import LEVELS_SCHEMA
from metering_duck.statements.stages import Query, Stage

# A level as plain text (R17) that a DECIMAL can hold.
_PLAIN = r"^-?(0|[1-9][0-9]{0,37})(\.[0-9]{0,37}[1-9])?$"


def stored_levels(engine: StoreEngine, run_id: int | None, sha256: str | None) -> pa.Table:
    """The levels that a run ended with; an empty table without a run.

    Raises: LedgerError for levels of another digest, and for a level that is no number.
    """
    levels = levels_of(engine, run_id)
    fault = levels_fault(levels, sha256)
    if fault:
        place = f"{engine.path}: levels of run {run_id}" if run_id else f"{engine.path}: levels of no run"
        raise LedgerError(f"{place}: {fault}. {CHANGED}; metering-duck ledger verify lists all of that")
    return levels


def levels_fault(levels: pa.Table, sha256: str | None) -> str:
    """What is wrong with levels that are to have a digest; "" if nothing is."""
    found = levels_sha256(levels)
    if found != sha256:
        # They are digested in the order of all their columns, which is that in which they are read, too.
        found = levels_sha256(levels.sort_by([(name, "ascending") for name in levels.schema.names]))
    if found != sha256:
        return f"found {found}; expected {sha256}"
    texts = levels.column("level")
    wrong = texts.filter(pc.invert(pc.fill_null(pc.match_substring_regex(texts, _PLAIN), True)))
    return f"found {wrong[0].as_py()[:SHOWN_CHARACTERS]!r}; expected a plain number" if len(wrong) else ""


def levels_of(engine: StoreEngine, run_id: int | None) -> pa.Table:
    """The levels that are stored for a run; an empty table without a run."""
    if run_id is None:
        return LEVELS_SCHEMA.empty_table()
    holder = f"(SELECT readings_of FROM runs WHERE run_id = {run_id})"
    columns = ", ".join(LEVELS_SCHEMA.names)
    sql = f"SELECT {columns} FROM levels WHERE run_id = {holder} ORDER BY ALL"
    return engine.table(Query("levels", (Stage("levels", "levels", sql),))).cast(LEVELS_SCHEMA)
