"""What Parquet footers prove changes no answer: the same rows as a table, which has no statistics, give the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyarrow import parquet

from metering_duck import SourceError, aggregate, compile_sql, meter
from tests.worlds import CLOCK, columns

WINDOW = {"start": "2024-01-02", "end": "2024-01-09", "clock": CLOCK}
CONFIG = {
    "measurements": [
        {"sourceProperty": "q", "unit": "units", "aggregation": "sum"},
        {"sourceProperty": "q", "unit": "last", "aggregation": "latest"},
        {"sourceProperty": "q", "unit": "level", "aggregation": "time-weighted-avg"},
        {
            "sourceProperty": "q",
            "unit": "state",
            "aggregation": "final-state",
            "filter": {"property": "region", "equals": "eu"},
        },
    ]
}
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"across_workspaces": True, "group_by": "region", "every": "P1D", "fill": "carry"},
)
MICROSECONDS = pa.timestamp("us", "UTC")
Files = list[tuple[str, pa.Table, dict[str, Any]]]


def rows(first: int, count: int, **changed: Any) -> pa.Table:
    """Events of consecutive days; a column is a text for all, a list, an array, or None, which leaves it out."""
    numbers = range(first, first + count)
    times = [datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(days=n) for n in numbers]
    base = {
        "id": [f"e{n}" for n in numbers],
        "subject": "customer:a",
        "time": pa.array(times, MICROSECONDS),
        "region": [("eu", "us")[n % 2] for n in numbers],
        "q": [str(n) for n in numbers],
    }
    return columns(count, **base | changed)


def written(folder: Path, files: Files) -> str:
    """A folder with the files."""
    for name, table, options in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table, folder / name, **options)
    return str(folder)


def told(events: Any, chosen: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """All that runs say of events: records, readings, rejects, conflicts and books. The files' names are left out."""

    def rejects_of(result: Any) -> list[dict[str, Any]]:
        listed = [{k: v for k, v in row.items() if k != "file"} for row in result.rejects.to_pylist()]
        return sorted(listed, key=str)

    found = {}
    with meter(events, CONFIG, clock=CLOCK, **options) as result:
        found["records"] = sorted(result.to_dicts(), key=lambda row: str(row["id"]))
        found["books"] = result.accounting.to_dict()
        found["rejects"] = rejects_of(result)
        found["conflicts"] = sorted(result.conflicts.to_pylist(), key=str)
        found["notices"] = result.notices
    with aggregate(events, CONFIG, **WINDOW, **(chosen or {}), **options) as result:
        found["readings"] = result.to_dicts()
        found["books of readings"] = result.accounting.to_dict()
        found["rejects of readings"] = rejects_of(result)
    return found


def texts(*values: bytes) -> pa.Array:
    """Text made of bytes as they are, without a look at their encoding."""
    held = pa.array(values, pa.binary())
    return pa.StringArray.from_buffers(len(held), held.buffers()[1], held.buffers()[2])


def encoded(*values: str) -> pa.Array:
    """A dictionary column."""
    return pa.array(values).dictionary_encode()


