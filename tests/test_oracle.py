"""The oracle itself, by cases worked out by hand and by Python's zoneinfo: who holds the engine to it must trust it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import oracle, oracle_values, oracle_windows, worlds

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/Havana",
    "Africa/Cairo",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
)


def event(number: int, time: str, **properties: str) -> dict[str, Any]:
    """One event of customer:1 that entered when it happened."""
    return worlds.event(f"e{number}", time, properties, subject="customer:1", metered_at=time)


def read(measurement: dict[str, Any], *events: dict[str, Any], **options: Any) -> list[Fraction]:
    """The quantities of the oracle's readings of one measurement, in the order of time."""
    config = {"measurements": [{"sourceProperty": "q", "unit": "things", **measurement}]}
    books = oracle.meter(events, config)
    assert books.rejects == []
    rows = oracle.readings(books.records, config=config, **options)
    return [row["quantity"] for row in sorted(rows, key=lambda row: row["window_start"])]


def bounds(**options: Any) -> list[str]:
    """The bounds of windows that lie back to back, as text."""
    found = oracle_windows.windows_for("u", "customer:1", **options)
    assert [w[1] for w in found[:-1]] == [w[0] for w in found[1:]]
    return [oracle.text_of_time(moment) for moment in [found[0][0], *(w[1] for w in found)]]


# --- clocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "clock", "expected"),
    [
        ("Europe/Berlin", "2024-03-31T02:30:00", "2024-03-31T01:30:00Z"),
        ("Europe/Berlin", "2024-10-27T02:30:00", "2024-10-27T00:30:00Z"),
        ("America/Havana", "2024-03-10", "2024-03-10T05:00:00Z"),
        ("America/Havana", "2024-11-03", "2024-11-03T04:00:00Z"),
        ("Africa/Cairo", "2024-04-26", "2024-04-25T22:00:00Z"),
        ("Asia/Beirut", "2024-03-31", "2024-03-30T22:00:00Z"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z"),
        ("Australia/Lord_Howe", "2024-04-07T01:45:00", "2024-04-06T14:45:00Z"),
        ("Australia/Lord_Howe", "2024-10-06T02:15:00", "2024-10-05T15:45:00Z"),
    ],
)
def test_a_clock_that_skips_or_repeats_a_time_has_one_moment_for_it(zone: str, clock: str, expected: str) -> None:
    """Of two moments the first; for none, the offset before the gap."""
    assert expected == oracle.text_of_time(oracle_values.moment_of(clock, zone))


def test_an_offset_is_stronger_than_the_zone() -> None:
    """A time with an offset is that moment, in whatever zone."""
    moment = datetime(2024, 1, 31, 23, tzinfo=UTC)
    assert moment == oracle_values.moment_of("2024-02-01T00:00:00+01:00", "Asia/Kathmandu")
    assert moment == oracle_values.moment_of(moment, "Asia/Kathmandu")
    assert moment == oracle_values.moment_of("2024-02-01 00:00:00", "Europe/Berlin")


# --- windows ---------------------------------------------------------------------------------------------------------


def test_an_anchor_on_the_31st_stays_on_it() -> None:
    """Months are counted from the anchor, so a short month does not shorten the ones after it."""
    cut = {"start": "2024-01-31", "end": "2024-06-01", "every": "month", "anchor": "2023-12-31"}
    days = ["01-31", "02-29", "03-31", "04-30", "05-31", "06-01"]
    assert [f"2024-{day}T00:00:00Z" for day in days] == bounds(**cut)


def test_an_anchor_may_lie_after_the_start() -> None:
    """Boundaries are counted back from an anchor as well."""
    cut = {"start": "2024-01-01", "end": "2024-02-15", "every": "month", "anchor": "2025-01-31T12:00:00"}
    assert [
        "2024-01-01T00:00:00Z",
        "2024-01-31T12:00:00Z",
        "2024-02-15T00:00:00Z",
    ] == bounds(**cut)


def test_whole_periods_are_those_that_begin_inside() -> None:
    """The one that is running at the start is left out; the last one is not clipped."""
    cut = {"start": "2024-01-15", "end": "2024-03-02", "every": "month", "whole_periods": True}
    assert ["2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z", "2024-04-01T00:00:00Z"] == bounds(**cut)


