"""Engine: a locked-down DuckDB connection with a temporary directory, and running queries in it.

The connection may read the files it was given and its own temporary directory, and nothing else; it may write only
into that directory. Its configuration is locked before any SQL that was made from a config runs.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa

from metering_duck.engine.connection import check_settings, connect, lock_down, open_inputs
from metering_duck.engine.failures import Explain, Failures
from metering_duck.engine.given_streams import GivenStream
from metering_duck.engine.owned import Owned, owned_folder, remove_left
from metering_duck.engine.progress import Progress, watched
from metering_duck.engine.unreadable import KnownInputs
from metering_duck.errors import MeteringError, SourceError, StageError, of_the_system
from metering_duck.files.gate import Gate
from metering_duck.statements.quote import identifier, literal
from metering_duck.statements.stages import Query, functions, functions_of

BATCH_ROWS = 65_536
# How the temporary folders of engines are called, and where those of killed runs were looked for.
FOLDER = "metering-duck-run-"
_looked_at: set[str] = set()
_open_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def interrupt_all() -> None:
    """Stop what every open engine runs, from another thread."""
    for engine in list(_open_engines):
        engine.interrupt()


def remove_directories() -> None:
    """Remove the temporary directories of all open engines: for a process that is about to leave."""
    for engine in list(_open_engines):
        engine.folder.remove()


def _remove_left(place: str) -> None:
    """Remove the temporary directories of runs that were killed; a process looks for them once in each place."""
    if place not in _looked_at:
        _looked_at.add(place)
        remove_left(place, FOLDER)


class Engine:
    """One in-memory DuckDB with a temporary directory of its own; close it, or use it in a with statement.

    Units:  `memory_limit` as DuckDB writes it ("500MB"); `threads` a count.
    Raises: ConfigError for a setting DuckDB refuses.
    """

    def __init__(
        self,
        *,
        threads: int | None = None,
        memory_limit: str | None = None,
        temp_dir: str | Path | None = None,
        progress: Progress | None = None,
        explain: Explain | None = None,
        gate: Gate | None = None,
    ) -> None:
        check_settings(threads, memory_limit, temp_dir)
        self.settings: dict[str, Any] = {"threads": threads, "memory_limit": memory_limit, "temp_dir": temp_dir}
        self.folder = _new_folder(temp_dir)
        self.directory = self.folder.path
        self.failures = Failures(explain or KnownInputs().failure, self.directory.parent)
        self._is_locked = False
        # The files of its inputs, which nothing is written over.
        self.reads: Sequence[str] = ()
        with _removed_on_failure(self.folder), self.failures.translated("connect", "", {}):
            self.connection = connect(self.directory, threads, memory_limit)
        self.lock = threading.RLock()
        self._progress = progress
        self._defined: set[str] = set()
        self._postponed: list[Callable[[], object]] = []
        self._closing = contextlib.ExitStack()
        self.gate = gate or Gate()
        # What the gate fetches goes with the engine's folder, also when the process is killed.
        self.gate.temp_dir = self.directory
        _open_engines.add(self)

    def lock_down(self, paths: Sequence[str], *, extensions: Collection[str] = ()) -> None:
        """Allow these files and the temporary directory, forbid all other files, and lock the settings."""
        self.reads = tuple(paths)
        try:
            with self.failures.translated("lock_down", "", {}):
                self.failures.explain = open_inputs(self.connection, paths, extensions).failure
                self._lock(paths)
        except MeteringError:
            self.close()
            raise

    def _lock(self, paths: Sequence[str] = ()) -> None:
        """Lock the connection, if it is not locked yet: at the latest before its first query."""
        if not self._is_locked:
            lock_down(self.connection, self.directory, paths)
            self._is_locked = True

    def at_close(self, callback: Callable[[], object]) -> None:
        """Call `callback` when this engine is closed."""
        self._closing.callback(callback)

    def close(self) -> None:
        """Close the connection and remove the temporary directory."""
        self.gate.close()
        self._closing.close()
        with contextlib.suppress(duckdb.Error):
            self.connection.close()
        self.folder.remove()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def interrupt(self) -> None:
        """Stop the query that is running, from another thread; the query raises Interrupted."""
        with contextlib.suppress(duckdb.Error):
            self.connection.interrupt()
        self.failures.interrupt()

    def postpone(self, work: Callable[[], object]) -> None:
        """Do work just before the first query is run, and never for a caller who only asks which SQL would be run."""
        self._postponed.append(work)

    def _catch_up(self) -> None:
        """Do the work that was postponed, and begin to prove the files that are about to be read."""
        self.gate.start()
        while self._postponed:
            self._postponed.pop()()

    def fill(self, query: Query) -> None:
        """Run a query into the temporary table that it names."""
        self._catch_up()
        self._run(query, f"CREATE OR REPLACE TEMP TABLE {identifier(query.name)} AS\n{query.sql}")

    def rows(self, sql: str, parameters: dict[str, object] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a small statement that is part of this library."""
        with self.lock, self.errors(sql, sql, parameters or {}):
            self._define(sql)
            return self.connection.execute(sql, parameters or {}).fetchall()

    def count(self, table: str) -> int:
        """How many rows a table has."""
        return int(self.rows(f"SELECT count(*) FROM {identifier(table)}")[0][0])

    def has(self, table: str) -> bool:
        """Whether there is such a table."""
        return bool(self.rows(f"SELECT 1 FROM duckdb_tables() WHERE table_name = {literal(table)}"))

    def describe(self, relation: str) -> dict[str, str]:
        """Column → type, in their order, of a relation: anything that can stand behind FROM."""
        return {str(row[0]): str(row[1]) for row in self.rows(f"DESCRIBE SELECT * FROM {relation}")}

    def keep(self, name: str, rows: pa.Table) -> None:
        """Make a temporary table of Arrow rows."""
        with self.lock:
            self.register(f"{name}_rows", rows, name)
            self.rows(f"CREATE OR REPLACE TEMP TABLE {identifier(name)} AS FROM {name}_rows")
            self.unregister(f"{name}_rows")

    def register(self, name: str, rows: Any, where: str) -> None:
        """Make rows in this process a table; `where` is what messages call them. A stream is read as it is needed."""
        with self.lock, self.errors(name, f"FROM {identifier(name)}", {}):
            if isinstance(rows, pa.RecordBatchReader):
                self.failures.streams[name] = GivenStream(rows, where)
                rows = self.failures.streams[name].reader
            self.connection.register(name, rows)

    def unregister(self, name: str) -> None:
        """Forget a table that was registered."""
        with self.lock:
            self.connection.unregister(name)
            self.failures.streams.pop(name, None)

    def stream(self, query: Query, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The query's rows as Arrow batches, in the query's order; one batch is in memory at a time."""
        self._catch_up()
        with self.lock, self.errors(query.name, query.sql, query.bound):
            reader = self._reader(query, batch_rows)
        while True:
            with self.lock, self.errors(query.name, query.sql, query.bound):
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    return
            yield batch

    def table(self, query: Query) -> pa.Table:
        """The query's rows as one Arrow table."""
        self._catch_up()
        with self.lock, self.errors(query.name, query.sql, query.bound):
            reader = self._reader(query)
            return pa.Table.from_batches(list(reader), reader.schema)

    def _reader(self, query: Query, batch_rows: int = BATCH_ROWS) -> pa.RecordBatchReader:
        self._define(query.sql)
        return self.connection.sql(query.sql, params=query.bound).to_arrow_reader(batch_rows)

    def _run(self, query: Query, sql: str) -> None:
        with self.lock, self.errors(query.name, sql, query.bound), self.watched(query.name):
            self._define(sql)
            self.connection.execute(sql, query.bound)

    def _define(self, sql: str) -> None:
        """Create the functions of sql/functions.sql that the SQL calls; creating all of them would take a while."""
        for name in functions_of(sql):
            if name not in self._defined:
                self.connection.execute(functions()[name])
                self._defined.add(name)

    def watched(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Tell the progress of the query that runs in a with statement."""
        return watched(self.connection, name, self._progress)

    @contextlib.contextmanager
    def errors(self, name: str, sql: str, parameters: dict[str, object]) -> Iterator[None]:
        """Raise the errors of a with statement, which runs a query, as errors of ours.

        That of a file which is not whole comes before whatever DuckDB says of it.
        """
        self._lock()
        try:
            with self.failures.translated(name, sql, parameters):
                yield
        except (SourceError, StageError) as error:
            fault = self.gate.fault(str(error))
            if fault is None:
                raise
            raise fault from None


@contextlib.contextmanager
def _removed_on_failure(folder: Owned) -> Iterator[None]:
    """Remove a folder if the block raises."""
    try:
        yield
    except BaseException:
        folder.remove()
        raise


def _new_folder(temp_dir: str | Path | None) -> Owned:
    """A new folder of this engine alone, among temporary files.

    Raises: SourceError where none can be made.
    """
    try:
        _remove_left(str(temp_dir or tempfile.gettempdir()))
        return owned_folder(FOLDER, temp_dir)
    except OSError as error:
        if error.filename is None:
            raise SourceError(
                f"temp-dir: found no folder that takes a file ({error.strerror or error}); expected one with room. "
                "hint: --temp-dir DIR, or TMPDIR"
            ) from None
        raise of_the_system(error, "temp-dir") or error from None
