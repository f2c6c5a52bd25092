"""First, average, unique count, percentiles, aggregations of aggregations, and windows that are filled."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import metering_duck
from metering_duck import ConfigError
from tests import oracle
from tests.comparing import event, expect_readings, readings_of, worlds_strategy
from tests.selection import examples
from tests.worlds import CLOCK, Event, measuring

START, END = "2024-03-30T00:00:00Z", "2024-04-02T12:00:00Z"
WINDOW = {"start": START, "end": END}
TIMES = (
    "2024-01-05T00:00:00Z",
    "2024-03-29T23:59:59.999999Z",
    START,
    "2024-03-30T00:59:59.999999Z",
    "2024-03-30T01:00:00Z",
    "2024-03-30T22:30:00Z",
    "2024-03-30T23:00:00Z",
    "2024-03-31T00:59:59Z",
    "2024-03-31T01:00:00Z",
    "2024-03-31T22:00:00Z",
    "2024-04-01T11:15:00.5Z",
    "2024-04-01T11:45:00Z",
    "2024-04-02T11:59:59.999999Z",
    END,
)
PERCENTILES = ("p50", "p95", "p99.9", "p100", "p0.1", "p33", "median", "p95-interpolated", "p25-interpolated")
INTERPOLATED = ("p33.3-interpolated", "p99.99-interpolated", "p100-interpolated")
DAY = {"start": "2024-01-01", "end": "2024-01-02"}


def numbers(*texts: str) -> list[Event]:
    """Events of one day, one for each text, a minute apart."""
    return [event(f"{n:02}", f"2024-01-01T{n // 60:02}:{n % 60:02}:00Z", q=text) for n, text in enumerate(texts)]


def quantity(aggregation: str, *texts: str, **measured: Any) -> Decimal:
    """The one reading of a day with these quantities."""
    (row,) = readings_of(numbers(*texts), measuring(aggregation, **measured), **DAY)
    return row["quantity"]


# --- one level -------------------------------------------------------------------------------------------------------


@examples(6)
@given(worlds_strategy(TIMES), st.sampled_from(("day", None)), st.sampled_from(((), ("region",))), st.booleans())
def test_first_and_average_equal_the_oracle(
    events: list[Event], every: str | None, group_by: tuple[str, ...], across_workspaces: bool
) -> None:
    """The first record in the order of R13, and the exact sum over the count, rounded once."""
    options = {"every": every, "group_by": group_by, "across_workspaces": across_workspaces}
    expect_readings(events, measuring("first", "avg", "latest", "sum"), **WINDOW, **options)


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("aggregation", [*PERCENTILES, *INTERPOLATED])
@examples(2)
@given(events=worlds_strategy(TIMES), every=st.sampled_from(("week", None)))
def test_percentiles_equal_the_oracle(aggregation: str, events: list[Event], every: str | None) -> None:
    """Nearest rank is a quantity that was there; interpolated lies on the line between two ranks, rounded once."""
    expect_readings(events, measuring(aggregation), **WINDOW, every=every)


@examples(4)
@given(
    worlds_strategy(TIMES, quantities=("1", "1.0", "a", "A", "é", "e\u0301", " ", "NULL", "'")),
    st.sampled_from(("day", None)),
)
def test_unique_counts_equal_the_oracle(events: list[Event], every: str | None) -> None:
    """Every text is its own, be it a number or not."""
    expect_readings(events, measuring("unique-count"), **WINDOW, every=every)


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("p50", "35"),
        ("p5", "15"),
        ("p30", "20"),
        ("p40", "20"),
        ("p50.1", "35"),
        ("p100", "50"),
        ("median", "35"),
        ("p40-interpolated", "29"),
        ("p75-interpolated", "40"),
        ("p100-interpolated", "50"),
    ],
)
def test_percentiles_by_the_book(aggregation: str, expected: str) -> None:
    """15, 20, 35, 40 and 50: the textbook's example of both definitions."""
    assert Decimal(expected) == quantity(aggregation, "40", "15", "50", "20", "35")


def test_a_percentile_of_one_value_is_the_value() -> None:
    """Whatever the percentage and the definition."""
    assert [Decimal("7.5")] * 3 == [quantity(name, "7.5") for name in ("p1", "p99.9", "p95-interpolated")]


@pytest.mark.parametrize("scale", [0, 2, 18])
def test_an_average_is_rounded_once(scale: int) -> None:
    """Two thirds, to any scale, with the exact sum and the count beside it."""
    (row,) = readings_of(numbers("1", "1", "0"), measuring("avg", resultScale=scale), **DAY)
    assert ("2", 3, None) == (row["numerator"], row["record_count"], row["divisor_us"])
    assert oracle.rounded(Fraction(2, 3), scale) == Fraction(row["quantity"])


