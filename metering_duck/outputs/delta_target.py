"""Delta tables as targets: rows are written by deltalake."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from metering_duck.engine.remote import delta_options, scheme_of
from metering_duck.errors import SourceError
from metering_duck.inputs.delta import DELTA as READ_DELTA
from metering_duck.inputs.delta import DeltaSnapshot, check_table
from metering_duck.inputs.delta_log import check_log
from metering_duck.outputs.lake_target import Batches, Destination, Partition
from metering_duck.outputs.reading_ids import MARK
from metering_duck.statements.quote import identifier, literal


class DeltaTarget:
    """A Delta table. deltalake finds credentials in the environment.

    A commit on S3 is a conditional put (If-None-Match), which is deltalake's default.
    """

    def __init__(self, where: str, place: str) -> None:
        from deltalake import CommitProperties, DeltaTable
        from deltalake.exceptions import CommitFailedError, TableNotFoundError

        self.where, self.place = where, place
        if not scheme_of(place) and re.search(r"[\[\]^|]", place):
            # deltalake panics at such a path.
            raise SourceError(f"{where}: found [, ], ^ or | in a path that is written to; expected another.")
        self.conflict: type[Exception] = CommitFailedError
        self._options = delta_options(place)
        # A second try of deltalake would not look for ids that came meanwhile.
        self._once = CommitProperties(max_commit_retries=0)
        self._table: Any = None
        self.schema: pa.Schema | None = None
        self.partitions: tuple[str, ...] = ()
        self.ids = ""
        check_log(where, place, only_checkpoints=True)
        try:
            self._table = DeltaTable(place, storage_options=self._options)
        except TableNotFoundError:
            return
        check_table(where, place, self._table, pa.table(self._table.get_add_actions()))
        self.schema = pa.schema(self._table.schema().to_arrow())
        self.partitions = tuple(self._table.metadata().partition_columns)
        if "id" in self.schema.names:
            self.ids = (self.schema.field("id").metadata or {}).get(MARK.encode(), b"").decode()

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
            self._write(self.place, batches, _marked(batches), mode="error", partition_by=list(partition_by) or None)
        except DeltaError as error:
            if batches.failure is None and DeltaTable.is_deltatable(self.place, self._options):
                raise self.conflict(str(error)) from None
            raise
        self._table = DeltaTable(self.place, version=0, storage_options=self._options)

    def append(self, batches: Batches) -> None:
        self._write(self._table, batches, batches.schema, mode="append")

    def merge(self, batches: Batches, ids: Sequence[str]) -> None:  # noqa: ARG002 - a merge finds them itself
        self._table.merge(
            batches.reader(batches.schema),
            "found.id = ours.id",
            source_alias="ours",
            target_alias="found",
            commit_properties=self._once,
        ).when_matched_update_all().when_not_matched_insert_all().execute()

    def overwrite(self, batches: Batches, partitions: Sequence[Partition] | None) -> None:
        if partitions is not None:
            wanted = " OR ".join(_partition_sql(one) for one in partitions)
            self._write(self._table, batches, batches.schema, mode="overwrite", predicate=wanted)
        elif batches.ids == self.ids:
            self._write(self._table, batches, batches.schema, mode="overwrite")
        else:
            self._write(self._table, batches, _marked(batches), mode="overwrite", schema_mode="overwrite")

    def _write(self, table: Any, batches: Batches, schema: pa.Schema, **options: Any) -> None:
        from deltalake import write_deltalake

        storage = self._options if table is self.place else None
        rows = batches.reader(schema)
        write_deltalake(table, rows, storage_options=storage, commit_properties=self._once, **options)


def _marked(batches: Batches) -> pa.Schema:
    """The columns of rows, the column `id` marked with the definition of the ids."""
    if not batches.ids:
        return batches.schema
    place = batches.schema.get_field_index("id")
    return batches.schema.set(place, batches.schema.field(place).with_metadata({MARK: batches.ids}))


def _partition_sql(partition: Partition) -> str:
    """The rows of a partition, as a condition for deltalake."""
    equal = []
    for name, value in partition.items():
        if value is None:
            equal.append(f"{identifier(name)} IS NULL")
        elif isinstance(value, str):
            equal.append(f"{identifier(name)} = {literal(value)}")
        else:
            equal.append(f"{identifier(name)} = {value}")
    return f"({' AND '.join(equal)})"


DELTA = Destination("deltalake", READ_DELTA.example.partition("?")[0], DeltaTarget)
