"""Levels over time and usage over time: integrals, deltas, known divisors, spans, proration, conversions, rounding."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

import metering_duck
from metering_duck import ConfigError, QuantityOverflow
from tests import oracle, oracle_readings
from tests.comparing import event, expect_readings, readings_of, worlds_strategy
from tests.selection import examples
from tests.worlds import CLOCK, Event, measuring

START, END = "2024-01-31T00:00:00Z", "2024-03-02T12:00:00Z"
WINDOW = {"start": START, "end": END}
TIMES = (
    "2023-11-05T00:00:00Z",
    "2024-01-30T23:59:59.999999Z",
    START,
    "2024-01-31T00:00:00.000001Z",
    "2024-02-01T06:30:00.000001Z",
    "2024-02-01T06:30:00Z",
    "2024-02-29T21:17:11.5Z",
    "2024-03-01T00:00:00Z",
    "2024-03-02T11:59:59.999999Z",
    END,
    "2024-05-01T00:00:00Z",
)
LEVELS = oracle_readings.LEVELS
CUTS = (
    {},
    {"every": "day"},
    {"every": "week"},
    {"every": "PT31H"},
    {"every": "month", "timezone": "Europe/Berlin", "anchor": "2024-01-15"},
)


# --- levels ----------------------------------------------------------------------------------------------------------


def test_the_script_weighs_levels_of_any_width(tmp_path: Path) -> None:
    """What compile prints gives what aggregate gives, also where level × microseconds has more than 38 digits."""
    source = tmp_path / "events.ndjson"
    source.write_text(json.dumps(event(1, START, q="9" * 20)) + "\n")
    config, window = measuring("time-weighted-avg"), {**WINDOW, "clock": CLOCK}
    with metering_duck.aggregate(str(source), config, **window) as result:
        (expected,) = result.to_dicts()
    script = metering_duck.compile_sql(config, str(source), **window)
    (actual,) = duckdb.connect().sql(script).to_arrow_table().to_pylist()

    assert (expected["quantity"], expected["numerator"]) == (actual["quantity"], actual["numerator"])


@pytest.mark.parametrize("aggregation", ["integral", "integral-seconds", "integral-hours", "time-weighted-avg-known"])
@examples(2)
@given(events=worlds_strategy(TIMES), cut=st.sampled_from(CUTS))
def test_levels_over_time_equal_the_oracle(aggregation: str, events: list[Event], cut: dict[str, str]) -> None:
    """Integrals and averages over the known time see the carried level and end where a level does."""
    expect_readings(events, measuring(aggregation), **WINDOW, **cut)


@examples(2)
@given(worlds_strategy(TIMES), st.sampled_from(CUTS), st.sampled_from(("region", None)))
def test_levels_of_deltas_equal_the_oracle(events: list[Event], cut: dict[str, str], group_by: str | None) -> None:
    """Changes add up to levels in the order of R13, from the first record ever, for every gauge."""
    groups = {} if group_by is None else {"group_by": (group_by,)}
    expect_readings(events, measuring(*LEVELS, values="deltas"), **WINDOW, **cut, **groups)


@examples(2)
@given(worlds_strategy(TIMES, workspaces=("w",)))
def test_deltas_are_the_levels_of_their_running_sum(events: list[Event]) -> None:
    """Events that say the change give the readings of events that say the new level."""
    ordered = sorted(events, key=lambda e: (oracle.time_of(e["time"]), e.get("meteredAt") or CLOCK, e["id"]))
    sums: dict[tuple[str, str], Fraction] = {}
    levels = []
    for change in ordered:
        key = (change["universeID"], change["subject"])
        sums[key] = sums.get(key, Fraction(0)) + oracle.quantity_of(change["properties"]["q"])
        level = f"{Decimal(int(sums[key] * 10**18)).scaleb(-18):f}"
        levels.append({**change, "properties": {**change["properties"], "q": level}})
    shown = ("quantity", "numerator", "divisor_us", "record_count", "carried", "max_metered_at", "last_event_id", "id")
    rows = [
        [{name: row[name] for name in shown} for row in readings_of(given_events, config, **WINDOW, every="week")]
        for given_events, config in (
            (levels, measuring(*LEVELS)),
            (events, measuring(*LEVELS, values="deltas")),
            (events, measuring(*(f"{name}-of-deltas" for name in LEVELS))),
        )
    ]
    assert rows[0] == rows[1]
    assert rows[0] == rows[2]


def test_an_integral_is_level_times_time() -> None:
    """Ten seats for half a day and four for the other half are 168 seat-hours, with their exact parts beside them."""
    events = [event(1, "2024-01-01T00:00:00Z", q="10"), event(2, "2024-01-01T12:00:00Z", q="4")]
    day = {"start": "2024-01-01", "end": "2024-01-02"}
    seconds, hours = readings_of(events, measuring("integral", "integral-hours"), **day)
    assert ("integral", Decimal(168 * 3_600)) == (seconds["aggregation"], seconds["quantity"])
    assert ("integral-hours", Decimal(168)) == (hours["aggregation"], hours["quantity"])
    assert [str(168 * 3_600_000_000)] * 2 == [seconds["numerator"], hours["numerator"]]
    assert [1_000_000, 3_600_000_000] == [seconds["divisor_us"], hours["divisor_us"]]


def test_an_integral_is_the_average_times_the_window() -> None:
    """Integrals of adjacent windows add up, and have the average's numerator."""
    events = [event(n, f"2024-01-0{n}T07:30:00Z", q=f"{n}.1") for n in (1, 3, 4)]
    cut = {"start": "2024-01-01", "end": "2024-01-08"}
    config = measuring("integral-hours", "time-weighted-avg")
    (whole, average), days = readings_of(events, config, **cut), readings_of(events, config, **cut, every="day")
    assert whole["numerator"] == average["numerator"]
    parts = [Fraction(row["numerator"]) for row in days if row["aggregation"] == "integral-hours"]
    assert Fraction(whole["numerator"]) == sum(parts)
    assert [24 * 3_600_000_000] * 7 == [row["divisor_us"] for row in days if row["aggregation"] == "time-weighted-avg"]


