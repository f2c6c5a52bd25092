"""Tables that rows can be written into, by the scheme of their names: the one table that finding and messages read."""

from __future__ import annotations

from metering_duck.engine.remote import READS_AND_WRITES, explained, scheme_of, shown
from metering_duck.errors import ConfigError, MeteringError, SourceError
from metering_duck.outputs.delta_target import DELTA
from metering_duck.outputs.iceberg_target import ICEBERG
from metering_duck.outputs.lake_target import Target

# The scheme of a table's name → the kind of table.
DESTINATIONS = {"delta": DELTA, "iceberg": ICEBERG}


def table_parts(target: str) -> tuple[str, str]:
    """The scheme of a target, and the place behind it; a path without a scheme is a Delta table.

    Raises: ConfigError for a table of another scheme, or at a version.
    """
    scheme = scheme_of(target)
    if not scheme:
        return "delta", target
    if scheme not in DESTINATIONS:
        examples = " or ".join(destination.example for destination in DESTINATIONS.values())
        raise ConfigError(
            f"{shown(target)}: found the scheme {scheme}://; expected a table that can be written. hint: {examples}"
        )
    place, mark, _ = target.removeprefix(f"{scheme}://").partition("?")
    if mark:
        raise ConfigError(f"{shown(target)}: found a version; expected none, since a table is written at its latest.")
    return scheme, place


def find_target(target: str) -> Target:
    """The table that a target names, as it is now, whether there is such a table or not.

    Raises: ConfigError for a name of no table; SourceError where the library is missing or the table cannot be opened.
    """
    kind, place = table_parts(target)
    where = f"{kind}://{shown(place)}"
    try:
        return DESTINATIONS[kind].opened(where, place)
    except ImportError:
        raise SourceError(
            f"{where}: found no {DESTINATIONS[kind].library}; expected it, to write this table. "
            f"hint: pip install 'metering-duck[{kind}]'"
        ) from None
    except (MeteringError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise failure(error, target) from None


def failure(error: Exception, target: str) -> SourceError:
    """The error for a library's message about a table that it cannot write: the library's words may hold secrets."""
    kind, place = table_parts(target)
    found = explained(error, place if scheme_of(place) else "")
    for reads, writes in READS_AND_WRITES.items():
        found = found.replace(reads, writes)
    return SourceError(f"{kind}://{shown(place)}: {found}")
