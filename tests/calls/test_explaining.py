"""What a config counts, in plain words: a page above the SQL, for whoever has to read it."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from metering_duck import ConfigError, Filter, aggregate, compile_sql
from metering_duck.calls.filter_words import WORDS, filter_words
from metering_duck.calls.page_text import WIDTH
from metering_duck.calls.rule_words import RULES
from metering_duck.cli.main import cli
from metering_duck.contract.definitions import NAMES
from metering_duck.contract.filters import OPERATORS
from metering_duck.contract.schemas import EVENT_SCHEMA, REASONS
from tests.selection import examples

EVENT = {
    "id": "1",
    "workspaceID": "acme",
    "universeID": "production",
    "type": "api",
    "subject": "s",
    "time": "2024-01-02T00:00:00Z",
    "properties": {"q": "1"},
}
WINDOW = {"start": "2024-01-01", "end": "2024-02-01"}


def measuring(**measurement: Any) -> dict[str, Any]:
    """A config of one measurement."""
    return {"measurements": [{"sourceProperty": "q", "unit": "GiB", **measurement}]}


def explain(config: Any, events: Any = None, **options: Any) -> str:
    """The page above a script, without the marks of comments."""
    script = compile_sql(config, events, explain=True, stage="judged", **options)
    page = script.partition("\n\n")[0]
    return "\n".join(line.removeprefix("--").removeprefix(" ") for line in page.splitlines()) + "\n"


TEXT = r'"(?:[^"\\]|\\.)*"'


def texts_of(page: str) -> set[str]:
    """The texts in quotes on a page, their pieces put together, and what JSON escapes as it is."""
    found = re.findall(rf"{TEXT}(?:\s+{TEXT})*", page)
    return {"".join(json.loads(piece) for piece in re.findall(TEXT, pieces)) for pieces in found}


def columns_of(line: str) -> int:
    """How many columns of a screen a line takes: a wide letter takes two."""
    return len(line) + sum(east_asian_width(letter) in "WF" for letter in line)


def reasons_of(page: str) -> list[str]:
    """The reasons that a page lists."""
    return [name for name in REASONS if re.search(rf"^ {{13}}{name}: ", page, re.MULTILINE)]


def paragraph(page: str, label: str) -> str:
    """What stands behind a label, on one line."""
    lines = page.splitlines()
    start = next(n for n, line in enumerate(lines) if line.strip().startswith(label))
    end = next((n for n in range(start + 1, len(lines)) if not lines[n].startswith(" " * 13)), len(lines))
    return " ".join(" ".join(lines[start:end]).split()).removeprefix(label).strip()


@pytest.mark.parametrize(
    ("measurement", "options", "label", "expected"),
    [
        ({}, {}, "counts", "events of any type, of any workspace (R1)"),
        (
            {"filter": {"property": "tier", "in": ["a", "b"]}},
            {},
            "filter",
            'where "tier" is one of "a" or "b" (R2)',
        ),
        (
            {"precision": 10, "scale": 2, "divide": "1024"},
            {},
            "quantity",
            '"q", at most 8 digits before the point and 2 behind it, as a DECIMAL(10, 2) (R4, R5); divided by 1024, '
            "rounded once, half to even, to 2 digits",
        ),
        (
            {"aggregation": "peak-state"},
            WINDOW,
            "aggregated",
            "peak-state: the highest level that held in the window; a level holds until the next one of its "
            "subject, unit and group, and the last before the window is carried in (R14, R19, R13)",
        ),
        (
            {"aggregation": "max-of-sum", "innerWindow": "hour"},
            WINDOW,
            "aggregated",
            "one value of each inner window (the windows cut by hour): sum: how much in total, of the records inside "
            "the inner window (R12, R18); then, of these values as if each were a record: the largest single record",
        ),
        (
            {"aggregation": "sum-of-max", "innerDimension": "user"},
            WINDOW,
            "aggregated",
            'one value for each "user", and one for the events without it: max: the largest single record, of the '
            "records inside the window (R12); then, of these values as if each were a record: how much in total",
        ),
        (
            {"aggregation": "sum-of-max", "innerDimension": "is"},
            {},
            "aggregated",
            'by sum-of-max by "is", when its records are',
        ),
        (
            {"aggregation": "sum", "resultScale": 2, "rounding": "half-up"},
            WINDOW,
            "rounded",
            "to 2 digits behind the point, half away from zero (R16)",
        ),
        ({"aggregation": "count"}, WINDOW, "rounded", "not at all: it is a whole number"),
        (
            {"aggregation": "sum"},
            {**WINDOW, "every": "month", "timezone": "Europe/Berlin"},
            "Windows",
            "[2024-01-01, 2024-02-01) cut by month on the clocks of Europe/Berlin (R11)",
        ),
        (
            {"aggregation": "sum"},
            {"assume_unique": True},
            "duplicates",
            "not looked for: every id is taken to occur once",
        ),
        (
            {"aggregation": "sum"},
            {"workspace": "acme", "as_of": "2024-03-01"},
            "Events",
            'every one that is read, of the workspace "acme", that had entered by 2024-03-01T00:00:00Z (R24)',
        ),
    ],
)
def test_the_page_says_it_in_words(
    measurement: dict[str, Any], options: dict[str, Any], label: str, expected: str
) -> None:
    """What counts, which filter, which DECIMAL, how it is aggregated and rounded, over which windows."""
    assert expected == paragraph(explain(measuring(**measurement), **options), label)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"property": "a", "equals": "b"}, '"a" is "b"'),
        ({"property": "a", "equals": "b\nc"}, r'"a" is "b\nc"'),
        ({"property": "a", "in": ["x", "y"]}, '"a" is one of "x" or "y"'),
        ({"field": "type", "prefix": "llm"}, 'the event\'s type begins with "llm"'),
        ({"property": "a", "gte": "1", "lt": "2"}, '"a" is at least 1 and is less than 2'),
        (
            {"or": [{"property": "a", "missing": True}, {"and": [{"property": "b", "exists": True}]}]},
            '"a" is not there or ("b" is there)',
        ),
        (
            {"or": [{"property": "a", "gt": "1", "lt": "2"}, {"property": "b", "exists": True}]},
            '("a" is more than 1 and is less than 2) or "b" is there',
        ),
        ({"not": {"property": "a", "notIn": ["x"]}}, 'it is not so that ("a" is none of "x" (or not there))'),
        ({"property": "a", "notEquals": "x", "prefix": "y"}, '"a" is not "x" (or not there) and begins with "y"'),
        ({"field": "subject", "notEquals": "x"}, 'the event\'s subject is not "x"'),
        ({"property": "a", "matches": "b"}, '"a" has a part that fits the regular expression "b"'),
        (
            {"or": [{"property": "or", "equals": "x"}, {"property": "IS", "exists": True}]},
            '"or" is "x" or "IS" is there',
        ),
        (
            {"and": [{"not": {"property": "a", "exists": True}}, {"property": "b", "exists": True}]},
            '(it is not so that ("a" is there)) and "b" is there',
        ),
        (
            {"not": {"or": [{"property": "a", "exists": True}, {"property": "b", "exists": True}]}},
            'it is not so that ("a" is there or "b" is there)',
        ),
    ],
)
def test_a_filter_in_words(given: dict[str, Any], expected: str) -> None:
    """What is combined keeps its order, and brackets say how far "or" and "not" reach."""
    assert expected == filter_words(Filter.model_validate(given))


def test_every_operator_has_words() -> None:
    """An operator that filters have has words."""
    assert set(OPERATORS) == set(WORDS)


@pytest.mark.parametrize("aggregation", NAMES)
def test_every_aggregation_has_words(aggregation: str) -> None:
    """The page of any aggregation fits 80 columns, and each rule that it names has its words at the end."""
    page = explain(measuring(aggregation=aggregation), **WINDOW)
    assert max(map(len, page.splitlines())) <= WIDTH
    body, rules = page.split("\nRules\n")
    named = {int(number) for number in re.findall(r"\bR(\d+)", body)}
    assert named == {int(line.split()[0][1:]) for line in rules.splitlines() if line.startswith("  R")}
    assert named <= set(RULES)


# --- the values that run ---------------------------------------------------------------------------------------------


def test_generated_ids() -> None:
    """With ids that are made no id is missing, and no event is a duplicate or in conflict."""
    page = explain(measuring(), generate_ids=True)
    assert paragraph(page, "ids") == (
        "each row gets one that is made of its content; rows of the same content are counted apart"
    )
    assert paragraph(page, "duplicates") == "none: no two rows get the same id"
    assert "  conflicts" not in page
    assert "id-missing" not in reasons_of(page)


@pytest.mark.parametrize(
    ("options", "label", "expected"),
    [
        (
            {"assume_timezone": "Europe/Berlin"},
            "times",
            "without an offset, `time` is what clocks of Europe/Berlin show; metered_at is UTC (R11)",
        ),
        (
            {"map_universe": {"production": "legacy"}},
            "universes",
            '"production" is called "legacy", before anything else is looked at; ids stay apart',
        ),
        (
            {"map": {"workspace_id": "'acme'", "subject": "customer", "properties.q": "amount"}},
            "fields",
            'subject is in "customer"; workspace_id is always "acme"; the property "q" is in "amount"; no other '
            "property is read",
        ),
        (
            {"from_": "cloudevents"},
            "shape",
            'events as cloudevents has them: each is what "data" holds; what is around it is not read',
        ),
        ({"clock": "2024-06-01"}, "entered", "by 2024-06-01T00:00:00Z where they do not say when"),
        ({"strict": True}, "strict", "one that is rejected or in conflict stops the run with an error"),
        ({"bundled": True}, "Records", "one row for each event, with all that it measured"),
        ({"event_type": "api"}, "Events", 'every one that is read, of the type "api"'),
    ],
)
def test_how_events_are_read(options: dict[str, Any], label: str, expected: str) -> None:
    """What a call says of its input is on the page."""
    events = [{**EVENT, "customer": "u", "amount": "1", "data": EVENT}]
    assert expected == paragraph(explain(measuring(), events, **options), label)
    assert f"  {label}" not in explain(measuring(), [EVENT]) or label == "Events"


OF_LAGO = {"transaction_id": "1", "code": "api", "external_subscription_id": "s", "timestamp": 1, "properties": {}}
OF_OPENMETER = pa.table(
    {name: [name, name] for name in ("id", "type", "subject", "time", "data")} | {"workspace_id": ["acme", "other"]}
)
OF_STRIPE = {"identifier": "1", "event_name": "api", "timestamp": 1, "payload": {"stripe_customer_id": "s"}}


@pytest.mark.parametrize(
    ("events", "options", "shape", "fields"),
    [
        (
            [OF_LAGO],
            {"from_": "lago"},
            'events as lago has them, as they are, each in "event" or several in the list "events"; their times may be '
            "seconds since 1970",
            'id is in "transaction_id"; type is in "code"; subject is in "external_subscription_id"; time is in '
            '"timestamp"; metered_at is in "created_at"; workspace_id is always "lago"; universe_id is always '
            '"production"; the properties are in "properties"',
        ),
        (
            [OF_STRIPE],
            {"from_": "stripe", "map": {"workspace_id": "'acme'", "id": "event_name"}},
            'events as stripe has them, as they are or several in the list "events"; their times may be seconds since '
            "1970",
            'type is in "event_name"; subject is in "stripe_customer_id" of "payload"; time is in "timestamp" or, '
            'where that is missing, in "created"; metered_at is in "created"; universe_id is always "production"; the '
            'properties are in "payload"; id is in "event_name"; workspace_id is always "acme"',
        ),
        (
            OF_OPENMETER,
            {"from_": "openmeter", "map_universe": {"production": "test"}},
            'events as openmeter has them, as they are or each in "event"',
            'id is in "id"; type is in "type"; subject is in "subject"; time is in "time"; workspace_id is in the '
            'column of that name; universe_id is always "production"; the properties are in "data"',
        ),
    ],
)
def test_where_the_fields_of_a_shape_are(events: Any, options: dict[str, Any], shape: str, fields: str) -> None:
    """A shape places fields and has constants that make the key; the call's mapping goes before them."""
    page = explain(measuring(), events, **options)
    assert [shape, fields] == [paragraph(page, label) for label in ("shape", "fields")]


