"""A Spark DataFrame: rows that only Spark reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from metering_duck.engine.duckdb import Engine
from metering_duck.errors import SourceError
from metering_duck.inputs.footers import NO_FOOTERS, Footers
from metering_duck.inputs.in_shell import InShell
from metering_duck.inputs.input import Input, Needed, OtherEngine
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation

EXPECTED = "paths, an Arrow, Polars, pandas or DuckDB table, or a list of dicts"


@dataclass(frozen=True)
class SparkFrame:
    """A DataFrame on a session of its own."""

    frame: Any
    name: str = "a Spark DataFrame"
    paths: ClassVar[Sequence[str]] = ()
    extensions: ClassVar[Sequence[str]] = ()
    versions: ClassVar[Sequence[str]] = ()
    footers: ClassVar[Footers] = NO_FOOTERS

    def relation(self, engine: Engine, name: str = "input") -> Relation:  # noqa: ARG002 - DuckDB has none of it
        """Nothing that DuckDB could read."""
        refuse_here()

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """All of it."""
        needed.check_no_times(self.name)
        return self, None

    def in_shell(self) -> InShell:
        """A shell has none of it."""
        return InShell("-- It reads input_rows, which is to be there: the rows that were given.")

    def file_sizes(self) -> list[int]:
        """What its files are, Spark alone knows."""
        return []

    def read_by(self, engine: OtherEngine) -> Any:
        """As it is."""
        return engine.read_frame(self.frame)


def is_of_spark(given: Any) -> bool:
    """Whether this is something of Spark's."""
    return type(given).__module__.startswith("pyspark.sql")


def refuse_here() -> NoReturn:
    """Say that DuckDB does not read it.

    Raises: SourceError.
    """
    raise SourceError(
        f"input: found a Spark DataFrame, which Spark reads; expected {EXPECTED}. "
        'hint: aggregate(…, engine="spark"), or give frame.toArrow()'
    )
