"""Delta and Iceberg tables and DuckDB files, read where they lie: what Parquet gives, at any version."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import sys
from base64 import b85encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from click.testing import CliRunner
from deltalake import DeltaTable, write_deltalake
from pyarrow import parquet
from pyiceberg import catalog
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.utils.config import Config

from metering_duck import ConfigError, SchemaError, SourceError, aggregate, compile_sql, meter
from metering_duck.cli.main import cli
from metering_duck.inputs.given import find_input
from tests.worlds import CLOCK

CONFIG = {
    "measurements": [
        {"sourceProperty": "n", "unit": "calls", "aggregation": "sum"},
        {"sourceProperty": "n", "unit": "level", "aggregation": "time-weighted-avg"},
    ]
}
FEBRUARY = {"start": "2024-02-01", "end": "2024-03-01", "clock": CLOCK}


def table_of(workspace: str, day: int, count: int = 4) -> pa.Table:
    """Events of a day, as a lake has them."""
    return pa.table(
        {
            "id": [f"{day}-{n}" for n in range(count)],
            "workspace_id": [workspace] * count,
            "universe_id": ["production"] * count,
            "type": ["call"] * count,
            "subject": [f"customer:{n % 2}" for n in range(count)],
            "time": pa.array([datetime(2024, 2, day, n, tzinfo=UTC) for n in range(count)], pa.timestamp("us", "UTC")),
            "properties": pa.array(
                [[("n", f"{n}.00000000000000000{day}")] for n in range(count)], pa.map_(pa.string(), pa.string())
            ),
        }
    )


FIRST = pa.concat_tables([table_of("acme", 1), table_of("beta", 2)])
SECOND = pa.concat_tables([FIRST, table_of("acme", 3), table_of("acme", 3, 2)])


def after_deletion(table: pa.Table) -> pa.Table:
    """Without the events that both lakes delete."""
    return table.filter(pa.compute.field("id") != "1-1")


@pytest.fixture(scope="module")
def delta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Delta table of three versions: two appended, then one event deleted."""
    path = tmp_path_factory.mktemp("delta") / "events"
    write_deltalake(path, FIRST, partition_by=["workspace_id"])
    write_deltalake(path, SECOND.slice(FIRST.num_rows), mode="append")
    DeltaTable(path).delete("id = '1-1'")
    return path


@pytest.fixture(scope="module")
def catalog_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Iceberg catalog with the same table, of the same three states."""
    folder = tmp_path_factory.mktemp("iceberg")
    opened = load_catalog("lake", **catalog_options(folder))
    opened.create_namespace("usage")
    table = opened.create_table("usage.events", schema=FIRST.schema)
    table.append(FIRST)
    table.append(SECOND.slice(FIRST.num_rows))
    table.delete("id = '1-1'")
    return folder


def catalog_options(folder: Path) -> dict[str, str]:
    """How pyiceberg is told of the catalog."""
    return {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": f"file://{folder}"}


@pytest.fixture
def iceberg(catalog_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """The catalog, known by pyiceberg's own configuration."""
    for name, value in catalog_options(catalog_folder).items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__LAKE__{name.upper()}", value)
    # pyiceberg reads its configuration once, when it is imported.
    monkeypatch.setattr(catalog, "_ENV_CONFIG", Config())
    return load_catalog("lake")


def outcome(events: Any, **options: Any) -> tuple[pa.Table, dict[str, int]]:
    """The readings and the books."""
    with aggregate(events, CONFIG, **{**FEBRUARY, **options}) as result:
        return result.to_arrow(), dict(result.accounting)


STATES = [FIRST, SECOND, after_deletion(SECOND)]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_delta_table_gives_what_parquet_gives_at_each_version(delta: Path, version: int, tmp_path: Path) -> None:
    """Readings and books, byte for byte, with duplicates and after a deletion."""
    parquet.write_table(STATES[version], tmp_path / "events.parquet")
    assert outcome(tmp_path / "events.parquet") == outcome(f"delta://{delta}?version={version}")


@pytest.mark.sampled(3)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_an_iceberg_table_gives_what_parquet_gives_at_each_snapshot(iceberg: Catalog, number: int) -> None:
    """Readings and books, byte for byte, with duplicates and after a deletion."""
    snapshot = iceberg.load_table("usage.events").snapshots()[number].snapshot_id
    assert outcome(STATES[number]) == outcome(f"iceberg://lake/usage.events?snapshot={snapshot}")


