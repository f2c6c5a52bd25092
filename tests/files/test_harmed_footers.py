"""Harmed footers: whatever bytes a footer has, what is said is a fault of the file."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from metering_duck.files.faults import Fault
from metering_duck.files.parquet_footer import TAIL_BYTES
from metering_duck.files.parquet_pages import pages_of
from metering_duck.files.parquet_statistics import compared_statistics

# A name that is no UTF-8 is an error of decoding, which the gate explains.
SAID = (Fault, OSError, pa.ArrowException, UnicodeDecodeError)


@pytest.mark.slow
@pytest.mark.parametrize("checksums", [False, True])
def test_numbers_lists_and_texts_may_stand_for_each_other(checksums: bool, tmp_path: Path) -> None:
    """A byte of a footer says of which kind the next value is; any of them may be another one."""
    chance, path = random.Random(20261201), tmp_path / "events.parquet"
    rows = {
        "id": [str(n) for n in range(40)],
        "q": list(range(40)),
        "tags": [[n] * (n % 3) for n in range(40)],
        "s": [{"x": n} for n in range(40)],
    }
    parquet.write_table(pa.table(rows), path, row_group_size=20, write_page_checksum=checksums)
    whole = path.read_bytes()
    start = len(whole) - TAIL_BYTES - int.from_bytes(whole[-TAIL_BYTES:-4], "little")
    for _ in range(600):
        harmed = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 4))):
            harmed[chance.randrange(start, len(whole) - TAIL_BYTES)] = chance.randrange(256)
        path.write_bytes(harmed)
        for read in (pages_of, compared_statistics):
            with contextlib.suppress(*SAID):
                read(str(path))
