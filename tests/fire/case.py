"""A case: what one number of one kind tries, made of a seed alone, and what came of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


class DidNotHold(Exception):
    """Something that was promised did not hold: `what` in a few words that are the same for the same cause."""

    def __init__(self, what: str, details: str = "") -> None:
        self.what, self.details = what, details
        super().__init__(f"{what}\n{details}")


@dataclass
class Tried:
    """What a case tried: runs of the engine, events that they read, kills that hit, and how often what held."""

    name: str = ""
    runs: int = 0
    events: int = 0
    hits: int = 0
    held: Counter[str] = field(default_factory=Counter)
    faults: list[DidNotHold] = field(default_factory=list)

    def count(self, how: str) -> None:
        """One more run that held, and how."""
        self.runs += 1
        self.held[how] += 1

    def fault(self, fault: DidNotHold) -> None:
        """One more run that did not hold."""
        self.runs += 1
        self.faults.append(fault)


@dataclass
class Case:
    """One case. `folder` is its own and empty; `now` says which step is under way, for the case that it ends all.

    `plant` names a fault that is made on purpose, to see that it is found; `only` is the kind, or kind/NAME.
    """

    seed: str
    kind: str
    number: int
    folder: Path
    plant: str = ""
    only: str = ""
    now: Callable[[str], None] = lambda _: None

    @property
    def chance(self) -> random.Random:
        """The same random numbers on every machine and in every process."""
        return random.Random(f"{self.seed}/{self.kind}/{self.number}")
