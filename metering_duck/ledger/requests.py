"""Requests: what a person asks of a run beside its period and its config."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Request:
    """Where to look for events beside the places that the ledger knows, as of when to meter, and the run's clock.

    `without_missing` goes on without files that are gone or have changed.
    """

    events: Any
    as_of: datetime | None
    clock: datetime
    without_missing: bool
