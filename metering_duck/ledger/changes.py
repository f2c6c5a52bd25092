"""Changes: the readings of two runs side by side, and what caused each difference (R25).

Numbers come from the ledger. Causes come from the events: both runs are metered once more, for the subjects that
differ, and what each event counted for is compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from metering_duck.contract.schemas import CONFLICT_SCHEMA, REJECT_SCHEMA
from metering_duck.engine.duckdb import Engine
from metering_duck.ledger.plans import Plan
from metering_duck.ledger.runs import RunRow, dimensions_sql, match_sql, open_plan
from metering_duck.ledger.store import StoreEngine
from metering_duck.readings.series import READING_ORDER
from metering_duck.runs.machine import Machine
from metering_duck.statements.quote import literal
from metering_duck.statements.select import case, names, select, struct
from metering_duck.statements.stages import Query, Stage, load_stage

KEY = ("workspace_id", "universe_id", "subject", "unit", "aggregation", "window_start", "window_end", "dimensions")
CHANGE = ("reading_id", *KEY, "old", "new", "delta")


@dataclass(frozen=True)
class Side:
    """One of the two runs: its readings, rejects and conflicts.

    `first_names` maps the names of simulated universes to their first names.
    """

    run: RunRow
    readings: pa.Table
    rejects: pa.Table
    conflicts: pa.Table
    first_names: dict[str, str] = field(default_factory=dict)


def side_of(engine: StoreEngine, run: RunRow) -> Side:
    """The rows of a run, read from the ledger."""
    simulated = {new: old for old, new in run.question.renamed}
    universe = case([(literal(new), literal(old)) for new, old in simulated.items()], "universe_id", of="universe_id")
    columns = {"reading_id": "id", **names(KEY), "quantity": "quantity"}
    columns["universe_id"] = universe if simulated else "universe_id"
    columns["match_id"] = match_sql(run, columns["universe_id"])
    columns["dimensions"] = dimensions_sql(run)
    tables = {}
    for table, chosen in (
        ("readings", columns),
        ("rejects", names(REJECT_SCHEMA.names)),
        ("conflicts", names(CONFLICT_SCHEMA.names)),
    ):
        sql = select(chosen, table, where=[f"run_id = {run.readings_of}"])
        tables[table] = engine.table(Query(table, (Stage(table, table, sql),)))
    return Side(run, first_names=simulated, **tables)


def fill_changes(engine: Engine, old: Side, new: Side) -> int:
    """Fill the table `changes` with every reading whose quantity differs; the largest number of fraction digits."""
    engine.keep("old_readings", old.readings)
    engine.keep("new_readings", new.readings)
    both = "(SELECT quantity FROM old_readings UNION ALL SELECT quantity FROM new_readings)"
    ((digits,),) = engine.rows(f"SELECT coalesce(max(length(split_part(quantity, '.', 2))), 0) FROM {both}")
    engine.fill(Query("changes", (load_stage("ledger/changes"),), {"digits": int(digits)}))
    return int(digits)


def usage_of(plan: Plan, asked: pa.Table, machine: Machine, run: RunRow) -> pa.Table:
    """The usage of the subjects `asked` for: what every event counted for, and the levels that were carried in."""
    metered = open_plan(plan, machine, run.clock)
    with metered.engine as engine:
        _ = metered.accounting
        found = metered.usage(asked)
        usage = found.append_column("is_carried", pa.repeat(pa.scalar(False), len(found)))
        if plan.levels is None or not len(plan.levels.table):
            return usage
        engine.keep("carried", plan.levels.table)
        columns = names(("workspace_id", "universe_id", "subject", "dimensions", "unit", "aggregation", "event_id"))
        columns |= names(("recorded_at", "metered_at")) | {"quantity": "level", "is_carried": "TRUE"}
        where = ["(universe_id, subject) IN (SELECT (universe_id, subject) FROM asked)"]
        carried = engine.table(
            Query("carried", (Stage("carried", "carried in", select(columns, "carried", where=where)),))
        )
        return pa.concat_tables([usage, carried], promote_options="default")


def fill_causes(
    engine: Engine, old: Side, new: Side, old_usage: pa.Table, new_usage: pa.Table, old_files: list[str]
) -> None:
    """Fill the table `causes`: the events behind every change."""
    _keep(engine, "old_usage", old_usage, old)
    _keep(engine, "new_usage", new_usage, new)
    _keep(engine, "old_rejects", old.rejects, old)
    _keep(engine, "new_rejects", new.rejects, new)
    _keep(engine, "new_conflicts", new.conflicts, new)
    engine.keep("old_files", pa.table({"file": pa.array(old_files, pa.string())}))
    same = old.run.config_sha256 == new.run.config_sha256
    engine.fill(Query("causes", (load_stage("ledger/causes"),), {"same_config": same}))


def _keep(engine: Engine, name: str, table: pa.Table, side: Side) -> None:
    """Fill a table of the engine in which simulated universes have their first names."""
    engine.keep(name, table)
    if side.first_names and "universe_id" in table.schema.names:
        pairs = [(literal(new), literal(old)) for new, old in side.first_names.items()]
        renamed = f"* REPLACE ({case(pairs, 'universe_id', of='universe_id')} AS universe_id)"
        engine.fill(Query(name, (Stage("renamed", "by their first names", select({}, name, star=renamed)),)))


def diff_query() -> Query:
    """The query for every change with its causes as a list and in words, from the tables `changes` and `causes`."""
    shown = {"cause": "cause", "event_id": "event_id", "recorded_at": "time_text(recorded_at AT TIME ZONE 'UTC')"}
    shown |= {"old": "old_quantity", "new": "new_quantity", "measurement": "measurement", "file": "file"}
    grouped = {
        "reading_id": "reading_id",
        "causes": f"list({struct(shown)} ORDER BY cause, recorded_at, event_id, measurement)",
    }
    columns = {**names((*CHANGE, "events", "why")), "causes": "causes"}
    joined = select(
        columns, "explained\nLEFT JOIN grouped USING (reading_id)", order_by=[*READING_ORDER.values(), "window_start"]
    )
    return Query(
        "diff",
        (
            *explained_stages(),
            Stage("grouped", "the events behind each", select(grouped, "causes", group_by=["reading_id"])),
            Stage("diff", "old + delta = new, and why", joined),
        ),
    )


def explained_stages() -> list[Stage]:
    """The stages up to `explained`: every change, how many events are behind it, and its causes in words."""
    counted = {"reading_id": "reading_id", "cause": "cause", "cause_events": "count(event_id)"}
    shown = "cause || CASE WHEN cause_events > 0 THEN ' ' || cause_events ELSE '' END"
    grouped = {
        "reading_id": "reading_id",
        "events": "CAST(sum(cause_events) AS BIGINT)",
        "why": f"string_agg({shown}, ', ' ORDER BY cause)",
    }
    columns = {**names(CHANGE), "events": "coalesce(events, 0)", "why": "coalesce(why, '')"}
    by_cause = select(counted, "causes", group_by=["reading_id", "cause"])
    return [
        Stage("by_cause", "how often each cause", by_cause),
        Stage("in_words", "as one text", select(grouped, "by_cause", group_by=["reading_id"])),
        Stage("explained", "old + delta = new", select(columns, "changes\nLEFT JOIN in_words USING (reading_id)")),
    ]
