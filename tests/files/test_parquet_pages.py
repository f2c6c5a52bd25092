"""Parquet pages: what a footer does not count is found, and so is harm that a codec's own checksum tells."""

from __future__ import annotations

import base64
import io
import itertools
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyarrow import parquet
from pyarrow.parquet import encryption

from metering_duck.files.faults import Fault
from metering_duck.files.parquet_pages import pages_of
from tests.files.harm import metered, parquet_with, table, zstd

CODECS = ("none", "snappy", "gzip", "zstd", "lz4", "brotli")


def nested(count: int) -> pa.Table:
    """Rows with lists, maps and absent values."""
    return pa.table(
        {
            "id": [f"e{n}" for n in range(count)],
            "q": [str(n % 7) if n % 3 else None for n in range(count)],
            "list": [[n, n] if n % 2 else [] for n in range(count)],
            "struct": [{"a": n, "b": None} for n in range(count)],
            "map": pa.array([[("k", "v")]] * count, pa.map_(pa.string(), pa.string())),
        }
    )


def number(value: int) -> bytes:
    """A number as Thrift's compact protocol has it."""
    found, value = b"", value << 1
    while value > 127:
        found, value = found + bytes([value & 127 | 128]), value >> 7
    return found + bytes([value])


def in_footer(data: bytes, old: bytes, new: bytes) -> bytes:
    """A file in whose footer some bytes are replaced by as many others."""
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    assert old in data[start:]
    return data[:start] + data[start:].replace(old, new)


def fault_of(path: Path, data: bytes) -> str:
    """What is found in a file of these bytes; "" if it is whole."""
    path.write_bytes(data)
    try:
        pages_of(str(path))
    except Fault as fault:
        return fault.found
    return ""


@pytest.mark.sampled(6)
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_what_pyarrow_writes_is_whole(codec: Any, version: Any, tmp_path: Path) -> None:
    """Every codec, with and without dictionaries, checksums and indexes, in pages of any size."""
    for with_dictionary, with_more, rows in itertools.product((True, False), (True, False), (0, 700)):
        parquet.write_table(
            nested(rows),
            tmp_path / "a.parquet",
            compression=codec,
            data_page_version=version,
            use_dictionary=with_dictionary,
            write_page_checksum=with_more,
            write_page_index=with_more,
            data_page_size=1000,
            row_group_size=300,
        )
        assert rows == pages_of(str(tmp_path / "a.parquet")).rows


@pytest.mark.parametrize("codec", ["uncompressed", "gzip", "lz4_raw"])
@pytest.mark.parametrize("version", ["V1", "V2"])
def test_what_duckdb_writes_is_whole(codec: str, version: str, tmp_path: Path) -> None:
    """DuckDB writes bloom filters behind its columns, and no checksums but those of gzip."""
    path = tmp_path / "a.parquet"
    options = f"FORMAT parquet, COMPRESSION {codec}, PARQUET_VERSION {version}"
    duckdb.sql(f"COPY (SELECT i, i % 3 || '' AS t, [i] AS l FROM range(5000) r(i)) TO '{path}' ({options})")

    assert (5000, codec == "gzip") == ((pages := pages_of(str(path))).rows, pages.checked > 0)