def test_the_known_time_is_what_an_average_may_divide_by() -> None:
    """Thirty seats from the middle of a month average to 15 over the month, and to 30 over the time they are known."""
    events = [event(1, "2024-01-16T12:00:00Z", q="30")]
    month = {"start": "2024-01-01", "end": "2024-02-01"}
    known = measuring("time-weighted-avg", divisor="known")
    (over_all,) = readings_of(events, measuring("time-weighted-avg", divisor="window"), **month)
    (over_known,) = readings_of(events, known, **month)
    (called,) = readings_of(events, measuring("sum"), aggregation="time-weighted-avg-known", **month)
    assert [Decimal(15), Decimal(30)] == [over_all["quantity"], over_known["quantity"]]
    assert over_known == called
    assert "time-weighted-avg-known" == over_known["aggregation"]
    assert over_all["divisor_us"] == 2 * over_known["divisor_us"]


@pytest.mark.parametrize(
    "measured",
    [
        {"aggregation": "sum", "values": "deltas"},
        {"aggregation": "sum-of-deltas"},
        {"aggregation": "peak-state", "divisor": "known"},
        {"aggregation": "max", "span": {"start": "a"}, "proration": "by-time"},
        {"aggregation": "sum", "proration": "by-time"},
        {"aggregation": "sum", "timesDuration": "hours"},
        {"aggregation": "sum", "span": {}},
        {"aggregation": "sum", "span": {"start": "a", "end": "b", "duration": "c", "unit": "hours"}},
        {"aggregation": "sum", "span": {"duration": "c"}},
        {"aggregation": "sum", "span": {"duration": "c", "unit": "weeks"}},
        {"aggregation": "sum", "divide": "0"},
        {"aggregation": "sum", "rounding": "up"},
        {"aggregation": "sum", "sourceProperty": []},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(measured: dict[str, Any]) -> None:
    """Deltas of a counter, a known divisor of no average, a split of no sum or of no span, and the like."""
    config = {"measurements": [{"sourceProperty": "q", "unit": "x", **measured}]}
    with pytest.raises(ConfigError):
        metering_duck.load_config(config)


# --- the order of equal moments, and levels that are shared ----------------------------------------------------------

MOMENTS = ("2024-01-30T00:00:00Z", "2024-02-01T06:30:00Z", "2024-02-01T06:30:00.000001Z")
ENTERED = ("2024-12-05T00:00:00Z", "2024-12-06T00:00:00Z")


def tied_worlds_strategy(*, size: int = 10) -> st.SearchStrategy[list[Event]]:
    """Worlds of few moments and ids in any order: most events share their subject, recorded_at and metered_at."""
    drawn = st.fixed_dictionaries(
        {
            "subject": st.sampled_from(("customer:1", "customer:1", "customer:2")),
            "time": st.sampled_from(MOMENTS),
            "meteredAt": st.sampled_from(ENTERED),
            "properties": st.fixed_dictionaries(
                {name: st.sampled_from(("1", "2", "-3", "4.5")) for name in ("q", "r")}
            ),
        }
    )
    ids = st.permutations([f"e{n}" for n in range(10)])
    world = st.tuples(ids, st.lists(drawn, min_size=2, max_size=8))
    return st.lists(world, min_size=size, max_size=size).map(
        lambda worlds: [
            {**found, "id": name, "universeID": f"u{n:02}", "workspaceID": "w", "type": "t"}
            for n, (names, events) in enumerate(worlds)
            for name, found in zip(names, events, strict=False)
        ]
    )


@examples(3)
@given(tied_worlds_strategy(), st.sampled_from(("levels", "deltas")), st.sampled_from(({}, {"every": "day"})))
def test_of_equal_moments_the_last_id_is_last(events: list[Event], values: str, cut: dict[str, str]) -> None:
    """Of events of one subject at one recorded_at and metered_at the greatest id holds, whatever their order (R13)."""
    expect_readings(events, measuring(*LEVELS, values=values), **WINDOW, **cut)


@pytest.mark.slow
@examples(3)
@given(tied_worlds_strategy(), st.sampled_from(("levels", "deltas")))
def test_of_one_events_quantities_the_greater_is_last(events: list[Event], values: str) -> None:
    """Two measurements of one unit from one event tie in all three: the greater level holds, deltas add up (R13)."""
    both = [
        {"sourceProperty": source, "unit": "seats", "aggregation": name, "values": values}
        for name in LEVELS
        for source in ("q", "r")
    ]
    expect_readings(events, {"measurements": both}, **WINDOW, every="day")


@examples(2)
@given(tied_worlds_strategy(size=4), st.randoms(use_true_random=False))
def test_ties_do_not_depend_on_the_order_of_rows(events: list[Event], chance: Any) -> None:
    """The same bytes from rows in any order, on one thread or two (R23)."""
    config = measuring(*LEVELS)
    cut = {**WINDOW, "every": "day"}
    shuffled = chance.sample(events, len(events))
    assert readings_of(events, config, **cut, threads=1) == readings_of(shuffled, config, **cut, threads=2)


TIED = "2024-02-01T00:00:00Z"


@pytest.mark.parametrize("names", [("a", "b", "c"), ("c", "b", "a"), ("b", "c", "a"), ("e10", "e9", "e1")], ids=str)
def test_the_last_of_many_ties_is_that_of_the_greatest_id(names: tuple[str, ...]) -> None:
    """Ids are compared as texts: e9 comes behind e10."""
    events = [{**event(0, TIED, q=str(n)), "id": name} for n, name in enumerate(names)]
    (row,) = expect_readings(events, measuring("final-state"), **WINDOW)
    assert (Fraction(names.index(max(names))), 3) == (row["quantity"], row["record_count"])


def test_ties_of_different_subjects_are_none() -> None:
    """A moment that several subjects share needs no id: each has one level there."""
    events = [event(n, TIED, subject=f"customer:{n % 5}", universe=f"u{n // 5}", q=str(n)) for n in range(20)]
    rows = expect_readings(events, measuring(*LEVELS), **WINDOW)
    assert 20 * len(LEVELS) == len(rows)


def test_ties_across_workspaces_are_seen() -> None:
    """Two workspaces' events of one subject make one series: the greater id holds, of equal ones the greater level."""
    events = [
        {**event(number, TIED, q=quantity), "workspaceID": workspace}
        for number, quantity, workspace in ((1, "9", "w1"), (2, "3", "w2"), (2, "4", "w1"), (1, "8", "w2"))
    ]
    (row,) = expect_readings(events, measuring("final-state"), across_workspaces=True, **WINDOW)
    assert Fraction(4) == row["quantity"]


def test_duplicates_make_no_tie() -> None:
    """An event that was sent twice, and one that lost a conflict, change no level (R8)."""
    once = [event(1, TIED, q="1"), event(2, "2024-02-02T00:00:00Z", q="2"), event(3, TIED, q="5")]
    again = [*once, once[0], once[2], {**once[1], "meteredAt": "2025-06-01T00:00:00Z", "properties": {"q": "7"}}]
    config = measuring(*LEVELS)
    assert readings_of(once, config, **WINDOW) == readings_of(again, config, **WINDOW)
    expect_readings(again, config, **WINDOW)


@pytest.mark.slow
@examples(2)
@given(worlds_strategy(TIMES), st.sampled_from(CUTS), st.sampled_from(("levels", "deltas")))
def test_aggregations_of_the_same_levels_are_what_each_is_alone(
    events: list[Event], cut: dict[str, str], values: str
) -> None:
    """Measurements that share their levels with others have the readings that they have by themselves."""
    alone = [row for name in LEVELS for row in readings_of(events, measuring(name, values=values), **WINDOW, **cut)]
    together = readings_of(events, measuring(*LEVELS, values=values), **WINDOW, **cut)

    def by_key(rows: list[oracle.Row]) -> dict[Any, oracle.Row]:
        return {row["id"]: row for row in rows}

    assert by_key(alone) == by_key(together)


@pytest.mark.slow
@examples(2)
@given(worlds_strategy(TIMES, properties={"r": st.sampled_from(("1", "2.25", "-3"))}), st.sampled_from(CUTS))
def test_levels_are_shared_by_equals_only(events: list[Event], cut: dict[str, str]) -> None:
    """Another filter, property, unit, factor, DECIMAL, rounding, or deltas: each has levels or results of its own."""
    eu = {"property": "region", "equals": "eu"}
    different: list[dict[str, Any]] = [
        {"unit": "one"},
        {"unit": "other"},
        {"unit": "filtered", "filter": eu},
        {"unit": "filtered otherwise", "filter": {"not": eu}},
        {"unit": "r", "sourceProperty": "r"},
        {"unit": "both", "sourceProperty": ["q", "r"]},
        {"unit": "tenfold", "multiply": "10"},
        {"unit": "rounded", "resultScale": 2},
        {"unit": "rounded up", "resultScale": 2, "rounding": "ceiling"},
        {"unit": "narrow", "precision": 30, "scale": 18},
        {"unit": "changes", "values": "deltas"},
    ]
    names = ("time-weighted-avg", "peak-state", "final-state")
    config = {
        "measurements": [
            {"sourceProperty": "q", "aggregation": name, **measured} for measured in different for name in names
        ]
    }
    expect_readings(events, config, **WINDOW, **cut)


@pytest.mark.slow
@examples(2)
@given(worlds_strategy(TIMES, properties={"r": st.sampled_from(("1", "2.25", "-3"))}), st.sampled_from(CUTS))
def test_records_of_several_units_are_levels_of_each(events: list[Event], cut: dict[str, str]) -> None:
    """Records of several units, some of which two measurements share, have the readings of the events they are from."""
    measured = [("seats", "q"), ("seats", "r"), ("bytes", "q"), ("rooms", "r")]
    config = {
        "measurements": [
            {"sourceProperty": source, "unit": unit, "aggregation": name}
            for unit, source in measured
            for name in ("time-weighted-avg", "final-state", "integral", "sum")
        ]
    }
    with metering_duck.meter(events, config, clock=CLOCK) as result:
        records = result.to_arrow()
    with metering_duck.aggregate(records=records, clock=CLOCK, **WINDOW, **cut) as result:
        assert readings_of(events, config, **WINDOW, **cut) == result.to_dicts()
    chosen = {"aggregation": "time-weighted-avg", **WINDOW, **cut}
    one = {"measurements": [{"sourceProperty": source, "unit": unit} for unit, source in measured]}
    with metering_duck.meter(events, one, clock=CLOCK) as result:
        records = result.to_arrow()
    with metering_duck.aggregate(records=records, clock=CLOCK, **chosen) as result:
        assert readings_of(events, one, **chosen) == result.to_dicts()


# --- sums that pass 38 digits on their way ---------------------------------------------------------------------------

# Times microseconds of days, the first pass 38 digits at once; two of the second do together, the third go between
# the largest DECIMAL and the largest number of 128 bits; the others do not.
LARGE: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "each product": (38, 0, ("9" * 38, "-" + "9" * 38, "9" * 37, "1", "-7")),
    "two together": (38, 0, ("9" * 26, "9" * 26, "9" * 26, "-" + "9" * 26)),
    "beyond a DECIMAL": (38, 0, ("5" * 26, "5" * 26, "-" + "5" * 26, "1")),
    "behind the point": (
        38,
        18,
        ("9" * 20 + "." + "9" * 18, "-" + "9" * 20 + "." + "9" * 18, "0.000000000000000001", "5e-18"),
    ),
    "nothing but a fraction": (38, 38, ("." + "9" * 38, "-." + "9" * 38, "1e-38", "-7e-38")),
    "another DECIMAL": (38, 10, ("9" * 28 + "." + "9" * 10, "-" + "9" * 28 + ".5", "1e-10", "-1e-10")),
}


@pytest.mark.parametrize("case", LARGE)
@pytest.mark.parametrize("cut", [{}, {"every": "P5D"}], ids=str)
def test_sums_in_two_parts_equal_the_oracle(case: str, cut: dict[str, str]) -> None:
    """Where a sum of level × time passes 38 digits on its way, the run adds again in two parts, exactly (R15)."""
    precision, scale, quantities = LARGE[case]
    times = (
        "2023-05-01T00:00:00Z",
        START,
        "2024-02-03T00:00:00.000001Z",
        "2024-02-11T00:00:00Z",
        "2024-02-28T23:59:59.999999Z",
    )
    events = [
        event(f"{subject}-{n}", time, subject=f"customer:{subject}", q=quantities[(n + subject) % len(quantities)])
        for subject in range(len(quantities))
        for n, time in enumerate(times)
    ]
    shape = {"precision": precision, "scale": scale, "resultScale": 0}
    names = ("time-weighted-avg", "time-weighted-avg-known", "peak-state", "final-state")
    expect_readings(events, measuring(*names, **shape), **WINDOW, **cut)


DIVIDED = (
    (0, 0),
    (0, 5),
    (2, 0),
    (2, 2),
    (18, 0),
    (18, 17),
    (18, 18),
    (18, 20),
    (37, 0),
    (37, 37),
    (38, 0),
    (38, 1),
    (38, 38),
)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("scale", "result_scale"), DIVIDED)
@pytest.mark.parametrize("rounding", ["half-even", "half-up"])
def test_quotients_of_every_decimal_equal_the_oracle(scale: int, result_scale: int, rounding: str) -> None:
    """Averages and integrals are rounded once, also where DuckDB's own division has room for the digits or just not."""
    digits = ("1", "-5", "15", "-25", "999999999", "-123456789012", "50000000000000000000", "3", "-1")
    times = [f"2024-02-{2 * n + 1:02}T{n:02}:00:00.00000{n}Z" for n in range(len(digits))]
    events = [
        event(f"{subject}-{n}", time, subject=f"customer:{subject}", q=f"{digits[(n * subject + n) % 9]}e-{scale}")
        for subject in range(4)
        for n, time in enumerate(times)
    ]
    names = ("time-weighted-avg", "time-weighted-avg-known", "integral", "integral-hours")
    shape = {"precision": 38, "scale": scale, "resultScale": result_scale, "rounding": rounding}
    expect_readings(events, measuring(*names, **shape), **WINDOW)


