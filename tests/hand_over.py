"""`metering-duck`, for resident.py: hand over arguments, folder, environment and streams, wait, end with the exit code.

A script of its own, run by a Python without its site: it starts in a hundredth of a second. A command that comes while
another one runs, as in `metering-duck … | metering-duck …`, becomes a process after all.
"""

import fcntl
import os
import socket
import sys


def main(home: str, script: str, *arguments: str) -> None:
    """Run the command: there, or, when that is busy, here."""
    lock = os.open(f"{home}/lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.execv(script, [script, *arguments])
    environment = [f"{name}={value}" for name, value in os.environ.items()]
    request = "\0".join([os.getcwd(), str(len(arguments)), *arguments, *environment])
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as to:
        to.connect(f"{home}/socket")
        socket.send_fds(to, [os.fsencode(request)], [0, 1, 2])
        code = to.recv(16)
    sys.exit(int(code) if code else "metering-duck: the process that runs commands has ended")


main(*sys.argv[1:])
