"""Roll-ups know what their readings were made with by their ids, and give no id to readings of other events (R21)."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from metering_duck import ConfigError, aggregate, rollup
from tests.worlds import CLOCK, event, measuring

BOUNDS: dict[str, Any] = {"start": "2024-01-01", "end": "2024-02-01", "clock": CLOCK}
EVENTS = [
    event(f"e{n}", f"2024-01-0{n + 1}T00:00:00Z", {"q": "1", "r": "eu"}, type=kind, workspace=workspace)
    for n, (kind, workspace) in enumerate([("a", "v"), ("b", "v"), ("b", "w")])
]


def days(configured: str = "sum", **options: Any) -> pa.Table:
    """Readings of days."""
    with aggregate(EVENTS, measuring(configured), every="day", **BOUNDS, **options) as result:
        return result.to_arrow()


def ids(result: Any) -> list[tuple[str, str]]:
    """The id and the quantity of each reading."""
    with result:
        return [(row["id"], str(row["quantity"])) for row in result.to_dicts()]


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": 2},
        {"digits": 5},
        {"group_by": ["r", "x"]},
        {"across_workspaces": True},
        {"event_type": "a"},
        {"event_type": ["a", "b"], "scale": 2},
        {"across_workspaces": True, "workspace": ["v", "w"]},
    ],
)
def test_a_roll_up_has_the_ids_of_the_events(options: dict[str, Any]) -> None:
    """Told what its readings were made of, a roll-up has the ids that aggregate gives with the same options."""
    told = {name: value for name, value in options.items() if name != "group_by"}

    assert ids(aggregate(EVENTS, measuring("sum"), **BOUNDS, **options)) == ids(
        rollup(days(**options), **BOUNDS, **told)
    )


@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.parametrize("options", [{"event_type": "a"}, {"across_workspaces": True, "workspace": "v"}])
def test_readings_of_some_events_do_not_become_those_of_all(options: dict[str, Any]) -> None:
    """Not told, or told otherwise, a roll-up refuses them; so it does where plain readings are said to be of a type."""
    for given, told in ((options, {}), (options, {"event_type": "b"}), ({}, {"event_type": "a"})):
        with pytest.raises(ConfigError, match=r"^readings: found the sum of .* which it has by other settings than"):
            rollup(days(**given), **BOUNDS, **told)


def test_an_aggregation_that_was_chosen_stays_in_the_ids() -> None:
    """Readings of --aggregation integral-of-deltas become such readings, and not integrals of levels."""
    chosen = {"aggregation": "integral-of-deltas"}
    made = days("integral", **chosen)

    assert ids(aggregate(EVENTS, measuring("integral"), **BOUNDS, **chosen)) == ids(rollup(made, **BOUNDS))


def test_readings_without_ids_are_taken_at_their_word() -> None:
    """Where no id tells, the options alone decide."""
    made = days(event_type="a").drop_columns(["id"])

    assert ids(aggregate(EVENTS, measuring("sum"), event_type="a", **BOUNDS)) == ids(
        rollup(made, event_type="a", **BOUNDS)
    )
