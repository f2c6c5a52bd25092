"""Inputs: paths, globs, folders, standard input, tables, frames and dicts become files to read or a relation to scan.

Decides only what kind of thing an input is and where its bytes lie; inputs/opening.py says what its columns mean.
Nothing is read here beyond the first bytes.
"""

from __future__ import annotations

import contextlib
import csv
import fnmatch
import glob
import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from metering_duck.engine.remote import (
    DELTA_LOG,
    check_no_delta,
    etag_of,
    expand_url,
    explaining_reads,
    open_url,
    scheme_of,
    shown,
)
from metering_duck.errors import SourceError
from metering_duck.inputs.input import COMPRESSIONS, FORMATS, Files, Input
from metering_duck.inputs.lakes import SCHEMES, Attached, LakeTable

FIRST_BYTES = 65_536


# --- files -----------------------------------------------------------------------------------------------------------


def find_files(patterns: Sequence[str], scratch: Path) -> Files:
    """Paths, globs and folders as files of one format; `-` and pipes are kept in `scratch` first."""
    spooled = [pattern for pattern in patterns if pattern == "-" or is_pipe(pattern)]
    found = [
        path for pattern in patterns for path in ([_spool(pattern, scratch)] if pattern in spooled else expand(pattern))
    ]
    paths = tuple(dict.fromkeys(path if scheme_of(path) else os.path.abspath(path) for path in found))
    formats = {format_of(path): path for path in reversed(paths)}
    if len(formats) > 1:
        listed = ", ".join(f"{kind} ({Path(path).name})" for kind, path in sorted(formats.items()))
        raise SourceError(
            f"input: found files of several formats, {listed}; expected one. hint: name them apart, e.g. '*.parquet'"
        )
    kind = next(iter(formats))
    for path in paths if kind == "json" else ():
        if not _is_whole_array(path):
            raise SourceError(f"{shown(path)}: found a JSON array that does not end; expected it to end with ].")
    label = "standard input" if spooled == ["-"] and len(paths) == 1 else None
    return Files(paths, kind, _partition_keys(paths) if kind in ("parquet", "csv") else (), label)


def same_files(patterns: Sequence[str]) -> dict[str, str]:
    """Real path → "an input", for every file that the patterns name directly or by a glob."""
    named = [path for pattern in patterns for path in ([pattern] if os.path.exists(pattern) else glob.glob(pattern))]
    return {os.path.realpath(path): "an input" for path in named}


def is_within(target: str, pattern: str) -> bool:
    """Whether a file that is written would be one of those that a folder, a glob or a URL is read from."""
    one, other = (re.sub("^s3a://", "s3://", path) for path in (target, pattern))
    if bool(scheme_of(one)) != bool(scheme_of(other)) or scheme_of(other) in SCHEMES:
        return False
    if not scheme_of(one):
        if not os.path.isdir(other):
            return False
        one, other = os.path.realpath(one), os.path.realpath(other)
    folder = other.rstrip("/")
    return one.rstrip("/") == folder or one.startswith(f"{folder}/") or fnmatch.fnmatchcase(one, other)


def expand(pattern: str) -> list[str]:
    """The files that a path, a folder or a glob names.

    Raises: SourceError where there is none, or it cannot be read.
    """
    if "\0" in pattern:
        raise SourceError(f"input: found a NUL in the path {pattern!r}; expected a path.")
    if scheme_of(pattern):
        return expand_url(pattern, tuple(FORMATS))
    if os.path.isfile(pattern):
        if not os.access(pattern, os.R_OK):
            raise SourceError(f"{pattern}: cannot be read (permission denied); expected a file you may read.")
        return [pattern]
    if os.path.isdir(pattern):
        found = sorted(
            str(path)
            for path in Path(pattern).rglob("*")
            if path.is_file()
            and _suffix(path.name) in FORMATS
            and not any(part.startswith((".", "_")) for part in path.relative_to(pattern).parts)
        )
        check_no_delta(pattern, (f"{path}/" for path in Path(pattern).rglob(DELTA_LOG)))
        if not found:
            raise SourceError(
                f"{pattern}: found no file with events in the folder; expected one of {', '.join(FORMATS)}."
            )
        return found
    found = sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))
    above = {str(parent) for path in found for parent in Path(path).absolute().parents}
    check_no_delta(pattern, (log for folder in sorted(above) if os.path.isdir(log := f"{folder}/{DELTA_LOG}/")))
    if not found:
        raise SourceError(f"{pattern}: found no such file; expected a path, a folder, a glob, or - for standard input.")
    return found


