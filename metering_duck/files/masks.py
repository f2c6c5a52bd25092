"""Masks: sets of the bytes of a block, one bit for each byte, so that 64 bytes are compared at a time.

The first byte is the lowest bit of the first word, on every machine.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]
WORD_BITS = 64


def words_of(flags: Flags) -> Words:
    """Flags of bytes as a mask."""
    packed = np.packbits(flags, bitorder="little")
    padded = np.zeros(-(-len(packed) // 8) * 8, np.uint8)
    padded[: len(packed)] = packed
    return padded.view("<u8").astype(np.uint64, copy=False)


def positions_of(words: Words) -> npt.NDArray[np.int64]:
    """The positions of the bytes in a mask."""
    return np.flatnonzero(np.unpackbits(words.astype("<u8", copy=False).view(np.uint8), bitorder="little"))


def behind(words: Words, *, first: bool) -> Words:
    """The bytes whose predecessor is in the mask; `first` says whether the byte before the block is."""
    carried = np.empty_like(words)
    carried[0] = first
    carried[1:] = words[:-1] >> np.uint64(WORD_BITS - 1)
    return (words << np.uint64(1)) | carried


def odd(words: Words, *, before: bool) -> Words:
    """The bytes up to which an odd number of bytes is in the mask, themselves included.

    `before` says whether the number is odd before the block.
    """
    parity = words.copy()
    for shift in (1, 2, 4, 8, 16, 32):
        parity ^= parity << np.uint64(shift)
    is_odd = (parity >> np.uint64(WORD_BITS - 1)).astype(np.uint8)
    is_odd_before = np.empty_like(is_odd)
    is_odd_before[0] = before
    is_odd_before[1:] = before ^ np.bitwise_xor.accumulate(is_odd)[:-1]
    # A word of nothing but ones, or of nothing but zeros.
    return parity ^ (np.uint64(0) - is_odd_before.astype(np.uint64))
