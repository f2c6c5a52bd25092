"""Moments and durations as people write them: RFC 3339 text and ISO 8601 durations become values.

Everything here is UTC microseconds (R11). Times in data are read by SQL (sql/functions.sql), not here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from metering_duck.errors import ConfigError

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?)?", re.ASCII)


def parse_time(value: object, where: str) -> datetime:
    """A moment in UTC from a datetime or RFC 3339 text; a bare date or naive time is UTC.

    Exact:  digits finer than a microsecond are cut toward the past (R11).
    Raises: ConfigError that names `where`.
    """
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ConfigError(f'{where}: found {value!r}; expected a time such as "2024-01-31T00:00:00Z".')
    date, clock, fraction, offset = match.groups()
    text = f"{date}T{clock or '00:00:00'}.{(fraction or '')[:6].ljust(6, '0')}"
    zone = "+00:00" if offset is None or offset in "Zz" else offset
    try:
        return datetime.fromisoformat(text + zone).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f'{where}: found "{value}" ({error}); expected a time that exists.') from None


@dataclass(frozen=True)
class Local:
    """A time on the clocks of a zone, and the moment that it is, in UTC.

    A local time that occurs twice is the first; one that clocks skip is taken by the offset before (RFC 5545, 3.3.5).
    """

    clock: datetime
    moment: datetime

    @property
    def clock_sql(self) -> str:
        """SQL for what the clocks show."""
        return f"TIMESTAMP '{self.clock.isoformat(sep=' ')}'"

    @property
    def moment_sql(self) -> str:
        """SQL for the moment, in UTC."""
        return f"TIMESTAMP '{self.moment.replace(tzinfo=None).isoformat(sep=' ')}'"


def parse_local(value: object, where: str, zone: str) -> Local:
    """A time from a datetime or RFC 3339 text; without an offset it is what the clocks of `zone` show.

    Raises: ConfigError that names `where`.
    """
    moment = parse_time(value, where)
    naive = value.tzinfo is None if isinstance(value, datetime) else _RFC3339.fullmatch(str(value))[4] is None  # type: ignore[index]
    if naive:
        clock = moment.replace(tzinfo=None)
        return Local(clock, clock.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC))
    return Local(moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None), moment)


def format_time(moment: datetime) -> str:
    """A moment as RFC 3339 text in UTC, with as many fraction digits as it has."""
    moment = moment.astimezone(UTC)
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + fraction + "Z"
