"""Runs in parts: whatever engine brings rows and parts together, and however the rows lie, it is what one machine says.

The engine here is the smallest there can be: lists in this process. Spark is in tests/spark/test_spark.py.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

import metering_duck
from metering_duck.calls import metering
from metering_duck.clusters.parts import PARTS_SCHEMA, Part
from metering_duck.clusters.tasks import run_task
from metering_duck.clusters.work import Work
from metering_duck.contract.definitions import COUNTERS, DEFINITIONS
from metering_duck.contract.schemas import EVENT_SCHEMA
from metering_duck.errors import Interrupted, MeteringError, QuantityOverflow
from metering_duck.inputs.given_table import GivenTable
from metering_duck.inputs.input import Input

START = datetime(2024, 1, 1, tzinfo=UTC)
MONTH = {"start": "2024-01-01", "end": "2024-02-01", "clock": "2024-06-01"}


class Lists:
    """An engine whose tasks run one after another in this process."""

    buckets = 5

    def __init__(self, events: pa.Table, tasks: int) -> None:
        length = -(-len(events) // tasks)
        self.slices = [events.slice(n * length, length) for n in range(tasks)]
        self.ran: list[str] = []

    def opened(self, found: Input, old_times: Sequence[str]) -> GivenTable:
        return GivenTable(self.slices[0].schema.empty_table().to_reader(), "lists", rereadable=False)

    def close(self) -> None:
        self.ran.append("close")

    def scan(self, work: Work, step: str, columns: Iterable[str]) -> list[Part]:
        wanted = list(columns)
        slices = [some.select(wanted).to_batches(max_chunksize=150) for some in self.slices]
        return [part for batches in slices for part in self.run(work, step, iter(batches))]

    def keep(self, parts: list[Part]) -> list[Part]:
        return parts

    def gather(self, work: Work, step: str, parts: Iterable[list[Part]], kinds: Sequence[str] = ()) -> list[Part]:
        taken = [part for some in parts for part in some if not kinds or part[0] in kinds]
        random.Random(1).shuffle(taken)
        tasks = [[part for part in taken if part[1] % self.buckets == bucket] for bucket in range(self.buckets)]
        return [part for task in tasks for part in self.run(work, step, map(as_batch, task))]

    def collect(self, parts: list[Part]) -> Iterator[Part]:
        return iter(parts)

    def run(self, work: Work, step: str, batches: Iterator[pa.RecordBatch]) -> list[Part]:
        self.ran.append(step)
        made = list(run_task(work, step, batches))
        return [(row["kind"], row["bucket"], row["payload"]) for batch in made for row in batch.to_pylist()]


def as_batch(part: Part) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([value]) for value in part], schema=PARTS_SCHEMA)


def world(seed: int, count: int = 1_500) -> pa.Table:
    """Events of a few subjects, one of which has half of them; some sent twice, in conflict, or not readable."""
    dice = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for n in range(count):
        fresh = dice.random() < 0.2
        row = {
            "workspace_id": dice.choice(["acme", "globex"]),
            "universe_id": dice.choice(["production", "test"]),
            "id": f"new-{n}" if fresh else dice.choice([f"e-{dice.randrange(count)}"] * 9 + [None]),
            "type": dice.choice(["a", "b", "unknown"]),
            "subject": dice.choice(["hot"] * 5 + [f"s-{k}" for k in range(5)]),
            "time": START + timedelta(seconds=dice.randrange(-86_400, 40 * 86_400)),
            "metered_at": START + timedelta(seconds=dice.randrange(40 * 86_400)),
            "properties": {
                "n": dice.choice(["1", "2.5", "-3", "7.25", "1000000000000", "not a number"]),
                "seats": str(dice.randrange(50)),
                "region": dice.choice(["eu", "us"]),
                "user": f"u-{dice.randrange(30)}",
            },
        }
        rows += [row] * dice.choice([1] * 19 + [2])
    dice.shuffle(rows)
    return pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)


def measured(*pairs: tuple[str, str]) -> dict[str, Any]:
    """A config with an aggregation of a property each; of the second type only the first two."""
    measurements = [
        {"sourceProperty": name, "unit": f"{name} {n}", "aggregation": aggregation}
        for n, (name, aggregation) in enumerate(pairs)
    ]
    return {"entries": [{"type": "a", "measurements": measurements}, {"type": "b", "measurements": measurements[:2]}]}


CONFIGS = {
    "a sum and a gauge": measured(("n", "sum"), ("seats", "time-weighted-avg")),
    "counters": measured(*(("n", name) for name in COUNTERS if not DEFINITIONS[name].takes_texts)),
    "texts told apart": measured(("user", "unique-count"), ("n", "sum")),
    "gauges": measured(
        ("seats", "peak-state"),
        ("seats", "final-state"),
        ("n", "integral"),
        ("n", "time-weighted-avg-known"),
        ("n", "final-state-of-deltas"),
    ),
    "values and two levels": measured(
        ("n", "p95"), ("n", "p50-interpolated"), ("n", "sum-of-max per day"), ("n", "max-of-sum by user")
    ),
}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"every": "day", "timezone": "Europe/Berlin"},
    {"every": "week", "across_workspaces": True, "group_by": ["region"]},
    {"every": "week", "fill": "carry"},
    {"as_of": "2024-01-20", "scale": 3, "event_type": ["a", "unknown"]},
    {"subject": ["hot"], "universe": ["production"], "bundled": True},
]

# Every config as it is, and each option with two of them: what they do to each other is tested on one machine.
CASES = [
    (name, options)
    for n, options in enumerate(OPTIONS)
    for m, name in enumerate(CONFIGS)
    if not options or (m - n) % len(CONFIGS) < 2
]


def answers(events: Any, config: dict[str, Any], **options: Any) -> dict[str, Any]:
    """All that a run says."""
    with metering_duck.aggregate(events, config, **MONTH | options) as result:
        return {
            "readings": result.to_arrow(),
            "accounting": result.accounting.to_dict(),
            "rejects": result.rejects,
            "conflicts": result.conflicts,
            "notices": result.notices,
        }


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Aggregate on an engine of lists."""

    def run(lists: Lists, config: dict[str, Any], **options: Any) -> dict[str, Any]:
        with monkeypatch.context() as patched:
            patched.setattr(metering, "cluster_of", lambda *_: lists)
            return answers(pa.table({}), config, **options)

    return run


