"""The process: its standard streams, and the one place where every error ends that no command has made words of."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

from metering_duck.cli.endings import EXIT_INTERRUPTED, fail_unforeseen, flushed, say, show_traceback

# Stream → its number, the mode it is used in, and a mode in which its use fails: what is read from it or written to it
# would be lost without a word. Nobody misses what is said on a standard error that is closed.
STREAMS = {
    "stdin": (0, "r", os.O_WRONLY),
    "stdout": (1, "w", os.O_RDONLY),
    "stderr": (2, "w", os.O_WRONLY),
}


def main() -> None:
    """The console script: runs the command, and leaves with its exit code. Nothing ends in a traceback."""
    is_loaded = False
    try:
        # Nothing here multiplies matrices; where the threads for that have no room, OpenBLAS interrupts the process.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        open_streams()
        sys.unraisablehook = lambda found: show_traceback(found.exc_value)
        threading.excepthook = lambda found: show_traceback(found.exc_value)
        from metering_duck.cli.main import cli

        is_loaded = True
        cli(prog_name="metering-duck")
        code: object = 0
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        what = "what it wrote before is there" if is_loaded else "nothing was written"
        say(f"error: run: was interrupted; {what}.")
        code = EXIT_INTERRUPTED
    except BaseException as error:
        code = fail_unforeseen(error)
    sys.exit(flushed(code if isinstance(code, int) else int(code is not None)))


def open_streams() -> None:
    """Open the streams that the caller has closed, so that no other file gets their numbers; escape what the terminal
    cannot show."""
    for name, (number, mode, failing) in STREAMS.items():
        if getattr(sys, name) is not None:
            continue
        with contextlib.suppress(OSError):
            opened = os.open(os.devnull, failing)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            stream = open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    with contextlib.suppress(AttributeError):
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