@pytest.mark.parametrize(
    ("every", "second", "last"),
    [
        ("week", "2024-02-19", "2024-03-11"),
        ("week-sunday", "2024-02-18", "2024-03-10"),
        ("quarter", "2024-04-01", None),
        ("P2W", "2024-02-28", "2024-03-13"),
        ("P1M", "2024-03-14", None),
    ],
)
def test_intervals_cut_where_a_calendar_says(every: str, second: str, last: str | None) -> None:
    """Weeks at their first weekday, quarters in January, April, …; durations from the start."""
    found = bounds(start="2024-02-14", end="2024-03-14" if last else "2024-04-14", every=every)
    assert ("2024-02-14T00:00:00Z", f"{second}T00:00:00Z") == (found[0], found[1])
    assert last is None or f"{last}T00:00:00Z" == found[-2]


def test_hours_of_a_clock_that_skips_half_of_one() -> None:
    """Hours are elapsed ones from the zone's full hour, also where the clock moves by thirty minutes."""
    cut = {"start": "2024-10-06T01:00:00", "end": "2024-10-06T04:00:00", "timezone": "Australia/Lord_Howe"}
    assert [
        "2024-10-05T14:30:00Z",
        "2024-10-05T15:30:00Z",
        "2024-10-05T16:30:00Z",
        "2024-10-05T17:00:00Z",
    ] == bounds(every="hour", **cut)


def test_a_day_that_never_was_is_no_window() -> None:
    """Samoa had no 30 December 2011: two midnights at one moment have nothing between them."""
    assert ["2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"] == bounds(
        start="2011-12-29", end="2012-01-01", every="day", timezone="Pacific/Apia"
    )


@pytest.mark.slow
@given(
    st.sampled_from(ZONES),
    st.sampled_from(("hour", "day", "week", "week-thursday", "month", "quarter", "year", "P1D", "PT5H", "P2M")),
    st.integers(0, 400 * 24),
    st.integers(1, 100 * 24),
    st.one_of(st.none(), st.integers(-1_000, 1_000)),
)
def test_windows_tile_the_period(zone: str, every: str, first: int, hours: int, anchor: int | None) -> None:
    """Windows lie back to back from the start to the end, and a boundary inside is a midnight or the anchor's clock."""
    start = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=first)
    end = start + timedelta(hours=hours)
    fixed = None if anchor is None else datetime(2024, 7, 31, 12, tzinfo=UTC) + timedelta(hours=anchor)
    found = oracle_windows.periods(start, end, every, zone, fixed)
    assert (start, end) == (found[0][0], found[-1][1])
    assert [w[1] for w in found[:-1]] == [w[0] for w in found[1:]]
    if fixed is None and every in ("day", "week", "month", "quarter", "year"):
        clocks = [oracle_values.clock_at(w[0], zone) for w in found[1:]]
        skipped = [clock for clock in clocks if clock.hour]
        assert all(
            oracle_values.moment_at(c.replace(hour=0), zone) == oracle_values.moment_at(c, zone) for c in skipped
        )


def test_a_subscription_has_its_own_calendar() -> None:
    """Each row's anchor, interval and zone cut its subject's time, clipped to the row and to the call."""
    rows = [
        {
            "universe": "u",
            "subject": "customer:1",
            "anchor": "2024-01-15",
            "interval": "P1M",
            "zone": "Europe/Berlin",
            "starts": "2024-01-15",
            "ends": "2024-03-20",
        },
        {"universe": "u", "subject": "customer:2", "anchor": "2024-01-01"},
    ]
    cut = {"subscriptions": rows, "end": "2024-04-01", "every": "month"}
    expected = ["2024-01-14T23:00:00Z", "2024-02-14T23:00:00Z", "2024-03-14T23:00:00Z", "2024-03-19T23:00:00Z"]
    assert expected == bounds(**cut)
    assert [] == oracle_windows.windows_for("u", "customer:3", **cut)


# --- aggregations ----------------------------------------------------------------------------------------------------

