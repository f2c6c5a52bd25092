"""Arrow IPC files and streams; local files are mapped into memory, and batches are read one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import open_url, scheme_of, shown
from metering_duck.errors import SourceError
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
    """Arrow IPC files or streams of one schema."""

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
        check_starts(self.files, of_text=False)
        _, claims = admit(engine, self.files, claims_of(self.files.paths, "arrow", self.files.label))
        rows = keep_rows(engine, _open_stream(self.files.paths), self.name, name)
        return Relation(rows, file_sql=self.files.file_sql, row_numbers="by count", claims=claims)

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

    Raises: SourceError for a file that is not in the Arrow IPC format.
    """
    try:
        schema = _open_file(paths[0]).schema
        return pa.RecordBatchReader.from_batches(schema, (batch for path in paths for batch in _batches_of(path)))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise SourceError(f"{shown(paths[0])}: cannot be read ({error}); expected an Arrow IPC file.") from None


def _open_file(path: str) -> Any:
    source = pa.PythonFile(open_url(path)) if scheme_of(path) else pa.memory_map(path)
    try:
        return pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_stream(source)


def _batches_of(path: str) -> Iterator[pa.RecordBatch]:
    opened = _open_file(path)
    if isinstance(opened, pa.RecordBatchFileReader):
        return (_sound(opened.get_batch(n)) for n in range(opened.num_record_batches))
    return map(_sound, opened)


def _sound(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch whose offsets lie in its buffers: the engine would follow them anywhere.

    Raises: ArrowInvalid.
    """
    batch.validate(full=True)
    return batch


ARROW = FileFormat(
    "arrow",
    (".arrow", ".feather", ".ipc"),
    ArrowFiles,
    begins=lambda first: first.startswith((b"ARROW1", b"\xff\xff\xff\xff")),
)
