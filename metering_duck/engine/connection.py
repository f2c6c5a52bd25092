"""Connections: one in-memory DuckDB, its settings, the remote files that it reads, and its lock-down."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import duckdb

from metering_duck.engine.extensions import load
from metering_duck.engine.httpfs import prepare, why_fsspec
from metering_duck.engine.locking import lock, unlocked
from metering_duck.engine.progress import let_tell_progress
from metering_duck.engine.remote import filesystems_of, listed, scheme_of
from metering_duck.engine.unreadable import KnownInputs
from metering_duck.errors import ConfigError, first_line, spelled
from metering_duck.statements.quote import literal

# DuckDB starts as many threads as it is told to, and then waits for all of them at the end of each step.
THREADS_MAX = 1_024
_SIZE = re.compile(r"\d+(\.\d+)? ?([KMGT]i?B|bytes|%)", re.IGNORECASE)


def check_settings(threads: object, memory_limit: object, temp_dir: str | Path | None) -> None:
    """Refuse settings that DuckDB would refuse in words of its own, or understand as something else.

    Raises: ConfigError.
    """
    if temp_dir is not None and not os.path.isdir(temp_dir):
        raise ConfigError(f"temp-dir: found no directory {temp_dir}; expected one that exists.")
    if memory_limit is not None and not (isinstance(memory_limit, str) and _SIZE.fullmatch(memory_limit)):
        raise ConfigError(f"memory-limit: found {spelled(memory_limit)}; expected a size such as 4GB.")
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise ConfigError(f"threads: found {spelled(threads)}; expected a whole number above 0.")
    if threads is not None and threads > THREADS_MAX:
        raise ConfigError(f"threads: found {spelled(threads)}; expected at most {THREADS_MAX:,}.")


def connect(directory: Path, threads: int | None, memory_limit: str | None) -> duckdb.DuckDBPyConnection:
    """A connection that spills to a directory and fetches no extension.

    Raises: ConfigError for a setting that DuckDB refuses.
    """
    connection = unlocked()
    try:
        _set(connection, "TimeZone", "'UTC'")
        _set(connection, "temp_directory", literal(str(directory)))
        # It leaves out checks of values by what the footer of a Parquet file says of them, which nothing proves.
        _set(connection, "disabled_optimizers", "'statistics_propagation'")
        let_tell_progress(connection)
        if threads is not None:
            _set(connection, "threads", str(threads))
        if memory_limit is not None:
            _set(connection, "memory_limit", literal(memory_limit))
    except ConfigError:
        connection.close()
        raise
    return connection


def open_inputs(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[str], extensions: Collection[str]
) -> KnownInputs:
    """Make a connection read these paths: URLs by httpfs, or else by fsspec; its settings must not be locked yet."""
    for name in extensions:
        load(connection, name)
    urls = [path for path in paths if scheme_of(path)]
    # The files of a DuckLake never change once they are written, so their ETags are not asked for.
    seen = {} if extensions else listed(urls)
    if urls and ("httpfs" in extensions or why_fsspec(urls) is None):
        prepare(connection, urls)
    else:
        for files in filesystems_of(urls, seen):
            connection.register_filesystem(files)
    return KnownInputs(list(dict.fromkeys(paths)), urls, seen)


def lock_down(connection: duckdb.DuckDBPyConnection, directory: Path, paths: Sequence[str]) -> None:
    """Allow these files and the directory, forbid all other files, and lock the settings."""
    try:
        lock(connection, paths, [str(directory)])
    except duckdb.Error as error:
        raise ConfigError(f"input: cannot be allowed ({first_line(error)}); expected paths of files.") from None


def _set(connection: duckdb.DuckDBPyConnection, name: str, value: str) -> None:
    """Change a setting; `value` is SQL."""
    try:
        connection.execute(f"SET {name} = {value}")
    except duckdb.Error as error:
        option = name.replace("_", "-")
        raise ConfigError(
            f"{option}: found {value}; {first_line(error)}. hint: --threads 2 --memory-limit 4GB"
        ) from None
