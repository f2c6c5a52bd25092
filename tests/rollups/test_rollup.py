"""Roll-ups: readings of finer windows, groups or workspaces become what the events would have become directly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import metering_duck
from metering_duck import ConfigError
from tests.comparing import event, readings_of, worlds_strategy
from tests.selection import examples
from tests.worlds import CLOCK, Event, measuring, rolled, written

START, END = "2024-01-31T00:00:00Z", "2024-04-30T22:00:00Z"
WINDOW = {"start": START, "end": END}
TIMES = (
    "2023-11-05T00:00:00Z",
    "2024-01-30T23:59:59.999999Z",
    START,
    "2024-02-01T06:30:00Z",
    "2024-02-01T06:30:00.000001Z",
    "2024-02-29T23:00:00Z",
    "2024-03-01T00:00:00Z",
    "2024-03-31T00:30:00Z",
    "2024-03-31T21:59:59.999999Z",
    "2024-03-31T22:00:00Z",
    "2024-04-30T21:59:59.999999Z",
    END,
)
COUNTERS = ("sum", "max", "min", "latest", "first", "count", "avg")
GAUGES = (
    "time-weighted-avg",
    "time-weighted-avg-known",
    "peak-state",
    "min-state",
    "final-state",
    "integral",
    "integral-hours",
)
REFUSED = ("p95", "median", "p50-interpolated", "unique-count", "sum-of-max per hour", "max-of-sum by krn")
COARSER = (
    ("hour", "day"),
    ("day", "week"),
    ("day", "month"),
    ("P1D", "P2W"),
    ("PT6H", "PT24H"),
    ("month", "quarter"),
    ("day", None),
)


# --- bit for bit -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.sampled(12)
@pytest.mark.parametrize(("fine", "coarse"), COARSER, ids=str)
@examples(2)
@given(data=st.data())
def test_finer_windows_roll_up_to_coarser_ones(fine: str, coarse: str | None, data: st.DataObject) -> None:
    """Hours to days, days to months, in any zone, grouped or not: bit for bit what the events give directly (R20)."""
    events = data.draw(worlds_strategy(TIMES, size=4 if fine in ("hour", "PT6H") else 8))
    group_by = data.draw(st.sampled_from((None, "region")))
    zone = data.draw(st.sampled_from(("UTC", "Europe/Berlin", "Asia/Kathmandu")))
    end = "2024-03-01T12:00:00Z" if fine in ("hour", "PT6H") else END
    options = {"start": START, "end": end, "timezone": zone}
    config = measuring(*COUNTERS, *GAUGES)
    finer = metering_duck.aggregate(events, config, every=fine, group_by=group_by, clock=CLOCK, **options)
    with finer:
        direct = readings_of(events, config, every=coarse, group_by=group_by, **options)
        assert direct == rolled(finer.to_arrow(), every=coarse, **options)


@pytest.mark.slow
@examples(2)
@given(worlds_strategy(TIMES), st.sampled_from(("month", "P1M", "quarter")), st.sampled_from(("UTC", "Europe/Berlin")))
def test_days_roll_up_to_anchored_periods(events: list[Event], every: str, zone: str) -> None:
    """Days make up the months from any anchor's day."""
    config = measuring(*COUNTERS, *GAUGES)
    options = {"start": "2024-01-10", "end": "2024-04-20", "timezone": zone}
    days = readings_of(events, config, every="day", **options)
    direct = readings_of(events, config, every=every, anchor="2023-10-31", **options)
    assert direct == rolled(days, every=every, anchor="2023-10-31", **options)


@pytest.mark.slow
@examples(2)
@given(worlds_strategy(TIMES), st.sampled_from(((), ("region",), ("krn",))), st.sampled_from(("month", None)))
def test_dimensions_that_are_dropped(events: list[Event], kept: tuple[str, ...], every: str | None) -> None:
    """Counters of groups make up those of fewer dimensions, or of none."""
    config = measuring(*COUNTERS)
    both = ("region", "krn")
    finer = readings_of(events, config, every="day", group_by=both, **WINDOW)
    direct = readings_of(events, config, every=every, group_by=kept, **WINDOW)
    assert direct == rolled(finer, every=every, drop=[name for name in both if name not in kept], **WINDOW)


@pytest.mark.slow
@examples(2)
@given(worlds_strategy(TIMES), st.sampled_from(("region", None)))
def test_workspaces_that_are_joined(events: list[Event], group_by: str | None) -> None:
    """Counters of workspaces make up those across them, when that is asked for by name (R10)."""
    config = measuring(*COUNTERS)
    apart = readings_of(events, config, every="day", group_by=group_by, **WINDOW)
    across = readings_of(events, config, every="month", group_by=group_by, across_workspaces=True, **WINDOW)
    assert across == rolled(apart, every="month", across_workspaces=True, **WINDOW)
    assert readings_of(events, config, every="month", group_by=group_by, **WINDOW) == rolled(
        apart, every="month", **WINDOW
    )


