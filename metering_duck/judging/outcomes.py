"""Outcomes: what became of each event, one row each, for the books and for views."""

from __future__ import annotations

from metering_duck.judging.arrivals import renamed_stages
from metering_duck.judging.events import Compiler
from metering_duck.statements.select import names, select
from metering_duck.statements.stages import Query, Stage, load_stage


def outcomes_query(compiler: Compiler, *, repeated: bool) -> Query:
    """`outcomes`: every event read and what became of it (R9), those that are not metered under its own name, too."""
    stages = compiler.judged(repeated=repeated)
    columns = names(("workspace_id", "universe_id", "id", "type", "subject"))
    columns |= {name: f"{name} AT TIME ZONE 'UTC'" for name in ("recorded_at", "metered_at")}
    columns |= names(("properties", "status", "file"))
    found = select(columns, "judged")
    if repeated:
        stages.append(load_stage("lost"))
        renamed = renamed_stages(compiler.selection, "lost", "lost_renamed")
        stages += renamed
        found += f"\nUNION ALL\n{select(columns, renamed[-1].name if renamed else 'lost')}"
    return Query("outcomes", (*stages, Stage("outcomes", "every event read, and what became of it", found)))
