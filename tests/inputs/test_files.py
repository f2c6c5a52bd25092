"""Files that differ in columns, types and names, and folders that say what their files hold."""

from __future__ import annotations

import itertools
import json
import os
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from metering_duck import SchemaError, SourceError, aggregate, meter
from tests.inputs.forms import (
    CLOCK,
    CONFIG,
    END,
    INSTANT,
    PLAIN,
    START,
    dimensions,
    json_lines,
    one_object,
    one_row,
    quantities,
    written,
)
from tests.worlds import SPELLED


def test_hive_values_are_text_and_prune(tmp_path: Path) -> None:
    """A partition value such as "007" stays text, and the files of a workspace that is not asked for are not opened."""
    rows = pa.Table.from_pylist([{**one_row(), "q": "1"}]).drop_columns(["workspace_id", "universe_id"])
    for workspace in ("007", "7", "a b'c;--%/ü"):
        folder = tmp_path / f"workspace_id={workspace.replace('%', '%25').replace('/', '%2F')}" / "universe_id=true"
        written(folder, "part.parquet", rows)
    written(tmp_path, "workspace_id=broken/universe_id=true/part.parquet", b"PAR1 but not Parquet at all PAR1")
    (tmp_path / "workspace_id=broken").chmod(0o755)

    def keys(**options: Any) -> list[tuple[str, str]]:
        with meter(tmp_path, PLAIN, clock=CLOCK, **options) as records:
            return [(r["workspace_id"], r["universe_id"]) for r in records.to_dicts()]

    with pytest.raises(SourceError, match="broken"):
        keys()
    (tmp_path / "workspace_id=broken" / "universe_id=true" / "part.parquet").unlink()
    assert [("007", "true"), ("7", "true"), ("a b'c;--%/ü", "true")] == keys()
    assert [("007", "true")] == keys(workspace="007")
    assert [] == keys(workspace="007", universe="True")


def test_hive_partitions_are_pruned_before_they_are_read(tmp_path: Path) -> None:
    """With --workspace one file of three is read: what is in the others cannot even fail."""
    rows = pa.Table.from_pylist([{**one_row(), "q": "1"}]).drop_columns(["workspace_id"])
    for workspace in ("a", "b", "c"):
        written(tmp_path / f"workspace_id={workspace}", "part.parquet", rows)
    for workspace in ("a", "c"):
        (tmp_path / f"workspace_id={workspace}" / "part.parquet").write_bytes(b"PAR1 but nothing else")
    with meter(tmp_path, PLAIN, clock=CLOCK, workspace="b") as records:
        assert ["b"] == records.to_arrow()["workspace_id"].to_pylist()
        assert 1 == records.accounting.read
    with pytest.raises(SourceError), meter(tmp_path, PLAIN, clock=CLOCK) as records:
        records.to_arrow()


def test_property_keys_in_hive_paths_are_properties(tmp_path: Path) -> None:
    """A partition column that is no field is a property like any other column."""
    rows = pa.Table.from_pylist([{**one_row(), "q": "1"}])
    written(tmp_path / "region=eu-1", "part.parquet", rows)

    assert [{"region": "eu-1"}] == dimensions(tmp_path)


def test_parquet_files_may_differ_in_their_columns(tmp_path: Path) -> None:
    """Columns come in any order and may be missing in some files; the union is read."""
    written(tmp_path, "a.parquet", pa.Table.from_pylist([{**one_row(id="e1"), "q": "1"}]))
    written(tmp_path, "b.parquet", pa.Table.from_pylist([{"region": "eu", "q": "2", **one_row(id="e2")}]))
    written(tmp_path, "c.parquet", pa.Table.from_pylist([{**one_row(id="e3"), "q": "3", "metered_at": INSTANT}]))

    assert ([Decimal(n) for n in (1, 2, 3)], [{}, {"region": "eu"}, {}]) == (quantities(tmp_path), dimensions(tmp_path))


