"""How the time grows with windows: two counters by subject and month, day, hour and minute.

A tenth of the events asked for. Minutes are so many that most have one event, or none.
"""

from __future__ import annotations

from functools import partial

import pyarrow as pa

from benchmarks.contestants import TWO_COUNTERS, bare, by_unit, metered, standard
from benchmarks.events import Shape
from benchmarks.question import Contestant, Dataset, Question

# A window's name → how metering-duck is asked for it, and its microseconds; a month is the whole of the data.
WINDOWS = {
    "month": ("month", 30 * 86_400_000_000),
    "day": ("day", 86_400_000_000),
    "hour": ("hour", 3_600_000_000),
    "minute": ("PT1M", 60_000_000),
}

BARE = """
SELECT
    subject,
    make_timestamp($start_us + place * $window_us) AS window_start,
    tokens::DECIMAL(38, 18) AS "tokens",
    tokens_eu::DECIMAL(38, 18) AS "tokens-eu-west"
FROM (
    SELECT
        subject,
        (epoch_us(time) - $start_us) // $window_us AS place,
        sum(tokens) AS tokens,
        sum(CASE WHEN region = $region THEN tokens END) AS tokens_eu
    FROM (
        SELECT subject, time, properties.tokens::DECIMAL(18, 6) AS tokens, properties.region AS region
        FROM $events
    )
    GROUP BY subject, place
)"""


def metering_duck(dataset: Dataset, every: str) -> pa.Table:
    """All checks on."""
    return metered(dataset, TWO_COUNTERS, every=WINDOWS[every][0])


def bare_query(dataset: Dataset, every: str) -> pa.Table:
    """The same by hand, without checks."""
    return by_unit(bare(BARE, dataset, window_us=WINDOWS[every][1]))


def tenth(events: int) -> Shape:
    """A tenth of the events."""
    return standard(max(1, events // 10))


def contestants(_events: int) -> list[Contestant]:
    """A pair for each length of window, whose answers are equal."""
    return [
        Contestant(f"{name}, by {every}", partial(answer, every=every), group=every)
        for every in WINDOWS
        for name, answer in (("metering-duck", metering_duck), ("bare query", bare_query))
    ]


QUESTION = Question(
    name="growth_windows",
    title="Growth with windows",
    why="Whether short windows cost more than the readings that they give.",
    shape=tenth,
    contestants=contestants,
    notes="A tenth of the events.",
    options={"growth": "answer_rows"},
)
