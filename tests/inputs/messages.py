"""What is said of inputs, of maps, and of folders that --time-partition cannot use."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from metering_duck import (
    ConfigError,
    MeteringError,
    SchemaError,
    SourceError,
)
from tests.messages import ALL_FIELDS, ALL_MAPS, KEYS, ONE, SUFFIXES, Event, file, part, table

HERE = "{here}"
AGAIN = "hint: fetch it again, or take it from its source anew"


def folder(name: str, *files: str) -> str:
    """A folder of empty files."""
    os.makedirs(name, exist_ok=True)
    for one in files:
        file(f"{name}/{one}", b"")
    return name


SOURCES: dict[str, tuple[Callable[[], Any], type[MeteringError], str]] = {
    "no such file": (
        lambda: "nowhere.parquet",
        SourceError,
        "nowhere.parquet: found no such file; expected a path, a folder, a glob, or - for standard input.",
    ),
    "a glob of nothing": (
        lambda: "*.nothing",
        SourceError,
        "*.nothing: found no such file; expected a path, a folder, a glob, or - for standard input.",
    ),
    "NUL": (lambda: "a\0b", SourceError, "input: found a NUL in the path 'a\\x00b'; expected a path."),
    "an empty folder": (
        lambda: os.makedirs("empty", exist_ok=True) or "empty",
        SourceError,
        f"empty: found no file with events in the folder; expected one of {SUFFIXES}.",
    ),
    "a folder with data that is not read": (
        lambda: folder("some", "a.csv.gz", "b.csv.bz2", "c.XLSX"),
        SourceError,
        "some: found data that cannot be read, b.csv.bz2 (bzip2), c.XLSX (a workbook); expected Parquet, NDJSON, JSON, "
        "CSV or Arrow, as it is or compressed with gzip or zstd. hint: decompress it, or name the files that count, "
        "e.g. 'some/*.csv.gz'",
    ),
    "several formats": (
        lambda: [file("a.ndjson", "{}"), file("a.csv", "id\n1\n")],
        SourceError,
        "input: found files of several formats, csv (a.csv), ndjson (a.ndjson); expected one. hint: name them "
        "apart, e.g. "
        "'*.parquet'",
    ),
    "a short Parquet file": (
        lambda: file("bad.parquet", b"PAR1x"),
        SourceError,
        f"{HERE}/bad.parquet: cannot be read (Parquet file size is 5 bytes, smaller than the minimum file footer "
        "(8 bytes)); expected a Parquet file. "
        "hint: fetch it again, or take it from its source anew",
    ),
    "a corrupt Parquet file": (
        lambda: file("bad.parquet", b"PAR1" + b"x" * 200 + b"PAR1"),
        SourceError,
        f"{HERE}/bad.parquet: cannot be read (Parquet file size is 208 bytes, smaller than the size reported by "
        "footer's (2021161080bytes)); expected a Parquet file. "
        "hint: fetch it again, or take it from its source anew",
    ),
    "an empty CSV file": (
        lambda: file("empty.csv", ""),
        SourceError,
        f"{HERE}/empty.csv: is empty; expected a header line with the columns' names.",
    ),
    "a CSV file that is not UTF-8": (
        lambda: file("latin.csv", "id,workspace_id,universe_id,type,subject,time\né,w,u,t,s,x\n".encode("latin1")),
        SourceError,
        f"{HERE}/latin.csv: line 2 is not UTF-8; expected text in UTF-8. hint: save it as UTF-8, or "
        "iconv -f ENCODING -t UTF-8",
    ),
    "an NDJSON file that is not UTF-8": (
        lambda: file("latin.ndjson", '{"a": "b"}\n{"a": "é"}\n'.encode("latin1")),
        SourceError,
        f"{HERE}/latin.ndjson: line 2 is not UTF-8; expected text in UTF-8. hint: save it as UTF-8, or "
        "iconv -f ENCODING -t UTF-8",
    ),
    "a bad Arrow file": (
        lambda: file("bad.arrow", b"xx"),
        SourceError,
        f"{HERE}/bad.arrow: cannot be read (Corrupted message, only 2 bytes available); expected an Arrow IPC file. "
        "hint: fetch it again, or take it from its source anew",
    ),
    "an array with a comma behind its last event": (
        lambda: file("comma.json", '[{"a": 1},]'),
        SourceError,
        f"{HERE}/comma.json: is no valid JSON (at byte 1 in record/value 3: input length is 0); expected JSON to its "
        "end. hint: python3 -m json.tool FILE says where it breaks off",
    ),
    "an array in another encoding": (
        lambda: file("latin.json", '[{"a": "é"}]'.encode("latin1")),
        SourceError,
        f"{HERE}/latin.json: is no valid JSON (at byte 8 in record/value 2: invalid UTF-8 encoding in string); "
        "expected text in UTF-8. hint: save it as UTF-8, or iconv -f ENCODING -t UTF-8",
    ),
    "a bad gzip file": (
        lambda: file("bad.ndjson.gz", b"xx"),
        SourceError,
        f"{HERE}/bad.ndjson.gz: found a file that is not compressed; expected one compressed with gzip, as its suffix "
        ".gz says. hint: name it without .gz",
    ),
    "a bad zstd file": (
        lambda: file("bad.csv.zst", b"xx"),
        SourceError,
        f"{HERE}/bad.csv.zst: found a file that is not compressed; expected one compressed with zstd, as its suffix "
        ".zst says. hint: name it without .zst",
    ),
    "a cut gzip file": (
        lambda: file("cut.ndjson.gz", gzip.compress(b"{}")[:-1]),
        SourceError,
        f"{HERE}/cut.ndjson.gz: found that it ends in the middle of gzip member 1; expected whole gzip members, with "
        f"nothing but zeros behind them. {AGAIN}",
    ),
    "a harmed gzip file": (
        lambda: file("harmed.ndjson.gz", gzip.compress(b"{}")[:-5] + b"12345"),
        SourceError,
        f"{HERE}/harmed.ndjson.gz: found that the checksum of gzip member 1 does not fit its bytes; expected whole "
        f"gzip members, with nothing but zeros behind them. {AGAIN}",
    ),
    "text in UTF-16": (
        lambda: file("wide.csv", "id,time".encode("utf-16")),
        SourceError,
        f"{HERE}/wide.csv: found text in UTF-16; expected text in UTF-8. hint: save it as UTF-8, or iconv -f UTF-16 -t "
        "UTF-8",
    ),
    "an archive": (
        lambda: file("a.csv", b"PK\x05\x06" + bytes(18)),
        SourceError,
        f"{HERE}/a.csv: found a zip archive; expected Parquet, NDJSON, JSON, CSV or Arrow. hint: unzip FILE, and name "
        "the files in it",
    ),
    "a compressed file without a suffix": (
        lambda: file("a.csv", gzip.compress(b"id")),
        SourceError,
        f"{HERE}/a.csv: found a file compressed with gzip; expected a name that says so. hint: add .gz to its name, or "
        "decompress it",
    ),
    "a NUL in a header": (
        lambda: file("a.csv", b"id,a\x00b"),
        SourceError,
        f"{HERE}/a.csv: column 'a\\x00b': found a NUL in its name; expected text. hint: look at how the file was "
        "written",
    ),
    "an int": (
        lambda: 5,
        SourceError,
        "input: found an int; expected paths, an Arrow, Polars, pandas or DuckDB table, or a list of dicts.",
    ),
    "None": (
        lambda: None,
        SourceError,
        "input: found None; expected paths, an Arrow, Polars, pandas or DuckDB table, or a list of dicts.",
    ),
    "bytes": (
        lambda: b"{}",
        SourceError,
        "input: found bytes; expected paths, an Arrow, Polars, pandas or DuckDB table, or a list of dicts.",
    ),
    "an int in a list": (
        lambda: [ONE, 5],
        SourceError,
        "input: found an int in a list; expected dicts or EventPayload objects.",
    ),
    "a set in a dict": (
        lambda: [{**ONE, "properties": {"q": {1}}}],
        SourceError,
        "input: found a value of type set in an object; expected text, a number or a boolean.",
    ),
    "a tuple for a key": (
        lambda: [{**ONE, "properties": {("q",): 1}}],
        SourceError,
        "input: found a key of type tuple in an object; expected text.",
    ),
    "one column missing": (
        lambda: table(time=None),
        SchemaError,
        "a pyarrow Table: column time: found no such column among id, workspace_id, universe_id, type, subject, "
        "q; expected "
        "one. hint: --map time=COLUMN",
    ),
    "no id": (
        lambda: table(id=None),
        SchemaError,
        "a pyarrow Table: column id: found no such column among workspace_id, universe_id, type, subject, time, "
        "q; expected "
        "one. hint: --map id=COLUMN, or --generate-ids where events have no id",
    ),
    "all columns missing": (
        lambda: file("a.csv", "a\n1\n"),
        SchemaError,
        f"{HERE}/a.csv: column {ALL_FIELDS}: found no such columns among a, which ',' divides; expected one for each. "
        f"hint: {ALL_MAPS}",
    ),
    "all names missing in JSON": (
        lambda: file("a.ndjson", '{"a": 1}\n'),
        SchemaError,
        f"{HERE}/a.ndjson: column {ALL_FIELDS}: found no such columns among a; expected one for each. hint: {ALL_MAPS}",
    ),
    "many columns": (
        lambda: pa.table({f"c{n}": [1] for n in range(20)}),
        SchemaError,
        f"a pyarrow Table: column {ALL_FIELDS}: found no such columns among c0, c1, c2, c3, c4, c5, c6, c7, c8, "
        f"c9, c10, c11 "
        f"and 8 more; expected one for each. hint: {ALL_MAPS}",
    ),
    "a time of numbers": (
        lambda: table(time=1_704_067_200),
        SchemaError,
        "a pyarrow Table: column time: found BIGINT; expected TIMESTAMP, TIMESTAMPTZ or RFC 3339 text. hint: "
        "--map time=COLUMN "
        "names another; turn epoch numbers into timestamps first",
    ),
    "a subject of lists": (
        lambda: table(subject=[1]),
        SchemaError,
        "a pyarrow Table: column subject: found BIGINT[]; expected text. hint: --map subject=COLUMN names another",
    ),
    "a property of lists": (
        lambda: table(q=[1]),
        SchemaError,
        "a pyarrow Table: column q: found BIGINT[]; expected a scalar: text, a number, a boolean or a time. "
        "hint: --map "
        "properties=COLUMN,COLUMN names the columns to take",
    ),
    "properties of another kind": (
        lambda: table(properties=5),
        SchemaError,
        "a pyarrow Table: column properties: found BIGINT; expected MAP(VARCHAR, VARCHAR), STRUCT of scalars, or "
        "JSON text. "
        "hint: --map properties=COLUMN,COLUMN takes plain columns",
    ),
}

MAPS: dict[str, tuple[Event, str]] = {
    "a column": (
        {"subject": "nowhere"},
        f"a list of objects: column 'nowhere': found no such column; expected the column of subject. hint: {KEYS}",
    ),
    "a near column": (
        {"subject": "subjekt"},
        "a list of objects: column 'subjekt': found no such column; expected the column of subject. hint: did you mean "
        '"subject"?',
    ),
    "a property": (
        {"properties.q": "nowhere"},
        f"a list of objects: column 'nowhere': found no such column; expected a property's column. hint: {KEYS}",
    ),
}


# What --time-partition says of folders.
MISPLACED = "expected none. hint: leave --time-partition out to read every file"
PARTITIONS: dict[str, tuple[Callable[[], Any], type[MeteringError], str]] = {
    "no file": (
        lambda: [ONE],
        ConfigError,
        "time-partition: found no partitions in a list of objects; expected CSV or Parquet files in "
        "folders date=DATE. hint: leave it out to read every file",
    ),
    "no folder": (
        lambda: part("."),
        ConfigError,
        f"time-partition: found no partitions in {HERE}/a.csv; expected CSV or Parquet files in "
        "folders date=DATE. hint: leave it out to read every file",
    ),
    "other folders": (
        lambda: part("day=2024-01-01/region=eu"),
        ConfigError,
        f"time-partition: found the partitions day, region in {HERE}/day=2024-01-01/region=eu/a.csv; expected CSV "
        "or Parquet files in folders date=DATE. hint: leave it out to read every file",
    ),
    "no date": (
        lambda: part("date=20240101"),
        SourceError,
        f"{HERE}/date=20240101/a.csv: found the partition '20240101'; expected the UTC date of its events, such as "
        "2024-01-31. hint: leave --time-partition out to read every file",
    ),
    "two forms": (
        lambda: [part("date=2024-01-01"), part("date=2024-01"), part("date=2023")],
        ConfigError,
        "time-partition: found years and months and days in date; expected dates of one form.",
    ),
    "unequal trees": (
        lambda: [part("date=2024-01-01"), part("region=eu/date=2024-01-01")],
        SourceError,
        f"input: found the partitions date ({HERE}/date=2024-01-01/a.csv) and region, date "
        f"({HERE}/region=eu/date=2024-01-01/a.csv); expected the same in every path. hint: read the trees apart",
    ),
    "an event of another day": (
        lambda: part("date=2024-01-02"),
        SourceError,
        "time-partition: found 1 event in another date than the UTC day of its time, the first of "
        f"2024-01-01T00:00:00Z; {MISPLACED}",
    ),
    "events of another year": (
        lambda: part("date=2024", times=("2023-01-01T00:00:00Z", "2022-05-01T01:00:00+02:00", "2024-01-01T00:00:00Z")),
        SourceError,
        "time-partition: found 2 events in another date than the UTC year of its time, the first of "
        f"2022-04-30T23:00:00Z; {MISPLACED}",
    ),
}
