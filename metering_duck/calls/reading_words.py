"""How readings are made, in plain words: what an aggregation answers, how its results are rounded, over which windows.

The words come from the values that run: Totals and its series, Question and Windows.
"""

from __future__ import annotations

from collections.abc import Sequence

from metering_duck.calls.page_text import joined, listed, quoted, wrapped, written
from metering_duck.calls.rule_words import NamedRules
from metering_duck.contract.aggregations import Aggregation
from metering_duck.contract.definitions import Definition
from metering_duck.contract.times import Local, format_time
from metering_duck.readings.series import Series, Totals
from metering_duck.runs.books import counted_noun
from metering_duck.runs.question import Question
from metering_duck.windows.cutting import Windows

ROUNDINGS = {"half-even": "half to even", "half-up": "half away from zero", "ceiling": "up", "floor": "down"}
FILLED = {
    "zero": "0 where there is none",
    "carry": "the quantity of the window before where there is none, and 0 before the first",
}


def answers(definition: Definition) -> str:
    """What an aggregation answers, without what the table says of others."""
    return definition.answers.partition(";")[0]


def aggregated_words(aggregation: Aggregation, rules: NamedRules) -> str:
    """What an aggregation makes of the records of a window."""
    if aggregation.outer:
        inner = aggregated_words(aggregation.inner, rules)
        if aggregation.by:
            made = f"one value for each {quoted(aggregation.by)}, and one for the events without it"
        else:
            made = f"one value of each inner window (the windows cut by {written(str(aggregation.per))})"
            inner = inner.replace("the window", "the inner window")
        outer = answers(aggregation.outermost)
        return f"{made}: {inner}; then, of these values as if each were a record: {outer}"
    definition = aggregation.definition
    if aggregation.is_gauge:
        named = rules.name(14, 15 if definition.weighs else 19, 13)
        level = "every record changes the level by its quantity; " if aggregation.deltas else ""
        held = "a level holds until the next one of its subject, unit and group"
        carried = f"{held}, and the last before the window is carried in"
        return f"{aggregation.text}: {answers(definition)}; {level}{carried} {named}"
    if aggregation.prorated:
        split = "each quantity split by time over the windows that its span overlaps, then added"
        return f"{aggregation.text}: {split} {rules.name(26, 18)}"
    named = rules.name(12, *_rules_of_counter(definition))
    return f"{aggregation.text}: {answers(definition)}, of the records inside the window {named}"


def _rules_of_counter(definition: Definition) -> tuple[int, ...]:
    """The rules that a counter or percentile follows, by the states that it keeps and by what divides its value."""
    if definition.divided_by is not None:
        return (15,)
    if "sum" in definition.keeps:
        return (18,)
    if {"last", "first"} & set(definition.keeps):
        return (13,)
    return ()


def rounded_words(totals: Totals, series: Series, rules: NamedRules) -> str:
    """How the results of a series are rounded; all of its measurements have one result, which is rounded once.

    With two levels an inner value that is divided is rounded, too, before the outer function sees it.
    """
    if series.aggregation.prorated and not series.aggregation.outer:
        return _split_words(totals, series, rules)
    reason = _why_exact(totals, series)
    words = f"not at all: {reason}" if reason else _rounded_to(totals, series, rules)
    if not series.aggregation.outer or not _is_quotient(series.aggregation.inner):
        return words
    inner = totals.inner_of(series)
    scale = inner.rounding(inner.series[0]).scale
    result = f"the result is not rounded: {reason}" if reason else f"then the result {words}"
    return f"each inner value to {counted_noun(scale, 'digit')} behind the point, half to even; {result}"


def _split_words(totals: Totals, series: Series, rules: NamedRules) -> str:
    """How quantities that are split over windows are rounded: such that the parts add up, while the digits suffice."""
    parts = "parts of a span are cut at the last digit, which those with the largest remainders get one more of, so"
    whole = f"that they add up {rules.name(26)}; a quantity with more digits is split at its own last digit, and"
    return f"{_rounded_to(totals, series, rules)}: {parts} {whole} each result rounded so"


def _why_exact(totals: Totals, series: Series) -> str:
    """Why the results of a series are not rounded; "" if they are."""
    rounding = totals.rounding(series)
    if series.aggregation.outermost.is_whole and (rounding.scale >= 0 or rounding.digits is not None):
        return "it is a whole number"
    if rounding.digits is not None and not _is_quotient(series.aggregation):
        return "only what is divided has significant digits"
    return ""


