"""Workbooks: rows as an Excel file. The only module that knows Excel.

A number in Excel is binary: it shows 15 digits and drops the others. So a column is kept as numbers only where each has
at most 15 digits; otherwise it is exact text, as columns of other types are. A second sheet says how each column is
kept.
"""

from __future__ import annotations

import contextlib
import html
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import xlsxwriter  # type: ignore[import-untyped]
from xlsxwriter.exceptions import FileCreateError  # type: ignore[import-untyped]
from xlsxwriter.utility import xl_range  # type: ignore[import-untyped]

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.failures import naming
from metering_duck.errors import ConfigError
from metering_duck.outputs.texts import as_texts, limited, on_top
from metering_duck.statements.quote import identifier
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query

ROWS_MAX = 1_048_575
TEXT_MAX = 32_767
DIGITS_MAX, FRACTION_MAX = 15, 30
WIDTH_MIN, WIDTH_MAX = 8, 60
BATCH_ROWS = 4_096
# No time of day goes into a file: the same rows give the same bytes (R23).
CREATED_AT = datetime(2000, 1, 1, tzinfo=UTC)

NUMBER, EXACT, TIME = "number, exact to 15 digits", "text, exact", "text, ISO 8601 in UTC"
JSON, TRUTH = "text, JSON", "TRUE or FALSE"
# Columns of text that may hold quantities.
NUMBER_TEXTS = ("quantity", "old", "new", "delta", "numerator")
NOTES = (
    "Excel adds in binary floating point: sums of many cells may differ in the last digits.",
    "A number has at most 15 digits in Excel: a column with longer ones is text, exact, and Excel does not add it.",
    "Excel has no time zone: times are text, in UTC.",
    "Parquet, CSV and JSON keep every digit.",
)
PLAIN_NUMBER = "-?(0|[1-9][0-9]*)([.][0-9]+)?"
_CONTROLS = "\x00-\x08\x0b-\x1f\ufffe\uffff"
_CONTROL = re.compile(f"[{_CONTROLS}]")
_ESCAPE = re.compile(f"_(?=x[0-9A-Fa-f]{{4}}[_{_CONTROLS}])")


@dataclass(frozen=True)
class SheetColumn:
    """A column of the sheet: how it is kept, its format for Excel, and its width in characters."""

    name: str
    kept: str
    format: Mapping[str, str]
    width: int


def write_workbook(engine: Engine, rows: Query, shape: str, file: IO[bytes], *, rows_max: int = ROWS_MAX) -> None:
    """A query's rows as an Excel workbook; `shape` says what a row is.

    Raises: ConfigError for more rows than a sheet holds, and for a text that is longer than a cell.
    """
    schema = engine.table(limited(rows, 0)).schema
    cells = _cells(as_texts(engine, rows), schema)
    facts = engine.table(_facts(cells, schema)).to_pylist()[0]
    count = facts["row_count"]
    if count > rows_max:
        raise ConfigError(
            f"format: found {count:,} rows; expected at most {rows_max:,}, which is all an Excel sheet holds. "
            "hint: --format parquet or csv"
        )
    columns = [_column(field, facts, n) for n, field in enumerate(schema)]
    # First into a temporary file: a zip that cannot seek has other bytes, and a pipe cannot seek.
    with _temporary_file(engine.directory) as whole:
        with naming(str(engine.directory)):
            with _workbook(whole, engine.directory) as book:
                batches = engine.stream(cells, BATCH_ROWS)
                _add_rows(book, book.add_worksheet(sheet_name(shape)), columns, batches, count)
                _add_about(book, book.add_worksheet("About"), columns)
            whole.seek(0)
        shutil.copyfileobj(whole, file)


