"""What the questions share: their data sets, how each contestant is asked, and the columns that an answer comes in.

SQL names what it reads as $events and its constants as $day_us, $end_us, …. A contestant's library is imported where it
is used: the process that measures ClickHouse has no Polars in its memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from string import Template
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from benchmarks.events import Shape
from benchmarks.question import Dataset, memory_bytes, memory_limit
from metering_duck.statements.quote import literal

if TYPE_CHECKING:
    import polars as pl

START, END = "2024-04-01", "2024-05-01"
START_US, END_US = 1_711_929_600_000_000, 1_714_521_600_000_000
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
CONSTANTS = {"start_us": START_US, "end_us": END_US, "hour_us": HOUR_US, "day_us": DAY_US}
KEY = ("workspace_id", "universe_id", "id")

# What puts a subject's levels in order, for any data and for data in which no moment comes twice.
ORDER = ("time_us", "metered_at", "id")
NO_TIES = ("time_us",)
TIES = (
    "Levels are in the order of time, metered_at and id. metering-duck detects ties first and looks ids up only where "
    "there are any; the variants without ties, and the bare query, assume that there are none and order by time alone."
)

ANSWER = {
    "subject": pa.string(),
    "window_start": pa.timestamp("us"),
    "unit": pa.string(),
    "quantity": pa.decimal128(38, 18),
    "numerator": pa.string(),
}

# Two counters, one of them conditional: what most questions of counters measure.
REGION = "eu-west"
TWO_COUNTERS: list[dict[str, Any]] = [
    {"sourceProperty": "tokens", "unit": "tokens", "aggregation": "sum"},
    {
        "sourceProperty": "tokens",
        "unit": "tokens-eu-west",
        "aggregation": "sum",
        "filter": {"property": "region", "equals": REGION},
    },
]
SEATS: list[dict[str, Any]] = [{"sourceProperty": "seats", "unit": "seats", "aggregation": "time-weighted-avg"}]


def standard(events: int) -> Shape:
    """A clean month: 30 days, 5,000 events a subject, properties as a STRUCT."""
    return Shape(events=events, subjects=subjects_of(events))


def year(events: int) -> Shape:
    """A clean leap year in a folder for each day."""
    return replace(standard(events), start="2024-01-01", days=366, partitioned=True)


def subjects_of(events: int) -> int:
    """One for 5,000 events, and ten at least."""
    return max(10, events // 5_000)


# --- answers ---------------------------------------------------------------------------------------------------------


def finished(table: pa.Table) -> pa.Table:
    """The columns of an answer, in their types. No cast rounds: pyarrow refuses one that would lose a digit."""
    names = [name for name in ANSWER if name in table.column_names]
    return table.select(names).cast(pa.schema([(name, ANSWER[name]) for name in names]))


def by_unit(table: pa.Table) -> pa.Table:
    """An answer from one column for each unit: a row for each that is not NULL, as UNPIVOT does it."""
    keys = [name for name in ANSWER if name in table.column_names]
    parts = []
    for unit in (name for name in table.column_names if name not in keys):
        present = table.filter(pa.compute.is_valid(table[unit]))
        part = present.select(keys).append_column("unit", pa.repeat(unit, len(present)))
        parts.append(finished(part.append_column("quantity", present[unit])))
    return pa.concat_tables(parts)


# --- metering-duck ---------------------------------------------------------------------------------------------------


def metered(
    dataset: Dataset, measurements: Sequence[dict[str, Any]], columns: Iterable[str] = (), **options: Any
) -> pa.Table:
    """The readings of the month, or of another `start` and `end`, as an answer with these columns.

    Everything is on: texts checked, ids seen once, all events accounted for. `events` is other than all files.
    """
    from metering_duck import aggregate

    asked = {"events": dataset.files, "start": START, "end": END, "memory_limit": memory_limit(), **options}
    with aggregate(config={"measurements": list(measurements)}, **asked) as readings:
        return finished(readings.to_arrow().select([*(columns or ("subject", "window_start", "unit", "quantity"))]))


# --- the bare query --------------------------------------------------------------------------------------------------


def bare(sql: str, dataset: Dataset, *, files: str | None = None, **constants: object) -> pa.Table:
    """What DuckDB answers to statements written by hand, as Arrow; the last one gives the rows."""
    import duckdb

    source = f"read_parquet({literal(files or dataset.files)})"
    limit = memory_limit()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as spill, duckdb.connect(":memory:") as connection:
        connection.execute(f"SET TimeZone = 'UTC'; SET temp_directory = {literal(spill)}")
        if limit:
            connection.execute(f"SET memory_limit = {literal(limit)}")
        for name, value in constants.items():
            if isinstance(value, pa.Table):
                connection.register(name, value)
        return connection.sql(_filled(sql, source, constants)).to_arrow_table()


def _filled(sql: str, source: str, constants: dict[str, object]) -> str:
    return Template(sql).substitute({**CONSTANTS, "region": literal(REGION), **constants, "events": source})


# --- ClickHouse ------------------------------------------------------------------------------------------------------

# Each event once, in two passes. GROUP BY of all keys (2 s for a million events) and LIMIT 1 BY (1 s) take longer than
# finding the few hashes that occur twice (0.1 s) and looking only at their events.
CLICKHOUSE_REPEATED = """
CREATE TEMPORARY TABLE repeated AS
SELECT cityHash64(workspace_id, universe_id, id) AS key_hash
FROM $events
GROUP BY key_hash
HAVING count() > 1"""

CLICKHOUSE_ONCE = """(
    SELECT * FROM $events
    WHERE cityHash64(workspace_id, universe_id, id) NOT IN repeated
    UNION ALL
    SELECT * FROM (
        SELECT * FROM $events
        WHERE cityHash64(workspace_id, universe_id, id) IN repeated
        ORDER BY metered_at, time, toString(properties)
        LIMIT 1 BY workspace_id, universe_id, id
    )
)"""


def clickhouse(
    sql: str, dataset: Dataset, *, once: bool = True, files: str | None = None, where: str = "", **constants: object
) -> pa.Table:
    """What ClickHouse answers, with each event `once`: of those with the same key, the one that entered first.

    `where` is a condition that a source is read under, in both passes.
    """
    from chdb.session import Session

    source = f"file({literal(files or dataset.files)}, Parquet)"
    source = f"(SELECT * FROM {source} WHERE {where})" if where else source
    session = Session()
    try:
        _limit_memory(session)
        for name, value in constants.items():
            if isinstance(value, pa.Table):
                _create_table(session, name, value)
        if once:
            session.query(_filled(CLICKHOUSE_REPEATED, source, {}))
            if session.query("SELECT 1 FROM repeated LIMIT 1", "ArrowTable").num_rows:
                source = _filled(CLICKHOUSE_ONCE, source, {})
        return session.query(_filled(sql, source, constants), "ArrowTable")
    finally:
        session.close()


def _limit_memory(session: Any) -> None:
    """The limit of this run; at half of it a GROUP BY or a sort goes on on disk."""
    limit = memory_limit()
    if limit:
        session.query(f"SET max_memory_usage = {memory_bytes(limit)}")
        for stage in ("group_by", "sort"):
            session.query(f"SET max_bytes_before_external_{stage} = {memory_bytes(limit) // 2}")


def _create_table(session: Any, name: str, table: pa.Table) -> None:
    """A small table of the question's own, such as its subscriptions."""
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        pyarrow.parquet.write_table(table, file.name)
        session.query(f"CREATE TEMPORARY TABLE {name} AS SELECT * FROM file({literal(file.name)}, Parquet)")


