"""What is said of windows, and of tables of them."""

from __future__ import annotations

from metering_duck import (
    ConfigError,
    MeteringError,
    SchemaError,
)
from tests.messages import FIRST_AGGREGATIONS, Event

PERIODS: dict[str, tuple[Event, type[MeteringError], str]] = {
    "timezone": (
        {"timezone": "Mars/X"},
        ConfigError,
        'timezone: found "Mars/X"; expected an IANA zone such as Europe/Berlin.',
    ),
    "anchor": (
        {"every": "P1M", "anchor": "soon"},
        ConfigError,
        "anchor: found 'soon'; expected a time such as \"2024-01-31T00:00:00Z\".",
    ),
    "anchor alone": (
        {"anchor": "2024-01-31"},
        ConfigError,
        "anchor: found one without an interval; expected every beside it. hint: --every P1M",
    ),
    "too many windows": (
        {"every": "PT0.001S"},
        ConfigError,
        "every: found 'PT0.001S', which cuts more than 10,000,000 windows; expected fewer.",
    ),
    "fill": (
        {"fill": "forward"},
        ConfigError,
        "fill: found 'forward'; expected one of none, zero, carry.",
    ),
    "windows and subscriptions": (
        {"windows": [("2024-01-01", "2024-01-02")], "subscriptions": [{"universe": "u", "subject": "c:1"}]},
        ConfigError,
        "windows: found subscriptions beside them; expected one of the two.",
    ),
    "windows and every": (
        {"windows": [("2024-01-01", "2024-01-02")], "every": "day"},
        ConfigError,
        "windows: found every beside them; expected one of the two.",
    ),
    "no window at all": (
        {"windows": []},
        ConfigError,
        "windows: found none; expected at least one.",
    ),
    "a window without a start": (
        {"windows": [{"end": "2024-01-02"}]},
        SchemaError,
        "windows: column start: found no such column among end; expected one. hint: the columns are start, end",
    ),
    "an inverted window": (
        {"windows": [("2024-01-05", "2024-01-02")]},
        ConfigError,
        "windows: found the inverted period [2024-01-05T00:00:00Z, 2024-01-02T00:00:00Z); expected its end "
        "after its start.",
    ),
    "an empty window": (
        {"windows": [("2024-01-05", "2024-01-05")]},
        ConfigError,
        "windows: found the empty period [2024-01-05T00:00:00Z, 2024-01-05T00:00:00Z); expected its end after"
        " its start.",
    ),
    "windows that overlap": (
        {"windows": [("2024-01-01", "2024-01-08"), ("2024-01-07", "2024-01-09")]},
        ConfigError,
        "windows: found two that overlap, one that ends at 2024-01-08T00:00:00Z and one that starts at "
        "2024-01-07T00:00:00Z; expected periods that do not.",
    ),
    "windows elsewhere": (
        {"windows": [("2020-01-01", "2020-01-08")]},
        ConfigError,
        "windows: found none between start and end; expected at least one.",
    ),
    "windows of some subjects": (
        {
            "windows": [
                {"start": "2024-01-01", "end": "2024-01-02", "universe": "u", "subject": "c:1"},
                {"start": "2024-01-02", "end": "2024-01-03"},
            ]
        },
        ConfigError,
        "windows: found 1 without a subject among 2; expected one in all or in none.",
    ),
    "a window that is no time": (
        {"windows": [("2024-01-01", "later")]},
        ConfigError,
        'windows: found "later" in end; expected a time such as 2024-01-31 or RFC 3339.',
    ),
    "a subscription without a universe": (
        {"subscriptions": [{"subject": "c:1"}]},
        SchemaError,
        "subscriptions: column universe: found no such column among subject; expected one. hint: the columns "
        "are universe, subject, anchor, interval, zone, starts, ends",
    ),
    "a subscription of nobody": (
        {"subscriptions": [{"universe": "u", "subject": ""}]},
        ConfigError,
        "subscriptions: found no universe or no subject in a row; expected both.",
    ),
    "a subscription's zone": (
        {"subscriptions": [{"universe": "u", "subject": "c:1", "zone": "Mars/X"}]},
        ConfigError,
        "subscriptions of 'c:1': found the zone \"Mars/X\"; expected an IANA zone such as Europe/Berlin.",
    ),
    "a subscription's interval": (
        {"subscriptions": [{"universe": "u", "subject": "c:1", "interval": "moon"}]},
        ConfigError,
        "subscriptions: interval: found 'moon'; expected hour, day, week, month, quarter, year, week-sunday "
        'or an ISO 8601 duration such as PT15M. hint: did you mean "month"?',
    ),
    "a subscription's anchor": (
        {"subscriptions": [{"universe": "u", "subject": "c:1", "anchor": "soon"}]},
        ConfigError,
        "subscriptions of 'c:1': found \"soon\" in anchor; expected a time such as 2024-01-31 or RFC 3339.",
    ),
    "a subscription's start": (
        {"subscriptions": [{"universe": "u", "subject": "c:1", "starts": "2024-13-01"}]},
        ConfigError,
        "subscriptions of 'c:1': found \"2024-13-01\" in starts; expected a time such as 2024-01-31 or RFC 3339.",
    ),
    "an inverted subscription": (
        {"subscriptions": [{"universe": "u", "subject": "c:1", "starts": "2024-01-05", "ends": "2024-01-02"}]},
        ConfigError,
        "subscriptions of 'c:1': found the inverted period [2024-01-05T00:00:00Z, 2024-01-02T00:00:00Z); "
        "expected its end after its start.",
    ),
    "subscriptions that overlap": (
        {
            "subscriptions": [
                {"universe": "u", "subject": "c:1", "starts": "2024-01-01", "ends": "2024-01-12"},
                {"universe": "u", "subject": "c:1", "starts": "2024-01-11"},
            ]
        },
        ConfigError,
        "periods of 'c:1': found two that overlap, one that ends at 2024-01-12T00:00:00Z and one that starts "
        "at 2024-01-11T00:00:00Z; expected periods that do not.",
    ),
    "a subscription without bounds": (
        {"start": None, "subscriptions": [{"universe": "u", "subject": "c:1"}]},
        ConfigError,
        "subscriptions of 'c:1': found no starts; expected one in the row, or start for all. hint: --start 2024-01-01",
    ),
    "too many periods": (
        {"subscriptions": [{"universe": "u", "subject": "c:1", "interval": "PT0.1S"}]},
        ConfigError,
        "subscriptions: found more than 10,000,000 periods; expected fewer.",
    ),
    "too many inner windows": (
        {"aggregation": "sum-of-max per PT0.1S"},
        ConfigError,
        'aggregation: found "sum-of-max per PT0.1S", which cuts more than 10,000,000 inner windows; expected fewer.',
    ),
    "two levels of nothing": (
        {"aggregation": "sum-of-max"},
        ConfigError,
        'measurements[0].aggregation: found "sum-of-max"; expected an inner window or dimension. hint: "sum-'
        'of-max per hour" or "sum-of-max by PROPERTY"',
    ),
    "one level per hour": (
        {"aggregation": "sum per hour"},
        ConfigError,
        'aggregation: found "sum per hour"; expected two functions before "per". hint: "sum-of-max per hour"',
    ),
    "two levels per moon": (
        {"aggregation": "sum-of-max per moon"},
        ConfigError,
        "aggregation: found 'moon'; expected hour, day, week, month, quarter, year, week-sunday or an ISO "
        '8601 duration such as PT15M. hint: did you mean "month"?',
    ),
    "a zone of Python alone": (
        {"timezone": "localtime"},
        ConfigError,
        'timezone: found "localtime"; expected an IANA zone such as Europe/Berlin.',
    ),
    "before the year 1": (
        {"start": "0001-01-01", "timezone": "Europe/Berlin"},
        ConfigError,
        "start: found 0001-01-01 in Europe/Berlin; expected a time of the years 1 to 9999.",
    ),
    "a column almost ours": (
        {"subscriptions": [{"universe": "u", "subject": "c:1", "Starts": "2024-01-01"}]},
        SchemaError,
        "subscriptions: column Starts: found it, almost starts; expected starts. hint: rename it, to that or "
        "to something else",
    ),
    "no subscription at all": (
        {"subscriptions": []},
        ConfigError,
        "subscriptions: found none; expected at least one.",
    ),
    "a percentile of nothing": (
        {"aggregation": "p0"},
        ConfigError,
        'aggregation: found "p0"; expected a percentile above 0 and at most 100, such as p99.9.',
    ),
    "an outer function that is none": (
        {"aggregation": "latest-of-sum"},
        ConfigError,
        'aggregation: found "latest-of-sum"; expected sum, max, min, avg, count or a percentile before '
        '"-of-". hint: "max-of-sum per hour"',
    ),
    "an inner function that is none": (
        {"aggregation": "sum-of-foo"},
        ConfigError,
        f'aggregation: found "sum-of-foo"; expected an aggregation behind "-of-". hint: {FIRST_AGGREGATIONS}',
    ),
    "a prorated sum without spans": (
        {"aggregation": "prorated-sum"},
        ConfigError,
        'measurements[0]: found prorated-sum without a span; expected one. hint: "span": {"start": "from", '
        '"end": "to"}',
    ),
    "an inner dimension that is measured": (
        {"aggregation": "sum-of-max by q"},
        ConfigError,
        "measurements[0]: found the inner dimension 'q', which the config measures; expected a dimension. "
        "hint: a property that is measured is no dimension (R6)",
    ),
}
