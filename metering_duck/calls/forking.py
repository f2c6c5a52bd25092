"""Forking: the events of one universe, as of a moment, under the name of another universe, to test on real events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from metering_duck.calls.arguments import moment_of, names_of, source_of
from metering_duck.contract.json_shapes import JSON_SQL
from metering_duck.errors import ConfigError
from metering_duck.inputs.fields import HAS_TIME
from metering_duck.inputs.source import Source
from metering_duck.judging.arrivals import arrivals_stages
from metering_duck.runs.history import History
from metering_duck.runs.machine import GivenTime, Machine
from metering_duck.runs.opening import open_input
from metering_duck.runs.question import Question
from metering_duck.runs.rows import Rows
from metering_duck.statements.quote import literal
from metering_duck.statements.select import names, select
from metering_duck.statements.stages import Query, Stage


def fork_universe(
    events: Any,
    source: str,
    target: str,
    *,
    as_of: GivenTime = None,
    map: Mapping[str, Any] | None = None,
    assume_timezone: str | None = None,
    generate_ids: bool = False,
    folder_keys: bool | None = None,
    binary_as_text: bool = False,
    clock: GivenTime = None,
    machine: Machine | None = None,
    history: History | None = None,
) -> Rows:
    """The events of the universe `source` that had entered by `as_of`, as events of the universe `target`.

    Shape:  one row per event, as EVENT_SCHEMA has them, in the order of their times; to be written to a file and
            metered beside the others. Events without a usable time are left out: they have no place in any window.
    Exact:  properties keep their text, ids and times as they are; duplicates stay what they are (R8).
    Raises: ConfigError for a name that is the same or empty; SourceError, SchemaError.
    """
    how_read = source_of(
        map=map,
        assume_timezone=assume_timezone,
        generate_ids=generate_ids,
        folder_keys=folder_keys,
        binary_as_text=binary_as_text,
    )
    question = Question(as_of=moment_of(as_of, "as-of"), clock=moment_of(clock, "clock"))
    return forked(events, how_read, source, target, question, machine or Machine(), history)


def forked(
    events: Any,
    source: Source,
    universe: str,
    target: str,
    question: Question,
    machine: Machine,
    history: History | None = None,
) -> Rows:
    """The events of one universe under the name of another universe, from `events`, or from the files of a `history`.

    Raises: ConfigError for a name that is the same or empty; SourceError, SchemaError.
    """
    for name in (universe, target):
        names_of(name, "universe")
    if universe == target:
        raise ConfigError(f"fork-universe: found {universe!r} twice; expected another name for the fork.")
    given = events if history is None else history.paths
    opened = open_input(machine, given, source, replace(question, universes=(universe,)), history=history)
    arrivals = arrivals_stages(opened.layout, (), opened.selection)
    stage = Stage("forked", "the events of one universe, under another name", _forked_sql(target))
    return Rows(opened.engine, opened.query(Query("events", (*arrivals, stage))), "event", JSON_SQL["event"])


def _forked_sql(target: str) -> str:
    """SQL for the events with a usable time, in the order of their times."""
    columns = {
        **names(("id", "workspace_id")),
        "universe_id": literal(target),
        **names(("type", "subject")),
        '"time"': "recorded_at AT TIME ZONE 'UTC'",
        "properties": "properties",
        "metered_at": "metered_at AT TIME ZONE 'UTC'",
    }
    usable = [HAS_TIME, "reason IS NULL"]
    # Events in conflict share their key, and may share their times.
    order = (
        "recorded_at",
        "arrivals.metered_at",
        "id",
        "workspace_id",
        "type",
        "subject",
        "CAST(properties AS VARCHAR)",
    )
    return select(columns, "arrivals", where=usable, order_by=order)
