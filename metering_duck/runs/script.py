"""Script: what a run does as one SQL script, for a person who reads it or runs it in the DuckDB shell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from metering_duck.inputs.in_shell import InShell
from metering_duck.statements.stages import Query, load_text, with_values


def script_text(
    queries: Iterable[Query], parameters: Mapping[str, object], shell: InShell, *, has_history: bool = False
) -> str:
    """Queries as one SQL script with a run's values in it; `shell` is how the script finds the input there."""
    *before, last = queries
    values = dict(parameters)
    stands = "Runs as it stands in the DuckDB shell."
    if has_history:
        stands = "Reads what the ledger knew, too: the tables entered, repeated_keys and levels_before."
    first = f"{shell.first}\n" if shell.first else ""
    parts = [
        f"-- Made by metering-duck. {stands}\n{first}SET TimeZone = 'UTC';",
        load_text("functions").strip(),
    ]
    parts += [f"CREATE OR REPLACE TEMP TABLE {q.name} AS\n{with_values(q.sql, values)};" for q in before]
    script = "\n\n".join([*parts, with_values(last.sql, values) + ";"]) + "\n"
    return shell.instead(script)
