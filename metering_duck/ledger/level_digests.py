"""Level digests: the SHA-256 of the levels that a period ends with, over a text that no library defines (R38).

The text is that of the first ledgers: CSV with a head, every value quoted, and nothing for an absent one.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metering_duck.runs.history import LEVELS_SCHEMA


def levels_sha256(levels: pa.Table) -> str:
    """The SHA-256 of levels, in their order."""
    digest = hashlib.sha256(",".join(f'"{name}"' for name in levels.schema.names).encode() + b"\n")
    for batch in levels.combine_chunks().to_batches(1 << 16):
        cells = [_cells(column) for column in batch.columns]
        lines = pc.binary_join_element_wise(pc.binary_join_element_wise(*cells, ","), "", "\n")
        digest.update(memoryview(lines.buffers()[2])[: _length(lines)])
    return digest.hexdigest()


def _length(texts: pa.Array) -> int:
    """How many bytes all texts of a column have, which begin with the column's data."""
    return int(np.frombuffer(texts.buffers()[1], np.int32)[len(texts)])


def _cells(column: pa.Array) -> pa.Array:
    """The values of a column in quotes, with quotes doubled; a moment as 2024-01-31 00:00:00.000000."""
    texts = column
    if pa.types.is_timestamp(column.type):
        moments = np.asarray(column.cast(pa.int64()).fill_null(0)).astype("datetime64[us]")
        known = pa.array(np.char.replace(np.datetime_as_string(moments), "T", " "), pa.string())
        texts = pc.if_else(column.is_valid(), known, pa.scalar(None, pa.string()))
    doubled = pc.replace_substring(texts, '"', '""')
    return pc.fill_null(pc.binary_join_element_wise('"', doubled, '"', ""), "")


EMPTY_LEVELS = levels_sha256(LEVELS_SCHEMA.empty_table())
