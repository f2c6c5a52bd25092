"""Views: the events, records and readings of a config in a user's own DuckDB connection.

    register(con, …) → a view is an Arrow stream → the first query that reads it computes it, into a Parquet file
                                                 → that query, and every later one, reads the file

Everything is computed by metering-duck's own engine: settings of the connection change no digit. The connection gets
names, and nothing else.
"""

from __future__ import annotations

import inspect
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet

from metering_duck.calls.metering import aggregate, meter
from metering_duck.contract.config import ConfigLike
from metering_duck.contract.schemas import CONFLICT_SCHEMA, EVENT_SCHEMA, OUTCOME_SCHEMA, REJECT_SCHEMA
from metering_duck.engine.duckdb import FOLDER
from metering_duck.engine.owned import owned_folder
from metering_duck.errors import ConfigError, a_kind, did_you_mean
from metering_duck.inputs.given import is_duckdb_relation, is_read_once
from metering_duck.runs.machine import GivenTime
from metering_duck.runs.results import Result
from metering_duck.statements.quote import identifier, literal

NAMES = ("events", "records", "rejects", "conflicts", "accounting")
MARK = "made by metering-duck"
# Options that say how events are read, or what computes; no column of a view depends on them.
OF_INPUT = (
    *("from_", "map", "time_partition", "assume_timezone", "generate_ids", "assume_unique", "folder_keys"),
    *("binary_as_text", "engine", "master"),
)
ACCOUNTING_SCHEMA = pa.schema(
    [(name, pa.int64()) for name in ("read", "metered", "unmatched", "duplicates", "conflicts", "rejected")]
)


def register(
    con: duckdb.DuckDBPyConnection,
    events: Any,
    config: ConfigLike,
    *,
    start: GivenTime = None,
    end: GivenTime = None,
    every: str | None = None,
    prefix: str = "",
    **options: Any,
) -> tuple[str, ...]:
    """Put the events, records and, with a window, readings of a config into a DuckDB connection, as views.

    Shape:  the views' names, each with `prefix` before it: events (OUTCOME_SCHEMA: every event and what became of it),
            records, rejects, conflicts, accounting (one row, R9) and, where there are windows, readings.
            `events` are what aggregate takes, or a relation of the connection itself, such as con.table("usage").
    Units:  the other options are those of aggregate, and are given to meter, too, where it has them.
    Exact:  the rows of meter and aggregate, DECIMAL and UTC, whatever the connection's settings.
    Memory: a view is computed when a query first reads it, and kept in a temporary file as long as the connection has
            it: later queries see the same rows. A relation is read at once. Register again to see new events: views
            of ours are replaced.
    Raises: ConfigError for an option or a name that is taken, SchemaError, SourceError. In a query, DuckDB raises, with
            our message in its own.
    Source: R1–R22, as meter and aggregate.
    """
    if not isinstance(con, duckdb.DuckDBPyConnection):
        raise ConfigError(f"con: found {a_kind(con)}; expected a connection. hint: duckdb.connect()")
    if is_read_once(events):
        raise ConfigError("events: found a stream that is read once; expected a table, or files. hint: .read_all()")
    given = {**options, "start": start, "end": end, "every": every}
    chosen = {name: value for name, value in given.items() if value is not None}
    has_windows = any(name in chosen for name in ("start", "end", "windows", "subscriptions"))
    _check_options(chosen, has_windows=has_windows)
    # The runs of meter and of aggregate have one clock.
    chosen.setdefault("clock", datetime.now(UTC))
    wanted = (*NAMES, "readings") if has_windows else NAMES
    names = {name: f"{prefix}{name}" for name in wanted}
    _check_names(con, names.values())
    for name, view in _views(events, config, chosen, has_windows=has_windows).items():
        con.register(names[name], view)
        con.execute(f"COMMENT ON VIEW {identifier(names[name])} IS '{MARK}'")
    return tuple(names.values())


def _check_options(options: Mapping[str, Any], *, has_windows: bool) -> None:
    """Refuse an option that aggregate does not have, or, without windows, that meter does not have.

    Raises: ConfigError.
    """
    known = [name for name in inspect.signature(aggregate).parameters if name not in ("events", "config", "records")]
    for name in options:
        if name not in known:
            raise ConfigError(
                f"{name}: found no such option; expected one of aggregate. hint: {did_you_mean(name, known)}"
            )
        if not has_windows and name not in inspect.signature(meter).parameters:
            raise ConfigError(f"{name}: found it without a window; expected start and end beside it.")


