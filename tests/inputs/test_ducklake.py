"""DuckLake tables read where they lie, at any version, and nothing but their files; where the extension is not, that is
said.

Each test that needs the extension is skipped without it, and says so.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from click.testing import CliRunner

from metering_duck import MeteringError, SourceError, aggregate, compile_sql
from metering_duck.cli.doctor import examine
from metering_duck.cli.main import cli
from metering_duck.engine.attached import attach
from metering_duck.engine.duckdb import Engine
from metering_duck.engine.extensions import can_load, load, missing
from metering_duck.engine.httpfs import CHOICE, prepare
from metering_duck.engine.locking import CLOSED
from metering_duck.inputs.ducklake import DuckLakeSnapshot
from metering_duck.inputs.given import find_input
from metering_duck.inputs.input import extensions_of, paths_of
from tests.worlds import CLOCK

HAS_DUCKLAKE = can_load("ducklake")
NEEDS_DUCKLAKE = pytest.mark.skipif(not HAS_DUCKLAKE, reason=f"{missing('ducklake')}: only its absence is proven here")
CONFIG = {"measurements": [{"sourceProperty": "n", "unit": "calls", "aggregation": "sum"}]}
FEBRUARY = {"start": "2024-02-01", "end": "2024-03-01", "clock": CLOCK}
COLUMNS = "id, 'acme' AS workspace_id, 'p' AS universe_id, 'call' AS type, 'c' AS subject, time, n"


def events_sql(first: int, count: int) -> str:
    """Events of February, numbered."""
    time = "TIMESTAMPTZ '2024-02-01 00:00:00Z' + to_minutes(i) AS time"
    rows = f"SELECT i::VARCHAR AS id, {time}, i + 0.000000000000000001 AS n"
    return f"SELECT {COLUMNS} FROM ({rows} FROM range({first}, {first + count}) AS numbers(i))"


# What each version of the lake is made by, and the events that it has.
COMMITS = {
    1: f"CREATE TABLE lake.events AS {events_sql(0, 1000)}",
    2: f"INSERT INTO lake.events {events_sql(1000, 1000)}",
    3: f"INSERT INTO lake.events {events_sql(5000, 3)}",
    4: "DELETE FROM lake.events WHERE n::BIGINT % 7 = 0",
    5: "CREATE SCHEMA lake.other",
    6: "CREATE TABLE lake.other.events AS SELECT * FROM lake.events",
    7: "CREATE VIEW lake.recent AS SELECT * FROM lake.events",
}


def make_lake(metadata: Path, data: str = "") -> dict[int, pa.Table]:
    """A DuckLake of seven commits; version → its events."""
    states = {}
    with duckdb.connect(":memory:", config=CLOSED) as connection:
        load(connection, "ducklake")
        if data:
            prepare(connection, [data])
        option = f" (DATA_PATH '{data}')" if data else ""
        connection.execute(f"SET TimeZone = 'UTC'; ATTACH 'ducklake:{metadata}' AS lake{option}")
        for version, sql in COMMITS.items():
            connection.execute(sql)
            states[version] = connection.sql("FROM lake.events").to_arrow_table()
    return states


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the lake is."""
    return tmp_path_factory.mktemp("ducklake")


@pytest.fixture(scope="module")
def states(folder: Path) -> dict[int, pa.Table]:
    """The events of each version of the lake there."""
    return make_lake(folder / "usage.ducklake")


def outcome(events: Any, **options: Any) -> tuple[pa.Table, dict[str, int]]:
    """The readings and the books."""
    with aggregate(events, CONFIG, every="day", **{**FEBRUARY, **options}) as result:
        return result.to_arrow(), dict(result.accounting)


# --- without the extension -------------------------------------------------------------------------------------------


