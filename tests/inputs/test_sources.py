"""Every kind of input gives the same records and readings, byte for byte; what cannot be read exactly is rejected or
refused."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pyarrow as pa
import pytest
from pyarrow import csv, dataset, parquet

from metering_duck import EventPayload, SchemaError, SourceError, aggregate, load_config, meter
from metering_duck.contract.schemas import EVENT_SCHEMA

Event = dict[str, Any]
CLOCK, START, END = "2024-06-01T00:00:00Z", "2024-01-01", "2024-02-01"
CONFIG = load_config(
    {
        "measurements": [
            {"sourceProperty": "tokens", "unit": "tokens", "aggregation": "sum"},
            {
                "sourceProperty": "seats",
                "unit": "seats",
                "aggregation": "time-weighted-avg",
                "filter": {"property": "kind", "equals": "seats"},
            },
        ]
    }
)
PLAIN = load_config({"measurements": [{"sourceProperty": "q", "unit": "things", "aggregation": "sum"}]})
CAMEL = {
    "workspace_id": "workspaceID",
    "universe_id": "universeID",
    "metered_at": "meteredAt",
}


def event(number: int, subject: str, day: int, **properties: str) -> Event:
    """One event, in snake_case and with Python's own types."""
    time = datetime(2024, 1, day, 6, 30, 0, 250_000, tzinfo=UTC)
    return {
        "id": f"e{number}",
        "workspace_id": "acme",
        "universe_id": "production",
        "type": "use",
        "subject": subject,
        "time": time,
        "properties": properties,
        "metered_at": time + timedelta(minutes=number),
    }


# Two customers, a carried level, an empty and a quoted text, a reject, a duplicate and a conflict.
EVENTS = [
    event(1, "customer:a", 1, tokens="12.50", region="eu", note='say "hi", twice'),
    event(2, "customer:a", 2, tokens="12345678901234567890.123456789012345678", region=" eu"),
    event(3, "customer:b", 3, tokens="1e3", seats="10", kind="seats", region="ü😀"),
    event(4, "customer:b", 21, tokens="-0.0", seats="15", kind="seats", region="us\nwest"),
    event(5, "customer:b", 22, tokens="1_000", region="eu"),
    event(6, "customer:a", 23, region="eu"),
]
EVENTS.append({**EVENTS[0], "metered_at": EVENTS[0]["metered_at"] + timedelta(hours=1)})
EVENTS.append({**event(2, "customer:a", 2, tokens="9"), "metered_at": EVENTS[1]["metered_at"] + timedelta(hours=1)})
NAMES = ("tokens", "seats", "kind", "region", "note")

RECORDS = """\
{"id":"%s","workspaceID":"acme","universeID":"production","subject":"customer:a","measurement":{"quantity":"12.5",\
"unit":"tokens","aggregation":"sum"},"dimensions":{"note":"say \\"hi\\", twice","region":"eu"},\
"recordedAt":"2024-01-01T06:30:00.25Z","sourceEventID":"e1","meteredAt":"2024-01-01T06:31:00.25Z"}
"""
ACCOUNTING = {"read": 8, "metered": 4, "unmatched": 0, "duplicates": 1, "conflicts": 1, "rejected": 2}
REJECTS = [("e5", "1_000", "quantity-syntax"), ("e6", None, "source-missing")]
# seats: (10 × 18 days + 15 × (10 days + 62,999.75 s)) / 31 days
READINGS = [
    ("customer:a", "tokens", "sum", "12345678901234567902.623456789012345678"),
    ("customer:b", "seats", "time-weighted-avg", "10.997982470878136201"),
    ("customer:b", "tokens", "sum", "1000.000000000000000000"),
]


# --- the same events, as every kind of thing -------------------------------------------------------------------------


def table(events: list[Event] | None = None) -> pa.Table:
    """The events as Arrow: properties as a MAP."""
    given = EVENTS if events is None else events
    return pa.Table.from_pylist([{**e, "properties": list(e["properties"].items())} for e in given], EVENT_SCHEMA)


def flat_table(*, names: Mapping[str, str] | None = None) -> pa.Table:
    """The events as Arrow: a text column for each property."""
    plain = table().drop_columns(["properties"])
    for name in NAMES:
        plain = plain.append_column((names or {}).get(name, name), [[e["properties"].get(name) for e in EVENTS]])
    return plain


def struct_table() -> pa.Table:
    """The events as Arrow: properties as a STRUCT of texts."""
    column = pa.array([e["properties"] for e in EVENTS], pa.struct([(name, pa.string()) for name in NAMES]))
    return table().drop_columns(["properties"]).append_column("properties", column)


def json_table() -> pa.Table:
    """The events as Arrow: properties as JSON text."""
    return (
        table()
        .drop_columns(["properties"])
        .append_column("properties", [[json.dumps(e["properties"]) for e in EVENTS]])
    )


def entries_table() -> pa.Table:
    """The events as Arrow: properties as a list of entries."""
    kind = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))
    column = pa.array([[{"key": k, "value": v} for k, v in e["properties"].items()] for e in EVENTS], kind)
    return table().drop_columns(["properties"]).append_column("properties", column)


def json_event(given: Event, *, camel: bool = True) -> Event:
    """An event as its JSON object."""
    texts = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in given.items()}
    return {CAMEL.get(k, k) if camel else k: v for k, v in texts.items()}


def json_lines(*, camel: bool = True) -> str:
    """The events as NDJSON."""
    return "".join(json.dumps(json_event(e, camel=camel), ensure_ascii=False) + "\n" for e in EVENTS)


def csv_text(delimiter: str = ",") -> bytes:
    """The events as CSV: an absent property is an empty field."""
    plain = flat_table()
    texts = [
        [None if value is None else json_event({"v": value})["v"] for value in plain[n].to_pylist()]
        for n in plain.column_names
    ]
    buffer = io.BytesIO()
    options = csv.WriteOptions(delimiter=delimiter, quoting_style="needed")
    csv.write_csv(pa.table([pa.array(t, pa.string()) for t in texts], plain.column_names), buffer, options)
    return buffer.getvalue()


def written(folder: Path, name: str, content: bytes | str | pa.Table) -> str:
    """A file in the folder, compressed as its name says; Arrow tables become Parquet or Arrow IPC."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, pa.Table) and ".parquet" in name:
        parquet.write_table(content, path)
    elif isinstance(content, pa.Table):
        new = pa.ipc.new_stream if "stream" in name else pa.ipc.new_file
        with pa.OSFile(str(path), "wb") as file, new(file, content.schema) as writer:
            writer.write_table(content, max_chunksize=3)
    else:
        data = content.encode() if isinstance(content, str) else content
        if name.endswith(".gz"):
            data = gzip.compress(data)
        if name.endswith(".zst"):
            data = pa.compress(data, codec="zstd", asbytes=True)
        path.write_bytes(data)
    return str(path)


def folder_of_parts(folder: Path) -> str:
    """A folder with sub-folders, hidden files and others that are no events."""
    written(folder, "tree/a.parquet", table(EVENTS[:3]))
    written(folder, "tree/deep/er/b.parquet", table(EVENTS[3:]))
    written(folder, "tree/_SUCCESS", "")
    written(folder, "tree/.hidden.parquet", "not Parquet")
    written(folder, "tree/_temporary/c.parquet", "not Parquet")
    written(folder, "tree/notes.txt", "not events")
    return str(folder / "tree")


def hive_tree(folder: Path) -> str:
    """A Hive-partitioned tree: workspace and universe are only in the paths."""
    rows = table().drop_columns(["workspace_id", "universe_id"])
    written(folder, "hive/workspace_id=acme/universe_id=production/part-0.parquet", rows.slice(0, 4))
    written(folder, "hive/workspace_id=acme/universe_id=production/part-1.parquet", rows.slice(4))
    return str(folder / "hive")


class Capsule:
    """Something that has an Arrow stream and nothing else."""

    def __init__(self, held: pa.Table) -> None:
        self.held = held

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.held.__arrow_c_stream__(requested_schema)


def payloads() -> list[EventPayload]:
    """The events as the contract's own objects."""
    return [EventPayload.model_validate(json_event(e)) for e in EVENTS]


