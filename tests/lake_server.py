"""A running S3 server for tests, with one bucket, `lake`, and the credentials that open it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import s3fs
from moto.server import ThreadedMotoServer

SECRET = "wJalrXUtnFEMI-not-to-be-seen"


@contextmanager
def running_server() -> Iterator[str]:
    """The server's address."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


def credentials(address: str) -> dict[str, str]:
    """The environment that the usual chain finds them in."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def forget() -> None:
    """No file system of before is used again, with its credentials and listings."""
    s3fs.S3FileSystem.clear_instance_cache()


def opened(address: str) -> s3fs.S3FileSystem:
    """The server's files, with the bucket made."""
    forget()
    files = s3fs.S3FileSystem(endpoint_url=address)
    if not files.exists("lake"):
        files.mkdir("lake")
    return files
