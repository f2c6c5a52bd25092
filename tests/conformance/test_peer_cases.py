"""The cases of shared/peer_cases, restated from other metering systems' tests, through metering_duck.aggregate."""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
from plain_rules import half_even, microseconds, moment_us
from shared_folder import need

import metering_duck

Case = dict[str, Any]
CASES: list[Case] = json.loads(need("peer_cases/cases.json").read_text(encoding="utf-8"))
BY_ID = {case["id"]: case for case in CASES}
AVERAGE = "time-weighted-avg"

# Extensions that this version can already do, each by the words it has for them.
DONE = {
    "am-01-high-watermark",
    "anchor-04-semiannual-from-31st",
    "anchor-06-at-boundary",
    "lago-max-04-groups",
    "lago-store-02-count",
    "lago-store-06-sum-by-region",
    "lago-store-07-sum-by-region-country",
    "om-17-asof-lte",
    "om-29-dedupe-thousand",
    "om-30-invalid-values",
    "polar-01-count",
    "ts-05-uneven-integral",
    "ts-10-negative-integral",
    "ts-20-interp-day2-integral",
}
WAITING = {
    "no such aggregation (avg, unique-count, one aggregation over another)": [
        "fx-03-max-per-group-summed",
        "om-06-unique-count",
        "om-08-empty-avg",
        "polar-02-avg-days",
        "polar-02-avg-total",
        "polar-05-count-of-subject-max",
    ],
    "no filters of several conditions": [
        "lago-store-11-filters-count",
        "lago-store-11-filters-max",
        "lago-store-12-filters-sum-by-country",
    ],
    "no other policy for conflicts than the first wins (R8)": ["lago-dedup-04-dedup-before-filter-new-value"],
    "no zero row for what has no record (R12)": ["om-08-empty-count"],
    "no restatement: what came after a cut-off alone (R25)": ["om-19-late-only"],
    "no rounding of readings up or down": [
        "lago-round-ceil--2",
        "lago-round-ceil-0",
        "lago-round-ceil-2",
        "lago-round-floor-0",
        "lago-round-floor-2",
        "lago-round-round-0",
    ],
    "no conversion of units": [
        "om-unit-01",
        "om-unit-03",
        "om-unit-04",
        "om-unit-05",
        "om-unit-06",
        "om-unit-12",
        "om-unit-13",
    ],
    "no calendar of another time zone": [
        "anchor-09-year-end-berlin",
        "anchor-09-year-end-la",
        "orb-01-timezone-month-utc",
    ],
}
PLAIN = [case for case in CASES if case["relation"] != "extension"]
EXTENDED = [case for case in CASES if case["id"] in DONE and not case["id"].startswith("anchor")]


def test_every_case_is_run_or_waits() -> None:
    """Of the 102 cases 51 agree, 9 contrast, 14 extensions are run, and 28 wait for what stands beside them."""
    waiting = sorted(name for names in WAITING.values() for name in names)
    extensions = {case["id"] for case in CASES if case["relation"] == "extension"}
    assert sorted(extensions - DONE) == waiting
    assert {"agree": 51, "contrast": 9, "extension": 42} == Counter(case["relation"] for case in CASES)
    assert (102, 14, 28) == (len(BY_ID), len(DONE), len(waiting))


def given_events(case: Case) -> list[dict[str, Any]]:
    """A case's events as ours; its carry-in is an event like any other, if it is not among them already."""
    events = []
    for event in case["events"]:
        properties = {**event.get("props", {}), **({"value": event["value"]} if "value" in event else {})}
        ours = {
            "id": event["id"],
            "time": event["time"],
            "subject": event.get("subject", "customer:1"),
            "properties": properties,
        }
        if "stored_at" in event:
            ours["meteredAt"] = event["stored_at"]
        events += [ours] * event.get("repeat", 1)
    before = case.get("carry_in")
    if before and before["time"] not in [event["time"] for event in events]:
        events.append(
            {
                "id": "carry-in",
                "time": before["time"],
                "subject": "customer:1",
                "properties": {"value": before["value"]},
            }
        )
    return [{**event, "workspaceID": "w", "universeID": "u", "type": "t"} for event in events]


def run(case: Case) -> metering_duck.Result:
    """The case as one call."""
    measurement = {
        "sourceProperty": "value",
        "unit": "units",
        **({"filter": case["filter"]} if "filter" in case else {}),
    }
    window = case["window"]
    every = window.get("size") or window.get("every", "").partition(" from ")[0] or None
    group_by = [name for name in case.get("group_by", []) if name != "subject"]
    aggregation = {"integral": AVERAGE}.get(case["aggregation"], case["aggregation"])
    events = given_events(case) or [{**_bystander(window["start"]), "universeID": "another"}]
    return metering_duck.aggregate(
        events,
        {"measurements": [measurement]},
        aggregation=aggregation,
        start=window["start"],
        end=window["end"],
        every=every,
        group_by=group_by,
        as_of=case.get("as_of", {}).get("stored_at_lte"),
        universe="u",
        threads=1,
    )


