"""Readers of event files that share nothing with the engine: bytes in, events out, or why there are none.

They read what a file says, damaged or not, by the letter of its format: Python's JSON and gzip, zstandard frame by
frame, a CSV reader of a page, and pyarrow, which verifies the checksums of Parquet pages.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import zstandard
from pyarrow import ipc, parquet

from tests.worlds import Event

# An event in the spelling of JSON, and the reason why it is a reject before anything is measured.
Read = tuple[Event, str | None]
SPELLINGS = {
    "id": ("id",),
    "workspaceID": ("workspaceID", "workspace_id", "workspaceId"),
    "universeID": ("universeID", "universe_id", "universeId"),
    "type": ("type",),
    "subject": ("subject",),
    "time": ("time",),
    "meteredAt": ("meteredAt", "metered_at"),
}
FIELDS = {name for names in SPELLINGS.values() for name in names} | {"properties"}
BEYOND = "1e100"
BLANKS = "\t\r "
MARK = re.compile(r"[\ufdd0\ufdd1]|(?<!\\)(?:\\\\)*\\u[fF][dD][dD][01]")
# The key of an event whose properties cannot be read: what stands for them in its content.
UNREAD = "unread"
FRAGILE = re.compile(r"[:\[,]\s*-?([0-9]+[.eE]|[0-9]{16})|[:\[,]\s*-0", re.ASCII)


class NotReadable(Exception):
    """The bytes are no whole, unharmed file of their format."""


class ChecksumDiffers(NotReadable):
    """A checksum that the file has is not that of its bytes."""


class NotSure(Exception):
    """The bytes may be read, but readers may take them differently."""


def _unread(words: str, *of_checksums: str) -> NotReadable:
    """Why there are no events, by a library's words; which of them speak of a checksum."""
    return ChecksumDiffers(words) if any(found in words for found in of_checksums) else NotReadable(words)


# --- compression -----------------------------------------------------------------------------------------------------


def decompressed(data: bytes, codec: str) -> bytes:
    """The bytes inside; every frame or member must be whole, and its checksum must hold.

    Raises: NotReadable.
    """
    if codec == "gz":
        return _of_gzip(data)
    return _of_zstd(data) if codec == "zst" else data


def _of_gzip(data: bytes) -> bytes:
    if not data:
        raise NotReadable("no gzip member")
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise _unread(str(error), "CRC check failed", "Incorrect length of data") from None


def _of_zstd(data: bytes) -> bytes:
    found = []
    if not data:
        raise NotReadable("no frame")
    while data:
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
        try:
            found.append(reader.decompress(data))
        except zstandard.ZstdError as error:
            raise _unread(str(error), "doesn't match checksum") from None
        if not reader.eof:
            raise NotReadable("a frame does not end")
        data = reader.unused_data
    return b"".join(found)


# --- JSON ------------------------------------------------------------------------------------------------------------


class _Object(dict[str, Any]):
    """A JSON object, its members as they are written, and whether a name is in it twice."""

    repeated = False
    members: tuple[tuple[str, Any], ...] = ()


def _pairs(pairs: Iterable[tuple[str, Any]]) -> _Object:
    found = _Object()
    found.members = tuple(pairs)
    for key, value in found.members:
        found.repeated |= key in found
        found.setdefault(key, value)
    return found


def _parsed(text: str) -> Any:
    """JSON with numbers as they are written, and the NaN and Infinity that Python writes as numbers, too.

    Raises: ValueError, RecursionError.
    """
    number = _Number
    found = json.loads(
        text, object_pairs_hook=_pairs, parse_int=number, parse_float=number, parse_constant=number, strict=True
    )
    json.dumps(found, ensure_ascii=False).encode()
    return found


class _Number(str):
    """A number as it is written."""


def of_lines(text: bytes) -> list[Read]:
    """NDJSON: an object a line, lines of blanks left out. A \\r ends a line, too: a JSON text has none within.

    Raises: NotSure where the objects are flat: then all that is no field is a property.
    """
    _check_has_properties(text.decode(errors="replace"))
    found = []
    for line in re.split(rb"[\r\n]", text.removeprefix(b"\xef\xbb\xbf")):
        try:
            shown = line.decode()
        except UnicodeDecodeError:
            found.append(({}, "json-invalid"))
            continue
        if shown.strip(BLANKS):
            found.append(of_line(shown))
    return found


