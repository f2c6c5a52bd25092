"""Kinds: a file that is no events, or not what its name says, is refused by what it is."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sqlite3
import zipfile
from pathlib import Path

import openpyxl
import pytest

from metering_duck import SourceError, meter
from tests.files.harm import CONFIG, csv, ndjson, parquet_with, skippable, zstd


def workbook() -> bytes:
    """An Excel workbook."""
    file = io.BytesIO()
    openpyxl.Workbook().save(file)
    return file.getvalue()


def zipped() -> bytes:
    """A zip archive of a CSV file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.csv", csv(3))
    return file.getvalue()


TEXT = csv(3)
OTHERS = {
    "text in UTF-16": ("a.csv", TEXT.decode().encode("utf-16"), "found text in UTF-16; expected text in UTF-8"),
    "without its mark": ("a.csv", TEXT.decode().encode("utf-16-le"), "found text in UTF-16LE; expected text in UTF-8"),
    "the other way round": ("a.csv", TEXT.decode().encode("utf-16-be"), "found text in UTF-16BE"),
    "UTF-32": ("a.csv", TEXT.decode().encode("utf-32"), "found text in UTF-32"),
    "UTF-32 without its mark": ("a.ndjson", ndjson(3).decode().encode("utf-32-le"), "found text in UTF-32"),
    "UTF-16 within gzip": ("a.csv.gz", gzip.compress(TEXT.decode().encode("utf-16")), "found text in UTF-16"),
    "zeros": ("a.ndjson", bytes(100), "found a NUL where text begins"),
    "an encrypted footer": ("a.parquet", b"PARE" + parquet_with(3)[4:], "whose footer is encrypted"),
    "bzip2": ("a.csv", bz2.compress(TEXT), "found a file compressed with bzip2"),
    "bzip2 under its name": ("a.csv.bz2", bz2.compress(TEXT), "found a file compressed with bzip2"),
    "xz": ("a.ndjson", lzma.compress(TEXT), "found a file compressed with xz"),
    "zip": ("a.csv", zipped(), "found a zip archive"),
    "zip called gzip": ("a.csv.gz", zipped(), "found a zip archive"),
    "Excel": ("a.csv", workbook(), "found an Excel workbook"),
    "Excel under its name": ("a.xlsx", workbook(), "found an Excel workbook"),
    "a web page": ("a.csv", b"<!DOCTYPE html>\n<html>", "found a web page"),
    "gzip without a suffix": (
        "a.csv",
        gzip.compress(TEXT),
        "found a file compressed with gzip; .* add .gz to its name",
    ),
    "gzip without any suffix": ("a", gzip.compress(TEXT), "found a file compressed with gzip"),
    "zstd without a suffix": ("a.ndjson", zstd(ndjson(3)), "found a file compressed with zstd; .* add .zst"),
    "a skippable frame": ("a.ndjson", skippable(3) + zstd(ndjson(3)), "found a file compressed with zstd"),
    "gzip called zstd": ("a.csv.zst", gzip.compress(TEXT), "compressed with gzip; .* name it .gz instead of .zst"),
    "text called gzip": ("a.csv.gz", TEXT, "found a file that is not compressed; .* hint: name it without .gz"),
    "text called zstd": ("a.ndjson.zst", ndjson(3), "found a file that is not compressed"),
    "nothing called gzip": ("a.ndjson.gz", b"", "found an empty file; expected one compressed with gzip"),
    "nothing called zstd": ("a.ndjson.zst", b"", "found an empty file; expected one compressed with zstd"),
    "Parquet within gzip": ("a.parquet", gzip.compress(parquet_with(3)), "expected one that compresses its own parts"),
    "Parquet called gzip": ("a.parquet.gz", gzip.compress(parquet_with(3)), "expected one that compresses its own"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_events_is_named(name: str, tmp_path: Path) -> None:
    """The error says which file it is, what it is, and the way out."""
    called, content, found = OTHERS[name]
    path = tmp_path / called
    path.write_bytes(content)
    with pytest.raises(SourceError, match=found) as refused:
        meter(path, CONFIG)

    assert str(refused.value).startswith(f"{path}: found ")
    assert ". hint: " in str(refused.value)


def test_a_database_of_sqlite_is_named(tmp_path: Path) -> None:
    """A database under the name of a table is told from the table."""
    with sqlite3.connect(tmp_path / "a.csv") as database:
        database.execute("CREATE TABLE events (id)")
    with pytest.raises(SourceError, match=r"a.csv: found a SQLite database"):
        meter(tmp_path / "a.csv", CONFIG)
