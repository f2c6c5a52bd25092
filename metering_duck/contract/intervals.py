"""Intervals: how long a period is and where periods are cut, from the words and ISO 8601 durations that people write.

Months and days are steps on the local clock of a zone; everything finer is elapsed time. Pure: windows/cutting.py turns
an interval into boundaries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from metering_duck.contract.times import Local
from metering_duck.errors import ConfigError, cut, did_you_mean, spelled
from metering_duck.statements.quote import literal

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
MONTHS_MAX = 120_000
LENGTH_US_MAX = 315_576_000_000_000_000
LENGTH_CHARACTERS_MAX = 400
_ISO_8601 = re.compile(
    r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d{1,6})?)S)?)?", re.ASCII
)


@dataclass(frozen=True)
class Interval:
    """`step` of `unit`: months and days on the local clock, microseconds as elapsed time.

    `word` is the calendar unit at whose boundaries periods are cut where there is no anchor, "" for a duration, which
    steps from its start. `weekday` is the first day of a week, 0 for Monday.
    """

    unit: str
    step: int
    word: str = ""
    weekday: int = 0

    @property
    def shortest_us(self) -> int:
        """The shortest length of a period, apart from the changes of clocks."""
        return self.step * {"month": 28 * DAY_US, "day": DAY_US, "microsecond": 1}[self.unit]

    @property
    def is_elapsed(self) -> bool:
        """Whether steps are elapsed time, whatever the clocks do."""
        return self.unit == "microsecond"

    def columns(self, origin: str) -> dict[str, str]:
        """The columns unit, step and origin of a calendar, as sql/windows.sql reads them."""
        return {"unit": literal(self.unit), "step": f"CAST({self.step} AS BIGINT)", "origin": origin}

    def origin_sql(self, starts: str, zone: str, anchor: Local | None = None) -> str:
        """SQL for boundary 0, as a moment if steps are elapsed time, else on the clock of the zone: the anchor.

        Without an anchor, a word is cut at the calendar's boundary at or before `starts`, and a duration steps from
        `starts`.
        """
        if anchor is not None:
            return anchor.moment_sql(zone) if self.is_elapsed else anchor.clock_sql(zone)
        local = f"local_clock({starts}, {zone})"
        if not self.word:
            return starts if self.is_elapsed else local
        boundary = f"date_trunc('{self.word}', {local})"
        if self.weekday:
            shift = f"to_days({self.weekday})"
            boundary = f"date_trunc('week', {local} - {shift}) + {shift}"
        return f"{starts} - ({local} - {boundary})" if self.is_elapsed else boundary


_WORDS = {
    "hour": Interval("microsecond", HOUR_US, "hour"),
    "day": Interval("day", 1, "day"),
    "week": Interval("day", 7, "week"),
    "month": Interval("month", 1, "month"),
    "quarter": Interval("month", 3, "quarter"),
    "year": Interval("month", 12, "year"),
} | {f"week-{name}": Interval("day", 7, "week", number) for number, name in enumerate(WEEKDAYS)}


def parse_interval(text: object, where: str) -> Interval:
    """An interval from `month`, `week-sunday`, `P1M`, `PT15M`…

    Raises: ConfigError, with `where`.
    Source: ISO 8601-1:2019, 5.5.2 (durations).
    """
    word = text if isinstance(text, str) else ""
    if word in _WORDS:
        return _WORDS[word]
    match = _ISO_8601.fullmatch(word)
    if match is None or not any(match.groups()):
        raise ConfigError(
            f"{where}: found {spelled(text)}; expected hour, day, week, month, quarter, year, week-sunday or an ISO "
            f"8601 duration such as PT15M. hint: {did_you_mean(word, _WORDS)}"
        )
    _check_length(word, where)
    years, months, weeks, days, hours, minutes, seconds = (part or "0" for part in match.groups())
    whole, _, fraction = seconds.partition(".")
    in_months = int(years) * 12 + int(months)
    in_days = int(weeks) * 7 + int(days)
    in_us = (int(hours) * 3_600 + int(minutes) * 60 + int(whole)) * 1_000_000 + int(fraction.ljust(6, "0"))
    if bool(in_months) == bool(in_days or in_us):
        found = "months together with days or hours" if in_months else "no length"
        raise ConfigError(
            f"{where}: found {spelled(text)}, {found}; expected either months and years, or weeks to seconds."
        )
    if in_months > MONTHS_MAX or in_days * DAY_US + in_us > LENGTH_US_MAX:
        raise ConfigError(f"{where}: found {spelled(text)}; expected at most ten thousand years.")
    if in_months:
        return Interval("month", in_months)
    if in_us:
        return Interval("microsecond", in_days * DAY_US + in_us)
    return Interval("day", in_days)


def _check_length(text: str, where: str) -> None:
    """Refuse a duration with a number so long that Python does not read it.

    Raises: ConfigError, with `where`.
    """
    if len(text) > LENGTH_CHARACTERS_MAX:
        raise ConfigError(f"{where}: found a length of {len(text):,} characters; expected at most ten thousand years.")


def check_zone(name: str, where: str) -> str:
    """The name of an IANA zone, if there is such a zone.

    Raises: ConfigError, with `where`.
    """
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, OSError, TypeError, AttributeError):
        raise ConfigError(f"{where}: found {_quoted(name)}; expected an IANA zone such as Europe/Berlin.") from None


def _quoted(name: object) -> str:
    return f'"{cut(name)}"' if isinstance(name, str) else spelled(name)
