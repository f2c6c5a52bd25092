"""Random configs that keep the rules of docs/config.md, and random options of a call."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.fire import texts
from tests.fire.events import Words
from tests.worlds import Event

COUNTERS = (
    "sum",
    "max",
    "min",
    "latest",
    "first",
    "count",
    "avg",
    "sum-events",
    "max-event",
    "min-event",
    "latest-event",
)
GAUGES = (
    *("time-weighted-avg", "peak-state", "min-state", "final-state", "integral", "integral-seconds", "integral-hours"),
    "time-weighted-avg-known",
)
PERCENTILES = (
    *(
        "p50",
        "p90",
        "p95",
        "p99",
        "p99.9",
        "p100",
        "p0.000001",
        "p33",
        "median",
        "p95-interpolated",
        "p25-interpolated",
    ),
    "p99.99-interpolated",
)
OUTER = ("sum", "max", "min", "avg", "count", "p50", "p90", "median")
INNER = ("sum", "max", "min", "latest", "first", "count", "avg", "p50", *GAUGES[:4])
INNER_WINDOWS = ("hour", "day", "week", "PT7H", "month")
FACTORS = ("2", "3", "1000", "0.001", "-1", "7", "1073741824", "0.7", "12.5", "-0.03")
DECIMALS: tuple[Event, ...] = (
    {"precision": 12},
    {"precision": 38, "scale": 9},
    {"scale": 20},
    {"precision": 30, "scale": 6},
)
ROUNDED: tuple[Event, ...] = ({"scale": 0}, {"scale": 3}, {"scale": 20}, {"digits": 1}, {"digits": 34}, {"digits": 7})
SPANS: tuple[Event, ...] = (
    {"start": "from", "end": "to"},
    {"start": "from"},
    {"end": "to"},
    {"duration": "len", "unit": "seconds"},
    {"duration": "len", "unit": "milliseconds", "eventTime": "end"},
    {"start": "from", "duration": "len", "unit": "hours"},
    {"end": "to", "duration": "len", "unit": "minutes"},
    {"start": "at", "times": "epoch-seconds"},
    {"start": "at", "times": "epoch-seconds", "duration": "len", "unit": "days"},
)
EVERY = ("day", "week", "month", "week-sunday", "quarter", "year", "PT31H", "P2W", "P1DT1S", "P1M", "hour")
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC", "Pacific/Apia")


@dataclass
class Asked:
    """A config, and the options of aggregate() beside it."""

    config: Event
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def measurements(self) -> list[Event]:
        """All measurements of the config."""
        entries = self.config.get("entries") or [self.config]
        return [m for entry in entries for m in entry.get("measurements") or entry["observations"]]

    @property
    def measured(self) -> set[str]:
        """The properties that are measured, which are no dimensions (R6)."""
        sources = [measurement.get("sourceProperty", []) for measurement in self.measurements]
        return {name for source in sources for name in (source if isinstance(source, list) else [source])}

    def has(self, *keys: str) -> bool:
        """Whether any measurement has any of these keys."""
        return any(key in measurement for measurement in self.measurements for key in keys)


def asked(chance: random.Random, found: Words) -> Asked:
    """A config and options that fit it."""
    made = Asked(_config(chance, found))
    made.options = _windows(chance, found) | _options(chance, found, made)
    return made


# --- the config ------------------------------------------------------------------------------------------------------


def _config(chance: random.Random, found: Words) -> Event:
    if chance.random() < 0.6:
        return {"measurements": _measurements(chance, found, "")}
    workspace, other = found.workspaces[0], found.workspaces[-1]
    entries: list[Event] = [
        {"workspaceID": workspace, "type": found.types[0], "effectiveTo": texts.CHANGE},
        {"workspaceID": workspace, "type": found.types[0], "effectiveFrom": texts.CHANGE},
    ]
    if found.types[-1] != found.types[0]:
        entries.append({"workspaceID": workspace, "type": found.types[-1]})
    if other != workspace:
        entries.append({"workspaceID": other})
    for n, entry in enumerate(entries):
        entry[chance.choice(("measurements", "observations"))] = _measurements(chance, found, str(n))
    return {"entries": entries}


def _measurements(chance: random.Random, found: Words, mark: str) -> list[Event]:
    """One to four measurements, each of a unit of its own, or of the same unit under another aggregation."""
    made: list[Event] = []
    for n in range(chance.choice((1, 1, 1, 2, 2, 3, 4))):
        unit = f"{mark}{n}" if found.plain else f"{mark}{n}{texts.any_text(chance)}"
        measurement = _measurement(chance, found, unit)
        if made and chance.random() < 0.2 and not {"rounding", "scale", "precision"} & made[-1].keys():
            names = {m["aggregation"] for m in made if m["unit"] == made[-1]["unit"]}
            plain = [name for name in ("sum", "max", "count", "latest", "peak-state") if name not in names]
            measurement = {"sourceProperty": "q", "unit": made[-1]["unit"], "aggregation": chance.choice(plain)}
        made.append(measurement)
    return made


def _measurement(chance: random.Random, found: Words, unit: str) -> Event:
    kind = chance.choices(("counter", "gauge", "percentile", "unique", "two levels", "split"), (30, 25, 10, 8, 15, 12))[
        0
    ]
    made: Event = {"sourceProperty": chance.choice(("q", "q", "q", "r", ["q", "r"])), "unit": unit}
    made |= {
        "counter": lambda: {"aggregation": chance.choice(COUNTERS)},
        "gauge": lambda: _gauge(chance),
        "percentile": lambda: {"aggregation": chance.choice(PERCENTILES)},
        "unique": lambda: {"aggregation": "unique-count", "sourceProperty": chance.choice(("q", "tier"))},
        "two levels": lambda: _two_levels(chance, found),
        "split": lambda: {"aggregation": "sum", "span": chance.choice(SPANS), "proration": "by-time"},
    }[kind]()
    if chance.random() < 0.4:
        made["filter"] = filter_for(chance, found, 0)
    if kind in ("counter", "percentile") and chance.random() < 0.15:
        made["span"] = chance.choice(SPANS)
    if "span" in made and chance.random() < 0.3:
        made["timesDuration"] = chance.choice(("seconds", "minutes", "hours", "days"))
    if kind != "unique":
        made |= _digits(chance)
    counts = made["aggregation"] == "count" or made["aggregation"].endswith("-of-count")
    if counts and not {"timesDuration", "multiply", "divide"} & made.keys() and chance.random() < 0.5:
        del made["sourceProperty"]
    return made


def _gauge(chance: random.Random) -> Event:
    made: Event = {"aggregation": chance.choice(GAUGES)}
    if chance.random() < 0.3:
        made["values"] = "deltas"
    if made["aggregation"] == "time-weighted-avg" and chance.random() < 0.3:
        made["divisor"] = "known"
    return made


def _two_levels(chance: random.Random, found: Words) -> Event:
    made: Event = {"aggregation": f"{chance.choice(OUTER)}-of-{chance.choice(INNER)}"}
    if chance.random() < 0.5:
        return made | {"innerWindow": chance.choice(INNER_WINDOWS)}
    return made | {"innerDimension": chance.choice(found.names)}


def _digits(chance: random.Random) -> Event:
    """Conversion, digits and rounding."""
    made: Event = {}
    if chance.random() < 0.15:
        made["multiply"] = chance.choice(FACTORS)
    if chance.random() < 0.15:
        made["divide"] = chance.choice(FACTORS)
    if chance.random() < 0.15:
        made |= chance.choice(
            ({"precision": 12}, {"precision": 38, "scale": 9}, {"scale": 20}, {"precision": 30, "scale": 6})
        )
    if chance.random() < 0.2:
        made["resultScale"] = chance.choice((-3, 0, 1, 2, 6, 20))
    if chance.random() < 0.3:
        made["rounding"] = chance.choice(("half-even", "half-up", "ceiling", "floor"))
    return made


def filter_for(chance: random.Random, found: Words, depth: int) -> Event:
    """A condition, several of them on one property, or filters combined, up to three deep."""
    if depth < 3 and chance.random() < 0.25:
        kind = chance.choice(("and", "or", "not"))
        if kind == "not":
            return {"not": filter_for(chance, found, depth + 1)}
        return {kind: [filter_for(chance, found, depth + 1) for _ in range(chance.randint(1, 3))]}
    if chance.random() < 0.2:
        looked = {"field": chance.choice(("type", "subject"))}
        pool = [*found.types, *found.subjects]
    else:
        looked = {"property": chance.choice((*found.names, "r", "q", "len"))}
        pool = [text for text in (*found.tiers, "eu", "us", "1", "1.5") if text]
    return looked | _conditions(chance, pool)


def _conditions(chance: random.Random, pool: list[str]) -> Event:
    numbers = ("0", "1", "1.5", "-3e2", 100, "1e999999999", "0.000000000000000000000000000001", "33333333.3")
    makes = {
        "equals": lambda: chance.choice(pool),
        "notEquals": lambda: chance.choice((*pool, "")),
        "in": lambda: [chance.choice((*pool, "")) for _ in range(2)],
        "notIn": lambda: [chance.choice((*pool, "")) for _ in range(2)],
        "exists": lambda: True,
        "missing": lambda: True,
        "prefix": lambda: chance.choice(pool)[:1],
        "contains": lambda: chance.choice(pool)[-1:],
        "matches": lambda: chance.choice(("^[a-z]", "[0-9]+", "e.?u", r"\.")),
        **{name: lambda: chance.choice(numbers) for name in ("gt", "gte", "lt", "lte")},
    }
    chosen = chance.sample(sorted(makes), k=chance.choice((1, 1, 1, 2)))
    return {name: makes[name]() for name in chosen}


# --- the options -----------------------------------------------------------------------------------------------------


def _windows(chance: random.Random, found: Words) -> dict[str, Any]:
    whole = {"start": texts.START, "end": texts.END}
    kind = chance.choices(("one", "every", "zone", "anchor", "windows", "subscriptions"), (25, 30, 15, 10, 10, 10))[0]
    if kind == "one":
        return whole
    cut = {**whole, "every": chance.choice(EVERY if chance.random() < 0.15 else EVERY[:-1])}
    if kind == "every":
        return cut
    zone = {"timezone": chance.choice(ZONES)}
    if kind == "zone":
        return {**cut, **zone, **({"whole_periods": True} if chance.random() < 0.3 else {})}
    if kind == "anchor":
        anchor = chance.choice(("2024-01-31T00:00:00", "2023-12-30T17:45:00", "2020-02-29T12:00:00Z"))
        every = chance.choice(("day", "month", "PT31H", "P2W", "P1M", "week"))
        return {**whole, "every": every, "anchor": anchor, **(zone if chance.random() < 0.5 else {})}
    if kind == "windows":
        bounds = [f"2024-02-{day:02}T{hour:02}:00:00Z" for day in range(1, 29, 3) for hour in (0, 13)]
        cuts = sorted(chance.sample([texts.START, *bounds, texts.END], k=chance.choice((2, 4, 6))))
        return {"windows": list(zip(cuts[::2], cuts[1::2], strict=True))}
    rows = []
    for subject in found.subjects:
        row = {"universe": "", "subject": subject, "anchor": f"2024-01-{chance.randint(1, 31):02}T00:00:00"}
        rows.append({**row, "interval": chance.choice(("month", "week", "P1M")), "zone": chance.choice(ZONES)})
    return {**whole, "subscriptions": rows}


def _options(chance: random.Random, found: Words, made: Asked) -> dict[str, Any]:
    options: dict[str, Any] = {}
    dimensions = [name for name in found.names if name not in made.measured]
    if chance.random() < 0.35 and dimensions:
        options["group_by"] = tuple(dict.fromkeys(chance.choice(dimensions) for _ in range(chance.randint(1, 2))))
    if chance.random() < 0.15:
        options["across_workspaces"] = True
    if chance.random() < 0.15:
        options["subject"] = (chance.choice(found.subjects), "nobody")
    if chance.random() < 0.15:
        options["workspace"] = (chance.choice(found.workspaces), "nowhere")
    if chance.random() < 0.15:
        options["as_of"] = chance.choice(("2024-03-05T00:00:00Z", "2024-03-06T00:00:00.4Z", "2024-06-15T00:00:00Z"))
    if chance.random() < 0.2:
        options |= chance.choice(
            ({"scale": 0}, {"scale": 3}, {"scale": 20}, {"digits": 1}, {"digits": 34}, {"digits": 7})
        )
    if chance.random() < 0.15 and not made.has("proration"):
        options["fill"] = chance.choice(("zero", "carry"))
    complete = ("values", "divisor", "innerWindow", "innerDimension", "proration", "span")
    names = {m["aggregation"] for m in made.measurements}
    if chance.random() < 0.1 and not made.has(*complete) and "unique-count" not in names:
        options["aggregation"] = chance.choice((*COUNTERS, *GAUGES[:4], "p90"))
    return options