LONG = "customer:" + "x" * 60
NAIVE = pa.array([datetime(2024, 1, 2), datetime(2024, 1, 3)], pa.timestamp("us"))
CASES: dict[str, Files] = {
    "constants": [("a.parquet", rows(0, 4), {}), ("b.parquet", rows(4, 4), {})],
    "one constant in one file and another in the next": [
        ("a.parquet", rows(0, 2), {}),
        ("b.parquet", rows(2, 2, subject="customer:b", workspace_id="v", universe_id="u2", type="t2"), {}),
    ],
    "NULL in one row group of one file": [
        ("a.parquet", rows(0, 4, subject=["customer:a"] * 3 + [None]), {"row_group_size": 2}),
        ("b.parquet", rows(4, 4), {}),
    ],
    "NULL in every required column": [
        (f"{name}.parquet", rows(n * 2, 2, **{name: pa.array([None, "x"])}), {})
        for n, name in enumerate(("id", "workspace_id", "universe_id", "type", "subject"))
    ],
    "nothing but NULL in one file": [
        ("a.parquet", rows(0, 2), {}),
        ("b.parquet", rows(2, 2, subject=pa.array([None, None], pa.string())), {}),
    ],
    "an empty text": [
        ("a.parquet", rows(0, 3, subject=["customer:a", "", "customer:a"]), {}),
        ("b.parquet", rows(3, 2, type="", workspace_id=""), {}),
    ],
    "nothing but empty texts": [("a.parquet", rows(0, 2, universe_id=""), {})],
    "a column missing in one file": [("a.parquet", rows(0, 2), {}), ("b.parquet", rows(2, 2, subject=None), {})],
    "a column missing in the first file": [("a.parquet", rows(0, 2, type=None), {}), ("b.parquet", rows(2, 2), {})],
    "a constant longer than statistics hold": [
        ("a.parquet", rows(0, 2, subject=LONG), {}),
        ("b.parquet", rows(2, 2, subject=LONG[:-1] + "y"), {}),
    ],
    "files without statistics": [("a.parquet", rows(0, 4), {"write_statistics": False})],
    "one file without statistics": [
        ("a.parquet", rows(0, 2), {"write_statistics": ["id", "time"]}),
        ("b.parquet", rows(2, 2, subject=[None, "customer:b"]), {"write_statistics": False}),
        ("c.parquet", rows(4, 2), {}),
    ],
    "files without rows": [("a.parquet", rows(0, 1).slice(0, 0), {}), ("b.parquet", rows(0, 3), {})],
    "no row at all": [("a.parquet", rows(0, 3).slice(0, 0), {})],
    "times without an offset": [("a.parquet", rows(0, 2, time=NAIVE), {})],
    "times in nanoseconds": [
        ("a.parquet", rows(0, 2, time=pa.array([1_704_153_600_000_000_001, -1], pa.timestamp("ns", "UTC"))), {})
    ],
    "times in nanoseconds without an offset": [
        ("a.parquet", rows(0, 2, time=pa.array([1_704_153_600_000_000_999, 1], pa.timestamp("ns"))), {})
    ],
    "times in milliseconds": [
        ("a.parquet", rows(0, 2, time=pa.array([1_704_153_600_001, None], pa.timestamp("ms", "UTC"))), {})
    ],
    "a time that is NULL": [
        ("a.parquet", rows(0, 3), {}),
        ("b.parquet", rows(3, 2, time=pa.array([None, datetime(2024, 1, 4, tzinfo=UTC)], MICROSECONDS)), {}),
    ],
    "times that are none": [
        (
            "a.parquet",
            # The first moment of the calendar, the last before it, the last of it, the first behind it, and infinity.
            rows(0, 5, time=pa.array([-62_135_596_800_000_000, -62_135_596_800_000_001, 253_402_300_799_999_999,
                                      253_402_300_800_000_000, 2**63 - 1], MICROSECONDS)),
            {},
        )
    ],
    "metered_at": [
        ("a.parquet", rows(0, 2, metered_at=pa.array([datetime(2024, 2, 1), datetime(2024, 2, 2)], MICROSECONDS)), {}),
        ("b.parquet", rows(1, 2, metered_at=pa.array([datetime(2024, 2, 3), None], MICROSECONDS)), {}),
        ("c.parquet", rows(3, 1, metered_at=pa.array([2**63 - 1], MICROSECONDS)), {}),
    ],
    "dictionaries": [
        ("a.parquet", rows(0, 2, subject=encoded("customer:a", "customer:b"), type=encoded("t", "t")), {}),
        ("b.parquet", rows(2, 2, subject=encoded("customer:a", "customer:a")), {"use_dictionary": False}),
    ],
    "text that looks like SQL": [
        ("a.parquet", rows(0, 2, subject="a'b\"c\\n$start", workspace_id="%{}", type="--"), {}),
        ("b.parquet", rows(2, 2, subject="a'b\"c\\n$start", workspace_id="%{}", type="--"), {}),
    ],
    "text with NUL and beyond ASCII": [("a.parquet", rows(0, 2, subject="a\0b", workspace_id="ü😀", type="\n"), {})],
    "text that looks like escaped bytes": [("a.parquet", rows(0, 2, subject="\\xFF\\x00", type="\\"), {})],
    "numbers in one file and text in the next": [
        ("a.parquet", rows(0, 2, subject=pa.array([7, 7]), workspace_id=pa.array([True, True])), {}),
        ("b.parquet", rows(2, 2, subject="7", workspace_id="true"), {}),
    ],
    "duplicates and conflicts": [
        ("a.parquet", rows(0, 4), {}),
        ("b.parquet", rows(2, 2), {}),
        ("c.parquet", rows(3, 1, q=["99"], subject="customer:b"), {}),
    ],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.sampled(12)
@pytest.mark.parametrize("case", CASES)
def test_statistics_change_no_answer(case: str, tmp_path: Path) -> None:
    """Records, readings, rejects, conflicts and books of Parquet files are those of the same rows in one table."""
    files = CASES[case]
    table = pa.concat_tables(plain_tables(files), promote_options="default")

    chosen = OPTIONS[list(CASES).index(case) % len(OPTIONS)]

    assert told(table, chosen) == told(written(tmp_path, files), chosen)


def plain_tables(files: Files) -> list[pa.Table]:
    """The files' rows in columns that fit together: dictionaries and mixed columns as text."""
    tables = [table for _, table, _ in files]
    kinds: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for field in table.schema:
            kinds.setdefault(field.name, set()).add(field.type)

    def plain(table: pa.Table) -> pa.Table:
        for n, field in enumerate(table.schema):
            is_mixed = len(kinds[field.name] - {pa.null()}) > 1 and not pa.types.is_null(field.type)
            if pa.types.is_dictionary(field.type) or is_mixed:
                column = table.column(n)
                shown = [
                    str(v).lower() if isinstance(v, bool) else None if v is None else str(v) for v in column.to_pylist()
                ]
                table = table.set_column(n, field.name, [pa.array(shown, pa.string())])
        return table

    return [plain(table) for table in tables]


def as_ndjson(table: pa.Table, path: Path) -> str:
    """The rows as lines of JSON; an absent field is left out."""
    lines = [
        {k: v.isoformat() if isinstance(v, datetime) else v for k, v in row.items() if v is not None}
        for row in table.to_pylist()
    ]
    nested = [
        {**{k: v for k, v in line.items() if k not in ("region", "q")},
         "properties": {k: line[k] for k in ("region", "q") if k in line}}
        for line in lines
    ]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in nested), encoding="utf-8")
    return str(path)


