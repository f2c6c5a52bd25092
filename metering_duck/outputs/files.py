"""Files: a target is written beside itself and then renamed, so that no half file is ever seen.

What is renamed is on the disk before, so that a power cut leaves the old file or the new one.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from metering_duck.engine.failures import naming
from metering_duck.engine.owned import Owned, owned_file, remove_left
from metering_duck.engine.remote import filesystem_of, scheme_of, shown, written_url
from metering_duck.errors import ConfigError, SourceError, a_kind, spelled
from metering_duck.inputs.lakes import is_lake
from metering_duck.outputs.formats import format_of_path

# How files are called that are still being written: .NAME.….metering-duck.partial
PARTIAL = ".metering-duck.partial"
# Names of what a process has open: /dev/stdout may be a file, whose name is not to be given to another one.
OPEN_ALREADY = ("/dev/std", "/dev/fd/", "/proc/self/fd/")
# Errors of the system that say that there is no room: on the disk, by a quota, or in a file of this process.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_partial_files: list[Owned] = []


def path_or_url(target: str) -> Path | str:
    """The place of a written file: a Path on this machine, else the URL as text."""
    return target if scheme_of(target) else Path(target)


def target_of(given: str | os.PathLike[str]) -> str:
    """A path or a URL to write to, as text.

    Raises: ConfigError for anything else.
    """
    try:
        text = os.fspath(given)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise ConfigError(f"path: found {a_kind(given)}; expected the path of a file, or a URL.")
    if "\0" in text:
        raise ConfigError(f"path: found a NUL in {spelled(text)}; expected the name of a file.")
    return text


def check_not_read(target: str, reads: Iterable[str], partition: str = "") -> None:
    """Refuse a target that is one of the files that are read, or a tree with one of them in a folder of a partition.

    Raises: ConfigError.
    """
    if scheme_of(target) or not os.path.exists(target) or target.startswith("/dev/"):
        return
    place = os.path.realpath(target)
    for path in reads:
        if scheme_of(path):
            continue
        real = os.path.realpath(path)
        if real == place:
            raise ConfigError(f"path: found {target}, which is an input; expected a file of its own.")
        if partition and real.startswith(f"{place.rstrip('/')}/{partition}="):
            raise ConfigError(f"path: found {target}, where the input {path} lies; expected a folder of its own.")


def written_whole(target: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    """A new file at a path or a URL, which others see only when it is whole."""
    return written_url(target) if scheme_of(target) else written_beside(Path(target))


class _Target(io.FileIO):
    """A file that remembers why it could not be written: libraries say it in words of their own."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write some bytes."""
        try:
            return super().write(data)
        except OSError as error:
            self.failure = error
            raise


@contextlib.contextmanager
def written_beside(target: Path) -> Iterator[IO[bytes]]:
    """A new file beside `target`, which takes the target's place at the end, and is removed if anything failed.

    A link is written through, and the file that is replaced gives its mode and its owner to the new one.

    Raises: SourceError for a place that cannot be written.
    """
    with naming(str(target)):
        is_device = _is_device(target)
    if is_device:
        with naming(str(target)), open(target, "wb") as file:
            yield file
        return
    place = Path(os.path.realpath(target))
    remove_left(place.parent, ".", PARTIAL)
    try:
        partial = owned_file(f".{place.name[:40]}.", PARTIAL, place.parent)
    except OSError as error:
        raise SourceError(
            f"{target}: cannot be written ({error.strerror}); expected a folder that exists and may be written."
        ) from None
    _partial_files.append(partial)
    opened = _Target(partial.handle, "wb", closefd=False)
    try:
        with io.BufferedWriter(opened) as written:
            yield written
            written.flush()
        _put(partial, place, opened)
    except BaseException as error:
        failure = opened.failure
        if failure is None:
            raise
        if not isinstance(error, Exception):
            raise
        raise unwritten(target, failure) from None
    finally:
        _partial_files.remove(partial)
        partial.remove()


def _put(partial: Owned, place: Path, opened: _Target) -> None:
    """Bring what was written to the disk and to its place."""
    try:
        os.fsync(partial.handle)
        put_in_place(partial.path, place)
        sync_folder(place.parent)
    except OSError as error:
        opened.failure = error
        raise


def put_in_place(path: Path, place: Path) -> None:
    """Rename a whole file to its place; a file that is there gives its mode and its owner to the new one.

    Raises: OSError.
    """
    try:
        before = os.stat(place)
    except FileNotFoundError:
        os.chmod(path, 0o666 & ~_mask())
    else:
        with contextlib.suppress(OSError):
            # Only root may give a file away; who may not keeps it.
            os.chown(path, before.st_uid, before.st_gid)
        os.chmod(path, stat.S_IMODE(before.st_mode))
    os.replace(path, place)


def _mask() -> int:
    """The bits that a new file of this process does not get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _is_device(target: Path) -> bool:
    """Whether a target is written as it is: a pipe, a terminal, or a name of what this process has open already."""
    if str(target).startswith(OPEN_ALREADY):
        return True
    return target.exists() and not target.is_file()


def unwritten(target: object, error: OSError) -> SourceError:
    """The error for a target that could not be written to its end."""
    expected = "room on its disk" if error.errno in FULL else "a place that can be written"
    way_out = "ulimit -f unlimited; " if error.errno == errno.EFBIG else ""
    return SourceError(
        f"{target}: cannot be written ({error.strerror or error}); expected {expected}. "
        f"hint: {way_out}what was there before is as it was"
    )


def remove_partial_files() -> None:
    """Remove the files that are still being written, in a process that is about to end."""
    for partial in list(_partial_files):
        with contextlib.suppress(OSError):
            partial.path.unlink()


def check_target(given: str) -> str:
    """The format of a file that is to be written later, if it can be written.

    Raises: ConfigError for a suffix of no format, and for a table; SourceError for a folder that does not exist.
    """
    if is_lake(given):
        raise ConfigError(f"{shown(given)}: found a table; expected a file. hint: a table takes records and readings")
    target = Path(target_of(given))
    kind = format_of_path(target)
    if scheme_of(given):
        filesystem_of(given)
        return kind
    with naming(given):
        is_there = target.parent.is_dir() and not target.is_dir()
    if not is_there:
        raise SourceError(f"{target}: cannot be written; expected a file in a folder that exists.")
    return kind
