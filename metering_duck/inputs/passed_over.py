"""Passed over: files of a folder whose names do not say that they hold events, and whose bytes do."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Sequence

from metering_duck.errors import SourceError, first_few
from metering_duck.files.kinds import LOOKED_AT
from metering_duck.files.names import is_hidden, suffix_of
from metering_duck.files.own_formats import first_line, looks_like_events
from metering_duck.inputs.file_bytes import first_bytes

# Of how many CSV files of a folder the first line is compared.
HEADERS = 20


def check_passed_over(folder: str, others: Collection[str], read: Sequence[str]) -> None:
    """Refuse a file of events among the `others`, which are below the folder and not `read`, since it would be missed.

    Only the first bytes of these few files are looked at; what looks like no events is no data.

    Raises: SourceError.
    """
    seen = [path for path in sorted(others) if not is_hidden(os.path.relpath(path, folder))]
    if not seen:
        return
    tables = [path for path in read if suffix_of(path) in (".csv", ".tsv")]
    headers = {line for path in tables[:HEADERS] if (line := first_line(first_bytes(path, LOOKED_AT)))}
    among_json = any(suffix_of(path) in (".ndjson", ".jsonl", ".json") for path in read)
    missed = []
    for path in seen:
        with contextlib.suppress(OSError), open(path, "rb") as file:
            found = looks_like_events(file.read(LOOKED_AT), headers, among_json=among_json)
            if found:
                missed.append(f"{os.path.relpath(path, folder)} ({found})")
    if missed:
        raise SourceError(
            f"{folder}: found data without a suffix that says so, {first_few(missed)}; expected names that end in "
            ".parquet, .ndjson, .json, .csv or .arrow. hint: rename it, begin its name with _ to leave it out, or name "
            "the files that count"
        )