@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "case", ["constants", "NULL in one row group of one file", "an empty text", "duplicates and conflicts"]
)
def test_files_of_lines_say_the_same(case: str, tmp_path: Path) -> None:
    """NDJSON, of which nothing is proven, gives the readings and books of the Parquet files."""
    files = CASES[case]
    lines = as_ndjson(pa.concat_tables(plain_tables(files), promote_options="default"), tmp_path / "e.ndjson")
    found, expected = told(written(tmp_path / "files", files)), told(lines)
    shown = ("books", "readings", "books of readings")

    assert {name: expected[name] for name in shown} == {name: found[name] for name in shown}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("key", ["subject", "Subject", "WORKSPACE_ID"])
def test_a_partition_stands_in_place_of_the_column_of_its_name(key: str, tmp_path: Path) -> None:
    """What the files' statistics say of a column is not said of the partition that hides it, in any case of letters."""
    tree = written(tmp_path / "tree", [(f"{key}={n}/a.parquet", rows(n * 2, 2), {}) for n in range(2)])
    tables = [rows(n * 2, 2, **{key.lower(): str(n)}) for n in range(2)]

    assert told(pa.concat_tables(tables)) == told(tree, folder_keys=True)


@pytest.mark.parametrize("options", [{}, {"write_statistics": False}], ids=str)
@pytest.mark.parametrize("column", ["subject", "workspace_id"])
def test_bytes_that_are_no_text_are_refused(column: str, options: dict[str, Any], tmp_path: Path) -> None:
    """A constant that is no UTF-8 is an error, as it is without statistics, and never the text of its escaped bytes."""
    broken = rows(0, 2, **{column: texts(b"\xff\xfe", b"\xff\xfe")})
    tree = written(tmp_path, [("a.parquet", broken, options)])
    with pytest.raises(SourceError, match="UTF"):
        told(tree)


def test_infinity_is_no_time(tmp_path: Path) -> None:
    """A moment that DuckDB wrote as infinity is rejected, whatever the statistics of its column."""
    path = tmp_path / "a.parquet"
    times = ("infinity", "-infinity", "2024-01-02 00:00:00+00")
    listed = ", ".join(f"('e{n}', TIMESTAMPTZ '{time}')" for n, time in enumerate(times))
    duckdb.sql(
        "SELECT id, 'w' AS workspace_id, 'u' AS universe_id, 't'::ENUM('s', 't') AS type, 'c' AS subject, time, 1 AS q "
        f"FROM (VALUES {listed}) AS t(id, time)"
    ).write_parquet(str(path))
    with meter(str(path), CONFIG, clock=CLOCK) as result:
        reasons = {row["id"]: row["reason"] for row in result.rejects.to_pylist()}

    assert {"e0": "time-invalid", "e1": "time-invalid"} == reasons


