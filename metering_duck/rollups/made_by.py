"""Made by: the settings that readings were made with, told by their ids (R21).

A reading does not say which event types it is of, nor which aggregation was chosen for all; its id is a digest of that,
too. So a roll-up gives no reading the id of one that is of other events: what explains no id is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import get_args

from metering_duck.contract.measurements import RoundingMode
from metering_duck.decimals.columns import DIGITS_MAX
from metering_duck.engine.duckdb import Engine
from metering_duck.errors import ConfigError
from metering_duck.readings.identity import Settings
from metering_duck.runs.question import Question
from metering_duck.statements.quote import literal
from metering_duck.statements.select import case

ROUNDINGS = get_args(RoundingMode)
_KEY = ("workspace_id", "universe_id", "subject", "unit", "aggregation")
_ENTRIES = "map_entries(CAST(CAST(dimensions AS JSON) AS MAP(VARCHAR, VARCHAR)))"
_LISTED = f"array_to_string(list_transform({_ENTRIES}, lambda e: encoded(e.key) || encoded(e.value)), '')"
KEY_SQL = " || ".join(
    [
        *(f"encoded({name})" for name in _KEY),
        *(f"encoded(CAST(epoch_us({name}) AS VARCHAR))" for name in ("finer_start", "finer_end")),
        case({"dimensions IS NULL": "''"}, f"coalesce({_LISTED}, '')"),
    ]
)
# Ids of another form are not ours, and say nothing.
IS_OURS = "regexp_full_match(given_id, '[0-9a-f]{32}')"
HINT = (
    "--event-type and --workspace as they were made with; where they were changed since, leave their column id out, "
    "or aggregate the events again"
)


def settings_of(engine: Engine, question: Question) -> Settings:
    """The settings for the ids of a roll-up: its own, the event types and workspaces that it is told, and the
    aggregation that was chosen for its readings, which their ids tell.

    Raises: ConfigError for an id that no such settings explain.
    """
    told = Settings(types=question.types, workspaces=question.workspaces)
    chosen: dict[str, str | None] = {told.text: None}
    while found := _unexplained(engine, chosen):
        key, id, aggregation, name = found
        for one in _candidates(aggregation, told):
            if hashlib.sha256((key + one.text).encode()).hexdigest()[:32] == id:
                chosen[one.text] = one.aggregation
                break
        else:
            raise ConfigError(
                f"readings: found the {name} with the id {id}, which it has by other settings than are known here; "
                f"expected readings of all event types and workspaces, or of those that are named. hint: {HINT}"
            )
    made = {chosen[text] for text in chosen if _explains(engine, text)} or {None}
    if len(made) > 1:
        names = " and ".join(sorted(name or "the config's aggregations" for name in made))
        raise ConfigError(f"readings: found some made with {names}; expected one of them. hint: roll them up apart")
    return replace(told, aggregation=made.pop(), scale=question.scale, digits=question.digits)


def _unexplained(engine: Engine, known: Iterable[str]) -> tuple[str, str, str, str] | None:
    """The key, the id, the aggregation and the name of the first reading whose id no settings explain."""
    ids = ", ".join(f"digest({KEY_SQL} || {literal(text)})" for text in known)
    name = "aggregation || ' of ' || unit || ' for ' || subject"
    order = "subject, finer_start, unit, aggregation, given_id"
    rows = engine.rows(
        f"SELECT {KEY_SQL}, given_id, aggregation, {name} FROM finer "
        f"WHERE {IS_OURS} AND NOT filled AND given_id NOT IN ({ids}) ORDER BY {order} LIMIT 1"
    )
    return rows[0] if rows else None


def _explains(engine: Engine, text: str) -> bool:
    """Whether a reading has the id that settings give it."""
    found = f"SELECT 1 FROM finer WHERE {IS_OURS} AND given_id = digest({KEY_SQL} || {literal(text)}) LIMIT 1"
    return bool(engine.rows(found))


def _candidates(aggregation: str, told: Settings) -> Iterator[Settings]:
    """The settings that a reading may have been made with."""
    names: list[str | None] = [None, *(name for name in (aggregation, f"{aggregation}-of-deltas") if _is_chosen(name))]
    for name in names:
        for carries in (False, True):
            plain = replace(told, aggregation=name, carries=carries)
            for mode in ROUNDINGS:
                yield replace(plain, rounding=mode)
                yield from (replace(plain, rounding=mode, scale=n) for n in range(-DIGITS_MAX, DIGITS_MAX + 1))
            yield from (replace(plain, digits=n) for n in range(DIGITS_MAX + 1))


def _is_chosen(name: str) -> bool:
    """Whether an aggregation is part of an id where it is chosen."""
    try:
        return bool(Settings(aggregation=name).text)
    except ConfigError:
        return False