def relation(kind: pa.Table) -> Any:
    """A DuckDB relation of the caller's own connection."""
    return duckdb.connect().from_arrow(kind)


ARRAY = "[" + json_lines().strip().replace("\n{", ",\n{") + "]"
SOURCES: dict[str, Callable[[Path], Any]] = {
    "parquet text path": lambda folder: written(folder, "e.parquet", table()),
    "parquet Path": lambda folder: Path(written(folder, "e.parquet", table())),
    "parquet .pq": lambda folder: Path(written(folder, "e.parquet", table())).rename(folder / "e.PQ"),
    "parquet without a suffix": lambda folder: Path(written(folder, "e.parquet", table())).rename(folder / "events"),
    "parquet list": lambda folder: [
        written(folder, "a.parquet", table(EVENTS[:3])),
        Path(written(folder, "b.parquet", table(EVENTS[3:]))),
    ],
    "parquet the same file twice is one": lambda folder: [written(folder, "a.parquet", table())] * 2,
    "parquet glob": lambda folder: str(Path(folder_of_parts(folder)) / "**" / "[ab].parquet"),
    "parquet folder": folder_of_parts,
    "parquet hive": hive_tree,
    "parquet struct": lambda folder: written(folder, "e.parquet", struct_table()),
    "parquet json text": lambda folder: written(folder, "e.parquet", json_table()),
    "parquet entries": lambda folder: written(folder, "e.parquet", entries_table()),
    "parquet flat": lambda folder: written(folder, "e.parquet", flat_table()),
    "ndjson camelCase": lambda folder: written(folder, "e.ndjson", json_lines()),
    "ndjson snake_case": lambda folder: written(folder, "e.jsonl", json_lines(camel=False)),
    "ndjson .gz": lambda folder: written(folder, "e.ndjson.gz", json_lines()),
    "ndjson .zst": lambda folder: written(folder, "e.ndjson.zst", json_lines()),
    "ndjson in .json": lambda folder: written(folder, "e.json", json_lines()),
    "ndjson without a suffix": lambda folder: written(folder, "events", json_lines()),
    "ndjson CRLF and BOM": lambda folder: written(folder, "e.ndjson", "\ufeff" + json_lines().replace("\n", "\r\n")),
    "ndjson blank lines": lambda folder: written(folder, "e.ndjson", json_lines().replace("\n", "\n\n \t\n")),
    "ndjson mixed line ends": lambda folder: written(folder, "e.ndjson", json_lines().replace("\n", "\r\n", 3)),
    "ndjson without a last line end": lambda folder: written(folder, "e.ndjson", json_lines().rstrip()),
    "json array": lambda folder: written(folder, "e.json", ARRAY),
    "json array .gz": lambda folder: written(folder, "e.json.gz", ARRAY),
    "json array .zst": lambda folder: written(folder, "e.json.zst", ARRAY),
    "json array indented, BOM": lambda folder: written(
        folder, "e.json", "\ufeff\n" + json.dumps(json.loads(ARRAY), indent=2)
    ),
    "json objects indented": lambda folder: written(
        folder, "e.json", "\n".join(json.dumps(json_event(e), indent=2) for e in EVENTS)
    ),
    "csv": lambda folder: written(folder, "e.csv", csv_text()),
    "csv .gz": lambda folder: written(folder, "e.csv.gz", csv_text()),
    "csv .zst": lambda folder: written(folder, "e.csv.zst", csv_text()),
    "csv tabs": lambda folder: written(folder, "e.tsv", csv_text("\t")),
    "csv semicolons": lambda folder: written(folder, "e.csv", csv_text(";")),
    "csv BOM": lambda folder: written(folder, "e.csv", b"\xef\xbb\xbf" + csv_text()),
    "arrow file": lambda folder: written(folder, "e.arrow", table()),
    "arrow .feather": lambda folder: written(folder, "e.feather", struct_table()),
    "arrow stream": lambda folder: written(folder, "stream.arrow", table()),
    "arrow files": lambda folder: [
        written(folder, "a.arrow", table(EVENTS[:3])),
        written(folder, "stream.arrow", table(EVENTS[3:])),
    ],
    "Table": lambda _: table(),
    "Table struct": lambda _: struct_table(),
    "Table json text": lambda _: json_table(),
    "Table entries": lambda _: entries_table(),
    "Table flat": lambda _: flat_table(),
    "Table of many chunks": lambda _: pa.concat_tables([table([e]) for e in EVENTS]),
    "Table camelCase": lambda _: table().rename_columns([CAMEL.get(n, n) for n in table().column_names]),
    "Table of dictionaries": lambda _: pa.table(
        {
            n: c.dictionary_encode() if n in ("type", "subject", *NAMES) else c
            for n, c in zip(flat_table().column_names, flat_table().columns, strict=True)
        }
    ),
    "RecordBatch": lambda _: table().combine_chunks().to_batches()[0],
    "RecordBatchReader": lambda _: table().to_reader(max_chunksize=2),
    "PyCapsule": lambda _: Capsule(table()),
    "dataset": lambda folder: dataset.dataset(folder_of_parts(folder), format="parquet", exclude_invalid_files=True),
    "dataset scanner": lambda _: dataset.dataset(table()).scanner(),
    "Polars DataFrame struct": lambda _: polars.from_arrow(struct_table()),
    "Polars DataFrame entries": lambda _: polars.from_arrow(table()),
    "Polars DataFrame categorical": lambda _: polars.from_arrow(flat_table()).with_columns(  # type: ignore[union-attr]
        polars.col("type", "subject", "region").cast(polars.Categorical)
    ),
    "Polars LazyFrame": lambda _: polars.from_arrow(flat_table()).lazy(),  # type: ignore[union-attr]
    "pandas": lambda _: flat_table().to_pandas(),
    "pandas categorical": lambda _: (
        flat_table().to_pandas().astype({"type": "category", "tokens": "category", "region": "category"})
    ),
    "pandas dicts": lambda _: pandas.DataFrame(EVENTS),
    "DuckDB relation": lambda _: relation(table()),
    "DuckDB relation flat": lambda _: relation(flat_table()),
    "dicts": lambda _: EVENTS,
    "dicts camelCase": lambda _: [json_event(e) for e in EVENTS],
    "dicts tuple": lambda _: tuple(EVENTS),
    "dicts generator": lambda _: iter(EVENTS),
    "EventPayload": lambda _: payloads(),
}


def answers(make: Callable[[], Any], **options: Any) -> tuple[bytes, bytes, dict[str, int], list[tuple[str, str, str]]]:
    """Records and readings as NDJSON, the accounting, and the rejects; a stream is made anew for each of the two."""
    texts = []
    with meter(make(), CONFIG, clock=CLOCK, **options) as records:
        texts.append(io.BytesIO())
        records.write_to(texts[-1], "ndjson")
        counts = {name: records.accounting[name] for name in ACCOUNTING}
        rejects = [(r["id"], r["text"], r["reason"]) for r in records.rejects.to_pylist()]
    with aggregate(make(), CONFIG, start=START, end=END, clock=CLOCK, **options) as readings:
        texts.append(io.BytesIO())
        readings.write_to(texts[-1], "ndjson")
    return texts[0].getvalue(), texts[1].getvalue(), counts, rejects


@pytest.fixture(scope="module")
def expected() -> tuple[bytes, bytes, dict[str, int], list[tuple[str, str, str]]]:
    """What the list of dicts gives."""
    return answers(lambda: EVENTS)


