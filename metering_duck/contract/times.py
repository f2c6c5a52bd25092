"""Moments and durations as people write them: RFC 3339 text and ISO 8601 durations become values.

Everything here is UTC microseconds (R11). Times in data are read by SQL (sql/functions.sql), not here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime

from metering_duck.errors import ConfigError, cut, spelled

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?)?", re.ASCII)


def parse_time(value: object, where: str) -> datetime:
    """A moment in UTC from a datetime or RFC 3339 text; a bare date or naive time is UTC.

    Exact:  digits finer than a microsecond are cut toward the past (R11).
    Raises: ConfigError that names `where`.
    """
    if isinstance(value, datetime):
        try:
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        except (ValueError, OverflowError):
            raise ConfigError(f"{where}: found {value}; expected a time of the years 1 to 9999 in UTC.") from None
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ConfigError(f'{where}: found {spelled(value)}; expected a time such as "2024-01-31T00:00:00Z".')
    date, clock, fraction, offset = match.groups()
    text = f"{date}T{clock or '00:00:00'}.{(fraction or '')[:6].ljust(6, '0')}"
    zone = "+00:00" if offset is None or offset in "Zz" else offset
    try:
        return datetime.fromisoformat(text + zone).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f'{where}: found "{cut(str(value))}" ({error}); expected a time that exists.') from None


@dataclass(frozen=True)
class Local:
    """A time as it was written: a moment if it is `in_utc`, else what the clocks of some zone show.

    The SQL of it brings clock time to moments and back in DuckDB. A clock time that occurs twice is the first of both
    moments; one that clocks skip is taken by the offset before it (RFC 5545, 3.3.5).
    """

    at: datetime
    in_utc: bool

    @property
    def _text(self) -> str:
        return f"TIMESTAMP '{self.at.replace(tzinfo=None).isoformat(sep=' ')}'"

    def clock_sql(self, zone: str) -> str:
        """SQL for what the clocks of a zone show; `zone` is SQL."""
        return f"local_clock({self._text}, {zone})" if self.in_utc else self._text

    def moment_sql(self, zone: str) -> str:
        """SQL for the moment, in UTC; `zone` is SQL."""
        return self._text if self.in_utc else f"moment_of({self._text}, {zone})"


def parse_local(value: object, where: str) -> Local:
    """A time from a datetime, a date or RFC 3339 text; a time without an offset is what the clocks of a zone show.

    Raises: ConfigError that names `where`.
    """
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()
    moment = parse_time(value, where)
    if isinstance(value, datetime):
        return Local(moment, in_utc=value.tzinfo is not None)
    match = _RFC3339.fullmatch(str(value))
    return Local(moment, in_utc=match is not None and match[4] is not None)


def format_time(moment: datetime) -> str:
    """A moment as RFC 3339 text in UTC, with as many fraction digits as it has."""
    moment = moment.astimezone(UTC)
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + fraction + "Z"


def utc(moment: datetime) -> datetime:
    """A moment that has a zone, in UTC."""
    return moment.astimezone(UTC)
