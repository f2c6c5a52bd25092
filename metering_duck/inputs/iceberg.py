"""Iceberg tables at a snapshot, opened by pyiceberg.

DuckDB reads the table's Parquet files itself where the files alone say what the rows are: no row is deleted, and
no column ever had another name, or one that was another column's. Otherwise pyiceberg reads the rows.

iceberg://CATALOG/NAMESPACE.TABLE?snapshot=ID    iceberg://CATALOG/NAMESPACE.TABLE?timestamp=2024-05-01
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, ClassVar

import pyarrow as pa

from metering_duck.contract.times import parse_time
from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import scheme_of
from metering_duck.errors import SchemaError, SourceError
from metering_duck.inputs.footers import NO_FOOTERS, Footers
from metering_duck.inputs.iceberg_types import VARIANT, standing_in
from metering_duck.inputs.in_shell import InShell, load_sql
from metering_duck.inputs.input import Input, Needed, OtherEngine
from metering_duck.inputs.lake_columns import schemas_of
from metering_duck.inputs.lake_files import check_below
from metering_duck.inputs.lake_schemes import LakeScheme, Options, asked_of, number_of
from metering_duck.inputs.lake_snapshot import (
    PlainFiles,
    exact_sql,
    local_paths,
    narrowed_snapshot,
    place_and_number,
    rows_of,
)
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation
from metering_duck.inputs.wanted_rows import WantedRows
from metering_duck.statements.quote import literal

# The name of the snapshot of an Iceberg table to which nothing has been written.
NO_SNAPSHOT = "none"
# The properties by which a table puts files elsewhere.
PLACES = ("write.data.path", "write.metadata.path")


@dataclass(frozen=True)
class IcebergSnapshot:
    """A table at a snapshot: its columns, and `scan`, which pyiceberg makes of it; `name` says the snapshot.

    `metadata` is the file that says what the table is. `foreign` is column → its type where pyiceberg has no such type.
    """

    name: str
    schema: pa.Schema
    scan: Any
    metadata: str
    foreign: Mapping[str, str] = field(default_factory=dict)
    wanted: WantedRows = field(default_factory=WantedRows)
    extensions: ClassVar[Sequence[str]] = ()
    footers: ClassVar[Footers] = NO_FOOTERS

    @property
    def paths(self) -> Sequence[str]:
        """The files of the table that DuckDB opens itself."""
        return local_paths(self)

    @property
    def versions(self) -> Sequence[str]:
        """The name of this table, which says its version."""
        return (self.name,)

    @property
    def identity(self) -> str:
        """The UUID in the table's metadata."""
        return str(self.scan.table_metadata.table_uuid)

    @cached_property
    def plain_files(self) -> PlainFiles | None:
        """The files of the snapshot, where the files alone say what the rows are."""
        tasks = self._tasks()
        if any(task.delete_files for task in tasks) or not _is_each_name_one_column(self.scan.table_metadata.schemas):
            return None
        return PlainFiles(tuple(sorted(str(task.file.file_path).removeprefix("file://") for task in tasks)))

    def _tasks(self) -> list[Any]:
        """The files that may have wanted rows, each with the files of its deleted rows.

        Raises: SourceError for a file that lies outside of the table.
        """
        tasks = list(self._filtered_scan().plan_files())
        check_tasks(self.name, tasks, self.scan.table_metadata, self.metadata)
        return tasks

    def _filtered_scan(self) -> Any:
        """The scan of the wanted rows."""
        from pyiceberg.expressions import GreaterThanOrEqual, In, LessThan

        scan = self.scan
        for column, texts in self.wanted.texts.items():
            scan = scan.filter(In(column, list(texts)))
        fields = scan.projection().as_arrow()
        for column, (first, last) in self.wanted.times.items():
            zone = "+00:00" if fields.field(column).type.tz else ""
            if first:
                scan = scan.filter(GreaterThanOrEqual(column, first.isoformat() + zone))
            if last:
                scan = scan.filter(LessThan(column, last.isoformat() + zone))
        return scan

    def file_schemas(self) -> Iterator[tuple[str, pa.Schema]]:
        """Each file that may have wanted rows, and its columns; without a file that cannot be read."""
        paths = [str(task.file.file_path) for task in self._tasks()]
        return schemas_of([(path, partial(_schema_of, self.scan.io, path)) for path in paths])

    def limited(self, wanted: WantedRows) -> IcebergSnapshot:
        """The table with other wanted rows."""
        return replace(self, wanted=wanted)

    def opened(self) -> tuple[Any, bool]:
        """The wanted rows as a stream, and that a stream cannot be scanned again; without the foreign columns.

        Raises: SchemaError for a table with a VARIANT, whose files pyiceberg does not read at all.
        """
        self._tasks()
        for column in (name for name, kind in self.foreign.items() if kind == VARIANT):
            raise SchemaError(
                self.name,
                column,
                found=f"{VARIANT} in a table with deleted rows, renamed or added columns, or files that lie elsewhere",
                expected="none, since pyiceberg reads such a table, and does not read VARIANT",
                hint="rewrite its data files, so that the files alone say what the rows are, or read copies of its "
                "Parquet files by themselves",
            )
        scan = self._filtered_scan()
        if self.foreign:
            scan = scan.select(*(name for name in self.schema.names if name not in self.foreign))
        return scan.to_arrow_batch_reader(), False

    def relation(self, engine: Engine, name: str = "input") -> Relation:
        """The wanted rows of the table."""
        return rows_of(engine, self, name)

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """The table limited to the rows that are needed; the statistics in its manifests say which files have them."""
        return narrowed_snapshot(self, needed)

    def in_shell(self) -> InShell:
        """A shell reads the plain files, where there are such; otherwise it reads the table by DuckDB's extension."""
        plain = self.plain_files
        if plain and plain.paths:
            return InShell(relation=exact_sql(self, plain))
        _, snapshot = place_and_number(self.name)
        chosen = "" if snapshot == NO_SNAPSHOT else f", snapshot_from_id => {snapshot}"
        return InShell(load_sql("iceberg"), f"iceberg_scan({literal(self.metadata)}{chosen})")

    def file_sizes(self) -> list[int]:
        """The bytes of each file that may have wanted rows, as the table's manifests say."""
        return [int(task.file.file_size_in_bytes) for task in self._tasks()]

    def read_by(self, engine: OtherEngine) -> Any:
        """Another engine reads the table by its name in the catalog, and its snapshot."""
        place, snapshot = place_and_number(self.name)
        return engine.read_iceberg(place, snapshot, self.wanted)


