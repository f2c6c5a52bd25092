"""Progress: how far a running query is, told from a second thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import duckdb

# A function that is told the name of the query that runs, and how many percent of it are done.
Progress = Callable[[str, float], None]
SECONDS_BETWEEN = 0.2


def let_tell_progress(connection: duckdb.DuckDBPyConnection) -> None:
    """Let a connection tell how far its queries are, and show no bar of its own.

    In a notebook without ipywidgets DuckDB refuses both settings: then it shows no bar, and tells nothing.
    """
    with contextlib.suppress(duckdb.InvalidInputException):
        connection.execute("SET enable_progress_bar = true")
        connection.execute("SET enable_progress_bar_print = false")


@contextlib.contextmanager
def watched(connection: duckdb.DuckDBPyConnection, name: str, progress: Progress | None) -> Iterator[None]:
    """Tell `progress` how far the query that runs inside is; without one, nothing is watched."""
    if progress is None:
        yield
        return
    done = threading.Event()

    def watch() -> None:
        while not done.wait(SECONDS_BETWEEN):
            progress(name, max(connection.query_progress(), 0.0))

    watcher = threading.Thread(target=watch, name="metering-duck progress")
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
