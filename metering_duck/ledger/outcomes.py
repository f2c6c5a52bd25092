"""Outcomes: what became of each period that a ledger was asked to meter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from metering_duck.errors import RejectedEvents
from metering_duck.ledger.periods import Period
from metering_duck.ledger.runs import RunRow
from metering_duck.runs.books import SHOWN_BOOKS


@dataclass(frozen=True)
class Outcome:
    """What became of one period: `status` is done, unchanged, closed, reproduced, changed, same or new.

    Shape:  the books of R9 are the books of the run; `is_stale` says of a closed period that its files have changed;
            `notices` say what the run assumed.
    """

    period: str
    status: str
    run_id: int
    read: int
    metered: int
    unmatched: int
    duplicates: int
    conflicts: int
    rejected: int
    readings: int
    readings_sha256: str
    seconds: float
    is_stale: bool = False
    notices: tuple[str, ...] = ()

    def noting(self, notices: Sequence[str]) -> Outcome:
        """This outcome with more notices, each once."""
        return replace(self, notices=tuple(dict.fromkeys((*notices, *self.notices))))

    def to_dict(self) -> dict[str, Any]:
        """The outcome as a plain dict."""
        return asdict(self)


# A function that is told the outcome of each period when it is done, and how many periods there are.
Report = Callable[[Outcome, int], None]


def outcome_of(period: Period, status: str, run: RunRow, began: datetime, *, is_stale: bool = False) -> Outcome:
    """The outcome of a period whose readings are those of `run`; `began` is when the work on the period began."""
    books = {name: run.books[name] for name in SHOWN_BOOKS}
    return Outcome(
        period.name,
        status,
        run.run_id,
        **books,
        readings=run.readings,
        readings_sha256=run.readings_sha256,
        seconds=round((datetime.now(UTC) - began).total_seconds(), 3),
        is_stale=is_stale,
        notices=run.notices,
    )


def refuse_rejects(outcomes: Sequence[Outcome]) -> None:
    """Refuse rejected events and conflicts, also those of periods that were metered before.

    Raises: RejectedEvents.
    """
    for outcome in outcomes:
        if outcome.rejected or outcome.conflicts:
            raise RejectedEvents(
                f"strict: found {outcome.rejected:,} rejected and {outcome.conflicts:,} in conflict in "
                f"{outcome.period}; expected none. hint: metering-duck ledger export rejects",
                outcomes,
            )
