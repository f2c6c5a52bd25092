"""Outcomes: what became of each event, one row each, for the books and for views."""

from __future__ import annotations

from metering_duck.judging.arrivals import renamed_stages
from metering_duck.judging.events import Compiler
from metering_duck.statements.select import names, select
from metering_duck.statements.stages import Query, Stage, load_stage

COLUMNS = (
    *("workspace_id", "universe_id", "id", "type", "subject", "recorded_at", "metered_at"),
    *("properties", "status", "file"),
)


def outcomes_query(compiler: Compiler, *, repeated: bool) -> Query:
    """`outcomes`: every event read and what became of it (R9), those that are not metered under its own name, too."""
    stages = compiler.judged(repeated=repeated)
    columns = names(COLUMNS)
    read = select(columns, "judged")
    if repeated:
        stages.append(load_stage("lost"))
        renamed = renamed_stages(compiler.selection, "lost", "lost_renamed")
        stages += renamed
        read += f"\nUNION ALL\n{select(columns, renamed[-1].name if renamed else 'lost')}"
    read_events = Stage("read_events", "the events that count, and those that lost to another of their key", read)
    return Query("outcomes", (*stages, read_events, load_stage("outcomes")))
