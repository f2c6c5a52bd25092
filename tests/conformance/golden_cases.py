"""The golden aggregate cases: what we answer to each, how the Go reference's answer stands to it, and batches of them.

Each case is in one class: it *agrees*, is *refused* with a reason, or *differs* by a rule. Which one follows from
plain_rules.py and the reference's answer alone; the tests then hold metering_duck to it, case by case.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from plain_rules import (
    INTEGER_DIGITS,
    Answer,
    Key,
    Row,
    is_finer,
    microseconds,
    readings,
    rows_of,
    uncut,
)

AVERAGE = "time-weighted-avg"
KNOWN = ("sum", "max", "min", "latest", "count", AVERAGE)
MARK = "|"
Case = dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """A case's class, why it is in it, and what we answer."""

    kind: str
    reason: str = ""
    answers: dict[Key, Answer] = field(default_factory=dict)
    rejects: list[tuple[str, str]] = field(default_factory=list)


def given_records(case: Case) -> list[dict[str, Any]]:
    """All records of a case: the one before the window is a record like any other, we find it ourselves."""
    before = case["input"]["lastBefore"]
    return ([before] if before else []) + list(case["input"]["records"])


def window_of(case: Case) -> tuple[str | None, str | None]:
    """The window's bounds as the case spells them."""
    window = case["input"]["config"]["window"]
    return window.get("start"), window.get("end")


def has_window(case: Case) -> bool:
    """Whether the window has both bounds and is neither empty nor inverted at microseconds (R11)."""
    start, end = window_of(case)
    return bool(start and end) and microseconds(str(start)) < microseconds(str(end))


def judge(case: Case) -> Verdict:
    """The class of a case."""
    aggregation = case["input"]["config"]["aggregation"]
    if not has_window(case):
        return Verdict("refused", "ConfigError: window")
    if aggregation not in KNOWN:
        return Verdict("refused", "ConfigError: aggregation")
    start, end = (microseconds(str(bound)) for bound in window_of(case))
    rows, rejects = rows_of(given_records(case))
    answers = readings(rows, aggregation, start, end)
    if any(abs(answer.value) >= 10**INTEGER_DIGITS for answer in answers.values()):
        return Verdict("refused", "QuantityOverflow", answers, rejects)
    if rejects:
        return Verdict("refused", rejects[0][1], answers, rejects)
    if agrees(case, answers):
        return Verdict("agrees", "", answers)
    return Verdict("differs", differing_rule(case), answers)


def reference_value(case: Case) -> Fraction:
    """The reference's answer, its average without the float64 durations and before its one rounding."""
    exact = case.get("exact", {})
    return Fraction(exact["avg"] if "avg" in exact else case["expected"]["computedValues"][0]["quantity"])


def agrees(case: Case, answers: dict[Key, Answer]) -> bool:
    """Whether the reference has the same reading, or, like us, none."""
    if "error" in case:
        return not answers
    expected = case["expected"]
    unit = expected["computedValues"][0]["unit"]
    key = (expected["workspaceID"], expected["universeID"], expected["subject"], unit)
    if list(answers) != [key] or answers[key].value != reference_value(case):
        return False
    return expected["recordCount"] == answers[key].record_count + carried_count(case)


def carried_count(case: Case) -> int:
    """How many records the reference counts that lie before the window: those that it carries in (not so R14)."""
    before = case["input"]["lastBefore"]
    return len(before["observations"]) if before and case["input"]["config"]["aggregation"] == AVERAGE else 0


def has_comparable_watermark(case: Case) -> bool:
    """Whether the reference's maxMeteredAt means R22's: it takes the record before the window in for counters too."""
    if "expected" not in case:
        return False
    return not case["input"]["lastBefore"] or case["input"]["config"]["aggregation"] == AVERAGE


def differing_rule(case: Case) -> str:
    """The rule on which the reference differs. For R11 and R13 that is proved: without the rule we answer the same."""
    tags = case["tags"]
    if "bad-aggregation" in tags:
        return "R12: count is an aggregation"
    if "invalid-record" in tags:
        return "R11: an observation's window is cut to microseconds, and none is the record's moment"
    if "mixed-units" in tags or "metadata" in tags:
        return "R10: units, subjects, universes and workspaces do not mix"
    if "outside-window" in tags or _is_last_inside(case):
        return "R11: the window decides which records are in it"
    proofs: dict[str, tuple[Callable[[str], Any], bool]] = {
        "R11: nanoseconds are cut": (uncut, False),
        "R13: ties are ordered": (microseconds, True),
        "R11 and R13: both": (uncut, True),
    }
    for rule, (time, in_input_order) in proofs.items():
        if relaxed_value(case, time, in_input_order=in_input_order) == unrounded_reference(case):
            return rule
    return "unexplained"


