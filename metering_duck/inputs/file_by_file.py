"""File by file: on the way to an error that names no file, files are read one by one, up to the bad one.

This costs a pass over the input, and is done only when a run has failed.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, cast

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.failures import Suspect
from metering_duck.engine.remote import shown
from metering_duck.engine.unreadable import TO_ITS_END
from metering_duck.errors import MeteringError, SchemaError, SourceError, StageError
from metering_duck.inputs.file_set import FileSet
from metering_duck.inputs.input import Input
from metering_duck.inputs.parquet_files import ParquetFiles


def suspect_files(engine: Engine, inputs: Iterable[Input | None]) -> None:
    """Tell an engine how the bad file of its inputs is found."""
    for found in inputs:
        if found is not None:
            engine.failures.suspects.append(Suspect(found.name, partial(bad_file, engine, found)))


def bad_file(engine: Engine, found: Input) -> MeteringError | None:
    """The error of the first file that cannot be read to its end by itself; None if all can, or there are no files.

    Raises: MeteringError for what has nothing to do with a file: Interrupted, memory that is used up.
    """
    for path, alone in _one_by_one(found):
        with _twin_of(engine) as other:
            try:
                other.lock_down(alone.paths, extensions=alone.extensions)
                rows = alone.relation(other)
                other.rows(f"SELECT max(hash(COLUMNS(*))) FROM {rows.sql}")
            except StageError as error:
                return SourceError(f"{shown(path)}: cannot be read ({error.cause}); {TO_ITS_END}")
            except (SourceError, SchemaError) as error:
                return error if shown(path) in str(error) else SourceError(f"{shown(path)}: {error}")
    return None


@contextlib.contextmanager
def _twin_of(engine: Engine) -> Iterator[Engine]:
    """A new engine with the same settings, since the other may take no statement any more; both are interrupted."""
    with Engine(**engine.settings) as other:
        engine.failures.twin = other
        try:
            yield other
        finally:
            engine.failures.twin = None


def _one_by_one(found: Input) -> Iterator[tuple[str, Input]]:
    """Each file of an input with the input that has only this file; a database's file with the whole input.

    Nothing for rows in memory, and for those that only another library reads.
    """
    files, plain = getattr(found, "files", None), getattr(found, "plain_files", None)
    if isinstance(files, FileSet):
        for path in files.paths:
            alone = dataclasses.replace(cast(Any, found), files=dataclasses.replace(files, paths=(path,)))
            yield path, cast(Input, alone)
    elif plain is not None and plain.are_here:
        for path in plain.paths:
            yield path, ParquetFiles(FileSet((path,)))
    elif found.paths:
        yield found.paths[0], found
