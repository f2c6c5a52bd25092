"""Partitions: which files of a Hive-partitioned tree can hold the events of a window, told by the names of its folders.

A partition's value is the UTC date of its events' times: a year, a month, a day or an hour. For the files that are left
out that is the caller's word; in those that are read every row is checked.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from metering_duck.errors import ConfigError, SourceError
from metering_duck.inputs.files import parquet_schema
from metering_duck.inputs.input import Files, Input
from metering_duck.inputs.lake_days import TableDays
from metering_duck.inputs.lakes import LakeTable
from metering_duck.inputs.mapping import FieldMap, Names
from metering_duck.statements.quote import identifier

# What Hive calls the partition of rows that have no value.
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
# Unit → the length and the form of a date.
FORMS = {"year": (4, "%Y"), "month": (7, "%Y-%m"), "day": (10, "%Y-%m-%d"), "hour": (13, "%Y-%m-%d-%H")}


@dataclass(frozen=True)
class TimePartition:
    """The Hive column that has the UTC date of each row's time, and how much of a date that is."""

    column: str
    unit: str

    def misplaced_sql(self, moment: str) -> str:
        """Whether a row's moment is not of the partition that the row is in."""
        text = identifier(self.column)
        whole, length = {
            "year": (f"{text} || '-01-01'", "to_years(1)"),
            "month": (f"{text} || '-01'", "to_months(1)"),
            "day": (text, "to_days(1)"),
            "hour": (f"left({text}, 10) || ' ' || right({text}, 2) || ':00:00'", "to_hours(1)"),
        }[self.unit]
        start = f"TRY_CAST({whole} AS TIMESTAMP)"
        return f"coalesce({moment} < {start} OR {moment} >= {start} + {length}, FALSE)"


def prune(found: Input, column: str, first: datetime | None, last: datetime | None) -> tuple[Files, TimePartition]:
    """The files whose partition may hold events of `[first, last)`, both naive UTC, an open bound None; at least one.

    Raises: ConfigError for an input without such partitions; SourceError for a value that is no date.
    """
    if not isinstance(found, Files) or column not in found.keys:
        keys = f"the partitions {', '.join(found.keys)}" if isinstance(found, Files) and found.keys else "no partitions"
        raise ConfigError(
            f"time-partition: found {keys} in {found.name}; expected folders {column}=DATE. "
            "hint: leave it out to read every file"
        )
    kept, units = [], set()
    for path in found.paths:
        value = _value(path, column)
        if value != NO_VALUE:
            unit, start, end = _extent(value, path)
            units.add(unit)
            if (last is not None and start >= last) or (first is not None and end <= first):
                continue
        kept.append(path)
    if len(units) > 1:
        shown = " and ".join(f"{unit}s" for unit in FORMS if unit in units)
        raise ConfigError(f"time-partition: found {shown} in {column}; expected dates of one form.")
    return replace(found, paths=tuple(kept) or found.paths[:1]), TimePartition(column, next(iter(units), "day"))


def prune_names(found: Files, wanted: Mapping[str, Sequence[str]]) -> Files:
    """The files in whose partitions the columns have one of the texts that are wanted; at least one."""
    asked = {column: set(texts) for column, texts in wanted.items() if texts and column in found.keys}
    kept = [path for path in found.paths if all(_value(path, column) in texts for column, texts in asked.items())]
    return replace(found, paths=tuple(kept) or found.paths[:1])


def of_tenants(found: Input, wanted: Mapping[str, Sequence[str]], fields: Names, mapping: FieldMap) -> Input:
    """Without what its folders, or a table's statistics, say is of tenants not asked for (field → texts)."""
    asked = {name: texts for name, texts in wanted.items() if texts and name not in mapping.constants}
    if isinstance(found, LakeTable | TableDays):
        columns = {name: mapping.column_of(name, fields[name], found.schema.names, found.name) for name in asked}
        return found.where({column: asked[name] for name, column in columns.items() if column})
    if not isinstance(found, Files) or found.format != "parquet" or not found.keys or not asked:
        return found
    spelled = {name: (mapping.columns[name],) if name in mapping.columns else (*fields[name], name) for name in asked}
    keys = {name: next((one for one in spelled[name] if one in found.keys), "") for name in asked}
    pruned = prune_names(found, {column: asked[name] for name, column in keys.items()})
    columns_there = [*parquet_schema(pruned.paths[0]).names, *found.keys]
    is_so = all(key in ("", mapping.column_of(name, fields[name], columns_there, "")) for name, key in keys.items())
    return pruned if is_so else found


def of_times(
    found: LakeTable, column: str, first: datetime | None, last: datetime | None, fields: Names, mapping: FieldMap
) -> LakeTable:
    """A table without the rows that the window does not need, told by the column of their times.

    Raises: ConfigError for a column that is not the moment of each event.
    """
    time = mapping.column_of("time", fields["time"], found.schema.names, found.name)
    kind = found.schema.field(column).type if column in found.schema.names else None
    if column != time or kind is None or not pa.types.is_timestamp(kind) or kind.tz is None:
        raise ConfigError(
            f"time-partition: found {column} ({kind or 'no such column'}) in {found.name}; expected the column of the "
            f"events' times, as a timestamp with a zone. hint: --time-partition {time or 'time'}, or leave it out"
        )
    return found.between({column: (first, last)})


def _value(path: str, column: str) -> str:
    """The value of the first folder that names the column, as DuckDB takes it."""
    values = [part.split("=", 1)[1] for part in Path(path).parent.parts if part.split("=", 1)[0] == column]
    return unquote(values[0])


def _extent(value: str, path: str) -> tuple[str, datetime, datetime]:
    """The unit of a partition's value, and from when to when its events are."""
    text = re.sub("[T ]", "-", value, count=1)
    for unit, (length, form) in FORMS.items():
        # Digits of other scripts Python reads, and SQL does not.
        if len(text) == length and text.isascii():
            with contextlib.suppress(ValueError):
                start = datetime.strptime(text, form)
                return unit, start, _next(unit, start)
    raise SourceError(
        f"{path}: found the partition {value!r}; expected the UTC date of its events, such as 2024-01-31. "
        "hint: leave --time-partition out to read every file"
    )


def _next(unit: str, start: datetime) -> datetime:
    """When the next partition begins; at the end of time there is none."""
    try:
        if unit == "year":
            return start.replace(year=start.year + 1)
        if unit == "month":
            return (start.replace(day=1) + timedelta(days=31)).replace(day=1)
        return start + (timedelta(days=1) if unit == "day" else timedelta(hours=1))
    except (ValueError, OverflowError):
        return datetime.max
