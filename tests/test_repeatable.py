"""The same events give the same bytes in any order, layout, number of threads and memory; and every event is
accounted for."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from metering_duck import QuantityOverflow, RejectedEvents, aggregate, load_config, meter
from tests.worlds import CLOCK, Event, row, table

WINDOW = {"start": "2024-01-01", "end": "2024-02-01", "every": "week", "group_by": "region", "clock": CLOCK}
START = datetime(2024, 1, 1, tzinfo=UTC)
NAMES = ("sum", "max", "min", "latest", "count", "time-weighted-avg", "peak-state", "min-state", "final-state")
CONFIG = load_config(
    {
        "measurements": [
            *({"sourceProperty": "q", "unit": f"q-{name}", "aggregation": name} for name in NAMES),
            {
                "sourceProperty": "r",
                "unit": "r",
                "aggregation": "sum",
                "filter": {"property": "tier", "equals": "gold"},
            },
        ]
    }
)
FORMATS = ("ndjson", "csv", "parquet", "arrow")


def random_events(count: int) -> list[Event]:
    """Events with equal moments, carried levels, duplicates, conflicts, rejects and huge and tiny quantities."""
    chance = random.Random(20240101)
    events = []
    for number in range(count):
        time = START - timedelta(days=5) + timedelta(minutes=chance.randrange(50_000))
        whole, fraction = chance.randrange(10**19), chance.randrange(10**18)
        properties = {
            "q": chance.choice(["x", f"{whole}.{fraction:018}", f"-{whole}", f"{fraction}e-18", f"{number}"]),
            "r": str(number),
            "tier": chance.choice(["gold", "silver"]),
            "region": chance.choice(["eu", "us", "ü"]),
        }
        events.append(
            row(
                f"e{chance.randrange(count)}",
                time,
                properties,
                workspace=chance.choice(["a", "b"]),
                subject=f"c:{chance.randrange(40)}",
                metered_at=time + timedelta(seconds=chance.randrange(3)),
            )
        )
    return [*events, *events[: count // 10]]


EVENTS = random_events(1_500)
SHUFFLED = random.Random(7).sample(EVENTS, len(EVENTS))


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The events as they come, shuffled, in one file and in two hundred."""
    folder = tmp_path_factory.mktemp("layouts")
    one, many = folder / "one.parquet", folder / "many"
    many.mkdir()
    parquet.write_table(table(EVENTS), one)
    shuffled = table(SHUFFLED)
    size = -(-len(SHUFFLED) // 200)
    for number in range(200):
        parquet.write_table(shuffled.slice(number * size, size), many / f"{number:03}.parquet")
    return {"in one file": one, "in 200 files": many, "in memory": table(EVENTS), "shuffled": shuffled}


def everything(source: Any, **machine: Any) -> dict[str, bytes]:
    """Readings in every format, records in two, rejects and conflicts without their file, and the accounting, as
    bytes."""
    found = {}
    for call, options, kinds in ((aggregate, WINDOW, FORMATS), (meter, {"clock": CLOCK}, ("ndjson", "parquet"))):
        with call(source, CONFIG, **options, **machine) as result:  # type: ignore[operator]
            for kind in kinds:
                buffer = io.BytesIO()
                result.write_to(buffer, kind)
                found[f"{call.__name__} {kind}"] = buffer.getvalue()
            rejects = result.rejects.drop_columns(["file"])
            found[f"{call.__name__} books"] = repr(
                (dict(result.accounting), result.accounting.reasons, rejects.to_pylist(), result.conflicts.to_pylist())
            ).encode()
    return found


@pytest.fixture(scope="module")
def expected(layouts: dict[str, Any]) -> dict[str, bytes]:
    """What one thread makes of the events as they come."""
    return everything(layouts["in memory"], threads=1)


MACHINES: list[tuple[str, dict[str, Any]]] = [
    ("in memory", {"threads": 2}),
    ("shuffled", {"threads": 2, "memory_limit": "500MB"}),
    ("in one file", {"threads": 1, "memory_limit": "500MB"}),
    ("in 200 files", {"threads": 2, "memory_limit": "500MB"}),
]


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("layout", "machine"), MACHINES, ids=str)
def test_order_files_threads_and_memory_change_no_byte(
    layout: str, machine: dict[str, Any], layouts: dict[str, Any], expected: dict[str, bytes]
) -> None:
    """Shuffled, in 1 or 200 files, with 1 or 2 threads or 500 MB: identical bytes in every format (R23)."""
    found = everything(layouts[layout], **machine)

    assert [] == [name for name in expected if expected[name] != found[name]]


