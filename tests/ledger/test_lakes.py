"""Ledgers over lakes: days of Delta and Iceberg tables at their versions, and objects on S3, as files are on a disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import s3fs
from deltalake import DeltaTable, write_deltalake
from pyiceberg import catalog
from pyiceberg.catalog import load_catalog
from pyiceberg.utils.config import Config

from metering_duck.contract.schemas import EVENT_SCHEMA
from metering_duck.errors import ConfigError, LedgerError, SchemaError, SourceError
from metering_duck.inputs.table_days import SCANS_MAX, spans_of
from metering_duck.ledger import store
from metering_duck.ledger.ledger import Ledger
from tests import ledger_worlds
from tests.ledger.test_migrating import BACK
from tests.ledger_worlds import CLOCK, MONTHS, NARROW, event, exported, statuses
from tests.worlds import table as table_of
from tests.worlds import written

# The same ledger as over files, over tables that take their time.
pytestmark = pytest.mark.slow

LATER = "2024-07-01T00:00:00Z"
LATEST = "2024-08-01T00:00:00Z"
SUMS = {"measurements": [{"sourceProperty": "tokens", "unit": "tokens", "aggregation": "sum"}]}


@dataclass
class Table:
    """A table of one of the formats, and what its own library does to it."""

    url: str
    append: Callable[[pa.Table], object]
    delete: Callable[[str], object]
    compact: Callable[[], object]

    def version(self) -> str:
        """What a run calls it now."""
        with ledger_worlds.metering_duck.aggregate(self.url, SUMS, start="2024-01-01", end="2024-01-02") as result:
            return next(note for note in result.notices if note.startswith("input: ")).split(" ")[1].rstrip(",")


def delta_table(folder: Path) -> Table:
    """A Delta table that is made by its first rows."""
    path = str(folder / "events")
    return Table(
        f"delta://{path}",
        lambda rows: write_deltalake(path, rows, mode="append"),
        lambda name: DeltaTable(path).delete(f"id = '{name}'"),
        lambda: DeltaTable(path).optimize.compact(),
    )


def iceberg_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """An Iceberg table in a catalog of its own."""
    options = {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": f"file://{folder}"}
    for name, value in options.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__LAKE__{name.upper()}", value)
    monkeypatch.setattr(catalog, "_ENV_CONFIG", Config())
    lake = load_catalog("lake")
    lake.create_namespace("usage")
    table = lake.create_table("usage.events", schema=EVENT_SCHEMA)
    return Table(
        "iceberg://lake/usage.events",
        table.append,
        lambda name: table.delete(f"id = '{name}'"),
        lambda: table.overwrite(table.scan().to_arrow()),
    )


@pytest.fixture(params=["delta", "iceberg"])
def table(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """An empty table of each format."""
    folder = tmp_path / request.param
    folder.mkdir()
    return delta_table(folder) if request.param == "delta" else iceberg_table(folder, monkeypatch)


def bytes_of(ledger: Ledger, run: int) -> bytes:
    """The readings of a run as NDJSON."""
    return written(ledger.export("readings", run=run))


def test_periods_are_what_all_events_of_the_table_at_once_are(table: Table, tmp_path: Path) -> None:
    """After each commit, rows appended, some of them late, one deleted, all compacted: every column, and the books."""
    events = ledger_worlds.world(3, entered=True)
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    commits = [
        lambda: table.append(table_of(events[:100])),
        lambda: table.append(table_of(events[100:])),
        lambda: table.delete(next(one["id"] for one in events if one["time"] and one["type"] == "call")),
        table.compact,
    ]
    for number, commit in enumerate(commits):
        commit()
        outcomes = ledger.backfill(table.url, NARROW, clock=CLOCK if number == 0 else LATER, **MONTHS)
        without = ("created_at",)
        with ledger_worlds.metering_duck.aggregate(table.url, NARROW, clock=CLOCK, **MONTHS) as all_at_once:
            expected, books = all_at_once.accounting, ledger_worlds.plain(all_at_once, without=without)
        assert books == exported(ledger, without=without)
        timeless = ledger.status().without_time
        assert expected.read == sum(outcome.read for outcome in outcomes) + timeless
        assert expected.duplicates == sum(outcome.duplicates for outcome in outcomes)
    assert ["unchanged"] * 3 == statuses(outcomes)
    assert ledger_worlds.problems(ledger, files=True) == []


def two_versions(table: Table, folder: Path) -> Ledger:
    """January and February from one version; then an event more in January, and one in February with other digits."""
    first = [event(n, datetime(2024, month, 10, n, tzinfo=UTC), tokens=n) for month in (1, 2) for n in range(3 * month)]
    ledger = Ledger.init(folder / "ledger.duckdb")
    table.append(table_of({one["id"] + str(one["time"].month): one for one in first}.values()))
    table.append(table_of([event("jan", datetime(2024, 1, 20, tzinfo=UTC), tokens=100)]))
    ledger.backfill(table.url, SUMS, clock=CLOCK, start="2024-01-01", end="2024-03-01", every="month")
    return ledger


def test_only_periods_whose_days_changed_are_metered_again(table: Table, tmp_path: Path) -> None:
    """A commit to a day of January leaves February as it is, and status says so before anything runs."""
    ledger = two_versions(table, tmp_path)
    table.append(table_of([event("late", datetime(2024, 1, 20, 5, tzinfo=UTC), tokens=1000)]))
    stale = {one.period: one.because for one in ledger.status().periods}
    assert not stale["2024-02"]
    assert [f"new: {table.version()}#2024-01-20 (2 events)"] == stale["2024-01"][1:]
    assert stale["2024-01"][0].startswith("gone or changed: ")
    again = ledger.backfill(clock=LATER, start="2024-01-01", end="2024-03-01", every="month")
    assert ["done", "unchanged"] == statuses(again)


def test_a_rerun_reads_the_version_of_then(table: Table, tmp_path: Path) -> None:
    """As of a moment before a commit, and as it was: the same bytes, and the version is in the run's files."""
    ledger = two_versions(table, tmp_path)
    version = table.version()
    before = bytes_of(ledger, 1)
    table.append(table_of([event("late", datetime(2024, 1, 20, 5, tzinfo=UTC), tokens=1000)]))
    assert "done" == ledger.backfill(clock=LATER, start="2024-01-01", end="2024-02-01", every="month")[0].status
    of_then = ledger.rerun("2024-01", as_of=CLOCK, clock=LATEST)
    assert "reproduced" == of_then.status
    assert before == bytes_of(ledger, of_then.run_id)
    files = ledger_worlds.query(ledger, "SELECT versioned_path FROM run_files WHERE run_id = 1 AND counts ORDER BY ALL")
    assert [(f"{version}#2024-01-10",), (f"{version}#2024-01-20",)] == files
    now = ledger.rerun("2024-01", as_was=True, clock=LATEST)
    assert "reproduced" == now.status
    assert before != bytes_of(ledger, now.run_id)