@pytest.mark.sampled(5)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"), CASES, ids=lambda case: case if isinstance(case, str) else ", ".join(case) or "plain"
)
def test_parts_together_are_what_one_machine_says(name: str, options: dict[str, Any], in_parts: Any) -> None:
    """Readings, books, rejects, conflicts and notices are the same, whatever the aggregation (R23)."""
    events = world(len(name))
    expected = answers(events, CONFIGS[name], **options)

    assert expected == in_parts(Lists(events, 3), CONFIGS[name], **options)
    assert min(expected["accounting"][kind] for kind in ("duplicates", "conflicts", "rejected", "unmatched")) > 0


@pytest.mark.slow
def test_any_number_of_tasks_gives_the_same(in_parts: Any) -> None:
    """One task, many tasks, and more tasks than some buckets have rows."""
    events, config = world(7, 40), CONFIGS["a sum and a gauge"]
    expected = answers(events, config)

    assert [expected] * 3 == [in_parts(Lists(events, tasks), config) for tasks in (1, 2, 15)]


def test_no_events_make_no_readings(in_parts: Any) -> None:
    """An input without a row has the columns of readings, and books that balance."""
    events = EVENT_SCHEMA.empty_table()

    assert answers(events, CONFIGS["counters"]) == in_parts(Lists(events, 1), CONFIGS["counters"])


@pytest.mark.slow
def test_subjects_have_their_own_periods(in_parts: Any) -> None:
    """Tasks are told the windows; subjects without one are counted and noticed."""
    subscriptions = pa.table(
        {"universe": ["production", "test"], "subject": ["hot", "s-1"], "anchor": ["2024-01-03", "2024-01-10"]}
    )
    options = {"subscriptions": subscriptions, "every": "P1M"}
    events = world(11)

    expected = answers(events, CONFIGS["a sum and a gauge"], **options)
    assert expected == in_parts(Lists(events, 4), CONFIGS["a sum and a gauge"], **options)
    assert any("no subscription" in notice for notice in expected["notices"])