def column(values: list[Any], kind: pa.DataType) -> pa.Table:
    """One event whose quantity has a type."""
    return pa.Table.from_pylist([one_row(id=str(kind))]).append_column("q", pa.array(values, kind))


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (column([9007199254740993], pa.int64()), column([7.5], pa.float64())),
        (
            column([Decimal("12345678901234567890.123456789012345678")], pa.decimal128(38, 18)),
            column([0.1], pa.float64()),
        ),
        (column([Decimal("12345678901234567890.123456789012345678")], pa.decimal128(38, 18)), column([7], pa.int64())),
        (column([Decimal("0.10")], pa.decimal128(30, 2)), column([Decimal("0.1234567890")], pa.decimal128(20, 10))),
        (
            column([Decimal("9999999999999999999.5")], pa.decimal128(20, 1)),
            column([Decimal("0.1234567890123456")], pa.decimal128(16, 16)),
        ),
        (column(["0.1"], pa.string()), column([7], pa.int64())),
    ],
    ids=[
        "BIGINT and DOUBLE",
        "DECIMAL and DOUBLE",
        "DECIMAL and BIGINT",
        "two DECIMALs",
        "two far DECIMALs",
        "text and BIGINT",
    ],
)
def test_files_whose_types_differ_lose_no_digit(one: pa.Table, other: pa.Table, tmp_path: Path) -> None:
    """Where one file has a quantity as integers and another as doubles, each is exact, or the input is refused."""
    written(tmp_path, "a.parquet", one)
    written(tmp_path, "b.parquet", other)
    wanted = sorted(quantities(one) + quantities(other))

    try:
        found = sorted(quantities(tmp_path))
    except SchemaError:
        found = wanted

    assert wanted == found


def test_files_whose_times_differ_in_type_are_refused_by_name(tmp_path: Path) -> None:
    """Times as text, TIMESTAMP and TIMESTAMPTZ have no common type that keeps each moment; the column is named."""
    moment = datetime(2024, 7, 1, 12, tzinfo=UTC)
    for name, time in (("a", moment), ("b", moment.replace(tzinfo=None)), ("c", "2024-07-01T12:00:00Z")):
        written(tmp_path, f"{name}.parquet", pa.Table.from_pylist([{**one_row(id=name, time=time), "q": "1"}]))

    for pair in ("ab", "ac", "bc"):
        with pytest.raises(SchemaError, match=r"column time: found .* and .*; expected one type in all files"):
            meter([tmp_path / f"{name}.parquet" for name in pair], PLAIN, clock=CLOCK)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([0.1], pa.float32()), pa.array([0.1], pa.float64())),
        (pa.array([True]), pa.array([Decimal("1.50")])),
        (pa.array([True]), pa.array([7])),
        (pa.array([1]), pa.array([0.5])),
    ],
)
def test_files_whose_numbers_would_become_others_are_refused_by_name(
    one: pa.Array, other: pa.Array, tmp_path: Path
) -> None:
    """A FLOAT has other digits as a DOUBLE, and TRUE is no quantity, not one."""
    for name, values in (("a", one), ("b", other)):
        plain = pa.Table.from_pylist([one_row(id=name)])
        written(tmp_path, f"{name}.parquet", plain.append_column("q", values))

    with pytest.raises(SchemaError, match=r"column q: found .* and .*; expected one type in all files"):
        meter(tmp_path, PLAIN, clock=CLOCK)


def test_files_that_spell_a_property_with_other_capitals_are_refused_by_name(tmp_path: Path) -> None:
    """Q is not q: what SQL would count as one, no config means as one. A file that has both says nothing of others."""
    for name, spelled in (("a", "q"), ("b", "Q")):
        written(tmp_path, f"{name}.parquet", pa.Table.from_pylist([{**one_row(id=name), spelled: "1"}]))

    with pytest.raises(SchemaError, match=r"column 'Q'|column Q: found 'Q' and 'q'; expected one spelling"):
        meter(tmp_path, PLAIN, clock=CLOCK)

    both = pa.struct([("q", pa.string()), ("ID", pa.string())])
    for name, properties in (("a", {"q": "1", "ID": "x"}), ("b", {"q": "2"})):
        rows = pa.Table.from_pylist([one_row(id=name)])
        written(tmp_path / "nested", f"{name}.parquet", rows.append_column("properties", pa.array([properties], both)))
    assert [Decimal(1), Decimal(2)] == quantities(tmp_path / "nested")


def test_files_with_plain_properties_beside_those_with_one_column_are_refused_by_name(tmp_path: Path) -> None:
    """Of the first no property would be seen; a file that has none at all is as good as any."""
    bag = pa.array([{"q": "1"}], pa.struct([("q", pa.string())]))
    written(tmp_path, "a.parquet", pa.Table.from_pylist([one_row(id="a")]).append_column("properties", bag))
    written(tmp_path, "b.parquet", pa.Table.from_pylist([one_row(id="b")]))
    assert [Decimal(1)] == quantities(tmp_path)

    plain = written(tmp_path, "c.parquet", pa.Table.from_pylist([{**one_row(id="c"), "q": "2"}]))
    found = "found no such column, and q beside its fields; expected one, as in "
    with pytest.raises(SchemaError, match=f"^{plain}: column properties: {found}{tmp_path}/a.parquet. hint: "):
        meter(tmp_path, PLAIN, clock=CLOCK)


