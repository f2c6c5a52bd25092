"""The events, configs and files that the tests of several packages are made of."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

import metering_duck
from metering_duck.contract.schemas import EVENT_SCHEMA

Event = dict[str, Any]
CLOCK = "2024-06-01T00:00:00Z"
# Fields of events in columns, and what JSON calls those that it spells otherwise.
SPELLED = {"workspace_id": "workspaceID", "universe_id": "universeID", "metered_at": "meteredAt"}


def row(
    id: str,
    time: datetime | str | None,
    properties: Mapping[str, Any] | None = None,
    *,
    workspace: str = "w",
    universe: str = "u",
    type: str = "t",
    subject: str = "c:1",
    **fields: Any,
) -> Event:
    """One event in the spelling of columns, with other fields beside; without properties if none are given."""
    own = {"id": id, "workspace_id": workspace, "universe_id": universe, "type": type, "subject": subject, "time": time}
    return own | ({} if properties is None else {"properties": dict(properties)}) | fields


def event(
    id: str,
    time: str,
    properties: Mapping[str, Any],
    *,
    metered_at: str | None = None,
    **fields: str,
) -> Event:
    """One event in the spelling of JSON; the fields are those of row()."""
    entered = {} if metered_at is None else {"metered_at": metered_at}
    return as_json(row(id, time, properties, **fields, **entered))


def as_json(event: Event) -> Event:
    """An event of columns in the spelling of JSON, its times as text."""
    texts = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in event.items()}
    return {SPELLED.get(name, name): value for name, value in texts.items()}


def as_row(event: Event) -> Event:
    """An event of JSON in the spelling of columns, in their order; what is not there is None."""
    return {field.name: event.get(SPELLED.get(field.name, field.name)) for field in EVENT_SCHEMA}


def table(rows: Iterable[Event], schema: pa.Schema = EVENT_SCHEMA) -> pa.Table:
    """Events of columns as Arrow: properties as a MAP."""
    return pa.Table.from_pylist([{**one, "properties": list(one["properties"].items())} for one in rows], schema)


def columns(count: int, **changed: Any) -> pa.Table:
    """So many events in plain columns, a day apart; a text is that of all rows, and None leaves a column out."""
    first = datetime(2024, 1, 1, 12, tzinfo=UTC)
    own = {"id": [f"e{n}" for n in range(count)], "time": [first + timedelta(days=n) for n in range(count)]}
    plain = row("", None) | own | changed
    arrays = {name: [value] * count if isinstance(value, str) else value for name, value in plain.items()}
    return pa.table({name: value for name, value in arrays.items() if value is not None})


def write_table(path: Path, rows: Iterable[Event], **options: Any) -> Path:
    """Events of columns as a Parquet file, in a folder that is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table(rows), path, **options)
    return path


def measuring(*names: str, **measured: Any) -> Event:
    """A config that measures one property under so many aggregations, or under none that is named."""
    same = {"sourceProperty": "q", "unit": "seats", **measured}
    return {"measurements": [{**same, "aggregation": name} for name in names] or [same]}


def written(result: Any, kind: str = "ndjson") -> bytes:
    """The bytes of a result or of other rows in a format; they are closed."""
    file = io.BytesIO()
    with result:
        result.write_to(file, kind)
    return file.getvalue()


def rolled(readings: Any, **options: Any) -> list[dict[str, Any]]:
    """The rows of a roll-up."""
    with metering_duck.rollup(readings, clock=CLOCK, **options) as result:
        return list(result.to_dicts())
