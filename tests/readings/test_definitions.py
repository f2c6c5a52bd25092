"""The table of aggregations: every row of it is what the oracle says, combines or says why not, and is read as data."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import metering_duck
from metering_duck import ConfigError
from metering_duck.contract.definitions import ALL, COUNTERS, DEFINITIONS, GAUGES, NAMES
from tests.comparing import expect_readings, readings_of, worlds_strategy
from tests.selection import examples
from tests.worlds import CLOCK, Event, measuring

PACKAGE = Path(metering_duck.__file__).parent
START, MIDDLE, END = "2024-01-31T00:00:00Z", "2024-02-01T00:00:00Z", "2024-02-03T00:00:00Z"
WINDOW = {"start": START, "end": END}
TIMES = ("2024-01-30T23:00:00Z", START, "2024-01-31T12:00:00.000001Z", MIDDLE, "2024-02-02T23:59:59.999999Z", END)


@pytest.mark.parametrize("name", [*COUNTERS, *GAUGES])
@examples(2)
@given(events=worlds_strategy(TIMES), every=st.sampled_from((None, "day")))
def test_every_row_is_what_the_oracle_says(name: str, events: list[Event], every: str | None) -> None:
    """Every aggregation of the table, alone and under one unit with another slot, equals the oracle's, day by day."""
    config = measuring(name)
    more = {
        "sourceProperty": "q",
        "unit": "seats",
        "aggregation": name,
        "filter": {"property": "region", "equals": "eu"},
    }
    config["measurements"].append(more)

    expect_readings(events, config, every=every, **WINDOW)


@pytest.mark.parametrize("name", [*COUNTERS, *GAUGES])
@examples(2)
@given(events=worlds_strategy(TIMES))
def test_every_row_combines_or_says_why_not(name: str, events: list[Event]) -> None:
    """Days roll up to what the events give directly, or are refused in the words of the table (R20)."""
    config, refusal = measuring(name), DEFINITIONS[name].refusal
    with metering_duck.aggregate(events, config, every="day", clock=CLOCK, **WINDOW) as days:
        table = days.to_arrow()
    if not refusal:
        with metering_duck.rollup(table, clock=CLOCK, **WINDOW) as rolled:
            assert readings_of(events, config, **WINDOW) == rolled.to_dicts()
    elif table.num_rows:
        with pytest.raises(ConfigError, match=refusal):
            metering_duck.rollup(table, clock=CLOCK, **WINDOW)


def test_what_is_made_of_several_states_says_why_it_does_not_combine() -> None:
    """A reading keeps one state: an aggregation of more has a refusal."""
    assert [] == [definition.name for definition in ALL if len(definition.keeps) > 1 and not definition.refusal]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_tells_aggregations_apart_by_name(path: Path) -> None:
    """Only rows are asked: no aggregation's name is compared with, or matched."""
    compared = [
        node.value
        for comparison in ast.walk(ast.parse(path.read_text()))
        if isinstance(comparison, ast.Compare)
        and any(isinstance(part, ast.Attribute) and part.attr == "function" for part in ast.walk(comparison))
        for node in ast.walk(comparison)
        if isinstance(node, ast.Constant)
    ]

    assert [] == [name for name in compared if name in NAMES]
