"""Sums by subject and day over events of which one in a hundred is at fault, and a count of each fault.

A fault is a text that is no number ("12,5"), no tokens at all, an empty subject, or no time. The peers check each
text with a regular expression: what it lets through has 20 digits before the point and 18 behind it at most, and no
exponent, so that no cast rounds. (metering-duck takes an exponent too, where the number fits.) The counts are rows of
their own, with no subject and no window.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from benchmarks.contestants import END, START, bare, clickhouse, collected, day, finished, prop, scan, standard
from benchmarks.events import Shape
from benchmarks.question import Contestant, Dataset, Question, memory_limit
from metering_duck.statements.quote import literal

TOKENS = [{"sourceProperty": "tokens", "unit": "tokens", "aggregation": "sum"}]
QUANTITY = r"^[+-]?([0-9]{1,20}(\.[0-9]{0,18})?|\.[0-9]{1,18})$"

# The reason is a part of the key, so that one pass gives the sums and the counts.
BARE = """
SELECT
    subject,
    make_timestamp(day * $day_us) AS window_start,
    coalesce('rejected:' || reason, 'tokens') AS unit,
    CASE WHEN reason IS NULL THEN tokens ELSE events END AS quantity
FROM (
    SELECT
        reason,
        CASE WHEN reason IS NULL THEN subject END AS subject,
        CASE WHEN reason IS NULL THEN epoch_us(time) // $day_us END AS day,
        sum(CASE WHEN reason IS NULL THEN tokens::DECIMAL(38, 18) END) AS tokens,
        count(*)::DECIMAL(38, 18) AS events
    FROM (
        SELECT
            subject,
            time,
            properties.tokens AS tokens,
            CASE
                WHEN subject IS NULL OR subject = '' THEN 'subject-missing'
                WHEN time IS NULL THEN 'time-missing'
                WHEN properties.tokens IS NULL THEN 'source-missing'
                WHEN NOT regexp_matches(properties.tokens, $quantity) THEN 'quantity-syntax'
            END AS reason
        FROM $events
    )
    GROUP BY ALL
)"""

CLICKHOUSE = """
SELECT
    subject,
    fromUnixTimestamp64Micro(day * $day_us, 'UTC') AS window_start,
    if(reason = '', 'tokens', concat('rejected:', reason)) AS unit,
    if(reason = '', total, toDecimal128(events, 18)) AS quantity
FROM (
    SELECT
        reason,
        if(reason = '', subject, NULL) AS subject,
        if(reason = '', intDiv(toUnixTimestamp64Micro(time), $day_us), NULL) AS day,
        sumOrNullIf(toDecimal128OrNull(tokens, 18), reason = '') AS total,
        count() AS events
    FROM (
        SELECT
            subject,
            time,
            properties.tokens AS tokens,
            multiIf(
                ifNull(subject, '') = '', 'subject-missing',
                time IS NULL, 'time-missing',
                properties.tokens IS NULL, 'source-missing',
                NOT match(ifNull(properties.tokens, ''), $quantity), 'quantity-syntax',
                ''
            ) AS reason
        FROM $events
    )
    GROUP BY reason, subject, day
)"""


def bad(events: int) -> Shape:
    """A month with one event in a hundred at fault."""
    return replace(standard(events), bad=0.01)


def metering_duck(dataset: Dataset) -> pa.Table:
    """The readings, and the accounting's counts by reason."""
    from metering_duck import aggregate

    with aggregate(
        dataset.files, {"measurements": TOKENS}, start=START, end=END, every="day", memory_limit=memory_limit()
    ) as readings:
        reasons = readings.accounting.reasons
        sums = finished(readings.to_arrow().select(["subject", "window_start", "unit", "quantity"]))
    refused = {
        "subject": pa.nulls(len(reasons), pa.string()),
        "window_start": pa.nulls(len(reasons), pa.timestamp("us")),
        "unit": [f"rejected:{reason}" for reason in reasons],
        "quantity": [str(count) for count in reasons.values()],
    }
    return pa.concat_tables([sums, finished(pa.table(refused))])


def bare_query(dataset: Dataset) -> pa.Table:
    """Texts and fields are checked, ids are not looked at."""
    return finished(bare(BARE, dataset, quantity=literal(QUANTITY)))


def in_clickhouse(dataset: Dataset) -> pa.Table:
    """Each id once, each text and field checked."""
    return finished(clickhouse(CLICKHOUSE, dataset, quantity=literal(QUANTITY.replace("\\", "\\\\"))))


def in_polars(dataset: Dataset) -> pa.Table:
    """Each id once, each text and field checked."""
    import polars as pl

    tokens, reason, is_good = pl.col("tokens"), pl.col("reason"), pl.col("reason").is_null()
    events = scan(dataset).select("subject", day().alias("window_start"), prop("tokens").alias("tokens"))
    judged = events.with_columns(
        pl.when(pl.col("subject").fill_null("") == "")
        .then(pl.lit("subject-missing"))
        .when(pl.col("window_start").is_null())
        .then(pl.lit("time-missing"))
        .when(tokens.is_null())
        .then(pl.lit("source-missing"))
        .when(~tokens.str.contains(QUANTITY))
        .then(pl.lit("quantity-syntax"))
        .alias("reason")
    )
    keys = [pl.when(is_good).then(pl.col(name)).alias(name) for name in ("subject", "window_start")]
    quantity = pl.when(is_good).then(tokens).cast(pl.Decimal(38, 18), strict=False)
    totals = judged.select("reason", *keys, quantity.alias("quantity")).group_by("reason", "subject", "window_start")
    readings = totals.agg(pl.col("quantity").sum(), pl.len().cast(pl.Decimal(38, 18)).alias("events"))
    unit = pl.when(is_good).then(pl.lit("tokens")).otherwise(pl.lit("rejected:") + reason)
    total = pl.when(is_good).then(pl.col("quantity")).otherwise(pl.col("events"))
    rows = readings.select("subject", "window_start", unit.alias("unit"), total.alias("quantity"))
    return finished(collected(rows))


def contestants(_events: int) -> list[Contestant]:
    """All of them give the same answer."""
    return [
        Contestant("metering-duck", metering_duck),
        Contestant("bare query", bare_query),
        Contestant("ClickHouse", in_clickhouse),
        Contestant("Polars", in_polars),
    ]


QUESTION = Question(
    name="rejects",
    title="Sums over events of which 1 % are at fault, with the count of each fault",
    why="What an exact check of every text costs where it finds something, and all others make it too.",
    shape=bad,
    contestants=contestants,
    notes="Here the bare query checks texts and fields too. ClickHouse and Polars take each id once.",
)
