"""Sums by subject and day over events of which some came twice, some came again with another quantity, and some late.

One in a hundred is sent again as it was, one in a thousand again with other tokens, one in a hundred days late. Of
events with the same key the one that entered first counts: the smallest metered at, then time, then content. Here
metered at alone decides, so that the peers need not write a content down.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pyarrow as pa

from benchmarks.contestants import (
    KEY,
    bare,
    by_unit,
    clickhouse,
    collected,
    day,
    decimal,
    metered,
    midnight,
    rows,
    scan,
    standard,
    sums_table,
)
from benchmarks.events import Shape
from benchmarks.question import Contestant, Dataset, Question

TOKENS = [{"sourceProperty": "tokens", "unit": "tokens", "aggregation": "sum"}]

# Two passes, as fast as it gets by hand: the few hashes that occur twice, then an exact look at their events only.
BARE = """
WITH repeated AS (
    SELECT hash(workspace_id, universe_id, id) AS key_hash
    FROM $events
    GROUP BY key_hash
    HAVING count(*) > 1
),
first AS (
    SELECT
        arg_min(struct_pack(subject, time, tokens := properties.tokens), (metered_at, time, properties.tokens)) AS event
    FROM $events
    WHERE hash(workspace_id, universe_id, id) IN (FROM repeated)
    GROUP BY workspace_id, universe_id, id
),
kept AS (
    SELECT subject, time, properties.tokens AS tokens
    FROM $events
    WHERE hash(workspace_id, universe_id, id) NOT IN (FROM repeated)
    UNION ALL
    SELECT event.subject, event.time, event.tokens FROM first
)
SELECT subject, make_timestamp(day * $day_us) AS window_start, tokens::DECIMAL(38, 18) AS "tokens"
FROM (
    SELECT subject, epoch_us(time) // $day_us AS day, sum(tokens::DECIMAL(18, 6)) AS tokens
    FROM kept
    GROUP BY subject, day
)"""

# $events has each event once already: contestants.py has both passes.
CLICKHOUSE = """
SELECT subject, fromUnixTimestamp64Micro(day * $day_us, 'UTC') AS window_start, tokens AS "tokens"
FROM (
    SELECT
        assumeNotNull(subject) AS subject,
        intDiv(toUnixTimestamp64Micro(assumeNotNull(time)), $day_us) AS day,
        sum(toDecimal128(assumeNotNull(properties.tokens), 18)) AS tokens
    FROM $events
    GROUP BY subject, day
)"""


def dirty(events: int) -> Shape:
    """A month with duplicates, conflicts and late events."""
    return replace(standard(events), duplicates=0.01, conflicts=0.001, late=0.01)


def metering_duck(dataset: Dataset) -> pa.Table:
    """All checks on; duplicates and conflicts are counted, and the conflicts can be listed."""
    return metered(dataset, TOKENS, every="day")


def bare_query(dataset: Dataset) -> pa.Table:
    """Each id once; nothing is counted or checked."""
    return by_unit(bare(BARE, dataset))


def in_clickhouse(dataset: Dataset) -> pa.Table:
    """Each id once."""
    return by_unit(clickhouse(CLICKHOUSE, dataset))


def in_polars(dataset: Dataset) -> pa.Table:
    """Each id once."""
    events = scan(dataset).select("subject", day().alias("window_start"), decimal("tokens").alias("tokens"))
    return by_unit(collected(events.group_by("subject", "window_start").sum()))


def in_python(dataset: Dataset) -> pa.Table:
    """Row by row, with a dict of what entered first."""
    first: dict[tuple[str, ...], tuple[datetime, datetime, str, str]] = {}
    for event in rows(dataset, [*KEY, "subject", "time", "metered_at", "properties.tokens"]):
        key = tuple(event[name] for name in KEY)
        content = (event["metered_at"], event["time"], event["properties"]["tokens"], event["subject"])
        first[key] = min(first.get(key, content), content)
    sums: dict[tuple[str, datetime, str], Decimal] = {}
    for _, time, tokens, subject in first.values():
        where = (subject, midnight(time), "tokens")
        sums[where] = sums.get(where, Decimal(0)) + Decimal(tokens)
    return sums_table(sums)


def contestants(_events: int) -> list[Contestant]:
    """All of them give the same answer."""
    return [
        Contestant("metering-duck", metering_duck),
        Contestant("bare query", bare_query),
        Contestant("ClickHouse", in_clickhouse),
        Contestant("Polars", in_polars),
        Contestant("plain Python", in_python, rounds_max=1, events_max=100_000),
    ]


QUESTION = Question(
    name="deduplication",
    title="Sums over events that came more than once",
    why="What it costs when there is really something to remove: 1 % duplicates, 0.1 % conflicts, 1 % late.",
    shape=dirty,
    contestants=contestants,
    notes="All contestants look for repeated ids, the bare query too.",
)
