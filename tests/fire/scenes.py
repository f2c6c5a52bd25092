"""Scenes: every command that writes, each in a folder that is prepared for it, and what is seen of what it wrote."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from tests import ledger_worlds
from tests.fire import processes
from tests.fire.case import DidNotHold
from tests.worlds import CLOCK

# Columns of a ledger that say when a machine did something, and with what.
OF_THE_CLOCK = {
    *("created_at", "added_at", "entered_at", "gone_at", "modified_ns", "started_at", "finished_at", "versions"),
    *("made_at", "booked_at", "closed_at", "created_with"),
}
MONTHS = ("--from", "2024-01-01", "--to", "2024-04-01", "--every", "month")
WINDOW = ("--start", "2024-01-01", "--end", "2024-04-01", "--every", "day")
RUN = ("--clock", CLOCK, "--threads", "1", "-q")
LEDGER = ("--ledger", "usage.duckdb")
LATER = ("--clock", "2024-07-01T00:00:00Z", "--threads", "1", "-q")
Seen = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """A command, the commands before it, and what others see of what it writes.

    `look` gives part → content. Each part is as before or as after, never between; of a ledger it is `ledger`, which
    grows by whole periods.
    """

    name: str
    command: tuple[str, ...]
    look: Callable[[Path], Seen]
    before: tuple[tuple[str, ...], ...] = ()
    old: Mapping[str, bytes] | None = None
    small: bool = False
    has_ledger: bool = False
    leaves: tuple[str, ...] = ()

    def prepare(self, folder: Path, seed: int) -> None:
        """The folder as it is before the command."""
        folder.mkdir(parents=True)
        count = 150 if self.small else 1500
        events = ledger_worlds.world(seed, count, entered=True)
        ledger_worlds.write_all(folder / "events", ledger_worlds.in_files(events, seed))
        (folder / "late").mkdir()
        shutil.move(folder / "events" / "late.parquet", folder / "late" / "late.parquet")
        (folder / "config.json").write_text(json.dumps(ledger_worlds.NARROW), encoding="utf-8")
        (folder / "other.json").write_text(
            json.dumps(ledger_worlds.NARROW).replace("tokens", "hours"), encoding="utf-8"
        )
        for name, content in (self.old or {}).items():
            (folder / name).write_bytes(content)
        for command in self.before:
            done = processes.run(command, folder, environment=environment_in(folder))
            if done.code:
                raise DidNotHold(f"a command that fails undisturbed: {command[0]}", f"{command}\n{done}")


def environment_in(folder: Path) -> dict[str, str]:
    """The environment of a command: where the catalog of Iceberg tables is."""
    options = {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": f"file://{folder}/iceberg"}
    return {f"PYICEBERG_CATALOG__LAKE__{name.upper()}": value for name, value in options.items()}


# --- what is seen ----------------------------------------------------------------------------------------------------


def files(*names: str) -> Callable[[Path], Seen]:
    """Files as their bytes, None where there is none."""

    def look(folder: Path) -> Seen:
        return {name: (folder / name).read_bytes() if (folder / name).exists() else None for name in names}

    return look


def tree(name: str) -> Callable[[Path], Seen]:
    """Every file below a folder that a reader would read."""

    def look(folder: Path) -> Seen:
        found = {}
        for path in sorted((folder / name).rglob("*")):
            parts = path.relative_to(folder).parts
            if path.is_file() and not any(part.startswith((".", "_")) for part in parts):
                found["/".join(parts)] = path.read_bytes()
        return found

    return look


def table(name: str) -> Callable[[Path], Seen]:
    """The rows of a table of a lake, in order of their ids."""

    def look(folder: Path) -> Seen:
        place = folder / name
        if name == "delta":
            from deltalake import DeltaTable

            if not DeltaTable.is_deltatable(str(place)):
                return {name: None}
            rows = DeltaTable(str(place)).to_pyarrow_table()
        else:
            rows = _iceberg_rows(folder)
        if rows is None or not rows.num_rows:
            return {name: None}
        return {name: rows.sort_by("id").select(sorted(rows.schema.names)).to_pylist()}

    return look


def _iceberg_rows(folder: Path) -> pa.Table | None:
    from pyiceberg.catalog.sql import SqlCatalog

    if not (folder / "catalog.db").exists():
        return None
    prefix = "PYICEBERG_CATALOG__LAKE__"
    options = {name.removeprefix(prefix).lower(): value for name, value in environment_in(folder).items()}
    catalog = SqlCatalog("lake", **options)
    try:
        return catalog.load_table("usage.rows").scan().to_arrow() if catalog.table_exists("usage.rows") else None
    finally:
        catalog.close()


def ledger(*more: str) -> Callable[[Path], Seen]:
    """Every table of a ledger, without the columns of the clock; and files beside it."""

    def look(folder: Path) -> Seen:
        path = folder / "usage.duckdb"
        found: Seen = {"ledger": None}
        if path.exists():
            with duckdb.connect(str(path), read_only=True) as connection:
                found["ledger"] = {name: _rows_of(connection, name) for name in _tables(connection)}
        return found | files(*more)(folder)

    return look


def _tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    names = connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY ALL").fetchall()
    return [name for (name,) in names]


def _rows_of(connection: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    described = connection.execute(f'DESCRIBE "{name}"').fetchall()
    columns = [row[0] for row in described if row[0] not in OF_THE_CLOCK]
    chosen = ", ".join(f'"{column}"' for column in columns) or "1"
    return sorted(map(repr, connection.execute(f'SELECT {chosen} FROM "{name}"').fetchall()))


# --- the scenes ------------------------------------------------------------------------------------------------------

INIT = ("ledger", "init", *LEDGER)
BACKFILL = ("backfill", "events", *LEDGER, "--config", "config.json", *MONTHS, *RUN)
LATE = ("backfill", "events", "late", *LEDGER, "--config", "config.json", *MONTHS, *LATER)
CLOSE = ("close", "2024-01", *LEDGER, "--by", "ann", "--clock", CLOCK)
RESTATE = ("restate", "2024-01", "late", *LEDGER, *LATER)
FILLED = (INIT, BACKFILL)


def _written(name: str, *command: str, beside: Iterable[str] = (), **options: Any) -> Scene:
    return Scene(name, command, files(*[part for part in command if part.startswith("out.")], *beside), **options)


def _scenes() -> list[Scene]:
    meter = ("meter", "events", "--config", "config.json", *RUN)
    aggregate = ("aggregate", "events", "--config", "config.json", *WINDOW, *RUN)
    made = [_written(f"meter-{kind}", *meter, "-o", f"out.{kind}") for kind in ("ndjson", "csv", "parquet", "arrow")]
    made += [_written(f"aggregate-{kind}", *aggregate, "-o", f"out.{kind}") for kind in ("ndjson", "parquet", "xlsx")]
    beside = ("--rejects", "out.rejects.csv", "--conflicts", "out.conflicts.ndjson", "--summary", "out.summary.json")
    made += [
        _written("meter-beside", *meter, "-o", "out.ndjson", *beside),
        _written("meter-over", *meter, "-o", "out.ndjson", old={"out.ndjson": b"what was there before\n"}),
        Scene("tree", (*aggregate, "-o", "tree", "--partition-by", "date"), tree("tree")),
        Scene("tree-meter", (*meter, "-o", "tree", "--partition-by", "subject"), tree("tree")),
        Scene("delta", (*aggregate, "-o", "delta://./delta"), table("delta"), leaves=("delta/",)),
        Scene(
            "delta-merge",
            (*aggregate[:1], "events", "late", *aggregate[2:], "-o", "delta://./delta"),
            table("delta"),
            before=((*aggregate, "-o", "delta://./delta"),),
            leaves=("delta/",),
        ),
        Scene("iceberg", (*aggregate, "-o", "iceberg://lake/usage.rows"), table("iceberg"), leaves=("iceberg/",)),
        Scene(
            "iceberg-merge",
            (*aggregate[:1], "events", "late", *aggregate[2:], "-o", "iceberg://lake/usage.rows"),
            table("iceberg"),
            before=((*aggregate, "-o", "iceberg://lake/usage.rows"),),
            leaves=("iceberg/",),
        ),
        _written(
            "rollup",
            *("rollup", "days.parquet", "--every", "month", "--start", "2024-01-01", "--end", "2024-04-01"),
            *("--clock", CLOCK, "--threads", "1", "-q", "-o", "out.parquet"),
            before=((*aggregate, "--aggregation", "sum", "-o", "days.parquet"),),
        ),
    ]
    kept = {"has_ledger": True, "small": True}
    made += [
        Scene("init", INIT, ledger(), **kept),
        Scene("backfill", BACKFILL, ledger(), before=(INIT,), **kept),
        Scene("backfill-late", LATE, ledger(), before=FILLED, **kept),
        Scene("close", CLOSE, ledger(), before=FILLED, **kept),
        Scene("rerun", ("rerun", "2024-02", "late", *LEDGER, *LATER), ledger(), before=FILLED, **kept),
        Scene("restate", (*RESTATE, "-o", "out.ndjson"), ledger("out.ndjson"), before=(*FILLED, CLOSE), **kept),
        Scene("restate-book", (*RESTATE, "--book", "--by", "ann"), ledger(), before=(*FILLED, CLOSE), **kept),
        Scene(
            "export",
            ("ledger", "export", "readings", *LEDGER, "-o", "out.parquet"),
            ledger("out.parquet"),
            before=FILLED,
            **kept,
        ),
        Scene(
            "fork",
            ("fork-universe", "production", "test-fork", *LEDGER, "-o", "out.parquet", "-q"),
            ledger("out.parquet"),
            before=FILLED,
            **kept,
        ),
        Scene(
            "simulate",
            ("simulate", "2024-02", *LEDGER, "--config", "other.json", "--universe", "simulation-fire", *LATER),
            ledger(),
            before=FILLED,
            **kept,
        ),
    ]
    return made


SCENES = {scene.name: scene for scene in _scenes()}
