"""CSV files: every column is read as text, and only the delimiter is guessed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import shown
from metering_duck.errors import SchemaError, SourceError
from metering_duck.inputs.file_bytes import BYTE_ORDER_MARK, first_bytes
from metering_duck.inputs.file_formats import FileFormat
from metering_duck.inputs.file_set import FileSet
from metering_duck.inputs.footers import NO_FOOTERS, Footers
from metering_duck.inputs.in_shell import InShell
from metering_duck.inputs.input import Input, Needed, OtherEngine
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation
from metering_duck.statements.quote import literal


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

    def relation(self, engine: Engine, name: str = "input") -> Relation:  # noqa: ARG002 - nothing is kept for them
        """Files of one header and delimiter are read together, and united with the other files by the names of columns.

        DuckDB's sniffer is off: a type that it guesses would lose digits, and its guess of a header may be any row.
        """
        by_header: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for path in self.files.paths:
            delimiter, header = csv_header(path)
            self.files.check_keys(header, path)
            by_header.setdefault((delimiter, header), []).append(path)
        (_, first), *_ = by_header
        readers = []
        for (delimiter, header), paths in by_header.items():
            if not set(first) & set(header):
                hint = "give it a header line, or read it apart"
                columns = ", ".join(header[:5])
                raise SchemaError(
                    paths[0], columns, found="a header of its own", expected="columns as in the others", hint=hint
                )
            readers.append(f"SELECT * FROM {_reader_sql(replace(self.files, paths=tuple(paths)), delimiter, header)}")
        sql = f"({' UNION ALL BY NAME '.join(readers)})"
        return Relation(sql, file_sql=self.files.file_sql, row_numbers="by count")

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


def csv_header(path: str) -> tuple[str, tuple[str, ...]]:
    """A CSV file's delimiter and its columns.

    Of comma, tab, semicolon and bar, the delimiter is the character that the first line has most often.

    Raises: SourceError for a file without a header, or with a column twice.
    """
    text = first_bytes(path).removeprefix(BYTE_ORDER_MARK).decode(errors="replace")
    first = text.split("\n", 1)[0]
    delimiter = max(",\t;|", key=first.count)
    names = tuple(next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), ()))
    if not any(names):
        raise SourceError(f"{shown(path)}: is empty; expected a header line with the columns' names.")
    for n, name in enumerate(names):
        if name.lower() in (other.lower() for other in names[:n]):
            raise SourceError(
                f"{shown(path)}: column {name!r}: found it twice; expected names that differ, also without case."
            )
    return delimiter, names


def _reader_sql(files: FileSet, delimiter: str, header: Sequence[str]) -> str:
    """SQL that reads files which all have one header."""
    types = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in header)
    return files.reader_sql(
        "read_csv",
        columns=f"{{{types}}}",
        header="true",
        auto_detect="false",
        allow_quoted_nulls="false",
        delim=literal(delimiter),
        quote="'\"'",
        escape="'\"'",
    )


# No first bytes say CSV: a file that begins like no other format is taken for CSV (inputs/formats.py).
CSV = FileFormat("csv", (".csv", ".tsv"), CsvFiles, begins=lambda _: False, has_partitions=True)
