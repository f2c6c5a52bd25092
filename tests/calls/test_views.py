"""The events, records and readings of a config as views in somebody's own DuckDB connection."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from metering_duck import ConfigError, aggregate, meter, register
from metering_duck.contract.schemas import OUTCOME_SCHEMA
from tests import worlds

CONFIG = {"measurements": [{"sourceProperty": "n", "unit": "calls", "aggregation": "sum"}]}
DAYS = {"start": "2024-02-01", "end": "2024-02-04", "every": "day"}
CLOCK = "2024-03-01T00:00:00Z"
ALL = ("events", "records", "rejects", "conflicts", "accounting", "readings")


def event(number: int, value: str | None = None) -> dict[str, Any]:
    """An event of one of three days."""
    properties = {"n": value or f"{number}.000000000000000001", "region": "eu"}
    whose = {"workspace": "acme", "universe": "production", "subject": f"customer:{number % 2}"}
    return worlds.row(f"e{number}", f"2024-02-0{number % 3 + 1}T23:30:00Z", properties, type="call", **whose)


# Metered, a duplicate, a conflict and a reject.
EVENTS = [*(event(number) for number in range(6)), event(1), event(2, "9"), event(7, "many")]


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """A connection with settings of its own: another zone, another order."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'Asia/Tokyo'; SET default_null_order = 'nulls_first'")
    connection.execute("SET integer_division = true; SET default_collation = 'nocase'")
    return connection


@pytest.fixture
def files(tmp_path: Path) -> str:
    """The events in a file."""
    path = tmp_path / "events.ndjson"
    path.write_text("".join(json.dumps(one) + "\n" for one in EVENTS))
    return str(path)


def rows(con: duckdb.DuckDBPyConnection, name: str) -> pa.Table:
    """A view's rows."""
    return con.sql(f"FROM {name}").to_arrow_table()


def test_views_have_the_rows_of_meter_and_aggregate(con: duckdb.DuckDBPyConnection, files: str) -> None:
    """Row by row, whatever the connection's settings; DECIMAL stays DECIMAL."""
    assert register(con, files, CONFIG, clock=CLOCK, **DAYS) == ALL
    with meter(files, CONFIG, clock=CLOCK) as records, aggregate(files, CONFIG, clock=CLOCK, **DAYS) as readings:
        for name, expected in {
            "records": records.to_arrow(),
            "readings": readings.to_arrow(),
            "rejects": records.rejects,
            "conflicts": records.conflicts,
        }.items():
            found = rows(con, name)
            assert expected.num_rows > 0
            assert expected.to_pylist() == found.cast(expected.schema).to_pylist(), name
        books = con.sql("FROM accounting").fetchall()
        expected_books = records.accounting
    assert [(9, 6, 0, 1, 1, 1)] == books
    assert list(books[0]) == [expected_books[name] for name in con.sql("FROM accounting").columns]
    assert Decimal("15.000000000000000006") == con.sql("SELECT sum(quantity) FROM readings").fetchall()[0][0]


def test_every_event_is_in_events_once(con: duckdb.DuckDBPyConnection, files: str) -> None:
    """With what became of it, under the universe's new name, and with its properties."""
    register(con, files, CONFIG, map_universe={"production": "legacy"})
    found = con.sql("SELECT status, universe_id, count(*) FROM events GROUP BY ALL ORDER BY ALL").fetchall()
    expected = [("conflict", "legacy", 1), ("duplicate", "legacy", 1), ("metered", "legacy", 6)]
    assert [*expected, ("rejected", "legacy", 1)] == found
    assert [("many", "eu")] == con.sql(
        "SELECT properties['n'], properties['region'] FROM events WHERE status = 'rejected'"
    ).fetchall()
    assert OUTCOME_SCHEMA.names == con.sql("FROM events").columns


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize("made", ["table", "view", "query"])
def test_a_relation_of_the_connection_is_an_input(con: duckdb.DuckDBPyConnection, files: str, made: str) -> None:
    """Read once, when it is registered: rows that are added later are not seen."""
    columns = dict.fromkeys(("id", "workspace_id", "universe_id", "type", "subject", "time"), "VARCHAR")
    columns["properties"] = "MAP(VARCHAR, VARCHAR)"
    con.execute(f"CREATE TABLE raw AS FROM read_json('{files}', columns={columns})")
    con.execute("CREATE VIEW seen AS FROM raw")
    relation = {"table": con.table("raw"), "view": con.view("seen"), "query": con.sql("SELECT * FROM raw")}[made]
    register(con, relation, CONFIG, prefix="usage_", clock=CLOCK, **DAYS)
    con.execute("DELETE FROM raw")
    with aggregate(files, CONFIG, clock=CLOCK, **DAYS) as expected:
        assert expected.to_arrow().to_pylist() == rows(con, "usage_readings").cast(expected.schema).to_pylist()
    assert 9 == rows(con, "usage_events").num_rows


