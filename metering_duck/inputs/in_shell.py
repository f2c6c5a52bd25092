"""The DuckDB shell: how a shell reads an input that metering-duck hands to its engine in other ways.

With it a printed script runs in a shell as it stands, or says which table the reader has to make first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Only our engine has a table `<name>_<kind>` of an input: the name of the input, and one of these kinds.
KINDS = ("rows", "lines", "spooled")
# A text, a quoted name, or a table behind FROM.
_FROM = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\bFROM (\w+)\b")


@dataclass(frozen=True)
class InShell:
    """How a shell reads an input: the statements to run `first`, and the `relation` that takes the place of our table.

    Without a `relation` the name of our table stays in the script. Where the shell cannot have that table, `kind` is
    its kind, and `rows` says which rows the reader has to put into it. `copies` are files that the relation reads and
    that are removed when the run ends; `assumed` is a file that it reads, although nobody gave it.
    """

    first: str = ""
    relation: str = ""
    kind: str = ""
    rows: str = ""
    copies: tuple[str, ...] = ()
    assumed: str = ""

    def needed(self, name: str) -> str:
        """What the reader has to provide for this input, a table and its rows, or a file; "" for nothing."""
        if self.assumed:
            return self.assumed
        return f"{name}_{self.kind}, {self.rows} that were given as {name}" if self.rows else ""

    def instead(self, name: str, sql: str) -> str:
        """SQL in which the relation takes the place of our table for the input of this name."""
        if not self.relation:
            return sql
        ours = {f"{name}_{kind}" for kind in KINDS}
        return _FROM.sub(lambda match: f"FROM {self.relation}" if match.group(1) in ours else match.group(), sql)


def load_sql(extension: str) -> str:
    """The statements that a shell needs before it can use an extension."""
    return f"INSTALL {extension};\nLOAD {extension};"