def test_a_partition_by_time(tmp_path: Path) -> None:
    """Where a column says the date of each event's time, files that the windows do not need are not read."""
    folder = tmp_path / "day=2024-01-02"
    folder.mkdir()
    pq.write_table(EVENT_SCHEMA.empty_table(), folder / "events.parquet")
    given = str(tmp_path / "*" / "*.parquet")
    page = explain(measuring(aggregation="sum"), given, **WINDOW, time_partition="day")
    words = 'the column "day" has the UTC day of each event\'s time; those that the windows do not need are not read'
    assert words == paragraph(page, "files")


@pytest.mark.parametrize(
    ("measurement", "options", "expected"),
    [
        ({"aggregation": "sum"}, {}, "has a record (R10)"),
        ({"aggregation": "peak-state"}, {}, "has a level (set in it or carried into it) (R10)"),
        ({"aggregation": "max-of-peak-state", "innerWindow": "day"}, {}, "has a level (set in it or carried into it)"),
        ({"aggregation": "sum", "span": {"end": "to"}, "proration": "by-time"}, {}, "has a part of a span (R10)"),
        ({"aggregation": "sum"}, {"fill": "zero"}, "that has a record at any time; 0 where there is none (R10)"),
        (
            {"aggregation": "sum"},
            {"fill": "carry"},
            "at any time; the quantity of the window before where there is none, and 0 before the first (R10)",
        ),
        (
            {"aggregation": "sum"},
            {"group_by": ["region"]},
            'has a record, and for each value of "region"; the events without it are a group, too (R10)',
        ),
        (
            {"aggregation": "sum"},
            {"group_by": ["region", "zone", "region"]},
            'for each combination of "region" and "zone"; not to have one of these counts as a value of it (R10)',
        ),
        ({"aggregation": "sum"}, {"bundled": True}, "those of one subject and window are one row (R10)"),
    ],
)
def test_which_readings_there_are(measurement: dict[str, Any], options: dict[str, Any], expected: str) -> None:
    """A level that is carried into a window makes a reading, and so does a part of a span."""
    page = explain(measuring(**measurement), **WINDOW, **options)
    assert expected in paragraph(page, "Readings")


