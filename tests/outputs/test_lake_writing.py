"""Records and readings written into Delta and Iceberg tables: by their ids, in one commit, and read back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import s3fs
from click.testing import CliRunner
from deltalake import DeltaTable, write_deltalake
from pyiceberg import catalog
from pyiceberg.catalog import load_catalog
from pyiceberg.utils.config import Config

from metering_duck import ConfigError, MeteringError, SchemaError, SourceError, aggregate, meter, rollup
from metering_duck.calls.metering import periods
from metering_duck.cli.main import cli
from metering_duck.engine.duckdb import Engine
from metering_duck.outputs import lake_writing as table_writing
from metering_duck.outputs.lake_target import Batches
from metering_duck.runs.rows import Rows
from metering_duck.statements.stages import Query, Stage
from tests import worlds
from tests.lake_server import SECRET

pytestmark = pytest.mark.slow

CONFIG = {"measurements": [{"sourceProperty": "n", "unit": "calls", "aggregation": "sum"}]}
DAYS = {"start": "2024-02-01", "end": "2024-02-04", "every": "day"}


def event(day: int, n: int, value: str | None = None) -> dict[str, Any]:
    """An event of a day, with a quantity of 18 fraction digits."""
    properties = {"n": value or f"{n}.000000000000000001", "region": "it's"}
    whose = {"workspace": ("acme", "beta")[n % 2], "universe": "production", "subject": f"customer:{n}"}
    return worlds.row(f"{day}-{n}", f"2024-02-0{day}T0{n}:00:00Z", properties, type="call", **whose)


EVENTS = [event(day, n) for day in (1, 2, 3) for n in range(4)]


@dataclass
class Lake:
    """A table of one of the formats, and how to look at it without this library."""

    url: str
    place: str
    catalog_options: Mapping[str, str] | None = None

    def versions(self) -> list[object]:
        """Every version or snapshot so far, the latest last."""
        if self.catalog_options is None:
            return list(range(DeltaTable(self.place).version() + 1)) if DeltaTable.is_deltatable(self.place) else []
        opened_catalog = load_catalog("lake")
        if not opened_catalog.table_exists("usage.rows"):
            return []
        return [one.snapshot_id for one in opened_catalog.load_table("usage.rows").snapshots()]

    def name(self) -> str:
        """The table at its latest version."""
        return f"{self.url}?{'version' if self.catalog_options is None else 'snapshot'}={self.versions()[-1]}"

    def content(self) -> pa.Table:
        """All rows, by their ids."""
        if self.catalog_options is None:
            return DeltaTable(self.place).to_pyarrow_table().sort_by("id")
        return load_catalog("lake").load_table("usage.rows").scan().to_arrow().sort_by("id")

    def add(self, rows: pa.Table) -> None:
        """Somebody else's commit; it makes the table if there is none."""
        if self.catalog_options is None:
            write_deltalake(self.place, rows, mode="append")
            return
        opened_catalog = load_catalog("lake")
        opened_catalog.create_namespace_if_not_exists("usage")
        opened_catalog.create_table_if_not_exists("usage.rows", schema=rows.schema).append(rows)


@pytest.fixture
def delta(tmp_path: Path) -> Lake:
    """A place on disk for a Delta table."""
    return Lake(f"delta://{tmp_path}/rows", f"{tmp_path}/rows")


