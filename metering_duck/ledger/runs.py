"""Runs: a plan becomes readings, and the plan and its readings become rows of the ledger, in one transaction.

The readings of a run are known by the SHA-256 of their NDJSON, which is what `ledger export readings --run` writes.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from metering_duck.calls.notices import with_notices
from metering_duck.contract.schemas import CONFLICT_SCHEMA, IDS_VERSION, REJECT_SCHEMA
from metering_duck.contract.times import utc
from metering_duck.engine.arrow_rows import insert
from metering_duck.engine.duckdb import Engine
from metering_duck.inputs.fields import NO_PROPERTIES
from metering_duck.judging.events import Compiler
from metering_duck.ledger import configs
from metering_duck.ledger.level_digests import levels_sha256
from metering_duck.ledger.periods import Period, name_of, stored_period
from metering_duck.ledger.plans import CarriedLevels, Plan, check_readable
from metering_duck.ledger.store import StoreEngine
from metering_duck.ledger.stored import has_new_ids, question_text, stored_question
from metering_duck.readings.usage import usage_query
from metering_duck.runs.books import SHOWN_BOOKS, Accounting
from metering_duck.runs.history import LEVELS_SCHEMA
from metering_duck.runs.levels import levels_at_end
from metering_duck.runs.local import LocalReadings, compiler_of, grouping_notices
from metering_duck.runs.machine import Machine
from metering_duck.runs.opening import closed_on_failure, open_input
from metering_duck.runs.question import Question
from metering_duck.runs.results import Result, result_of
from metering_duck.runs.rows import Rows
from metering_duck.statements.quote import literal, literal_list
from metering_duck.version import __version__
from metering_duck.windows.cutting import make_windows
from metering_duck.windows.periods import Periods

BOOKS = (*SHOWN_BOOKS, "unmatched_entry", "unmatched_filter", "times_cut", "times_naive")


class _Digest(io.BytesIO):
    """A file that only remembers the SHA-256 of what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.sha256 = hashlib.sha256()

    def write(self, data: Any) -> int:
        """Take some bytes."""
        self.sha256.update(data)
        return len(data)


def sha256_of(rows: Rows) -> str:
    """The SHA-256 of rows as NDJSON."""
    sink = _Digest()
    rows.write_to(sink, "ndjson")
    return sink.sha256.hexdigest()


@dataclass(frozen=True)
class Metered:
    """A plan that is open in an engine: `result` streams the readings, and `readings` computes them."""

    plan: Plan
    compiler: Compiler
    readings: LocalReadings
    result: Result
    clock: datetime

    @property
    def engine(self) -> Engine:
        """The engine in which the plan is open."""
        return self.readings.opened.engine

    @property
    def accounting(self) -> Accounting:
        """The books of the period (R9)."""
        return self.result.accounting

    def usage(self, asked: pa.Table) -> pa.Table:
        """The rows behind readings of the subjects `asked` for (universe_id, subject), once the readings are made."""
        self.engine.keep("asked", asked)
        query = usage_query(self.compiler, self.readings.totals, self.readings.judged)
        return self.readings.opened.table(query)

    def close(self) -> None:
        """Close the engine."""
        self.result.close()


def open_plan(plan: Plan, machine: Machine, clock: datetime, *, numbers_rows: bool = False) -> Metered:
    """Open a plan in an engine that only this plan uses; nothing is computed yet.

    Raises: LedgerError for a file that has changed; SourceError, SchemaError, ConfigError.
    """
    check_readable([*plan.files, *plan.others])
    start, end = plan.period.start.astimezone(UTC), plan.period.end.astimezone(UTC)
    windows = Periods(make_windows(start, end, None, timezone=plan.period.timezone))
    question = replace(plan.question, periods=windows, as_of=plan.as_of, clock=clock)
    history = plan.history(numbers_rows=numbers_rows)
    opened = open_input(machine, history.paths, plan.source, question, history=history)
    with closed_on_failure(opened.engine):
        opened = with_notices(opened, plan.config.config)
        compiler = compiler_of(plan.config.config, opened)
        opened = opened.noting(grouping_notices(opened, compiler))
        readings = LocalReadings(opened, compiler)
        return Metered(plan, compiler, readings, result_of(opened, readings, "reading"), clock)


