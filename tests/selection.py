"""On how many examples properties are tried."""

from __future__ import annotations

from hypothesis import Phase, settings


def examples(count: int) -> settings:
    """Settings of a property that takes a batch of cases a call: Hypothesis is not to shrink them call by call, pytest
    shows the first row that differs."""
    return settings(phases=[Phase.explicit, Phase.generate], max_examples=count)