def test_the_first_of_equal_moments_is_the_one_that_entered_first() -> None:
    """first looks from the other end of the order that latest looks at, and names the record (R13)."""
    events = [
        {**event(number, "2024-01-01T10:00:00Z", q=number), "meteredAt": f"2024-01-0{number}T00:00:00Z"}
        for number in ("3", "2", "4")
    ]
    first, latest = readings_of(events, measuring("first", "latest"), **DAY)
    assert [("first", 2, "e2"), ("latest", 4, "e4")] == [
        (row["aggregation"], row["quantity"], row["last_event_id"]) for row in (first, latest)
    ]
    assert oracle.time_of("2024-01-02T00:00:00Z") == first["last_metered_at"]


def test_a_unique_count_needs_its_property() -> None:
    """An absent property is source-missing; a text that is no number is a text."""
    events = [*numbers("x", "y", "x", ""), event("without", "2024-01-01T00:00:00Z")]
    with metering_duck.aggregate(events, measuring("unique-count"), clock=CLOCK, **DAY) as result:
        (row,) = result.to_dicts()
        reasons = [(reject["id"], reject["reason"]) for reject in result.rejects.to_pylist()]
    assert (Decimal(3), 4) == (row["quantity"], row["record_count"])
    assert [("ewithout", "source-missing")] == reasons


def test_records_of_a_unique_count_carry_the_text() -> None:
    """A record of a unique count is one, and says of what."""
    with metering_duck.meter(numbers("x", "7"), measuring("unique-count"), clock=CLOCK) as result:
        found = [(row["quantity"], row["value"], row["aggregation"]) for row in result.to_dicts()]
    assert [(Decimal(1), "7", "unique-count"), (Decimal(1), "x", "unique-count")] == sorted(found, key=lambda f: f[1])


@pytest.mark.parametrize(
    "name",
    [
        "p0",
        "p100.1",
        "p-5",
        "p",
        "px",
        "p5e1",
        "p95-extrapolated",
        "average",
        "sum-of-nothing",
        "latest-of-sum",
        "sum-of-max",
        "time-weighted-avg-of-max per hour",
        "sum-of-max per fortnight",
        "sum-of-max per hour by krn",
        "sum-of-sum-of-max per hour",
        "sum per hour",
        "count-of-deltas",
    ],
)
def test_names_of_no_aggregation_are_refused(name: str) -> None:
    """What is no aggregation, or half of one, is a ConfigError."""
    with pytest.raises(ConfigError), metering_duck.aggregate(numbers("1"), measuring(name), **DAY) as result:
        result.to_dicts()


# --- aggregations of aggregations ------------------------------------------------------------------------------------

OUTER = ("sum", "max", "min", "avg", "count", "p95", "median")
INNER = ("max", "sum", "avg", "latest", "first", "count", "time-weighted-avg", "peak-state", "final-state", "p50")


@pytest.mark.sampled(12)
@pytest.mark.parametrize("outer", OUTER)
@examples(3)
@given(data=st.data())
def test_aggregations_of_inner_windows_equal_the_oracle(outer: str, data: st.DataObject) -> None:
    """One aggregation of another's readings of the hours, days or weeks in each window, clipped at its ends."""
    events = data.draw(worlds_strategy(TIMES, size=6))
    inner = data.draw(st.sampled_from((*INNER, "min", "integral-hours", "p50-interpolated")))
    per = data.draw(st.sampled_from(("hour", "day", "week-sunday", "PT7H", "P1D")))
    cut = data.draw(st.sampled_from(({}, {"every": "day"}, {"every": "PT31H"}, {"every": "week", "anchor": START})))
    zone = data.draw(st.sampled_from(("UTC", "Europe/Berlin", "Asia/Beirut")))
    config = measuring(f"{outer}-of-{inner}", innerWindow=per)
    rows = expect_readings(events, config, **WINDOW, **cut, timezone=zone)
    called = readings_of(
        events, measuring("sum"), aggregation=f"{outer}-of-{inner} per {per}", **WINDOW, **cut, timezone=zone
    )
    assert oracle.in_order(rows) == oracle.in_order(map(oracle.plain_reading, called))


@pytest.mark.slow
@pytest.mark.sampled(6)
@pytest.mark.parametrize("outer", OUTER)
@examples(2)
@given(data=st.data())
def test_aggregations_of_inner_groups_equal_the_oracle(outer: str, data: st.DataObject) -> None:
    """One aggregation of another's readings of each value of a property, its absence being a value of its own."""
    events = data.draw(worlds_strategy(TIMES, size=6))
    inner = data.draw(st.sampled_from(INNER))
    cut = data.draw(st.sampled_from(({}, {"every": "day", "timezone": "Europe/Berlin"}, {"group_by": ("region",)})))
    expect_readings(events, measuring(f"{outer}-of-{inner}", innerDimension="krn"), **WINDOW, **cut)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("named", [{"innerWindow": "day"}, {"innerDimension": "krn"}], ids=str)
