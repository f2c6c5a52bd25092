"""Delta tables at a version, by their own library, read by their files where these are all there is to the rows.

delta:///lake/events?version=3    delta://s3://bucket/events?timestamp=2024-05-01    a folder with a _delta_log
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, reduce
from operator import and_
from typing import Any, ClassVar
from urllib.parse import unquote

import pyarrow as pa

from metering_duck.contract.times import parse_time
from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import UNEXPLAINED, delta_options, explained, scheme_of
from metering_duck.errors import SourceError
from metering_duck.inputs.footers import NO_FOOTERS, Footers
from metering_duck.inputs.in_shell import InShell, load_sql
from metering_duck.inputs.input import Input, Needed, OtherEngine
from metering_duck.inputs.lake_schemes import LakeScheme, Options, asked_of, number_of
from metering_duck.inputs.lake_snapshot import (
    PlainFiles,
    local_paths,
    narrowed_snapshot,
    place_and_number,
    rows_of,
    texts_of,
)
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation
from metering_duck.inputs.wanted_rows import Between, WantedRows
from metering_duck.statements.quote import literal

# What a Delta table may need of a reader that the scan of its files does not have, and the scan of its rows has.
BY_ROWS = {"deletionVectors", "columnMapping"}
# Types that partitions of a Delta table have in the names of its folders, as they are there.
PARTITION_TYPES = {pa.string(): "VARCHAR", pa.int32(): "INTEGER", pa.int64(): "BIGINT", pa.date32(): "DATE"}


@dataclass(frozen=True)
class DeltaSnapshot:
    """A table at a version: its columns, and `table`, which its own library opened; `name` says the version."""

    name: str
    schema: pa.Schema
    table: Any
    wanted: WantedRows = field(default_factory=WantedRows)
    extensions: ClassVar[Sequence[str]] = ()
    footers: ClassVar[Footers] = NO_FOOTERS

    @property
    def paths(self) -> Sequence[str]:
        """The files that DuckDB opens itself."""
        return local_paths(self)

    @property
    def versions(self) -> Sequence[str]:
        """This one."""
        return (self.name,)

    @property
    def identity(self) -> str:
        """The id in the table's metadata."""
        return str(self.table.metadata().id)

    @cached_property
    def plain_files(self) -> PlainFiles | None:
        """The files of the version, where they are all there is to its rows; what a folder says is in none of them."""
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
            files, condition = _filtered_files(self.table, self.wanted)
            needed = {_decoded(part.path) for part in files.get_fragments(condition)}
            tails = [tail for tail in tails if _decoded(tail) in needed]
        # Of a path on this machine the table's own place is escaped once more than it lies; what is below it is not.
        place = unquote(root) if self.table.table_uri.startswith("file://") else root
        return PlainFiles(tuple(sorted(place + tail for tail in tails)), types)

    @property
    def needs_its_reader(self) -> bool:
        """Whether a file is not all there is to its rows: some are deleted, or columns have other names there."""
        mapped = _mapping_mode(self.table) != "none"
        return mapped or bool(BY_ROWS & set(self.table.protocol().reader_features or ()))

    def where(self, texts: Mapping[str, Sequence[str]]) -> DeltaSnapshot:
        """Only the rows whose columns have one of the texts, where the columns are texts."""
        told = texts_of(self.schema, texts)
        return replace(self, wanted=self.wanted.with_texts(told)) if told else self

    def between(self, column: str, bounds: Between) -> DeltaSnapshot:
        """Only the rows whose column is within the bounds."""
        return replace(self, wanted=self.wanted.between(column, bounds))

    def opened(self) -> tuple[Any, bool]:
        """Its files, filtered; where rows are marked as deleted beside the files, its rows, which are read once."""
        if self.needs_its_reader:
            rows = self.table.scan(predicate=" AND ".join(self.wanted.conditions) or None)
            return pa.RecordBatchReader.from_stream(rows), False
        files, condition = _filtered_files(self.table, self.wanted)
        return (files if condition is None else files.filter(condition)), True

    def relation(self, engine: Engine, name: str = "input") -> Relation:
        """Its rows."""
        return Relation(rows_of(engine, self, name))

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """The rows that are needed, told by the statistics in its log."""
        return narrowed_snapshot(self, needed)

    def in_shell(self) -> InShell:
        """By its files, where they are all there is to it; else by DuckDB's extension."""
        plain = self.plain_files
        if plain and plain.paths:
            return InShell(relation=plain.sql)
        _, version = place_and_number(self.name)
        return InShell(load_sql("delta"), f"delta_scan({literal(self.table.table_uri)}, version => {version})")

    def file_sizes(self) -> list[int]:
        """The bytes of each file that may have rows of what is asked for, as its log says."""
        actions = pa.table(self.table.get_add_actions(flatten=True))
        paths = [_decoded(path) for path in actions.column("path").to_pylist()]
        sizes = dict(zip(paths, actions.column("size_bytes").to_pylist(), strict=True))
        if self.needs_its_reader:
            return list(sizes.values())
        files, condition = _filtered_files(self.table, self.wanted)
        return [sizes[_decoded(part.path)] for part in files.get_fragments(condition)]

    def read_by(self, engine: OtherEngine) -> Any:
        """By its place and its version."""
        place, version = place_and_number(self.name)
        return engine.read_delta(place, version, self.wanted)