def _check_has_properties(text: str) -> None:
    if text.strip(BLANKS + "\n[]") and '"properties"' not in text:
        raise NotSure("no object has properties")


def of_line(line: str) -> Read:
    """The event of one line."""
    try:
        return of_object(_parsed(line.strip(BLANKS)), line)
    except (ValueError, RecursionError):
        return {}, "json-invalid"


def of_object(value: Any, line: str) -> Read:
    """The event of a JSON value."""
    if not isinstance(value, _Object):
        return {}, "json-invalid"
    event: Event = {}
    for name, spellings in SPELLINGS.items():
        places = [value[spelled] for spelled in spellings if value.get(spelled) is not None]
        event[name] = text_of(places[0]) if places else None
    held = value.get("properties")
    properties = held if isinstance(held, _Object) else _Object()
    event["properties"] = {key: text_of(member) for key, member in properties.items()}
    if value.repeated:
        return {**event, UNREAD: line}, "property-repeated"
    if MARK.search(line) and FRAGILE.search(line):
        return {**event, UNREAD: line}, "number-inexact"
    if held is not None and not isinstance(held, _Object):
        return {**event, UNREAD: text_of(held)}, "properties-invalid"
    return ({**event, UNREAD: text_of(held)}, "property-repeated") if properties.repeated else (event, None)


