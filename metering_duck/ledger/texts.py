"""Texts: what a ledger stores as text is checked when it is read back, since a ledger may come from somebody else.

A text is compared with a closed list or a pattern, or read as an argument is, and refused by its table and column.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from metering_duck.contract.config import MeteringConfig, load_config
from metering_duck.contract.intervals import check_zone
from metering_duck.decimals.columns import DIGITS_MAX
from metering_duck.errors import ConfigError, LedgerError, a_kind, cut

# The texts of `sql_type` in ledger/runs.py.
_TYPE = re.compile(r"DECIMAL\((\d{1,2}), ?(\d{1,2})\)|VARCHAR", re.ASCII)
# Plain decimal text (R17).
_QUANTITY = re.compile(r"-?\d{1,1000}(\.\d{1,1000})?", re.ASCII)
SHOWN_CHARACTERS = 80
CHANGED = "hint: the ledger was changed by other means"


def stored_config(text: str) -> MeteringConfig:
    """A config from the text that a ledger keeps of it.

    Raises: LedgerError for a text that no config has.
    """
    with refused("configs.config", text):
        return load_config(object_of(text))


def stored_type(text: str | None) -> str:
    """The SQL type of a run's quantities from the text that a ledger keeps of it: a DECIMAL, or VARCHAR.

    Raises: LedgerError for any other text.
    """
    with refused("runs.quantity_type", text):
        match = _TYPE.fullmatch(text or "")
        if match is None or (match[1] and not (1 <= int(match[1]) <= DIGITS_MAX and int(match[2]) <= int(match[1]))):
            raise ConfigError("quantity_type: found no type; expected DECIMAL(p, s), or VARCHAR.")
        return f"DECIMAL({match[1]}, {match[2]})" if match[1] else "VARCHAR"


@lru_cache
def stored_zone(text: str) -> str:
    """A zone from the name that a ledger keeps of it.

    Raises: LedgerError for a zone that there is not.
    """
    with refused("periods.timezone", text):
        return check_zone(text, "timezone")


def object_of(text: str, known: Container[str] | None = None) -> dict[str, Any]:
    """The JSON object that a text is, with no other names than the known ones.

    Raises: ConfigError, ValueError, RecursionError.
    """
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ConfigError(f"found {a_kind(found)}; expected an object.")
    others = [name for name in found if known is not None and name not in known]
    if others:
        raise ConfigError(f"found {others[0]!r}; expected a name that is known.")
    return found


@contextmanager
def refused(where: str, text: str | None) -> Iterator[None]:
    """Refuse a stored text, with the table and the column that it is in, if it is not what this library would store.

    Raises: LedgerError.
    """
    try:
        yield
    except (ConfigError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        why = str(error).splitlines()[0].partition(" hint:")[0].rstrip(".") if str(error) else type(error).__name__
        shown = None if text is None else cut(text, SHOWN_CHARACTERS)
        why = cut(why, 4 * SHOWN_CHARACTERS)
        raise LedgerError(
            f"{where}: found {shown!r} ({why}); expected what metering-duck stores there. {CHANGED}"
        ) from None


@contextmanager
def naming_ledger(path: Path) -> Iterator[None]:
    """Put the ledger's file before what is said of a text that it stores.

    Raises: LedgerError.
    """
    try:
        yield
    except LedgerError as error:
        if str(error).endswith(CHANGED) and not str(error).startswith(f"{path}: "):
            raise LedgerError(f"{path}: {error}") from None
        raise


def stored_quantity(text: str | None, where: str) -> Fraction:
    """A quantity from the text that a ledger keeps of it; none is 0.

    Raises: LedgerError for any other text.
    """
    with refused(where, text):
        if text is not None and not _QUANTITY.fullmatch(text):
            raise ConfigError("quantity: found no plain number; expected one.")
        return Fraction(text or 0)