@pytest.mark.slow
@examples(2)
@given(
    worlds_strategy(TIMES), st.sampled_from((0, 2, -2)), st.sampled_from(("half-even", "half-up", "ceiling", "floor"))
)
def test_rounded_readings_roll_up_from_what_is_exact(events: list[Event], scale: int, mode: str) -> None:
    """What a finer reading lost to rounding it kept beside it: the numerators make up the coarser one's.

    A roll-up knows no config, and does not round as one says: another quantity has another id (R21).
    """
    config = measuring(*COUNTERS, *GAUGES, resultScale=scale, rounding=mode)
    direct = readings_of(events, config, every="month", **WINDOW)
    shown = ("numerator", "divisor_us", "record_count", "carried", "max_metered_at", "last_event_id")
    exact = [{name: row[name] for name in shown if row[name] is not None} for row in direct]
    found = rolled(readings_of(events, config, every="day", **WINDOW), every="month", **WINDOW)
    for one, expected, row in zip(direct, exact, found, strict=True):
        assert expected == {name: row[name] for name in expected}
        assert one["quantity"] == row["quantity"] or one["id"] != row["id"]


@pytest.mark.slow
@examples(2)
@given(worlds_strategy(TIMES))
def test_a_roll_up_of_roll_ups_is_one(events: list[Event]) -> None:
    """Days to weeks to the whole is the whole."""
    config = measuring(*COUNTERS, *GAUGES)
    weeks = rolled(readings_of(events, config, every="day", **WINDOW), every="week", **WINDOW)
    assert readings_of(events, config, every="week", **WINDOW) == weeks
    assert readings_of(events, config, **WINDOW) == rolled(weeks, **WINDOW)


@pytest.mark.slow
@examples(2)
@given(worlds_strategy(TIMES))
def test_listed_windows_roll_up(events: list[Event]) -> None:
    """Days make up windows that are given one by one."""
    config = measuring(*COUNTERS, *GAUGES)
    windows = [("2024-02-10", "2024-03-02"), ("2024-03-31", "2024-04-30")]
    days = readings_of(events, config, every="day", **WINDOW)
    assert readings_of(events, config, windows=windows) == rolled(days, windows=windows)


# --- shapes and formats ----------------------------------------------------------------------------------------------

EVENTS = [
    event(n, f"2024-02-{n:02}T12:00:00.5Z", q=f"{n}.25", region="eu" if n % 3 else "us", subject=f"customer:{n % 2}")
    for n in range(1, 29)
]
MONTH = {"start": "2024-02-01", "end": "2024-03-01"}


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", ["parquet", "arrow", "ndjson", "json", "csv"])
def test_every_format_that_is_written_rolls_up(kind: str, tmp_path: Path) -> None:
    """Readings come back from every file the tool writes, whole in their state."""
    config = measuring(*COUNTERS, *GAUGES)
    options = {**MONTH, "group_by": "region", "clock": CLOCK}
    path = tmp_path / f"days.{kind}"
    with metering_duck.aggregate(EVENTS, config, every="day", **options) as days:
        days.write(path)
    direct = written(metering_duck.aggregate(EVENTS, config, every="week", **options))
    assert direct == written(metering_duck.rollup(path, every="week", clock=CLOCK, **MONTH))


@pytest.mark.slow
def test_every_frame_rolls_up() -> None:
    """Readings come back from Arrow, Polars, pandas, dicts and a result."""
    config = measuring(*COUNTERS, *GAUGES)
    direct = readings_of(EVENTS, config, **MONTH, group_by="region")
    with metering_duck.aggregate(EVENTS, config, every="day", clock=CLOCK, **MONTH, group_by="region") as days:
        for frame in (days.to_arrow(), days.pl(), days.df(), days.to_dicts()):
            assert direct == rolled(frame, **MONTH)


@pytest.mark.slow
def test_several_files_roll_up_as_one(tmp_path: Path) -> None:
    """One file for each day, or each half of the month, is the same month."""
    config = measuring(*COUNTERS, *GAUGES)
    paths = []
    for start, end in (("2024-02-01", "2024-02-10"), ("2024-02-10", "2024-03-01")):
        paths.append(tmp_path / f"{start}.parquet")
        with metering_duck.aggregate(EVENTS, config, start=start, end=end, every="day", clock=CLOCK) as part:
            part.write(paths[-1])
    assert readings_of(EVENTS, config, **MONTH) == rolled(paths, **MONTH)


