"""The DuckDB shell: how it reads what metering-duck reads by other means, so that a script runs there as it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass

_OURS = re.compile(r"\bFROM input_(?:rows|spooled)\b")


@dataclass(frozen=True)
class InShell:
    """What a shell is told `first`, and the SQL that stands there for the table of ours, "" for that table itself."""

    first: str = ""
    relation: str = ""

    def instead(self, script: str) -> str:
        """A script that reads this where ours reads a table that only we have."""
        return _OURS.sub(lambda _: f"FROM {self.relation}", script) if self.relation else script


def load_sql(extension: str) -> str:
    """What a shell is told before it can use an extension."""
    return f"INSTALL {extension};\nLOAD {extension};"