def commit(
    engine: StoreEngine,
    metered: Metered,
    kind: str,
    *,
    as_of: datetime | None,
    started_at: datetime,
) -> int:
    """Keep all rows of a run, inside a transaction; the run's number.

    Where an earlier run of the same inputs has the same readings, the run refers to the rows of that run.
    """
    plan, result = metered.plan, metered.result
    accounting = result.accounting
    levels = levels_at_end(metered.readings) if plan.needs_levels else LEVELS_SCHEMA.empty_table()
    sha256 = sha256_of(result)
    same = engine.rows(
        "SELECT readings_of FROM runs WHERE period_start = $start AND period_end = $end AND readings_sha256 = $sha "
        "AND inputs_sha256 = $inputs ORDER BY run_id LIMIT 1",
        {**plan.period.parameters, "sha": sha256, "inputs": plan.inputs_sha256},
    )
    check_readable([*plan.files, *plan.others])
    reader = result.to_reader()
    row = _row(engine, plan, kind, "done", metered.clock, started_at)
    run_id: int = row["run_id"]
    readings_of = int(same[0][0]) if same else run_id
    row |= {
        "as_of": as_of,
        "levels_sha256": levels_sha256(levels) if plan.needs_levels else None,
        "readings_sha256": sha256,
        "readings_of": readings_of,
        "readings": result.count(),
        "quantity_type": sql_type(reader.schema.field("quantity").type),
        **{name: accounting[name] for name in BOOKS},
    }
    insert_row(engine, "runs", row)
    _insert_files(engine, run_id, plan)
    if readings_of == run_id:
        insert(
            engine,
            "readings",
            reader,
            {"run_id": str(run_id), "quantity": "plain_text(quantity)"},
            without=["quantity"],
        )
        insert(engine, "levels", levels, {"run_id": str(run_id)})
        insert(engine, "rejects", result.rejects.cast(REJECT_SCHEMA), {"run_id": str(run_id)})
        insert(engine, "conflicts", result.conflicts.cast(CONFLICT_SCHEMA), {"run_id": str(run_id)})
    return run_id


def _insert_files(engine: StoreEngine, run_id: int, plan: Plan) -> None:
    """Keep which files a run read, and whether their events count."""
    files = [*((file, True) for file in plan.files), *((file, False) for file in plan.others)]
    manifest = pa.table(
        {
            "file_id": pa.array([file.file_id for file, _ in files], pa.int32()),
            "counts": [counts for _, counts in files],
            "versioned_path": pa.array([file.path if file.is_day else None for file, _ in files], pa.string()),
        }
    )
    insert(engine, "run_files", manifest, {"run_id": str(run_id)})


def commit_levels(
    engine: StoreEngine,
    plan: Plan,
    levels: pa.Table,
    clock: datetime,
    as_of: datetime | None,
    started_at: datetime,
    history_sha256: str,
) -> CarriedLevels:
    """Keep the levels at the end of a plan's period as a run without readings, inside a transaction."""
    row = _row(engine, plan, "levels", "done", clock, started_at)
    run_id, sha256 = row["run_id"], levels_sha256(levels)
    row |= {"as_of": as_of, "levels_sha256": sha256, "readings_of": run_id, "readings": 0, "readings_sha256": ""}
    row |= {"quantity_type": "VARCHAR", **dict.fromkeys(BOOKS, 0)}
    insert_row(engine, "runs", row)
    _insert_files(engine, run_id, plan)
    add_history(engine, run_id, history_sha256)
    insert(engine, "levels", levels, {"run_id": str(run_id)})
    return CarriedLevels(run_id, sha256, levels)


def _row(
    engine: StoreEngine, plan: Plan, kind: str, status: str, clock: datetime, started_at: datetime
) -> dict[str, Any]:
    """The values that every run has, with the next number."""
    return {
        "run_id": int(engine.rows("SELECT coalesce(max(run_id), 0) + 1 FROM runs")[0][0]),
        "kind": kind,
        "status": status,
        "period_start": plan.period.start,
        "period_end": plan.period.end,
        "config_sha256": plan.config.sha256,
        "options": question_text(plan.question),
        "reach": plan.reach,
        "inputs_sha256": plan.inputs_sha256,
        "sources_sha256": plan.sources_sha256,
        "levels_before_sha256": plan.levels.sha256 if plan.levels else None,
        "levels_before_run_id": plan.levels.run_id if plan.levels else None,
        "clock": clock,
        "started_at": started_at,
        "finished_at": datetime.now(UTC),
        "ids_version": IDS_VERSION,
        "versions": configs.json_text({"metering-duck": __version__, "duckdb": duckdb.__version__}),
    }


def commit_failure(
    engine: StoreEngine, plan: Plan, kind: str, message: str, clock: datetime, started_at: datetime
) -> None:
    """Keep a run that failed, and why it did."""
    row = _row(engine, plan, kind, "failed", clock, started_at) | {"message": message}
    insert_row(engine, "runs", row)


def insert_row(engine: StoreEngine, table: str, row: Mapping[str, object]) -> None:
    """Insert one row, given by the names of its columns."""
    values = ", ".join(f"${name}" for name in row)
    engine.rows(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})", dict(row))


def add_history(engine: StoreEngine, run_id: int, history_sha256: str) -> None:
    """Note that a run is known to hold under the files of a digest, if that is not noted yet."""
    engine.rows(
        "INSERT INTO run_histories SELECT $run, $sha WHERE NOT EXISTS "
        "(FROM run_histories WHERE run_id = $run AND history_sha256 = $sha)",
        {"run": run_id, "sha": history_sha256},
    )