def test_a_reading_of_records_and_parts_of_spans() -> None:
    """Where some measurements of a unit split their spans and others do not, a record without a span makes one, too."""
    measured = {"sourceProperty": "q", "unit": "GiB", "aggregation": "sum"}
    split = {**measured, "span": {"end": "to"}, "proration": "by-time", "filter": {"property": "to", "exists": True}}
    config = {"measurements": [split, measured]}
    assert "window that has a record or a part of a span (R10)" in paragraph(explain(config, **WINDOW), "Readings")
    with aggregate([EVENT], config, **WINDOW) as result:
        assert [Decimal(1)] == result.to_arrow().column("quantity").to_pylist()


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ({"start": "begun", "end": "to"}, 'from "begun" to "to"; times in properties are RFC 3339'),
        (
            {"end": "ended", "times": "epoch-seconds"},
            'from the event\'s own time to "ended"; times in properties are seconds since 1970',
        ),
        ({"duration": "days", "unit": "hours"}, 'the "days" hours from the event\'s own time'),
        (
            {"start": "begun", "duration": "ms", "unit": "milliseconds", "times": "epoch-milliseconds"},
            'the "ms" milliseconds from "begun"; times in properties are milliseconds since 1970',
        ),
    ],
)
def test_a_span_in_words(span: dict[str, Any], expected: str) -> None:
    """From when to when a quantity extends, and how its times are written."""
    assert expected == paragraph(explain(measuring(span=span)), "span")


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"property": "z", "notEquals": "a"}, ""),
        ({"not": {"field": "type", "equals": "a"}}, ""),
        (
            {"or": [{"not": {"property": "z", "equals": "a"}}, {"property": "y", "gt": "1"}]},
            "; a condition does not hold of a property that is not there, unless it says so",
        ),
        (
            {"not": {"and": [{"property": "z", "gt": "1"}]}},
            "; a condition does not hold of a property that is not there, unless it says so; a comparison with a "
            "number only holds of a number",
        ),
    ],
)
def test_what_a_denied_condition_counts(chosen: dict[str, Any], expected: str) -> None:
    """An event without a property is counted where it is not to have some text, and the page says so."""
    words = paragraph(explain(measuring(filter=chosen)), "filter")
    assert f"where {filter_words(Filter.model_validate(chosen))} (R2){expected}" == words


