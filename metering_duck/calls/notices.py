"""Notices: what is said of a config and of the options of a call before anything is computed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from metering_duck.calls.idle_options import idle_options
from metering_duck.contract.config import MeteringConfig
from metering_duck.contract.idle_keys import dead_filters, idle_keys
from metering_duck.contract.lapsing import lapses
from metering_duck.errors import did_you_mean, first_few
from metering_duck.judging.given_records import RecordCompiler
from metering_duck.runs.opening import Opened
from metering_duck.runs.question import Question
from metering_duck.statements.select import select


def with_notices(opened: Opened, config: MeteringConfig | None) -> Opened:
    """An opened input with what is to be said of the config and the question; and what `strict` refuses."""
    question = opened.question
    if config is None:
        return opened
    noted = opened.noting(
        [
            *idle_keys(config, question.aggregation, scale=question.scale, has_digits=question.digits is not None),
            *dead_filters(config),
            *idle_options(question, config.aggregated(question.aggregation)),
        ]
    )
    if not lapses(config, question.aggregation):
        return noted
    ((end,),) = opened.engine.rows(select({"last": "max(window_end)"}, opened.windows.name))
    if end is None:
        # No period is whole within the bounds, so no window is there.
        return noted
    return replace(noted, lapses=tuple(lapsed_levels(config, question, end.replace(tzinfo=UTC))))


def record_notices(config: MeteringConfig, judge: RecordCompiler) -> list[str]:
    """What a config beside records says that changes nothing, a sentence each.

    That their filters, conversions and spans do not, is no news: the records were metered with them.
    """
    units = list(dict.fromkeys(m.unit for _, m in config.measurements))
    if judge.by_unit and not set(units) & set(judge.by_unit):
        hint = did_you_mean(units[0], sorted(judge.by_unit))
        return [f"config: changes nothing: no record has the unit {first_few(map(repr, units))}. hint: {hint}"]
    said = []
    for path, m in config.measurements:
        found, own = judge.by_unit.get(m.unit, ()), m.aggregated()
        if found and judge.aggregation is None and own is not None and own.text not in found:
            has = " and ".join(sorted(found))
            said.append(f"{path}.aggregation: changes nothing: the records of {m.unit!r} are for {has}.")
    return said


def made_of_some(question: Question) -> list[str]:
    """How records that are of some types or workspaces only are to be aggregated: they do not say it themselves."""
    notices = []
    if question.types:
        named = first_few(repr(name) for name in question.types)
        notices.append(
            f"event-type: records do not say that they are of {named} only, which is part of the ids of readings. "
            "hint: aggregate --records with the same --event-type"
        )
    if question.workspaces:
        named = first_few(repr(name) for name in question.workspaces)
        notices.append(
            f"workspace: records do not say that no others than {named} were metered. "
            "hint: aggregate --records --across-workspaces with the same --workspace"
        )
    return notices


def lapsed_levels(config: MeteringConfig, question: Question, end: datetime) -> list[str]:
    """Where levels are wrong in windows that end by a moment, a sentence each."""
    return [lapse.sentence for lapse in lapses(config, question.aggregation) if lapse.moment < end]
