"""Billing periods: calendars of zones, anchors, lists, subscriptions, whole periods, and the list that periods() gives.

Each is compared with the oracle's windows, which are made boundary by boundary with Python's zoneinfo, and spelled out
for the clocks of this world that skip or repeat a midnight.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv, parquet

import metering_duck
from metering_duck import ConfigError, SchemaError
from tests import oracle, oracle_windows
from tests.comparing import event, expect_readings, readings_of, worlds_strategy
from tests.selection import examples
from tests.worlds import CLOCK, Event, measuring

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
)
WORDS = ("hour", "day", "week", "week-sunday", "week-thursday", "month", "quarter", "year")
DURATIONS = ("PT15M", "PT24H", "PT7H", "P1D", "P2W", "P1M", "P1Y", "P3M")
GAUGES_AND_COUNTERS = measuring("sum", "count", "time-weighted-avg", "final-state")
# Around every change of a clock in 2024, and around the month ends between.
CHANGES = (
    "2024-03-10T05:00:00Z",
    "2024-03-10T07:00:00Z",
    "2024-03-30T22:00:00Z",
    "2024-03-31T01:00:00Z",
    "2024-03-31T23:00:00Z",
    "2024-04-06T15:00:00Z",
    "2024-04-25T22:00:00Z",
    "2024-10-05T15:30:00Z",
    "2024-10-26T21:00:00Z",
    "2024-10-27T00:30:00Z",
    "2024-10-27T01:00:00Z",
    "2024-10-31T20:00:00Z",
    "2024-11-03T04:00:00Z",
    "2024-11-03T05:00:00Z",
)


def near(moment: str, *, hours: int = 0, microseconds: int = 0) -> str:
    """A moment so much later, as text."""
    found = datetime.fromisoformat(moment) + timedelta(hours=hours, microseconds=microseconds)
    return oracle.text_of_time(found)


TIMES = tuple(
    near(change, hours=hours, microseconds=microseconds)
    for change in CHANGES
    for hours in (-5, -1, 0, 1, 2)
    for microseconds in (-1, 0)
)
PERIODS = {
    "spring": ("2024-03-29T13:00:00Z", "2024-04-07T02:30:00Z"),
    "autumn": ("2024-10-26T20:15:00Z", "2024-11-03T09:00:00Z"),
    "year": ("2024-01-31T11:00:00Z", "2024-12-30T10:00:00Z"),
}
CHANGING = dict(zip(("gap", "repeat"), (("2024-03-31", 23), ("2024-10-27", 25)), strict=True))


def listed(**options: Any) -> list[oracle.Row]:
    """The rows of periods()."""
    with metering_duck.periods(**options) as result:
        return result.to_dicts()


def bounds(**options: Any) -> list[tuple[str, str]]:
    """The windows that periods() lists, as text in UTC."""
    return [tuple(oracle.text_of_time(row[n]) for n in ("window_start", "window_end")) for row in listed(**options)]


def periods_fit(every: str) -> tuple[str, ...]:
    """The periods that an interval does not cut into thousands of windows."""
    return ("spring", "autumn") if every in ("hour", "PT15M", "PT7H") else ("spring", "autumn", "year")


# --- against the oracle ----------------------------------------------------------------------------------------------


@pytest.mark.sampled(6)
@pytest.mark.slow
@pytest.mark.parametrize("every", [*WORDS, "PT24H", "PT7H", "P1D", "P2W", "P1M"])
@examples(2)
@given(data=st.data())
def test_readings_of_a_zones_calendar_equal_the_oracle(every: str, data: st.DataObject) -> None:
    """Every interval in every zone has, window by window, the oracle's readings, gauges without a record included."""
    events = data.draw(worlds_strategy(TIMES, size=4))
    start, end = PERIODS[data.draw(st.sampled_from(periods_fit(every)))]
    zone = data.draw(st.sampled_from(ZONES))
    expect_readings(events, GAUGES_AND_COUNTERS, start=start, end=end, every=every, timezone=zone)


