"""Rejects: every fault of every event as a row with its reason (R3), and what became of each event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metering_duck.statements.quote import literal
from metering_duck.statements.select import case, names, select
from metering_duck.statements.stages import Query, Stage

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
    fault = "coalesce(quantity_fault(faulty_text, integer_digits, fraction_digits), 'quantity-too-large')"
    why = f"coalesce(known_reason, {case({'faulty_text IS NULL': literal('source-missing')}, fault)})"
    columns = names((*REJECT_IDENTITY, '"time"', "measurement", "source_property", "unit"))
    columns |= {
        "text": case({"reason IS NOT NULL": "reason_text"}, "faulty_text"),
        "reason": f"coalesce(reason, {why})",
    }
    order = ("workspace_id", "universe_id", "id", '"time"', "measurement", '"text"', "rejects.reason", "file")
    return Query(
        "rejects",
        (
            *judged,
            Stage("rejected", "every rejected event, and what was at fault", rejected),
            Stage("rejects", "and why", select({**columns, "file": "file"}, "rejected")),
            Stage("rejects_in_order", "in a fixed order", select({}, "rejects", star="*", order_by=order)),
        ),
    )