def test_what_is_expected_is_right(expected: tuple[bytes, bytes, dict[str, int], list[tuple[str, str, str]]]) -> None:
    """The answer that all others are compared with is the one worked out by hand."""
    records, readings, counts, rejects = expected
    lines = [json.loads(line) for line in readings.splitlines()]
    shown = [(r["subject"], r["measurement"]["unit"], r["aggregation"], r["measurement"]["quantity"]) for r in lines]
    first = records.decode().splitlines(keepends=True)[0]

    assert (ACCOUNTING, REJECTS, 6) == (counts, rejects, records.count(b"\n"))
    assert [(s, u, a, q.rstrip("0").rstrip(".") if "." in q else q) for s, u, a, q in READINGS] == shown
    assert RECORDS % json.loads(first)["id"] == first


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_input_gives_the_same_bytes(
    kind: str, tmp_path: Path, expected: tuple[bytes, bytes, dict[str, int], list[tuple[str, str, str]]]
) -> None:
    """Records and readings of one set of events are the same bytes, whatever the events come in."""
    assert expected == answers(lambda: SOURCES[kind](tmp_path))


STDIN: dict[str, Callable[[Path], str]] = {
    "ndjson": lambda folder: written(folder, "e", json_lines()),
    "ndjson gz": lambda folder: written(folder, "e.gz", json_lines()),
    "ndjson zst": lambda folder: written(folder, "e.zst", json_lines()),
    "json": lambda folder: written(folder, "e", ARRAY),
    "csv": lambda folder: written(folder, "e", csv_text()),
    "csv gz": lambda folder: written(folder, "e.gz", csv_text()),
    "parquet": lambda folder: written(folder, "e.parquet", table()),
    "arrow file": lambda folder: written(folder, "e.arrow", table()),
    "arrow stream": lambda folder: written(folder, "stream.arrow", table()),
}


@pytest.mark.parametrize("kind", STDIN)
def test_standard_input_gives_the_same_bytes(
    kind: str, tmp_path: Path, expected: tuple[bytes, bytes, dict[str, int], list[tuple[str, str, str]]]
) -> None:
    """`-` takes every format, compressed or not, and finds out which from the bytes."""
    config = tmp_path / "config.json"
    config.write_text(CONFIG.model_dump_json(by_alias=True, exclude_none=True), encoding="utf-8")
    command = [sys.executable, "-m", "metering_duck", "aggregate", "-", "--config", str(config), "--clock", CLOCK]
    with open(STDIN[kind](tmp_path), "rb") as source:
        done = subprocess.run([*command, "--start", START, "--end", END, "-q"], stdin=source, capture_output=True)

    assert (0, b"", expected[1]) == (done.returncode, done.stderr, done.stdout)


# --- where the fields are --------------------------------------------------------------------------------------------

MAPPED = {
    "columns by other names": (
        lambda: flat_table().rename_columns(
            [{"subject": "customer_id", "time": "at", "id": "ID NO"}.get(n, n) for n in flat_table().column_names]
        ),
        {"subject": "customer_id", "time": "at", "id": "ID NO"},
    ),
    "the field in camelCase": (lambda: flat_table().rename_columns({"workspace_id": "ws"}), {"workspaceID": "ws"}),
    "constants": (
        lambda: flat_table().drop_columns(["workspace_id", "universe_id", "type"]),
        {"workspace_id": "'acme'", "universe_id": "'production'", "type": "'use'"},
    ),
    "a constant over a column": (
        lambda: flat_table().set_column(1, "workspace_id", [["x"] * 8]),
        {"workspace_id": "'acme'"},
    ),
    "listed property columns": (flat_table, {"properties": "tokens,seats,kind, region ,note"}),
    "a list of property columns": (flat_table, {"properties": list(NAMES)}),
    "renamed property columns": (
        lambda: flat_table(names={"tokens": "a", "seats": "b"}),
        {"properties.tokens": "a", "properties.seats": "b", "properties": "kind,region,note"},
    ),
    "a dict of property columns": (
        lambda: flat_table(names={"tokens": "a", "seats": "b"}),
        {"properties": {"tokens": "a", "seats": "b", "kind": "kind", "region": "region", "note": "note"}},
    ),
    "the column of properties": (lambda: json_table().rename_columns({"properties": "body"}), {"properties": "body"}),
}


@pytest.mark.parametrize("case", MAPPED)
def test_a_map_says_where_fields_are(
    case: str, expected: tuple[bytes, bytes, dict[str, int], list[tuple[str, str, str]]]
) -> None:
    """Mapped columns, constants and property columns give the bytes that the plain names give."""
    make, mapping = MAPPED[case]

    assert expected == answers(make, map=mapping)


def test_json_fields_are_mapped_too(
    tmp_path: Path, expected: tuple[bytes, bytes, dict[str, int], list[tuple[str, str, str]]]
) -> None:
    """In JSON a mapped name, a constant and property names work as they do in a table."""
    objects = [json_event(e) for e in EVENTS]
    flat = [
        {k: v for k, v in o.items() if k not in ("properties", "subject", "type")}
        | o["properties"]
        | {"who": o["subject"]}
        for o in objects
    ]
    mapping = {"subject": "who", "type": "'use'"}

    assert expected == answers(lambda: flat, map=mapping)
    assert expected == answers(lambda: flat, map={**mapping, "properties": ",".join(NAMES)})


def test_unmapped_property_columns_leave_out_what_is_mapped() -> None:
    """Of an input without a properties column, all columns that are no field are properties; the mapped ones are
    fields."""
    row = {**one_row(), "customer": "customer:z", "q": "1", "plan": "gold"}
    del row["subject"]

    assert [{"plan": "gold"}] == dimensions(pa.Table.from_pylist([row]), map={"subject": "customer"})


# --- what properties become ------------------------------------------------------------------------------------------


def one_row(**fields: Any) -> Event:
    """The fields of one event, without properties."""
    plain = {"id": "e1", "workspace_id": "w", "universe_id": "u", "type": "t", "subject": "c:1"}
    return {**plain, "time": datetime(2024, 1, 1, tzinfo=UTC), **fields}


def one_table(sql: str) -> pa.Table:
    """One event whose other columns are DuckDB's."""
    connection = duckdb.connect()
    connection.register("one", pa.Table.from_pylist([one_row()]))
    return connection.sql(f"SELECT one.*, {sql} FROM one").to_arrow_table()


def one_object(properties: str) -> str:
    """One event as JSON, its properties as given."""
    head = json.dumps({**one_row(), "time": "2024-01-01T00:00:00Z"})
    return f'{head[:-1]}, "properties": {properties}}}\n'


def dimensions(source: Any, **options: Any) -> list[dict[str, str]]:
    """The dimensions of every record."""
    with meter(source, PLAIN, clock=CLOCK, **options) as records:
        return [r["dimensions"] for r in records.to_dicts()]


def quantities(source: Any, **options: Any) -> list[Decimal]:
    """The quantity of every record."""
    with meter(source, PLAIN, clock=CLOCK, **options) as records:
        return [r["quantity"] for r in records.to_dicts()]


def reasons(source: Any, **options: Any) -> list[tuple[str | None, str]]:
    """The text and reason of every reject."""
    with meter(source, PLAIN, clock=CLOCK, **options) as records:
        return [(r["text"], r["reason"]) for r in records.rejects.to_pylist()]


SCALARS = (
    "{'q': 1, 'i': 7::TINYINT, 'h': '98765432109876543210987654321098765432'::DECIMAL(38, 0), 'dec': "
    "12.50::DECIMAL(10, 2), 'yes': true, "
    "'no': false, 'd': 0.1::DOUBLE, 'f': 0.1::FLOAT, 'x': 'text', 'none': NULL::VARCHAR, 'day': DATE '2024-02-29', "
    "'at': TIMESTAMP '2024-01-02 03:04:05.5', 'id': '6ccd780c-baba-1026-9564-5b8c656024db'::UUID}"
)
SCALAR_TEXTS = {
    "i": "7",
    "h": "98765432109876543210987654321098765432",
    "dec": "12.50",
    "yes": "true",
    "no": "false",
    "d": "0.1",
    "f": "0.1",
    "x": "text",
    "day": "2024-02-29",
    "at": "2024-01-02 03:04:05.5",
    "id": "6ccd780c-baba-1026-9564-5b8c656024db",
}


def test_struct_fields_of_every_type_are_taken_as_their_text(tmp_path: Path) -> None:
    """Integers, decimals, booleans, doubles, dates and texts of a STRUCT become dimensions; NULL is absent."""
    path = written(tmp_path, "e.parquet", one_table(f"{SCALARS} AS properties"))

    assert [SCALAR_TEXTS] == dimensions(path)


