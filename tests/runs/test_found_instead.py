"""What a run says of what it was asked for and did not find, for events, records, ledgers and roll-ups."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import metering_duck
from metering_duck.ledger.ledger import Ledger
from tests.worlds import CLOCK, event, measuring, write_table
from tests.worlds import row as typed

WINDOW = {"start": "2024-01-01", "end": "2024-02-01", "clock": CLOCK}
A = {"workspace": "acme", "subject": "customer:a", "type": "seat"}
B = {"workspace": "globex", "universe": "test", "subject": "customer:b", "type": "call"}
EVENTS = [
    event("1", "2024-01-02T00:00:00Z", {"q": "1", "region": "eu"}, **A),
    event("2", "2024-01-03T00:00:00Z", {"q": "2"}, **B),
]
SPAN = "2 events from 2024-01-02T00:00:00Z to 2024-01-03T00:00:00Z"


def notices(events: Any = None, config: Any = None, **asked: Any) -> list[str]:
    """What a run over two events says."""
    given = EVENTS if events is None else events
    with metering_duck.aggregate(given, config or measuring("sum"), **{**WINDOW, **asked}) as result:
        return result.notices


NAMES: list[tuple[dict[str, Any], str]] = [
    (
        {"workspace": "acmee"},
        f"workspace: no event has 'acmee'; found 'acme', 'globex' in {SPAN}. hint: did you mean \"acme\"?",
    ),
    ({"workspace": ["acme", "x"]}, f"workspace: no event has 'x'; found 'acme', 'globex' in {SPAN}."),
    (
        {"universe": ["u", "tests"]},
        f"universe: no event has 'tests'; found 'test', 'u' in {SPAN}. hint: did you mean \"test\"?",
    ),
    ({"universe": "v"}, f"universe: no event has 'v'; found 'test', 'u' in {SPAN}."),
    (
        {"workspace": "acme", "universe": "test"},
        "workspace and universe: each is there, but no event has them together.",
    ),
    (
        {"subject": "customer:c"},
        "subject: no event has 'customer:c'; found 'customer:a', 'customer:b'. hint: did you mean \"customer:b\"?",
    ),
    (
        {"subject": ["customer:a", "customer:b"], "end": "2024-01-03"},
        "subject: 'customer:b' has 1 event from 2024-01-03T00:00:00Z to 2024-01-03T00:00:00Z, but no reading in a "
        "window.",
    ),
    (
        {"group_by": "regoin"},
        "group-by: no event has the property 'regoin'; found 'q', 'region'. hint: did you mean \"region\"?",
    ),
    (
        {"group_by": ["region", "subject"]},
        "group-by: no event has the property 'subject'. hint: readings are by subject in any case",
    ),
    (
        {"group_by": "region", "start": "2024-01-03"},
        "group-by: no event that makes a reading has the property 'region'.",
    ),
    (
        {"start": "2025-01-01", "end": "2025-02-01"},
        f"window: no event makes a reading in [2025-01-01T00:00:00Z, 2025-02-01T00:00:00Z); found {SPAN}.",
    ),
    (
        {"start": "2023-01-01", "end": "2023-02-01", "fill": "zero", "every": "day"},
        f"window: no event makes a reading in [2023-01-01T00:00:00Z, 2023-02-01T00:00:00Z); found {SPAN}.",
    ),
    (
        {"subscriptions": [{"universe": "u", "subject": "customer:aa", "starts": "2024-01-01", "interval": "month"}]},
        "subscriptions: no row makes a reading: they are of 'customer:aa' of 'u'; found 'customer:b' of 'test', "
        f"'customer:a' of 'u' in {SPAN}. hint: did you mean \"customer:a\"?",
    ),
]


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize(("asked", "expected"), NAMES)
def test_what_no_event_has_is_said(asked: dict[str, Any], expected: str) -> None:
    """A name or a window that no event has is named, with what there is in its place and the nearest name."""
    assert expected == notices(**asked)[-1]


def test_a_type_that_no_event_has_is_said() -> None:
    """A type is named beside the notice that other types are left out; of several types the one that is not there."""
    near = 'hint: did you mean "call"?'
    expected = f"event-type: no event has 'calls'; found 'call', 'seat' in {SPAN}. {near}"

    assert expected == notices(event_type="calls")[-1]
    assert [expected] == notices(event_type=["call", "calls"])[1:]
    assert 1 == len(notices(event_type=["call", "seat"]))


def test_more_names_than_one_column_notes() -> None:
    """Of a hundred names each that no event has is found, whichever column of bits has it."""
    asked = [*(f"w{n}" for n in range(99)), "acme", "globex"]

    assert [f"workspace: no event has 'w{n}'" for n in range(99)] == [
        notice.split(";")[0] for notice in notices(workspace=asked)
    ]


def test_nothing_is_said_where_all_is_found(tmp_path: Path) -> None:
    """A run in which everything is found says nothing, and does not look at its input again to know it."""
    path = tmp_path / "events.ndjson"
    path.write_text("".join(json.dumps(one) + "\n" for one in EVENTS))
    asked = {"workspace": ["acme", "globex"], "subject": ["customer:a", "customer:b"], "group_by": "region"}
    with metering_duck.aggregate(path, measuring("sum"), **WINDOW, **asked) as result:
        assert 2 == result.count()
        path.unlink()
        assert [] == result.notices


@pytest.mark.slow
def test_why_nothing_was_metered_is_said() -> None:
    """Types, workspaces and times that no entry has, filters that no event passes, and an input without an event."""
    measured = {"sourceProperty": "q", "unit": "x", "aggregation": "sum"}

    def of(**entry: Any) -> str:
        return notices(config={"entries": [{"measurements": [measured], **entry}]})[-1]

    found = f"found 'call', 'seat' in {SPAN}; expected 'cal'."
    assert f'config: no entry has the type of any event: {found} hint: did you mean "cal"?' == of(type="cal")
    assert of(workspaceID="other").startswith("config: no entry has the workspaceID of any event: found 'acme', ")
    late = "expected from 2025-01-01T00:00:00Z to any time."
    assert f"config: no entry is in effect at the time of any event: found {SPAN}; {late}" == of(
        effectiveFrom="2025-01-01"
    )
    chosen = {"property": "region", "equals": "us"}
    assert (
        "measurements[0].filter: no event passes it; found 'region': 'eu', absent."
        == (notices(config=measuring("sum", filter=chosen))[-1])
    )
    assert ["input: found no event."] == notices(pa.Table.from_pylist(EVENTS).slice(0, 0))


def test_folders_that_are_not_read_are_looked_at(tmp_path: Path) -> None:
    """Of a tree in folders by workspace nothing is read for a name that there is not, and all names are told."""
    for name in ("acme", "globex"):
        row = typed("1", datetime(2024, 1, 2, tzinfo=UTC), {"q": "1"}, workspace=name)
        write_table(tmp_path / f"workspace_id={name}" / "a.parquet", [row])

    (told,) = notices(str(tmp_path), workspace="globx", folder_keys=True)
    assert told.startswith("workspace: no event has 'globx'; found 'acme', 'globex' in 2 events from ")


def test_records_say_it_too() -> None:
    """Records in place of events: workspaces, subjects, dimensions and windows that no record has."""
    with metering_duck.meter(EVENTS, measuring("sum"), clock=CLOCK) as metered:
        records = metered.to_arrow()

    def of(**asked: Any) -> str:
        with metering_duck.aggregate(records=records, **{**WINDOW, **asked}) as result:
            return result.notices[-1]

    assert of(workspace="acmee").startswith("workspace: no record has 'acmee'; found 'acme', 'globex' in 2 records")
    assert of(group_by="regoin").startswith("group-by: no record has the dimension 'regoin'; found 'region'.")
    assert of(start="2025-01-01", end="2026-01-01").startswith("window: no record makes a reading in [2025-")


def test_meter_and_check_say_it_too() -> None:
    """Records of a universe that no event has, and of two workspaces of which one is not there."""
    config = measuring("sum")
    with metering_duck.meter(EVENTS, config, universe="x", clock=CLOCK) as result:
        assert [f"universe: no event has 'x'; found 'test', 'u' in {SPAN}."] == result.notices
    with metering_duck.meter(EVENTS, config, map_universe={"tset": "live", "test": "other"}, clock=CLOCK) as result:
        said = f"map-universe: no event has 'tset'; found 'other', 'u' in {SPAN}."
        assert [said] == [notice.partition(" hint")[0] for notice in result.notices]
    report = metering_duck.check(config, EVENTS, workspace=["acme", "acmee"], clock=CLOCK)
    assert ["workspace: no event has 'acmee'"] == [notice.split(";")[0] for notice in report["notices"]]


@pytest.mark.slow
def test_a_ledger_says_it_too(tmp_path: Path) -> None:
    """A period without an event says when the ledger's files have theirs; a name that no event has is told."""
    events = tmp_path / "events.ndjson"
    events.write_text("".join(json.dumps(one) + "\n" for one in EVENTS))
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    asked = {"start": "2024-01-01", "end": "2024-03-01", "every": "month", "clock": CLOCK}
    january, february = ledger.backfill(str(events), measuring("sum"), **asked)

    assert ((), 2) == (january.notices, len(february.notices))
    assert february.notices[0].startswith("window: no event makes a reading in [2024-02-01T00:00:00Z, ")
    assert f"ledger: its files have {SPAN}." == february.notices[1]
    (told,) = ledger.backfill(config=measuring("sum"), workspace="acmee", **asked | {"end": "2024-02-01"})
    assert told.notices[0].startswith("workspace: no event has 'acmee'; found 'acme', 'globex' in 2 events")


def test_a_roll_up_says_it_too() -> None:
    """A roll-up of no reading, and into windows in which no reading lies, says so."""
    with metering_duck.aggregate(EVENTS, measuring("sum"), **WINDOW, every="day") as result:
        days = result.to_arrow()

    def of(readings: Any, **asked: Any) -> list[str]:
        with metering_duck.rollup(readings, clock=CLOCK, **asked) as result:
            return result.notices

    assert ["readings: found none."] == of(days.slice(0, 0), every="month")
    span = "they are from 2024-01-02T00:00:00Z to 2024-01-04T00:00:00Z."
    assert [f"2 readings of 2 in no new window, not used: {span}"] == of(days, start="2025-01-01", end="2026-01-01")
    assert [] == of(days, every="month")
    assert ["digits: rounds averages, and there is none: quantities are texts with all their digits."] == of(
        days, every="month", digits=5
    )
