"""The time-weighted average of seats by subject and hour: 720 windows where there was one, so levels are cut at hours.

A level that holds for five hours is in six windows at most. An answer is the exact numerator, Σ level × microseconds.
An hour before a subject's first level has no reading; every hour from then on has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pyarrow as pa

from benchmarks.contestants import (
    END_US,
    HOUR_US,
    NO_TIES,
    ORDER,
    SEATS,
    TIES,
    bare,
    clickhouse,
    collected,
    finished,
    metered,
    prop,
    scan,
    standard,
)
from benchmarks.question import Contestant, Dataset, Question, Target
from benchmarks.questions.time_weighted_by_month import COLUMNS, SUBJECTS

# Most levels end in the hour they begin in: only those that do not are unnested.
BARE = (
    SUBJECTS
    + """
WITH spans AS MATERIALIZED (
    SELECT
        subject_key,
        level,
        time_us,
        time_us // $hour_us AS hour,
        coalesce(lead(time_us) OVER (PARTITION BY subject_key ORDER BY time_us), $end_us) AS next_us
    FROM (
        SELECT subject_key, epoch_us(time) AS time_us, properties.seats::BIGINT AS level
        FROM $events
        JOIN subjects USING (subject)
    )
),
pieces AS (
    SELECT subject_key, hour, level * (least(next_us, (hour + 1) * $hour_us) - time_us) AS part
    FROM spans
    UNION ALL
    SELECT subject_key, hour, level * (least(next_us, (hour + 1) * $hour_us) - hour * $hour_us) AS part
    FROM (
        SELECT subject_key, level, next_us, unnest(range(hour + 1, (next_us - 1) // $hour_us + 1)) AS hour
        FROM spans
        WHERE next_us > (hour + 1) * $hour_us
    )
)
SELECT subject, make_timestamp(hour * $hour_us) AS window_start, numerator::VARCHAR AS numerator
FROM (SELECT subject_key, hour, sum(part) AS numerator FROM pieces GROUP BY subject_key, hour)
JOIN subjects USING (subject_key)"""
)

CLICKHOUSE = """
SELECT subject, fromUnixTimestamp64Micro(hour * $hour_us, 'UTC') AS window_start, toString(numerator) AS numerator
FROM (
    SELECT
        subject,
        hour,
        sum(toInt128(event.$level) * (least(next_us, (hour + 1) * $hour_us) - greatest(event.1, hour * $hour_us)))
            AS numerator
    FROM (
        SELECT subject, event, next_us
        FROM (
            SELECT
                subject,
                arraySort(groupArray(($order, level))) AS events,
                arrayPushBack(arrayPopFront(arrayMap(event -> event.1, events)), toInt64($end_us)) AS nexts_us
            FROM (
                SELECT
                    assumeNotNull(subject) AS subject,
                    toUnixTimestamp64Micro(assumeNotNull(time)) AS time_us,
                    assumeNotNull(metered_at) AS metered_at,
                    assumeNotNull(id) AS id,
                    toInt64(assumeNotNull(properties.seats)) AS level
                FROM $events
            )
            GROUP BY subject
        )
        ARRAY JOIN events AS event, nexts_us AS next_us
    )
    ARRAY JOIN range(intDiv(event.1, $hour_us), intDiv(next_us - 1, $hour_us) + 1) AS hour
    GROUP BY subject, hour
)"""


def metering_duck(dataset: Dataset) -> pa.Table:
    """All checks on."""
    return metered(dataset, SEATS, COLUMNS, every="hour")


def by_month(dataset: Dataset) -> pa.Table:
    """The same events in one window, to compare with."""
    return metered(dataset, SEATS, COLUMNS)


def bare_query(dataset: Dataset) -> pa.Table:
    """LEAD over one integer key, by hand; no id read, for no moment comes twice."""
    return finished(bare(BARE, dataset))


def in_clickhouse(dataset: Dataset, order: Sequence[str] = ORDER) -> pa.Table:
    """Each id once."""
    return finished(clickhouse(CLICKHOUSE, dataset, order=", ".join(order), level=len(order) + 1))


def in_polars(dataset: Dataset, order: Sequence[str] = ORDER) -> pa.Table:
    """Each id once."""
    import polars as pl

    events = scan(dataset).select(
        "subject",
        "id",
        "metered_at",
        pl.col("time").dt.epoch("us").alias("time_us"),
        prop("seats").cast(pl.Int64).alias("level"),
    )
    time_us, hour, next_us = pl.col("time_us"), pl.col("hour"), pl.col("next_us")
    spans = events.group_by("subject").agg(
        pl.col("level").sort_by(order),
        time_us.sort(),
        time_us.sort().shift(-1, fill_value=END_US).alias("next_us"),
    )
    hours = pl.int_ranges(time_us // HOUR_US, (next_us - 1) // HOUR_US + 1).alias("hour")
    pieces = spans.explode("level", "time_us", "next_us").with_columns(hours).explode("hour")
    held_us = pl.min_horizontal(next_us, (hour + 1) * HOUR_US) - pl.max_horizontal(time_us, hour * HOUR_US)
    numerator = (pl.col("level").cast(pl.Int128) * held_us).sum()
    readings = pieces.group_by("subject", "hour").agg(numerator.cast(pl.String).alias("numerator"))
    return finished(collected(readings.with_columns((hour * HOUR_US).cast(pl.Datetime("us")).alias("window_start"))))


def contestants(_events: int) -> list[Contestant]:
    """All give the same answer, but for the month."""
    return [
        Contestant("metering-duck", metering_duck),
        Contestant("metering-duck, by month", by_month, group=None),
        Contestant("bare query", bare_query),
        Contestant("ClickHouse", in_clickhouse),
        Contestant("ClickHouse, no ties", partial(in_clickhouse, order=NO_TIES)),
        Contestant("Polars", in_polars),
        Contestant("Polars, no ties", partial(in_polars, order=NO_TIES)),
    ]


QUESTION = Question(
    name="time_weighted_by_hour",
    title="Time-weighted average of a gauge, by subject and hour",
    why="What 720 times the windows cost, when every level has to be cut where hours begin.",
    shape=standard,
    contestants=contestants,
    targets=(Target("metering-duck", ("metering-duck, by month",), 2.5),),
    notes="Answers are exact numerators, Σ level × microseconds. ClickHouse and Polars take each id once. All but "
    "metering-duck know that levels are whole numbers and multiply integers. " + TIES,
)
