"""Excel workbooks: exact numbers or exact text, never a formula, the same bytes; a sheet that says how it is kept."""

from __future__ import annotations

import datetime
import io
import json
import subprocess
import sys
import time
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape

import metering_duck
from metering_duck import ConfigError, Rows
from metering_duck.cli.main import cli
from metering_duck.cli.screen import grid_text
from metering_duck.engine.duckdb import Engine
from metering_duck.outputs.workbooks import sheet_name, write_workbook
from metering_duck.statements.stages import Query, Stage
from tests.worlds import event

NUMBER, TEXT = "number, exact to 15 digits", "text, exact"
CONFIG = {"measurements": [{"sourceProperty": "tokens", "unit": "tokens", "aggregation": "sum"}]}
EVENTS = [
    event(
        f"e{n}",
        f"2024-01-0{n + 1}T10:00:00Z",
        {"tokens": tokens, "region": "eu"},
        workspace="acme",
        universe="production",
        type="llm",
        subject=subject,
    )
    for n, (subject, tokens) in enumerate((("=1+1", "100"), ("+49 30 1", "2.50"), ("=1+1", "0.125")))
]
WINDOW = {"start": "2024-01-01", "end": "2024-02-01", "clock": "2024-06-01T00:00:00Z"}


def rows_of(shape: str = "row", /, **columns: Any) -> Rows:
    """Rows with these columns, each an Arrow array or a list of texts."""
    engine = Engine()
    engine.keep("given", pa.table(columns))
    return Rows(engine, Query("rows", (Stage("rows", "all", "SELECT * FROM given"),)), shape)


def workbook_bytes(rows: Rows) -> bytes:
    """The workbook that the rows become."""
    buffer = io.BytesIO()
    rows.write_to(buffer, "xlsx")
    return buffer.getvalue()


def opened(rows: Rows) -> Any:
    """The workbook that the rows become, as openpyxl reads it."""
    with rows:
        return openpyxl.load_workbook(io.BytesIO(workbook_bytes(rows)))


def column(sheet: Any, name: str) -> list[Any]:
    """The cells of a column, below its header."""
    return next(cells[1:] for cells in sheet.iter_cols() if cells[0].value == name)


def values(sheet: Any, name: str) -> list[Any]:
    """The values of a column; of texts what Excel shows, which undoes _x0001_."""
    return [unescape(cell.value) if isinstance(cell.value, str) else cell.value for cell in column(sheet, name)]


def kept(book: Any) -> dict[str, str]:
    """Column → how it is kept, as the second sheet says."""
    rows = list(book["About"].iter_rows(min_row=2, max_col=2, values_only=True))
    return dict(rows[: rows.index((None, None))])


def decimals(*texts: str | None) -> pa.Array:
    """A column of DECIMAL(38, 18)."""
    return pa.array([None if text is None else Decimal(text) for text in texts], pa.decimal128(38, 18))


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_decimals_of_15_digits_are_numbers() -> None:
    """A DECIMAL column whose values have 15 digits at most is numbers, shown with as many behind the point as any
    has."""
    book = opened(rows_of(quantity=decimals("12345678901.2345", "-0.5", None, "10000000000000000000", "0")))
    cells = column(book.worksheets[0], "quantity")

    assert [12345678901.2345, -0.5, None, 1e19, 0] == [cell.value for cell in cells]
    assert ["n"] * 5 == [cell.data_type for cell in cells]
    assert {"0.0000"} == {cell.number_format for cell in cells if cell.value is not None}
    assert {"quantity": NUMBER} == kept(book)


def test_the_file_holds_the_digits_themselves() -> None:
    """What is written of a number is its decimal digits, not those of the nearest binary fraction."""
    with rows_of(quantity=decimals("8.10000000000001", "0.3", "132804")) as rows:
        sheet = zipfile.ZipFile(io.BytesIO(workbook_bytes(rows))).read("xl/worksheets/sheet1.xml").decode()

    assert ["8.10000000000001", "0.3", "132804"] == [part.split("</v>")[0] for part in sheet.split("<v>")[1:]]


def test_whole_numbers_have_no_point() -> None:
    """Integers, and DECIMALs without a fraction, are numbers that are shown without one."""
    book = opened(rows_of(quantity=decimals("132804", "7"), record_count=pa.array([120, 3], pa.int64())))
    cells = [*column(book.worksheets[0], "quantity"), *column(book.worksheets[0], "record_count")]

    assert [132804, 7, 120, 3] == [cell.value for cell in cells]
    assert {"0"} == {cell.number_format for cell in cells}