def sheet_name(shape: str) -> str:
    """The plural of what a row is; "rows" where the plural cannot name a sheet."""
    words = shape.replace("-", " ")
    if re.search("[^aeiou]y$", words):
        plural = f"{words[:-1]}ies"
    elif re.search("(s|x|ch|sh)$", words):
        plural = f"{words}es"
    else:
        plural = f"{words}s"
    if words and re.fullmatch(r"[\w ]{1,31}", plural):
        return plural
    return "rows"


@contextlib.contextmanager
def _temporary_file(directory: Path) -> Iterator[IO[bytes]]:
    """A file without a name in a directory; what could not be written to it is told once, where it is written."""
    with naming(str(directory)):
        file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.close()


@contextlib.contextmanager
def _workbook(file: IO[bytes], directory: Path) -> Iterator[Any]:
    """A workbook that has one row in memory at a time; XlsxWriter keeps the other rows in files of the directory."""
    book = xlsxwriter.Workbook(file, {"constant_memory": True, "tmpdir": str(directory)})
    book.set_properties({"created": CREATED_AT})
    book.use_zip64()
    try:
        with book:
            yield book
    except FileCreateError as error:
        raise error.args[0] from None


# --- columns ---------------------------------------------------------------------------------------------------------


def _cells(texts: Query, schema: pa.Schema) -> Query:
    """The query with every column as text, except columns of TRUE and FALSE."""
    columns = {}
    for field in schema:
        column = identifier(field.name)
        is_truth = pa.types.is_boolean(field.type)
        columns[column] = column if is_truth else f"CAST({column} AS VARCHAR)"
    return on_top(texts, "cells", "each value as a cell has it", lambda source: select(columns, source))


def _facts(cells: Query, schema: pa.Schema) -> Query:
    """The query for how many rows there are, how wide each column is, and whether numbers of Excel can hold it."""
    columns = {"row_count": "count(*)"}
    for n, field in enumerate(schema):
        cell = f"CAST({identifier(field.name)} AS VARCHAR)"
        columns[f"width_{n}"] = f"max(length({cell}))"
        if _is_numeric(field):
            digits = f"length(trim(translate({cell}, '-.', ''), '0'))"
            columns[f"fits_{n}"] = f"bool_and(regexp_full_match({cell}, '{PLAIN_NUMBER}') AND {digits} <= {DIGITS_MAX})"
            columns[f"whole_{n}"] = f"max(length(split_part({cell}, '.', 1)))"
            columns[f"fraction_{n}"] = f"max(length(split_part({cell}, '.', 2)))"
    return on_top(cells, "facts", "what the cells of each column are like", lambda source: select(columns, source))


