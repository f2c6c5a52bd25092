"""A dry run: which files a run opens and leaves out, in numbers and bytes, without reading them."""

from __future__ import annotations

from dataclasses import dataclass

from metering_duck.inputs.input import Input


@dataclass(frozen=True)
class Reads:
    """How many files of how many bytes a run opens, and how many it leaves out as not needed.

    Bytes are the sizes of whole files; of a Parquet file only the columns that are needed are read. An input in memory
    has no file.
    """

    input: str
    files: int
    bytes: int
    left_out_files: int
    left_out_bytes: int


def reads_of(whole: Input, needed: Input) -> Reads:
    """The files that are read of an input, and those of the `whole` input that are left out.

    Raises: SourceError for a remote file that cannot be looked at.
    """
    sizes = needed.file_sizes()
    all_sizes = sizes if whole is needed else whole.file_sizes()
    return Reads(needed.name, len(sizes), sum(sizes), len(all_sizes) - len(sizes), sum(all_sizes) - sum(sizes))
