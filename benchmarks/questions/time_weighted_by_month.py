"""The time-weighted average of seats by subject over the month: each level holds until the next one of its subject.

An answer is the exact numerator, Σ level × microseconds, as text; the quotient is left out, since every engine rounds
it in its own way. Time before the first level counts as zero, the last level holds to the end of the month. Events
are in the order of time, then of metered at, then of id; but for the bare query and the variants without ties, which
assume what is so in this data: no two events of a subject are at the same moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pyarrow as pa

from benchmarks.contestants import (
    END_US,
    KEY,
    NO_TIES,
    ORDER,
    SEATS,
    START_US,
    TIES,
    bare,
    clickhouse,
    collected,
    finished,
    metered,
    microseconds,
    prop,
    rows,
    scan,
    standard,
)
from benchmarks.question import Contestant, Dataset, Question, Target

COLUMNS = ("subject", "window_start", "numerator")

# Sorting by one integer is faster than by a text. Seats are whole numbers: an integer product, a HUGEINT sum.
SUBJECTS = """
CREATE TEMP TABLE subjects AS
SELECT subject, row_number() OVER () AS subject_key
FROM (SELECT DISTINCT subject FROM $events);
"""

BARE = (
    SUBJECTS
    + """
SELECT subject, make_timestamp($start_us) AS window_start, numerator::VARCHAR AS numerator
FROM (
    SELECT subject_key, sum(level * (coalesce(next_us, $end_us) - time_us)) AS numerator
    FROM (
        SELECT
            subject_key,
            level,
            time_us,
            lead(time_us) OVER (PARTITION BY subject_key ORDER BY time_us) AS next_us
        FROM (
            SELECT subject_key, epoch_us(time) AS time_us, properties.seats::BIGINT AS level
            FROM $events
            JOIN subjects USING (subject)
        )
    )
    GROUP BY subject_key
)
JOIN subjects USING (subject_key)"""
)

# What any answer in the full order has to do at least: read the rows and sort them by one integer key, time and id. The
# bare query sorts by less, since it assumes that no moment comes twice.
SORT = (
    SUBJECTS
    + """
CREATE TEMP TABLE sorted AS
SELECT subject_key, epoch_us(time) AS time_us, id, properties.seats::BIGINT AS level
FROM $events
JOIN subjects USING (subject)
ORDER BY subject_key, time_us, id;

SELECT count(*) AS quantity FROM sorted"""
)

# Sorting an array for each subject is faster here than leadInFrame over a window.
CLICKHOUSE = """
SELECT
    subject,
    fromUnixTimestamp64Micro($start_us, 'UTC') AS window_start,
    toString(arraySum(
        (event, next_us) -> toInt128(event.$level) * (next_us - event.1),
        events,
        arrayPushBack(arrayPopFront(arrayMap(event -> event.1, events)), toInt64($end_us))
    )) AS numerator
FROM (
    SELECT subject, arraySort(groupArray(($order, level))) AS events
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
)"""


def metering_duck(dataset: Dataset) -> pa.Table:
    """All checks on."""
    return metered(dataset, SEATS, COLUMNS)


def metering_duck_unique(dataset: Dataset) -> pa.Table:
    """The source promises that no id comes twice."""
    return metered(dataset, SEATS, COLUMNS, assume_unique=True)


def bare_query(dataset: Dataset) -> pa.Table:
    """LEAD over one integer key, by hand; no id read, for no moment comes twice."""
    return finished(bare(BARE, dataset))


def sort_only(dataset: Dataset) -> pa.Table:
    """How many rows were sorted."""
    return finished(bare(SORT, dataset))


def in_clickhouse(dataset: Dataset, order: Sequence[str] = ORDER) -> pa.Table:
    """Each id once."""
    return finished(clickhouse(CLICKHOUSE, dataset, order=", ".join(order), level=len(order) + 1))


def in_polars(dataset: Dataset, order: Sequence[str] = ORDER) -> pa.Table:
    """Each id once. Sorting within each group is faster than over() and than sorting all rows."""
    import polars as pl

    events = scan(dataset).select(
        "subject",
        "id",
        "metered_at",
        pl.col("time").dt.epoch("us").alias("time_us"),
        prop("seats").cast(pl.Int64).alias("level"),
    )
    time_us = pl.col("time_us").sort()
    held_us = time_us.shift(-1, fill_value=END_US) - time_us
    numerator = (pl.col("level").sort_by(order).cast(pl.Int128) * held_us).sum()
    readings = events.group_by("subject").agg(numerator.cast(pl.String).alias("numerator"))
    start = pl.lit(START_US).cast(pl.Datetime("us")).alias("window_start")
    return finished(collected(readings.with_columns(start)))


def in_python(dataset: Dataset) -> pa.Table:
    """Row by row: levels by subject, sorted, then one after the other."""
    seen: set[tuple[str, ...]] = set()
    levels: dict[str, list[tuple[int, int, str, int]]] = {}
    for event in rows(dataset, [*KEY, "subject", "time", "metered_at", "properties.seats"]):
        key = tuple(event[name] for name in KEY)
        if key in seen:
            continue
        seen.add(key)
        level = int(event["properties"]["seats"])
        at = (microseconds(event["time"]), microseconds(event["metered_at"]), event["id"], level)
        levels.setdefault(event["subject"], []).append(at)
    numerators = {subject: _numerator(sorted(mine)) for subject, mine in levels.items()}
    starts = pa.array([START_US] * len(numerators), pa.timestamp("us"))
    table = {"subject": list(numerators), "window_start": starts, "numerator": list(map(str, numerators.values()))}
    return finished(pa.table(table))


def _numerator(levels: list[tuple[int, int, str, int]]) -> int:
    """Σ level × microseconds, to the end of the month."""
    bounds = [time_us for time_us, *_ in levels[1:]] + [END_US]
    return sum(level * (end - start) for (start, _, _, level), end in zip(levels, bounds, strict=True))


def contestants(_events: int) -> list[Contestant]:
    """All give the same answer, but for the sort."""
    return [
        Contestant("metering-duck", metering_duck),
        Contestant("metering-duck, unique", metering_duck_unique),
        Contestant("bare query", bare_query),
        Contestant("bare query, sort only", sort_only, group=None),
        Contestant("ClickHouse", in_clickhouse),
        Contestant("ClickHouse, no ties", partial(in_clickhouse, order=NO_TIES)),
        Contestant("Polars", in_polars),
        Contestant("Polars, no ties", partial(in_polars, order=NO_TIES)),
        Contestant("plain Python", in_python, rounds_max=1, events_max=10_000_000),
    ]


QUESTION = Question(
    name="time_weighted_by_month",
    title="Time-weighted average of a gauge, by subject and month",
    why="Levels have to be put in order: what an exact average costs over sorting the rows at all.",
    shape=standard,
    contestants=contestants,
    targets=(
        Target("metering-duck", ("bare query, sort only",), 1.6),
        Target("metering-duck", ("ClickHouse", "Polars"), 0.7),
        Target("metering-duck", ("plain Python",), 0.03),
    ),
    notes="Answers are exact numerators, Σ level × microseconds. ClickHouse and Polars take each id once. All but "
    "metering-duck know that levels are whole numbers and multiply integers. "
    + TIES
    + ' "bare query, sort only" is the sort of the same rows by one integer key, time and id.',
)
