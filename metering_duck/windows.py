"""Windows: half-open `[start, end)`, whole or cut back to back, as SQL expressions and as the relation `windows`.

Calendar words (`month`) cut at the calendar's boundaries in UTC, the first and last window clipped to `[start, end)`.
ISO 8601 durations (`PT15M`, `P1M`) step from `start`; months are counted from it, clamped to the month's end, and never
stepped from the last boundary. Nothing here is a list: the relation is made by SQL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from metering_duck.errors import ConfigError, did_you_mean
from metering_duck.stages import Stage
from metering_duck.times import format_time, parse_time

CALENDAR_UNITS = ("hour", "day", "week", "month", "year")
WINDOWS_MAX = 10_000_000
LENGTH_US_MAX = 315_576_000_000_000_000
_ISO_8601 = re.compile(
    r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d{1,6})?)S)?)?", re.ASCII
)


@dataclass(frozen=True)
class Windows:
    """One window, or back-to-back windows that together are `[start, end)`.

    Units: `start` and `end` are UTC; `length_us` microseconds; `months` calendar months. At most one of `unit`,
           `length_us` and `months` is given; with none of them there is one window.
    """

    start: datetime
    end: datetime
    unit: str | None = None
    length_us: int | None = None
    months: int | None = None

    @property
    def parameters(self) -> dict[str, object]:
        """The values of $start and $end, naive because SQL's TIMESTAMP is UTC here."""
        return {"start": self.start.replace(tzinfo=None), "end": self.end.replace(tzinfo=None)}

    @property
    def is_one(self) -> bool:
        """Whether there is only one window."""
        return self.unit is None and self.length_us is None and self.months is None

    def index_sql(self, moment: str) -> str:
        """SQL for the number of the window that a moment in `[start, end)` is in, counted from 0."""
        if self.unit:
            return f"date_diff('{self.unit}', $start, {moment})"
        if self.length_us:
            return f"(epoch_us({moment}) - epoch_us($start)) // {self.length_us}"
        if self.months:
            passed = f"date_diff('month', $start, {moment})"
            return (
                f"({passed} - CASE WHEN $start + to_months(CAST({passed} AS INTEGER)) > {moment} THEN 1 ELSE 0 END)"
                f" // {self.months}"
            )
        return "0"

    @property
    def stage(self) -> Stage:
        """The relation `windows`: window_index, window_start, window_end; one row per window."""
        if self.is_one:
            sql = "SELECT\n    CAST(0 AS BIGINT) AS window_index,\n    $start AS window_start,\n    $end AS window_end"
            return Stage("windows", "the one window", sql)
        last = self.index_sql("$end - to_microseconds(1)")
        boundary = self._boundary_sql
        return Stage(
            "windows",
            "the windows, back to back from the start to the end",
            "SELECT\n"
            "    CAST(i AS BIGINT) AS window_index,\n"
            f"    greatest({boundary('i')}, $start) AS window_start,\n"
            f"    least({boundary('i + 1')}, $end) AS window_end\n"
            f"FROM range(CAST({last} + 1 AS BIGINT)) AS counted(i)",
        )

    def _boundary_sql(self, index: str) -> str:
        if self.unit:
            return f"date_trunc('{self.unit}', $start) + ({index}) * INTERVAL 1 {self.unit}"
        if self.length_us:
            return f"$start + to_microseconds(({index}) * {self.length_us})"
        return f"$start + to_months(CAST(({index}) * {self.months} AS INTEGER))"


def make_windows(start: object, end: object, every: str | None) -> Windows:
    """Windows from datetimes or RFC 3339 texts and an optional `every`.

    Raises: ConfigError for a missing, empty or inverted window, and for an `every` that is none.
    Source: R11.
    """
    if start is None or end is None:
        lacking = " and ".join(name for name, bound in (("start", start), ("end", end)) if bound is None)
        hint = "--start 2024-01-01 --end 2024-02-01"
        expected = "both" if start is None and end is None else "start and end"
        raise ConfigError(f"window: found no {lacking}; expected {expected}. hint: {hint}")
    first, last = parse_time(start, "start"), parse_time(end, "end")
    if first >= last:
        kind = "empty" if first == last else "inverted"
        raise ConfigError(
            f"window: found the {kind} window [{format_time(first)}, {format_time(last)}); expected end after start."
        )
    if every is None:
        return Windows(first, last)
    if every in CALENDAR_UNITS:
        return Windows(first, last, unit=every)
    match = _ISO_8601.fullmatch(every) if isinstance(every, str) else None
    if match is None or not any(match.groups()):
        raise ConfigError(
            f"every: found {every!r}; expected hour, day, week, month, year or an ISO 8601 duration such as PT15M. "
            f"hint: {did_you_mean(str(every), CALENDAR_UNITS)}"
        )
    years, months, weeks, days, hours, minutes, seconds = (part or "0" for part in match.groups())
    whole, _, fraction = seconds.partition(".")
    in_months = int(years) * 12 + int(months)
    in_seconds = int(weeks) * 604_800 + int(days) * 86_400 + int(hours) * 3_600 + int(minutes) * 60 + int(whole)
    length_us = in_seconds * 1_000_000 + int(fraction.ljust(6, "0"))
    if bool(in_months) == bool(length_us):
        found = "months together with days or hours" if in_months else "no length"
        raise ConfigError(f"every: found {every!r}, {found}; expected either months and years, or weeks to seconds.")
    if in_months > 120_000 or length_us > LENGTH_US_MAX:
        raise ConfigError(f"every: found {every!r}; expected at most ten thousand years.")
    length = timedelta(microseconds=length_us) if length_us else timedelta(days=28) * in_months
    if (last - first) / length > WINDOWS_MAX:
        raise ConfigError(f"every: found {every!r}, which cuts more than {WINDOWS_MAX:,} windows; expected fewer.")
    return Windows(first, last, months=in_months or None, length_us=length_us or None)