def _bystander(time: str) -> dict[str, Any]:
    """An event of another universe, where a case has none at all: an empty list has no names of fields."""
    return {
        "id": "b",
        "time": time,
        "subject": "customer:1",
        "workspaceID": "w",
        "type": "t",
        "properties": {"value": "1"},
    }


def value_of(case: Case, row: dict[str, Any]) -> Fraction:
    """A reading's exact value; an integral is the average's numerator in unit-seconds (R15)."""
    if case["aggregation"] == "integral":
        return Fraction(row["numerator"]) / 1_000_000
    return Fraction(row["numerator"]) / row["divisor_us"] if row["divisor_us"] else Fraction(row["quantity"])


def label_of(case: Case, row: dict[str, Any]) -> tuple[Any, ...]:
    """What tells a case's readings apart: the window's bounds, the group, the subject."""
    window = (moment_us(row["window_start"]), moment_us(row["window_end"]))
    names = case.get("group_by", [])
    group = tuple(row["subject"] if name == "subject" else row["dimensions"].get(name) for name in names)
    return (window, group)


def expected_values(case: Case) -> dict[tuple[Any, ...], Fraction]:
    """The case's expected values by the same label; a null is no reading."""
    expected, names = case["expected"], case.get("group_by", [])
    window = (microseconds(case["window"]["start"]), microseconds(case["window"]["end"]))
    if isinstance(expected, dict):
        expected = expected["dedup-on-id"]  # R8: the id alone is the key.
    if not isinstance(expected, list):
        value = case.get("expected_fraction", expected)
        return {} if value is None else {(window, ()): Fraction(value)}
    found = {}
    for item in expected:
        bounds = (microseconds(item["start"]), microseconds(item["end"])) if "start" in item else window
        group = tuple(item["subject"] if name == "subject" else item["group"][name] for name in names)
        if item["value"] is not None:
            found[bounds, group] = Fraction(item["value"])
    return found


@pytest.mark.parametrize("case", [*PLAIN, *EXTENDED], ids=lambda case: case["id"])
def test_gives_the_expected_value(case: Case) -> None:
    """A case gives the value that our rules give, exactly, and as quantity rounded once, half to even, to 18 digits."""
    exactly: dict[tuple[Any, ...], Fraction] = {}
    quantities: dict[tuple[Any, ...], Fraction] = {}
    with run(case) as result:
        for row in result.to_dicts():
            label = label_of(case, row)
            # Only sums are asked for across subjects, and a sum of sums is the sum.
            exactly[label] = exactly.get(label, Fraction(0)) + value_of(case, row)
            quantities[label] = quantities.get(label, Fraction(0)) + Fraction(row["quantity"])
        accounting, rejects = result.accounting, result.rejects.to_pylist()
    expected = expected_values(case)
    assert expected == exactly
    if case["aggregation"] != "integral":
        assert {label: half_even(value, 18) for label, value in expected.items()} == quantities
    assert case.get("rejected", []) == sorted(row["id"] for row in rejects)
    assert accounting.balances


def test_only_sums_are_asked_for_across_subjects() -> None:
    """The cases across subjects are sums, which may be added up from the subjects' readings."""
    assert {"sum"} == {case["aggregation"] for case in CASES if case.get("across_subjects")}


def test_same_id_at_another_time_is_a_conflict() -> None:
    """Lago's second event of the id t1 is not another event to us: the first counts and the loser is reported (R8)."""
    with run(BY_ID["lago-dedup-02-same-id-other-time"]) as result:
        assert (6, 5, 1) == tuple(result.accounting[name] for name in ("read", "metered", "conflicts"))
        assert ["t1"] == result.conflicts.column("id").to_pylist()


def test_thousand_sends_are_one_event() -> None:
    """A thousand sends of one event are one record and 999 duplicates (R8)."""
    with run(BY_ID["om-29-dedupe-thousand"]) as result:
        assert (1000, 1, 999) == tuple(result.accounting[name] for name in ("read", "metered", "duplicates"))


def test_invalid_values_are_rejected_with_reasons() -> None:
    """NaN and infinity are no quantities, and an event without its value has none (R3, R4)."""
    with run(BY_ID["om-30-invalid-values"]) as result:
        reasons = {row["id"]: row["reason"] for row in result.rejects.to_pylist()}
    assert {"a": "quantity-syntax", "b": "quantity-syntax", "c": "source-missing"} == reasons


@pytest.mark.parametrize("name", sorted(name for name in DONE if name.startswith("anchor")))
def test_periods_step_from_their_anchor(name: str) -> None:
    """The window that holds a moment, among those that step by months from an anchor on the 31st."""
    case = BY_ID[name]
    event = {**_bystander(case["at"]), "universeID": "u"}
    config = {"measurements": [{"sourceProperty": "value", "unit": "units"}]}
    with metering_duck.aggregate(
        [event],
        config,
        aggregation="sum",
        start=case["anchor"],
        end="2027-01-01T00:00:00Z",
        every=case["every"],
        threads=1,
    ) as result:
        (row,) = result.to_dicts()
    expected = (microseconds(case["expected"]["start"]), microseconds(case["expected"]["end"]))
    assert expected == (moment_us(row["window_start"]), moment_us(row["window_end"]))
