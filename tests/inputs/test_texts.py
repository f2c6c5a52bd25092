"""Lines, arrays and CSV: what is no event is a reject, and what is cut off or ambiguous is an error."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from metering_duck import SchemaError, SourceError, meter
from tests.inputs.forms import CLOCK, CONFIG, dimensions, json_lines, one_object, one_row, quantities, reasons, written


@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "line", ["{bad", "[1]", "5", "null", '"text"', "hello", '{"id": "a"} {"id": "b"}', '{"id": "\x01"}']
)
def test_a_line_that_is_no_object_is_a_reject(line: str, tmp_path: Path) -> None:
    """One bad line in NDJSON, first or between others, rejects itself alone, with its text."""
    good = json_lines()
    for content in (line + "\n" + good, good.replace("\n", f"\n{line}\n", 1)):
        with meter(written(tmp_path, "e.ndjson", content), CONFIG, clock=CLOCK) as records:
            bad = [r["text"] for r in records.rejects.to_pylist() if r["reason"] == "json-invalid"]
            assert ([line], 9) == (bad, records.accounting.read)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("behind", [",}", ", \t}", ', "x": [1, ]}', ', "x": {"y": 1,}}'])
def test_a_comma_behind_the_last_member_is_no_json(behind: str, tmp_path: Path) -> None:
    """The reader of JSON would take it; a text that has such characters is one, also behind quotes that are escaped."""
    good = one_object('{"q": "1"}').rstrip()[:-1]
    rows = [good + behind, good + ', "x": "a,}", "y": "\\\\\\",]"}']
    path = written(tmp_path, "e.ndjson", "\n".join(rows))

    assert [(rows[0], "json-invalid")] == reasons(path)
    in_array = written(tmp_path, "e.json", f"[{rows[1]}, {rows[0]}]")
    assert ["json-invalid"] == [reason for _, reason in reasons(in_array)]
    text = {**one_row(), "properties": '{"q": "1"' + behind}
    assert ["properties-invalid"] == [reason for _, reason in reasons(pa.Table.from_pylist([text]))]


def test_a_name_twice_in_an_event_is_a_reject(tmp_path: Path) -> None:
    """Two ids in one object are not one id: which was meant cannot be known."""
    line = one_object('{"q": "1"}').rstrip()[:-1] + ', "id": "other"}'

    assert [(line, "property-repeated")] == reasons(written(tmp_path, "e.ndjson", line))


@pytest.mark.parametrize("cut", ["[{}", "[{},", '[{},{{"id"', "[{} {}", "[{}] x"])
def test_a_json_array_that_is_cut_off_is_an_error(cut: str, tmp_path: Path) -> None:
    """A file that ends in the middle is refused: the events that are missing would be missing in the bill."""
    one = one_object('{"q": "1"}').strip()
    path = written(tmp_path, "e.json", cut.format(one, one))

    with pytest.raises(SourceError):
        quantities(path)


def test_members_of_an_array_that_are_no_objects_are_rejects(tmp_path: Path) -> None:
    """A number or a text between the objects of an array is rejected like a line of NDJSON."""
    one = one_object('{"q": "1"}').strip()
    path = written(tmp_path, "e.json", f'[{one}, 5, null, "x", [1]]')

    assert ([Decimal(1)], {"json-invalid"}, 4) == (quantities(path), {r for _, r in reasons(path)}, len(reasons(path)))


def test_a_csv_may_quote_whatever_it_likes(tmp_path: Path) -> None:
    """Quotes, delimiters and line ends inside quotes are text; CRLF, blank lines and a BOM are not."""
    head = "id,workspace_id,universe_id,type,subject,time,q,note\r\n"
    row = 'e1,w,u,t,c:1,2024-01-01T00:00:00Z,"1","a ""b"", c\r\nd"\r\n\r\n'
    path = written(tmp_path, "e.csv", "\ufeff" + head + row)

    assert ([Decimal(1)], [{"note": 'a "b", c\r\nd'}]) == (quantities(path), dimensions(path))


def test_a_csv_says_nothing_and_empty_apart(tmp_path: Path) -> None:
    """An empty field is absent, a quoted empty one is empty text, and NULL or NA are words."""
    head = "id,workspace_id,universe_id,type,subject,time,q\n"
    values = ["", '""', "NULL", "NA", "nan"]
    rows = "".join(f"e{n},w,u,t,c:1,2024-01-01T00:00:00Z,{value}\n" for n, value in enumerate(values))
    wanted = [(None, "source-missing"), *((text, "quantity-syntax") for text in ("", "NULL", "NA", "nan"))]

    assert wanted == reasons(written(tmp_path, "e.csv", head + rows))


@pytest.mark.parametrize("row", ["e2,w,u,t\n", "e2,w,u,t,c:1,2024-01-01T00:00:00Z,1,extra\n"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_csv_row_of_another_length_is_an_error(row: str, place: int, tmp_path: Path) -> None:
    """A row with too few or too many fields is never guessed at, wherever it stands: the error names the file and
    line."""
    lines = [
        "id,workspace_id,universe_id,type,subject,time,q\n",
        *(f"e{n},w,u,t,c:1,2024-01-01T00:00:00Z,1\n" for n in (1, 3)),
    ]
    lines.insert(place + 1, row)
    path = written(tmp_path, "e.csv", "".join(lines))

    with pytest.raises(SourceError, match=rf"e\.csv.*line {place + 2}"):
        quantities(path)


def test_csv_files_of_two_delimiters_are_read_or_refused(tmp_path: Path) -> None:
    """A comma file beside a semicolon file: each is read as it is, or the input is refused; no row is taken apart
    wrongly."""
    head, row = "id,workspace_id,universe_id,type,subject,time,q\n", "e{},w,u,t,c:1,2024-01-01T00:00:00Z,{}\n"
    written(tmp_path, "a.csv", head + row.format(1, 1))
    written(tmp_path, "b.csv", (head + row.format(2, 2)).replace(",", ";"))

    try:
        found = reasons(tmp_path)
    except (SchemaError, SourceError):
        found = []

    assert [] == found


def test_csv_files_may_have_their_columns_in_any_order(tmp_path: Path) -> None:
    """Two CSV files are joined by their column names."""
    one = "id,workspace_id,universe_id,type,subject,time,q\ne1,w,u,t,c:1,2024-01-01T00:00:00Z,1\n"
    other = "q,time,subject,type,universe_id,workspace_id,id,region\n3,2024-01-01T00:00:00Z,c:1,t,u,w,e2,eu\n"
    paths = [written(tmp_path, "a.csv", one), written(tmp_path, "b.csv", other)]

    assert ([Decimal(1), Decimal(3)], [{}, {"region": "eu"}]) == (quantities(paths), dimensions(paths))
