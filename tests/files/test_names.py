"""Names: of what lies in a folder, data that cannot be read is refused, and what is no data is passed over."""

from __future__ import annotations

import bz2
from pathlib import Path

import fsspec
import pytest

from metering_duck import SourceError, meter
from metering_duck.engine import remote
from metering_duck.ledger.ledger import Ledger
from tests.files.harm import CONFIG, csv

MISSED = [
    *(f"b.{data}.{packed}" for data in ("csv", "NDJSON", "jsonl") for packed in ("bz2", "XZ", "zip", "lz4", "br", "Z")),
    *("b.parquet.snappy", "b.arrow.lz4", "b.json.gz.zst", "b.tsv.tgz", "b.csv.gzip", "b.csv.bz2.gz"),
    *("b.xlsx", "b.avro", "b.orc", "b.orc.gz", "day=1/b.csv.bz2"),
]
NO_DATA = [
    "_SUCCESS",
    ".b.csv.bz2",
    "_old/b.csv.bz2",
    ".a.csv.crc",
    "a.csv.crc",
    "x.csv.1.partial",
    "README.md",
    "b.zip",
]


def put(folder: Path, name: str, data: bytes = b"") -> Path:
    """A file in a folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", MISSED)
def test_data_in_a_folder_that_cannot_be_read_is_refused(name: str, tmp_path: Path) -> None:
    """Beside a file that can be read, it would be missed without a word; a glob of what counts is the way out."""
    put(tmp_path, "a.csv", csv(3))
    put(tmp_path, name)
    with pytest.raises(SourceError) as refused:
        meter(tmp_path, CONFIG)
    assert f"{tmp_path}: found data that cannot be read, {name} (" in str(refused.value)
    assert str(refused.value).endswith(f"e.g. '{tmp_path}/*.csv'")
    with meter(str(tmp_path / "*.csv"), CONFIG) as records:
        assert 3 == records.accounting.read


def test_what_is_no_data_is_passed_over(tmp_path: Path) -> None:
    """Hidden files, marks, checksums, what a run left behind, and files that say nothing of events."""
    put(tmp_path, "a.csv", csv(3))
    for name in NO_DATA:
        put(tmp_path, name)
    with meter(tmp_path, CONFIG) as records:
        assert 3 == records.accounting.read


def test_a_folder_of_objects_is_as_one_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing of a store is told by the same names."""
    store = fsspec.filesystem("memory")
    monkeypatch.setattr(remote, "filesystem_of", lambda *_, **__: store)
    for name in ("a.csv", "more/b.csv.gz", *NO_DATA):
        store.pipe(f"/events/{name}", b"")
    assert ["memory:///events/a.csv", "memory:///events/more/b.csv.gz"] == remote.expand_url(
        "memory:///events/", (".csv",)
    )
    store.pipe("/events/c.csv.xz", b"")
    with pytest.raises(SourceError, match=r"memory:///events/: found data that cannot be read, c\.csv\.xz \(xz\)"):
        remote.expand_url("memory:///events/", (".csv",))


@pytest.mark.slow
def test_a_ledger_says_what_it_cannot_read_in_the_folders_that_it_knows(tmp_path: Path) -> None:
    """A file that comes later stops the next period, and is a problem of the status."""
    folder = tmp_path / "events"
    put(folder, "a.csv", csv(3))
    ledger = Ledger.init(tmp_path / "l.ledger")
    ledger.backfill(folder, CONFIG, aggregation="sum", start="2024-01-01", end="2024-02-01")
    late = put(folder, "b.csv.bz2", bz2.compress(csv(3)))
    with pytest.raises(SourceError, match=r"events: found data that cannot be read, b\.csv\.bz2 \(bzip2\)"):
        ledger.backfill(config=CONFIG, aggregation="sum", start="2024-02-01", end="2024-03-01")
    assert "b.csv.bz2 (bzip2)" in ledger.status().problems[0]
    late.unlink()
    assert 1 == len(ledger.backfill(config=CONFIG, aggregation="sum", start="2024-02-01", end="2024-03-01"))
