"""Periods: the names that people give them, and the moments between which they lie."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from metering_duck.calls.metering import periods as cut
from metering_duck.contract.times import format_time, parse_time, utc
from metering_duck.errors import ConfigError, LedgerError, first_few
from metering_duck.ledger.store import StoreEngine
from metering_duck.ledger.texts import CHANGED, stored_zone
from metering_duck.statements.select import names, select

_NAME = re.compile(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?", re.ASCII)
LENGTHS = {"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d"}


@dataclass(frozen=True, order=True)
class Period:
    """A period `[start, end)` in UTC, its name, and the zone whose clocks the name means."""

    start: datetime
    end: datetime
    name: str
    timezone: str = "UTC"

    @property
    def parameters(self) -> dict[str, object]:
        """The bounds as parameters of a statement."""
        return {"start": self.start, "end": self.end}


def cut_periods(**given: Any) -> list[Period]:
    """The periods between two moments, each with a name (keywords as those of metering_duck.periods).

    Raises: ConfigError.
    """
    zone = given.get("timezone") or "UTC"
    with cut(**given) as result:
        rows = result.to_arrow().to_pylist()
    return [Period(utc(row["window_start"]), utc(row["window_end"]), _name(row), zone) for row in rows]


def _name(row: dict[str, Any]) -> str:
    """The name of a period: 2024, 2024-01 or 2024-01-15 if it is one on the clocks of its zone, else START/END.

    START and END are dates if they are midnights there, else moments in UTC.
    """
    first, last = (datetime.fromisoformat(str(row[name])).replace(tzinfo=None) for name in ("local_start", "local_end"))
    return name_on_clocks(first, last, utc(row["window_start"]), utc(row["window_end"]))


def name_on_clocks(first: datetime, last: datetime, start: datetime, end: datetime) -> str:
    """The name of a period that is from `first` to `last` on its zone's clocks, and from `start` to `end` in UTC."""
    for unit, form in LENGTHS.items():
        if first == _floor(first, unit) and last == _next(first, unit):
            return first.strftime(form)
    if first == _floor(first, "day") and last == _floor(last, "day"):
        return f"{first:%Y-%m-%d}/{last:%Y-%m-%d}"
    return name_of(start, end)


def name_of(start: datetime, end: datetime) -> str:
    """The name START/END, which any period can have."""
    return f"{format_time(start)}/{format_time(end)}"