def text_of(value: Any) -> str | None:
    """A JSON value as the text of a property: numbers as they are written, what is no scalar as its JSON."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(value)
    return json_text(value)


def json_text(value: Any) -> str:
    """A JSON value as JSON, numbers as they are written."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        members = value.members if isinstance(value, _Object) else value.items()
        return "{" + ",".join(f"{json_text(key)}:{json_text(member)}" for key, member in members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def of_array(text: bytes) -> list[Read]:
    """A JSON array of objects.

    Raises: NotReadable for what is no array.
    """
    try:
        shown = text.removeprefix(b"\xef\xbb\xbf").decode()
        values = _parsed(shown)
    except (ValueError, RecursionError) as error:
        raise NotReadable(str(error)) from None
    if not isinstance(values, list):
        raise NotSure("JSON, but no array")
    if MARK.search(shown):
        raise NotSure("a mark of numbers somewhere")
    _check_has_properties(shown)
    return [of_object(value, "") for value in values]


# --- CSV -------------------------------------------------------------------------------------------------------------


def of_csv(text: bytes, known: Iterable[str]) -> list[Read]:
    """CSV with a header: an empty field without quotes is absent. `known` are the columns that the file had.

    Raises: NotReadable for quotes that do not fit, and rows of another length; NotSure where columns have other names.
    """
    try:
        shown = text.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        raise NotReadable(str(error)) from None
    first = shown.split("\n", 1)[0]
    rows = list(_csv_rows(shown, max(",\t;|", key=first.count)))
    if not rows:
        raise NotReadable("no header")
    header, *others = rows
    if header != list(known) and others:
        raise NotSure("other columns")
    found: list[Read] = []
    for row in others:
        if row == [None] and len(header) > 1:
            continue
        if len(row) != len(header):
            raise NotReadable("a row of another length")
        found.append((_event_of_columns(dict(zip(header, row, strict=True))), None))
    return found


def _csv_rows(text: str, delimiter: str) -> Iterable[list[str | None]]:
    place, row = 0, []
    while place < len(text):
        field, place = _csv_field(text, place, delimiter)
        row.append(field)
        if place >= len(text):
            break
        if text[place] == delimiter:
            place += 1
            if place == len(text):
                row.append(None)
            continue
        place += 2 if text.startswith("\r\n", place) else 1
        yield row
        row = []
    if row:
        yield row


def _csv_field(text: str, place: int, delimiter: str) -> tuple[str | None, int]:
    """A field, and where it ends."""
    if text[place] != '"':
        end = place
        while end < len(text) and text[end] not in f"{delimiter}\n\r":
            end += 1
        if '"' in text[place:end]:
            raise NotSure("a quote inside a field")
        return text[place:end] or None, end
    found, place = [], place + 1
    while True:
        end = text.find('"', place)
        if end < 0:
            raise NotReadable("a quote that does not end")
        found.append(text[place:end])
        if text[end + 1 : end + 2] != '"':
            break
        found.append('"')
        place = end + 2
    if text[end + 1 : end + 2] not in ("", delimiter, "\n", "\r"):
        raise NotReadable("text behind a quote")
    return "".join(found), end + 1


def _read_of_columns(row: dict[str, Any]) -> Read:
    """The event of a row, whose properties may be JSON text."""
    held = row.get("properties")
    if not isinstance(held, str):
        return _event_of_columns(row), None
    event = _event_of_columns({**row, "properties": None})
    try:
        value = _parsed(held)
    except (ValueError, RecursionError):
        return {**event, UNREAD: held}, "properties-invalid"
    if not isinstance(value, _Object):
        return {**event, UNREAD: held}, "properties-invalid"
    event["properties"] = {key: text_of(member) for key, member in value.items()}
    if value.repeated:
        return {**event, UNREAD: held}, "property-repeated"
    return ({**event, UNREAD: held}, "number-inexact") if MARK.search(held) and FRAGILE.search(held) else (event, None)


def _event_of_columns(row: dict[str, Any]) -> Event:
    event: Event = {}
    for name, spellings in SPELLINGS.items():
        event[name] = next((as_text(row[spelled]) for spelled in spellings if spelled in row), None)
    if "properties" in row:
        held = row["properties"]
        pairs = dict(held.items() if isinstance(held, dict) else held or ())
        event["properties"] = {key: as_text(value) for key, value in pairs.items()}
    else:
        event["properties"] = {key: as_text(value) for key, value in row.items() if key not in FIELDS}
    return event


def as_text(value: Any) -> str | None:
    """A column's value as the text of a field or property."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
    if isinstance(value, int):
        return str(value)
    return f"{value:f}"


# --- Parquet and Arrow -----------------------------------------------------------------------------------------------


def of_parquet(data: bytes) -> list[Read]:
    """Parquet, as pyarrow reads it, checksums of pages verified.

    Raises: NotReadable.
    """
    return of_table(_read(lambda: parquet.ParquetFile(io.BytesIO(data), page_checksum_verification=True).read()))


def of_arrow(data: bytes) -> list[Read]:
    """An Arrow file or stream, as pyarrow reads and validates it.

    Raises: NotReadable.
    """
    is_file = data[:6] == b"ARROW1"
    opened = ipc.open_file if is_file else ipc.open_stream
    return of_table(_read(lambda: opened(pa.BufferReader(data)).read_all()))


def _read(read: Any) -> pa.Table:
    try:
        table = read()
        _validate(table)
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError, KeyError, NotImplementedError) as error:
        raise _unread(f"{type(error).__name__}: {error}", "CRC checksum verification failed") from None
    return table


def _validate(table: pa.Table) -> None:
    """Refuse what is no table; a decimal of more digits than its type says is a number all the same."""
    try:
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        if "does not fit in precision" not in str(error):
            raise


def _reject_beyond(rows: list[dict[str, Any]], field: pa.Field) -> None:
    """A value of more digits than its column declares is no quantity that fits (R36)."""
    bound = Decimal(10) ** (field.type.precision - field.type.scale)
    for row in rows:
        if row[field.name] is not None and abs(row[field.name]) >= bound:
            row[field.name] = BEYOND


def of_table(table: pa.Table) -> list[Read]:
    """The events of a table's rows.

    Raises: NotReadable for a value that Python does not have, such as a time of the year 10000.
    """
    try:
        rows = table.to_pylist(maps_as_pydicts="lossy")
        for field in table.schema:
            if pa.types.is_decimal(field.type):
                _reject_beyond(rows, field)
        return [_read_of_columns(row) for row in rows]
    except OverflowError as error:
        # Python has no such time; the engine has a reject.
        raise NotSure(str(error)) from None
    except (ValueError, TypeError, UnicodeError, KeyError, pa.ArrowException) as error:
        raise NotReadable(f"{type(error).__name__}: {error}") from None
