"""Row counts: over bytes in blocks of any size they are what DuckDB reads."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import duckdb
import pytest

from metering_duck.files.faults import Fault
from metering_duck.files.row_counts import CsvCounter, LineCounter, ObjectCounter, RowCounter

LINE_ENDS = ("\n", "\r\n", "\r")


def counted(counter: RowCounter, text: bytes, size: int) -> int:
    """The rows of a text that is added in blocks of a size."""
    for n in range(0, len(text), size):
        counter.add(text[n : n + size])
    return counter.rows()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (b"", 0),
        (b"{}", 1),
        (b"{}\n{}\n", 2),
        (b"{}\r\n{}\r\n", 2),
        (b"{}\r{}\r", 2),
        (b"\n\n \n\t\n{}\n\r\n{}\n \t", 2),
        (b"\xef\xbb\xbf{}\n{}", 2),
        (b"\xef\xbb\xbf\n{}\n", 1),
        (b"  {}\n  \n\t{}", 2),
    ],
)
def test_lines_are_counted_without_blank_ones(text: bytes, rows: int) -> None:
    """Each line is a row, with any line end and also without one at the end; what is blank is none."""
    for size in (1, 2, 3, 5, 100):
        assert rows == counted(LineCounter(), text, size)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (b"a,b\n", 0),
        (b"a,b", 0),
        (b"a,b\n1,2", 1),
        (b'a,b\n1,"x\ny"\n3,4\n', 2),
        (b'a,b\r\n1,"x\r\n""y"""\r\n3,4', 2),
        (b'a,b\n1,5" pipe\n2,6" pipe\n3,"\n"\n', 3),
        (b"a,b\n\n1,2\n\n\n3,4\n\n", 2),
        (b'"a\nb",c\n1,2\n', 1),
        (b'a,b\n"",""\n"","\n"""\n', 2),
    ],
)
def test_records_are_counted_by_their_quotes(text: bytes, rows: int) -> None:
    """A line end in a quoted value ends no row; a quote within a value that is not quoted is a character."""
    for size in (1, 2, 3, 5, 100):
        assert rows == counted(CsvCounter(",", 2, 1), text, size)


@pytest.mark.parametrize(
    "text",
    [
        b'a,b\n1, "x\n2,y"\n4,z\n',
        b'a,b\n1,  "x"\n',
        b'a,b\n 1, 2\n "3",4\n',
        b'a, "b"\n1,2\n',
        b'a,b\n1,x "y" z\n1, "',
    ],
)
def test_a_blank_before_a_quote_is_refused(text: bytes) -> None:
    """The engine takes such a value for quoted, other readers do not: their rows differ (R35)."""
    for size in (1, 2, 3, 5, 100):
        with pytest.raises(Fault, match="a blank before a quote"):
            counted(CsvCounter(",", 2, 1), text, size)
    assert 1 == counted(CsvCounter(",", 2, 1), b'a,b\n1,x "y" z\n', 3)


@pytest.mark.parametrize("end", [b"\xe9,1\n", b"\xc3", b"\xc3\n"])
def test_csv_that_is_not_utf_8_is_refused_by_its_line(end: bytes) -> None:
    """Bytes that are no text make a file of another encoding, whichever column they are in."""
    for size in (1, 2, 3, 5, 100):
        with pytest.raises(Fault, match="line 3 is not UTF-8"):
            counted(CsvCounter(",", 2, 1), "a,b\né,1\n".encode() + end, size)


def test_an_empty_line_is_a_row_of_one_column() -> None:
    """In a CSV file of one column an empty line is an empty value, and so a row."""
    assert 3 == counted(CsvCounter(",", 1, 1), b"a\n1\n\n2\n", 100)


@pytest.mark.parametrize(("columns", "seed"), [(1, 1), (2, 2), (3, 3)])
def test_counts_of_csv_are_those_of_duckdb(columns: int, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever quotes, delimiters and line ends values have, as many rows are counted as DuckDB reads."""
    chance = random.Random(seed)
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    types = {f"c{n}": "VARCHAR" for n in range(columns)}
    for _ in range(40):
        text = random_csv(chance, columns)
        path.write_bytes(text)
        rows = duckdb.sql(
            f"FROM read_csv('{path}', columns = {types}, header = true, auto_detect = false, delim = ',', "
            "quote = '\"', escape = '\"')"
        ).fetchall()
        assert len(rows) == counted(CsvCounter(",", columns, 1), text, chance.choice((1, 2, 3, 7, 50))), text


def random_csv(chance: random.Random, columns: int) -> bytes:
    """CSV with a header, some empty lines, and perhaps a mark, or no line end at the end."""
    end = chance.choice(LINE_ENDS)
    lines = [",".join("h" * columns)]
    for _ in range(chance.randrange(8)):
        lines.append(",".join(random_value(chance) for _ in range(columns)))
        lines += [""] * (chance.random() < 0.2)
    text = end.join(lines) + end * chance.randrange(2)
    return (("\ufeff" if chance.random() < 0.1 else "") + text).encode()


def random_value(chance: random.Random) -> str:
    """A value of CSV, quoted or not."""
    kinds: dict[str, Callable[[], str]] = {
        "plain": lambda: "".join(chance.choices("ab ", k=chance.randrange(4))) + "x",
        "quoted": lambda: f'"{"".join(chance.choices(INNER, k=chance.randrange(5)))}"',
        "with a quote": lambda: "a" + "".join(chance.choices(('"', "b", '""'), k=chance.randrange(3))),
    }
    return kinds[chance.choice(list(kinds))]()


INNER = ("a", ",", "\n", "\r\n", '""', " ", "\r")


@pytest.mark.parametrize("values", [[], [{}], [1], [{"a": ']"\\'}, {"b": [1, {"c": "\\\\"}]}, 3, "x,y", [[]]]])
def test_values_are_counted_in_an_array_and_without_one(values: list[object]) -> None:
    """Commas and brackets in texts, and within values, count nothing."""
    array = json.dumps(values, indent=1).encode()
    objects = "\n".join(json.dumps({"v": value}, indent=1) for value in values).encode()
    for size in (1, 2, 3, 7, 1000):
        assert len(values) == counted(ObjectCounter(in_array=True), array, size)
        assert len(values) == counted(ObjectCounter(in_array=False), objects, size)


@pytest.mark.parametrize("text", [b"[{}", b"[{},", b'[{"a": "b]', b"[{}][{}]", b""])
def test_an_array_that_does_not_end_is_refused(text: bytes) -> None:
    """An array has to end, and to be the only one."""
    with pytest.raises(ValueError, match="JSON"):
        counted(ObjectCounter(in_array=True), text, 3)