def paths_of(found: Input | None) -> list[str]:
    """The files that the engine opens for an input."""
    if isinstance(found, Attached):
        return [found.path, f"{found.path}.wal", *found.files]
    tables = [found] if isinstance(found, LakeTable) else [table for table, _ in getattr(found, "parts", ())]
    if tables:
        plain = [table.plain_files for table in tables]
        return [path for files in plain if files and files.are_here for path in files.paths]
    return list(found.paths) if isinstance(found, Files) else []


def extensions_of(*inputs: Input | None) -> set[str]:
    """The extensions of DuckDB that inputs need: a DuckLake with rows elsewhere is opened by no other file system."""
    lakes = [found for found in inputs if isinstance(found, Attached) and found.version is not None]
    is_far = any(scheme_of(path) for lake in lakes for path in lake.files)
    return {"ducklake" for _ in lakes} | ({"httpfs"} if is_far else set())


def stamp_of(path: str) -> object:
    """What differs once a file was written again. Of an object nothing: each read of it asks for the same ETag."""
    with contextlib.suppress(OSError):
        if scheme_of(path) in ("http", "https"):
            return etag_of(path)
        found = None if scheme_of(path) else os.stat(path)
        return found and (found.st_size, found.st_mtime_ns, found.st_ino)
    return "gone"


def is_pipe(path: str) -> bool:
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _spool(pattern: str, scratch: Path) -> str:
    """A pipe's bytes in a file named after their format: a pipe reads once, and DuckDB reads nothing from stdin."""
    with contextlib.ExitStack() as opened:
        file = opened.enter_context(tempfile.NamedTemporaryFile(dir=scratch, prefix="stdin-", delete=False))
        source = sys.stdin.buffer if pattern == "-" else opened.enter_context(open(pattern, "rb"))
        shutil.copyfileobj(source, file, 1 << 20)
    with open(file.name, "rb") as start:
        magic = start.read(4)
    compression = ".gz" if magic[:2] == b"\x1f\x8b" else ".zst" if magic == b"\x28\xb5\x2f\xfd" else ""
    os.rename(file.name, file.name + compression)
    kind = format_of(file.name + compression)
    suffix = next((suffix for suffix, known in FORMATS.items() if known == kind), ".json")
    os.rename(file.name + compression, file.name + suffix + compression)
    return file.name + suffix + compression


def _suffix(name: str) -> str:
    path = Path(name.lower())
    return Path(path.stem).suffix if path.suffix in COMPRESSIONS else path.suffix


def _open(path: str) -> Any:
    compression = {".gz": "gzip", ".zst": "zstd"}.get(Path(path.lower()).suffix)
    return pa.input_stream(open_url(path) if scheme_of(path) else path, compression=compression)


def _first_bytes(path: str) -> bytes:
    try:
        with _open(path) as stream:
            return bytes(stream.read(FIRST_BYTES))
    except (OSError, pa.ArrowException) as error:
        raise SourceError(
            f"{shown(path)}: cannot be read ({str(error).splitlines()[0]}); expected a readable file."
        ) from None