def test_measurements_of_one_unit_add_up() -> None:
    """Measurements of one unit and aggregation make one reading, which is rounded once, as the readings are."""
    quantities = {"in": "1.005", "out": "2.1234567"}
    config = {
        "measurements": [
            {"sourceProperty": "in", "unit": "GiB", "aggregation": "sum", "resultScale": 2},
            {"sourceProperty": "out", "unit": "GiB", "aggregation": "sum"},
            {"sourceProperty": "in", "unit": "calls", "aggregation": "count"},
        ]
    }
    events = [{**EVENT, "properties": quantities}]
    first, second, third = explain(config, events, **WINDOW).split("\nmeasurements[")[1:]
    words = "of the same unit and aggregation: one reading of all their records, how much in total (R10)"
    assert paragraph(first, "together") == f"with measurements[1], {words}"
    assert paragraph(second, "together") == f"with measurements[0], {words}"
    assert "together" not in third
    assert [paragraph(block, "rounded") for block in (first, second)] == [
        "to 2 digits behind the point, half to even (R16)"
    ] * 2
    with aggregate(events, config, **WINDOW) as result:
        found = [row["quantity"] for row in result.to_arrow().to_pylist() if row["unit"] == "GiB"]
    assert found == [Decimal("3.13")]


def test_entries_of_two_workspaces_do_not_add_up() -> None:
    """A reading has one workspace, unless the call makes readings across workspaces."""
    measured = [{"sourceProperty": "q", "unit": "GiB", "aggregation": "sum"}]
    config = [{"workspaceID": name, "measurements": measured} for name in ("acme", "other")]
    assert "  together" not in explain({"entries": config}, **WINDOW)
    assert "  together" in explain({"entries": config}, **WINDOW, across_workspaces=True)


