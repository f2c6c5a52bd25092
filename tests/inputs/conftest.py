"""What every form of the eight events is compared with."""

from __future__ import annotations

import pytest

from tests.inputs.forms import EVENTS, answers


@pytest.fixture(scope="session")
def expected() -> tuple[bytes, bytes, dict[str, int], list[tuple[str, str, str]]]:
    """What the list of dicts gives."""
    return answers(lambda: EVENTS)