@pytest.mark.parametrize("long", ["11.774193548387096774", "1234567890123456", "0.1234567890123456"])
def test_one_longer_value_makes_its_column_text(long: str) -> None:
    """Where a value has more than 15 digits, its whole column is exact text, plain and on the right."""
    book = opened(rows_of(quantity=decimals("2.50", long)))
    cells = column(book.worksheets[0], "quantity")

    assert ["2.5", long] == [cell.value for cell in cells]
    assert {("s", "@", "right")} == {(cell.data_type, cell.number_format, cell.alignment.horizontal) for cell in cells}
    assert {"quantity": TEXT} == kept(book)


def test_a_fraction_that_no_format_shows_is_text() -> None:
    """Excel shows 30 digits behind the point; a number that needs more is text."""
    small = pa.array([Decimal("1e-31")], pa.decimal128(38, 38))
    book = opened(rows_of(quantity=small))

    assert ["0." + "0" * 30 + "1"] == values(book.worksheets[0], "quantity")
    assert {"quantity": TEXT} == kept(book)


def test_quantities_that_are_text_are_numbers_if_all_are_plain() -> None:
    """The texts that may be quantities are numbers if every one is a plain decimal; other texts stay texts."""
    columns = {"old": ["1.50", None], "new": ["1.5", "n/a"], "delta": ["007", "1"], "numerator": [None, None]}
    book = opened(rows_of(**{name: pa.array(texts, pa.string()) for name, texts in columns.items()}, code=["1", "2"]))
    sheet = book.worksheets[0]

    assert [1.5, None] == values(sheet, "old")
    assert "0.00" == column(sheet, "old")[0].number_format
    assert [["1.5", "n/a"], ["007", "1"], ["1", "2"]] == [values(sheet, name) for name in ("new", "delta", "code")]
    assert {"old": NUMBER, "new": TEXT, "delta": TEXT, "numerator": NUMBER, "code": TEXT} == kept(book)


@given(
    st.lists(
        st.integers(-(10**15) + 1, 10**15 - 1).flatmap(
            lambda n: st.integers(0, 18).map(lambda s: Decimal(n).scaleb(-s))
        ),
        min_size=1,
        max_size=50,
    )
)
@settings(max_examples=10)
def test_any_number_of_15_digits_comes_back(numbers: list[Decimal]) -> None:
    """Read back and shown with 15 digits, every number is the one that was written."""
    sheet = opened(rows_of(quantity=pa.array(numbers, pa.decimal128(38, 18)))).worksheets[0]

    assert numbers == [Decimal(f"{value:.15g}") for value in values(sheet, "quantity")]


# --- texts -----------------------------------------------------------------------------------------------------------

HOSTILE = [
    "=1+1",
    "+49 30 1234",
    "-1",
    "@SUM(A1)",
    '=HYPERLINK("http://x")',
    "http://example.com/",
    "mailto:a@example.com",
    "007",
    "1e5",
    "2024-01-01",
    "TRUE",
    "'quoted",
    " spaces ",
    "tab\tline\nreturn\r\n",
    "a\x00b\x1f",
    "\ufffe\uffff",
    "_x0041_",
    "_x0041_x0042_",
    "_x0041\x01",
    "<r>x</r>",
    "<r><t>&amp;</t></r>",
    "&lt;<>&\"'",
    "😀",
]


def test_texts_stay_what_they_are() -> None:
    """What looks like a formula, a link, a number, a time or markup is text, character by character."""
    cells = column(opened(rows_of(subject=HOSTILE)).worksheets[0], "subject")

    assert HOSTILE == [unescape(cell.value) for cell in cells]
    assert {("s", "@", None)} == {(cell.data_type, cell.number_format, cell.hyperlink) for cell in cells}


@given(st.lists(st.text(min_size=1) | st.text("_x0041\x01<r>/", min_size=1), min_size=1, max_size=100))
@settings(max_examples=20)
def test_any_text_comes_back(texts: list[str]) -> None:
    """Every text is shown as it was."""
    assert texts == values(opened(rows_of(subject=texts)).worksheets[0], "subject")


def test_names_of_columns_are_texts() -> None:
    """A column's name may look like a formula or markup, too."""
    book = opened(rows_of(**{"=1+1": ["a"], "<r>": ["b"]}))

    assert [("=1+1", "<r>"), ("a", "b")] == list(book.worksheets[0].values)
    assert {"=1+1": TEXT, "<r>": TEXT} == kept(book)