@pytest.mark.slow
def test_views_of_one_config_meet_in_a_query(con: duckdb.DuckDBPyConnection, files: str) -> None:
    """A view may be read several times at once."""
    register(con, files, CONFIG, **DAYS)
    sql = """SELECT count(*) FROM readings AS a JOIN readings AS b USING (subject), records AS c, records AS d"""
    ((expected,),) = con.sql("SELECT sum(n * n) FROM (SELECT count(*) AS n FROM readings GROUP BY subject)").fetchall()
    assert [(expected * 36,)] == con.sql(sql).fetchall()


@pytest.mark.slow
def test_registered_again_views_are_new(con: duckdb.DuckDBPyConnection, files: str) -> None:
    """Ours are replaced; what they were computed from goes."""
    register(con, files, CONFIG)
    assert 6 == rows(con, "records").num_rows
    with open(files, "a") as file:
        file.write(json.dumps(event(12)) + "\n")
    assert 6 == rows(con, "records").num_rows
    register(con, files, CONFIG)
    assert 7 == rows(con, "records").num_rows


def test_what_is_not_ours_is_not_hidden(con: duckdb.DuckDBPyConnection, files: str) -> None:
    """A table or a view of one of the names, in any case, is an error, and a prefix the way out."""
    con.execute("CREATE TABLE Records (a INTEGER)")
    with pytest.raises(ConfigError, match=r"found Records in the connection already; .* hint: prefix='usage_'"):
        register(con, files, CONFIG)
    assert "usage_records" in register(con, files, CONFIG, prefix="usage_")
    assert [("a",)] == con.sql("SELECT column_name FROM (DESCRIBE Records)").fetchall()


def test_a_name_of_another_database_is_free(con: duckdb.DuckDBPyConnection, files: str) -> None:
    """A view hides only what would be found under its name."""
    con.execute("ATTACH ':memory:' AS other")
    con.execute("CREATE TABLE other.main.events (i INTEGER)")
    assert "events" in register(con, files, CONFIG)
    con.execute("CREATE SCHEMA apart")
    con.execute("CREATE TABLE apart.records (i INTEGER)")
    assert "records" in register(con, files, CONFIG)


def test_nothing_is_computed_before_it_is_asked_for(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """A query that is only planned reads nothing; an error comes with the query that meets it, in our words."""
    path = tmp_path / "events.ndjson"
    path.write_text(json.dumps(event(1)) + "\n")
    register(con, str(path), CONFIG)
    path.write_text("{\n")
    assert "quantity" in con.sql("FROM records").columns
    with pytest.raises(duckdb.Error, match=r"SourceError: .*: changed while it was read; .* hint: run again"):
        con.sql("FROM records").fetchall()


def test_what_cannot_be_registered_is_said(con: duckdb.DuckDBPyConnection, files: str) -> None:
    """No connection, a stream, options that there are not, and those that need a window."""
    with pytest.raises(ConfigError, match=r"con: found a str; expected a connection. hint: duckdb.connect"):
        register("usage.duckdb", files, CONFIG)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="events: found a stream that is read once"):
        register(con, iter(EVENTS), CONFIG)
    with pytest.raises(ConfigError, match=r'workspce: found no such option; .* did you mean "workspace"'):
        register(con, files, CONFIG, workspce="acme")
    with pytest.raises(ConfigError, match="every: found it without a window; expected start and end beside it"):
        register(con, files, CONFIG, every="day")
    assert [] == con.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
