"""Usage over time: spans, and quantities that are split over the windows that they lie in."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import metering_duck
from tests import oracle
from tests.comparing import event, expect_readings, readings_of
from tests.readings.moments import CUTS, SPANS, START, WINDOW, spanned, spanning_strategy
from tests.selection import examples
from tests.worlds import CLOCK, Event, measuring


@pytest.mark.slow
@pytest.mark.sampled(6)
@pytest.mark.parametrize("span", SPANS, ids=str)
@examples(2)
@given(events=spanning_strategy(bad=True))
def test_records_carry_their_span(span: dict[str, str], events: list[Event]) -> None:
    """A record says from when to when its usage was; an event without a span that can be read is rejected."""
    config = spanned(span)
    books = oracle.meter(events, config, clock=CLOCK)
    with metering_duck.meter(events, config, clock=CLOCK) as result:
        records = [oracle.plain_record(row) for row in result.to_dicts()]
        rejects = sorted((row["universe_id"], row["id"], row["reason"]) for row in result.rejects.to_pylist())
    kept = ("universe_id", "source_event_id", "quantity", "recorded_at", "window_start", "window_end", "aggregation")

    def shown(rows: list[oracle.Row]) -> list[oracle.Row]:
        return oracle.in_order({name: row[name] for name in kept} for row in rows)

    assert shown(books.records) == shown(records)
    assert sorted((row["universe_id"], row["id"], row["reason"]) for row in books.rejects) == rejects


@pytest.mark.slow
@examples(2)
@given(spanning_strategy(bad=True), st.sampled_from(SPANS))
def test_a_span_alone_counts_at_the_events_time(events: list[Event], span: dict[str, str]) -> None:
    """Without proration a span changes no reading, but for the events that it rejects."""
    expect_readings(events, measuring("sum", "max", "time-weighted-avg", span=span), **WINDOW, every="week")


@pytest.mark.slow
@pytest.mark.sampled(6)
@pytest.mark.parametrize("span", SPANS, ids=str)
@examples(2)
@given(events=spanning_strategy(bad=True), cut=st.sampled_from(CUTS))
def test_prorated_readings_equal_the_oracle(span: dict[str, str], events: list[Event], cut: dict[str, str]) -> None:
    """A quantity is split over the windows by time, by largest remainder, what lies outside being parts too (R26)."""
    expect_readings(events, spanned(span, proration="by-time"), **WINDOW, **cut)


@pytest.mark.slow
@examples(2)
@given(spanning_strategy(), st.sampled_from(SPANS[:2]))
def test_prorated_readings_of_windows_with_gaps_equal_the_oracle(events: list[Event], span: dict[str, str]) -> None:
    """What lies between two windows is one part, as is what lies before the first and after the last."""
    windows = [
        ("2024-02-01T06:30:00.000001Z", "2024-02-05T00:00:00Z"),
        ("2024-01-31T00:00:00Z", "2024-02-01T06:30:00Z"),
        ("2024-02-05T00:00:00Z", "2024-02-05T00:00:01Z"),
        ("2024-02-29T23:00:00Z", "2024-03-30T23:00:00Z"),
    ]
    expect_readings(events, spanned(span, proration="by-time"), windows=windows)
    expect_readings(events, spanned(span, proration="by-time", scale=2, divide=7), windows=windows)


@examples(2)
@given(spanning_strategy(), st.sampled_from(SPANS), st.sampled_from(("hour", "day", "P1M")))
def test_the_parts_of_a_split_are_the_whole(events: list[Event], span: dict[str, str], every: str) -> None:
    """Over windows that cover every span, the parts add up to the quantities, to the last digit (R26)."""
    wide = {"start": "2022-01-01", "end": "2028-01-01"} if every != "hour" else {"start": START, "end": "2024-02-09"}
    inside = [e for e in events if covered(e, span, wide)]
    totals: dict[tuple[str, ...], Decimal] = {}
    for row in readings_of(inside, spanned(span, proration="by-time"), every=every, **wide):
        key = (row["workspace_id"], row["universe_id"], row["subject"])
        totals[key] = totals.get(key, Decimal(0)) + row["quantity"]
    sums: dict[tuple[str, ...], Decimal] = {}
    for row in oracle.meter(inside, spanned(span), clock=CLOCK).records:
        key = (row["workspace_id"], row["universe_id"], row["subject"])
        sums[key] = sums.get(key, Decimal(0)) + Decimal(int(row["quantity"] * 10**18)).scaleb(-18)
    assert sums == totals


def covered(given_event: Event, span: dict[str, str], wide: dict[str, str]) -> bool:
    """Whether an event's span lies inside a period."""
    (record,) = oracle.meter([given_event], spanned(span), clock=CLOCK).records or [None]
    first, last = (oracle.time_of(f"{wide[name][:10]}T00:00:00Z") for name in ("start", "end"))
    return bool(record) and first <= record["window_start"] and record["window_end"] < last


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("total", "scale", "expected"),
    [
        ("10", 2, ["3.34", "3.33", "3.33"]),
        ("-10", 2, ["-3.34", "-3.33", "-3.33"]),
        ("0.01", 2, ["0.01", "0", "0"]),
        ("0.000000000000000002", 18, ["0.000000000000000001", "0.000000000000000001", "0"]),
        ("1", 18, ["0.333333333333333334", "0.333333333333333333", "0.333333333333333333"]),
        ("0", 18, ["0", "0", "0"]),
        ("9", 0, ["3", "3", "3"]),
    ],
)
def test_a_quantity_over_three_days_is_split_by_largest_remainder(total: str, scale: int, expected: list[str]) -> None:
    """Equal days get equal parts, and what is left over goes to the earlier ones."""
    given_event = event(1, "2024-01-09T00:00:00Z", q=total, a="2024-01-01T00:00:00Z", b="2024-01-04T00:00:00Z")
    config = spanned({"start": "a", "end": "b"}, proration="by-time", resultScale=scale)
    rows = readings_of([given_event], config, start="2024-01-01", end="2024-02-01", every="day")
    assert [Decimal(text) for text in expected] == [row["quantity"] for row in rows]
    assert [(True, 1, "sum")] * 3 == [(row["prorated"], row["record_count"], row["aggregation"]) for row in rows]


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("mode", "scale"), [("half-even", 2), ("half-up", 0), ("ceiling", -1), ("floor", 1)])
@examples(1)
@given(events=spanning_strategy())
def test_rounded_parts_equal_the_oracle(mode: str, scale: int, events: list[Event]) -> None:
    """A quantity that the result's scale can show is split at it; a finer one is split first and then rounded."""
    config = spanned(SPANS[0], proration="by-time", resultScale=scale, rounding=mode)
    expect_readings(events, config, **WINDOW, every="week")


