"""Levels over time: integrals, deltas, known divisors, the order of equal moments, and sums that pass 38 digits."""

from __future__ import annotations

import json
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
from tests import oracle
from tests.comparing import event, expect_readings, readings_of, worlds_strategy
from tests.readings.moments import CUTS, LEVELS, START, TIMES, WINDOW
from tests.selection import examples
from tests.worlds import CLOCK, Event, measuring


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


@pytest.mark.slow
@examples(2)
@given(worlds_strategy(TIMES), st.sampled_from(CUTS), st.sampled_from(("region", None)))
def test_levels_of_deltas_equal_the_oracle(events: list[Event], cut: dict[str, str], group_by: str | None) -> None:
    """Changes add up to levels in the order of R13, from the first record ever, for every gauge."""
    groups = {} if group_by is None else {"group_by": (group_by,)}
    expect_readings(events, measuring(*LEVELS, values="deltas"), **WINDOW, **cut, **groups)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.sampled(4)
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


@pytest.mark.slow
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


@pytest.mark.sampled(3)
@pytest.mark.parametrize("digit", ["5", "6", "8"])
@pytest.mark.parametrize("aggregation", ["final-state", "time-weighted-avg", "integral"])
def test_a_level_of_deltas_that_fits_no_decimal_is_an_error(digit: str, aggregation: str) -> None:
    """A running sum beyond 38 digits is refused by name, though later changes would bring it back (R18)."""
    changes = (digit * 38, digit * 38, "-" + digit * 38)
    events = [event(n, f"2024-02-0{n + 1}T00:00:00Z", q=text) for n, text in enumerate(changes)]
    config = measuring(aggregation, precision=38, scale=0, resultScale=0, values="deltas")
    with pytest.raises(QuantityOverflow, match="found a level of 'seats' for 'customer:1' at 2024-02-02T00:00:00Z"):
        readings_of(events, config, **WINDOW)
