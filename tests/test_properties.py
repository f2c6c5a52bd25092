"""The engine against the oracle, and against itself: order, layout, threads, replays, splits, and any text."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import dataset, parquet

import metering_duck
from metering_duck.contract.schemas import EVENT_SCHEMA
from tests import oracle
from tests.selection import examples
from tests.worlds import CLOCK, Event, as_row, measuring, table, written

START, MIDDLE, END = "2024-01-31T00:00:00Z", "2024-02-01T06:30:00.000001Z", "2024-03-02T12:00:00Z"
CHANGE = "2024-02-01T06:30:00Z"
AGGREGATIONS = (
    "sum",
    "max",
    "min",
    "latest",
    "count",
    "time-weighted-avg",
    "peak-state",
    "min-state",
    "final-state",
)
TIMES = (
    "2023-11-05T00:00:00Z",
    "2024-01-30T23:59:59.999999Z",
    "2024-01-30T23:59:59.9999999Z",
    START,
    "2024-01-31T01:00:00+01:00",
    "2024-01-31T00:00:00.000001Z",
    "2024-02-01T06:30:00.0000019",
    "2024-02-01 06:30:00Z",
    "2024-02-29T13:17:11.5-08:00",
    "2024-03-01T00:00:00Z",
    "2024-03-02T11:59:59.999999Z",
    END,
)
METERED = ("2024-03-05T00:00:00Z", "2024-03-06T00:00:00.5Z", "2024-07-01T00:00:00Z")
QUANTITIES = (
    "0",
    "-0.0",
    "1",
    "-1",
    "3",
    "2.5",
    "+7.",
    ".125",
    "1e3",
    "-2.50E-1",
    "0.000000000000000001",
    "-0.000000000000000007",
    "1e-18",
    "2999999999999999999.999999999999999999",
    "-2999999999999999999.999999999999999999",
    "33333333.333333333333333333",
)
NO_QUANTITIES = ("", "x", " 1", "1_000", "NaN", "Infinity", "1e20", "0.1e-18", "1,5", "--1", "1e", ".", "٣")


# --- what Hypothesis draws -------------------------------------------------------------------------------------------


def events_strategy(*, quantities: tuple[str, ...] = QUANTITIES, bad: bool = True) -> st.SearchStrategy[Event]:
    """One event out of small pools, so that ties, duplicates, conflicts and carried levels are common."""
    measured = st.sampled_from(quantities + NO_QUANTITIES[:2] if bad else quantities)
    times = st.sampled_from((*TIMES, *TIMES, "2024-02-30T00:00:00Z", "") if bad else TIMES)
    properties = st.fixed_dictionaries(
        {"q": measured},
        optional={
            "r": st.sampled_from((*quantities[:12], *(NO_QUANTITIES if bad else ()))),
            "tier": st.sampled_from(("gold", "Gold", "silver")),
            "region": st.sampled_from(("eu", "us", "")),
        },
    )
    return st.fixed_dictionaries(
        {
            "id": st.sampled_from(("e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8")),
            "workspaceID": st.sampled_from(("w1", "w1", "w2")),
            "type": st.sampled_from(("call", "call", "seat")),
            "subject": st.sampled_from(("customer:1",) * 5 + ("customer:2",) * 4 + (("",) if bad else ())),
            "time": times,
            "properties": properties,
        },
        optional={"meteredAt": st.sampled_from(METERED)},
    )


def worlds_strategy(*, size: int = 20, **options: Any) -> st.SearchStrategy[list[Event]]:
    """Many small cases in one list of events, each case in a universe of its own; some events come more than once."""
    copies = st.sampled_from(((), (), (), ({},), ({"meteredAt": METERED[2]}, {})))
    world = st.lists(st.tuples(events_strategy(**options), copies), min_size=1, max_size=7)
    return st.lists(world, min_size=size, max_size=size).map(
        lambda worlds: [
            {**event, **changed, "universeID": f"u{n:02}"}
            for n, found in enumerate(worlds)
            for event, again in found
            for changed in ({}, *again)
        ]
    )


def counting_each_event(measurement: Event) -> Event:
    """The measurement; a count that is drawn to be of each event has no source property."""
    kept = {key: value for key, value in measurement.items() if key != "of"}
    if measurement["aggregation"] == "count" and "of" in measurement:
        del kept["sourceProperty"]
    return kept


def measurements_strategy() -> st.SearchStrategy[list[Event]]:
    """One to three measurements: filters, another DECIMAL, the same unit twice."""
    tier = st.fixed_dictionaries({"property": st.just("tier"), "equals": st.sampled_from(("gold", "silver"))})
    measurement = st.fixed_dictionaries(
        {
            "sourceProperty": st.sampled_from(("q", "q", "q", "r")),
            "unit": st.sampled_from(("tokens", "seats")),
            "aggregation": st.sampled_from(AGGREGATIONS),
        },
        optional={"filter": tier, "precision": st.sampled_from((38, 10)), "of": st.just("each event")},
    ).map(counting_each_event)
    return st.lists(measurement, min_size=1, max_size=3)


def configs_strategy() -> st.SearchStrategy[Event]:
    """A plain config, or a catalog by workspace, type and time."""
    plain = measurements_strategy().map(lambda found: {"measurements": found})
    catalog = st.tuples(measurements_strategy(), measurements_strategy(), measurements_strategy()).map(
        lambda found: {
            "entries": [
                {"workspaceID": "w1", "type": "call", "effectiveTo": CHANGE, "measurements": found[0]},
                {"workspaceID": "w1", "type": "call", "effectiveFrom": CHANGE, "observations": found[1]},
                {"workspaceID": "w2", "measurements": found[2]},
            ]
        }
    )
    return st.one_of(plain, catalog)


SOME = measuring("sum", "latest", "time-weighted-avg")
AWKWARD = (
    *(
        "'",
        '"',
        "''",
        ";",
        "--",
        "/*",
        "*/",
        "\n",
        "\r\n",
        "\t",
        "\0",
        "\\",
        "$start",
        "{}",
        "%s",
        "~0/1",
        " ",
        "a,b",
        '"":"',
    ),
    *(
        "\u2028",
        "é",
        "e\u0301",
        "\ufdd0",
        "\ufeff",
        "\uffff",
        "😀",
        "\U0010ffff",
        "NULL",
        "null",
        "'; DROP TABLE input; --",
    ),
)
WORLD_TEXTS = ("workspace", "universe", "type", "subject", "source", "unit", "equals", "id")
any_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
awkward_text = st.sampled_from(AWKWARD)
texts = st.one_of(any_text, awkward_text, st.tuples(awkward_text, any_text).map("".join))


# --- running ---------------------------------------------------------------------------------------------------------


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory for one example; pytest's tmp_path would be shared by all of them."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def in_formats(result: metering_duck.Result) -> dict[str, bytes]:
    """The bytes of a result in three formats; the result is closed."""
    with result, scratch() as folder:
        return {kind: result.write(folder / f"rows.{kind}").read_bytes() for kind in ("ndjson", "csv", "parquet")}


def write_lines(path: Path, events: Iterable[Mapping[str, Any]]) -> Path:
    """Events as NDJSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events), encoding="utf-8")
    return path


