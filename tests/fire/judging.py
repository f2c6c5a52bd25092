"""What the engine says of events, and what the oracle says: books, rejects, conflicts and readings, exactly."""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import metering_duck
from metering_duck.errors import MeteringError, StageError
from tests import oracle, worlds
from tests.fire.case import DidNotHold
from tests.fire.reading import UNREAD, Read
from tests.worlds import CLOCK, Event

SELECTIONS = {"workspace": "workspace_id", "universe": "universe_id", "event_type": "type"}
# The columns of a reading that are measured; the others say of what.
VALUES = ("quantity", "exact", "divisor_us", "last", "carried", "prorated", "record_count", "max_metered_at")
COUNTED = ("read", "metered", "unmatched", "duplicates", "conflicts", "rejected")


@dataclass(frozen=True)
class Answer:
    """The books, and rows that are in one order: rejects by key, unit and reason, conflicts, and readings."""

    counts: dict[str, int]
    rejects: list[tuple[str, ...]]
    conflicts: list[Any]
    readings: list[oracle.Row]

    def difference(self, other: Answer, *, rejects: bool = True) -> str:
        """The first part that differs from another answer's; "" where none does."""
        if self.counts != other.counts:
            return "books"
        if self.readings != other.readings:
            return "readings"
        if not rejects:
            return ""
        if self.rejects != other.rejects:
            return "rejects"
        return "" if self.conflicts == other.conflicts else "conflicts"

    def shown(self, other: Answer) -> str:
        """What of the other answer differs, in a few lines."""
        with any_digits():
            return self._shown(other)

    def _shown(self, other: Answer) -> str:
        part = self.difference(other) or "books"
        if part == "books":
            return "\n".join([f"oracle {self.counts}", f"engine {other.counts}", *_lines(self.rejects, other.rejects)])
        ours, theirs = getattr(self, part), getattr(other, part)
        counted = f"{part}: {len(ours)} expected, {len(theirs)} found"
        return "\n".join([counted, *(_cells(ours, theirs) if part == "readings" else _lines(ours, theirs))])


def _lines(ours: Sequence[Any], theirs: Sequence[Any]) -> list[str]:
    """A few of the rows that only one side has."""
    ours, theirs = [repr(row) for row in ours], [repr(row) for row in theirs]
    only_ours, only_theirs = Counter(ours) - Counter(theirs), Counter(theirs) - Counter(ours)
    return [*(f"oracle {row}" for row in list(only_ours)[:3]), *(f"engine {row}" for row in list(only_theirs)[:3])]


def _cells(ours: Sequence[oracle.Row], theirs: Sequence[oracle.Row]) -> list[str]:
    """A few of the readings that differ, and of each only the columns that do."""
    expected, found = ({_reading_key(row): row for row in rows} for rows in (ours, theirs))
    lines = []
    for key in sorted(expected.keys() | found.keys()):
        one, other = expected.get(key), found.get(key)
        if one is None or other is None:
            lines.append(
                f"only the {'engine' if one is None else 'oracle'} has {_values(one or other or {})}; of {key}"
            )
        elif one != other:
            names = [name for name in VALUES if one.get(name) != other.get(name)]
            cells = [f"{name} expected {one.get(name)}, found {other.get(name)}" for name in names]
            lines.append(f"{'; '.join(cells)}; of {key}")
    return lines[:3]


def _reading_key(row: oracle.Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(row.items()) if name not in VALUES)


def _values(row: oracle.Row) -> str:
    return ", ".join(f"{name} {row.get(name)}" for name in VALUES)


