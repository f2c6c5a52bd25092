"""What the messages of tests/<package>/messages.py are provoked with: an event, a record, a config, files and calls."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

import metering_duck
from metering_duck import (
    MeteringError,
    aggregate,
    meter,
)
from metering_duck.contract.definitions import COUNTERS, GAUGES, NAMES
from tests.worlds import Event

ONE: Event = {
    "id": "e1",
    "workspaceID": "w",
    "universeID": "u",
    "type": "t",
    "subject": "c:1",
    "time": "2024-01-01T00:00:00Z",
    "properties": {"q": "1"},
    "meteredAt": "2024-01-01T00:00:00Z",
}
RECORD: Event = {
    "id": "r1",
    "workspaceID": "w",
    "universeID": "u",
    "subject": "c:1",
    "measurement": {"quantity": "1", "unit": "x"},
    "recordedAt": "2024-01-01T00:00:00Z",
    "sourceEventID": "e1",
    "meteredAt": "2024-01-01T00:00:00Z",
}
M = {"sourceProperty": "q", "unit": "x", "aggregation": "sum"}
CONFIG = {"measurements": [M]}
WINDOW = {"start": "2024-01-01", "end": "2024-02-01"}
AGGREGATIONS = ", ".join((*COUNTERS, *GAUGES))
# Did-you-mean cuts its list at five.
FIRST_AGGREGATIONS = f"known: {', '.join(NAMES[:5])}, and {len(NAMES) - 5} more."
SUFFIXES = ".parquet, .pq, .ndjson, .jsonl, .json, .csv, .tsv, .arrow, .feather, .ipc"
ALL_MAPS = (
    "--map \"workspace_id='acme'\" --map \"universe_id='production'\" --map id=COLUMN --map \"type='api.request'\" "
    "--map subject=COLUMN --map time=COLUMN, or --generate-ids where events have no id"
)
ALL_FIELDS = "workspace_id (or workspaceID), universe_id (or universeID), id, type, subject, time"
KEYS = "known: id, meteredAt, properties, subject, time, and 3 more."


def table(**columns: Any) -> pa.Table:
    """One event as Arrow columns; None leaves one out."""
    fields = {
        "id": "e1",
        "workspace_id": "w",
        "universe_id": "u",
        "type": "t",
        "subject": "c",
        "time": ONE["time"],
        "q": "1",
    }
    return pa.table({k: [v] for k, v in {**fields, **columns}.items() if v is not None})


def file(name: str, content: bytes | str) -> str:
    """A file in the working folder."""
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def config_of(**keys: Any) -> Event:
    """A config of one measurement with other keys; ... leaves a key out."""
    return {"measurements": [{k: v for k, v in {**M, **keys}.items() if v is not ...}]}


def entries_of(*entries: Event) -> Event:
    """A catalog of entries with the one measurement."""
    return {"entries": [{**CONFIG, **entry} for entry in entries]}


def run(**options: Any) -> Any:
    """An aggregate of one event, read to its end."""
    with aggregate([ONE], CONFIG, **{**WINDOW, **options}) as readings:
        return readings.to_dicts()


def metered(events: Any, config: Any = CONFIG, **options: Any) -> Any:
    """Records, read to their end."""
    with meter(events, config, **options) as records:
        return records.to_dicts()


def records_of(records: Any, **options: Any) -> Any:
    """An aggregate of records, read to its end."""
    with aggregate(records=records, **{**WINDOW, **options}) as readings:
        return readings.to_dicts()


def part(folder: str, times: tuple[str, ...] = (ONE["time"],)) -> str:
    """A CSV file in folders of the working folder, with an event at each time."""
    os.makedirs(folder, exist_ok=True)
    rows = [f"e{n},w,u,t,c,{time},1" for n, time in enumerate(times)]
    return file(f"{folder}/a.csv", "\n".join(["id,workspace_id,universe_id,type,subject,time,q", *rows]) + "\n")


def partitioned(events: Any) -> Any:
    """An aggregate of what the partitions of January 2024 hold, read to its end."""
    with aggregate(events, CONFIG, time_partition="date", **WINDOW) as readings:
        return readings.to_dicts()


def two_streams() -> None:
    """Read two streams of records by turns."""
    count = 300_000
    ids = pa.array(range(count)).cast(pa.string())
    fields = {
        "workspace_id": "w",
        "universe_id": "u",
        "type": "t",
        "subject": "s",
        "time": "2024-01-01T00:00:00Z",
        "q": "1",
    }
    events = pa.table({"id": ids, **{name: pa.repeat(text, count) for name, text in fields.items()}})
    with metering_duck.meter(events, {"measurements": [M]}) as result:
        reader = result.to_reader()
        reader.read_next_batch()
        result.to_reader().read_next_batch()
        reader.read_next_batch()


def big(name: str, **options: Any) -> Any:
    """Two quantities of twenty nines each: their sum has 21 digits before the point."""
    events = [{**ONE, "id": f"e{n}", "properties": {"q": "9" * 20}} for n in range(2)]
    return aggregate(events, CONFIG, aggregation=name, **{**WINDOW, **options}).to_dicts()


Case = tuple[Callable[[], Any], type[MeteringError], str]


def reading(call: Callable[..., Any], *given: Any, **options: Any) -> Callable[[], Any]:
    """A call to be made later."""
    return lambda: call(*given, **options)
