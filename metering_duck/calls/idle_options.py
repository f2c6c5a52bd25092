"""Idle options: what a call asks for that changes nothing in its result, a sentence each."""

from __future__ import annotations

from collections.abc import Sequence

from metering_duck.contract.aggregations import Aggregation
from metering_duck.contract.intervals import Interval, parse_interval
from metering_duck.inputs.fields import Reach
from metering_duck.inputs.source import Source
from metering_duck.runs.question import Question
from metering_duck.windows.cutting import Windows
from metering_duck.windows.periods import Periods


def idle_options(question: Question, made: Sequence[Aggregation]) -> list[str]:
    """The options of a question that change nothing; `made` are the aggregations of its readings."""
    found = []
    if question.periods:
        found += _of_windows(question.periods, made)
    if made:
        found += _of_results(question, made)
    return found


def idle_reading(source: Source, reach: Reach = "window") -> list[str]:
    """The options that say how an input is read, and change nothing."""
    found = []
    same = [name for name, other in source.universe_names.items() if name == other]
    if same:
        found.append(f"map-universe: changes nothing for {same[0]!r}, which keeps its name.")
    if source.time_partition is not None and reach == "all":
        found.append("time-partition: leaves no file out: these readings need every event, whatever its time.")
    return found


def _of_windows(periods: Periods, made: Sequence[Aggregation]) -> list[str]:
    """The options about windows that change nothing."""
    found, windows = [], periods.windows
    inner = [parse_interval(a.per, "aggregation") for a in made if a.per]
    if windows.zone != "UTC" and not _reads_clocks(periods, inner):
        found.append(
            f"timezone: {windows.zone} changes nothing: every bound has an offset, and nothing is cut by a calendar."
        )
    if windows.whole and _cuts_nothing(periods):
        found.append("whole-periods: changes nothing: no period is cut. hint: --every month, or --start and --end")
    if windows.interval is not None and windows.anchor is None and not periods.kind:
        found += [
            f"every: {windows.every} is the inner window of {a.text} too: each window has one inner window."
            for a in made
            if a.per and parse_interval(a.per, "aggregation") == windows.interval
        ]
    return list(dict.fromkeys(found))


def _reads_clocks(periods: Periods, inner: Sequence[Interval]) -> bool:
    """Whether the clocks of a zone decide about any window."""
    windows = periods.windows
    cut = [*inner, *([windows.interval] if windows.interval else [])]
    written = [*windows.bounds, windows.anchor]
    return (
        bool(periods.kind)
        or any(bool(interval.word) or not interval.is_elapsed for interval in cut)
        or any(moment is not None and not moment.in_utc for moment in written)
    )


def _cuts_nothing(periods: Periods) -> bool:
    """Whether no window could be cut by the bounds."""
    windows: Windows = periods.windows
    return windows.bounds == (None, None) if periods.kind else windows.interval is None


def _of_results(question: Question, made: Sequence[Aggregation]) -> list[str]:
    """The options about results that change nothing."""
    found = []
    if question.digits is not None and not any(_is_rounded(a) for a in made):
        found.append("digits: rounds averages, and there is none: quantities are texts with all their digits.")
    if question.scale is not None and question.scale >= 0 and all(a.outermost.is_whole for a in made):
        found.append("scale: changes no number: every result is a whole number.")
    found += [
        f"group-by: {a.by!r} is the inner dimension of {a.text} too: each reading has one inner value."
        for a in made
        if a.by in question.group_by
    ]
    return list(dict.fromkeys(found))


def _is_rounded(aggregation: Aggregation) -> bool:
    """Whether a value is a quotient, which digits round."""
    percentile = aggregation.percentile
    return aggregation.outermost.divided_by is not None or bool(percentile and percentile.interpolated)
