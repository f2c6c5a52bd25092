"""Events as files of every format and compression, and harm that is done to them."""

from __future__ import annotations

import gzip
import io
import json
import struct
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
from pyarrow import parquet

from metering_duck import MeteringError, meter
from tests.worlds import CLOCK, event

CONFIG = {"measurements": [{"sourceProperty": "q", "unit": "seats"}]}
FIELDS = ("id", "workspaceID", "universeID", "type", "subject", "time", "q")


def events(count: int) -> list[dict[str, Any]]:
    """So many events whose quantities are 1, 2, 3, and so on."""
    return [event(f"e{n}", f"2024-01-01T00:00:{n % 60:02}Z", {"q": str(n + 1)}) for n in range(count)]


def ndjson(count: int) -> bytes:
    """Events as lines of JSON."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in events(count))


def table(count: int) -> pa.Table:
    """Events in plain columns."""
    rows = [{**{name: one[name] for name in FIELDS[:-1]}, "q": one["properties"]["q"]} for one in events(count)]
    return pa.Table.from_pylist(rows)


def csv(count: int) -> bytes:
    """Events as CSV, every text quoted."""
    sink = io.BytesIO()
    pa.csv.write_csv(table(count), sink)
    return sink.getvalue()


def arrow(count: int, opened: Callable[..., Any]) -> bytes:
    """Events as Arrow, in batches of ten."""
    sink = io.BytesIO()
    rows = table(count)
    with opened(sink, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=10)
    return sink.getvalue()


def parquet_with(count: int, **options: Any) -> bytes:
    """Events as Parquet whose pages have checksums."""
    sink = io.BytesIO()
    parquet.write_table(table(count), sink, write_page_checksum=True, row_group_size=20, **options)
    return sink.getvalue()


def zstd(data: bytes, *, checked: bool = True) -> bytes:
    """One zstd frame, of blocks that are not compressed; Arrow writes frames without checksums."""
    if not checked:
        return bytes(pa.Codec("zstd").compress(data))
    parts = [data[n : n + 1000] for n in range(0, len(data), 1000)] or [b""]
    blocks = b"".join(
        struct.pack("<I", len(part) << 3 | (n == len(parts) - 1))[:3] + part for n, part in enumerate(parts)
    )
    header = struct.pack("<IBB", 0xFD2FB528, 0b100, 0b1010_000)
    return header + blocks + struct.pack("<I", xxh64(data) & 0xFFFFFFFF)


def skippable(size: int) -> bytes:
    """A zstd frame that readers skip."""
    return struct.pack("<II", 0x184D2A53, size) + b"x" * size


def xxh64(data: bytes) -> int:
    """The checksum of zstd frames, of the seed 0 (XXH64)."""
    one, two, three = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
    four, five, mask = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5, (1 << 64) - 1

    def left(value: int, by: int) -> int:
        return (value << by | value >> 64 - by) & mask

    def mixed(lane: int, word: int) -> int:
        return left((lane + word * two) & mask, 31) * one & mask

    position, found = 0, five
    if len(data) >= 32:
        lanes = [(one + two) & mask, two, 0, -one & mask]
        while position + 32 <= len(data):
            words = struct.unpack_from("<4Q", data, position)
            lanes = [mixed(lane, word) for lane, word in zip(lanes, words, strict=True)]
            position += 32
        found = sum(left(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True)) & mask
        for lane in lanes:
            found = ((found ^ mixed(0, lane)) * one + four) & mask
    found = (found + len(data)) & mask
    while position + 8 <= len(data):
        (word,) = struct.unpack_from("<Q", data, position)
        found = (left(found ^ mixed(0, word), 27) * one + four) & mask
        position += 8
    if position + 4 <= len(data):
        (word,) = struct.unpack_from("<I", data, position)
        found = (left(found ^ word * one & mask, 23) * two + three) & mask
        position += 4
    for byte in data[position:]:
        found = left(found ^ byte * five & mask, 11) * one & mask
    for by, prime in ((33, two), (29, three)):
        found = (found ^ found >> by) * prime & mask
    return found ^ found >> 32


# Name of a file → its bytes, of so many events; all of them have checksums, or an end that tells.
WHOLE: dict[str, Callable[[int], bytes]] = {
    "a.ndjson.gz": lambda n: gzip.compress(ndjson(n)),
    "b.ndjson.gz": lambda n: gzip.compress(ndjson(n)[:500]) + gzip.compress(ndjson(n)[500:]) + b"\0" * 100,
    "a.csv.gz": lambda n: gzip.compress(csv(n)),
    "a.json.gz": lambda n: gzip.compress(json.dumps(events(n)).encode()),
    "a.ndjson.zst": lambda n: zstd(ndjson(n)),
    "b.ndjson.zst": lambda n: zstd(ndjson(n)[:700]) + skippable(30) + zstd(ndjson(n)[700:]),
    "a.csv.zst": lambda n: zstd(csv(n)),
    "a.parquet": lambda n: parquet_with(n),
    "b.parquet": lambda n: parquet_with(n, use_dictionary=False, compression="none"),
    "c.parquet": lambda n: parquet_with(n, compression="zstd", data_page_version="2.0"),
}


def metered(path: Path, **options: Any) -> Decimal | str:
    """The sum of the quantities of a file, or the error that it is."""
    try:
        with meter(path, CONFIG, clock=CLOCK, **options) as records:
            return sum(records.to_arrow()["quantity"].to_pylist(), Decimal(0))
    except MeteringError as error:
        return str(error)