def arrow_of(events: Iterable[Event]) -> pa.Table:
    """Events as a table with typed columns, times as text so that nothing is lost before the engine sees them."""
    kinds = [(f.name, pa.string() if f.name in ("time", "metered_at") else f.type) for f in EVENT_SCHEMA]
    return table(map(as_row, events), pa.schema(kinds))


def expect_books(books: oracle.Books, result: metering_duck.Result) -> None:
    """The result's counts, rejects and conflicts are the oracle's."""
    assert books.counts == {name: result.accounting[name] for name in books.counts}
    assert result.accounting.balances
    kept = ("workspace_id", "universe_id", "id", "source_property", "unit", "text", "reason")
    rejects = [{name: row[name] for name in kept} for row in result.rejects.to_pylist()]
    assert oracle.in_order(books.rejects) == oracle.in_order(rejects)
    assert oracle.in_order(books.conflicts) == oracle.in_order(result.conflicts.to_pylist())


def expect_readings(events: list[Event], config: Event, **options: Any) -> None:
    """The engine's books and readings are the oracle's."""
    chosen = {"workspaces": "workspace", "universes": "universe"}
    selection = {name: options[option] for name, option in chosen.items() if option in options}
    books = oracle.meter(events, config, clock=CLOCK, as_of=options.get("as_of"), **selection)
    shape = {name: value for name, value in options.items() if name not in (*chosen.values(), "as_of", "subject")}
    expected = oracle.readings(books.records, subjects=options.get("subject", ()), **shape)
    with metering_duck.aggregate(events, config, clock=CLOCK, **options) as result:
        actual = result.to_dicts()
        expect_books(books, result)
    assert oracle.in_order(expected) == oracle.in_order(map(oracle.plain_reading, actual))
    assert len(actual) == len({row["id"] for row in actual})


