"""Line ends: whatever ends a line, no event is lost, merged or cut; CSV that mixes them is refused at the line."""

from __future__ import annotations

import gzip
from itertools import cycle
from pathlib import Path

import pytest

from metering_duck import SourceError, meter
from metering_duck.files.line_ends import odd_line_end
from tests.files.harm import CONFIG, csv, ndjson

KINDS = ["\n", "\r\n", "\r"]
MIXED = {
    "returns twice": ["\r\r\n"],
    "a feed first": ["\n\r"],
    "feeds and both": ["\n", "\r\n"],
    "both and returns": ["\r\n", "\r"],
    "returns and both": ["\r", "\r\n"],
    "feeds and returns": ["\n", "\r"],
}
BLANK = ["\n \t\n", "\r\n  \r\n", "\r \r", "\n\n", "\r\r"]


def with_ends(text: bytes, ends: list[str]) -> bytes:
    """The text with other ends of its lines, in turn."""
    ended = cycle(ends)
    return b"".join(line + next(ended).encode() for line in text.splitlines())


@pytest.mark.sampled(4)
@pytest.mark.parametrize("ends", [*([kind] for kind in KINDS), *MIXED.values(), *([blank] for blank in BLANK)])
def test_every_line_of_json_is_an_event(ends: list[str], tmp_path: Path) -> None:
    """In files of any kind of line end, of several, and with blank lines between."""
    path = tmp_path / "e.ndjson"
    path.write_bytes(with_ends(ndjson(9), ends))
    with meter(path, CONFIG) as records:
        assert (9, 9) == (records.accounting.read, records.accounting.metered)


@pytest.mark.parametrize("end", [*KINDS, "\n\n", "\r\n\r\n", "\r\r"])
def test_every_row_of_csv_is_an_event(end: str, tmp_path: Path) -> None:
    """Of whichever kind its line ends are; empty lines are no rows."""
    path = tmp_path / "e.csv"
    path.write_bytes(with_ends(csv(9), [end]))
    with meter(path, CONFIG) as records:
        assert (9, 9) == (records.accounting.read, records.accounting.metered)


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("is_quoted", [True, False])
def test_csv_that_mixes_line_ends_is_refused_at_the_line(name: str, is_quoted: bool, tmp_path: Path) -> None:
    """The error names the file, the line and its end, and the way out; or DuckDB reads every value as it is."""
    text = with_ends(csv(9), MIXED[name])
    path = tmp_path / "e.csv.gz"
    path.write_bytes(gzip.compress(text if is_quoted else text.replace(b'"', b"")))
    if is_quoted and name == "both and returns":
        with meter(path, CONFIG) as records:
            assert {f"e{n}" for n in range(9)} == {row["source_event_id"] for row in records.to_dicts()}
        return
    with pytest.raises(SourceError) as refused:
        meter(path, CONFIG).to_dicts()
    line = 1 if name == "returns twice" else 2
    assert f"{path}: line {line} ends with " in str(refused.value)
    assert str(refused.value).endswith(
        r"; expected line ends of one kind, \n, \r\n or \r. hint: write the file anew, with one of them"
    )


def test_a_blank_line_of_csv_is_refused_at_the_line(tmp_path: Path) -> None:
    """A line of nothing but blanks has one column, where the header has several."""
    path = tmp_path / "e.csv"
    path.write_bytes(with_ends(csv(9), ["\n \t\n"]))
    with pytest.raises(SourceError, match="line 2 has 1 columns; expected 7, as in its header"):
        meter(path, CONFIG).to_dicts()


def test_ends_are_told_across_blocks() -> None:
    """Whatever the bytes are cut into; within quotes, a line's end ends nothing."""
    text = b'a,b\r\n"x\ny",1\r\nz,2\r\n'
    for size in range(1, len(text)):
        assert "" == odd_line_end([text[n : n + size] for n in range(0, len(text), size)])
    for text, said in {
        b'a\r\n"x\ny"\r\nz\n': r"line 4 ends with \n, and line 1 with \r\n",
        b"a\r\r\nb": r"line 1 ends with \r\r\n",
        b'"a\nb"\rc\r\r\n': r"line 3 ends with \r\r\n",
        b"a\nb\r": r"line 2 ends with \r, and line 1 with \n",
    }.items():
        for size in range(1, len(text)):
            assert said == odd_line_end([text[n : n + size] for n in range(0, len(text), size)])