@pytest.mark.parametrize(
    ("value", "quantity"),
    [
        ("7", "7"),
        ("12.50::DECIMAL(10, 2)", "12.50"),
        ("'12345678901234567890.123456789012345678'::DECIMAL(38, 18)", "12345678901234567890.123456789012345678"),
        ("9223372036854775807", "9223372036854775807"),
        ("18446744073709551615::UBIGINT", "18446744073709551615"),
        ("0.1::DOUBLE", "0.1"),
        ("1e15::DOUBLE", "1e15"),
        ("'  7'", None),
        ("true", None),
        ("'nan'::DOUBLE", None),
        ("'inf'::DOUBLE", None),
        ("1e30::DOUBLE", None),
    ],
)
def test_a_quantity_of_any_type_is_exact_or_rejected(value: str, quantity: str | None) -> None:
    """A number in a typed column is taken as its text, every digit, in a STRUCT and in a column of its own."""
    wanted = [] if quantity is None else [Decimal(quantity)]

    assert (wanted, wanted) == (
        quantities(one_table(f"{{'q': {value}}} AS properties")),
        quantities(one_table(f"{value} AS q")),
    )


@pytest.mark.parametrize(
    "number",
    [
        "0.1",
        "-0.10",
        "1e2",
        "12345678901234567890.123456789012345678",
        "9007199254740993",
        "0.000000000000000001",
        "1E-18",
        "-0",
        "123456789012345.678",
    ],
)
def test_a_json_number_keeps_every_digit(number: str, tmp_path: Path) -> None:
    """A number in JSON, in a file, an array, a text column or a Python Decimal, is that number and no double."""
    line = one_object(f'{{"q": {number}, "other": {number}}}')
    column = pa.Table.from_pylist([{**one_row(), "properties": f'{{"q":{number}, "other": {number}}}'}])
    sources = [written(tmp_path, "e.ndjson", line), written(tmp_path, "e.json", f"[{line}]"), column]

    assert [[Decimal(number)]] * 3 == [quantities(source) for source in sources]
    assert [[{"other": number}]] * 3 == [dimensions(source) for source in sources]
    assert [Decimal(number)] == quantities([{**one_row(), "properties": {"q": Decimal(number)}}])


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("100000000000000000000", "quantity-too-large"),
        ("0.1234567890123456789", "quantity-too-fine"),
        ("1e400", "quantity-too-large"),
    ],
)
def test_a_json_number_that_does_not_fit_is_rejected_with_its_digits(number: str, reason: str, tmp_path: Path) -> None:
    """What no DECIMAL(38, 18) holds is rejected, and shown as it was sent."""
    assert [(number, reason)] == reasons(written(tmp_path, "e.ndjson", one_object(f'{{"q": {number}}}')))


def test_json_values_of_every_kind_become_texts(tmp_path: Path) -> None:
    """Booleans and numbers are their text, null is absent, and a nested value is its JSON."""
    properties = (
        r'{"q": "1", "yes": true, "no": false, "none": null, "n": 1.50, "o": {"a": [1.50, "x, y"]}, '
        r'"u": "\u00e9\n\"", "": "empty"}'
    )
    wanted = {"": "empty", "n": "1.50", "no": "false", "o": '{"a":[1.50,"x, y"]}', "u": 'é\n"', "yes": "true"}

    assert [wanted] == dimensions(written(tmp_path, "e.ndjson", one_object(properties)))


@pytest.mark.parametrize(
    ("properties", "fault"),
    [
        ('{"q": NaN}', ("NaN", "quantity-syntax")),
        ('{"q": Infinity}', ("Infinity", "quantity-syntax")),
        ('{"q": {"a": 1}}', ('{"a":1}', "quantity-syntax")),
        ('{"q": [1]}', ("[1]", "quantity-syntax")),
        ('{"q": true}', ("true", "quantity-syntax")),
        ('{"q": null}', (None, "source-missing")),
        ('{"q":"1","q":"2"}', ('{"q":"1","q":"2"}', "property-repeated")),
        ("[1]", ("[1]", "properties-invalid")),
        ('"q=1"', ("q=1", "properties-invalid")),
        ("null", (None, "source-missing")),
    ],
)
def test_properties_in_json_that_cannot_be_metered_are_rejected(
    properties: str, fault: tuple[str, str], tmp_path: Path
) -> None:
    """NaN, nested quantities, repeated names and properties that are no object are rejects with a reason, not
    errors."""
    assert [fault] == reasons(written(tmp_path, "e.ndjson", one_object(properties)))


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("""'{"q": 1, "q": 2}' AS properties""", ('{"q": 1, "q": 2}', "property-repeated")),
        ("""'{"q": 1' AS properties""", ('{"q": 1', "properties-invalid")),
        ("'' AS properties", ("", "properties-invalid")),
        ("NULL::VARCHAR AS properties", (None, "source-missing")),
        ("NULL::MAP(VARCHAR, VARCHAR) AS properties", (None, "source-missing")),
        ("NULL::STRUCT(q VARCHAR) AS properties", (None, "source-missing")),
        ("[{'key': 'q', 'value': '1'}, {'key': 'q', 'value': '2'}] AS properties", ("property-repeated",)),
        ("[{'key': 'q', 'value': '1'}, {'key': NULL, 'value': '2'}] AS properties", ("properties-invalid",)),
    ],
)
def test_properties_in_a_column_that_cannot_be_metered_are_rejected(sql: str, fault: tuple[str, ...]) -> None:
    """One bad value among many rows rejects its event, and does not end the run."""
    assert [fault] == [(text, reason)[-len(fault) :] for text, reason in reasons(one_table(sql))]


def test_entries_are_found_by_name_and_not_by_place() -> None:
    """A list of {value, key} means what a list of {key, value} means."""
    swapped = one_table("[{'value': '7', 'key': 'q'}, {'value': 'eu', 'key': 'region'}] AS properties")

    assert ([Decimal(7)], [{"region": "eu"}]) == (quantities(swapped), dimensions(swapped))


def test_names_that_differ_only_in_case_are_refused_where_sql_cannot_tell_them(tmp_path: Path) -> None:
    """`q` and `Q` are two properties in JSON and in a MAP; as columns or in a STRUCT they are refused, not renamed."""
    rows = pa.Table.from_pylist([{**one_row(), "q": "1", "Q": "5"}])
    text = "id,workspace_id,universe_id,type,subject,time,q,Q\ne1,w,u,t,c:1,2024-01-01T00:00:00Z,1,5\n"
    refused: dict[str, Any] = {
        "table": rows,
        "parquet": written(tmp_path, "e.parquet", rows),
        "csv": written(tmp_path, "e.csv", text),
        "struct": pa.Table.from_pylist([{**one_row(), "properties": {"q": "1", "Q": "5"}}]),
    }

    assert [{"Q": "5"}] == dimensions(written(tmp_path, "e.ndjson", one_object('{"q": "1", "Q": "5"}')))
    for source in refused.values():
        with pytest.raises((SchemaError, SourceError), match=r"Q.*expected names that differ"):
            dimensions(source)


# --- times -----------------------------------------------------------------------------------------------------------

INSTANT = datetime(2024, 7, 1, 0, 0, 0, 123_456, tzinfo=UTC)
TIMES = [
    ("TIMESTAMPTZ '2024-07-01 02:00:00.123456+02'", INSTANT, INSTANT),
    ("TIMESTAMP '2024-07-01 00:00:00.123456'", INSTANT, INSTANT - timedelta(hours=2)),
    ("TIMESTAMP_NS '2024-07-01 00:00:00.123456999'", INSTANT, INSTANT - timedelta(hours=2)),
    (
        "TIMESTAMP_MS '2024-07-01 00:00:00.123'",
        INSTANT.replace(microsecond=123_000),
        INSTANT.replace(microsecond=123_000) - timedelta(hours=2),
    ),
    ("DATE '2024-07-01'", INSTANT.replace(microsecond=0), INSTANT.replace(microsecond=0) - timedelta(hours=2)),
    ("'2024-07-01T00:00:00.123456Z'", INSTANT, INSTANT),
    ("'2024-07-01t05:45:00.123456999+05:45'", INSTANT, INSTANT),
    ("'2024-06-30 14:00:00.123456-10:00'", INSTANT, INSTANT),
    ("'2024-07-01 00:00:00.123456'", INSTANT, INSTANT - timedelta(hours=2)),
]


