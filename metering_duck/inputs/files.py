"""Finding files: paths, globs, folders and standard input become the files that they name, all of one format.

This module decides only where files lie; inputs/formats.py tells their format. Of a file only the first bytes are read.
"""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from metering_duck.engine.failures import naming
from metering_duck.engine.remote import DELTA_LOG, check_no_delta, etag_of, expand_url, scheme_of
from metering_duck.errors import NothingThere, SourceError, of_the_system
from metering_duck.files.names import events_below
from metering_duck.inputs.file_bytes import compression_of
from metering_duck.inputs.file_formats import FileFormat
from metering_duck.inputs.file_set import FileSet
from metering_duck.inputs.formats import BY_SUFFIX, format_of
from metering_duck.inputs.input import Input
from metering_duck.inputs.lake_folders import check_no_table
from metering_duck.inputs.lakes import SCHEMES
from metering_duck.inputs.partitions import partition_keys
from metering_duck.inputs.passed_over import check_passed_over

STANDARD_INPUT = "-"


def find_files(patterns: Sequence[str], scratch: Path, folder_keys: bool | None = None) -> Input:
    """The input of the files that paths, globs and folders name; `-` and pipes are first copied into `scratch`.

    `folder_keys` is that of Source: with False, the names of folders are no columns.

    Raises: SourceError where there are no files, a file cannot be read, or files are of several formats.
    """
    copies = {pattern: os.path.abspath(_spool(pattern, scratch)) for pattern in patterns if _is_spooled(pattern)}
    found = [[copies[pattern]] if pattern in copies else _files_of(pattern) for pattern in patterns]
    named = tuple(dict.fromkeys(path for files in found for path in files))
    paths = _without_links(named, folder_keys=folder_keys is not False)
    again = tuple(sorted(set(named).difference(paths)))
    format = _one_format(paths)
    keys = partition_keys(paths) if format.has_partitions and folder_keys is not False else ()
    label = "standard input" if list(copies) == [STANDARD_INPUT] and len(paths) == 1 else ""
    chosen = folder_keys is True
    return format.opened(FileSet(paths, keys, label, tuple(copies.values()), keys_are_chosen=chosen, again=again))


def _without_links(paths: Sequence[str], *, folder_keys: bool) -> tuple[str, ...]:
    """The paths, each file of this machine once, by its own name rather than a link's.

    With `folder_keys`, a file in folders KEY=VALUE of several values is several: each has other columns.
    """
    kept: dict[object, str] = {}
    for path in sorted(paths, key=os.path.islink):
        same: object = path
        if not scheme_of(path):
            found = os.stat(path)
            folders = tuple(part for part in Path(path).parent.parts if "=" in part) if folder_keys else ()
            same = found.st_dev, found.st_ino, folders
        kept.setdefault(same, path)
    known = set(kept.values())
    return tuple(path for path in paths if path in known)


def _files_of(pattern: str) -> list[str]:
    """The files that a pattern names, each by its whole path.

    Raises: SourceError.
    """
    found = [path if scheme_of(path) else os.path.abspath(path) for path in expand(pattern)]
    for path in found:
        _check_name(path)
    return found


def _check_name(path: str) -> None:
    """Refuse a name that DuckDB cannot open: it takes names in UTF-8 alone.

    Raises: SourceError.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        raise SourceError(
            f"{path}: found a name that is not UTF-8; expected one that is. hint: PYTHONUTF8=1 where the locale is not "
            "UTF-8, or rename the file"
        ) from None


def _one_format(paths: Sequence[str]) -> FileFormat:
    """The format of all files.

    Raises: SourceError where files are of several formats.
    """
    formats = {format_of(path): path for path in reversed(paths)}
    if len(formats) > 1:
        named = sorted((format.name, path) for format, path in formats.items())
        listed = ", ".join(f"{name} ({Path(path).name})" for name, path in named)
        raise SourceError(
            f"input: found files of several formats, {listed}; expected one. hint: name them apart, e.g. '*.parquet'"
        )
    return next(iter(formats))


def same_files(patterns: Sequence[str]) -> dict[str, str]:
    """Real path → "an input", for every file that the patterns name directly or by a glob."""
    named = []
    for pattern in patterns:
        named += [pattern] if os.path.exists(pattern) else glob.glob(pattern)
    return {os.path.realpath(path): "an input" for path in named}


def is_within(target: str, pattern: str) -> bool:
    """Whether a file written to `target` would be among the files that a folder, a glob or a URL names as input."""
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

    Raises: SourceError where there is no such file, it cannot be read, or is one of a table of a lake.
    """
    if "\0" in pattern:
        raise SourceError(f"input: found a NUL in the path {pattern!r}; expected a path.")
    if scheme_of(pattern):
        return expand_url(pattern, tuple(BY_SUFFIX))
    if os.path.isfile(pattern):
        if not os.access(pattern, os.R_OK):
            raise SourceError(f"{pattern}: cannot be read (permission denied); expected a file you may read.")
        check_no_table(pattern, [pattern])
        return [pattern]
    if os.path.isdir(pattern):
        return _expand_folder(pattern)
    return _expand_glob(pattern)


