"""Whole files: files are looked at before the engine opens them, and handed to the gate that proves them (R35).

A gzip file that is legal, but not for DuckDB, is read from a copy under its own name.
"""

from __future__ import annotations

import os
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import open_url, scheme_of, shown
from metering_duck.errors import SourceError
from metering_duck.files.kinds import GZIP
from metering_duck.files.proofs import Claim, FileFormat, Proof, prove
from metering_duck.inputs.file_bytes import check_start, check_whole, codec_of
from metering_duck.inputs.file_set import FileSet
from metering_duck.inputs.relations import Relation, counts_by_file

BLOCK_BYTES = 1 << 20
HEADER_BYTES = 10
GZIP_WINDOW = 31
# The header of a gzip member with a comment, a checksum of the header or a mark of text, none of which DuckDB reads:
# flags, four bytes of a time, how hard the writer tried, and its system.
UNREAD_HEADER = re.compile(rb"\x1f\x8b\x08[\x01-\x03\x05-\x07\x09-\x0b\x0d-\x1f]")
# As many bytes behind such a header tell whether it is one: what only looks like one is soon no gzip any more.
TELLING_BYTES = 1 << 14


def check_starts(files: FileSet, format: FileFormat) -> None:
    """Refuse files that do not begin as their names say.

    Raises: SourceError.
    """
    for path in files.paths:
        check_start(path, files.label, format=format, of_text=format not in ("parquet", "arrow"))


def claim_of(path: str, format: FileFormat, label: str = "", **facts: Any) -> Claim:
    """A file that is about to be read, as the gate is to prove it; `label` is its name, if it has one of its own."""
    fetch = partial(_fetch, path) if scheme_of(path) else None
    return Claim(path, label or shown(path), format, codec_of(path), fetch=fetch, **facts)


def claims_of(paths: Sequence[str], format: FileFormat, label: str = "") -> list[Claim]:
    """Files of one format that are about to be read."""
    return [claim_of(path, format, label) for path in paths]


def admit(engine: Engine, files: FileSet, claims: Sequence[Claim]) -> tuple[FileSet, tuple[Claim, ...]]:
    """Hand files to the engine's gate; the files as the engine is to read them, and what is claimed of them.

    Raises: SourceError for a file that is not whole, where that has to be known before the engine opens it.
    """
    known: list[Claim] = []
    stand_ins: list[tuple[str, str]] = []
    for claim in claims:
        if claim.codec == GZIP and claim.fetch is None:
            has_unread = _has_unread_header(claim.path)
            if has_unread or _may_be_padded(claim.path):
                claim = replace(claim, known=check_whole(claim))
                if has_unread or (claim.known and claim.known.padding):
                    stand_ins.append((claim.path, _plain_copy(engine, claim, len(stand_ins), files.keys)))
        known.append(claim)
    engine.gate.add(known)
    return replace(files, stand_ins=tuple(stand_ins)), tuple(known)


def check_rows(engine: Engine, given: Relation, scanned: int | None = None) -> None:
    """Refuse an input whose files are not whole, or of which the engine has read another number of rows than they have.

    `scanned` is how many rows it has read; None where it did not count all of them, and then they are counted.

    Raises: SourceError.
    """
    proofs = engine.gate.proofs()
    counted = [proofs[claim.path].rows for claim in given.claims if claim.path in proofs]
    if not counted or None in counted:
        return
    total = sum(rows or 0 for rows in counted)
    if scanned == total:
        return
    check_counts(given.claims, proofs, counts_by_file(engine, given))
    if scanned is not None:
        raise SourceError(
            f"input: found {scanned:,} rows in one reading and {total:,} in another; expected it to hold still. "
            "hint: run again"
        )


def check_counts(claims: Sequence[Claim], proofs: Mapping[str, Proof], read: Mapping[str, int]) -> None:
    """Refuse files of which other numbers of rows were `read` than they have; rows under "" are those of all files.

    Raises: SourceError.
    """
    counted = {claim.path: proofs[claim.path].rows for claim in claims}
    if "" in read:
        claims = claims[:1]
        counted = {claim.path: sum(rows or 0 for rows in counted.values()) for claim in claims}
    for claim in claims:
        rows, found = counted[claim.path], read.get("", read.get(claim.path, 0))
        if rows is not None and rows != found:
            raise SourceError(
                f"{claim.name}: found {found:,} rows when it was read, and {rows:,} when they were counted; expected "
                "the same. hint: a row may be too long for the reader, or line ends may be of several kinds; write the "
                "file anew, best as Parquet"
            )


def _fetch(url: str, path: str) -> None:
    """Copy a file that lies elsewhere."""
    with open_url(url) as source, open(path, "wb") as target:
        shutil.copyfileobj(source, target, BLOCK_BYTES)


def _may_be_padded(path: str) -> bool:
    """Whether a gzip file ends with a zero: of padding, or of a length of less than 16 MB."""
    if os.path.getsize(path) == 0:
        return False
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\0"


def _has_unread_header(path: str) -> bool:
    """Whether bytes of a gzip file look like the header of a member that DuckDB does not read."""
    return any(
        _begins_member(block[found.start() :][:TELLING_BYTES])
        for block in _overlapping(path)
        for found in UNREAD_HEADER.finditer(block)
    )


def _begins_member(data: bytes) -> bool:
    """Whether bytes may be the beginning of a gzip member."""
    try:
        zlib.decompressobj(GZIP_WINDOW).decompress(data)
    except zlib.error:
        return False
    return True


def _overlapping(path: str) -> Iterator[bytes]:
    """A file's bytes, each block with the last bytes of the one before."""
    before = b""
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield before + block
            before = block[-HEADER_BYTES:]


def _plain_copy(engine: Engine, claim: Claim, number: int, keys: Sequence[str]) -> str:
    """A copy of a file without its compression, below the same folders of partitions."""
    path = Path(claim.path)
    folders = [part for part in path.parts[:-1] if part.partition("=")[0] in keys and "=" in part]
    folder = engine.directory.joinpath(f"whole-{number}", *folders)
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / path.stem
    with copy.open("wb") as sink:
        prove(claim, sink)
    return str(copy)
