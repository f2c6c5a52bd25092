"""Question: what is asked of an input: whose events, which windows, how they are aggregated and rounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from metering_duck.judging.slots import Slot
from metering_duck.readings.series import Totals
from metering_duck.windows.cutting import Windows
from metering_duck.windows.periods import Periods


@dataclass(frozen=True)
class Question:
    """What is asked; checked by whoever makes one (calls/arguments.py, ledger/stored.py).

    `periods` are the windows of readings; records have none. `aggregation` replaces those of the config. No name in
    `workspaces`, `universes` or `subjects` is all of them. `renamed` are universes that have another name in what is
    made of their events, though not in the events' keys. `dropped` are the dimensions that a roll-up adds up over.
    What entered after `as_of` is left out. `clock` is when events entered that do not say so, and when readings were
    made; None is now.
    """

    periods: Periods | None = None
    aggregation: str | None = None
    fill: str = "none"
    group_by: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    workspaces: tuple[str, ...] = ()
    universes: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    across_workspaces: bool = False
    scale: int | None = None
    digits: int | None = None
    as_of: datetime | None = None
    clock: datetime | None = None
    bundled: bool = False
    strict: bool = False

    @property
    def parameters(self) -> dict[str, object]:
        """Its moments and subjects as values of statements; naive, since SQL's TIMESTAMP is UTC here."""
        moments = {"clock": self.clock or datetime.now(UTC), "as_of": self.as_of}
        naive = {name: at.astimezone(UTC).replace(tzinfo=None) for name, at in moments.items() if at is not None}
        return naive | {f"subject_{n}": name for n, name in enumerate(self.subjects)}

    def totals(self, windows: Windows, slots: Sequence[Slot], constants: Mapping[str, str]) -> Totals:
        """The readings that are asked for, of these slots, where `constants` are the same in every row."""
        return Totals(
            tuple(slots),
            windows,
            self.across_workspaces,
            len(self.subjects),
            self.scale,
            self.digits,
            self.fill,
            constant_fields=tuple(constants.items()),
        )