def _expand_folder(folder: str) -> list[str]:
    """The files with events below a folder, told by their suffixes.

    Raises: SourceError where there is no such file, for a file of data that is not read, for a link to nowhere, and
    for files of a table.
    """
    check_no_delta(folder, (f"{path}/" for path in Path(folder).rglob(DELTA_LOG)))
    paths = [path for path in _below(folder) if path.is_symlink() or path.is_file()]
    check_no_table(folder, map(str, paths))
    named = events_below(folder, [path.relative_to(folder).as_posix() for path in paths], BY_SUFFIX)
    found = sorted(str(path) for path in (Path(folder, name) for name in named) if _is_file(path))
    check_passed_over(folder, set(map(str, paths)).difference(found), found)
    if not found:
        expected = f"expected one of {', '.join(BY_SUFFIX)}"
        raise NothingThere(f"{folder}: found no file with events in the folder; {expected}.")
    return found


def _below(folder: str) -> Iterator[Path]:
    """The paths below a folder; links to folders are not followed.

    Raises: SourceError for a folder that cannot be looked into: its files would be missed without a word.
    """

    def refuse(error: OSError) -> NoReturn:
        raise of_the_system(error, folder) or error

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        yield from (Path(place, name) for name in names)


def _is_file(path: Path) -> bool:
    """Whether a path is a file, or a link to one.

    Raises: SourceError for a link that leads nowhere.
    """
    if path.is_symlink() and not path.exists():
        raise SourceError(f"{path}: is a link that leads nowhere; expected a file. hint: mend or remove the link")
    return path.is_file()


def _expand_glob(pattern: str) -> list[str]:
    """The files that a glob matches.

    Raises: SourceError where there is no such file.
    """
    _check_folders(os.path.dirname(pattern))
    found = sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))
    check_no_table(pattern, found)
    if not found and os.path.islink(pattern):
        raise NothingThere(f"{pattern}: is a link that leads nowhere; expected a file. hint: mend or remove the link")
    if not found:
        raise NothingThere(
            f"{pattern}: found no such file; expected a path, a folder, a glob, or - for standard input."
        )
    return found


def _check_folders(pattern: str) -> None:
    """Refuse a folder on the way of a glob that cannot be looked into: its files would be missed without a word.

    Raises: SourceError.
    """
    if pattern and glob.has_magic(pattern):
        _check_folders(os.path.dirname(pattern))
    for folder in filter(os.path.isdir, glob.glob(pattern, recursive=True)):
        if not os.access(folder, os.R_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
            raise SourceError(f"{folder}: cannot be looked into (permission denied); expected a folder you may read.")


def stamp_of(path: str) -> object:
    """A value that changes when a file is written again.

    An object of a store has none, since each of its reads asks for the same ETag already.
    """
    scheme = scheme_of(path)
    with contextlib.suppress(OSError):
        if scheme in ("http", "https"):
            return etag_of(path)
        if scheme:
            return None
        found = os.stat(path)
        return found.st_size, found.st_mtime_ns, found.st_ino
    return "gone"


def is_pipe(path: str) -> bool:
    """Whether a path exists and is neither a file nor a folder."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _is_spooled(pattern: str) -> bool:
    """Whether a pattern is standard input or a pipe, whose bytes are copied into a file."""
    return pattern == STANDARD_INPUT or is_pipe(pattern)


def _spool(pattern: str, scratch: Path) -> str:
    """Copy a pipe into a file named after its format: a pipe can be read once only, and DuckDB does not read stdin."""
    with naming("standard input" if pattern == STANDARD_INPUT else pattern), contextlib.ExitStack() as opened:
        file = opened.enter_context(tempfile.NamedTemporaryFile(dir=scratch, prefix="stdin-", delete=False))
        source = sys.stdin.buffer if pattern == STANDARD_INPUT else opened.enter_context(open(pattern, "rb"))
        shutil.copyfileobj(source, file, 1 << 20)
    with open(file.name, "rb") as start:
        compression = compression_of(start.read(4))
    os.rename(file.name, file.name + compression)
    format = format_of(file.name + compression)
    # Objects over several lines have no suffix of their own.
    suffix = format.suffixes[0] if format.suffixes else ".json"
    os.rename(file.name + compression, file.name + suffix + compression)
    return file.name + suffix + compression