# --- the engine is the oracle ----------------------------------------------------------------------------------------


@examples(6)
@given(worlds_strategy(), configs_strategy())
def test_metering_equals_the_oracle(events: list[Event], config: Event) -> None:
    """Records, rejects, conflicts and counts are those of the rules read row by row (R1–R9)."""
    books = oracle.meter(events, config, clock=CLOCK)
    with metering_duck.meter(events, config, clock=CLOCK) as result:
        actual = result.to_dicts()
        expect_books(books, result)
    assert oracle.in_order(books.records) == oracle.in_order(map(oracle.plain_record, actual))
    assert len(actual) == len({(row["workspace_id"], row["universe_id"], row["id"]) for row in actual})


@examples(8)
@given(worlds_strategy(), configs_strategy(), st.sampled_from(((), "region", ("tier", "region"))), st.booleans())
def test_readings_equal_the_oracle(
    events: list[Event], config: Event, group_by: tuple[str, ...] | str, across_workspaces: bool
) -> None:
    """Readings of one window, grouped or not, workspaces apart or together, are the oracle's (R10–R22)."""
    groups = (group_by,) if isinstance(group_by, str) else group_by
    expect_readings(events, config, start=START, end=END, group_by=groups, across_workspaces=across_workspaces)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("aggregation", [*AGGREGATIONS, "sum-events", "latest-event"])
@examples(3)
@given(events=worlds_strategy(size=30, bad=False))
def test_every_aggregation_equals_the_oracle(aggregation: str, events: list[Event]) -> None:
    """An aggregation chosen for the call goes for every measurement, two of them with the same unit (R12–R19)."""
    tier = {"property": "tier", "equals": "gold"}
    measurements = [
        {"sourceProperty": "q", "unit": "tokens"},
        {"sourceProperty": "r", "unit": "tokens", "filter": tier},
        {"sourceProperty": "q", "unit": "whole", "filter": tier, "aggregation": "max"},
    ]
    config = {"measurements": measurements}
    expect_readings(events, config, start=START, end=END, aggregation=aggregation)


@pytest.mark.sampled(5)
@pytest.mark.slow
@pytest.mark.parametrize("every", ["day", "hour", "week", "month", "PT7H", "year", "P2W", "P1DT1S", "P1M", "P1Y"])
@examples(3)
@given(events=worlds_strategy(size=6, bad=False))
def test_windows_equal_the_oracle(every: str, events: list[Event]) -> None:
    """Every cut of the period has, window by window, the oracle's readings, gauges without a record included (R11)."""
    names = ("sum", "time-weighted-avg", "final-state")
    config = measuring(*names)
    expect_readings(events, config, start=START, end=END, every=every)


@pytest.mark.slow
@examples(4)
@given(worlds_strategy(), st.sampled_from(("2024-03-05T00:00:00Z", "2024-03-06T00:00:00.4Z", "2024-06-15T00:00:00Z")))
def test_as_of_equals_the_oracle(events: list[Event], as_of: str) -> None:
    """Only what had entered by the cut-off counts, conflicts decided among it too (R24)."""
    config = measuring("latest", "count", "time-weighted-avg")
    entered = {
        "id": "e0",
        "workspaceID": "w1",
        "universeID": "entered",
        "type": "call",
        "subject": "customer:1",
        "time": "2024-01-31T00:00:00Z",
        "meteredAt": "2024-01-31T00:00:01Z",
        "properties": {"q": "1"},
    }
    expect_readings([entered, *events], config, start=START, end=END, as_of=as_of)


