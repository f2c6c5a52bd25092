"""Ten counters by subject and day: sums, largest ones and counts, most of them of one region or model, or of both.

Ten measurements are ten columns of one pass, not ten passes. Clean data; ClickHouse and Polars take each id once.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from benchmarks.contestants import bare, by_unit, clickhouse, collected, day, decimal, metered, prop, scan, standard
from benchmarks.question import Contestant, Dataset, Question


def measurement(unit: str, source: str, aggregation: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    """An entry of the config, with a filter of all conditions if there are any."""
    entry: dict[str, Any] = {"sourceProperty": source, "unit": unit, "aggregation": aggregation}
    return {**entry, "filter": {"and": list(conditions)}} if conditions else entry


EU_WEST = {"property": "region", "equals": "eu-west"}
EUROPE = {"property": "region", "in": ["eu-west", "eu-central"]}
US_EAST = {"property": "region", "equals": "us-east"}
LARGE = {"property": "model", "equals": "large"}
VISION = {"property": "model", "equals": "large-vision"}
MINI = {"property": "model", "equals": "mini"}
SMALL = {"property": "model", "in": ["small", "small-code"]}
NOT_NANO = {"property": "model", "notEquals": "nano"}

MEASUREMENTS = [
    measurement("tokens", "tokens", "sum"),
    measurement("tokens-eu-west", "tokens", "sum", EU_WEST),
    measurement("tokens-us-east-large", "tokens", "sum", US_EAST, LARGE),
    measurement("tokens-not-nano", "tokens", "sum", NOT_NANO),
    measurement("cost", "cost", "sum"),
    measurement("cost-europe-mini", "cost", "sum", EUROPE, MINI),
    measurement("largest", "tokens", "max"),
    measurement("largest-vision", "tokens", "max", VISION),
    measurement("calls-large", "tokens", "count", LARGE),
    measurement("calls-europe-small", "tokens", "count", EUROPE, SMALL),
]

# Tokens have 6 fraction digits at most, costs 4; both are added as integers. A count of nothing is no reading.
BARE = """
SELECT subject, make_timestamp(day * $day_us) AS window_start, * EXCLUDE (subject, day)
FROM (
    SELECT
        subject,
        epoch_us(time) // $day_us AS day,
        sum(tokens) AS "tokens",
        sum(CASE WHEN region = 'eu-west' THEN tokens END) AS "tokens-eu-west",
        sum(CASE WHEN region = 'us-east' AND model = 'large' THEN tokens END) AS "tokens-us-east-large",
        sum(CASE WHEN model <> 'nano' THEN tokens END) AS "tokens-not-nano",
        sum(cost) AS "cost",
        sum(CASE WHEN region IN ('eu-west', 'eu-central') AND model = 'mini' THEN cost END) AS "cost-europe-mini",
        max(tokens) AS "largest",
        max(CASE WHEN model = 'large-vision' THEN tokens END) AS "largest-vision",
        nullif(count(CASE WHEN model = 'large' THEN 1 END), 0) AS "calls-large",
        nullif(count(
            CASE WHEN region IN ('eu-west', 'eu-central') AND model IN ('small', 'small-code') THEN 1 END
        ), 0) AS "calls-europe-small"
    FROM (
        SELECT
            subject,
            time,
            properties.tokens::DECIMAL(18, 6) AS tokens,
            properties.cost::DECIMAL(18, 4) AS cost,
            properties.region AS region,
            properties.model AS model
        FROM $events
    )
    GROUP BY subject, day
)"""

# A column may not have the name of an aggregate of it: used is tokens, paid is cost.
CLICKHOUSE = """
SELECT subject, fromUnixTimestamp64Micro(day * $day_us, 'UTC') AS window_start, * EXCEPT (subject, day)
FROM (
    SELECT
        subject,
        intDiv(time_us, $day_us) AS day,
        sum(used) AS "tokens",
        sumOrNullIf(used, region = 'eu-west') AS "tokens-eu-west",
        sumOrNullIf(used, region = 'us-east' AND model = 'large') AS "tokens-us-east-large",
        sumOrNullIf(used, model <> 'nano') AS "tokens-not-nano",
        sum(paid) AS "cost",
        sumOrNullIf(paid, region IN ('eu-west', 'eu-central') AND model = 'mini') AS "cost-europe-mini",
        max(used) AS "largest",
        maxOrNullIf(used, model = 'large-vision') AS "largest-vision",
        nullIf(countIf(model = 'large'), 0) AS "calls-large",
        nullIf(countIf(region IN ('eu-west', 'eu-central') AND model IN ('small', 'small-code')), 0)
            AS "calls-europe-small"
    FROM (
        SELECT
            assumeNotNull(subject) AS subject,
            toUnixTimestamp64Micro(assumeNotNull(time)) AS time_us,
            toDecimal128(assumeNotNull(properties.tokens), 18) AS used,
            toDecimal128(assumeNotNull(properties.cost), 18) AS paid,
            assumeNotNull(properties.region) AS region,
            assumeNotNull(properties.model) AS model
        FROM $events
    )
    GROUP BY subject, day
)"""


def metering_duck(dataset: Dataset) -> pa.Table:
    """All checks on."""
    return metered(dataset, MEASUREMENTS, every="day")


def bare_query(dataset: Dataset) -> pa.Table:
    """No check, no id looked at."""
    return by_unit(bare(BARE, dataset))


def in_clickhouse(dataset: Dataset) -> pa.Table:
    """Each id once."""
    return by_unit(clickhouse(CLICKHOUSE, dataset))


def in_polars(dataset: Dataset) -> pa.Table:
    """Each id once."""
    import polars as pl

    tokens, cost = decimal("tokens").alias("tokens"), decimal("cost").alias("cost")
    texts = [prop(name).alias(name) for name in ("region", "model")]
    events = scan(dataset).select("subject", day().alias("window_start"), tokens, cost, *texts)
    region, model = pl.col("region"), pl.col("model")
    europe = region.is_in(["eu-west", "eu-central"])
    readings = events.group_by("subject", "window_start").agg(
        pl.col("tokens").sum(),
        _sum("tokens", region == "eu-west").alias("tokens-eu-west"),
        _sum("tokens", (region == "us-east") & (model == "large")).alias("tokens-us-east-large"),
        _sum("tokens", model != "nano").alias("tokens-not-nano"),
        pl.col("cost").sum(),
        _sum("cost", europe & (model == "mini")).alias("cost-europe-mini"),
        pl.col("tokens").max().alias("largest"),
        pl.col("tokens").filter(model == "large-vision").max().alias("largest-vision"),
        _count(model == "large").alias("calls-large"),
        _count(europe & model.is_in(["small", "small-code"])).alias("calls-europe-small"),
    )
    return by_unit(collected(readings))


def _sum(name: str, condition: Any) -> Any:
    """The sum where the condition holds; Polars says 0 of no rows, but no record is no reading."""
    import polars as pl

    return pl.when(condition.any()).then(pl.col(name).filter(condition).sum())


def _count(condition: Any) -> Any:
    import polars as pl

    return pl.when(condition.any()).then(condition.sum())


def contestants(_events: int) -> list[Contestant]:
    """All of them give the same answer."""
    return [
        Contestant("metering-duck", metering_duck),
        Contestant("bare query", bare_query),
        Contestant("ClickHouse", in_clickhouse),
        Contestant("Polars", in_polars),
    ]


QUESTION = Question(
    name="conditional_counters",
    title="Ten counters with filters, by subject and day",
    why="What a config of many measurements costs: each filter and each text is checked for every event.",
    shape=standard,
    contestants=contestants,
    notes="ClickHouse and Polars take each id once and do not check texts.",
)