def test_a_split_follows_days_of_23_hours() -> None:
    """Forty-seven units over two local days, one of them of 23 hours, are 23 and 24."""
    given_event = event(1, "2024-04-02T00:00:00Z", q="47", d="47")
    span = {"end": "b", "duration": "d", "unit": "hours"}
    given_event["properties"]["b"] = "2024-04-02T00:00:00+02:00"
    cut = {"start": "2024-03-31", "end": "2024-04-02", "every": "day", "timezone": "Europe/Berlin"}
    rows = readings_of([given_event], spanned(span, proration="by-time"), **cut)
    assert [Decimal(23), Decimal(24)] == [row["quantity"] for row in rows]


def test_a_span_of_no_length_counts_whole_at_its_start() -> None:
    """A span that begins and ends at a window's start is in that window, whole, and was not split."""
    given_event = event(1, "2024-01-09T00:00:00Z", q="7", a="2024-01-02T00:00:00Z", b="2024-01-02T00:00:00Z")
    config = spanned({"start": "a", "end": "b"}, proration="by-time")
    (row,) = readings_of([given_event], config, start="2024-01-01", end="2024-02-01", every="day")
    assert (Decimal(7), False, oracle.time_of("2024-01-02T00:00:00Z")) == (
        row["quantity"],
        row["prorated"],
        row["window_start"],
    )


def test_a_span_inside_one_window_was_not_split() -> None:
    """A reading that holds whole records alone says so."""
    given_event = event(1, "2024-01-09T00:00:00Z", q="7", a="2024-01-02T00:00:00Z", b="2024-01-03T00:00:00Z")
    config = spanned({"start": "a", "end": "b"}, proration="by-time")
    rows = readings_of([given_event], config, start="2024-01-01", end="2024-02-01", every="day")
    assert [(Decimal(7), False)] == [(row["quantity"], row["prorated"]) for row in rows]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("times", ["epoch-seconds", "epoch-milliseconds", "epoch-microseconds"])
def test_spans_may_be_in_epochs(times: str) -> None:
    """Seconds, milliseconds and microseconds since 1970 are times as good as RFC 3339."""
    unit = {"epoch-seconds": 1, "epoch-milliseconds": 1_000, "epoch-microseconds": 1_000_000}[times]
    first = oracle.time_of("2024-01-01T00:00:00Z")
    bounds = [int(first.timestamp()) * unit, int((first + timedelta(hours=3)).timestamp()) * unit]
    given_event = event(1, "2024-01-09T00:00:00Z", q="7", a=str(bounds[0]), b=str(bounds[1]))
    config = spanned({"start": "a", "end": "b", "times": times})
    with metering_duck.meter([given_event], config, clock=CLOCK) as result:
        (record,) = result.to_dicts()
    assert (first, first + timedelta(hours=3)) == (record["window_start"], record["window_end"])


@pytest.mark.slow
@pytest.mark.parametrize("bundled", [False, True], ids=["flat", "bundled"])
@examples(2)
@given(events=spanning_strategy())
def test_records_need_no_config(bundled: bool, events: list[Event]) -> None:
    """Records carry how they are to be aggregated: spans and splits, deltas, two levels, texts that are counted."""
    same = {"sourceProperty": "q", "span": SPANS[0]}
    config = {
        "measurements": [
            {**same, "unit": "split", "aggregation": "sum", "proration": "by-time"},
            {**same, "unit": "whole", "aggregation": "sum"},
            {**same, "unit": "levels", "aggregation": "peak-state", "values": "deltas"},
            {**same, "unit": "known", "aggregation": "time-weighted-avg", "divisor": "known"},
            {**same, "unit": "daily", "aggregation": "sum-of-max", "innerWindow": "day"},
            {**same, "unit": "by place", "aggregation": "max-of-sum", "innerDimension": "krn"},
            {**same, "unit": "texts", "aggregation": "unique-count"},
            {**same, "unit": "rank", "aggregation": "p95"},
        ]
    }
    cut = {**WINDOW, "every": "week", "group_by": "region"}
    expected = readings_of(events, config, **cut)
    with metering_duck.meter(events, config, clock=CLOCK, bundled=bundled) as result:
        records, table = result.to_dicts(), result.to_arrow()
    for given_records in (records, table):
        with metering_duck.aggregate(records=given_records, clock=CLOCK, **cut) as result:
            assert expected == result.to_dicts()
