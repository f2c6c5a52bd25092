"""Cluster: what an engine of many machines does for a run in parts, whichever engine it is.

spark/cluster.py is one. An engine of another kind is a package beside spark/ that has a class with these methods, and
calls `run_task` of clusters/tasks.py in its tasks; what reads inputs there is the `OtherEngine` of inputs/input.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from metering_duck.clusters.parts import Part
from metering_duck.clusters.work import Work
from metering_duck.inputs.given_table import GivenTable
from metering_duck.inputs.input import Input


class Cluster(Protocol):
    """An engine on many machines, and the input that it reads.

    Parts are an object of that engine, wherever it keeps them.
    """

    @property
    def buckets(self) -> int:
        """How many buckets keys are spread over."""

    def opened(self, found: Input, old_times: Sequence[str]) -> GivenTable:
        """The columns and a few first rows of the input, from which the driver learns its layout.

        The times of the columns `old_times` have no zone, whatever the engine reads from their type (INT96).
        """

    def scan(self, work: Work, step: str, columns: Iterable[str]) -> Any:
        """The parts that a step makes of the input's rows, with only these columns."""

    def keep(self, parts: Any) -> Any:
        """The parts, kept because two steps use them."""

    def gather(self, work: Work, step: str, parts: Iterable[Any], kinds: Sequence[str] = ()) -> Any:
        """The parts that a step makes of `parts`, or of some `kinds` of them; one task takes all parts of a bucket."""

    def collect(self, parts: Any) -> Iterator[Part]:
        """The parts, brought to the driver."""

    def close(self) -> None:
        """Leave the cluster; nothing more is asked of it."""