def test_a_counter_and_a_gauge_are_added_again_together() -> None:
    """A counter whose sum passes 38 digits on its way, and a gauge whose sum does not, are both right in one run."""
    quantities = ("9" * 38, "9" * 38, "-" + "9" * 38, "-" + "9" * 37, "12")
    events = [event(n, f"2024-02-0{n + 1}T00:00:00Z", q=text, r=str(n)) for n, text in enumerate(quantities)]
    shape = {"precision": 38, "scale": 0, "resultScale": 0}
    config = {
        "measurements": [
            {"sourceProperty": "q", "unit": "sum", "aggregation": "sum", **shape},
            *({"sourceProperty": "r", "unit": "levels", "aggregation": name, "resultScale": 0} for name in LEVELS),
            {"sourceProperty": "r", "unit": "changes", "aggregation": "integral-of-deltas", "resultScale": 0},
        ]
    }
    expect_readings(events, config, **WINDOW)


@pytest.mark.parametrize("digit", ["5", "6", "8"])
@pytest.mark.parametrize("aggregation", ["final-state", "time-weighted-avg", "integral"])
def test_a_level_of_deltas_that_fits_no_decimal_is_an_error(digit: str, aggregation: str) -> None:
    """A running sum beyond 38 digits is refused by name, though later changes would bring it back (R18)."""
    changes = (digit * 38, digit * 38, "-" + digit * 38)
    events = [event(n, f"2024-02-0{n + 1}T00:00:00Z", q=text) for n, text in enumerate(changes)]
    config = measuring(aggregation, precision=38, scale=0, resultScale=0, values="deltas")
    with pytest.raises(QuantityOverflow, match="found a level of 'seats' for 'customer:1' at 2024-02-02T00:00:00Z"):
        readings_of(events, config, **WINDOW)


