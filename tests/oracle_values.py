"""Texts, times and numbers for the oracle: what a text means, when a local clock shows a time, how a number is rounded.

Plain Python with Fraction, datetime and zoneinfo; imports nothing from metering_duck.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from math import ceil, floor
from typing import Any
from zoneinfo import ZoneInfo

Row = dict[str, Any]
MICROSECOND = timedelta(microseconds=1)
NEVER_SET = datetime(1, 1, 1, tzinfo=UTC)
QUANTITY = re.compile(r"([+-]?)(?=\.?[0-9])([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?")
TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ]([01]\d|2[0-3])(:[0-5]\d:[0-5]\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
UNIT_US = {
    "microseconds": 1,
    "milliseconds": 1_000,
    "seconds": 1_000_000,
    "minutes": 60_000_000,
    "hours": 3_600_000_000,
    "days": 86_400_000_000,
}


# --- times -----------------------------------------------------------------------------------------------------------


def time_of(text: str | None) -> datetime | None:
    """RFC 3339 text as a moment, digits finer than a microsecond cut; None when there is no such moment (R11)."""
    found = moment_written(text or "")
    return None if found == NEVER_SET else found


def moment_written(text: str) -> datetime | None:
    """The moment that RFC 3339 text says, the first one of the year 1 included, which means that there is none."""
    match = TIME.fullmatch(text)
    if match is None:
        return None
    date, hour, rest, fraction, offset = match.groups()
    zone = "+00:00" if offset is None or offset in "Zz" else offset
    try:
        return datetime.fromisoformat(f"{date}T{hour}{rest}.{(fraction or '')[:6]:0<6}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def text_of_time(moment: datetime) -> str:
    """A moment as RFC 3339 text without idle zeros."""
    whole = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return whole + (f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else "") + "Z"


def moment_at(clock: datetime, zone: str) -> datetime:
    """The moment at which a zone's clock shows this: the first of two; in a gap, by the offset before the gap."""
    return clock.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)


def clock_at(moment: datetime, zone: str) -> datetime:
    """What a zone's clock shows at a moment, without its offset."""
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


def moment_of(given: str | datetime, zone: str) -> datetime:
    """A bound as it is given to a call: with an offset that moment, without one the zone's clock."""
    if isinstance(given, str) and len(given) == len("2024-01-31"):
        given = datetime.combine(date.fromisoformat(given), datetime.min.time())
    if isinstance(given, str):
        match = TIME.fullmatch(given)
        assert match is not None, given
        moment = time_of(given)
        assert moment is not None, given
        given = moment if match[5] else moment.replace(tzinfo=None)
    return moment_at(given, zone) if given.tzinfo is None else given.astimezone(UTC)


# --- numbers ---------------------------------------------------------------------------------------------------------


def quantity_of(text: str, precision: int = 38, scale: int = 18) -> Fraction | str:
    """A quantity's exact value, or the reason why the text is none that fits (R4, R5)."""
    match = QUANTITY.fullmatch(text)
    if match is None:
        return "quantity-syntax"
    sign, whole, fraction, exponent = match.groups()
    digits = int(whole + fraction)
    if digits == 0:
        return Fraction(0)
    power = int(exponent or 0) - len(fraction)
    if power > 10_000:
        return "quantity-too-large"
    if power < -10_000:
        return "quantity-too-fine"
    value = digits * Fraction(10) ** power
    if value >= Fraction(10) ** (precision - scale):
        return "quantity-too-large"
    if (value * 10**scale).denominator != 1:
        return "quantity-too-fine"
    return -value if sign == "-" else value


def rounded(value: Fraction, scale: int = 18, mode: str = "half-even") -> Fraction:
    """Once, to so many digits behind the point, or to tens and hundreds (R16); half-up is half away from zero."""
    shifted = value * Fraction(10) ** scale
    whole = {
        "half-even": lambda: round(shifted),
        "half-up": lambda: (1 if shifted >= 0 else -1) * floor(abs(shifted) + Fraction(1, 2)),
        "ceiling": lambda: ceil(shifted),
        "floor": lambda: floor(shifted),
    }[mode]()
    return whole / Fraction(10) ** scale


def significant(value: Fraction, digits: int) -> Fraction:
    """Half to even, once, to so many significant digits (R16)."""
    if value == 0:
        return value
    places = 0
    while abs(value) * Fraction(10) ** places >= 10**digits:
        places -= 1
    while abs(value) * Fraction(10) ** places < 10 ** (digits - 1):
        places += 1
    return round(value * Fraction(10) ** places) / Fraction(10) ** places


def parts_of(total: Fraction, weights: list[int], scale: int = 18) -> list[Fraction]:
    """A total in parts at a scale that add up to it: the largest remainders are rounded up, ties to the first (R26)."""
    sign, units = (-1 if total < 0 else 1), abs(total) * Fraction(10) ** scale
    shares = [units * weight / sum(weights) for weight in weights]
    parts = [floor(share) for share in shares]
    by_remainder = sorted(range(len(parts)), key=lambda n: (parts[n] - shares[n], n))
    for n in by_remainder[: int(units - sum(parts))]:
        parts[n] += 1
    return [sign * part / Fraction(10) ** scale for part in parts]
