"""The only module that talks to duckdb: a locked-down connection, its settings, running queries, errors mapped to ours.

The connection may read the files it was given and its own temporary directory, and nothing else; it may write only
there. Its configuration is locked before any SQL that was made from a config runs.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa

from metering_duck.engine.extensions import CLOSED, load
from metering_duck.engine.httpfs import prepare, why_fsspec
from metering_duck.engine.remote import changed, explained, filesystems_of, listed, scheme_of, shown
from metering_duck.errors import ConfigError, Interrupted, MeteringError, SourceError, StageError, first_few
from metering_duck.statements.quote import identifier, literal, literal_list, pattern_of
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query, functions, functions_of

Progress = Callable[[str, float], None]
BATCH_ROWS = 65_536
WAITING_AT_ONCE = 16
_SIZE = re.compile(r"\d+(\.\d+)? ?([KMGT]i?B|bytes|%)", re.IGNORECASE)
# What well-made SQL never raises, whatever the data; all else is the data's.
OUR_BUGS = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.SyntaxException)
# What a file system says of a file that is elsewhere, sometimes not by its name; a reader's words begin otherwise.
_OF_A_LIBRARY = re.compile(r"\b(HTTP|IO|Permission) Error: |^Traceback |^\w+(Error|Expired): ", re.MULTILINE)
_UNNAMED = re.compile(r"https?://|HTTP Error: |^Traceback |^\w+(Error|Expired): ", re.MULTILINE)
_URL = re.compile(r"\w+://\S+")
_open_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def interrupt_all() -> None:
    """Stop what every open engine runs, from another thread."""
    for engine in list(_open_engines):
        engine.interrupt()


def remove_directories() -> None:
    """Remove the temporary directories of all open engines: for a process that is about to leave."""
    for engine in list(_open_engines):
        shutil.rmtree(engine.directory, ignore_errors=True)


class Overflow(MeteringError):
    """A sum passed 38 digits on its way, or at its end: the caller adds again in two parts."""


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
    ) -> None:
        if temp_dir is not None and not Path(temp_dir).is_dir():
            raise ConfigError(f"temp-dir: found no directory {temp_dir}; expected one that exists.")
        if memory_limit is not None and not _SIZE.fullmatch(str(memory_limit)):
            raise ConfigError(f"memory-limit: found {memory_limit!r}; expected a size such as 4GB.")
        if threads is not None and (not isinstance(threads, int) or threads < 1):
            raise ConfigError(f"threads: found {threads!r}; expected a whole number above 0.")
        self.directory = Path(tempfile.mkdtemp(prefix="metering-duck-", dir=temp_dir)).resolve()
        self.connection = duckdb.connect(":memory:", config={"python_enable_replacements": "false", **CLOSED})
        self.lock = threading.RLock()
        self._defined: set[str] = set()
        self._urls: list[str] = []
        self._listed: dict[str, dict[str, Any]] = {}
        self._postponed: list[Callable[[], object]] = []
        self._closing = contextlib.ExitStack()
        self._progress = progress
        _open_engines.add(self)
        settings = {
            "TimeZone": "'UTC'",
            "temp_directory": literal(str(self.directory)),
            "enable_progress_bar": "true",
            "enable_progress_bar_print": "false",
            "threads": None if threads is None else str(threads),
            "memory_limit": None if memory_limit is None else literal(memory_limit),
        }
        for name, value in settings.items():
            if value is not None:
                self._set(name, value)

    def _set(self, name: str, value: str) -> None:
        try:
            self.connection.execute(f"SET {name} = {value}")
        except duckdb.Error as error:
            self.close()
            option = name.replace("_", "-")
            raise ConfigError(
                f"{option}: found {value}; {_first_line(error)}. hint: --threads 2 --memory-limit 4GB"
            ) from None

    def lock_down(self, paths: Sequence[str], *, extensions: Collection[str] = ()) -> None:
        """Allow these files and the temporary directory, forbid the rest of the world, and lock the settings."""
        for name in extensions:
            load(self.connection, name)
        self._urls = [path for path in paths if scheme_of(path)]
        # What a DuckLake has written it does not write again.
        self._listed = {} if extensions else listed(self._urls)
        if self._urls and ("httpfs" in extensions or why_fsspec(self._urls) is None):
            prepare(self.connection, self._urls)
        else:
            for files in filesystems_of(self._urls, self._listed):
                self.connection.register_filesystem(files)
        self._set("allowed_directories", literal_list([str(self.directory)]))
        # A path is asked for as a pattern of itself first.
        self._set("allowed_paths", literal_list(dict.fromkeys([*paths, *map(pattern_of, paths)])))
        self._set("enable_external_access", "false")
        self._set("lock_configuration", "true")

    def at_close(self, callback: Callable[[], object]) -> None:
        """What else is to end with this engine."""
        self._closing.callback(callback)

    def close(self) -> None:
        """Close the connection and remove the temporary directory."""
        self._closing.close()
        with contextlib.suppress(duckdb.Error):
            self.connection.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def interrupt(self) -> None:
        """Stop what is running, from another thread; it raises Interrupted there."""
        with contextlib.suppress(duckdb.Error):
            self.connection.interrupt()

    # --- running ----------------------------------------------------------------------------------------------------

    def postpone(self, work: Callable[[], object]) -> None:
        """Leave work until the first query is run: whoever only asks what would be run is spared it."""
        self._postponed.append(work)

    def _catch_up(self) -> None:
        """Do what was left until now."""
        while self._postponed:
            self._postponed.pop()()

    def fill(self, query: Query) -> None:
        """Run a query into the temporary table that it names."""
        self._catch_up()
        self._run(query, f"CREATE OR REPLACE TEMP TABLE {identifier(query.name)} AS\n{query.sql}")

    def rows(self, sql: str, parameters: dict[str, object] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a small statement of our own."""
        with self.lock, self._errors(sql, sql, parameters or {}):
            self._define(sql)
            return self.connection.execute(sql, parameters or {}).fetchall()

    def count(self, table: str) -> int:
        """How many rows a table has."""
        return int(self.rows(f"SELECT count(*) FROM {identifier(table)}")[0][0])

    def has(self, table: str) -> bool:
        """Whether there is such a table."""
        return bool(self.rows(f"SELECT 1 FROM duckdb_tables() WHERE table_name = {literal(table)}"))

    def describe(self, relation: str) -> dict[str, str]:
        """Column → type of something that can stand behind FROM, in its order."""
        return {str(row[0]): str(row[1]) for row in self.rows(f"DESCRIBE SELECT * FROM {relation}")}

    def keep(self, name: str, rows: pa.Table) -> None:
        """Fill a temporary table with rows of our own."""
        with self.lock:
            self.connection.register(f"{name}_rows", rows)
            self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {identifier(name)} AS FROM {name}_rows")
            self.connection.unregister(f"{name}_rows")

    def attach(self, sql: str, table: str, name: str) -> str:
        """A table of a DuckDB file or a DuckLake, attached by SQL of ours, as something that can stand behind FROM.

        Raises: SourceError for a file that is no DuckDB database, or has no such table.
        """
        try:
            with self.lock:
                self.connection.execute(f"ATTACH {sql}")
                found = f"the_input.{'.'.join(identifier(part) for part in table.split('.'))}"
                self.connection.execute(f"DESCRIBE SELECT * FROM {found}")
        except duckdb.Error as error:
            if "lock on file" in str(error):
                hint = "hint: run once it has closed it, or read a copy"
                raise SourceError(
                    f"{name}: found it open in another process, which may write to it; expected nobody to. {hint}"
                ) from None
            raise SourceError(
                f"{name}: cannot be read ({_first_line(error)}); expected a table of a DuckDB database."
            ) from None
        return found

    def insert(
        self,
        table: str,
        rows: pa.Table | pa.RecordBatchReader,
        columns: Mapping[str, str] | None = None,
        *,
        without: Sequence[str] = (),
    ) -> None:
        """Add rows to a table by the names of their columns, `without` some, with more `columns` (name → SQL)."""
        star = f"* EXCLUDE ({', '.join(without)})" if without else "*"
        sql = f"INSERT INTO {identifier(table)} BY NAME\n{select(columns or {}, 'rows_to_insert', star=star)}"
        with self.lock, self._errors(table, sql, {}):
            self._define(sql)
            self.connection.register("rows_to_insert", rows)
            self.connection.execute(sql)
            self.connection.unregister("rows_to_insert")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what is done inside, or nothing."""
        self.rows("BEGIN TRANSACTION")
        try:
            yield
            self.rows("COMMIT")
        except BaseException:
            with contextlib.suppress(MeteringError):
                self.rows("ROLLBACK")
            raise

    def stream(self, query: Query, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The query's rows as Arrow batches, in its order; nothing is held but one batch."""
        self._catch_up()
        with self.lock, self._errors(query.name, query.sql, query.bound):
            reader = self._reader(query, batch_rows)
        while True:
            with self.lock, self._errors(query.name, query.sql, query.bound):
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    return
            yield batch

    def table(self, query: Query) -> pa.Table:
        """The query's rows as one Arrow table."""
        self._catch_up()
        with self.lock, self._errors(query.name, query.sql, query.bound):
            reader = self._reader(query)
            return pa.Table.from_batches(list(reader), reader.schema)

    def at_once(self, statements: Sequence[str]) -> pa.Table:
        """The rows of statements of our own that wait for a network, several beside each other, as one table."""

        def read(sql: str) -> pa.Table:
            with self.connection.cursor() as cursor:
                return cursor.sql(sql).to_arrow_table()

        with self.lock, self._errors("at_once", statements[0], {}), ThreadPoolExecutor(WAITING_AT_ONCE) as pool:
            return pa.concat_tables(pool.map(read, statements))

    def _reader(self, query: Query, batch_rows: int = BATCH_ROWS) -> pa.RecordBatchReader:
        self._define(query.sql)
        return self.connection.sql(query.sql, params=query.bound).to_arrow_reader(batch_rows)

    def _run(self, query: Query, sql: str) -> None:
        with self.lock, self._errors(query.name, sql, query.bound), self.watched(query.name):
            self._define(sql)
            self.connection.execute(sql, query.bound)

    def _define(self, sql: str) -> None:
        """Create the functions of ours that the SQL calls, those not created yet: all of them take a while."""
        for name in functions_of(sql):
            if name not in self._defined:
                self.connection.execute(functions()[name])
                self._defined.add(name)

    @contextlib.contextmanager
    def watched(self, name: str) -> Iterator[None]:
        """Tell the progress of what runs inside, from a second thread."""
        if self._progress is None:
            yield
            return
        report, done = self._progress, threading.Event()

        def watch() -> None:
            while not done.wait(0.2):
                report(name, max(self.connection.query_progress(), 0.0))

        watcher = threading.Thread(target=watch, name="metering-duck progress")
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    @contextlib.contextmanager
    def _errors(self, name: str, sql: str, parameters: dict[str, object]) -> Iterator[None]:
        """DuckDB's errors in our words: the reader's input, the machine's limits, or our bug."""
        try:
            yield
        except (duckdb.InterruptException, KeyboardInterrupt):
            raise Interrupted("run: was interrupted; nothing was written.") from None
        except duckdb.OutOfRangeException as error:
            raise Overflow(_first_line(error)) from None
        except duckdb.OutOfMemoryException as error:
            raise MeteringError(
                f"run: memory is used up ({_first_line(error)}); expected to spill to {self.directory.parent}. "
                "hint: a larger --memory-limit, fewer --threads, or a --temp-dir with more room"
            ) from None
        except OUR_BUGS as error:
            raise StageError(name, sql, parameters, _first_line(error)) from error
        except (duckdb.HTTPException, UnicodeDecodeError) as error:
            # httpfs 1.5.5 says the bytes that it got where an object is not what it was.
            raise self.failure(f"HTTP Error: {error}") from None
        except (duckdb.Error, pa.ArrowException) as error:
            if "has an open result" in str(error):
                raise MeteringError(
                    "run: found a stream of its rows that was not read to its end; expected one stream at a time. "
                    "hint: read or delete it first, or take to_arrow()"
                ) from None
            raise self.failure(str(error)) from None

    def failure(self, text: str) -> MeteringError:
        """What DuckDB says of something it cannot read, in our words."""
        # httpfs may say http://endpoint/bucket/key.
        urls = [url for url in self._urls if url.partition("://")[2] in text]
        if self._urls and _OF_A_LIBRARY.search(text) and (urls or _UNNAMED.search(text)):
            for url in urls:
                text = text.replace(url, "")
            urls = urls or self._urls
            others = changed(self._listed, urls)
            why = explained("FileExpired" if others else _URL.sub("", text), urls[0])
            return SourceError(f"{first_few(shown(url) for url in others or urls)}: {why}")
        for url in urls:
            text = text.replace(url, shown(url))
        return SourceError(_unreadable(text))


