"""Events on S3: a real server, read in place, only the objects that are needed; what goes wrong is in our words."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pyarrow as pa
import pytest
import s3fs
from click.testing import CliRunner
from pyarrow import parquet

from metering_duck import SourceError, aggregate, meter
from metering_duck.cli.main import cli
from metering_duck.engine.remote import explained, shown
from tests import worlds
from tests.lake_server import SECRET
from tests.worlds import CLOCK

pytestmark = pytest.mark.slow

CONFIG = {"measurements": [{"sourceProperty": "n", "unit": "calls", "aggregation": "sum"}]}
FEBRUARY_2 = {"start": "2024-02-02", "end": "2024-02-03"}


class Asked(logging.Handler):
    """The paths of objects that the server was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if "GET /lake/" in line:
            self.objects.add(line.split("GET /lake/")[1].split(" ")[0])


@pytest.fixture
def lake(bucket: s3fs.S3FileSystem) -> s3fs.S3FileSystem:
    """A tree of Parquet by workspace and day in the bucket, and the same events as Arrow and as lines."""
    files = bucket
    if not files.exists("lake/events"):
        for workspace in ("acme", "beta"):
            for day in (1, 2, 3):
                with files.open(f"lake/events/workspace_id={workspace}/day=2024-02-0{day}/part.parquet", "wb") as file:
                    parquet.write_table(table_of(events_of(workspace, day)), file)
                with files.open(f"lake/arrow/{workspace}-{day}.arrow", "wb") as file:
                    table = pa.Table.from_pylist(events_of(workspace, day))
                    with pa.ipc.new_file(file, table.schema) as writer:
                        writer.write_table(table)
                with files.open(f"lake/lines/{workspace}-{day}.ndjson", "wb") as file:
                    for event in events_of(workspace, day):
                        file.write(json.dumps(event).encode() + b"\n")
    return files


def events_of(workspace: str, day: int) -> list[dict[str, Any]]:
    """Three events of a day."""
    whose = {"workspace": workspace, "universe": "production", "subject": "customer:1"}
    return [
        worlds.row(
            f"{day}-{n}",
            f"2024-02-0{day}T0{n}:00:00Z",
            {"n": f"{n}.000000000000000001"},
            type="call",
            **whose,
        )
        for n in range(3)
    ]


def table_of(events: list[dict[str, Any]]) -> pa.Table:
    """Events as they lie in a partition: its column is in the path alone."""
    rows = [{key: value for key, value in event.items() if key != "workspace_id"} for event in events]
    for row in rows:
        row["time"] = datetime.fromisoformat(row["time"]).astimezone(UTC)
    return pa.Table.from_pylist(rows)


@pytest.fixture
def asked() -> Iterator[Asked]:
    """What the server is asked for while a test runs."""
    handler, log = Asked(), logging.getLogger("werkzeug")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler
    log.removeHandler(handler)
    log.setLevel(level)


def local(workspace: str | None = None) -> list[dict[str, Any]]:
    """The same events in memory."""
    found = [event for name in ("acme", "beta") for day in (1, 2, 3) for event in events_of(name, day)]
    return [event for event in found if workspace in (None, event["workspace_id"])]


@pytest.mark.parametrize(
    "source", ["s3://lake/events/", "s3://lake/events/**/*.parquet", "s3://lake/lines/*.ndjson", "s3://lake/arrow"]
)
def test_a_lake_gives_what_the_same_events_in_memory_give(lake: s3fs.S3FileSystem, source: str) -> None:
    """A folder, a glob of partitions and lines of JSON, each read where it lies."""
    span = {"start": "2024-02-01", "end": "2024-03-01", "every": "day", "clock": CLOCK}
    with aggregate(source, CONFIG, **span) as found, aggregate(local(), CONFIG, **span) as expected:
        assert expected.to_arrow().equals(found.to_arrow())
        assert expected.accounting == found.accounting


def test_only_the_partitions_of_a_tenant_and_a_day_are_fetched(lake: s3fs.S3FileSystem, asked: Asked) -> None:
    """Of six objects the one that can hold the events asked for, and the readings are those of all."""
    with aggregate(
        "s3://lake/events/", CONFIG, workspace="acme", time_partition="day", clock=CLOCK, **FEBRUARY_2
    ) as found:
        rows = found.to_arrow()
    with aggregate(local("acme"), CONFIG, clock=CLOCK, **FEBRUARY_2) as expected:
        assert expected.to_arrow().equals(rows)
    fetched = {path for path in asked.objects if path.endswith(".parquet")}
    assert {"events/workspace_id=acme/day=2024-02-02/part.parquet"} == {unquoted(path) for path in fetched}


