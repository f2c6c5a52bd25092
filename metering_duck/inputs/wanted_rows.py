"""Wanted rows: which rows of a table are asked for, by texts and by times, in a form that each reader makes its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from metering_duck.statements.quote import identifier, literal

# From, included, and to, not included; naive UTC, None where there is no bound.
Between = tuple[datetime | None, datetime | None]


@dataclass(frozen=True)
class WantedRows:
    """The rows whose columns have one of the `texts` and are within the `times`; without any, all rows."""

    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    times: Mapping[str, Between] = field(default_factory=dict)

    def with_texts(self, texts: Mapping[str, Sequence[str]]) -> WantedRows:
        """Those of them whose columns have one of the texts, too."""
        return replace(self, texts={**self.texts, **texts})

    def between(self, column: str, bounds: Between) -> WantedRows:
        """Those of them whose column is within the bounds, too."""
        return replace(self, times={**self.times, column: bounds})

    @property
    def conditions(self) -> list[str]:
        """SQL for which rows they are."""
        found = [_one_of_sql(column, texts) for column, texts in self.texts.items()]
        for column, (first, last) in self.times.items():
            bounds = {">=": first, "<": last}
            found += [f"{identifier(column)} {sign} TIMESTAMP '{at}Z'" for sign, at in bounds.items() if at]
        return found


def _one_of_sql(column: str, texts: Sequence[str]) -> str:
    return f"{identifier(column)} IN ({', '.join(map(literal, texts))})"
