"""Table writing: records and readings into Delta and Iceberg tables, by their ids, in one commit.

The rows are computed once, into a table of the engine, which spills. The target's rows are compared with them, and only
rows that differ are handed to the target (outputs/lake_target.py). When another process commits meanwhile, the target
is opened and compared again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from metering_duck.contract.schemas import IDS_VERSION
from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import scheme_of, shown
from metering_duck.errors import ConfigError, MeteringError, SchemaError, SourceError, did_you_mean
from metering_duck.outputs.lake_tables import DESTINATIONS, failure, find_target, table_parts
from metering_duck.outputs.lake_target import Batches, Target
from metering_duck.outputs.reading_ids import SHAPES as READING_SHAPES
from metering_duck.outputs.reading_ids import earlier_ids_sql, earlier_rows, mixed_ids
from metering_duck.outputs.texts import limited
from metering_duck.outputs.trees import DATES, PARTITIONS_MAX, with_dates
from metering_duck.statements.quote import identifier
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query, Stage

MODES = ("merge", "append", "overwrite")
# The shapes whose rows have an id that is the same when the row is computed again.
SHAPES = ("record", "record-bundle", "reading", "reading-bundle")
# Times that are the clock of the run where events do not say when they were metered.
METERED = ("metered_at", "max_metered_at", "last_metered_at")
TRIES = 5
OURS, THEIRS, FOUND = "rows_to_write", "rows_of_table", "rows_there"


def write_table(
    engine: Engine,
    rows: Query,
    shape: str,
    target: str,
    *,
    mode: str | None = None,
    partition_by: Sequence[str] = (),
    has_earlier_ids: bool = False,
) -> str:
    """Write a query's rows into a Delta or Iceberg table, made if it is not there; the table's name at its version.

    merge: a row whose id is not there is added; one that differs from the row of its id replaces it; all others stay,
    so that the same rows again make no version. What is only the run's own is no difference: `created_at`, and metered
    times that are the run's clock, as they are where events have none. append: only rows whose id is not there.
    overwrite: the rows in place of all, or of those of their partitions where the table has some.

    A table of readings is marked with the definition of their ids (R21). Readings that a table without the mark has
    under ids of an earlier version are found, and refused; `has_earlier_ids` says that the rows have such ids.

    Exact:  DECIMAL stays DECIMAL; times are UTC microseconds.
    Memory: batches for Delta; for Iceberg CHUNK_ROWS rows, the ids of the rows that are replaced, and one at a time the
            files of the table that have one. What is compared spills.
    Raises: ConfigError for a mode, a shape or partitions that do not fit; SchemaError for a table of other columns;
            SourceError where nothing can be written, or others commit all the time. Nothing is written then.
    """
    mode = checked_mode(mode)
    if shape not in SHAPES:
        raise ConfigError(
            f"{shown(target)}: found {shape}s; expected records or readings, which have ids of their own."
        )
    rows = with_dates(engine, rows, partition_by)
    schema = engine.table(limited(rows, 0)).schema
    write = _Write(engine, schema, shape, mode, tuple(partition_by), rows.parameters.get("clock"), has_earlier_ids)
    where = write.opened(target).where
    try:
        engine.fill(replace(rows, name=OURS))
        write.check_rows(where)
        for _ in range(TRIES):
            opened = write.opened(target)
            if write.is_committed(opened, target):
                return opened.name
    finally:
        for table in (OURS, FOUND):
            engine.rows(f"DROP TABLE IF EXISTS {table}")
    raise SourceError(
        f"{where}: found commits of others, {TRIES} times in a row; expected a moment without one. hint: run again"
    )


def checked_mode(mode: str | None) -> str:
    """The mode; merge if none is given.

    Raises: ConfigError for an unknown mode.
    """
    if mode is not None and mode not in MODES:
        raise ConfigError(
            f"mode: found {mode!r}; expected one of {', '.join(MODES)}. hint: {did_you_mean(mode, MODES)}"
        )
    return mode or MODES[0]


def same_table(one: str, other: str) -> bool:
    """Whether two names, with a version or without, name one table."""
    if any(scheme_of(name) not in ("", *DESTINATIONS) for name in (one, other)):
        return False
    return _kind_and_place(one) == _kind_and_place(other)


def _kind_and_place(name: str) -> tuple[str, str]:
    """The scheme of a table, and its place in one spelling, without its version."""
    kind, place = table_parts(name.partition("?")[0])
    place = place.removeprefix("file://").rstrip("/")
    if not scheme_of(place):
        place = os.path.realpath(place)
    return kind, place


@dataclass(frozen=True)
class _Write:
    """A call of `write_table`: how the rows in the table OURS go into a target."""

    engine: Engine
    schema: pa.Schema
    shape: str
    mode: str
    partition_by: tuple[str, ...]
    clock: object
    has_earlier_ids: bool = False

    # --- what is checked ---------------------------------------------------------------------------------------------

    def opened(self, target: str) -> Target:
        """The target as it is now, if the rows fit it."""
        found = find_target(target)
        self._check_partitions(found)
        if found.schema is not None:
            self._check_columns(found.where, found.schema, found.partitions)
        return found

    def _check_partitions(self, found: Target) -> None:
        """Refuse partitions that are not those of the table, or that cannot be partitions."""
        for name in self.partition_by:
            kind = self.schema.field(name).type
            if not (pa.types.is_string(kind) or pa.types.is_integer(kind)):
                raise ConfigError(f"partition-by: found {name}, a {kind}; expected a column of texts, or a date.")
        if found.schema is None or set(self.partition_by) == set(found.partitions):
            return
        if self.partition_by:
            theirs = ", ".join(found.partitions) or "none"
            raise ConfigError(
                f"partition-by: found {', '.join(self.partition_by)}; expected {theirs}, as {found.where} has it."
            )
        if self.mode == "overwrite":
            hint = " ".join(f"--partition-by {name}" for name in found.partitions)
            raise ConfigError(f"mode: found overwrite for all of {found.where}; expected its partitions. hint: {hint}")

    def _check_columns(self, where: str, theirs: pa.Schema, partitions: Sequence[str]) -> None:
        """Refuse a table that has not the columns of the rows, of the same types, and no others."""
        found = {field.name: _kind(field.type) for field in theirs}
        wanted = {field.name: _kind(field.type) for field in self.schema}
        for name in dict.fromkeys((*wanted, *found)):
            if found.get(name) == wanted.get(name):
                continue
            hint = "give the options of before, --scale and --digits too, or write another table"
            if name not in wanted and name in (*DATES, *partitions):
                hint = f"--partition-by {name}"
            in_table, expected = found.get(name, "none"), "none, as the rows have none"
            if name in wanted:
                expected = f"{wanted[name]}, as the rows have it"
            raise SchemaError(where, name, found=f"{in_table} in the table", expected=expected, hint=hint)

    def check_rows(self, where: str) -> None:
        """Refuse rows of which two have one id, and rows of too many partitions."""
        repeated = self.engine.rows(
            f"SELECT id, count(*) FROM {OURS} GROUP BY id HAVING count(*) > 1 ORDER BY id LIMIT 1"
        )
        if repeated:
            raise SourceError(
                f"{where}: found the id {repeated[0][0]} in {repeated[0][1]:,} rows; expected every id once. "
                "hint: without --assume-unique, duplicates are looked for"
            )
        if self.partition_by and len(self._partitions()) > PARTITIONS_MAX:
            raise ConfigError(
                f"partition-by: found more than {PARTITIONS_MAX:,} partitions of {', '.join(self.partition_by)}; "
                "expected fewer. hint: --partition-by month, or write one window after another"
            )

    def _partitions(self) -> list[dict[str, object]]:
        """The partitions that the rows are in."""
        columns = ", ".join(identifier(name) for name in self.partition_by)
        found = self.engine.rows(f"SELECT DISTINCT {columns} FROM {OURS} ORDER BY ALL LIMIT {PARTITIONS_MAX + 1}")
        return [dict(zip(self.partition_by, row, strict=True)) for row in found]

    # --- one try -----------------------------------------------------------------------------------------------------

    def is_committed(self, opened: Target, target: str) -> bool:
        """Write, unless there is nothing to write; False if another process has committed since the target was opened.

        Raises: SourceError.
        """
        query = _all()
        if opened.schema is not None and self.mode != "overwrite":
            query = _differing()
        batches = Batches(self.engine, query, self.schema, self._ids)
        try:
            self._commit(opened, batches)
        except (MeteringError, KeyboardInterrupt):
            raise
        except Exception as error:
            if batches.failure is not None:
                raise batches.failure from None
            if isinstance(error, opened.conflict) and self.opened(target).state != opened.state:
                return False
            raise failure(error, target) from None
        return True

    def _commit(self, opened: Target, batches: Batches) -> None:
        """Make the table, overwrite it, or bring it up to date, as the mode says."""
        if opened.schema is None:
            opened.create(batches, self.partition_by)
        elif self.mode == "overwrite":
            partitions = self._partitions() if self.partition_by else None
            if partitions != []:
                opened.overwrite(batches, partitions)
        else:
            self._check_ids(opened)
            self._find_rows(opened)
            there = f"FROM {OURS} JOIN {FOUND} ON {OURS}.rowid = our_row WHERE NOT is_equal"
            replaced = [row[0] for row in self.engine.rows(f"SELECT id {there} ORDER BY id")]
            if replaced:
                opened.merge(batches, replaced)
            elif self.engine.count(FOUND) < self.engine.count(OURS):
                opened.append(batches)

    @property
    def _ids(self) -> str:
        """The definition of the rows' ids that a table is marked with; "" where the ids are no readings' or earlier."""
        return str(IDS_VERSION) if self.shape in READING_SHAPES and not self.has_earlier_ids else ""

    def _check_ids(self, opened: Target) -> None:
        """Refuse readings that the table may have under ids of another definition.

        Raises: SourceError.
        """
        if self.shape not in READING_SHAPES or opened.ids == self._ids != "":
            return
        if opened.ids:
            raise earlier_rows(opened.where)
        if not self.has_earlier_ids:
            with self._reading(opened, ["id"]):
                ((count, first),) = self.engine.rows(earlier_ids_sql(OURS, THEIRS, self.shape))
            if count:
                raise mixed_ids(opened.where, count, first)

    @contextlib.contextmanager
    def _reading(self, opened: Target, columns: Sequence[str]) -> Iterator[None]:
        """The target's rows as the table THEIRS, which can be read once, inside of a with statement."""
        self.engine.register(THEIRS, opened.rows(columns), opened.where)
        yield
        self.engine.unregister(THEIRS)

    def _find_rows(self, opened: Target) -> None:
        """Fill the table FOUND: the rows of OURS whose ids the target has, and whether the target's row is equal."""
        left_out = self.schema.names if self.mode == "append" else ("id", "created_at")
        compared = [name for name in self.schema.names if name not in left_out]
        equal = " AND ".join(self._equal_sql(name) for name in compared) or "TRUE"
        columns = {"our_row": f"{OURS}.rowid", "is_equal": equal}
        sql = select(columns, f"{OURS}\nJOIN {THEIRS} ON {OURS}.id = {THEIRS}.id")
        with self._reading(opened, ["id", *compared]):
            self.engine.fill(Query(FOUND, (Stage(FOUND, "what is there already", sql),), {"clock": self.clock}))
        twice = f"SELECT our_row, count(*) AS times FROM {FOUND} GROUP BY our_row HAVING count(*) > 1 LIMIT 1"
        repeated = self.engine.rows(f"SELECT id, times FROM ({twice}) JOIN {OURS} ON {OURS}.rowid = our_row")
        if repeated:
            raise SourceError(
                f"{opened.where}: found the id {repeated[0][0]} in {repeated[0][1]:,} rows of the table; "
                "expected every id once. hint: write another table"
            )

    def _equal_sql(self, name: str) -> str:
        """SQL for whether a column is equal in both tables; a time that is only the run's clock makes no difference."""
        ours, theirs = f"{OURS}.{identifier(name)}", f"{THEIRS}.{identifier(name)}"
        if pa.types.is_map(self.schema.field(name).type):
            ours, theirs = f"list_sort(map_entries({ours}))", f"list_sort(map_entries({theirs}))"
        equal = f"{ours} IS NOT DISTINCT FROM {theirs}"
        if name not in METERED:
            return equal
        if "created_at" in self.schema.names:
            return f"({equal} OR coalesce({ours} = {OURS}.created_at, FALSE))"
        if self.clock is not None:
            return f"({equal} OR {ours} = CAST($clock AS TIMESTAMPTZ))"
        return equal


def _all() -> Query:
    """All rows, in their order."""
    return Query("all_rows", (Stage("all_rows", "all of the rows", select({}, OURS, star="*")),))


def _differing() -> Query:
    """The rows that the target does not have, in their order."""
    source = f"{OURS}\nLEFT JOIN {FOUND} ON {OURS}.rowid = our_row"
    sql = select({}, source, star=f"{OURS}.*", where=["is_equal IS NOT TRUE"], order_by=[f"{OURS}.rowid"])
    return Query("differing_rows", (Stage("differing_rows", "the rows that the table does not have", sql),))


def _kind(kind: pa.DataType) -> str:
    """A type in words; types that hold the same values, such as text and large text, have the same words."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind) and kind.unit == "us" and kind.tz in ("UTC", "Etc/UTC", "+00:00"):
        return "UTC microseconds"
    if pa.types.is_map(kind):
        return f"a map of {_kind(kind.key_type)} to {_kind(kind.item_type)}"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"a list of {_kind(kind.value_type)}"
    if pa.types.is_struct(kind):
        return f"({', '.join(f'{field.name} {_kind(field.type)}' for field in kind)})"
    return str(kind)
