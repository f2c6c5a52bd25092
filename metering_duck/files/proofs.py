"""Proofs: what is proven of one file before its numbers count, by its own bytes and apart from the engine (R35)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Any, Literal

import pyarrow as pa

from metering_duck.files.arrow_batches import batches_of
from metering_duck.files.faults import Fault, Unreadable
from metering_duck.files.gzip_members import Members
from metering_duck.files.kinds import GZIP, ZSTD
from metering_duck.files.parquet_pages import pages_of
from metering_duck.files.parquet_statistics import compared_statistics
from metering_duck.files.row_counts import CsvCounter, LineCounter, ObjectCounter, RowCounter
from metering_duck.files.wide_integers import NOT_OF_ARROW, wide_integers_of
from metering_duck.files.zstd_frames import Frame, frames_of, harmed_frame

BLOCK_BYTES = 1 << 18
FileFormat = Literal["csv", "ndjson", "json", "objects", "parquet", "arrow"]
# How a row is told from the next, by the format.
COUNTED_BY = {"csv": "records", "ndjson": "lines", "json": "objects", "objects": "objects"}


@dataclass(frozen=True)
class Claim:
    """A file that counts if it is whole: where it lies, what messages call it, and what it is taken for.

    `codec` is what it is compressed with. Of CSV, `delimiter`, `columns` and the lines that are no rows are known.
    `fetch` copies a file that lies elsewhere to a path on this machine; None for a file of this machine. `known` is a
    proof that was made before. `sha256` is the digest that the file's bytes are known to have; it is compared where all
    of them are read anyway, which those of Parquet and Arrow are not. With `compares`, all statistics in the footer of
    Parquet are compared with the values.
    """

    path: str
    name: str
    format: FileFormat
    codec: str | None = None
    delimiter: str = ","
    columns: int = 0
    header_lines: int = 1
    fetch: Callable[[str], None] | None = None
    known: Proof | None = None
    sha256: str | None = None
    compares: bool = False

    @property
    def is_text(self) -> bool:
        """Whether all bytes of the file are read where it is proven."""
        return self.format not in ("parquet", "arrow")

    def counter(self) -> RowCounter:
        """What counts the rows of the file's text."""
        match self.format:
            case "csv":
                return CsvCounter(self.delimiter, self.columns, self.header_lines)
            case "ndjson":
                return LineCounter()
            case _:
                return ObjectCounter(in_array=self.format == "json")


@dataclass(frozen=True)
class Proof:
    """What was proven of a file.

    `parts` are its gzip members, zstd frames, Arrow batches or Parquet pages, as `parts_are` says, of which `checked`
    have a checksum that fits; pages without one are not counted. `rows` were counted by `counted_by`: lines, records,
    objects, footer or batches; None where nothing counted them. `unproven` says why a file was not looked at, "" where
    it was. `padding` is how many zeros lie behind the last gzip member. `statistics` is how many columns of row groups
    have statistics that hold for their values, None where these were not compared.
    """

    name: str
    bytes: int = 0
    parts: int = 0
    parts_are: str = ""
    checked: int = 0
    rows: int | None = None
    counted_by: str = ""
    unproven: str = ""
    padding: int = 0
    statistics: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As --summary and the ledger's manifest have it."""
        if self.unproven:
            return {"file": self.name, "whole": False, "why": self.unproven}
        held = {self.parts_are: self.parts} if self.parts_are not in ("", "pages") else {}
        proven = {"file": self.name, "whole": True, "bytes": self.bytes, **held, "checksums": self.checked}
        proven |= {"rows": self.rows, "rows_counted_by": self.counted_by}
        return proven if self.statistics is None else {**proven, "statistics": self.statistics}


