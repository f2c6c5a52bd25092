"""Idle choices: what the caller has chosen of how an input is read, and what changes nothing in this input."""

from __future__ import annotations

from collections.abc import Iterator

from metering_duck.engine.duckdb import Engine
from metering_duck.inputs.file_set import FileSet
from metering_duck.inputs.from_columns import HOLDS_BYTES
from metering_duck.inputs.input import Input
from metering_duck.inputs.layout import Layout
from metering_duck.inputs.relations import Relation
from metering_duck.inputs.source import Source


def idle_choices(engine: Engine, found: Input, source: Source, given: Relation, layout: Layout) -> Iterator[str]:
    """A sentence about each choice that changes nothing, and about ids that are there and not used."""
    if source.generate_ids and layout.has_ids:
        yield (
            f"generate-ids: {found.name} has ids, which are not used: each row counts, however often it was sent. "
            "hint: leave it out where an id is an event's"
        )
    if source.binary_as_text and not _has_bytes(engine, given):
        yield "binary-as-text: changes nothing: no column has bytes."
    files = getattr(found, "files", None)
    if source.folder_keys and not (isinstance(files, FileSet) and files.keys):
        yield "folder-keys: changes nothing: no folder KEY=VALUE is a column of this input."


def _has_bytes(engine: Engine, given: Relation) -> bool:
    """Whether a column has bytes; JSON has none."""
    return not given.is_json and any(HOLDS_BYTES.search(kind) for kind in engine.describe(given.sql).values())
