"""Small worlds of events in files, as the tests of the ledger use them: gauges, counters, percentiles, spans,
duplicates, conflicts that move to another month, rejects and events without a time, by month, by day and late."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

import metering_duck
from metering_duck.ledger.ledger import Ledger
from metering_duck.runs.rows import Rows
from tests.worlds import CLOCK, Event, row, write_table

BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)
MONTHS = {"start": "2024-01-01", "end": "2024-04-01", "every": "month"}
PERIODS = ("2024-01", "2024-02", "2024-03")
# Of its events a window needs only its own: counters, gauges whose levels the ledger carries, a percentile, deltas.
NARROW: dict[str, Any] = {
    "entries": [
        {
            "type": "call",
            "measurements": [
                {"sourceProperty": "tokens", "unit": "tokens", "aggregation": "sum"},
                {"sourceProperty": "tokens", "unit": "largest", "aggregation": "max"},
                {
                    "sourceProperty": "tokens",
                    "unit": "european",
                    "aggregation": "sum",
                    "filter": {"property": "region", "equals": "eu"},
                },
                {"sourceProperty": "tokens", "unit": "high", "aggregation": "p95"},
                {"sourceProperty": "tokens", "unit": "busiest", "aggregation": "max-of-sum", "innerWindow": "day"},
            ],
        },
        {
            "type": "seat",
            "measurements": [
                {"sourceProperty": "seats", "unit": "seats", "aggregation": "time-weighted-avg"},
                {"sourceProperty": "seats", "unit": "seats", "aggregation": "peak-state"},
                {"sourceProperty": "seats", "unit": "last", "aggregation": "final-state"},
                {
                    "sourceProperty": "joined",
                    "unit": "members",
                    "aggregation": "time-weighted-avg",
                    "values": "deltas",
                },
            ],
        },
    ]
}
# A gauge inside another aggregation needs all events before the window's end.
NESTED: dict[str, Any] = {
    "entries": [
        {
            "type": "seat",
            "measurements": [
                {"sourceProperty": "seats", "unit": "peaks", "aggregation": "sum-of-peak-state", "innerWindow": "week"},
                {"sourceProperty": "seats", "unit": "seats", "aggregation": "time-weighted-avg"},
            ],
        }
    ]
}


def event(number: int | str, time: datetime | None, kind: str = "call", **given: Any) -> Event:
    """One event; what is not a field of events is a property."""
    fields = {"workspace_id": "acme", "universe_id": "production", "subject": "customer:1", "metered_at": None}
    own = {name: given.pop(name, value) for name, value in fields.items()}
    return row(f"e{number}", time, {k: str(v) for k, v in given.items()}, type=kind) | own


def world(seed: int, count: int = 160, *, days: int = 91, entered: bool = False) -> list[Event]:
    """Random events: about one in eight is a duplicate or a conflict, one in twenty is rejected, a few have no time.

    With `entered`, every event says when it entered, so that the order in which files come tells nothing.
    """
    chance = random.Random(seed)
    events = [_random_event(chance, number, days) for number in range(count)]
    for again in [dict(chance.choice(events)) for _ in range(count // 8)]:
        if chance.random() < 0.6:
            again["properties"] = {**again["properties"], "tokens": "7777", "seats": "77"}
        if chance.random() < 0.4:
            again["time"] = _moment(chance, days)
        if chance.random() < 0.5:
            again["metered_at"] = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=chance.randrange(2400))
        events.append(again)
    events += [event(f"timeless{n}", None, tokens=n) for n in range(2)]
    if entered:
        for one in events:
            one["metered_at"] = one["metered_at"] or datetime(2024, 4, 2, tzinfo=UTC)
    return events


def _moment(chance: random.Random, days: int) -> datetime:
    """Any microsecond, often the first of a day, sometimes one that others have, too."""
    day = BEGINNING + timedelta(days=chance.randrange(days))
    return chance.choice(
        [
            day,
            day + timedelta(hours=chance.randrange(24)),
            day + timedelta(microseconds=chance.randrange(86_400_000_000)),
        ]
    )


def _random_event(chance: random.Random, number: int, days: int) -> Event:
    kind = chance.choice(["call", "call", "seat", "seat", "job", "other"])
    tokens = chance.choice(["0", "-3", "2.5", "0.000000000000000001", "123456789012", str(chance.randrange(1000))])
    return event(
        number,
        _moment(chance, days),
        kind,
        subject=f"customer:{chance.randrange(3)}",
        universe_id=chance.choice(["production", "production", "test"]),
        tokens="x" if chance.random() < 0.1 else tokens,
        seats=chance.choice(["1,5", "7.25"]) if chance.random() < 0.1 else chance.randrange(50),
        joined=chance.choice([-1, 1, 2]),
        hours=chance.randrange(100),
        days=chance.randrange(1, 40),
        region=chance.choice(["eu", "us"]),
    )


def in_files(events: Iterable[Event], seed: int = 0, *, form: str = "%Y-%m") -> dict[str, list[Event]]:
    """Events by file: those of a month (or what `form` says) together, one in eight in a file that comes late."""
    chance = random.Random(seed)
    files: dict[str, list[Event]] = {}
    for one in events:
        late = one["time"] is None or chance.random() < 0.125
        files.setdefault("late" if late else one["time"].strftime(form), []).append(one)
    return files


def write(folder: Path, name: str, events: Iterable[Event], **options: Any) -> Path:
    """A Parquet file of events."""
    return write_table(folder / f"{name}.parquet", events, **options)


def write_all(folder: Path, files: Mapping[str, list[Event]]) -> Path:
    """All of them: the folder."""
    for name, events in files.items():
        write(folder, name, events)
    return folder


def day(number: int, hour: int = 0) -> datetime:
    """A moment so many days after the first of January."""
    return BEGINNING + timedelta(days=number, hours=hour)


# --- what a ledger has, as plain Python ------------------------------------------------------------------------------


def plain(rows: Rows, *, without: Iterable[str] = ()) -> list[tuple[tuple[str, str], ...]]:
    """Rows as texts by column, in an order of their own; quantities without zeros that say nothing."""
    with rows:
        table = rows.to_arrow()
    left_out = set(without)
    names = [name for name in table.schema.names if name not in left_out]
    found = []
    for values in table.select(names).to_pylist(maps_as_pydicts="strict"):
        found.append(tuple((name, _text(values[name])) for name in names))
    return sorted(found)


def _text(value: Any) -> str:
    return f"{value:f}" if hasattr(value, "as_tuple") and not isinstance(value, tuple) else repr(value)


def aggregated(events: Any, config: Any, **options: Any) -> list[tuple[tuple[str, str], ...]]:
    """The readings that aggregate() makes of all events at once."""
    return plain(metering_duck.aggregate(events, config, **{"clock": CLOCK, **MONTHS, **options}))


def exported(ledger: Ledger, run: int | None = None, **options: Any) -> list[tuple[tuple[str, str], ...]]:
    """The readings of a ledger that count, or those of a run."""
    return plain(ledger.export("readings", run=run), **options)


def statuses(outcomes: Iterable[Any]) -> list[str]:
    """What became of each period."""
    return [outcome.status for outcome in outcomes]


def problems(ledger: Ledger, *, files: bool = False) -> list[str]:
    """What is wrong with a ledger."""
    return [f"{found.check} {found.where}: {found.problem}" for found in ledger.verify(files=files) if found.problem]


def query(ledger: Ledger, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a statement over the tables of a ledger's file, as anyone with DuckDB sees them."""
    with duckdb.connect(str(ledger.store.path), read_only=True) as connection:
        return connection.execute(sql).fetchall()
