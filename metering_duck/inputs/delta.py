"""Delta tables at a version, opened by the library deltalake.

DuckDB reads the table's Parquet files itself where the files alone say what the rows are: no row is deleted, and
no column has another name in them. Otherwise deltalake reads the rows.

delta:///lake/events?version=3    delta://s3://bucket/events?timestamp=2024-05-01    a folder with a _delta_log
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial, reduce
from operator import and_
from typing import Any, ClassVar
from urllib.parse import unquote

import pyarrow as pa

from metering_duck.contract.times import parse_time
from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import UNEXPLAINED, delta_options, explained, scheme_of
from metering_duck.errors import SourceError
from metering_duck.inputs.delta_log import check_added, check_log
from metering_duck.inputs.footers import NO_FOOTERS, Footers, parquet_schema
from metering_duck.inputs.in_shell import InShell, load_sql
from metering_duck.inputs.input import Input, Needed, OtherEngine
from metering_duck.inputs.lake_columns import schemas_of
from metering_duck.inputs.lake_schemes import LakeScheme, Options, asked_of, number_of
from metering_duck.inputs.lake_snapshot import (
    PlainFiles,
    exact_sql,
    local_paths,
    narrowed_snapshot,
    place_and_number,
    rows_of,
)
from metering_duck.inputs.parquet_columns import is_variant
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation
from metering_duck.inputs.wanted_rows import WantedRows
from metering_duck.statements.quote import literal

# Features of a Delta table that a scan of its files does not have, while a scan of its rows by deltalake has them.
BY_ROWS = {"deletionVectors", "columnMapping"}
# Type of a partition column → SQL type that reads its values from the names of folders without a change.
PARTITION_TYPES = {pa.string(): "VARCHAR", pa.int32(): "INTEGER", pa.int64(): "BIGINT", pa.date32(): "DATE"}


@dataclass(frozen=True)
class DeltaSnapshot:
    """A table at a version: its columns, and `table`, which deltalake opened; `name` says the version."""

    name: str
    schema: pa.Schema
    table: Any
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
        """The id in the table's metadata."""
        return str(self.table.metadata().id)

    @cached_property
    def foreign(self) -> Mapping[str, str]:
        """The columns of VARIANT, which deltalake hands over as their bytes."""
        return {column.name: "variant" for column in self.schema if is_variant(column.type)}

    @cached_property
    def plain_files(self) -> PlainFiles | None:
        """The files of the version, where the files and the names of their folders alone say what the rows are."""
        types = {
            name: PARTITION_TYPES.get(self.schema.field(name).type, "")
            for name in self.table.metadata().partition_columns
        }
        root = f"{_local(self.table.table_uri).rstrip('/')}/"
        tails = [_local(str(uri)).removeprefix(root) for uri in self.table.file_uris()]
        are_named = all(f"/{name}=" in f"/{unquote(tail)}" for tail in tails for name in types)
        if self.needs_its_reader or not are_named or not all(types.values()):
            return None
        if self.wanted.conditions:
            files, condition = self._files
            needed = {_decoded(part.path) for part in files.get_fragments(condition)}
            tails = [tail for tail in tails if _decoded(tail) in needed]
        # Deltalake escapes the local place of a table once more than it is on disk; the names of files it leaves alone.
        place = unquote(root) if self.table.table_uri.startswith("file://") else root
        return PlainFiles(tuple(sorted(place + tail for tail in tails)), types)

    @property
    def needs_its_reader(self) -> bool:
        """Whether only deltalake can read the rows: a file has deleted rows, or other names of columns."""
        return needs_its_reader(self.table)

    def file_schemas(self) -> Iterator[tuple[str, pa.Schema]]:
        """Each file that may have wanted rows, and its columns; without a file that cannot be read."""
        if self.needs_its_reader:
            paths = [_decoded(_local(str(uri))) for uri in self.table.file_uris()]
            return schemas_of([(path, partial(parquet_schema, path)) for path in paths])
        files, condition = self._files
        return schemas_of([(part.path, partial(_schema_of, part)) for part in files.get_fragments(condition)])

    @cached_property
    def _files(self) -> tuple[Any, Any]:
        """The files as a dataset, which keeps their footers, and the condition for the wanted rows."""
        return _filtered_files(self.table, self.wanted)

    def limited(self, wanted: WantedRows) -> DeltaSnapshot:
        """The table with other wanted rows."""
        return replace(self, wanted=wanted)

    def opened(self) -> tuple[Any, bool]:
        """The wanted rows, and whether they can be scanned again: a dataset of files can, a stream cannot.

        Deltalake does not read every VARIANT: a stream leaves such columns out.
        """
        if self.needs_its_reader:
            read = [name for name in self.schema.names if name not in self.foreign] if self.foreign else None
            rows = self.table.scan(columns=read, predicate=" AND ".join(self.wanted.conditions) or None)
            return pa.RecordBatchReader.from_stream(rows), False
        files, condition = self._files
        if condition is None:
            return files, True
        return files.filter(condition), True

    def relation(self, engine: Engine, name: str = "input") -> Relation:
        """The wanted rows of the table."""
        return rows_of(engine, self, name)

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """The table limited to the rows that are needed; the statistics in its log say which files have them."""
        return narrowed_snapshot(self, needed)

    def in_shell(self) -> InShell:
        """A shell reads the plain files, where there are such; otherwise it reads the table by DuckDB's extension."""
        plain = self.plain_files
        if plain and plain.paths:
            return InShell(relation=exact_sql(self, plain))
        _, version = place_and_number(self.name)
        return InShell(load_sql("delta"), f"delta_scan({literal(self.table.table_uri)}, version => {version})")

    def file_sizes(self) -> list[int]:
        """The bytes of each file that may have wanted rows, as the table's log says."""
        actions = pa.table(self.table.get_add_actions(flatten=True))
        paths = [_decoded(path) for path in actions.column("path").to_pylist()]
        sizes = dict(zip(paths, actions.column("size_bytes").to_pylist(), strict=True))
        if self.needs_its_reader:
            return list(sizes.values())
        files, condition = self._files
        return [sizes[_decoded(part.path)] for part in files.get_fragments(condition)]

    def read_by(self, engine: OtherEngine) -> Any:
        """Another engine reads the table by its place and its version."""
        place, version = place_and_number(self.name)
        return engine.read_delta(place, version, self.wanted)