@pytest.mark.slow
def test_a_row_group_of_null_alone_proves_nothing(tmp_path: Path) -> None:
    """Row groups whose statistics have no least value are not skipped over, wherever they lie."""
    parts = [rows(0, 2), rows(2, 2, subject=pa.array([None, None], pa.string())), rows(4, 2)]
    path = tmp_path / "a.parquet"
    with parquet.ParquetWriter(path, parts[0].schema) as writer:
        for part in parts:
            writer.write_table(part)

    assert told(pa.concat_tables(parts)) == told(str(path))


def proven(folder: Path, *tables: pa.Table, **options: Any) -> Mapping[str, bool]:
    """Which texts of the rows are written into the SQL as they are."""
    tree = written(folder, [(f"{n}.parquet", table, options) for n, table in enumerate(tables)])
    sql = compile_sql(CONFIG, tree, **WINDOW)
    return {text: f"'{text}' AS {name}" in sql for name, text in (("subject", "customer:a"), ("workspace_id", "w"))}


def test_what_is_proven_is_used(tmp_path: Path) -> None:
    """A column that is one text in all files is that text in the SQL, so that nothing is grouped by it."""
    assert {"customer:a": True, "w": True} == proven(tmp_path / "a", rows(0, 2), rows(2, 2))
    assert {"customer:a": False, "w": True} == proven(tmp_path / "b", rows(0, 2), rows(2, 2, subject="customer:b"))
    assert {"customer:a": False, "w": False} == proven(tmp_path / "c", rows(0, 2), write_statistics=False)


KINDS = {
    "measurements": [
        {"sourceProperty": "q", "unit": name, "aggregation": name}
        for name in (
            "avg",
            "first",
            "unique-count",
            "p50",
            "p95-interpolated",
            "integral-hours",
            "peak-state-of-deltas",
        )
    ]
    + [
        {"sourceProperty": "q", "unit": "daily", "aggregation": "max-of-sum per day"},
        {"sourceProperty": "q", "unit": "peaks", "aggregation": "avg-of-peak-state per day"},
        {"sourceProperty": "q", "unit": "by place", "aggregation": "sum-of-max by region"},
        {
            "sourceProperty": "q",
            "unit": "split",
            "aggregation": "sum",
            "span": {"duration": "q", "unit": "days"},
            "proration": "by-time",
        },
    ]
}
SUBSCRIPTIONS = [
    {"universe": "u", "subject": "customer:a", "starts": "2024-01-02T00:00:00Z", "every": "PT84H"},
    {"universe": "u", "subject": "customer:b", "starts": "2024-01-01T00:00:00Z", "every": "month"},
]


@pytest.mark.slow
@pytest.mark.sampled(10)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"every": "P2D", "fill": "zero"},
        {"every": "P2D", "fill": "carry", "across_workspaces": True},
        {"subscriptions": SUBSCRIPTIONS},
        {"subject": ["customer:a", "customer:c"], "workspace": "w", "universe": ["u", "v"], "bundled": True},
        {"group_by": "region", "digits": 5},
        {"as_of": "2024-01-05T00:00:00Z"},
    ],
    ids=str,
)
@pytest.mark.parametrize("subject", ["customer:a", "customer:b"])
def test_constants_change_no_aggregation(subject: str, options: dict[str, Any], tmp_path: Path) -> None:
    """Whatever is aggregated, over whatever windows: columns known to be one text give what columns of it give."""
    entered = pa.array([datetime(2024, 1, n + 1, 13, tzinfo=UTC) for n in range(6)], MICROSECONDS)
    table = rows(0, 6, subject=subject, metered_at=entered, id=["e0", "e1", "e2", "e3", "e4", "e1"])
    tree = written(tmp_path, [("a.parquet", table.slice(0, 3), {}), ("b.parquet", table.slice(3), {})])
    found = []
    for given in (table, tree):
        with aggregate(given, KINDS, **WINDOW, **options) as result:
            found.append((result.to_dicts(), result.accounting.to_dict(), result.notices))

    assert found[0] == found[1]


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("absent", ["unit", "subject", "source_event_id", "quantity", None])
@pytest.mark.parametrize("aggregation", ["sum", "final-state", "p50"])
def test_records_in_files_are_what_they_are_in_a_table(absent: str | None, aggregation: str, tmp_path: Path) -> None:
    """Columns of records that are constant, complete or not, in each file, change no reading and no reject."""
    with meter(rows(0, 6), CONFIG, clock=CLOCK) as result:
        records = result.to_arrow().drop_columns(["dimensions", "aggregation"])
    if absent:
        column = records.schema.get_field_index(absent)
        values = records[absent].to_pylist()
        records = records.set_column(column, absent, pa.array([None, *values[1:]], records.schema.field(absent).type))
    tree = written(tmp_path, [(f"{n}.parquet", records.slice(n * 5, 5), {}) for n in range(2)])
    found = []
    for given in (records.slice(0, 10), tree):
        with aggregate(records=given, aggregation=aggregation, **WINDOW) as result:
            rejects = [{k: v for k, v in row.items() if k != "file"} for row in result.rejects.to_pylist()]
            found.append((result.to_dicts(), rejects, result.accounting.to_dict()))

    assert found[0] == found[1]


