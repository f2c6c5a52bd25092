"""Harm to files: a file that is cut, or whose bytes have changed, is an error that names it (R35)."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import pytest

from tests.files.harm import WHOLE, metered

COUNT = 60
SUM = Decimal(COUNT * (COUNT + 1) // 2)


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_are_read(name: str, tmp_path: Path) -> None:
    """A file that is whole is read to its end, whatever its members, frames and pages are."""
    path = tmp_path / name
    path.write_bytes(WHOLE[name](COUNT))

    assert SUM == metered(path)


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", WHOLE)
def test_a_harmed_file_is_an_error_that_names_it(name: str, tmp_path: Path) -> None:
    """A file cut anywhere, or with any bit changed, gives the right number or an error with its name."""
    chance = random.Random(name)
    whole = WHOLE[name](COUNT)
    path = tmp_path / name
    for n in range(8):
        harmed = bytearray(whole)
        if n % 2:
            harmed[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        else:
            del harmed[chance.randrange(len(whole)) :]
        path.write_bytes(harmed)
        found = metered(path)
        assert found == SUM or path.name in str(found), (n, found)