@pytest.mark.skipif(HAS_DUCKLAKE, reason="the extension ducklake is here: the tests below prove that it reads")
def test_without_the_extension_that_is_the_error_and_the_doctor_says_it(tmp_path: Path) -> None:
    """Exit code 1, one line, the way out; nothing is fetched."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    given = ["meter", "ducklake://usage.ducklake?table=events", "--config", str(tmp_path / "config.json")]
    done = CliRunner().invoke(cli, given)
    hint = "hint: INSTALL ducklake in a DuckDB shell of the same version, once"
    expected = f"ducklake://usage.ducklake: found {missing('ducklake')}; expected it, to read DuckLake. {hint}"
    assert (1, f"error: {expected}") == (done.exit_code, done.stderr.strip())
    row = next(row for row in examine() if row["what"] == "duckdb ducklake")
    assert (False, missing("ducklake")) == (row["works"], row["found"])


def test_a_table_is_to_be_named() -> None:
    """Before anything is looked for."""
    with pytest.raises(SourceError, match=r"found no table's name; expected ducklake://usage.ducklake\?table=events"):
        find_input("ducklake://usage.ducklake", Path())
    with pytest.raises(SourceError, match="found version and timestamp; expected one of them"):
        find_input("ducklake://usage.ducklake?table=a&version=1&timestamp=2024-01-01", Path())


# --- with the extension ----------------------------------------------------------------------------------------------


@NEEDS_DUCKLAKE
@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_a_version_gives_what_its_events_give(folder: Path, states: dict[int, pa.Table], version: int) -> None:
    """Readings and books: after an insertion, after one that lies in the metadata, and after a deletion."""
    url = f"ducklake://{folder}/usage.ducklake?table=events&version={version}"
    assert outcome(states[version]) == outcome(url)


@NEEDS_DUCKLAKE
def test_without_a_version_the_latest_is_read_and_named(folder: Path, states: dict[int, pa.Table]) -> None:
    """A table of another schema has its own name."""
    for table in ("events", "main.events", "other.events"):
        url = f"ducklake://{folder}/usage.ducklake?table={table}"
        with aggregate(url, CONFIG, **FEBRUARY) as result:
            assert f"input: {url}&version=7, as it is at this version." in result.notices
        assert outcome(states[7]) == outcome(url)


@NEEDS_DUCKLAKE
def test_a_moment_finds_the_version_of_then(folder: Path, states: dict[int, pa.Table]) -> None:
    """As of the moment of the second commit, and of long after the last."""
    with duckdb.connect(str(folder / "usage.ducklake"), read_only=True) as connection:
        sql = "SELECT epoch_us(snapshot_time) FROM ducklake_snapshot WHERE snapshot_id = 2"
        ((moment_us,),) = connection.execute(sql).fetchall()
    second = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment_us)).isoformat().replace("+00:00", "Z")
    url = f"ducklake://{folder}/usage.ducklake?table=events"
    assert outcome(states[2]) == outcome(f"{url}&timestamp={second}")
    assert outcome(states[7]) == outcome(f"{url}&timestamp=2999-01-01")


@NEEDS_DUCKLAKE
def test_the_sql_of_a_lake_runs_as_it_stands(folder: Path, states: dict[int, pa.Table]) -> None:
    """At the version that it was made at, in a DuckDB that has the extension."""
    url = f"ducklake://{folder}/usage.ducklake?table=events&version=2"
    script = compile_sql(CONFIG, url, **FEBRUARY)
    with aggregate(url, CONFIG, **FEBRUARY) as result, duckdb.connect() as connection:
        assert str(result.to_arrow()["quantity"]) == str(connection.sql(script).to_arrow_table()["quantity"])


@NEEDS_DUCKLAKE
def test_what_would_be_read_is_the_metadata_and_the_files_of_the_version(
    folder: Path, states: dict[int, pa.Table]
) -> None:
    """Of the first version one file of rows; of the latest two, and what is deleted from them."""
    counts = {}
    for version in (1, 4):
        with aggregate(
            f"ducklake://{folder}/usage.ducklake?table=events&version={version}", CONFIG, **FEBRUARY
        ) as found:
            reads = found.reads
        counts[version] = reads.files
        assert reads.bytes > 0
    assert {1: 2, 4: 5} == counts


FAULTS = {
    "no file": ("nothing.ducklake?table=events", "found no such file; expected the DuckDB file with a DuckLake's"),
    "no lake": ("plain.duckdb?table=events", "expected a DuckLake."),
    "no database": ("text.ducklake?table=events", "expected a DuckLake."),
    "no table": (
        "usage.ducklake?table=event",
        'found no table event; expected one that is there at this version. hint: did you mean "main.events"?',
    ),
    "no table yet": ("usage.ducklake?table=other.events&version=3", "found no table other.events"),
    "a view": ("usage.ducklake?table=recent", "found no table recent"),
    "no version": ("usage.ducklake?table=events&version=99", "found no such version (version 99)"),
    "no number": ("usage.ducklake?table=events&version=last", "found version=last; expected a whole number"),
    "before all": ("usage.ducklake?table=events&timestamp=2001-01-01", "found no such version (timestamp 2001-01-01"),
}


@NEEDS_DUCKLAKE
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_there_is_said(folder: Path, states: dict[int, pa.Table], fault: str) -> None:
    """The file, the table or the version that is wrong."""
    (folder / "text.ducklake").write_text("no database")
    duckdb.connect(str(folder / "plain.duckdb")).close()
    place, expected = FAULTS[fault]
    with pytest.raises(SourceError) as raised:
        find_input(f"ducklake://{folder}/{place}", folder)
    assert expected in str(raised.value)
    assert not (folder / "nothing.ducklake").exists()


FORBIDDEN = [
    "FROM the_input.recent_elsewhere",
    "FROM the_input.other.events",
    "FROM read_text('/etc/hostname')",
    "FROM glob('{folder}/*')",
    "ATTACH 'ducklake:{folder}/new.ducklake' AS other",
    "INSERT INTO the_input.events SELECT * FROM the_input.events",
    "CREATE TABLE the_input.mine (a INTEGER)",
    "CALL ducklake_expire_snapshots('the_input', older_than => now())",
    "CALL ducklake_add_data_files('the_input', 'events', '/etc/hostname')",
    "COPY (SELECT 1) TO '{folder}/stolen.parquet'",
    "LOAD httpfs",
]


@NEEDS_DUCKLAKE
def test_only_the_files_of_the_table_can_be_opened(folder: Path, states: dict[int, pa.Table]) -> None:
    """Not those of another table, no file that a view names, nothing is written, and no other lake is attached."""
    with duckdb.connect(":memory:", config=CLOSED) as connection:
        load(connection, "ducklake")
        connection.execute(f"ATTACH 'ducklake:{folder}/hostile.ducklake' AS lake")
        for sql in (COMMITS[1], COMMITS[5], COMMITS[6]):
            connection.execute(sql)
        connection.execute("CREATE VIEW lake.recent_elsewhere AS SELECT * FROM read_text('/etc/hostname')")
    found = find_input(f"ducklake://{folder}/hostile.ducklake?table=events", folder)
    assert isinstance(found, DuckLakeSnapshot)
    with Engine() as engine:
        engine.lock_down(paths_of(found), extensions=extensions_of(found))
        relation = attach(engine, found.attach_sql, found.table, found.name)
        assert [(1000,)] == engine.rows(f"SELECT count(n) FROM {relation}")
        for sql in FORBIDDEN:
            with pytest.raises(MeteringError):
                engine.rows(sql.format(folder=folder))
    assert not (folder / "stolen.parquet").exists()


@NEEDS_DUCKLAKE
@pytest.mark.skipif(not can_load("httpfs"), reason=missing("httpfs"))
@pytest.mark.parametrize("choice", ["1", "0"])
def test_rows_on_s3_are_read_by_httpfs(bucket: Any, tmp_path: Path, choice: str, monkeypatch: Any) -> None:
    """Whatever else reads s3://: the extension ducklake takes no other. Another object of the bucket cannot be read."""
    monkeypatch.setenv(CHOICE, choice)
    states = make_lake(tmp_path / "far.ducklake", "s3://lake/data/")
    url = f"ducklake://{tmp_path}/far.ducklake?table=events"
    assert outcome(states[7]) == outcome(url)
    found = find_input(f"{url}&version=1", tmp_path)
    assert isinstance(found, DuckLakeSnapshot)
    with Engine() as engine:
        engine.lock_down(paths_of(found), extensions=extensions_of(found))
        attach(engine, found.attach_sql, found.table, found.name)
        with pytest.raises(MeteringError):
            engine.rows("FROM read_parquet('s3://lake/data/main/events/*.parquet')")
        assert [(1000,)] == engine.rows("SELECT count(n) FROM the_input.events")


@NEEDS_DUCKLAKE
@pytest.mark.skipif(can_load("httpfs"), reason="the extension httpfs is here")
def test_rows_on_s3_need_httpfs(tmp_path: Path) -> None:
    """Without it, that is the error."""
    path = tmp_path / "far.ducklake"
    make_lake(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE ducklake_metadata SET value = 's3://lake/' WHERE key = 'data_path'")
    with pytest.raises(SourceError, match=f"found rows on object storage, and {missing('httpfs')}"):
        find_input(f"ducklake://{path}?table=events", tmp_path)
