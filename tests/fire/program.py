"""The program: workers that play cases until the time is up, a watch over them, and what it all came to.

Exit code 0 where all held, 1 where anything did not; then each fault has the command that plays its case again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.fire.case import DidNotHold, Tried
from tests.fire.report import Tally
from tests.fire.worker import SHARES, Orders, play_cases, work

PLANTS = ("digit", "half-file")
# A case that takes longer than this has hung.
CASE_SECONDS = 180.0
SAY_EVERY_SECONDS = 60.0
spawned = multiprocessing.get_context("spawn")


def main(arguments: Sequence[str]) -> int:
    """Play what the arguments say; the exit code."""
    given = parsed(arguments)
    kept = Path(given.keep or tempfile.mkdtemp(prefix=f"metering-duck-fire-{given.seed}-"))
    kept.mkdir(parents=True, exist_ok=True)
    tally = Tally(given.seed, str(kept), arguments)
    print(f"fire: seed {given.seed}, {given.workers} workers, what fails is kept in {kept}", flush=True)
    kinds = tuple(kind for kind in SHARES if not given.only or given.only.partition("/")[0] == kind)
    until = time.time() + given.minutes * 60
    numbers = (0, 1) if given.case is None else (given.case, 1)
    counts = 1 if given.case is not None else given.cases
    orders = Orders(given.seed, kinds, numbers, str(kept), given.plant, given.only or "", counts, until)
    if given.workers == 0:
        for tried in play_cases(orders, {}, lambda *_: None):
            tally.add(*tried)
    else:
        Chief(orders, given.workers, tally).watch()
    for line in tally.lines():
        print(line)
    if given.report:
        Path(given.report).write_text(tally.markdown(), encoding="utf-8")
    return 1 if tally.faults or not tally.runs else 0


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(prog="python -m tests.fire", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="how long; 2 if not given")
    parser.add_argument("--seed", default=f"{datetime.now(UTC):%Y%m%d}", help="any text; the UTC date if not given")
    parser.add_argument("--only", help=f"one kind of case: {', '.join(SHARES)}; or kills/SCENE")
    parser.add_argument("--case", type=int, help="play one case of --only again, by its number")
    parser.add_argument("--cases", type=int, default=0, help="so many cases a worker at most")
    parser.add_argument(
        "--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes; a core each; 0 is this process"
    )
    parser.add_argument("--keep", help="the folder for what fails; a new temporary one if not given")
    parser.add_argument("--report", help="write the figures here, as Markdown")
    parser.add_argument("--plant", default="", choices=PLANTS, help="make a fault on purpose, to see that it is found")
    found = parser.parse_args(arguments)
    if found.only and found.only.partition("/")[0] not in SHARES:
        parser.error(f"--only: found {found.only!r}; expected one of {', '.join(SHARES)}")
    if found.case is not None and not found.only:
        parser.error("--case: found it without --only; expected the kind of the case beside it")
    if found.case is not None:
        found.workers = min(found.workers, 1)
    return found


@dataclass
class Watched:
    """A worker, and where it is."""

    number: int
    process: BaseProcess
    said: Connection
    at: tuple[str, int, str] = ("", 0, "")
    since: float = 0.0


class Chief:
    """Starts workers, hears from them, and starts another where one died."""

    def __init__(self, orders: Orders, workers: int, tally: Tally) -> None:
        self.orders, self.count, self.tally = orders, workers, tally
        self.watched: list[Watched] = []
        self.died_at: dict[int, dict[str, int]] = {n: {} for n in range(workers)}

    def watch(self) -> None:
        """Until the time is up and every worker has ended."""
        self.watched = [self._start(number) for number in range(self.count)]
        shown = time.monotonic()
        try:
            while self.watched:
                for one in wait([one.said for one in self.watched], timeout=1.0):
                    self._hear(next(worker for worker in self.watched if worker.said is one))
                for worker in list(self.watched):
                    if worker.since and time.monotonic() - worker.since > CASE_SECONDS:
                        self._kill(worker)
                        self._bury(worker, "a run that does not end")
                if time.monotonic() - shown > SAY_EVERY_SECONDS:
                    print(self.tally.line(), flush=True)
                    shown = time.monotonic()
        finally:
            for worker in self.watched:
                self._kill(worker)

    def _start(self, number: int) -> Watched:
        orders = self.orders
        first, step = orders.numbers
        own = Orders(**{**vars(orders), "numbers": (first + number * step, step * self.count)})
        here, there = spawned.Pipe(duplex=False)
        process = spawned.Process(target=work, args=(own, there, self.died_at[number]), name=f"fire-{number}")
        process.start()
        there.close()
        return Watched(number, process, here)

    def _hear(self, worker: Watched) -> None:
        try:
            said = worker.said.recv()
        except (EOFError, OSError):
            worker.process.join(10)
            code = worker.process.exitcode
            name = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
            self._bury(worker, f"the process died of {name}")
            return
        if said[0] == "at":
            worker.at, worker.since = said[1:], time.monotonic()
            kind, number, _ = worker.at
            self.died_at[worker.number][kind] = number
        elif said[0] == "tried":
            worker.since = 0.0
            self.tally.add(*said[1:])
        else:
            worker.process.join()
            self.watched.remove(worker)

    def _kill(self, worker: Watched) -> None:
        worker.process.kill()
        worker.process.join()

    def _bury(self, worker: Watched, how: str) -> None:
        """Count what a worker died of, and put another one in its place."""
        kind, number, step = worker.at
        self.watched.remove(worker)
        if step in ("another reader", "oracle"):
            self.tally.add(kind, number, Tried(kind, runs=1), 0.0)
            self.tally.elsewhere += 1
        else:
            fault = DidNotHold(f"{how}, in {kind or 'the start'} ({step})", f"case {number}")
            self.tally.add(kind or "start", number, Tried(kind, runs=1, faults=[fault]), 0.0)
        if time.time() < self.orders.until and kind:
            self.watched.append(self._start(worker.number))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
