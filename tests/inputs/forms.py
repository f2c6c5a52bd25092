"""Eight events in every form that an input may have, one event of any column, and what becomes of it."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyarrow import csv, parquet

from metering_duck import EventPayload, aggregate, load_config, meter
from tests import worlds
from tests.worlds import CLOCK, Event, row

START, END = "2024-01-01", "2024-02-01"
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


def event(number: int, subject: str, day: int, **properties: str) -> Event:
    """One event in the spelling of columns, with Python's own types."""
    time = datetime(2024, 1, day, 6, 30, 0, 250_000, tzinfo=UTC)
    whose = {"workspace": "acme", "universe": "production", "type": "use", "subject": subject}
    return row(f"e{number}", time, properties, **whose, metered_at=time + timedelta(minutes=number))


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
    return worlds.table(EVENTS if events is None else events)


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
    """An event as its JSON object, in either spelling."""
    spelled = worlds.as_json(given)
    return spelled if camel else dict(zip(given, spelled.values(), strict=True))


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


def one_row(**fields: Any) -> Event:
    """The fields of one event, without properties."""
    return {**row("e1", datetime(2024, 1, 1, tzinfo=UTC)), **fields}


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


INSTANT = datetime(2024, 7, 1, 0, 0, 0, 123_456, tzinfo=UTC)