@pytest.mark.sampled(6)
@pytest.mark.slow
@pytest.mark.parametrize("every", ["month", "quarter", "P1M", "week", "P2W", "day", "PT24H", "hour"])
@examples(2)
@given(data=st.data())
def test_readings_of_anchored_periods_equal_the_oracle(every: str, data: st.DataObject) -> None:
    """Boundaries are so many intervals from an anchor, before or after the start, on the zone's clock."""
    events = data.draw(worlds_strategy(TIMES, size=4))
    start, end = PERIODS[data.draw(st.sampled_from(periods_fit(every)))]
    zone = data.draw(st.sampled_from(ZONES))
    anchor = data.draw(
        st.sampled_from(("2024-01-31T00:00:00", "2023-12-30T17:45:00", "2025-08-31T02:30:00", "2020-02-29T12:00:00Z"))
    )
    whole = data.draw(st.booleans())
    options = {"start": start, "end": end, "every": every, "timezone": zone, "anchor": anchor}
    expect_readings(events, GAUGES_AND_COUNTERS, **options, whole_periods=whole)


@pytest.mark.sampled(8)
@pytest.mark.slow
@pytest.mark.parametrize("every", [*WORDS, *DURATIONS])
@pytest.mark.parametrize("anchored", [False, True])
@settings(max_examples=6)
@given(data=st.data())
def test_listed_periods_equal_the_oracle(every: str, anchored: bool, data: st.DataObject) -> None:
    """periods() lists the oracle's windows, with what the local clock showed and how many hours each has."""
    zone = data.draw(st.sampled_from(ZONES))
    start = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=data.draw(st.integers(0, 500_000)))
    days = data.draw(st.integers(1, 9 if every in ("hour", "PT15M", "PT7H") else 500))
    anchor = datetime(2024, 7, 31, 12, tzinfo=UTC) + timedelta(hours=data.draw(st.integers(-9_000, 9_000)))
    end, fixed = start + timedelta(days=days), anchor if anchored else None
    whole = data.draw(st.booleans())
    rows = listed(start=start, end=end, every=every, timezone=zone, anchor=fixed, whole_periods=whole)
    expected = oracle_windows.periods(start, end, every, zone, fixed, whole)
    assert expected == [(row["window_start"], row["window_end"]) for row in rows]
    hours = [Fraction((w[1] - w[0]) // timedelta(microseconds=1), 3_600_000_000) for w in expected]
    assert [oracle.rounded(length, 6) for length in hours] == [
        oracle.rounded(Fraction(row["hours"]), 6) for row in rows
    ]
    for row in rows:
        for bound in ("start", "end"):
            assert row[f"window_{bound}"].astimezone(ZoneInfo(zone)).isoformat() == row[f"local_{bound}"]
    assert {(None, None, zone)} >= {(row["universe_id"], row["subject"], row["zone"]) for row in rows}
    assert list(range(len(rows))) == [row["window_index"] for row in rows]


@pytest.mark.slow
@examples(2)
@given(worlds_strategy(TIMES, size=4), st.lists(st.sampled_from(CHANGES), min_size=2, max_size=9, unique=True))
def test_readings_of_listed_windows_equal_the_oracle(events: list[Event], cuts: list[str]) -> None:
    """Windows may be given one by one, with gaps between them, in any order."""
    found = list(zip(sorted(cuts)[::2], sorted(cuts)[1::2], strict=False))[::-1]
    expect_readings(events, GAUGES_AND_COUNTERS, windows=found)
    clip = {"start": found[0][0], "end": near(found[0][1], microseconds=-1)}
    expect_readings(events, GAUGES_AND_COUNTERS, windows=found, **clip)


def subscriptions_strategy() -> st.SearchStrategy[list[Event]]:
    """Rows for the subjects of the first worlds, some of them twice, one after the other."""
    own = st.fixed_dictionaries(
        {"anchor": st.sampled_from(("2024-01-31T00:00:00Z", "2023-05-15T12:30:00Z", "2024-10-27T00:30:00Z", None))},
        optional={
            "interval": st.sampled_from(("month", "P1M", "week", "week-sunday", "quarter", "P2W", "PT36H")),
            "zone": st.sampled_from(ZONES),
        },
    )
    ended = st.sampled_from(({"ends": CHANGES[4]}, {"starts": CHANGES[4]}, {"starts": CHANGES[3], "ends": CHANGES[8]}))
    rows = []
    for universe in ("u00", "u01", "u02", "u03"):
        named = {"universe": universe, "subject": "customer:1"}
        once = st.tuples(own).map(lambda found, named=named: [{**named, **row} for row in found])
        some = st.tuples(own, ended).map(lambda found, named=named: [{**named, **found[0], **found[1]}])
        twice = st.tuples(own, own).map(
            lambda found, named=named: [
                {**named, **found[1], "starts": CHANGES[6]},
                {**named, **found[0], "zone": found[1].get("zone"), "ends": CHANGES[5]},
            ]
        )
        rows.append(st.one_of(once, some, twice, st.just([])))
    return st.tuples(*rows).map(lambda found: [row for some in found for row in some])


@pytest.mark.slow
@examples(8)
@given(worlds_strategy(TIMES, size=4), subscriptions_strategy(), st.sampled_from(ZONES))
def test_readings_of_subscriptions_equal_the_oracle(events: list[Event], rows: list[Event], zone: str) -> None:
    """Each subject has the windows of its own rows, each row its anchor, interval, zone, start and end."""
    if not rows:
        return
    start, end = PERIODS["year"]
    options = {"subscriptions": rows, "start": start, "end": end, "every": "month", "timezone": zone}
    expect_readings(events, GAUGES_AND_COUNTERS, **options)
    keys = {(row["universe"], row["subject"]) for row in rows}
    expected = sorted((*key, *w) for key in keys for w in oracle_windows.windows_for(*key, **options))
    actual = [
        tuple(row[name] for name in ("universe_id", "subject", "window_start", "window_end"))
        for row in listed(**options)
    ]
    assert expected == sorted(actual)


@pytest.mark.slow
@examples(2)
@given(worlds_strategy(TIMES, size=6), st.sampled_from(ZONES), st.sampled_from(("day", "week", "P1M")))
def test_windows_of_a_zone_add_up(events: list[Event], zone: str, every: str) -> None:
    """Sums, counts, numerators and divisors of the windows are those of the whole period, in any zone (R20)."""
    start, end = PERIODS["year"]
    early = [{**event, "id": f"early-{n}", "time": "2023-11-05T00:00:00Z"} for n, event in enumerate(events)]

    def totals(**cut: Any) -> dict[tuple[str, ...], tuple[Fraction, int, int]]:
        found: dict[tuple[str, ...], list[Any]] = defaultdict(lambda: [Fraction(0), 0, 0])
        for row in readings_of(events + early, measuring("sum", "time-weighted-avg"), start=start, end=end, **cut):
            plain = oracle.plain_reading(row)
            key = tuple(row[name] for name in ("workspace_id", "universe_id", "subject", "aggregation"))
            for place, name in enumerate(("exact", "record_count", "divisor_us")):
                found[key][place] += plain[name] or 0
        return {key: tuple(values) for key, values in found.items()}

    assert totals() == totals(every=every, timezone=zone)


# --- days of 23 and 25 hours -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("day", "hours"), CHANGING.values(), ids=CHANGING)
def test_days_in_berlin_have_23_or_25_hours_and_touch(day: str, hours: int) -> None:
    """The day on which the clock changes is an hour shorter or longer; each day begins where the one before ended."""
    month, end = day[:7], {"2024-03-31": "2024-04-01", "2024-10-27": "2024-11-01"}[day]
    rows = listed(start=f"{month}-01", end=end, every="day", timezone="Europe/Berlin")
    assert 31 == len(rows)
    assert [row["window_end"] for row in rows[:-1]] == [row["window_start"] for row in rows[1:]]
    assert {day: hours} == {r["local_start"][:10]: Decimal(r["hours"]) for r in rows if Decimal(r["hours"]) != 24}
    assert all(row["local_start"][10:19] == "T00:00:00" for row in rows)


@pytest.mark.parametrize(("day", "hours"), CHANGING.values(), ids=CHANGING)
def test_a_constant_level_averages_to_itself_on_every_day(day: str, hours: int) -> None:
    """A level that never changes is every day's average, however many hours the day has."""
    cut = {"start": f"{day[:7]}-01", "end": "2024-11-10", "every": "day", "timezone": "Europe/Berlin"}
    level = event(1, "2024-02-01T00:00:00Z", q="7.1")
    rows = readings_of([level], measuring("time-weighted-avg", "integral-hours"), **cut)
    averages = [row for row in rows if row["aggregation"] == "time-weighted-avg"]
    assert {Decimal("7.1")} == {row["quantity"] for row in averages}
    assert hours * 3_600_000_000 in {row["divisor_us"] for row in averages}
    held = {row["window_start"]: row["quantity"] for row in rows if row["aggregation"] == "integral-hours"}
    begins = datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=ZoneInfo("Europe/Berlin"))
    assert hours * Decimal("7.1") == held[begins.astimezone(UTC)]


@pytest.mark.parametrize("month", ["2024-03", "2024-10"])
def test_sums_by_day_add_up_to_the_month(month: str) -> None:
    """An event in each half hour of the weeks around a month is in one day, and the days are together the month."""
    first = datetime.fromisoformat(f"{month}-01T00:00:00Z") - timedelta(days=3)
    events = [event(n, oracle.text_of_time(first + n * timedelta(minutes=30)), q=str(n)) for n in range(48 * 38)]
    end = {"2024-03": "2024-04-01", "2024-10": "2024-11-01"}[month]
    options = {"start": f"{month}-01", "end": end, "timezone": "Europe/Berlin"}
    days = readings_of(events, measuring("sum", "count"), **options, every="day")
    whole = readings_of(events, measuring("sum", "count"), **options, every="month")
    hours = 31 * 24 + (-1 if month == "2024-03" else 1)
    assert ["count", "sum"] == [row["aggregation"] for row in whole]
    assert 2 * hours == whole[0]["quantity"]
    for row in whole:
        assert row["quantity"] == sum(d["quantity"] for d in days if d["aggregation"] == row["aggregation"])


# --- clocks that are hard to read ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "first", "end", "expected"),
    [
        ("America/Havana", "2024-03-09", "2024-03-12", ["03-09T05", "03-10T05", "03-11T04", "03-12T04"]),
        ("America/Havana", "2024-11-02", "2024-11-05", ["11-02T04", "11-03T04", "11-04T05", "11-05T05"]),
        ("Africa/Cairo", "2024-04-25", "2024-04-28", ["04-24T22", "04-25T22", "04-26T21", "04-27T21"]),
        ("Africa/Cairo", "2024-10-31", "2024-11-03", ["10-30T21", "10-31T22", "11-01T22", "11-02T22"]),
        ("Asia/Beirut", "2024-03-30", "2024-04-02", ["03-29T22", "03-30T22", "03-31T21", "04-01T21"]),
        ("Asia/Beirut", "2024-10-26", "2024-10-29", ["10-25T21", "10-26T22", "10-27T22", "10-28T22"]),
    ],
)
def test_midnights_that_do_not_exist_or_occur_twice(zone: str, first: str, end: str, expected: list[str]) -> None:
    """A midnight that is left out is the moment of the change; of two midnights the day begins with the first."""
    found = bounds(start=first, end=end, every="day", timezone=zone)
    assert [f"2024-{moment}:00:00Z" for moment in expected] == [found[0][0], *(window[1] for window in found)]
    assert found == bounds(start=first, end=end, every="P1D", timezone=zone)


