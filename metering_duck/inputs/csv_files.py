"""CSV files: every column is read as text, and only the delimiter is guessed."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import scheme_of, shown
from metering_duck.engine.unreadable import ONE_KIND
from metering_duck.errors import SchemaError, SourceError, first_few
from metering_duck.files.kinds import BYTE_ORDER_MARK, SAVE_AS_UTF8
from metering_duck.files.own_formats import DELIMITERS
from metering_duck.inputs.file_bytes import FIRST_BYTES, codec_of, first_bytes
from metering_duck.inputs.file_formats import FileFormat
from metering_duck.inputs.file_set import FileSet
from metering_duck.inputs.footers import NO_FOOTERS, Footers
from metering_duck.inputs.from_columns import check_not_ours
from metering_duck.inputs.in_shell import InShell
from metering_duck.inputs.input import Input, Needed, OtherEngine
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation
from metering_duck.inputs.whole_files import admit, check_starts, claim_of
from metering_duck.statements.quote import identifier, literal
from metering_duck.statements.select import united

# Excel's first line, which says how columns are told apart.
SAID_DELIMITER = re.compile(r'"?sep=([^"\r\n ])"?[,; \t]*(?:\r\n|\n|\r)', re.IGNORECASE)
# How many bytes are looked at for the header: more, as long as it does not end within them.
HEADER_BYTES = (FIRST_BYTES, 1 << 20, 1 << 23, 64 << 20)
UNNAMED = "metering_duck_unnamed"
# A name in quotes, at the beginning or behind a delimiter; and one whose quotes do not end.
QUOTED = re.compile(rf'(?:^|(?<=[{DELIMITERS}])) *"[^"]*(?:""[^"]*)*"')
OPEN_QUOTE = re.compile(rf'(?:^|(?<=[{DELIMITERS}])) *"')
# How long DuckDB expects a line to be, and how long it may be if DuckDB is told so before.
LONG_LINE, LINE_BYTES_MAX = 2_000_000, 64 << 20


@dataclass(frozen=True)
class CsvFiles:
    """CSV files, each with a header line."""

    files: FileSet
    extensions: ClassVar[Sequence[str]] = ()
    versions: ClassVar[Sequence[str]] = ()
    footers: ClassVar[Footers] = NO_FOOTERS

    @property
    def name(self) -> str:
        """What messages call the files."""
        return self.files.name

    @property
    def paths(self) -> Sequence[str]:
        """Every file."""
        return self.files.paths

    def relation(self, engine: Engine, name: str = "input") -> Relation:  # noqa: ARG002 - no table is kept
        """Files of one header and delimiter are read together, and united with the other files by the names of columns.

        DuckDB's sniffer is off: a type that it guesses would lose digits, and its guess of a header may be any row.
        """
        check_starts(self.files, "csv")
        headers = {path: csv_header(path, self.files.label) for path in self.files.paths}
        claims = [
            claim_of(
                path,
                "csv",
                self.files.label,
                delimiter=header.delimiter,
                columns=len(header.names),
                header_lines=1 + header.skipped,
            )
            for path, header in headers.items()
        ]
        for path, header in headers.items():
            check_not_ours(header.named, self.files.label or shown(path))
            self.files.check_keys(header.named, path)
        files, proven = admit(engine, self.files, claims)
        by_header: dict[CsvHeader, list[str]] = {}
        for path, header in headers.items():
            by_header.setdefault(header, []).append(path)
        _check_spellings(by_header)
        first = next(iter(by_header)).named
        for header, paths in by_header.items():
            if not set(first) & set(header.named):
                hint = "give it a header line, or read it apart"
                columns = ", ".join(header.named[:5])
                raise SchemaError(
                    paths[0], columns, found="a header of its own", expected="columns as in the others", hint=hint
                )
        readers = [_rows_sql(replace(files, paths=tuple(paths)), header) for header, paths in by_header.items()]
        return Relation(
            united(readers),
            file_sql=files.file_sql,
            row_numbers="by count",
            claims=proven,
            notes=tuple(_notes(self.files, by_header)),
            headers=tuple((self.files.label or shown(found[0]), one.named) for one, found in by_header.items()),
            told_apart=next((repr(one.delimiter) for one in by_header if one.is_doubtful), ""),
        )

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """The files of the times that are needed."""
        if needed.times is None:
            return self, None
        files, partition = self.files.of_times(needed.times.column, needed.times.first, needed.times.last)
        return replace(self, files=files), partition

    def in_shell(self) -> InShell:
        """A shell reads the files as they are."""
        return self.files.in_shell()

    def file_sizes(self) -> list[int]:
        """The bytes of each file."""
        return self.files.sizes()

    def read_by(self, engine: OtherEngine) -> Any:
        """Only DuckDB reads this kind of input."""
        engine.refuse(self.name, CSV.name)


@dataclass(frozen=True)
class CsvHeader:
    """How a CSV file begins: its delimiter, its columns in order, and how many lines are before them.

    A column without a name is not read. `has_long_line` says that a line is longer than DuckDB expects one to be.
    """

    delimiter: str
    names: tuple[str, ...]
    skipped: int = 0
    has_long_line: bool = False

    @property
    def named(self) -> tuple[str, ...]:
        """The columns that have a name."""
        return tuple(name for name in self.names if name.strip())

    @property
    def is_doubtful(self) -> bool:
        """Whether another character may be the delimiter: there is one column, or a name has such a character."""
        return len(self.names) == 1 or any(other in name for name in self.names for other in DELIMITERS)

    @property
    def columns(self) -> dict[str, bool]:
        """The columns as they are called in SQL, and whether each has a name of its own."""
        return {name if name.strip() else f"{UNNAMED}_{n}": bool(name.strip()) for n, name in enumerate(self.names)}


def csv_header(path: str, label: str = "") -> CsvHeader:
    """How a CSV file begins.

    Excel's first line, sep=;, says the delimiter. Otherwise, of comma, tab, semicolon and bar, it is the character that
    the first line has most often, outside of quotes.

    Raises: SourceError for a file without a header, or with a column twice.
    """
    where = label or shown(path)
    text, skipped, delimiter, names = _first_names(path, where)
    if not any(name.strip() for name in names):
        raise SourceError(f"{where}: {_without_header(text, skipped)} with the columns' names.")
    for n, name in enumerate(names):
        if "\0" in name:
            raise SourceError(
                f"{where}: column {name!r}: found a NUL in its name; expected text. "
                "hint: look at how the file was written"
            )
        if name.strip() and name.lower() in (other.lower() for other in names[:n]):
            raise SourceError(
                f"{where}: column {name!r}: found it twice; expected names that differ, also without case."
            )
    return CsvHeader(delimiter, names, skipped, _has_long_line(path))


def _first_names(path: str, where: str) -> tuple[str, int, str, tuple[str, ...]]:
    """A file's first text, the lines before its header, its delimiter, and the names in the header.

    Raises: SourceError.
    """
    text, begin, skipped, delimiter, names = "", "", 0, ",", tuple[str, ...]()
    for size in HEADER_BYTES:
        # What is no UTF-8 stays apart from all text, and a character that is cut at the end is in no name.
        start = first_bytes(path, size).removeprefix(BYTE_ORDER_MARK)
        before, text = text, start.decode(errors="surrogateescape")
        if text == before:
            break
        said = SAID_DELIMITER.match(text)
        skipped, begin = (1, text[said.end() :]) if said else (0, text)
        delimiter = said.group(1) if said else max(DELIMITERS, key=_unquoted_line(begin).count)
        names, is_whole = _first_record(begin, delimiter, where)
        if is_whole:
            break
    _check_text(names, where, 1 + skipped)
    if skipped:
        _check_line_ends(text[: len(text) - len(begin)], begin, where)
    return text, skipped, delimiter, names


def _unquoted_line(text: str) -> str:
    """A text's first line without what is in quotes there, which may have line ends."""
    line = QUOTED.sub("", _first_line(text))
    return _first_line(QUOTED.sub("", text)) if OPEN_QUOTE.search(line) else line


