"""File findings: whether the files of a ledger are what it says of them: their bytes, and what was learnt of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from metering_duck.errors import MeteringError, SourceError
from metering_duck.inputs.table_days import day_name, parts_of
from metering_duck.ledger.discovering import learnt_of
from metering_duck.ledger.findings import Finding
from metering_duck.ledger.manifest import SourceFile, files_of, keep_files
from metering_duck.ledger.meterer import ledger_source
from metering_duck.ledger.places import Stamp, sha256_of_file, stamps_of
from metering_duck.ledger.store import StoreEngine
from metering_duck.ledger.stored import DEFAULT_SOURCE
from metering_duck.ledger.tables import contents_of
from metering_duck.runs.machine import Machine

CHECK = "files read again"
OF_FILE = ("rows", "rows_without_time", "first_recorded_at", "last_recorded_at", "last_metered_at")
OF_HOUR = ("hour", "events", "first_recorded_at", "last_recorded_at")
OF_REJECT = ("workspace_id", "universe_id", "id", "type", "subject", "time")
PROVEN = ("whole", "bytes", "rows")


def file_findings(engine: StoreEngine) -> Iterator[Finding]:
    """The digest of every file, and the counts, times and proofs of all that are as they were."""
    files = files_of(engine)
    stamps = stamps_of(file.path for file in files)
    digests = list(_digests(engine, files, stamps))
    yield from digests
    wrong = {found.where for found in digests if found.problem}
    same = [file for file in files if file.path not in wrong and file.is_as(stamps.get(file.path))]
    try:
        faults = list(_learnt_otherwise(engine, same)) if same else []
    except MeteringError as error:
        faults = [("the files", f"cannot be compared ({error})")]
    if not faults:
        yield Finding(CHECK, "all")
    for where, problem in faults:
        yield Finding(CHECK, where, problem)


def _digests(engine: StoreEngine, files: Sequence[SourceFile], stamps: Mapping[str, Stamp]) -> Iterator[Finding]:
    days = _days(engine, files)
    for file in files:
        try:
            found = days.get(file.path, "no such day") if file.is_day else sha256_of_file(file.path)
            problem = "" if found == file.sha256 else f"found {found}; expected {file.sha256}"
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
        except SourceError as error:
            problem = str(error)
        size = stamps[file.path].size_bytes if file.path in stamps and not file.is_day else file.stamp.size_bytes
        if not problem and size != file.stamp.size_bytes:
            problem = f"found {size:,} bytes; expected {file.stamp.size_bytes:,}"
        yield Finding("file digest", file.path, problem)


def _days(engine: StoreEngine, files: Sequence[SourceFile]) -> dict[str, str]:
    """The digests of the days of tables, each version read once."""
    source = ledger_source(engine) or DEFAULT_SOURCE
    found: dict[str, str] = {}
    tables = {}
    for file in files:
        parts = parts_of(file.path)
        if parts:
            tables[parts[0]] = file
    for name, file in tables.items():
        with contextlib.suppress(SourceError):
            contents = contents_of(name, file.first_seen_at or file.entered_at, source, Machine())
            found |= {day_name(name, day): sha256 for day, sha256 in contents.items()}
    return found


def _learnt_otherwise(engine: StoreEngine, files: Sequence[SourceFile]) -> Iterator[tuple[str, str]]:
    """What the ledger says of files, and their events do not say."""
    learnt = learnt_of(files, ledger_source(engine) or DEFAULT_SOURCE, Machine())
    for name, table in (("files_found", learnt.files), ("hours_found", learnt.hours), ("timeless", learnt.rejects)):
        if table is not None:
            engine.keep(name, table)
    keep_files(engine, files)
    differs = " OR ".join(f"found.{name} IS DISTINCT FROM kept.{name}" for name in OF_FILE)
    proofs = (f"json_extract_string({{0}}.proven, '$.{name}')" for name in PROVEN)
    proven = " OR ".join(f"{sql.format('found')} IS DISTINCT FROM {sql.format('kept')}" for sql in proofs)
    for what, condition in (
        ("has other rows or times than the ledger says", differs),
        ("is proven otherwise than the ledger says", f"kept.proven IS NOT NULL AND ({proven})"),
    ):
        joined = f"source_files AS kept JOIN files_found AS found USING (path) WHERE gone_at IS NULL AND ({condition})"
        yield from ((str(path), what) for (path,) in engine.rows(f"SELECT path FROM {joined} ORDER BY path"))
    columns = ", ".join(("file", *OF_HOUR))
    kept = f"SELECT {columns} FROM source_hours JOIN files_read USING (file_id)"
    found = f"SELECT {columns} FROM hours_found"
    for one, other in ((kept, found), (found, kept)):
        sql = f"SELECT DISTINCT file FROM (({one}) EXCEPT ALL ({other})) ORDER BY file"
        yield from ((str(file), "has other hours than the ledger says") for (file,) in engine.rows(sql))
    columns = ", ".join(f'"{name}"' for name in OF_REJECT)
    sql = f"(SELECT {columns} FROM timeless) EXCEPT ALL (SELECT {columns} FROM rejects WHERE run_id = 0) ORDER BY ALL"
    for row in engine.rows(sql):
        yield f"event {row[2]}", "has no usable time, and is not among the rejects of run 0"
