"""Books: what became of every event that was read (R9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Accounting(Mapping[str, int]):
    """What became of every event (R9): read = metered + unmatched + duplicates + conflicts + rejected. Also a mapping.

    `unmatched_entry` and `unmatched_filter` are the two reasons of unmatched (R1), `times_cut` counts times with digits
    finer than a microsecond (R11), `times_naive` those without an offset; `reasons` counts rejects by reason code.
    """

    read: int
    metered: int
    unmatched: int
    duplicates: int
    conflicts: int
    rejected: int
    unmatched_entry: int = 0
    unmatched_filter: int = 0
    times_cut: int = 0
    times_naive: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def balances(self) -> bool:
        """Whether every event read is accounted for once."""
        return self.read == self.metered + self.unmatched + self.duplicates + self.conflicts + self.rejected

    def to_dict(self) -> dict[str, Any]:
        """As a plain dict, for JSON."""
        return {**asdict(self), "balances": self.balances}

    def __getitem__(self, name: str) -> int:
        try:
            return int(getattr(self, name))
        except (AttributeError, TypeError):
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return (f.name for f in fields(self) if f.name != "reasons")

    def __len__(self) -> int:
        return len(fields(self)) - 1

    def __str__(self) -> str:
        """One line, for people."""
        parts = [
            f"{self.read:,} read = {self.metered:,} metered",
            f"{self.unmatched:,} unmatched",
            counted_noun(self.duplicates, "duplicate"),
            counted_noun(self.conflicts, "conflict"),
            f"{self.rejected:,} rejected",
        ]
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.reasons.items()))
        return " + ".join(parts) + (f" ({reasons})" if reasons else "")


def counted_noun(count: int, noun: str) -> str:
    """1 duplicate, 2 duplicates."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
