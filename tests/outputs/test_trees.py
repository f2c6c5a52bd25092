"""Rows written as trees of partitions and as remote files: whole or not at all, the same again, and read back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import s3fs
from click.testing import CliRunner
from pyarrow import parquet

from metering_duck import ConfigError, SourceError, aggregate, meter, rollup
from metering_duck.cli.main import cli
from metering_duck.engine.owned import owned_folder
from metering_duck.outputs.trees import ASIDE
from tests import worlds
from tests.lake_server import SECRET, credentials
from tests.worlds import CLOCK

pytestmark = pytest.mark.slow

CONFIG = {"measurements": [{"sourceProperty": "n", "unit": "calls", "aggregation": "sum"}]}
SPAN = {"start": "2024-02-01", "end": "2024-02-04", "every": "day", "clock": CLOCK}
EVENTS = [
    worlds.row(
        f"{day}-{n}",
        f"2024-02-0{day}T0{n}:00:00Z",
        {"n": f"{n}.000000000000000001"},
        workspace=("acme", "beta")[n % 2],
        universe="production",
        type="call",
        subject=f"customer:{n}",
    )
    for day in (1, 2, 3)
    for n in range(4)
]
PARTITIONS = {f"workspace_id={name}/date=2024-02-0{day}" for name in ("acme", "beta") for day in (1, 2, 3)}


@pytest.fixture
def lake(bucket: s3fs.S3FileSystem) -> s3fs.S3FileSystem:
    """The bucket, empty."""
    for path in bucket.find("lake"):
        bucket.rm(path)
    return bucket


def files_below(folder: Path) -> dict[str, bytes]:
    """Path → bytes of every file, the hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sorted_rows(readings: pa.Table) -> list[dict[str, Any]]:
    """Rows in an order of their own, of the columns that a tree's files and folders have."""
    return sorted(readings.to_pylist(), key=lambda row: str(row["id"]))


def test_a_tree_has_a_whole_file_for_each_partition_and_reads_back(tmp_path: Path) -> None:
    """Quantities stay DECIMAL, in files that lack what their folders say; a roll-up of the tree is that of the rows."""
    with aggregate(EVENTS, CONFIG, **SPAN) as result:
        result.write(tmp_path / "tree", partition_by=["workspace_id", "date"])
        readings = result.to_arrow()
    files = files_below(tmp_path / "tree")
    assert {f"{folder}/readings-0.parquet" for folder in PARTITIONS} == set(files)
    one = parquet.ParquetFile(tmp_path / "tree/workspace_id=acme/date=2024-02-02/readings-0.parquet")
    assert pa.types.is_decimal(one.schema_arrow.field("quantity").type)
    assert not {"workspace_id", "date"} & set(one.schema_arrow.names)
    assert one.metadata.row_group(0).column(0).statistics is not None
    with rollup(tmp_path / "tree", clock=CLOCK) as whole, rollup(readings, clock=CLOCK) as expected:
        assert expected.to_arrow() == whole.to_arrow()
        assert Decimal("9.000000000000000003") == max(row["quantity"] for row in whole.to_dicts())


ODD_NAMES = ["a", "a\0", "a\0x", "a\0y", "a%00x", "%00", ".", "..", "/", " ", "é=?*[", "\ufdd0a", "\ufdd0a\0b"]


def test_folders_keep_names_that_differ_behind_a_nul(tmp_path: Path) -> None:
    """Every name is a folder of its own, and is read back as it was: none is cut, and none stands for another (R38)."""
    events = [{**EVENTS[1], "id": name, "subject": name} for name in ODD_NAMES]
    with aggregate(events, CONFIG, **SPAN) as result:
        result.write(tmp_path / "tree", partition_by=["subject"])
    with rollup(tmp_path / "tree", clock=CLOCK) as read:
        assert {name: Decimal("1.000000000000000001") for name in ODD_NAMES} == {
            row["subject"]: row["quantity"] for row in read.to_dicts()
        }
    assert {"subject=a%00", "subject=a%00x", "subject=a%2500x"} <= {path.name for path in tmp_path.glob("tree/*")}


