"""The cases of shared/peer_cases, restated from other metering systems' tests, through metering_duck.aggregate."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from plain_rules import half_even, microseconds, moment_us
from shared_folder import need

import metering_duck

Case = dict[str, Any]
CASES: list[Case] = json.loads(need("peer_cases/cases.json").read_text(encoding="utf-8"))
BY_ID = {case["id"]: case for case in CASES}

# Cases whose number differs from ours by a rule, with that rule and what we give instead.
DIFFERS = {
    "lago-dedup-04-dedup-before-filter-new-value": "R8: of one key the event that entered first counts, not the last",
}
ROUNDINGS = {"round": "half-even", "none": "half-even", "half_up": "half-up", "ceil": "ceiling"}
KINDS = {
    "period-at": ("anchor-04-semiannual-from-31st", "anchor-06-at-boundary"),
    "period-end": ("anchor-09-year-end-berlin", "anchor-09-year-end-la"),
    "month-of": ("orb-01-timezone-month-utc",),
}
WITHOUT_WINDOW = [case for case in CASES if case["window"] is None]
RUN = [case for case in CASES if case["window"] is not None and case["id"] not in DIFFERS]


def test_every_case_is_run() -> None:
    """Of the 102 cases 51 agree, 9 contrast and 42 are extensions; none is left out, and one differs by a rule."""
    assert {"agree": 51, "contrast": 9, "extension": 42} == Counter(case["relation"] for case in CASES)
    assert 102 == len(BY_ID) == len(WITHOUT_WINDOW) + len(RUN) + len(DIFFERS)
    kinds = Counter(case["aggregation"] for case in WITHOUT_WINDOW)
    assert len(WITHOUT_WINDOW) == sum(
        kinds[kind] for kind in ("period-at", "period-end", "month-of", "round", "convert")
    )


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
        if "ingested" in event:
            ours["meteredAt"] = moment_us_text(microseconds(event["time"]) + event["ingested"])
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


def filter_of(found: dict[str, Any]) -> dict[str, Any]:
    """A case's filter in our words: `all` is `and`."""
    if "all" in found:
        return {"and": [filter_of(inner) for inner in found["all"]]}
    return {"not": filter_of(found["not"])} if "not" in found else found


def run(case: Case) -> metering_duck.Result:
    """The case as one call."""
    inner = case["aggregation"].partition("-of-")[2]
    across = [name for name in case.get("group_by", []) if name != "subject"]
    by_subject = bool(inner) and "subject" in case["group_by"]
    measurement: dict[str, Any] = {
        "sourceProperty": case.get("property", "value"),
        "unit": "units",
        "aggregation": inner if by_subject else case["aggregation"],
        **({"filter": filter_of(case["filter"])} if "filter" in case else {}),
        **({"innerDimension": across[0]} if inner and across else {}),
    }
    window = case["window"]
    every = window.get("size") or window.get("every", "").partition(" from ")[0] or None
    events = given_events(case) or [{**_bystander(window["start"]), "universeID": "another"}]
    as_of = case.get("as_of", {})
    return metering_duck.aggregate(
        events,
        {"measurements": [measurement]},
        start=window["start"],
        end=window["end"],
        every=every,
        timezone=window.get("timezone"),
        group_by=[] if inner else across,
        as_of=as_of.get("stored_at_lte"),
        fill="zero" if case["aggregation"] == "count" and case["expected"] == "0" else "none",
        universe="u",
        threads=1,
    )


def _bystander(time: str) -> dict[str, Any]:
    """An event of another universe, where a case has none at all: an empty list has no names of fields."""
    return {
        "id": "b",
        "universeID": "u",
        "time": time,
        "subject": "customer:1",
        "workspaceID": "w",
        "type": "t",
        "properties": {"value": "1"},
    }


def value_of(case: Case, row: dict[str, Any]) -> Fraction:
    """A reading's exact value: its quantity, or what its numerator and its divisor say (R15)."""
    if row["divisor_us"]:
        return Fraction(row["numerator"]) / row["divisor_us"]
    if row["aggregation"] == "avg":
        return Fraction(row["numerator"]) / row["record_count"]
    return Fraction(row["quantity"])


def label_of(case: Case, row: dict[str, Any]) -> tuple[Any, ...]:
    """What tells a case's readings apart: the window's bounds, the group, the subject."""
    window = (moment_us(row["window_start"]), moment_us(row["window_end"]))
    names = _grouped(case)
    group = tuple(row["subject"] if name == "subject" else row["dimensions"].get(name) for name in names)
    return (window, group)


def _grouped(case: Case) -> list[str]:
    """The dimensions that tell readings apart; those of two levels do not."""
    return [] if "-of-" in case["aggregation"] else case.get("group_by", [])


def expected_values(case: Case) -> dict[tuple[Any, ...], Fraction]:
    """The case's expected values by the same label; a null is no reading."""
    expected, names = case["expected"], _grouped(case)
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


