"""Sums by subject and billing period over a year: each subject's months begin on a day of its own.

Those days are the 1st to the 28th, by the subject's number. The first and the last period are cut where the year
begins and ends. The peers join that table and compute where a period begins: the month of the time less so many days,
and these days more. That holds for days up to the 28th in UTC, and for nothing else; metering-duck makes a table of
all periods, which holds for zones, month ends and changes of plan alike.
"""

from __future__ import annotations

import pyarrow as pa

from benchmarks.contestants import bare, by_unit, clickhouse, collected, decimal, metered, scan, year
from benchmarks.question import Contestant, Dataset, Question

TOKENS = [{"sourceProperty": "tokens", "unit": "tokens", "aggregation": "sum"}]
START, END = "2024-01-01", "2025-01-01"

BARE = """
SELECT
    subject,
    greatest(window_start, TIMESTAMP '2024-01-01') AS window_start,
    tokens::DECIMAL(38, 18) AS "tokens"
FROM (
    SELECT
        subject,
        date_trunc('month', day - days) + to_days(days) AS window_start,
        sum(tokens) AS tokens
    FROM (
        SELECT subject, make_timestamp(day * $day_us)::DATE AS day, sum(tokens) AS tokens
        FROM (
            SELECT subject, epoch_us(time) // $day_us AS day, properties.tokens::DECIMAL(18, 6) AS tokens
            FROM $events
        )
        GROUP BY ALL
    )
    JOIN (SELECT subject, day(anchor::DATE)::INTEGER - 1 AS days FROM subscriptions) USING (subject)
    GROUP BY ALL
)"""

CLICKHOUSE = """
SELECT
    subject,
    toDateTime64(greatest(period, toDate('2024-01-01')), 6, 'UTC') AS window_start,
    tokens AS "tokens"
FROM (
    SELECT subject, addDays(toStartOfMonth(subtractDays(day, days)), days) AS period, sum(day_tokens) AS tokens
    FROM (
        SELECT
            assumeNotNull(subject) AS subject,
            toDate(intDiv(toUnixTimestamp64Micro(assumeNotNull(time)), $day_us)) AS day,
            sum(toDecimal128(assumeNotNull(properties.tokens), 18)) AS day_tokens
        FROM $events
        GROUP BY subject, day
    ) AS days_of_subjects
    INNER JOIN (
        SELECT assumeNotNull(subject) AS subject, toDayOfMonth(toDate(assumeNotNull(anchor))) - 1 AS days
        FROM subscriptions
    ) AS anchors USING (subject)
    GROUP BY subject, period
)"""


def subscriptions(dataset: Dataset) -> pa.Table:
    """A row for each subject: a month from the day that its number gives."""
    numbers = range(dataset.shape.subjects)
    return pa.table(
        {
            "universe": ["production" for _ in numbers],
            "subject": [f"customer:{number:06}" for number in numbers],
            "anchor": [f"2024-01-{number % 28 + 1:02}" for number in numbers],
            "interval": ["month" for _ in numbers],
        }
    )


def metering_duck(dataset: Dataset) -> pa.Table:
    """All checks on."""
    return metered(dataset, TOKENS, subscriptions=subscriptions(dataset), start=START, end=END)


def bare_query(dataset: Dataset) -> pa.Table:
    """Sums of days first: there are fewer of them to join."""
    return by_unit(bare(BARE, dataset, subscriptions=subscriptions(dataset)))


def in_clickhouse(dataset: Dataset) -> pa.Table:
    """Each id once."""
    return by_unit(clickhouse(CLICKHOUSE, dataset, subscriptions=subscriptions(dataset)))


def in_polars(dataset: Dataset) -> pa.Table:
    """Each id once."""
    import polars as pl

    anchors = pl.LazyFrame(subscriptions(dataset)).select(
        "subject", (pl.col("anchor").str.to_date().dt.day() - 1).cast(pl.Int64).alias("days")
    )
    day, days = pl.col("time").dt.date().alias("day"), pl.duration(days="days")
    events = scan(dataset).select("subject", day, decimal("tokens").alias("tokens"))
    by_day = events.group_by("subject", "day").sum().join(anchors, on="subject")
    period = (pl.col("day") - days).dt.truncate("1mo") + days
    window_start = pl.max_horizontal(period, pl.date(2024, 1, 1)).cast(pl.Datetime("us"))
    readings = by_day.group_by("subject", window_start.alias("window_start")).agg(pl.col("tokens").sum())
    return by_unit(collected(readings))


def contestants(_events: int) -> list[Contestant]:
    """All of them give the same answer."""
    return [
        Contestant("metering-duck", metering_duck),
        Contestant("bare query", bare_query),
        Contestant("ClickHouse", in_clickhouse),
        Contestant("Polars", in_polars),
    ]


QUESTION = Question(
    name="billing_periods",
    title="A year of billing periods, each subject with its own",
    why="What windows cost that are not the same for all, over finding them by arithmetic where that can be done.",
    shape=year,
    contestants=contestants,
    notes="ClickHouse and Polars take each id once. Data is in a folder for each day.",
)