def test_a_name_that_is_too_long_for_a_folder_is_refused(tmp_path: Path) -> None:
    """The error says what to do, and nothing is left."""
    events = [{**EVENTS[1], "subject": "x" * 300}]
    with (
        aggregate(events, CONFIG, **SPAN) as result,
        pytest.raises(ConfigError, match="too long for the name of a folder"),
    ):
        result.write(tmp_path / "tree", partition_by=["subject"])
    assert {} == files_below(tmp_path / "tree")


def test_writing_again_changes_nothing_and_new_rows_replace_their_partitions(tmp_path: Path) -> None:
    """Byte for byte; a partition of which there are no rows now stays as it was."""
    tree = tmp_path / "tree"
    for _ in range(2):
        with meter(EVENTS, CONFIG, clock=CLOCK) as result:
            result.write(tree, partition_by=["date"])
        before = files_below(tree)
    with meter(EVENTS, CONFIG, clock=CLOCK) as result:
        result.write(tree, partition_by=["date"])
    assert before == files_below(tree)
    with meter(EVENTS[:1], CONFIG, clock=CLOCK) as result:
        result.write(tree, partition_by=["date"])
    after = files_below(tree)
    assert {"date=2024-02-01/records-0.parquet"} == {path for path in before if before[path] != after[path]}


def test_a_tree_that_fails_halfway_leaves_what_was_there(tmp_path: Path) -> None:
    """More partitions than may be: nothing new, and nothing hidden either."""
    events = [{**EVENTS[0], "id": str(n), "subject": f"customer:{n}"} for n in range(1_025)]
    with meter(EVENTS, CONFIG, clock=CLOCK) as result:
        result.write(tmp_path / "tree", partition_by=["subject"])
    before = files_below(tmp_path / "tree")
    with meter(events, CONFIG, clock=CLOCK) as result, pytest.raises(ConfigError, match="more than 1,024 partitions"):
        result.write(tmp_path / "tree", partition_by=["subject"])
    assert before == files_below(tmp_path / "tree")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["dat"], "partition-by: found 'dat'; expected a column"),
        (["date", "date"], "partition-by: found a column twice"),
        (["quantity"], "partition-by: found quantity, a decimal128"),
    ],
)
def test_a_partition_is_a_column_of_texts_or_a_date(columns: list[str], expected: str, tmp_path: Path) -> None:
    """Anything else could not be read back as it was."""
    with aggregate(EVENTS, CONFIG, **SPAN) as result, pytest.raises(ConfigError) as raised:
        result.write(tmp_path / "tree", partition_by=columns)
    assert expected in str(raised.value)


def test_readings_go_back_to_the_lake_as_partitions(lake: s3fs.S3FileSystem, tmp_path: Path) -> None:
    """Written to S3 by the command line, twice, and rolled up from there; the same bytes as on disk."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "events.ndjson").write_text("".join(json.dumps(event) + "\n" for event in EVENTS))
    given = ["aggregate", str(tmp_path / "events.ndjson"), "--config", str(tmp_path / "config.json"), "--clock", CLOCK]
    given += ["--start", "2024-02-01", "--end", "2024-02-04", "--every", "day"]
    given += ["--partition-by", "workspace_id", "--partition-by", "date"]
    for target in ("s3://lake/tree/", "s3://lake/tree", str(tmp_path / "tree")):
        done = CliRunner().invoke(cli, [*given, "-o", target])
        assert 0 == done.exit_code, done.output
    remote = {path.removeprefix("lake/tree/"): lake.cat_file(path) for path in lake.find("lake/tree")}
    assert files_below(tmp_path / "tree") == remote
    with rollup("s3://lake/tree/", clock=CLOCK) as found, rollup(tmp_path / "tree", clock=CLOCK) as expected:
        assert expected.to_arrow() == found.to_arrow()


@pytest.mark.parametrize("suffix", ["ndjson", "parquet", "csv"])
def test_a_remote_file_is_what_a_local_one_is(lake: s3fs.S3FileSystem, suffix: str, tmp_path: Path) -> None:
    """Rows, rejects and conflicts, each in one object."""
    with aggregate(EVENTS, CONFIG, **SPAN) as result:
        assert f"s3://lake/out.{suffix}" == result.write(f"s3://lake/out.{suffix}")
        result.write(tmp_path / f"out.{suffix}")
        result.write_rejects("s3://lake/rejects.csv")
    assert (tmp_path / f"out.{suffix}").read_bytes() == lake.cat_file(f"lake/out.{suffix}")
    assert lake.cat_file("lake/rejects.csv").startswith(b'"workspace_id",')


def test_what_cannot_be_written_is_said_without_a_secret(lake: s3fs.S3FileSystem) -> None:
    """A bucket that is not there, for a file and for a tree."""
    with aggregate(EVENTS, CONFIG, **SPAN) as result:
        for options in ({}, {"partition_by": ["date"]}):
            target = "s3://nowhere/tree" if options else "s3://nowhere/out.parquet"
            with pytest.raises(SourceError, match="found no bucket nowhere; expected one that exists") as raised:
                result.write(target, **options)
            assert SECRET not in str(raised.value)


def test_a_value_that_means_none_in_folders_is_refused(tmp_path: Path) -> None:
    """The name of the folder for rows without a value is refused as a value: it would be read back as no value."""
    named = [{**event, "workspace_id": "__HIVE_DEFAULT_PARTITION__"} for event in EVENTS]
    with (
        meter(named, CONFIG, clock=CLOCK) as result,
        pytest.raises(ConfigError, match="partition-by: found the value __HIVE_DEFAULT_PARTITION__, which means no"),
    ):
        result.write(tmp_path / "tree", partition_by=["workspace_id"])
    assert {} == files_below(tmp_path / "tree")


# Writes a tree of four partitions to S3 and is killed by itself once a part of the third has been sent.
KILLED = """
import os, signal, sys
import s3fs.core
from metering_duck import meter