def prove(claim: Claim, sink: IO[bytes] | None = None, is_stopped: Callable[[], bool] = lambda: False) -> Proof:
    """Read a file of this machine to its end; what it holds without its compression goes into `sink`, too.

    Raises: Fault.
    """
    proof = Proof(claim.name, os.path.getsize(claim.path))
    with explained(claim.format, claim.path):
        match claim.format:
            case "parquet":
                pages = pages_of(claim.path)
                compared = compared_statistics(claim.path, is_stopped=is_stopped) if claim.compares else None
                return replace(
                    proof,
                    parts=pages.checked,
                    parts_are="pages",
                    checked=pages.checked,
                    rows=pages.rows,
                    counted_by="footer",
                    statistics=compared,
                )
            case "arrow":
                batches, rows = batches_of(claim.path)
                return replace(proof, parts=batches, parts_are="batches", rows=rows, counted_by="batches")
            case _:
                return _prove_text(claim, proof, sink, is_stopped)


class Digested:
    """A file that is read to its end, whose bytes are compared with the SHA-256 that they are known to have, if any."""

    def __init__(self, file: IO[bytes], expected: str | None) -> None:
        self._file, self._expected = file, expected
        self._found = hashlib.sha256() if expected else None

    def read(self, size: int) -> bytes:
        """The next bytes."""
        block = self._file.read(size)
        if self._found:
            self._found.update(block)
        return block

    def tell(self) -> int:
        """How many bytes were read."""
        return self._file.tell()

    def check(self, is_stopped: Callable[[], bool] = lambda: False) -> None:
        """Read what is left, and refuse other bytes than those that are known.

        Raises: Fault.
        """
        if self._found is None:
            return
        while not is_stopped() and self.read(BLOCK_BYTES):
            pass
        found = self._found.hexdigest()
        if not is_stopped() and found != self._expected:
            raise Fault(
                f"bytes of the SHA-256 {found[:12]}… under the size and the time of those that were seen first, "
                f"{str(self._expected)[:12]}…",
                "the same bytes",
                "put it back as it was, or touch it, so that it counts as changed; metering-duck ledger verify --files "
                "compares all files",
            )


def check_digest(claim: Claim) -> None:
    """Refuse a file of other bytes than those that are known.

    Raises: Fault.
    """
    with open(claim.path, "rb") as file:
        Digested(file, claim.sha256).check()


def _prove_text(claim: Claim, proof: Proof, sink: IO[bytes] | None, is_stopped: Callable[[], bool]) -> Proof:
    """Read a text file to its end, and count its rows."""
    counter, members, frames = claim.counter(), None, list[Frame]()
    with open(claim.path, "rb") as opened:
        file = Digested(opened, claim.sha256)
        if claim.codec == GZIP:
            members = Members(file)
            blocks = members.blocks()
        elif claim.codec == ZSTD:
            frames = frames_of(opened)
            blocks = _decompressed(claim.path, frames)
        else:
            blocks = iter(lambda: file.read(BLOCK_BYTES), b"")
        for block in blocks:
            if is_stopped():
                return replace(proof, unproven="the run ended before")
            counter.add(block)
            if sink:
                sink.write(block)
        if claim.codec == ZSTD:
            # Its bytes were read by name.
            opened.seek(0)
        file.check(is_stopped)
    proof = replace(proof, rows=counter.rows(), counted_by=COUNTED_BY[claim.format])
    if members:
        return replace(proof, parts=members.count, parts_are="members", checked=members.count, padding=members.padding)
    if claim.codec == ZSTD:
        return replace(
            proof, parts=len(frames), parts_are="frames", checked=sum(frame.has_checksum for frame in frames)
        )
    return proof


def _decompressed(path: str, frames: list[Frame]) -> Iterator[bytes]:
    """The bytes that zstd frames hold; the library compares their checksums."""
    if not frames:
        return
    try:
        with pa.input_stream(path, compression="zstd") as stream:
            while block := stream.read(BLOCK_BYTES):
                yield block
    except OSError as error:
        raise harmed_frame(path, frames, str(error)) from None


@contextmanager
def explained(format: FileFormat, path: str) -> Iterator[None]:
    """Make a fault of what a library, or a counter of rows, says of a file on this machine."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        if NOT_OF_ARROW in str(error):
            wide = wide_integers_of(path)
            if wide is not None:
                raise wide from None
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        kind = {"parquet": "a Parquet file", "arrow": "an Arrow IPC file"}.get(format, "a readable file")
        raise Unreadable(said.rstrip("."), kind) from None
    except ValueError as error:
        raise Fault(str(error), "a whole file") from None
