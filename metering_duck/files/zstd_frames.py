"""Zstandard: a file's frames, each to its end by the sizes of its blocks (RFC 8878); nothing is decompressed here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import IO

import pyarrow as pa

from metering_duck.files.faults import Fault

MAGIC = 0xFD2FB528
SKIPPABLE = range(0x184D2A50, 0x184D2A60)
# The largest block, and the largest window that libraries open without being asked to.
BLOCK_BYTES_MAX = 1 << 17
WINDOW_LOG_MAX = 27
_RLE, _RESERVED = 1, 3
_WHOLE = "whole zstd frames, and nothing behind them"


@dataclass(frozen=True)
class Frame:
    """Where a frame lies, and whether it has a checksum."""

    start: int
    end: int
    has_checksum: bool


def frames_of(file: IO[bytes]) -> list[Frame]:
    """The frames of a file that hold bytes, in order; skippable frames are left out.

    Raises: Fault for a frame that is cut, bytes that are no frame, and a frame that cannot be opened.
    """
    size, start, frames = file.seek(0, os.SEEK_END), 0, []
    number = 0
    while start < size:
        number += 1
        walk = _Walk(file, size, start, number)
        magic = walk.number(4)
        if magic in SKIPPABLE:
            start = walk.skipped(walk.number(4))
            continue
        if magic != MAGIC:
            where = f"bytes behind zstd frame {number - 1} that are no frame" if number > 1 else "no zstd frame"
            raise Fault(where, _WHOLE)
        has_checksum = walk.header()
        while not walk.block():
            pass
        end = walk.skipped(4 if has_checksum else 0)
        frames.append(Frame(start, end, has_checksum))
        start = end
    if not number:
        raise Fault("no zstd frame", _WHOLE)
    return frames


class _Walk:
    """A position in a frame."""

    def __init__(self, file: IO[bytes], size: int, start: int, frame: int) -> None:
        self.file, self.size, self.position, self.frame = file, size, start, frame

    def skipped(self, count: int) -> int:
        """The position so many bytes further on."""
        self.position += count
        if self.position > self.size:
            raise Fault(f"that it ends in the middle of zstd frame {self.frame}", _WHOLE)
        return self.position

    def number(self, count: int) -> int:
        """The number in the next bytes."""
        self.file.seek(self.position)
        self.skipped(count)
        return int.from_bytes(self.file.read(count), "little")

    def header(self) -> bool:
        """Go behind the frame's header; whether a checksum follows the blocks."""
        descriptor = self.number(1)
        is_single = descriptor >> 5 & 1
        if descriptor & 8:
            raise self._harmed("its header")
        if not is_single:
            log = 10 + (self.number(1) >> 3)
            if log > WINDOW_LOG_MAX:
                raise Fault(
                    f"that zstd frame {self.frame} needs a window of {1 << log - 20:,} MB",
                    f"one of at most {1 << WINDOW_LOG_MAX - 20} MB",
                    f"zstd -d --long={log}, and compress it again without --long",
                )
        if self.number((0, 1, 2, 4)[descriptor & 3]):
            raise Fault(f"that zstd frame {self.frame} needs a dictionary", "frames that need none", "zstd -d -D FILE")
        self.skipped((is_single, 2, 4, 8)[descriptor >> 6])
        return bool(descriptor >> 2 & 1)

    def block(self) -> bool:
        """Go behind a block; whether it was the last of the frame."""
        header = self.number(3)
        kind, size = header >> 1 & 3, header >> 3
        if kind == _RESERVED or size > BLOCK_BYTES_MAX:
            raise self._harmed("a block")
        self.skipped(1 if kind == _RLE else size)
        return bool(header & 1)

    def _harmed(self, what: str) -> Fault:
        return Fault(f"that {what} of zstd frame {self.frame} is harmed", _WHOLE)


def harmed_frame(path: str, frames: list[Frame], said: str) -> Fault:
    """Which frame cannot be decompressed; `said` is the library's message about the whole file."""
    number = len(frames)
    with open(path, "rb") as file:
        for n, frame in enumerate(frames, start=1):
            file.seek(frame.start)
            try:
                with pa.input_stream(pa.BufferReader(file.read(frame.end - frame.start)), compression="zstd") as stream:
                    while stream.read(1 << 20):
                        pass
            except OSError as error:
                number, said = n, str(error)
                break
    if "checksum" in said:
        return Fault(f"that the checksum of zstd frame {number} does not fit its bytes", _WHOLE)
    return Fault(f"that zstd frame {number} is harmed ({said.splitlines()[0].rpartition(': ')[2].rstrip('.')})", _WHOLE)
