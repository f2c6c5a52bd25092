"""Owned files and folders: temporary ones, each locked for as long as its owner lives.

The operating system frees a lock when a process ends, however it ends. So what has a name of ours and no lock was left
by a run that was killed, and the next run removes it. What a live run holds is locked, and is let alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no flock: there nothing is locked, and nothing is taken for left.
    fcntl = None  # type: ignore[assignment]


@dataclass
class Owned:
    """A temporary file or folder that this process has locked; `handle` is open as long as it is locked, then -1."""

    path: Path
    handle: int

    def release(self) -> None:
        """Give the lock back, once."""
        handle, self.handle = self.handle, -1
        if handle >= 0:
            os.close(handle)

    def remove(self) -> None:
        """Remove the file or the folder, if it is still there, and give the lock back."""
        _remove(self.path)
        self.release()


def owned_folder(prefix: str, parent: str | Path | None = None) -> Owned:
    """A new folder of this process, in `parent` or where the system keeps temporary files."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent)).resolve()
        try:
            handle = os.open(path, os.O_RDONLY) if fcntl else -1
        except FileNotFoundError:
            # A sweep came between: what has no lock yet is taken for left.
            continue
        if _is_locked(handle, path):
            return Owned(path, handle)


def owned_file(prefix: str, suffix: str, parent: Path) -> Owned:
    """A new file of this process in a folder; its handle can be written to."""
    while True:
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=parent)
        if _is_locked(handle, Path(name)):
            return Owned(Path(name), handle)


def _is_locked(handle: int, path: Path) -> bool:
    """Lock what was just made; False if another run has removed it in the moment before, and it is to be made again."""
    if not fcntl:
        return True
    with contextlib.suppress(OSError):
        # A file system without locks takes nothing for left, either.
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        if os.path.samestat(os.fstat(handle), os.stat(path)):
            return True
    except FileNotFoundError:
        pass
    os.close(handle)
    return False


def remove_left(parent: str | Path, prefix: str, suffix: str = "") -> None:
    """Remove the files and folders of this user that have such a name and no owner who lives."""
    if not fcntl:
        return
    with contextlib.suppress(OSError), os.scandir(parent) as found:
        for entry in found:
            is_ours = entry.name.startswith(prefix) and entry.name.endswith(suffix) and not entry.is_symlink()
            if is_ours:
                with contextlib.suppress(OSError):
                    _remove_unless_locked(Path(entry.path))


def _remove_unless_locked(path: Path) -> None:
    """Remove a file or a folder whose lock is free.

    Raises: OSError where it is locked, belongs to another user, or cannot be removed.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        if os.fstat(handle).st_uid == os.geteuid():
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