def test_samoa_had_no_30_december_2011() -> None:
    """The day that never was has no window, and no event is lost by that."""
    cut = {"start": "2011-12-28", "end": "2012-01-02", "every": "day", "timezone": "Pacific/Apia"}
    days = ("28", "29", "30", "31")
    expected = [f"2011-12-{day}T10:00:00Z" for day in days] + ["2012-01-01T10:00:00Z"]
    assert list(pairwise(expected)) == bounds(**cut)
    assert ["2011-12-28", "2011-12-29", "2011-12-31", "2012-01-01"] == [r["local_start"][:10] for r in listed(**cut)]
    events = [event(n, f"2011-12-{day}T09:59:59Z", q="1") for n, day in enumerate((*days, "31", "29"))]
    assert 5 == sum(row["quantity"] for row in readings_of(events, measuring("sum"), **cut))


def test_hours_on_lord_howe_are_elapsed_hours() -> None:
    """Where the clock moves by thirty minutes an hour still has sixty, counted from a full hour of the clock."""
    spring = bounds(
        start="2024-10-06T00:30:00", end="2024-10-06T04:00:00", every="hour", timezone="Australia/Lord_Howe"
    )
    assert ["T14:00", "T14:30", "T15:30", "T16:30"] == [start[10:16] for start, _ in spring]
    autumn = bounds(
        start="2024-04-07T00:30:00", end="2024-04-07T03:00:00", every="hour", timezone="Australia/Lord_Howe"
    )
    assert ["T13:30", "T14:00", "T15:00", "T16:00"] == [start[10:16] for start, _ in autumn]
    days = listed(start="2024-04-06", end="2024-04-09", every="day", timezone="Australia/Lord_Howe")
    assert [24, Decimal("24.5"), 24] == [Decimal(row["hours"]) for row in days]