@pytest.mark.slow
def test_what_is_repeated_is_not_nothing(expected: dict[str, bytes]) -> None:
    """The events that the test above repeats make rows, rejects and conflicts."""
    assert [] == [name for name, text in expected.items() if len(text) < 1_000]
    with meter(table(EVENTS), CONFIG, clock=CLOCK) as records:
        counts = records.accounting
    assert (len(EVENTS), True) == (counts.read, counts.balances)
    assert 0 not in (counts.metered, counts.duplicates, counts.conflicts, counts.rejected)


@pytest.mark.slow
def test_a_replay_changes_nothing() -> None:
    """The events twice over are the events and as many duplicates more."""
    once, twice = (aggregate(table(events), CONFIG, **WINDOW) for events in (EVENTS, EVENTS + EVENTS))
    with once, twice:
        assert once.to_dicts() == twice.to_dicts()
        assert (
            once.accounting.duplicates + len(EVENTS) - once.accounting.conflicts - 0,
            once.accounting.conflicts,
        ) != (0, 0)
        assert twice.accounting.metered == once.accounting.metered
        assert twice.accounting.balances


@pytest.mark.slow
def test_several_threads_may_aggregate_at_once(layouts: dict[str, Any], expected: dict[str, bytes]) -> None:
    """Calls in several threads of one process do not see each other."""

    def work(number: int) -> bytes:
        source = layouts[("in memory", "shuffled", "in one file")[number % 3]]
        with aggregate(source, CONFIG, **WINDOW, threads=1 + number % 2) as readings:
            buffer = io.BytesIO()
            readings.write_to(buffer, "ndjson")
            return buffer.getvalue()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(8)))

    assert [expected["aggregate ndjson"]] * 8 == found


def test_one_result_may_be_read_by_several_threads(layouts: dict[str, Any], expected: dict[str, bytes]) -> None:
    """A result that several threads read at once computes once and gives each the same."""
    with aggregate(layouts["shuffled"], CONFIG, **WINDOW) as readings, ThreadPoolExecutor(4) as pool:
        tables = list(pool.map(lambda _: readings.to_arrow(), range(6)))

    assert [tables[0]] * 6 == tables
    assert expected["aggregate ndjson"].count(b"\n") == tables[0].num_rows


@pytest.mark.slow
def test_a_sum_does_not_depend_on_its_order() -> None:
    """Sums pass 38 digits on their way and come back: the order of the addends decides nothing, nor do the threads
    (R18)."""
    big = ["9" * 20, "-" + "9" * 20]
    values = [*(big * 30), "0.000000000000000001", "1"]
    config = {"measurements": [{"sourceProperty": "q", "unit": "x", "aggregation": "sum"}]}
    plain = [{**EVENTS[0], "id": str(n), "properties": {"q": value}, "time": START} for n, value in enumerate(values)]
    found = set()
    for order in (plain, sorted(plain, key=lambda e: e["properties"]["q"]), plain[::-1]):
        for threads in (1, 2):
            with aggregate(table(order), config, start="2024-01-01", end="2024-02-01", threads=threads) as readings:
                found |= {r["quantity"] for r in readings.to_dicts()}

    assert {Decimal("1.000000000000000001")} == found
    with pytest.raises(
        QuantityOverflow, match=r"sum of 'x' for 'c:\d+' in \[2024-01-01T00:00:00Z, 2024-02-01T00:00:00Z\)"
    ):
        aggregate(table([plain[0], plain[2]]), config, start="2024-01-01", end="2024-02-01").to_dicts()


# --- accounting to the last event ------------------------------------------------------------------------------------

BAD = {
    "": "quantity-syntax",
    "1,000": "quantity-syntax",
    "1_000": "quantity-syntax",
    " 7": "quantity-syntax",
    "NaN": "quantity-syntax",
    "Infinity": "quantity-syntax",
    "0x10": "quantity-syntax",
    "1e20": "quantity-too-large",
    "100000000000000000000.5": "quantity-too-large",
    "0.0000000000000000001": "quantity-too-fine",
    "1e-19": "quantity-too-fine",
}
GOOD, DUPLICATES, CONFLICTS = 2_000, 1_000, 10


