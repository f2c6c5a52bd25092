"""Wanted rows: which rows of a table are read, by texts and by times, for every reader of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from metering_duck.statements.quote import identifier, literal

# From the first moment, included, to the last, not included; naive UTC, None where there is no bound.
Between = tuple[datetime | None, datetime | None]


@dataclass(frozen=True)
class WantedRows:
    """The rows whose columns have one of the `texts` and are within the `times`; without any, all rows."""

    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    times: Mapping[str, Between] = field(default_factory=dict)

    def with_texts(self, texts: Mapping[str, Sequence[str]]) -> WantedRows:
        """The wanted rows whose columns have one of these texts, too."""
        return replace(self, texts={**self.texts, **texts})

    def between(self, column: str, bounds: Between) -> WantedRows:
        """The wanted rows whose column is within these bounds, too."""
        return replace(self, times={**self.times, column: bounds})

    @property
    def conditions(self) -> list[str]:
        """SQL conditions that the wanted rows fulfil."""
        found = [_one_of_sql(column, texts) for column, texts in self.texts.items()]
        for column, (first, last) in self.times.items():
            if first:
                found.append(f"{identifier(column)} >= TIMESTAMP '{first}Z'")
            if last:
                found.append(f"{identifier(column)} < TIMESTAMP '{last}Z'")
        return found


def _one_of_sql(column: str, texts: Sequence[str]) -> str:
    return f"{identifier(column)} IN ({', '.join(map(literal, texts))})"
