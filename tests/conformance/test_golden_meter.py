"""Every meter case of shared/golden through metering_duck.meter: agrees, is refused, or differs by a rule."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pytest
from plain_rules import ZERO_TIME, is_finer, microseconds, moment_us, quantity_or_reason
from shared_folder import need, read_cases

import metering_duck

Case = dict[str, Any]
Entry = dict[str, Any]
CASES: list[Case] = read_cases(need("golden/meter.jsonl.gz"))
MARK = "|"
CLOCK = "2030-01-01T00:00:00Z"


# --- what we answer ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """A case's class, the reason, and the records that we must give."""

    kind: str
    reason: str = ""
    records: list[dict[str, Any]] = field(default_factory=list)


def judge(case: Case) -> Verdict:
    """The class of a case, from the rules and the reference's answer."""
    config, payload = case["input"]["config"], case["input"]["payload"]
    if not is_config(config):
        return Verdict("refused", "ConfigError")
    reason = identity_fault(payload) or measurement_fault(config, payload)
    if reason:
        return Verdict("refused", reason)
    records = [comparable(record) for record in case["expected"]]
    return (
        Verdict("differs", "R11: nanoseconds are cut", records)
        if is_finer(payload["time"])
        else Verdict("agrees", "", records)
    )


def is_config(config: Mapping[str, Any]) -> bool:
    """Whether every text that a config needs is there and not empty."""
    observations = config.get("observations") or []
    filters = [observation["filter"] for observation in observations if observation.get("filter")]
    texts = [observation.get(name) for observation in observations for name in ("sourceProperty", "unit")]
    texts += [found.get(name) for found in filters for name in ("property", "equals")]
    return bool(observations) and all(texts)


def identity_fault(payload: Mapping[str, Any]) -> str | None:
    """Why an event cannot be told from others, or when it was."""
    names = (
        ("id", "id"),
        ("workspaceID", "workspace"),
        ("universeID", "universe"),
        ("subject", "subject"),
        ("type", "type"),
    )
    for name, word in names:
        if not payload.get(name):
            return f"{word}-missing"
    return "time-missing" if payload.get("time") in (None, "", ZERO_TIME) else None


def measurement_fault(config: Mapping[str, Any], payload: Mapping[str, Any]) -> str | None:
    """R2 to R5: the fault of the first measurement that applies and has one."""
    properties = payload.get("properties") or {}
    for observation in config["observations"]:
        chosen = observation.get("filter")
        if chosen and properties.get(chosen["property"]) != chosen["equals"]:
            continue
        found = quantity_or_reason(properties.get(observation["sourceProperty"]))
        if isinstance(found, str):
            return found
    return None


def comparable(record: Mapping[str, Any]) -> dict[str, Any]:
    """The reference's bundled record: quantities as numbers, times as microseconds."""
    observed = [
        {
            "quantity": Fraction(observation["quantity"]),
            "unit": observation["unit"],
            "window": (microseconds(observation["window"]["start"]), microseconds(observation["window"]["end"])),
        }
        for observation in record["observations"]
    ]
    return {
        "id": record["id"],
        "workspace_id": record["workspaceID"],
        "universe_id": record["universeID"],
        "subject": record["subject"],
        "recorded_at": microseconds(record["observedAt"]),
        "observations": observed,
        "dimensions": record.get("dimensions", {}),
        "source_event_id": record["sourceEventID"],
        "metered_at": microseconds(CLOCK),
    }


VERDICTS: dict[str, Verdict] = {case["case"]: judge(case) for case in CASES}
CASE_OF_EVENT = {case["input"]["payload"].get("id"): case["case"] for case in CASES}


def test_every_case_is_in_one_class() -> None:
    """Of the 1002 cases 710 agree; the others are refused for a reason or differ by a rule, and none is left over."""
    expected = {
        ("agrees", ""): 710,
        ("differs", "R11: nanoseconds are cut"): 18,
        ("refused", "ConfigError"): 8,
        ("refused", "id-missing"): 2,
        ("refused", "quantity-syntax"): 159,
        ("refused", "quantity-too-fine"): 14,
        ("refused", "quantity-too-large"): 41,
        ("refused", "source-missing"): 41,
        ("refused", "subject-missing"): 2,
        ("refused", "time-missing"): 2,
        ("refused", "type-missing"): 1,
        ("refused", "universe-missing"): 1,
        ("refused", "workspace-missing"): 3,
    }
    assert expected == Counter((verdict.kind, verdict.reason) for verdict in VERDICTS.values())
    assert 1002 == len(CASES) == len(VERDICTS) == sum(expected.values())


def test_what_the_reference_refuses_we_refuse() -> None:
    """Every case on which the reference has an error is refused by us too."""
    assert {"refused"} == {VERDICTS[case["case"]].kind for case in CASES if "error" in case}


def test_only_what_the_readme_names_is_refused_besides() -> None:
    """What we refuse and the reference meters is NaN, infinite, malformed, extreme, or does not fit the DECIMAL."""
    besides = [case for case in CASES if "expected" in case and VERDICTS[case["case"]].kind == "refused"]
    named = {"nan", "inf", "malformed-sign", "extreme-exponent"}
    others = [VERDICTS[case["case"]].reason for case in besides if not named & set(case["tags"])]
    assert {"quantity-too-fine", "quantity-too-large"} == set(others)


# --- one call for each config -----------------------------------------------------------------------------------------

BY_CONFIG: dict[str, list[Case]] = {}
for _case in CASES:
    if VERDICTS[_case["case"]].reason != "ConfigError":
        BY_CONFIG.setdefault(json.dumps(_case["input"]["config"]), []).append(_case)
