"""Ids of readings: over the same events and config, readings of one id have one quantity, whatever is asked (R21)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import chain
from typing import Any

import pyarrow as pa
import pytest

import metering_duck
from tests.worlds import CLOCK, Event, event, measuring, written

MARCH = {"start": "2024-03-01", "end": "2024-03-03", "clock": CLOCK}
OPEN: dict[str, Any] = {"measurements": [{"sourceProperty": "q", "unit": "seats"}]}
SPANNED: dict[str, Any] = {
    "measurements": [{"sourceProperty": "q", "unit": "seats", "span": {"duration": "hours", "unit": "hours"}}]
}
GROUPINGS = [(), ("user",), ("region",), ("user", "region")]
EACH = {"sum-of-max": ({"innerWindow": "hour"}, {"innerWindow": "day"}, {"innerDimension": "user"})}
# What can be asked for of the same events and one config, so that quantities differ.
SETTINGS: list[dict[str, Any]] = [
    *({"aggregation": "sum", "group_by": names} for names in GROUPINGS),
    *({"aggregation": f"sum-of-max {inner}"} for inner in ("per hour", "per day", "by user", "by region")),
    *({"aggregation": "sum-of-max per day", "timezone": zone} for zone in ("Asia/Kolkata", "America/New_York")),
    *({"aggregation": "sum-of-max by user", "group_by": names} for names in GROUPINGS[1:]),
    *({"aggregation": name, **cut} for name in ("integral", "integral-of-deltas") for cut in ({}, {"scale": 1})),
    *({"aggregation": name} for name in ("prorated-sum", "max", "p50", "p50-interpolated", "avg")),
    *({"aggregation": "avg", **rounded} for rounded in ({"scale": 0}, {"scale": 2}, {"digits": 1}, {"digits": 2})),
    *({"aggregation": "sum", "across_workspaces": True, "workspace": names} for names in (None, "v", "w", ["v", "w"])),
    *({"aggregation": "sum", "event_type": names} for names in ("call", "job", ["call", "job"])),
    *({"aggregation": "sum", "every": "PT6H", "fill": fill} for fill in ("none", "zero", "carry")),
    {"aggregation": "sum", "subject": "c:1", "workspace": "w", "universe": "u"},
]


def some_events(seed: int, count: int = 40) -> list[Event]:
    """Random events of three hours of two days, some of them without the properties that are grouped by."""
    chance = random.Random(seed)
    events = []
    for number in range(count):
        properties = {"q": str(chance.randrange(1, 999)), "hours": str(chance.randrange(0, 30))}
        for name, values in (("user", ("u1", "u2", "NULL")), ("region", ("eu", ""))):
            if chance.random() < 0.6:
                properties[name] = chance.choice(values)
        time = f"2024-03-0{chance.randrange(1, 3)}T{chance.choice((1, 7, 23)):02}:{chance.randrange(60):02}:00Z"
        whose = {"workspace": chance.choice("vw"), "type": chance.choice(("call", "job"))}
        events.append(event(str(number), time, properties, subject=f"c:{chance.randrange(2)}", **whose))
    return events


def quantities(given: Iterable[Event], config: Any, **settings: Any) -> dict[str, Decimal]:
    """Id → quantity of every reading; no id is there twice."""
    with metering_duck.aggregate(list(given), config, **{**MARCH, **settings}) as result:
        rows = result.to_dicts()
    found = {row["id"]: Decimal(row["quantity"]) for row in rows}
    assert len(rows) == len(found), settings
    return found


def clashes(runs: Iterable[Mapping[str, Decimal]]) -> list[str]:
    """The ids that two runs have for different quantities."""
    known: dict[str, Decimal] = {}
    wrong = []
    for id, quantity in chain.from_iterable(run.items() for run in runs):
        if known.setdefault(id, quantity) != quantity:
            wrong.append(id)
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_readings_of_one_id_have_one_quantity(seed: int) -> None:
    """Whatever is asked for of the same events and config, in all pairs of settings, equal ids are equal quantities."""
    events = some_events(seed)

    assert [] == clashes(quantities(events, SPANNED, **settings) for settings in SETTINGS)


@pytest.mark.slow
def test_groupings_and_inner_windows_share_no_id() -> None:
    """By user, by region, by both and by none; a sum of maxima by hour, by day and by user: no id is there twice."""
    events = [event("1", "2024-03-01T07:00:00Z", {"q": "4", "user": "u1", "region": "eu"})]
    events += [
        event("2", "2024-03-01T08:00:00Z", {"q": "6", "user": "u1"}),
        event("3", "2024-03-01T08:00:00Z", {"q": "5"}),
    ]
    runs = [quantities(events, measuring("sum"), group_by=names) for names in GROUPINGS]
    runs += [quantities(events, measuring("sum-of-max", **inner)) for inner in EACH["sum-of-max"]]

    assert [1, 2, 2, 3, 1, 1, 1] == [len(run) for run in runs]
    assert 11 == len(set().union(*runs))
    assert [15] * 4 == [sum(run.values()) for run in runs[:4]]


def test_the_same_run_has_the_same_ids() -> None:
    """The clock, the order of what is grouped by, and a name twice are no part of an id."""
    events = some_events(0)
    clocks = [{"clock": "2030-01-01T00:00:00Z"}, {"clock": "2031-01-01T00:00:00Z"}]
    names = [{"group_by": names} for names in (("user", "region"), ("region", "user", "user"))]

    for one, other in (clocks, names):
        assert quantities(events, measuring("sum"), **one) == quantities(events, measuring("sum"), **other)


ROUNDED: list[dict[str, Any]] = [
    {"aggregation": "sum", "resultScale": 0, "rounding": "ceiling"},
    {"aggregation": "avg", "resultScale": 2},
    {"aggregation": "avg", "rounding": "floor"},
    {"aggregation": "time-weighted-avg", "resultScale": 3},
]


@pytest.mark.parametrize("rounded", ROUNDED, ids=str)
def test_what_is_rounded_otherwise_has_another_id(rounded: dict[str, Any]) -> None:
    """From events, their records with and without the config, rolled up, with a scale: equal ids, equal numbers."""
    config = {"measurements": [{"sourceProperty": "q", "unit": "seats", **rounded}]}
    events = some_events(0)
    with metering_duck.meter(events, config, clock=CLOCK) as metered:
        records = metered.to_arrow()
    with metering_duck.aggregate(events, config, every="day", **MARCH) as daily:
        days = daily.to_arrow()
    made = [quantities(events, config), quantities(events, config, scale=1)]
    for again in (
        metering_duck.aggregate(records=records, **MARCH),
        metering_duck.aggregate(records=records, config=config, **MARCH),
        metering_duck.rollup(days, **MARCH),
        metering_duck.rollup(days, scale=1, **MARCH),
    ):
        with again:
            made.append({row["id"]: Decimal(row["quantity"]) for row in again.to_dicts()})

    assert [] == clashes(made)
    assert made[0] == made[3]
    assert made[0].keys().isdisjoint(made[2])
    assert made[2] == made[4]


@pytest.mark.parametrize(
    ("metered", "told"),
    [
        ({"event_type": "call"}, {"event_type": "call"}),
        ({"workspace": "w"}, {"workspace": "w", "across_workspaces": True}),
    ],
)
def test_records_of_some_events_are_said_to_be_so(metered: dict[str, Any], told: dict[str, Any]) -> None:
    """Aggregated as the note of meter says, records of one type or workspace have the ids of such a run."""
    events, ((name, _),) = some_events(0), metered.items()
    with metering_duck.meter(events, measuring("sum"), clock=CLOCK, **metered) as result:
        records, notices = result.to_arrow(), result.notices
    with metering_duck.aggregate(records=records, **MARCH, **told) as result:
        made = {row["id"]: Decimal(row["quantity"]) for row in result.to_dicts()}
    across = {"across_workspaces": "across_workspaces" in told}

    assert quantities(events, measuring("sum"), **told) == made
    assert made.keys().isdisjoint(quantities(events, measuring("sum"), **across))
    assert any(f"the same --{name.replace('_', '-')}" in notice for notice in notices if notice.startswith(name[:5]))


def test_what_is_carried_from_other_windows_has_another_id() -> None:
    """Filled by what was before, a window has the id of the windows before it; a window with records has its own."""
    events = [event("1", "2024-03-01T07:00:00Z", {"q": "5"}), event("2", "2024-03-03T07:00:00Z", {"q": "7"})]
    third, fourth, fifth = ((f"2024-03-0{n}T00:00:00Z", f"2024-03-0{n + 1}T00:00:00Z") for n in (3, 4, 5))
    shared = {"fill": "carry", "start": None, "end": None, "config": measuring("sum"), "given": events}
    early, late = (
        {**shared, "every": "day", "start": day, "end": "2024-03-07"} for day in ("2024-03-01", "2024-03-04")
    )
    subscribed = [{"universe_id": "u", "subject": "c:1", "starts": "2024-03-03", "ends": "2024-03-06"}]
    both, one = quantities(**shared, windows=[third, fifth]), quantities(**shared, windows=[fifth])
    made = [quantities(**early), quantities(**late), both, one]
    made += [quantities(**shared, windows=[third, fourth, fifth])]
    made += [
        quantities(**{**shared, "start": "2024-03-01", "end": "2024-03-06"}, subscriptions=subscribed, every="day")
    ]

    assert [5, 5, 7, 7, 7, 7] == list(made[0].values())
    assert [0, 0, 0] == list(made[1].values())
    assert [7, 7] == list(both.values())
    assert [0] == list(one.values())
    assert [] == clashes(made)
    assert set(made[0]) & set(both) == set(quantities(**{**early, "every": None, "start": third[0], "end": third[1]}))


def test_a_rounding_that_drops_no_digit_is_no_part_of_an_id() -> None:
    """A sum of whole numbers has the id that it has without resultScale, and so has a result of 18 digits."""
    plain = quantities(some_events(0), measuring("sum"))

    assert plain == quantities(some_events(0), measuring("sum", resultScale=18))
    assert plain == quantities(some_events(0), measuring("sum", precision=9, resultScale=0, rounding="ceiling"))


ABSENT = {"region": None, "user": "u1"}


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", ["json", "ndjson", "csv", "parquet", "arrow"])
def test_an_absent_property_is_null_in_every_format(kind: str, tmp_path: Any) -> None:
    """A property that was grouped by is there with null, and is so when the readings are read and rolled up again."""
    events = [event("1", "2024-03-01T07:00:00Z", {"q": "4", "user": "u1"})]
    asked = {**MARCH, "group_by": ("user", "region")}
    path = tmp_path / f"readings.{kind}"
    made = metering_duck.aggregate(events, measuring("sum"), **asked)
    with made:
        rows = made.to_dicts()
        made.write(path)
    text = written(metering_duck.aggregate(events, measuring("sum"), **asked), "ndjson").decode()
    with metering_duck.rollup(path, clock=CLOCK) as again:
        rolled = again.to_dicts()

    assert [ABSENT] == [row["dimensions"] for row in rows] == [row["dimensions"] for row in rolled]
    assert [rows[0]["id"]] == [row["id"] for row in rolled]
    assert '"dimensions":{"region":null,"user":"u1"}' in text


def test_records_of_one_unit_cannot_be_levels_and_deltas() -> None:
    """Two aggregations of one name in one unit would give two readings of one id, and are refused."""
    first = {"id": "1", "workspace_id": "w", "universe_id": "u", "subject": "c:1", "unit": "seats", "quantity": "1"}
    first |= {"source_event_id": "e1", "recorded_at": "2024-03-01T00:00:00Z", "aggregation": "integral"}
    records = [first, first | {"id": "2", "aggregation": "integral-of-deltas"}]
    with pytest.raises(metering_duck.ConfigError) as raised:
        metering_duck.aggregate(records=records, **MARCH)

    assert 'the unit \'seats\': found "integral" and "integral-of-deltas"; expected one of them' in str(raised.value)


def test_a_roll_up_adds_up_one_grouping_only() -> None:
    """Readings by user and readings by none are of the same records: dropping the user would count them twice."""
    events = [
        event("1", "2024-03-01T07:00:00Z", {"q": "4", "user": "u1"}),
        event("2", "2024-03-01T08:00:00Z", {"q": "6"}),
    ]
    rows = []
    for names in ((), ("user",)):
        with metering_duck.aggregate(events, measuring("sum"), group_by=names, **MARCH) as result:
            rows.append(result.to_arrow())
    with metering_duck.rollup(rows[1], drop="*", clock=CLOCK) as rolled:
        assert [row["id"] for row in rows[0].to_pylist()] == [row["id"] for row in rolled.to_dicts()]
    with pytest.raises(metering_duck.ConfigError) as raised:
        metering_duck.rollup(pa.concat_tables(rows), drop="*", clock=CLOCK)

    assert "grouped by nothing, and one grouped by user; expected one grouping" in str(raised.value)
