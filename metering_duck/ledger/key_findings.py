"""Key findings: whether the repeated keys that a ledger keeps are those of its files (R8, R38)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from metering_duck.errors import MeteringError
from metering_duck.ledger.discovering import repeated_rows
from metering_duck.ledger.findings import Finding
from metering_duck.ledger.manifest import EVENT_KEY, WITHOUT_KEYS, SourceFile, files_of, keep_files
from metering_duck.ledger.meterer import ledger_source
from metering_duck.ledger.places import stamps_of
from metering_duck.ledger.store import StoreEngine
from metering_duck.ledger.stored import DEFAULT_SOURCE
from metering_duck.runs.machine import Machine

CHECK = "event keys"
KEY = ", ".join(EVENT_KEY)
# One row of a key tells nothing: all rows of a repeated key are kept.
ALONE = f"SELECT {KEY} FROM repeated_rows GROUP BY ALL HAVING count(*) = 1 ORDER BY ALL"
KEPT = (
    f"SELECT {KEY}, file_id, recorded_at FROM repeated_rows JOIN files_read USING (file_id) "
    f"QUALIFY count(*) OVER (PARTITION BY {KEY}) > 1"
)
FOUND = f"SELECT {KEY}, file_id, recorded_at FROM keys_found JOIN files_read USING (file)"


def event_key_findings(engine: StoreEngine, *, from_files: bool) -> Iterator[Finding]:
    """Whether all files have keys, and each key several rows; `from_files` compares them with the files' own keys."""
    old = "kept as an earlier version did. hint: metering-duck ledger migrate"
    problems = [(file.path, old) for file in files_of(engine, WITHOUT_KEYS)]
    problems += [(_key(row), "has one row; a repeated key has several") for row in engine.rows(ALONE)]
    if from_files:
        problems += _differences(engine)
    if not problems:
        yield Finding(CHECK, "all")
    for where, problem in problems:
        yield Finding(CHECK, where, problem)


def _differences(engine: StoreEngine) -> list[tuple[str, str]]:
    """The keys of which rows are kept and not in the files, or the other way round."""
    files = [file for file in files_of(engine) if file.has_keys]
    stamps = stamps_of(file.path for file in files)
    try:
        return list(_compared(engine, [file for file in files if file.is_as(stamps.get(file.path))]))
    except MeteringError as error:
        return [("the files", f"cannot be compared ({error})")]


def _compared(engine: StoreEngine, files: Sequence[SourceFile]) -> Iterator[tuple[str, str]]:
    engine.keep("keys_found", repeated_rows(files, ledger_source(engine) or DEFAULT_SOURCE, Machine()))
    keep_files(engine, files)
    for one, other, what in (
        (FOUND, KEPT, "is in the file twice or elsewhere, too, and is not kept"),
        (KEPT, FOUND, "is kept, and is not in the files so"),
    ):
        for row in engine.rows(f"({one}) EXCEPT ALL ({other}) ORDER BY ALL"):
            yield _key(row), what


def _key(row: Sequence[object]) -> str:
    """An event's key in words."""
    workspace, universe, event = row[:3]
    return f"{event} of {workspace} in {universe}"
