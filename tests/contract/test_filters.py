"""Filters: every operator on every kind of text, combined at random and held to the oracle, in messages and in the
schema (R2)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from metering_duck import ConfigError, Filter, check, compile_sql, json_schema, load_config, meter
from metering_duck.cli.main import cli
from tests import oracle_filters as oracle
from tests import worlds
from tests.selection import examples
from tests.worlds import CLOCK, Event

SIXTY = "123456789012345678901234567890.123456789012345678901234567890"


def event(number: int, *, type: str = "t", subject: str = "c:1", **properties: str | None) -> Event:
    """One event that measures 1."""
    there = {name: text for name, text in properties.items() if text is not None}
    return worlds.event(f"e{number}", "2024-01-15T00:00:00Z", {"q": "1", **there}, type=type, subject=subject)


def config_of(*filters: Any) -> Event:
    """A measurement for each filter; its unit is the filter's number."""
    return {"measurements": [{"sourceProperty": "q", "unit": f"{n}", "filter": f} for n, f in enumerate(filters)]}


def passing(events: list[Event], *filters: Any) -> list[list[int]]:
    """For each filter the numbers of the events that pass it."""
    found: list[list[int]] = [[] for _ in filters]
    with meter(events, config_of(*filters), clock=CLOCK) as records:
        for record in records.to_dicts():
            found[int(record["unit"])].append(int(record["source_event_id"][1:]))
    return [sorted(numbers) for numbers in found]


# --- what each operator means ----------------------------------------------------------------------------------------

TEXTS: list[str | None] = [None, "", "gold", "Gold", "gold.eu", "it's", 'a"b', "é😀", "a\0b", "%", "x\ngold"]
OF_TEXTS: list[tuple[Event, list[str | None]]] = [
    ({"equals": "gold"}, ["gold"]),
    ({"notEquals": "gold"}, [text for text in TEXTS if text != "gold"]),
    ({"not_equals": "gold"}, [text for text in TEXTS if text != "gold"]),
    ({"in": ["gold", "it's", "", "none"]}, ["", "gold", "it's"]),
    ({"notIn": ["gold", 'a"b', "a\0b"]}, [text for text in TEXTS if text not in ("gold", 'a"b', "a\0b")]),
    ({"not_in": [""]}, [text for text in TEXTS if text != ""]),
    ({"exists": True}, TEXTS[1:]),
    ({"missing": True}, [None]),
    ({"prefix": "gold"}, ["gold", "gold.eu"]),
    ({"prefix": "%"}, ["%"]),
    ({"prefix": "é"}, ["é😀"]),
    ({"contains": "ol"}, ["gold", "Gold", "gold.eu", "x\ngold"]),
    ({"contains": "\0"}, ["a\0b"]),
    ({"contains": "😀"}, ["é😀"]),
    ({"matches": "^gold"}, ["gold", "gold.eu"]),
    ({"matches": "(?i)^GOLD$"}, ["gold", "Gold"]),
    ({"matches": "[.'\"]"}, ["gold.eu", "it's", 'a"b']),
    ({"matches": "^.{2}$"}, ["é😀"]),
    ({"matches": "a\0b"}, ["a\0b"]),
    ({"prefix": "gold", "contains": ".", "notEquals": "gold.us"}, ["gold.eu"]),
    ({"exists": True, "missing": True}, []),
]


def test_each_operator_takes_the_texts_that_it_should() -> None:
    """Texts are compared exactly; an absent property passes only what excludes, and several operators must all hold."""
    events = [event(n, p=text) for n, text in enumerate(TEXTS)]
    found = passing(events, *({"property": "p", **operators} for operators, _ in OF_TEXTS))

    assert [(operators, texts) for operators, texts in OF_TEXTS] == [
        (operators, [TEXTS[n] for n in numbers]) for (operators, _), numbers in zip(OF_TEXTS, found, strict=True)
    ]


def test_a_field_is_tested_like_a_property() -> None:
    """`field` looks at the event's own type or subject, which every event has."""
    events = [event(0, type="api.call", subject="c:1"), event(1, type="api", subject="c:2")]
    filters = [
        {"field": "type", "equals": "api"},
        {"field": "type", "prefix": "api."},
        {"field": "subject", "in": ["c:1", "c:3"]},
        {"not": {"field": "subject", "matches": "1$"}},
        {"field": "type", "missing": True},
        {"field": "type", "gt": 1},
    ]

    assert [[1], [0], [0], [1], [], []] == passing(events, *filters)