def _floor(moment: datetime, unit: str) -> datetime:
    """The start of the day, month or year that a moment lies in."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "day":
        return day
    if unit == "month":
        return day.replace(day=1)
    return day.replace(month=1, day=1)


def _next(start: datetime, unit: str) -> datetime:
    """The start of the next day, month or year, from the start of one."""
    longest = {"day": 1, "month": 31, "year": 366}
    return _floor(start + timedelta(days=longest[unit]), unit)


def parse_period(text: str, timezone: str | None = None) -> Period:
    """A period from 2024, 2024-01, 2024-01-15 or START/END; local times are those of `timezone`.

    Raises: ConfigError.
    """
    start, mark, end = str(text).partition("/")
    if mark:
        found = cut_periods(start=start, end=end, timezone=timezone)
        return found[0]
    match = _NAME.fullmatch(start)
    if match is None:
        raise ConfigError(f"period: found {text!r}; expected 2024-01, 2024-01-15 or START/END.")
    if match[3]:
        unit = "day"
    elif match[2]:
        unit = "month"
    else:
        unit = "year"
    try:
        first = datetime.strptime(start, LENGTHS[unit])
        last = _next(first, unit)
    except (ValueError, OverflowError):
        raise ConfigError(f"period: found {text!r}; expected a {unit} that exists.") from None
    (period,) = cut_periods(start=first.isoformat(), end=last.isoformat(), timezone=timezone)
    return period


def find_period(engine: StoreEngine, text: str, timezone: str | None = None) -> Period | None:
    """The period of the ledger that has this name; None where no period has it.

    Raises: ConfigError; LedgerError where periods of several zones have this name.
    """
    named = "name = $name AND ($zone IS NULL OR timezone = $zone)"
    found = _periods(engine, named, {"name": text, "zone": timezone})
    if not found:
        wanted = parse_period(text, timezone)
        found = _periods(engine, "period_start = $start AND period_end = $end", wanted.parameters)
    if len(found) > 1:
        zones = first_few(period.timezone for period in found)
        raise LedgerError(f"period {text}: found it in the zones {zones}; expected one. hint: --timezone ZONE")
    return found[0] if found else None


def _periods(engine: StoreEngine, where: str = "TRUE", parameters: Mapping[str, object] | None = None) -> list[Period]:
    """The periods of the ledger of which a condition holds, in their order."""
    columns = ("period_start", "period_end", "name", "timezone")
    rows = engine.rows(select(names(columns), "periods", where=[where], order_by=columns), dict(parameters or {}))
    return [stored_period("periods", utc(start), utc(end), name, zone) for start, end, name, zone in rows]


def stored_period(table: str, start: datetime, end: datetime, name: str, zone: str) -> Period:
    """A period from what a table of the ledger keeps of it.

    Raises: LedgerError for a zone that there is not, and for an end that is not after the start.
    """
    if not start < end:
        raise LedgerError(
            f"{table}.period_end: found {format_time(end)} for the start {format_time(start)}; expected a later end. "
            f"{CHANGED}"
        )
    return Period(start, end, name, stored_zone(zone))


def periods_between(engine: StoreEngine, start: datetime | None, end: datetime | None) -> list[Period]:
    """The periods of the ledger that lie between two moments; a moment that is None is no bound.

    Raises: LedgerError where no period lies there.
    """
    found = _periods(engine)
    if start is not None:
        found = [period for period in found if period.start >= start]
    if end is not None:
        found = [period for period in found if period.end <= end]
    if not found:
        raise LedgerError("period: found none there; expected some that were metered. hint: backfill them first")
    return found


def misnamed_periods(engine: StoreEngine) -> list[tuple[str, str]]:
    """The periods of the ledger that are not called as their clocks say, and how they are to be called."""
    known = {(period.start, period.end): period for period in _periods(engine)}
    clocks = ", ".join(f"timezone(timezone, {name})" for name in ("period_start", "period_end"))
    wrong = []
    for start, end, first, last in engine.rows(f"SELECT period_start, period_end, {clocks} FROM periods ORDER BY ALL"):
        period = known[utc(start), utc(end)]
        name = name_on_clocks(first, last, period.start, period.end)
        if name != period.name:
            wrong.append((period.name, f"is called {name} on the clocks of {period.timezone}"))
    return wrong


def check_beside(engine: StoreEngine, periods: Sequence[Period]) -> None:
    """Refuse periods that share time with other periods of the ledger: usage in both would count twice.

    Raises: LedgerError.
    """
    same = {(period.start, period.end) for period in periods}
    for known in _periods(engine):
        shared = next((one for one in periods if one.start < known.end and one.end > known.start), None)
        if shared and (known.start, known.end) not in same:
            raise LedgerError(
                f"period {shared.name}: shares time with {known.name}, which is in the ledger; expected periods beside "
                "each other, since usage in both would count twice. hint: rerun meters a part of a period"
            )


def known_period(engine: StoreEngine, text: str, timezone: str | None = None) -> Period:
    """The period of the ledger that has this name.

    Raises: LedgerError for a period that was never metered.
    """
    found = find_period(engine, text, timezone)
    if found is None:
        raise LedgerError(
            f"period {text}: is not in the ledger; expected one that was metered. hint: backfill it first"
        )
    return found


def moment_of(value: Any, where: str) -> datetime | None:
    """The moment that is given, in UTC; None if none is given."""
    return None if value is None else parse_time(value, where)


def clock_of(value: Any) -> datetime:
    """The clock of a run: the moment that is given, or now."""
    return moment_of(value, "clock") or datetime.now(UTC)
