"""Files whose bytes are not what their names say: of another format of ours, or without a name that says anything."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from metering_duck import ConfigError, SchemaError, SourceError, aggregate, meter
from metering_duck.files.names import events_below
from tests.files.harm import CONFIG, arrow, csv, metered, ndjson, parquet_with, table
from tests.worlds import CLOCK


def plain_csv(count: int) -> bytes:
    """Events as CSV without quotes."""
    return csv(count).replace(b'"', b"")


MADE: dict[str, Callable[[int], bytes]] = {
    "a Parquet file": parquet_with,
    "an Arrow file": lambda count: arrow(count, pa.ipc.new_file),
    "a CSV file": plain_csv,
    "a JSON file": ndjson,
}
SAYS = {".parquet": "Parquet", ".arrow": "Arrow", ".csv": "CSV", ".ndjson": "JSON", ".json": "JSON"}


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", MADE)
def test_a_format_under_the_name_of_another_is_told_as_what_it_is(kind: str, tmp_path: Path) -> None:
    """Each of our formats is read under its own suffix and refused under another; so is what is compressed twice."""
    content = MADE[kind](2)
    own = kind.split()[1]
    for suffix, says in SAYS.items():
        if (own, suffix) in (("Parquet", ".json"), ("Arrow", ".json")):
            continue
        path = tmp_path / f"a{suffix}"
        path.write_bytes(content)
        said = str(metered(path))
        if own != says:
            assert said.startswith(f"{path}: found {kind}; expected {says}, as its name says. hint: name it ."), said
        else:
            assert "found" not in said, said
    if own in ("CSV", "JSON"):
        path = tmp_path / f"a.{own.lower()}.gz"
        path.write_bytes(gzip.compress(gzip.compress(content)))
        assert "found a file compressed with gzip within its compression" in str(metered(path))


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", MADE)
def test_events_without_a_suffix_are_not_passed_over(kind: str, tmp_path: Path) -> None:
    """Below a folder a file of events is read or refused by name; what is no data is passed over."""
    (tmp_path / "read.ndjson").write_bytes(ndjson(1))
    (tmp_path / "README.md").write_text("# id, type and time\n")
    (tmp_path / "read.ndjson.md5").write_text("d41d8cd98f00b204e9800998ecf8427e  read.ndjson\n")
    (tmp_path / "_SUCCESS").write_bytes(b"")
    (tmp_path / "_old").write_bytes(MADE[kind](1))
    assert Decimal(1) == metered(tmp_path)

    for name in ("000000_0", "a.csv.1", "b.dat"):
        (tmp_path / name).write_bytes(MADE[kind](1))
        said = str(metered(tmp_path))
        found = f"found data without a suffix that says so, {name} ({kind.split()[1]});"
        assert said.startswith(f"{tmp_path}: {found}"), said
        (tmp_path / name).unlink()


def test_in_a_bucket_names_tell() -> None:
    """Where no byte is looked at, parts and copies are refused by their names; checksums and papers are no data."""
    known = (".csv", ".parquet")
    passed = ["README.md", "a.csv.md5", "_SUCCESS", ".a.csv.crc", "notes"]
    assert ["a.csv", "b/c.csv.gz"] == events_below("s3://b", ["a.csv", "b/c.csv.gz", *passed], known, names_only=True)
    for name in ("000000_0", "x/part-00001", "a.csv.1", "a.csv~", "a.parquet.bak"):
        with pytest.raises(SourceError, match=r"\(no suffix that says what it is\); expected Parquet"):
            events_below("s3://b", ["a.csv", name], known, names_only=True)


def test_lines_as_in_the_other_files_are_data(tmp_path: Path) -> None:
    """Columns of any name make a file data where a CSV file beside it has the same header."""
    for name in ("a.csv", "old"):
        (tmp_path / name).write_text("one,two\n1,2\n")
    with pytest.raises(SourceError, match=r"found data without a suffix that says so, old \(CSV\)"):
        meter(tmp_path, CONFIG)


def test_objects_on_one_line_are_objects_one_after_the_other(tmp_path: Path) -> None:
    """A .json file whose objects have no line ends between them, as Firehose writes them, is read whole."""
    for lines in (ndjson(3).replace(b"\n", b""), ndjson(900).replace(b"\n", b" ")):
        path = tmp_path / "a.json"
        path.write_bytes(lines)
        count = lines.count(b'"id"')
        assert Decimal(count * (count + 1) // 2) == metered(path)


def test_a_csv_file_with_plain_columns_beside_one_with_properties_is_refused(tmp_path: Path) -> None:
    """The plain columns would not be read: the file is named, with the way out, as Parquet files are."""
    plain, other = tmp_path / "a.csv", tmp_path / "b.csv"
    plain.write_bytes(plain_csv(1))
    other.write_text("id,workspaceID,universeID,type,subject,time,properties\n")
    with pytest.raises(SchemaError, match=r"a\.csv: column properties: found no such column, and q beside its fields"):
        meter([plain, other], CONFIG)


def test_a_header_that_is_not_utf8_is_an_error_as_a_row_is(tmp_path: Path) -> None:
    """A name with characters of another encoding is not replaced; a name that is cut where a look ends is whole."""
    path = tmp_path / "a.csv"
    path.write_bytes(plain_csv(1).replace(b",q", ",q,région".encode("latin-1"), 1))
    assert str(metered(path)).startswith(f"{path}: line 1 is not UTF-8; expected text in UTF-8. hint: ")

    header, row = plain_csv(1).splitlines()
    path.write_bytes(header + f",{'é' * 33_000}\n".encode() + row + b",\n")
    assert Decimal(1) == metered(path)


def test_line_ends_and_blanks_of_a_header_are_told(tmp_path: Path) -> None:
    """A line about the delimiter that ends otherwise is said as that; a name with a blank is shown with it."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"sep=,\r\n" + plain_csv(1))
    assert str(metered(path)).startswith(f"{path}: line 1 ends otherwise than line 2; expected line ends of one kind")

    path.write_bytes(plain_csv(1).replace(b",workspaceID", b", workspaceID"))
    assert str(metered(path)).endswith("; did you mean ' workspaceID', which has blanks around it?")


def test_a_refused_relation_leaves_its_connection_free() -> None:
    """Where a call fails, the caller's connection can be used at once, also while the error is still held."""
    connection = duckdb.connect()
    connection.register("t", table(2))
    with pytest.raises(ConfigError) as error:
        aggregate(connection.sql("FROM t"), CONFIG, start="2024-02-02", end="2024-02-01", clock=CLOCK)
    assert [(1,)] == connection.sql("SELECT 1").fetchall(), error
    with pytest.raises(SchemaError) as other:
        meter(connection.sql("SELECT * EXCLUDE subject FROM t"), CONFIG)
    assert [(2,)] == connection.sql("SELECT count(*) FROM t").fetchall(), other
