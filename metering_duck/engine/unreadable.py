"""Unreadable: what DuckDB says of a file that it cannot read, in our words: which file, which line, what is wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metering_duck.engine.remote import changed, explained, shown
from metering_duck.errors import MeteringError, SourceError, first_few, first_line, way_out_of
from metering_duck.files.kinds import SAVE_AS_UTF8
from metering_duck.files.line_ends import odd_line_end_of

VALID_JSON = "expected JSON to its end. hint: python3 -m json.tool FILE says where it breaks off"
TO_ITS_END = "expected a file that can be read to its end."
ONE_KIND = r"expected line ends of one kind, \n, \r\n or \r. hint: write the file anew, with one of them"
EACH_ONCE = (
    "expected each key once. hint: write it as a list of STRUCT(key, value), of which each row that has one twice is "
    "rejected by itself"
)
# What DuckDB says of a MAP of Arrow, and of one whose entries it sorts.
_KEY_TWICE = re.compile("map contains duplicate key|Map keys must be unique")
# What DuckDB says of a column of Parquet or Arrow whose text is none; it does not say which column.
_NO_TEXT = re.compile(
    r"Invalid string encoding found in Parquet file|Invalid unicode \(.*\) detected in segment statistics"
)
BYTES_OR_UTF8 = (
    "expected UTF-8. hint: write the column in UTF-8, or as bytes, which --binary-as-text rejects row by row"
)
# What DuckDB says of a file that is one JSON text.
_JSON_FAULT = re.compile(r"Malformed JSON in file .*, (at byte \d+ in .+)")
# What DuckDB says of CSV whose lines end in several ways.
_LINE_ENDS = re.compile("invalid state|unterminated quote")
_IN_UTF8 = f"expected text in UTF-8. hint: {SAVE_AS_UTF8.format(encoding='ENCODING')}"
# What DuckDB says of a line of CSV → what was found, and what was expected.
_TOO_LONG = re.compile(r"^Maximum line size of (\d+) bytes exceeded\. Actual Size:(\d+) bytes", re.MULTILINE)
_CSV_FAULTS = {
    _TOO_LONG: (
        "has {1} bytes",
        "expected at most {0}. hint: write it as Parquet; or decompress it: of a file on disk that is not compressed "
        "lines of 64 MB are read, unless it is line ends in quoted values that make them long",
    ),
    re.compile(r"^Expected Number of Columns: (\d+) Found: (\d+)", re.MULTILINE): (
        "has {1} columns",
        "expected {0}, as in its header.",
    ),
    re.compile(r"^Invalid unicode .* detected", re.MULTILINE): (
        "is not UTF-8",
        _IN_UTF8,
    ),
    re.compile(r"^Value with unterminated quote found", re.MULTILINE): (
        "has a quoted value that does not end, or text behind it",
        'expected a quote, and then a delimiter. hint: within quotes a quote is written twice, ""',
    ),
}
# How a message begins that comes from a file system, not from one of DuckDB's readers; it may not name the file.
_OF_A_FILE_SYSTEM = re.compile(r"\b(HTTP|IO|Permission) Error: |^Traceback |^\w+(Error|Expired): ", re.MULTILINE)
_UNNAMED = re.compile(r"https?://|HTTP Error: |^Traceback |^\w+(Error|Expired): ", re.MULTILINE)
_URL = re.compile(r"\w+://\S+")
# The pattern that DuckDB reads for a folder of Parquet files; the folder may have been a file when it was listed.
_BELOW_FOLDER = "/**/*.parquet"
_NAMES = (r"^\s*file = (.+)$", r"[\"']((?:/|[A-Za-z]:\\|\w+://)[^\"'\n]+)[\"']", r": (/\S+)$")
# What DuckDB says of a disk that is full, wherever on it the file is.
_FULL = re.compile(r"No space left on device|Disk quota exceeded|File too large|max_temp_directory_size")


class NoFileNamed(SourceError):
    """A file cannot be read, and DuckDB does not say which; the engine finds it out, and asks `at` for its error."""

    def __init__(self, found: str, expected: str) -> None:
        self.found, self.expected = found, expected
        super().__init__(f"input: {found}; {expected}")

    def at(self, where: str) -> SourceError:
        """The same error, at a place."""
        return SourceError(f"{where}: {self.found}; {self.expected}")


@dataclass(frozen=True)
class KnownInputs:
    """The paths that a connection reads; of those that are URLs, what the listing said of each: its size, its ETag."""

    paths: Sequence[str] = ()
    urls: Sequence[str] = ()
    listed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def failure(self, text: str) -> MeteringError:
        """The error for DuckDB's message about an input that it cannot read."""
        # httpfs may write http://endpoint/bucket/key for s3://bucket/key.
        named = [url for url in self.urls if url.partition("://")[2] in text]
        is_remote = bool(named) or _UNNAMED.search(text) is not None
        if self.urls and is_remote and _OF_A_FILE_SYSTEM.search(text):
            return self._remote_failure(text, named)
        if _FULL.search(text):
            return no_room(text)
        limit = way_out_of(text)
        if limit is not None:
            where = next((shown(path) for path in self.paths if path in text), "run")
            return SourceError(f"{where}: cannot be opened ({_without_kind(first_line(text))}); expected {limit}")
        for url in named:
            text = text.replace(url, shown(url))
        return unreadable(text, [shown(path) for path in self.paths])

    def _remote_failure(self, text: str, named: Sequence[str]) -> SourceError:
        """The error for a file system's message about a remote file; if it names none, any of the URLs may be meant."""
        for url in named:
            text = text.replace(url, "")
        suspects = named or self.urls
        said = _URL.sub("", text)
        have_changed = changed(self.listed, suspects)
        if have_changed:
            suspects, said = have_changed, "FileExpired"
        where = first_few(shown(url) for url in suspects)
        return SourceError(f"{where}: {explained(said, suspects[0])}")