YEAR = {"start": "2024-01-01", "end": "2025-01-01"}
HOUR = {"start": "2024-01-01T00:00:00", "end": "2024-01-01T01:00:00"}
MINUTES = [event(n, f"2024-01-01T00:{n:02}:00Z", q=str(n)) for n in range(10)]


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("first", "0"),
        ("avg", "4.5"),
        ("p50", "4"),
        ("p51", "5"),
        ("p95", "9"),
        ("p0.1", "0"),
        ("p10", "0"),
        ("p10.1", "1"),
        ("p100", "9"),
        ("median", "4.5"),
        ("p25-interpolated", "2.25"),
        ("p100-interpolated", "9"),
        ("integral", "29700"),
        ("integral-hours", "8.25"),
        ("time-weighted-avg-known", "8.25"),
        ("peak-state-of-deltas", "45"),
        ("sum-of-max per PT4M", "19"),
        ("max-of-sum per PT4M", "22"),
        ("avg-of-avg per PT4M", "5.166666666666666667"),
        ("count-of-max per PT4M", "3"),
    ],
)
def test_aggregations_by_hand(aggregation: str, expected: str) -> None:
    """The minutes 0 to 9 of an hour, each with its own number."""
    assert [Fraction(expected)] == read({"aggregation": aggregation}, *MINUTES, **HOUR)


def test_unique_count_counts_texts() -> None:
    """`1` and `1.0` are two texts; a repeated text is one."""
    events = [event(n, "2024-01-01T00:00:00Z", q=text) for n, text in enumerate(("1", "1.0", "a", "a", "A"))]
    assert [Fraction(4)] == read({"aggregation": "unique-count"}, *events, **YEAR)


def test_a_missing_property_is_a_group_of_its_own() -> None:
    """Inner groups are the values of a property, and its absence."""
    places = ({"krn": "a"}, {"krn": "a"}, {"krn": "b"}, {}, {})
    events = [event(n, "2024-01-01T00:00:00Z", q=str(n), **place) for n, place in enumerate(places)]
    measurement = {"aggregation": "sum-of-max", "innerDimension": "krn"}
    assert [Fraction(1 + 2 + 4)] == read(measurement, *events, **YEAR)


def test_the_known_time_alone_divides() -> None:
    """A level known for the last quarter of an hour averages to itself over that, to a quarter of it over the hour."""
    late = event(1, "2024-01-01T00:45:00Z", q="8")
    assert [Fraction(8)] == read({"aggregation": "time-weighted-avg", "divisor": "known"}, late, **HOUR)
    assert [Fraction(2)] == read({"aggregation": "time-weighted-avg", "divisor": "window"}, late, **HOUR)


def test_fill_puts_a_reading_in_every_window() -> None:
    """Zero where there is none, or what the window before said, and zero before the first."""
    events = [event(1, "2024-02-10T00:00:00Z", q="5"), event(2, "2024-04-10T00:00:00Z", q="7")]
    cut = {"start": "2024-01-01", "end": "2024-06-01", "every": "month"}
    assert [5, 7] == read({"aggregation": "sum"}, *events, **cut)
    assert [0, 5, 0, 7, 0] == read({"aggregation": "sum"}, *events, **cut, fill="zero")
    assert [0, 5, 5, 7, 7] == read({"aggregation": "sum"}, *events, **cut, fill="carry")


# --- quantities, spans and splits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("half-even", (2, -2, 2, -2, 3, -3, 0)),
        ("half-up", (2, -2, 3, -3, 3, -3, 0)),
        ("ceiling", (2, -1, 3, -2, 3, -2, 1)),
        ("floor", (1, -2, 2, -3, 2, -3, 0)),
    ],
)
def test_rounding_modes(mode: str, expected: tuple[int, ...]) -> None:
    """1.5, 2.5, 2.51 on both sides of zero, and 0.1, by the four modes; and the same in hundreds."""
    values = [Fraction(text) for text in ("1.5", "-1.5", "2.5", "-2.5", "2.51", "-2.51", "0.1")]
    assert list(expected) == [oracle.rounded(value, 0, mode) for value in values]
    assert [100 * n for n in expected] == [oracle.rounded(100 * value, -2, mode) for value in values]


def test_conversions_round_once() -> None:
    """Quantities are added, multiplied and divided exactly, then rounded to the scale."""
    measurement = {"sourceProperty": ["q", "r"], "aggregation": "sum", "divide": "3", "multiply": "2", "scale": 2}
    assert [Fraction("1.67")] == read(measurement, event(1, "2024-01-01T00:00:00Z", q="1", r="1.5"), **YEAR)