def _check_names(con: duckdb.DuckDBPyConnection, names: Iterable[str]) -> None:
    """Refuse names of which the connection has a table or view that register did not make.

    Raises: ConfigError.
    """
    wanted = ", ".join(literal(name.lower()) for name in names)
    found = con.execute(
        f"""
        WITH taken AS (
            SELECT table_name AS name, database_name, schema_name FROM duckdb_tables()
            UNION ALL
            SELECT view_name, database_name, schema_name FROM duckdb_views() WHERE comment IS DISTINCT FROM '{MARK}'
        )
        SELECT name FROM taken
        WHERE lower(name) IN ({wanted})
            AND database_name IN (current_database(), 'temp') AND schema_name IN (SELECT unnest(current_schemas(true)))
        """
    ).fetchone()
    if found:
        raise ConfigError(
            f"prefix: found {found[0]} in the connection already; expected free names. hint: prefix='usage_'"
        )


def _views(events: Any, config: ConfigLike, options: Mapping[str, Any], *, has_windows: bool) -> dict[str, _View]:
    """The views by their names; their files are in one folder, which is deleted with the last view."""
    of_meter = {name: value for name, value in options.items() if name in inspect.signature(meter).parameters}
    schema = _schema_of(meter, config, of_meter)
    folder = _Folder()
    records = _opened(meter, events, config, of_meter)
    views = {
        "events": _View(OUTCOME_SCHEMA, folder, "events", records.write_outcomes),
        "records": _View(schema, folder, "records", records.write),
        "rejects": _View(REJECT_SCHEMA, folder, "rejects", records.write_rejects),
        "conflicts": _View(CONFLICT_SCHEMA, folder, "conflicts", records.write_conflicts),
        "accounting": _View(ACCOUNTING_SCHEMA, folder, "accounting", lambda path: _write_accounting(records, path)),
    }
    if has_windows:
        readings = _opened(aggregate, events, config, options)
        views["readings"] = _View(_schema_of(aggregate, config, options), folder, "readings", readings.write)
    return views


def _opened(run: Callable[..., Result], events: Any, config: ConfigLike, options: Mapping[str, Any]) -> Result:
    """A result; it is computed now if its events are a relation of the connection, which runs one query at a time."""
    result = run(events, config, **options)
    if is_duckdb_relation(events):
        result.accounting  # noqa: B018 - computes it
    return result


def _schema_of(run: Callable[..., Result], config: ConfigLike, options: Mapping[str, Any]) -> pa.Schema:
    """The columns of a run's rows, learnt from a run with the same options over no event."""
    kept = {name: value for name, value in options.items() if name not in OF_INPUT}
    with run(EVENT_SCHEMA.empty_table(), config, **kept) as result:
        return result.schema


def _write_accounting(records: Result, path: Path) -> None:
    """Write the books into a Parquet file, as one row."""
    books = asdict(records.accounting)
    pyarrow.parquet.write_table(
        pa.Table.from_pylist([{name: books[name] for name in ACCOUNTING_SCHEMA.names}], ACCOUNTING_SCHEMA), path
    )


class _Folder:
    """A folder that is deleted once no object refers to it."""

    def __init__(self) -> None:
        owned = owned_folder(FOLDER)
        self.path = owned.path
        weakref.finalize(self, owned.remove)


@dataclass(eq=False)
class _View:
    """Rows that give any number of Arrow streams; the first stream writes them to a file, which all streams read."""

    schema: pa.Schema
    folder: _Folder
    name: str
    write: Callable[[Path], object]

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def __arrow_c_schema__(self) -> object:
        """The schema, which DuckDB asks for when it plans a query; nothing is computed for it."""
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The rows, which DuckDB asks for when it runs a query."""
        path = self.folder.path / f"{self.name}.parquet"
        with self._lock:
            if not path.exists():
                self.write(path)
        batches = (batch.cast(self.schema) for batch in pyarrow.parquet.ParquetFile(path).iter_batches())
        return pa.RecordBatchReader.from_batches(self.schema, batches).__arrow_c_stream__(requested_schema)
