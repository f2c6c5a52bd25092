"""The gate: every file is proven beside the engine that reads it, and nothing leaves the engine before all have passed.

Proving is done by libraries that let other threads run, so that it takes little of a run's time. A file that fails is
named even where the engine fails first over its damage.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from metering_duck.errors import MeteringError
from metering_duck.files.faults import Fault
from metering_duck.files.parquet_statistics import compared_statistics
from metering_duck.files.proofs import Claim, Proof, check_digest, explained, prove

# How many files are proven at once, at most.
AT_ONCE = 4
ELSEWHERE = "it lies elsewhere, and was not fetched a second time; --verify-files does"


class Gate:
    """Proves the files that an engine reads, in threads of its own, from the moment when the engine begins to read.

    Files that lie elsewhere are proven only if the gate `verifies`: each is then fetched once more, into `temp_dir`,
    which is the folder of the engine that reads them. Then all statistics of Parquet files are compared with the
    values, too; else those that a run takes for granted.
    """

    temp_dir: Path | None = None

    def __init__(self, *, threads: int | None = None, verifies: bool = False) -> None:
        self.verifies = verifies
        self._threads = threads
        self._lock = threading.Lock()
        self._waiting: list[Claim] = []
        self._proofs: dict[str, Future[Proof]] = {}
        self._taken: list[tuple[str, str, Sequence[str]]] = []
        self._compared: dict[str, Future[None]] = {}
        self._queue: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._workers: list[threading.Thread] = []
        self._is_stopped = threading.Event()
        self._digests: dict[str, str] = {}

    def expect(self, digests: Mapping[str, str]) -> None:
        """The SHA-256 of files that were seen before, by their paths."""
        self._digests |= digests

    def add(self, claims: Iterable[Claim]) -> None:
        """Files that will be read."""
        with self._lock:
            self._waiting += claims

    def take(self, path: str, name: str, columns: Sequence[str]) -> None:
        """A Parquet file of this machine whose statistics of some columns a run takes for granted."""
        with self._lock:
            self._taken.append((path, name, columns))

    def start(self) -> None:
        """Begin to prove the files that wait."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            for claim in waiting:
                if claim.path not in self._proofs:
                    self._proofs[claim.path] = self._begun(claim)
            taken, self._taken = self._taken, []
            for path, name, columns in taken:
                self._compared[path] = Future()
                self._hand_over(partial(self._compare, path, name, columns), self._compared[path])

    def _begun(self, claim: Claim) -> Future[Proof]:
        """A file's proof, as soon as it is there."""
        future: Future[Proof] = Future()
        known = claim.known
        if claim.is_text:
            claim = replace(claim, sha256=self._digests.get(claim.path))
        if known is None and claim.fetch is not None and not self.verifies:
            known = Proof(claim.name, unproven=ELSEWHERE)
        if known is not None and not (claim.known and claim.sha256):
            future.set_result(known)
            return future
        self._hand_over(partial(self._prove, claim), future)
        return future

    def _hand_over(self, job: Callable[[], Any], future: Future[Any]) -> None:
        """Have a thread do a job."""
        self._queue.put((job, future))
        if len(self._workers) < min(AT_ONCE, self._threads or os.cpu_count() or 1):
            # A process that ends does not wait for a daemon.
            self._workers.append(threading.Thread(target=self._work, name="gate", daemon=True))
            self._workers[-1].start()

    def _work(self) -> None:
        """Do one job after another."""
        while (handed := self._queue.get()) is not None:
            job, future = handed
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)

    def _prove(self, claim: Claim) -> Proof:
        """A file's proof.

        Raises: SourceError for a file that is not whole, or not what it was.
        """
        claim = replace(claim, compares=self.verifies)
        try:
            if claim.known is not None:
                check_digest(claim)
                return claim.known
            if claim.fetch is None:
                return prove(claim, is_stopped=self._is_stopped.is_set)
            with TemporaryDirectory(dir=self.temp_dir) as folder:
                copy = str(Path(folder) / "copy")
                claim.fetch(copy)
                return prove(replace(claim, path=copy), is_stopped=self._is_stopped.is_set)
        except Fault as fault:
            raise fault.of(claim.name) from None

    def _compare(self, path: str, name: str, columns: Sequence[str]) -> None:
        """Compare statistics of a file with its values, once it is proven: those of a harmed one say nothing.

        Raises: SourceError for statistics that do not hold.
        """
        known = self._proofs.get(path)
        if known is not None and known.exception() is not None:
            return
        try:
            with explained("parquet", path):
                compared_statistics(path, columns, self._is_stopped.is_set)
        except Fault as fault:
            raise fault.of(name) from None

    def proofs(self) -> dict[str, Proof]:
        """Path → its proof, for all files in the order in which they were named; waits for those that are not done.

        Raises: SourceError for a file that is not whole.
        """
        self.start()
        proofs = {path: future.result() for path, future in list(self._proofs.items())}
        for compared in list(self._compared.values()):
            compared.result()
        return proofs

    def fault(self, text: str = "") -> MeteringError | None:
        """The error of a file that is not whole; None where all are.

        Where `text`, the message of an engine, names files, only these are waited for.
        """
        self.start()
        futures: list[tuple[str, Future[Any]]] = [*self._proofs.items(), *self._compared.items()]
        named = [future for path, future in futures if path in text]
        for future in named or [future for _, future in futures]:
            error = future.exception()
            if isinstance(error, MeteringError):
                return error
        return None

    def close(self) -> None:
        """Stop what is being proven."""
        self._is_stopped.set()
        for _ in self._workers:
            self._queue.put(None)
