"""Files from somebody else: whatever a ledger, a database, a table of a lake or a file of events holds, reading it
reads and writes nothing beside it. The system watches a folder with baits that the files name."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from click.testing import CliRunner
from deltalake import write_deltalake
from pyarrow import parquet
from pyiceberg import catalog as iceberg_catalog
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.utils.config import Config

from metering_duck import SourceError
from metering_duck.cli.main import cli
from metering_duck.inputs import lake_files
from metering_duck.inputs.lakes import find_lake
from metering_duck.ledger.ledger import Ledger
from tests import worlds
from tests.watching import Watcher, needs_inotify

pytestmark = needs_inotify

CONFIG = {"measurements": [{"sourceProperty": "q", "unit": "calls", "aggregation": "sum"}]}
WINDOW = ["--start", "2024-01-01", "--end", "2024-02-01"]
READERS = {
    "read_text": "{bait}",
    "read_csv": "{baits}/bait.csv",
    "read_parquet": "{bait}",
    "read_json": "{baits}/bait.json",
    "read_blob": "{bait}",
    "glob": "{baits}/*",
}
Told = tuple[int, str]


class World:
    """A folder with the input, and beside it one with baits, which nothing may touch."""

    def __init__(self, folder: Path) -> None:
        self.input, self.baits = folder / "input", folder / "baits"
        self.input.mkdir()
        self.baits.mkdir()
        self.bait = self.baits / "bait.parquet"
        parquet.write_table(worlds.columns(1, q="99"), self.bait)
        (self.baits / "bait.csv").write_text("a,b\n1,2\n")
        (self.baits / "bait.json").write_text('{"a": 1}\n')
        self.config = self.input / "config.json"
        self.config.write_text(json.dumps(CONFIG))

    def named(self, text: str) -> str:
        """A text with the names of the baits in it."""
        names = {"bait": self.bait, "baits": self.baits, "out": self.baits / "out.csv"}
        for name, path in names.items():
            text = text.replace(f"{{{name}}}", str(path))
        return text

    def runs(self, *arguments: object) -> Told:
        """What a command says; it must not have touched the baits, nor raised anything but an exit."""
        with Watcher([self.baits], quiet=[self.input]) as watcher:
            done = CliRunner().invoke(cli, [str(one) for one in arguments])
            seen = watcher.seen()
        said = done.stdout + done.stderr
        assert done.exception is None or isinstance(done.exception, SystemExit), (arguments, done.exception)
        assert [] == seen, (arguments, said)
        assert "this is a bug" not in said, said
        return done.exit_code, said

    def aggregates(self, events: object) -> Told:
        """What aggregate says of an input."""
        return self.runs("aggregate", events, "--config", self.config, *WINDOW)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A folder for the input, and one for the baits."""
    return World(tmp_path)


def test_the_watcher_sees_what_duckdb_opens_and_writes(world: World) -> None:
    """The proof of the proof: an unlocked DuckDB that reads or writes among the baits is seen."""
    with Watcher([world.baits]) as watcher:
        duckdb.sql(f"SELECT * FROM read_parquet('{world.bait}')").fetchall()
        read = watcher.seen()
        duckdb.sql(f"COPY (SELECT 1) TO '{world.baits}/stolen.csv'")
        written = watcher.seen()
    assert f"opened: {world.bait}" in read
    assert f"made: {world.baits}/stolen.csv" in written


# --- ledgers ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with a run, to be changed by somebody else."""
    folder = tmp_path_factory.mktemp("honest")
    worlds.write_table(
        folder / "events" / "1.parquet", [worlds.row("e1", datetime(2024, 1, 2, tzinfo=UTC), {"q": "3"})]
    )
    ledger = Ledger.init(folder / "ledger.duckdb")
    ledger.backfill(folder / "events", CONFIG, start="2024-01-01", end="2024-02-01", clock=worlds.CLOCK)
    return ledger.store.path