def test_a_local_time_that_does_not_exist_is_as_much_later() -> None:
    """02:30 in Berlin's gap is 03:30; 02:30 where it occurs twice is the first."""
    gap = bounds(start="2024-03-31T02:30:00", end="2024-04-01", timezone="Europe/Berlin")
    assert [("2024-03-31T01:30:00Z", "2024-03-31T22:00:00Z")] == gap
    twice = bounds(start="2024-10-27T02:30:00", end="2024-10-28", timezone="Europe/Berlin")
    assert [("2024-10-27T00:30:00Z", "2024-10-27T23:00:00Z")] == twice


def test_an_offset_is_stronger_than_the_zone() -> None:
    """A bound with an offset is that moment, whatever the zone; one without is the zone's clock."""
    with_offset = bounds(start="2024-01-01T00:00:00Z", end="2024-01-02T00:00:00+05:45", timezone="Asia/Kathmandu")
    assert [("2024-01-01T00:00:00Z", "2024-01-01T18:15:00Z")] == with_offset
    without = bounds(start="2024-01-01", end=datetime(2024, 1, 2), timezone="Asia/Kathmandu")
    assert [("2023-12-31T18:15:00Z", "2024-01-01T18:15:00Z")] == without


# --- anchors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", ["month", "P1M"])
@pytest.mark.parametrize("anchor", ["2023-10-31", "2024-01-31", "2026-12-31"])
def test_an_anchor_on_the_31st_comes_back_to_it(every: str, anchor: str) -> None:
    """A short month ends its period on its last day, and the next one is on the 31st again, in a leap year too."""
    found = bounds(start="2023-12-31", end="2024-07-31", every=every, anchor=anchor)
    days = ["2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31", "2024-06-30"]
    assert [f"{day}T00:00:00Z" for day in days] == [start for start, _ in found]