@pytest.mark.parametrize(
    ("measurement", "options", "expected"),
    [
        ({"aggregation": "sum"}, {"digits": 20}, "not at all: only what is divided has significant digits"),
        ({"aggregation": "avg"}, {"digits": 20}, "to 20 significant digits, half to even (R16)"),
        ({"aggregation": "p95-interpolated"}, {"digits": 20}, "to 20 significant digits, half to even (R16)"),
        ({"aggregation": "sum", "resultScale": 2}, {"scale": 0}, "to 0 digits behind the point, half to even (R16)"),
        ({"aggregation": "sum", "resultScale": -2}, {}, "to a multiple of 100, half to even (R16)"),
        ({"aggregation": "count-of-sum", "innerWindow": "day"}, {}, "not at all: it is a whole number"),
        (
            {"aggregation": "max-of-avg", "innerWindow": "day"},
            {"digits": 20},
            "each inner value to 18 digits behind the point, half to even; the result is not rounded: only what is "
            "divided has significant digits",
        ),
        (
            {"aggregation": "max-of-avg", "innerWindow": "day", "resultScale": 2},
            {},
            "each inner value to 18 digits behind the point, half to even; then the result to 2 digits behind the "
            "point, half to even (R16)",
        ),
    ],
)
def test_how_a_result_is_rounded(measurement: dict[str, Any], options: dict[str, Any], expected: str) -> None:
    """Significant digits are for what is divided; a scale of the call is for all."""
    assert expected == paragraph(explain(measuring(**measurement), **WINDOW, **options), "rounded")


