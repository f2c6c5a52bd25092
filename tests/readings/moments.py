"""The moments, windows and spans of the small worlds that readings are made of."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests import oracle_readings
from tests.comparing import worlds_strategy
from tests.worlds import Event, measuring

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
