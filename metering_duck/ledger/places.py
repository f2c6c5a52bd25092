"""Places: what lies where a ledger's event files were seen, on disk, as objects or as days of a table."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from metering_duck.engine.remote import explaining_reads, filesystem_of, open_url, scheme_of
from metering_duck.errors import ConfigError, SourceError
from metering_duck.inputs.given import is_path
from metering_duck.inputs.lakes import find_snapshot
from metering_duck.inputs.table_days import parts_of

# The names by which file systems call the moment when an object was written.
MODIFIED = ("LastModified", "last_modified", "updated", "mtime")


@dataclass(frozen=True)
class Stamp:
    """What tells that a file is unchanged without reading it; for a day of a table `etag` is the id of the table."""

    size_bytes: int
    modified_ns: int
    etag: str | None = None


def patterns_of(events: Any) -> list[str]:
    """Paths, folders and globs, absolute."""
    if events is None:
        return []
    given = [events] if is_path(events) else list(events)
    for item in given:
        if not is_path(item):
            raise ConfigError(
                f"events: found {type(item).__name__}; expected paths of files, which can be read again later."
            )
    texts = [os.fspath(item) for item in given]
    return [_absolute(text) for text in texts]


def _absolute(text: str) -> str:
    """A path on this machine as an absolute path; a URL, and - for standard input, as they are."""
    if text == "-" or scheme_of(text):
        return text
    return os.path.abspath(text)


def stamps_of(paths: Iterable[str]) -> dict[str, Stamp]:
    """The stamps of the files that are there now. Objects are listed folder by folder; a day has the id of its table.

    Raises: SourceError for a place that cannot be looked at.
    """
    found: dict[str, Stamp] = {}
    listed: dict[str, dict[str, Any]] = {}
    for path in dict.fromkeys(paths):
        day = parts_of(path)
        if day:
            stamp = _table_stamp(day[0])
        elif scheme_of(path):
            stamp = _object_stamp(path, listed)
        else:
            stamp = _file_stamp(path)
        if stamp:
            found[path] = stamp
    return found


def _file_stamp(path: str) -> Stamp | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    if not os.path.isfile(path):
        return None
    return Stamp(found.st_size, found.st_mtime_ns)


def _object_stamp(path: str, listed: dict[str, dict[str, Any]]) -> Stamp | None:
    """The stamp of an object from the listing of its folder, which is made once, or of a web file from its server."""
    files = filesystem_of(path)
    with explaining_reads(path):
        if scheme_of(path) in ("http", "https"):
            return stamp_of_info(files.info(path)) if files.exists(path) else None
        folder = path.rpartition("/")[0]
        if folder not in listed:
            files.invalidate_cache()
            try:
                listed[folder] = {info["name"]: info for info in files.ls(folder, detail=True)}
            except FileNotFoundError:
                listed[folder] = {}
        info = listed[folder].get(path.split("://", 1)[1])
    return stamp_of_info(info) if info else None


def stamp_of_info(info: dict[str, Any]) -> Stamp:
    """The stamp of an object, from what its file system says of it."""
    moment = next((info[name] for name in MODIFIED if info.get(name)), None)
    modified = int(moment.timestamp() * 1_000_000) * 1_000 if isinstance(moment, datetime) else 0
    return Stamp(int(info.get("size") or 0), modified, info.get("ETag") or info.get("etag"))


def _table_stamp(name: str) -> Stamp | None:
    """The stamp of a table at a version; None where it cannot be opened."""
    try:
        return Stamp(0, 0, table_id(name))
    except SourceError:
        return None


@lru_cache(maxsize=256)
def table_id(name: str) -> str:
    """The id of a table at a version: asked once, since it never changes."""
    found = find_snapshot(name)
    return found.identity if found else ""


def sha256_of_file(path: str) -> str:
    """The SHA-256 of a file's bytes, wherever it is.

    Raises: OSError; SourceError for what is no file: a device or a pipe may never end.
    """
    if not scheme_of(path) and not stat.S_ISREG(os.stat(path).st_mode):
        raise SourceError(f"{path}: found no file, but something else by this name; expected a file.")
    with open_url(path) if scheme_of(path) else Path(path).open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()
