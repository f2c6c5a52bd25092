"""What is no DuckDB database, where one is named: a ledger, and a table at a URL."""

from __future__ import annotations

import gzip
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from metering_duck import Ledger, LedgerError, SourceError, aggregate


def _sqlite(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE ledger (version INT, created_with TEXT)")
    connection.close()


def _parquet(path: Path) -> None:
    duckdb.sql("SELECT 1 AS id").write_parquet(str(path))


def _database(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE ledger (x INT)")


CONFIG = {"measurements": [{"sourceProperty": "tokens", "unit": "tokens", "aggregation": "sum"}]}
KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a CSV": (lambda path: path.write_text("id,é\n1,2\n" * 999), "a text file"),
    "UTF-16": (lambda path: path.write_bytes("id,tokens\n1,2\n".encode("utf-16")), "text in UTF-16"),
    "Parquet": (_parquet, "a Parquet file"),
    "SQLite": (_sqlite, "a SQLite database"),
    "an empty file": (lambda path: path.touch(), "an empty file"),
    "NUL": (lambda path: path.write_bytes(bytes(9_999)), "a file that begins with NUL only"),
    "gzip": (lambda path: path.write_bytes(gzip.compress(b"1")), "a file compressed with gzip"),
    "bytes": (lambda path: path.write_bytes(b"\x01\x00\xff\xfe" * 99), "bytes of no kind that is known"),
    "a folder": (lambda path: path.mkdir(), "a folder"),
    "a pipe": (os.mkfifo, "a pipe or a device"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), "a link to nowhere, which is not there"),
    "a loop": (lambda path: path.symlink_to(path), "a link that leads back to itself"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_database_is_named_and_left_alone(kind: str, tmp_path: Path) -> None:
    """The error names the file and what it is; a new ledger replaces nothing, not even a link that leads nowhere."""
    make, what = KINDS[kind]
    path = tmp_path / "it"
    make(path)
    with pytest.raises(LedgerError) as of_ledger:
        Ledger(path).status()
    with pytest.raises(SourceError) as of_table:
        aggregate(f"duckdb://{path}?table=t", CONFIG, start="2024-01-01", end="2024-02-01")
    with pytest.raises(LedgerError) as of_init:
        Ledger.init(path)

    assert (f"{path}: found {what}", f"duckdb://{path}: found {what}") == tuple(
        str(error.value).partition(";")[0] for error in (of_ledger, of_table)
    )
    assert f"{path}: is there already; expected a new file. hint: another --ledger" == str(of_init.value)
    assert " hint: " in str(of_ledger.value)


def test_a_database_of_something_else_is_no_ledger(tmp_path: Path) -> None:
    """A DuckDB database that has other tables is told as that."""
    _database(tmp_path / "it")
    with pytest.raises(
        LedgerError, match=r"/it: found a DuckDB database that is no ledger; expected a ledger, as .*init"
    ):
        Ledger(tmp_path / "it").status()


def test_a_ledger_that_was_cut_is_damaged(tmp_path: Path) -> None:
    """A ledger without its end says that it is damaged, and not that there is no room."""
    path = tmp_path / "ledger.duckdb"
    Ledger.init(path)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(LedgerError, match=r"/ledger.duckdb: is damaged \(.*\); expected a whole ledger. hint: take it"):
        Ledger(path).status()
