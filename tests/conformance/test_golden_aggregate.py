"""Every aggregate case of shared/golden through metering_duck.aggregate: agrees, is refused, or differs by a rule."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import Any

import polars
import pytest
from golden_cases import (
    AVERAGE,
    CASES_ALONE,
    MARK,
    Batch,
    Case,
    Verdict,
    batches_of,
    given_records,
    has_comparable_watermark,
    judge,
    reference_value,
    window_of,
)
from plain_rules import Answer, half_even, is_finer, microseconds, moment_us, significant
from shared_folder import need, read_cases

import metering_duck

CASES: list[Case] = read_cases(need("golden/aggregate.jsonl.gz"))
VERDICTS: dict[str, Verdict] = {case["case"]: judge(case) for case in CASES}
CALL_ERRORS = {"ConfigError: aggregation", "ConfigError: window", "QuantityOverflow"}
CALLED = [case for case in CASES if VERDICTS[case["case"]].reason not in CALL_ERRORS]
ERRORS = [case for case in CASES if VERDICTS[case["case"]].reason in CALL_ERRORS]
CASE_OF_RECORD = {record.get("id"): case["case"] for case in CASES for record in given_records(case)}
BATCHES = batches_of(CALLED)
SHARDS = 24
CLOCK = "2030-01-01T00:00:00Z"
REFUSED_INPUT = {
    "nan",
    "inf",
    "malformed-sign",
    "extreme-exponent",
    "caller-violation",
    "zero-window",
    "ns",
    "bad-aggregation",
}


def test_every_case_is_in_one_class() -> None:
    """Of the 1912 cases 1235 agree; the others are refused for a reason or differ by a rule, and none is left over."""
    expected = {
        ("agrees", ""): 1235,
        ("refused", "ConfigError: aggregation"): 5,
        ("refused", "ConfigError: window"): 20,
        ("refused", "id-missing"): 4,
        ("refused", "observations-missing"): 15,
        ("refused", "quantity-syntax"): 162,
        ("refused", "QuantityOverflow"): 1,
        ("refused", "quantity-too-fine"): 63,
        ("refused", "quantity-too-large"): 156,
        ("refused", "source-event-missing"): 4,
        ("refused", "source-missing"): 2,
        ("refused", "subject-missing"): 1,
        ("refused", "time-missing"): 2,
        ("refused", "unit-missing"): 4,
        ("refused", "universe-missing"): 2,
        ("refused", "window-invalid"): 4,
        ("refused", "workspace-missing"): 2,
        ("differs", "R10: units, subjects, universes and workspaces do not mix"): 33,
        ("differs", "R11: an observation's window is cut to microseconds, and none is the record's moment"): 3,
        ("differs", "R11: the window decides which records are in it"): 52,
        ("differs", "R11: nanoseconds are cut"): 46,
        ("differs", "R11 and R13: both"): 8,
        ("differs", "R12: count is an aggregation"): 1,
        ("differs", "R13: ties are ordered"): 87,
    }
    assert expected == Counter((verdict.kind, verdict.reason) for verdict in VERDICTS.values())
    assert 1912 == len(CASES) == len(VERDICTS) == sum(expected.values())


def test_comparable_cases_agree() -> None:
    """Where the reference answered, a case without ties, nanoseconds or an input that we refuse agrees."""
    comparable = [
        case["case"]
        for case in CASES
        if has_answer(case)
        and not (REFUSED_INPUT | {"tie", "tie-grid"}) & set(case["tags"])
        and not _has_nanoseconds(case)
        and not VERDICTS[case["case"]].rejects
    ]
    assert {"agrees": 1015} == Counter(VERDICTS[name].kind for name in comparable)


def has_answer(case: Case) -> bool:
    """Whether the reference answered."""
    return "expected" in case


def _has_nanoseconds(case: Case) -> bool:
    window = case["input"]["config"]["window"]
    moments = [record.get("observedAt") for record in (*case["input"]["records"], case["input"]["lastBefore"] or {})]
    return any(is_finer(moment) for moment in (*window.values(), *moments) if moment)


def test_shards_hold_every_case_once() -> None:
    """The shards together are all cases that can be called; the rest are errors of the call itself."""
    sharded = sorted(case["case"] for shard in range(SHARDS) for batch in shard_batches(shard) for case in batch.cases)
    assert sorted(case["case"] for case in CALLED) == sharded
    assert len(CASES) == len(sharded) + len(ERRORS)


def shard_batches(shard: int) -> list[Batch]:
    """Every SHARDS-th batch."""
    return BATCHES[shard::SHARDS]


def digits_of(batch: Batch) -> int | None:
    """A window with few cases is called once, every other one of them with digits=34: half the calls are much of a
    minute. The other batches, few but with most of the cases, are called both ways."""
    return 34 if not is_called_twice(batch) and BATCHES.index(batch) % 2 else None


def is_called_twice(batch: Batch) -> bool:
    """Whether the batch is worth a second call with digits=34."""
    return batch.every is not None or len(batch.cases) >= CASES_ALONE


def test_averages_are_rounded_both_ways() -> None:
    """Hundreds of averages are compared at scale 18, hundreds at 34 digits, and each as an exact quotient."""
    both = sum(len(averages_of(batch)) for batch in BATCHES if is_called_twice(batch))
    once = Counter(digits_of(batch) for batch in BATCHES if not is_called_twice(batch) for _ in averages_of(batch))
    assert {"both": 507, "only at scale 18": 114, "only at 34 digits": 138} == {
        "both": both,
        "only at scale 18": once[None],
        "only at 34 digits": once[34],
    }


def averages_of(batch: Batch) -> tuple[Case, ...]:
    """The batch's averages."""
    return tuple(case for case in batch.cases if case["input"]["config"]["aggregation"] == AVERAGE)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_answers(shard: int) -> None:
    """Each case has exactly the readings and rejects that its class says: value, count, watermark and reason."""
    expected, actual = {}, {}
    for batch in shard_batches(shard):
        digits = digits_of(batch)
        got = run(batch, digits)
        for case in batch.cases:
            expected[case["case"]] = expected_answer(case, digits)
            actual[case["case"]] = got[case["case"]]
    assert expected == actual


