"""Lakes: Delta, Iceberg and DuckLake tables at a version, and tables of DuckDB files, read where they lie.

    delta:///lake/events?version=3    delta://s3://bucket/events?timestamp=2024-05-01    a folder with a _delta_log
    iceberg://CATALOG/NAMESPACE.TABLE?snapshot=ID    iceberg://CATALOG/NAMESPACE.TABLE?timestamp=2024-05-01
    duckdb://usage.duckdb?table=events
    ducklake://usage.ducklake?table=main.events&version=3    ducklake://usage.ducklake?table=events&timestamp=2024-05-01

A table is opened at a version once; what is committed later is not seen. Which version that was, its name says.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, reduce
from operator import and_
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import pyarrow as pa

from metering_duck.contract.times import parse_time
from metering_duck.engine.extensions import can_load, missing
from metering_duck.engine.remote import DELTA_LOG, UNEXPLAINED, delta_options, explained, scheme_of, shown
from metering_duck.errors import SourceError, did_you_mean
from metering_duck.inputs.ducklake import table_at
from metering_duck.statements.quote import identifier, literal, path_list

SCHEMES = ("delta", "iceberg", "duckdb", "ducklake")
EXAMPLES = {
    "delta": "delta:///lake/events?version=3",
    "iceberg": "iceberg://CATALOG/NAMESPACE.TABLE",
    "duckdb": "duckdb://usage.duckdb?table=events",
    "ducklake": "ducklake://usage.ducklake?table=events",
}
OPTIONS = {
    "delta": ("version", "timestamp"),
    "iceberg": ("snapshot", "timestamp"),
    "duckdb": ("table",),
    "ducklake": ("table", "version", "timestamp"),
}
# What a Delta table may need of a reader that the scan of its files does not have, and the scan of its rows has.
BY_ROWS = {"deletionVectors", "columnMapping"}
# What an Iceberg table is at before anything is written to it.
NO_SNAPSHOT = "none"
# Types that partitions of a Delta table have in the names of its folders, as they are there.
PARTITION_TYPES = {pa.string(): "VARCHAR", pa.int32(): "INTEGER", pa.int64(): "BIGINT", pa.date32(): "DATE"}
# From, included, and to, not included; naive UTC, None where there is no bound.
Between = tuple[datetime | None, datetime | None]


@dataclass(frozen=True)
class PlainFiles:
    """Parquet files, and the SQL types of the columns that are in the names of their folders only."""

    paths: tuple[str, ...]
    types: Mapping[str, str] = field(default_factory=dict)

    @property
    def are_here(self) -> bool:
        """Whether all of them are on this machine."""
        return bool(self.paths) and not any(scheme_of(path) for path in self.paths)

    @property
    def sql(self) -> str:
        """The rows of all of them, by the names of their columns."""
        listed = ", ".join(f"{literal(name)}: {kind}" for name, kind in self.types.items())
        hive = f"hive_partitioning = true, hive_types = {{{listed}}}" if self.types else "hive_partitioning = false"
        return f"read_parquet({path_list(self.paths)}, union_by_name = true, {hive})"


@dataclass(frozen=True)
class LakeTable:
    """A table at a version: its columns, and how its rows are opened; `name` says the version.

    `metadata` is where an Iceberg table says what it is.
    """

    name: str
    schema: pa.Schema
    kind: str
    table: Any
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    times: Mapping[str, Between] = field(default_factory=dict)
    metadata: str = ""

    def where(self, texts: Mapping[str, Sequence[str]]) -> LakeTable:
        """Only the rows whose columns have one of the texts, where the columns are texts."""
        kinds = {column: self.schema.field(column).type for column in texts}
        told = {c: texts[c] for c, kind in kinds.items() if pa.types.is_string(kind) or pa.types.is_large_string(kind)}
        return replace(self, texts={**self.texts, **told})

    def between(self, times: Mapping[str, Between]) -> LakeTable:
        """Only the rows whose columns are in the times."""
        return replace(self, times={**self.times, **times})

    @property
    def identity(self) -> str:
        """What the table is known by, whatever is done to it; another one in its place has another."""
        if self.kind == "delta":
            return str(self.table.metadata().id)
        return str(self.table.table_metadata.table_uuid)

    @property
    def conditions(self) -> list[str]:
        """SQL for which rows are asked for."""
        found = [_one_of_sql(column, values) for column, values in self.texts.items()]
        for column, (first, last) in self.times.items():
            bounds = {">=": first, "<": last}
            found += [f"{identifier(column)} {sign} TIMESTAMP '{at}Z'" for sign, at in bounds.items() if at]
        return found

    @cached_property
    def plain_files(self) -> PlainFiles | None:
        """The Parquet files that may have rows of what is asked for, where they are all there is to the rows.

        None where rows of them are deleted, or columns have other names there.
        """
        return _plain_delta(self) if self.kind == "delta" else _plain_iceberg(self)

    def opened(self) -> tuple[Any, bool]:
        """Its rows as something that Arrow can stream, and whether that can be scanned more than once."""
        if self.kind == "delta":
            return _open_delta(self)
        return filtered(self.table, self.texts, self.times).to_arrow_batch_reader(), False

    def file_sizes(self) -> list[int]:
        """The bytes of each file that may have rows of what is asked for, as the table's own statistics say."""
        if self.kind == "iceberg":
            tasks = filtered(self.table, self.texts, self.times).plan_files()
            return [int(task.file.file_size_in_bytes) for task in tasks]
        actions = pa.table(self.table.get_add_actions(flatten=True))
        paths = [_decoded(path) for path in actions.column("path").to_pylist()]
        sizes = dict(zip(paths, actions.column("size_bytes").to_pylist(), strict=True))
        if _needs_its_reader(self):
            return list(sizes.values())
        files, wanted = _filtered_files(self.table, self.texts, self.times)
        return [sizes[_decoded(part.path)] for part in files.get_fragments(wanted)]