_TEXTS = {"sourceProperty": "q", "unit": "GiB", "aggregation": "unique-count"}
_SPAN = {"sourceProperty": "q", "unit": "GiB", "span": {"end": "to"}}


@pytest.mark.parametrize("measurement", [{"sourceProperty": "q", "unit": "GiB"}, _TEXTS, _SPAN])
@pytest.mark.parametrize("is_json", [True, False])
def test_the_reasons_are_those_of_the_script(measurement: dict[str, Any], is_json: bool) -> None:
    """A reason is on the page if the stages for this input and this config have it, and only then."""
    config, events = {"measurements": [measurement]}, [EVENT] if is_json else None
    found = set(reasons_of(explain(config, events)))
    script = compile_sql(config, events)
    before = {name for name in REASONS if f"'{name}'" in script}
    assert before <= found
    of_json = {"json-invalid", "property-repeated", "number-inexact"}
    assert (of_json if is_json else set()) == of_json & found
    of_quantities = {"quantity-syntax", "quantity-too-large", "quantity-too-fine"}
    assert (set() if measurement is _TEXTS else of_quantities) == of_quantities & found
    of_spans = {"span-missing", "span-invalid"}
    assert (of_spans if measurement is _SPAN else set()) == of_spans & found
    assert found == before | {"source-missing"} | of_quantities & found | of_spans & found


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("config", "events", "reason"),
    [
        (measuring(), [{**EVENT, "id": None}], "id-missing"),
        (measuring(), [{**EVENT, "properties": "none"}], "properties-invalid"),
        (measuring(), [{**EVENT, "properties": {}}], "source-missing"),
        (measuring(precision=3, scale=1), [{**EVENT, "properties": {"q": "1.25"}}], "quantity-too-fine"),
    ],
)
def test_a_reason_that_a_run_finds_is_on_the_page(config: dict[str, Any], events: list[Any], reason: str) -> None:
    """Why an event is rejected was announced."""
    with aggregate(events, config, aggregation="sum", **WINDOW) as result:
        assert [reason] == result.rejects["reason"].to_pylist()
    assert reason in reasons_of(explain(config, events))


LETTERS = st.text(
    st.one_of(st.sampled_from('ab ()[]{}"\\\n\t,;.:\u6f22\uff08'), st.characters(codec="utf-8")), min_size=1
)
TEXTS = st.one_of(LETTERS, st.builds(lambda text, count: text * count, LETTERS, st.integers(1, 120)))
NUMBERS = st.builds(lambda digits, count: digits * count, st.sampled_from(["1", "90", "007"]), st.integers(1, 200))
TESTS = st.one_of(
    st.builds(
        lambda name, text: {"property": name, "equals": text, "notIn": [text, "x"], "matches": "x"}, TEXTS, TEXTS
    ),
    st.builds(lambda name, number: {"property": name, "gte": number, "lt": number}, TEXTS, NUMBERS),
)


def nested(test: Any, keys: list[str]) -> Any:
    """A filter inside others."""
    for key in keys:
        test = {"not": test} if key == "not" else {key: [test, {"property": "b", "exists": True}]}
    return test


def texts_in(given: Any) -> set[str]:
    """The names, texts and numbers of filters."""
    if isinstance(given, dict | list):
        return set().union(*map(texts_in, given.values() if isinstance(given, dict) else given))
    return {given} if isinstance(given, str) else set()


FILTERS = st.builds(nested, TESTS, st.lists(st.sampled_from(["and", "or", "not"]), max_size=25))


