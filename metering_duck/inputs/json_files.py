"""JSON files: an object a line, an array of objects, or objects written over several lines; each as one line of text.

What is in the objects is told by inputs/from_json.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import shown
from metering_duck.errors import SourceError
from metering_duck.inputs.fields import FILE_COLUMN
from metering_duck.inputs.file_bytes import FIRST_BYTES, open_bytes, text_start
from metering_duck.inputs.file_formats import FileFormat
from metering_duck.inputs.file_set import FileSet
from metering_duck.inputs.footers import NO_FOOTERS, Footers
from metering_duck.inputs.in_shell import InShell
from metering_duck.inputs.input import Input, Needed, OtherEngine
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation
from metering_duck.statements.quote import literal

# A line of JSON is read as one CSV column: no text that JSON allows holds these raw control characters.
NO_DELIMITER = "\x01\x02\x03\x04"
LINE_BYTES_MAX = 64 << 20
BLANK = "chr(9) || chr(13) || ' '"


@dataclass(frozen=True)
class JsonFiles:
    """Files of JSON objects: one a line, in an array, or one behind the other over several lines."""

    files: FileSet
    format: Literal["ndjson", "json", "objects"]
    extensions: ClassVar[Sequence[str]] = ()
    versions: ClassVar[Sequence[str]] = ()
    footers: ClassVar[Footers] = NO_FOOTERS

    @property
    def name(self) -> str:
        """What a message calls them."""
        return self.files.name

    @property
    def paths(self) -> Sequence[str]:
        """All of them."""
        return self.files.paths

    def relation(self, engine: Engine, name: str = "input") -> Relation:  # noqa: ARG002 - nothing is kept for them
        """Each object as a line, every digit kept."""
        sql = _lines_sql(self.files) if self.format == "ndjson" else _objects_sql(self.files, self.format)
        return Relation(sql, is_json=True, file_sql=self.files.file_sql, row_numbers="by count")

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """All of them: their folders are no columns."""
        needed.check_no_times(self.name)
        return self, None

    def in_shell(self) -> InShell:
        """As they are."""
        return InShell()

    def file_sizes(self) -> list[int]:
        """The bytes of each."""
        return self.files.sizes()

    def read_by(self, engine: OtherEngine) -> Any:
        """Read by DuckDB alone."""
        engine.refuse(self.name, self.format)


def _lines_sql(files: FileSet) -> str:
    """An object a line."""
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
    )
    return f"(SELECT line, {FILE_COLUMN} FROM {lines} WHERE trim(line, {BLANK}) <> '')"


def _objects_sql(files: FileSet, format: str) -> str:
    """An array, or objects written over several lines."""
    layout = "'array'" if format == "json" else "'unstructured'"
    objects = files.reader_sql("read_json_objects", format=layout, maximum_object_size=str(LINE_BYTES_MAX))
    return f"(SELECT CAST(json AS VARCHAR) AS line, {FILE_COLUMN} FROM {objects})"


def _open_arrays(files: FileSet) -> JsonFiles:
    """Arrays, each of which ends.

    Raises: SourceError.
    """
    for path in files.paths:
        if not _is_whole_array(path):
            raise SourceError(f"{shown(path)}: found a JSON array that does not end; expected it to end with ].")
    return JsonFiles(files, "json")


def _is_whole_array(path: str) -> bool:
    """Whether a JSON array ends: DuckDB takes one that is cut off behind a comma."""
    with open_bytes(path) as stream:
        last = b""
        while block := stream.read(1 << 20):
            last = bytes(block).rstrip() or last
    return last.endswith(b"]")


def _begins_with_line(first: bytes) -> bool:
    """Whether the first line is a whole object, or too long to tell."""
    text = text_start(first)
    is_whole = text.split(b"\n", 1)[0].rstrip().endswith(b"}")
    return text.startswith(b"{") and (is_whole or len(text) == FIRST_BYTES)


NDJSON = FileFormat("ndjson", (".ndjson", ".jsonl"), lambda files: JsonFiles(files, "ndjson"), _begins_with_line)
JSON = FileFormat("json", (".json",), _open_arrays, begins=lambda first: text_start(first).startswith(b"["))
OBJECTS = FileFormat(
    "objects", (), lambda files: JsonFiles(files, "objects"), begins=lambda first: text_start(first).startswith(b"{")
)
