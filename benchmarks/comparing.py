"""Two reports next to each other: which contestants slipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.results import Asked, Report, Timing, counterpart, size

SLIP = 0.10
BARE = "bare query"


@dataclass(frozen=True)
class Change:
    """A contestant's measure in both: its ratio to the bare query, or its seconds where there is none."""

    question: str
    contestant: str
    measure: str
    old: float
    new: float

    @property
    def slip(self) -> float:
        """By what share it became slower: 0.1 is by 10 %."""
        return self.new / self.old - 1

    @property
    def slipped(self) -> bool:
        """Whether that is more than noise and small changes are allowed."""
        return self.slip > SLIP


def incomparable(old: Report, new: Report) -> list[str]:
    """Why the two say nothing of each other: other machines, other sizes, other limits."""
    facts = {
        "events": (size(old.events), size(new.events)),
        "memory limit": (old.memory_limit or "none", new.memory_limit or "none"),
        **{name: (old.machine.get(name), new.machine.get(name)) for name in ("cpu", "cores", "memory_gb")},
    }
    return [
        f"{name}: found {new_value} against {old_value}; expected the same."
        for name, (old_value, new_value) in facts.items()
        if old_value != new_value
    ]


def changes(old: Report, new: Report) -> list[Change]:
    """Every contestant that both have measured at the same question."""
    before = {asked.name: asked for asked in old.questions}
    return [change for asked in new.questions if asked.name in before for change in _changes(before[asked.name], asked)]


def only_in_one(old: Report, new: Report) -> list[str]:
    """Contestants that only one of the two has measured: nothing can be said of them."""
    names = [
        {f"{asked.name}: {one.contestant}" for asked in report.questions for one in asked.timings if one.median}
        for report in (old, new)
    ]
    return sorted(names[0] ^ names[1])


def lost(old: Report, new: Report) -> dict[str, str]:
    """Contestants that worked in `old`, at questions that both asked, and not in `new`; each with what was found."""
    after = {asked.name: asked for asked in new.questions}
    return {
        f"{asked.name}: {one.contestant}": found
        for asked in old.questions
        if asked.name in after
        for one in asked.timings
        if _worked(one) and (found := _loss(_timing(after[asked.name].timings, one.contestant)))
    }


def _worked(one: Timing) -> bool:
    return one.median is not None and one.error is None


def _loss(one: Timing | None) -> str | None:
    """Why there is no full timing; None if there is one."""
    if one is None:
        return "that it is missing"
    return None if _worked(one) else f"that it failed ({(one.error or 'no rounds').splitlines()[0]})"


def _changes(old: Asked, new: Asked) -> list[Change]:
    found = []
    for one in new.timings:
        past = _timing(old.timings, one.contestant)
        if not one.median or past is None or not past.median:
            continue
        floors = counterpart(old.timings, past, BARE), counterpart(new.timings, one, BARE)
        measures = _relative(past, floors[0]), _relative(one, floors[1])
        if measures[0] and measures[1] and floors[1] is not one:
            found.append(Change(new.name, one.contestant, f"× {BARE}", measures[0], measures[1]))
        else:
            found.append(Change(new.name, one.contestant, "s", past.median, one.median))
    return found


def _timing(timings: Sequence[Timing], contestant: str) -> Timing | None:
    return next((one for one in timings if one.contestant == contestant), None)


def _relative(one: Timing, floor: Timing | None) -> float | None:
    return one.median / floor.median if one.median and floor and floor.median else None
