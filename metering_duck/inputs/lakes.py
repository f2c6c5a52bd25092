"""The tables that are read by URL: one list of schemes, and how a URL becomes a table at a version.

A table is opened at one version: rows that are committed later are not seen. The name of the input says which version.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from metering_duck.engine.remote import DELTA_LOG, scheme_of, shown
from metering_duck.errors import SourceError, did_you_mean
from metering_duck.inputs.input import Input
from metering_duck.inputs.lake_schemes import Found, LakeScheme

if TYPE_CHECKING:
    from metering_duck.inputs.lake_snapshot import LakeSnapshot


def _delta() -> LakeScheme[LakeSnapshot]:
    from metering_duck.inputs.delta import DELTA

    return DELTA


def _iceberg() -> LakeScheme[LakeSnapshot]:
    from metering_duck.inputs.iceberg import ICEBERG

    return ICEBERG


def _duckdb() -> LakeScheme[Input]:
    from metering_duck.inputs.duckdb_file import DUCKDB

    return DUCKDB


def _ducklake() -> LakeScheme[Input]:
    from metering_duck.inputs.ducklake import DUCKLAKE

    return DUCKLAKE


# Each kind of table has a module of its own, and is listed here; a run over files imports none of them. A ledger can
# tell the days of BY_DAYS tables apart.
BY_DAYS: Mapping[str, Callable[[], LakeScheme[LakeSnapshot]]] = {"delta": _delta, "iceberg": _iceberg}
SCHEMES: Mapping[str, Callable[[], LakeScheme[Input]]] = {**BY_DAYS, "duckdb": _duckdb, "ducklake": _ducklake}


def is_lake(path: str) -> bool:
    """Whether a path names a table of a lake or of a DuckDB file."""
    return scheme_of(path) in SCHEMES or os.path.isdir(os.path.join(path, DELTA_LOG))


def place_of_table(path: str) -> str:
    """The file or folder of a table that is given by its URL; any other input, and a table of a catalog, as it is."""
    if not is_lake(path) or _scheme_of(path) == "iceberg":
        return path
    return path.partition("://")[2].partition("?")[0]


def find_lake(url: str) -> Input:
    """The table that a URL names, at the version that the URL names, otherwise at the latest.

    Raises: SourceError for a library, a table or a version that is not there.
    """
    return _find(url, SCHEMES[_scheme_of(url)]())


def find_snapshot(url: str) -> LakeSnapshot | None:
    """The table that a URL names, if its days can be told apart; None for a table of another kind.

    Raises: SourceError for a library, a table or a version that is not there.
    """
    scheme = BY_DAYS.get(_scheme_of(url))
    if scheme is None:
        find_lake(url)
        return None
    return _find(url, scheme())


def _scheme_of(url: str) -> str:
    """The scheme of a URL; a path without a scheme is a folder with a Delta log."""
    return scheme_of(url) or "delta"


def _find(url: str, scheme: LakeScheme[Found]) -> Found:
    """The table that a URL of the scheme names.

    Raises: SourceError.
    """
    place, options = url, {}
    if scheme_of(url):
        place, _, query = url.removeprefix(f"{scheme.name}://").partition("?")
        # A + stays a +, as in the offset of a time or in a name; parse_qsl would make a blank of it.
        options = dict(parse_qsl(query.replace("+", "%2B"), keep_blank_values=True))
    _check_options(url, place, options, scheme)
    try:
        return scheme.find(place, options)
    except ImportError:
        if not scheme.library:
            raise
        raise SourceError(
            f"{scheme.name}://{place}: found no {scheme.library}; expected it, to read this table. "
            f"hint: pip install 'metering-duck[{scheme.name}]'"
        ) from None


def _check_options(url: str, place: str, options: Mapping[str, str], scheme: LakeScheme[Found]) -> None:
    """Refuse options that a scheme does not have, and two that name a version.

    Raises: SourceError.
    """
    for name in options:
        if name not in scheme.options:
            raise SourceError(
                f"{shown(url)}: found the option {name!r}; expected {' or '.join(scheme.options)}. "
                f"hint: {did_you_mean(name, scheme.options)}"
            )
    if len(options.keys() - {"table"}) > 1:
        given = " and ".join(name for name in options if name != "table")
        raise SourceError(f"{scheme.name}://{place}: found {given}; expected one of them.")
