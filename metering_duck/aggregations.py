"""The aggregations by name, and which of two kinds each is.

A *counter* looks at the records inside a window (R12). A *gauge* looks at levels, each held until the next, and so
also at the record before the window (R14, R19). compiler.py knows how each is computed; this file only names them.
"""

from __future__ import annotations

from metering_duck.errors import ConfigError, a_kind, did_you_mean

COUNTERS = ("sum", "max", "min", "latest", "count")
GAUGES = ("time-weighted-avg", "peak-state", "min-state", "final-state")
OTHER_NAMES = {"sum-events": "sum", "max-event": "max", "min-event": "min", "latest-event": "latest"}
NAMES = (*COUNTERS, *GAUGES, *OTHER_NAMES)


def canonical(name: str, where: str) -> str:
    """The one name of an aggregation: `sum-events` is `sum` (R19).

    Raises: ConfigError, with `where`, when there is no such aggregation.
    """
    if not isinstance(name, str):
        raise ConfigError(f"{where}: found {a_kind(name)}; expected the name of an aggregation.")
    name_known = OTHER_NAMES.get(name, name)
    if name_known in COUNTERS or name_known in GAUGES:
        return name_known
    found = f'"{name}"' if name else "nothing"
    raise ConfigError(f"{where}: found {found}; expected an aggregation. hint: {did_you_mean(name, NAMES)}")