sent = s3fs.core.S3File.close
count = 0

def close(self):
    global count
    sent(self)
    if "w" in self.mode:
        count += 1
        print(count, flush=True)
        if count == 3:
            os.kill(os.getpid(), signal.SIGKILL)

s3fs.core.S3File.close = close
with meter(sys.argv[1], {"measurements": [{"sourceProperty": "n", "unit": "calls"}]}) as result:
    result.write("s3://lake/killed", partition_by=["subject"])
"""


def test_killed_during_the_write_nothing_is_visible(lake: s3fs.S3FileSystem, server: str, tmp_path: Path) -> None:
    """SIGKILL when three of four partitions were handed over: a reader sees none of them."""
    (tmp_path / "events.ndjson").write_text("".join(json.dumps(event) + "\n" for event in EVENTS))
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "events.ndjson")],
        env={**os.environ, **credentials(server)},
        capture_output=True,
        text=True,
    )
    assert (-signal.SIGKILL, "1\n2\n3\n") == (killed.returncode, killed.stdout), killed.stderr
    lake.invalidate_cache()
    assert [] == lake.find("lake/killed")


def test_killed_during_a_tree_on_disk_no_partition_is_half(tmp_path: Path) -> None:
    """SIGKILL while files are renamed: each partition is whole or not there; the next write removes what is left."""
    script = KILLED.replace("import s3fs.core\n", "").replace("s3://lake/killed", str(tmp_path / "tree"))
    script = (
        script[: script.index("sent =")]
        + (
            "renamed, count = os.replace, 0\n"
            "def replace(*paths):\n"
            "    global count\n"
            "    renamed(*paths)\n"
            "    count += 1\n"
            "    if count == 3:\n"
            "        os.kill(os.getpid(), signal.SIGKILL)\n"
            "os.replace = replace\n"
        )
        + script[script.index("with meter") :]
    )
    (tmp_path / "events.ndjson").write_text("".join(json.dumps(event) + "\n" for event in EVENTS))
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path / "events.ndjson")], capture_output=True)
    assert -signal.SIGKILL == killed.returncode, killed.stderr
    assert 9 == parquet.read_table(tmp_path / "tree").num_rows

    assert 1 == len(list((tmp_path / "tree").glob(f"{ASIDE}*")))
    held = owned_folder(ASIDE, tmp_path / "tree")
    with meter(EVENTS, CONFIG, clock=CLOCK) as result:
        result.write(tmp_path / "tree", partition_by=["subject"])
    assert [held.path] == list((tmp_path / "tree").glob(f"{ASIDE}*"))
    assert 12 == parquet.read_table(tmp_path / "tree").num_rows
    held.remove()
