"""A process that runs metering-duck's commands one after another, for tests of what commands show, not of processes.

Most of a short command's time goes into imports; here they are done once. Each command has its caller's arguments,
folder and environment, its caller's very streams, and an exit code. No command is run beside another.
"""

import atexit
import contextlib
import functools
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

STREAMS = (0, 1, 2)
HAND_OVER = Path(__file__).with_name("hand_over.py")


@functools.cache
def folder() -> Path:
    """A folder with a `metering-duck` for the PATH: it hands over to a process that ends when this one does."""
    home = Path(tempfile.mkdtemp(prefix="resident-"))
    script = Path(sys.executable).with_name("metering-duck")
    command = home / "metering-duck"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{HAND_OVER}" "{home}" "{script}" "$@"\n')
    command.chmod(0o755)
    serving = subprocess.Popen([sys.executable, __file__, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    expected = b"ready\n"
    assert expected == serving.stdout.readline()

    def end() -> None:
        serving.communicate()
        shutil.rmtree(home)

    atexit.register(end)
    return home


def serve(home: Path) -> None:
    """Run what is handed over, until standard input ends: whoever started this has ended then, however it did."""
    import metering_duck.calls.metering
    import metering_duck.cli.screen  # noqa: F401

    starter = os.dup(0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(home / "socket"))
        listener.listen()
        os.write(1, b"ready\n")
        while starter not in select.select([listener, starter], [], [])[0]:
            with listener.accept()[0] as asked:
                request, streams, _, _ = socket.recv_fds(asked, 1 << 18, len(STREAMS))
                with placed(os.fsdecode(request), streams) as arguments:
                    code = run(arguments)
                asked.send(str(code).encode())


@contextlib.contextmanager
def placed(request: str, streams: list[int]) -> Iterator[list[str]]:
    """In the caller's folder and environment and with its streams; afterwards with those of before."""
    place, count, *words = request.split("\0")
    before, kept = dict(os.environ), [os.dup(stream) for stream in STREAMS]
    os.chdir(place)
    take_environment(dict(word.split("=", 1) for word in words[int(count) :]))
    take_streams(streams)
    try:
        yield words[: int(count)]
    finally:
        take_streams(kept)
        take_environment(before)
        os.chdir("/")


def take_environment(environment: dict[str, str]) -> None:
    """Make this the environment, its time zone included."""
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()


def take_streams(streams: list[int]) -> None:
    """Make these the standard streams, with nothing read ahead or waiting to be written."""
    for number, stream in zip(STREAMS, streams, strict=True):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding=like.encoding, errors=like.errors, closefd=False)  # noqa: SIM115 - they stay open
        for number, mode, like in zip(STREAMS, "rww", (sys.__stdin__, sys.__stdout__, sys.__stderr__), strict=True)
    )


def run(arguments: list[str]) -> int:
    """What the console script does, up to its end: the exit code."""
    from metering_duck.cli.process import main

    sys.argv = ["metering-duck", *arguments]
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
