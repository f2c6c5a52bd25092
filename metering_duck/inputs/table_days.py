"""Table days: a table of a lake is read day by day, each day as if it were a file of its own.

    delta:///lake/events?version=3#2024-01-15    the rows of one UTC day, at a version
    delta:///lake/events?version=3#*             all rows, each with the name of its day

A version is a snapshot of the whole table, while a ledger asks which days differ between two versions. A day does not
depend on the files that its rows are in: a table has the same days after it was compacted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.errors import ConfigError, SourceError, first_few
from metering_duck.inputs.fields import FILE_COLUMN
from metering_duck.inputs.file_sizes import sizes_of_existing
from metering_duck.inputs.footers import NO_FOOTERS, Footers
from metering_duck.inputs.given_table import GivenTable
from metering_duck.inputs.in_shell import InShell
from metering_duck.inputs.input import OF_THIS_MACHINE, Input, Needed, OtherEngine
from metering_duck.inputs.lake_snapshot import (
    LakeSnapshot,
    between,
    columns_of_tenants,
    not_of_library,
    plain_rows,
    with_texts,
)
from metering_duck.inputs.lakes import BY_DAYS, find_snapshot
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation
from metering_duck.inputs.unreadable import Unreadable
from metering_duck.statements.quote import identifier, literal
from metering_duck.statements.select import select, united

ALL = "*"
_NAME = re.compile(rf"((?:{'|'.join(BY_DAYS)})://.*\?(?:version|snapshot)=\w+)#(\S*)", re.DOTALL)
# At most so many scans read the days of a table. With more gaps between days, the days in the smallest gaps are read,
# too, and left out.
SCANS_MAX = 8
DAY = timedelta(days=1)


@dataclass(frozen=True)
class TableDays:
    """Days of a table, at one of its versions or at several; `time` is the column with a row's time."""

    parts: tuple[tuple[LakeSnapshot, tuple[str, ...]], ...]
    time: str = ""
    extensions: ClassVar[Sequence[str]] = ()
    footers: ClassVar[Footers] = NO_FOOTERS

    @property
    def name(self) -> str:
        """What messages call the days: the table at each version."""
        return first_few(self.versions)

    @property
    def schema(self) -> pa.Schema:
        """The columns of the table at the first of its versions."""
        return self.parts[0][0].schema

    @property
    def paths(self) -> Sequence[str]:
        """The files of all versions that DuckDB opens itself."""
        return [path for table, _ in self.parts for path in table.paths]

    @property
    def versions(self) -> Sequence[str]:
        """The name of the table at each version."""
        return [table.name for table, _ in self.parts]

    def relation(self, engine: Engine, name: str = "input") -> Relation:
        """The rows of the days, united by the names of columns; a row's day stands in the column of its file."""
        scans: list[str] = []
        unreadable: dict[str, Unreadable] = {}
        for n, (table, where) in enumerate(self.scans()):
            rows = plain_rows(engine, table)
            if rows is None:
                data, rereadable = table.opened()
                given = GivenTable(data, table.name, rereadable, unreadable=not_of_library(table))
                rows = given.relation(engine, f"{name}_{n}")
            unreadable |= rows.unreadable
            day = {FILE_COLUMN: self.day_sql(table)}
            scans.append(select(day, rows.sql, star="*", where=[where] if where else []))
        return Relation(united(scans), unreadable=unreadable)

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """The days limited to the tenants that are needed; the column of the events' times tells the days.

        Raises: ConfigError where the column has no moments; SchemaError for a column that is not there.
        """
        needed.check_no_times(self.name)
        spellings = needed.mapping.names["time"]
        time = needed.mapping.column_of("time", spellings, self.schema.names, self.name)
        time = check_moments(self.schema, time, self.name)
        tenants = columns_of_tenants(needed, self.schema, self.name)
        return replace(
            self, time=time, parts=tuple((with_texts(table, tenants), days) for table, days in self.parts)
        ), None

    def in_shell(self) -> InShell:
        """Nothing: a ledger, which alone reads days, prints no script of them."""
        return InShell()

    def file_sizes(self) -> list[int]:
        """The bytes of the files that DuckDB opens itself."""
        return sizes_of_existing(self.paths)

    def read_by(self, engine: OtherEngine) -> Any:
        """Only DuckDB reads this kind of input."""
        engine.refuse(self.name, OF_THIS_MACHINE)

    def scans(self) -> Iterator[tuple[LakeSnapshot, str]]:
        """Each scan of a table, and SQL for the rows of it that are of the days; "" where all its rows are."""
        for table, days in self.parts:
            if ALL in days:
                yield table, ""
                continue
            spans = spans_of(days)
            if not spans:
                yield table, self._is_of_sql(table, days)
            for first, last, is_whole in spans:
                part = between(table, self.time, (first, last))
                yield part, "" if is_whole else self._is_of_sql(table, days)

    def day_sql(self, table: LakeSnapshot) -> str:
        """SQL for the name of a row's day; the day of a row without a time is an empty text."""
        day = f"CAST(CAST({identifier(self.time)} AS DATE) AS VARCHAR)"
        return f"{literal(table.name)} || '#' || coalesce({day}, '')"

    def _is_of_sql(self, table: LakeSnapshot, days: Iterable[str]) -> str:
        """SQL for whether a row is of one of the days."""
        return f"{self.day_sql(table)} IN ({', '.join(literal(day_name(table.name, day)) for day in days)})"