def _is_numeric(field: pa.Field) -> bool:
    """Whether a column holds numbers, or texts that may be quantities."""
    kind = field.type
    if pa.types.is_decimal(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return True
    return field.name in NUMBER_TEXTS and _kept(kind) == EXACT


def _kept(kind: pa.DataType) -> str:
    """How values that are no numbers are kept."""
    if pa.types.is_boolean(kind):
        return TRUTH
    if pa.types.is_timestamp(kind):
        return TIME
    if pa.types.is_nested(kind):
        return JSON
    return EXACT


def _column(field: pa.Field, facts: Mapping[str, Any], n: int) -> SheetColumn:
    """How a column is kept, by what the `facts` say of its cells."""
    least = max(len(field.name) + 3, WIDTH_MIN)
    width = facts[f"width_{n}"] or 0
    text = SheetColumn(field.name, _kept(field.type), {"num_format": "@"}, max(least, min(width + 1, WIDTH_MAX)))
    if not _is_numeric(field):
        return text
    fraction = facts[f"fraction_{n}"] or 0
    # `fits` is NULL for a column without a value. A number that is too wide to show may be too large for binary64, too.
    if facts[f"fits_{n}"] is False or fraction > FRACTION_MAX or width > WIDTH_MAX:
        return replace(text, kept=EXACT, format={"num_format": "@", "align": "right"})
    shown, digits = facts[f"whole_{n}"] or 0, "0"
    if fraction:
        shown += 1 + fraction
        digits = f"0.{'0' * fraction}"
    return SheetColumn(field.name, NUMBER, {"num_format": digits}, max(least, shown + 1))


# --- sheets ----------------------------------------------------------------------------------------------------------


def _add_rows(
    book: Any, sheet: Any, columns: Sequence[SheetColumn], batches: Iterator[pa.RecordBatch], count: int
) -> None:
    """Fill the sheet of the rows, below a header that stays in sight and has filters."""
    _add_header(book, sheet, {column.name: column.width for column in columns})
    sheet.autofilter(0, 0, count, len(columns) - 1)
    sheet.ignore_errors({"number_stored_as_text": xl_range(0, 0, count, len(columns) - 1)})
    puts = [_put(sheet, column, book.add_format(column.format)) for column in columns]
    row = 0
    for batch in batches:
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            row += 1
            for n, (put, value) in enumerate(zip(puts, values, strict=True)):
                if value is not None:
                    put(row, n, value)


def _add_about(book: Any, sheet: Any, columns: Sequence[SheetColumn]) -> None:
    """Fill the sheet that says how each column is kept."""
    _add_header(book, sheet, {"column": max(len(column.name) for column in columns) + 3, "kept as": len(NUMBER) + 1})
    for n, column in enumerate(columns, start=1):
        sheet.write_string(n, 0, cell_text(column.name))
        sheet.write_string(n, 1, column.kept)
    for n, note in enumerate(NOTES, start=len(columns) + 2):
        sheet.write_string(n, 0, note)


def _add_header(book: Any, sheet: Any, widths: Mapping[str, int]) -> None:
    """Write names in bold into the first row, and set the widths of their columns."""
    bold = book.add_format({"bold": True})
    for n, (name, width) in enumerate(widths.items()):
        sheet.set_column(n, n, width)
        sheet.write_string(0, n, cell_text(name), bold)
    sheet.freeze_panes(1, 0)


def _put(sheet: Any, column: SheetColumn, format: Any) -> Callable[[int, int, Any], None]:
    """The function that writes a value of a column into the cell at a row and a column number."""
    if column.kept == TRUTH:
        return lambda row, n, value: sheet.write_boolean(row, n, value)
    if column.kept == NUMBER:
        # XlsxWriter writes 16 digits of a number: all that a Decimal of at most 15 digits has.
        return lambda row, n, value: sheet.write_number(row, n, Decimal(value), format)

    def put_text(row: int, n: int, value: str) -> None:
        text = cell_text(value)
        # Excel counts in UTF-16, in which a character of Python is one unit or two.
        length = len(text)
        if length > TEXT_MAX // 2:
            length = len(text.encode("utf-16-le")) // 2
        if length > TEXT_MAX:
            raise ConfigError(
                f"format: found a text of {length:,} characters in {column.name}; expected at most {TEXT_MAX:,}, "
                "which is all an Excel cell holds. hint: --format parquet or csv"
            )
        sheet.write_string(row, n, text, format)

    return put_text


def cell_text(text: str) -> str:
    """A text in the form in which XlsxWriter has to be given it, so that Excel shows the text unchanged.

    XML has no control characters: Excel writes _x0001_ for one, so a text that looks like _x0001_ is escaped, too.
    XlsxWriter escapes both, but not for all characters, nor where two escapes overlap; and it takes a text that begins
    with <r> for finished markup. So the texts that XlsxWriter would change are given to it as finished markup.
    """
    if not (_CONTROL.search(text) or _ESCAPE.search(text) or text.startswith("<r>")):
        return text
    escaped = _CONTROL.sub(lambda found: f"_x{ord(found.group()):04X}_", _ESCAPE.sub("_x005F_", text))
    return f'<r><t xml:space="preserve">{html.escape(escaped, quote=False).replace("_", "&#95;")}</t></r>'