@pytest.mark.parametrize(("sql", "in_utc", "in_berlin"), TIMES)
def test_a_time_of_every_type_becomes_utc_microseconds(sql: str, in_utc: datetime, in_berlin: datetime) -> None:
    """Timestamps with and without a zone, of any unit, and RFC 3339 texts; a naive one is read in the zone that is
    said."""
    source = one_table(f"'1' AS q, {sql} AS at")
    found = []
    for zone in (None, "Europe/Berlin"):
        with meter(source, PLAIN, clock=CLOCK, map={"time": "at"}, assume_timezone=zone) as records:
            found.append([r["recorded_at"] for r in records.to_dicts()])

    assert [[in_utc], [in_berlin]] == found


def test_what_is_taken_for_granted_about_times_is_said_once() -> None:
    """Times without an offset and digits that were cut are counted in one sentence each."""
    texts = ["2024-07-01 00:00:00.1234567", "2024-07-01 00:00:00", "2024-07-01 00:00:00Z"]
    rows = [{**one_row(id=f"e{n}", time=text), "q": "1"} for n, text in enumerate(texts)]
    with meter(rows, PLAIN, clock=CLOCK) as records:
        told = (records.notices, records.accounting.times_naive, records.accounting.times_cut)
    with meter(rows, PLAIN, clock=CLOCK, assume_timezone="UTC") as records:
        told_less = records.notices

    assert (2, 1, 2, 1) == (len(told[0]), len(told_less), told[1], told[2])
    assert "2 times had no offset, taken as UTC. hint: --assume-timezone ZONE" == told[0][0]


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("'2024-02-30T00:00:00Z'", ("2024-02-30T00:00:00Z", "time-invalid")),
        ("'2024-01-01'", ("2024-01-01", "time-invalid")),
        ("'1704067200'", ("1704067200", "time-invalid")),
        ("'2024-01-01T00:00:00+1:00'", ("2024-01-01T00:00:00+1:00", "time-invalid")),
        ("''", ("", "time-missing")),
        ("NULL::VARCHAR", (None, "time-missing")),
        ("NULL::TIMESTAMP", (None, "time-missing")),
        ("'infinity'::TIMESTAMPTZ", ("infinity", "time-invalid")),
    ],
)
def test_a_time_that_is_none_rejects_its_event(sql: str, fault: tuple[str | None, str]) -> None:
    """A missing, impossible or infinite time is a reject that shows what was there."""
    assert [fault] == reasons(one_table(f"'1' AS q, {sql} AS at"), map={"time": "at"})


# --- files -----------------------------------------------------------------------------------------------------------


def test_hive_values_are_text_and_prune(tmp_path: Path) -> None:
    """A partition value such as "007" stays text, and the files of a workspace that is not asked for are not opened."""
    rows = pa.Table.from_pylist([{**one_row(), "q": "1"}]).drop_columns(["workspace_id", "universe_id"])
    for workspace in ("007", "7", "a b'c;--%/ü"):
        folder = tmp_path / f"workspace_id={workspace.replace('%', '%25').replace('/', '%2F')}" / "universe_id=true"
        written(folder, "part.parquet", rows)
    written(tmp_path, "workspace_id=broken/universe_id=true/part.parquet", b"PAR1 but not Parquet at all PAR1")
    (tmp_path / "workspace_id=broken").chmod(0o755)

    def keys(**options: Any) -> list[tuple[str, str]]:
        with meter(tmp_path, PLAIN, clock=CLOCK, **options) as records:
            return [(r["workspace_id"], r["universe_id"]) for r in records.to_dicts()]

    with pytest.raises(SourceError, match="broken"):
        keys()
    (tmp_path / "workspace_id=broken" / "universe_id=true" / "part.parquet").unlink()
    assert [("007", "true"), ("7", "true"), ("a b'c;--%/ü", "true")] == keys()
    assert [("007", "true")] == keys(workspace="007")
    assert [] == keys(workspace="007", universe="True")


def test_hive_partitions_are_pruned_before_they_are_read(tmp_path: Path) -> None:
    """With --workspace one file of three is read: what is in the others cannot even fail."""
    rows = pa.Table.from_pylist([{**one_row(), "q": "1"}]).drop_columns(["workspace_id"])
    for workspace in ("a", "b", "c"):
        written(tmp_path / f"workspace_id={workspace}", "part.parquet", rows)
    for workspace in ("a", "c"):
        (tmp_path / f"workspace_id={workspace}" / "part.parquet").write_bytes(b"PAR1 but nothing else")
    with meter(tmp_path, PLAIN, clock=CLOCK, workspace="b") as records:
        assert ["b"] == records.to_arrow()["workspace_id"].to_pylist()
        assert 1 == records.accounting.read
    with pytest.raises(SourceError), meter(tmp_path, PLAIN, clock=CLOCK) as records:
        records.to_arrow()


def test_property_keys_in_hive_paths_are_properties(tmp_path: Path) -> None:
    """A partition column that is no field is a property like any other column."""
    rows = pa.Table.from_pylist([{**one_row(), "q": "1"}])
    written(tmp_path / "region=eu-1", "part.parquet", rows)

    assert [{"region": "eu-1"}] == dimensions(tmp_path)


def test_parquet_files_may_differ_in_their_columns(tmp_path: Path) -> None:
    """Columns come in any order and may be missing in some files; the union is read."""
    written(tmp_path, "a.parquet", pa.Table.from_pylist([{**one_row(id="e1"), "q": "1"}]))
    written(tmp_path, "b.parquet", pa.Table.from_pylist([{"region": "eu", "q": "2", **one_row(id="e2")}]))
    written(tmp_path, "c.parquet", pa.Table.from_pylist([{**one_row(id="e3"), "q": "3", "metered_at": INSTANT}]))

    assert ([Decimal(n) for n in (1, 2, 3)], [{}, {"region": "eu"}, {}]) == (quantities(tmp_path), dimensions(tmp_path))


def column(values: list[Any], kind: pa.DataType) -> pa.Table:
    """One event whose quantity has a type."""
    return pa.Table.from_pylist([one_row(id=str(kind))]).append_column("q", pa.array(values, kind))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (column([9007199254740993], pa.int64()), column([7.5], pa.float64())),
        (
            column([Decimal("12345678901234567890.123456789012345678")], pa.decimal128(38, 18)),
            column([0.1], pa.float64()),
        ),
        (column([Decimal("12345678901234567890.123456789012345678")], pa.decimal128(38, 18)), column([7], pa.int64())),
        (column([Decimal("0.10")], pa.decimal128(30, 2)), column([Decimal("0.1234567890")], pa.decimal128(20, 10))),
        (
            column([Decimal("9999999999999999999.5")], pa.decimal128(20, 1)),
            column([Decimal("0.1234567890123456")], pa.decimal128(16, 16)),
        ),
        (column(["0.1"], pa.string()), column([7], pa.int64())),
    ],
    ids=[
        "BIGINT and DOUBLE",
        "DECIMAL and DOUBLE",
        "DECIMAL and BIGINT",
        "two DECIMALs",
        "two far DECIMALs",
        "text and BIGINT",
    ],
)
def test_files_whose_types_differ_lose_no_digit(one: pa.Table, other: pa.Table, tmp_path: Path) -> None:
    """Where one file has a quantity as integers and another as doubles, each is exact, or the input is refused."""
    written(tmp_path, "a.parquet", one)
    written(tmp_path, "b.parquet", other)
    wanted = sorted(quantities(one) + quantities(other))

    try:
        found = sorted(quantities(tmp_path))
    except SchemaError:
        found = wanted

    assert wanted == found