def unquoted(path: str) -> str:
    """A path without its escapes."""
    return path.replace("%3D", "=")


def test_a_constant_workspace_leaves_no_partition_out(lake: s3fs.S3FileSystem) -> None:
    """If the mapping gives the workspace, the folders do not, and no folder is left out."""
    with meter(
        "s3://lake/events/", CONFIG, map={"workspace_id": "'acme'"}, workspace="acme", generate_ids=True, clock=CLOCK
    ) as found:
        assert 18 == found.accounting.read


def test_a_partition_that_does_not_exist_makes_no_reading(lake: s3fs.S3FileSystem) -> None:
    """A tenant without events has none; that is no error."""
    with aggregate("s3://lake/events/", CONFIG, workspace="nobody", clock=CLOCK, **FEBRUARY_2) as found:
        assert 0 == found.to_arrow().num_rows
        assert 0 == found.accounting.read


FAULTS = {
    "no bucket": ("s3://nowhere/events/", "found no bucket nowhere; expected one that exists"),
    "no bucket of a glob": ("s3://nowhere/*.parquet", "found no bucket nowhere; expected one that exists"),
    "no object": ("s3://lake/events/none.parquet", "found no such object; expected one, a folder, or a glob of some"),
    "no object of a glob": ("s3://lake/none/*.parquet", "found no such object"),
    "no such scheme": ("ftp://lake/events.parquet", "found the scheme ftp://; expected a path, or one of s3://"),
    "no library": ("gs://lake/events.parquet", "hint: pip install 'metering-duck[gcs]'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_there_is_said(lake: s3fs.S3FileSystem, fault: str) -> None:
    """A bucket, an object or a library that is missing is named, with the way out."""
    source, expected = FAULTS[fault]
    with pytest.raises(SourceError) as raised:
        meter(source, CONFIG)
    assert expected in str(raised.value)


def test_without_credentials_the_chain_is_named(
    lake: s3fs.S3FileSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing in the environment, in a profile, or at a role."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(SourceError) as raised:
        meter("s3://lake/events/", CONFIG)
    assert "s3://lake/events/: found no credentials; expected those of the usual chain" in str(raised.value)


def allow_without_a_known_key(server: str, count: str) -> None:
    """How many more requests the server answers whoever asks."""
    request = Request(f"{server}/moto-api/reset-auth", count.encode(), {"Content-Type": "text/plain"})
    urlopen(request).close()


def test_wrong_credentials_are_refused_and_never_shown(server: str, lake: s3fs.S3FileSystem, tmp_path: Path) -> None:
    """A key that the server does not know: exit code 1, one line, no secret in it."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    allow_without_a_known_key(server, "0")
    try:
        done = CliRunner().invoke(cli, ["meter", "s3://lake/events/", "--config", str(tmp_path / "config.json")])
    finally:
        allow_without_a_known_key(server, "inf")
    assert 1 == done.exit_code
    assert "error: s3://lake/events/: found credentials that are not valid here; expected valid ones." in done.output
    assert SECRET not in done.output


def test_what_may_be_secret_in_a_url_is_not_shown() -> None:
    """A signed query, and a user with a password."""
    assert "https://…@host/a.parquet?…" == shown("https://me:word@host/a.parquet?X-Amz-Signature=abc")


def test_an_object_overwritten_while_it_is_read_is_refused() -> None:
    """Each read asks for the ETag that was listed; the server says when it is gone."""
    assert explained("FileExpired: The file has been changed").startswith("changed while it was read")


def test_a_file_written_again_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """Its first half would be of one state and its second of another."""
    path = tmp_path / "events.parquet"
    parquet.write_table(pa.Table.from_pylist(local()), path)
    with meter(str(path), CONFIG) as result:
        parquet.write_table(pa.Table.from_pylist(local("acme")), path)
        with pytest.raises(SourceError, match=r"changed while it was read; expected it to hold still"):
            _ = result.accounting


def test_a_host_that_does_not_answer_is_not_a_missing_object() -> None:
    """Of the web, too, where a library says so of whatever went wrong."""
    with pytest.raises(SourceError, match="found nobody who answers; expected the service to be there"):
        meter("http://127.0.0.1:1/events.csv", CONFIG)