# --- finding a table -------------------------------------------------------------------------------------------------


def find_iceberg(place: str, options: Options) -> IcebergSnapshot:
    """The Iceberg table of a catalog that pyiceberg's configuration names (.pyiceberg.yaml, PYICEBERG_CATALOG__…).

    Raises: SourceError for a catalog, a table or a snapshot that is not there.
    """
    where = f"iceberg://{place}"
    table, foreign = _load_table(place, where)
    if options.get("snapshot") == NO_SNAPSHOT:
        return _before_all_snapshots(table, where, foreign)
    snapshot = _find_snapshot(table, options, where)
    if snapshot is None and (options or table.snapshots()):
        known = ", ".join(str(one.snapshot_id) for one in table.snapshots()[-3:])
        raise SourceError(
            f"{where}: found no such snapshot ({asked_of(options)}); expected one of the table's, such as {known}."
        )
    chosen = None if snapshot is None else snapshot.snapshot_id
    # A scan without a snapshot id has the columns' names of now, which may be newer than the latest snapshot.
    scan = table.scan(snapshot_id=chosen if options else None)
    return _snapshot_of(table, scan, f"{where}?snapshot={chosen or NO_SNAPSHOT}", foreign)


def _load_table(place: str, where: str) -> tuple[Any, Mapping[int, str]]:
    """The table of that name in the catalog; and column's id → its type, where pyiceberg has no such type.

    Raises: SourceError.
    """
    from pyiceberg.catalog import load_catalog
    from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

    catalog, _, name = place.partition("/")
    if not catalog or "." not in name:
        raise SourceError(f"{where}: found no table; expected {ICEBERG.example}.")
    try:
        with standing_in() as foreign:
            return load_catalog(catalog).load_table(name), foreign
    except (NoSuchTableError, NoSuchNamespaceError):
        raise SourceError(f"{where}: found no such table in the catalog; expected one that exists.") from None
    except ImportError:
        raise
    except Exception as error:
        raise SourceError(
            f"{where}: the catalog {catalog} cannot be opened ({type(error).__name__}); expected one that pyiceberg "
            f"knows. hint: PYICEBERG_CATALOG__{catalog.upper()}__URI, or .pyiceberg.yaml"
        ) from None


