"""Sorting hashes finds exactly the repeated ones that SQL's GROUP BY finds, in one run or many, and leaves no file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering_duck import aggregate, compile_sql
from metering_duck.judging.repeated_hashes import RepeatedHashes
from tests.worlds import columns

LAST = 2**64 - 1
HASHES = st.one_of(
    st.integers(0, LAST), st.integers(0, 3), st.integers(LAST - 3, LAST), st.integers(2**63 - 2, 2**63 + 2)
)
BATCHES = st.lists(st.lists(HASHES, max_size=12), max_size=12)


def found_by_sorting(batches: list[list[int]], run_rows: int) -> list[int]:
    """What occurs more than once; also checks that nothing is left in the directory."""
    with TemporaryDirectory() as folder:
        repeated = RepeatedHashes(Path(folder), "keys", run_rows=run_rows)
        for batch in batches:
            repeated.add(np.array(batch, np.uint64))
        found = [int(number) for number in repeated.found()]
        assert [] == list(Path(folder).iterdir())
    return found


def found_by_sql(batches: list[list[int]]) -> list[int]:
    """The same by GROUP BY."""
    hashes = pa.table({"hash": pa.array([number for batch in batches for number in batch], pa.uint64())})
    with duckdb.connect() as connection:
        connection.register("hashes", hashes)
        rows = connection.sql("SELECT hash FROM hashes GROUP BY hash HAVING count(*) > 1 ORDER BY hash").fetchall()
    return [row[0] for row in rows]


@pytest.mark.slow
@given(BATCHES, st.sampled_from((1, 2, 8, 1_000)))
def test_sorting_finds_what_grouping_finds(batches: list[list[int]], run_rows: int) -> None:
    """Whatever the hashes, how they come and how long the runs are: each repeated hash once, in order."""
    assert found_by_sql(batches) == found_by_sorting(batches, run_rows)


@given(st.lists(HASHES, max_size=60), st.integers(1, 30))
def test_copies_are_found_wherever_they_lie(hashes: list[int], size: int) -> None:
    """A hash whose copies lie in different runs, or at the ends of their ranges, is found like one beside its like."""
    batches = [hashes[n : n + size] for n in range(0, len(hashes), size)]
    expected = sorted(number for number, count in Counter(hashes).items() if count > 1)

    assert expected == found_by_sorting(batches, 8)


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        ([], []),
        ([[]], []),
        ([[], [], [0]], []),
        ([[0], [0]], [0]),
        ([[LAST], [LAST], [0], [0]], [0, LAST]),
        ([[7] * 50] * 3, [7]),
        ([[5] * 8, [LAST] * 8, [5]], [5, LAST]),
        ([list(range(64))], []),
        ([list(range(8)), list(range(8, 16)), [0, 15]], [0, 15]),
        ([[2**63]] * 2 + [[2**63 - 1]] * 2, [2**63 - 1, 2**63]),
    ],
    ids=str,
)
def test_edges_of_hashes(batches: list[list[int]], expected: list[int]) -> None:
    """Nothing at all, everything equal, the first and the last hash, and the middle where ranges are cut."""
    assert [expected] * 3 == [found_by_sorting(batches, run_rows) for run_rows in (1, 8, 1_000)]


@given(st.lists(st.integers(0, 40), max_size=200), st.integers(1, 70))
def test_many_runs_are_merged_range_by_range(numbers: list[int], run_rows: int) -> None:
    """Hashes spread over all 64 bits, as real ones are, are found over as many ranges as there are runs."""
    hashes = [number * (LAST // 40) for number in numbers]
    expected = sorted(number for number, count in Counter(hashes).items() if count > 1)

    assert expected == found_by_sorting([[one] for one in hashes], run_rows)


def test_the_runs_of_two_searches_do_not_meet(tmp_path: Path) -> None:
    """Keys and moments are looked for at once in one directory."""
    keys, moments = (RepeatedHashes(tmp_path, name, run_rows=2) for name in ("repeated_keys", "tied_moments"))
    for n in range(5):
        keys.add(np.array([n, 1], np.uint64))
        moments.add(np.array([n + 10, 12], np.uint64))

    assert ([1], [12]) == (keys.found().tolist(), moments.found().tolist())
    assert [] == list(tmp_path.iterdir())


def events(count: int, **changed: Any) -> pa.Table:
    """So many events of one subject, a microsecond apart; every tenth has the id, every seventh the time, of the one
    before it."""
    times = [1_704_153_600_000_000 + n - (n % 7 == 6) for n in range(count)]
    repeated = {
        "id": [f"e{n - (n % 10 == 9)}" for n in range(count)],
        "time": pa.array(times, pa.timestamp("us", "UTC")),
        "q": [str(n % 5) for n in range(count)],
    }
    return columns(count, **repeated | changed)


def test_the_script_finds_what_the_run_finds() -> None:
    """The SQL that is shown, with its GROUP BY, gives the readings of the run, which sorts (R8, R13)."""
    config = {
        "measurements": [
            {"sourceProperty": "q", "unit": unit, "aggregation": unit} for unit in ("sum", "final-state", "integral")
        ]
    }
    given_events, options = events(500), {"start": "2024-01-02", "end": "2024-01-03", "clock": "2024-06-01T00:00:00Z"}
    columns = "unit, quantity, record_count, last_event_id"
    with duckdb.connect() as connection:
        connection.register("input_rows", given_events)
        for statement in duckdb.extract_statements(compile_sql(config, given_events, **options)):
            connection.execute(statement).fetchall()
        expected = connection.sql(f"SELECT {columns} FROM readings ORDER BY unit").fetchall()
        keys = connection.sql("SELECT count(*) FROM repeated_keys").fetchall()
    with aggregate(given_events, config, **options) as result:
        rows = sorted(result.to_dicts(), key=lambda row: str(row["unit"]))
        books = (result.accounting.duplicates, result.accounting.conflicts)

    assert [(50,)] == keys
    assert 50 == sum(books)
    assert expected == [tuple(row[name] for name in columns.split(", ")) for row in rows]


def test_rows_without_a_key_repeat_none() -> None:
    """Rows whose key is missing are counted and rejected, and are no duplicates of each other (R8)."""
    ids = pa.array([None, None, "", "", "e1", "e1"])
    found = events(6, id=ids, time=pa.array([1_704_153_600_000_000] * 6, pa.timestamp("us", "UTC")), q=["1"] * 6)
    config = {"measurements": [{"sourceProperty": "q", "unit": "x", "aggregation": "peak-state"}]}
    with aggregate(found, config, start="2024-01-02", end="2024-01-03") as result:
        books = result.accounting

    assert (6, 1, 1, 4) == (books.read, books.metered, books.duplicates, books.rejected)
