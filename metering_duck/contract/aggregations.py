"""Aggregations as people write them, such as `sum` or `sum-of-max per hour`: their texts are read and written here.

An aggregation of one level is one row of the table in contract/definitions.py. An aggregation of two levels is two
rows: the inner function makes one value of each inner window or inner dimension, and the outer function makes one
value of the inner values.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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

    With two levels, `function` is the inner function and `outer` the outer one. Either `per`, an interval, says how
    long an inner window is, or `by`, a property, says which dimension has one inner value for each of its values.
    """

    function: str
    deltas: bool = False
    prorated: bool = False
    outer: str | None = None
    per: str | None = None
    by: str | None = None

    @property
    def name(self) -> str:
        """The name of the aggregation in readings, without its inner window or dimension."""
        return f"{self.outer}-of-{self.function}" if self.outer else self.function

    @property
    def keyed(self) -> str:
        """The name with its inner window or dimension, as far as it tells one reading from another (R21)."""
        if self.outer and self.per:
            return f"{self.name} per {self.per}"
        if self.outer and self.by:
            return f"{self.name} by {self.by}"
        return self.name

    @property
    def text(self) -> str:
        """The whole text of the aggregation, as records carry it and `parse` reads it."""
        return self.text_with()

    def text_with(self, *, per: Callable[[str], str] = str, by: Callable[[str], str] = str) -> str:
        """The whole text, its inner window and its inner dimension as `per` and `by` write them."""
        function = self.function
        if self.prorated:
            function = self.definition.prorated_name
        elif self.deltas:
            function += _OF_DELTAS
        whole = f"{self.outer}-of-{function}" if self.outer else function
        if self.per:
            whole += f" per {per(self.per)}"
        if self.by:
            whole += f" by {by(self.by)}"
        return whole

    @property
    def inner(self) -> Aggregation:
        """The inner function of two levels, as an aggregation of one level."""
        return replace(self, outer=None, per=None, by=None)

    @cached_property
    def definition(self) -> Definition:
        """The table's row of `function`, which is the inner function where there are two levels."""
        return definition_of(self.function)

    @cached_property
    def outermost(self) -> Definition:
        """The table's row of the function that gives the value of a reading: the outer function where there are two."""
        return definition_of(self.outer or self.function)

    @property
    def is_gauge(self) -> bool:
        """Whether `function` sees levels (R14, R19)."""
        return self.definition.kind == "gauge"

    @property
    def is_counter(self) -> bool:
        """Whether it is a counter of one level that counts each record whole, not split by time."""
        return self.outer is None and self.definition.kind == "counter" and not self.prorated

    @property
    def percentile(self) -> Percentile | None:
        """The percentile that gives the value of a reading; None where another function gives it."""
        return percentile_of(self.outermost.name)


def canonical(name: str, where: str) -> str:
    """The text of an aggregation in its one spelling: `sum-events` is `sum` (R19), `p95.0` is `p95`.

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
    found = _parse_name(match[1]) if match else None
    if match is None or found is None:
        shown = f'"{text}"' if text else "nothing"
        raise ConfigError(f"{where}: found {shown}; {_expected(text)}")
    _, word, inner = match.groups()
    if word is None:
        return found
    if found.outer is None:
        raise ConfigError(
            f'{where}: found "{text}"; expected two functions before "{word}". hint: "sum-of-max {word} {inner}"'
        )
    if word == "by":
        return replace(found, by=inner)
    parse_interval(inner, where)
    return replace(found, per=inner)


def _expected(text: str) -> str:
    """What a message says was expected in place of a text, by the aggregation that the text nearly is."""
    if looks_like_percentile(text):
        return "expected a percentile above 0 and at most 100, such as p99.9."
    outer, of, inner = text.split(" ")[0].partition("-of-")
    if of and _parse_function(inner) is not None:
        return f'expected {", ".join(OUTER)} or a percentile before "-of-". hint: "max-of-{inner} per hour"'
    if of and (outer in OUTER or percentile_of(outer)):
        return f'expected an aggregation behind "-of-". hint: {did_you_mean(inner, NAMES)}'
    return f"expected an aggregation. hint: {did_you_mean(text, NAMES)}"


def check_inner(aggregation: Aggregation, where: str) -> None:
    """Refuse an aggregation of two levels that has neither an inner window nor an inner dimension.

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
    if of_deltas and function in GAUGES:
        return Aggregation(function, deltas=True)
    if of_deltas:
        return None
    if function in DEFINITIONS or percentile_of(function):
        return Aggregation(plain_name(function))
    return None
