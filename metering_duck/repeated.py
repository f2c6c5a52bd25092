"""Repeated: which 64-bit hashes occur more than once, out of a stream of them.

The same as sql/repeated_keys.sql, which the compiled script shows, in a third of its time: sorting numbers is cheaper
than grouping them. Hashes are sorted in runs of a bounded size, which wait on disk; then the runs are merged range by
range, so that memory does not grow with the events. See docs/decisions/008.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
RUN_ROWS = 1 << 24


class RepeatedHashes:
    """Takes hashes in arrays of any length, and tells which occurred more than once.

    Shape:  at most about three runs of `run_rows` are in memory, 8 bytes a row each; `directory` takes the others.
    """

    def __init__(self, directory: Path, name: str, *, run_rows: int = RUN_ROWS) -> None:
        self._directory, self._name, self._run_rows = directory, name, run_rows
        self._runs: list[Path] = []
        self._waiting: list[Hashes] = []

    def add(self, hashes: Hashes) -> None:
        """Take some more."""
        self._waiting.append(hashes)
        if sum(map(len, self._waiting)) >= self._run_rows:
            path = self._directory / f"{self._name}-{len(self._runs)}.npy"
            self._runs.append(_keep(np.concatenate(self._waiting), path))
            self._waiting = []

    def found(self) -> Hashes:
        """The hashes that occurred more than once, each once, in order."""
        last = np.concatenate([np.empty(0, np.uint64), *self._waiting])
        self._waiting = []
        last.sort()
        if not self._runs:
            return _repeated(last)
        try:
            return _merged([*(np.load(path, mmap_mode="r") for path in self._runs), last])
        finally:
            for path in self._runs:
                path.unlink()


def _keep(run: Hashes, path: Path) -> Path:
    run.sort()
    np.save(path, run)
    return path


def _merged(runs: list[Hashes]) -> Hashes:
    """Range by range of the hashes' values: as many ranges as runs, each about as long as one."""
    bounds = np.linspace(0, 1, len(runs) + 1)[1:-1] * float(1 << 64)
    cuts = [np.searchsorted(run, bounds.astype(np.uint64)) for run in runs]
    found = []
    for n in range(len(runs)):
        parts = [
            run[cut[n - 1] if n else 0 : cut[n] if n < len(cut) else len(run)]
            for run, cut in zip(runs, cuts, strict=True)
        ]
        together = np.concatenate(parts)
        together.sort()
        found.append(_repeated(together))
    return np.concatenate(found)


def _repeated(in_order: Hashes) -> Hashes:
    """Of hashes in order, those that stand beside their like."""
    return np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