def test_combinations_nest() -> None:
    """`and` needs all, `or` any, and `not` is the plain negation: an absent property passes what it failed."""
    events = [event(0, a="1", b="1"), event(1, a="1"), event(2, b="1"), event(3)]
    a, b = ({"property": name, "equals": "1"} for name in "ab")
    filters = [
        {"and": [a, b]},
        {"or": [a, b]},
        {"not": a},
        {"not": {"or": [a, b]}},
        {"or": [{"and": [a, {"not": b}]}, {"and": [{"not": a}, b]}]},
        {"and": [{"or": [a]}]},
        {"not": {"property": "a", "gt": 0}},
    ]

    assert [[0], [0, 1, 2], [2, 3], [3], [1, 2], [0, 1], [2, 3]] == passing(events, *filters)


NUMBERS = [
    "0",
    "-0.0e9",
    "1.5",
    "+1.50",
    "15e-1",
    "1.500000000000000001",
    "1.5000000000000000000000000001",
    "-1.5",
    "-1.5000000000000000000000000001",
    ".5",
    "5.",
    "99999999999999999999.999999999999999999",
    "99999999999999999999.9999999999999999999",
    "100000000000000000000",
    SIXTY,
    SIXTY[:-1] + "1",
    "-" + SIXTY,
    "1e400",
    "1e-400",
    "-1e400",
]
HUGE = ["1e9223372036854775807", "-.1e99999999999999999999", "1.5e-9223372036854775808", "1e00000000000000000000001"]
NOT_NUMBERS = ["", "1_000", " 7", "NaN", "inf", "1e", ".", "0x10", "١", "1.5\n"]


@pytest.mark.slow
@pytest.mark.parametrize("operator", ["gt", "gte", "lt", "lte"])
def test_numbers_are_compared_exactly(operator: str) -> None:
    """Any two numbers compare as their exact values do, however they are spelled; what is no number never passes."""
    texts = [None, *NUMBERS, *HUGE, *NOT_NUMBERS]
    events = [event(n, p=text) for n, text in enumerate(texts)]
    expected = [[n for n, text in enumerate(texts) if oracle.holds(operator, text, number)] for number in NUMBERS]

    assert expected == passing(events, *({"property": "p", operator: number} for number in NUMBERS))


def test_the_largest_exponents_are_compared() -> None:
    """A quantity of any exponent at all has its place among the numbers that a filter may name."""
    events = [event(n, p=text) for n, text in enumerate(HUGE)]
    filters = [{"property": "p", "gt": "1e999999999"}, {"property": "p", "lt": "1e-999999999"}]

    assert [[0], [1, 2]] == passing(events, *filters)


def test_a_whole_number_of_json_keeps_its_digits() -> None:
    """A JSON whole number is compared with all its digits."""
    big = 10**59 + 1
    events = [event(n, p=str(big + n)) for n in range(3)]

    assert [[1, 2], [0, 1], [1]] == passing(
        events,
        {"property": "p", "gt": big},
        {"property": "p", "lte": big + 1},
        {"property": "p", "gt": big, "lt": big + 2},
    )


# --- at random, against the oracle -----------------------------------------------------------------------------------