@pytest.mark.slow
@examples(3)
@given(worlds_strategy())
def test_selection_equals_the_oracle(events: list[Event]) -> None:
    """Workspaces and universes asked for are read, and subjects asked for are shown; the others change nothing."""
    config = measuring("sum", "max", "time-weighted-avg")
    chosen = {"workspace": ("w2", "w9"), "universe": ("u01", "u03", "u04", "u05", "u07"), "subject": ("customer:1",)}
    expect_readings(events, config, start=START, end=END, **chosen)


@pytest.mark.slow
@examples(3)
@given(worlds_strategy(bad=False), st.integers(0, 20), st.integers(1, 34))
def test_rounding_equals_the_oracle(events: list[Event], scale: int, digits: int) -> None:
    """A quantity is rounded once, half to even, to the scale or the significant digits asked for (R16)."""
    names = ("sum", "min", "time-weighted-avg", "final-state")
    config = measuring(*names)
    narrow = [e for e in events if "2999999999999999999" not in e["properties"]["q"]]
    expect_readings(narrow, config, start=START, end=END, scale=scale)
    expect_readings(events, config, start=START, end=END, digits=digits)


# --- what changes nothing --------------------------------------------------------------------------------------------


@pytest.mark.slow
@examples(3)
@given(worlds_strategy(size=12), st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 5))
def test_order_files_and_threads_change_nothing(events: list[Event], seed: int, threads: int, files: int) -> None:
    """The same events in any order, in any number of files, on any number of threads give the same bytes (R23)."""
    shuffled = random.Random(seed).sample(events, len(events))
    window = {"start": START, "end": END, "every": "week"}
    with scratch() as folder:
        paths = [write_lines(folder / f"part-{n}.ndjson", shuffled[n::files]) for n in range(files)]
        same = {"clock": CLOCK, "threads": threads}
        assert in_formats(metering_duck.meter(events, SOME, clock=CLOCK, threads=1)) == in_formats(
            metering_duck.meter(paths, SOME, **same)
        )
        assert in_formats(metering_duck.aggregate(events, SOME, **window, clock=CLOCK, threads=1)) == in_formats(
            metering_duck.aggregate(paths, SOME, **window, **same)
        )


@pytest.mark.slow
@examples(3)
@given(worlds_strategy(size=12), st.integers(0, 2**32))
def test_kinds_of_input_and_partitions_change_nothing(events: list[Event], seed: int) -> None:
    """A table, a Parquet file, and Parquet in folders by workspace and universe give the bytes of the dicts (R23)."""
    window = {"start": START, "end": END, "group_by": "region", "clock": CLOCK}
    expected = in_formats(metering_duck.aggregate(events, SOME, **window))
    table = arrow_of(random.Random(seed).sample(events, len(events)))
    with scratch() as folder:
        parquet.write_table(table, folder / "events.parquet", row_group_size=7)
        hive = dataset.partitioning(pa.schema([table.field("workspace_id"), table.field("universe_id")]), flavor="hive")
        (folder / "parts").mkdir()
        if len(table):
            dataset.write_dataset(table, folder / "parts", format="parquet", partitioning=hive)
        else:
            parquet.write_table(table, folder / "parts" / "none.parquet")
        for given_events in (table, folder / "events.parquet", folder / "parts"):
            assert expected == in_formats(metering_duck.aggregate(given_events, SOME, **window))


@pytest.mark.slow
@examples(3)
@given(worlds_strategy(size=12), configs_strategy())
def test_a_replay_changes_no_reading(events: list[Event], config: Event) -> None:
    """All events a second time, entering later, are duplicates; every reading stays, byte for byte (R8)."""
    window = {"start": START, "end": END, "clock": CLOCK}
    again = [{**event, "meteredAt": "2024-09-01T00:00:00Z"} for event in reversed(events)]
    with metering_duck.aggregate(events, config, **window) as once:
        before = once.accounting
    with metering_duck.aggregate(events + again, config, **window) as twice:
        after = twice.accounting
    expected = {**before, "read": 2 * before.read, "duplicates": before.duplicates + before.read}
    counted = ("read", "metered", "unmatched", "duplicates", "conflicts", "rejected")
    assert {name: expected[name] for name in counted} == {name: after[name] for name in counted}
    assert in_formats(metering_duck.aggregate(events, config, **window)) == in_formats(
        metering_duck.aggregate(events + again, config, **window)
    )
    with metering_duck.meter(events, config, clock=CLOCK) as once:
        records = once.to_dicts()
    with metering_duck.meter(events + again, config, clock=CLOCK) as twice:
        assert records == twice.to_dicts()