def test_files_whose_times_differ_in_type_are_refused_by_name(tmp_path: Path) -> None:
    """Times as text, TIMESTAMP and TIMESTAMPTZ have no common type that keeps each moment; the column is named."""
    moment = datetime(2024, 7, 1, 12, tzinfo=UTC)
    for name, time in (("a", moment), ("b", moment.replace(tzinfo=None)), ("c", "2024-07-01T12:00:00Z")):
        written(tmp_path, f"{name}.parquet", pa.Table.from_pylist([{**one_row(id=name, time=time), "q": "1"}]))

    for pair in ("ab", "ac", "bc"):
        with pytest.raises(SchemaError, match=r"column time: found .* and .*; expected one type in all files"):
            meter([tmp_path / f"{name}.parquet" for name in pair], PLAIN, clock=CLOCK)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([0.1], pa.float32()), pa.array([0.1], pa.float64())),
        (pa.array([True]), pa.array([Decimal("1.50")])),
        (pa.array([True]), pa.array([7])),
        (pa.array([1]), pa.array([0.5])),
    ],
)
def test_files_whose_numbers_would_become_others_are_refused_by_name(
    one: pa.Array, other: pa.Array, tmp_path: Path
) -> None:
    """A FLOAT has other digits as a DOUBLE, and TRUE is no quantity, not one."""
    for name, values in (("a", one), ("b", other)):
        plain = pa.Table.from_pylist([one_row(id=name)])
        written(tmp_path, f"{name}.parquet", plain.append_column("q", values))

    with pytest.raises(SchemaError, match=r"column q: found .* and .*; expected one type in all files"):
        meter(tmp_path, PLAIN, clock=CLOCK)


def test_files_that_spell_a_property_with_other_capitals_are_refused_by_name(tmp_path: Path) -> None:
    """Q is not q: what SQL would count as one, no config means as one. A file that has both says nothing of others."""
    for name, spelled in (("a", "q"), ("b", "Q")):
        written(tmp_path, f"{name}.parquet", pa.Table.from_pylist([{**one_row(id=name), spelled: "1"}]))

    with pytest.raises(SchemaError, match=r"column 'Q'|column Q: found 'Q' and 'q'; expected one spelling"):
        meter(tmp_path, PLAIN, clock=CLOCK)

    both = pa.struct([("q", pa.string()), ("ID", pa.string())])
    for name, properties in (("a", {"q": "1", "ID": "x"}), ("b", {"q": "2"})):
        rows = pa.Table.from_pylist([one_row(id=name)])
        written(tmp_path / "nested", f"{name}.parquet", rows.append_column("properties", pa.array([properties], both)))
    assert [Decimal(1), Decimal(2)] == quantities(tmp_path / "nested")


def test_files_with_plain_properties_beside_those_with_one_column_are_refused_by_name(tmp_path: Path) -> None:
    """Of the first no property would be seen; a file that has none at all is as good as any."""
    bag = pa.array([{"q": "1"}], pa.struct([("q", pa.string())]))
    written(tmp_path, "a.parquet", pa.Table.from_pylist([one_row(id="a")]).append_column("properties", bag))
    written(tmp_path, "b.parquet", pa.Table.from_pylist([one_row(id="b")]))
    assert [Decimal(1)] == quantities(tmp_path)

    plain = written(tmp_path, "c.parquet", pa.Table.from_pylist([{**one_row(id="c"), "q": "2"}]))
    found = "found no such column, and q beside its fields; expected one, as in "
    with pytest.raises(SchemaError, match=f"^{plain}: column properties: {found}{tmp_path}/a.parquet. hint: "):
        meter(tmp_path, PLAIN, clock=CLOCK)


def test_folders_that_no_reader_would_agree_on_are_refused(tmp_path: Path) -> None:
    """A second = in a folder, of which DuckDB makes no partition."""
    row = pa.Table.from_pylist([{**one_row(), "q": "1"}])
    with pytest.raises(SourceError, match=r"found the folder region=x=y; expected one = in it"):
        meter(written(tmp_path / "region=x=y", "a.parquet", row), PLAIN, clock=CLOCK)
    assert [Decimal(1)] == quantities(written(tmp_path / "base64==", "a.parquet", row))


def test_names_that_something_of_ours_has_are_refused(tmp_path: Path) -> None:
    """A column that is called like one that is added, and a partition that would be a pattern."""
    row = pa.Table.from_pylist([{**one_row(), "q": "1", "metering_duck_file": "x"}])
    with pytest.raises(SchemaError, match="column metering_duck_file: found a name of ours; expected none that begins"):
        meter(written(tmp_path, "a.parquet", row), PLAIN, clock=CLOCK)
    plain = row.drop_columns(["metering_duck_file"])
    with pytest.raises(SourceError, match=r"found the folder tenant=b\?; expected no \*, \? or \[ in a partition"):
        meter(written(tmp_path / "tenant=b?", "a.parquet", plain), PLAIN, clock=CLOCK)


def test_trees_that_hide_rows_are_refused(tmp_path: Path) -> None:
    """A file beside the partitions, and a partition that is named twice on the way to a file."""
    row = pa.Table.from_pylist([{**one_row(), "q": "1"}])
    written(tmp_path / "half", "a.parquet", row)
    written(tmp_path / "half" / "workspace_id=b", "b.parquet", row.drop_columns(["workspace_id"]))
    with pytest.raises(SourceError, match=r"found the partitions .* and .*; expected the same in every path"):
        meter(tmp_path / "half", PLAIN, clock=CLOCK)
    deep = written(tmp_path / "date=1" / "x" / "date=2", "a.parquet", row)
    with pytest.raises(SourceError, match=r"found a partition twice in its path; expected it once"):
        meter(deep, PLAIN, clock=CLOCK)


def test_a_name_is_no_pattern(tmp_path: Path) -> None:
    """Brackets and stars in a file's name stand for themselves, also beside the files that they would match."""
    for number, name in enumerate(("a1", "a[1]", "b*", "b", "[c]?"), start=1):
        row = pa.Table.from_pylist([{**one_row(id=f"e{number}"), "q": str(number)}])
        written(tmp_path / "odd", f"{name}.parquet", row)
    assert [Decimal(number) for number in range(1, 6)] == sorted(quantities(tmp_path / "odd"))
    assert [Decimal(2)] == quantities(tmp_path / "odd" / "a[1].parquet")


def test_a_duckdb_file_is_named_as_one(tmp_path: Path) -> None:
    """Whoever forgets duckdb:// is told of it."""
    duckdb.connect(str(tmp_path / "usage.duckdb")).close()
    with pytest.raises(SourceError, match=r"found a DuckDB database; .* hint: duckdb://.*usage.duckdb\?table=events"):
        meter(tmp_path / "usage.duckdb", PLAIN, clock=CLOCK)


def test_a_table_without_columns_is_refused() -> None:
    """There is nothing to look for events in."""
    with pytest.raises(SourceError, match="found no column; expected those of events"):
        meter(pa.table({}), PLAIN, clock=CLOCK)


PROPERTIES: dict[str, tuple[pa.DataType, Any]] = {
    "a MAP of texts": (pa.map_(pa.string(), pa.string()), {"q": "2"}),
    "a MAP of integers": (pa.map_(pa.string(), pa.int64()), {"q": 2}),
    "a STRUCT of texts": (pa.struct([("q", pa.string())]), {"q": "2"}),
    "a STRUCT of integers and a new property": (
        pa.struct([("q", pa.int64()), ("region", pa.string())]),
        {"q": 2, "region": "eu"},
    ),
    "a STRUCT of doubles": (pa.struct([("q", pa.float64())]), {"q": 1.5}),
    "JSON": (pa.string(), '{"q": 2}'),
}


