"""Identity: the settings of a run that are part of the ids of its readings (R21).

A reading's id is a digest of its key. What the key's columns do not say, and what may still give another quantity over
the same events and config, is in the id, too: docs/ids.md goes through the settings one by one. A run without such a
setting adds nothing, so that its ids are those of the first definition.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from metering_duck.contract import aggregations
from metering_duck.decimals.columns import HALF_EVEN

# What stands between the dimensions and the settings: no dimension is without a name.
NO_NAME = "-"


@dataclass(frozen=True)
class Settings:
    """What readings were made with.

    `aggregation` is the one that is chosen for all, `carries` says that windows without records say the one before,
    `types` are the event types that are read, and `workspaces` those that are added up, where not all are. `scale`,
    `digits` and `rounding` say how quantities are rounded, where it is not to 18 fraction digits, half to even.
    """

    aggregation: str | None = None
    scale: int | None = None
    digits: int | None = None
    rounding: str = HALF_EVEN
    carries: bool = False
    types: tuple[str, ...] = ()
    workspaces: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The settings as `sql/readings.sql` puts them into ids: names and values, unambiguously; "" for none."""
        found = {
            "aggregation": _chosen(self.aggregation),
            "digits": "" if self.digits is None else str(self.digits),
            "fill": "carry" if self.carries else "",
            "rounding": "" if self.rounding == HALF_EVEN else self.rounding,
            "scale": "" if self.scale is None else str(self.scale),
            "types": _listed(self.types),
            "workspaces": _listed(self.workspaces),
        }
        pairs = "".join(_encoded(name) + _encoded(value) for name, value in sorted(found.items()) if value)
        return f"{NO_NAME}{pairs}" if pairs else ""


NO_SETTINGS = Settings()


def _chosen(aggregation: str | None) -> str:
    """The aggregation that was chosen for all, where readings do not say all of it: deltas, spans that are split."""
    if aggregation is None:
        return ""
    chosen = aggregations.parse(aggregation, "aggregation")
    return chosen.text if chosen.deltas or chosen.prorated else ""


def _listed(names: Iterable[str]) -> str:
    """Several names as one text, in their order and each once."""
    return "".join(_encoded(name) for name in sorted(set(names)))


def _encoded(text: str) -> str:
    """One part of an unambiguous encoding, as the macro `encoded` of sql/functions.sql makes it."""
    return f"{len(text.encode())}:{text}"