def format_of(path: str) -> str:
    """The format of a file, by its suffix, else by its first bytes.

    JSON is an array, NDJSON, or, where the first line is not a whole object, objects written over several lines.
    """
    known = FORMATS.get(_suffix(path))
    if known not in (None, "json"):
        return str(known)
    first = _first_bytes(path)
    if first[8:12] == b"DUCK":
        raise SourceError(
            f"{shown(path)}: found a DuckDB database; expected a file of events, or a table in it. "
            f"hint: duckdb://{shown(path)}?table=events"
        )
    if first.startswith(b"PAR1"):
        return "parquet"
    if first.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    text = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"["):
        return "json"
    if text.startswith(b"{"):
        return "ndjson" if text.split(b"\n", 1)[0].rstrip().endswith(b"}") or len(text) == FIRST_BYTES else "objects"
    return "ndjson" if known == "json" else "csv"


def csv_header(path: str) -> tuple[str, tuple[str, ...]]:
    """A CSV file's delimiter and its columns: of comma, tab, semicolon and bar the one that the first line has most of.

    Raises: SourceError for a file without a header, or with a column twice.
    """
    text = _first_bytes(path).removeprefix(b"\xef\xbb\xbf").decode(errors="replace")
    first = text.split("\n", 1)[0]
    delimiter = max(",\t;|", key=first.count)
    names = tuple(next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), ()))
    if not any(names):
        raise SourceError(f"{shown(path)}: is empty; expected a header line with the columns' names.")
    for n, name in enumerate(names):
        if name.lower() in (other.lower() for other in names[:n]):
            raise SourceError(
                f"{shown(path)}: column {name!r}: found it twice; expected names that differ, also without case."
            )
    return delimiter, names


def parquet_schema(path: str) -> pa.Schema:
    """A Parquet file's columns."""
    from pyarrow import parquet

    try:
        if scheme_of(path):
            with explaining_reads(path), open_url(path) as file:
                return parquet.read_schema(file)
        return parquet.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(
            f"{shown(path)}: cannot be read ({str(error).splitlines()[0].rstrip('.')}); expected a Parquet file."
        ) from None


def _is_whole_array(path: str) -> bool:
    """Whether a JSON array ends: DuckDB takes one that is cut off behind a comma."""
    with _open(path) as stream:
        last = b""
        while block := stream.read(1 << 20):
            last = bytes(block).rstrip() or last
    return last.endswith(b"]")


def _folders_with_keys(path: str) -> int:
    return sum("=" in part for part in Path(path).parent.parts)


def _partition_keys(paths: Sequence[str]) -> tuple[str, ...]:
    """The keys of `key=value` folders that all paths have; none of them may have another.

    Raises: SourceError.
    """
    keys = {path: {part.split("=", 1)[0]: None for part in Path(path).parent.parts if "=" in part} for path in paths}
    parts = (part for path in paths for part in Path(path).parent.parts)
    odd = next((part for part in parts if "=" in part.partition("=")[2].strip("=")), None)
    if odd:
        raise SourceError(f"input: found the folder {odd}; expected one = in it. hint: a = within a value is %3D")
    pattern = next((part for path in paths for part in Path(path).parent.parts if re.search(r"=.*[*?\[]", part)), None)
    if pattern:
        hint = "hint: write them as %2A, %3F and %5B"
        raise SourceError(f"input: found the folder {pattern}; expected no *, ? or [ in a partition. {hint}")
    twice = next((path for path in paths if len(keys[path]) < _folders_with_keys(path)), None)
    if twice:
        raise SourceError(f"{shown(twice)}: found a partition twice in its path; expected it once.")
    first = paths[0]
    common = [key for key in keys[first] if all(key in found for found in keys.values())]
    for path, found in keys.items():
        if set(found) != set(keys[first]):
            here, there = (f"{', '.join(keys[one]) or 'none'} ({one})" for one in (first, path))
            raise SourceError(
                f"input: found the partitions {here} and {there}; expected the same in every path. "
                "hint: read the trees apart"
            )
    return tuple(common)