@examples(2)
@given(events=worlds_strategy(TIMES, size=6))
def test_levels_of_deltas_in_two_levels_equal_the_oracle(named: dict[str, str], events: list[Event]) -> None:
    """Changes add up to the level of each inner group, or to the one level that inner windows cut."""
    expect_readings(
        events, measuring("sum-of-time-weighted-avg", "max-of-peak-state", values="deltas", **named), **WINDOW
    )


def test_the_sum_of_hourly_peaks() -> None:
    """Peaks of 5, 7 and 2 in three hours of a day are 14, the hours without a record being none."""
    events = [
        event(n, f"2024-01-01T{time}:00Z", q=text)
        for n, (time, text) in enumerate((("00:00", "5"), ("00:59", "3"), ("01:00", "7"), ("23:30", "2")))
    ]
    (row,) = readings_of(events, measuring("sum-of-max", innerWindow="hour"), **DAY)
    assert ("sum-of-max", Decimal(14), 4) == (row["aggregation"], row["quantity"], row["record_count"])
    (same,) = readings_of(events, measuring("sum-of-max per hour"), **DAY)
    assert row == same


def test_inner_averages_are_rounded_before_they_are_added() -> None:
    """Three thirds, each rounded to 18 digits, add up to what the eye adds up (R16)."""
    events = [
        event(f"{hour}-{minute}", f"2024-01-01T0{hour}:0{minute}:00Z", q="1" if minute == 0 else "0")
        for hour in range(3)
        for minute in range(3)
    ]
    (row,) = readings_of(events, measuring("sum-of-avg per hour"), **DAY)
    assert Decimal("0.999999999999999999") == row["quantity"]


def test_levels_of_several_things_add_up() -> None:
    """The levels of two disks, each held until its own next one: their averages are added, not their events."""
    events = [
        event(1, "2023-12-31T00:00:00Z", q="10", krn="disk-1"),
        event(2, "2024-01-01T12:00:00Z", q="30", krn="disk-1"),
        event(3, "2024-01-01T06:00:00Z", q="4", krn="disk-2"),
        event(4, "2024-01-01T18:00:00Z", q="8"),
    ]
    (row,) = readings_of(events, measuring("sum-of-time-weighted-avg", innerDimension="krn"), **DAY)
    assert (Decimal(20 + 3 + 2), 3, True) == (row["quantity"], row["record_count"], row["carried"])


def test_records_say_how_their_levels_are_taken() -> None:
    """A record's aggregation names the inner window or property, so that records need no config."""
    config = {
        "measurements": [
            {"sourceProperty": "q", "unit": "a", "aggregation": "sum-of-max", "innerWindow": "hour"},
            {"sourceProperty": "q", "unit": "b", "aggregation": "max-of-sum", "innerDimension": "krn"},
            {"sourceProperty": "q", "unit": "c", "aggregation": "p95-of-avg per P1D"},
        ]
    }
    with metering_duck.meter(numbers("1"), config, clock=CLOCK) as result:
        found = {row["unit"]: row["aggregation"] for row in result.to_dicts()}
    assert {"a": "sum-of-max per hour", "b": "max-of-sum by krn", "c": "p95-of-avg per P1D"} == found


# --- fill ------------------------------------------------------------------------------------------------------------

FILLED = ("sum", "count", "max", "latest", "avg", "p50", "unique-count")


def core(rows: list[oracle.Row]) -> list[oracle.Row]:
    """Rows without the state that a filled reading has none of."""
    return oracle.in_order(
        {name: row[name] for name in row if name not in ("exact", "divisor_us", "last")} for row in rows
    )