@pytest.mark.slow
@examples(3)
@given(worlds_strategy(size=12, bad=False))
def test_numbers_in_json_keep_every_digit(events: list[Event]) -> None:
    """A quantity that is a JSON number gives the bytes of the same quantity as text (R16)."""
    spelled = ("0", "-0.0", "1", "-1", "1e3", "-2.50E-1", "1e-18", "33333333.333333333333333333", QUANTITIES[-2])
    plain = [{**e, "properties": {"q": spelled[n % len(spelled)]}} for n, e in enumerate(events)]
    lines = [json.dumps({**e, "properties": {"q": "@"}}).replace('"@"', e["properties"]["q"]) for e in plain]
    window = {"start": START, "end": END, "clock": CLOCK}
    with scratch() as folder:
        path = folder / "numbers.ndjson"
        path.write_text("\n".join(lines), encoding="utf-8")
        expected = in_formats(metering_duck.aggregate(plain, SOME, **window))
        assert expected == in_formats(metering_duck.aggregate(path, SOME, **window))


# --- parts add up to the whole ---------------------------------------------------------------------------------------


def combined(parts: list[oracle.Row], aggregation: str) -> Fraction | None:
    """The exact value of adjacent windows together, from their readings alone, in the order of time (R20)."""
    values = [part["exact"] for part in parts]
    if aggregation in ("sum", "count", "time-weighted-avg"):
        return sum(values, Fraction(0))
    if aggregation in ("max", "peak-state"):
        return max(values)
    return min(values) if aggregation in ("min", "min-state") else values[-1]


@pytest.mark.slow
@examples(4)
@given(worlds_strategy(size=15, bad=False), st.sampled_from(("day", "week", "PT31H", None)))
def test_adjacent_windows_add_up(events: list[Event], every: str | None) -> None:
    """What the parts of a period say combines into what the whole period says, bit for bit (R20)."""

    def read(start: str, end: str, every: str | None = None) -> list[oracle.Row]:
        with metering_duck.aggregate(events, SOME, start=start, end=end, every=every, clock=CLOCK) as result:
            return [oracle.plain_reading(row) for row in result.to_dicts()]

    def key(row: oracle.Row) -> tuple[str, ...]:
        return tuple(row[name] for name in ("workspace_id", "universe_id", "subject", "aggregation"))

    parts: dict[tuple[str, ...], list[oracle.Row]] = {}
    for row in read(START, END, every) if every else read(START, MIDDLE) + read(MIDDLE, END):
        parts.setdefault(key(row), []).append(row)
    whole = {key(row): row for row in read(START, END)}
    assert set(whole) == set(parts)
    for found, rows in parts.items():
        rows.sort(key=lambda row: row["window_start"])
        assert whole[found]["exact"] == combined(rows, found[-1])
        assert whole[found]["record_count"] == sum(row["record_count"] for row in rows)
        assert whole[found]["max_metered_at"] == max(row["max_metered_at"] for row in rows)
        assert whole[found]["last"] == rows[-1]["last"]


@pytest.mark.slow
@examples(3)
@given(worlds_strategy(size=15, bad=False), st.sampled_from(("day", "month", "PT31H")))
def test_divisors_add_up(events: list[Event], every: str) -> None:
    """The divisors of the parts of a period that levels cover are together the period's (R20)."""
    early = [{**event, "time": "2023-11-05T00:00:00Z", "id": f"early-{n}"} for n, event in enumerate(events)]
    options = {"start": START, "end": END, "clock": CLOCK}

    def divisors(**cut: str) -> dict[tuple[str, ...], int]:
        found: dict[tuple[str, ...], int] = {}
        with metering_duck.aggregate(early, measuring("time-weighted-avg"), **options, **cut) as result:
            for row in result.to_dicts():
                key = (row["workspace_id"], row["universe_id"], row["subject"])
                found[key] = found.get(key, 0) + row["divisor_us"]
        return found

    whole = divisors()
    assert len(whole) >= 15
    assert whole == divisors(every=every)