CASES_ALONE = 10
PLAIN = {text: cases for text, cases in BY_CONFIG.items() if len(cases) >= CASES_ALONE}
SMALL = {text: cases for text, cases in BY_CONFIG.items() if len(cases) < CASES_ALONE}
IN_ORDER = sorted(SMALL, key=lambda text: -len(json.loads(text)["observations"]))[:24]
CATALOGS = 28


def event_of(case: Case, number: int | None = None) -> dict[str, Any]:
    """The case's event in a universe of its own, and, in a catalog, in its config's own workspace."""
    event: dict[str, Any] = copy.deepcopy(case["input"]["payload"])
    if event.get("universeID"):
        event["universeID"] = case["case"] + MARK + event["universeID"]
    if number is not None and event.get("workspaceID"):
        event["workspaceID"] = str(number) + MARK + event["workspaceID"]
    return event


def answers_of(cases: list[Case], events: list[dict[str, Any]], config: Any) -> dict[str, dict[str, Any]]:
    """One call's records and rejects by case; its books must balance and agree with them (R9)."""
    found: dict[str, dict[str, Any]] = {case["case"]: {"records": [], "rejects": []} for case in cases}
    with metering_duck.meter(events, config, bundled=True, clock=CLOCK, threads=1) as result:
        for row in result.to_dicts():
            name, record = record_of(row, is_catalog="entries" in config)
            found[name]["records"].append(record)
        for row in result.rejects.to_pylist():
            name = row["universe_id"].split(MARK, 1)[0] if row["universe_id"] else CASE_OF_EVENT[row["id"]]
            found[name]["rejects"].append(row["reason"])
        books = {name: result.accounting[name] for name in ("metered", "unmatched_filter", "rejected", "read")}
    counted = Counter(_book(answer) for answer in found.values())
    assert {**dict.fromkeys(books, 0), **counted, "read": len(events)} == books
    return found


def test_calls_hold_every_case() -> None:
    """The plain calls and the catalogs together are all cases whose config is one."""
    called = [case["case"] for cases in (*PLAIN.values(), *SMALL.values()) for case in cases]
    assert sorted(name for name, verdict in VERDICTS.items() if verdict.reason != "ConfigError") == sorted(called)


@pytest.mark.parametrize("text", [*PLAIN, *IN_ORDER], ids=lambda text: str(len(text)))
def test_records(text: str) -> None:
    """Each case has exactly the reference's records, in its order, or the one reject of its class, or neither."""
    cases = BY_CONFIG[text]
    actual = answers_of(cases, [event_of(case) for case in cases], json.loads(text))
    assert {case["case"]: expected_answer(case) for case in cases} == actual


@pytest.mark.parametrize("catalog", range(CATALOGS))
def test_records_from_catalogs(catalog: int) -> None:
    """Configs that few cases share, as a catalog's entries, each for its own workspace, give each case its records."""
    events, entries, together = [], {}, []
    for number, (text, cases) in enumerate(list(SMALL.items())[catalog::CATALOGS]):
        for case in cases:
            event = event_of(case, number)
            if event.get("workspaceID"):
                entries[event["workspaceID"]] = {"workspaceID": event["workspaceID"], **json.loads(text)}
            events.append(event)
            together.append(case)
    actual = answers_of(together, events, {"entries": list(entries.values())})
    assert unordered({case["case"]: expected_answer(case) for case in together}) == unordered(actual)


def unordered(answers: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """No rule orders the observations of a bundle, and in a catalog other entries decide it: compared without order."""
    return {
        name: {
            **answer,
            "records": [{**record, "observations": _counted(record["observations"])} for record in answer["records"]],
        }
        for name, answer in answers.items()
    }


def _counted(observations: list[dict[str, Any]]) -> Counter[tuple[tuple[str, Any], ...]]:
    return Counter(tuple(sorted(observed.items())) for observed in observations)


def expected_answer(case: Case) -> dict[str, Any]:
    """What we must answer."""
    verdict = VERDICTS[case["case"]]
    return {"records": verdict.records, "rejects": [verdict.reason] if verdict.kind == "refused" else []}


def _book(answer: dict[str, Any]) -> str:
    return "rejected" if answer["rejects"] else "metered" if answer["records"] else "unmatched_filter"


def record_of(row: dict[str, Any], *, is_catalog: bool) -> tuple[str, dict[str, Any]]:
    """Our bundled record without the batch's marks, and its case."""
    name, universe = row["universe_id"].split(MARK, 1)
    observed = [
        {
            "quantity": Fraction(observation["quantity"]),
            "unit": observation["unit"],
            "window": (moment_us(observation["window"]["start"]), moment_us(observation["window"]["end"])),
        }
        for observation in row["observations"]
    ]
    return name, {
        **{key: row[key] for key in ("id", "subject", "dimensions", "source_event_id")},
        "workspace_id": row["workspace_id"].split(MARK, 1)[1] if is_catalog else row["workspace_id"],
        "universe_id": universe,
        "recorded_at": moment_us(row["recorded_at"]),
        "metered_at": moment_us(row["metered_at"]),
        "observations": observed,
    }


@pytest.mark.parametrize(
    "case", [c for c in CASES if VERDICTS[c["case"]].reason == "ConfigError"], ids=lambda case: case["case"]
)
def test_configs_that_are_errors(case: Case) -> None:
    """A config that the reference refuses is a ConfigError, before any event is read."""
    with pytest.raises(metering_duck.ConfigError) as raised:
        metering_duck.meter([case["input"]["payload"]], case["input"]["config"])
    assert "config: " == str(raised.value)[:8]
