"""Table targets: Delta and Iceberg tables as something to write into, each by its format's own library.

A target is a table as it was when it was opened. A commit is made on that version, or fails with its `conflict`: what a
library would do by itself to a commit that came too late, does not look at ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import READS_AND_WRITES, delta_options, explained, scheme_of, shown
from metering_duck.errors import ConfigError, MeteringError, SourceError
from metering_duck.inputs.delta import DELTA, DeltaSnapshot
from metering_duck.inputs.iceberg import ICEBERG
from metering_duck.statements.quote import identifier, literal
from metering_duck.statements.stages import Query

LIBRARIES = {"delta": "deltalake", "iceberg": "pyiceberg"}
# Rows of an Iceberg table that are in memory at once.
CHUNK_ROWS = 500_000
Partition = Mapping[str, object]


class Batches:
    """Rows on their way into a library; `failure` is what stopped them, which libraries tell in words of their own."""

    def __init__(self, engine: Engine, query: Query, schema: pa.Schema) -> None:
        self._engine, self._query, self.schema = engine, query, schema
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._engine.stream(self._query)
        except Exception as error:
            self.failure = error
            raise

    def reader(self) -> pa.RecordBatchReader:
        """One batch at a time in memory."""
        return pa.RecordBatchReader.from_batches(self.schema, iter(self))

    def tables(self) -> Iterator[pa.Table]:
        """CHUNK_ROWS, and the rest of a batch, at a time in memory."""
        held: list[pa.RecordBatch] = []
        for batch in self:
            held.append(batch)
            if sum(part.num_rows for part in held) >= CHUNK_ROWS:
                yield pa.Table.from_batches(held, self.schema)
                held = []
        if held:
            yield pa.Table.from_batches(held, self.schema)


class Target(Protocol):
    """A table as it was when it was opened; `schema` is None where there is none yet."""

    where: str
    place: str
    schema: pa.Schema | None
    partitions: tuple[str, ...]
    conflict: type[Exception]

    @property
    def name(self) -> str:
        """The table at its version, in the form that reads it again."""

    @property
    def state(self) -> object:
        """What every commit changes."""

    def rows(self, columns: Sequence[str]) -> Any:
        """Its rows, as something that Arrow can stream once; other columns may be there, too."""

    def create(self, batches: Batches, partition_by: Sequence[str]) -> None:
        """Make the table, with rows."""

    def append(self, batches: Batches) -> None:
        """Add rows."""

    def merge(self, batches: Batches, ids: Sequence[str]) -> None:
        """Add rows; those that have the `ids` go."""

    def overwrite(self, batches: Batches, partitions: Sequence[Partition] | None) -> None:
        """Put rows in place of all, or of those of some partitions."""


def table_parts(target: str) -> tuple[str, str]:
    """delta or iceberg, and where in it a target is.

    Raises: ConfigError for a table of another kind, or at a version.
    """
    scheme = scheme_of(target)
    if not scheme:
        return "delta", target
    if scheme not in LIBRARIES:
        raise ConfigError(
            f"{shown(target)}: found the scheme {scheme}://; expected a table that can be written. "
            f"hint: {DELTA.example.partition('?')[0]} or {ICEBERG.example}"
        )
    place, mark, _ = target.removeprefix(f"{scheme}://").partition("?")
    if mark:
        raise ConfigError(f"{shown(target)}: found a version; expected none, since a table is written at its latest.")
    return scheme, place


def find_target(target: str) -> Target:
    """The table that a target names, as it is now, there or not.

    Raises: ConfigError for a name that is none; SourceError for a library that is missing, or what cannot be opened.
    """
    kind, place = table_parts(target)
    where = f"{kind}://{shown(place)}"
    try:
        return _DeltaTarget(where, place) if kind == "delta" else _IcebergTarget(where, place)
    except ImportError:
        raise SourceError(
            f"{where}: found no {LIBRARIES[kind]}; expected it, to write this table. "
            f"hint: pip install 'metering-duck[{kind}]'"
        ) from None
    except (MeteringError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise failure(error, target) from None


def failure(error: Exception, target: str) -> SourceError:
    """What a library says of a table that cannot be written, in our words; its own may hold secrets."""
    kind, place = table_parts(target)
    found = explained(error, place if scheme_of(place) else "")
    for reads, writes in READS_AND_WRITES.items():
        found = found.replace(reads, writes)
    return SourceError(f"{kind}://{shown(place)}: {found}")


class _DeltaTarget:
    """A Delta table. Credentials are found in the environment by its own library.

    A commit on S3 is a conditional put (If-None-Match), the library's default; no other way is asked for.
    """

    def __init__(self, where: str, place: str) -> None:
        from deltalake import CommitProperties, DeltaTable
        from deltalake.exceptions import CommitFailedError, TableNotFoundError

        self.where, self.place = where, place
        if not scheme_of(place) and re.search(r"[\[\]^|]", place):
            # Its library panics.
            raise SourceError(f"{where}: found [, ], ^ or | in a path that is written to; expected another.")
        self.conflict: type[Exception] = CommitFailedError
        self._options = delta_options(place)
        # A library's own second try would not look for ids that came meanwhile.
        self._once = CommitProperties(max_commit_retries=0)
        self._table: Any = None
        self.schema: pa.Schema | None = None
        self.partitions: tuple[str, ...] = ()
        try:
            self._table = DeltaTable(place, storage_options=self._options)
        except TableNotFoundError:
            return
        self.schema = pa.schema(self._table.schema().to_arrow())
        self.partitions = tuple(self._table.metadata().partition_columns)

    @property
    def state(self) -> object:
        return None if self._table is None else self._table.version()

    @property
    def name(self) -> str:
        return f"{self.where}?version={self._table.version()}"

    def rows(self, columns: Sequence[str]) -> Any:  # noqa: ARG002 - DuckDB takes the columns that it needs
        return DeltaSnapshot(self.where, self.schema, self._table).opened()[0]

    def create(self, batches: Batches, partition_by: Sequence[str]) -> None:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        try:
            self._write(self.place, batches, mode="error", partition_by=list(partition_by) or None)
        except DeltaError as error:
            if batches.failure is None and DeltaTable.is_deltatable(self.place, self._options):
                raise self.conflict(str(error)) from None
            raise
        self._table = DeltaTable(self.place, version=0, storage_options=self._options)

    def append(self, batches: Batches) -> None:
        self._write(self._table, batches, mode="append")

    def merge(self, batches: Batches, ids: Sequence[str]) -> None:  # noqa: ARG002 - a merge finds them itself
        self._table.merge(
            batches.reader(),
            "found.id = ours.id",
            source_alias="ours",
            target_alias="found",
            commit_properties=self._once,
        ).when_matched_update_all().when_not_matched_insert_all().execute()

    def overwrite(self, batches: Batches, partitions: Sequence[Partition] | None) -> None:
        wanted = None if partitions is None else " OR ".join(_partition_sql(one) for one in partitions)
        self._write(self._table, batches, mode="overwrite", predicate=wanted)

    def _write(self, table: Any, batches: Batches, **options: Any) -> None:
        from deltalake import write_deltalake

        storage = self._options if table is self.place else None
        write_deltalake(table, batches.reader(), storage_options=storage, commit_properties=self._once, **options)


def _partition_sql(partition: Partition) -> str:
    """A partition as a condition for Delta."""
    columns = {identifier(name): value for name, value in partition.items()}
    equal = [
        f"{column} IS NULL" if value is None else f"{column} = {literal(value) if isinstance(value, str) else value}"
        for column, value in columns.items()
    ]
    return f"({' AND '.join(equal)})"


class _IcebergTarget:
    """An Iceberg table, its catalog by pyiceberg's own configuration (.pyiceberg.yaml, PYICEBERG_CATALOG__…).

    A commit may be several snapshots, of which readers see the last: what goes, then what comes, CHUNK_ROWS at a time.
    """

    def __init__(self, where: str, place: str) -> None:
        from pyiceberg.catalog import load_catalog
        from pyiceberg.exceptions import CommitFailedException, NoSuchNamespaceError, NoSuchTableError

        self.where, self.place = where, place
        self.conflict: type[Exception] = CommitFailedException
        catalog, _, self._id = place.partition("/")
        if not catalog or "." not in self._id.strip("."):
            raise SourceError(f"{where}: found no table; expected {ICEBERG.example}.")
        self._table: Any = None
        try:
            self._catalog = load_catalog(catalog)
            self._table = self._catalog.load_table(self._id)
        except (NoSuchTableError, NoSuchNamespaceError):
            pass
        except ImportError:
            raise
        except Exception as error:
            raise SourceError(
                f"{where}: the catalog {catalog} cannot be opened ({type(error).__name__}); expected one that "
                f"pyiceberg knows. hint: PYICEBERG_CATALOG__{catalog.upper()}__URI, or .pyiceberg.yaml"
            ) from None
        self.schema: pa.Schema | None = None if self._table is None else self._table.schema().as_arrow()
        self.partitions: tuple[str, ...] = () if self._table is None else tuple(self._spec_names())

    def _spec_names(self) -> Iterator[str]:
        """The columns that it is partitioned by, and what is made of them."""
        for field in self._table.spec().fields:
            column = self._table.schema().find_column_name(field.source_id)
            yield column if str(field.transform) == "identity" else f"{field.transform}({column})"

    @property
    def state(self) -> object:
        return None if self._table is None else self._table.metadata_location

    @property
    def name(self) -> str:
        snapshot = self._table.current_snapshot()
        return self.where if snapshot is None else f"{self.where}?snapshot={snapshot.snapshot_id}"

    def rows(self, columns: Sequence[str]) -> Any:
        return self._table.scan(selected_fields=tuple(columns)).to_arrow_batch_reader()

    def create(self, batches: Batches, partition_by: Sequence[str]) -> None:
        self._catalog.create_namespace_if_not_exists(self._id.rpartition(".")[0])
        change = self._catalog.create_table_transaction(self._id, schema=batches.schema)
        if partition_by:
            with change.update_spec() as spec:
                for name in partition_by:
                    spec.add_identity(name)
        for table in batches.tables():
            change.append(table)
        self._table = change.commit_transaction()

    def append(self, batches: Batches) -> None:
        self._change(None, batches)

    def merge(self, batches: Batches, ids: Sequence[str]) -> None:
        from pyiceberg.expressions import In

        self._change(In("id", ids), batches)

    def overwrite(self, batches: Batches, partitions: Sequence[Partition] | None) -> None:
        from pyiceberg.expressions import AlwaysTrue, And, EqualTo, IsNull, Or

        def condition(partition: Partition) -> Any:
            equal = [IsNull(name) if value is None else EqualTo(name, value) for name, value in partition.items()]
            return equal[0] if len(equal) == 1 else And(*equal)

        wanted = [AlwaysTrue()] if partitions is None else [condition(partition) for partition in partitions]
        gone = wanted[0] if len(wanted) == 1 else Or(*wanted)
        is_there = next(iter(self._table.scan(row_filter=gone).plan_files()), None) is not None
        self._change(gone if is_there else None, batches)

    def _change(self, gone: Any, batches: Batches) -> None:
        """Without the rows of a condition, and with new ones, in one commit."""
        # Told only to this copy of the metadata: a library's own second try would not look for ids that came meanwhile.
        self._table.metadata.properties["commit.retry.num-retries"] = "0"
        change = self._table.transaction()
        if gone is not None:
            change.delete(gone)
        for table in batches.tables():
            change.append(table)
        self._table = change.commit_transaction()
