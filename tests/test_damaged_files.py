"""Damaged files of every format and compression: whatever is raised is an error of ours that names the file.

Whether damage that raises nothing is found is another question: tests/inputs asks it of what proves each format whole.
"""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import ipc, parquet

from metering_duck import MeteringError, StageError, aggregate
from tests.worlds import Event

CONFIG = {"measurements": [{"sourceProperty": "q", "unit": "x", "aggregation": "sum"}]}
WINDOW: dict[str, Any] = {"start": "2024-01-01", "end": "2024-02-01", "clock": "2024-06-01"}
EVENTS: list[Event] = [
    {
        "id": f"e{n}",
        "workspaceID": "w",
        "universeID": "u",
        "type": "t",
        "subject": f"c{n % 5}",
        "time": f"2024-01-{1 + n % 28:02d}T00:00:00Z",
        "properties": {"q": str(n), "region": "eu" if n % 2 else "us"},
    }
    for n in range(60)
]
FLAT = [{**{k: v for k, v in event.items() if k != "properties"}, **event["properties"]} for event in EVENTS]


def texts() -> dict[str, bytes]:
    """The events as text, in each format of text."""
    names = list(FLAT[0])
    lines = [",".join(names), *(",".join(row[name] for name in names) for row in FLAT)]
    return {
        "ndjson": "".join(f"{json.dumps(event)}\n" for event in EVENTS).encode(),
        "json": json.dumps(EVENTS).encode(),
        "csv": "".join(f"{line}\n" for line in lines).encode(),
    }


def zstd(data: bytes) -> bytes:
    """Bytes as a zstd frame."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


def columns() -> pa.Table:
    """The events as columns, their properties as a map."""
    plain = pa.Table.from_pylist([{k: v for k, v in event.items() if k != "properties"} for event in EVENTS])
    maps = pa.array([list(event["properties"].items()) for event in EVENTS], pa.map_(pa.string(), pa.string()))
    return plain.append_column("properties", maps)


def in_parquet(table: pa.Table, compression: str) -> bytes:
    """A table as a Parquet file of several row groups."""
    sink = io.BytesIO()
    parquet.write_table(table, sink, compression=compression, row_group_size=25)
    return sink.getvalue()


def in_arrow(make: Callable[..., Any], compression: str | None) -> bytes:
    """The events as an Arrow file or stream of several batches."""
    sink = io.BytesIO()
    with make(sink, columns().schema, options=ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(columns(), max_chunksize=20)
    return sink.getvalue()


def files() -> dict[str, bytes]:
    """Name → bytes, one file for each format and compression."""
    found = {}
    for name, data in texts().items():
        found |= {f"e.{name}": data, f"e.{name}.gz": gzip.compress(data, mtime=0), f"e.{name}.zst": zstd(data)}
    for compression in ("none", "snappy", "gzip", "zstd", "brotli", "lz4"):
        found[f"map.{compression}.parquet"] = in_parquet(columns(), compression)
        found[f"flat.{compression}.parquet"] = in_parquet(pa.Table.from_pylist(FLAT), compression)
    for compression in (None, "lz4", "zstd"):
        found[f"file.{compression}.arrow"] = in_arrow(ipc.new_file, compression)
        found[f"stream.{compression}.arrow"] = in_arrow(ipc.new_stream, compression)
    return found


FILES = files()


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Bytes with one bit, several bits or a run of bytes changed, or cut."""
    found = bytearray(data)
    kind = chance.choice(("cut", "bit", "bits", "zeros"))
    if kind == "cut":
        return data[: chance.randrange(len(data))]
    if kind == "zeros":
        at = chance.randrange(len(data))
        found[at : at + 20] = bytes(len(found[at : at + 20]))
        return bytes(found)
    for _ in range(1 if kind == "bit" else 5):
        found[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(found)


def outcome(paths: list[str], bad: Path) -> str:
    """What an aggregate over files ends in: rows, an error of ours that names the bad file, or what it should not."""
    try:
        with aggregate(paths, CONFIG, **WINDOW) as readings:
            readings.to_dicts()
            return "rows"
    except MeteringError as error:
        if isinstance(error, StageError) or str(bad) not in str(error):
            return f"{type(error).__name__}: {error}"
        return "named"


def all_outcomes(name: str, folder: Path, seeds: range) -> set[str]:
    """What aggregates over a damaged file end in: every second time beside a whole one, before or behind it."""
    good, found = folder / f"good.{name}", set()
    good.write_bytes(FILES[name])
    for seed in seeds:
        bad = folder / f"bad{seed}.{name}"
        bad.write_bytes(damaged(FILES[name], random.Random(f"{name} {seed}")))
        pair = [str(good), str(bad)] if seed % 4 else [str(bad), str(good)]
        said = outcome(pair if seed % 2 else [str(bad)], bad)
        found.add(said if said in ("rows", "named") else f"seed {seed}: {said}")
    return found


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(name: str, tmp_path: Path) -> None:
    """Bits that are flipped, zeros and cuts, with a fixed seed: rows, or an error of ours that names the file."""
    assert set() == all_outcomes(name, tmp_path, range(6)) - {"rows", "named"}


@pytest.mark.sampled(9)
@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_many_damaged_files_are_named(name: str, tmp_path: Path) -> None:
    """The same with more seeds."""
    assert set() == all_outcomes(name, tmp_path, range(6, 36)) - {"rows", "named"}