@pytest.mark.parametrize(("first", "then"), list(itertools.permutations(PROPERTIES, 2)))
def test_files_whose_properties_differ_in_kind_lose_nothing(first: str, then: str, tmp_path: Path) -> None:
    """A MAP, then a STRUCT, then JSON; integers, then texts; a new property: each exact, or refused by name."""
    for name, kind in (("a", first), ("b", then)):
        wanted, properties = PROPERTIES[kind]
        row = {**one_row(id=name), "properties": properties}
        schema = pa.schema([*((k, pa.infer_type([v])) for k, v in one_row().items()), ("properties", wanted)])
        written(tmp_path, f"{name}.parquet", pa.Table.from_pylist([row], schema=schema))

    expected = [Decimal("1.5" if "double" in kind else "2") for kind in (first, then)]
    refusal = ""
    try:
        found = quantities(tmp_path)
    except SchemaError as error:
        found, refusal = expected, str(error)

    assert expected == found
    assert re.search(r"^$|column (properties|q|value): found .* and .*; expected one type in all files", refusal)


def test_files_may_spell_a_field_in_two_ways(tmp_path: Path) -> None:
    """A folder with workspace_id in one file and workspaceID in another is read as one."""
    written(tmp_path, "a.parquet", pa.Table.from_pylist([{**one_row(id="e1"), "q": "1"}]))
    spelled = {CAMEL.get(k, k): v for k, v in {**one_row(id="e2"), "q": "2"}.items()}
    written(tmp_path, "b.parquet", pa.Table.from_pylist([spelled]))

    assert [Decimal(1), Decimal(2)] == quantities(tmp_path)


EMPTY: dict[str, Callable[[Path], Any]] = {
    "parquet": lambda folder: written(folder, "e.parquet", table().slice(0, 0)),
    "ndjson": lambda folder: written(folder, "e.ndjson", ""),
    "ndjson of blanks": lambda folder: written(folder, "e.ndjson", "\n \n"),
    "ndjson gz": lambda folder: written(folder, "e.ndjson.gz", ""),
    "json": lambda folder: written(folder, "e.json", ""),
    "json array": lambda folder: written(folder, "e.json", "[]"),
    "json array with blanks": lambda folder: written(folder, "e.json", " [ ]\n"),
    "csv": lambda folder: written(folder, "e.csv", csv_text().split(b"\n", 1)[0] + b"\n"),
    "arrow": lambda folder: written(folder, "e.arrow", table().slice(0, 0)),
    "list": lambda _: [],
    "generator": lambda _: iter(()),
    "Table": lambda _: table().slice(0, 0),
    "Table without chunks": lambda _: EVENT_SCHEMA.empty_table(),
    "RecordBatchReader": lambda _: pa.RecordBatchReader.from_batches(EVENT_SCHEMA, []),
    "Polars DataFrame": lambda _: polars.from_arrow(flat_table().slice(0, 0)),
    "Polars LazyFrame": lambda _: polars.from_arrow(flat_table().slice(0, 0)).lazy(),  # type: ignore[union-attr]
    "pandas": lambda _: flat_table().slice(0, 0).to_pandas(),
    "DuckDB relation": lambda _: relation(table().slice(0, 0)),
    "an empty file among others": lambda folder: [
        written(folder, "a.ndjson", ""),
        written(folder, "b.ndjson", "\n"),
    ],
}


@pytest.mark.parametrize("kind", EMPTY)
def test_an_input_without_events_gives_no_rows_and_no_error(kind: str, tmp_path: Path) -> None:
    """Nothing in, nothing out, and the books balance."""
    with aggregate(EMPTY[kind](tmp_path), CONFIG, start=START, end=END, clock=CLOCK) as readings:
        assert ([], 0, True) == (readings.to_dicts(), readings.accounting.read, readings.accounting.balances)


FILE_NAMES = [
    "it's.{}", 'a"b.{}', "a;b--c.{}", "new\nline.{}", "tab\there.{}", "ü€😀.{}", "[br]*?.{}", "{{a,b}}.{}", "a=b.{}",
    "$x.{}", "%20.{}", " blank .{}", "a\\b.{}", "-.{}", "' OR 1=1; DROP TABLE x; --.{}", "~.{}",
]  # fmt: skip


@pytest.mark.parametrize("suffix", ["ndjson", "parquet", "csv", "arrow"])
def test_any_file_name_is_a_name(suffix: str, tmp_path: Path) -> None:
    """Quotes, semicolons, comments, newlines, brackets and any plane of Unicode in a name are only a name."""
    paths = [tmp_path / name.format(suffix) for name in FILE_NAMES]
    for number, path in enumerate(paths):
        row = {**one_row(id=f"e{number}", time="2024-01-01T00:00:00Z"), "q": "bad"}
        texts = {"ndjson": json.dumps(row), "csv": f"{','.join(row)}\n{','.join(row.values())}\n"}
        os.rename(written(tmp_path, f"plain.{suffix}", texts.get(suffix, pa.Table.from_pylist([row]))), path)
    with meter(paths, PLAIN, clock=CLOCK) as records:
        found = records.accounting.read, {r["file"] for r in records.rejects.to_pylist()}

    assert (len(paths), {str(path) for path in paths} if suffix != "arrow" else {None}) == found


@pytest.mark.parametrize("name", FILE_NAMES)
def test_any_file_name_can_be_given_alone(name: str, tmp_path: Path) -> None:
    """A name that looks like a glob, an option or SQL is first of all the file of that name."""
    path = tmp_path / name.format("ndjson")
    os.rename(written(tmp_path, "plain.ndjson", one_object('{"q": "1"}')), path)
    written(tmp_path, "b.ndjson", one_object('{"q": "2"}'))

    assert [Decimal(1)] == quantities(str(path))


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    """Folders are searched by their name too, brackets and quotes included."""
    folder = tmp_path / "it's [a] 'folder'; --"
    written(folder, "e.ndjson", json_lines())

    assert (8, 8) == tuple(
        aggregate(str(given), CONFIG, start=START, end=END).accounting.read for given in (folder, folder / "e.ndjson")
    )


@pytest.mark.parametrize(
    "line", ["{bad", "[1]", "5", "null", '"text"', "hello", '{"id": "a"} {"id": "b"}', '{"id": "\x01"}']
)
def test_a_line_that_is_no_object_is_a_reject(line: str, tmp_path: Path) -> None:
    """One bad line in NDJSON, first or between others, rejects itself alone, with its text."""
    good = json_lines()
    for content in (line + "\n" + good, good.replace("\n", f"\n{line}\n", 1)):
        with meter(written(tmp_path, "e.ndjson", content), CONFIG, clock=CLOCK) as records:
            bad = [r["text"] for r in records.rejects.to_pylist() if r["reason"] == "json-invalid"]
            assert ([line], 9) == (bad, records.accounting.read)


def test_a_name_twice_in_an_event_is_a_reject(tmp_path: Path) -> None:
    """Two ids in one object are not one id: which was meant cannot be known."""
    line = one_object('{"q": "1"}').rstrip()[:-1] + ', "id": "other"}'

    assert [(line, "property-repeated")] == reasons(written(tmp_path, "e.ndjson", line))


@pytest.mark.parametrize("cut", ["[{}", "[{},", '[{},{{"id"', "[{} {}", "[{}] x"])
def test_a_json_array_that_is_cut_off_is_an_error(cut: str, tmp_path: Path) -> None:
    """A file that ends in the middle is refused: the events that are missing would be missing in the bill."""
    one = one_object('{"q": "1"}').strip()
    path = written(tmp_path, "e.json", cut.format(one, one))

    with pytest.raises(SourceError):
        quantities(path)


def test_members_of_an_array_that_are_no_objects_are_rejects(tmp_path: Path) -> None:
    """A number or a text between the objects of an array is rejected like a line of NDJSON."""
    one = one_object('{"q": "1"}').strip()
    path = written(tmp_path, "e.json", f'[{one}, 5, null, "x", [1]]')

    assert ([Decimal(1)], {"json-invalid"}, 4) == (quantities(path), {r for _, r in reasons(path)}, len(reasons(path)))


def test_a_csv_may_quote_whatever_it_likes(tmp_path: Path) -> None:
    """Quotes, delimiters and line ends inside quotes are text; CRLF, blank lines and a BOM are not."""
    head = "id,workspace_id,universe_id,type,subject,time,q,note\r\n"
    row = 'e1,w,u,t,c:1,2024-01-01T00:00:00Z,"1","a ""b"", c\r\nd"\r\n\r\n'
    path = written(tmp_path, "e.csv", "\ufeff" + head + row)

    assert ([Decimal(1)], [{"note": 'a "b", c\r\nd'}]) == (quantities(path), dimensions(path))


