"""Table days: a table of a lake, day by day, each day read as if it were a file of its own.

    delta:///lake/events?version=3#2024-01-15    the rows of one UTC day, at a version
    delta:///lake/events?version=3#*             all rows, each with the name of its day

Versions are snapshots of the whole; what a ledger asks is which days differ. Days know nothing of the files that their
rows lie in: a table that was compacted has the same days as before.
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
from metering_duck.inputs.lake_snapshot import LakeSnapshot, columns_of_tenants, plain_rows
from metering_duck.inputs.lakes import BY_DAYS, find_snapshot
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation
from metering_duck.statements.quote import identifier, literal
from metering_duck.statements.select import select

ALL = "*"
_NAME = re.compile(rf"((?:{'|'.join(BY_DAYS)})://.*\?(?:version|snapshot)=\w+)#(\S*)", re.DOTALL)
# Days that are far apart are read by so many scans at most; what lies between is then read, too, and left out.
SCANS_MAX = 8
DAY = timedelta(days=1)


@dataclass(frozen=True)
class TableDays:
    """Days of a table, at one of its versions or at several; `time` is the column that says which day a row is of."""

    parts: tuple[tuple[LakeSnapshot, tuple[str, ...]], ...]
    time: str = ""
    extensions: ClassVar[Sequence[str]] = ()
    footers: ClassVar[Footers] = NO_FOOTERS

    @property
    def name(self) -> str:
        """What a message calls them."""
        return first_few(self.versions)

    @property
    def schema(self) -> pa.Schema:
        """The columns of the table, at the first of the versions."""
        return self.parts[0][0].schema

    @property
    def paths(self) -> Sequence[str]:
        """The files that DuckDB opens itself, of all versions."""
        return [path for table, _ in self.parts for path in table.paths]

    @property
    def versions(self) -> Sequence[str]:
        """The table at each of them."""
        return [table.name for table, _ in self.parts]

    def relation(self, engine: Engine, name: str = "input") -> Relation:
        """The rows by the names of their columns, each with its day in place of a file."""
        scans = []
        for n, (table, where) in enumerate(self.scans()):
            rows = plain_rows(engine, table)
            if not rows:
                data, rereadable = table.opened()
                rows = GivenTable(data, table.name, rereadable).relation(engine, f"{name}_{n}").sql
            scans.append(select({FILE_COLUMN: self.day_sql(table)}, rows, star="*", where=[where] if where else []))
        return Relation(f"({' UNION ALL BY NAME '.join(scans)})")

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """The rows of the tenants that are needed, of days that are told by the column of the events' times.

        Raises: ConfigError where that column has no moments; SchemaError for a column that is not there.
        """
        needed.check_no_times(self.name)
        spellings = needed.mapping.names["time"]
        time = needed.mapping.column_of("time", spellings, self.schema.names, self.name)
        time = check_moments(self.schema, time, self.name)
        tenants = columns_of_tenants(needed, self.schema, self.name)
        return replace(self, time=time, parts=tuple((table.where(tenants), days) for table, days in self.parts)), None

    def in_shell(self) -> InShell:
        """Not at all: a shell knows of no days."""
        return InShell()

    def file_sizes(self) -> list[int]:
        """The bytes of the files that DuckDB opens itself."""
        return sizes_of_existing(self.paths)

    def read_by(self, engine: OtherEngine) -> Any:
        """Read by DuckDB alone."""
        engine.refuse(self.name, OF_THIS_MACHINE)

    def scans(self) -> Iterator[tuple[LakeSnapshot, str]]:
        """Tables that are each scanned once, and SQL for which of their rows are meant, "" for all."""
        for table, days in self.parts:
            spans = [] if ALL in days else spans_of(days)
            if not spans:
                yield table, "" if ALL in days else self._is_of_sql(table, days)
            for first, last, is_whole in spans:
                part = table.between(self.time, (first, last))
                yield part, "" if is_whole else self._is_of_sql(table, days)

    def day_sql(self, table: LakeSnapshot) -> str:
        """The name of a row's day; one without a time is of a day without a name."""
        day = f"CAST(CAST({identifier(self.time)} AS DATE) AS VARCHAR)"
        return f"{literal(table.name)} || '#' || coalesce({day}, '')"

    def _is_of_sql(self, table: LakeSnapshot, days: Iterable[str]) -> str:
        return f"{self.day_sql(table)} IN ({', '.join(literal(day_name(table.name, day)) for day in days)})"


def day_name(table: str, day: str) -> str:
    """A day of a table at a version, as one name."""
    return f"{table}#{day}"


def parts_of(name: str) -> tuple[str, str] | None:
    """The table at its version, and the day, that a name has; None for the name of a file."""
    found = _NAME.fullmatch(name)
    return (found[1], found[2]) if found else None


def find_days(names: Iterable[str]) -> TableDays:
    """The days that are named, by the versions that they are named at.

    Raises: SourceError for a version that is not there, and where versions differ in the type of a column.
    """
    by_table: dict[str, list[str]] = {}
    for name in names:
        table, day = parts_of(name) or (name, "")
        by_table.setdefault(table, []).append(day)
    found = [(lake, tuple(days)) for name, days in by_table.items() if (lake := find_snapshot(name))]
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
    """The column of the events' times, if its days are days in UTC.

    Raises: ConfigError.
    """
    kind = schema.field(column).type if column in schema.names else None
    if column is None or kind is None or not pa.types.is_timestamp(kind) or kind.tz is None:
        raise ConfigError(
            f"{where}: found {kind or 'no such column'} as {column or 'time'}; expected a timestamp with a zone, for a "
            "ledger to tell its days apart. hint: --map time=COLUMN"
        )
    return column


def spans_of(days: Iterable[str]) -> list[tuple[datetime, datetime, bool]]:
    """From when to when days are, those beside each other as one; whether each is made of nothing but them.

    Of a day that has no name, or is out of all calendars, nothing can be said: then there are no spans.
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
    gaps = sorted(range(1, len(joined)), key=lambda n: joined[n][0] - joined[n - 1][1], reverse=True)
    apart = sorted([0, *gaps[: SCANS_MAX - 1]])
    merged = [joined[n:m] for n, m in zip(apart, [*apart[1:], len(joined)], strict=True)]
    return [(_midnight(one[0][0]), _midnight(one[-1][1]), len(one) == 1) for one in merged if one]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())
