"""Books: what became of every event that was read (R9), whether the counts balance, and what a run took for granted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import shown
from metering_duck.errors import SourceError, first_few
from metering_duck.inputs.files import stamp_of
from metering_duck.inputs.whole_files import check_rows
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query, Stage, load_stage

if TYPE_CHECKING:
    from metering_duck.runs.opening import Opened


# The books as people see them: read is the sum of the five others (R9).
SHOWN_BOOKS = ("read", "metered", "unmatched", "duplicates", "conflicts", "rejected")


@dataclass(frozen=True)
class Accounting(Mapping[str, int]):
    """What became of every event (R9): read = metered + unmatched + duplicates + conflicts + rejected.

    The counts are attributes, and a mapping of their names, too.

    `unmatched_entry` and `unmatched_filter` are the two reasons of unmatched (R1), `times_cut` counts times with digits
    finer than a microsecond (R11), `times_naive` times without an offset; `reasons` counts rejects by reason code.
    """

    read: int
    metered: int
    unmatched: int
    duplicates: int
    conflicts: int
    rejected: int
    unmatched_entry: int = 0
    unmatched_filter: int = 0
    times_cut: int = 0
    times_naive: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def balances(self) -> bool:
        """Whether every event read is accounted for once."""
        return self.read == self.metered + self.unmatched + self.duplicates + self.conflicts + self.rejected

    def to_dict(self) -> dict[str, Any]:
        """The counts as a plain dict, for JSON."""
        return {**asdict(self), "balances": self.balances}

    def __getitem__(self, name: str) -> int:
        try:
            return int(getattr(self, name))
        except (AttributeError, TypeError):
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return (f.name for f in fields(self) if f.name != "reasons")

    def __len__(self) -> int:
        return len(fields(self)) - 1

    def __str__(self) -> str:
        """The counts as one line, for people."""
        parts = [
            f"{self.read:,} read = {self.metered:,} metered",
            f"{self.unmatched:,} unmatched",
            counted_noun(self.duplicates, "duplicate"),
            counted_noun(self.conflicts, "conflict"),
            f"{self.rejected:,} rejected",
        ]
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.reasons.items()))
        line = " + ".join(parts)
        return f"{line} ({reasons})" if reasons else line


def counted_noun(count: int, noun: str) -> str:
    """A count and its noun, which has an s for many: 1 duplicate, 2 duplicates."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def keep_books(opened: Opened, rows_read: int, lost: Mapping[str, int], rejects: Callable[[], Query]) -> Accounting:
    """The books of the table `counted`, and of the rows that were `lost` to another row of their key.

    Raises: SourceError where a file has changed since it was found, or where the books do not balance.
    """
    check_still(opened.stamps)
    if opened.lies is not None and opened.history is None:
        check_rows(opened.engine, opened.lies, rows_read if opened.counts_all_rows else None)
    opened.engine.gate.proofs()
    rows = opened.engine.rows(load_stage("books").sql)
    events = {row[0]: row[1] for row in rows}
    unmatched = {reason: events.get(f"unmatched-{reason}", 0) for reason in ("entry", "filter")}
    rejected = events.get("rejected", 0)
    books = Accounting(
        read=rows_read,
        metered=events.get("metered", 0),
        unmatched=unmatched["entry"] + unmatched["filter"],
        duplicates=lost.get("duplicate", 0),
        conflicts=lost.get("conflict", 0),
        rejected=rejected,
        unmatched_entry=unmatched["entry"],
        unmatched_filter=unmatched["filter"],
        times_cut=sum(row[2] for row in rows),
        times_naive=sum(row[3] for row in rows),
        reasons=_reasons(opened.engine, rejects()) if rejected else {},
    )
    if not books.balances:
        raise SourceError(f"input: changed while it was read ({books}); expected it to hold still. hint: run again")
    return books


def check_still(stamps: Mapping[str, object]) -> None:
    """Refuse files that have changed since their stamps were taken.

    Raises: SourceError.
    """
    for path, stamp in stamps.items():
        if stamp_of(path) != stamp:
            raise SourceError(f"{shown(path)}: changed while it was read; expected it to hold still. hint: run again")


def _reasons(engine: Engine, rejects: Query) -> dict[str, int]:
    """How many events were rejected for each reason."""
    counts = select({"reason": "reason", "events": "count(*)"}, "rejects", group_by=["reason"], order_by=["reason"])
    grouped = Stage("reasons", "how many rejects there are for each reason", counts)
    table = engine.table(replace(rejects, stages=(*rejects.stages[:-1], grouped)))
    return {row["reason"]: row["events"] for row in table.to_pylist()}


def notices_of(opened: Opened, accounting: Accounting) -> list[str]:
    """What a run took for granted, one sentence each."""
    notices, source = [*opened.remarks, *opened.lapses], opened.source
    if source.types:
        named = first_few(repr(name) for name in source.types)
        notices.append(f"events of other types than {named} are taken not to be there (event-type).")
    if source.assume_unique:
        notices.append("no duplicate was looked for: every id is taken to occur once (assume-unique).")
    if accounting.times_naive and source.timezone is None:
        naive = counted_noun(accounting.times_naive, "time")
        notices.append(f"{naive} had no offset, taken as UTC. hint: --assume-timezone ZONE")
    if source.timezone is not None and accounting.metered and not accounting.times_naive and opened.history is None:
        notices.append(f"assume-timezone: {source.timezone} changes nothing: every time has an offset.")
    if accounting.times_cut:
        cut = counted_noun(accounting.times_cut, "time")
        notices.append(f"{cut} had digits finer than a microsecond, cut toward the past (R11).")
    if opened.windows.by_subject:
        notices += _unscheduled(opened.engine)
    return notices


def _unscheduled(engine: Engine) -> list[str]:
    """The notice that events of subjects without any window made no reading; none where there are no such events."""
    sql = "SELECT CAST(sum(unscheduled) AS BIGINT), min(unscheduled_subject) FROM counted"
    ((events, subject),) = engine.rows(sql)
    if not events:
        return []
    unnamed = f"that no subscription or window names, such as {subject!r}"
    return [f"{counted_noun(events, 'event')} of subjects {unnamed}, made no reading."]
