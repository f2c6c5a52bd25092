"""Tables in a ledger: which days a Delta or Iceberg table has at its latest version, and which of these days are new.

A day is known by its content: the number of its rows, and the sums of both halves of their MD5. So a compaction, or
rows of other days, leave a day as it was. The sums find every accident; whoever may commit to a table is trusted not to
look for rows with equal sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from metering_duck.engine.remote import scheme_of, shown
from metering_duck.errors import LedgerError
from metering_duck.inputs.lake_snapshot import LakeSnapshot
from metering_duck.inputs.lakes import find_snapshot, is_lake
from metering_duck.inputs.source import Source
from metering_duck.inputs.table_days import ALL, day_name, parts_of
from metering_duck.judging.arrivals import arrivals_stages
from metering_duck.ledger.configs import digest
from metering_duck.ledger.discovering import open_files
from metering_duck.ledger.manifest import Found, SourceFile
from metering_duck.ledger.places import Stamp
from metering_duck.runs.machine import Machine
from metering_duck.statements.select import select, struct
from metering_duck.statements.stages import Query, Stage

# The columns that make the content of a row, whatever file of the table it lies in.
CONTENT = ("workspace_id", "universe_id", "id", "content_text", "metered_at", "reason", "reason_text")


def look_at_table(
    known: Sequence[SourceFile], url: str, entered_at: datetime, source: Source, machine: Machine
) -> Found:
    """The days of a table as it is now; a day that is as the version before had it has moved to this version.

    Raises: SourceError, LedgerError for a table without versions.
    """
    table = find_snapshot(url)
    if table is None:
        raise LedgerError(
            f"{shown(url)}: found a table without versions; expected a Delta or an Iceberg table, which can be read "
            "again as it was. hint: metering-duck aggregate reads it as it is"
        )
    if known and all(_is_at(file, table) for file in known):
        return Found(known=tuple(known))
    before = {_day_of(file.path): file for file in known}
    first_seen_at = min((file.first_seen_at or file.entered_at for file in known), default=entered_at)
    moved, new = [], []
    for day, (content, size) in _contents(table, first_seen_at, source, machine).items():
        stamp, was = Stamp(size, 0, table.identity), before.get(day)
        now = SourceFile(0, day_name(table.name, day), content, entered_at, stamp, first_seen_at=first_seen_at)
        if was and was.sha256 == content:
            moved.append(now.moved_from(was))
            del before[day]
        else:
            new.append(now)
    return Found(new=tuple(new), moved=tuple(moved), superseded=tuple(before.values()))


def contents_of(name: str, first_seen_at: datetime, source: Source, machine: Machine) -> Mapping[str, str]:
    """Day → digest of its content, for the days of a table at a version."""
    table = find_snapshot(name)
    if table is None:
        return {}
    return {day: content for day, (content, _) in _contents(table, first_seen_at, source, machine).items()}


def _is_at(file: SourceFile, table: LakeSnapshot) -> bool:
    """Whether a day is a day of this version of this table."""
    found = parts_of(file.path)
    return found is not None and found[0] == table.name and file.stamp.etag == table.identity


def _day_of(path: str) -> str:
    """The day that a path names; "" for a path that names none."""
    found = parts_of(path)
    return found[1] if found else ""


def _contents(
    table: LakeSnapshot, first_seen_at: datetime, source: Source, machine: Machine
) -> dict[str, tuple[str, int]]:
    """Day → the digest of its rows, in any order, and how many bytes they have."""
    whole = SourceFile(0, day_name(table.name, ALL), "", first_seen_at, Stamp(0, 0), first_seen_at=first_seen_at)
    opened = open_files([whole], source, machine)
    with opened.engine as engine:
        text = f"CAST(to_json({struct({name: name for name in CONTENT})}) AS VARCHAR)"
        rows = Stage("row_texts", "each row as one text", select({"file": "file", "text": text}, "arrivals"))
        sums = {f"{half}_sum": f"CAST(sum(md5_number_{half}(text)) AS VARCHAR)" for half in ("lower", "upper")}
        columns = {"file": "file", "row_count": "count(*)", **sums, "size": "CAST(sum(strlen(text)) AS BIGINT)"}
        by_day = select(columns, "row_texts", group_by=["file"], order_by=["file"])
        stages = (
            *arrivals_stages(opened.layout, (), opened.selection),
            rows,
            Stage("days", "what each day has", by_day),
        )
        found = engine.table(opened.query(Query("days", stages))).to_pylist()
        engine.gate.proofs()
    days = {}
    for row in found:
        content = digest("day", row["row_count"], row["lower_sum"], row["upper_sum"])
        days[_day_of(row["file"])] = content, int(row["size"])
    return days


def table_of(patterns: Iterable[str]) -> str | None:
    """The table among the places of a ledger, as it was named last; None where the places are files.

    Raises: LedgerError where files, or another table, are named, too.
    """
    given = list(patterns)
    tables = [pattern for pattern in given if is_lake(pattern)]
    if not tables:
        return None
    others = [pattern for pattern in given if not is_lake(pattern) or _place(pattern) != _place(tables[-1])]
    if others:
        raise LedgerError(
            f"{shown(others[0])}: found it beside {shown(tables[-1])}; expected one table, or files, in a ledger. "
            "hint: another --ledger"
        )
    return tables[-1]


def _place(url: str) -> str:
    """The URL of a table without its version."""
    scheme = scheme_of(url) or "delta"
    return f"{scheme}://{url.removeprefix(f'{scheme}://').partition('?')[0]}"
