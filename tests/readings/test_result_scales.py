"""Result scales: each reading is rounded as the measurements of its own workspace say (R16)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from metering_duck.contract.config import load_config
from metering_duck.contract.idle_keys import idle_keys
from tests.comparing import event, expect_readings, readings_of
from tests.readings.moments import WINDOW

SPAN = {"span": {"duration": "length", "unit": "hours"}, "proration": "by-time"}
MADE = (
    {"aggregation": "sum"},
    {"aggregation": "avg"},
    {"aggregation": "time-weighted-avg"},
    {"aggregation": "final-state"},
    {"aggregation": "sum", **SPAN},
    {"aggregation": "sum-of-max", "innerWindow": "day"},
    {"aggregation": "p75-interpolated"},
)
EVENTS = [
    {**event(n, f"2024-02-{n + 1:02}T00:00:00Z", q=text, length="700"), "workspaceID": name}
    for n, (name, text) in enumerate([("v", "0.123"), ("w", "1.5"), ("v", "0.333"), ("w", "0.2571"), ("x", "7.77777")])
]


def entry(workspace: str | None, scale: int | None, **keys: Any) -> dict[str, Any]:
    """An entry that measures q in one unit."""
    found: dict[str, Any] = {"sourceProperty": "q", "unit": "usd", **keys}
    if scale is not None:
        found["resultScale"] = scale
    return {"measurements": [found]} | ({} if workspace is None else {"workspaceID": workspace, "type": "t"})


@pytest.mark.parametrize("made", MADE, ids=str)
@pytest.mark.parametrize("scales", [(None, 0, 0), (2, 0, None), (None, -1, 20)], ids=str)
def test_a_workspace_has_scales_of_its_own(made: dict[str, Any], scales: tuple[int | None, ...]) -> None:
    """What another workspace says of the same unit and aggregation changes no reading."""
    config = {"entries": [entry(name, scale, **made) for name, scale in zip("vwx", scales, strict=True)]}
    rows = expect_readings(EVENTS, config, **WINDOW, every="week")
    assert {"v", "w", "x"} == {row["workspace_id"] for row in rows}
    expect_readings(EVENTS, config, **WINDOW, across_workspaces=True)


def test_the_largest_scale_of_a_workspace_counts() -> None:
    """Entries of one workspace make one reading, which has the larger of their scales."""
    config = {
        "entries": [
            {**entry("v", 0, aggregation="sum"), "effectiveTo": "2024-02-02T00:00:00Z"},
            {**entry("v", 2, aggregation="sum"), "effectiveFrom": "2024-02-02T00:00:00Z"},
            entry("w", None, aggregation="sum"),
        ]
    }
    rows = expect_readings(EVENTS, config, **WINDOW)
    assert {"v": Decimal("0.46"), "w": Decimal("1.7571")} == {row["workspace_id"]: row["quantity"] for row in rows}


@pytest.mark.parametrize(
    ("keys", "asked", "why"),
    [
        ({}, {"scale": 3}, "the scale of the call comes first"),
        ({"aggregation": "avg"}, {"has_digits": True}, "the digits of the call come first"),
        ({}, {}, "another measurement of the same unit says 2, and a reading has one scale"),
    ],
)
def test_a_scale_that_changes_nothing_is_said(keys: dict[str, Any], asked: dict[str, Any], why: str) -> None:
    """A resultScale that a call, or another measurement, has taken the place of."""
    measured = [{"sourceProperty": name, "unit": "usd", "aggregation": "sum", **keys} for name in "qr"]
    config = load_config({"measurements": [{**measured[0], "resultScale": 1}, {**measured[1], "resultScale": 2}]})
    name = measured[0]["aggregation"]
    assert f"measurements[0].resultScale: changes nothing under {name}: {why}." in idle_keys(config, **asked)


def test_ids_tell_the_scales_of_workspaces_apart() -> None:
    """A reading has the id that it has under the config of its workspace alone (R21)."""
    both = {"entries": [entry("v", None, aggregation="sum"), entry("w", 0, aggregation="sum")]}
    ids = {row["workspace_id"]: row["id"] for row in readings_of(EVENTS, both, **WINDOW)}
    for name, scale in (("v", None), ("w", 0)):
        (row,) = readings_of(EVENTS, {"entries": [entry(name, scale, aggregation="sum")]}, **WINDOW)
        assert ids[name] == row["id"]
