"""Unreadable columns: what DuckDB would change in value, or does not know, is refused where it is used (R36).

A column that no run uses stops nothing: it is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from metering_duck.errors import SchemaError

AS_TEXT = "write it as text, which keeps every digit"


@dataclass(frozen=True)
class Unreadable:
    """A column that cannot be read exactly: `column` names it, or the member of it, as messages do.

    With `is_exact_as_text`, each file has exact numbers: only their types have none in common, and text keeps them all.
    """

    where: str
    column: str
    found: str
    expected: str = "a type that DuckDB reads exactly"
    hint: str = AS_TEXT
    is_exact_as_text: bool = False

    def refuse(self, otherwise: str = "") -> NoReturn:
        """Say why the column cannot be used; `otherwise` is another way out.

        Raises: SchemaError.
        """
        hint = f"{self.hint}, or {otherwise}" if otherwise else self.hint
        raise SchemaError(self.where, self.column, found=self.found, expected=self.expected, hint=hint)


# Column → why it cannot be read.
UnreadableColumns = Mapping[str, Unreadable]
NONE: UnreadableColumns = {}


def check_readable(names: Iterable[str], unreadable: UnreadableColumns, otherwise: str = "") -> None:
    """Refuse the first of the columns that cannot be read.

    Raises: SchemaError.
    """
    for name in names:
        if name in unreadable:
            unreadable[name].refuse(otherwise)