def _first_line(text: str) -> str:
    return re.split("[\r\n]", text, maxsplit=1)[0]


def _check_text(names: Sequence[str], where: str, line: int) -> None:
    """Refuse a header that is not UTF-8, as a row is refused.

    Raises: SourceError.
    """
    if any("\ud800" <= one <= "\udfff" for name in names for one in name):
        way = SAVE_AS_UTF8.format(encoding="ENCODING")
        raise SourceError(f"{where}: line {line} is not UTF-8; expected text in UTF-8. hint: {way}")


def _check_line_ends(said: str, begin: str, where: str) -> None:
    """Refuse a line about the delimiter that ends otherwise than the header: DuckDB would skip the rows, too.

    Raises: SourceError.
    """
    ends = [re.search(r"^[^\r\n\"]*(\r\n|\n|\r)", one) for one in (said.replace('"', ""), begin)]
    kinds = {end.group(1) for end in ends if end}
    if len(kinds) > 1:
        raise SourceError(f"{where}: line 1 ends otherwise than line 2; {ONE_KIND}")


def _first_record(text: str, delimiter: str, where: str) -> tuple[tuple[str, ...], bool]:
    """The values of a text's first record, and whether there is text behind them: without it they may be cut.

    Raises: SourceError.
    """
    lines = io.StringIO(text, newline="")
    try:
        names = tuple(next(csv.reader(lines, delimiter=delimiter), ()))
    except csv.Error:
        limit = csv.field_size_limit()
        raise SourceError(
            f"{where}: found a column whose name has more than {limit:,} characters; expected a header line with the "
            "columns' names. hint: look at how the file was written"
        ) from None
    return names, lines.tell() < len(text)


