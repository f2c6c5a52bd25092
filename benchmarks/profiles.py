"""Where metering-duck's own time goes: seconds by the query that ran, as its `progress` callback tells.

The callback is told the running query's name five times a second, from a fifth of a second on. So a query that is done
before is not seen, and its time is in BETWEEN, as is planning; what runs after the last one is in AFTER.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, field

import metering_duck
from benchmarks.question import Contestant, Dataset

TICK = 0.2
BETWEEN = "between queries, and queries under 0.2 s"
AFTER = "reading the rows, and the end of the last query"
RUNS = ("aggregate", "meter", "rollup")


@dataclass
class Clock:
    """A progress callback that notes when it heard of which query."""

    heard: list[tuple[float, str]] = field(default_factory=list)

    def __call__(self, name: str, percent: float) -> None:
        """Note it; how far the query is does not matter here."""
        del percent
        self.heard.append((time.perf_counter(), name))


def profile(contestant: Contestant, dataset: Dataset) -> dict[str, float]:
    """Seconds by query, in order; they add up to the whole of `answer(dataset)`. Runs in this process."""
    clock, plain = Clock(), {name: getattr(metering_duck, name) for name in RUNS}
    for name, run in plain.items():
        setattr(metering_duck, name, functools.partial(run, progress=clock))
    try:
        start = time.perf_counter()
        contestant.answer(dataset)
        return seconds_by_query(clock.heard, start, time.perf_counter())
    finally:
        for name, run in plain.items():
            setattr(metering_duck, name, run)


def seconds_by_query(heard: list[tuple[float, str]], start: float, end: float) -> dict[str, float]:
    """The time between two reports is the query's; before its first one, a fifth of a second of it is."""
    seconds: dict[str, float] = {}
    last, running = start, None
    for at, name in heard:
        own = at - last if name == running else min(at - last, TICK)
        seconds[BETWEEN] = seconds.get(BETWEEN, 0.0) + (at - last - own)
        seconds[name] = seconds.get(name, 0.0) + own
        last, running = at, name
    return seconds | {AFTER: end - last}
