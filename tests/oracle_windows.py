"""Windows for the oracle: calendars of zones, anchors, lists and subscriptions, boundary by boundary (R11).

A boundary on a local clock is the first moment at which the clock shows it; one that the clock leaves out is as much
later as the gap is long. Two boundaries that fall on one moment have no window between them.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import count, pairwise
from typing import Any

from tests.oracle_values import clock_at, moment_at, moment_of

Window = tuple[datetime, datetime]
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = {"month": 1, "quarter": 3, "year": 12}
DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", re.ASCII)


def windows_for(
    universe: str,
    subject: str,
    *,
    start: Any = None,
    end: Any = None,
    every: str | None = None,
    timezone: str | None = None,
    anchor: Any = None,
    windows: Iterable[Any] | None = None,
    subscriptions: Iterable[Mapping[str, Any]] | None = None,
    whole_periods: bool = False,
) -> list[Window]:
    """The windows of one subject, in the order of time."""
    zone = timezone or "UTC"
    first, last = (None if given is None else moment_of(given, zone) for given in (start, end))
    if windows is not None:
        return clipped(listed(windows, universe, subject, zone), first, last)
    if subscriptions is None:
        assert first is not None
        assert last is not None
        fixed = None if anchor is None else moment_of(anchor, zone)
        return periods(first, last, every, zone, fixed, whole_periods)
    found: list[Window] = []
    for row in subscriptions:
        if (row["universe"], row["subject"]) == (universe, subject):
            found += subscribed(row, first, last, every, zone, whole_periods)
    return sorted(found)


def periods(
    start: datetime,
    end: datetime,
    every: str | None = None,
    zone: str = "UTC",
    anchor: datetime | None = None,
    whole: bool = False,
) -> list[Window]:
    """`[start, end)` cut at every boundary in it; whole: the periods that begin in it, as they are."""
    if every is None:
        return [(start, end)]
    found: list[Window] = []
    for window in periods_from(start, every, zone, anchor):
        if window[0] >= end:
            return [w for w in found if start <= w[0]] if whole else clipped(found, start, end)
        found.append(window)
    raise AssertionError


def periods_from(start: datetime, every: str, zone: str, anchor: datetime | None) -> Iterable[Window]:
    """Periods without end, the first no later than the start."""
    origin = start if anchor is None else anchor
    n = 0
    while boundary(origin, every, n, zone, anchored=anchor is not None) > start:
        n -= 1
    cuts = (boundary(origin, every, m, zone, anchored=anchor is not None) for m in count(n))
    return pairwise(cuts)


def clipped(found: Iterable[Window], start: datetime | None, end: datetime | None) -> list[Window]:
    """What of the windows lies in `[start, end)`; a window of no length is none."""
    cut = [(max(w[0], start or w[0]), min(w[1], end or w[1])) for w in found]
    return sorted(w for w in cut if w[0] < w[1])


def listed(given: Iterable[Any], universe: str, subject: str, zone: str) -> list[Window]:
    """The windows of a list of pairs, or of rows, that go for a subject."""
    found = []
    for row in given:
        if not isinstance(row, Mapping):
            row = {"start": row[0], "end": row[1]}
        if row.get("universe") in (None, universe) and row.get("subject") in (None, subject):
            found.append((moment_of(row["start"], zone), moment_of(row["end"], zone)))
    return found


def subscribed(
    row: Mapping[str, Any],
    start: datetime | None,
    end: datetime | None,
    every: str | None,
    timezone: str,
    whole: bool,
) -> list[Window]:
    """The periods of one row of subscriptions, clipped to it and to the call."""
    zone = row.get("zone") or timezone
    anchor, starts, ends = (
        None if row.get(name) is None else moment_of(row[name], zone) for name in ("anchor", "starts", "ends")
    )
    every = row.get("interval") or every
    first = max(bound for bound in (starts, start) if bound is not None)
    last = min(bound for bound in (ends, end) if bound is not None)
    if first >= last:
        return []
    if anchor is None and starts is not None and every is not None and every.startswith("P"):
        anchor = starts
    return periods(first, last, every, zone, anchor, whole)


# --- one boundary ----------------------------------------------------------------------------------------------------


def boundary(origin: datetime, every: str, number: int, zone: str, *, anchored: bool) -> datetime:
    """Where the period of a number begins: on the local clock for days and more, by elapsed time for less.

    Counted from the anchor, or from where a duration starts, or from the calendar's boundary before the start.
    """
    months, days, elapsed = interval_of(every)
    if elapsed:
        at_hour = every == "hour" and not anchored
        return (full_hour(origin, zone) if at_hour else origin) + number * elapsed
    clock = clock_at(origin, zone)
    if not anchored and not every.startswith("P"):
        clock = calendar_start(clock, every)
    return moment_at(add_months(clock, number * months) + timedelta(days=number * days), zone)


def interval_of(every: str) -> tuple[int, int, timedelta]:
    """An interval as months, days of the local clock, or elapsed time; two of the three are nothing."""
    if every in MONTHS:
        return MONTHS[every], 0, timedelta(0)
    if every == "day" or every.startswith("week"):
        return 0, 1 if every == "day" else 7, timedelta(0)
    if every == "hour":
        return 0, 0, timedelta(hours=1)
    match = DURATION.fullmatch(every)
    assert match is not None, every
    years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    finer = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if finer:
        return 0, 0, timedelta(weeks=weeks, days=days) + finer
    return 12 * years + months, 7 * weeks + days, timedelta(0)


def full_hour(moment: datetime, zone: str) -> datetime:
    """The last moment, this one or before, at which the zone's clock showed a full hour."""
    clock = clock_at(moment, zone)
    found = moment_at(clock.replace(minute=0, second=0, microsecond=0), zone)
    while found + timedelta(hours=1) <= moment:
        found += timedelta(hours=1)
    return found


def calendar_start(clock: datetime, every: str) -> datetime:
    """Where the calendar's day, week, month, quarter or year began that a clock is in."""
    midnight = clock.replace(hour=0, minute=0, second=0, microsecond=0)
    if every == "day":
        return midnight
    if every.startswith("week"):
        first = WEEKDAYS.index(every.partition("-")[2] or "monday")
        return midnight - timedelta(days=(midnight.weekday() - first) % 7)
    first_of_month = midnight.replace(day=1)
    return first_of_month.replace(month=clock.month - (clock.month - 1) % MONTHS[every])


def add_months(clock: datetime, months: int) -> datetime:
    """So many months later, on the month's last day where it is shorter."""
    year, month = divmod(clock.year * 12 + clock.month - 1 + months, 12)
    return clock.replace(year=year, month=month + 1, day=min(clock.day, monthrange(year, month + 1)[1]))
