"""One name, one column (R37): where a name could be two columns, the input is refused, with the option that decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas
import pyarrow as pa
import pytest

from metering_duck import ConfigError, SchemaError, SourceError, aggregate, meter, periods
from tests.inputs.forms import CLOCK, PLAIN, dimensions, one_row, quantities, reasons, written

TEXT_TIME = "2024-01-01T00:00:00Z"


def columns(*names: str) -> pa.Table:
    """One event with a text in each of these further columns, whatever their names."""
    row = {**one_row(time=TEXT_TIME)}
    values = [[value] for value in row.values()] + [[str(n + 1)] for n in range(len(names))]
    return pa.table([pa.array(value) for value in values], [*row, *names])


def members(*names: str) -> pa.Table:
    """One event whose properties are a STRUCT of these names."""
    held = pa.StructArray.from_arrays([pa.array([str(n + 1)]) for n in range(len(names))], list(names))
    return columns().append_column("properties", held)


TWICE: dict[str, Callable[[Path], Any]] = {
    "Parquet": lambda folder: written(folder, "e.parquet", columns("q", "q")),
    "Parquet, in the second file": lambda folder: [
        written(folder, "a.parquet", columns("q", "r")),
        written(folder, "e.parquet", columns("q", "q")),
    ],
    "Parquet, in a STRUCT": lambda folder: written(folder, "e.parquet", members("q", "q")),
    "Arrow": lambda _: columns("q", "q"),
    "Arrow, in a STRUCT": lambda _: members("q", "q"),
    "an Arrow stream": lambda _: columns("q", "q").to_reader(),
    "an Arrow file": lambda folder: written(folder, "e.arrow", columns("q", "q")),
    "pandas": lambda _: pandas.DataFrame([["1", "2"]], columns=["q", "q"]),
    "CSV": lambda folder: written(folder, "e.csv", "id,q,q\n1,2,3\n"),
    "other capitals in Parquet": lambda folder: written(folder, "e.parquet", columns("q", "Q")),
    "other capitals in a field": lambda folder: written(folder, "e.parquet", columns("q", "Subject")),
    "other capitals in a STRUCT": lambda _: members("q", "Q"),
    "other capitals in CSV": lambda folder: written(folder, "e.csv", "id,q,Q\n1,2,3\n"),
}


@pytest.mark.parametrize("kind", TWICE)
def test_a_name_that_is_there_twice_is_refused(kind: str, tmp_path: Path) -> None:
    """Twice, or with other capitals, at the top or in a STRUCT: the message names the column, and the file if any."""
    with pytest.raises((SchemaError, SourceError), match=r"(?i)column '?(q|q_1|subject)'?: found") as caught:
        quantities(TWICE[kind](tmp_path))
    if "e." in str(TWICE[kind](tmp_path)):
        assert "/e." in str(caught.value)


def mapped(*entries: tuple[str, str]) -> pa.Table:
    """One event whose properties are a MAP of these entries."""
    return columns().append_column("properties", pa.array([entries], pa.map_(pa.string(), pa.string())))


@pytest.mark.slow
def test_a_map_with_a_property_twice_is_a_reject(tmp_path: Path) -> None:
    """Of a MAP in Parquet SQL takes the first value; the row is rejected whichever name a command asks for."""
    twice = written(tmp_path, "twice.parquet", mapped(("q", "1"), ("q", "50")))
    other = written(tmp_path, "other.parquet", mapped(("q", "1"), ("x", "2"), ("x", "3")))

    for path in (twice, other):
        assert ([], ["property-repeated"]) == (quantities(path), [reason for _, reason in reasons(path)])
        with aggregate(path, PLAIN, **WINDOW, clock=CLOCK) as result:
            assert ([], 1) == (result.to_dicts(), result.rejects.num_rows)


@pytest.mark.parametrize("kind", ["table", "stream", "file"])
def test_an_arrow_map_with_a_key_twice_is_an_error_with_a_way_out(kind: str, tmp_path: Path) -> None:
    """DuckDB stops at such a MAP; as a list of entries its rows are rejected by themselves."""
    rows = mapped(("q", "1"), ("q", "50"))
    source = {"table": rows, "stream": rows.to_reader(), "file": written(tmp_path, "e.arrow", rows)}[kind]
    entries = pa.array([[{"key": "q", "value": "1"}, {"key": "q", "value": "50"}]])

    with pytest.raises(SourceError, match=r": a MAP has a key twice; expected each key once\. hint: .*list"):
        quantities(source)
    found = reasons(columns().append_column("properties", entries))
    assert ["property-repeated"] == [reason for _, reason in found]


def tree(folder: Path, key: str = "q", *, suffix: str = "parquet") -> str:
    """A Hive tree whose folder has a key, and a file with the column q = 1."""
    if suffix == "csv":
        row = {**one_row(time=TEXT_TIME), "q": "1"}
        text = f"{','.join(row)}\n{','.join(map(str, row.values()))}\n"
        written(folder, f"tree/{key}=5/part.csv", text)
    else:
        written(folder, f"tree/{key}=5/part.parquet", columns("q"))
    return str(folder / "tree")


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("key", ["q", "Q"])
def test_a_folder_key_beside_a_column_of_its_name_is_refused_unless_chosen(
    key: str, suffix: str, tmp_path: Path
) -> None:
    """In any case of letters; --folder-keys takes what the folder says, --no-folder-keys what the file says."""
    source = tree(tmp_path, key, suffix=suffix)

    with pytest.raises(SchemaError, match=rf"part.{suffix}: column q: found it beside the folder {key}=.*folder-keys"):
        quantities(source)
    assert [Decimal(1)] == quantities(source, folder_keys=False)
    assert [Decimal(5)] == quantities(source, folder_keys=True)


def test_a_folder_key_beside_a_column_is_found_in_any_file(tmp_path: Path) -> None:
    """The column may be in the last of many files only."""
    written(tmp_path, "tree/x=1/a.parquet", columns("q"))
    written(tmp_path, "tree/x=2/b.parquet", columns("q", "x"))

    with pytest.raises(SchemaError, match=r"b\.parquet: column x: found it beside the folder x="):
        quantities(str(tmp_path / "tree"))


def test_folder_keys_alone_are_columns_and_may_be_left_out(tmp_path: Path) -> None:
    """A key that no file has is a column as ever; without folder keys it is none."""
    source = tree(tmp_path, "region")

    assert ([{"region": "5"}], [{}]) == (dimensions(source), dimensions(source, folder_keys=False))


def test_folder_keys_that_differ_in_case_are_refused(tmp_path: Path) -> None:
    """One path with `a=` and `A=` has one partition twice."""
    written(tmp_path, "tree/a=1/A=2/part.parquet", columns("q"))

    with pytest.raises(SourceError, match="a partition twice"):
        quantities(str(tmp_path / "tree"))


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_folder_key_that_is_another_spelling_of_a_field_is_refused_unless_chosen(suffix: str, tmp_path: Path) -> None:
    """A folder workspaceID=evil would bill another customer than the column workspace_id says."""
    source = tree(tmp_path, "workspaceID", suffix=suffix)

    with pytest.raises(SchemaError, match=r"found the folder workspaceID=… and workspace_id, .*--no-folder-keys"):
        quantities(source)
    assert [["5"], [one_row()["workspace_id"]]] == [
        workspaces(source, folder_keys=True),
        workspaces(source, folder_keys=False),
    ]


def workspaces(source: Any, **options: Any) -> list[str]:
    """The workspace of each record."""
    with meter(source, PLAIN, clock=CLOCK, **options) as records:
        return list(records.to_arrow()["workspace_id"].to_pylist())


SPELLED_TWICE: dict[str, Callable[[Path], Any]] = {
    "a table": lambda _: columns("workspaceID", "q"),
    "a stream": lambda _: columns("workspaceID", "q").to_reader(),
    "Parquet": lambda folder: written(folder, "e.parquet", columns("workspaceID", "q")),
    "Parquet, in the second file": lambda folder: [
        written(folder, "a.parquet", columns("q")),
        written(folder, "e.parquet", columns("workspaceID", "q")),
    ],
    "Arrow": lambda folder: written(folder, "e.arrow", columns("workspaceID", "q")),
    "CSV": lambda folder: written(
        folder, "e.csv", f"{','.join(one_row())},workspaceID,q\n{',x' * len(one_row())},x,1\n"
    ),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", SPELLED_TWICE)
def test_two_columns_for_one_field_are_refused_unless_mapped(kind: str, tmp_path: Path) -> None:
    """workspaceID beside workspace_id: none is taken without a word; --map says which is."""
    with pytest.raises(SchemaError, match=r"found workspaceID and workspace_id, .* hint: --map workspace_id=COLUMN"):
        quantities(SPELLED_TWICE[kind](tmp_path))
    if kind != "CSV":
        mapped = {"workspace_id": "workspaceID", "properties": "q"}
        assert ["1"] == workspaces(SPELLED_TWICE[kind](tmp_path), map=mapped)[-1:]


@pytest.mark.slow
def test_an_object_with_one_field_under_two_names_is_rejected(tmp_path: Path) -> None:
    """In dicts and in NDJSON; without a value one of the two is no second field, and a mapped name is taken."""
    plain = {**one_row(time=TEXT_TIME), "properties": {"q": "1"}}
    twice = {**plain, "id": "e2", "workspaceID": "other"}
    path = written(tmp_path, "e.ndjson", f"{json.dumps(plain)}\n{json.dumps(twice)}\n")

    for source in ([plain, twice], path):
        assert ["property-repeated"] == [reason for _, reason in reasons(source)]
        assert [Decimal(1)] == quantities(source)
        assert [] == reasons(source, map={"workspace_id": "workspace_id"})
    assert [] == reasons([{**plain, "workspaceID": None}])


RECORD = {
    "id": "r",
    "workspace_id": "w",
    "universe_id": "u",
    "subject": "c:1",
    "recorded_at": TEXT_TIME,
    "source_event_id": "e",
    "measurement": {"quantity": "1", "unit": "things", "aggregation": "sum"},
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("other", [{"quantity": "5"}, {"recordedAt": "2024-01-02T00:00:00Z"}, {"unit": "x"}])
def test_a_record_with_one_field_under_two_names_is_no_record(other: dict[str, str], tmp_path: Path) -> None:
    """`measurement.quantity` beside `quantity`, recordedAt beside recorded_at: refused in columns, rejected in JSON."""
    for found in (
        pa.Table.from_pylist([{**RECORD, **other}]),
        written(tmp_path, "r.parquet", pa.Table.from_pylist([{**RECORD, **other}])),
    ):
        with pytest.raises(SchemaError, match=r"which are one field; expected one of them\. hint: --map"):
            aggregate(records=found, start="2024-01-01", end="2024-02-01", clock=CLOCK)
    with aggregate(records=[RECORD, {**RECORD, "id": "s", **other}], **WINDOW, clock=CLOCK) as result:
        rejected = result.rejects.to_pylist()
        assert ([Decimal(1)], ["property-repeated"]) == (
            [row["quantity"] for row in result.to_dicts()],
            [row["reason"] for row in rejected],
        )


def test_folder_keys_is_a_choice() -> None:
    """The option is True, False or not given."""
    with pytest.raises(ConfigError, match="folder-keys: found 'yes'; expected True or False"):
        quantities([one_row()], folder_keys="yes")


WINDOW = {"start": "2024-01-01", "end": "2024-02-01"}
SUBSCRIBED = "universe,subject,interval,starts,ends\nu,c:1,month,2024-01-01,2024-02-01\n"


def test_columns_of_subscriptions_that_are_almost_ours_are_refused(tmp_path: Path) -> None:
    """`start` and `end` of a listed window are not `starts` and `ends` of a subscription: the hint says which."""
    text = SUBSCRIBED.replace("starts,ends", "start,end")

    with pytest.raises(SchemaError, match="column start: found it, almost starts; expected starts"):
        periods(subscriptions=written(tmp_path, "s.csv", text), **WINDOW)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("subscriptions", SUBSCRIBED, None),
        (
            "subscriptions",
            SUBSCRIBED.replace("ends\n", "ends,plan,note\n").replace("02-01\n", "02-01,pro,\n"),
            "subscriptions: found 'plan', 'note', which mean nothing in this table; its columns are universe, subject, "
            "interval, anchor, zone, starts, ends.",
        ),
        ("windows", "start,end\n2024-01-01,2024-02-01\n", None),
        (
            "windows",
            "start,end,interval\n2024-01-01,2024-02-01,day\n",
            "windows: found the column 'interval', which means nothing in this table; its columns are universe, "
            "subject, start, end, zone.",
        ),
    ],
)
def test_columns_of_a_table_of_windows_that_mean_nothing_are_said(
    kind: str, text: str, said: str | None, tmp_path: Path
) -> None:
    """What a table has beside its own columns is named in a notice, once."""
    event = {**one_row(time=TEXT_TIME), "properties": {"q": "1"}}
    with aggregate([event], PLAIN, clock=CLOCK, **{kind: written(tmp_path, "t.csv", text)}) as result:
        assert ([Decimal(1)], [said] if said else []) == (
            [row["quantity"] for row in result.to_dicts()],
            result.notices,
        )


LISTED = '{"start": "2024-01-01", "end": "2024-02-01"}\n'


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "t.csv",
            "start,window_start,end\n2024-01-01,2024-01-09,2024-02-01\n",
            "t.csv: column start: found start and win",
        ),
        (
            "t.ndjson",
            LISTED.replace("{", '{"window_start": "2024-01-09", '),
            "t.ndjson: column line: found .* in row 1;",
        ),
        ("t.ndjson", LISTED.replace("{", '{"start": "2024-01-09", '), "t.ndjson: column line: found .* in row 1;"),
        (
            "t.ndjson",
            f"{LISTED}garbage\n",
            "^[^,]*t.ndjson: column line: found 'garbage' in row 2; expected a JSON object",
        ),
    ],
)
def test_windows_with_a_field_under_two_names_are_refused(name: str, text: str, said: str, tmp_path: Path) -> None:
    """In columns and in objects; a line that is no object is told by its row, and the events are not named."""
    path, events = written(tmp_path, name, text), written(tmp_path, "e.parquet", columns("q"))
    with pytest.raises(SchemaError, match=said):
        aggregate(events, PLAIN, windows=path, clock=CLOCK)


def test_files_of_windows_may_spell_a_field_each_in_its_way(tmp_path: Path) -> None:
    """Each object and each file has one of the names; a column without a name is said."""
    other = '{"window_start": "2024-02-01", "window_end": "2024-03-01"}\n'
    bounds = [("2024-01-01", "2024-02-01"), ("2024-02-01", "2024-03-01")]
    csv = [
        written(tmp_path, "a.csv", "zone,start,end,\nUTC,2024-01-01,2024-02-01,x\n"),
        written(tmp_path, "b.csv", "zone,window_start,window_end\nUTC,2024-02-01,2024-03-01\n"),
    ]
    for given in (written(tmp_path, "t.ndjson", LISTED + other), csv):
        rows = periods(windows=given).to_dicts()
        assert bounds == [(str(row["window_start"])[:10], str(row["window_end"])[:10]) for row in rows]
    event = {**one_row(time=TEXT_TIME), "properties": {"q": "1"}}
    with aggregate([event], PLAIN, windows=csv[0], clock=CLOCK) as result:
        assert [f"{csv[0]}: 1 column has no name and is ignored."] == result.notices


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("part", "twice"),
    [
        ('"measurement": {"quantity"', '"measurement": {"quantity": "9", "quantity"'),
        ('"measurement": {"quantity"', '"observations": [{"quantity": "9", "quantity": "1", "unit": "x"}], "y": {"y"'),
        ('"subject"', '"window": {"start": "2023-01-01", "start": "2024-01-01"}, "subject"'),
        (
            '"measurement": {"quantity"',
            '"observations": [{"quantity": "1", "window": {"start": "2023-01-01", "start": "2024-01-01"}}], "y": {"y"',
        ),
    ],
)
def test_a_record_with_a_name_twice_within_it_is_a_reject(part: str, twice: str, tmp_path: Path) -> None:
    """In measurement, in window and in an observation: of none the first is taken."""
    line = json.dumps(RECORD)
    assert part in line
    other = line.replace(part, twice).replace('"r"', '"s"')
    path = written(tmp_path, "r.ndjson", f"{line}\n{other}\n")
    with aggregate(records=path, **WINDOW, clock=CLOCK) as result:
        assert ([Decimal(1)], ["property-repeated"]) == (
            [row["quantity"] for row in result.to_dicts()],
            [row["reason"] for row in result.rejects.to_pylist()],
        )


def test_a_property_twice_within_a_wrapper_is_a_reject(tmp_path: Path) -> None:
    """Also where --map takes one property out of the object that has it twice."""
    line = (
        '{"identifier": "1", "event_name": "llm", "timestamp": 1704153600, '
        '"payload": {"stripe_customer_id": "c:a", "q": "1", "q": "50"}}\n'
    )
    path = written(tmp_path, "e.ndjson", line)
    mapped = {"workspace_id": "'w'", "universe_id": "'u'"}
    for chosen in (mapped, {**mapped, "properties.q": "q"}):
        assert ["property-repeated"] == [reason for _, reason in reasons(path, from_="stripe", map=chosen)]
