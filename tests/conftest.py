"""What all tests share: repeatable Hypothesis runs, and the option that rewrites the golden files."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

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


def pytest_addoption(parser: pytest.Parser) -> None:
    """--update-golden rewrites tests/golden/*/compiled.sql and expected.ndjson from what the engine does now."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files (refused where CI is set)")


def pytest_configure(config: pytest.Config) -> None:
    """A snapshot is approved by a person who reads it, never by CI."""
    if config.getoption("--update-golden") and os.environ.get("CI"):
        raise pytest.UsageError("--update-golden: found CI set; expected a person. hint: run it by hand, read the diff")
    keep_to_one_core()


def keep_to_one_core() -> None:
    """Each of xdist's workers on a core of its own: small queries that wait for other cores take twice as long."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})
