"""A file that changes under its size and its time is told by its bytes, where all of them are read anyway."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from metering_duck.errors import MeteringError
from metering_duck.ledger.ledger import Ledger
from tests.ledger_worlds import CLOCK, problems

CONFIG = {"measurements": [{"sourceProperty": "calls", "unit": "calls", "aggregation": "sum"}]}
JANUARY = {"start": "2024-01-01", "end": "2024-02-01", "every": "month", "clock": CLOCK}
ROW = "id,workspace_id,universe_id,type,subject,time,calls\nc,acme,production,call,a,2024-01-03T10:00:00Z,{}\n"
LINE = (
    '{{"id":"c","workspace_id":"acme","universe_id":"production","type":"call","subject":"a",'
    '"time":"2024-01-03T10:00:00Z","properties":{{"calls":"{}"}}}}\n'
)


def zipped(text: str) -> bytes:
    """A gzip file, whose last byte is a zero as that of a small file always is."""
    return gzip.compress(text.encode(), mtime=0)


def zstandard(text: str) -> bytes:
    """A zstd file."""
    return bytes(memoryview(pa.Codec("zstd").compress(text.encode())))


FORMS: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "events.csv": (ROW, str.encode),
    "events.csv.gz": (ROW, zipped),
    "events.csv.zst": (ROW, zstandard),
    "events.ndjson": (LINE, str.encode),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", FORMS)
def test_a_file_that_changed_under_its_stamp_is_not_metered(tmp_path: Path, name: str) -> None:
    """Another question reads the file again: it is refused by the SHA-256 of its bytes, with a hint what tells."""
    text, made = FORMS[name]
    path = tmp_path / name
    path.write_bytes(made(text.format(7)))
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    ledger.backfill(path, CONFIG, **JANUARY)
    before = path.stat()
    path.write_bytes(made(text.format(9)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert before.st_size == path.stat().st_size

    with pytest.raises(MeteringError) as raised:
        ledger.backfill(group_by="region", **JANUARY)

    assert f"{path}: found bytes of the SHA-256" in str(raised.value)
    assert "ledger verify --files" in str(raised.value)
    assert any(found.startswith("file digest") for found in problems(ledger, files=True))
