"""Identity: the settings of a run that are part of the ids of its readings (R21).

A reading's id is a digest of its key. What the key's columns do not say, and what may still give another quantity over
the same events and config, is in the id, too: docs/ids.md goes through the settings one by one. A run without such a
setting adds nothing, so that its ids are those of the first definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from metering_duck.contract import aggregations
from metering_duck.contract.config import MeteringConfig
from metering_duck.runs.question import Question

# What stands between the dimensions and the settings: no dimension is without a name.
NO_NAME = "-"


def settings_text(question: Question, types: Sequence[str] = ()) -> str:
    """The settings of a run as `sql/readings.sql` puts them into ids: names and values, unambiguously; "" for none.

    `types` are the event types that are read, where not all are.
    """
    found = {
        "aggregation": _chosen(question.aggregation),
        "digits": "" if question.digits is None else str(question.digits),
        "fill": question.fill if question.fill == "carry" else "",
        "scale": "" if question.scale is None else str(question.scale),
        "types": _listed(types),
        "workspaces": _listed(question.workspaces) if question.across_workspaces else "",
    }
    pairs = "".join(_encoded(name) + _encoded(value) for name, value in sorted(found.items()) if value)
    return f"{NO_NAME}{pairs}" if pairs else ""


def has_new_ids(config: MeteringConfig, question: Question) -> bool:
    """Whether a run's readings may have other ids than by the first definition."""
    if question.group_by or settings_text(question):
        return True
    made = (measurement.aggregated(question.aggregation) for _, measurement in config.measurements)
    return any(one is not None and one.outer is not None for one in made)


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