def test_an_anchor_on_a_leap_day() -> None:
    """Years from 29 February are on the 28th in common years, and on the 29th again after four."""
    found = bounds(start="2020-02-29", end="2025-01-01", every="year", anchor="2020-02-29")
    assert ["02-29", "02-28", "02-28", "02-28", "02-29"] == [start[5:10] for start, _ in found]


def test_anchored_days_keep_the_clock_and_anchored_hours_the_time() -> None:
    """Days at six in the morning stay at six; 24 hours from six in the morning are seven after the change."""
    cut = {"start": "2024-03-30", "end": "2024-04-02", "timezone": "Europe/Berlin", "anchor": "2024-03-01T06:00:00"}
    clocks = {
        every: {row["local_start"][11:16] for row in listed(every=every, **cut)[1:]}
        for every in ("day", "P1D", "PT24H")
    }
    assert {"day": {"06:00"}, "P1D": {"06:00"}, "PT24H": {"06:00", "07:00"}} == clocks


def test_whole_periods_begin_inside_and_are_not_clipped() -> None:
    """A period that runs at the start belongs to the call before; one that begins before the end is whole."""
    cut = {"start": "2024-01-15", "end": "2024-03-02", "every": "month"}
    months = [f"2024-0{n}-01T00:00:00Z" for n in (2, 3, 4)]
    assert list(pairwise(months)) == bounds(**cut, whole_periods=True)
    events = [event(n, f"2024-0{n}-20T00:00:00Z", q=str(n)) for n in (1, 2, 3, 4)]
    rows = readings_of(events, measuring("sum"), **cut, whole_periods=True)
    assert [2, 3] == [row["quantity"] for row in rows]


