"""Forking a universe: events in one order, whichever order they come in."""

from __future__ import annotations

from itertools import permutations

import metering_duck
from tests.comparing import event


def test_events_in_conflict_are_forked_in_one_order() -> None:
    """Events that share their key and their times are ordered by what they say (R23)."""
    time = "2024-02-01T00:00:00Z"
    alike = [event(1, time, q="2"), event(1, time, q="1"), event(1, time, q="1", subject="customer:b")]

    found = {str(metering_duck.fork_universe(list(given), "u", "test").to_dicts()) for given in permutations(alike)}

    assert 1 == len(found)
    assert 3 == found.pop().count("customer:")