@pytest.mark.slow
def test_without_a_version_the_latest_is_read_and_named(delta: Path, iceberg: Catalog) -> None:
    """A rerun can name it, whatever was committed since; a folder with a log is a table, too."""
    last = iceberg.load_table("usage.events").snapshots()[-1].snapshot_id
    for given, name in {
        str(delta): f"delta://{delta}?version=2",
        f"delta://{delta}": f"delta://{delta}?version=2",
        "iceberg://lake/usage.events": f"iceberg://lake/usage.events?snapshot={last}",
    }.items():
        with aggregate(given, CONFIG, **FEBRUARY) as result:
            assert f"input: {name}, as it is at this version." in result.notices
        assert outcome(STATES[2]) == outcome(name)


def test_a_moment_finds_the_version_of_then(delta: Path, iceberg: Catalog) -> None:
    """As of the moment that the second was committed."""
    # Of a commit without a time of its own in the log, its file's says when it was.
    written = (delta / "_delta_log" / f"{1:020}.json").stat().st_mtime_ns // 1_000 + 1
    second = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=written)).isoformat(timespec="microseconds")
    assert outcome(STATES[1]) == outcome(f"delta://{delta}?timestamp={second.replace('+00:00', 'Z')}")
    snapshots = iceberg.load_table("usage.events").snapshots()
    moment = datetime.fromtimestamp(snapshots[1].timestamp_ms / 1000, UTC).isoformat(timespec="milliseconds")
    assert outcome(STATES[1]) == outcome(f"iceberg://lake/usage.events?timestamp={moment.replace('+00:00', 'Z')}")


@pytest.fixture(params=["delta", "iceberg"])
def lake_without_other_days(
    request: pytest.FixtureRequest, delta: Path, catalog_folder: Path, iceberg: Catalog
) -> Iterator[str]:
    """The latest state of each lake while the files without an event of the third day are away."""
    folder, url = {
        "delta": (delta, f"delta://{delta}"),
        "iceberg": (catalog_folder, "iceberg://lake/usage.events"),
    }[request.param]
    others = [path for path in folder.rglob("*.parquet") if not has_third_day(path)]
    assert len(others) > 1
    for path in others:
        path.rename(path.with_suffix(".away"))
    yield url
    for path in others:
        path.with_suffix(".away").rename(path)


def has_third_day(path: Path) -> bool:
    """Whether a file has an event of the third day."""
    return any(str(text).startswith("3-") for text in parquet.read_table(path, columns=["id"])["id"])


def test_what_workspace_and_time_leave_out_is_not_read(lake_without_other_days: str) -> None:
    """The other files are not even there, and the readings are those of all."""
    asked = {"workspace": "acme", "start": "2024-02-03", "end": "2024-02-04", "clock": CLOCK}
    sums = {"measurements": CONFIG["measurements"][:1]}
    with (
        aggregate(lake_without_other_days, sums, time_partition="time", **asked) as found,
        aggregate(STATES[2], sums, **asked) as expected,
    ):
        assert expected.to_arrow() == found.to_arrow()
        assert 6 == found.accounting.read


def test_a_data_file_that_is_gone_is_an_error(lake_without_other_days: str) -> None:
    """A lake that lost a file gives no readings of the rest."""
    with pytest.raises(SourceError), aggregate(lake_without_other_days, CONFIG, **FEBRUARY) as result:
        result.to_arrow()