@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.parametrize("fill", ["zero", "carry"])
@examples(4)
@given(data=st.data())
def test_filled_windows_equal_the_oracle(fill: str, data: st.DataObject) -> None:
    """Every key that any metered record has, has a reading in every window: zero, or what the window before it said."""
    events = data.draw(worlds_strategy(TIMES, size=5))
    names = data.draw(
        st.sampled_from((FILLED, ("time-weighted-avg", "final-state", "integral"), ("sum",), ("sum-of-max per hour",)))
    )
    cut = data.draw(st.sampled_from(({"every": "day"}, {"every": "PT7H"}, {"every": "week", "group_by": ("region",)})))
    options = {**WINDOW, **cut, "fill": fill, "timezone": data.draw(st.sampled_from(("UTC", "Europe/Berlin")))}
    config = measuring(*names)
    books = oracle.meter(events, config, clock=CLOCK)
    expected = oracle.readings(books.records, config=config, **options)
    actual = readings_of(events, config, **options)
    assert core(expected) == core([oracle.plain_reading(row) for row in actual])
    assert len(actual) == len({row["id"] for row in actual})


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        ("none", [("02", 5, 1, False), ("04", 7, 2, False)]),
        (
            "zero",
            [("01", 0, 0, False), ("02", 5, 1, False), ("03", 0, 0, False), ("04", 7, 2, False), ("05", 0, 0, False)],
        ),
        (
            "carry",
            [("01", 0, 0, False), ("02", 5, 1, False), ("03", 5, 0, True), ("04", 7, 2, False), ("05", 7, 0, True)],
        ),
    ],
)
def test_months_without_a_record(fill: str, expected: list[tuple[str, int, int, bool]]) -> None:
    """February and April have records: the other months are left out, or zero, or as the month before."""
    days = ("2024-02-10", "2024-04-01", "2024-04-30")
    events = [event(n, f"{day}T00:00:00Z", q=text) for n, (day, text) in enumerate(zip(days, "534", strict=True))]
    rows = readings_of(events, measuring("sum"), start="2024-01-01", end="2024-06-01", every="month", fill=fill)
    shown = [(f"{r['window_start']:%m}", r["quantity"], r["record_count"], r["carried"]) for r in rows]
    assert expected == shown
    entered = {(row["carried"], row["record_count"] == 0, row["max_metered_at"] is None) for row in rows}
    assert {
        "none": {(False, False, False)},
        "zero": {(False, False, False), (False, True, True)},
        "carry": {(False, False, False), (False, True, True), (True, True, False)},
    }[fill] == entered


def test_a_key_outside_of_all_windows_is_filled_too() -> None:
    """A subject whose only record came later or earlier has its zeros: any metered record makes its key."""
    events = [event(1, "2023-01-01T00:00:00Z", q="1"), event(2, "2025-01-01T00:00:00Z", q="1", subject="customer:2")]
    rows = readings_of(events, measuring("sum"), start="2024-01-01", end="2024-03-01", every="month", fill="zero")
    assert [("customer:1", 0)] * 2 + [("customer:2", 0)] * 2 == [(row["subject"], row["quantity"]) for row in rows]


def test_fill_is_one_of_three() -> None:
    """Another word is a ConfigError that names them."""
    with pytest.raises(ConfigError, match="carry"):
        readings_of(numbers("1"), measuring("sum"), **DAY, fill="forward")


# --- records in between ----------------------------------------------------------------------------------------------


def test_records_without_their_text_cannot_be_told_apart() -> None:
    """A record that does not say which text it measured is rejected by unique-count, and is never counted as none."""
    with metering_duck.meter(numbers("1", "2"), measuring("sum"), clock=CLOCK) as metered:
        records = metered.to_arrow()
    with metering_duck.aggregate(records=records, aggregation="unique-count", **DAY) as readings:
        assert ([], {"value-missing": 2}) == (readings.to_dicts(), readings.accounting.reasons)


def test_records_round_as_their_config_says() -> None:
    """A measurement's rounding holds for records as for events, when its config is given."""
    config = measuring("sum", resultScale=0, rounding="ceiling")
    with metering_duck.meter(numbers("1.25", "2"), config, clock=CLOCK) as metered:
        records = metered.to_arrow()
    with metering_duck.aggregate(records=records, config=config, **DAY) as readings:
        assert [4] == [row["quantity"] for row in readings.to_dicts()]


def test_what_is_split_under_sum_is_whole_under_another_and_says_so() -> None:
    """An aggregation chosen for all that does not split spans is named in a notice."""
    config = measuring("sum", span={"start": "a"}, proration="by-time")
    given_event = event(1, "2024-01-01T12:00:00Z", q="7", a="2023-12-31T12:00:00Z")
    with metering_duck.aggregate([given_event], config, aggregation="max", **DAY) as readings:
        assert [7] == [row["quantity"] for row in readings.to_dicts()]
        assert ["by-time is for sum" in notice for notice in readings.notices] == [True]


def test_unique_count_takes_one_property() -> None:
    """Texts of several properties are not one text: unique-count of a list is refused, with the place."""
    config = {"measurements": [{"sourceProperty": ["q", "r"], "unit": "users", "aggregation": "unique-count"}]}
    with pytest.raises(ConfigError) as caught:
        metering_duck.aggregate(numbers("1"), config, **DAY)
    expected = "measurements[0].sourceProperty: found several with unique-count; expected one."
    assert expected == str(caught.value)
