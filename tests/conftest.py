"""What all tests share: repeatable Hypothesis runs, and the option that rewrites the golden files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.selection import mark_slow

# The engine takes a fifth of a second a call: no deadline, and few, large examples, the same ones on every run.
settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("repeatable")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a running S3 server with one bucket, `lake`."""
    from tests.lake_server import running_server

    with running_server() as address:
        yield address


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The server's files as s3fs has them, and in the environment the credentials that open them."""
    from tests.lake_server import credentials, forget, opened

    for name, value in credentials(server).items():
        monkeypatch.setenv(name, value)
    yield opened(server)
    forget()


def pytest_addoption(parser: pytest.Parser) -> None:
    """--update-golden rewrites tests/golden/*/compiled.sql and expected.ndjson from what the engine does now."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files (refused where CI is set)")


def pytest_configure(config: pytest.Config) -> None:
    """A snapshot is approved by a person who reads it, never by CI."""
    if config.getoption("--update-golden") and os.environ.get("CI"):
        raise pytest.UsageError("--update-golden: found CI set; expected a person. hint: run it by hand, read the diff")
    keep_to_one_core()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which cases are slow before pytest leaves out what is slow."""
    mark_slow(items)


def keep_to_one_core() -> None:
    """Each of xdist's workers on a core of its own: small queries that wait for other cores take twice as long."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})