# --- lists and subscriptions -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_windows_may_be_a_table() -> None:
    """Pairs, dicts, and a table with a subject's own windows, all in any order."""
    events = [event(n, f"2024-01-{n:02}T12:00:00Z", q=str(n), subject=f"customer:{n % 2}") for n in range(1, 9)]
    pairs = [("2024-01-05", "2024-01-08"), ("2024-01-01", "2024-01-03")]
    rows = [{"start": start, "end": end} for start, end in pairs]
    expected = [("customer:0", 2), ("customer:0", 6), ("customer:1", 1), ("customer:1", 12)]
    for given_windows in (pairs, rows, pa.Table.from_pylist(rows)):
        found = readings_of(events, measuring("sum"), windows=given_windows)
        assert expected == [(row["subject"], row["quantity"]) for row in found]
    own = [{**row, "universe": "u", "subject": "customer:1"} for row in rows]
    found = readings_of(events, measuring("sum"), windows=own)
    assert expected[2:] == [(row["subject"], row["quantity"]) for row in found]


def test_listed_periods_may_be_given_as_windows(tmp_path: Path) -> None:
    """What periods writes can be given as windows: columns that say no more than others do no harm."""
    path = tmp_path / "weeks.csv"
    metering_duck.periods(start="2024-01-01", end="2024-02-01", every="week").write(str(path))
    given = [event(1, "2024-01-09T00:00:00Z", q="2")]

    cut = readings_of(given, measuring("sum"), start="2024-01-01", end="2024-02-01", every="week")
    assert cut == readings_of(given, measuring("sum"), windows=str(path))


def test_windows_without_an_offset_are_local() -> None:
    """A listed bound without an offset is the zone's clock, and the call's bounds clip."""
    pairs = [("2024-01-01", "2024-01-03")]
    clip = {"start": "2024-01-02T00:00:00Z", "timezone": "Europe/Berlin"}
    assert [("2023-12-31T23:00:00Z", "2024-01-02T23:00:00Z")] == bounds(windows=pairs, timezone="Europe/Berlin")
    assert [("2024-01-02T00:00:00Z", "2024-01-02T23:00:00Z")] == bounds(windows=pairs, **clip)


SUBSCRIPTIONS = [
    {"universe": "u", "subject": "customer:1", "anchor": "2024-01-31", "interval": "month", "zone": "Europe/Berlin"},
    {"universe": "u", "subject": "customer:2", "starts": "2024-02-10", "ends": "2024-04-05", "interval": "P1M"},
]


def test_each_subscription_is_cut_at_its_own_days() -> None:
    """An anchor on the 31st in Berlin beside months counted from the day a subscription began."""
    rows = listed(subscriptions=SUBSCRIPTIONS, start="2024-02-01", end="2024-05-01")
    starts: dict[str, list[str]] = {}
    for row in rows:
        starts.setdefault(row["subject"], []).append(row["local_start"])
    assert {
        "customer:1": [
            "2024-02-01T01:00:00+01:00",
            "2024-02-29T00:00:00+01:00",
            "2024-03-31T00:00:00+01:00",
            "2024-04-30T00:00:00+02:00",
        ],
        "customer:2": ["2024-02-10T00:00:00", "2024-03-10T00:00:00"],
    } == {
        "customer:1": starts["customer:1"],
        "customer:2": [text[:19] for text in starts["customer:2"]],
    }
    assert {"customer:1": "Europe/Berlin", "customer:2": "UTC"} == {row["subject"]: row["zone"] for row in rows}
    assert oracle.time_of("2024-04-05T00:00:00Z") == rows[-1]["window_end"]