# --- Polars ----------------------------------------------------------------------------------------------------------


def scan(dataset: Dataset, *, once: bool = True, where: pl.Expr | None = None) -> pl.LazyFrame:
    """The events, lazily; each `once`: of those with the same key, the one that entered first.

    In two passes as for ClickHouse: unique() of all rows takes ten times as long. `where` holds for both.
    """
    import polars as pl

    events = pl.scan_parquet(dataset.files, hive_partitioning=dataset.shape.partitioned)
    events = events if where is None else events.filter(where)
    if not once:
        return events
    key_hash = pl.struct(KEY).hash()
    counts = events.select(key_hash.alias("key_hash")).group_by("key_hash").len()
    repeated = counts.filter(pl.col("len") > 1).select("key_hash").collect(engine="streaming")["key_hash"]
    if repeated.is_empty():
        return events
    is_repeated = key_hash.is_in(repeated.implode())
    first = events.filter(is_repeated).sort("metered_at", "time", prop("tokens")).unique(KEY, keep="first")
    return pl.concat([events.filter(~is_repeated), first])


def prop(name: str) -> pl.Expr:
    """A property's text."""
    import polars as pl

    return pl.col("properties").struct.field(name)


def decimal(name: str) -> pl.Expr:
    """A property as DECIMAL(38, 18)."""
    import polars as pl

    return prop(name).cast(pl.Decimal(38, 18))


def day() -> pl.Expr:
    """The UTC day that an event is in, as a moment."""
    import polars as pl

    return pl.col("time").dt.truncate("1d")


def collected(frame: pl.LazyFrame) -> pa.Table:
    """What Polars answers, computed by its streaming engine."""
    return frame.collect(engine="streaming").to_arrow()


# --- plain Python ----------------------------------------------------------------------------------------------------


def rows(dataset: Dataset, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The events one at a time, as dicts of these columns and no others, a batch of them in memory."""
    for path in sorted(dataset.path.rglob("*.parquet")):
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(columns=list(columns)):
            yield from batch.to_pylist()


def midnight(time: datetime) -> datetime:
    """The start of the UTC day."""
    return time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def microseconds(time: datetime) -> int:
    """Since 1970, exactly."""
    since = time - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def sums_table(sums: dict[tuple[str, datetime, str], Decimal]) -> pa.Table:
    """An answer from a dict of sums by subject, window and unit."""
    keys = ("subject", "window_start", "unit")
    columns: dict[str, list[Any]] = {name: [key[place] for key in sums] for place, name in enumerate(keys)}
    columns["quantity"] = [str(quantity) for quantity in sums.values()]
    return finished(pa.table(columns))