# --- spans -----------------------------------------------------------------------------------------------------------

BEGINS = tuple(time for time in TIMES if time < "2024-03-01")
ENDS = tuple(time for time in TIMES if time > "2024-01-31")
BAD_TIMES = ("", "x", "2024-02-30T00:00:00Z", "1704067200")
DURATIONS = ("0", "1", "90", "1e3", "12.5", "86400", "0.000001")
SPANS = (
    {"start": "begin", "end": "end"},
    {"start": "begin"},
    {"end": "end"},
    {"duration": "length", "unit": "seconds"},
    {"duration": "length", "unit": "hours", "eventTime": "end"},
    {"duration": "length", "unit": "minutes", "eventTime": "start"},
    {"start": "begin", "duration": "length", "unit": "days"},
    {"end": "end", "duration": "length", "unit": "hours"},
)


def spanning_strategy(*, bad: bool = False) -> st.SearchStrategy[list[Event]]:
    """Worlds whose events say when their usage began, ended and how long it took."""
    worse = BAD_TIMES if bad else ()
    lengths = (*DURATIONS, "-1", "x") if bad else DURATIONS
    properties = {
        "begin": st.sampled_from(BEGINS + worse[:2]),
        "end": st.sampled_from(ENDS + worse),
        "length": st.sampled_from(lengths),
    }
    found = worlds_strategy(TIMES, size=10, properties=properties)
    if not bad:
        return found
    return found.map(
        lambda events: [
            {**e, "properties": {k: v for k, v in e["properties"].items() if k == "q" or (len(k) + n) % 7}}
            for n, e in enumerate(events)
        ]
    )


