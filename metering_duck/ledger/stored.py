"""Stored values: how files are read (Source) and what is asked (Question), as texts that a ledger keeps and digests.

A run is known by these texts. So they never change, whatever the fields are called in Python. What is read back may
come from somebody else: it is checked as arguments are, and refused by its table and column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypedDict

from metering_duck.calls.arguments import (
    TextOrTexts,
    aggregation_of,
    check_result_shape,
    fill_of,
    is_asked,
    names_of,
    promise_of,
    universe_names_of,
    zone_of,
)
from metering_duck.contract.config import MeteringConfig
from metering_duck.decimals.columns import HALF_EVEN
from metering_duck.errors import ConfigError, first_few
from metering_duck.inputs.fields import field_names
from metering_duck.inputs.mapping import FieldMap
from metering_duck.inputs.source import Source
from metering_duck.ledger.configs import json_text
from metering_duck.ledger.texts import object_of, refused
from metering_duck.runs.question import FIELD, PROPERTY, Question

# `carry` is missing: it takes a value from the window before, and each run of a ledger knows one window only.
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
    "type_is": "type_is",
}
# Name among the stored options of a ledger → field of a Source.
SOURCE_FIELDS = {
    "map": "map",
    "assume_timezone": "timezone",
    "generate_ids": "generate_ids",
    "assume_unique": "assume_unique",
    "map_universe": "universe_names",
}
# The same, of options that came later: they are among the stored ones only where they say something, so that what was
# stored and digested before stays as it is.
LATER_SOURCE_FIELDS = {"folder_keys": "folder_keys", "binary_as_text": "binary_as_text"}
# How the files of a ledger are read if no option says otherwise.
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
    """What is asked of every period, from arguments as those of aggregate(); several names are sorted.

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
    """A question as canonical JSON, without the fields that ask nothing."""
    found: dict[str, Any] = {name: getattr(question, field) for name, field in QUESTION_FIELDS.items()}
    found["universes"] = dict(question.renamed)
    return json_text({name: value for name, value in found.items() if is_asked(value) and value != ""})


def has_new_ids(config: MeteringConfig, question: Question) -> bool:
    """Whether the readings of a run may have other ids than by the first definition (R21)."""
    if question.group_by or question.settings.text:
        return True
    if any(m.result_scale is not None or m.rounding != HALF_EVEN for _, m in config.measurements):
        return True
    made = (measurement.aggregated(question.aggregation) for _, measurement in config.measurements)
    return any(one is not None and one.outer is not None for one in made)


def stored_question(text: str) -> Question:
    """A question from the text that a ledger keeps of it.

    Raises: LedgerError for a text that no question has.
    """
    with refused("runs.options", text):
        given = object_of(text, QUESTION_FIELDS)
        renamed = universe_names_of(given.pop("universes", None))
        numbers = [given.get(name) for name in ("scale", "digits")]
        promise_of(given.get("across_workspaces", False), "across_workspaces")
        if any(number is not None and type(number) is not int for number in numbers):
            raise ConfigError(f"scale: found {numbers}; expected whole numbers.")
        type_is = given.pop("type_is", "")
        if type_is not in ("", FIELD, PROPERTY):
            raise ConfigError(f"type_is: found {type_is!r}; expected {FIELD} or {PROPERTY}.")
        return replace(make_question(**given), renamed=tuple(renamed.items()), type_is=type_is)


# --- how files are read ----------------------------------------------------------------------------------------------


def make_source(
    *,
    map: Mapping[str, str] | None = None,
    map_universe: Mapping[str, str] | None = None,
    assume_timezone: str | None = None,
    generate_ids: bool = False,
    assume_unique: bool = False,
    folder_keys: bool | None = None,
    binary_as_text: bool = False,
) -> Source | None:
    """How event files are read, checked; None if no argument says anything.

    Raises: ConfigError.
    """
    made = Source(
        map=dict(map or {}),
        timezone=zone_of(assume_timezone),
        generate_ids=generate_ids,
        assume_unique=assume_unique,
        universe_names=universe_names_of(map_universe),
        folder_keys=folder_keys,
        binary_as_text=binary_as_text,
    )
    return None if made == DEFAULT_SOURCE else made


