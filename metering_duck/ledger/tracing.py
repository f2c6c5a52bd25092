"""Tracing: from a reading back to its events: file, row and id, what each counted for, and totals that add up to it."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from metering_duck.contract import aggregations
from metering_duck.contract.aggregations import Aggregation
from metering_duck.contract.times import format_time
from metering_duck.decimals.columns import last_digit_sql
from metering_duck.engine.duckdb import Engine
from metering_duck.engine.failures import Overflow
from metering_duck.errors import ConfigError, LedgerError
from metering_duck.ledger import configs
from metering_duck.ledger.meterer import Meterer
from metering_duck.ledger.plans import Plan
from metering_duck.ledger.runs import RunRow, find_runs, open_plan
from metering_duck.ledger.store import StoreEngine
from metering_duck.runs.history import LEVELS_SCHEMA
from metering_duck.runs.rows import Rows
from metering_duck.statements.quote import literal
from metering_duck.statements.select import names, select
from metering_duck.statements.stages import Query, Stage, load_stage

READING = (
    *("id", "workspace_id", "universe_id", "subject", "unit", "aggregation", "window_start", "window_end"),
    *("dimensions", "quantity", "record_count", "numerator", "divisor_us", "carried"),
)
# State of a counter, and of a gauge → what the shown rows come to, in SQL over `traced`; `exact` is a quantity as a
# DECIMAL. What is made of other states has no total.
COUNTED = {
    "sum": "sum(exact)",
    "greatest": "max(exact)",
    "least": "min(exact)",
    "count": "CAST(count(*) AS DECIMAL(38, 0))",
    "last": "arg_max(exact, place)",
    "first": "arg_min(exact, place)",
}
HELD = {
    "greatest": "max(exact) FILTER (held_us > 0)",
    "least": "min(exact) FILTER (held_us > 0)",
    "last": "arg_max(exact, place)",
}


@dataclass(frozen=True)
class Trace:
    """A reading and what it is made of.

    Shape:  `events` has a row for every event that counts, and for the level that was carried in; `totals` says what
            they come to, and whether that is the reading: `adds_up`. `config` and `sql` are those that made it.
    """

    reading: dict[str, Any]
    run_id: int
    totals: dict[str, Any]
    config: dict[str, Any]
    sql: str
    events: Rows

    def first(self, limit: int) -> Rows:
        """The first events only."""
        return self.events.first(limit)

    def to_dict(self, limit: int | None = None) -> dict[str, Any]:
        """As a plain dict, with the first `limit` events."""
        text = io.BytesIO()
        (self.events if limit is None else self.events.first(limit)).write_to(text, "json")
        events = json.loads(text.getvalue())
        parts = {"reading": self.reading, "run_id": self.run_id, "events": events, "totals": self.totals}
        return parts | {"config": self.config, "sql": self.sql}


def find_reading(engine: StoreEngine, text: str, run: int | None) -> tuple[dict[str, Any], RunRow]:
    """A reading by its id, or the beginning of it: of the run that counts, or of the run that is named.

    Raises: LedgerError where there is none, or more than one.
    """
    if len(text) < 4 or not set(text.lower()) <= set("0123456789abcdef"):
        raise ConfigError(f"reading: found {text!r}; expected at least 4 digits of a reading's id.")
    wanted = f"run_id = {run}" if run is not None else "run_id IN (SELECT run_id FROM periods)"
    shown = select(names(READING), "readings", where=["run_id = $holder", "starts_with(id, $id)"])
    found = []
    for row in find_runs(engine, f"{wanted} AND readings > 0"):
        for values in engine.rows(shown, {"holder": row.readings_of, "id": text.lower()}):
            found.append((dict(zip(READING, values, strict=True)), row))
    if not found:
        where = f"run {run}" if run is not None else "the readings that count now"
        raise LedgerError(f"reading {text}: is not among {where}; expected an id out of ledger export readings.")
    if len(found) > 1:
        raise LedgerError(f"reading {text}: found {len(found)} that begin so; expected one. hint: more of its digits")
    return found[0]


def trace(meterer: Meterer, text: str, run: int | None = None) -> Trace:
    """Where a reading is from: its totals say whether the events come to it.

    Raises: LedgerError where the files are not what they were.
    """
    with meterer.store.reading() as opened:
        reading, row = find_reading(opened, text, run)
    plan, _ = meterer.plan_as_was(row, row.clock)
    metered = open_plan(plan, meterer.machine, row.clock, numbers_rows=True)
    engine = metered.engine
    try:
        sql = metered.result.sql
        subject = {"universe_id": [reading["universe_id"]], "subject": [reading["subject"]]}
        _ = metered.accounting
        found = engine.rows(f"SELECT plain_text(quantity) FROM readings WHERE id = {literal(reading['id'])}")
        again = found[0][0] if found else None
        engine.keep("found_usage", metered.usage(pa.table(subject)))
        engine.keep("found_levels", plan.levels.table if plan.levels else LEVELS_SCHEMA.empty_table())
        totals = _fill(engine, reading, _whole_aggregation(plan, reading), plan.period.start, plan.period.end)
    except BaseException:
        metered.close()
        raise
    totals |= {"reading": reading["quantity"], "metered_again": again}
    exact = reading["numerator"] or reading["quantity"]
    totals["adds_up"] = (
        again == reading["quantity"] and totals.get("total", exact) == exact and totals.get("is_numerator", True)
    )
    shown = {name: _plain(value) for name, value in reading.items()}
    rows = metered.result.handed_over(traced_query(reading), "trace")
    return Trace(shown, row.run_id, totals, json.loads(plan.config.text), sql, rows)


def _plain(value: Any) -> Any:
    return format_time(value) if hasattr(value, "astimezone") else value


def is_gauge(reading: dict[str, Any]) -> bool:
    """Whether a reading is made of levels that hold, each for a time."""
    found = aggregations.parse(reading["aggregation"], "reading")
    return found.is_gauge and not found.outer


def _whole_aggregation(plan: Plan, reading: dict[str, Any]) -> Aggregation:
    """All of it, out of the config: the name in a reading does not say whether its levels are of deltas, or its spans
    split."""
    made = [
        m.aggregated(plan.question.aggregation) for _, m in plan.config.config.measurements if m.unit == reading["unit"]
    ]
    named = aggregations.parse(reading["aggregation"], "reading")
    return next((one for one in made if one is not None and one.name == reading["aggregation"]), named)


def _fill(engine: Engine, reading: dict[str, Any], function: Aggregation, start: Any, end: Any) -> dict[str, Any]:
    """The table `traced`, and what it comes to."""
    dimensions = configs.json_text(dict(sorted((reading["dimensions"] or {}).items())))
    scale = "coalesce(max(length(split_part(quantity, '.', 2))), 0)"
    ((digits,),) = engine.rows(
        f"SELECT {scale} FROM (SELECT quantity FROM found_usage UNION ALL SELECT level FROM found_levels)"
    )
    parameters: dict[str, object] = {
        **{name: reading[name] for name in ("workspace_id", "universe_id", "subject", "unit", "aggregation")},
        "dimensions": dimensions,
        "is_gauge": is_gauge(reading),
        "deltas": function.deltas,
        "first": start.replace(tzinfo=None),
        "last": end.replace(tzinfo=None),
    }
    engine.fill(Query("traced", (_sent_stage(digits), load_stage("ledger/traced")), parameters))
    return _totals(engine, reading, function)


def _sent_stage(digits: int) -> Stage:
    """`sent`: the quantities of events, and the levels from before the window, as one DECIMAL of so many digits."""
    last_digit = last_digit_sql(digits) if digits else "CAST(1 AS DECIMAL(1, 0))"

    def exact(text: str, *, carried_in: bool) -> dict[str, str]:
        return {
            "sent": f"CAST({text} AS DECIMAL(38, {digits}))",
            "last_digit": last_digit,
            "carried_in": "TRUE" if carried_in else "FALSE",
        }

    usage = select(exact("quantity", carried_in=False), "found_usage", star="*")
    before = {"quantity": "level"} | exact("level", carried_in=True)
    levels = select(before, "found_levels", star="* EXCLUDE (level)")
    why = "the quantities of events and the levels from before the window, as one DECIMAL that holds all their digits"
    return Stage("sent", why, f"{usage}\nUNION ALL BY NAME\n{levels}")


def _totals(engine: Engine, reading: dict[str, Any], function: Aggregation) -> dict[str, Any]:
    counts = engine.rows("SELECT count(*), count(*) FILTER (carried_in) FROM traced")[0]
    totals: dict[str, Any] = {"rows": counts[0], "carried_in": counts[1]}
    if is_gauge(reading) and function.definition.weighs:
        # A product of more than 38 digits is not shown; the reading has been metered again all the same.
        try:
            ((whole, numerator),) = engine.rows(
                "SELECT bool_and(level_us IS NOT NULL), plain_text(sum(level_us)) FROM traced"
            )
        except Overflow:
            whole = False
        if not whole:
            return totals | {"divisor_us": reading["divisor_us"]}
        exact = numerator == reading["numerator"]
        return totals | {"numerator": numerator, "divisor_us": reading["divisor_us"], "is_numerator": exact}
    sql = _total_sql(function)
    if sql:
        ((total,),) = engine.rows(f"SELECT plain_text({sql}) FROM traced")
        # An average is not shown as it is rounded, but as what is divided by the number of rows.
        totals["total" if function.definition.divided_by is None else "sum"] = total
    return totals


def _total_sql(function: Aggregation) -> str | None:
    """What the shown rows come to, before it is divided, where one value tells it."""
    definition = function.definition
    states = HELD if definition.kind == "gauge" else COUNTED
    is_told = not function.outer and not function.prorated and set(definition.keeps) <= set(states)
    return definition.value_sql(states) if is_told else None


def traced_query(reading: dict[str, Any]) -> Query:
    """The rows of a trace in their order."""
    hidden = (
        "* EXCLUDE (exact, place)"
        if is_gauge(reading)
        else "* EXCLUDE (exact, place, held_from, held_until, held_us, level_us)"
    )
    return Query(
        "trace", (Stage("trace", "the rows in their order", select({}, "traced", star=hidden, order_by=["place"])),)
    )