@pytest.fixture
def iceberg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A catalog in which there may be an Iceberg table; it has no namespace yet."""
    options = {"type": "sql", "uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": f"file://{tmp_path}/warehouse"}
    for name, value in options.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__LAKE__{name.upper()}", value)
    # pyiceberg reads its configuration once, when it is imported.
    monkeypatch.setattr(catalog, "_ENV_CONFIG", Config())
    return Lake("iceberg://lake/usage.rows", "lake/usage.rows", options)


@pytest.fixture(params=["delta", "iceberg"])
def lake(request: pytest.FixtureRequest) -> Lake:
    """Each format."""
    found: Lake = request.getfixturevalue(request.param)
    return found


@cache
def computed(events: str, clock: str, options: str) -> pa.Table:
    """Readings by day, computed once."""
    with aggregate(json.loads(events), CONFIG, **{**DAYS, "clock": clock, **json.loads(options)}) as result:
        return result.to_arrow()


def readings_of(events: list[dict[str, Any]], clock: str, **options: Any) -> pa.Table:
    """Readings by day, by their ids."""
    return computed(json.dumps(events), clock, json.dumps(options)).sort_by("id")


def write(lake: Lake, rows: pa.Table, **options: Any) -> str:
    """Rows written; the table's name at its version."""
    engine = Engine(threads=1)
    engine.connection.register("given", rows)
    shape = "reading-bundle" if "computed_values" in rows.column_names else "reading"
    with Rows(engine, Query("given_rows", (Stage("given_rows", "as given", "SELECT * FROM given"),)), shape) as result:
        return str(result.write(lake.url, **options))


def write_readings(lake: Lake, events: list[dict[str, Any]] = EVENTS, clock: str | None = None, **options: Any) -> str:
    """Readings by day, written; the table's name at its version."""
    written = {key: options.pop(key) for key in ("mode", "partition_by") if key in options}
    return write(lake, readings_of(events, clock or FIRST, **options), **written)


FIRST, SECOND = "2024-06-01T00:00:00Z", "2024-06-02T00:00:00Z"


@pytest.mark.parametrize("bundled", [False, True])
def test_a_new_table_has_the_rows_with_their_types(lake: Lake, bundled: bool) -> None:
    """DECIMAL(38,18) to the last digit, maps, lists, UTC microseconds; the name says the version that was written."""
    name = write_readings(lake, clock=FIRST, group_by=["region"], bundled=bundled)
    expected = readings_of(EVENTS, FIRST, group_by=["region"], bundled=bundled)
    assert lake.name() == name
    assert expected.to_pylist() == lake.content().select(expected.column_names).to_pylist()
    if not bundled:
        assert pa.decimal128(38, 18) == lake.content().schema.field("quantity").type
        assert Decimal("3.000000000000000001") == max(lake.content().column("quantity").to_pylist())


def test_a_written_table_is_an_input_again(lake: Lake) -> None:
    """Readings are rolled up from it as from memory, also where it has a column more, for its partitions."""
    write_readings(lake, clock=FIRST, partition_by=["workspace_id", "month"])
    with rollup(lake.url, clock=SECOND) as found, rollup(readings_of(EVENTS, FIRST), clock=SECOND) as expected:
        assert expected.to_arrow() == found.to_arrow()


def test_written_records_are_aggregated(lake: Lake) -> None:
    """Readings of the table's records are those of the events."""
    with meter(EVENTS, CONFIG, clock=FIRST) as records:
        records.write(lake.url, partition_by=["date"])
    with aggregate(records=lake.url, aggregation="sum", clock=SECOND, **DAYS) as found:
        assert readings_of(EVENTS, FIRST).column("quantity") == found.to_arrow().sort_by("id").column("quantity")


@pytest.mark.parametrize("run", [meter, aggregate])
def test_the_same_run_again_makes_no_version(lake: Lake, run: Any) -> None:
    """Records and readings at another time, of events that do not say when they were metered, by merge and append."""
    names = []
    for mode in ("merge", "merge", "append"):
        with run(EVENTS[:4], CONFIG, **(DAYS if run is aggregate else {})) as result:
            names.append(result.write(lake.url, mode=mode))
    assert [lake.name()] * 3 == names
    assert 1 == len(lake.versions())


def test_the_same_bundles_again_make_no_version(lake: Lake) -> None:
    """Lists of several values are compared, too."""
    for clock in (FIRST, SECOND):
        write_readings(lake, clock=clock, bundled=True)
    assert readings_of(EVENTS, FIRST, bundled=True).to_pylist() == lake.content().to_pylist()
    assert 1 == len(lake.versions())