FAULTS = {
    "no version": ("{delta}?version=9", "found no such version (version 9)"),
    "a version that is no number": ("{delta}?version=last", "found version=last; expected a whole number"),
    "an option that there is not": ("{delta}?snapshot=1", "found the option 'snapshot'; expected version or timestamp"),
    "a version beyond all": ("{delta}?version=99999999999999999999999", "found no such version"),
    "credentials in a place": ("delta://s3://KEY:SECRET@lake/x", "s3://…@lake/x: found credentials before the bucket"),
    "two options": ("{delta}?version=1&timestamp=2024-01-01", "found version and timestamp; expected one of them"),
    "before the first version": (
        "{delta}?timestamp=2001-01-01",
        "found no version of 2001-01-01T00:00:00+00:00; expected a moment after its first, of 20",
    ),
    "no Delta table": ("delta:///nowhere/events", "delta:///nowhere/events: found no Delta table that can be read"),
    "no Iceberg table": ("iceberg://lake/usage.none", "found no such table in the catalog"),
    "no Iceberg name": ("iceberg://lake/events", "found no table; expected iceberg://CATALOG/NAMESPACE.TABLE"),
    "no snapshot": ("iceberg://lake/usage.events?snapshot=1", "found no such snapshot (snapshot 1)"),
    "no catalog": ("iceberg://unknown/usage.events", "hint: PYICEBERG_CATALOG__UNKNOWN__URI"),
    "no DuckDB file": ("duckdb://nowhere.duckdb?table=events", "found no such file; expected a DuckDB database"),
    "no DuckDB table": ("duckdb://usage.duckdb", "found no table's name; expected duckdb://usage.duckdb?table=events"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_there_is_said(fault: str, delta: Path, iceberg: Catalog) -> None:
    """The table, the version or the option that is wrong, and the way out."""
    url, expected = FAULTS[fault]
    with pytest.raises(SourceError) as raised:
        meter(url.format(delta=f"delta://{delta}"), CONFIG)
    assert expected in str(raised.value)


def test_time_partition_of_a_table_is_the_column_of_the_times(delta: Path) -> None:
    """Any other column would leave out what the window needs."""
    with pytest.raises(ConfigError, match=r"time-partition: found type \(string\).* hint: --time-partition time"):
        aggregate(f"delta://{delta}", CONFIG, time_partition="type", **FEBRUARY)


def test_a_table_stands_alone(delta: Path) -> None:
    """Beside files it would be unclear which version the whole has."""
    with pytest.raises(SourceError, match="found other inputs beside it; expected a table alone, or files"):
        find_input([f"delta://{delta}", "events.parquet"], delta)


@pytest.mark.slow
def test_a_table_of_a_duckdb_file_is_read_in_place(tmp_path: Path) -> None:
    """A table or a view, also in a schema of its own, and nothing else of the file's."""
    path = tmp_path / "usage.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.register("events_rows", SECOND)
        connection.execute("CREATE SCHEMA lake")
        connection.execute("CREATE TABLE events AS FROM events_rows")
        connection.execute("CREATE VIEW lake.recent AS SELECT * FROM main.events")
    for table in ("events", "main.events", "lake.recent"):
        assert outcome(SECOND) == outcome(f"duckdb://{path}?table={table}")
    (tmp_path / "link.duckdb").symlink_to(path)
    assert outcome(SECOND) == outcome(f"duckdb://{tmp_path}/link.duckdb?table=events")
    for name in ("nothing", "lake.events", "s.t"):
        said = rf"found no table {name}; expected a table of a DuckDB database\. hint: .*(lake\.recent|main\.events)"
        with pytest.raises(SourceError, match=said):
            meter(f"duckdb://{path}?table={name}", CONFIG)
    (tmp_path / "text.duckdb").write_text("no database")
    with pytest.raises(SourceError, match="found a text file; expected a DuckDB database"):
        meter(f"duckdb://{tmp_path}/text.duckdb?table=events", CONFIG)


def test_a_duckdb_file_that_another_process_has_open_is_said(tmp_path: Path) -> None:
    """It may be written to while it is read."""
    code = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); con.execute('CREATE TABLE t(i INT)'); print('on')"
    command = [sys.executable, "-c", f"{code}; sys.stdout.flush(); sys.stdin.read()", str(tmp_path / "usage.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert b"on" in other.stdout.readline()
        url = f"duckdb://{tmp_path}/usage.duckdb?table=t"
        expected = f"{url}: found it open in another process, which may write to it; expected nobody to. hint: run once"
        with pytest.raises(SourceError, match=re.escape(expected)):
            meter(url, CONFIG)
        other.communicate()


def test_an_iceberg_table_has_a_version_before_all_snapshots(iceberg: Catalog) -> None:
    """What a run recorded of a table without a snapshot can be read again: no row, whatever came later."""
    readings, books = outcome("iceberg://lake/usage.events?snapshot=none")
    assert (0, 0) == (readings.num_rows, books["read"])


def test_the_command_line_takes_a_table_where_it_takes_files(delta: Path, tmp_path: Path) -> None:
    """The version is on standard error, the readings on standard output."""
    (tmp_path / "config.json").write_text('{"measurements": [{"sourceProperty": "n", "unit": "calls"}]}')
    span = ["--start", "2024-02-01", "--end", "2024-03-01", "--aggregation", "sum", "--clock", CLOCK]
    given = ["aggregate", f"delta://{delta}?version=0", "--config", str(tmp_path / "config.json"), *span]
    done = CliRunner().invoke(cli, given)
    assert 0 == done.exit_code, done.output
    assert f"note: input: delta://{delta}?version=0, as it is at this version." in done.stderr
    assert 4 == len(done.stdout.splitlines())


def test_what_would_be_read_is_known_before(delta: Path, iceberg: Catalog) -> None:
    """Of each lake, the files that a day of a workspace needs, those it does not, and all their bytes."""
    asked = {"workspace": "acme", "start": "2024-02-03", "end": "2024-02-04", "time_partition": "time"}
    sums = {"measurements": CONFIG["measurements"][:1]}
    for url in (f"delta://{delta}", "iceberg://lake/usage.events"):
        with aggregate(url, sums, **asked) as needed, aggregate(url, sums, **FEBRUARY) as whole:
            parts, all_files = needed.reads, whole.reads
        assert (0, 0) == (all_files.left_out_files, all_files.left_out_bytes)
        assert all_files.files == parts.files + parts.left_out_files
        assert all_files.bytes == parts.bytes + parts.left_out_bytes
        assert (1, True) == (parts.files, parts.left_out_files > 0)


def in_a_shell(script: str, **tables: pa.Table) -> list[tuple[Any, ...]]:
    """The rows that the last statement of a script gives to whoever has DuckDB only."""
    with duckdb.connect() as connection:
        for name, rows in tables.items():
            connection.register(name, rows)
        for statement in connection.extract_statements(script):
            connection.execute(statement)
        return connection.fetchall()


@pytest.mark.slow
def test_the_sql_of_a_table_runs_as_it_stands(delta: Path, iceberg: Catalog, tmp_path: Path) -> None:
    """Of a version, a snapshot, a table of a DuckDB file: what aggregate gives, without an extension."""
    with duckdb.connect(str(tmp_path / "usage.duckdb")) as connection:
        connection.register("events_rows", STATES[2])
        connection.execute("CREATE TABLE events AS FROM events_rows")
    odd = STATES[2].set_column(1, "workspace_id", pa.array([f"a b={n}/ü%20" for n in range(STATES[2].num_rows)]))
    write_deltalake(tmp_path / "odd", odd, partition_by=["workspace_id"])
    sources = [
        f"delta://{delta}?version=2",
        "iceberg://lake/usage.events",
        f"duckdb://{tmp_path}/usage.duckdb?table=events",
    ]
    for source in [*sources, f"delta://{tmp_path}/odd"]:
        script = compile_sql(CONFIG, source, **FEBRUARY)
        with aggregate(source, CONFIG, **FEBRUARY) as result:
            expected = [tuple(row.values()) for row in result.to_dicts()]
        names = [0, 1, 2, 3, 4, 5]
        assert [[row[n] for n in names] for row in expected] == [[row[n] for n in names] for row in in_a_shell(script)]


def test_the_sql_of_rows_in_memory_says_what_it_reads() -> None:
    """A shell has no table of ours: it is named, and with it the script runs."""
    script = compile_sql(CONFIG, FIRST, **FEBRUARY)
    said = " ".join(script.partition("\nSET ")[0].replace("\n-- ", " ").split())
    assert "where there is what it reads: input_rows, the rows that were given as input." in said
    assert len(outcome(FIRST)[0]) == len(in_a_shell(script, input_rows=FIRST))


@pytest.mark.slow
def test_what_is_not_run_reads_no_table_whole(iceberg: Catalog) -> None:
    """Of a table that only streams, since a column was renamed, whoever asks for SQL has the first rows and no more."""
    many = pa.concat_tables([table_of("acme", day, 24) for day in range(1, 29)] * 2)
    table = iceberg.create_table_if_not_exists("usage.many", schema=many.schema)
    table.append(many.slice(0, 700))
    with table.update_schema() as update:
        update.rename_column("subject", "customer")
    names = ["customer" if name == "subject" else name for name in many.schema.names]
    table.append(many.slice(700).rename_columns(names))
    with aggregate("iceberg://lake/usage.many", CONFIG, map={"subject": "customer"}, **FEBRUARY) as result:
        assert "\nLOAD iceberg;\n" in result.sql
        assert "FROM iceberg_scan('file:///" in re.sub(r"\(\s+", "(", result.sql)
        assert 1_000 == result._engine.count("input_spooled")
        assert many.num_rows == result.accounting.read
    expected = [row["quantity"] for row in outcome(many)[0].to_pylist()]
    with aggregate("iceberg://lake/usage.many", CONFIG, map={"subject": "customer"}, **FEBRUARY) as result:
        assert expected == [row["quantity"] for row in result.to_dicts()]


@pytest.mark.parametrize("dropped", ["subject", "properties"])
def test_a_column_that_was_dropped_and_added_again_has_no_value_of_before(dropped: str, iceberg: Catalog) -> None:
    """The files before have the name, but of another column: only what was written afterwards counts."""
    name = f"usage.again_{dropped}"
    table = iceberg.create_table_if_not_exists(name, schema=FIRST.schema)
    table.append(FIRST)
    kind = table.schema().find_field(dropped).field_type
    with table.update_schema() as update:
        update.delete_column(dropped)
    with table.update_schema() as update:
        update.add_column(dropped, kind)
    table.append(SECOND.slice(FIRST.num_rows).select([column.name for column in table.schema().fields]))
    readings, books = outcome(f"iceberg://lake/{name}")
    assert outcome(SECOND.slice(FIRST.num_rows))[0] == readings
    assert FIRST.num_rows == books["rejected"]


def test_names_of_schemas_that_a_table_no_longer_has_are_not_known(iceberg: Catalog) -> None:
    """The schemas of expired snapshots may be gone, and with them that a name was that of another column."""
    from metering_duck.inputs.iceberg import _is_each_name_one_column

    schemas = iceberg.load_table("usage.events").metadata.schemas
    later = schemas[0].model_copy(update={"schema_id": 2})
    assert _is_each_name_one_column(schemas)
    assert not _is_each_name_one_column([*schemas, later])


def inline_vector(*rows: int) -> dict[str, Any]:
    """A deletion vector as Delta's protocol has it: a Roaring bitmap of row numbers, inline, in Z85."""
    numbers = struct.pack(f"<{len(rows)}H", *sorted(rows))
    bitmap = struct.pack("<IIHHI", 12346, 1, 0, len(rows) - 1, 16) + numbers
    vector = struct.pack("<IQI", 1681511377, 1, 0) + bitmap
    padded = vector + b"\0" * (-len(vector) % 4)
    ours = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
    z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    text = b85encode(padded).translate(bytes.maketrans(ours, z85)).decode()
    return {"storageType": "i", "pathOrInlineDv": text, "sizeInBytes": len(vector), "cardinality": len(rows)}


@pytest.mark.slow
def test_rows_that_a_deletion_vector_marks_are_not_there(tmp_path: Path) -> None:
    """The file is as it was; the version says which of its rows are deleted. The version before has them."""
    write_deltalake(tmp_path / "events", FIRST, configuration={"delta.enableDeletionVectors": "true"})
    log = tmp_path / "events" / "_delta_log"
    added = next(
        json.loads(line)["add"] for line in (log / f"{0:020}.json").read_text().splitlines() if '"add"' in line
    )
    removed = {"path": added["path"], "deletionTimestamp": 1, "dataChange": True}
    # The order of rows in the file is the writer's: the rows to mark are found by their ids.
    (path,) = (tmp_path / "events").glob("*.parquet")
    gone = {FIRST["id"][n].as_py() for n in (1, 6)}
    written = parquet.read_table(path)["id"].to_pylist()
    marked = {**added, "deletionVector": inline_vector(*(n for n, id in enumerate(written) if id in gone))}
    actions = [{"remove": removed}, {"add": marked}]
    if "deletionVectors" not in (DeltaTable(tmp_path / "events").protocol().reader_features or ()):
        features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
        actions.insert(0, {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}})
    (log / f"{1:020}.json").write_text("\n".join(json.dumps(action) for action in actions))

    left = FIRST.filter(pa.array([id not in gone for id in FIRST["id"].to_pylist()]))
    assert outcome(left) == outcome(f"delta://{tmp_path}/events")
    assert outcome(FIRST) == outcome(f"delta://{tmp_path}/events?version=0")
    asked = {"workspace": "beta", "start": "2024-02-02", "end": "2024-02-03", "time_partition": "time"}
    sums = {"measurements": CONFIG["measurements"][:1]}
    with (
        aggregate(f"delta://{tmp_path}/events", sums, clock=CLOCK, **asked) as found,
        aggregate(left, sums, workspace="beta", start="2024-02-02", end="2024-02-03", clock=CLOCK) as expected,
    ):
        assert expected.to_arrow() == found.to_arrow()
    assert "delta_scan('file:///" in compile_sql(CONFIG, f"delta://{tmp_path}/events", **FEBRUARY)


def test_files_in_other_types_than_their_table_says_are_read_by_its_library(tmp_path: Path) -> None:
    """Times as Spark writes them have no zone in the file; the table says that they are UTC."""
    write_deltalake(tmp_path / "events", FIRST)
    (path,) = (tmp_path / "events").glob("*.parquet")
    parquet.write_table(FIRST, path, use_deprecated_int96_timestamps=True)
    log = tmp_path / "events" / "_delta_log" / f"{0:020}.json"
    size = str(path.stat().st_size)
    log.write_text(re.sub(r'"size":\d+', f'"size":{size}', log.read_text()))
    assert outcome(FIRST) == outcome(f"delta://{tmp_path}/events", assume_timezone="America/New_York")


@pytest.mark.slow
def test_types_that_are_not_asked_for_are_not_there(delta: Path, iceberg: Catalog, tmp_path: Path) -> None:
    """In a table, in folders and in files: the same readings and books as of the other events alone, and it is said."""
    other = table_of("acme", 5).set_column(3, "type", pa.array(["other"] * 4))
    for table in (STATES[2], other):
        write_deltalake(tmp_path / "by_type", table, partition_by=["type"], mode="append")
        write_deltalake(tmp_path / "mixed", table, mode="append")
        parquet.write_to_dataset(table, tmp_path / "tree", partition_cols=["type"])
    # The types that were asked for are in the ids of readings (R21).
    expected = outcome(STATES[2], event_type="call")
    assert outcome(STATES[2])[0].drop_columns("id") == expected[0].drop_columns("id")
    for source in (f"delta://{tmp_path}/by_type", f"delta://{tmp_path}/mixed", tmp_path / "tree"):
        assert expected == outcome(source, event_type="call")
        assert outcome(source)[1]["read"] == expected[1]["read"] + other.num_rows
        with aggregate(source, CONFIG, event_type=["call"], **FEBRUARY) as result:
            assert "events of other types than 'call' are taken not to be there (event-type)." in result.notices
    for source in (f"delta://{tmp_path}/by_type", tmp_path / "tree"):
        with aggregate(source, CONFIG, event_type="call", **FEBRUARY) as result:
            assert result.reads.left_out_files == 1


@pytest.mark.slow
def test_partitions_of_any_name_are_found(tmp_path: Path) -> None:
    """However often a folder is escaped, a tenant's files are those that are read, and are counted beforehand."""
    tenants = ["a b", "a=b", "ü", "%41", "a/b", "plain"]
    for name in tenants:
        write_deltalake(tmp_path / "odd", table_of(name, 1), partition_by=["workspace_id"], mode="append")
    sums = {"measurements": CONFIG["measurements"][:1]}
    for name in tenants:
        with aggregate(f"delta://{tmp_path}/odd", sums, workspace=name, **FEBRUARY) as result:
            assert (1, 5, 4) == (result.reads.files, result.reads.left_out_files, result.accounting.read)


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", ["a b", "ü#", "{a}", "50%"])
def test_a_delta_table_may_lie_anywhere(name: str, tmp_path: Path) -> None:
    """Blanks, percent signs and what else a place may have in its name."""
    path = tmp_path / name
    path.mkdir()
    write_deltalake(path, FIRST, partition_by=["workspace_id"])
    for workspace in (None, "acme"):
        expected = outcome(FIRST, workspace=workspace)
        assert expected == outcome(str(path), workspace=workspace)
        assert expected == outcome(f"delta://{path}?version=0", workspace=workspace)


def test_files_of_a_delta_table_are_not_read_without_its_log(delta: Path) -> None:
    """Rows that were deleted would count: folders above and below, globs and files are refused with the way out."""
    part = delta / "workspace_id=acme"
    for pattern in (delta.parent, f"{delta}/*/*.parquet", part, [*map(str, part.glob("*.parquet"))]):
        with pytest.raises(SourceError, match=f"found a Delta table, whose log says .* hint: delta://{delta}"):
            meter(pattern, CONFIG)


def test_files_of_an_iceberg_table_are_not_read_without_its_metadata(catalog_folder: Path, tmp_path: Path) -> None:
    """As of Delta: the table's folder, its data, a link to that, a glob and single files are refused."""
    table = catalog_folder / "usage" / "events"
    (tmp_path / "link").symlink_to(table / "data")
    files = [*map(str, (table / "data").glob("*.parquet"))]
    for pattern in (catalog_folder, table, table / "data", tmp_path / "link", f"{table}/*/*.parquet", files):
        with pytest.raises(
            SourceError, match=f"found files of the Iceberg table in {catalog_folder}/.* hint: iceberg://"
        ):
            meter(pattern, CONFIG)


def test_columns_that_have_other_names_in_the_files_are_read(tmp_path: Path) -> None:
    """Column mapping by name, as other writers make it: the log says which column of the files is which."""
    path = tmp_path / "events"
    write_deltalake(path, FIRST)
    log = path / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    metadata = next(action["metaData"] for action in actions if "metaData" in action)
    schema = json.loads(metadata["schemaString"])
    for number, field in enumerate(schema["fields"], start=1):
        names = {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": field["name"]}
        if field["name"] == "subject":
            field["name"] = "customer"
        field["metadata"] = names
    metadata["schemaString"] = json.dumps(schema)
    metadata["configuration"] = {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "7"}
    for action in actions:
        if "protocol" in action:
            action["protocol"] = {"minReaderVersion": 2, "minWriterVersion": 5}
    log.write_text("\n".join(json.dumps(action) for action in actions))
    assert outcome(FIRST) == outcome(f"delta://{path}", map={"subject": "customer"})
    metadata["configuration"]["delta.columnMapping.mode"] = "id"
    log.write_text("\n".join(json.dumps(action) for action in actions))
    with pytest.raises(SourceError, match="found columns by their ids; expected columns by their names"):
        outcome(f"delta://{path}", map={"subject": "customer"})


@pytest.mark.slow
@pytest.mark.parametrize("has_deletions", [False, True])
def test_a_delta_table_may_have_a_variant(has_deletions: bool, tmp_path: Path) -> None:
    """DuckDB reads it of its files; where deltalake has to read the rows, it is refused if it is used."""
    events = duckdb.from_arrow(table_of("acme", 1))
    events.project("*, {'n': 7, 's': 'x'}::VARIANT AS odd").to_parquet(str(tmp_path / "a.parquet"))
    write_deltalake(tmp_path / "lake", table_of("acme", 1))
    log = tmp_path / "lake" / "_delta_log" / "00000000000000000000.json"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if "metaData" in line:
            schema = json.loads(line["metaData"]["schemaString"])
            schema["fields"].append({"name": "odd", "type": "variant", "nullable": True, "metadata": {}})
            line["metaData"]["schemaString"] = json.dumps(schema)
        if "protocol" in line:
            features = ["variantType", *(["deletionVectors"] if has_deletions else [])]
            line["protocol"] = {"minReaderVersion": 3, "minWriterVersion": 7}
            line["protocol"] |= {"readerFeatures": features, "writerFeatures": features}
        if "add" in line:
            shutil.copy(tmp_path / "a.parquet", tmp_path / "lake" / line["add"]["path"])
            line["add"]["size"] = (tmp_path / "a.parquet").stat().st_size
    log.write_text("\n".join(map(json.dumps, lines)))
    lake = f"delta://{tmp_path}/lake"

    assert outcome(table_of("acme", 1)) == outcome(lake)
    used = {"map": {"properties": "odd"}}
    if has_deletions:
        with pytest.raises(SchemaError, match="column odd: found variant"):
            outcome(lake, **used)
    else:
        readings = outcome(lake, **used)[0].to_pylist()
        assert {Decimal(14)} == {row["quantity"] for row in readings if row["unit"] == "calls"}
