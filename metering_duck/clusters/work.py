"""Work: what every task of a run on a cluster is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import duckdb
import numpy as np
import pyarrow as pa

from metering_duck.inputs.layout import Layout
from metering_duck.inputs.source import Source
from metering_duck.judging.events import Compiler
from metering_duck.judging.repeated_hashes import Hashes
from metering_duck.judging.slots import Slot
from metering_duck.readings.counters import is_counted_in_parts
from metering_duck.readings.series import Totals
from metering_duck.runs.machine import Machine
from metering_duck.runs.question import Question
from metering_duck.statements.quote import identifier
from metering_duck.version import __version__
from metering_duck.windows.cutting import Windows

# The table that a task's rows are in.
ROWS = "input_spooled"
VERSIONS = (__version__, duckdb.__version__)


@dataclass(frozen=True)
class Work:
    """What every task of a run is told. The driver has read the config and learnt the layout; tasks only compute.

    `windows_tables` are the tables of the windows; `part_schemas` are the columns of `judged_rows` and
    `counted_rows`, if these are made. `repeated` are the hashes of keys that may occur more than once.
    """

    schema: pa.Schema
    source: Source
    question: Question
    machine: Machine
    compiler: Compiler
    windows: Windows
    windows_tables: dict[str, pa.Table]
    parameters: Mapping[str, object]
    buckets: int
    part_schemas: dict[str, pa.Schema] = field(default_factory=dict)
    repeated: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))
    versions: tuple[str, str] = VERSIONS

    @property
    def layout(self) -> Layout:
        """The layout of the rows."""
        return self.compiler.layout

    @cached_property
    def totals(self) -> Totals:
        """How the readings are made: with sums in two parts, so that the sums of several tasks can be added."""
        totals = self.question.totals(self.windows, self.compiler.slots, self.compiler.constants)
        return replace(totals, exact=True)

    @cached_property
    def counts_in_parts(self) -> bool:
        """Whether the counters are counted in the tasks that read the rows, for all subjects, and merged afterwards."""
        counters = self.totals.counters
        all_combine = all(is_counted_in_parts(series.aggregation) for series in counters)
        return bool(counters) and all_combine and self.totals.fill == "none"

    @cached_property
    def whole_slots(self) -> list[Slot]:
        """The slots whose rows are brought together, all rows of a subject in one task."""
        if not self.counts_in_parts:
            return list(self.totals.slots)
        counted = {slot for series in self.totals.counters for slot in series.slots}
        return [slot for slot in self.totals.slots if slot not in counted]

    @cached_property
    def first_totals(self) -> Totals:
        """What the tasks that read the rows count: the counters, or only what became of the rows."""
        return self.totals if self.counts_in_parts else Totals((), self.windows)

    @cached_property
    def key_columns(self) -> list[str]:
        """The columns of the input that a row's key is made of; only these are read to compare keys."""
        if self.layout.json or self.layout.relation != ROWS:
            return list(self.schema.names)
        fields = ["workspace_id", "universe_id", "id", "metered_at"]
        if self.compiler.selection.types:
            fields.append("type")
        texts = [self.layout.column(name).sql for name in fields]
        texts += [text for fault in self.layout.keyless for text in (fault.condition, fault.text)]
        # SQL quotes a name, and so doubles the quotes in it: both spellings are looked for.
        return [name for name in self.schema.names if any(name in text or identifier(name) in text for text in texts)]
