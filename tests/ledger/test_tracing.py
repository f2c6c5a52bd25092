"""Traces: the rows that are shown come to the reading, for every row of the table of aggregations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from metering_duck.contract.definitions import COUNTERS, DEFINITIONS, GAUGES, Definition
from metering_duck.ledger.ledger import Ledger
from tests.ledger_worlds import CLOCK, day, event, write

# A row that CONTRIBUTING adds as an example: its value is made of three states.
RANGE = Definition(
    "range",
    "counter",
    "the largest record less the smallest",
    "CASE WHEN {count} > 0 THEN TRY({greatest} - {least}) END",
    refusal="of extremes that a reading does not keep",
)
NAMES = tuple(dict.fromkeys((*COUNTERS, *GAUGES, RANGE.name)))
SENT = ("2.5", "-7", "40.125", "3")
# What the rows of a trace add up to, where that is another number than the reading: the sum that an average divides.
SUMS = {"avg": "38.625"}
# The aggregations whose rows no one value tells: texts are told apart, and levels are weighed.
WITHOUT_TOTAL = {name for name in DEFINITIONS if {"texts", "level_time"} & set(DEFINITIONS[name].keeps)}


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ledger, dict[str, dict[str, Any]]]]:
    """A ledger of one month under every aggregation of the table and `range`, and its readings by aggregation."""
    folder = tmp_path_factory.mktemp("traced")
    write(folder, "a", [event(n, day(3 * n), "seat", seats=sent) for n, sent in enumerate(SENT)])
    measurements = [{"sourceProperty": "seats", "unit": name, "aggregation": name} for name in NAMES]
    ledger = Ledger.init(folder / "ledger.duckdb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DEFINITIONS, RANGE.name, RANGE)
        ledger.backfill(
            folder / "a.parquet",
            {"measurements": measurements},
            clock=CLOCK,
            start="2024-01-01",
            end="2024-02-01",
            every="month",
        )
        with ledger.export("readings") as rows:
            readings = {row["aggregation"]: row for row in rows.to_dicts()}
        yield ledger, readings


@pytest.mark.slow
@pytest.mark.sampled(8)
@pytest.mark.parametrize("name", NAMES)
def test_the_rows_of_every_aggregation_add_up(traced: tuple[Ledger, dict[str, dict[str, Any]]], name: str) -> None:
    """A trace shows every record, and its total is the reading, also where a value is made of several states."""
    ledger, readings = traced
    found = ledger.trace(readings[name]["id"])
    with found.events as events:
        # Of texts that are told apart, each counts as one.
        shown = [row["value"] or row["quantity"] for row in events.to_dicts()]
    totals = found.totals
    expected = None if name in WITHOUT_TOTAL else SUMS.get(name, totals["reading"])

    assert list(SENT) == shown
    assert (True, totals["reading"]) == (totals["adds_up"], totals["metered_again"])
    assert expected == totals.get("sum", totals.get("total"))


def test_a_value_of_several_states_is_computed_from_them(traced: tuple[Ledger, dict[str, dict[str, Any]]]) -> None:
    """The range of -7 to 40.125 is 47.125."""
    ledger, readings = traced
    found = ledger.trace(readings[RANGE.name]["id"])
    found.events.close()

    assert ("47.125", "47.125") == (str(found.totals["reading"]), found.totals["total"])
