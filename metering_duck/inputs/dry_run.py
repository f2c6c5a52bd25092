"""Reads: what a run opens and what it leaves out, in files and bytes, told before anything is read."""

from __future__ import annotations

from dataclasses import dataclass

from metering_duck.inputs.input import Input


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
    sizes = needed.file_sizes()
    all_sizes = sizes if whole is needed else whole.file_sizes()
    return Reads(needed.name, len(sizes), sum(sizes), len(all_sizes) - len(sizes), sum(all_sizes) - sum(sizes))