def harmed(path: Path, old: bytes, new: bytes) -> str:
    """A copy of a Parquet file with other bytes in its footer."""
    content = path.read_bytes()
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    assert old in content[start:]
    copy = path.with_name(f"harmed-{path.name}")
    copy.write_bytes(content[:start] + content[start:].replace(old, new))
    return str(copy)


def microseconds(day: int, year: int = 2024) -> bytes:
    """A day of January as statistics have it."""
    return int(datetime(year, 1, day, 12, tzinfo=UTC).timestamp() * 1_000_000).to_bytes(8, "little")


# What is in the rows, and which bytes of the footer become which.
WRONG: dict[str, tuple[dict[str, Any], bytes, bytes]] = {
    "a constant": ({"subject": ["customer:a", "customer:c", "customer:a"]}, b"customer:c", b"customer:a"),
    "no absent value": ({"workspace_id": ["acme", None, "acme"]}, b"\x36\x02\x28\x04acme", b"\x36\x00\x28\x04acme"),
    "times": ({}, microseconds(3), microseconds(1, 2023)),
}


@pytest.mark.parametrize("case", WRONG)
def test_statistics_that_do_not_hold_are_an_error(case: str, tmp_path: Path) -> None:
    """What a run takes for granted of statistics is compared with the values; a footer has no checksum."""
    changed, old, new = WRONG[case]
    parquet.write_table(rows(0, 3, **changed), tmp_path / "a.parquet")
    path = harmed(tmp_path / "a.parquet", old, new)
    with pytest.raises(SourceError, match=r"harmed-a.parquet: found that the footer says .* of the column \w+ in"):
        told(path)


def test_an_absent_value_that_a_footer_denies_is_found_on_request(tmp_path: Path) -> None:
    """With verify_files the number of absent values is compared, too."""
    parquet.write_table(rows(0, 3, subject=["customer:a", None, "customer:b"]), tmp_path / "a.parquet")
    path = harmed(tmp_path / "a.parquet", b"\x36\x02\x28\x0acustomer:b", b"\x36\x00\x28\x0acustomer:b")
    with pytest.raises(SourceError, match="0 absent values of the column subject in row group 1, and there are 1"):
        told(path, verify_files=True)


def test_all_statistics_are_compared_on_request(tmp_path: Path) -> None:
    """With verify_files each column's statistics are compared, and the proof says how many; a ledger does it, too."""
    parquet.write_table(rows(0, 3, q=pa.array([300, 70_000, 300])), tmp_path / "a.parquet", use_dictionary=False)
    path = harmed(tmp_path / "a.parquet", (70_000).to_bytes(8, "little"), (1).to_bytes(8, "little"))
    with meter(str(tmp_path / "a.parquet"), CONFIG, clock=CLOCK, verify_files=True) as result:
        result.to_arrow()
        assert [8] == [file["statistics"] for file in result.files]
    with pytest.raises(SourceError, match="values from 300 to 1 of the column q in row group 1, and they are from 300"):
        told(path, verify_files=True)


def test_bytes_that_are_no_text_are_told_with_the_way_out(tmp_path: Path) -> None:
    """A column of text that is not UTF-8 is told as that, and not in words of the engine."""
    parquet.write_table(rows(0, 2, subject=texts(b"\xff", b"a")), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=r"bytes that are not UTF-8; expected UTF-8. hint: .*--binary-as-text"):
        told(str(tmp_path / "a.parquet"))


@pytest.mark.parametrize("encoding", ["DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"])
def test_statistics_of_newer_encodings_are_compared(encoding: str, tmp_path: Path) -> None:
    """A text that every row has is compared with the footer, however its pages are written."""
    options = {"use_dictionary": False, "column_encoding": {"subject": encoding}}
    parquet.write_table(rows(0, 3, subject=["customer:a"] * 3), tmp_path / "a.parquet", **options)
    with meter(str(tmp_path / "a.parquet"), CONFIG, clock=CLOCK) as result:
        result.to_arrow()
        assert 3 == result.accounting["read"]
    path = harmed(tmp_path / "a.parquet", b"customer:a", b"customer:b")
    with pytest.raises(SourceError, match="of the column subject in row group 1"):
        told(path)