@pytest.mark.parametrize("case", RUN, ids=lambda case: case["id"])
def test_gives_the_expected_value(case: Case) -> None:
    """A case gives the value that our rules give, exactly, and as quantity rounded once, half to even, to 18 digits."""
    exactly: dict[tuple[Any, ...], Fraction] = {}
    quantities: dict[tuple[Any, ...], Fraction] = {}
    with run(case) as result:
        for row in result.to_dicts():
            label = label_of(case, row)
            # Sums are asked for across subjects, and a sum of sums is the sum; so is a count of subjects' maxima.
            counts = case["aggregation"] == "count-of-max"
            exactly[label] = exactly.get(label, Fraction(0)) + (1 if counts else value_of(case, row))
            quantities[label] = quantities.get(label, Fraction(0)) + (1 if counts else Fraction(row["quantity"]))
        accounting, rejects = result.accounting, result.rejects.to_pylist()
    expected = expected_values(case)
    if "stored_at_gte" in case.get("as_of", {}):
        exactly = quantities = added_since(case, exactly)
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


def added_since(case: Case, all_of_it: dict[tuple[Any, ...], Fraction]) -> dict[tuple[Any, ...], Fraction]:
    """What events that entered from a moment on add: all of it, less what had entered before (R25)."""
    before = moment_us_text(microseconds(case["as_of"]["stored_at_gte"]) - 1)
    with run({**case, "as_of": {"stored_at_lte": before}}) as result:
        known = {label_of(case, row): value_of(case, row) for row in result.to_dicts()}
    return {label: value - known.get(label, 0) for label, value in all_of_it.items()}


def moment_us_text(us: int) -> str:
    """Microseconds since 1970 as RFC 3339."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).isoformat()


def test_the_case_that_differs_does_so_by_its_rule() -> None:
    """Lago counts the last content of an id; to us the first counts, and the other is a conflict (R8)."""
    (name,) = DIFFERS
    with run(BY_ID[name]) as result:
        assert ([], 1, 1) == (result.to_dicts(), result.accounting.conflicts, result.accounting.unmatched)


@pytest.mark.parametrize("name", KINDS["period-at"])
def test_periods_step_from_their_anchor(name: str) -> None:
    """The period that holds a moment, among those that step by months from an anchor on the 31st."""
    case = BY_ID[name]
    with metering_duck.periods(
        start="2020-01-01", end="2027-01-01", every=case["every"], anchor=case["anchor"]
    ) as periods:
        rows = [(moment_us(row["window_start"]), moment_us(row["window_end"])) for row in periods.to_dicts()]
    at = microseconds(case["at"])
    expected = [(microseconds(case["expected"]["start"]), microseconds(case["expected"]["end"]))]
    assert expected == [(start, end) for start, end in rows if start <= at < end]


@pytest.mark.parametrize("name", [*KINDS["period-end"], *KINDS["month-of"]])
def test_calendars_are_those_of_their_zone(name: str) -> None:
    """The calendar year or month of a zone that holds a moment."""
    case = BY_ID[name]
    every = "month" if case["aggregation"] == "month-of" else "year"
    given = {"start": "2020-01-01", "end": "2027-01-01", "every": every, "timezone": case["timezone"]}
    with metering_duck.periods(**given) as periods:
        rows = periods.to_dicts()
    at = microseconds(case["at"])
    (row,) = [row for row in rows if moment_us(row["window_start"]) <= at < moment_us(row["window_end"])]
    found = row["local_start"][:7] if every == "month" else moment_us(row["window_end"])
    expected = case["expected"] if every == "month" else microseconds(case["expected"])
    assert expected == found


def converted(case: Case, **keys: Any) -> str:
    """The one reading of an event that has the case's input, converted or rounded as the keys say."""
    measurement = {"sourceProperty": "value", "unit": "units", "aggregation": "sum", **keys}
    event = {**_bystander("2024-01-01T00:00:00Z"), "properties": {"value": case["input"]}}
    config = {"measurements": [measurement]}
    with metering_duck.aggregate([event], config, start="2024-01-01", end="2024-01-02") as readings:
        (row,) = readings.to_dicts()
    return metering_duck.exact.format(row["quantity"])


@pytest.mark.parametrize("case", [c for c in CASES if c["aggregation"] == "round"], ids=lambda case: case["id"])
def test_readings_round_as_they_are_told(case: Case) -> None:
    """A reading is rounded to so many places, up, down or to the nearest; places below zero are tens and hundreds."""
    rounding = case["rounding"]
    mode = ROUNDINGS.get(rounding["mode"], rounding["mode"])
    assert case["expected"] == converted(case, resultScale=rounding["places"], rounding=mode)


@pytest.mark.parametrize("case", [c for c in CASES if c["aggregation"] == "convert"], ids=lambda case: case["id"])
def test_units_convert_exactly(case: Case) -> None:
    """A quantity is divided or multiplied exactly; what is invoiced is rounded after."""
    conversion = case["conversion"]
    keys = {conversion["op"]: conversion["factor"]}
    assert case["expected"]["converted"] == converted(case, **keys)
    mode = ROUNDINGS.get(conversion["rounding"], conversion["rounding"])
    places = {} if conversion["rounding"] == "none" else {"resultScale": conversion["places"], "rounding": mode}
    assert case["expected"]["invoiced"] == converted(case, **keys, **places)