@dataclass(frozen=True)
class Attached:
    """A table of a DuckDB file; of a DuckLake's, the version, and the other files that its rows are in."""

    path: str
    table: str
    name: str
    version: int | None = None
    files: tuple[str, ...] = ()

    @property
    def attach_sql(self) -> str:
        """What stands behind ATTACH."""
        if self.version is None:
            return f"{literal(self.path)} AS the_input (READ_ONLY)"
        return f"{literal(f'ducklake:{self.path}')} AS the_input (READ_ONLY, SNAPSHOT_VERSION {self.version:d})"


def is_lake(path: str) -> bool:
    """Whether a path names a table of a lake or of a DuckDB file."""
    return scheme_of(path) in SCHEMES or os.path.isdir(os.path.join(path, DELTA_LOG))


def has_version(found: Any) -> bool:
    """Whether something is a table at one of its versions."""
    return isinstance(found, LakeTable) or (isinstance(found, Attached) and found.version is not None)


def find_lake(url: str) -> LakeTable | Attached:
    """The table that a URL names, at the version that it names, else at its latest.

    Raises: SourceError for a library, a table or a version that is not there.
    """
    scheme = scheme_of(url) or "delta"
    place, mark, query = url.removeprefix(f"{scheme}://").partition("?")
    if not scheme_of(url):
        place, mark, query = url, "", ""
    # A + is a +, of a zone or of a name.
    options = dict(parse_qsl(query.replace("+", "%2B"), keep_blank_values=True)) if mark else {}
    known = OPTIONS[scheme]
    for name in options:
        if name not in known:
            raise SourceError(
                f"{shown(url)}: found the option {name!r}; expected {' or '.join(known)}. "
                f"hint: {did_you_mean(name, known)}"
            )
    if len(options.keys() - {"table"}) > 1:
        given = " and ".join(name for name in options if name != "table")
        raise SourceError(f"{scheme}://{place}: found {given}; expected one of them.")
    if scheme in ("duckdb", "ducklake"):
        return _find_duckdb(place, options) if scheme == "duckdb" else _find_ducklake(place, options)
    try:
        return _find_delta(place, options) if scheme == "delta" else _find_iceberg(place, options)
    except ImportError:
        library = {"delta": "deltalake", "iceberg": "pyiceberg"}[scheme]
        raise SourceError(
            f"{scheme}://{place}: found no {library}; expected it, to read this table. "
            f"hint: pip install 'metering-duck[{scheme}]'"
        ) from None


def _number(options: Mapping[str, str], name: str, where: str) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    if not text.isdecimal() or not text.isascii():
        raise SourceError(f"{where}: found {name}={text}; expected a whole number.")
    return int(text)


# --- Delta -----------------------------------------------------------------------------------------------------------