PROPERTIES = ("a", "b", "it's")
digits = st.text("0123456789", min_size=1, max_size=60)
numbers = st.builds(
    lambda sign, whole, fraction, exponent: sign + whole + fraction + exponent,
    st.sampled_from(("", "-", "+")),
    digits,
    st.one_of(st.just(""), digits.map(".{}".format)),
    st.one_of(st.just(""), st.integers(-80, 80).map("e{}".format)),
)
texts = st.one_of(
    st.sampled_from([*NUMBERS, *NOT_NUMBERS, *(text for text in TEXTS if text)]),
    numbers,
    st.text(st.characters(exclude_categories=("Cs",)), max_size=4),
)
some_texts = texts.filter(bool)
conditions = st.fixed_dictionaries(
    {},
    optional={
        "equals": some_texts,
        "notEquals": texts,
        "in": st.lists(texts, min_size=1, max_size=4),
        "notIn": st.lists(texts, min_size=1, max_size=4),
        "exists": st.just(True),
        "missing": st.just(True),
        "prefix": some_texts,
        "contains": some_texts,
        "matches": st.sampled_from(("^[+-]?[0-9]+", "^g", "[é'\"]", "(?i)G|x", "^.?.?d", r"\.\d")),
        **dict.fromkeys(("gt", "gte", "lt", "lte"), st.one_of(numbers, st.sampled_from(NUMBERS), st.integers())),
    },
)
one_condition = conditions.filter(bool).map(lambda found: dict([next(iter(found.items()))]))
leaves = st.builds(
    lambda tested, found: {**tested, **found},
    st.one_of(
        *(st.just({"property": name}) for name in PROPERTIES),
        *(st.just({"field": name}) for name in ("type", "subject")),
    ),
    st.one_of(one_condition, conditions.filter(bool)),
)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"and": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"or": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=8,
)
bags = st.dictionaries(st.sampled_from(PROPERTIES), texts)


@pytest.mark.slow
@examples(10)
@given(
    st.lists(filters, min_size=1, max_size=6),
    st.lists(st.tuples(bags, some_texts, some_texts), min_size=1, max_size=6),
)
def test_any_filter_is_what_the_rules_say(chosen: list[Event], rows: list[tuple[dict[str, str], str, str]]) -> None:
    """Filters of any nesting, over any texts and numbers, pass the events that the oracle passes."""
    events = [event(n, type=type, subject=subject, **bag) for n, (bag, type, subject) in enumerate(rows)]
    expected = [[n for n, row in enumerate(events) if oracle.passes(f, row)] for f in chosen]

    assert expected == passing(events, *chosen)


# --- in the run ------------------------------------------------------------------------------------------------------


def test_a_filter_is_looked_at_before_the_source() -> None:
    """An event that a filter excludes is unmatched, whatever its source holds (R2); one that passes counts."""
    sources = ("5", "50", "many", "1e400", HUGE[0])
    events = [{**event(n), "properties": {"q": text}} for n, text in enumerate(sources)]
    with meter(events, config_of({"property": "q", "gte": 10}), clock=CLOCK) as records:
        accounting, reasons = records.accounting, records.rejects["reason"].to_pylist()

    assert (1, 2, ["quantity-too-large"] * 2) == (accounting.metered, accounting.unmatched_filter, reasons)


def test_a_plain_equality_keeps_its_sql_and_its_ids() -> None:
    """The filter of the specification compiles to one comparison, and its records have the ids they always had (R7)."""
    plain = config_of({"property": "tier", "equals": "premium"})
    with meter([event(1, tier="premium")], plain, clock=CLOCK) as records:
        ids = [record["id"] for record in records.to_dicts()]
    parts = ["w", "u", "e1", "1:q1:04:tier7:premium"]
    encoded = "".join(f"{len(part)}:{part}" for part in parts)

    assert [hashlib.sha256(encoded.encode()).hexdigest()[:32]] == ids
    assert "entry IS NOT DISTINCT FROM 0 AND p_1 IS NOT DISTINCT FROM 'premium')" in compile_sql(plain)


def test_filters_that_differ_have_ids_that_differ() -> None:
    """Measurements of one unit are told apart by their filters, whatever these say (R7)."""
    p = {"property": "p"}
    chosen = [
        {**p, "equals": "x"},
        {**p, "in": ["x"]},
        {**p, "in": ["x", "y"]},
        {**p, "in": ['x","y']},
        {"and": [{**p, "equals": "x"}]},
        {"or": [{**p, "equals": "x"}]},
        {"not": {**p, "notEquals": "x"}},
        {**p, "equals": "x", "exists": True},
    ]
    identities = {Filter.model_validate(given).identity for given in chosen}

    assert len(chosen) == len(identities)
    assert ("p", "x") in identities
    assert {("p",)} == {tuple(Filter.model_validate(given).properties) for given in chosen}