def test_what_is_not_needed_is_not_done(in_parts: Any) -> None:
    """Promised ids are not compared, and where no key is repeated nothing is settled."""
    steps = {}
    for name, options in (("promised", {"assume_unique": True}), ("compared", {})):
        lists = Lists(world(3).slice(0, 1), 1)
        in_parts(lists, CONFIGS["counters"], **options)
        steps[name] = list(dict.fromkeys(lists.ran))

    compared = ["keys", "repeated", "counted", "readings", "close"]
    assert {"promised": ["counted", "readings", "close"], "compared": compared} == steps


@pytest.mark.slow
def test_counters_of_a_giant_are_counted_where_its_rows_lie(in_parts: Any) -> None:
    """Of a subject with half of all events, one task gets a row from each other, not its events (R20)."""
    sizes: dict[str, int] = {}

    class Watched(Lists):
        def gather(self, work: Work, step: str, parts: Iterable[list[Part]], kinds: Sequence[str] = ()) -> list[Part]:
            listed = list(parts)
            for kind, _, payload in (part for some in listed for part in some):
                if step == "readings" and kind in ("counted", "judged"):
                    sizes[kind] = sizes.get(kind, 0) + len(pa.ipc.open_stream(payload).read_all())
            return super().gather(work, step, listed, kinds)

    in_parts(Watched(world(5), 3), CONFIGS["counters"])

    assert ["counted"] == list(sizes)
    assert sizes["counted"] < 150


@pytest.mark.slow
def test_keys_are_compared_without_the_other_columns(in_parts: Any) -> None:
    """To find repeated keys, only the columns of keys are read, and when events entered."""
    read: dict[str, list[str]] = {}

    class Watched(Lists):
        def scan(self, work: Work, step: str, columns: Iterable[str]) -> list[Part]:
            read[step] = list(columns)
            return super().scan(work, step, read[step])

    in_parts(Watched(world(5), 2), CONFIGS["counters"])

    assert {"workspace_id", "universe_id", "id", "metered_at"} == set(read["keys"])
    assert EVENT_SCHEMA.names == read["counted"]


@pytest.mark.slow
def test_what_a_task_finds_is_raised_here(in_parts: Any) -> None:
    """A quantity that does not fit is the same error as on one machine."""
    events = world(2, 40).to_pylist()
    for row in events:
        row |= {"type": "a", "properties": {"n": "9" * 20}}
    table = pa.Table.from_pylist(events, schema=EVENT_SCHEMA)
    config = {"measurements": [{"sourceProperty": "n", "unit": "n", "aggregation": "sum", "scale": 18}]}
    said = []
    for run in (lambda: answers(table, config), lambda: in_parts(Lists(table, 2), config)):
        with pytest.raises(QuantityOverflow) as raised:
            run()
        said.append(str(raised.value))

    assert said[0] == said[1]


@pytest.mark.slow
def test_a_result_that_is_asked_again_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an interruption while parts were coming, the books are those of one reading."""

    class Interrupting(Lists):
        collected = 0

        def collect(self, parts: list[Part]) -> Iterator[Part]:
            yield from parts
            self.collected += 1
            if self.collected == 2:
                raise Interrupted("run: was interrupted; nothing was written.")

    events, config = world(5, 80), CONFIGS["a sum and a gauge"]
    lists = Interrupting(events, 3)
    monkeypatch.setattr(metering, "cluster_of", lambda *_: lists)
    with metering_duck.aggregate(pa.table({}), config, **MONTH) as result:
        with pytest.raises(Interrupted):
            result.to_arrow()
        found = result.to_arrow(), result.accounting.to_dict()
    monkeypatch.undo()
    with metering_duck.aggregate(events, config, **MONTH) as result:
        assert found == (result.to_arrow(), result.accounting.to_dict())


def test_a_worker_of_another_version_is_refused(in_parts: Any) -> None:
    """Hashes and numbers of another version of DuckDB need not be the same."""

    class Old(Lists):
        def run(self, work: Work, step: str, batches: Iterator[pa.RecordBatch]) -> list[Part]:
            return super().run(replace(work, versions=("0.0.1", "1.0.0")), step, batches)

    with pytest.raises(MeteringError, match=r"on a worker; expected metering-duck 0\.0\.1 with duckdb 1\.0\.0"):
        in_parts(Old(world(1, 10), 1), CONFIGS["counters"])