def _is_last_inside(case: Case) -> bool:
    """Whether the record that should lie before the window lies in it."""
    before = case["input"]["lastBefore"]
    return bool(before) and microseconds(before["observedAt"]) >= microseconds(str(window_of(case)[0]))


def unrounded_reference(case: Case) -> Fraction:
    """The reference's value; where its unstable sort decided, the one a stable sort gives."""
    return Fraction(case["exactStable"]["avg"]) if "exactStable" in case else reference_value(case)


def relaxed_value(case: Case, time: Callable[[str], Any], *, in_input_order: bool) -> Fraction:
    """Our answer without R11's cut, or with the reference's order of ties: the first for `latest`, else the last."""
    aggregation = case["input"]["config"]["aggregation"]
    rows, _ = rows_of(given_records(case), time)
    if in_input_order:
        rows = list(_in_input_order(rows, -1 if aggregation == "latest" else 1))
    start, end = (time(str(bound)) for bound in window_of(case))
    (answer,) = readings(rows, aggregation, start, end).values()
    return answer.value


def _in_input_order(rows: Iterable[Row], direction: int) -> Iterator[Row]:
    for place, row in enumerate(rows):
        yield replace(row, metered_us=place * direction)


# --- batches ---------------------------------------------------------------------------------------------------------

STEPS = {"hour": 3_600_000_000, "day": 86_400_000_000}
SPAN = ("2023-01-01T00:00:00Z", "2026-01-01T00:00:00Z")
CASES_ALONE = 20


@dataclass(frozen=True)
class Batch:
    """Cases in one call, each in universes of its own, which never mix (R10): of one window, or of windows that `every`
    cuts, out of which each case's own is then taken."""

    start: str
    end: str
    every: str | None
    cases: tuple[Case, ...]

    @property
    def aggregation(self) -> str | None:
        """The cases' aggregation; where they have several, each record names its own."""
        names = {case["input"]["config"]["aggregation"] for case in self.cases}
        return names.pop() if len(names) == 1 or not self.records_of_any() else None

    def records_of_any(self) -> bool:
        """Whether there is any record that could name its aggregation."""
        return any(given_records(case) for case in self.cases)

    @property
    def records(self) -> list[dict[str, Any]]:
        """All the cases' records."""
        found = []
        for case in self.cases:
            own = None if self.aggregation else case["input"]["config"]["aggregation"]
            found += [prefixed(record, case["case"], own) for record in given_records(case)]
        return found


def prefixed(record: dict[str, Any], name: str, aggregation: str | None = None) -> dict[str, Any]:
    """A record in a universe of its case's own; one without a universe stays without."""
    record = copy.deepcopy(record)
    if record.get("universeID"):
        record["universeID"] = name + MARK + record["universeID"]
    if aggregation:
        for observation in record["observations"]:
            observation["aggregation"] = aggregation
    return record


def batches_of(cases: Iterable[Case]) -> list[Batch]:
    """Windows with many cases are calls of their own; those with few are cut out of three years where the calendar
    has them; every other window is a call of its own too."""
    by_window: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        start, end = window_of(case)
        by_window.setdefault((str(start), str(end)), []).append(case)
    found, by_step = [], {}
    for (start, end), together in by_window.items():
        every = calendar_step(start, end) if len(together) < CASES_ALONE else None
        # A level makes a reading in each of the 26,000 hours that follow it: those windows are called one by one.
        alone = [
            case
            for case in together
            if every is None or (every == "hour" and case["input"]["config"]["aggregation"] == AVERAGE)
        ]
        by_step.setdefault(every, []).extend(case for case in together if case not in alone)
        if alone:
            found.append(Batch(start, end, None, tuple(alone)))
    return found + [Batch(*SPAN, every, tuple(together)) for every, together in by_step.items() if together]


def calendar_step(start: str, end: str) -> str | None:
    """The `every` that cuts this window out of SPAN, if any."""
    first, last = microseconds(start), microseconds(end)
    inside = microseconds(SPAN[0]) <= first and last <= microseconds(SPAN[1])
    for every, length in STEPS.items():
        if inside and last - first == length and first % length == 0 and not (is_finer(start) or is_finer(end)):
            return every
    months = {
        f"{year}-{month:02}-01T00:00:00Z": year * 12 + month for year in range(2023, 2027) for month in range(1, 13)
    }
    if not inside or start not in months or end not in months:
        return None
    steps = {1: "month", 3: "P3M", 12: "year"}
    length_months = months[end] - months[start]
    return steps.get(length_months) if (months[start] - months[SPAN[0]]) % length_months == 0 else None
