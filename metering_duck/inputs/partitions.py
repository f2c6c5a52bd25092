"""Partitions: which files of a Hive-partitioned tree can hold the events of a window, told by the names of its folders.

A partition's value is the UTC date of its events' times: a year, a month, a day or an hour. For files that
are left out the caller promises this; in files that are read, every row is checked.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes

from metering_duck.engine.remote import shown
from metering_duck.errors import ConfigError, SchemaError, SourceError
from metering_duck.statements.quote import identifier

# The value in the folder's name of rows that have no value.
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
# Unit → the length and the format of a date in that unit.
FORMS = {"year": (4, "%Y"), "month": (7, "%Y-%m"), "day": (10, "%Y-%m-%d"), "hour": (13, "%Y-%m-%d-%H")}


@dataclass(frozen=True)
class TimePartition:
    """The Hive column with the UTC date of each row's time; `unit` says whether it is a year, month, day or hour."""

    column: str
    unit: str

    def misplaced_sql(self, moment: str) -> str:
        """SQL for whether a row's moment lies outside of the partition that the row is in."""
        text = identifier(self.column)
        whole, length = {
            "year": (f"{text} || '-01-01'", "to_years(1)"),
            "month": (f"{text} || '-01'", "to_months(1)"),
            "day": (text, "to_days(1)"),
            "hour": (f"left({text}, 10) || ' ' || right({text}, 2) || ':00:00'", "to_hours(1)"),
        }[self.unit]
        start = f"TRY_CAST({whole} AS TIMESTAMP)"
        return f"coalesce({moment} < {start} OR {moment} >= {start} + {length}, FALSE)"


# --- partitions in the names of folders ------------------------------------------------------------------------------


def partition_keys(paths: Sequence[str]) -> tuple[str, ...]:
    """The keys of the `key=value` folders, which must be the same in all paths.

    Raises: SourceError.
    """
    _check_folders(paths)
    keys = {path: _keys_of(path) for path in paths}
    for path, found in keys.items():
        if len({key.lower() for key in found}) < len(found):
            raise SourceError(
                f"{shown(path)}: found a partition twice in its path; expected it once. hint: rename one of its folders"
            )
    first = paths[0]
    for path, found in keys.items():
        if set(found) != set(keys[first]):
            here, there = (f"{', '.join(keys[one]) or 'none'} ({one})" for one in (first, path))
            raise SourceError(
                f"input: found the partitions {here} and {there}; expected the same in every path. "
                "hint: read the trees apart"
            )
    return tuple(keys[first])


def check_folder_keys(names: Iterable[str], keys: Iterable[str], path: str) -> None:
    """Refuse a column of a file whose name a folder above it has, too: DuckDB would take the folder's (R37).

    Raises: SchemaError.
    """
    folders = {key.lower(): key for key in keys}
    for name in names:
        key = folders.get(name.lower())
        if key is not None:
            hint = "--folder-keys takes what the folder says, --no-folder-keys what the file says"
            raise SchemaError(
                shown(path), name, found=f"it beside the folder {key}=…", expected="one of the two", hint=hint
            )


def _keys_of(path: str) -> list[str]:
    """The keys of a path's `key=value` folders, in their order."""
    return [part.partition("=")[0] for part in Path(path).parent.parts if "=" in part]


def _check_folders(paths: Sequence[str]) -> None:
    """Refuse folders that DuckDB would not read by their names: with two =, or with marks of a pattern.

    Raises: SourceError.
    """
    folders = [part for path in paths for part in Path(path).parent.parts]
    odd = next((folder for folder in folders if "=" in folder.partition("=")[2].strip("=")), None)
    if odd:
        raise SourceError(f"input: found the folder {odd}; expected one = in it. hint: a = within a value is %3D")
    pattern = next((folder for folder in folders if re.search(r"=.*[*?\[]", folder)), None)
    if pattern:
        hint = "hint: write them as %2A, %3F and %5B"
        raise SourceError(f"input: found the folder {pattern}; expected no *, ? or [ in a partition. {hint}")
    broken = next((folder for folder in folders if "=" in folder and not _is_text(folder)), None)
    if broken:
        hint = "hint: rename it, or --no-folder-keys where it is no column"
        raise SourceError(f"input: found the folder {broken}; expected UTF-8 behind its % marks. {hint}")


