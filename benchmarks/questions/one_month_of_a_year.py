"""Two counters for March, by subject and day, out of a year that has a folder for each day.

Whoever runs one month again should not have to read a year: the time to find the month is to be small beside reading
it. The same call over the files of March alone is what it is compared with.
"""

from __future__ import annotations

import pyarrow as pa

from benchmarks.contestants import TWO_COUNTERS, bare, by_unit, clickhouse, collected, metered, scan, year
from benchmarks.question import Contestant, Dataset, Question, Target
from benchmarks.questions.counters_by_subject_day import BARE, CLICKHOUSE, polars_counters

START, END = "2024-03-01", "2024-04-01"
IN_MARCH = "day >= '2024-03-01' AND day < '2024-04-01'"
# The bare query of the whole month, over March's folders only.
BARE_MARCH = BARE.replace("FROM $events", f"FROM $events\n        WHERE {IN_MARCH}")


def metering_duck(dataset: Dataset) -> pa.Table:
    """Out of the whole year: the call says that folders are by the UTC date of the events' time."""
    return metered(dataset, TWO_COUNTERS, every="day", start=START, end=END, time_partition="day")


def month_alone(dataset: Dataset) -> pa.Table:
    """The files of March and no others."""
    march = f"{dataset.path}/day=2024-03-*/*.parquet"
    return metered(dataset, TWO_COUNTERS, every="day", start=START, end=END, events=march)


def bare_query(dataset: Dataset) -> pa.Table:
    """DuckDB leaves folders out by their name."""
    return by_unit(bare(BARE_MARCH, dataset))


def in_clickhouse(dataset: Dataset) -> pa.Table:
    """Each id of the month once; ClickHouse leaves folders out by their name."""
    return by_unit(clickhouse(CLICKHOUSE, dataset, where=IN_MARCH))


def in_polars(dataset: Dataset) -> pa.Table:
    """Each id of the month once; Polars leaves folders out by their name."""
    import polars as pl

    in_march = pl.col("day").is_between(pl.date(2024, 3, 1), pl.date(2024, 4, 1), closed="left")
    return by_unit(collected(polars_counters(scan(dataset, where=in_march))))


def contestants(_events: int) -> list[Contestant]:
    """All of them give the same answer."""
    return [
        Contestant("metering-duck", metering_duck),
        Contestant("metering-duck, the month alone", month_alone),
        Contestant("bare query", bare_query),
        Contestant("ClickHouse", in_clickhouse),
        Contestant("Polars", in_polars),
    ]


QUESTION = Question(
    name="one_month_of_a_year",
    title="One month out of a year, in a folder for each day",
    why="Running one month again should read one month: what the other eleven cost.",
    shape=year,
    contestants=contestants,
    targets=(Target("metering-duck", ("metering-duck, the month alone",), 1.15),),
    notes="ClickHouse and Polars take each id of the month once.",
)