def test_a_csv_says_nothing_and_empty_apart(tmp_path: Path) -> None:
    """An empty field is absent, a quoted empty one is empty text, and NULL or NA are words."""
    head = "id,workspace_id,universe_id,type,subject,time,q\n"
    values = ["", '""', "NULL", "NA", "nan"]
    rows = "".join(f"e{n},w,u,t,c:1,2024-01-01T00:00:00Z,{value}\n" for n, value in enumerate(values))
    wanted = [(None, "source-missing"), *((text, "quantity-syntax") for text in ("", "NULL", "NA", "nan"))]

    assert wanted == reasons(written(tmp_path, "e.csv", head + rows))


@pytest.mark.parametrize("row", ["e2,w,u,t\n", "e2,w,u,t,c:1,2024-01-01T00:00:00Z,1,extra\n"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_csv_row_of_another_length_is_an_error(row: str, place: int, tmp_path: Path) -> None:
    """A row with too few or too many fields is never guessed at, wherever it stands: the error names the file and
    line."""
    lines = [
        "id,workspace_id,universe_id,type,subject,time,q\n",
        *(f"e{n},w,u,t,c:1,2024-01-01T00:00:00Z,1\n" for n in (1, 3)),
    ]
    lines.insert(place + 1, row)
    path = written(tmp_path, "e.csv", "".join(lines))

    with pytest.raises(SourceError, match=rf"e\.csv.*line {place + 2}"):
        quantities(path)


def test_csv_files_of_two_delimiters_are_read_or_refused(tmp_path: Path) -> None:
    """A comma file beside a semicolon file: each is read as it is, or the input is refused; no row is taken apart
    wrongly."""
    head, row = "id,workspace_id,universe_id,type,subject,time,q\n", "e{},w,u,t,c:1,2024-01-01T00:00:00Z,{}\n"
    written(tmp_path, "a.csv", head + row.format(1, 1))
    written(tmp_path, "b.csv", (head + row.format(2, 2)).replace(",", ";"))

    try:
        found = reasons(tmp_path)
    except (SchemaError, SourceError):
        found = []

    assert [] == found


def test_csv_files_may_have_their_columns_in_any_order(tmp_path: Path) -> None:
    """Two CSV files are joined by their column names."""
    one = "id,workspace_id,universe_id,type,subject,time,q\ne1,w,u,t,c:1,2024-01-01T00:00:00Z,1\n"
    other = "q,time,subject,type,universe_id,workspace_id,id,region\n3,2024-01-01T00:00:00Z,c:1,t,u,w,e2,eu\n"
    paths = [written(tmp_path, "a.csv", one), written(tmp_path, "b.csv", other)]

    assert ([Decimal(1), Decimal(3)], [{}, {"region": "eu"}]) == (quantities(paths), dimensions(paths))


# --- objects and streams ---------------------------------------------------------------------------------------------


def test_a_stream_that_was_read_before_is_an_error() -> None:
    """A consumed RecordBatchReader has no rows left: that is said, and is not an empty bill."""
    reader = table().to_reader()
    quantities(reader)

    with pytest.raises(SourceError, match="consumed"):
        quantities(reader)


def test_a_stream_is_enough_for_every_question() -> None:
    """A stream can be read once, and still gives records, rejects and conflicts."""
    with meter(table().to_reader(), CONFIG, clock=CLOCK) as records:
        assert (6, 2, 1) == (len(records.to_dicts()), records.rejects.num_rows, records.conflicts.num_rows)


@pytest.mark.parametrize("bundled", [False, True])
def test_a_result_is_a_source(bundled: bool) -> None:
    """What meter gives can be handed to aggregate as it is, flat or bundled, and gives the readings of the events."""
    with aggregate(EVENTS, CONFIG, start=START, end=END, clock=CLOCK) as direct:
        wanted = direct.to_dicts()
    with (
        meter(EVENTS, CONFIG, clock=CLOCK, bundled=bundled) as records,
        aggregate(records=records, start=START, end=END, clock=CLOCK) as readings,
    ):
        found = readings.to_dicts()

    assert [(r["subject"], r["unit"], r["quantity"]) for r in wanted] == [
        (r["subject"], r["unit"], r["quantity"]) for r in found
    ]


@pytest.mark.parametrize("bundled", [False, True])
@pytest.mark.parametrize("suffix", ["json", "ndjson", "csv", "parquet", "arrow"])
def test_records_that_meter_wrote_are_read_in_every_format(suffix: str, bundled: bool, tmp_path: Path) -> None:
    """Records written to a file, flat or bundled, in any format, aggregate to what their events aggregate to."""
    with aggregate(EVENTS, CONFIG, start=START, end=END, clock=CLOCK) as direct:
        wanted = direct.to_dicts()
    with meter(EVENTS, CONFIG, clock=CLOCK, bundled=bundled) as records:
        path = records.write(tmp_path / f"records.{suffix}")
    if bundled and suffix == "csv":
        with pytest.raises(SchemaError, match="column observations: found VARCHAR; expected a LIST"):
            aggregate(records=path, start=START, end=END, clock=CLOCK)
        return
    with aggregate(records=path, start=START, end=END, clock=CLOCK) as readings:
        found = readings.to_dicts()

    assert [(r["subject"], r["unit"], r["quantity"]) for r in wanted] == [
        (r["subject"], r["unit"], r["quantity"]) for r in found
    ]


def test_no_records_give_no_readings() -> None:
    """An empty list of records has no readings, whether an aggregation is chosen or not."""
    found = [aggregate(records=[], aggregation=name, start=START, end=END).to_dicts() for name in ("sum", None)]

    assert [[], []] == found


PYTHON_VALUES: list[tuple[Any, str]] = [
    (Decimal("12345678901234567890.123456789012345678"), "12345678901234567890.123456789012345678"),
    (10**19, "10000000000000000000"),
    (True, "true"),
    (0.1, "0.1"),
    ("text", "text"),
    (date(2024, 2, 29), "2024-02-29"),
    (datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2024-01-01T00:00:00+02:00"),
]


@pytest.mark.parametrize(("value", "text"), PYTHON_VALUES, ids=lambda value: str(value)[:20])
def test_python_values_are_taken_as_their_text(value: object, text: str) -> None:
    """Decimals, integers, booleans, floats and dates in a dict are their text; None is absent."""
    row = {**one_row(), "properties": {"q": 1, "other": value, "none": None}}

    assert [{"other": text}] == dimensions([row])


def test_a_float_that_is_no_number_is_a_reject() -> None:
    """NaN in a dict or a Decimal is not a quantity."""
    rows = [
        {**one_row(id=str(n)), "properties": {"q": q}}
        for n, q in enumerate((float("nan"), float("inf"), Decimal("NaN")))
    ]

    assert [("NaN", "quantity-syntax"), ("Infinity", "quantity-syntax"), ("NaN", "quantity-syntax")] == reasons(rows)


def test_a_pandas_column_of_mixed_objects_is_texts_or_an_error_of_ours() -> None:
    """An object column with a number and a text never ends in another library's traceback."""
    frame = pandas.DataFrame([{**one_row(id="e1"), "q": 1}, {**one_row(id="e2"), "q": "2"}])

    try:
        found = quantities(frame)
    except (SchemaError, SourceError):
        found = [Decimal(1), Decimal(2)]

    assert [Decimal(1), Decimal(2)] == found


def batches() -> Iterator[pa.RecordBatch]:
    """A stream that fails after its first batch."""
    yield from table().to_batches(max_chunksize=3)[:1]
    raise OSError("the disk is gone")


def test_a_stream_that_breaks_is_an_error() -> None:
    """What a source raises while it is read ends the run: half of the events are not a bill."""
    with pytest.raises(SourceError, match="the disk is gone"):
        quantities(pa.RecordBatchReader.from_batches(EVENT_SCHEMA, batches()))
