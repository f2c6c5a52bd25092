"""Reads: what a run opens and what it leaves out, in files and bytes, told before anything is read."""

from __future__ import annotations

import os
from dataclasses import dataclass

from metering_duck.engine.remote import explaining_reads, filesystem_of, scheme_of
from metering_duck.inputs.files import paths_of
from metering_duck.inputs.input import Files, Input
from metering_duck.inputs.lakes import LakeTable


@dataclass(frozen=True)
class Reads:
    """What a run opens: how many files of how many bytes, and how many it leaves out as not needed.

    Bytes are those of whole files; of Parquet fewer are read. An input in memory has no file.
    """

    input: str
    files: int
    bytes: int
    left_out_files: int
    left_out_bytes: int


def reads_of(whole: Input, needed: Input) -> Reads:
    """What is read of an input, and what is left out.

    Raises: SourceError for a remote file that cannot be looked at.
    """
    files, size = _extent(needed)
    all_files, all_size = (files, size) if whole is needed else _extent(whole)
    return Reads(needed.name, files, size, all_files - files, all_size - size)


def _extent(found: Input) -> tuple[int, int]:
    """How many files, and their bytes."""
    if isinstance(found, LakeTable):
        sizes = found.file_sizes()
    elif isinstance(found, Files):
        sizes = [_size(path) for path in found.paths]
    else:
        sizes = [_size(path) for path in paths_of(found) if scheme_of(path) or os.path.exists(path)]
    return len(sizes), sum(sizes)


def _size(path: str) -> int:
    if not scheme_of(path):
        return os.path.getsize(path)
    with explaining_reads(path):
        return int(filesystem_of(path).info(path)["size"] or 0)
