"""The demo: a folder with sample events and a config, metered and aggregated before the user's eyes."""

from __future__ import annotations

import io
import json
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from metering_duck.calls.metering import aggregate, meter
from metering_duck.cli.screen import console, make_grid, print_rows
from metering_duck.contract.schemas import EVENT_SCHEMA
from metering_duck.errors import SourceError
from metering_duck.outputs.files import written_beside

START = datetime(2024, 1, 1, tzinfo=UTC)
CLOCK = "2024-02-01T00:00:00Z"
SEATS = (
    ("customer:acme", 0, "10"),
    ("customer:acme", 20, "15"),
    ("customer:globex", -40, "4"),
    ("customer:globex", 9, "7"),
)
CONFIG = {
    "entries": [
        {
            "type": "llm.completion",
            "measurements": [
                {"sourceProperty": "input_tokens", "unit": "input-tokens", "aggregation": "sum"},
                {"sourceProperty": "output_tokens", "unit": "output-tokens", "aggregation": "sum"},
                {
                    "sourceProperty": "output_tokens",
                    "unit": "premium-output-tokens",
                    "aggregation": "sum",
                    "filter": {"property": "tier", "equals": "premium"},
                },
            ],
        },
        {
            "type": "seats.changed",
            "measurements": [{"sourceProperty": "seats", "unit": "seats", "aggregation": "time-weighted-avg"}],
        },
    ]
}


def sample_events() -> list[dict[str, Any]]:
    """A month of two customers: completions every three hours, seats now and then, and four events that need care."""
    completions = [
        _event(
            f"evt_{n:03d}",
            "llm.completion",
            "customer:acme" if n % 2 else "customer:globex",
            START + timedelta(hours=3 * n, minutes=7 * n % 60),
            input_tokens=str(900 + 37 * n % 411),
            output_tokens=str(120 + 53 * n % 97),
            tier="premium" if n % 3 == 0 else "standard",
            region="eu" if n % 5 == 0 else "us",
        )
        for n in range(240)
    ]
    seats = [
        _event(f"seats_{n}", "seats.changed", customer, START + timedelta(days=day), seats=count)
        for n, (customer, day, count) in enumerate(SEATS)
    ]
    sent_twice = completions[17]
    sent_otherwise = {**completions[18], "properties": {**completions[18]["properties"], "output_tokens": "9999"}}
    later = timedelta(hours=1)
    return [
        *completions,
        *seats,
        {**sent_twice, "metered_at": sent_twice["metered_at"] + later},
        {**sent_otherwise, "metered_at": sent_otherwise["metered_at"] + later},
        _event(
            "evt_bad",
            "llm.completion",
            "customer:acme",
            START + timedelta(days=3),
            input_tokens="1,200",
            output_tokens="80",
        ),
        _event("evt_ping", "health.ping", "customer:acme", START + timedelta(days=4), ok="true"),
    ]


def _event(id: str, type: str, subject: str, time: datetime, **properties: str) -> dict[str, Any]:
    return {
        "id": id,
        "workspace_id": "acme-prod",
        "universe_id": "production",
        "type": type,
        "subject": subject,
        "time": time,
        "properties": properties,
        "metered_at": time + timedelta(minutes=5),
    }


def run_demo(folder: Path) -> None:
    """Write events.parquet and config.json into `folder`, meter and aggregate them, print tables and what to try next.

    Raises: SourceError when the folder has other files of those names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    events, config = folder / "events.parquet", folder / "config.json"
    table = pa.Table.from_pylist(
        [{**e, "properties": list(e["properties"].items())} for e in sample_events()], EVENT_SCHEMA
    )
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    _write_once(events, buffer.getvalue())
    _write_once(config, (json.dumps(CONFIG, indent=2) + "\n").encode())
    out = console()
    out.print(f"Wrote {events} ({table.num_rows} events) and {config}.", soft_wrap=True)
    with meter(str(events), config, clock=CLOCK) as records:
        out.print(f"\nmeter: {records.accounting}\n", soft_wrap=True)
        print_rows(records, 3)
        out.print("\nRejected, and why:")
        out.print(make_grid(records.rejects.to_pylist(), ("id", "measurement", "text", "reason")))
        out.print("\nIn conflict (the first to enter counts):")
        out.print(make_grid(records.conflicts.to_pylist(), ("id", "kept_content", "lost_content")))
    with aggregate(str(events), config, start=START, end="2024-02-01", clock=CLOCK) as readings:
        out.print("\naggregate: January, each measurement by its own aggregation\n")
        print_rows(readings, 20)
    e, c = shlex.quote(str(events)), shlex.quote(str(config))
    window = "--start 2024-01-01 --end 2024-02-01"
    out.print("\nTry next:")
    for command in (
        f"metering-duck aggregate {e} --config {c} {window} --every week --format table",
        f"metering-duck aggregate {e} --config {c} {window} --group-by region -o readings.csv",
        f"metering-duck meter {e} --config {c} --rejects rejects.csv -o records.parquet",
        f"metering-duck check {c} {e}",
        f"metering-duck compile --config {c} {window} {e}",
    ):
        out.print(f"  {command}", soft_wrap=True)


def _write_once(path: Path, content: bytes) -> None:
    """Write a file of the demo, unless it is there already.

    Raises: SourceError for another file of that name.
    """
    if path.exists():
        if path.read_bytes() == content:
            return
        raise SourceError(
            f"{path}: found a file that is not the demo's; expected none. hint: metering-duck demo OTHER-FOLDER"
        )
    with written_beside(path) as file:
        file.write(content)
