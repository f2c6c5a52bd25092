"""Identity: the settings of a run that are part of the ids of its readings (R21).

A reading's id is a digest of its key. What the key's columns do not say, and what may still give another quantity over
the same events and config, is in the id, too: docs/ids.md goes through the settings one by one. A run without such a
setting adds nothing, so that its ids are those of the first definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from metering_duck.contract import aggregations

# What stands between the dimensions and the settings: no dimension is without a name.
NO_NAME = "-"


def settings_text(
    *,
    aggregation: str | None = None,
    scale: int | None = None,
    digits: int | None = None,
    carries: bool = False,
    types: Sequence[str] = (),
    workspaces: Sequence[str] = (),
) -> str:
    """The settings of a run as `sql/readings.sql` puts them into ids: names and values, unambiguously; "" for none.

    `aggregation` is the one that is chosen for all, `carries` says that windows without records say the one before,
    `types` are the event types that are read, and `workspaces` those that are added up, where not all are.
    """
    found = {
        "aggregation": _chosen(aggregation),
        "digits": "" if digits is None else str(digits),
        "fill": "carry" if carries else "",
        "scale": "" if scale is None else str(scale),
        "types": _listed(types),
        "workspaces": _listed(workspaces),
    }
    pairs = "".join(_encoded(name) + _encoded(value) for name, value in sorted(found.items()) if value)
    return f"{NO_NAME}{pairs}" if pairs else ""


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
