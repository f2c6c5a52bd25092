"""Iceberg tables as targets: rows are written by pyiceberg."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from metering_duck.errors import SourceError
from metering_duck.inputs.iceberg import ICEBERG as READ_ICEBERG
from metering_duck.inputs.iceberg import check_manifests, check_tasks
from metering_duck.outputs.lake_target import Batches, Destination, Partition
from metering_duck.outputs.reading_ids import MARK


class IcebergTarget:
    """An Iceberg table. pyiceberg's own configuration names the catalog (.pyiceberg.yaml, PYICEBERG_CATALOG__…).

    A commit may be several snapshots, of which readers see only the last: first rows are deleted, then rows are added,
    CHUNK_ROWS at a time.
    """

    def __init__(self, where: str, place: str) -> None:
        from pyiceberg.catalog import load_catalog
        from pyiceberg.exceptions import CommitFailedException, NoSuchNamespaceError, NoSuchTableError

        self.where, self.place = where, place
        self.conflict: type[Exception] = CommitFailedException
        catalog, _, self._id = place.partition("/")
        if not catalog or "." not in self._id.strip("."):
            raise SourceError(f"{where}: found no table; expected {READ_ICEBERG.example}.")
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
        self.schema: pa.Schema | None = None
        self.partitions: tuple[str, ...] = ()
        self.ids = ""
        if self._table is not None:
            self.ids = str(self._table.properties.get(MARK, ""))
            check_manifests(where, self._table, self._table.current_snapshot())
            self.schema = self._table.schema().as_arrow()
            self.partitions = tuple(self._spec_names())

    def _spec_names(self) -> Iterator[str]:
        """The columns that the table is partitioned by; a column that is transformed, as TRANSFORM(COLUMN)."""
        for field in self._table.spec().fields:
            column = self._table.schema().find_column_name(field.source_id)
            if str(field.transform) == "identity":
                yield column
            else:
                yield f"{field.transform}({column})"

    @property
    def state(self) -> object:
        return None if self._table is None else self._table.metadata_location

    @property
    def name(self) -> str:
        snapshot = self._table.current_snapshot()
        return self.where if snapshot is None else f"{self.where}?snapshot={snapshot.snapshot_id}"

    def rows(self, columns: Sequence[str]) -> Any:
        scan = self._table.scan(selected_fields=tuple(columns))
        check_tasks(self.where, list(scan.plan_files()), self._table.metadata, self._table.metadata_location)
        return scan.to_arrow_batch_reader()

    def create(self, batches: Batches, partition_by: Sequence[str]) -> None:
        self._catalog.create_namespace_if_not_exists(self._id.rpartition(".")[0])
        properties = {MARK: batches.ids} if batches.ids else {}
        change = self._catalog.create_table_transaction(self._id, schema=batches.schema, properties=properties)
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

        gone: Any = AlwaysTrue()
        if partitions is not None:
            wanted = [condition(partition) for partition in partitions]
            gone = wanted[0] if len(wanted) == 1 else Or(*wanted)
        has_files = any(True for _ in self._table.scan(row_filter=gone).plan_files())
        self._change(gone if has_files else None, batches, marks=partitions is None and batches.ids != self.ids)

    def _change(self, gone: Any, batches: Batches, *, marks: bool = False) -> None:
        """Delete the rows of the condition `gone`, if there is one, and add new rows, in one commit.

        With `marks`, the table has the mark of the new rows from now on.
        """
        # Set only in this copy of the metadata: a second try of pyiceberg would not look for ids that came meanwhile.
        self._table.metadata.properties["commit.retry.num-retries"] = "0"
        change = self._table.transaction()
        if marks:
            change.set_properties({MARK: batches.ids})
        if gone is not None:
            change.delete(gone)
        for table in batches.tables():
            change.append(table)
        self._table = change.commit_transaction()


ICEBERG = Destination("pyiceberg", READ_ICEBERG.example, IcebergTarget)