# --- finding a table -------------------------------------------------------------------------------------------------


def find_delta(place: str, options: Options) -> DeltaSnapshot:
    """The Delta table at a place. Deltalake finds credentials in the environment.

    Raises: SourceError for a table or a version that is not there.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    options_of_store = delta_options(place)
    where = f"delta://{place}"
    version = number_of(options, "version", where)
    moment = parse_time(options["timestamp"], f"{where}: timestamp") if "timestamp" in options else None
    check_log(where, place, only_checkpoints=True)
    try:
        table = DeltaTable(place, version=version, storage_options=options_of_store)
        if moment is not None:
            _check_existed(table, moment, where)
            table.load_as_version(moment)
        schema = pa.schema(table.schema().to_arrow())
        actions = pa.table(table.get_add_actions())
    except BaseException as error:
        # A library of Rust may panic at a log that is damaged, which is no Exception.
        if not isinstance(error, DeltaError | OSError | ValueError | OverflowError) and not _is_panic(error):
            raise
        _explain_place(place, error, where)
        asked = asked_of(options)
        found = "no such version" if asked and _is_delta(place, DeltaTable) else "no Delta table that can be read"
        hint = f"hint: {DELTA.example}"
        raise SourceError(
            f"{where}: found {found}{f' ({asked})' if asked else ''} ({type(error).__name__}); expected one. {hint}"
        ) from None
    check_table(where, place, table, actions)
    if _mapping_mode(table) == "id":
        raise SourceError(
            f"{where}: found columns by their ids; expected columns by their names, or without a mapping."
        )
    return DeltaSnapshot(f"{where}?version={table.version()}", schema, table)


def check_table(where: str, place: str, table: Any, actions: pa.Table) -> None:
    """Refuse a table whose log names files outside of the table.

    Raises: SourceError.
    """
    check_added(where, _root(table), actions)
    if needs_its_reader(table):
        check_log(where, place, only_checkpoints=False)


def _is_panic(error: BaseException) -> bool:
    return type(error).__name__ == "PanicException"


def _root(table: Any) -> str:
    """The folder of a table; deltalake escapes a local one once more than it is on disk."""
    uri = str(table.table_uri)
    return unquote(_local(uri)) if uri.startswith("file://") else uri


def _check_existed(table: Any, moment: datetime, where: str) -> None:
    """Refuse a moment before the table's first commit, for which deltalake would take the first version.

    Raises: SourceError.
    """
    commits = table.history()
    first = commits[-1].get("timestamp", 0) if commits else 0
    if first > moment.timestamp() * 1000:
        shown_first = datetime.fromtimestamp(first / 1000, UTC).isoformat(timespec="milliseconds")
        raise SourceError(
            f"{where}: found no version of {moment.isoformat()}; expected a moment after its first, of {shown_first}."
        )


def _explain_place(place: str, error: BaseException, where: str) -> None:
    """Raise the explanation of why a place cannot be read, if the error of the library has one.

    Raises: SourceError.
    """
    said = explained(error, place) if scheme_of(place) else UNEXPLAINED
    if not said.startswith(UNEXPLAINED) and type(error).__name__ != "TableNotFoundError":
        raise SourceError(f"{where}: {said}") from None


def _is_delta(place: str, table: Any) -> bool:
    try:
        return bool(table.is_deltatable(place))
    except Exception:
        return False


# --- files of a table ------------------------------------------------------------------------------------------------


def _mapping_mode(table: Any) -> str:
    """Whether columns have other names in the files: "none", "name" or "id"."""
    return str(table.metadata().configuration.get("delta.columnMapping.mode", "none"))


def needs_its_reader(table: Any) -> bool:
    """Whether a table has features that a scan of its files does not have."""
    return _mapping_mode(table) != "none" or bool(BY_ROWS & set(table.protocol().reader_features or ()))


def _decoded(path: str) -> str:
    """A path without escapes: the log, the files and a listing each escape it a different number of times."""
    decoded = unquote(path)
    while decoded != path:
        path, decoded = decoded, unquote(decoded)
    return path


def _local(uri: str) -> str:
    """The path of a file URL, which DuckDB opens; other URLs as they are."""
    return uri.removeprefix("file://")


def _filtered_files(table: Any, wanted: WantedRows) -> tuple[Any, Any]:
    """A Delta table's files as a dataset, and the condition for the wanted rows; None where all rows are wanted."""
    from pyarrow import compute

    files = table.to_pyarrow_dataset()
    conditions = [compute.field(column).isin(list(texts)) for column, texts in wanted.texts.items()]
    for column, (first, last) in wanted.times.items():
        kind = files.schema.field(column).type
        if first:
            conditions.append(compute.field(column) >= _bound(first, kind))
        if last:
            conditions.append(compute.field(column) < _bound(last, kind))
    return files, reduce(and_, conditions) if conditions else None


def _schema_of(part: Any) -> pa.Schema:
    """The columns of a file of a dataset."""
    return part.physical_schema


def _bound(moment: datetime, kind: pa.DataType) -> pa.Scalar:
    """A naive UTC moment as a column's type."""
    return pa.scalar(moment, pa.timestamp("us")).cast(pa.timestamp("us", kind.tz)).cast(kind)


DELTA = LakeScheme("delta", ("version", "timestamp"), "delta:///lake/events?version=3", find_delta, "deltalake")
