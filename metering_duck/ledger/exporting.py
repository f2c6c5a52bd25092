"""Exporting: the ledger's tables as rows that can be written in every format."""

from __future__ import annotations

from typing import Any

from metering_duck.contract.json_shapes import JSON_SQL
from metering_duck.contract.schemas import CONFLICT_SCHEMA, READING_SCHEMA, REJECT_SCHEMA
from metering_duck.errors import ConfigError, LedgerError, did_you_mean
from metering_duck.ledger.runs import find_runs, has_old_ids
from metering_duck.ledger.store import Store, StoreEngine
from metering_duck.ledger.texts import naming_ledger, stored_type
from metering_duck.readings.series import LAST_IN_ORDER, READING_ORDER
from metering_duck.runs.rows import Rows
from metering_duck.statements.select import names, select
from metering_duck.statements.stages import Query, Stage

ADJUSTMENT = (
    *("restatement_id", "reading_id", "workspace_id", "universe_id", "subject", "unit", "aggregation"),
    *("window_start", "window_end", "dimensions", "old", "new", "delta", "events", "why"),
)
# Name of a table that can be exported → its columns, the relation behind FROM, and the order of its rows.
OTHER_TABLES: dict[str, tuple[dict[str, str], str, tuple[str, ...]]] = {
    "runs": ({}, "runs", ("run_id",)),
    "periods": ({}, "periods", ("period_start", "period_end")),
    "files": ({}, "source_files", ("file_id",)),
    "restatements": (
        names(ADJUSTMENT) | names(("made_at", "booked_at", "booked_by", "old_run_id", "new_run_id")),
        "restatements\nJOIN adjustments USING (restatement_id)",
        ("made_at", "restatement_id", *READING_ORDER.values(), "window_start"),
    ),
    "causes": ({}, "causes", ("restatement_id", "reading_id", "cause", "recorded_at", "event_id", "measurement")),
}
OF_RUNS = {"rejects": REJECT_SCHEMA, "conflicts": CONFLICT_SCHEMA}
TABLES = ("readings", "rejects", "conflicts", *OTHER_TABLES)


def export_table(store: Store, table: str, run: int | None) -> Rows:
    """The rows of a table, in an engine that these rows own.

    Raises: ConfigError for an unknown table; LedgerError for an unknown run.
    """
    engine = store.open_to_read()
    try:
        with naming_ledger(store.path):
            return export(engine, table, run)
    except BaseException:
        engine.close()
        raise


def export(engine: StoreEngine, table: str, run: int | None = None) -> Rows:
    """The rows of a table, which own the engine: the rows that count now, or the rows of one run.

    Raises: ConfigError for an unknown table; LedgerError for an unknown run.
    """
    if table not in TABLES:
        raise ConfigError(
            f"table: found {table!r}; expected one of {', '.join(TABLES)}. hint: {did_you_mean(table, TABLES)}"
        )
    if run is not None and table in OTHER_TABLES:
        of = ", ".join(("readings", *OF_RUNS))
        raise ConfigError(f"run: found {run} with {table}, which are of no run; expected one of {of}.")
    if run is not None:
        found = find_runs(engine, "run_id = $run", {"run": run})
        if not found:
            raise LedgerError(f"run {run}: is not in the ledger; expected one of ledger export runs.")
    if table == "readings":
        return readings(engine, run)
    if table in OF_RUNS:
        return Rows(engine, _of_runs(table, run), table.removesuffix("s"))
    columns, source, order = OTHER_TABLES[table]
    sql = select(columns, source, star=None if columns else "*", order_by=order)
    shape = "ledger-period" if table == "periods" else table.removesuffix("s")
    return Rows(engine, Query(table, (Stage(table, table, sql),)), shape)


def holders_sql(run: int | None) -> str:
    """SQL for the runs under which the rows of a run are stored, or the rows of all runs that count now."""
    if run is not None:
        return f"(SELECT readings_of FROM runs WHERE run_id = {run})"
    return "(SELECT readings_of FROM runs WHERE run_id IN (SELECT run_id FROM periods))"


def readings(engine: StoreEngine, run: int | None = None) -> Rows:
    """Readings, byte for byte as they were made."""
    found = engine.rows(
        f"SELECT DISTINCT quantity_type FROM runs WHERE run_id IN {holders_sql(run)} ORDER BY quantity_type"
    )
    kinds = list(dict.fromkeys(stored_type(row[0]) for row in found))
    # Where runs have quantities of several types, only text holds all digits.
    kind = kinds[0] if len(kinds) == 1 else "VARCHAR"
    columns: dict[str, Any] = names(READING_SCHEMA.names) | {"quantity": f"CAST(quantity AS {kind})"}
    order = [*READING_ORDER.values(), *LAST_IN_ORDER]
    sql = select(columns, "readings", where=[f"run_id IN {holders_sql(run)}"], order_by=order)
    rows = Rows(engine, Query("readings", (Stage("readings", "readings", sql),)), "reading", JSON_SQL["reading"])
    rows.has_earlier_ids = any(has_old_ids(engine, one) for one in find_runs(engine, f"run_id IN {holders_sql(run)}"))
    return rows


def _of_runs(table: str, run: int | None) -> Query:
    """Rejects or conflicts: of one run, or of all that count now and of events without a usable time (run 0)."""
    columns = {"run_id": "run_id", **names(f'"{name}"' for name in OF_RUNS[table].names)}
    of_none = "" if run is not None else " OR run_id = 0"
    sql = select(columns, table, where=[f"(run_id IN {holders_sql(run)}{of_none})"], order_by=["ALL"])
    return Query(table, (Stage(table, table, sql),))