def _find_delta(place: str, options: Mapping[str, str]) -> LakeTable:
    """A Delta table. Its own library finds credentials in the environment."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    options_of_store = delta_options(place)
    where = f"delta://{place}"
    version = _number(options, "version", where)
    moment = parse_time(options["timestamp"], f"{where}: timestamp") if "timestamp" in options else None
    try:
        table = DeltaTable(place, version=version, storage_options=options_of_store)
        if moment is not None:
            _check_existed(table, moment, where)
            table.load_as_version(moment)
        schema = pa.schema(table.schema().to_arrow())
    except (DeltaError, OSError, OverflowError) as error:
        _explain_place(place, error, where)
        asked = ", ".join(f"{name} {text}" for name, text in options.items())
        found = "no such version" if asked and _is_delta(place, DeltaTable) else "no Delta table that can be read"
        hint = f"hint: {EXAMPLES['delta']}"
        raise SourceError(
            f"{where}: found {found}{f' ({asked})' if asked else ''} ({type(error).__name__}); expected one. {hint}"
        ) from None
    if _mapping_mode(table) == "id":
        raise SourceError(
            f"{where}: found columns by their ids; expected columns by their names, or without a mapping."
        )
    return LakeTable(f"{where}?version={table.version()}", schema, "delta", table)


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


def _open_delta(found: LakeTable) -> tuple[Any, bool]:
    """Its files, filtered; where rows are marked as deleted beside the files, its rows, which are read once."""
    if _needs_its_reader(found):
        rows = found.table.scan(predicate=" AND ".join(found.conditions) or None)
        return pa.RecordBatchReader.from_stream(rows), False
    files, wanted = _filtered_files(found.table, found.texts, found.times)
    return (files if wanted is None else files.filter(wanted)), True


def _needs_its_reader(found: LakeTable) -> bool:
    """Whether a file is not all there is to its rows: some are deleted, or columns have other names there."""
    mapped = _mapping_mode(found.table) != "none"
    return mapped or bool(BY_ROWS & set(found.table.protocol().reader_features or ()))


def _mapping_mode(table: Any) -> str:
    return str(table.metadata().configuration.get("delta.columnMapping.mode", "none"))


def _plain_delta(found: LakeTable) -> PlainFiles | None:
    """The files of a version; what a folder's name says is in none of them."""
    table, root = found.table, f"{_local(found.table.table_uri).rstrip('/')}/"
    tails = [_local(str(uri)).removeprefix(root) for uri in table.file_uris()]
    types = {
        name: PARTITION_TYPES.get(found.schema.field(name).type, "") for name in table.metadata().partition_columns
    }
    are_named = all(f"/{name}=" in f"/{unquote(tail)}" for tail in tails for name in types)
    if _needs_its_reader(found) or not are_named or not all(types.values()):
        return None
    if found.conditions:
        files, wanted = _filtered_files(table, found.texts, found.times)
        needed = {_decoded(part.path) for part in files.get_fragments(wanted)}
        tails = [tail for tail in tails if _decoded(tail) in needed]
    # Of a path on this machine the table's own place is escaped once more than it lies; what is below it is not.
    place = unquote(root) if found.table.table_uri.startswith("file://") else root
    return PlainFiles(tuple(sorted(place + tail for tail in tails)), types)


def _decoded(path: str) -> str:
    """A path without its escapes, of which the log, the files and a listing have different numbers."""
    while (decoded := unquote(path)) != path:
        path = decoded
    return path


def _local(uri: str) -> str:
    """A path on this machine as DuckDB has it."""
    return uri.removeprefix("file://")


def _filtered_files(table: Any, texts: Mapping[str, Sequence[str]], times: Mapping[str, Between]) -> tuple[Any, Any]:
    """A Delta table's files, and the condition of the rows that are asked for, if there is one."""
    from pyarrow import compute

    files = table.to_pyarrow_dataset()
    wanted = [compute.field(column).isin(list(values)) for column, values in texts.items()]
    for column, (first, last) in times.items():
        kind = files.schema.field(column).type
        wanted += [compute.field(column) >= _bound(first, kind)] if first else []
        wanted += [compute.field(column) < _bound(last, kind)] if last else []
    return files, reduce(and_, wanted) if wanted else None


def _one_of_sql(column: str, values: Sequence[str]) -> str:
    return f"{identifier(column)} IN ({', '.join(map(literal, values))})"


def _bound(moment: datetime, kind: pa.DataType) -> pa.Scalar:
    """A naive UTC moment as a column's type."""
    return pa.scalar(moment, pa.timestamp("us")).cast(pa.timestamp("us", kind.tz)).cast(kind)


# --- Iceberg ---------------------------------------------------------------------------------------------------------


