"""Every kind of input gives the same records and readings, byte for byte, or none where it has no events."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import polars
import pyarrow as pa
import pytest
from pyarrow import dataset

from metering_duck import aggregate
from metering_duck.contract.schemas import EVENT_SCHEMA
from tests import resident
from tests.inputs.forms import (
    ACCOUNTING,
    ARRAY,
    CLOCK,
    CONFIG,
    END,
    EVENTS,
    NAMES,
    READINGS,
    RECORDS,
    REJECTS,
    START,
    Capsule,
    answers,
    csv_text,
    entries_table,
    flat_table,
    folder_of_parts,
    hive_tree,
    json_event,
    json_lines,
    json_table,
    payloads,
    relation,
    struct_table,
    table,
    written,
)
from tests.worlds import SPELLED

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
    "Table camelCase": lambda _: table().rename_columns([SPELLED.get(n, n) for n in table().column_names]),
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


@pytest.mark.slow
def test_what_is_expected_is_right(expected: tuple[bytes, bytes, dict[str, int], list[tuple[str, str, str]]]) -> None:
    """The answer that all others are compared with is the one worked out by hand."""
    records, readings, counts, rejects = expected
    lines = [json.loads(line) for line in readings.splitlines()]
    shown = [(r["subject"], r["measurement"]["unit"], r["aggregation"], r["measurement"]["quantity"]) for r in lines]
    first = records.decode().splitlines(keepends=True)[0]

    assert (ACCOUNTING, REJECTS, 6) == (counts, rejects, records.count(b"\n"))
    assert [(s, u, a, q.rstrip("0").rstrip(".") if "." in q else q) for s, u, a, q in READINGS] == shown
    assert RECORDS % json.loads(first)["id"] == first


@pytest.mark.sampled(12)
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


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", STDIN)
def test_standard_input_gives_the_same_bytes(
    kind: str, tmp_path: Path, expected: tuple[bytes, bytes, dict[str, int], list[tuple[str, str, str]]]
) -> None:
    """`-` takes every format, compressed or not, and finds out which from the bytes."""
    config = tmp_path / "config.json"
    config.write_text(CONFIG.model_dump_json(by_alias=True, exclude_none=True), encoding="utf-8")
    command = [str(resident.folder() / "metering-duck"), "aggregate", "-", "--config", str(config), "--clock", CLOCK]
    with open(STDIN[kind](tmp_path), "rb") as source:
        done = subprocess.run([*command, "--start", START, "--end", END, "-q"], stdin=source, capture_output=True)

    assert (0, b"", expected[1]) == (done.returncode, done.stderr, done.stdout)


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


@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", EMPTY)
def test_an_input_without_events_gives_no_rows_and_no_error(kind: str, tmp_path: Path) -> None:
    """Nothing in, nothing out, and the books balance."""
    with aggregate(EMPTY[kind](tmp_path), CONFIG, start=START, end=END, clock=CLOCK) as readings:
        assert ([], 0, True) == (readings.to_dicts(), readings.accounting.read, readings.accounting.balances)