def pattern_faults(patterns: Iterable[str]) -> dict[str, str]:
    """Regular expression → why RE2 cannot read it, of those that it cannot."""
    faults = {}
    with duckdb.connect(":memory:") as connection:
        for pattern in patterns:
            try:
                connection.execute("SELECT regexp_matches('', $pattern)", {"pattern": pattern})
            except duckdb.Error as error:
                faults[pattern] = _first_line(error).partition("Error: ")[2]
    return faults


def _unreadable(text: str) -> str:
    """What DuckDB says of a file it cannot read, in our words: which file, which line, what is wrong."""
    line = re.search(r"CSV Error on Line: (\d+)", text)
    path = re.search(r"^\s*file = (.+)$", text, re.MULTILINE) or re.search(
        r"[\"']((?:/|[A-Za-z]:\\|\w+://)[^\"'\n]+)[\"']", text
    )
    if path is None:
        path = re.search(r": (/\S+)$", text, re.MULTILINE)
    where = path.group(1) if path else "input"
    if where.endswith("/**/*.parquet"):
        # What is no file any more may be a folder.
        return f"{where.removesuffix('/**/*.parquet')}: is gone; expected it to be there until the end. hint: run again"
    if line is None:
        why = re.sub(r"^(\w+ )+Error: ", "", _first_line(Exception(text))).removesuffix(f": {where}")
        return f"{where}: cannot be read ({why}); expected a file that can be read to its end."
    if "unicode" in text.lower():
        return f"{where}: line {line.group(1)} is not UTF-8; expected text in UTF-8."
    counts = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    if counts:
        expected, found = counts.groups()
        return f"{where}: line {line.group(1)} has {found} columns; expected {expected}, as in its header."
    reason = next(
        (row.strip().rstrip(".") for row in text.splitlines()[1:] if row.strip() and ":" not in row), "not CSV"
    )
    return f"{where}: line {line.group(1)} cannot be read ({reason}); expected CSV."


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
