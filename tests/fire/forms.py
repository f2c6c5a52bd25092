"""Events as the bytes of a file, in every format and compression, spelled in many ways; and as objects in memory."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import zlib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa
import zstandard
from pyarrow import ipc, parquet

from tests.fire.reading import FIELDS, SPELLINGS, Read, of_line
from tests.worlds import Event, as_row

JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
ODD_LINES = (
    *("{bad", "[1]", "5", "null", '"text"', "hello", '{"id": "a"} {"id": "b"}', '{"id": "\x01"}', '{"id": "\\ud800"}'),
    *('{"id": NaN}', "{'id': 1}", '{"id": "a"', '{"id": 01}', '{"id": 1.}', '{"id": "\\x"}', "{}{}", "undefined", "}"),
)


# --- JSON ------------------------------------------------------------------------------------------------------------


def line_of(chance: random.Random, event: Event) -> str:
    """An event as a line of JSON: names in any order and spelling, blanks anywhere, characters escaped or not."""
    members = []
    for name, value in event.items():
        if name != "properties" and value is None and chance.random() < 0.5:
            continue
        spelled = chance.choice(SPELLINGS[name]) if name in SPELLINGS else name
        members.append((spelled, _object(chance, value) if name == "properties" else _json(chance, value)))
    if chance.random() < 0.3:
        chance.shuffle(members)
    return _joined(chance, members)


def _object(chance: random.Random, properties: dict[str, Any]) -> str:
    members = [(name, _value(chance, text)) for name, text in properties.items()]
    return _joined(chance, members)


def _value(chance: random.Random, text: Any) -> str:
    """A property's value: a quantity may be a JSON number, which must keep every digit."""
    if isinstance(text, str) and chance.random() < 0.4 and JSON_NUMBER.fullmatch(text):
        return text
    return _json(chance, text)


def _json(chance: random.Random, value: Any) -> str:
    return json.dumps(value, ensure_ascii=chance.random() < 0.4)


def _joined(chance: random.Random, members: Iterable[tuple[str, str]]) -> str:
    blank = chance.choice(("", "", " ", "  ", "\t"))
    inside = f",{blank}".join(f"{json.dumps(name, ensure_ascii=False)}{blank}:{blank}{text}" for name, text in members)
    return f"{{{blank}{inside}{blank}}}"


def odd_line(chance: random.Random) -> str:
    """A line that is a reject, whose key other such lines may have."""
    number = chance.randrange(2)
    own = {"id": f"odd{number}", "workspaceID": "w", "universeID": "odd", "type": "t", "subject": "s"}
    head = json.dumps({**own, "time": "2024-02-15T00:00:00Z"})[:-1]
    return chance.choice(
        (
            *ODD_LINES,
            f'{head}, "properties": {{"q": 1, "q": "2"}}}}',
            f'{head}, "properties": [1]}}',
            f'{head}, "properties": "text"}}',
            f'{head}, "id": "odd{number}", "properties": {{"q": "1"}}}}',
            f'{head}, "properties": {{"q": 1.5, "x": "\ufdd0"}}}}',
            f'{head}, "properties": {{"q": 1.5, "x": "\\uFdD1"}}}}',
        )
    )


def lines(chance: random.Random, events: Sequence[Event], *, odd: bool) -> str:
    """NDJSON, with blank lines, other ends of lines, a byte order mark, and lines that are no events."""
    found = [line_of(chance, event) for event in events]
    if odd:
        for _ in range(chance.randint(0, 3)):
            found.insert(chance.randint(min(1, len(found)), len(found)), odd_line(chance))
    end = chance.choice(("\n", "\n", "\n", "\r\n", "\n\n", "\n \t\n"))
    text = end.join(found) + (end if chance.random() < 0.8 else "")
    return ("\ufeff" if chance.random() < 0.05 else "") + text


# --- CSV -------------------------------------------------------------------------------------------------------------


def csv_columns(events: Iterable[Event]) -> list[str]:
    """The columns of events: the fields, and every property that any of them has."""
    names: dict[str, None] = {}
    for event in events:
        names.update(dict.fromkeys(event["properties"]))
    return [*SPELLINGS, *(name for name in names if name not in FIELDS)]


def csv(chance: random.Random, events: Sequence[Event]) -> str:
    """Events as CSV, an absent value as an empty field, whatever else quoted where it must be, and now and then."""
    columns = csv_columns(events)
    delimiter, end = chance.choice(",,,\t;|"), chance.choice(("\n", "\n", "\r\n"))
    eager = chance.random() < 0.3

    def shown(value: str | None) -> str:
        if value is None:
            return ""
        if eager or value == "" or any(c in value for c in '",\t;|\r\n') or value.strip() != value:
            return '"' + value.replace('"', '""') + '"'
        return value

    rows = [delimiter.join(columns)]
    for event in events:
        given = {**event["properties"], **{name: value for name, value in event.items() if name != "properties"}}
        rows.append(delimiter.join(shown(given.get(name)) for name in columns))
    return end.join(rows) + (end if chance.random() < 0.8 else "")