def test_folders_that_no_reader_would_agree_on_are_refused(tmp_path: Path) -> None:
    """A second = in a folder, of which DuckDB makes no partition."""
    row = pa.Table.from_pylist([{**one_row(), "q": "1"}])
    with pytest.raises(SourceError, match=r"found the folder region=x=y; expected one = in it"):
        meter(written(tmp_path / "region=x=y", "a.parquet", row), PLAIN, clock=CLOCK)
    assert [Decimal(1)] == quantities(written(tmp_path / "base64==", "a.parquet", row))


def test_names_that_something_of_ours_has_are_refused(tmp_path: Path) -> None:
    """A column that is called like one that is added, and a partition that would be a pattern."""
    row = pa.Table.from_pylist([{**one_row(), "q": "1", "metering_duck_file": "x"}])
    with pytest.raises(SchemaError, match="column metering_duck_file: found a name of ours; expected none that begins"):
        meter(written(tmp_path, "a.parquet", row), PLAIN, clock=CLOCK)
    plain = row.drop_columns(["metering_duck_file"])
    with pytest.raises(SourceError, match=r"found the folder tenant=b\?; expected no \*, \? or \[ in a partition"):
        meter(written(tmp_path / "tenant=b?", "a.parquet", plain), PLAIN, clock=CLOCK)


def test_trees_that_hide_rows_are_refused(tmp_path: Path) -> None:
    """A file beside the partitions, and a partition that is named twice on the way to a file."""
    row = pa.Table.from_pylist([{**one_row(), "q": "1"}])
    written(tmp_path / "half", "a.parquet", row)
    written(tmp_path / "half" / "workspace_id=b", "b.parquet", row.drop_columns(["workspace_id"]))
    with pytest.raises(SourceError, match=r"found the partitions .* and .*; expected the same in every path"):
        meter(tmp_path / "half", PLAIN, clock=CLOCK)
    deep = written(tmp_path / "date=1" / "x" / "date=2", "a.parquet", row)
    with pytest.raises(SourceError, match=r"found a partition twice in its path; expected it once"):
        meter(deep, PLAIN, clock=CLOCK)


def test_a_name_is_no_pattern(tmp_path: Path) -> None:
    """Brackets and stars in a file's name stand for themselves, also beside the files that they would match."""
    for number, name in enumerate(("a1", "a[1]", "b*", "b", "[c]?"), start=1):
        row = pa.Table.from_pylist([{**one_row(id=f"e{number}"), "q": str(number)}])
        written(tmp_path / "odd", f"{name}.parquet", row)
    assert [Decimal(number) for number in range(1, 6)] == sorted(quantities(tmp_path / "odd"))
    assert [Decimal(2)] == quantities(tmp_path / "odd" / "a[1].parquet")


def test_a_duckdb_file_is_named_as_one(tmp_path: Path) -> None:
    """Whoever forgets duckdb:// is told of it."""
    duckdb.connect(str(tmp_path / "usage.duckdb")).close()
    with pytest.raises(SourceError, match=r"found a DuckDB database; .* hint: duckdb://.*usage.duckdb\?table=events"):
        meter(tmp_path / "usage.duckdb", PLAIN, clock=CLOCK)


def test_a_table_without_columns_is_refused() -> None:
    """There is nothing to look for events in."""
    with pytest.raises(SourceError, match="found no column; expected those of events"):
        meter(pa.table({}), PLAIN, clock=CLOCK)


PROPERTIES: dict[str, tuple[pa.DataType, Any]] = {
    "a MAP of texts": (pa.map_(pa.string(), pa.string()), {"q": "2"}),
    "a MAP of integers": (pa.map_(pa.string(), pa.int64()), {"q": 2}),
    "a STRUCT of texts": (pa.struct([("q", pa.string())]), {"q": "2"}),
    "a STRUCT of integers and a new property": (
        pa.struct([("q", pa.int64()), ("region", pa.string())]),
        {"q": 2, "region": "eu"},
    ),
    "a STRUCT of doubles": (pa.struct([("q", pa.float64())]), {"q": 1.5}),
    "JSON": (pa.string(), '{"q": 2}'),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("first", "then"), list(itertools.permutations(PROPERTIES, 2)))