def accounted_events() -> Iterator[Event]:
    """2,000 good events, 1,000 of them twice, 10 with another content, each bad quantity, and what no entry or filter
    takes."""
    for number in range(GOOD):
        yield plain_event(f"good{number}", q="1.5", n=str(number))
    for number in range(DUPLICATES):
        yield plain_event(f"good{number}", later=1, q="1.5", n=str(number))
    for number in range(CONFLICTS):
        yield plain_event(f"good{number + 500}", later=2, q="99", n=str(number + 500))
    for number, text in enumerate(BAD):
        yield plain_event(f"bad{number}", q=text)
    yield plain_event("without")
    yield {**plain_event("no-subject", q="1"), "subject": ""}
    for number in range(3):
        yield plain_event(f"silver{number}", q="1", tier="silver")
    for number in range(4):
        yield {**plain_event(f"other{number}", q="1"), "type": "other"}


def plain_event(name: str, *, later: int = 0, **properties: str) -> Event:
    """One event; `later` hours later it entered again."""
    time = START + timedelta(hours=1)
    return row(name, time, {"tier": "gold", **properties}, metered_at=time + timedelta(hours=later))


BOOKS = {
    "entries": [
        {
            "type": "t",
            "measurements": [
                {
                    "sourceProperty": "q",
                    "unit": "x",
                    "aggregation": "sum",
                    "filter": {"property": "tier", "equals": "gold"},
                },
                {
                    "sourceProperty": "q",
                    "unit": "y",
                    "aggregation": "count",
                    "filter": {"property": "tier", "equals": "gold"},
                },
            ],
        }
    ]
}


@pytest.mark.parametrize("seed", [None, 1])
def test_every_event_is_in_exactly_one_count(seed: int | None, tmp_path: Path) -> None:
    """1,000 duplicates, 10 conflicts, eleven bad quantities: accounted to the last event, each reject with its reason
    (R9)."""
    events = list(accounted_events())
    if seed is not None:
        random.Random(seed).shuffle(events)
    path = tmp_path / "events.parquet"
    parquet.write_table(table(events), path)
    with aggregate(path, BOOKS, start="2024-01-01", end="2024-02-01", clock=CLOCK) as readings:
        counts, rows = readings.accounting, readings.to_dicts()
        rejects, conflicts = readings.rejects.to_pylist(), readings.conflicts.to_pylist()

    assert {
        "read": len(events),
        "metered": GOOD,
        "unmatched": 7,
        "duplicates": DUPLICATES,
        "conflicts": CONFLICTS,
        "rejected": len(BAD) + 2,
        "unmatched_entry": 4,
        "unmatched_filter": 3,
    } == {name: counts[name] for name in counts if name not in ("times_cut", "times_naive")}
    assert (True, dict(Counter([*BAD.values(), "source-missing", "subject-missing"]))) == (
        counts.balances,
        counts.reasons,
    )
    assert [("x", Decimal(GOOD) * Decimal("1.5")), ("y", Decimal(GOOD))] == [(r["unit"], r["quantity"]) for r in rows]
    assert {f"bad{n}": (text, reason) for n, (text, reason) in enumerate(BAD.items())} == {
        r["id"]: (r["text"], r["reason"]) for r in rejects if r["id"].startswith("bad")
    }
    assert {"without": "source-missing", "no-subject": "subject-missing"} == {
        r["id"]: r["reason"] for r in rejects if not r["id"].startswith("bad")
    }
    assert sorted(f"good{n + 500}" for n in range(CONFLICTS)) == [c["id"] for c in conflicts]
    assert all('"1.5"' in c["kept_content"] and '"99"' in c["lost_content"] for c in conflicts)
    assert {str(path)} == {r["file"] for r in rejects}


def test_strict_is_about_rejects_and_conflicts_alone() -> None:
    """Duplicates and unmatched events are no fault; a reject or a conflict is."""
    events = list(accounted_events())
    fine = [e for e in events if e["properties"].get("q") in ("1.5", "1") and e["subject"]]
    with aggregate(table(fine), BOOKS, start="2024-01-01", end="2024-02-01", strict=True) as readings:
        assert (DUPLICATES, 7, 2) == (
            readings.accounting.duplicates,
            readings.accounting.unmatched,
            len(readings.to_dicts()),
        )
    for bad in (plain_event("bad", q="x"), plain_event("good1", q="77")):
        with pytest.raises(RejectedEvents):
            aggregate(table([*fine, bad]), BOOKS, start="2024-01-01", end="2024-02-01", strict=True).to_dicts()
