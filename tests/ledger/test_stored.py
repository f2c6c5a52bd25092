"""Stored values: the texts of questions and sources are what ledgers were always digested with, byte for byte."""

from __future__ import annotations

from typing import Any

import pytest

from metering_duck.errors import ConfigError
from metering_duck.inputs.source import Source
from metering_duck.ledger.stored import (
    DEFAULT_SOURCE,
    make_question,
    make_source,
    question_text,
    same_source,
    source_digested,
    source_text,
    stored_question,
    stored_source,
)
from metering_duck.runs.question import Question

QUESTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "{}"),
    "a scale of 0": ({"scale": 0}, '{"scale":0}'),
    "names in their order": (
        {"subject": ["b", "a"], "workspace": "acme", "universe": "test", "group_by": ["region"]},
        '{"group_by":["region"],"subject":["a","b"],"universe":["test"],"workspace":["acme"]}',
    ),
    "the rest": (
        {"aggregation": "sum", "fill": "zero", "across_workspaces": True, "digits": 7},
        '{"across_workspaces":true,"aggregation":"sum","digits":7,"fill":"zero"}',
    ),
}
SAID = make_source(map={"id": "key"}, map_universe={"old": "new"}, assume_timezone="Europe/Berlin", assume_unique=True)


@pytest.mark.parametrize(("given", "text"), QUESTIONS.values(), ids=QUESTIONS)
def test_a_question_has_the_text_of_the_first_ledgers(given: dict[str, Any], text: str) -> None:
    """What is not asked is left out, and the text gives the same question again."""
    question = make_question(**given)

    assert text == question_text(question)
    assert question == stored_question(text)


def test_a_simulation_is_told_by_its_universes() -> None:
    """Universes under another name are in the text under a name of their own, beside those that are asked for."""
    question = Question(renamed=(("production", "what-if"),), universes=("production",))

    assert '{"universe":["production"],"universes":{"production":"what-if"}}' == question_text(question)
    assert question == stored_question(question_text(question))


def test_how_files_are_read_is_stored_and_digested_as_ever() -> None:
    """The stored text is JSON; digests have another text of the same, by the names that the first ledgers had."""
    assert SAID is not None
    said, plain = source_text(SAID), source_text(DEFAULT_SOURCE)

    assert (
        '{"assume_timezone":"Europe/Berlin","assume_unique":true,"generate_ids":false,"map":{"id":"key"},'
        '"map_universe":{"old":"new"}}'
    ) == said
    assert ('{"assume_timezone":null,"assume_unique":false,"generate_ids":false,"map":{},"map_universe":null}') == plain
    assert [SAID, DEFAULT_SOURCE] == [stored_source(said), stored_source(plain)]
    assert (
        "ReadingOptions(map={'id': 'key'}, assume_timezone='Europe/Berlin', generate_ids=False, assume_unique=True, "
        "map_universe={'old': 'new'})"
    ) == source_digested(SAID)
    assert (
        "ReadingOptions(map={}, assume_timezone=None, generate_ids=False, assume_unique=False, map_universe=None)"
    ) == source_digested(DEFAULT_SOURCE)


def test_digested_names_do_not_depend_on_python() -> None:
    """Quotes, backslashes and control characters are spelled as Python does; other scripts as they are (R38)."""
    said = make_source(map={"id": "it's", "time": "é\u0378"}, map_universe={'a "b"': "\\\n\x7f"})
    assert said is not None

    assert (
        "ReadingOptions(map={'id': \"it's\", 'time': 'é\u0378'}, assume_timezone=None, generate_ids=False, "
        "assume_unique=False, map_universe={'a \"b\"': '\\\\\\n\\x7f'})"
    ) == source_digested(said)


def test_files_of_a_ledger_are_read_in_one_way() -> None:
    """Nothing said is the way of before; another way is refused with the names of what differs."""
    assert make_source() is None
    assert [DEFAULT_SOURCE, SAID, SAID] == [same_source(None, None), same_source(None, SAID), same_source(SAID, None)]
    with pytest.raises(ConfigError) as raised:
        same_source(SAID, Source(map={}, timezone="UTC"))

    assert "map, assume-timezone, assume-unique, map-universe: found another than" in str(raised.value)
