"""Looking: which event files are there now, compared with the manifest: the same, new, moved, changed or gone.

Days of tables are looked for by ledger/tables.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from datetime import datetime

from metering_duck.engine.remote import shown
from metering_duck.errors import NothingThere, SourceError
from metering_duck.inputs.files import expand, is_pipe
from metering_duck.ledger.manifest import Found, SourceFile
from metering_duck.ledger.places import sha256_of_file, stamps_of


def look(
    known: Sequence[SourceFile], patterns: Iterable[str], remembered: Iterable[str], entered_at: datetime
) -> Found:
    """The files that are there now, where `patterns` say to look and where the ledger looked before.

    Raises: SourceError for one of `patterns` that finds nothing, for a pipe, and for what lies there and cannot be
    read: new files would be missed without a word.
    """
    patterns = list(patterns)
    _refuse_pipes(patterns)
    stamps = stamps_of(file.path for file in known)
    same: list[SourceFile] = []
    rewritten: list[SourceFile] = []
    absent: list[SourceFile] = []
    for file in known:
        if file.path not in stamps:
            absent.append(file)
        elif file.is_as(stamps[file.path]):
            same.append(file)
        else:
            rewritten.append(file)
    paths = [*(file.path for file in rewritten), *_paths(patterns, remembered, {file.path for file in absent})]
    as_before = {file.path for file in same}
    unknown = [path for path in dict.fromkeys(paths) if path not in as_before]
    moved, new, left = _by_content(_hashed(unknown, entered_at), [*absent, *rewritten])
    changed = tuple(file for file in rewritten if file.file_id in left)
    gone = tuple(file for file in absent if file.file_id in left)
    return Found(tuple(same), tuple(new), tuple(moved), changed, gone)


def _refuse_pipes(patterns: Iterable[str]) -> None:
    for pattern in patterns:
        if pattern == "-" or is_pipe(pattern):
            raise SourceError(f"{pattern}: is no file; expected event files, which a ledger can read again later.")


def _by_content(
    files: Iterable[SourceFile], missed: Iterable[SourceFile]
) -> tuple[list[SourceFile], list[SourceFile], set[int]]:
    """Files whose content is that of a missed file, as moved files; all others; and the missed files that are left.

    A missed file is not where it was, or has changed there; a file elsewhere with its content is the moved file. The
    missed files that are left are given by their numbers.
    """
    by_sha256: dict[str, list[SourceFile]] = {}
    for file in missed:
        by_sha256.setdefault(file.sha256, []).append(file)
    moved, new = [], []
    for file in files:
        twins = by_sha256.get(file.sha256)
        if not twins:
            new.append(file)
            continue
        was = next((twin for twin in twins if twin.path == file.path), twins[0])
        twins.remove(was)
        moved.append(file.moved_from(was))
    left = {file.file_id for twins in by_sha256.values() for file in twins}
    return moved, new, left


def _paths(patterns: Iterable[str], remembered: Iterable[str], absent: set[str]) -> list[str]:
    """The files that patterns name now. A file that is `absent` now is not asked for: it counts as moved or gone.

    Raises: SourceError for one of `patterns` that finds nothing, and for a place with files that cannot be read.
    """
    found: dict[str, None] = {}
    for pattern in remembered:
        with contextlib.suppress(NothingThere):
            found |= dict.fromkeys(expand(pattern))
    for pattern in patterns:
        if pattern not in absent:
            found |= dict.fromkeys(expand(pattern))
    return list(found)


def _hashed(paths: Sequence[str], entered_at: datetime) -> list[SourceFile]:
    """Files with the digests of their content.

    Raises: SourceError for a file that cannot be read, or changes while it is read.
    """
    stamps = stamps_of(paths)
    digests: dict[str, str] = {}
    for path in paths:
        try:
            digests[path] = sha256_of_file(path)
        except OSError as error:
            raise SourceError(f"{path}: cannot be read ({error.strerror}); expected a file that can be read.") from None
    after = stamps_of(paths)
    for path in paths:
        if path not in stamps or after.get(path) != stamps[path]:
            raise SourceError(f"{shown(path)}: changed while it was read; expected it to hold still. hint: run again")
    return [SourceFile(0, path, digest, entered_at, stamps[path]) for path, digest in digests.items()]