def test_times_maps_and_truths() -> None:
    """Times are RFC 3339 in UTC, maps and lists JSON, what is true or false is Excel's own; nothing is an empty
    cell."""
    moment = datetime.datetime(2024, 3, 31, 1, 30, 0, 5, datetime.UTC)
    rows = rows_of(
        recorded_at=pa.array([moment, None], pa.timestamp("us", tz="UTC")),
        dimensions=pa.array([[("region", "eu"), ("a", '"')], []], pa.map_(pa.string(), pa.string())),
        parts=pa.array([[1, 2], None], pa.list_(pa.int64())),
        carried=pa.array([True, None]),
    )
    book = opened(rows)
    first, second = list(book.worksheets[0].values)[1:]

    assert ("2024-03-31T01:30:00.000005Z", {"region": "eu", "a": '"'}, [1, 2], True) == (
        first[0],
        json.loads(first[1]),
        json.loads(first[2]),
        first[3],
    )
    assert (None, "{}", None, None) == second
    assert {
        "recorded_at": "text, ISO 8601 in UTC",
        "dimensions": "text, JSON",
        "parts": "text, JSON",
        "carried": "TRUE or FALSE",
    } == kept(book)


# --- sheets ----------------------------------------------------------------------------------------------------------


def test_a_sheet_opens_ready_to_read() -> None:
    """The header is bold, frozen and filters, columns are as wide as they need, within bounds."""
    sheet = opened(rows_of("reading", id=["x" * 500, "y"], quantity=decimals("1.25", "123456789"))).worksheets[0]
    widths = [sheet.column_dimensions[letter].width for letter in "AB"]

    assert ("A2", "A1:B3", [True, True]) == (sheet.freeze_panes, sheet.auto_filter.ref, [c.font.b for c in sheet[1]])
    assert [60, 13] == [int(width) for width in widths]


def test_the_second_sheet_says_how_it_is_kept() -> None:
    """Behind the columns, About says what Excel does to numbers and times, and where all digits are."""
    book = opened(rows_of("record", id=["a"]))
    notes = " ".join(row[0] for row in book["About"].iter_rows(min_row=4, values_only=True))

    assert ["records", "About"] == book.sheetnames
    assert ("column", "kept as") == next(book["About"].values)
    assert "Excel adds in binary floating point: sums of many cells may differ in the last digits." in notes
    assert "Excel has no time zone: times are text, in UTC." in notes
    assert "Parquet, CSV and JSON keep every digit." in notes


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ("reading", "readings"),
        ("record-bundle", "record bundles"),
        ("entry", "entries"),
        ("day", "days"),
        ("batch", "batches"),
        ("", "rows"),
        ("a/b", "rows"),
        ("x" * 40, "rows"),
    ],
)
def test_a_sheet_is_named_after_its_rows(shape: str, name: str) -> None:
    """The sheet has the plural of what a row is, or "rows" where that cannot name a sheet."""
    assert name == sheet_name(shape)


def test_no_row_is_a_header() -> None:
    """Without rows there is a sheet with its header, and About."""
    book = opened(rows_of("reading", id=pa.array([], pa.string()), quantity=decimals()))

    assert [("id", "quantity")] == list(book.worksheets[0].values)
    assert {"id": TEXT, "quantity": NUMBER} == kept(book)


@pytest.mark.slow
def test_the_same_rows_are_the_same_bytes() -> None:
    """A workbook holds no time of day and no name of a temporary file."""
    columns = {"id": ["a", "b"], "quantity": decimals("1", "2.5")}
    with rows_of("record", **columns) as one, rows_of("record", **columns) as other:
        first = workbook_bytes(one)
        time.sleep(2.1)  # a zip's times are two seconds apart

        assert first == workbook_bytes(other)


def test_too_many_rows_are_refused() -> None:
    """More rows than a sheet holds are an error that says where they would fit, and nothing is written."""
    query = Query("rows", (Stage("rows", "many", "SELECT range AS id FROM range(2000)"),))
    buffer = io.BytesIO()
    with Engine() as engine, pytest.raises(ConfigError) as caught:
        write_workbook(engine, query, "record", buffer, rows_max=1999)

    assert (
        "format: found 2,000 rows; expected at most 1,999, which is all an Excel sheet holds. "
        "hint: --format parquet or csv"
    ) == str(caught.value)
    assert b"" == buffer.getvalue()


