"""Own formats: what a file is of the formats that events are read from, told by its first bytes and not by its name."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection

from metering_duck.files.faults import Fault
from metering_duck.files.kinds import BYTE_ORDER_MARK, COMPRESSED, LOOKED_AT

PARQUET, ARROW, CSV, NDJSON = "Parquet", "Arrow", "CSV", "JSON"
# How binary files of events begin.
MAGIC = {b"PAR1": PARQUET, b"ARROW1": ARROW}
# Format as a claim names it → what it is.
FORMATS = {"parquet": PARQUET, "arrow": ARROW, "csv": CSV, "ndjson": NDJSON, "json": NDJSON, "objects": NDJSON}
SUFFIX_OF = {PARQUET: ".parquet", ARROW: ".arrow", CSV: ".csv", NDJSON: ".ndjson"}
# Fields of events, records and readings, however they are spelled; two of them make a header, or an object's keys.
FIELDS = {"id", "workspaceid", "universeid", "type", "subject", "time", "recordedat", "quantity", "unit"}
KEY = re.compile(rb'"([A-Za-z_]{2,20})"\s*:')
# What may divide the columns of CSV.
DELIMITERS = ",\t;|"


def check_format(first: bytes, format: str) -> None:
    """Refuse a file that, by its `first` bytes without its compression, is of another format than its name says.

    Raises: Fault.
    """
    wanted, found = FORMATS[format], found_format(first)
    packed = next((codec for codec, begins in COMPRESSED.items() if begins.match(first)), None)
    if packed and wanted in (CSV, NDJSON):
        found_twice = f"a file compressed with {packed} within its compression"
        raise Fault(found_twice, "one that is compressed once", "decompress it")
    if found == wanted or first.startswith(b"\xff\xff\xff\xff"):
        return
    if found is not None:
        raise Fault(file_of(found), f"{wanted}, as its name says", f"name it {SUFFIX_OF[found]}")


def file_of(format: str) -> str:
    """What messages call a file of a format."""
    return f"{'an' if format == ARROW else 'a'} {format} file"


def found_format(first: bytes) -> str | None:
    """The format that a file's first bytes show; None where they show none for sure."""
    for magic, name in MAGIC.items():
        if first.startswith(magic):
            return name
    text = first[:LOOKED_AT].removeprefix(BYTE_ORDER_MARK).lstrip()
    if re.match(rb'\{\s*"|\[\s*\{', text):
        return NDJSON
    return CSV if _are_fields(_header_of(text)) else None


def looks_like_events(first: bytes, headers: Collection[bytes], *, among_json: bool) -> str:
    """What a file of unknown suffix is, if its first bytes look like events; "" if they do not.

    `headers` are the first lines of the CSV files beside it; `among_json` says that objects are among the files.
    """
    if any(begins.match(first) for begins in COMPRESSED.values()):
        return "compressed data"
    found = found_format(first)
    if found == NDJSON and not (among_json and _is_object(first)) and not _are_fields(KEY.findall(first)):
        return ""
    if found is None and first_line(first) and first_line(first) in headers:
        found = CSV
    return found or ""


def first_line(first: bytes) -> bytes:
    """A file's first line, as far as it is among its first bytes."""
    return re.split(rb"[\r\n]", first.removeprefix(BYTE_ORDER_MARK), maxsplit=1)[0].strip()


def _header_of(text: bytes) -> list[bytes]:
    """The names in a text's first line, where it has a delimiter."""
    line = first_line(text).decode(errors="replace")
    delimiter = max(DELIMITERS, key=line.count)
    return [name.encode() for name in next(csv.reader([line], delimiter=delimiter), [])] if delimiter in line else []


def _are_fields(names: Collection[bytes]) -> bool:
    """Whether two of the names are those of fields."""
    spelled = {name.decode(errors="replace").strip().lower().replace("_", "") for name in names}
    return len(spelled & FIELDS) >= 2


def _is_object(first: bytes) -> bool:
    """Whether the first line is a JSON object."""
    try:
        return isinstance(json.loads(first_line(first)), dict)
    except ValueError:
        return False