def _find_iceberg(place: str, options: Mapping[str, str]) -> LakeTable:
    """An Iceberg table, its catalog by pyiceberg's own configuration (.pyiceberg.yaml, PYICEBERG_CATALOG__…)."""
    from pyiceberg.catalog import load_catalog
    from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

    where = f"iceberg://{place}"
    catalog, _, name = place.partition("/")
    if not catalog or "." not in name:
        raise SourceError(f"{where}: found no table; expected {EXAMPLES['iceberg']}.")
    try:
        table = load_catalog(catalog).load_table(name)
    except (NoSuchTableError, NoSuchNamespaceError):
        raise SourceError(f"{where}: found no such table in the catalog; expected one that exists.") from None
    except ImportError:
        raise
    except Exception as error:
        raise SourceError(
            f"{where}: the catalog {catalog} cannot be opened ({type(error).__name__}); expected one that pyiceberg "
            f"knows. hint: PYICEBERG_CATALOG__{catalog.upper()}__URI, or .pyiceberg.yaml"
        ) from None
    if options.get("snapshot") == NO_SNAPSHOT:
        return _before_all_snapshots(table, where)
    number = _number(options, "snapshot", where)
    if "timestamp" in options:
        moment = parse_time(options["timestamp"], f"{where}: timestamp")
        snapshot = table.snapshot_as_of_timestamp(int(moment.timestamp() * 1000))
    else:
        snapshot = table.current_snapshot() if number is None else table.snapshot_by_id(number)
    if snapshot is None and (options or table.snapshots()):
        asked = ", ".join(f"{name} {text}" for name, text in options.items())
        known = ", ".join(str(one.snapshot_id) for one in table.snapshots()[-3:])
        raise SourceError(f"{where}: found no such snapshot ({asked}); expected one of the table's, such as {known}.")
    chosen = None if snapshot is None else snapshot.snapshot_id
    # What is not asked for by its snapshot has the names of now, which may be newer than its rows.
    scan = table.scan(snapshot_id=chosen if options else None)
    name, schema = f"{where}?snapshot={chosen or NO_SNAPSHOT}", scan.projection().as_arrow()
    return LakeTable(name, schema, "iceberg", scan, metadata=table.metadata_location)


def _before_all_snapshots(table: Any, where: str) -> LakeTable:
    """A table as it was before anything was written to it: no row, in the columns of now."""
    from pyiceberg.expressions import AlwaysFalse

    scan = table.scan(row_filter=AlwaysFalse())
    schema = scan.projection().as_arrow()
    return LakeTable(f"{where}?snapshot={NO_SNAPSHOT}", schema, "iceberg", scan, metadata=table.metadata_location)


def filtered(scan: Any, texts: Mapping[str, Sequence[str]], times: Mapping[str, Between]) -> Any:
    """An Iceberg scan of the rows whose columns have one of the texts and are in the times."""
    from pyiceberg.expressions import GreaterThanOrEqual, In, LessThan

    for column, values in texts.items():
        scan = scan.filter(In(column, list(values)))
    fields = scan.projection().as_arrow()
    for column, (first, last) in times.items():
        zone = "+00:00" if fields.field(column).type.tz else ""
        scan = scan.filter(GreaterThanOrEqual(column, first.isoformat() + zone)) if first else scan
        scan = scan.filter(LessThan(column, last.isoformat() + zone)) if last else scan
    return scan


def _plain_iceberg(found: LakeTable) -> PlainFiles | None:
    """The files of a snapshot, by the names that its columns have always had."""
    tasks = list(filtered(found.table, found.texts, found.times).plan_files())
    names: dict[int, set[str]] = {}
    for schema in found.table.table_metadata.schemas:
        for column in schema.fields:
            names.setdefault(column.field_id, set()).add(column.name)
    if any(task.delete_files for task in tasks) or any(len(spelled) > 1 for spelled in names.values()):
        return None
    return PlainFiles(tuple(sorted(_local(str(task.file.file_path)) for task in tasks)))


# --- DuckDB ----------------------------------------------------------------------------------------------------------


def _find_duckdb(place: str, options: Mapping[str, str]) -> Attached:
    """A table or view of a DuckDB file."""
    table = options.get("table")
    if not table:
        raise SourceError(f"duckdb://{place}: found no table's name; expected {EXAMPLES['duckdb']}.")
    if not Path(place).is_file():
        raise SourceError(f"duckdb://{place}: found no such file; expected a DuckDB database.")
    return Attached(os.path.abspath(place), table, f"duckdb://{place}?table={table}")


# --- DuckLake --------------------------------------------------------------------------------------------------------


def _find_ducklake(place: str, options: Mapping[str, str]) -> Attached:
    """A table of a DuckLake whose metadata is a DuckDB file, and the files that its rows are in at a version."""
    where, table = f"ducklake://{place}", options.get("table")
    if not table:
        raise SourceError(f"{where}: found no table's name; expected {EXAMPLES['ducklake']}.")
    if not can_load("ducklake"):
        raise SourceError(
            f"{where}: found {missing('ducklake')}; expected it, to read DuckLake. "
            "hint: INSTALL ducklake in a DuckDB shell of the same version, once"
        )
    if not Path(place).is_file():
        raise SourceError(f"{where}: found no such file; expected the DuckDB file with a DuckLake's metadata.")
    moment = parse_time(options["timestamp"], f"{where}: timestamp") if "timestamp" in options else None
    path = os.path.abspath(place)
    version, files = table_at(path, table, _number(options, "version", where), moment, where)
    return Attached(path, table, f"{where}?table={table}&version={version}", version, files)
