"""Inputs by kind: files, rows, lines of JSON, and tables of lakes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from metering_duck.engine.remote import shown
from metering_duck.errors import first_few
from metering_duck.inputs.lake_days import TableDays
from metering_duck.inputs.lakes import Attached, LakeTable

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
COMPRESSIONS = (".gz", ".zst")


@dataclass(frozen=True)
class Files:
    """Files of one format; `keys` are the Hive partition columns in their paths."""

    paths: tuple[str, ...]
    format: str
    keys: tuple[str, ...] = ()
    label: str | None = None

    @property
    def name(self) -> str:
        """What a message calls them."""
        return self.label or first_few(shown(path) for path in self.paths)


@dataclass(frozen=True)
class Rows:
    """Something with an Arrow stream; `rereadable` says whether it can be scanned more than once.

    `in_shell` is SQL for the same rows where there is any.
    """

    data: Any
    name: str
    rereadable: bool
    in_shell: str = ""


@dataclass(frozen=True)
class Lines:
    """JSON objects as one Arrow column `line`."""

    table: pa.Table
    name: str


Input = Files | Rows | Lines | LakeTable | TableDays | Attached
