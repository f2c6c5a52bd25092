"""Tracing: the events behind a reading, with file, row and id, what each counted for, and totals that add up to it."""

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
from metering_duck.ledger.runs import RunRow, find_runs, match_sql, open_plan
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
# State of a counter (COUNTED) or of a gauge (HELD) → SQL over `traced` for that state of the shown rows; `exact` is a
# quantity as a DECIMAL. An aggregation of other states has no total.
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
    """A reading and the events that it is made of.

    Shape:  `events` has a row for every event that counts, and for the level that was carried in; `totals` says
            what the rows add up to, and by `adds_up` whether that is the reading. `config` and `sql` made the reading.
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
        """The trace as a plain dict, with the first `limit` events."""
        text = io.BytesIO()
        shown = self.events if limit is None else self.first(limit)
        shown.write_to(text, "json")
        events = json.loads(text.getvalue())
        parts = {"reading": self.reading, "run_id": self.run_id, "events": events, "totals": self.totals}
        return parts | {"config": self.config, "sql": self.sql}


def find_reading(engine: StoreEngine, text: str, run: int | None) -> tuple[dict[str, Any], RunRow]:
    """A reading by its id or the beginning of its id, from the runs that count, or from the run that is given.

    Raises: LedgerError where no reading has that id, or more than one.
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
    """The trace of a reading; its run is metered again.

    Raises: LedgerError where the files have gone or changed.
    """
    with meterer.store.reader() as opened:
        reading, row = find_reading(opened, text, run)
        ((match_of,),) = opened.rows(
            f"SELECT {match_sql(row)} FROM readings WHERE run_id = {row.readings_of} AND id = $id",
            {"id": reading["id"]},
        )
    plan, _ = meterer.plan_as_was(row, row.clock)
    metered = open_plan(plan, meterer.machine, row.clock, numbers_rows=True)
    engine = metered.engine
    try:
        sql = metered.result.sql
        subject = {"universe_id": [reading["universe_id"]], "subject": [reading["subject"]]}
        _ = metered.accounting
        same = f"{match_sql(row)} = {literal(match_of)}"
        found = engine.rows(f"SELECT plain_text(quantity) FROM readings WHERE {same}")
        again = found[0][0] if found else None
        engine.keep("found_usage", metered.usage(pa.table(subject)))
        engine.keep("found_levels", plan.levels.table if plan.levels else LEVELS_SCHEMA.empty_table())
        totals = _fill(engine, reading, plan)
    except BaseException:
        metered.close()
        raise
    totals |= {"reading": reading["quantity"], "metered_again": again}
    exact = reading["numerator"] or reading["quantity"]
    is_same = again == reading["quantity"]
    is_total = totals.get("total", exact) == exact
    totals["adds_up"] = is_same and is_total and totals.get("is_numerator", True)
    shown = {name: _plain(value) for name, value in reading.items()}
    rows = metered.result.handed_over(traced_query(reading), "trace")
    return Trace(shown, row.run_id, totals, json.loads(plan.config.text), sql, rows)


def _plain(value: Any) -> Any:
    """A value of a reading as JSON has it: moments as text."""
    return format_time(value) if hasattr(value, "astimezone") else value


def is_gauge(reading: dict[str, Any]) -> bool:
    """Whether a reading is made of levels that hold, each for a time."""
    found = aggregations.parse(reading["aggregation"], "reading")
    return found.is_gauge and not found.outer


def _whole_aggregation(plan: Plan, reading: dict[str, Any]) -> Aggregation:
    """The whole aggregation of a reading, from the config.

    Its name in the reading does not say whether levels are made of deltas, or spans are split.
    """
    for _, measurement in plan.config.config.measurements:
        if measurement.unit == reading["unit"]:
            found = measurement.aggregated(plan.question.aggregation)
            if found is not None and found.name == reading["aggregation"]:
                return found
    return aggregations.parse(reading["aggregation"], "reading")


def _fill(engine: Engine, reading: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """Fill the table `traced`; the totals of its rows."""
    function, groups = _whole_aggregation(plan, reading), set(plan.question.group_by)
    dimensions = configs.json_text({name: (reading["dimensions"] or {}).get(name) for name in sorted(groups)})
    scale = "coalesce(max(length(split_part(quantity, '.', 2))), 0)"
    ((digits,),) = engine.rows(
        f"SELECT {scale} FROM (SELECT quantity FROM found_usage UNION ALL SELECT level FROM found_levels)"
    )
    parameters: dict[str, object] = {
        **{name: reading[name] for name in ("workspace_id", "universe_id", "subject", "unit", "aggregation")},
        "dimensions": dimensions,
        "is_gauge": is_gauge(reading),
        "deltas": function.deltas,
        "first": plan.period.start.replace(tzinfo=None),
        "last": plan.period.end.replace(tzinfo=None),
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
    """What the rows of `traced` add up to: a numerator for levels that are weighed, else one value, if one tells it."""
    counts = engine.rows("SELECT count(*), count(*) FILTER (carried_in) FROM traced")[0]
    totals: dict[str, Any] = {"rows": counts[0], "carried_in": counts[1]}
    if is_gauge(reading) and function.definition.weighs:
        # A product of more than 38 digits is not shown; metering the reading again has checked it all the same.
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
    states = _states_of(function)
    if states:
        total = _total(engine, function, states)
        # For an average, the sum is shown that is divided by the number of rows.
        totals["total" if function.definition.divided_by is None else "sum"] = total
    return totals


def _states_of(function: Aggregation) -> dict[str, str]:
    """State → its SQL over the shown rows, for each state of an aggregation; none where one value does not tell it."""
    definition = function.definition
    known = HELD if definition.kind == "gauge" else COUNTED
    if function.outer or function.prorated or not set(definition.keeps) <= set(known):
        return {}
    return {name: known[name] for name in definition.keeps}


def _total(engine: Engine, function: Aggregation, states: dict[str, str]) -> str | None:
    """The value of the shown rows before it is divided.

    The states are computed first, each a column: the value of an aggregation is SQL over columns, which may stand where
    an aggregate may not, as inside TRY.
    """
    value = function.definition.value_sql({name: f"states.{name}" for name in states})
    ((total,),) = engine.rows(f"SELECT plain_text({value}) FROM ({select(states, 'traced')}) AS states")
    return None if total is None else str(total)


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