def test_rows_in_any_order_give_the_same_bytes() -> None:
    """The order of the finer readings decides nothing (R23)."""
    config = measuring(*COUNTERS, *GAUGES)
    days = readings_of(EVENTS, config, every="day", group_by="region", **MONTH)
    expected = written(metering_duck.rollup(days, every="week", clock=CLOCK, **MONTH))
    assert expected == written(metering_duck.rollup(days[::-1], every="week", clock=CLOCK, **MONTH))
    assert 0 < expected.count(b"\n")
    assert all(json.loads(line)["createdAt"] == CLOCK for line in expected.splitlines())


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.sampled(3)
@pytest.mark.parametrize("aggregation", REFUSED)
def test_what_does_not_add_up_is_refused(aggregation: str) -> None:
    """Readings of percentiles, of unique counts and of aggregations of others do not make up a coarser one."""
    days = readings_of(EVENTS, measuring(aggregation), every="day", **MONTH)
    with pytest.raises(ConfigError, match=aggregation.partition(" ")[0].replace("median", "p50-interpolated")):
        rolled(days, **MONTH)


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize("aggregation", GAUGES)
@pytest.mark.parametrize("joined", [{"drop": ["region"]}, {"across_workspaces": True}], ids=str)
def test_levels_of_several_groups_are_no_level(aggregation: str, joined: dict[str, Any]) -> None:
    """A gauge of several groups is not the gauge of their records together, so it is refused."""
    events = [*EVENTS, *({**e, "workspaceID": "w2"} for e in EVENTS)]
    days = readings_of(events, measuring(aggregation), every="day", group_by="region", **MONTH)
    with pytest.raises(ConfigError, match=aggregation):
        rolled(days, **MONTH, **joined)


def test_prorated_parts_are_refused() -> None:
    """Parts of a split were rounded window by window; they are not the parts of coarser windows."""
    span = {"duration": "q", "unit": "days"}
    config = measuring("sum", span=span, proration="by-time")
    days = readings_of(EVENTS, config, every="day", **MONTH)
    with pytest.raises(ConfigError, match="prorated"):
        rolled(days, **MONTH)


def test_windows_that_straddle_are_refused() -> None:
    """Weeks do not make up months; the window that lies in two is named."""
    weeks = readings_of(EVENTS, measuring("sum"), every="week", **MONTH)
    with pytest.raises(ConfigError, match="2024-02-1"):
        rolled(weeks, windows=[("2024-02-01", "2024-02-15"), ("2024-02-15", "2024-03-01")])


def test_windows_that_overlap_are_refused() -> None:
    """Days and weeks together would count twice."""
    days = readings_of(EVENTS, measuring("sum"), every="day", **MONTH)
    weeks = readings_of(EVENTS, measuring("sum"), every="week", **MONTH)
    with pytest.raises(ConfigError, match=r"overlap|twice"):
        rolled([*days, *weeks], **MONTH)


def test_a_dimension_that_no_reading_has_is_refused() -> None:
    """drop names what is there, or there would be a slip."""
    days = readings_of(EVENTS, measuring("sum"), every="day", group_by="region", **MONTH)
    with pytest.raises(ConfigError, match="regoin"):
        rolled(days, drop=["regoin"], **MONTH)


def test_a_gauges_missing_window_is_refused() -> None:
    """A level was held on every day since it was first known: a day without a reading was lost on the way."""
    days = readings_of(EVENTS, measuring("final-state", "sum"), every="day", **MONTH)
    lost = [row for row in days if row["aggregation"] == "sum" or row["window_start"].day != 15]
    assert len(lost) < len(days)
    with pytest.raises(ConfigError, match="2024-02-15"):
        rolled(lost, **MONTH)
    counters = [row for row in lost if row["aggregation"] == "sum"]
    assert readings_of(EVENTS, measuring("sum"), **MONTH) == rolled(counters, **MONTH)


@pytest.mark.slow
def test_without_bounds_all_readings_roll_up() -> None:
    """A roll-up without start and end goes from the first bound of the readings to the last."""
    config = measuring(*COUNTERS, *GAUGES)
    days = readings_of(EVENTS, config, every="day", start="2024-02-01", end="2024-02-29")
    direct = readings_of(EVENTS, config, every="week", start="2024-02-01", end="2024-02-29")
    assert direct == rolled(days, every="week")


@pytest.mark.slow
@examples(2)
@given(worlds_strategy(TIMES), st.sampled_from((0, 3, 20)))
def test_a_roll_up_may_be_rounded(events: list[Event], scale: int) -> None:
    """The scale of the call is that of the roll-up, from the exact state of the finer readings."""
    config = measuring(*COUNTERS, *GAUGES)
    days = readings_of(events, config, every="day", **WINDOW)
    assert readings_of(events, config, every="month", scale=scale, **WINDOW) == rolled(
        days, every="month", scale=scale, **WINDOW
    )


@pytest.mark.slow
@examples(2)
@given(worlds_strategy(TIMES, size=5), st.sampled_from(("zero", "carry")))
def test_filled_readings_say_nothing(events: list[Event], fill: str) -> None:
    """What fill put where no record was adds nothing to a roll-up."""
    config = measuring(*COUNTERS, *GAUGES)
    days = readings_of(events, config, every="day", fill=fill, **WINDOW)
    assert readings_of(events, config, every="month", **WINDOW) == rolled(days, every="month", **WINDOW)