def test_files_whose_properties_differ_in_kind_lose_nothing(first: str, then: str, tmp_path: Path) -> None:
    """A MAP, then a STRUCT, then JSON; integers, then texts; a new property: each exact, or refused by name."""
    for name, kind in (("a", first), ("b", then)):
        wanted, properties = PROPERTIES[kind]
        row = {**one_row(id=name), "properties": properties}
        schema = pa.schema([*((k, pa.infer_type([v])) for k, v in one_row().items()), ("properties", wanted)])
        written(tmp_path, f"{name}.parquet", pa.Table.from_pylist([row], schema=schema))

    expected = [Decimal("1.5" if "double" in kind else "2") for kind in (first, then)]
    refusal = ""
    try:
        found = quantities(tmp_path)
    except SchemaError as error:
        found, refusal = expected, str(error)

    assert expected == found
    assert re.search(
        r"^$|column (properties(\.\w+)*|q|value): found .* and .*; expected one type in all files", refusal
    )


def test_files_may_spell_a_field_in_two_ways(tmp_path: Path) -> None:
    """A folder with workspace_id in one file and workspaceID in another is read as one."""
    written(tmp_path, "a.parquet", pa.Table.from_pylist([{**one_row(id="e1"), "q": "1"}]))
    spelled = {SPELLED.get(k, k): v for k, v in {**one_row(id="e2"), "q": "2"}.items()}
    written(tmp_path, "b.parquet", pa.Table.from_pylist([spelled]))

    assert [Decimal(1), Decimal(2)] == quantities(tmp_path)


FILE_NAMES = [
    "it's.{}", 'a"b.{}', "a;b--c.{}", "new\nline.{}", "tab\there.{}", "ü€😀.{}", "[br]*?.{}", "{{a,b}}.{}", "a=b.{}",
    "$x.{}", "%20.{}", " blank .{}", "a\\b.{}", "-.{}", "' OR 1=1; DROP TABLE x; --.{}", "~.{}",
]  # fmt: skip


@pytest.mark.sampled(2)
@pytest.mark.parametrize("suffix", ["ndjson", "parquet", "csv", "arrow"])
def test_any_file_name_is_a_name(suffix: str, tmp_path: Path) -> None:
    """Quotes, semicolons, comments, newlines, brackets and any plane of Unicode in a name are only a name."""
    paths = [tmp_path / name.format(suffix) for name in FILE_NAMES]
    for number, path in enumerate(paths):
        row = {**one_row(id=f"e{number}", time="2024-01-01T00:00:00Z"), "q": "bad"}
        texts = {"ndjson": json.dumps(row), "csv": f"{','.join(row)}\n{','.join(row.values())}\n"}
        os.rename(written(tmp_path, f"plain.{suffix}", texts.get(suffix, pa.Table.from_pylist([row]))), path)
    with meter(paths, PLAIN, clock=CLOCK) as records:
        found = records.accounting.read, {r["file"] for r in records.rejects.to_pylist()}

    assert (len(paths), {str(path) for path in paths} if suffix != "arrow" else {None}) == found


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", FILE_NAMES)
def test_any_file_name_can_be_given_alone(name: str, tmp_path: Path) -> None:
    """A name that looks like a glob, an option or SQL is first of all the file of that name."""
    path = tmp_path / name.format("ndjson")
    os.rename(written(tmp_path, "plain.ndjson", one_object('{"q": "1"}')), path)
    written(tmp_path, "b.ndjson", one_object('{"q": "2"}'))

    assert [Decimal(1)] == quantities(str(path))


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    """Folders are searched by their name too, brackets and quotes included."""
    folder = tmp_path / "it's [a] 'folder'; --"
    written(folder, "e.ndjson", json_lines())

    assert (8, 8) == tuple(
        aggregate(str(given), CONFIG, start=START, end=END).accounting.read for given in (folder, folder / "e.ndjson")
    )


def test_a_file_and_links_to_it_count_once(tmp_path: Path) -> None:
    """One file under several names in a folder is read once, and the notice names the links."""
    path = tmp_path / "z.ndjson"
    event = {"workspaceID": "acme", "universeID": "production", "type": "call", "subject": "customer:a"}
    path.write_text(json.dumps({**event, "time": "2024-01-02T00:00:00Z"}) + "\n", encoding="utf-8")
    (tmp_path / "a.ndjson").symlink_to(path)
    os.link(path, tmp_path / "zz.ndjson")
    config = {"measurements": [{"unit": "calls", "aggregation": "count"}]}
    for source in (tmp_path, f"{tmp_path}/*.ndjson"):
        with aggregate(source, config, start="2024-01-01", end="2025-01-01", generate_ids=True) as result:
            links = f"{tmp_path}/a.ndjson, {tmp_path}/zz.ndjson: found a link to a file that is read already; it counts"
            links += " once."
            assert (1, True) == (result.accounting.read, links in result.notices)
