"""Every message that a user can get, in one test: it names the place, what was found, what was expected, and how to
mend it. The messages themselves are in tests/<package>/messages.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import metering_duck
from metering_duck import (
    ConfigError,
    Interrupted,
    LedgerError,
    MeteringError,
    QuantityOverflow,
    RejectedEvents,
    SchemaError,
    SourceError,
    StageError,
    check,
    load_config,
    meter,
)
from metering_duck.errors import nearest
from tests.calls.messages import CALLS, OPTIONS
from tests.contract.messages import CONFIGS, MEASUREMENTS
from tests.inputs.messages import HERE, MAPS, PARTITIONS, SOURCES
from tests.messages import CONFIG, ONE, Case, M, metered, partitioned, reading, run, table
from tests.windows.messages import PERIODS

CASES: dict[str, Case] = {
    **{
        f"config: {k}": (lambda make=make: load_config(make()), ConfigError, text)
        for k, (make, text) in CONFIGS.items()
    },
    **{f"option: {k}": (reading(run, **options), ConfigError, text) for k, (options, text) in OPTIONS.items()},
    **{f"periods: {k}": (reading(run, **options), kind, text) for k, (options, kind, text) in PERIODS.items()},
    **{
        f"measurement: {k}": (lambda keys=keys: load_config({"measurements": [{**M, **keys}]}), ConfigError, text)
        for k, (keys, text) in MEASUREMENTS.items()
    },
    **{f"call: {k}": case for k, case in CALLS.items()},
    **{f"source: {k}": (lambda make=make: metered(make()), kind, text) for k, (make, kind, text) in SOURCES.items()},
    **{
        f"partition: {k}": (lambda make=make: partitioned(make()), kind, text)
        for k, (make, kind, text) in PARTITIONS.items()
    },
    **{f"map: {k}": (reading(metered, [ONE], map=given), SchemaError, text) for k, (given, text) in MAPS.items()},
}


@pytest.mark.parametrize("case", CASES)
def test_every_message_is_exactly_this(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One test lists every message: a user's mistake of each kind, and the whole text of what is said about it."""
    monkeypatch.chdir(tmp_path)
    call, kind, text = CASES[case]
    with pytest.raises(kind) as caught:
        call()

    assert text.replace(HERE, str(tmp_path)) == str(caught.value)


# where: what was found; what was expected. hint
VOICE = re.compile(
    r"(?P<where>[^;]+?): (?P<found>(found|is|are|holds|cannot|scale|effectiveTo|line|entries)\b.+?|.+? could .+?)"
    r"((; (?P<expected>(expected|at least|it |a unit|some text|the entry) ?.*?))[.]?|[.])( hint: (?P<hint>\S.*))?"
)


@pytest.mark.parametrize("case", CASES)
def test_every_message_speaks_in_one_voice(case: str) -> None:
    """*where: what was found; what was expected. hint*: no other library's words, no punctuation twice."""
    lines = [line for line in CASES[case][2].split("\n") if not re.fullmatch(r"and \d+ more", line)]

    assert [] == [line for line in lines if not VOICE.fullmatch(line)]
    assert [] == re.findall(r"\.\.|\?\.|!\.|Input should|[A-Z][a-z]+ Error:|NoneType|builtins", "\n".join(lines))


def test_every_error_is_a_metering_error() -> None:
    """One except clause catches all that metering-duck raises on purpose, and the tree is as its docstring draws it."""
    public = [getattr(metering_duck, name) for name in metering_duck.__all__]
    errors = {kind for kind in public if isinstance(kind, type) and issubclass(kind, Exception)}

    assert {
        ConfigError, Interrupted, LedgerError, MeteringError, QuantityOverflow, RejectedEvents, SchemaError,
        SourceError, StageError,
    } == errors  # fmt: skip
    assert all(issubclass(kind, MeteringError) for kind in errors)


def test_a_config_error_holds_every_problem() -> None:
    """However many are shown, `problems` has all of them, each with its path."""
    with pytest.raises(ConfigError) as caught:
        load_config({"measurements": [{}] * 4})

    assert [f"config: measurements[{n}].{key}" for n in range(4) for key in ("sourceProperty", "unit")] == [
        problem.rsplit(":", 1)[0] for problem in caught.value.problems
    ]
    assert caught.value.problems == check({"measurements": [{}] * 4})["problems"]


def test_a_schema_error_holds_its_parts() -> None:
    """A program can read the column, what was found and what was expected without parsing the message."""
    with pytest.raises(SchemaError) as caught:
        metered(table(time=5))

    assert ("a pyarrow Table", "time", "BIGINT", "TIMESTAMP, TIMESTAMPTZ or RFC 3339 text") == (
        caught.value.where,
        caught.value.column,
        caught.value.found,
        caught.value.expected,
    )


def test_rejected_events_hold_the_result() -> None:
    """What strict refuses can still be read: the rejects with their reasons."""
    with meter([{**ONE, "properties": {"q": "x"}}], CONFIG, strict=True) as records:
        with pytest.raises(RejectedEvents) as caught:
            records.to_dicts()

        assert records is caught.value.result
        assert ["quantity-syntax"] == records.rejects["reason"].to_pylist()


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("regoin", ["region", "tokens"], "region"),
        ("a", ["customer:b", "customer:a"], "customer:a"),
        ("prod", ["staging", "production"], "production"),
        ("S1", ["s1", "s2"], "s1"),
        ("x", ["xylophone", "abc"], ""),
        ("", ["a"], ""),
    ],
)
def test_the_nearest_name(name: str, known: list[str], expected: str) -> None:
    """A name that is close, in any case of letters, that begins with what was given, or has it as a word."""
    assert expected == nearest(name, known)
