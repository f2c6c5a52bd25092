"""History: what is already known of the events that a run need not read, so that it reads those of its window only.

A ledger keeps it: when each file was first seen, which keys occur in other files too, and the level that each gauge has
when the window begins. With it a window's readings are byte for byte those of all events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.inputs.fields import ENTERED_BY_FILE, Reach
from metering_duck.judging.repeated_hashes import Hashes, as_column
from metering_duck.statements.quote import literal

# The level of each gauge at a moment: whose and which, since when, which event set it, and how high, as exact text.
LEVELS_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("workspace_id", "universe_id", "subject", "dimensions", "unit", "aggregation")]
    + [(name, pa.timestamp("us")) for name in ("recorded_at", "metered_at")]
    + [(name, pa.string()) for name in ("event_id", "level")]
)
LEVEL_KEY = ("workspace_id", "universe_id", "subject", "dimensions")


@dataclass(frozen=True)
class History:
    """What a run is told.

    `entered` is when each file was first seen, naive UTC: when its events entered, where they do not say so themselves.
    `repeated` are the hashes of the keys that may occur more than once, None where that is not known; rows of theirs
    that are out of the window are in `others`. `levels` (LEVELS_SCHEMA) are those that hold when the window begins,
    None where the levels of all events before it are read. With `numbers_rows`, each row knows its place in its file.
    `reach` says which events are read of the files, by the window.
    """

    entered: Mapping[str, datetime]
    others: tuple[str, ...] = ()
    repeated: Hashes | None = None
    levels: pa.Table | None = None
    numbers_rows: bool = False
    reach: Reach = "all"

    @property
    def entered_sql(self) -> str:
        """SQL for when an event entered that does not say so itself."""
        moments = set(self.entered.values())
        return f"TIMESTAMP '{moments.pop()}'" if len(moments) == 1 else ENTERED_BY_FILE

    @property
    def paths(self) -> list[str]:
        """All files, those that are only compared with included."""
        return list(self.entered)

    def keep(self, engine: Engine) -> None:
        """Fill the tables that queries read."""
        moments = pa.array(self.entered.values(), pa.timestamp("us"))
        engine.keep("entered", pa.table({"file": self.paths, "entered_at": moments}))
        if self.repeated is not None:
            engine.keep("repeated_keys", pa.table({"key_hash": as_column(self.repeated)}))
        if self.levels is not None:
            engine.keep("levels_before", self.levels)

    def holds(self, column: str, constant: str, engine: Engine) -> bool:
        """Whether a column that is one constant in all rows read is so in the levels from before, too."""
        if self.levels is None or column not in LEVEL_KEY:
            return True
        same = f"SELECT bool_and({column} IS NOT DISTINCT FROM {constant}) FROM levels_before"
        return engine.rows(same)[0][0] is not False


def widest_before_sql(unit: str, aggregation: str, decimal: str) -> str:
    """The widest level from before, of one unit and aggregation."""
    where = f"unit = {unit} AND aggregation = {literal(aggregation)}"
    return f"SELECT max(abs(CAST(level AS {decimal}))) FROM levels_before WHERE {where}"