def test_both_spellings_are_one_filter() -> None:
    """A key in snake_case means what it means in camelCase, and a filter comes back from its own JSON."""
    camel, snake = (
        load_config(config_of({"property": "p", no: "x", "not" + of: ["y"], "gt": number}))
        for no, of, number in (("notEquals", "In", 10), ("not_equals", "_in", "10"))
    )

    assert camel == snake
    assert camel == load_config(camel.model_dump_json(by_alias=True, exclude_none=True))


@pytest.mark.slow
def test_the_deepest_nesting_runs() -> None:
    """Filters may be nested 32 deep."""
    deepest: Event = {"property": "p", "equals": "0"}
    for n in range(31):
        one = {"property": "p", "lt": n}
        deepest = {"not": deepest} if n % 3 == 0 else {"and" if n % 3 == 1 else "or": [one, deepest]}
    events = [event(n, p=f"{n}") for n in range(3)]

    assert [[n for n, row in enumerate(events) if oracle.passes(deepest, row)]] == passing(events, deepest)


def test_check_warns_of_a_filter_on_the_measured_property() -> None:
    """Only an equality leaves one quantity to count; a comparison is a threshold, and often meant."""
    warnings = check(config_of({"property": "q", "equals": "1"}, {"property": "q", "gt": 0}))["warnings"]

    assert ["measurements[0].filter: tests the property it measures; only '1' is ever counted."] == warnings


# --- messages --------------------------------------------------------------------------------------------------------


def nested(depth: int) -> Event:
    """A filter of so many objects, one in the other."""
    return {"property": "p", "exists": True} if depth == 1 else {"not": nested(depth - 1)}