def test_a_sheet_takes_as_many_rows_as_it_holds() -> None:
    """The last row that fits is written."""
    query = Query("rows", (Stage("rows", "many", "SELECT range AS id FROM range(5000) ORDER BY range"),))
    buffer = io.BytesIO()
    with Engine() as engine:
        write_workbook(engine, query, "record", buffer, rows_max=5000)

    assert list(range(5000)) == values(openpyxl.load_workbook(buffer).worksheets[0], "id")


def test_a_text_that_no_cell_holds_is_refused(tmp_path: Path) -> None:
    """A text of more UTF-16 units than a cell holds is an error, not cut; one of as many is kept."""
    with rows_of(text=["😀" * 16_384]) as rows, pytest.raises(ConfigError) as caught:
        rows.write(tmp_path / "x.xlsx")

    assert (
        "format: found a text of 32,768 characters in text; expected at most 32,767, which is all an Excel cell holds. "
        "hint: --format parquet or csv"
    ) == str(caught.value)
    assert [] == list(tmp_path.iterdir())
    assert ["x" * 32_767] == values(opened(rows_of(text=["x" * 32_767])).worksheets[0], "text")


# --- from events to Excel --------------------------------------------------------------------------------------------


def test_readings_become_a_workbook(tmp_path: Path) -> None:
    """aggregate's result is written by its suffix, as are rejects."""
    rejected = {**EVENTS[0], "id": "e9", "properties": {"tokens": "x"}}
    with metering_duck.aggregate([*EVENTS, rejected], CONFIG, **WINDOW) as readings:  # type: ignore[arg-type]
        book = openpyxl.load_workbook(readings.write(tmp_path / "readings.xlsx"))
        rejects = openpyxl.load_workbook(readings.write_rejects(tmp_path / "rejects.XLSX"))
        names = readings.schema.names

    assert (["readings", "About"], ["rejects", "About"]) == (book.sheetnames, rejects.sheetnames)
    assert tuple(names) == next(book.worksheets[0].values)
    assert [("+49 30 1", 2.5), ("=1+1", 100.125)] == list(
        zip(values(book.worksheets[0], "subject"), values(book.worksheets[0], "quantity"), strict=True)
    )
    assert (["x"], ["quantity-syntax"]) == (
        values(rejects.worksheets[0], "text"),
        values(rejects.worksheets[0], "reason"),
    )


@pytest.mark.slow
def test_the_command_line_writes_workbooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The suffix of -o or --format gives a workbook, and standard output gets the very same bytes."""
    monkeypatch.chdir(tmp_path)
    Path("events.ndjson").write_text("".join(json.dumps(event) + "\n" for event in EVENTS))
    Path("config.json").write_text(json.dumps(CONFIG))
    command = ["aggregate", "events.ndjson", "--config", "config.json", "-q"]
    command += [part for name, value in WINDOW.items() for part in (f"--{name}", value)]
    targets = (["-o", "a.xlsx"], ["-o", "b.out", "--format", "xlsx"])
    ends = [CliRunner().invoke(cli, [*command, *target]).exit_code for target in targets]
    piped = subprocess.run(
        [sys.executable, "-m", "metering_duck", *command, "--format", "xlsx"], capture_output=True, check=True
    )

    assert [0, 0] == ends
    assert Path("a.xlsx").read_bytes() == Path("b.out").read_bytes() == piped.stdout
    assert ["+49 30 1", "=1+1"] == values(openpyxl.load_workbook("a.xlsx").worksheets[0], "subject")


def test_periods_are_rows_too() -> None:
    """periods() gives Rows: no books, but every format, and a sheet of their own."""
    with metering_duck.periods(start="2024-01-01", end="2024-01-03", every="day") as periods:
        book = openpyxl.load_workbook(io.BytesIO(workbook_bytes(periods)))

        assert (Rows, "<Rows: periods>") == (type(periods), repr(periods))
    assert ["periods", "About"] == book.sheetnames
    assert [24, 24] == values(book.worksheets[0], "hours")


def test_a_table_of_an_unknown_shape_shows_every_column() -> None:
    """Rows whose shape the tables do not know are shown whole, their numbers on the right."""
    with rows_of("change", name=["a", "b"], total=decimals("1", "10.5"), times=pa.array([7, 12])) as rows:
        lines = grid_text(rows).splitlines()

    assert ["name  total  times", "a         1      7", "b      10.5     12"] == lines
