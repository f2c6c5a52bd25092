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
    """A Spark DataFrame, on whatever session the user made it."""

    frame: Any
    name: str = "a Spark DataFrame"
    paths: ClassVar[Sequence[str]] = ()
    extensions: ClassVar[Sequence[str]] = ()
    versions: ClassVar[Sequence[str]] = ()
    footers: ClassVar[Footers] = NO_FOOTERS

    def relation(self, engine: Engine, name: str = "input") -> Relation:  # noqa: ARG002 - DuckDB has none of it
        """DuckDB cannot read a Spark DataFrame.

        Raises: SourceError.
        """
        refuse_here()

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """The whole DataFrame: it has no partitions."""
        needed.check_no_times(self.name)
        return self, None

    def in_shell(self) -> InShell:
        """A shell does not have the rows: the reader has to make a table of them."""
        return InShell(kind="rows", rows="the rows")

    def file_sizes(self) -> list[int]:
        """No number: only Spark knows the files behind a DataFrame."""
        return []

    def read_by(self, engine: OtherEngine) -> Any:
        """Another engine is given the DataFrame as it is."""
        return engine.read_frame(self.frame)


def is_of_spark(given: Any) -> bool:
    """Whether an object is from the library pyspark: a DataFrame, or what only Spark can say is none."""
    return type(given).__module__.startswith("pyspark.sql")


def is_spark_frame(given: Any) -> bool:
    """Whether an object is a Spark DataFrame."""
    return is_of_spark(given) and hasattr(given, "mapInArrow")


def refuse_here() -> NoReturn:
    """Say that DuckDB does not read a Spark DataFrame.

    Raises: SourceError.
    """
    raise SourceError(
        f"input: found a Spark DataFrame, which Spark reads; expected {EXPECTED}. "
        'hint: aggregate(…, engine="spark"), or give frame.toArrow()'
    )
