"""Aggregations as people write them: the text that says one whole, and what it says.

An aggregation is one row of the table in contract/definitions.py, or two of them. Of two levels, the inner function
makes one value of each inner window or inner dimension, the outer function one value of those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property

from metering_duck.contract.definitions import (
    DEFINITIONS,
    GAUGES,
    NAMES,
    OTHER_NAMES,
    OUTER,
    PRORATED_NAMES,
    Definition,
    Percentile,
    definition_of,
    looks_like_percentile,
    percentile_of,
    plain_name,
)
from metering_duck.contract.intervals import parse_interval
from metering_duck.errors import ConfigError, a_kind, did_you_mean

_OF_DELTAS = "-of-deltas"


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
        if self.prorated:
            function = self.definition.prorated_name
        else:
            function = self.function + (_OF_DELTAS if self.deltas else "")
        whole = f"{self.outer}-of-{function}" if self.outer else function
        if self.per:
            whole += f" per {self.per}"
        if self.by:
            whole += f" by {self.by}"
        return whole

    @property
    def inner(self) -> Aggregation:
        """The inner one of two levels."""
        return replace(self, outer=None, per=None, by=None)

    @cached_property
    def definition(self) -> Definition:
        """The row of its function, of two levels the inner one's."""
        return definition_of(self.function)

    @cached_property
    def outermost(self) -> Definition:
        """The row of the function that gives its value: of two levels the outer one's."""
        return definition_of(self.outer or self.function)

    @property
    def is_gauge(self) -> bool:
        """Whether its function sees levels (R14, R19)."""
        return self.definition.kind == "gauge"

    @property
    def is_counter(self) -> bool:
        """Whether it is a counter of one level, each record whole."""
        return self.outer is None and self.definition.kind == "counter" and not self.prorated

    @property
    def percentile(self) -> Percentile | None:
        """The percentile that gives its value, if one does."""
        return percentile_of(self.outermost.name)


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
    if looks_like_percentile(text):
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
    """An aggregation of one level or of two, from the part of its text before `per` and `by`."""
    one_level = _parse_function(name)
    if one_level is not None:
        return one_level
    outer_name, _, inner_name = name.partition("-of-")
    outer = OTHER_NAMES.get(outer_name, outer_name)
    inner = _parse_function(inner_name)
    if inner is None or not (outer in OUTER or percentile_of(outer)):
        return None
    return replace(inner, outer=plain_name(outer))


def _parse_function(name: str) -> Aggregation | None:
    """One function: an aggregation's own name or another name of it, of deltas, or of split spans."""
    if name in PRORATED_NAMES:
        return Aggregation(PRORATED_NAMES[name], prorated=True)
    of_deltas = name.endswith(_OF_DELTAS)
    base = name.removesuffix(_OF_DELTAS)
    function = OTHER_NAMES.get(base, base)
    if of_deltas:
        return Aggregation(function, deltas=True) if function in GAUGES else None
    if function in DEFINITIONS or percentile_of(function):
        return Aggregation(plain_name(function))
    return None