# --- Arrow and Parquet -----------------------------------------------------------------------------------------------


def table_of(chance: random.Random, events: Sequence[Event]) -> pa.Table:
    """Events in columns: times as text, properties as a MAP, as JSON text, as a STRUCT, or as columns of their own."""
    rows = [as_row(event) for event in events]
    fields = {name: pa.array([row[name] for row in rows], pa.string()) for name in rows[0] if name != "properties"}
    held = [{key: text for key, text in row["properties"].items() if text is not None} for row in rows]
    names = list(dict.fromkeys(name for one in held for name in one))
    lowered = {name.lower() for name in (*names, *fields)}
    plain = len(lowered) == len(names) + len(fields) and all(name and "\0" not in name for name in names)
    kind = chance.choice(("map", "map", "json", "struct", "columns") if plain and names else ("map", "json"))
    if kind == "columns":
        own = {name: pa.array([one.get(name) for one in held], pa.string()) for name in names}
        return pa.table({**fields, **own})
    made = {
        "map": lambda: pa.array([list(one.items()) for one in held], pa.map_(pa.string(), pa.string())),
        "json": lambda: pa.array([json.dumps(one, ensure_ascii=False) for one in held], pa.string()),
        "struct": lambda: pa.array(held, pa.struct([(name, pa.string()) for name in names])),
    }[kind]()
    return pa.table({**fields, "properties": made})


def parquet_bytes(chance: random.Random, table: pa.Table, **options: Any) -> bytes:
    """A Parquet file of pyarrow, written in any of its ways."""
    file = io.BytesIO()
    chosen = {
        "compression": chance.choice(("none", "snappy", "zstd", "gzip", "lz4", "brotli")),
        "row_group_size": chance.choice((3, 17, 1000)),
        "use_dictionary": chance.random() < 0.6,
        "data_page_version": chance.choice(("1.0", "2.0")),
        "write_page_checksum": chance.random() < 0.5,
        "write_statistics": chance.random() < 0.8,
        "write_page_index": chance.random() < 0.2,
        "store_schema": chance.random() < 0.5,
        **options,
    }
    parquet.write_table(table, file, **chosen)
    return file.getvalue()


def arrow_bytes(chance: random.Random, table: pa.Table, kind: str = "", codec: str | None = "?") -> bytes:
    """An Arrow file or stream."""
    chosen = chance.choice((None, "lz4", "zstd")) if codec == "?" else codec
    new = ipc.new_stream if (kind or chance.choice(("file", "stream"))) == "stream" else ipc.new_file
    file = io.BytesIO()
    with new(file, table.schema, options=ipc.IpcWriteOptions(compression=chosen)) as writer:
        writer.write_table(table, max_chunksize=chance.choice((3, 50, 1000)))
    return file.getvalue()


# --- compression -----------------------------------------------------------------------------------------------------


def compressed(chance: random.Random, data: bytes, codec: str) -> bytes:
    """The bytes as they are, or in gzip members or zstd frames, several of them now and then, some blocks flushed."""
    if not codec:
        return data
    count = chance.choice((1, 1, 1, 2, 3))
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(count - 1))
    parts = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return b"".join((_gzip if codec == "gz" else _zstd)(chance, part) for part in parts)


def _gzip(chance: random.Random, data: bytes) -> bytes:
    if chance.random() < 0.5:
        return gzip.compress(data, chance.choice((0, 1, 6)), mtime=0)
    maker = zlib.compressobj(6, zlib.DEFLATED, 31)
    half = len(data) // 2
    return maker.compress(data[:half]) + maker.flush(zlib.Z_SYNC_FLUSH) + maker.compress(data[half:]) + maker.flush()


def _zstd(chance: random.Random, data: bytes) -> bytes:
    checked = chance.random() < 0.5
    maker = zstandard.ZstdCompressor(level=chance.choice((1, 3)), write_checksum=checked)
    if chance.random() < 0.4:
        return maker.compress(data)
    stream, found = maker.compressobj(), []
    steps = sorted({0, len(data), *(chance.randrange(len(data) + 1) for _ in range(3))})
    for start, end in pairwise(steps):
        found += [stream.compress(data[start:end]), stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)]
    return b"".join(found) + stream.flush()


def reads_of(events: Iterable[Event]) -> list[Read]:
    """Objects, which are read as JSON."""
    return [of_line(json.dumps(event)) for event in events]
