"""Gzip: a file's members one behind the other, each to its end, and the zeros that may lie behind them (RFC 1952)."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator
from typing import Protocol

from metering_duck.files.faults import Fault

MAGIC = b"\x1f\x8b"
# How many bytes are read, and made of them, at a time.
READ_BYTES, MADE_BYTES = 1 << 18, 1 << 18
LEAST_READ = 1 << 12
# The window of any member, with a gzip header in front of it and a checksum behind.
_GZIP = 31
_WHOLE = "whole gzip members, with nothing but zeros behind them"


class Readable(Protocol):
    """What bytes are read from, one behind the other."""

    def read(self, size: int, /) -> bytes:
        """The next bytes."""

    def tell(self) -> int:
        """How many bytes were read."""


class Members:
    """The members of a gzip file; `count` and `padding`, the zeros behind the last, are known once all are read."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self.count, self.padding = 0, 0

    def blocks(self) -> Iterator[bytes]:
        """The bytes that the members hold, block by block; zlib compares each member's checksum and length.

        Raises: Fault.
        """
        rest, size = b"", READ_BYTES
        while True:
            rest = self._without_padding(rest or self._file.read(size))
            if not rest:
                break
            self._check_begin(rest)
            self.count += 1
            before = self._file.tell() - len(rest)
            rest = yield from self._member(rest, size)
            # Of many small members few bytes are read at once: those behind a member are copied.
            size = min(READ_BYTES, max(LEAST_READ, 2 * (self._file.tell() - len(rest) - before)))
        if not self.count:
            raise Fault("no gzip member", _WHOLE)

    def _without_padding(self, rest: bytes) -> bytes:
        """What is behind the zeros that follow a member."""
        while self.count and rest[:1] == b"\0":
            stripped = rest.lstrip(b"\0")
            self.padding += len(rest) - len(stripped)
            rest = stripped or self._file.read(READ_BYTES)
        return rest

    def _check_begin(self, rest: bytes) -> None:
        """Refuse what is no member."""
        if self.padding:
            raise Fault(f"{self.padding:,} zeros behind gzip member {self.count}, and bytes behind them", _WHOLE)
        if not (rest + self._file.read(1) if len(rest) == 1 else rest).startswith(MAGIC):
            where = f"bytes behind gzip member {self.count} that are no member" if self.count else "no gzip member"
            raise Fault(where, _WHOLE)

    def _member(self, data: bytes, size: int) -> Generator[bytes, None, bytes]:
        """The bytes of the member that begins with `data`; gives back the bytes that were read behind it."""
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            try:
                made = member.decompress(data, MADE_BYTES)
            except zlib.error as error:
                raise Fault(self._harm(str(error)), _WHOLE) from None
            if made:
                yield made
            data = member.unconsumed_tail
            if not data and not member.eof and len(made) < MADE_BYTES:
                data = self._file.read(size)
                if not data:
                    raise Fault(f"that it ends in the middle of gzip member {self.count}", _WHOLE)
        return member.unused_data

    def _harm(self, said: str) -> str:
        """What zlib says of a member, in our words."""
        if "incorrect data check" in said:
            return f"that the checksum of gzip member {self.count} does not fit its bytes"
        if "incorrect length check" in said:
            return f"that the length of gzip member {self.count} is not what it says"
        return f"that gzip member {self.count} is harmed ({said.rpartition(': ')[2]})"