def has_history(engine: StoreEngine, run_id: int, history_sha256: str) -> bool:
    """Whether a run is known to hold under the files of a digest."""
    found = "SELECT count(*) FROM run_histories WHERE run_id = $run AND history_sha256 = $sha"
    return bool(engine.rows(found, {"run": run_id, "sha": history_sha256})[0][0])


def differ(engine: StoreEngine, old: RunRow, new: RunRow) -> bool:
    """Whether any quantity of two runs differs."""
    of_old, of_new = (
        f"(SELECT {match_sql(run)} AS match_id, quantity FROM readings WHERE run_id = {run.readings_of})"
        for run in (old, new)
    )
    rows = engine.rows(
        f"SELECT count(*) FROM {of_old} AS old FULL JOIN {of_new} AS new USING (match_id) "
        "WHERE old.quantity IS DISTINCT FROM new.quantity"
    )
    return bool(rows[0][0])


def dimensions_sql(run: RunRow) -> str:
    """SQL for the dimensions of a run's readings as they are by the definition of now: absent ones are there (R21)."""
    names = sorted(set(run.question.group_by))
    if not names:
        return NO_PROPERTIES
    return f"MAP({literal_list(names)}, [{', '.join(f'dimensions[{literal(name)}]' for name in names)}])"


def match_sql(run: RunRow, universe: str = "universe_id") -> str:
    """SQL for what tells readings of two runs of a period apart: their keys, by whatever definition their ids are."""
    parts = ["workspace_id", universe, "subject", "unit", "aggregation"]
    parts += [f"CAST(epoch_us({name}) AS VARCHAR)" for name in ("window_start", "window_end")]
    entries = f"list_transform(map_entries({dimensions_sql(run)}), lambda e: encoded(e.key) || encoded(e.value))"
    listed = f"list_aggregate({entries} || [''], 'string_agg', '')"
    return f"digest({' || '.join(f'encoded({part})' for part in parts)} || {listed})"


def has_old_ids(engine: StoreEngine, run: RunRow) -> bool:
    """Whether a run's readings have ids that they would not have now."""
    if run.ids_version == IDS_VERSION:
        return False
    return has_new_ids(configs.stored(engine, run.config_sha256).config, run.question)


def sql_type(kind: pa.DataType) -> str:
    """The Arrow type of a quantity as a type of SQL."""
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    return "VARCHAR"


@dataclass(frozen=True)
class RunRow:
    """A run as the ledger has it."""

    run_id: int
    kind: str
    period: Period
    config_sha256: str
    question: Question
    as_of: datetime | None
    clock: datetime
    reach: str
    inputs_sha256: str
    sources_sha256: str
    levels_before_run_id: int | None
    levels_before_sha256: str | None
    levels_sha256: str | None
    readings_sha256: str
    readings_of: int
    readings: int
    quantity_type: str
    books: Mapping[str, int]
    ids_version: int | None = None
    notices: tuple[str, ...] = ()


RUN_COLUMNS = (
    *("run_id", "kind", "period_start", "period_end", "config_sha256", "options", "as_of", "clock", "reach"),
    *("inputs_sha256", "sources_sha256", "levels_before_run_id", "levels_before_sha256", "levels_sha256"),
    *("readings_sha256", "readings_of", "readings", "quantity_type", "ids_version"),
    *BOOKS,
)
NAMED = (
    "coalesce((SELECT min((name, timezone)) FROM periods AS known WHERE known.period_start = runs.period_start "
    "AND known.period_end = runs.period_end), ('', 'UTC'))"
)


def find_runs(engine: StoreEngine, where: str, parameters: Mapping[str, object] | None = None) -> list[RunRow]:
    """The runs that are done and of which a condition holds, the last run first."""
    rows = engine.rows(
        f"SELECT {NAMED}, {', '.join(RUN_COLUMNS)} FROM runs WHERE status = 'done' AND ({where}) ORDER BY run_id DESC",
        dict(parameters or {}),
    )
    return [_run_row(row[0], dict(zip(RUN_COLUMNS, row[1:], strict=True))) for row in rows]


def _run_row(named: Any, row: dict[str, Any]) -> RunRow:
    start, end = utc(row.pop("period_start")), utc(row.pop("period_end"))
    name, zone = named.values() if isinstance(named, dict) else named
    period = stored_period("runs", start, end, name or name_of(start, end), zone)
    books = {name: row.pop(name) for name in BOOKS}
    row["question"] = stored_question(row.pop("options"))
    row["clock"] = utc(row["clock"])
    row["as_of"] = utc(row["as_of"]) if row["as_of"] else None
    return RunRow(period=period, books=books, **row)
