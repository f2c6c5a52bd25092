"""Endings: exit codes, and the last words of a process: an error that no command foresaw, and output that is not taken.

Imports nothing that is large: what fails while the commands are loaded is said here, too.
"""

from __future__ import annotations

import contextlib
import os
import sys

EXIT_FAILED, EXIT_USAGE, EXIT_STRICT, EXIT_INTERRUPTED = 1, 2, 3, 130
# Variable → when it is not empty, every error is preceded by Python's traceback.
TRACEBACK = "METERING_DUCK_TRACEBACK"


def say(text: str) -> None:
    """Print a line on standard error, if that can be."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def show_traceback(error: BaseException | None) -> None:
    """Print Python's traceback of an error, if METERING_DUCK_TRACEBACK asks for it."""
    if error is not None and os.environ.get(TRACEBACK):
        import traceback

        say("".join(traceback.format_exception(error)).rstrip("\n"))


def fail_unforeseen(error: BaseException) -> int:
    """Say what an error is that no command has made words of; the exit code."""
    from metering_duck.errors import first_line, of_the_system, visible

    show_traceback(error)
    known = of_the_system(error, "standard output")
    if known is not None:
        say(f"error: {visible(str(known))}")
    else:
        found = visible(f"{type(error).__name__}: {first_line(error)}")
        say(
            f"error: run: found an error that nobody foresaw ({found}); expected none. "
            f"hint: this is a bug in metering-duck; please report it with what {TRACEBACK}=1 shows"
        )
    return EXIT_FAILED


def flushed(code: int) -> int:
    """The exit code once all is written; another where the last of it cannot be written."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _silence()
        return code or EXIT_FAILED
    except (OSError, ValueError, AttributeError) as error:
        _silence()
        if not code:
            say(f"error: standard output: cannot be written ({error}); expected it to take all rows. hint: -o FILE")
        return code or EXIT_FAILED
    return code


def _silence() -> None:
    """Let what is left in standard output's buffer go nowhere, since Python would try to write it again at exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
