"""Iceberg types: tables with columns of types that pyiceberg does not know, or knows without reading them as they are.

pyiceberg refuses a whole table for one column of VARIANT. Here such a column is BINARY to pyiceberg, which then finds
the table's files; what the column is stays known, and is read by DuckDB, or by nobody.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

# Where the metadata of a table is parsed: of a file, and of what a REST catalog answers.
PARSERS = (("pyiceberg.table.metadata", "TableMetadataWrapper"), ("pyiceberg.catalog.rest", "TableResponse"))
# Kind of nested type → the keys under which its parts are.
PARTS = {"list": ("element",), "map": ("key", "value")}
STAND_IN = "binary"
VARIANT = "variant"
_one_at_a_time = threading.Lock()


@contextmanager
def standing_in() -> Iterator[dict[int, str]]:
    """While this is open, pyiceberg takes each column of a type that it does not know for one of BINARY.

    Gives the id of each such column of a table, and its type; of a nested column the type within that is not known.
    """
    found: dict[int, str] = {}
    with _one_at_a_time:
        parsers = list(_parsers())
        for parser in parsers:
            parser.model_validate_json = _knowing(parser, found)
        try:
            yield found
        finally:
            for parser in parsers:
                del parser.model_validate_json


def _parsers() -> Iterator[Any]:
    """The classes of pyiceberg that parse the metadata of tables."""
    from importlib import import_module

    for module, name in PARSERS:
        with suppress(ImportError, AttributeError):
            yield getattr(import_module(module), name)


def _knowing(parser: Any, found: dict[int, str]) -> Any:
    """What parses JSON in place of a parser's own method."""
    parse = parser.model_validate_json

    def known(text: str | bytes, **options: Any) -> Any:
        told = json.loads(text)
        metadata = told.get("metadata", told)
        for schema in (*metadata.get("schemas", ()), metadata.get("schema") or {}):
            for column in schema.get("fields", ()):
                for kind in _replaced(column, "type"):
                    found.setdefault(int(column["id"]), kind)
        return parse(json.dumps(told) if found else text, **options)

    return known


def _replaced(holder: dict[str, Any], key: str) -> Iterator[str]:
    """Put BINARY for each type in what `holder` has under `key` that pyiceberg does not know; gives these types."""
    kind = holder[key]
    if isinstance(kind, str):
        if not _is_known(kind):
            holder[key] = STAND_IN
            yield kind
        return
    for field in kind.get("fields", ()):
        yield from _replaced(field, "type")
    for part in PARTS.get(kind.get("type"), ()):
        yield from _replaced(kind, part)


def _is_known(kind: str) -> bool:
    """Whether pyiceberg knows the name of a plain type, and reads its values as they are."""
    from pyiceberg.types import NestedField

    try:
        NestedField(1, "column", kind)
    except Exception:
        return False
    return not kind.startswith(("geometry", "geography"))
