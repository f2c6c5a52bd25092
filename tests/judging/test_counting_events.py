"""A count without a source property: every event that the measurement applies to is a quantity of 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from metering_duck import ConfigError, Ledger, aggregate, compile_sql, json_schema, load_config, meter
from tests.ledger_worlds import problems, statuses
from tests.worlds import CLOCK, event

WINDOW = {"start": "2024-01-01", "end": "2024-02-01", "clock": CLOCK}
CALLS = {"unit": "calls", "aggregation": "count"}
BUSIEST = {"unit": "busiest", "aggregation": "max-of-count", "innerWindow": "day"}
GOLD = {**CALLS, "unit": "gold", "filter": {"property": "tier", "equals": "gold"}}
MEASURED = {"sourceProperty": "q", "unit": "tokens", "aggregation": "sum"}
EVENTS = [
    event("a", "2024-01-01T00:00:00Z", {}),
    event("b", "2024-01-01T01:00:00Z", {"tier": "gold", "q": "5"}),
    event("c", "2024-01-02T00:00:00Z", {"tier": "gold", "q": "no number"}),
]


def quantities(measurements: list[dict[str, Any]], events: Any = EVENTS, **options: Any) -> dict[str, int]:
    """Unit → quantity of January."""
    with aggregate(events, {"measurements": measurements}, **WINDOW, **options) as result:
        return {row["unit"]: int(row["quantity"]) for row in result.to_dicts()}


def test_every_event_that_applies_counts_one() -> None:
    """Whatever it holds, where its filter matches; of two levels, in each inner window."""
    assert {"calls": 3, "busiest": 2, "gold": 2} == quantities([CALLS, BUSIEST, GOLD])


def test_an_event_that_is_at_fault_elsewhere_counts_nowhere() -> None:
    """A quantity beside the count that cannot be read rejects the event as a whole (R3)."""
    assert {"gold": 1, "tokens": 5} == quantities([GOLD, {**MEASURED, "filter": GOLD["filter"]}])


def test_records_are_one_each_and_keep_every_property() -> None:
    """Nothing is measured, so that every property is a dimension; the records make the same readings."""
    with meter(EVENTS, {"measurements": [CALLS]}, clock=CLOCK) as result:
        records = result.to_arrow()

    assert [1, 1, 1] == [int(quantity) for quantity in records["quantity"].to_pylist()]
    assert [{}, {"q": "5", "tier": "gold"}, {"q": "no number", "tier": "gold"}] == [
        dict(found) for found in records["dimensions"].to_pylist()
    ]
    with aggregate(records=records, **WINDOW) as result:
        assert [("calls", 3)] == [(row["unit"], int(row["quantity"])) for row in result.to_dicts()]


def test_measurements_that_could_be_taken_for_each_other_have_records_apart() -> None:
    """No property and a unit is not a property of that name (R7)."""
    filtered = {"unit": "x", "aggregation": "count", "filter": {"property": "tier", "equals": "gold"}}
    named = {"sourceProperty": "x", "unit": "tier", "aggregation": "count", "filter": {"property": "x", "exists": True}}
    with meter(
        [event("b", "2024-01-01T01:00:00Z", {"tier": "gold", "x": "5"})], {"measurements": [filtered, named]}
    ) as r:
        assert 2 == len(set(r.to_arrow()["id"].to_pylist()))


@pytest.mark.slow
def test_a_ledger_keeps_a_count_without_a_property(tmp_path: Path) -> None:
    """Its stored config is read back, and the period is restated as ever."""
    events = tmp_path / "events"
    events.mkdir()
    (events / "1.ndjson").write_text("".join(json.dumps(each) + "\n" for each in EVENTS))
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    period = {"start": "2024-01-01", "end": "2024-02-01", "every": "month"}
    config = {"measurements": [CALLS]}

    assert ["done"] == statuses(ledger.backfill(events, config, **period, clock=CLOCK))
    assert ["unchanged"] == statuses(ledger.backfill(events, config, **period, clock=CLOCK))
    assert [3] == [int(row["quantity"]) for row in ledger.export("readings").to_arrow().to_pylist()]
    assert [] == problems(ledger, files=True)


def test_what_converts_nothing_and_what_needs_a_text_is_refused() -> None:
    """There is no quantity to convert, and no text to tell apart."""
    for key, value in (("multiply", 2), ("divide", "3")):
        with pytest.raises(ConfigError, match=f"found {key} without a sourceProperty"):
            load_config({"measurements": [{**CALLS, key: value}]})
    with pytest.raises(ConfigError, match="sourceProperty: found none with unique-count; expected one"):
        quantities([CALLS], aggregation="unique-count")
    with pytest.raises(ConfigError, match="is missing; it is required, unless the aggregation is count"):
        load_config({"measurements": [{"unit": "x", "aggregation": "sum"}]})


def test_another_aggregation_of_each_event_is_of_ones() -> None:
    """A call may ask for the sum: it is the number of events."""
    assert {"calls": 3} == quantities([CALLS], aggregation="sum")


def test_the_schema_lets_a_count_be_without_a_property() -> None:
    """An editor asks for sourceProperty beside a sum, and not beside a count."""
    schema = jsonschema.Draft202012Validator(json_schema("MeteringConfig"))

    assert schema.is_valid({"measurements": [CALLS]})
    assert schema.is_valid({"measurements": [BUSIEST]})
    assert not schema.is_valid({"measurements": [{"unit": "x", "aggregation": "sum"}]})
    assert not schema.is_valid({"measurements": [{"unit": "x", "aggregation": "sum-of-max"}]})
    assert not schema.is_valid({"measurements": [{"unit": "x", "aggregation": "unique-count"}]})


def test_the_page_in_plain_words_says_each_event() -> None:
    """What is counted is no property, and the quantity is 1."""
    text = compile_sql({"measurements": [CALLS]}, explain=True)

    assert 'measurements[0]: each event, in "calls"' in text
    assert "quantity   1 for each event" in text
