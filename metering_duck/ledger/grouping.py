"""Grouping by `type` in a ledger: whether it is the field or the property is decided once, for all of its periods."""

from __future__ import annotations

from dataclasses import replace

from metering_duck.judging.events import TYPE
from metering_duck.ledger.manifest import history_of
from metering_duck.ledger.meterer import Meterer, Situation
from metering_duck.ledger.runs import find_runs
from metering_duck.runs.local import has_type_property
from metering_duck.runs.opening import open_input
from metering_duck.runs.question import FIELD, PROPERTY, Question


def with_type_decided(meterer: Meterer, question: Question, situation: Situation) -> Question:
    """The question with what `type` is where it is grouped by (R37): as the first run of the ledger had it.

    Before there is such a run all files tell. So one period has what all events at once have, and events that come
    later change no period; what was decided is kept among the options of each run.
    """
    if TYPE not in question.group_by:
        return question
    with meterer.store.reader() as engine:
        decided = [run.question.type_is for run in find_runs(engine, "contains(options, 'type_is')")]
    if decided:
        return replace(question, type_is=decided[-1])
    asked = replace(question, as_of=situation.as_of, clock=situation.clock)
    history = history_of(situation.visible)
    opened = open_input(meterer.machine, history.paths, situation.source, asked, history=history)
    with opened.engine:
        return replace(question, type_is=PROPERTY if has_type_property(opened) else FIELD)