# --- the oracle ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def any_digits() -> Iterator[None]:
    """Numbers of any length, for the oracle alone: the engine runs as Python is."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(before)


@any_digits()
def expected(reads: Sequence[Read], config: Event, options: Mapping[str, Any]) -> Answer:
    """What the rules make of events that were read."""
    cutoff = oracle.time_of(options.get("as_of"))
    rows = []
    for event, fault in reads:
        row = oracle.read_event(event, CLOCK)
        if fault:
            row["fault"], row["fault_text"] = fault, None
        if UNREAD in event:
            row["content"] = oracle.spelled({**json.loads(row["content"]), "properties": event[UNREAD]})
        if any(name in options and row[column] not in options[name] for name, column in SELECTIONS.items()):
            continue
        if cutoff is not None and row["metered_at"] > cutoff:
            continue
        rows.append(row)
    books = oracle.Books(read=len(rows))
    for row in oracle.settle(rows, books):
        oracle.meter_event(row, config, books)
    shape = {name: value for name, value in options.items() if name not in (*SELECTIONS, "as_of", "subject")}
    found = oracle.readings(books.records, subjects=options.get("subject", ()), config=config, **shape)
    return Answer(
        {name: books.counts[name] for name in COUNTED},
        sorted(_reject(row) for row in books.rejects),
        sorted(_conflict(row) for row in books.conflicts),
        oracle.in_order(found),
    )


def _reject(row: Mapping[str, Any]) -> tuple[str, ...]:
    key = [row[name] for name in ("workspace_id", "universe_id", "id")]
    told = [row[name] for name in ("source_property", "unit", "reason")]
    return tuple(repr(value) for value in ([None] * 3 if row["reason"] == "json-invalid" else key) + told)


def _conflict(row: Mapping[str, Any]) -> str:
    contents = [json.loads(row[name]) for name in ("kept_content", "lost_content")]
    times = [str(row[name]) for name in ("kept_metered_at", "lost_metered_at")]
    return json.dumps([row["workspace_id"], row["universe_id"], row["id"], *times, *contents], sort_keys=True)


def overflows(answer: Answer, config: Event, options: Mapping[str, Any]) -> bool:
    """Whether any result is so large that its digits may be more than a DECIMAL has (R18)."""
    entries = config.get("entries") or [config]
    measured = [m for entry in entries for m in entry.get("measurements") or entry["observations"]]
    scales = [m.get(name, 18) for m in measured for name in ("scale", "resultScale")]
    limit = Fraction(10) ** (38 - max(18, *scales, options.get("scale") or 18) - 3)
    return any(abs(row[name] or 0) >= limit for row in answer.readings for name in ("quantity", "exact"))


# --- the engine ------------------------------------------------------------------------------------------------------


def answered(given: Any, config: Event, options: Mapping[str, Any]) -> Answer | MeteringError:
    """What the engine says, or the error that it raises.

    Raises: DidNotHold for any other exception, and for books that do not balance.
    """

    def ask() -> Answer:
        with metering_duck.aggregate(given, config, clock=CLOCK, threads=1, **options) as result:
            rows = result.to_dicts()
            return _answer(rows, result)

    return outcome(ask)


def written(given: Any, config: Event, options: Mapping[str, Any]) -> bytes | MeteringError:
    """What the engine writes, or the error that it raises."""

    def ask() -> bytes:
        return worlds.written(metering_duck.aggregate(given, config, clock=CLOCK, threads=1, **options))

    found: bytes | MeteringError = outcome(ask)
    return found


def outcome(ask: Callable[[], Any]) -> Any:
    """What a call gives, or the error that it raises.

    Raises: DidNotHold for what is no error of ours, and for one that says that it is a bug.
    """
    try:
        return ask()
    except StageError as error:
        raise DidNotHold(f"an error that calls itself a bug: {first_words(error)}", traceback.format_exc()) from None
    except MeteringError as error:
        return error
    except DidNotHold:
        raise
    except Exception as error:
        raise DidNotHold(f"a traceback: {type(error).__name__} {first_words(error)}", traceback.format_exc()) from None


def _answer(rows: list[oracle.Row], result: Any) -> Answer:
    if not result.accounting.balances:
        raise DidNotHold("books that do not balance", str(result.accounting))
    if len(rows) != len({row["id"] for row in rows}):
        raise DidNotHold("two readings of one id", repr(rows[:3]))
    return Answer(
        {name: result.accounting[name] for name in COUNTED},
        sorted(_reject(row) for row in result.rejects.to_pylist()),
        sorted(_conflict(row) for row in result.conflicts.to_pylist()),
        oracle.in_order(map(oracle.plain_reading, rows)),
    )


def first_words(error: BaseException) -> str:
    """An error's first words, without numbers, names in quotes and paths, so that one cause has one text."""
    words = str(error).split("\n")[0].split()
    kept = [word for word in words if not any(c.isdigit() or c in "/'\"{}[]" for c in word)]
    return " ".join(kept[:9])