@pytest.mark.parametrize(
    "batch",
    [batch for batch in BATCHES if is_called_twice(batch) and averages_of(batch)],
    ids=lambda b: b.every or b.start,
)
def test_averages_of_34_digits(batch: Batch) -> None:
    """With digits=34 an average is the reference's exact one, rounded once to 34 significant digits (R16)."""
    averages = replace(batch, cases=averages_of(batch))
    actual = run(averages, 34)
    assert {case["case"]: expected_answer(case, 34) for case in averages.cases} == actual


def expected_answer(case: Case, digits: int | None) -> dict[str, Any]:
    """What we must answer; where the reference agrees, its own value and watermark."""
    verdict = VERDICTS[case["case"]]
    readings = {key: expected_reading(case, answer, digits) for key, answer in verdict.answers.items()}
    return {"readings": readings, "rejects": verdict.rejects}


def expected_reading(case: Case, answer: Answer, digits: int | None) -> dict[str, Any]:
    """One reading; an average as it is rounded and as it is."""
    agreeing = VERDICTS[case["case"]].kind == "agrees" and has_answer(case)
    value, watermark = answer.value, answer.max_metered_us
    if agreeing:
        value = reference_value(case)
        if has_comparable_watermark(case):
            watermark = microseconds(case["expected"]["maxMeteredAt"])
    is_average = case["input"]["config"]["aggregation"] == AVERAGE
    start, end = (microseconds(bound) for bound in case["input"]["config"]["window"].values())
    rounded = half_even(value, 18) if digits is None else significant(value, digits)
    if digits == 34 and agreeing and "avg34" in case.get("exact", {}):
        assert Fraction(case["exact"]["avg34"]) == rounded
    return {
        "quantity": rounded if is_average else value,
        "exactly": value,
        "divisor_us": end - start if is_average else None,
        "record_count": answer.record_count,
        "max_metered_us": watermark,
    }


def call(batch: Batch, digits: int | None) -> metering_duck.Result:
    """The batch as a call."""
    return metering_duck.aggregate(
        records=batch.records,
        aggregation=batch.aggregation,
        start=batch.start,
        end=batch.end,
        every=batch.every,
        clock=CLOCK,
        threads=1,
        digits=digits,
    )


