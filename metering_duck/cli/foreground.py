"""Running for a person who waits: work in a second thread, Ctrl-C at once, a progress bar after two seconds."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from metering_duck.errors import Interrupted

SHOW_AFTER_SECONDS = 2.0
STOP_WITHIN_SECONDS = 0.9


def run_interruptibly(work: Callable[[Any], None], *, show_progress: bool, kept: str = "nothing was written.") -> None:
    """Run `work(progress)` in a thread; raise its errors, or Interrupted, which says what was `kept`, after Ctrl-C.

    SIGTERM works as Ctrl-C does. The thread is no daemon: a daemon that is inside a query at exit aborts the process.
    If the thread does not stop in time, for example because it waits for standard input, its unfinished files are
    removed and the process ends without it.
    """
    failure: list[BaseException] = []
    done = threading.Event()
    bar = _Bar() if show_progress else None

    def job() -> None:
        try:
            work(bar)
        except BaseException as error:
            failure.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=job, name="metering-duck")
    previous = signal.signal(signal.SIGTERM, _as_keyboard_interrupt)
    try:
        thread.start()
        # A KeyboardInterrupt inside Thread.join leaves Python 3.11 believing that the thread has ended.
        while not done.wait(0.05):
            pass
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _stop(done, kept)
        # Work that came to its end all the same is done.
        if failure:
            raise Interrupted(f"run: was interrupted; {kept}") from None
    finally:
        if bar:
            bar.close()
        signal.signal(signal.SIGTERM, previous)
    if failure:
        raise failure[0]


def _as_keyboard_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _stop(done: threading.Event, kept: str) -> None:
    """Interrupt every engine until the thread ends; if it does not end in time, end the process."""
    deadline = time.monotonic() + STOP_WITHIN_SECONDS
    while not done.is_set() and time.monotonic() < deadline:
        _if_loaded("metering_duck.engine.duckdb", "interrupt_all")
        done.wait(0.05)
    if not done.is_set():
        _if_loaded("metering_duck.outputs.files", "remove_partial_files")
        _if_loaded("metering_duck.engine.duckdb", "remove_directories")
        with contextlib.suppress(OSError):
            os.write(2, f"error: run: was interrupted; {kept}\n".encode())
        os._exit(130)


def _if_loaded(module: str, name: str) -> None:
    """Call a function of a module, unless the module is not loaded to its end yet and so has done nothing."""
    function = getattr(sys.modules.get(module), name, None)
    if function is not None:
        function()


class _Bar:
    """A progress bar on standard error after two seconds: how far a query is, and how many of several runs are done."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}
        self._done = 0

    def __call__(self, name: str, percent: float) -> None:
        """Show how many percent of the named query are done."""
        if not self._shown():
            return
        if name not in self._tasks:
            for known, task in self._tasks.items():
                self._progress.update(task, visible=known == RUNS)
            words = STEPS.get(name.split("_")[0], name)
            self._tasks[name] = self._progress.add_task(words, total=100)
        self._progress.update(self._tasks[name], completed=percent, visible=True)

    def advance(self, what: str, total: int) -> None:
        """Show that one more of several runs is done."""
        self._done += 1
        if not self._shown():
            return
        if RUNS not in self._tasks:
            self._tasks[RUNS] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[RUNS], completed=self._done, description=f"{self._done} of {total}: {what}")

    def _shown(self) -> bool:
        """Whether the bar is on the screen; it is put there after two seconds."""
        if self._progress is None:
            if time.monotonic() - self._started < SHOW_AFTER_SECONDS:
                return False
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                Progress,
                TaskProgressColumn,
                TextColumn,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._progress.start()
        return True

    def close(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()


# The task of the bar that counts runs.
RUNS = "runs"
# The first word of a query's name → what the bar says.
STEPS = {
    "source": "looking at new files",
    "hours": "looking at new files",
    "files": "looking at new files",
    "timeless": "looking at new files",
    "key": "looking for repeated events",
    "repeated": "looking for repeated events",
    "levels": "keeping levels",
    "settled": "settling repeated events",
    "counted": "metering and counting",
    "series": "listing series",
    "gauged": "weighing levels",
    "readings": "making readings",
    "input": "reading the input",
}
