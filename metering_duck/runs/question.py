"""Question: what is asked of an input: whose events, which windows, how they are aggregated and rounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from metering_duck.judging.slots import Slot
from metering_duck.readings.identity import Settings
from metering_duck.readings.series import Totals
from metering_duck.windows.cutting import Windows
from metering_duck.windows.periods import Periods

# What `type` is where it is grouped by.
FIELD, PROPERTY = "field", "property"


@dataclass(frozen=True)
class Question:
    """What is asked; the code that makes a question checks its values (calls/arguments.py, ledger/stored.py).

    `periods` are the windows of readings; records have none. `aggregation` replaces the aggregations of the config.
    Without a name in `workspaces`, `universes` or `subjects`, all of them are asked for. `types` are the event types
    that readings are made of, if not of all: of events no other is read, of records and readings it is said. `renamed`
    are universes that have another name in what is made of their events, though not in the events' keys. `dropped` are
    the dimensions that a roll-up adds up over. Events that entered after `as_of` are left out. `clock` is the time when
    events entered that do not say it themselves, and the time when readings were made; None is now. `type_is` says
    whether the `type` that is grouped by is the field or the property of that name (R37), where that is decided; else
    the events decide.
    """

    periods: Periods | None = None
    aggregation: str | None = None
    fill: str = "none"
    group_by: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    workspaces: tuple[str, ...] = ()
    universes: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    across_workspaces: bool = False
    scale: int | None = None
    digits: int | None = None
    as_of: datetime | None = None
    clock: datetime | None = None
    bundled: bool = False
    strict: bool = False
    type_is: str = ""

    @property
    def parameters(self) -> dict[str, object]:
        """The moments, subjects and settings as values of statements; moments are naive, as SQL's TIMESTAMP is UTC."""
        values: dict[str, object] = {"clock": _naive(self.clock or datetime.now(UTC)), "settings": self.settings.text}
        if self.as_of is not None:
            values["as_of"] = _naive(self.as_of)
        for n, name in enumerate(self.subjects):
            values[f"subject_{n}"] = name
        return values

    @property
    def settings(self) -> Settings:
        """What readings are made with, as far as it is part of their ids (R21)."""
        return Settings(
            aggregation=self.aggregation,
            scale=self.scale,
            digits=self.digits,
            carries=self.fill == "carry",
            types=self.types,
            workspaces=self.workspaces if self.across_workspaces else (),
        )

    def totals(self, windows: Windows, slots: Sequence[Slot], constants: Mapping[str, str]) -> Totals:
        """How the readings of the slots are made; `constants` are the columns that are the same in every row."""
        return Totals(
            tuple(slots),
            windows,
            across_workspaces=self.across_workspaces,
            subjects=len(self.subjects),
            scale=self.scale,
            digits=self.digits,
            fill=self.fill,
            settings=self.settings,
            constant_fields=tuple(constants.items()),
        )


def _naive(moment: datetime) -> datetime:
    """A moment in UTC, without its zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)