FUNCTIONS = ("sum", "count", "digest", "plain_text", "coalesce", "min", "encoded")
LEDGERS = {
    "a type that reads": "UPDATE runs SET quantity_type = 'VARCHAR), (SELECT content FROM read_text(''{bait}'')) --'",
    "a type that writes": "UPDATE runs SET quantity_type = 'VARCHAR) FROM readings; COPY (SELECT 1) TO ''{out}''; --'",
    "a type of two digits too many": "UPDATE runs SET quantity_type = 'DECIMAL(40, 2)'",
    "no type": "UPDATE runs SET quantity_type = NULL",
    "a view as a table": "ALTER TABLE conflicts RENAME TO c; CREATE VIEW conflicts AS FROM c",
    "a view as the ledger": "ALTER TABLE ledger RENAME TO l; CREATE VIEW ledger AS FROM l",
    **{
        f"a view of {reader}": f"DROP TABLE conflicts; CREATE VIEW conflicts AS FROM {reader}('{file}')"
        for reader, file in READERS.items()
    },
    "another view of current readings": "CREATE OR REPLACE VIEW current_readings AS FROM read_text('{bait}')",
    "another view": "CREATE VIEW more AS FROM read_text('{bait}')",
    **{
        f"the function {name}": f"CREATE MACRO {name}(x) AS (SELECT content FROM read_text('{{bait}}'))"
        for name in FUNCTIONS
    },
    "a table function": "CREATE MACRO read_parquet(x) AS TABLE FROM read_text('{bait}')",
    "a function of metadata": "CREATE MACRO duckdb_tables() AS TABLE SELECT 'ledger' AS table_name",
    "a column that is computed": "DROP TABLE source_patterns; CREATE TABLE source_patterns (pattern VARCHAR, added_at "
    "TIMESTAMPTZ AS (CAST(pattern AS TIMESTAMPTZ)))",
    "a default": "ALTER TABLE source_patterns ALTER pattern SET DEFAULT 'x'",
    "a check": "DROP TABLE run_files; CREATE TABLE run_files (run_id BIGINT NOT NULL, file_id INTEGER NOT NULL, "
    "counts BOOLEAN NOT NULL, versioned_path VARCHAR, CHECK (file_id > 0))",
    "a name with a blank": 'ALTER TABLE runs RENAME COLUMN message TO "mess age"',
    "a name with parentheses": 'ALTER TABLE runs RENAME COLUMN message TO "(message)"',
    "another type of a column": "ALTER TABLE run_files ALTER run_id TYPE VARCHAR",
    "another collation": "ALTER TABLE readings ALTER subject TYPE VARCHAR COLLATE nocase",
    "one column more": "ALTER TABLE runs ADD COLUMN more VARCHAR",
    "one column less": "ALTER TABLE runs DROP COLUMN times_cut",
    "one table more": "CREATE TABLE more AS SELECT 1 AS a",
    "one table less": "DROP TABLE causes",
    "a type": "CREATE TYPE evil AS ENUM ('a')",
    "a sequence": "CREATE SEQUENCE evil",
    "an index": "CREATE INDEX evil ON runs (kind)",
    "a schema": "CREATE SCHEMA evil; CREATE TABLE evil.runs AS SELECT 1 AS a",
    "options that are no numbers": """UPDATE runs SET options = '{"scale": "0) --"}'""",
    "options that are no object": "UPDATE runs SET options = '[]'",
    "options without an end": "UPDATE runs SET options = repeat('[', 100000)",
    "an unknown option": """UPDATE runs SET options = '{"periods": 1}'""",
    "an unknown aggregation": """UPDATE runs SET options = '{"aggregation": "read_text"}'""",
    "reading options of another kind": """UPDATE ledger SET reading_options = '{"map": 3}'""",
    "a zone that is a path": """UPDATE ledger SET reading_options = '{"assume_timezone": "../../{bait}"}'""",
    "a version before the first": "UPDATE ledger SET version = -1",
    "two rows of the ledger": "INSERT INTO ledger FROM ledger",
}


def changed(honest: Path, world: World, sql: str) -> Path:
    """The ledger, changed by somebody else."""
    path = world.input / "ledger.duckdb"
    shutil.copy(honest, path)
    with duckdb.connect(str(path)) as connection:
        connection.execute(world.named(sql))
    return path


