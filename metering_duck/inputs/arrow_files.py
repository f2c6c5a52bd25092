"""Arrow IPC files and streams; local files are mapped into memory, and batches are read one at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import open_url, scheme_of, shown
from metering_duck.errors import SourceError, first_line
from metering_duck.files.faults import FETCH_AGAIN
from metering_duck.inputs.arrow_schemas import in_schema, united_schema
from metering_duck.inputs.file_formats import FileFormat
from metering_duck.inputs.file_set import FileSet
from metering_duck.inputs.footers import NO_FOOTERS, Footers
from metering_duck.inputs.given_table import keep_rows
from metering_duck.inputs.in_shell import InShell
from metering_duck.inputs.input import Input, Needed, OtherEngine
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation
from metering_duck.inputs.whole_files import admit, check_starts, claims_of


@dataclass(frozen=True)
class ArrowFiles:
    """Arrow IPC files or streams with the same columns."""

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

    def relation(self, engine: Engine, name: str = "input") -> Relation:
        """The rows of all files, copied into a table of the engine, since a stream can be read once only."""
        check_starts(self.files, "arrow")
        _, claims = admit(engine, self.files, claims_of(self.files.paths, "arrow", self.files.label))
        rows = keep_rows(engine, _open_stream(self.files.paths), self.name, name)
        return replace(rows, file_sql=self.files.file_sql, row_numbers="by count", claims=claims)

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """All files: the names of their folders are no columns."""
        needed.check_no_times(self.name)
        return self, None

    def in_shell(self) -> InShell:
        """DuckDB's shell does not read Arrow files: the reader has to make a table of their rows."""
        return InShell(kind="spooled", rows="the rows of the Arrow files")

    def file_sizes(self) -> list[int]:
        """The bytes of each file."""
        return self.files.sizes()

    def read_by(self, engine: OtherEngine) -> Any:
        """Only DuckDB reads this kind of input."""
        engine.refuse(self.name, ARROW.name)


def _open_stream(paths: tuple[str, ...]) -> pa.RecordBatchReader:
    """The batches of all files.

    Raises: SourceError for a file that is not in the Arrow IPC format; SchemaError for one whose columns differ.
    """
    schemas = {}
    for path in paths:
        with _naming(path):
            schemas[path] = _open_file(path).schema
    schema = united_schema(schemas)
    return pa.RecordBatchReader.from_batches(schema, (batch for path in paths for batch in _batches_of(path, schema)))


@contextlib.contextmanager
def _naming(path: str, rows: int = 0) -> Iterator[None]:
    """Raise pyarrow's errors of a with statement as SourceError that names the file, and the row before the fault.

    A size that is damaged ends in an error about memory.
    """
    try:
        yield
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
        behind = f" behind row {rows:,}" if rows else ""
        raise SourceError(
            f"{shown(path)}: cannot be read{behind} ({first_line(error)}); expected an Arrow IPC file. "
            f"hint: {FETCH_AGAIN}"
        ) from error


def _open_file(path: str) -> Any:
    source = pa.PythonFile(open_url(path)) if scheme_of(path) else pa.memory_map(path)
    try:
        return pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_stream(source)


def _batches_of(path: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The batches of a file, in the schema of all files.

    Raises: SourceError that names the file, and the last row that was read.
    """
    with _naming(path):
        opened = _open_file(path)
    if isinstance(opened, pa.RecordBatchFileReader):
        batches = (opened.get_batch(n) for n in range(opened.num_record_batches))
    else:
        batches = iter(opened)
    rows = 0
    while True:
        with _naming(path, rows):
            batch = next(batches, None)
            if batch is not None:
                _check_offsets(batch)
            found = in_schema(batch, schema) if batch is not None else None
        if found is None:
            return
        rows += found.num_rows
        yield found


def _check_offsets(batch: pa.RecordBatch) -> None:
    """Refuse offsets that lie outside of a batch's buffers: the engine would follow them anywhere.

    A value that its type does not allow is told apart later, row by row.

    Raises: ArrowInvalid.
    """
    for column in batch.columns:
        kind = column.type
        is_of_values = pa.types.is_decimal(kind) or pa.types.is_time(kind) or pa.types.is_date64(kind)
        column.validate(full=not is_of_values)


ARROW = FileFormat(
    "arrow",
    (".arrow", ".feather", ".ipc"),
    ArrowFiles,
    begins=lambda first: first.startswith((b"ARROW1", b"\xff\xff\xff\xff")),
)
