"""Two counters by subject and day, the second one of a region only: the plain case, and the one that has to be fast.

All events are clean, but only the bare query knows that. metering-duck checks every text, sees to it that no id
counts twice and accounts for every event; ClickHouse and Polars take each id once and check nothing.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa

from benchmarks.contestants import (
    KEY,
    REGION,
    TWO_COUNTERS,
    bare,
    by_unit,
    clickhouse,
    collected,
    day,
    decimal,
    metered,
    midnight,
    prop,
    rows,
    scan,
    standard,
    sums_table,
)
from benchmarks.question import Contestant, Dataset, Question, Target

if TYPE_CHECKING:
    import polars as pl

# A day is a number until the end: grouping by an integer is faster than by a time. Tokens have 18 digits at most, 6 of
# them behind the point, and are added as integers.
BARE = """
SELECT
    subject,
    make_timestamp(day * $day_us) AS window_start,
    tokens::DECIMAL(38, 18) AS "tokens",
    tokens_eu::DECIMAL(38, 18) AS "tokens-eu-west"
FROM (
    SELECT
        subject,
        epoch_us(time) // $day_us AS day,
        sum(tokens) AS tokens,
        sum(CASE WHEN region = $region THEN tokens END) AS tokens_eu
    FROM (
        SELECT subject, time, properties.tokens::DECIMAL(18, 6) AS tokens, properties.region AS region
        FROM $events
    )
    GROUP BY subject, day
)"""

# Decimal128 is read from text faster than Decimal64.
CLICKHOUSE = """
SELECT
    subject,
    fromUnixTimestamp64Micro(day * $day_us, 'UTC') AS window_start,
    tokens AS "tokens",
    tokens_eu AS "tokens-eu-west"
FROM (
    SELECT
        assumeNotNull(subject) AS subject,
        intDiv(toUnixTimestamp64Micro(assumeNotNull(time)), $day_us) AS day,
        sum(toDecimal128(assumeNotNull(properties.tokens), 18)) AS tokens,
        sumOrNullIf(toDecimal128(assumeNotNull(properties.tokens), 18), properties.region = $region) AS tokens_eu
    FROM $events
    GROUP BY subject, day
)"""


def metering_duck(dataset: Dataset) -> pa.Table:
    """All checks on."""
    return metered(dataset, TWO_COUNTERS, every="day")


def metering_duck_unique(dataset: Dataset) -> pa.Table:
    """The source promises that no id comes twice; all other checks on."""
    return metered(dataset, TWO_COUNTERS, every="day", assume_unique=True)


def bare_query(dataset: Dataset) -> pa.Table:
    """No check, no id looked at."""
    return by_unit(bare(BARE, dataset))


def in_clickhouse(dataset: Dataset, *, once: bool = True) -> pa.Table:
    """Each id once, unless it is said otherwise."""
    return by_unit(clickhouse(CLICKHOUSE, dataset, once=once))


def in_polars(dataset: Dataset, *, once: bool = True) -> pa.Table:
    """Each id once, unless it is said otherwise."""
    return by_unit(collected(polars_counters(scan(dataset, once=once))))


def polars_counters(events: pl.LazyFrame) -> pl.LazyFrame:
    """Polars says 0 of no rows, but no record is no reading."""
    import polars as pl

    tokens, eu = pl.col("tokens"), pl.col("tokens-eu-west")
    projected = events.select(
        "subject", day().alias("window_start"), decimal("tokens").alias("tokens"), prop("region").alias("region")
    )
    counters = projected.with_columns(pl.when(pl.col("region") == REGION).then(tokens).alias("tokens-eu-west"))
    sums = (tokens.sum(), pl.when(eu.count() > 0).then(eu.sum()).alias("tokens-eu-west"))
    return counters.group_by("subject", "window_start").agg(*sums)


def in_python(dataset: Dataset) -> pa.Table:
    """Row by row, with a set of the keys that were seen."""
    seen: set[tuple[str, ...]] = set()
    sums: dict[tuple[str, datetime, str], Decimal] = {}
    for event in rows(dataset, [*KEY, "subject", "time", "properties.tokens", "properties.region"]):
        key = tuple(event[name] for name in KEY)
        if key in seen:
            continue
        seen.add(key)
        properties, window = event["properties"], midnight(event["time"])
        tokens = Decimal(properties["tokens"])
        for unit in ("tokens", "tokens-eu-west") if properties["region"] == REGION else ("tokens",):
            where = (event["subject"], window, unit)
            sums[where] = sums.get(where, Decimal(0)) + tokens
    return sums_table(sums)


def contestants(_events: int) -> list[Contestant]:
    """All of them give the same answer."""
    return [
        Contestant("metering-duck", metering_duck),
        Contestant("metering-duck, unique", metering_duck_unique),
        Contestant("bare query", bare_query),
        Contestant("ClickHouse", in_clickhouse),
        Contestant("ClickHouse, no deduplication", lambda dataset: in_clickhouse(dataset, once=False)),
        Contestant("Polars", in_polars),
        Contestant("Polars, no deduplication", lambda dataset: in_polars(dataset, once=False)),
        Contestant("plain Python", in_python, rounds_max=1, events_max=10_000_000),
    ]


QUESTION = Question(
    name="counters_by_subject_day",
    title="Two counters by subject and day",
    why="What checking, deduplicating and accounting cost over the fastest query that does none of it.",
    shape=standard,
    contestants=contestants,
    targets=(
        Target("metering-duck", ("bare query",), 2.0),
        Target("metering-duck, unique", ("bare query",), 1.3),
        Target("metering-duck", ("ClickHouse", "Polars"), 0.7),
        Target("metering-duck", ("plain Python",), 0.03),
    ),
    notes="ClickHouse and Polars take each id once, in the fastest way of those tried, and do not check texts.",
)