def test_only_subscribed_subjects_have_readings() -> None:
    """A subject that is not in the table has no reading; a notice counts it."""
    events = [event(n, "2024-03-15T00:00:00Z", q="1", subject=f"customer:{n}") for n in (1, 2, 3)]
    options = {"subscriptions": SUBSCRIPTIONS, "start": "2024-02-01", "end": "2024-05-01", "clock": CLOCK}
    with metering_duck.aggregate(events, measuring("sum"), **options) as result:
        assert ["customer:1", "customer:2"] == [row["subject"] for row in result.to_dicts()]
        assert (3, 3) == (result.accounting.read, result.accounting.metered)
        assert [True] == ["subscri" in notice for notice in result.notices if "1 " in notice]


def test_subscriptions_with_both_bounds_need_no_call_bounds() -> None:
    """Where every row begins and ends, the call need not."""
    rows = [{**SUBSCRIPTIONS[1], "zone": None}]
    found = bounds(subscriptions=rows)
    assert [f"2024-{day}T00:00:00Z" for day in ("02-10", "03-10")] == [start for start, _ in found]


@pytest.mark.slow
def test_a_rows_own_bounds_are_in_its_zone() -> None:
    """A start, end and anchor without an offset are the row's zone's clock, be they text, a date or a timestamp."""
    named = {"universe": "u", "subject": "customer:1", "zone": "Asia/Kathmandu", "interval": "month"}
    texts = {"anchor": "2024-01-15", "starts": "2024-02-10", "ends": "2024-03-20"}
    expected = [
        ("2024-02-09T18:15:00Z", "2024-02-14T18:15:00Z"),
        ("2024-02-14T18:15:00Z", "2024-03-14T18:15:00Z"),
        ("2024-03-14T18:15:00Z", "2024-03-19T18:15:00Z"),
    ]
    clocks = {name: datetime.fromisoformat(text) for name, text in texts.items()}
    dates = {name: clock.date() for name, clock in clocks.items()}
    moments = {name: clock.replace(tzinfo=ZoneInfo("Asia/Kathmandu")) for name, clock in clocks.items()}
    for times in (texts, clocks, dates, moments):
        assert expected == bounds(subscriptions=[{**named, **times}], timezone="Europe/Berlin")
        assert expected == bounds(subscriptions=pa.Table.from_pylist([{**named, **times}]), timezone="Europe/Berlin")


@pytest.mark.slow
def test_subscriptions_may_be_a_file_or_a_frame(tmp_path: Path) -> None:
    """Parquet, CSV, Polars, pandas, Arrow and dicts are the same table."""
    table = pa.Table.from_pylist([dict.fromkeys(("zone", "starts", "ends", "anchor")) | row for row in SUBSCRIPTIONS])
    parquet.write_table(table, tmp_path / "subscriptions.parquet")
    csv.write_csv(table, tmp_path / "subscriptions.csv")
    clip = {"start": "2024-02-01", "end": "2024-05-01"}
    expected = listed(subscriptions=SUBSCRIPTIONS, **clip)
    files = (tmp_path / "subscriptions.parquet", str(tmp_path / "subscriptions.csv"))
    for given_rows in (*files, table, polars.from_arrow(table), table.to_pandas()):
        assert expected == listed(subscriptions=given_rows, **clip)


# --- what is refused -------------------------------------------------------------------------------------------------