def test_what_was_metered_stays_when_the_table_cannot_be_read_any_more(tmp_path: Path) -> None:
    """A column that was mapped is renamed: status says so, a month is closed, and its version of then read again."""
    path, url = str(tmp_path / "events"), f"delta://{tmp_path}/events"
    rows = table_of([event(n, datetime(2024, 1, 5, tzinfo=UTC), tokens=n) for n in range(3)]).drop_columns(
        ["properties"]
    )
    write_deltalake(path, rows.append_column("tokens", pa.array(["1", "2", "3"])))
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    given = {"config": SUMS, "clock": CLOCK, "map": {"properties": "tokens"}}
    ledger.backfill(url, start="2024-01-01", end="2024-02-01", every="month", **given)
    renamed = rows.append_column("toks", pa.array(["1", "2", "3"]))
    write_deltalake(path, renamed, mode="overwrite", schema_mode="overwrite")

    (problem,) = ledger.status().problems
    assert problem.startswith(f"what is there now cannot be read: {url}?version=1: column 'tokens': found no such")
    assert "reproduced" == ledger.rerun("2024-01", as_of=LATER, clock=LATEST).status
    assert "closed" == ledger.close("2024-01").status
    with pytest.raises(SchemaError, match="column 'tokens': found no such column"):
        ledger.backfill(config=SUMS, start="2024-01-01", end="2024-02-01", every="month", clock=LATEST)


def test_an_empty_table_is_said_to_be_empty(table: Table, tmp_path: Path) -> None:
    """Before the first row there is nothing to meter."""
    if table.url.startswith("delta"):
        table.append(table_of([]))
    with pytest.raises(LedgerError, match="events: found no row in the table; expected some"):
        Ledger.init(tmp_path / "l.duckdb").backfill(table.url, config=SUMS, start="2024-01-01", end="2024-02-01")


def test_a_closed_month_is_restated_with_the_event_that_came_late(table: Table, tmp_path: Path) -> None:
    """The difference names the event and the day of the table that it is in; nobody else's reading changes."""
    ledger = two_versions(table, tmp_path)
    ledger.close("2024-01", by="kim", clock=LATER)
    table.append(table_of([event("late", datetime(2024, 1, 20, 5, tzinfo=UTC), tokens=1000)]))
    restated = ledger.restate("2024-01", book=True, by="kim", clock=LATEST)
    with restated.rows as rows:
        (found,) = rows.to_dicts()
    assert ("103", "1103", "1000") == tuple(f"{float(found[name]):g}" for name in ("old", "new", "delta"))
    assert [("added", "elate", f"{table.version()}#2024-01-20")] == [
        (cause["cause"], cause["event_id"], cause["file"]) for cause in found["causes"]
    ]


