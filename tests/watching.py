"""A watcher of folders: what any code of this process or of another one does there, told by the system (inotify).

Python's audit hooks do not see what DuckDB, Arrow and deltalake open by themselves; the system sees all.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import pytest

READ = {0x20: "opened", 0x1: "read"}
WRITTEN = {0x2: "written", 0x4: "changed", 0x100: "made", 0x200: "removed", 0x40: "moved away", 0x80: "moved here"}
_IS_FOLDER, _NONBLOCK = 0x40000000, 0o4000
needs_inotify = pytest.mark.skipif(sys.platform != "linux", reason="inotify is of Linux")


class Watcher:
    """Watches folders, those in `quiet` only for writes; `seen` says what happened since it was last asked."""

    def __init__(self, folders: Iterable[Path], quiet: Iterable[Path] = ()) -> None:
        self._system = ctypes.CDLL(None, use_errno=True)
        self._handle = self._system.inotify_init1(_NONBLOCK)
        if self._handle < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._folders: dict[int, Path] = {}
        for folder in folders:
            self._watch(folder, {**READ, **WRITTEN})
        for folder in quiet:
            self._watch(folder, WRITTEN)

    def _watch(self, folder: Path, kinds: Iterable[int]) -> None:
        mask = sum(kinds)
        number = self._system.inotify_add_watch(self._handle, os.fsencode(folder), ctypes.c_uint32(mask))
        if number < 0:
            raise OSError(ctypes.get_errno(), str(folder))
        self._folders[number] = folder

    def seen(self) -> list[str]:
        """What happened, in words, each once; to look at a folder's names is nothing that happened."""
        found: dict[str, None] = {}
        while True:
            try:
                data = os.read(self._handle, 1 << 16)
            except BlockingIOError:
                return list(found)
            while data:
                number, mask, _, length = struct.unpack_from("iIII", data)
                name = data[16 : 16 + length].rstrip(b"\0").decode(errors="replace")
                data = data[16 + length :]
                if mask & _IS_FOLDER and not mask & sum(WRITTEN):
                    continue
                for bit, word in (READ | WRITTEN).items():
                    if mask & bit:
                        found[f"{word}: {self._folders[number] / name}"] = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)
