"""How CSV files begin: columns without a name, Excel's line about the delimiter, and what is refused."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from metering_duck import SchemaError, SourceError, meter, periods, rollup
from tests.files.harm import CONFIG, metered, zstd
from tests.worlds import CLOCK

HEADER = "id,workspace_id,universe_id,type,subject,time,q"
ROWS = ("e1,w,u,t,s,2024-01-01T00:00:00Z,1", "e2,w,u,t,s,2024-01-02T00:00:00Z,2")


def written(path: Path, *lines: str, end: str = "\n") -> Path:
    """A CSV file of lines."""
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def notices(path: Path | str) -> list[str]:
    """What a run says of its files."""
    with meter(path, CONFIG, clock=CLOCK) as records:
        assert Decimal(3) == sum(records.to_arrow()["quantity"].to_pylist())
        return [notice for notice in records.notices if "no name" in notice]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("{}", []),
        (",{}", ["1 column has no name and is ignored."]),
        ("{},", ["1 column has no name and is ignored."]),
        (",{},, ", ["4 columns have no name and are ignored."]),
    ],
)
def test_columns_without_a_name_are_ignored_with_a_note(form: str, said: list[str], tmp_path: Path) -> None:
    """The index of pandas in front, and commas behind, are no columns; the run says how many there were."""
    if said and said[0].startswith("4"):
        form = f",{form}"
    path = written(tmp_path / "a.csv", *(form.format(line) for line in (HEADER, *ROWS)))

    assert [f"{path}: {one}" for one in said] == notices(path)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("size", [65_534, 65_536, 130_000])
@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "csv.zst"])
def test_a_header_of_any_length_is_read_to_its_end(size: int, suffix: str, tmp_path: Path) -> None:
    """No column is cut, and none behind it is lost, where a header is longer than what is looked at first."""
    long = f"{HEADER},{'x' * (size - len(HEADER) - 2)},tier"
    text = "\n".join((long, f"{ROWS[0]},,a", f"{ROWS[1]},,b")).encode()
    path = tmp_path / f"a.{suffix}"
    path.write_bytes({"csv": bytes, "csv.gz": gzip.compress, "csv.zst": zstd}[suffix](text))
    kept = {"property": "tier", "notEquals": "a"}
    config = {"measurements": [{"sourceProperty": "q", "unit": "seats", "filter": kept}]}
    with meter(path, config, clock=CLOCK) as records:
        assert [Decimal(2)] == records.to_arrow()["quantity"].to_pylist()


def test_a_name_of_any_length_is_an_error(tmp_path: Path) -> None:
    """A header that is no header, such as a file without a line end, is told as one."""
    path = written(tmp_path / "a.csv", HEADER + "x" * 200_000, ROWS[0])

    assert str(metered(path)).startswith(f"{path}: found a column whose name has more than 131,072 characters; ")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("\n\n", "is empty"),
        ("\nid,q\n", "line 1 is blank"),
        ("sep=;\n\nid;q\n", "line 2 is blank"),
        ("sep=;\n", "has no line behind the one that says the delimiter"),
        (",,\n1,2,3\n", "line 1 has no column with a name"),
    ],
)
def test_a_file_without_a_header_says_what_it_has_instead(text: str, found: str, tmp_path: Path) -> None:
    """A blank line is no header, and a file that has lines is not empty."""
    path = written(tmp_path / "a.csv", text, end="")

    assert f"{path}: {found}; expected a header line with the columns' names." == metered(path)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("unicode,w,u,t,s,t,LONG", "line 2 has 2,100,"),
        ("unicode,2,3", "line 2 has 3 columns; expected 7, as in its header."),
        ('"unicode\nExpected Number of Columns: 9 Found: 7",w,u,t,s,t,"x"y', "line 2 has a quoted value that does not"),
        ("unterminated quote,w,u,t,s,t,\udcff", "line 2 is not UTF-8; expected text in UTF-8. hint: save it as UTF-8"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_by_its_fault(row: str, said: str, tmp_path: Path) -> None:
    """What the line itself says is not taken for what is wrong with it."""
    path, text = tmp_path / "a.csv.gz", f"{HEADER}\n{row}\n".replace("LONG", "x" * 2_100_000)
    path.write_bytes(gzip.compress(text.encode(errors="surrogateescape")))

    assert str(metered(path)).startswith(f"{path}: {said}")


def test_files_with_and_without_an_unnamed_column_are_read_together(tmp_path: Path) -> None:
    """The note is about the files that have such columns."""
    written(tmp_path / "a.csv", f"{HEADER},", f"{ROWS[0]},9")
    written(tmp_path / "b.csv", HEADER, ROWS[1])

    assert [f"{tmp_path}/a.csv: 1 column has no name and is ignored."] == notices(str(tmp_path))


def test_files_that_spell_a_column_with_other_capitals_are_refused(tmp_path: Path) -> None:
    """Q is not q, in whatever order the files are named."""
    paths = [written(tmp_path / "a.csv", f"{HEADER},tier"), written(tmp_path / "b.csv", f"{HEADER},Tier")]

    for named in (paths, paths[::-1]):
        with pytest.raises(SchemaError, match=r"column [tT]ier: found 'Tier' and 'tier'; expected one spelling"):
            meter(named, CONFIG, clock=CLOCK)


def test_a_row_that_lacks_the_unnamed_column_is_an_error(tmp_path: Path) -> None:
    """A column without a name is a column all the same: each row has it."""
    path = written(tmp_path / "a.csv", f"{HEADER},", f"{ROWS[0]},", ROWS[1])

    assert f"{path}: line 3 has 7 columns; expected 8, as in its header." == metered(path)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("mark", ["sep=;", '"sep=;"', "SEP=;", "\ufeffsep=;"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_excels_first_line_says_the_delimiter(mark: str, end: str, tmp_path: Path) -> None:
    """A line sep=; before the header is no header, and what it says is the delimiter."""
    lines = [line.replace(",", ";") for line in (HEADER, *ROWS)]

    assert Decimal(3) == metered(written(tmp_path / "a.csv", mark, *lines, end=end))


@pytest.mark.parametrize("delimiter", [",", "\t", "|", ":", "#"])
def test_excels_first_line_may_say_any_character(delimiter: str, tmp_path: Path) -> None:
    """Any character may stand between columns."""
    quoted = [line.replace("2024", '"2024').replace("Z", 'Z"') for line in (HEADER, *ROWS)]
    lines = [line.replace(",", delimiter) for line in quoted]

    assert Decimal(3) == metered(written(tmp_path / "a.csv", f"sep={delimiter}", *lines))


def test_a_nul_in_the_header_is_an_error(tmp_path: Path) -> None:
    """The error names the file and the column."""
    with pytest.raises(SourceError, match=r"a.csv: column 'n\\x00o': found a NUL in its name") as refused:
        meter(written(tmp_path / "a.csv", f"{HEADER},n\0o"), CONFIG)

    assert ". hint: " in str(refused.value)


@pytest.mark.parametrize("row", [ROWS[0] + ",9", "e3,w,u"])
def test_a_row_of_other_columns_names_the_file_and_the_line(row: str, tmp_path: Path) -> None:
    """A row with a column more, or less, deep in a file, is an error that says where it is."""
    rows = [ROWS[0].replace("e1", f"e{n}") for n in range(30_000)]
    found = metered(written(tmp_path / "a.csv", HEADER, *rows, row, ROWS[1]))

    assert str(found).startswith(f"{tmp_path}/a.csv: line 30002 has ")


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("rows", [(0, 0), (1, 0), (1, 1)])
@pytest.mark.parametrize("megabytes", [3, 33, 70])
def test_a_long_row_is_read_or_an_error_with_its_file(rows: tuple[int, int], megabytes: int, tmp_path: Path) -> None:
    """A row of many megabytes is never lost, wherever it stands; one that is too long is an error."""
    before, behind = rows
    long = f"e3,w,u,t,s,2024-01-01T00:00:00Z,4,{'x' * (megabytes * 1_000_000)}"
    lines = [f"{HEADER},note", *([f"{ROWS[0]},"] * before), long, *([f"{ROWS[1]},"] * behind)]
    found = metered(written(tmp_path / "long.csv", *lines))

    expected = Decimal(4 + before + 2 * behind)
    assert expected == found if megabytes < 64 else str(found).startswith(f"{tmp_path}/long.csv: ")
    assert len(str(found)) < 1_000


def test_a_long_row_of_short_lines_is_never_lost(tmp_path: Path) -> None:
    """A quoted value of many lines makes a row too long for the reader: an error, since the rows are counted apart."""
    value = "x" * 99 + "\n"
    long = f'e3,w,u,t,s,2024-01-01T00:00:00Z,4,"{value * 340_000}"'
    found = metered(written(tmp_path / "long.csv", f"{HEADER},note", f"{ROWS[0]},", long))

    assert str(found).startswith(f"{tmp_path}/long.csv: ")


def test_files_of_no_shared_column_are_refused(tmp_path: Path) -> None:
    """A file whose header shares no name with the others is refused, columns without a name aside."""
    written(tmp_path / "a.csv", f",{HEADER}", f"0,{ROWS[0]}")
    written(tmp_path / "b.csv", ",x", "1,2")
    with pytest.raises(SchemaError, match=r"b.csv: column x: found a header of its own"):
        meter(tmp_path, CONFIG)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (f'"a|b|c|d|e|f|g|h|i|j",{HEADER}', "x,{}"),
        (f'{HEADER},"a;b;c;d;e\nf;g;h;i;""j"""', "{},x"),
        (HEADER.replace(",", ";") + ';"a,b,c,d,e,f,g,h,i"', "{};x"),
        (f'5" a;b,{HEADER}', "x,{}"),
    ],
)
def test_delimiters_in_quotes_do_not_count(header: str, value: str, tmp_path: Path) -> None:
    """A quoted name may have more of another delimiter, also over several lines; a quote within a name opens none."""
    rows = [value.format(row.replace(",", ";") if ";x" in value else row) for row in ROWS]
    assert Decimal(3) == metered(written(tmp_path / "e.csv", header, *rows))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (HEADER.replace(",", ":"), r"among id:.*:q, which ',' divides; expected"),
        (HEADER.replace("subject", '"who|what"'), r"among id, .*, which ',' divides; expected"),
        (HEADER.replace("subject", "who"), "time, q; expected"),
    ],
)
def test_a_doubtful_delimiter_is_said_where_columns_are_not_found(header: str, said: str, tmp_path: Path) -> None:
    """Of one column, or where another delimiter is in a name; of events, and of tables of ours."""
    path = written(tmp_path / "e.csv", header, ROWS[0])
    with pytest.raises(SchemaError, match=said):
        meter(path, CONFIG)
    with pytest.raises(SchemaError, match="which ',' divides; expected"):
        rollup(written(tmp_path / "r.csv", "a:b:c", "1"))
    with pytest.raises(SchemaError, match="which ',' divides; expected"):
        periods(windows=str(written(tmp_path / "w.csv", "a:b", "1")))


@pytest.mark.parametrize("name", ["metering_duck_file", "metering_duck_unnamed_7", "Metering_Duck_row"])
@pytest.mark.parametrize("before", ["", ","])
def test_columns_with_names_of_ours_are_refused(name: str, before: str, tmp_path: Path) -> None:
    """As in Parquet; beside a column without a name, too."""
    path = written(tmp_path / "e.csv", f"{before}{HEADER},{name}", f"{before}{ROWS[0]},x")
    with pytest.raises(SchemaError, match=f"e.csv: column {name}: found a name of ours"):
        meter(path, CONFIG)
