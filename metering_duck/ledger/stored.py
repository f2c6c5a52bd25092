"""Stored values: how files are read and what is asked, as the texts that a ledger keeps and digests.

These texts never change, whatever the values are called elsewhere: a run is known by them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from metering_duck.calls.arguments import (
    TextOrTexts,
    aggregation_of,
    check_result_shape,
    fill_of,
    names_of,
    universes_of,
    zone_of,
)
from metering_duck.errors import ConfigError, first_few
from metering_duck.inputs.source import Source
from metering_duck.ledger.configs import json_text
from metering_duck.runs.question import Question

# A counter's value is carried from window to window: a ledger's runs know one window each.
LEDGER_FILLS = ("none", "zero")
# Name among the stored options of a run → field of a Question.
QUESTION_FIELDS = {
    "aggregation": "aggregation",
    "fill": "fill",
    "group_by": "group_by",
    "workspace": "workspaces",
    "universe": "universes",
    "subject": "subjects",
    "across_workspaces": "across_workspaces",
    "scale": "scale",
    "digits": "digits",
    "universes": "renamed",
}
# Name among the stored reading options of a ledger → field of a Source.
SOURCE_FIELDS = {
    "map": "map",
    "assume_timezone": "timezone",
    "generate_ids": "generate_ids",
    "assume_unique": "assume_unique",
    "map_universe": "universes",
}
# How the files of a ledger are read where nothing is said of it.
DEFAULT_SOURCE = Source(map={})


# --- what is asked ---------------------------------------------------------------------------------------------------


def make_question(
    *,
    aggregation: str | None = None,
    fill: str = "none",
    group_by: TextOrTexts = None,
    workspace: TextOrTexts = None,
    universe: TextOrTexts = None,
    subject: TextOrTexts = None,
    across_workspaces: bool = False,
    scale: int | None = None,
    digits: int | None = None,
) -> Question:
    """What is asked of every period, as the arguments of aggregate() of the same names; names are in their order.

    Raises: ConfigError.
    """
    check_result_shape(scale, digits)
    return Question(
        fill=fill_of(fill, LEDGER_FILLS),
        aggregation=aggregation_of(aggregation),
        group_by=_sorted(group_by, "group_by"),
        workspaces=_sorted(workspace, "workspace"),
        universes=_sorted(universe, "universe"),
        subjects=_sorted(subject, "subject"),
        across_workspaces=across_workspaces,
        scale=scale,
        digits=digits,
    )


def _sorted(given: TextOrTexts, what: str) -> tuple[str, ...]:
    return tuple(sorted(names_of(given, what)))


def question_text(question: Question) -> str:
    """As canonical JSON, what is not asked left out."""
    found: dict[str, Any] = {name: getattr(question, field) for name, field in QUESTION_FIELDS.items()}
    found["universes"] = dict(question.renamed)
    # A scale of 0 equals False, and is asked all the same.
    return json_text(
        {name: value for name, value in found.items() if value is not False and value not in (None, (), {}, "none")}
    )


def stored_question(text: str) -> Question:
    """A question out of its text."""
    found: dict[str, Any] = json.loads(text)
    found = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    if "universes" in found:
        found["universes"] = tuple(found["universes"].items())
    return Question(**{QUESTION_FIELDS[name]: value for name, value in found.items()})


# --- how files are read ----------------------------------------------------------------------------------------------


def make_source(
    map: Mapping[str, str] | None,
    map_universe: Mapping[str, str] | None,
    assume_timezone: str | None,
    *,
    generate_ids: bool,
    unique: bool,
) -> Source | None:
    """How event files are read, checked; None where nothing is said of it.

    Raises: ConfigError.
    """
    made = Source(
        map=dict(map or {}),
        timezone=zone_of(assume_timezone),
        generate_ids=generate_ids,
        assume_unique=unique,
        universes=universes_of(map_universe),
    )
    return None if made == DEFAULT_SOURCE else made


def _source_options(source: Source) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(source, field) for name, field in SOURCE_FIELDS.items()}
    return found | {"map_universe": dict(source.universes) or None}


def source_text(source: Source) -> str:
    """As canonical JSON."""
    return json_text(_source_options(source))


def source_digested(source: Source) -> str:
    """As digests have it: the text that the first runs of all ledgers were digested with."""
    return f"ReadingOptions({', '.join(f'{name}={value!r}' for name, value in _source_options(source).items())})"


def stored_source(text: str) -> Source:
    """A source out of its text."""
    found: dict[str, Any] = json.loads(text)
    found["map_universe"] = found.get("map_universe") or {}
    return Source(**{SOURCE_FIELDS[name]: value for name, value in found.items()})


def same_source(stored: Source | None, given: Source | None) -> Source:
    """How the files are read: as before.

    Raises: ConfigError where another way is asked for.
    """
    if stored is None:
        return given or DEFAULT_SOURCE
    if given is None or given == stored:
        return stored
    wrong = [name for name, field in SOURCE_FIELDS.items() if getattr(given, field) != getattr(stored, field)]
    raise ConfigError(
        f"{first_few(name.replace('_', '-') for name in wrong)}: found another than this ledger's files are read with; "
        "expected the same for all files. hint: leave it out, or another --ledger"
    )
