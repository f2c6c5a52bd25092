"""Every pipeline case of shared/golden, events to readings, through metering_duck.aggregate with a config."""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from functools import cache
from typing import Any

import pytest
from plain_rules import (
    Answer,
    Key,
    Row,
    half_even,
    is_finer,
    microseconds,
    moment_us,
    quantity_or_reason,
    readings,
    significant,
)
from shared_folder import need, read_cases

import metering_duck

Case = dict[str, Any]
CASES: list[Case] = read_cases(need("golden/pipeline.jsonl.gz"))
AVERAGE = "time-weighted-avg"
MARK = "|"
SHARDS = 16


# --- what we answer ---------------------------------------------------------------------------------------------------


def given_events(case: Case) -> list[dict[str, Any]]:
    """All events of a case; the one that it hands over as the last before the window is an event like any other."""
    before = case["input"].get("lastBeforeEvent")
    return ([before] if before else []) + list(case["input"]["events"])


def rows_of(case: Case) -> list[Row]:
    """R2–R7: a row for each measurement of each event whose filter hits. No event of these cases has a fault."""
    rows = []
    for event in given_events(case):
        for observation in case["input"]["config"]["observations"]:
            chosen = observation.get("filter")
            if chosen and event["properties"].get(chosen["property"]) != chosen["equals"]:
                continue
            quantity = quantity_or_reason(event["properties"].get(observation["sourceProperty"]))
            assert isinstance(quantity, Fraction), (case["case"], event["id"], quantity)
            rows.append(
                Row(
                    event["workspaceID"],
                    event["universeID"],
                    event["subject"],
                    observation["unit"],
                    microseconds(event["time"]),
                    microseconds(case["input"]["meteredAt"]),
                    event["id"],
                    quantity,
                )
            )
    return rows


@cache
def _answers(name: str) -> dict[Key, Answer]:
    case = next(case for case in CASES if case["case"] == name)
    start, end = (microseconds(bound) for bound in case["input"]["window"].values())
    return readings(rows_of(case), case["input"]["aggregation"], start, end)


def answers(case: Case) -> dict[Key, Answer]:
    """Our readings, by the rules."""
    return _answers(case["case"])


def reference(case: Case) -> dict[Key, Fraction]:
    """The reference's readings; where it has an error instead, there is none."""
    return {
        (row["workspaceID"], row["universeID"], row["subject"], row["computedValues"][0]["unit"]): Fraction(
            row["computedValues"][0]["quantity"]
        )
        for row in case["expected"]
        if "error" not in row
    }


def judge(case: Case) -> str:
    """Whether the reference's readings are ours, all of them, or by which rule they differ."""
    ours, theirs = {key: answer.value for key, answer in answers(case).items()}, reference(case)
    is_average = case["input"]["aggregation"] == AVERAGE
    if {key: significant(value, 34) if is_average else value for key, value in ours.items()} == theirs:
        return "agrees"
    if "autoLastBefore" not in case["input"]:
        return "R14: the last level before the window is carried in, whoever asks"
    if ours.keys() == theirs.keys() and has_tie(case):
        return "R13: ties are ordered"
    if any(is_finer(event["time"]) for event in given_events(case)):
        return "R11: nanoseconds are cut"
    close = ours.keys() == theirs.keys() and all(
        abs(value - theirs[key]) <= abs(value) / 10**14 for key, value in ours.items()
    )
    return "R15: durations are not float64 seconds" if close else "unexplained"


def has_tie(case: Case) -> bool:
    """Whether a subject has two quantities of one unit at one moment, be they of one event."""
    moments = Counter((row.workspace, row.universe, row.subject, row.unit, row.recorded_us) for row in rows_of(case))
    return max(moments.values()) > 1


def test_every_case_is_in_one_class() -> None:
    """Of the 176 cases 126 agree in every reading; the others differ by a rule, and none is left over."""
    expected = {
        "agrees": 126,
        "R11: nanoseconds are cut": 13,
        "R13: ties are ordered": 22,
        "R14: the last level before the window is carried in, whoever asks": 6,
        "R15: durations are not float64 seconds": 9,
    }
    assert expected == Counter(judge(case) for case in CASES)
    assert 176 == len(CASES) == sum(expected.values())


# --- calls ------------------------------------------------------------------------------------------------------------


def calls() -> list[tuple[dict[str, Any], list[Case]]]:
    """Cases with the same config, aggregation and window together."""
    together: dict[str, list[Case]] = {}
    for case in CASES:
        shared = {name: case["input"][name] for name in ("config", "aggregation", "window")}
        together.setdefault(json.dumps(shared), []).append(case)
    return [(json.loads(text), cases) for text, cases in together.items()]


@pytest.mark.parametrize("shard", range(SHARDS))
def test_readings(shard: int) -> None:
    """Each case has exactly the readings that the rules give, and where the reference agrees those are its own."""
    expected, actual = {}, {}
    for shared, cases in calls()[shard::SHARDS]:
        events = [
            {**event, "universeID": case["case"] + MARK + event["universeID"], "meteredAt": case["input"]["meteredAt"]}
            for case in cases
            for event in given_events(case)
        ]
        with metering_duck.aggregate(
            events, shared["config"], aggregation=shared["aggregation"], **shared["window"], threads=1
        ) as result:
            for row in result.to_dicts():
                name, universe = row["universe_id"].split(MARK, 1)
                actual[name, (row["workspace_id"], universe, row["subject"], row["unit"])] = reading_of(row)
            assert (len(events), 0) == (result.accounting.read, result.accounting.rejected)
            assert result.accounting.balances
        for case in cases:
            expected |= {(case["case"], key): reading for key, reading in expected_readings(case).items()}
    assert expected == actual


def expected_readings(case: Case) -> dict[Key, dict[str, Any]]:
    """What we must answer; a value that is not an average is the reference's own where it agrees."""
    found = {}
    is_average = case["input"]["aggregation"] == AVERAGE
    own = reference(case) if judge(case) == "agrees" and not is_average else {}
    for key, answer in answers(case).items():
        value = own.get(key, answer.value)
        found[key] = {
            "quantity": half_even(value, 18) if is_average else value,
            "exactly": value,
            "record_count": answer.record_count,
            "max_metered_us": answer.max_metered_us,
        }
    return found


def reading_of(row: dict[str, Any]) -> dict[str, Any]:
    """A reading's row; an average also as the exact quotient of its two columns (R15)."""
    quantity, divisor = Fraction(row["quantity"]), row["divisor_us"]
    return {
        "quantity": quantity,
        "exactly": Fraction(row["numerator"]) / divisor if divisor else quantity,
        "record_count": row["record_count"],
        "max_metered_us": moment_us(row["max_metered_at"]),
    }
