"""The file formats that rows are written in, by name: the one table that options, messages and writing read.

Light on purpose: the command line reads it for its help. outputs/writing.py has a writer for each name.
"""

from __future__ import annotations

from pathlib import Path

from metering_duck.errors import ConfigError, did_you_mean

# Name → the suffixes that stand for it, the usual one first.
OUTPUT_FORMATS = {
    "json": (".json",),
    "ndjson": (".ndjson", ".jsonl"),
    "csv": (".csv",),
    "parquet": (".parquet", ".pq"),
    "arrow": (".arrow", ".feather", ".ipc"),
    "xlsx": (".xlsx",),
}


def format_of_path(path: Path) -> str:
    """The format that a file's suffix names.

    Raises: ConfigError for a suffix of no format.
    """
    for kind, suffixes in OUTPUT_FORMATS.items():
        if path.suffix.lower() in suffixes:
            return kind
    known = [suffix for suffixes in OUTPUT_FORMATS.values() for suffix in suffixes]
    raise ConfigError(
        f"{path}: found the suffix {path.suffix!r}; expected a format. hint: {did_you_mean(path.suffix, known)}"
    )