def _find_snapshot(table: Any, options: Options, where: str) -> Any:
    """The snapshot of a number or as of a moment, otherwise the latest; None where there is no such snapshot."""
    number = number_of(options, "snapshot", where)
    if "timestamp" in options:
        moment = parse_time(options["timestamp"], f"{where}: timestamp")
        return table.snapshot_as_of_timestamp(int(moment.timestamp() * 1000))
    return table.current_snapshot() if number is None else table.snapshot_by_id(number)


def _before_all_snapshots(table: Any, where: str, foreign: Mapping[int, str]) -> IcebergSnapshot:
    """A table as it was before anything was written to it: without a row, with the columns of now."""
    from pyiceberg.expressions import AlwaysFalse

    return _snapshot_of(table, table.scan(row_filter=AlwaysFalse()), f"{where}?snapshot={NO_SNAPSHOT}", foreign)


def _snapshot_of(table: Any, scan: Any, name: str, foreign: Mapping[int, str]) -> IcebergSnapshot:
    """The table by a scan of it; `foreign` are the ids of columns whose types pyiceberg does not have.

    Raises: SourceError for a manifest that lies outside of the table.
    """
    check_manifests(name, table, scan.snapshot())
    columns = scan.projection()
    named = {column.name: foreign[column.field_id] for column in columns.fields if column.field_id in foreign}
    return IcebergSnapshot(name, columns.as_arrow(), scan, table.metadata_location, named)


def check_manifests(where: str, table: Any, snapshot: Any) -> None:
    """Refuse a table whose snapshot has manifests outside of the table.

    Raises: SourceError.
    """
    if snapshot is not None:
        roots = _roots(table.metadata, table.metadata_location)
        check_below(where, [snapshot.manifest_list], roots)
        check_below(where, [one.manifest_path for one in snapshot.manifests(table.io)], roots)


def check_tasks(where: str, tasks: Sequence[Any], metadata: Any, location: str) -> None:
    """Refuse files of rows, and of deleted rows, outside of a table.

    Raises: SourceError.
    """
    files = [one.file_path for task in tasks for one in (task.file, *task.delete_files)]
    check_below(where, files, _roots(metadata, location))


def _is_each_name_one_column(schemas: Sequence[Any]) -> bool:
    """Whether each name, in any case, was that of one column in all schemas of a table, and each column had one name.

    Otherwise a file's names may be those of other columns: a column that was dropped and added again has another id,
    and no value in the files before. Names within nested columns count. Schemas are numbered as they come: where one
    is missing, as a table may drop those of expired snapshots, nobody knows what it named.
    """
    from pyiceberg.schema import index_name_by_id

    if {schema.schema_id for schema in schemas} != set(range(len(schemas))):
        return False
    try:
        named = {(number, name) for one in schemas for number, name in index_name_by_id(one).items()}
    except ValueError:
        # A name with a dot is also the path of a nested column.
        return False
    return len(named) == len(dict(named)) == len({name.casefold() for _, name in named})


def _schema_of(io: Any, path: str) -> pa.Schema:
    """The columns of a Parquet file that a table's own library opens, with the credentials of the catalog."""
    from pyarrow import parquet

    with io.new_input(path).open() as file:
        return parquet.read_schema(file)


def _roots(metadata: Any, location: str) -> list[str]:
    """The folders that a table's files may lie in: that of its metadata, and of a remote table those that it names.

    The catalog names the file of the metadata; what that file says of other places on this machine is not trusted.
    """
    folder = location.rpartition("/")[0]
    root = folder.removesuffix("/metadata")
    named = [metadata.location, *(metadata.properties.get(name, "") for name in PLACES)]
    return [root, *(place for place in named if scheme_of(place) not in ("", "file"))]


ICEBERG = LakeScheme(
    "iceberg", ("snapshot", "timestamp"), "iceberg://CATALOG/NAMESPACE.TABLE", find_iceberg, "pyiceberg"
)
