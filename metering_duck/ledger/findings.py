"""Findings: what `ledger verify` says of each thing that it has looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing that was checked: the kind of check, where, and what is wrong, "" if nothing is."""

    check: str
    where: str
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As a plain dict."""
        return asdict(self)
