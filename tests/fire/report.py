"""What it came to: what was tried and what held, by kind, a minute and in all; for people and as Markdown."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa

from tests.fire.case import DidNotHold, Tried

SHOWN_OF_A_KIND = 3


@dataclass
class Kind:
    """The figures of one kind, or of one name of a kind."""

    cases: int = 0
    runs: int = 0
    events: int = 0
    hits: int = 0
    failed: int = 0
    seconds: float = 0.0

    def add(self, tried: Tried, seconds: float) -> None:
        """One more case."""
        self.cases += 1
        self.runs += tried.runs
        self.events += tried.events
        self.hits += tried.hits
        self.failed += len(tried.faults)
        self.seconds += seconds


@dataclass
class Tally:
    """All that was tried. `elsewhere` counts deaths of a reader that is not the engine."""

    seed: str
    kept: str
    arguments: Sequence[str]
    kinds: dict[str, Kind] = field(default_factory=dict)
    names: dict[str, Kind] = field(default_factory=dict)
    held: dict[str, Counter[str]] = field(default_factory=dict)
    faults: dict[str, list[tuple[str, int, DidNotHold]]] = field(default_factory=dict)
    elsewhere: int = 0
    begun: float = field(default_factory=time.monotonic)

    def add(self, kind: str, number: int, tried: Tried, seconds: float) -> None:
        """One more case."""
        self.kinds.setdefault(kind, Kind()).add(tried, seconds)
        self.names.setdefault(tried.name or kind, Kind()).add(tried, seconds)
        self.held.setdefault(kind, Counter()).update(tried.held)
        for fault in tried.faults:
            self.faults.setdefault(fault.what, []).append((kind, number, fault))

    @property
    def runs(self) -> int:
        """How many runs there were."""
        return sum(kind.runs for kind in self.kinds.values())

    @property
    def minutes(self) -> float:
        """How long it has taken."""
        return (time.monotonic() - self.begun) / 60

    def line(self) -> str:
        """How far it is, in a line."""
        found = ", ".join(f"{name} {kind.runs:,} ({kind.failed:,} failed)" for name, kind in self.kinds.items())
        return f"fire: {self.minutes:.1f} minutes: {found}"

    def lines(self) -> Iterator[str]:
        """All of it, for people."""
        yield f"seed {self.seed}, {self.minutes:.1f} minutes, {machine()}"
        for name, kind in sorted(self.kinds.items()):
            yield (
                f"{name}: {kind.cases:,} cases, {kind.runs:,} runs ({kind.runs / self.minutes:,.0f} a minute), "
                f"{kind.events:,} events, {kind.hits:,} kills that hit, {kind.failed:,} did not hold"
            )
            for how, count in self.held[name].most_common():
                yield f"    {count:,} {how}"
        if self.elsewhere:
            yield f"{self.elsewhere} files ended the reader that the engine is compared with"
        for what, found in sorted(self.faults.items(), key=lambda item: -len(item[1])):
            yield f"DID NOT HOLD, {len(found)} time{'' if len(found) == 1 else 's'}: {what}"
            for kind, number, fault in found[:SHOWN_OF_A_KIND]:
                yield f"    python -m tests.fire --seed {self.seed} --only {kind} --case {number}"
                yield f"    kept in {self.kept}/{kind}-{number}"
                yield "\n".join(f"        {text[:300]}" for text in fault.details.strip().splitlines()[-6:])
        kinds = f"{len(self.faults)} kind{'' if len(self.faults) == 1 else 's'} of faults"
        yield "all held" if not self.faults and self.runs else kinds

    def markdown(self) -> str:
        """The figures as a table."""
        hour = 60 / self.minutes
        rows = [
            f"`python -m tests.fire {' '.join(self.arguments)}`",
            "",
            f"Seed {self.seed}, {self.minutes:.0f} minutes, {machine()}.",
            "",
            "| tried | cases | runs | an hour | events | kills that hit a write | did not hold |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, kind in [*sorted(self.kinds.items()), *sorted(self.names.items())]:
            figures = (kind.cases, kind.runs, kind.runs * hour, kind.events, kind.hits, kind.failed)
            rows.append(f"| {name} | " + " | ".join(f"{figure:,.0f}" for figure in figures) + " |")
        rows += ["", "| what held | times |", "|---|---|"]
        for name, held in sorted(self.held.items()):
            rows += [f"| {name}: {how} | {count:,} |" for how, count in held.most_common()]
        if self.faults:
            rows += ["", "| what did not hold | times | case |", "|---|---|---|"]
            for what, found in sorted(self.faults.items(), key=lambda item: -len(item[1])):
                shown = what.replace("|", "\\|")
                rows.append(f"| {shown} | {len(found):,} | {found[0][0]} {found[0][1]} |")
        return "\n".join(rows) + "\n"


def machine() -> str:
    """What it ran on."""
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, Python {platform.python_version()}, DuckDB {duckdb.__version__}, pyarrow {pa.__version__}"
