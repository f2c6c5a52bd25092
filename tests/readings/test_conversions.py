"""Conversions and rounding, at the ends of the range too, and the same bytes in any order."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.comparing import event, expect_readings, readings_of, worlds_strategy
from tests.readings.moments import BEGINS, DURATIONS, ENDS, SPANS, TIMES, WINDOW, spanning_strategy
from tests.selection import examples
from tests.worlds import Event, measuring

CONVERSIONS = (
    {"divide": "3"},
    {"multiply": "2.5", "divide": 7},
    {"multiply": -1},
    {"divide": "1000000", "scale": 6},
    {"multiply": "0.1", "scale": 2},
    {"timesDuration": "hours", "span": SPANS[0]},
    {"timesDuration": "days", "span": SPANS[6], "divide": "3", "scale": 9},
    {"sourceProperty": ["q", "r"]},
    {"sourceProperty": ["q", "r"], "multiply": "0.333333333333333333"},
)


@pytest.mark.sampled(6)
@pytest.mark.parametrize("measured", CONVERSIONS, ids=str)
@examples(2)
@given(data=st.data())
def test_conversions_equal_the_oracle(measured: dict[str, Any], data: st.DataObject) -> None:
    """Quantities are added, multiplied, divided and taken times their duration, then rounded once, half to even."""
    quantities = ("0", "1", "-1", "3", "2.5", ".12", "-0.05", "0.15", "33.33")
    properties = {"begin": st.sampled_from(BEGINS), "end": st.sampled_from(ENDS), "length": st.sampled_from(DURATIONS)}
    properties["r"] = st.sampled_from((*quantities, "x"))
    events = data.draw(worlds_strategy(TIMES, size=8, quantities=quantities, properties=properties))
    config = measuring("sum", "max", "latest", "time-weighted-avg", **measured)
    expect_readings(events, config, **WINDOW, every="week")


def test_every_source_must_be_there() -> None:
    """An event that lacks one of the properties that are added is rejected, not counted in part (R3)."""
    events = [event(1, "2024-02-01T00:00:00Z", q="1", r="2"), event(2, "2024-02-01T00:00:00Z", q="1")]
    (row,) = expect_readings(events, measuring("sum", sourceProperty=["q", "r"]), **WINDOW)
    assert (Fraction(3), 1) == (row["quantity"], row["record_count"])


ROUNDINGS = (
    ("half-even", 0),
    ("half-up", 0),
    ("ceiling", 2),
    ("floor", 2),
    ("half-up", -2),
    ("half-even", -1),
    ("ceiling", -3),
    ("floor", -1),
)


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize(("mode", "scale"), ROUNDINGS)
@examples(2)
@given(data=st.data())
def test_rounding_modes_equal_the_oracle(mode: str, scale: int, data: st.DataObject) -> None:
    """Sums and averages are rounded once, in the mode and to the digits that the measurement asks for (R16)."""
    quantities = (
        "0",
        "0.5",
        "-0.5",
        "1.5",
        "2.5",
        "-2.5",
        "50",
        "150",
        "-150",
        "5",
        "15",
        "-25",
        "0.005",
        "-0.015",
        "1e3",
    )
    events = data.draw(worlds_strategy(TIMES, size=12, quantities=quantities))
    config = measuring("sum", "max", "avg", "time-weighted-avg", "integral-hours", rounding=mode, resultScale=scale)
    expect_readings(events, config, **WINDOW)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("half-even", [200, -200, 200, -200, 300, 0, 0]),
        ("half-up", [200, -200, 300, -300, 300, 0, 0]),
        ("ceiling", [200, -100, 300, -200, 300, 100, 0]),
        ("floor", [100, -200, 200, -300, 200, 0, -100]),
    ],
)
def test_hundreds_by_every_mode(mode: str, expected: list[int]) -> None:
    """150, 250, 250.000000000000000001 and 1 on both sides of zero, to hundreds; the exact value stays beside them."""
    texts = ("150", "-150", "250", "-250", "250.000000000000000001", "1", "-1")
    events = [event(n, "2024-02-01T00:00:00Z", q=text, subject=f"customer:{n}") for n, text in enumerate(texts)]
    rows = readings_of(events, measuring("sum", rounding=mode, resultScale=-2), **WINDOW)
    assert [Decimal(number) for number in expected] == [row["quantity"] for row in rows]
    assert list(texts) == [row["numerator"] for row in rows]


def test_gigabyte_hours_are_levels_by_their_time() -> None:
    """Bytes that were held for a time, as gigabyte-hours: a conversion and a duration, rounded once."""
    given_event = event(1, "2024-02-01T00:00:00Z", q="1500000000", seconds="5400")
    span = {"duration": "seconds", "unit": "seconds"}
    config = measuring("sum", span=span, timesDuration="hours", divide="1000000000", scale=3)
    assert [Decimal("2.25")] == [row["quantity"] for row in readings_of([given_event], config, **WINDOW)]


@pytest.mark.parametrize(
    ("measured", "texts"),
    [
        ({"multiply": 2**30, "timesDuration": "hours", "span": SPANS[3]}, ("4", "-7.000000000000000001", "9e19")),
        ({"multiply": "999999999999999999", "timesDuration": "days", "span": SPANS[3]}, ("1e-18", "33.5", "9e15")),
        ({"multiply": "999999999999999999", "divide": "7", "timesDuration": "days", "span": SPANS[3]}, ("9e19", "3")),
        (
            {
                "divide": "9999999999999",
                "precision": 38,
                "scale": 0,
                "resultScale": 0,
                "timesDuration": "seconds",
                "span": SPANS[3],
            },
            ("9e37", "5e17"),
        ),
        ({"divide": 2**30, "timesDuration": "days", "span": SPANS[3]}, ("1073741824", "-0.5", "9e19")),
        ({"divide": "999999999999999999", "timesDuration": "days", "span": SPANS[3]}, ("9e19", "-12345678901.5")),
        ({"sourceProperty": ["q", "r"], "precision": 5, "scale": 2, "multiply": "0.1"}, ("900", "-999.99", "0.05")),
        ({"sourceProperty": ["q", "r"], "precision": 5, "scale": 2}, ("900", "499.99", "0.05")),
    ],
    ids=str,
)
def test_what_fits_is_no_less_exact_for_long_products(measured: dict[str, Any], texts: tuple[str, ...]) -> None:
    """A product on the way may have more than 38 digits; what counts is whether the result fits."""
    lengths = ("0", "1", "604800", "31536000.000001", "251000000000")
    events = [
        event(n, "2024-02-01T00:00:00Z", q=text, r=text, length=length, subject=f"customer:{n}")
        for n, (text, length) in enumerate(product(texts, lengths))
    ]
    expect_readings(events, measuring("latest", **measured), **WINDOW)


# --- the ends of the range, and the same bytes -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("precision", "scale", "quantities"),
    [
        (38, 0, ("9" * 27, "-" + "9" * 27, "1", "-7")),
        (38, 37, ("9." + "9" * 37, "-9." + "9" * 37, "1e-37", "-7e-37")),
        (38, 20, ("9" * 10 + "." + "9" * 20, "-" + "9" * 10 + "." + "9" * 20, "1e-20", "-7e-20")),
        (10, 2, ("99999999.99", "-99999999.99", "0.01", "-0.07")),
        (1, 0, ("9", "-9", "1", "-7")),
    ],
)
def test_other_decimals_are_exact_too(precision: int, scale: int, quantities: tuple[str, ...]) -> None:
    """Averages, ranks and integrals are exact in the DECIMAL that a measurement declares (R5, R15)."""
    times = (
        "2024-01-30T00:00:00Z",
        "2024-02-01T00:00:00.000001Z",
        "2024-02-11T00:00:00Z",
        "2024-02-29T23:59:59.999999Z",
    )
    events = [event(n, time, q=text) for n, (time, text) in enumerate(zip(times, quantities, strict=True))]
    shape = {"precision": precision, "scale": scale, "resultScale": min(scale, 20)}
    names = (
        "avg",
        "first",
        "p50",
        "p75-interpolated",
        "unique-count",
        "time-weighted-avg-known",
        "peak-state-of-deltas",
    )
    expect_readings(events, measuring(*names, **shape), **WINDOW)
    if precision - scale > 1:
        expect_readings(events, measuring("integral-hours", **{**shape, "resultScale": min(scale, 15)}), **WINDOW)


@pytest.mark.slow
@examples(2)
@given(worlds_strategy(TIMES), st.integers(1, 34), st.integers(0, 20))
def test_digits_and_scales_equal_the_oracle(events: list[Event], digits: int, scale: int) -> None:
    """What divides is rounded to so many significant digits, or everything to so many behind the point (R16)."""
    config = measuring("avg", "first", "integral-hours", "time-weighted-avg-known", "p33", "p33-interpolated")
    expect_readings(events, config, **WINDOW, digits=digits)
    expect_readings(events, config, **WINDOW, scale=scale)


@pytest.mark.slow
@examples(2)
@given(spanning_strategy(), st.randoms(use_true_random=False))
def test_order_and_threads_change_nothing(events: list[Event], chance: Any) -> None:
    """Splits, deltas, ranks and two levels are the same for events in any order, on any number of threads (R23)."""
    same = {"sourceProperty": "q", "span": SPANS[0]}
    config = {
        "measurements": [
            {**same, "unit": "split", "aggregation": "sum", "proration": "by-time"},
            {**same, "unit": "levels", "aggregation": "integral", "values": "deltas"},
            {**same, "unit": "daily", "aggregation": "avg-of-first", "innerWindow": "day"},
            {**same, "unit": "rank", "aggregation": "p95-interpolated"},
        ]
    }
    cut = {**WINDOW, "every": "week", "group_by": "region", "timezone": "Europe/Berlin"}
    shuffled = chance.sample(events, len(events))
    assert readings_of(events, config, **cut, threads=1) == readings_of(shuffled, config, **cut, threads=2)


def test_times_of_a_span_are_in_the_zone_of_the_events() -> None:
    """Under assume_timezone a span's bounds without an offset are local, as the event's own time is."""
    config = {
        "measurements": [
            {"sourceProperty": "q", "unit": "hours", "span": {"start": "begun"}, "timesDuration": "hours"},
        ]
    }
    events = [event(1, "2024-03-31T06:00:00", q="1", begun="2024-03-30T18:00:00")]
    window = {"start": "2024-03-30", "end": "2024-04-01", "assume_timezone": "Europe/Berlin"}
    (row,) = readings_of(events, config, aggregation="sum", **window)
    assert Decimal(11) == row["quantity"]