class Options(TypedDict, total=False):
    """What a backfill is told beside its periods: how its files are read, and what is asked of every period."""

    map: Mapping[str, str] | None
    map_universe: Mapping[str, str] | None
    assume_timezone: str | None
    generate_ids: bool
    assume_unique: bool
    folder_keys: bool | None
    binary_as_text: bool
    aggregation: str | None
    fill: str
    group_by: TextOrTexts
    workspace: TextOrTexts
    universe: TextOrTexts
    subject: TextOrTexts
    across_workspaces: bool
    scale: int | None
    digits: int | None


def asked_of(options: Options) -> tuple[Question, Source | None]:
    """What is asked of every period, and how event files are read; None if no option says anything of that.

    Raises: ConfigError.
    """
    of_files = SOURCE_FIELDS.keys() | LATER_SOURCE_FIELDS.keys()
    given: dict[str, Any] = dict(options)
    question = make_question(**{name: value for name, value in given.items() if name not in of_files})
    return question, make_source(**{name: value for name, value in given.items() if name in of_files})


def _source_options(source: Source) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(source, field) for name, field in SOURCE_FIELDS.items()}
    later = {name: getattr(source, field) for name, field in LATER_SOURCE_FIELDS.items()}
    said = {name: value for name, value in later.items() if value != getattr(DEFAULT_SOURCE, LATER_SOURCE_FIELDS[name])}
    return found | {"map_universe": dict(source.universe_names) or None} | said


def source_text(source: Source) -> str:
    """A source as canonical JSON."""
    return json_text(_source_options(source))


def source_digested(source: Source) -> str:
    """The text of a source in digests: it looks like a class of the first version, whose runs were digested with it."""
    options = [f"{name}={_spelled(value)}" for name, value in _source_options(source).items()]
    return f"ReadingOptions({', '.join(options)})"


# How characters are spelled in such texts beside those that stand for themselves.
_ESCAPED = {chr(n): f"\\x{n:02x}" for n in (*range(32), 127)} | {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def _spelled(value: object) -> str:
    """A value as the first ledgers spelled it: as Python did then; by now it may spell one otherwise (R38)."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_spelled(key)}: {_spelled(one)}" for key, one in value.items()) + "}"
    if not isinstance(value, str):
        return str(value)
    quote = '"' if "'" in value and '"' not in value else "'"
    text = "".join(_ESCAPED.get(character, character) for character in value)
    return quote + (text.replace("'", "\\'") if quote == "'" else text) + quote


def stored_source(text: str) -> Source:
    """A source from the text that a ledger keeps of it.

    Raises: LedgerError for a text that no source has.
    """
    with refused("ledger.reading_options", text):
        fields = SOURCE_FIELDS | LATER_SOURCE_FIELDS
        given = object_of(text, fields)
        found = {fields[name]: value for name, value in given.items()}
        found["universe_names"] = universe_names_of(found.get("universe_names"))
        found["timezone"] = zone_of(found.get("timezone"))
        for name in ("generate_ids", "assume_unique"):
            promise_of(found.get(name, False), name)
        source = Source(**found)
        FieldMap(source.map, field_names(records=False))
        return source


def same_source(stored: Source | None, given: Source | None) -> Source:
    """How the files of a ledger are read: as its first files were.

    Raises: ConfigError where `given` is another way to read them.
    """
    if stored is None:
        return given or DEFAULT_SOURCE
    if given is None or given == stored:
        return stored
    fields = SOURCE_FIELDS | LATER_SOURCE_FIELDS
    wrong = [name for name, field in fields.items() if getattr(given, field) != getattr(stored, field)]
    raise ConfigError(
        f"{first_few(name.replace('_', '-') for name in wrong)}: found another than this ledger's files are read with; "
        "expected the same for all files. hint: leave it out, or another --ledger"
    )