def test_a_simulation_of_a_run_reads_the_days_of_then(table: Table, tmp_path: Path) -> None:
    """Under its own config a run before a commit is simulated to no difference."""
    ledger = two_versions(table, tmp_path)
    table.append(table_of([event("late", datetime(2024, 1, 20, 5, tzinfo=UTC), tokens=1000)]))
    ledger.backfill(clock=LATER, start="2024-02-01", end="2024-03-01", every="month")
    assert ledger.status().periods[0].is_stale
    with ledger.simulate("2024-01", config=SUMS, universe="simulation-same", clock=LATEST).rows as rows:
        assert [] == rows.to_dicts()


def test_a_trace_names_the_day_of_the_table(table: Table, tmp_path: Path) -> None:
    """Events are found by their id; a table has no rows by number."""
    ledger = two_versions(table, tmp_path)
    ((reading,),) = ledger_worlds.query(ledger, "SELECT id FROM readings WHERE run_id = 1")
    with ledger.trace(reading).events as rows:
        found = {(row["event_id"], row["file"].rpartition("#")[2]) for row in rows.to_dicts()}
    assert {("e0", "2024-01-10"), ("e1", "2024-01-10"), ("e2", "2024-01-10"), ("ejan", "2024-01-20")} == found


def test_a_table_in_the_place_of_another_is_not_taken_for_it(tmp_path: Path) -> None:
    """A table with the path and the version number of the metered table, but of another id, is another table."""
    table = delta_table(tmp_path)
    ledger = two_versions(table, tmp_path)
    shutil.rmtree(tmp_path / "events")
    for tokens in (1, 2):
        table.append(table_of([event(tokens, datetime(2024, 1, 10, tzinfo=UTC), tokens=tokens)]))
    with pytest.raises(LedgerError, match=r"version=1#2024-01-10: is not what it was when it was seen"):
        # Within a process the id of a version is asked once.
        store_of(ledger).rerun("2024-01", as_was=True)


def store_of(ledger: Ledger) -> Ledger:
    """The same ledger, as another process opens it."""
    from metering_duck.ledger.places import table_id

    table_id.cache_clear()
    return Ledger(ledger.store.path)


def test_what_a_ledger_cannot_read_again_is_refused(tmp_path: Path) -> None:
    """Tables beside files, two tables, tables without versions, and times that have no zone."""
    table = delta_table(tmp_path)
    table.append(table_of([event(1, datetime(2024, 1, 10, tzinfo=UTC), tokens=1)]))
    ledger_worlds.write(tmp_path / "files", "a", [event(1, datetime(2024, 1, 10, tzinfo=UTC), tokens=1)])
    naive = table_of([event(1, datetime(2024, 1, 10, tzinfo=UTC), tokens=1)])
    naive = naive.set_column(naive.schema.get_field_index("time"), "time", naive["time"].cast(pa.timestamp("us")))
    write_deltalake(tmp_path / "naive", naive)
    with ledger_worlds.duckdb.connect(str(tmp_path / "usage.duckdb")) as connection:
        connection.execute("CREATE TABLE events AS SELECT 'x' AS id")
    faults: dict[str, tuple[Any, type[Exception]]] = {
        "found it beside delta://": ([tmp_path / "files", table.url], LedgerError),
        "found it beside ": ([tmp_path / "naive", table.url], LedgerError),
        "found a table without versions": (f"duckdb://{tmp_path}/usage.duckdb?table=events", LedgerError),
        "found timestamp[us] as time; expected a timestamp with a zone": (tmp_path / "naive", ConfigError),
        "found no Delta table": (f"delta://{tmp_path}/nowhere", SourceError),
    }
    for number, (said, (events, kind)) in enumerate(faults.items()):
        ledger = Ledger.init(tmp_path / f"{number}.duckdb")
        with pytest.raises(kind) as raised:
            ledger.backfill(events, SUMS, start="2024-01-01", end="2024-02-01", every="month")
        assert said in str(raised.value)


