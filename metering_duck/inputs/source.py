"""Source: how events or records are read, whatever a run asks of their input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metering_duck.inputs.foreign_shapes import Shape


@dataclass(frozen=True)
class Source:
    """How an input is read; checked by whoever makes one (calls/arguments.py, ledger/stored.py).

    `map` says where fields are, `shape` how the events of another system look. `timezone` is the zone of times without
    an offset; None means UTC, with a notice. `generate_ids` makes an id for each row; `assume_unique` promises that no
    id occurs twice. `time_partition` is the Hive column that has the UTC date of each event's time. `universe_names`
    maps a universe to its other name, given before anything else is looked at; `types` are the only event types that
    are read. `folder_keys` says whether the names of Hive folders are columns: True also where a file has a column of
    such a name, False never, None unless a file has one, which is refused. With `binary_as_text` bytes are text in
    UTF-8.
    """

    map: Mapping[str, Any] | None = None
    shape: Shape | None = None
    timezone: str | None = None
    generate_ids: bool = False
    assume_unique: bool = False
    time_partition: str | None = None
    universe_names: Mapping[str, str] = field(default_factory=dict)
    types: tuple[str, ...] = ()
    is_records: bool = False
    folder_keys: bool | None = None
    binary_as_text: bool = False

    @property
    def zone(self) -> str:
        """The zone of times without an offset."""
        return self.timezone or "UTC"