@pytest.mark.parametrize(
    ("span", "start", "end"),
    [
        ({"start": "a", "end": "b"}, "2024-01-01T00:00:00Z", "2024-01-01T02:00:00Z"),
        ({"start": "a"}, "2024-01-01T00:00:00Z", "2024-01-01T12:00:00Z"),
        ({"end": "c"}, "2024-01-01T12:00:00Z", "2024-01-02T00:00:00Z"),
        ({"duration": "d", "unit": "minutes"}, "2024-01-01T12:00:00Z", "2024-01-01T13:30:00Z"),
        ({"duration": "d", "unit": "minutes", "eventTime": "end"}, "2024-01-01T10:30:00Z", "2024-01-01T12:00:00Z"),
        ({"start": "a", "duration": "d", "unit": "hours"}, "2024-01-01T00:00:00Z", "2024-01-04T18:00:00Z"),
        ({"end": "b", "duration": "d", "unit": "seconds"}, "2024-01-01T01:58:30Z", "2024-01-01T02:00:00Z"),
        ({"start": "s", "times": "epoch-seconds"}, "2024-01-01T00:00:00.5Z", "2024-01-01T12:00:00Z"),
    ],
)
def test_spans_by_hand(span: dict[str, str], start: str, end: str) -> None:
    """What a span does not name is the event's time."""
    texts = {"a": "2024-01-01T00:00:00Z", "b": "2024-01-01T02:00:00Z", "c": "2024-01-02T00:00:00Z", "d": "90"}
    given = event(1, "2024-01-01T12:00:00Z", q="1", s="1704067200.5", **texts)
    config = {"measurements": [{"sourceProperty": "q", "unit": "x", "aggregation": "sum", "span": span}]}
    (record,) = oracle.meter([given], config).records
    assert (start, end) == tuple(oracle.text_of_time(record[name]) for name in ("window_start", "window_end"))


def test_a_split_loses_nothing() -> None:
    """10.00 over three equal days is 3.34, 3.33 and 3.33; what lies outside of the windows keeps its own part."""
    span = {"start": "a", "end": "b"}
    measurement = {"aggregation": "sum", "span": span, "proration": "by-time", "resultScale": 2}
    given = event(1, "2024-01-03T00:00:00Z", q="10", a="2024-01-01T00:00:00Z", b="2024-01-04T00:00:00Z")
    whole = {"start": "2024-01-01", "end": "2024-02-01", "every": "day"}
    assert [Fraction(text) for text in ("3.34", "3.33", "3.33")] == read(measurement, given, **whole)
    assert [Fraction("3.33")] == read(measurement, given, **{**whole, "start": "2024-01-03"})
    assert [Fraction("3.33")] == read(measurement, given, **{**whole, "end": "2024-01-02"})
    assert [Fraction("6.67")] == read(measurement, given, start="2023-01-01", end="2024-01-03")


@pytest.mark.parametrize(
    ("quantity", "scale", "expected"),
    [("10", 0, [4, 3, 3]), ("10", -1, [10, 0, 0]), ("155", -1, [50, 50, 50]), ("-1.25", 1, ["-0.4", "-0.4", "-0.4"])],
)
def test_parts_add_up_as_they_are_shown(quantity: str, scale: int, expected: list[str]) -> None:
    """A quantity that the result's scale can show is split at it; a finer one is split first and then rounded."""
    measurement = {"aggregation": "sum", "span": {"end": "b"}, "proration": "by-time", "resultScale": scale}
    given = event(1, "2024-01-01T00:00:00Z", q=quantity, b="2024-01-04T00:00:00Z")
    cut = {"start": "2024-01-01", "end": "2024-01-04", "every": "day"}
    assert [Fraction(text) for text in expected] == read(measurement, given, **cut)


def test_a_part_is_not_lost_between_windows() -> None:
    """A gap between two windows is one part, before, between or after."""
    span = {"start": "a", "end": "b"}
    measurement = {"aggregation": "sum", "span": span, "proration": "by-time", "resultScale": 0}
    given = event(1, "2024-01-03T00:00:00Z", q="7", a="2024-01-01T00:00:00Z", b="2024-01-06T00:00:00Z")
    windows = [("2024-01-02", "2024-01-03"), ("2024-01-05", "2024-01-09")]
    # Parts of 1, 1, 2 and 1 days: 1.4, 1.4, 2.8 and 1.4. Two units are left, for the .8 and for the first .4.
    assert [Fraction(1), Fraction(1)] == read(measurement, given, windows=windows)
    assert [Fraction(2), Fraction(1)] == read(
        measurement, given, windows=[("2024-01-01", "2024-01-02"), ("2024-01-05", "2024-01-09")]
    )