def no_room(text: str) -> MeteringError:
    """The error for a disk that is full."""
    return MeteringError(
        f"run: cannot write what does not fit into memory ({first_line(_without_kind(text))}); expected room on the "
        "disk. hint: make room, or name another --temp-dir"
    )


def unreadable(text: str, paths: Sequence[str]) -> SourceError:
    """The error for DuckDB's message about a file that it cannot read; NoFileNamed if it names none of the `paths`."""
    where = _file_named_in(text)
    if where is not None and where.endswith(_BELOW_FOLDER):
        # The path is no file any more, so DuckDB has taken it for a folder.
        file = where.removesuffix(_BELOW_FOLDER)
        return SourceError(f"{file}: is gone; expected it to be there until the end. hint: run again")
    if where not in paths:
        # A quotation out of the file may look like a path.
        where = next((path for path in paths if path in text), paths[0] if len(paths) == 1 else None)
    found, expected = _fault(text, where or "")
    return NoFileNamed(found, expected) if where is None else SourceError(f"{where}: {found}; {expected}")


def _fault(text: str, where: str) -> tuple[str, str]:
    """What was found in a file, and what was expected, by DuckDB's message."""
    odd = odd_line_end_of(where) if _LINE_ENDS.search(text) and os.path.isfile(where) else ""
    if odd:
        return odd, ONE_KIND
    if _KEY_TWICE.search(text):
        return "a MAP has a key twice", EACH_ONCE
    json_fault = _JSON_FAULT.search(text)
    if json_fault:
        said = json_fault[1].rstrip(". ")
        return f"is no valid JSON ({said})", _IN_UTF8 if "UTF-8" in said else VALID_JSON
    if _NO_TEXT.search(text):
        return "a column of text has bytes that are not UTF-8", BYTES_OR_UTF8
    line = re.search(r"CSV Error on Line: (\d+)", text)
    if line is None:
        return f"cannot be read ({_without_kind(first_line(text)).removesuffix(f': {where}')})", TO_ITS_END
    found, expected = _csv_fault(text)
    return f"line {line.group(1)} {found}", expected


def _without_kind(text: str) -> str:
    """A message without the name of its kind."""
    return re.sub(r"^(\w+ )+Error: ", "", text)


def _file_named_in(text: str) -> str | None:
    """The file that a message names: by itself, in quotes, or at a line's end."""
    for pattern in _NAMES:
        found = re.search(pattern, text, re.MULTILINE)
        if found:
            return found.group(1)
    return None


def _csv_fault(text: str) -> tuple[str, str]:
    """What is wrong with a line of a CSV file, and what was expected.

    DuckDB quotes the line, so what it says itself stands behind all that looks like it.
    """
    said = [found for pattern in _CSV_FAULTS for found in pattern.finditer(text)]
    last = max(said, key=lambda found: found.start(), default=None)
    if last is None:
        return "cannot be read (not CSV)", "expected CSV."
    found, expected = _CSV_FAULTS[last.re]
    values = last.groups()
    if last.re is _TOO_LONG:
        values = tuple(f"{int(value):,}" for value in values)
    return found.format(*values), expected.format(*values)
