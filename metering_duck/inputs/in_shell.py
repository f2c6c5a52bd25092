"""The DuckDB shell: how a shell reads an input that metering-duck hands to its engine in other ways.

With it a printed script runs in a shell as it stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_OURS = re.compile(r"\bFROM input_(?:rows|spooled)\b")


@dataclass(frozen=True)
class InShell:
    """How a shell reads an input: the statements to run `first`, and the `relation` that takes the place of our table.

    An empty `relation` leaves the name of our table in the script.
    """

    first: str = ""
    relation: str = ""

    def instead(self, script: str) -> str:
        """A script in which the relation takes the place of the table that only our engine has."""
        if not self.relation:
            return script
        return _OURS.sub(lambda _: f"FROM {self.relation}", script)


def load_sql(extension: str) -> str:
    """The statements that a shell needs before it can use an extension."""
    return f"INSTALL {extension};\nLOAD {extension};"