def _rounded_to(totals: Totals, series: Series, rules: NamedRules) -> str:
    """The digits that the results of a series are rounded to, and which way."""
    rounding = totals.rounding(series)
    mode = ROUNDINGS[rounding.mode]
    if rounding.digits is not None:
        return f"to {counted_noun(rounding.digits, 'significant digit')}, half to even {rules.name(16)}"
    if rounding.scale < 0:
        return f"to a multiple of 1{'0' * -rounding.scale}, {mode} {rules.name(16)}"
    return f"to {counted_noun(rounding.scale, 'digit')} behind the point, {mode} {rules.name(16)}"


def _is_quotient(aggregation: Aggregation) -> bool:
    """Whether the value of an aggregation is divided, as an average is, and a percentile between two values."""
    percentile = aggregation.percentile
    return aggregation.outermost.divided_by is not None or (percentile is not None and percentile.interpolated)


def windows_words(question: Question, windows: Windows, rules: NamedRules) -> str:
    """Which windows there are."""
    zone = windows.zone
    start, end = (_bound(bound) for bound in windows.bounds)
    if windows.schedule is None and windows.interval is None:
        words = f"[{start}, {end}) as one, on the clocks of {zone}"
    elif windows.schedule is None:
        words = f"[{start}, {end}) cut by {written(str(windows.every))} on the clocks of {zone}"
        words += f", from {_bound(windows.anchor)}" if windows.anchor else ""
    else:
        words = _scheduled(question, windows, start, end)
    words += "; periods that begin in it, uncut" if windows.whole else ""
    return wrapped("Windows", f"{words} {rules.name(11)}")


def _scheduled(question: Question, windows: Windows, start: str, end: str) -> str:
    """The windows of a table."""
    if question.periods is not None and question.periods.kind == "subscriptions":
        words = "each subject's own periods, as the table of subscriptions has them"
    elif windows.by_subject:
        words = "those of the table of windows, which has each subject's own"
    else:
        words = "those of the table of windows"
    words += f", cut by {written(windows.every)} where it says nothing else" if windows.every else ""
    words += f", on the clocks of {windows.zone} where it names no zone"
    if windows.bounds[0] or windows.bounds[1]:
        words += f", as far as they lie in [{start}, {end})"
    return words


def _bound(bound: Local | None) -> str:
    """A bound as it was written: a moment with a Z, what clocks show without one."""
    if bound is None:
        return "…"
    text = format_time(bound.at)
    return text if bound.in_utc else text.removesuffix("Z").removesuffix("T00:00:00")


def readings_words(question: Question, totals: Totals, rules: NamedRules) -> str:
    """Which readings there are: their key, and what there has to be for one."""
    key = [] if totals.across_workspaces else ["workspace"]
    key += ["universe", "subject", "unit"]
    grouped = f", and {_groups(list(dict.fromkeys(question.group_by)))}" if question.group_by else ""
    if question.fill == "none":
        words = f"one for each {', '.join(key)} and window that has {_found_in(totals)}{grouped}"
    else:
        words = f"one for each window, and each {joined(key, 'and')} that has a record at any time{grouped}; "
        words += FILLED[question.fill]
    words += "; those of one subject and window are one row" if question.bundled else ""
    return wrapped("Readings", f"{words} {rules.name(10)}")


def _groups(names: Sequence[str]) -> str:
    """The groups that readings are for."""
    if len(names) == 1:
        return f"for each value of {quoted(names[0])}; the events without it are a group, too"
    return f"for each combination of {listed(names, 'and')}; not to have one of these counts as a value of it"


def _found_in(totals: Totals) -> str:
    """What a window has to have for a reading: a record, or, as the aggregations look at it, more than that.

    Of the measurements of one series some may split their spans by time and others not.
    """
    found = []
    aggregations = [slot.aggregation for series in totals.series for slot in series.slots if slot.aggregation]
    if any(not (a.is_gauge or a.prorated) for a in aggregations):
        found.append("a record")
    if any(a.is_gauge for a in aggregations):
        found.append("a level (set in it or carried into it)")
    if any(a.prorated for a in aggregations):
        found.append("a part of a span")
    return joined(found, "or")
