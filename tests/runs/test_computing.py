"""Computing: what computes a result is one of a protocol, knows nothing of the others, and begins anew when asked."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from metering_duck.calls.arguments import checked_config
from metering_duck.clusters.driver import DistributedReadings
from metering_duck.contract.schemas import EVENT_SCHEMA
from metering_duck.errors import SourceError
from metering_duck.inputs.source import Source
from metering_duck.rollups.combining import CombinedReadings
from metering_duck.runs.computing import Computing
from metering_duck.runs.local import LocalReadings, LocalRecords, compiler_of
from metering_duck.runs.machine import Machine
from metering_duck.runs.opening import Opened, open_input
from metering_duck.runs.question import Question
from metering_duck.windows.cutting import make_windows
from metering_duck.windows.periods import Periods

CONFIG = checked_config({"measurements": [{"sourceProperty": "n", "unit": "n", "aggregation": "sum"}]})
JANUARY = Question(Periods(make_windows("2024-01-01", "2024-02-01", None)))
KINDS = (LocalRecords, LocalReadings, DistributedReadings, CombinedReadings)


def event(name: str, n: str) -> dict[str, Any]:
    """An event of one subject."""
    known = {"workspace_id": "acme", "universe_id": "production", "type": "call", "subject": "s"}
    return {**known, "id": name, "time": "2024-01-05T00:00:00Z", "properties": {"n": n}}


EVENTS = [event("a", "1"), event("a", "1"), event("b", "2"), event("b", "3"), event("c", "x")]


def opened(given: Any, question: Question) -> Opened:
    """An input, open."""
    return open_input(Machine(), given, Source(), question)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_kind_inherits_nothing_and_answers_all(kind: type) -> None:
    """A kind is whole by itself: it has every method of the protocol, and no base."""
    asked = {name for name, _ in inspect.getmembers(Computing, inspect.isfunction) if not name.startswith("_")}

    assert (object,) == kind.__bases__
    assert {"queries", "fill", "lost", "rejects", "conflicts", "outcomes"} == asked
    assert asked <= set(vars(kind))


@pytest.mark.parametrize("kind", [LocalRecords, LocalReadings], ids=lambda kind: kind.__name__)
def test_what_is_filled_twice_is_counted_once(kind: Any) -> None:
    """After an interruption a result is filled again, and the books are the same; so is what was lost."""
    found = opened(EVENTS, JANUARY)
    with found.engine:
        computing = kind(found, compiler_of(CONFIG, found))
        first, second = computing.fill(), computing.fill()

        assert first == second
        assert {"read": 5, "metered": 2, "rejected": 1} == {
            name: second.accounting[name] for name in ("read", "metered", "rejected")
        }
        assert {"duplicate": 1, "conflict": 1} == computing.lost()
        assert 1 == len(found.engine.table(computing.conflicts()))


def test_queries_are_known_before_anything_runs() -> None:
    """The SQL of a run is told of an input without a row, and filling changes none of it."""
    found = opened(EVENT_SCHEMA.empty_table(), JANUARY)
    with found.engine:
        readings = LocalReadings(found, compiler_of(CONFIG, found))
        before = readings.queries()
        readings.fill()

        assert before == readings.queries()
        assert ["windows", "repeated_keys", "settled", "counted", "readings", "readings"] == [q.name for q in before]


def test_files_that_change_meanwhile_are_refused(tmp_path: Path) -> None:
    """The stamps of opening are compared when the books are kept."""
    path = tmp_path / "events.parquet"
    pa.parquet.write_table(pa.Table.from_pylist(EVENTS), path)
    found = opened([str(path)], JANUARY)
    with found.engine:
        readings = LocalReadings(found, compiler_of(CONFIG, found))
        path.write_bytes(path.read_bytes() + b" ")
        with pytest.raises(SourceError, match=r"events\.parquet"):
            readings.fill()
