"""Repeated: which 64-bit hashes occur more than once, out of a stream of them.

Finds what sql/repeated_keys.sql finds, which the compiled script shows, in a third of its time: sorting numbers is
cheaper than grouping them. Hashes are sorted in runs of a bounded size, which wait on disk; then the runs are merged
range by range, so that memory does not grow with the events. See docs/decisions/008.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]
RUN_ROWS = 1 << 24


def as_numpy(column: pa.Array) -> Hashes:
    """A column of hashes without its NULLs. Arrow's own way imports pandas where it is installed: 0.15 s a command."""
    return np.asarray(np.from_dlpack(column.drop_null() if column.null_count else column), np.uint64)


def as_column(hashes: Hashes) -> pa.Array:
    """Hashes as a column, without pandas too."""
    return pa.Array.from_buffers(pa.uint64(), len(hashes), [None, pa.py_buffer(np.ascontiguousarray(hashes))])


class RepeatedHashes:
    """Takes hashes in arrays of any length, and tells which occurred more than once.

    Shape:  a run of `run_rows` is in memory, 8 bytes a row, and twice that while runs are merged; `directory` takes the
            others.
    """

    def __init__(self, directory: Path, name: str, *, run_rows: int = RUN_ROWS) -> None:
        self._directory, self._name = directory, name
        self._runs: list[Path] = []
        # Memory that is not written yet costs nothing.
        self._run: Hashes = np.empty(run_rows, np.uint64)
        self._filled = 0

    def add(self, hashes: Hashes) -> None:
        """Take some more."""
        while len(hashes):
            taken = hashes[: len(self._run) - self._filled]
            self._run[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            hashes = hashes[len(taken) :]
            if self._filled == len(self._run):
                self._keep()

    def _keep(self) -> None:
        """Put a full run on disk, in order."""
        self._run.sort()
        self._runs.append(self._directory / f"{self._name}-{len(self._runs)}.npy")
        np.save(self._runs[-1], self._run)
        self._filled = 0

    def found(self) -> Hashes:
        """The hashes that occurred more than once, each once, in order."""
        last = self._run[: self._filled]
        last.sort()
        if not self._runs:
            return _repeated(last)
        try:
            return _merged([*(np.load(path, mmap_mode="r") for path in self._runs), last])
        finally:
            for path in self._runs:
                path.unlink()


def _merged(runs: list[Hashes]) -> Hashes:
    """Range by range of the hashes' values: as many ranges as runs, each about as long as one."""
    bounds = np.linspace(0, 1, len(runs) + 1)[1:-1] * float(1 << 64)
    cuts = [[0, *np.searchsorted(run, bounds.astype(np.uint64)), len(run)] for run in runs]
    found = []
    for n in range(len(runs)):
        together = np.concatenate([run[cut[n] : cut[n + 1]] for run, cut in zip(runs, cuts, strict=True)])
        together.sort()
        found.append(_repeated(together))
    return np.concatenate(found)


def _repeated(in_order: Hashes) -> Hashes:
    """Of hashes in order, those that stand beside an equal one."""
    return np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