def spanned(span: dict[str, str], aggregation: str = "sum", **measured: Any) -> Event:
    """A config that measures q over a span."""
    return measuring(aggregation, span=span, **measured)


@pytest.mark.sampled(3)
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


@examples(2)
@given(spanning_strategy(bad=True), st.sampled_from(SPANS))
def test_a_span_alone_counts_at_the_events_time(events: list[Event], span: dict[str, str]) -> None:
    """Without proration a span changes no reading, but for the events that it rejects."""
    expect_readings(events, measuring("sum", "max", "time-weighted-avg", span=span), **WINDOW, every="week")


@pytest.mark.sampled(3)
@pytest.mark.parametrize("span", SPANS, ids=str)
@examples(2)
@given(events=spanning_strategy(bad=True), cut=st.sampled_from(CUTS))
def test_prorated_readings_equal_the_oracle(span: dict[str, str], events: list[Event], cut: dict[str, str]) -> None:
    """A quantity is split over the windows by time, by largest remainder, what lies outside being parts too (R26)."""
    expect_readings(events, spanned(span, proration="by-time"), **WINDOW, **cut)


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


@pytest.mark.sampled(2)
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


# --- conversions and rounding ----------------------------------------------------------------------------------------


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


@pytest.mark.sampled(3)
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


# --- the ends of the range, and the same bytes -----------------------------------------------------------------------


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


@examples(2)
@given(worlds_strategy(TIMES), st.integers(1, 34), st.integers(0, 20))
def test_digits_and_scales_equal_the_oracle(events: list[Event], digits: int, scale: int) -> None:
    """What divides is rounded to so many significant digits, or everything to so many behind the point (R16)."""
    config = measuring("avg", "first", "integral-hours", "time-weighted-avg-known", "p33", "p33-interpolated")
    expect_readings(events, config, **WINDOW, digits=digits)
    expect_readings(events, config, **WINDOW, scale=scale)


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
