"""What runs every day and what runs in CI alone.

`pytest` leaves out what is marked slow or spark. .ci/run runs it in a step of its own, and there, with
METERING_DUCK_EXAMPLES=all, every property again that has more examples than it is tried on every day.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import Phase, settings

ALL_EXAMPLES = "METERING_DUCK_EXAMPLES"


def examples(count: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Try a property on so many examples in CI, on a quarter of them every day, each example a batch of cases.

    The first example that Hypothesis makes is the plainest there is, so there are two wherever two are asked for. It is
    not to shrink batches call by call: pytest shows the first row that differs.
    """
    every_day = min(count, max(2, count // 4))
    chosen = count if os.environ.get(ALL_EXAMPLES) == "all" else every_day
    limited = settings(phases=[Phase.explicit, Phase.generate], max_examples=chosen)

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        return limited(test if every_day == count else pytest.mark.property(test))

    return decorate


def mark_slow(items: Iterable[pytest.Item]) -> None:
    """Of each n cases of a test marked sampled(n), leave the first as it is, and mark the others slow.

    CI runs one of those, too; the rest is marked exhaustive, and runs before a release.
    """
    cases: Counter[str] = Counter()
    for item in items:
        sampled = item.get_closest_marker("sampled")
        if sampled is None:
            continue
        test = item.nodeid.partition("[")[0]
        count = sampled.args[0]
        place = cases[test] % count
        if place:
            item.add_marker(pytest.mark.slow)
        if place not in (0, count // 2):
            item.add_marker(pytest.mark.exhaustive)
        cases[test] += 1