def _is_text(folder: str) -> bool:
    """Whether the % marks of a folder's name stand for bytes of UTF-8."""
    try:
        unquote_to_bytes(folder).decode()
    except UnicodeDecodeError:
        return False
    return True


# --- which files are needed ------------------------------------------------------------------------------------------


def not_partitioned(where: str, keys: Sequence[str], column: str) -> ConfigError:
    """The error for an input that has no partitions of the column."""
    found = f"the partitions {', '.join(keys)}" if keys else "no partitions"
    return ConfigError(
        f"time-partition: found {found} in {where}; expected CSV or Parquet files in folders {column}=DATE. "
        "hint: leave it out to read every file"
    )


def paths_of_times(
    paths: tuple[str, ...],
    keys: Sequence[str],
    where: str,
    column: str,
    first: datetime | None,
    last: datetime | None,
) -> tuple[tuple[str, ...], TimePartition]:
    """The files whose partition may hold events of `[first, last)`, naive UTC, None is no bound; at least one file.

    Raises: ConfigError for files without such partitions; SourceError for a value that is no date.
    """
    if column not in keys:
        raise not_partitioned(where, keys, column)
    kept, units = [], set()
    for path in paths:
        value = _value(path, column)
        if value == NO_VALUE:
            kept.append(path)
            continue
        unit, start, end = _extent(value, path)
        units.add(unit)
        is_early = first is not None and end <= first
        is_late = last is not None and start >= last
        if not is_early and not is_late:
            kept.append(path)
    if len(units) > 1:
        forms = " and ".join(f"{unit}s" for unit in FORMS if unit in units)
        raise ConfigError(f"time-partition: found {forms} in {column}; expected dates of one form.")
    return tuple(kept) or paths[:1], TimePartition(column, next(iter(units), "day"))


def paths_of_texts(paths: tuple[str, ...], wanted: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """The files whose partitions have one of the `wanted` texts of each column; at least one file."""
    kept = [path for path in paths if all(_value(path, column) in texts for column, texts in wanted.items())]
    return tuple(kept) or paths[:1]


def _value(path: str, column: str) -> str:
    """The value of the first folder that names the column, as DuckDB reads it."""
    values = [part.split("=", 1)[1] for part in Path(path).parent.parts if part.split("=", 1)[0] == column]
    return unquote(values[0])


def _extent(value: str, path: str) -> tuple[str, datetime, datetime]:
    """The unit of a partition's value, and the first moment of the partition and of the next.

    Raises: SourceError for a value that is no date.
    """
    text = re.sub("[T ]", "-", value, count=1)
    for unit, (length, form) in FORMS.items():
        # Python reads digits of other scripts; SQL does not.
        if len(text) == length and text.isascii():
            with contextlib.suppress(ValueError):
                start = datetime.strptime(text, form)
                return unit, start, _next(unit, start)
    raise SourceError(
        f"{path}: found the partition {value!r}; expected the UTC date of its events, such as 2024-01-31. "
        "hint: leave --time-partition out to read every file"
    )


def _next(unit: str, start: datetime) -> datetime:
    """When the next partition begins; datetime.max for the last partition of the calendar."""
    try:
        if unit == "year":
            return start.replace(year=start.year + 1)
        if unit == "month":
            return (start.replace(day=1) + timedelta(days=31)).replace(day=1)
        if unit == "day":
            return start + timedelta(days=1)
        return start + timedelta(hours=1)
    except (ValueError, OverflowError):
        return datetime.max
