"""What the tests of billing periods, gauges, spans and roll-ups share: small worlds of events, and the comparison of
the engine's readings with the oracle's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

import metering_duck
from tests import oracle, worlds
from tests.worlds import CLOCK, Event

METERED = ("2024-12-05T00:00:00Z", "2024-12-06T00:00:00.5Z", "2024-12-07T00:00:00Z")
QUANTITIES = ("0", "1", "-1", "3", "2.5", ".125", "1e3", "-2.50E-1", "0.000000000000000001", "33.333333333333333333")


def event(
    number: int | str, time: str, *, subject: str = "customer:1", universe: str = "u", **properties: str
) -> Event:
    """One event that entered a year later."""
    entered = "2025-03-01T00:00:00Z"
    return worlds.event(f"e{number}", time, properties, subject=subject, universe=universe, metered_at=entered)


def worlds_strategy(
    times: Sequence[str],
    *,
    size: int = 8,
    quantities: Sequence[str] = QUANTITIES,
    properties: dict[str, st.SearchStrategy[str]] | None = None,
    workspaces: Sequence[str] = ("w1", "w1", "w2"),
) -> st.SearchStrategy[list[Event]]:
    """Many small cases in one list of events, each case in a universe of its own; ties are common."""
    found = st.fixed_dictionaries(
        {
            "workspaceID": st.sampled_from(workspaces),
            "type": st.just("call"),
            "subject": st.sampled_from(("customer:1", "customer:1", "customer:2")),
            "time": st.sampled_from(times),
            "properties": st.fixed_dictionaries(
                {"q": st.sampled_from(quantities), **(properties or {})},
                optional={"region": st.sampled_from(("eu", "us", "")), "krn": st.sampled_from(("a", "b"))},
            ),
        },
        optional={"meteredAt": st.sampled_from(METERED)},
    )
    world = st.lists(found, min_size=1, max_size=7)
    return st.lists(world, min_size=size, max_size=size).map(
        lambda worlds: [
            {**event, "universeID": f"u{n:02}", "id": f"e{m}"}
            for n, events in enumerate(worlds)
            for m, event in enumerate(events)
        ]
    )


def expect_readings(events: list[Event], config: Event, **options: Any) -> list[oracle.Row]:
    """The engine's readings, after they were found to be the oracle's, and its counts and reasons of rejects too."""
    books = oracle.meter(events, config, clock=CLOCK)
    expected = oracle.readings(books.records, config=config, **options)
    with metering_duck.aggregate(events, config, clock=CLOCK, **options) as result:
        rows = result.to_dicts()
        assert books.counts == {name: result.accounting[name] for name in books.counts}
        reasons = sorted((row["universe_id"], row["id"], row["reason"]) for row in result.rejects.to_pylist())
    actual = [oracle.plain_reading(row) for row in rows]
    assert sorted((row["universe_id"], row["id"], row["reason"]) for row in books.rejects) == reasons
    assert oracle.in_order(expected) == oracle.in_order(actual)
    assert len(rows) == len({row["id"] for row in rows})
    return actual


def readings_of(events: list[Event], config: Event, **options: Any) -> list[oracle.Row]:
    """The engine's readings as they are."""
    with metering_duck.aggregate(events, config, clock=CLOCK, **options) as result:
        return result.to_dicts()