def _without_header(text: str, skipped: int) -> str:
    """What is found in place of a header, and what was expected."""
    if not text.strip():
        return "is empty; expected a header line"
    lines = text.splitlines()[skipped:]
    if not any(line.strip() for line in lines):
        return "has no line behind the one that says the delimiter; expected a header line"
    found = "is blank" if not lines[0].strip() else "has no column with a name"
    return f"line {skipped + 1} {found}; expected a header line"


def _has_long_line(path: str) -> bool:
    """Whether a file on this machine has a line that DuckDB takes for too long; a few bytes of each MB tell."""
    if scheme_of(path) or codec_of(path) or os.path.getsize(path) < LONG_LINE:
        return False
    with open(path, "rb") as file:
        for start in range(0, os.path.getsize(path), LONG_LINE // 2):
            file.seek(start)
            if not any(end in file.read(1 << 12) for end in (b"\n", b"\r")):
                file.seek(start)
                if not any(end in file.read(LONG_LINE // 2) for end in (b"\n", b"\r")):
                    return True
    return False


def _rows_sql(files: FileSet, header: CsvHeader) -> str:
    """SQL for the rows of files which all have one header, without the columns that have no name."""
    unnamed = [identifier(name) for name, has_name in header.columns.items() if not has_name]
    star = f"* EXCLUDE ({', '.join(unnamed)})" if unnamed else "*"
    return f"SELECT {star} FROM {_reader_sql(files, header)}"


def _reader_sql(files: FileSet, header: CsvHeader) -> str:
    """SQL that reads files which all have one header."""
    types = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in header.columns)
    more = {"skip": str(header.skipped)} if header.skipped else {}
    if header.has_long_line:
        more["max_line_size"] = str(LINE_BYTES_MAX)
    return files.reader_sql(
        "read_csv",
        columns=f"{{{types}}}",
        header="true",
        auto_detect="false",
        allow_quoted_nulls="false",
        delim=literal(header.delimiter),
        quote="'\"'",
        escape="'\"'",
        **more,
    )


def _check_spellings(by_header: Mapping[CsvHeader, Sequence[str]]) -> None:
    """Refuse a name that another file spells with other capitals: SQL would take both for one column.

    Raises: SchemaError.
    """
    seen: dict[str, tuple[str, str]] = {}
    for header, paths in by_header.items():
        for name in header.named:
            known, path = seen.setdefault(name.lower(), (name, paths[0]))
            if known != name:
                where = f"{shown(path)}, {shown(paths[0])}"
                hint = "write the files anew with one spelling, or read them apart"
                found = " and ".join(map(repr, sorted((known, name))))
                raise SchemaError(where, known, found=found, expected="one spelling", hint=hint)


def _notes(files: FileSet, by_header: Mapping[CsvHeader, Sequence[str]]) -> Iterator[str]:
    """A notice of the columns that have no name."""
    for header, paths in by_header.items():
        count = len(header.names) - len(header.named)
        if count:
            where = files.label or first_few(shown(path) for path in paths)
            columns = "1 column has no name and is" if count == 1 else f"{count} columns have no name and are"
            yield f"{where}: {columns} ignored."


# No first bytes say CSV: a file that begins like no other format is taken for CSV (inputs/formats.py).
CSV = FileFormat("csv", (".csv", ".tsv"), CsvFiles, begins=lambda _: False, has_partitions=True)