P = {"property": "p"}
MESSAGES: dict[str, tuple[Any, list[str]]] = {
    "nothing": ({}, [': found nothing; expected a "property" or "field" beside a condition, or "and", "or", "not".']),
    "no operator": (P, [': found "property" alone; expected a condition beside it, such as "equals".']),
    "no property": (
        {"equals": "x", "gt": 1},
        [': found "equals" and "gt"; expected a "property" or "field" beside a condition, or "and", "or", "not".'],
    ),
    "a property and a field": (
        {**P, "field": "type", "equals": "x"},
        [': found "property" and "field" in one object; expected one of them. hint: nest them in "and".'],
    ),
    "a combination beside a property": (
        {**P, "equals": "x", "and": [{**P, "exists": True}]},
        [': found "property" and "and" in one object; expected one of them. hint: nest them in "and".'],
    ),
    "an operator beside a combination": (
        {"not": {**P, "exists": True}, "equals": "x"},
        [': found "equals" beside "not"; expected it beside a property.'],
    ),
    "an operator that is none": (
        {**P, "equal": "x"},
        ['.equal: is not a key of this object. hint: did you mean "equals"?'],
    ),
    "an operator that is none, deeper": (
        {"or": [{"not": {**P, "startsWith": "x"}}]},
        [
            ".or[0].not.startsWith: is not a key of this object. hint: known: property, field, equals, notEquals, in, "
            "and 13 more."
        ],
    ),
    "another kind": ([], [": found []; expected an object."]),
    "null": (
        {**P, "equals": None},
        ['.equals: found null; expected a value. hint: "missing": true finds what has no such property.'],
    ),
    "no text": (
        {**P, "prefix": 5},
        [".prefix: found 5; expected text. hint: property values are text, write it in quotes."],
    ),
    "an empty property": ({"property": "", "equals": "x"}, [".property: is empty; some text is required."]),
    "an empty prefix": ({**P, "prefix": ""}, [".prefix: is empty; some text is required."]),
    "an empty part": ({**P, "contains": ""}, [".contains: is empty; some text is required."]),
    "an empty pattern": ({**P, "matches": ""}, [".matches: is empty; some text is required."]),
    "an empty list": ({**P, "in": []}, [".in: is empty; at least one is required."]),
    "no list": ({**P, "notIn": "x"}, ['.notIn: found "x"; expected a list.']),
    "an item that is no text": (
        {**P, "in": ["x", 5]},
        [".in[1]: found 5; expected text. hint: property values are text, write it in quotes."],
    ),
    "no filter to combine": ({"and": []}, [".and: is empty; at least one is required."]),
    "one filter for a list": (
        {"or": {**P, "missing": True}},
        ['.or: found {"property": "p", "missing": true}; expected a list.'],
    ),
    "a list for one filter": ({"not": []}, [".not: found []; expected an object."]),
    "a field that is none": (
        {"field": "time", "exists": True},
        [".field: found \"time\"; expected 'type' or 'subject'."],
    ),
    "exists: false": (
        {**P, "exists": False},
        ['.exists: found false; expected true. hint: "missing": true is the opposite of "exists": true.'],
    ),
    "a float": (
        {**P, "gt": 1.5},
        ['.gt: found 1.5; expected a whole number or text. hint: write it in quotes, "1.5".'],
    ),
    "no number": (
        {**P, "lte": "1_000"},
        ['.lte: found "1_000"; expected a number such as "1.5", its exponent of at most 9 digits.'],
    ),
    "a boolean": (
        {**P, "lt": True},
        ['.lt: found true; expected a number such as "1.5", its exponent of at most 9 digits.'],
    ),
    "an exponent too long": (
        {**P, "gte": "1e1234567890"},
        ['.gte: found "1e1234567890"; expected a number such as "1.5", its exponent of at most 9 digits.'],
    ),
    "a lone surrogate": (
        {**P, "in": ["\ud800"]},
        [".in[0]: holds a lone surrogate, which is not text; expected Unicode text."],
    ),
    "too deep": (nested(33), [": is nested more than 32 deep; expected at most that."]),
    "far too deep": (nested(900), [": is nested more than 32 deep; expected at most that."]),
    "all at once": (
        {"and": [{**P, "in": []}, {"not": P}, {"property": "", "gt": "x"}]},
        [
            ".and[0].in: is empty; at least one is required.",
            '.and[1].not: found "property" alone; expected a condition beside it, such as "equals".',
            ".and[2].property: is empty; some text is required.",
            '.and[2].gt: found "x"; expected a number such as "1.5", its exponent of at most 9 digits.',
        ],
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_every_fault_is_told_with_its_path(case: str) -> None:
    """A filter's mistakes are told all at once: where, what was found, what was expected."""
    chosen, faults = MESSAGES[case]
    with pytest.raises(ConfigError) as caught:
        load_config(config_of(chosen))

    assert [f"config: measurements[0].filter{fault}" for fault in faults] == caught.value.problems


def test_a_pattern_that_re2_cannot_read_is_a_config_error(tmp_path: Path) -> None:
    """Bad regular expressions are found before anything runs, by check without events too, each with its path."""
    config = config_of({"or": [{**P, "matches": "(a"}, {"not": {**P, "matches": "a(?=b)"}}]}, {**P, "matches": "fine"})
    problems = [
        "measurements[0].filter.or[0].matches: found '(a'; expected a regular expression as RE2 reads it. "
        "hint: missing ): (a",
        "measurements[0].filter.or[1].not.matches: found 'a(?=b)'; expected a regular expression as RE2 reads it. "
        "hint: invalid perl operator: (?=",
    ]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        meter("no such file", config)
    shown = CliRunner().invoke(cli, ["check", str(path)])

    assert [f"config: {problem}" for problem in problems] == caught.value.problems
    assert caught.value.problems == check(config)["problems"]
    assert [f"{path}: {problem}" for problem in problems] == json.loads(shown.stdout)["problems"]


# --- the schema ------------------------------------------------------------------------------------------------------

GOOD = [
    {**P, "equals": "x"},
    {**P, "notIn": ["x"], "gt": "1.5", "lte": 10},
    {"field": "type", "prefix": "api."},
    {"not": {"or": [{**P, "missing": True}, {"and": [{**P, "exists": True}]}]}},
]


BEYOND_SCHEMAS = ("a lone surrogate", "too deep", "far too deep")


def test_the_schema_takes_what_is_read() -> None:
    """The JSON Schema of a config takes each good filter, and none of those that are refused."""
    schema = jsonschema.Draft202012Validator(json_schema("MeteringConfig"))
    refused = {case: chosen for case, (chosen, _) in MESSAGES.items() if case not in BEYOND_SCHEMAS}

    assert [len(GOOD)] == [len(load_config(config_of(*GOOD)).measurements)]
    assert [] == [chosen for chosen in GOOD if not schema.is_valid(config_of(chosen))]
    assert [] == [case for case, chosen in refused.items() if schema.is_valid(config_of(chosen))]
