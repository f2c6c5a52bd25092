"""The aggregations by name, which kind each is, and the text that says one whole.

A *counter* looks at the records inside a window (R12). A *gauge* looks at levels, each held until the next, and so
also at the record before the window (R14, R19). A percentile ranks the records of a window. Of two levels, the inner
function makes one value of each inner window or inner dimension, the outer function one of those. How each is computed
is said elsewhere; this file only names them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property

from metering_duck.contract.intervals import parse_interval
from metering_duck.errors import ConfigError, a_kind, did_you_mean

AVERAGE, KNOWN_AVERAGE = "time-weighted-avg", "time-weighted-avg-known"
COUNTERS = ("sum", "max", "min", "latest", "first", "count", "avg", "unique-count")
INTEGRALS = {"integral": 1_000_000, "integral-hours": 3_600_000_000}
GAUGES = (AVERAGE, KNOWN_AVERAGE, "peak-state", "min-state", "final-state", *INTEGRALS)
OTHER_NAMES = {
    "sum-events": "sum",
    "max-event": "max",
    "min-event": "min",
    "latest-event": "latest",
    "integral-seconds": "integral",
    "median": "p50-interpolated",
}
PERCENTILES = ("p50", "p90", "p95", "p99", "p95-interpolated")
OUTER = ("sum", "max", "min", "avg", "count")
NAMES = (*COUNTERS, *GAUGES, *PERCENTILES, *OTHER_NAMES)
_PERCENTILE = re.compile(r"p(\d{1,3}(?:\.\d{1,6})?)(-interpolated)?", re.ASCII)
_OF_DELTAS = "-of-deltas"
_PRORATED = "prorated-sum"


@dataclass(frozen=True)
class Aggregation:
    """One aggregation: its `function`, whether its quantities are deltas of a level, whether spans are split by time.

    Of two levels, `function` is the inner one, `outer` the outer one, and either `per`, an interval, or `by`, a
    property, says what one inner value is of.
    """

    function: str
    deltas: bool = False
    prorated: bool = False
    outer: str | None = None
    per: str | None = None
    by: str | None = None

    @property
    def name(self) -> str:
        """What a reading calls it."""
        return f"{self.outer}-of-{self.function}" if self.outer else self.function

    @property
    def text(self) -> str:
        """All of it, as records carry it and `parse` reads it."""
        function = _PRORATED if self.prorated else self.function + (_OF_DELTAS if self.deltas else "")
        whole = f"{self.outer}-of-{function}" if self.outer else function
        return whole + (f" per {self.per}" if self.per else "") + (f" by {self.by}" if self.by else "")

    @property
    def inner(self) -> Aggregation:
        """The inner one of two levels."""
        return replace(self, outer=None, per=None, by=None)

    @property
    def is_gauge(self) -> bool:
        """Whether its function sees levels (R14, R19)."""
        return self.function in GAUGES

    @property
    def divides(self) -> bool:
        """Whether it is a sum of level × time, by itself or divided."""
        return self.function in (AVERAGE, KNOWN_AVERAGE, *INTEGRALS)

    @property
    def is_counter(self) -> bool:
        """Whether it is one of COUNTERS, of one level, each record whole."""
        return self.outer is None and self.function in COUNTERS and not self.prorated

    @cached_property
    def percentile(self) -> Percentile | None:
        """The percentile that its outermost function is, if it is one."""
        return percentile_of(self.outer or self.function)


@dataclass(frozen=True)
class Percentile:
    """`parts` of `whole`, both whole numbers: 95 of 100 for p95, 999 of 1000 for p99.9.

    Nearest rank is the smallest value such that at least so many of all are not above it; interpolated is linear
    between the two closest ranks (Hyndman and Fan, Sample quantiles, 1996: definitions 1 and 7).
    """

    parts: int
    whole: int
    interpolated: bool


def percentile_of(name: str) -> Percentile | None:
    """The percentile that a name says: p95, p99.9, p95-interpolated; None for another name."""
    match = _PERCENTILE.fullmatch(name)
    if match is None or not 0 < Decimal(match[1]) <= 100:
        return None
    parts, whole = (Decimal(match[1]) / 100).as_integer_ratio()
    return Percentile(parts, whole, bool(match[2]))


def canonical(name: str, where: str) -> str:
    """The one text of an aggregation: `sum-events` is `sum` (R19), `p95.0` is `p95`.

    Raises: ConfigError, with `where`, when there is no such aggregation.
    """
    return parse(name, where).text


def parse(text: str, where: str) -> Aggregation:
    """An aggregation from its text: `sum`, `p99.9`, `integral-of-deltas`, `sum-of-max per hour`, `sum-of-max by node`.

    Raises: ConfigError, with `where`.
    """
    if not isinstance(text, str):
        raise ConfigError(f"{where}: found {a_kind(text)}; expected the name of an aggregation.")
    match = re.fullmatch(r"(\S+)(?: (per|by) (.+))?", text, re.DOTALL)
    found = match and _parse_name(match[1])
    if not match or not found:
        shown = f'"{text}"' if text else "nothing"
        raise ConfigError(f"{where}: found {shown}; {_expected(text)}")
    made = replace(found, per=match[3] if match[2] == "per" else None, by=match[3] if match[2] == "by" else None)
    if match[2] and made.outer is None:
        raise ConfigError(
            f'{where}: found "{text}"; expected two functions before "{match[2]}". '
            f'hint: "sum-of-max {match[2]} {match[3]}"'
        )
    if made.per is not None:
        parse_interval(made.per, where)
    return made


def _expected(text: str) -> str:
    """What would have been an aggregation, to someone who nearly wrote one."""
    if _PERCENTILE.fullmatch(text):
        return "expected a percentile above 0 and at most 100, such as p99.9."
    outer, of, inner = text.split(" ")[0].partition("-of-")
    if of and _parse_function(inner) is not None:
        return f'expected {", ".join(OUTER)} or a percentile before "-of-". hint: "max-of-{inner} per hour"'
    if of and (outer in OUTER or percentile_of(outer)):
        return f'expected an aggregation behind "-of-". hint: {did_you_mean(inner, NAMES)}'
    return f"expected an aggregation. hint: {did_you_mean(text, NAMES)}"


def check_inner(aggregation: Aggregation, where: str) -> None:
    """Refuse two levels that do not say what one inner value is of.

    Raises: ConfigError, with `where`.
    """
    if aggregation.outer and not (aggregation.per or aggregation.by):
        raise ConfigError(
            f'{where}: found "{aggregation.text}"; expected an inner window or dimension. '
            f'hint: "{aggregation.text} per hour" or "{aggregation.text} by PROPERTY"'
        )


def _parse_name(name: str) -> Aggregation | None:
    one_level = _parse_function(name)
    if one_level is not None:
        return one_level
    outer_name, _, inner_name = name.partition("-of-")
    outer = OTHER_NAMES.get(outer_name, outer_name)
    inner = _parse_function(inner_name)
    if inner is None or not (outer in OUTER or percentile_of(outer)):
        return None
    return replace(inner, outer=_plain(outer))


def _parse_function(name: str) -> Aggregation | None:
    known = OTHER_NAMES.get(name, name)
    if known == _PRORATED:
        return Aggregation("sum", prorated=True)
    base = known.removesuffix(_OF_DELTAS)
    base = OTHER_NAMES.get(base, base)
    if known.endswith(_OF_DELTAS):
        return Aggregation(base, deltas=True) if base in GAUGES else None
    known = base
    return Aggregation(_plain(known)) if known in COUNTERS or known in GAUGES or percentile_of(known) else None


def _plain(name: str) -> str:
    """A percentile without zeros that say nothing."""
    match = _PERCENTILE.fullmatch(name)
    return f"p{Decimal(match[1]).normalize():f}{match[2] or ''}" if match else name
