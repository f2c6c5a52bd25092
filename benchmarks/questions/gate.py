"""What it costs to prove files whole: two counters by subject and day, with the gate and without it, over each format.

The files are the same events as NDJSON, compressed with gzip and with zstd, as CSV, and as Parquet whose pages have
checksums. Without the gate means that no file is told to it; metering-duck itself has no such switch.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from benchmarks.contestants import TWO_COUNTERS, metered, standard
from benchmarks.question import Contestant, Dataset, Question, Target
from metering_duck.files.gate import Gate
from metering_duck.files.proofs import Claim
from metering_duck.statements.quote import literal

FORMATS = {"NDJSON.gz": "ndjson.gz", "NDJSON.zst": "ndjson.zst", "CSV": "csv", "Parquet": "parquet"}
TIME = "'%Y-%m-%dT%H:%M:%S.%fZ'"


def folder(dataset: Dataset) -> Path:
    """Where the files are, beside the data set."""
    return dataset.path.parent / f"{dataset.path.name}-gate"


def prepare(dataset: Dataset) -> None:
    """The same events in each format, made anew."""
    import duckdb

    shutil.rmtree(folder(dataset), ignore_errors=True)
    folder(dataset).mkdir()
    files = literal(dataset.files)
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
        texts = [f"strftime({name}, {TIME}) AS {name}" for name in ("time", "metered_at")]
        rows = f"SELECT * REPLACE ({', '.join(texts)}) FROM read_parquet({files})"
        for suffix, codec in (("ndjson.gz", "gzip"), ("ndjson.zst", "zstd")):
            connection.execute(f"COPY ({rows}) TO '{folder(dataset)}/a.{suffix}' (FORMAT json, COMPRESSION {codec})")
        flat = f"SELECT * REPLACE (CAST(to_json(properties) AS VARCHAR) AS properties) FROM ({rows})"
        connection.execute(f"COPY ({flat}) TO '{folder(dataset)}/a.csv' (HEADER)")
        with parquet.ParquetWriter(
            folder(dataset) / "a.parquet",
            connection.sql(f"FROM read_parquet({files}) LIMIT 0").to_arrow_table().schema,
            write_page_checksum=True,
        ) as writer:
            for batch in connection.sql(f"FROM read_parquet({files})").to_arrow_reader(1 << 17):
                writer.write_batch(batch)


def answer(dataset: Dataset, suffix: str, *, is_proven: bool) -> pa.Table:
    """The readings of the files of a format."""
    if not is_proven:
        # Each contestant has a process of its own.
        Gate.add = nothing_to_prove  # type: ignore[assignment, method-assign]
    return metered(dataset, TWO_COUNTERS, every="day", events=f"{folder(dataset)}/a.{suffix}")


def nothing_to_prove(_gate: Gate, _claims: Iterable[Claim]) -> None:
    """What a gate does that is told of no file."""


def contestants(_events: int) -> list[Contestant]:
    """All of them give the same answer."""
    found = []
    for name, suffix in FORMATS.items():
        found.append(Contestant(f"metering-duck, {name}", partial(answer, suffix=suffix, is_proven=True)))
        found.append(
            Contestant(f"metering-duck, {name} without the gate", partial(answer, suffix=suffix, is_proven=False))
        )
    return found


QUESTION = Question(
    name="gate",
    title="Two counters by subject and day, with each file proven whole",
    why="What it costs that a file which is cut or harmed is an error.",
    shape=standard,
    contestants=contestants,
    targets=tuple(
        Target(f"metering-duck, {name}", (f"metering-duck, {name} without the gate",), 1.05) for name in FORMATS
    ),
    notes="Files are proven by threads beside DuckDB: that compressed files end, their checksums, those of Parquet "
    "pages, and the number of rows.",
    options={"prepare": prepare, "takes_long": True},
)
