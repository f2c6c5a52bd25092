"""Given objects: a list of dicts in this process, read as lines of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.inputs.fields import ABSENT, FILE_COLUMN
from metering_duck.inputs.footers import NO_FOOTERS, Footers
from metering_duck.inputs.in_shell import InShell
from metering_duck.inputs.input import OF_THIS_MACHINE, Input, Needed, OtherEngine
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation
from metering_duck.statements.quote import literal

# Objects stand in a printed script if they are no more and no longer than this.
IN_SCRIPT = 100
IN_SCRIPT_BYTES = 20_000


@dataclass(frozen=True)
class GivenObjects:
    """JSON objects as one Arrow column `line`."""

    table: pa.Table
    name: str
    paths: ClassVar[Sequence[str]] = ()
    extensions: ClassVar[Sequence[str]] = ()
    versions: ClassVar[Sequence[str]] = ()
    footers: ClassVar[Footers] = NO_FOOTERS

    def relation(self, engine: Engine, name: str = "input") -> Relation:
        """The lines of JSON; no row is in a file."""
        engine.register(f"{name}_lines", self.table, self.name)
        return Relation(f"(SELECT line, {ABSENT} AS {FILE_COLUMN} FROM {name}_lines)", is_json=True)

    def narrowed(self, needed: Needed) -> tuple[Input, TimePartition | None]:
        """All objects: a list has no partitions."""
        needed.check_no_times(self.name)
        return self, None

    def in_shell(self) -> InShell:
        """Few objects stand in the script; of more the reader has to make a table."""
        if self.table.num_rows > IN_SCRIPT or self.table.nbytes > IN_SCRIPT_BYTES:
            return InShell(kind="lines", rows="as JSON text in the column line, the objects")
        if not self.table.num_rows:
            return InShell(relation="(SELECT '' AS line WHERE false)")
        values = ", ".join(f"({literal(line)})" for line in self.table.column("line").to_pylist())
        return InShell(relation=f"(VALUES {values}) AS given(line)")

    def file_sizes(self) -> list[int]:
        """No number: the objects are in memory."""
        return []

    def read_by(self, engine: OtherEngine) -> Any:
        """Only DuckDB reads this kind of input."""
        engine.refuse(self.name, OF_THIS_MACHINE)