GROUPS = [*EVENTS[1:4], {**EVENTS[1], "id": "e", "properties": {"n": "5", "user": "u1"}}]


def grouped(*names: str, **options: Any) -> pa.Table:
    """Readings by day and by properties that some events lack."""
    return readings_of(GROUPS, FIRST, group_by=names, **options)


def test_readings_of_several_groupings_lie_beside_each_other(lake: Lake) -> None:
    """By none, by a property that some lack, and by two: each adds up, since no id is that of another (R21)."""
    groupings = [grouped(), grouped("user"), grouped("user", "region"), grouped("user")]
    for rows in groupings:
        write(lake, rows)
    whole = [row for rows in groupings[:3] for row in rows.to_pylist()]
    assert sorted(row["id"] for row in whole) == lake.content().column("id").to_pylist()


@pytest.mark.parametrize("bundled", [False, True])
def test_a_table_with_ids_of_an_earlier_version_is_refused(lake: Lake, bundled: bool) -> None:
    """A reading that is there under its first id would be there twice; overwritten, the table takes readings again."""
    rows = grouped("user", bundled=bundled)
    plain = {
        row["subject"]: row["id"] for row in grouped(bundled=bundled).to_pylist() if row["subject"] != "customer:1"
    }
    earlier = [{**row, "id": plain.get(row["subject"], row["id"])} for row in rows.to_pylist()]
    lake.add(pa.Table.from_pylist(earlier, rows.schema))
    for mode in ("merge", "append"):
        with pytest.raises(SourceError, match="found 2 rows with ids as an earlier version made them, such as"):
            write(lake, rows, mode=mode)
    write(lake, rows, mode="overwrite")
    before = lake.versions()
    write(lake, rows)
    assert (before, rows) == (lake.versions(), lake.content().cast(rows.schema))


def test_plain_readings_go_on_in_a_table_of_an_earlier_version(lake: Lake) -> None:
    """Their ids are what they were: such a table is brought up to date as ever."""
    lake.add(readings_of(EVENTS, FIRST))
    write_readings(lake)
    assert 1 == len(lake.versions())


def test_merge_replaces_what_differs_and_adds_what_is_new(lake: Lake) -> None:
    """Rows that are equal keep the time they were made; a row of which there is no event now stays."""
    write_readings(lake, EVENTS[:8], FIRST)
    before = lake.versions()
    assert (
        lake.url + "?"
        == write_readings(lake, [event(1, 0, "7.5"), *EVENTS[1:4], *EVENTS[8:]], SECOND)[: len(lake.url) + 1]
    )
    expected = {row["id"]: row for row in readings_of(EVENTS[:8], FIRST).to_pylist()}
    expected |= {row["id"]: row for row in readings_of([event(1, 0, "7.5"), *EVENTS[8:]], SECOND).to_pylist()}
    assert expected == {row["id"]: row for row in lake.content().to_pylist()}
    assert before == lake.versions()[: len(before)]


def test_a_metered_time_that_an_event_has_is_a_difference(lake: Lake) -> None:
    """A metered time that is not the clock of the run is a difference: its events entered at another time."""
    for day in (1, 2):
        write_readings(lake, [{**event(1, 0), "metered_at": f"2024-03-0{day}T00:00:00Z"}])
    assert ["2024-03-02"] == [str(time.date()) for time in lake.content().column("max_metered_at").to_pylist()]


def test_append_adds_only_what_is_not_there(lake: Lake) -> None:
    """A row that differs stays as it was."""
    write_readings(lake, EVENTS[:4], FIRST)
    write_readings(lake, [event(1, 0, "7.5"), *EVENTS[1:]], SECOND, mode="append")
    expected = readings_of(EVENTS[:4], FIRST).to_pylist() + readings_of(EVENTS[4:], SECOND).to_pylist()
    assert sorted(expected, key=lambda row: str(row["id"])) == lake.content().to_pylist()