@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_harm_that_only_gzip_tells_is_found(version: str, tmp_path: Path) -> None:
    """The CRC-32 behind what gzip has compressed is compared, where the page itself has no checksum."""
    sink = io.BytesIO()
    parquet.write_table(table(60), sink, compression="gzip", use_dictionary=False, data_page_version=version)
    whole, path = sink.getvalue(), tmp_path / "a.parquet"
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    found = set()
    for place in range(4, footer):
        said = fault_of(path, whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found.add(said.partition(" of the column")[0])

    assert {"that the checksum of page 1", "that page 1"} <= found
    path.write_bytes(whole[: footer - 3] + b"abc" + whole[footer:])
    assert str(metered(path)).startswith(f"{path}: found that page 1 of the column q is ")


def zstd_page(content: bytes) -> bytes:
    """A Parquet file of one page, which is a zstd frame with a checksum; pyarrow writes none."""
    sink = io.BytesIO()
    schema = pa.schema([pa.field("q", pa.binary(len(content) // 100), nullable=False)])
    size = len(content) // 100
    rows = pa.table({"q": [content[n * size : (n + 1) * size] for n in range(100)]}, schema)
    parquet.write_table(rows, sink, compression="none", use_dictionary=False, write_statistics=False)
    plain, frame = sink.getvalue(), zstd(content)
    start = plain.index(content)
    length, more = number(len(content)), len(frame) - len(content)
    header = plain[4:start].replace(
        b"\x15" + length + b"\x15" + length, b"\x15" + length + b"\x15" + number(len(frame))
    )
    found = plain[:4] + header + frame + plain[start + len(content) :]
    found = in_footer(found, b"\x15\x00\x16" + number(100), b"\x15\x0c\x16" + number(100))
    total = start - 4 + len(content)
    return in_footer(found, number(total), number(total + more))


def test_harm_that_only_zstd_tells_is_found(tmp_path: Path) -> None:
    """The checksum of a zstd frame in a page is compared."""
    whole, path = zstd_page(bytes(range(200)) * 5), tmp_path / "a.parquet"
    path.write_bytes(whole)
    assert (100, 1) == ((pages := pages_of(str(path))).rows, pages.checked)
    assert 100 == parquet.read_table(path).num_rows
    assert "that the checksum of page 1 of the column q does not fit its bytes" == fault_of(
        path, whole.replace(bytes(range(100, 200)), bytes(range(99, 199)), 1)
    )


def test_files_that_were_put_into_one_are_refused(tmp_path: Path) -> None:
    """The second footer counts its own rows alone, and finds those of the first file in their place."""
    path, whole = tmp_path / "a.parquet", parquet_with(20)
    path.write_bytes(whole + parquet_with(20))
    said = str(metered(path))
    assert said.startswith(f"{path}: found rows that its footer does not count; ")
    assert "name them apart" in said
    assert "rows that its footer does not count" == fault_of(path, whole[:-20] + whole)


def test_a_footer_that_counts_too_little_is_refused(tmp_path: Path) -> None:
    """Counts that are lowered alike, of the file, its row groups and its columns, are not those of the pages."""
    sink, path = io.BytesIO(), tmp_path / "a.parquet"
    parquet.write_table(table(1000), sink, store_schema=False, write_statistics=False)
    whole = sink.getvalue()
    for count in (900, 1100):
        harmed = in_footer(whole, b"\x16" + number(1000), b"\x16" + number(count))
        assert count == parquet.read_metadata(io.BytesIO(harmed)).num_rows
        said = f"pages of 1,000 values in the column id, of which the footer counts {count:,}"
        assert said == fault_of(path, harmed)


def test_a_row_group_that_the_footer_does_not_know_is_refused(tmp_path: Path) -> None:
    """Pages that lie in the file, and that no row group has, are rows that would be lost."""
    one, both = io.BytesIO(), io.BytesIO()
    parquet.write_table(table(20), one)
    parquet.write_table(pa.concat_tables([table(20), table(20)]), both, row_group_size=20)
    short, long = one.getvalue(), both.getvalue()
    footer = long[: len(long) - 8 - int.from_bytes(long[-8:-4], "little")]
    short_footer = short[len(short) - 8 - int.from_bytes(short[-8:-4], "little") :]

    assert "rows that its footer does not count" == fault_of(tmp_path / "a.parquet", footer + short_footer)


class Keys(encryption.KmsClient):
    """Keys that are what they encrypt."""

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        """The key, as text."""
        return base64.b64encode(key_bytes)

    def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
        """The key."""
        return base64.b64decode(wrapped_key)


@pytest.mark.parametrize("is_plain", [True, False])
@pytest.mark.parametrize("kind", [pa.string(), pa.decimal128(38, 2)])
def test_encrypted_columns_are_refused(kind: pa.DataType, tmp_path: Path, *, is_plain: bool) -> None:
    """Also those of a footer that anybody can read, over which a library would end the process."""
    path, rows = tmp_path / "a.parquet", table(3)
    rows = rows.set_column(6, "q", rows["q"].cast(kind))
    settings = encryption.EncryptionConfiguration(footer_key="f", column_keys={"c": ["q"]}, plaintext_footer=is_plain)
    factory = encryption.CryptoFactory(lambda _: Keys())
    made = factory.file_encryption_properties(encryption.KmsConnectionConfig(), settings)
    with parquet.ParquetWriter(path, rows.schema, encryption_properties=made) as writer:
        writer.write_table(rows)
    said = "a Parquet file whose columns are encrypted" if is_plain else "a Parquet file whose footer is encrypted"

    assert str(metered(path)).startswith(f"{path}: found {said}; expected Parquet, NDJSON, JSON, CSV or Arrow. hint: ")