# --- finding a table -------------------------------------------------------------------------------------------------


def find_delta(place: str, options: Options) -> DeltaSnapshot:
    """A Delta table. Its own library finds credentials in the environment.

    Raises: SourceError for a table or a version that is not there.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    options_of_store = delta_options(place)
    where = f"delta://{place}"
    version = number_of(options, "version", where)
    moment = parse_time(options["timestamp"], f"{where}: timestamp") if "timestamp" in options else None
    try:
        table = DeltaTable(place, version=version, storage_options=options_of_store)
        if moment is not None:
            _check_existed(table, moment, where)
            table.load_as_version(moment)
        schema = pa.schema(table.schema().to_arrow())
    except (DeltaError, OSError, OverflowError) as error:
        _explain_place(place, error, where)
        asked = asked_of(options)
        found = "no such version" if asked and _is_delta(place, DeltaTable) else "no Delta table that can be read"
        hint = f"hint: {DELTA.example}"
        raise SourceError(
            f"{where}: found {found}{f' ({asked})' if asked else ''} ({type(error).__name__}); expected one. {hint}"
        ) from None
    if _mapping_mode(table) == "id":
        raise SourceError(
            f"{where}: found columns by their ids; expected columns by their names, or without a mapping."
        )
    return DeltaSnapshot(f"{where}?version={table.version()}", schema, table)


def _check_existed(table: Any, moment: datetime, where: str) -> None:
    """A moment before a table's first commit has no version; its library takes the first.

    Raises: SourceError.
    """
    commits = table.history()
    first = commits[-1].get("timestamp", 0) if commits else 0
    if first > moment.timestamp() * 1000:
        shown_first = datetime.fromtimestamp(first / 1000, UTC).isoformat(timespec="milliseconds")
        raise SourceError(
            f"{where}: found no version of {moment.isoformat()}; expected a moment after its first, of {shown_first}."
        )


def _explain_place(place: str, error: Exception, where: str) -> None:
    """Raise what a library says of a place that cannot be read, where it says what is wrong with it."""
    said = explained(error, place) if scheme_of(place) else UNEXPLAINED
    if not said.startswith(UNEXPLAINED) and type(error).__name__ != "TableNotFoundError":
        raise SourceError(f"{where}: {said}") from None


def _is_delta(place: str, table: Any) -> bool:
    try:
        return bool(table.is_deltatable(place))
    except Exception:
        return False


# --- its files -------------------------------------------------------------------------------------------------------


def _mapping_mode(table: Any) -> str:
    """Whether columns have other names in the files: "none", "name" or "id"."""
    return str(table.metadata().configuration.get("delta.columnMapping.mode", "none"))


def _decoded(path: str) -> str:
    """A path without its escapes, of which the log, the files and a listing have different numbers."""
    while (decoded := unquote(path)) != path:
        path = decoded
    return path


def _local(uri: str) -> str:
    """A path on this machine as DuckDB has it."""
    return uri.removeprefix("file://")


def _filtered_files(table: Any, wanted: WantedRows) -> tuple[Any, Any]:
    """A Delta table's files, and the condition of the rows that are asked for, if there is one."""
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


def _bound(moment: datetime, kind: pa.DataType) -> pa.Scalar:
    """A naive UTC moment as a column's type."""
    return pa.scalar(moment, pa.timestamp("us")).cast(pa.timestamp("us", kind.tz)).cast(kind)


DELTA = LakeScheme("delta", ("version", "timestamp"), "delta:///lake/events?version=3", find_delta, "deltalake")