def test_overwrite_replaces_the_partitions_of_the_rows(lake: Lake) -> None:
    """Rows that are no longer there leave them; other partitions stay as they were, and no rows change nothing."""
    write_readings(lake, EVENTS, FIRST, partition_by=["workspace_id", "date"])
    write_readings(lake, [event(2, 0, "7.5")], SECOND, partition_by=["workspace_id", "date"], mode="overwrite")
    others = [one for one in EVENTS if one["workspace_id"] != "acme" or not one["id"].startswith("2-")]
    expected = readings_of(others, FIRST).to_pylist() + readings_of([event(2, 0, "7.5")], SECOND).to_pylist()
    found = lake.content()
    assert (
        sorted(expected, key=lambda row: str(row["id"]))
        == found.select(readings_of([], FIRST).column_names).to_pylist()
    )
    assert {"2024-02-01", "2024-02-02", "2024-02-03"} == set(found.column("date").to_pylist())
    write_readings(lake, [], SECOND, partition_by=["workspace_id", "date"], mode="overwrite")
    assert found == lake.content()


def test_overwrite_of_a_partition_without_a_value(lake: Lake) -> None:
    """Readings across workspaces have none; they replace each other."""
    for clock in (FIRST, SECOND):
        write_readings(lake, clock=clock, partition_by=["workspace_id"], mode="overwrite", across_workspaces=True)
    assert readings_of(EVENTS, SECOND, across_workspaces=True).to_pylist() == lake.content().to_pylist()


def test_overwrite_without_partitions_replaces_all(lake: Lake) -> None:
    """All rows of the table are replaced, also where there is no row to write."""
    write_readings(lake, EVENTS, FIRST)
    write_readings(lake, EVENTS[:2], SECOND, mode="overwrite")
    assert readings_of(EVENTS[:2], SECOND).to_pylist() == lake.content().to_pylist()
    write_readings(lake, [], SECOND, mode="overwrite")
    assert 0 == lake.content().num_rows


def test_a_row_that_moves_leaves_its_old_partition(lake: Lake) -> None:
    """A record keeps its id when its event's time is corrected."""
    for day in (1, 2):
        with meter([{**event(1, 0), "time": f"2024-02-0{day}T00:00:00Z"}], CONFIG) as records:
            records.write(lake.url, partition_by=["date"])
    assert ["2024-02-02"] == lake.content().column("date").to_pylist()


def test_no_rows_make_an_empty_table_that_takes_some(lake: Lake) -> None:
    """A day without events is not an error, nor is the next with some."""
    write_readings(lake, [], FIRST, partition_by=["month"])
    assert 0 == lake.content().num_rows
    write_readings(lake, EVENTS, FIRST, partition_by=["month"])
    assert 12 == lake.content().num_rows


def test_a_table_whose_columns_are_in_another_order_is_written_by_name(lake: Lake) -> None:
    """Another tool may have made the table; rows go into its columns by name."""
    readings = readings_of(EVENTS, FIRST)
    lake.add(readings.select(readings.column_names[::-1]).slice(0, 6))
    write_readings(lake, [event(1, 0, "7.5"), *EVENTS[1:]], SECOND)
    expected = {row["id"]: row["quantity"] for row in readings_of([event(1, 0, "7.5"), *EVENTS[1:]], FIRST).to_pylist()}
    assert expected == {row["id"]: row["quantity"] for row in lake.content().to_pylist()}


COLUMN_FAULTS = {
    "another scale": ({"scale": 2}, "column quantity: found DECIMAL(38,18) in the table; expected DECIMAL(38,2)"),
    "digits": ({"digits": 5}, "column quantity: found DECIMAL(38,18) in the table; expected text, as the rows have it"),
    "a bundle": ({"bundled": True}, "column computed_values: found none in the table; expected a list of"),
    "a partition": ({"partition_by": ["date"]}, "partition-by: found date; expected none, as {url} has it"),
}