def own_rows(batch: Batch, result: metering_duck.Result) -> list[dict[str, Any]]:
    """The readings, each with its `case`; of the windows that `every` cuts only the case's own."""
    frame = (
        result.pl()
        .with_columns(polars.col("universe_id").str.splitn(MARK, 2).struct.rename_fields(["case", "universe"]))
        .unnest("universe_id")
    )
    if batch.every:
        own = [(case["case"], *(microseconds(str(bound)) for bound in window_of(case))) for case in batch.cases]
        wanted = polars.DataFrame(own, schema=["case", "window_start", "window_end"], orient="row").with_columns(
            polars.col("window_start", "window_end").cast(polars.Datetime("us", "UTC"))
        )
        frame = frame.join(wanted, on=["case", "window_start", "window_end"], how="semi")
    return frame.to_dicts()


def run(batch: Batch, digits: int | None) -> dict[str, dict[str, Any]]:
    """The readings and rejects of a batch by case."""
    found: dict[str, dict[str, Any]] = {case["case"]: {"readings": {}, "rejects": []} for case in batch.cases}
    with call(batch, digits) as result:
        assert result.accounting.balances
        for row in own_rows(batch, result):
            key = (row["workspace_id"], row["universe"], row["subject"], row["unit"])
            found[row["case"]]["readings"][key] = reading_of(row)
        for row in result.rejects.to_pylist():
            found[case_of_reject(row)]["rejects"].append((bare_id(row), row["reason"]))
    for answer in found.values():
        answer["rejects"].sort()
    return found


def case_of_reject(row: dict[str, Any]) -> str:
    """The case of a rejected record: by its universe, or, if it has none, by its id."""
    return row["universe_id"].split(MARK, 1)[0] if row["universe_id"] else CASE_OF_RECORD[bare_id(row)]


def bare_id(row: dict[str, Any]) -> str:
    """A record's id without the place of the observation in its bundle."""
    return (row["id"] or "").partition("[")[0]


def reading_of(row: dict[str, Any]) -> dict[str, Any]:
    """A reading's row; an average also as the exact quotient of its two columns (R15)."""
    quantity, divisor = Fraction(row["quantity"]), row["divisor_us"]
    return {
        "quantity": quantity,
        "exactly": Fraction(row["numerator"]) / divisor if divisor else quantity,
        "divisor_us": divisor,
        "record_count": row["record_count"],
        "max_metered_us": moment_us(row["max_metered_at"]),
    }


@pytest.mark.parametrize("case", ERRORS, ids=lambda case: case["case"])
def test_calls_that_are_errors(case: Case) -> None:
    """A window that is none, an aggregation that is none and a sum beyond its DECIMAL are errors that say so."""
    reason = VERDICTS[case["case"]].reason
    error = metering_duck.QuantityOverflow if reason == "QuantityOverflow" else metering_duck.ConfigError
    start, end = window_of(case)
    options = {"aggregation": case["input"]["config"]["aggregation"], "start": start, "end": end}
    with pytest.raises(error) as raised, metering_duck.aggregate(records=given_records(case), **options) as result:
        result.to_arrow()
    beginning = {
        "ConfigError: aggregation": "aggregation: ",
        "ConfigError: window": "window: ",
        "QuantityOverflow": "reading: ",
    }
    assert beginning[reason] == str(raised.value)[: len(beginning[reason])]


def test_no_records_at_all() -> None:
    """No records, with nobody to name an aggregation, are no readings (R12), not an error."""
    with metering_duck.aggregate(records=[], start="2024-01-01", end="2024-01-02") as result:
        assert [] == result.to_dicts()


def test_only_rejected_records() -> None:
    """Records of which none can be used, and none names an aggregation, are no readings and rejects (R3, R12)."""
    record = next(case for case in CASES if "no-observations" in case["tags"])["input"]["records"][0]
    with metering_duck.aggregate(records=[record], start="2024-01-01", end="2024-01-02") as result:
        assert [] == result.to_dicts()
        assert ["observations-missing"] == result.rejects.column("reason").to_pylist()