@pytest.mark.sampled(6)
@pytest.mark.parametrize("case", LEDGERS)
def test_a_ledger_from_somebody_else_runs_nothing_and_is_refused(case: str, honest: Path, world: World) -> None:
    """A ledger that is not as this library makes them is an error or a finding that says where; nothing is touched."""
    path = changed(honest, world, LEDGERS[case])
    before = path.read_bytes()
    code, said = world.runs("ledger", "verify", "--ledger", path)
    is_error, is_finding = said.count("error:") == 1, re.search(r'"problem": "[^"]', said) is not None
    assert (1, True) == (code, is_error != is_finding), said
    assert any(word in said for word in ("expected what", "is no ledger", "is a ledger of version")), said
    for table in ("readings", "conflicts", "runs"):
        world.runs("ledger", "export", table, "--ledger", path, "--format", "ndjson")
    assert before == path.read_bytes()


NAMED = {
    "a type that reads": "runs.quantity_type: found",
    "options that are no numbers": "runs.options: found",
    "reading options of another kind": "ledger.reading_options: found",
    "a name with a blank": 'table runs: column "mess age"',
    "a name with parentheses": 'table runs: column "(message)"',
    "a view as a table": "the view conflicts",
    "one column more": "table runs: column more",
    "another type of a column": "table run_files: column run_id",
    "the function sum": "the function sum",
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("case", NAMED)
def test_what_is_refused_is_named(case: str, honest: Path, world: World) -> None:
    """The error names the table and the column, or the thing that a ledger does not have."""
    path = changed(honest, world, LEDGERS[case])
    assert NAMED[case] in world.runs("ledger", "verify", "--ledger", path)[1]


TEXTS = {
    "a config that is a path": """INSERT INTO configs SELECT sha256('"{bait}"'), '"{bait}"', now()""",
    "a config without an end": "INSERT INTO configs SELECT sha256(repeat('[', 90000)), repeat('[', 90000), now()",
    "quantities that are SQL": "UPDATE readings SET quantity = '(SELECT content FROM read_text(''{bait}''))'",
    "adjustments without measure": "INSERT INTO adjustments VALUES ('a', 'b', NULL, 'u', 's', 'u', 'sum', now(), "
    "now(), MAP {}, '1e999999999', NULL, '1/0', 1, '')",
    "an aggregation that is SQL": "UPDATE readings SET aggregation = 'sum) FROM read_text(''{bait}'') --'",
    "a period's zone that is a path": "UPDATE periods SET timezone = '../../{bait}'",
    "a restatement that is SQL": "INSERT INTO restatements VALUES ('''; COPY (SELECT 1) TO ''{out}''; --', now(), "
    "now(), 1, 1, now(), NULL, NULL)",
}


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize("case", TEXTS)
def test_texts_of_a_ledger_are_texts(case: str, honest: Path, world: World) -> None:
    """A text that no query could have made is text, or an error; nothing beside the ledger is touched."""
    path = changed(honest, world, TEXTS[case])
    for command in ("verify", "export readings", "export restatements", "status"):
        world.runs("ledger", *command.split(), "--ledger", path)


UNUSABLE = {
    "UPDATE runs SET clock = 'infinity'": "ledger.duckdb: runs.clock: found 'infinity'; expected one of the years",
    "UPDATE runs SET as_of = '-infinity'": "ledger.duckdb: runs.as_of: found '-infinity'; expected one of the years",
    "UPDATE source_files SET path = 'a' || chr(0)": "ledger.duckdb: source_files.path: found 'a\\x00'; expected a path",
    "UPDATE source_files SET path = '/dev/zero'": "/dev/zero: found no file, but something else by this name",
}


@pytest.mark.parametrize("sql", UNUSABLE)
def test_values_that_cannot_be_used_are_named(sql: str, honest: Path, world: World) -> None:
    """A moment without a date, a path with NUL, and a device that never ends: the file, the table and the column."""
    path = changed(honest, world, sql)
    code, said = world.runs("ledger", "verify", "--files", "--ledger", path)
    assert (1, True) == (code, UNUSABLE[sql] in said), said
    assert "nobody foresaw" not in said


def test_a_ledger_is_looked_through_again_when_it_has_changed(honest: Path, world: World) -> None:
    """Who holds a ledger open for long is not deceived by a file that takes its place."""
    path = changed(honest, world, "SELECT 1")
    ledger = Ledger(path)
    assert all(not found.problem for found in ledger.verify())
    changed(honest, world, LEDGERS["the function sum"])
    with pytest.raises(Exception, match="the function sum"):
        ledger.verify()


# --- databases -------------------------------------------------------------------------------------------------------

DATABASES = {
    **{f"a view of {reader}": f"CREATE VIEW events AS FROM {reader}('{file}')" for reader, file in READERS.items()},
    "a view over a bait and a table": "CREATE TABLE t AS FROM '{bait}'; CREATE VIEW events AS FROM t "
    "UNION FROM '{bait}'",
    "a macro that reads": "CREATE MACRO m() AS TABLE FROM read_parquet('{bait}'); CREATE VIEW events AS FROM m()",
    "a view of a query": "CREATE VIEW events AS FROM query('FROM ''{bait}''')",
    **{
        f"the function {name}": (
            "CREATE TABLE events AS FROM '{bait}'; "
            f"CREATE MACRO {name}(x) AS (SELECT content FROM read_text('{{bait}}'))"
        )
        for name in FUNCTIONS
    },
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("case", DATABASES)
def test_a_database_from_somebody_else_reads_nothing_beside_it(case: str, world: World) -> None:
    """A view that reads other files is an error; a function of the database is none of ours."""
    path = world.input / "events.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(world.named(DATABASES[case]))
    code, said = world.aggregates(f"duckdb://{path}?table=events")
    assert (0 if case.startswith("the function") else 1) == code, said
    assert ('"99"' in said) == (code == 0)


def test_a_ducklake_from_somebody_else_reads_nothing_beside_it(world: World) -> None:
    """The metadata of a lake is a database: its views are not run."""
    path = world.input / "lake.ducklake"
    with duckdb.connect(str(path)) as connection:
        for name in ("ducklake_metadata", "ducklake_snapshot", "ducklake_table", "ducklake_data_file"):
            connection.execute(f"CREATE VIEW {name} AS FROM read_text('{world.bait}')")
    assert 1 == world.aggregates(f"ducklake://{path}?table=events")[0]


# --- tables of lakes -------------------------------------------------------------------------------------------------


def delta_with(world: World, path: str) -> Path:
    """A Delta table whose log names another file."""
    root = world.input / "table"
    write_deltalake(root, worlds.columns(1, q="1"))
    log = next((root / "_delta_log").glob("*.json"))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if "add" in line:
            line["add"] |= {"path": path, "size": world.bait.stat().st_size}
    log.write_text("\n".join(map(json.dumps, lines)))
    return root


PATHS = {
    "an absolute path": "{bait}",
    "a file URL": "file://{bait}",
    "a file URL of one slash": "file:{bait}",
    "the folder above": "../../baits/bait.parquet",
    "the folder above, escaped": "..%2F..%2Fbaits%2Fbait.parquet",
    "the folder above, escaped twice": "%252E%252E/%252E%252E/baits/bait.parquet",
    "a folder and out again": "a/../../../baits/bait.parquet",
    "an object": "s3://bucket/bait.parquet",
}


@pytest.mark.parametrize("case", PATHS)
def test_a_delta_table_from_somebody_else_reads_nothing_beside_it(case: str, world: World) -> None:
    """A log that names a file outside of the table is an error that names it."""
    root = delta_with(world, PATHS[case].format(bait=world.bait))
    code, said = world.aggregates(f"delta://{root}")
    assert (1, True) == (code, "bait.parquet, which lies outside of the table" in said), said
    assert 1 == world.aggregates(root)[0]


def test_deleted_rows_are_not_looked_for_outside_of_a_delta_table(world: World) -> None:
    """A deletion vector in a file elsewhere is an error that names it."""
    root = delta_with(world, "x.parquet")
    log = next((root / "_delta_log").glob("*.json"))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    vector = {
        "storageType": "p",
        "pathOrInlineDv": f"file://{world.bait}",
        "offset": 1,
        "sizeInBytes": 9,
        "cardinality": 1,
    }
    for line in lines:
        if "protocol" in line:
            line["protocol"] = {"minReaderVersion": 3, "minWriterVersion": 7, **features}
        if "add" in line:
            line["add"]["deletionVector"] = vector
    log.write_text("\n".join(map(json.dumps, lines)))
    code, said = world.aggregates(f"delta://{root}")
    assert (1, True) == (code, "bait.parquet, which lies outside of the table" in said), said


def test_a_part_of_a_checkpoint_is_not_looked_for_outside_of_a_delta_table(world: World) -> None:
    """A checkpoint that names a part of itself elsewhere is an error that names it."""
    root = world.input / "table"
    write_deltalake(root, worlds.columns(1, q="1"))
    part = pa.struct([("path", pa.string()), ("sizeInBytes", pa.int64()), ("modificationTime", pa.int64())])
    rows = pa.table({"sidecar": pa.array([{"path": str(world.bait), "sizeInBytes": 1, "modificationTime": 1}], part)})
    parquet.write_table(rows, root / "_delta_log" / "00000000000000000000.checkpoint.parquet")
    code, said = world.aggregates(f"delta://{root}")
    assert (1, True) == (code, "bait.parquet, which lies outside of the table" in said), said


LOGS = {
    "nothing": b"",
    "no JSON": b"\x00\xff{",
    "a list": b"[1, 2]",
    "no end": b'{"add": ' + b'{"a": ' * 5_000,
    "numbers as texts": b'{"protocol": {"minReaderVersion": "x"}}\n{"metaData": 3}',
    "a schema that is none": b'{"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}\n{"metaData": {"id": "a", '
    b'"format": {"provider": "parquet", "options": {}}, "schemaString": "[", '
    b'"partitionColumns": [], "configuration": {}}}',
}


@pytest.mark.parametrize("case", LOGS)
def test_a_log_that_is_none_is_an_error(case: str, world: World) -> None:
    """Whatever is in the log, the command ends in words."""
    root = delta_with(world, "x.parquet")
    next((root / "_delta_log").glob("*.json")).write_bytes(LOGS[case])
    code, said = world.aggregates(f"delta://{root}")
    assert (1, 1) == (code, said.count("error:")), said


def test_further_folders_of_a_table_are_allowed_by_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the command may say where else files of a table lie."""
    root = delta_with(world, f"file://{world.bait}")
    with pytest.raises(SourceError, match="METERING_DUCK_LAKE_FILES"):
        find_lake(f"delta://{root}")
    monkeypatch.setenv(lake_files.PLACES, f"/nowhere, {world.baits}")
    assert find_lake(f"delta://{root}").name.endswith("?version=0")


@pytest.fixture
def lake(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalog]:
    """An Iceberg catalog that pyiceberg's configuration names."""
    place = world.input / "warehouse"
    place.mkdir()
    (world.input.parent / "catalog").mkdir()
    known = {"type": "sql", "uri": f"sqlite:///{world.input.parent}/catalog/catalog.db", "warehouse": f"file://{place}"}
    monkeypatch.setattr(iceberg_catalog, "_ENV_CONFIG", Config())
    for name, value in known.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__HOSTILE__{name.upper()}", value)
    monkeypatch.setattr(iceberg_catalog, "_ENV_CONFIG", Config())
    made = load_catalog("hostile")
    made.create_namespace("usage")
    yield made
    made.close()


def test_an_iceberg_table_from_somebody_else_reads_nothing_beside_it(lake: Catalog, world: World) -> None:
    """Manifests and files of rows outside of the table are errors that name them."""
    rows = parquet.read_table(world.bait)
    table = lake.create_table("usage.rows", schema=rows.schema)
    table.add_files([f"file://{world.bait}"])
    code, said = world.aggregates("iceberg://hostile/usage.rows")
    assert (1, True) == (code, "bait.parquet, which lies outside of the table" in said), said

    other = lake.create_table("usage.manifests", schema=rows.schema)
    other.append(rows)
    assert '"99"' in world.aggregates("iceberg://hostile/usage.manifests")[1]
    metadata = Path(other.refresh().metadata_location.removeprefix("file://"))
    found = json.loads(metadata.read_text())
    found["snapshots"][0]["manifest-list"] = f"file://{world.bait}"
    found["location"] = "file:///"
    metadata.write_text(json.dumps(found))
    code, said = world.aggregates("iceberg://hostile/usage.manifests")
    assert (1, True) == (code, "bait.parquet, which lies outside of the table" in said), said


# --- files of events -------------------------------------------------------------------------------------------------


def parquet_of_another(path: Path, bait: Path) -> None:
    """A Parquet file whose footer says that its columns are in another file."""
    parquet.write_table(worlds.columns(1, q="1"), path)
    footer = parquet.read_metadata(path)
    footer.set_file_path(str(bait))
    other = path.with_name("footer")
    footer.write_metadata_file(other)
    pages, written = path.read_bytes(), other.read_bytes()
    start = len(pages) - 8 - int.from_bytes(pages[-8:-4], "little")
    length = int.from_bytes(written[-8:-4], "little")
    path.write_bytes(pages[:start] + written[-8 - length :])
    other.unlink()


def parquet_of_names(path: Path, bait: Path) -> None:
    """A Parquet file whose columns are called like files and like SQL."""
    rows = worlds.columns(1, q="1")
    for name in (str(bait), f"'); COPY (SELECT 1) TO '{bait}.out'; --", f"read_text('{bait}')", f"FROM '{bait}'"):
        rows = rows.append_column(name, pa.array(["x"]))
    parquet.write_table(rows, path, store_schema=False)


def arrow_of_names(path: Path, bait: Path) -> None:
    """An Arrow file whose columns and metadata name files."""
    rows = worlds.columns(1, q="1").append_column(f"FROM '{bait}'", pa.array(["x"]))
    rows = rows.replace_schema_metadata({"file": str(bait), "pandas": f'{{"path": "{bait}"}}'})
    with pa.ipc.new_file(path, rows.schema) as writer:
        writer.write_table(rows)


def text_of_names(path: Path, bait: Path) -> None:
    """A CSV file whose names and values name files."""
    head = f"id,workspace_id,universe_id,type,subject,time,q,\"FROM '{bait}'\"\n"
    path.write_text(f"{head}1,{bait},u,t,file://{bait},2024-01-02T00:00:00Z,1,@{bait}\n")


def objects_of_names(path: Path, bait: Path) -> None:
    """JSON whose keys and values name files."""
    event = worlds.event("1", "2024-01-02T00:00:00Z", {"q": "1", "$ref": f"file://{bait}", f"FROM '{bait}'": str(bait)})
    path.write_text(json.dumps(event) + "\n")


NAMING: dict[str, Callable[[Path, Path], None]] = {
    "other.parquet": parquet_of_another,
    "names.parquet": parquet_of_names,
    "names.arrow": arrow_of_names,
    "names.csv": text_of_names,
    "names.ndjson": objects_of_names,
}


@pytest.mark.parametrize("name", NAMING)
def test_files_of_events_that_name_other_files_read_none(name: str, world: World) -> None:
    """What a file says of other files is text: it is metered, or refused."""
    path = world.input / name
    NAMING[name](path, world.bait)
    code, said = world.aggregates(path)
    assert code in (0, 1)
    assert '"99"' not in said
    if name != "other.parquet":
        assert '"1"' in said, said


@pytest.mark.parametrize("name", ["book.xlsx", "archive.zip"])
def test_what_is_not_read_is_refused(name: str, world: World) -> None:
    """A workbook is written, and not read."""
    path = world.input / name
    path.write_bytes(b"PK\x03\x04" + bytes(str(world.bait), "ascii") * 9)
    assert world.aggregates(path)[0] == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_damaged_files_end_in_words(kind: str, world: World) -> None:
    """Whatever bytes a footer or a header holds, the command ends in words and reads nothing beside the file."""
    whole = world.input / f"events.{kind}"
    rows = worlds.columns(3, q="1")
    if kind == "parquet":
        parquet.write_table(rows, whole)
    else:
        with pa.ipc.new_file(whole, rows.schema) as writer:
            writer.write_table(rows)
    data = whole.read_bytes()
    for n in range(40):
        place = (n * 7919) % len(data)
        whole.write_bytes(data[:place] + os.urandom(4) + data[place + 4 :])
        assert world.aggregates(whole)[0] in (0, 1)