def test_a_table_of_other_columns_is_left_alone(lake: Lake) -> None:
    """The message names the column, and nothing is written."""
    write_readings(lake)
    before = lake.versions()
    for mode in ("merge", "append", "overwrite"):
        for options, expected in COLUMN_FAULTS.values():
            with pytest.raises((SchemaError, ConfigError)) as raised:
                write_readings(lake, mode=mode, **options)
            assert expected.format(url=lake.url) in str(raised.value)
    assert before == lake.versions()


def test_a_partitioned_table_wants_its_partitions_named(lake: Lake) -> None:
    """Without their names a column is missing, or an overwrite would replace all rows; rows with the columns merge."""
    write_readings(lake, partition_by=["date"])
    with pytest.raises(SchemaError, match=r"column date: found text in the table; .* hint: --partition-by date"):
        write_readings(lake)
    other = Lake(f"{lake.url}_of_workspaces", "")
    write_readings(other, partition_by=["workspace_id"])
    assert write_readings(other, partition_by=["workspace_id"]) == write_readings(other)
    with pytest.raises(ConfigError, match=r"expected its partitions\. hint: --partition-by workspace_id"):
        write_readings(other, mode="overwrite")


def test_ids_that_occur_twice_are_refused(lake: Lake) -> None:
    """Of the rows as of the table, since neither can be merged by them."""
    with (
        meter([EVENTS[0]] * 2, CONFIG, assume_unique=True) as records,
        pytest.raises(SourceError, match=r"in 2 rows; expected every id once\. hint: without --assume-unique"),
    ):
        records.write(lake.url)
    assert [] == lake.versions()
    lake.add(pa.concat_tables([readings_of(EVENTS, FIRST)] * 2))
    with pytest.raises(SourceError, match="in 2 rows of the table; expected every id once"):
        write_readings(lake)


FAULTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "a mode": ("{url}", {"mode": "upsert"}, "mode: found 'upsert'; expected one of merge, append, overwrite"),
    "a mode of a file": ("out.parquet", {"mode": "merge"}, "mode: found 'merge' for out.parquet; expected a Delta or"),
    "a format": ("{url}", {"format": "csv"}, "expected none, since a table has its own"),
    "a column": ("{url}", {"partition_by": ["dat"]}, "partition-by: found 'dat'; expected a column"),
    "a quantity": ("{url}", {"partition_by": ["quantity"]}, "partition-by: found quantity, a decimal128"),
    "a version": ("{url}?version=1", {}, "found a version; expected none, since a table is written at its latest"),
    "brackets": ("{url}[x]", {}, "[x]: found [, ], ^ or | in a path that is written to; expected another."),
    "DuckDB": ("duckdb://a.duckdb?table=t", {}, "found the scheme duckdb://; expected a table that can be written"),
    "no Iceberg name": ("iceberg://lake/rows", {}, "found no table; expected iceberg://CATALOG/NAMESPACE.TABLE"),
    "no catalog": ("iceberg://unknown/usage.rows", {}, "hint: PYICEBERG_CATALOG__UNKNOWN__URI"),
}


def test_what_cannot_be_written_is_said(delta: Lake) -> None:
    """A mode, a shape or columns that do not fit are an error, and nothing is written."""
    for target, options, expected in FAULTS.values():
        with pytest.raises(MeteringError) as raised:
            write(Lake(target.format(url=delta.url), ""), readings_of(EVENTS, FIRST), **options)
        assert expected in str(raised.value)
    assert [] == delta.versions()


def test_only_records_and_readings_go_into_tables(delta: Lake) -> None:
    """Other rows, rejects among them, have no id of their own."""
    with periods(**DAYS) as result, pytest.raises(ConfigError, match="found periods; expected records or readings"):
        result.write(delta.url)
    with meter(EVENTS, CONFIG) as records, pytest.raises(ConfigError, match="found a table; expected a file"):
        records.write_rejects(delta.url)


