"""JSON files: an object a line, an array of objects, or objects over several lines; each object becomes a line of text.

inputs/from_json.py finds the fields in the objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from json import JSONDecoder
from typing import Any, ClassVar, Literal

from metering_duck.engine.duckdb import Engine
from metering_duck.inputs.fields import FILE_COLUMN
from metering_duck.inputs.file_bytes import FIRST_BYTES, text_start
from metering_duck.inputs.file_formats import FileFormat
from metering_duck.inputs.file_set import FileSet
from metering_duck.inputs.footers import NO_FOOTERS, Footers
from metering_duck.inputs.in_shell import InShell
from metering_duck.inputs.input import Input, Needed, OtherEngine
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation
from metering_duck.inputs.whole_files import admit, check_starts, claims_of
from metering_duck.statements.quote import literal

# A line of JSON is read as one CSV column: valid JSON never holds these raw control characters.
NO_DELIMITER = "\x01\x02\x03\x04"
LINE_BYTES_MAX = 64 << 20
BLANK = "chr(9) || chr(13) || ' '"


@dataclass(frozen=True)
class JsonFiles:
    """Files of JSON objects: one object a line, an array of objects, or one object after another over several lines."""

    files: FileSet
    format: Literal["ndjson", "json", "objects"]
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
        """Each object as a line of text, with every digit of its numbers."""
        check_starts(self.files, self.format)
        files, proven = admit(engine, self.files, claims_of(self.files.paths, self.format, self.files.label))
        sql = _lines_sql(files) if self.format == "ndjson" else _objects_sql(files, self.format)
        return Relation(sql, is_json=True, file_sql=files.file_sql, row_numbers="by count", claims=proven)

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """All files: the names of their folders are no columns."""
        needed.check_no_times(self.name)
        return self, None

    def in_shell(self) -> InShell:
        """A shell reads the files as they are."""
        return self.files.in_shell()

    def file_sizes(self) -> list[int]:
        """The bytes of each file."""
        return self.files.sizes()

    def read_by(self, engine: OtherEngine) -> Any:
        """Only DuckDB reads this kind of input."""
        engine.refuse(self.name, self.format)


def _lines_sql(files: FileSet) -> str:
    """SQL that reads files with one object a line."""
    lines = files.reader_sql(
        "read_csv",
        columns="{'line': 'VARCHAR'}",
        delim=literal(NO_DELIMITER),
        quote="''",
        escape="''",
        header="false",
        auto_detect="false",
        max_line_size=str(LINE_BYTES_MAX),
        strict_mode="false",
        # Any \n or \r ends a line. By itself, DuckDB goes by the file's first line: after \r\n a \r takes a byte along.
        new_line=r"'\n'",
    )
    return f"(SELECT line, {FILE_COLUMN} FROM {lines} WHERE trim(line, {BLANK}) <> '')"


def _objects_sql(files: FileSet, format: str) -> str:
    """SQL that reads files with an array of objects, or with objects over several lines."""
    layout = "'array'" if format == "json" else "'unstructured'"
    objects = files.reader_sql("read_json_objects", format=layout, maximum_object_size=str(LINE_BYTES_MAX))
    return f"(SELECT CAST(json AS VARCHAR) AS line, {FILE_COLUMN} FROM {objects})"


def _begins_with_line(first: bytes) -> bool:
    """Whether the first line is a whole object; also True for a line that is longer than the bytes that were read."""
    text = text_start(first)
    line = text.split(b"\n", 1)[0].rstrip()
    is_whole = line.endswith(b"}") or len(text) == FIRST_BYTES
    return text.startswith(b"{") and is_whole and not _has_another(line)


def _has_another(line: bytes) -> bool:
    """Whether an object begins on a line behind one that is whole, as Firehose writes them."""
    text = line.decode(errors="replace")
    with suppress(ValueError, RecursionError):
        _, end = JSONDecoder().raw_decode(text)
        return text[end:].lstrip().startswith("{")
    return False


NDJSON = FileFormat("ndjson", (".ndjson", ".jsonl"), lambda files: JsonFiles(files, "ndjson"), _begins_with_line)
JSON = FileFormat(
    "json", (".json",), lambda files: JsonFiles(files, "json"), begins=lambda first: text_start(first).startswith(b"[")
)
OBJECTS = FileFormat(
    "objects", (), lambda files: JsonFiles(files, "objects"), begins=lambda first: text_start(first).startswith(b"{")
)