def test_days_far_apart_are_read_by_few_scans() -> None:
    """Days beside each other are one span; of many apart the nearest are joined, and what is between is left out."""
    first = datetime(2024, 1, 1)
    days = [(first + timedelta(days=n)).strftime("%Y-%m-%d") for n in (0, 1, 2, 30)]
    assert [
        (first, first + timedelta(days=3), True),
        (first + timedelta(days=30), first + timedelta(days=31), True),
    ] == (spans_of(days))
    scattered = spans_of((first + timedelta(days=10 * n)).strftime("%Y-%m-%d") for n in range(50))
    assert SCANS_MAX == len(scattered)
    assert not all(is_whole for *_, is_whole in scattered)
    assert [] == spans_of(["2024-01-01", ""])


# --- objects ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(bucket: s3fs.S3FileSystem) -> s3fs.S3FileSystem:
    """The bucket without events."""
    if bucket.exists("lake/events"):
        bucket.rm("lake/events", recursive=True)
    return bucket


def put(bucket: s3fs.S3FileSystem, name: str, *tokens: int, month: int = 1) -> None:
    """An object of events, one for each quantity."""
    events = [
        {**event(f"{name}{n}", None, tokens=value), "time": f"2024-{month:02}-10T00:00:00Z"}
        for n, value in enumerate(tokens)
    ]
    with bucket.open(f"lake/events/{name}.ndjson", "wb") as file:
        file.write("\n".join(json.dumps(one) for one in events).encode())


def sums(ledger: Ledger) -> list[tuple[Any, ...]]:
    """What counts now, by period."""
    return ledger_worlds.query(
        ledger, "SELECT strftime(window_start, '%Y-%m'), quantity FROM current_readings ORDER BY window_start"
    )


def test_objects_are_files_of_a_ledger(bucket: s3fs.S3FileSystem, tmp_path: Path) -> None:
    """A new object changes its own period; what is unchanged is not metered again; every byte can be verified."""
    options = {"start": "2024-01-01", "end": "2024-03-01", "every": "month"}
    put(bucket, "a", 1, 2)
    put(bucket, "b", 5, month=2)
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    ledger.backfill("s3://lake/events/", SUMS, clock=CLOCK, **options)
    assert [("2024-01", "3"), ("2024-02", "5")] == sums(ledger)
    put(bucket, "c", 10)
    assert [["new: s3://lake/events/c.ndjson (1 event)"], []] == [one.because for one in ledger.status().periods]
    assert ["done", "unchanged"] == statuses(ledger.backfill(clock=LATER, **options))
    assert [("2024-01", "13"), ("2024-02", "5")] == sums(ledger)
    assert "reproduced" == ledger.rerun("2024-01", as_of=CLOCK, clock=LATEST).status
    assert ledger_worlds.problems(ledger, files=True) == []


def test_an_object_that_was_changed_is_told_from_what_it_was(bucket: s3fs.S3FileSystem, tmp_path: Path) -> None:
    """Of the same length and written in the same second: its ETag is another."""
    options = {"start": "2024-01-01", "end": "2024-02-01", "every": "month"}
    put(bucket, "a", 1)
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    ledger.backfill("s3://lake/events/", SUMS, clock=CLOCK, **options)
    put(bucket, "a", 2)
    with pytest.raises(LedgerError, match=r"s3://lake/events/a.ndjson: was seen on 2024-06-01 and has changed"):
        ledger.backfill(clock=LATER, **options)
    with pytest.raises(LedgerError, match=r"a.ndjson: is not what it was when it was seen"):
        ledger.rerun("2024-01", as_was=True)
    bucket.rm("lake/events/a.ndjson")
    with pytest.raises(LedgerError, match=r"a.ndjson: is gone; expected it as it was"):
        ledger.rerun("2024-01", as_was=True)
    assert [("2024-01", "1")] == sums(ledger)


# --- older ledgers ---------------------------------------------------------------------------------------------------


def test_a_ledger_of_version_1_is_brought_forward(tmp_path: Path) -> None:
    """What the ledger has stays, and the same backfill finds nothing to do."""
    options = {"start": "2024-01-01", "end": "2024-02-01", "every": "month"}
    events = ledger_worlds.write(tmp_path / "events", "a", [event(1, datetime(2024, 1, 10, tzinfo=UTC), tokens=1)])
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    ledger.backfill(events, SUMS, clock=CLOCK, **options)
    with ledger_worlds.duckdb.connect(str(ledger.store.path)) as connection:
        connection.execute(BACK)
        connection.execute("ALTER TABLE source_files DROP COLUMN etag")
        connection.execute("ALTER TABLE run_files DROP COLUMN versioned_path")
        connection.execute("UPDATE ledger SET version = 1")
    assert ["unchanged"] == statuses(ledger.backfill(clock=LATER, **options))
    assert [(store.VERSION,)] == ledger_worlds.query(ledger, "SELECT version FROM ledger")
    assert ledger_worlds.problems(ledger, files=True) == []