def test_a_library_that_is_missing_is_named(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to install the library."""
    kind = lake.url.partition(":")[0]
    for module in ("deltalake", "pyiceberg.catalog"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SourceError, match=rf"hint: pip install 'metering-duck\[{kind}\]'"):
        write_readings(lake)


def stream_after(monkeypatch: pytest.MonkeyPatch, lake: Lake, commits: list[pa.Table]) -> None:
    """Let somebody else commit the next of some rows whenever the table was opened and rows are about to leave."""

    def late(*arguments: Any) -> Batches:
        if commits:
            lake.add(commits.pop())
        return Batches(*arguments)

    monkeypatch.setattr(table_writing, "Batches", late)


@pytest.mark.parametrize("mode", ["merge", "append"])
def test_a_commit_in_between_is_seen(lake: Lake, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that somebody else added meanwhile are not there twice, whether the table was there or not."""
    expected = readings_of(EVENTS, FIRST)
    stream_after(monkeypatch, lake, [expected.slice(4, 4), expected.slice(0, 4)])
    write_readings(lake, clock=FIRST, mode=mode)
    assert expected.to_pylist() == lake.content().to_pylist()


def test_commits_without_an_end_are_an_error(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says to run again; the table is as the other writers left it."""
    others = [readings_of([event(day, 0)], FIRST) for day in (1, 2, 3)] + [
        readings_of([{**event(1, 1), "subject": f"customer:x{n}"}], FIRST) for n in range(2)
    ]
    stream_after(monkeypatch, lake, list(others))
    with pytest.raises(SourceError, match=r"found commits of others, 5 times in a row; .* hint: run again"):
        write_readings(lake, clock=FIRST)
    assert sorted(row["id"] for other in others for row in other.to_pylist()) == lake.content()["id"].to_pylist()


KILLED = """
import os, signal, sys
from metering_duck import aggregate
from metering_duck.engine.duckdb import Engine

stream = Engine.stream

def cut(*arguments):
    yield from stream(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

Engine.stream = cut
with aggregate(sys.argv[1], {"measurements": [{"sourceProperty": "n", "unit": "calls"}]}, aggregation="sum",
               start="2024-02-01", end="2024-02-04", every="day") as result:
    result.write(sys.argv[2])
"""


def test_killed_during_the_write_the_table_is_as_before(lake: Lake, tmp_path: Path) -> None:
    """SIGKILL when the last row was handed over; written again, the rows are there once."""
    write_readings(lake, EVENTS[:4], FIRST)
    before = lake.content(), lake.versions()
    (tmp_path / "events.ndjson").write_text("".join(json.dumps(one) + "\n" for one in EVENTS))
    given = [sys.executable, "-c", KILLED, str(tmp_path / "events.ndjson"), lake.url]
    killed = subprocess.run(given, env=dict(os.environ), capture_output=True)
    assert -signal.SIGKILL == killed.returncode, killed.stderr
    assert before == (lake.content(), lake.versions())
    write_readings(lake)
    assert 12 == lake.content().num_rows


def run_command(tmp_path: Path, *given: str) -> tuple[int, str]:
    """The command line over EVENTS: its exit code and what it said."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "events.ndjson").write_text("".join(json.dumps(one) + "\n" for one in EVENTS))
    span = ["--start", "2024-02-01", "--end", "2024-02-04", "--every", "day"]
    events = [str(tmp_path / "events.ndjson"), "--config", str(tmp_path / "config.json")]
    done = CliRunner().invoke(cli, ["aggregate", *events, *span, *given])
    return done.exit_code, done.output


def test_the_command_line_writes_and_names_the_version(delta: Lake, tmp_path: Path) -> None:
    """Twice, and the version is the same; a folder that is a table is written as one."""
    for target in (delta.url, delta.url, delta.place):
        code, said = run_command(tmp_path, "-o", target, "--partition-by", "date")
        assert (0, True) == (code, f"note: output: {delta.url}?version=0." in said), said
    assert 0 == run_command(tmp_path, "-q", "-o", delta.url, "--partition-by", "date", "--mode", "overwrite")[0]
    assert [0, 1] == delta.versions()


def test_the_command_line_refuses_before_the_work(delta: Lake, tmp_path: Path) -> None:
    """A mode without a table, a format, rejects in a table, a table that is an input."""
    for given, expected in {
        ("--mode", "merge"): "--mode: found no table; expected one",
        ("-o", "out.parquet", "--mode", "merge"): "--mode: found no table; expected one",
        ("-o", delta.url, "--format", "csv"): "--format: found csv; expected none, since a table has its own",
        ("--rejects", delta.url): f"{delta.url}: found a table; expected a file",
    }.items():
        code, said = run_command(tmp_path, *given)
        assert (2, True) == (code, expected in said), said
    write_readings(delta)
    done = CliRunner().invoke(cli, ["rollup", f"{delta.url}?version=0", "-o", f"delta://{delta.place}/"])
    assert (2, True) == (done.exit_code, "which is an input; expected a table of its own" in done.output), done.output


@pytest.fixture
def place(bucket: s3fs.S3FileSystem) -> str:
    """A place in the bucket for a table."""
    return "s3://lake/rows"


def test_a_delta_table_on_s3(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made, merged and read back there; a commit in between is seen, since a commit never replaces another."""
    remote = Lake(f"delta://{place}", place)
    for _ in range(2):
        code, said = run_command(tmp_path, "-o", remote.url, "--partition-by", "workspace_id")
        assert (0, True) == (code, f"note: output: {remote.url}?version=0." in said), said
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    extra = [event(4, 0), event(4, 1)]
    april = {"end": "2024-02-05", "clock": FIRST}
    stream_after(monkeypatch, remote, [readings_of(extra[:1], **april)])
    assert f"{remote.url}?version=2" == write_readings(remote, extra, partition_by=["workspace_id"], **april)
    with (
        rollup(remote.url, clock=FIRST) as found,
        rollup(readings_of(EVENTS + extra, **april), clock=FIRST) as expected,
    ):
        assert expected.to_arrow().column("quantity") == found.to_arrow().column("quantity")


def test_what_is_not_there_on_s3_is_said_without_a_secret(place: str) -> None:
    """A bucket that is not there."""
    with pytest.raises(SourceError, match="delta://s3://nowhere/rows: found no bucket nowhere; expected one") as raised:
        write_readings(Lake("delta://s3://nowhere/rows", ""))
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("place", "environment", "expected"),
    [
        ("s3://nowhere/rows", {}, "found no bucket nowhere; expected one that exists."),
        ("s3://lake/nothing", {}, "found no Delta table that can be read (TableNotFoundError); expected one."),
        ("s3://lake/nothing", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "found nobody who answers; expected the "),
    ],
)
def test_a_delta_table_that_cannot_be_read_on_s3_is_explained(
    place: str,
    environment: dict[str, str],
    expected: str,
    bucket: s3fs.S3FileSystem,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each fault by its name, without a secret."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SourceError) as raised:
        rollup(f"delta://{place}", clock=FIRST)
    assert str(raised.value).startswith(f"delta://{place}: {expected}"), raised.value
    assert SECRET not in str(raised.value)


def test_a_delta_table_is_read_with_the_keys_of_a_profile(
    bucket: s3fs.S3FileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS_PROFILE, as everywhere else."""
    lines = ["[finance]", "aws_access_key_id = AKIDFINANCE", f"aws_secret_access_key = {SECRET}"]
    (tmp_path / "credentials").write_text("\n".join(lines))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "finance")
    written = write_readings(Lake("delta://s3://lake/of-profile", ""))
    with rollup("delta://s3://lake/of-profile", clock=FIRST) as found:
        assert found.to_arrow().num_rows > 0
    assert written.endswith("?version=0")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(SourceError, match=r"found no profile nobody; expected one of ~/\.aws/config"):
        rollup("delta://s3://lake/of-profile", clock=FIRST)
