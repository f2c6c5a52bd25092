"""Parts: what tasks take and give: a kind, a bucket, and a payload of rows as an Arrow stream, or of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import pyarrow as pa

from metering_duck.engine.arrow_rows import insert
from metering_duck.engine.duckdb import Engine
from metering_duck.statements.stages import Query

PARTS_SCHEMA = pa.schema([("kind", pa.string()), ("bucket", pa.int32()), ("payload", pa.binary())])
# The column that says which bucket a row belongs in.
BUCKET = "metering_duck_bucket"
PART_ROWS = 32_768
Part = tuple[str, int, bytes]


def take_parts(
    engine: Engine, tables: Mapping[str, str], batches: Iterator[pa.RecordBatch], without: str = ""
) -> Iterator[Part]:
    """Insert parts into the tables of their kinds; parts of other kinds are given back, but not of kind `without`."""
    for kind, bucket, payload in parts_in(batches):
        if kind == without:
            continue
        if kind not in tables:
            yield kind, bucket, payload
        elif engine.has(tables[kind]):
            insert(engine, tables[kind], rows_of(payload))
        else:
            engine.keep(tables[kind], rows_of(payload))


def rows_of(payload: bytes) -> pa.Table:
    """The rows of a part."""
    return pa.ipc.open_stream(payload).read_all()


def parts_in(batches: Iterator[pa.RecordBatch]) -> Iterator[Part]:
    """The parts of batches, one by one."""
    for batch in batches:
        for n in range(batch.num_rows):
            yield batch.column(0)[n].as_py(), batch.column(1)[n].as_py(), batch.column(2)[n].as_py()


def batch_of(part: Part) -> pa.RecordBatch:
    """A batch of one part."""
    return pa.RecordBatch.from_arrays([pa.array([value]) for value in part], schema=PARTS_SCHEMA)


def payload_of(rows: pa.Table | pa.RecordBatch) -> bytes:
    """Rows as the payload of a part."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write(rows)
    return bytes(sink.getvalue())


def rows_as_parts(engine: Engine, query: Query, kind: str) -> Iterator[Part]:
    """A query's rows as parts; any bucket will do."""
    for n, batch in enumerate(engine.stream(query, PART_ROWS)):
        yield kind, n, payload_of(batch)


def rows_by_bucket(engine: Engine, query: Query, kind: str) -> Iterator[Part]:
    """A query's rows, which are in the order of their buckets, as parts of one bucket each."""
    for batch in engine.stream(query, PART_ROWS):
        buckets = batch.column(BUCKET).to_numpy(zero_copy_only=False)
        rows = batch.drop_columns([BUCKET])
        cuts = [0, *(np.flatnonzero(np.diff(buckets)) + 1), len(buckets)]
        for start, end in pairwise(cuts):
            if end > start:
                yield kind, int(buckets[start]), payload_of(rows.slice(start, end - start))
