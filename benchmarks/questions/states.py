"""The highest, the lowest and the last level of seats that held in each day, by subject.

Unlike the largest record of a day, the highest level may have been set the day before and carried in; and a day
without an event has the level that was carried. No two events of a subject are at the same moment in this data, or
else the one that entered last has the level.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pyarrow as pa

from benchmarks.contestants import (
    DAY_US,
    END_US,
    NO_TIES,
    ORDER,
    TIES,
    bare,
    by_unit,
    clickhouse,
    collected,
    metered,
    prop,
    scan,
    standard,
)
from benchmarks.question import Contestant, Dataset, Question

MEASUREMENTS = [
    {"sourceProperty": "seats", "unit": "peak", "aggregation": "peak-state"},
    {"sourceProperty": "seats", "unit": "lowest", "aggregation": "min-state"},
    {"sourceProperty": "seats", "unit": "final", "aggregation": "final-state"},
]

# No event has to be sorted: a day's last level is all that the next day needs. A level that is replaced at midnight
# does not hold in the day that begins then.
BARE = """
WITH cells AS (
    SELECT
        subject,
        epoch_us(time) // $day_us AS day,
        max(level) AS highest,
        min(level) AS lowest,
        arg_max(level, time) AS last,
        min(time) AS first_at
    FROM (SELECT subject, time, properties.seats::INTEGER AS level FROM $events)
    GROUP BY subject, day
),
carried AS (
    SELECT
        subject,
        day,
        highest,
        lowest,
        last,
        CASE WHEN epoch_us(first_at) > day * $day_us THEN lag(last) OVER by_day END AS before,
        lead(day, 1, $end_us // $day_us) OVER by_day AS next_day
    FROM cells
    WINDOW by_day AS (PARTITION BY subject ORDER BY day)
)
SELECT subject, make_timestamp(day * $day_us) AS window_start, "peak", "lowest", "final"
FROM (
    SELECT subject, day, greatest(highest, before) AS "peak", least(lowest, before) AS "lowest", last AS "final"
    FROM carried
    UNION ALL
    SELECT subject, unnest(range(day + 1, next_day)) AS day, last, last, last
    FROM carried
    WHERE next_day > day + 1
)"""

CLICKHOUSE = """
WITH cells AS (
    SELECT
        subject,
        intDiv(time_us, $day_us) AS day,
        max(level) AS highest,
        min(level) AS lowest,
        argMax(level, ($order)) AS last,
        min(time_us) AS first_us
    FROM (
        SELECT
            assumeNotNull(subject) AS subject,
            toUnixTimestamp64Micro(assumeNotNull(time)) AS time_us,
            assumeNotNull(metered_at) AS metered_at,
            assumeNotNull(id) AS id,
            toInt32(assumeNotNull(properties.seats)) AS level
        FROM $events
    )
    GROUP BY subject, day
),
carried AS (
    SELECT
        subject,
        day,
        highest,
        lowest,
        last,
        first_us,
        lagInFrame(toNullable(last)) OVER by_day AS last_before,
        leadInFrame(day, 1, intDiv(toInt64($end_us), $day_us)) OVER by_day AS next_day
    FROM cells
    WINDOW by_day AS (PARTITION BY subject ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
)
SELECT
    subject,
    fromUnixTimestamp64Micro(window_day * $day_us, 'UTC') AS window_start,
    if(window_day = day, greatest(highest, before), last) AS "peak",
    if(window_day = day, least(lowest, before), last) AS "lowest",
    last AS "final"
FROM (
    SELECT *, if(first_us > day * $day_us, coalesce(last_before, highest), highest) AS before
    FROM carried
)
ARRAY JOIN range(day, next_day) AS window_day"""


def metering_duck(dataset: Dataset) -> pa.Table:
    """All checks on."""
    return metered(dataset, MEASUREMENTS, every="day")


def bare_query(dataset: Dataset) -> pa.Table:
    """No check, no id looked at."""
    return by_unit(bare(BARE, dataset))


def in_clickhouse(dataset: Dataset, order: Sequence[str] = ORDER) -> pa.Table:
    """Each id once."""
    return by_unit(clickhouse(CLICKHOUSE, dataset, order=", ".join(order)))


def in_polars(dataset: Dataset, order: Sequence[str] = ORDER) -> pa.Table:
    """Each id once."""
    import polars as pl

    time_us, day, level, last = (pl.col(name) for name in ("time_us", "day", "level", "final"))
    events = scan(dataset).select(
        "subject",
        "metered_at",
        "id",
        pl.col("time").dt.epoch("us").alias("time_us"),
        prop("seats").cast(pl.Int32).alias("level"),
    )
    cells = events.group_by("subject", (time_us // DAY_US).alias("day")).agg(
        level.max().alias("peak"),
        level.min().alias("lowest"),
        level.sort_by(order).last().alias("final"),
        time_us.min().alias("first_us"),
    )
    before = pl.when(pl.col("first_us") > day * DAY_US).then(last.shift(1).over("subject", order_by="day"))
    next_day = day.shift(-1).over("subject", order_by="day").fill_null(END_US // DAY_US)
    carried = cells.with_columns(before=before, window_day=pl.int_ranges(day, next_day))
    is_own = pl.col("window_day") == day
    readings = carried.explode("window_day").select(
        "subject",
        (pl.col("window_day") * DAY_US).cast(pl.Datetime("us")).alias("window_start"),
        pl.when(is_own).then(pl.max_horizontal("peak", "before")).otherwise(last).alias("peak"),
        pl.when(is_own).then(pl.min_horizontal("lowest", "before")).otherwise(last).alias("lowest"),
        last,
    )
    return by_unit(collected(readings))


def contestants(_events: int) -> list[Contestant]:
    """All of them give the same answer."""
    return [
        Contestant("metering-duck", metering_duck),
        Contestant("bare query", bare_query),
        Contestant("ClickHouse", in_clickhouse),
        Contestant("ClickHouse, no ties", partial(in_clickhouse, order=NO_TIES)),
        Contestant("Polars", in_polars),
        Contestant("Polars, no ties", partial(in_polars, order=NO_TIES)),
    ]


QUESTION = Question(
    name="states",
    title="Highest, lowest and last level, by subject and day",
    why="What carrying levels from day to day costs, where no level is multiplied by a time.",
    shape=standard,
    contestants=contestants,
    notes="ClickHouse and Polars take each id once and do not check texts. " + TIES,
)
