"""Files: a target is written beside itself and then renamed, so that no half file is ever seen."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from metering_duck.engine.failures import naming
from metering_duck.engine.remote import filesystem_of, scheme_of, shown, written_url
from metering_duck.errors import ConfigError, SourceError
from metering_duck.inputs.lakes import is_lake
from metering_duck.outputs.formats import format_of_path

_partial_files: set[str] = set()


def path_or_url(target: str) -> Path | str:
    """The place of a written file: a Path on this machine, else the URL as text."""
    return target if scheme_of(target) else Path(target)


def written_whole(target: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    """A new file at a path or a URL, which others see only when it is whole."""
    return written_url(target) if scheme_of(target) else written_beside(Path(target))


@contextlib.contextmanager
def written_beside(target: Path) -> Iterator[IO[bytes]]:
    """A new file beside `target`, which takes the target's place at the end, and is removed if anything failed."""
    if target.exists() and not target.is_file():
        with naming(str(target)), open(target, "wb") as file:
            yield file
        return
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".partial", dir=target.parent)
    except OSError as error:
        raise SourceError(
            f"{target}: cannot be written ({error.strerror}); expected a folder that exists and may be written."
        ) from None
    _partial_files.add(name)
    try:
        with naming(str(target)), os.fdopen(handle, "wb") as file:
            yield file
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    finally:
        _partial_files.discard(name)


def remove_partial_files() -> None:
    """Remove the files that are still being written, in a process that is about to end."""
    for name in list(_partial_files):
        with contextlib.suppress(OSError):
            os.unlink(name)


def check_target(given: str) -> str:
    """The format of a file that is to be written later, if it can be written.

    Raises: ConfigError for a suffix of no format, and for a table; SourceError for a folder that does not exist.
    """
    if is_lake(given):
        raise ConfigError(f"{shown(given)}: found a table; expected a file. hint: a table takes records and readings")
    target = Path(given)
    kind = format_of_path(target)
    if scheme_of(given):
        filesystem_of(given)
        return kind
    if target.is_dir() or not target.parent.is_dir():
        raise SourceError(f"{target}: cannot be written; expected a file in a folder that exists.")
    return kind