@pytest.mark.slow
@examples(20)
@given(st.lists(TEXTS, min_size=9, max_size=9), st.lists(FILTERS, min_size=3, max_size=3), NUMBERS)
def test_no_line_is_long(texts: list[str], filters: list[Any], number: str) -> None:
    """Property: no line of the page has more than 80 columns, and all texts stand on it whole, whatever the config."""
    a, b, c, d, e, f, g, h, unit = (text + str(n) for n, text in enumerate(texts))
    factors = {"multiply": f"{'0' * len(number)}1.5", "divide": f"3.{'0' * len(number)}"}
    times = {"span": {"start": c, "end": d}, "proration": "by-time", "timesDuration": "days"}
    zeros = "0" * min(len(number), 200)
    two = {"aggregation": "max-of-avg", "innerWindow": f"PT{zeros}90M"}
    lasting = {"span": {"duration": e, "unit": "hours", "eventTime": "end"}}
    found = [
        {"sourceProperty": [a, b], "unit": unit, "filter": filters[0], "aggregation": "sum", **times, **factors},
        {"sourceProperty": a, "unit": f"{unit} 2", "filter": filters[1], **two, **lasting},
        {"sourceProperty": a, "unit": f"{unit} 3", "filter": filters[2], "aggregation": "sum-of-max"},
    ]
    found[2]["innerDimension"] = f
    config = {"entries": [{"type": g, "workspaceID": h, "measurements": found}]}
    options = {"group_by": [h, f], "workspace": [h, a], "event_type": [g], "subject": b, "map_universe": {a: b}}
    every = f"P{zeros}1D"
    script = compile_sql(config, explain=True, stage="judged", every=every, assume_timezone="UTC", **options, **WINDOW)
    page = script.partition("\n\n")[0]
    assert [] == [line for line in page.split("\n") if not line.startswith("--") or columns_of(line) > 80]
    read = texts_of(re.sub(r"^-- ?", "", page, flags=re.MULTILINE)) | set(re.findall(r"[\w.-]*\w", page, re.ASCII))
    assert set() == {*texts_in(filters), a, b, c, d, e, f, g, h, unit, every, *factors.values()} - read


@pytest.mark.parametrize("depth", [1, 4, 20])
def test_brackets_break_no_line(depth: int) -> None:
    """Where many brackets stand around a long name, they stand on lines of their own."""
    chosen = {"and": [{"property": "p" * 61, "equals": "y" * 60}, {"property": "b", "gte": "1" * 200}]}
    for _ in range(depth):
        chosen = {"and": [chosen, {"property": "q", "exists": True}]}
    page = explain(measuring(filter=chosen))
    assert max(map(len, page.splitlines())) <= WIDTH
    assert "(" * depth in page
    assert {"p" * 61, "y" * 60, "1" * 200} <= texts_of(page)


def test_two_long_names_stay_two() -> None:
    """Names that are the same for longer than a line are told apart wherever they stand, as texts are."""
    first, second = "p" * 85 + "_in", "p" * 85 + "_out"
    tests = [{"property": name, "equals": "1"} for name in (first, second)]
    measured = {"filter": {"and": tests}, "sourceProperty": [first, second], "span": {"start": first, "end": second}}
    page = explain(measuring(unit=f"{first} {second}", **measured))
    for label in ("measurements[0]", "quantity", "span", "filter"):
        block = page[page.index(label) :]
        assert {first, second} <= texts_of(block[: block.index("\n  ", 300)])


def test_a_unit_of_two_lines() -> None:
    """A unit that has two lines stands on one, apart from a unit of the same words on one line."""
    assert '\nmeasurements[0]: "q", in "two\\nlines"\n' in explain(measuring(unit="two\nlines"))