def day_name(table: str, day: str) -> str:
    """A day of a table at a version, as one name."""
    return f"{table}#{day}"


def parts_of(name: str) -> tuple[str, str] | None:
    """The table at its version and the day in the name of a day; None for the name of a file."""
    found = _NAME.fullmatch(name)
    return (found[1], found[2]) if found else None


def find_days(names: Iterable[str]) -> TableDays:
    """The days of these names, grouped by the version of their table.

    Raises: SourceError for a version that is not there, and where versions differ in the type of a column.
    """
    by_table: dict[str, list[str]] = {}
    for name in names:
        table, day = parts_of(name) or (name, "")
        by_table.setdefault(table, []).append(day)
    found = []
    for name, days in by_table.items():
        lake = find_snapshot(name)
        if lake is not None:
            found.append((lake, tuple(days)))
    known: dict[str, tuple[pa.DataType, str]] = {}
    for lake, _ in found:
        for column in lake.schema:
            kind, other = known.setdefault(column.name, (column.type, lake.name))
            if kind != column.type:
                raise SourceError(
                    f"{lake.name}: column {column.name}: found {column.type}, and {kind} in {other}; expected one "
                    "type in all versions that are read together. hint: backfill again, so that all days are of one"
                )
    return TableDays(tuple(found))


def check_moments(schema: pa.Schema, column: str | None, where: str) -> str:
    """The column of the events' times, if it has moments, whose days are days in UTC.

    Raises: ConfigError.
    """
    kind = schema.field(column).type if column in schema.names else None
    has_moments = kind is not None and pa.types.is_timestamp(kind) and kind.tz is not None
    if column is None or not has_moments:
        raise ConfigError(
            f"{where}: found {kind or 'no such column'} as {column or 'time'}; expected a timestamp with a zone, for a "
            "ledger to tell its days apart. hint: --map time=COLUMN"
        )
    return column


def spans_of(days: Iterable[str]) -> list[tuple[datetime, datetime, bool]]:
    """At most SCANS_MAX spans that cover the days: first moment, last moment, and whether the span has no other day.

    Days beside each other are one span. There are no spans where a day has no name, or is out of the calendar.
    """
    try:
        found = sorted({date.fromisoformat(day) for day in days})
        spans = [[day, day + DAY] for day in found]
    except (ValueError, OverflowError):
        return []
    joined: list[list[date]] = []
    for first, last in spans:
        if joined and joined[-1][1] == first:
            joined[-1][1] = last
        else:
            joined.append([first, last])
    # Only the longest gaps between days part one span from the next.
    gaps = sorted(range(1, len(joined)), key=lambda n: joined[n][0] - joined[n - 1][1], reverse=True)
    firsts = sorted([0, *gaps[: SCANS_MAX - 1]])
    lasts = [*firsts[1:], len(joined)]
    covering = []
    for first_index, last_index in zip(firsts, lasts, strict=True):
        runs = joined[first_index:last_index]
        if runs:
            covering.append((_midnight(runs[0][0]), _midnight(runs[-1][1]), len(runs) == 1))
    return covering


def _midnight(day: date) -> datetime:
    """When a day begins."""
    return datetime.combine(day, time())
