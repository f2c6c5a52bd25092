"""Rejects: every fault of every event as a row with its reason (R3), and what became of each event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metering_duck.statements.select import names, select
from metering_duck.statements.stages import Query, Stage, load_stage

REJECT_IDENTITY = ("workspace_id", "universe_id", "id", "type", "subject")


def rejects_query(judged: Sequence[Stage], faults: Mapping[str, str]) -> Query:
    """`rejects` in a fixed order: the event's identity, which measurement, the offending text, and why.

    `faults` says for a measurement that failed: measurement, source_property, unit, faulty_text, and the integer_digits
    and fraction_digits that the text may have.
    """
    identity = {**names(REJECT_IDENTITY), "time": "time_text"}
    rejected = select(
        {**identity, **faults, "reason": "reason", "reason_text": "reason_text", "file": "file"},
        "judged",
        where=["status = 'rejected'"],
    )
    return Query(
        "rejects",
        (
            *judged,
            Stage("rejected", "every rejected event, with the measurement and the text at fault", rejected),
            load_stage("rejects"),
            load_stage("rejects_in_order"),
        ),
    )
