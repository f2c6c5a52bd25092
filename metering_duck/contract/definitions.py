"""The table of aggregations: each row says its name, what it sees and keeps, its divisor, and what it answers.

Whatever tells aggregations apart reads this table: their names in configs and on the command line, the scan of the
events, the merge of what several tasks scanned, the levels of gauges, roll-ups, traces, messages and the documents. A
new aggregation of states that are kept already is one more row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from string import Formatter
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

# A counter looks at the records inside a window (R12). A gauge looks at levels, each held until the next, and so also
# at the record before the window (R14, R19). A percentile ranks the records of a window.
Kind = Literal["counter", "gauge", "percentile"]
SEES: dict[Kind, str] = {
    "counter": "records in the window",
    "percentile": "records in the window",
    "gauge": "the carried level too",
}
# What a value can be divided by: the number of its records, the length of its window, the part of the window for which
# a level is known, or a number of microseconds.
Divisor = Literal["records", "window", "known-time"] | int


@dataclass(frozen=True)
class Definition:
    """One aggregation.

    `value` is SQL over the states that a reading is made of, each state named in braces: `{sum}`, `{count}`,
    `{greatest}`, `{least}`, `{last}` and `{first}` in the order of R13, `{texts}`, the different texts, `{level_time}`,
    Σ level × microseconds, and `{values}`, all values. readings/counters.py has the SQL of each state of a counter,
    readings/gauges.py of each state of a gauge. `refusal` says why readings do not combine in a roll-up, which keeps
    one state of each reading; where it is empty, they combine. `prorated_name` is the name of the aggregation where
    spans are split by time, `known_name` the aggregation that divides the same value by the known time.
    """

    name: str
    kind: Kind
    answers: str
    value: str
    divided_by: Divisor | None = None
    other_name: str = ""
    refusal: str = ""
    prorated_name: str = ""
    known_name: str = ""

    def __post_init__(self) -> None:
        if len(self.keeps) != 1 and not self.refusal:
            raise ValueError(
                f"{self.name}: found the states {', '.join(self.keeps)}; expected one, which a reading keeps. "
                "hint: a refusal, which says why readings of it do not combine in a roll-up"
            )

    @property
    def sees(self) -> str:
        """What the aggregation looks at, in words."""
        return SEES[self.kind]

    @cached_property
    def keeps(self) -> tuple[str, ...]:
        """The states that a reading is made of, each once."""
        named = [name for _, name, _, _ in Formatter().parse(self.value) if name]
        return tuple(dict.fromkeys(named))

    def value_sql(self, states: Mapping[str, str]) -> str:
        """SQL for the value before it is divided, from the SQL of each state."""
        return self.value.format_map(states)

    @property
    def is_whole(self) -> bool:
        """Whether the value is a number of things, and has no fraction digits whatever the quantities have."""
        return set(self.keeps) <= {"count", "texts"}

    @property
    def needs_property(self) -> bool:
        """Whether the value is of a property of the events, and not just of how many there are."""
        return self.keeps != ("count",)

    @property
    def takes_texts(self) -> bool:
        """Whether the aggregation counts different texts, and takes no text as a quantity."""
        return "texts" in self.keeps

    @property
    def weighs(self) -> bool:
        """Whether the value is a sum of level × time, by itself or divided."""
        return "level_time" in self.keeps


_LOST_VALUES = "whose values a reading does not keep"
_LOST_TEXTS = "of texts that may occur in several windows"
ALL = (
    Definition("sum", "counter", "how much in total", "{sum}", other_name="sum-events", prorated_name="prorated-sum"),
    Definition("max", "counter", "the largest single record", "{greatest}", other_name="max-event"),
    Definition("min", "counter", "the smallest single record", "{least}", other_name="min-event"),
    Definition("latest", "counter", "the last record", "{last}", other_name="latest-event"),
    Definition("first", "counter", "the first record", "{first}"),
    Definition("count", "counter", "how many records", "{count}"),
    Definition("avg", "counter", "the average record", "{sum}", "records"),
    Definition(
        "unique-count",
        "counter",
        "how many different texts of the source property",
        "{texts}",
        refusal=_LOST_TEXTS,
    ),
    Definition("p50", "percentile", "the 50th percentile, a value that was sent", "{values}", refusal=_LOST_VALUES),
    Definition("p90", "percentile", "the 90th percentile", "{values}", refusal=_LOST_VALUES),
    Definition("p95", "percentile", "the 95th percentile", "{values}", refusal=_LOST_VALUES),
    Definition(
        "p99",
        "percentile",
        "the 99th percentile; any other from `p0.000001` to `p100` can be asked for too",
        "{values}",
        refusal=_LOST_VALUES,
    ),
    Definition(
        "p95-interpolated",
        "percentile",
        "the 95th percentile, between two values if need be; any other too",
        "{values}",
        refusal=_LOST_VALUES,
    ),
    Definition(
        "time-weighted-avg",
        "gauge",
        "the average level over the whole window",
        "{level_time}",
        "window",
        known_name="time-weighted-avg-known",
    ),
    Definition(
        "time-weighted-avg-known",
        "gauge",
        "the average level over the time for which there is one",
        "{level_time}",
        "known-time",
    ),
    Definition("peak-state", "gauge", "the highest level that held in the window", "{greatest}"),
    Definition("min-state", "gauge", "the lowest level that held in the window", "{least}"),
    Definition("final-state", "gauge", "the level at the window's end", "{last}"),
    Definition(
        "integral",
        "gauge",
        "level × seconds, added",
        "{level_time}",
        1_000_000,
        other_name="integral-seconds",
    ),
    Definition("integral-hours", "gauge", "level × hours, added", "{level_time}", 3_600_000_000),
)
DEFINITIONS = {definition.name: definition for definition in ALL}
MEDIAN = "median"


def _names(kind: Kind) -> tuple[str, ...]:
    return tuple(definition.name for definition in ALL if definition.kind == kind)


COUNTERS, GAUGES, PERCENTILES = _names("counter"), _names("gauge"), _names("percentile")
OTHER_NAMES = {definition.other_name: definition.name for definition in ALL if definition.other_name}
OTHER_NAMES |= {MEDIAN: "p50-interpolated"}
PRORATED_NAMES = {definition.prorated_name: definition.name for definition in ALL if definition.prorated_name}
# The functions that may be the outer one of two levels, as messages list them; a percentile may be the outer one, too.
OUTER = ("sum", "max", "min", "avg", "count")
NAMES = (*COUNTERS, *GAUGES, *PERCENTILES, *OTHER_NAMES)
_PERCENTILE = re.compile(r"p(\d{1,3}(?:\.\d{1,6})?)(-interpolated)?", re.ASCII)


@dataclass(frozen=True)
class Percentile:
    """`parts` of `whole`, both whole numbers: 95 of 100 for p95, 999 of 1000 for p99.9.

    Nearest rank is the smallest value such that at least this part of all values is not above it; interpolated is
    linear between the two closest ranks (Hyndman and Fan, Sample quantiles, 1996: definitions 1 and 7).
    """

    parts: int
    whole: int
    interpolated: bool


def definition_of(name: str) -> Definition:
    """The row of an aggregation by its own name; for a percentile that the table does not list, a new row.

    Raises: KeyError for a name that no aggregation has.
    """
    percentile = percentile_of(name)
    if name in DEFINITIONS or percentile is None:
        return DEFINITIONS[name]
    kind = "between two values if need be" if percentile.interpolated else "a value that was sent"
    number = name.removesuffix("-interpolated").removeprefix("p")
    return Definition(name, "percentile", f"percentile {number}, {kind}", "{values}", refusal=_LOST_VALUES)


def percentile_of(name: str) -> Percentile | None:
    """The percentile that a name says: p95, p99.9, p95-interpolated; None for another name."""
    match = _PERCENTILE.fullmatch(name)
    if match is None or not 0 < Decimal(match[1]) <= 100:
        return None
    parts, whole = (Decimal(match[1]) / 100).as_integer_ratio()
    return Percentile(parts, whole, bool(match[2]))


def looks_like_percentile(name: str) -> bool:
    """Whether a name is spelled like a percentile, whatever its number."""
    return _PERCENTILE.fullmatch(name) is not None


def plain_name(name: str) -> str:
    """A percentile's name without zeros that say nothing: `p95.0` is `p95`. Any other name as it is."""
    match = _PERCENTILE.fullmatch(name)
    if match is None:
        return name
    return f"p{Decimal(match[1]).normalize():f}{match[2] or ''}"
