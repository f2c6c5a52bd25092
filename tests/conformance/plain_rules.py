"""The rules of semantics.md that conformance needs, one record at a time in plain Fractions: slow and obvious.

Nothing here touches metering_duck: it says what the rules give, so that a case on which the Go reference differs is
still compared with something. Times are integer microseconds since 1970, UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

INTEGER_DIGITS, SCALE = 20, 18
QUANTITY = re.compile(r"([+-]?)(?:([0-9]+)\.?([0-9]*)|\.([0-9]+))(?:[eE]([+-]?[0-9]+))?", re.ASCII)
TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)
ZERO_TIME = "0001-01-01T00:00:00Z"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(text: str) -> int:
    """R11: UTC microseconds, finer digits cut toward the past."""
    return int(uncut(text) // 1)


def uncut(text: str) -> Fraction:
    """A time as microseconds with every digit it has: what R11 cuts from."""
    match = TIME.fullmatch(text)
    assert match is not None, text
    whole = moment_us(datetime.fromisoformat(match[1] + ("+00:00" if match[3] == "Z" else match[3])))
    return whole + Fraction(int(match[2] or "0"), 10 ** len(match[2] or "0")) * 1_000_000


def is_finer(text: str) -> bool:
    """Whether a time has digits that R11 cuts."""
    return uncut(text) != microseconds(text)


def moment_us(moment: datetime) -> int:
    """A datetime as microseconds."""
    passed = moment - EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def quantity_or_reason(text: str | None) -> Fraction | str:
    """R4 and R5: the quantity, or why there is none."""
    if text is None:
        return "source-missing"
    match = QUANTITY.fullmatch(text)
    if match is None:
        return "quantity-syntax"
    sign, whole, fraction, bare, exponent = match.groups(default="")
    digits, exponent_value = int(whole + fraction + bare), int(exponent or 0) - len(fraction + bare)
    if digits == 0:
        return Fraction(0)
    if abs(exponent_value) > 1_000:  # No need to build a number of a billion digits to see that it does not fit.
        return "quantity-too-large" if exponent_value > 0 else "quantity-too-fine"
    value = digits * Fraction(10) ** exponent_value
    if value >= 10**INTEGER_DIGITS:
        return "quantity-too-large"
    if (value * 10**SCALE).denominator != 1:
        return "quantity-too-fine"
    return -value if sign == "-" else value


def half_even(value: Fraction, scale: int) -> Fraction:
    """R16: rounded once to `scale` fraction digits; round() of a Fraction is half to even."""
    return (
        Fraction(round(value * 10**scale), 10**scale)
        if scale >= 0
        else Fraction(round(value / 10**-scale) * 10**-scale)
    )


def significant(value: Fraction, digits: int) -> Fraction:
    """R16: rounded once to so many significant digits."""
    if value == 0:
        return value
    size = len(str(abs(value).numerator)) - len(str(value.denominator))
    first = size if abs(value) >= Fraction(10) ** size else size - 1
    return half_even(value, digits - 1 - first)


Key = tuple[str | None, str, str, str]


@dataclass(frozen=True)
class Row:
    """One measurement: a level or a count."""

    workspace: str
    universe: str
    subject: str
    unit: str
    recorded_us: int
    metered_us: int
    event_id: str
    quantity: Fraction

    @property
    def order(self) -> tuple[int, int, str, Fraction]:
        """R13; of one event's two quantities at one moment the greater is last."""
        return self.recorded_us, self.metered_us, self.event_id, self.quantity


@dataclass(frozen=True)
class Answer:
    """A reading: its exact value, how many records lay in the window, and its watermark (R22)."""

    value: Fraction
    record_count: int
    max_metered_us: int


def record_fault(record: Mapping[str, Any]) -> str | None:
    """Why a bundled record as a whole cannot be used."""
    if not record.get("observations"):
        return "observations-missing"
    names = (
        ("id", "id-missing"),
        ("workspaceID", "workspace-missing"),
        ("universeID", "universe-missing"),
        ("subject", "subject-missing"),
        ("sourceEventID", "source-event-missing"),
    )
    for name, reason in names:
        if not record.get(name):
            return reason
    return "time-missing" if record.get("observedAt") in (None, "", ZERO_TIME) else None


def observation_fault(observation: Mapping[str, Any]) -> str | None:
    """Why one observation cannot be used, apart from its quantity. Without a window it is at its record's time."""
    if "window" in observation:
        start, end = observation["window"].get("start"), observation["window"].get("end")
        if not (start and end) or microseconds(start) > microseconds(end):
            return "window-invalid"
    return None if observation.get("unit") else "unit-missing"


def rows_of(
    records: Iterable[Mapping[str, Any]], time: Callable[[str], Any] = microseconds
) -> tuple[list[Row], list[tuple[str, str]]]:
    """The rows of bundled records, one per observation, and the rejects as (record id, reason)."""
    rows, rejects, seen = [], [], []
    for record in records:
        if record in seen:  # R8: the same key with the same content is a duplicate. No case has a conflict.
            continue
        seen.append(record)
        whole = record_fault(record)
        for observation in record.get("observations") or [{}]:
            fault = whole or observation_fault(observation)
            found = fault or quantity_or_reason(observation.get("quantity"))
            if isinstance(found, str):
                rejects.append((record.get("id") or "", found))
                continue
            rows.append(
                Row(
                    record["workspaceID"],
                    record["universeID"],
                    record["subject"],
                    observation["unit"],
                    time(record["observedAt"]),
                    microseconds(record["meteredAt"]),
                    record["sourceEventID"],
                    found,
                )
            )
    return rows, sorted(rejects)


def readings(rows: Iterable[Row], aggregation: str, start: int, end: int) -> dict[Key, Answer]:
    """R10–R15, R22: a reading for each key that has one."""
    by_key: dict[Key, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.order):
        by_key.setdefault((row.workspace, row.universe, row.subject, row.unit), []).append(row)
    found = {key: _reading(ordered, aggregation, start, end) for key, ordered in by_key.items()}
    return {key: answer for key, answer in found.items() if answer is not None}


def _reading(ordered: list[Row], aggregation: str, start: int, end: int) -> Answer | None:
    inside = [row for row in ordered if start <= row.recorded_us < end]
    if aggregation == "time-weighted-avg":
        return time_weighted(ordered, inside, start, end)
    if not inside:
        return None
    quantities = [row.quantity for row in inside]
    value = {
        "sum": sum(quantities, Fraction(0)),
        "max": max(quantities),
        "min": min(quantities),
        "latest": quantities[-1],
        "count": Fraction(len(quantities)),
    }[aggregation]
    return Answer(value, len(inside), max(row.metered_us for row in inside))


def time_weighted(ordered: list[Row], inside: list[Row], start: int, end: int) -> Answer | None:
    """R14: each level holds until the next; the last one before the window counts from its start."""
    before = [row for row in ordered if row.recorded_us < start][-1:]
    seen = before + inside
    if not seen:
        return None
    moments = [max(row.recorded_us, start) for row in seen] + [end]
    weighted = sum((row.quantity * (moments[n + 1] - moments[n]) for n, row in enumerate(seen)), Fraction(0))
    return Answer(weighted / (end - start), len(inside), max(row.metered_us for row in seen))