NAMED = {"universe": "u", "subject": "customer:1"}
YEAR = {"start": "2024-01-01", "end": "2025-01-01"}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown zone": ({**YEAR, "every": "day", "timezone": "Europe/Berlyn"}, "Europe/Berlyn"),
    "an unknown interval": ({**YEAR, "every": "fortnight"}, "fortnight"),
    "an unknown weekday": ({**YEAR, "every": "week-funday"}, "week-funday"),
    "months and days": ({**YEAR, "every": "P1M2D"}, "P1M2D"),
    "an inverted period": ({"start": "2025-01-01", "end": "2024-01-01", "every": "day"}, "inverted"),
    "an empty period": ({"start": "2024-01-01", "end": "2024-01-01"}, "empty"),
    "no end": ({"start": "2024-01-01", "every": "day"}, "end"),
    "overlapping windows": ({"windows": [("2024-01-01", "2024-01-03"), ("2024-01-02", "2024-01-04")]}, "overlap"),
    "an inverted window": ({"windows": [("2024-01-03", "2024-01-01")]}, "inverted"),
    "an empty window": ({"windows": [("2024-01-03", "2024-01-03")]}, "empty"),
    "an unknown zone of a row": (
        {**YEAR, "every": "month", "subscriptions": [{**NAMED, "zone": "Mars/Phobos"}]},
        "Mars/Phobos",
    ),
    "an unknown interval of a row": ({**YEAR, "subscriptions": [{**NAMED, "interval": "moon"}]}, "moon"),
    "rows that overlap": (
        {
            **YEAR,
            "every": "month",
            "subscriptions": [{**NAMED, "ends": "2024-05-02"}, {**NAMED, "starts": "2024-05-01"}],
        },
        "overlap",
    ),
    "a row that ends before it starts": (
        {**YEAR, "every": "month", "subscriptions": [{**NAMED, "starts": "2024-05-02", "ends": "2024-05-01"}]},
        "inverted",
    ),
    "a row without an end": ({"every": "month", "subscriptions": [{**NAMED, "starts": "2024-05-02"}]}, "end"),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("options", "named"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_cut_is_refused(options: dict[str, Any], named: str) -> None:
    """A period that cannot be is a ConfigError that names what it found, for readings and for the list alike."""
    events = [event(1, "2024-01-02T00:00:00Z", q="1")]
    with pytest.raises(ConfigError) as raised, metering_duck.aggregate(events, measuring("sum"), **options) as result:
        result.to_dicts()
    assert named in str(raised.value)
    with pytest.raises(ConfigError) as raised, metering_duck.periods(**options) as result:
        result.to_dicts()
    assert named in str(raised.value)


@pytest.mark.parametrize(
    ("options", "column"),
    [({"windows": [{"start": "2024-01-03"}]}, "end"), ({**YEAR, "subscriptions": [{"universe": "u"}]}, "subject")],
)
def test_a_table_that_lacks_a_column_is_refused(options: dict[str, Any], column: str) -> None:
    """A list of windows has a start and an end, a subscription its universe and subject: the column is named."""
    with pytest.raises(SchemaError, match=column):
        listed(**options)


def test_no_list_of_windows_may_overlap_for_one_subject_alone() -> None:
    """Two subjects may have windows at one time; one subject may not."""
    windows = [
        {"start": "2024-01-01", "end": "2024-01-03", **NAMED},
        {"start": "2024-01-02", "end": "2024-01-04", **NAMED, "subject": "customer:2"},
    ]
    assert 2 == len(bounds(windows=windows))
    with pytest.raises(ConfigError, match="overlap"):
        bounds(
            windows=[*windows, {"start": "2024-01-03T23:00:00", "end": "2024-01-05", **NAMED, "subject": "customer:2"}]
        )


def test_listed_windows_that_begin_inside_are_kept_whole() -> None:
    """With whole_periods a listed window, and a subscription without an interval, is kept whole or not at all."""
    listed = [("2024-01-01", "2024-01-15"), ("2024-01-15", "2024-02-01"), ("2024-03-01", "2024-04-01")]
    call = {"start": "2024-01-10", "end": "2024-03-10", "whole_periods": True}
    expected = [(f"{start}T00:00:00Z", f"{end}T00:00:00Z") for start, end in listed[1:]]
    assert expected == bounds(windows=listed, **call)
    rows = [{"universe": "u", "subject": "customer:1", "starts": start, "ends": end} for start, end in listed]
    assert expected == bounds(subscriptions=rows, **call)


def test_local_times_go_by_one_set_of_zone_rules() -> None:
    """Bounds and windows are read by the same rules, also where those of other programs are older: days are whole."""
    for zone in ("America/Vancouver", "Africa/Casablanca", "America/Havana"):
        rows = listed(start="2026-12-01", end="2026-12-08", every="day", timezone=zone)
        assert ([24] * 7, ["00:00:00"] * 7) == (
            [row["hours"] for row in rows],
            [row["local_start"][11:19] for row in rows],
        )