def test_texts_and_names_stand_on_the_page_as_they_are() -> None:
    """Every blank of a text is there; what cannot be seen is escaped; names that could be read as more are quoted."""
    blanks = "one" + " " * 60 + "two and three"
    filters = [{"property": "p", "equals": blanks}, {"property": 'is "x" and tier', "equals": "a\u2028\u202eb"}]
    page = explain(measuring(filter={"and": filters}, sourceProperty='n, in "y"', unit="z"))
    assert f'"{blanks}"' in re.sub(r'"\s+"', "", page)
    assert '"is \\"x\\" and tier" is "a\\u2028\\u202eb"' in page
    assert 'measurements[0]: "n, in \\"y\\"", in "z"' in page


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["plain", "two words"], []),
        ([r"^\d+$"], [r"a text in quotes stands as in JSON, where \\ is one backslash"]),
        (["a" * 61], ["quotes with nothing between them hold the pieces of one text"]),
        ([" ", " "], []),
    ],
)
def test_what_the_quotes_mean(texts: list[str], expected: list[str]) -> None:
    """Where a text is escaped, or stands in pieces, the page says so."""
    page = explain(measuring(filter={"property": "p", "in": texts}))
    assert expected == ([paragraph(page, "Quotes")] if "\nQuotes" in page else [])


def test_a_name_is_quoted() -> None:
    """A name never reads as a word of the sentence that it stands in."""
    chosen = {"property": "or", "equals": "is"}
    page = explain(
        measuring(aggregation="max-of-max", sourceProperty="to", innerDimension="record", filter=chosen), **WINDOW
    )

    assert 'measurements[0]: "to", in' in page
    assert 'where "or" is "is"' in page
    assert 'one value for each "record"' in page


def test_a_split_quantity_is_said_to_add_up() -> None:
    """The parts of a prorated sum are settled by their remainders, whatever its rounding is (R26)."""
    split = measuring(
        aggregation="sum", span={"start": "from", "end": "to"}, proration="by-time", resultScale=2, rounding="ceiling"
    )

    assert "the largest remainders get one more of, so that they add up" in paragraph(
        explain(split, **WINDOW), "rounded"
    )


def test_a_denied_comparison_of_a_field_is_said_to_need_a_number() -> None:
    """A comparison with a number does not hold of another text, of a field as of a property."""
    denied = explain(measuring(filter={"not": {"field": "subject", "gt": 3}}))

    assert "a comparison with a number only holds of a number" in " ".join(denied.split())
    assert "that is not there" not in " ".join(denied.split())


def test_pieces_of_a_name_are_not_names_that_are_added() -> None:
    """Two properties are joined by a +; the pieces of one long name are not."""
    first, second = "a " + "a" * 58, "c d"
    assert explain(measuring(sourceProperty=[first, second])) != explain(measuring(sourceProperty=first + second))


# --- where the page stands -------------------------------------------------------------------------------------------


def test_the_page_stands_above_the_script_in_comments() -> None:
    """compile --explain prints the page and the stages, and the whole of it still is SQL."""
    config = measuring(aggregation="sum")
    plain, explained = (compile_sql(config, **WINDOW, clock="2024-06-01", explain=e) for e in (False, True))
    assert explained.endswith(plain)
    assert all(line.startswith("--") for line in explained.removesuffix(plain).splitlines() if line)
    assert len(duckdb.extract_statements(plain)) == len(duckdb.extract_statements(explained))


def test_the_command_explains(tmp_path: Path) -> None:
    """`compile --explain` on the command line."""
    config = tmp_path / "config.json"
    config.write_text('{"measurements": [{"sourceProperty": "q", "unit": "GiB"}]}', encoding="utf-8")
    run = CliRunner().invoke(cli, ["compile", "--config", str(config), "--explain", "--stage", "matched"])
    assert run.exit_code == 0
    assert run.output.startswith("-- What is measured, in plain words\n")
    assert "AS entry\nFROM accepted\n" in run.output


def test_a_config_that_is_none_has_no_page() -> None:
    """A fault of the config is found as everywhere."""
    with pytest.raises(ConfigError, match="unit"):
        explain({"measurements": [{"sourceProperty": "q"}]})
