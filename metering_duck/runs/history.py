"""History: what is known of the events that a run does not read, so that it reads the events of its window only.

A ledger keeps it: when each file was first seen, which keys occur in other files too, and the level that each gauge has
when the window begins. With a history, a window's readings are byte for byte the readings of all events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.inputs.fields import ENTERED_BY_FILE, Reach
from metering_duck.judging.repeated_hashes import Hashes, as_column
from metering_duck.statements.quote import literal

# The level of each gauge at a moment: its key, the time since which the gauge has it, the event that set it, and the
# level as exact text.
LEVELS_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("workspace_id", "universe_id", "subject", "dimensions", "unit", "aggregation")]
    + [(name, pa.timestamp("us")) for name in ("recorded_at", "metered_at")]
    + [(name, pa.string()) for name in ("event_id", "level")]
)
SPELLED_NOW = "CAST(to_json(CAST(CAST(dimensions AS JSON) AS MAP(VARCHAR, VARCHAR))) AS VARCHAR)"
LEVEL_KEY = ("workspace_id", "universe_id", "subject", "dimensions")


@dataclass(frozen=True)
class History:
    """What a ledger tells a run.

    `entered` is when each file was first seen, naive UTC; an event that does not say when it entered takes that time.
    `repeated` are the hashes of the keys that may occur more than once, None where they are not known; the files
    `others` have the rows of such keys outside of the window. `levels` (LEVELS_SCHEMA) are the levels when the window
    begins, None where all events before the window are read instead. With `numbers_rows`, each row knows its place in
    its file. `reach` says which events are read of the files, by the window. `digests` are the SHA-256 that files are
    known to have, by their paths.
    """

    entered: Mapping[str, datetime]
    others: tuple[str, ...] = ()
    repeated: Hashes | None = None
    levels: pa.Table | None = None
    numbers_rows: bool = False
    reach: Reach = "all"
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def entered_sql(self) -> str:
        """SQL for the time when an event entered that does not say its time itself."""
        moments = set(self.entered.values())
        if len(moments) == 1:
            return f"TIMESTAMP '{moments.pop()}'"
        return ENTERED_BY_FILE

    @property
    def paths(self) -> list[str]:
        """All files, also the `others`, whose rows are only compared with those of the window."""
        return list(self.entered)

    def keep(self, engine: Engine) -> None:
        """Fill the tables `entered`, `repeated_keys` and `levels_before`."""
        moments = pa.array(self.entered.values(), pa.timestamp("us"))
        engine.keep("entered", pa.table({"file": self.paths, "entered_at": moments}))
        if self.repeated is not None:
            engine.keep("repeated_keys", pa.table({"key_hash": as_column(self.repeated)}))
        if self.levels is not None:
            engine.keep("levels_before", self.levels)
            # Dimensions are compared as texts, which the DuckDB of before may have spelled otherwise (R38).
            engine.rows(f"UPDATE levels_before SET dimensions = {SPELLED_NOW} WHERE dimensions IS NOT NULL")

    def holds(self, column: str, constant: str, engine: Engine) -> bool:
        """Whether a column that is one constant in all rows read has that constant in the levels from before, too."""
        if self.levels is None or column not in LEVEL_KEY:
            return True
        same = f"SELECT bool_and({column} IS NOT DISTINCT FROM {constant}) FROM levels_before"
        return engine.rows(same)[0][0] is not False


def widest_before_sql(unit: str, aggregation: str, decimal: str) -> str:
    """SQL for the widest level of one unit and aggregation among the levels from before the window."""
    where = f"unit = {unit} AND aggregation = {literal(aggregation)}"
    return f"SELECT max(abs(CAST(level AS {decimal}))) FROM levels_before WHERE {where}"
