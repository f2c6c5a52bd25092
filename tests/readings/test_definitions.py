"""The table of aggregations: every row of it is what the oracle says, combines or says why not, and is read as data."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import metering_duck
from metering_duck import ConfigError
from metering_duck.contract.definitions import ALL, COUNTERS, DEFINITIONS, GAUGES, NAMES, Definition
from metering_duck.readings.counters import COLUMNS, STATES, State
from metering_duck.rollups.rules import COMBINES
from tests.comparing import expect_readings, readings_of, worlds_strategy
from tests.selection import examples
from tests.worlds import CLOCK, Event, event, measuring

PACKAGE = Path(metering_duck.__file__).parent
START, MIDDLE, END = "2024-01-31T00:00:00Z", "2024-02-01T00:00:00Z", "2024-02-03T00:00:00Z"
WINDOW = {"start": START, "end": END}
TIMES = ("2024-01-30T23:00:00Z", START, "2024-01-31T12:00:00.000001Z", MIDDLE, "2024-02-02T23:59:59.999999Z", END)


@pytest.mark.sampled(8)
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


@pytest.mark.slow
@pytest.mark.sampled(8)
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
    """A reading keeps one state: a row of more without a refusal is refused when it is made, in a sentence."""
    with pytest.raises(ValueError, match=r"range: found the states greatest, least; expected one.* hint: a refusal"):
        Definition("range", "counter", "the largest record less the smallest", "{greatest} - {least}")


def test_every_state_that_combines_has_a_rule() -> None:
    """Roll-ups know how the state of each aggregation that they combine comes together."""
    assert set() == {state for definition in ALL if not definition.refusal for state in definition.keeps} - set(
        COMBINES
    )


def test_every_state_of_a_counter_has_a_column() -> None:
    """A counter may keep every state that there is: each has a letter of its own in the scan."""
    assert len(STATES) <= len(set(COLUMNS))


@pytest.mark.parametrize("measurements", [1, 2])
def test_a_new_state_is_a_row(measurements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of states and a row of aggregations are read, also by a unit of two measurements and with four states."""
    largest = State("quantity", "max(abs({quantity}))", "max", STATES["greatest"].together)
    value = "greatest({farthest}, {sum}, {greatest}, {least})"
    row = Definition("farthest", "counter", "the largest record whatever its sign", value, refusal="of signs")
    monkeypatch.setitem(STATES, "farthest", largest)
    monkeypatch.setitem(DEFINITIONS, row.name, row)
    config = measuring(row.name)
    other = config["measurements"][0] | {"sourceProperty": "r"}
    config["measurements"] = [*config["measurements"], other][:measurements]
    events = [event("a", START, {"q": "-7", "r": "-9"}), event("b", MIDDLE, {"q": "3"})]

    with metering_duck.aggregate(events, config, clock=CLOCK, **WINDOW) as result:
        quantities = [reading["quantity"] for reading in result.to_dicts()]
    assert [{1: 7, 2: 9}[measurements]] == quantities


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