# --- any text --------------------------------------------------------------------------------------------------------


worlds_of_texts = st.lists(
    st.fixed_dictionaries(dict.fromkeys(WORLD_TEXTS, texts)),
    min_size=5,
    max_size=5,
    unique_by=lambda world: world["workspace"],
)


@pytest.mark.slow
@examples(4)
@given(worlds_of_texts, st.tuples(texts, texts).filter(lambda pair: pair[0] != pair[1]), st.booleans())
def test_any_text_survives(worlds: list[dict[str, str]], names: tuple[str, str], as_table: bool) -> None:
    """Text of every plane of Unicode, quotes, comments and NUL survives as a name, value, unit or key, unchanged."""
    filtered, grouped = names
    worlds = [world for world in worlds if world["source"] not in names]
    if not worlds:
        return
    entries = [
        {
            "workspaceID": world["workspace"],
            "type": world["type"],
            "measurements": [
                {
                    "sourceProperty": world["source"],
                    "unit": world["unit"],
                    "aggregation": "sum",
                    "filter": {"property": filtered, "equals": world["equals"]},
                }
            ],
        }
        for world in worlds
    ]
    events = [
        {
            "id": world["id"],
            "workspaceID": world["workspace"],
            "universeID": world["universe"],
            "type": world["type"],
            "subject": world["subject"],
            "time": START,
            "properties": {world["source"]: "1.5", filtered: world["equals"], grouped: world["unit"] + world["id"]},
        }
        for world in worlds
    ]
    given_events = arrow_of(events) if as_table else events
    config = {"entries": entries}
    books = oracle.meter(events, config, clock=CLOCK)
    with metering_duck.meter(given_events, config, clock=CLOCK) as result:
        records = [oracle.plain_record(row) for row in result.to_dicts()]
        lines = [json.loads(line) for line in in_formats(result)["ndjson"].splitlines()]
    assert oracle.in_order(books.records) == oracle.in_order(records)
    assert sorted(r["measurement"]["unit"] for r in lines) == sorted(world["unit"] for world in worlds)
    assert all(record["dimensions"][grouped] for record in lines)
    expected = oracle.readings(books.records, start=START, end=END, group_by=[grouped])
    subjects = [world["subject"] for world in worlds]
    options = {"start": START, "end": END, "group_by": grouped, "subject": subjects, "clock": CLOCK}
    with metering_duck.aggregate(given_events, config, **options) as result:
        assert oracle.in_order(expected) == oracle.in_order(map(oracle.plain_reading, result.to_dicts()))


# --- in two steps ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("bundled", [False, True], ids=["flat", "bundled"])
@examples(2)
@given(events=worlds_strategy(size=15), config=configs_strategy())
def test_two_steps_equal_one(bundled: bool, events: list[Event], config: Event) -> None:
    """Events → records → readings gives the bytes of events → readings, by dicts, NDJSON and Parquet."""
    window = {"start": START, "end": END, "every": "month", "group_by": "region", "clock": CLOCK}
    expected = written(metering_duck.aggregate(events, config, **window))
    with scratch() as folder, metering_duck.meter(events, config, clock=CLOCK, bundled=bundled) as result:
        lines = result.write(folder / "records.ndjson")
        objects = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
        columns = result.write(folder / "records.parquet")
        for records in (objects, lines, columns, result.to_arrow(), result.to_dicts()):
            assert expected == written(metering_duck.aggregate(records=records, **window))


def test_the_pools_are_what_they_should_be() -> None:
    """The quantities that tests call good are good, and those they call bad are bad."""
    assert all(isinstance(oracle.quantity_of(text), Fraction) for text in QUANTITIES)
    assert all(isinstance(oracle.quantity_of(text), str) for text in NO_QUANTITIES)
    assert {Fraction(Decimal(text)) for text in QUANTITIES} == {oracle.quantity_of(text) for text in QUANTITIES}
    assert datetime.fromisoformat(MIDDLE) == oracle.time_of(MIDDLE)
