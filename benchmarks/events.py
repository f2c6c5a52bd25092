"""Generated usage events: what a data set is like, and the Parquet files it is made into, once.

All chance comes from DuckDB's hash of the event's number and the seed, so that the same shape gives the same rows, in
the same files and the same order, on any number of threads. Events are made a million at a time: the hundred million
of the largest set are never in memory together.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from metering_duck.statements.quote import literal

PIECE = 1_000_000
ROW_GROUP = 122_880
# A set made by another version of this file is made anew: raise it when rows change.
VERSION = 1
PROPERTIES = ("struct", "map", "json", "typed")
REGIONS = ("ap-south", "eu-central", "eu-west", "us-east", "us-west")
MODELS = ("large", "large-vision", "medium", "medium-code", "mini", "nano", "small", "small-code")
DAY_US = 86_400_000_000
# An event that is sent again comes half a million events later, or at the end.
SENT_AGAIN_AFTER = 500_000
DRAWS = 1_000_000
_making = threading.Lock()


@dataclass(frozen=True)
class Shape:
    """What a data set is like; shares are of `events`, which counts distinct ids.

    Shape:  id, workspace_id, universe_id, type, subject, time, metered_at, and `properties` (struct, map, json) or
            columns of their own (typed). A partitioned set has a folder day=YYYY-MM-DD for each UTC date of `time`.
    Units:  `start` is a UTC date, `days` the length; `measurements` above 2 adds extra_1 … extra_n. Of all events the
            first subject has the share `giant`, and its share of the others.
    """

    events: int
    subjects: int
    start: str = "2024-04-01"
    days: int = 30
    properties: str = "struct"
    partitioned: bool = False
    duplicates: float = 0.0
    conflicts: float = 0.0
    late: float = 0.0
    bad: float = 0.0
    measurements: int = 2
    giant: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        if self.events < 1 or self.subjects < 1 or self.days < 1:
            raise ValueError(f"shape: found {self}; expected events, subjects and days above 0.")
        if self.properties not in PROPERTIES:
            raise ValueError(f"shape: found properties {self.properties!r}; expected one of {', '.join(PROPERTIES)}.")
        if min(self.shares) < 0 or sum(self.shares) > 1:
            raise ValueError(f"shape: found shares {self.shares}; expected them from 0 to 1, and 1 at most together.")
        if not 0 <= self.giant <= 1:
            raise ValueError(f"shape: found giant {self.giant}; expected a share from 0 to 1.")

    @property
    def shares(self) -> tuple[float, float, float]:
        """How many of an event are sent twice, in conflict, at fault: no event is two of them."""
        return self.duplicates, self.conflicts, self.bad

    @property
    def rows(self) -> int:
        """About how many rows the files have: every event, and those that are sent again."""
        return round(self.events * (1 + self.duplicates + self.conflicts))

    @property
    def extras(self) -> tuple[str, ...]:
        """The properties that only a set of many measurements has."""
        return tuple(f"extra_{n}" for n in range(1, self.measurements + 1)) if self.measurements > 2 else ()

    @property
    def name(self) -> str:
        """A folder's name: to read, and unlike any other shape's."""
        fields = asdict(self)
        if not self.giant:  # as it was before there were any: a set that is there already is found
            del fields["giant"]
        text = json.dumps({"version": VERSION, **fields}, sort_keys=True)
        layout = "-partitioned" if self.partitioned else ""
        return f"{self.events}-{self.properties}{layout}-{self.days}d-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def generate(shape: Shape, folder: Path) -> Path:
    """The folder with the shape's Parquet files, made now unless it is there already.

    It has its name only when it is whole: it is made under another and renamed.
    """
    with _making:
        return _generate(shape, folder)


def _generate(shape: Shape, folder: Path) -> Path:
    target = folder / shape.name
    if target.is_dir():
        return target
    partial = folder / f"{shape.name}.partial-{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for piece in range(-(-shape.events // PIECE)):
            _write_piece(connection, shape, piece, partial)
    try:
        partial.rename(target)
    except OSError:  # another process was faster
        shutil.rmtree(partial)
    return target


def piece_sql(shape: Shape, piece: int) -> str:
    """The rows of one piece, in order, with the `day` that a partitioned set files them under."""
    return f"""
WITH sent AS (
    {_sent_sql(shape, piece)}
), placed AS (
    SELECT k, again, {_placed_sql(shape)} AS placed_us FROM sent
), timed AS (
    SELECT k, again, placed_us, {_time_sql(shape)} AS time_us FROM placed
), drawn AS (
    SELECT k, again, placed_us, time_us, {_fault_sql(shape)} AS fault FROM timed
)
SELECT
    'e' || lpad(((k * 61803398749 + {shape.seed}) % 1000000000000)::VARCHAR, 12, '0') AS id,
    'acme' AS workspace_id,
    'production' AS universe_id,
    'api.request' AS type,
    CASE WHEN fault = 2 THEN '' ELSE printf('customer:%06d', {_subject_sql(shape)}) END AS subject,
    CASE WHEN fault = 3 THEN NULL ELSE make_timestamptz(time_us) END AS time,
    make_timestamptz(placed_us + (1 + {_draw(shape, "delay", 5000)}) * 1000 + again * 60000000) AS metered_at,
    {_properties_sql(shape)},
    make_timestamp(time_us)::DATE AS day
FROM drawn"""


def _write_piece(connection: duckdb.DuckDBPyConnection, shape: Shape, piece: int, folder: Path) -> None:
    """One file; or one for each day, from a table, so that a day's rows lie together and in order."""
    name = f"piece-{piece:05}.parquet"
    if not shape.partitioned:
        _copy(connection, f"SELECT * EXCLUDE (day) FROM ({piece_sql(shape, piece)})", folder / name)
        return
    numbered = f"SELECT row_number() OVER () AS place, * FROM ({piece_sql(shape, piece)})"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE piece AS SELECT * FROM ({numbered}) ORDER BY day, place")
    for (day,) in connection.execute("SELECT DISTINCT day FROM piece ORDER BY day").fetchall():
        target = folder / f"day={day}" / name
        target.parent.mkdir(exist_ok=True)
        _copy(connection, f"SELECT * EXCLUDE (place, day) FROM piece WHERE day = DATE '{day}'", target)


def _copy(connection: duckdb.DuckDBPyConnection, sql: str, target: Path) -> None:
    connection.execute(f"COPY ({sql}) TO {literal(str(target))} (FORMAT parquet, ROW_GROUP_SIZE {ROW_GROUP})")


# --- the parts of a piece --------------------------------------------------------------------------------------------


def _draw(shape: Shape, what: str, count: int) -> str:
    """A number from 0 up to `count` for the event `k`; what is drawn for one purpose says nothing of another."""
    salt = int.from_bytes(hashlib.sha256(f"{shape.seed} {what}".encode()).digest()[:7], "big")
    return f"(hash(k + {salt}) % {count})::BIGINT"


def _share(share: float) -> int:
    return round(share * DRAWS)


def _sent_sql(shape: Shape, piece: int) -> str:
    """The events of a piece by number; `again` is 1 for a copy of an earlier one, 2 for one that contradicts it."""
    first, last = piece * PIECE, min((piece + 1) * PIECE, shape.events)
    own = f"SELECT range AS k, 0 AS again FROM range({first}, {last})"
    duplicates, repeated = _share(shape.duplicates), _share(shape.duplicates) + _share(shape.conflicts)
    if not repeated:
        return own
    since = max(0, first - SENT_AGAIN_AFTER)
    until = shape.events if last == shape.events else last - SENT_AGAIN_AFTER
    lot = _draw(shape, "lot", DRAWS)
    return f"""{own}
    UNION ALL
    SELECT k, CASE WHEN {lot} < {duplicates} THEN 1 ELSE 2 END AS again
    FROM (SELECT range AS k FROM range({since}, {until})) WHERE {lot} < {repeated}"""


def _start_us(shape: Shape) -> int:
    return int(datetime.fromisoformat(f"{shape.start}T00:00:00+00:00").timestamp()) * 1_000_000


def _placed_sql(shape: Shape) -> str:
    """When an event comes, in microseconds: anywhere in the slice of time that its piece has."""
    each = shape.days * DAY_US // shape.events
    whole = shape.events // PIECE * PIECE
    last = f"CASE WHEN k < {whole} THEN {_draw(shape, 'time', PIECE * each)} "
    slices = f"{last}ELSE {_draw(shape, 'time', max(1, shape.events - whole) * each)} END"
    return f"{_start_us(shape)} + k // {PIECE} * {PIECE * each} + {slices}"


def _time_sql(shape: Shape) -> str:
    """When it happened: as it came, or days before if it is late, but not before the start."""
    if not shape.late:
        return "placed_us"
    before = f"placed_us - (1 + {_draw(shape, 'days late', 5)}) * {DAY_US}"
    late = f"{_draw(shape, 'late', DRAWS)} < {_share(shape.late)} AND {before} >= {_start_us(shape)}"
    return f"CASE WHEN {late} THEN {before} ELSE placed_us END"


def _fault_sql(shape: Shape) -> str:
    """NULL, or what is wrong: 0 no number, 1 no tokens, 2 no subject, 3 no time. The lot has repeated events first."""
    if not shape.bad:
        return "NULL"
    bad = f"{_draw(shape, 'lot', DRAWS)} >= {DRAWS - _share(shape.bad)}"
    return f"CASE WHEN {bad} THEN {_draw(shape, 'fault', 4)} END"


def _subject_sql(shape: Shape) -> str:
    """Any subject, and the first one for a giant's share."""
    anyone = _draw(shape, "subject", shape.subjects)
    if not shape.giant:
        return anyone
    return f"CASE WHEN {_draw(shape, 'giant', DRAWS)} < {_share(shape.giant)} THEN 0 ELSE {anyone} END"


def _properties_sql(shape: Shape) -> str:
    """The properties as the shape has them; without tokens where the fault says so."""
    if shape.properties == "typed":
        return ",\n    ".join(f"{sql} AS {name}" for name, sql in _typed(shape).items())
    texts = _texts(shape)
    if shape.properties == "json":
        parts = [f"'\"{name}\":\"' || {sql} || '\"'" for name, sql in texts.items()]
        return f"'{{' || concat_ws(',', {', '.join(parts)}) || '}}' AS properties"
    struct = f"struct_pack({', '.join(f'{name} := {sql}' for name, sql in texts.items())})"
    return (
        f"CAST({struct} AS MAP(VARCHAR, VARCHAR)) AS properties"
        if shape.properties == "map"
        else f"{struct} AS properties"
    )


def _typed(shape: Shape) -> dict[str, str]:
    """Property → its SQL, in a column of its own type. Such a column cannot hold what is no number: it is NULL."""
    return {
        "tokens": f"CASE WHEN fault <= 1 THEN NULL ELSE CAST({_tokens_text(shape)} AS DECIMAL(18, 6)) END",
        "cost": f"CAST({_texts(shape)['cost']} AS DECIMAL(18, 4))",
        "seats": f"({_draw(shape, 'seats', 1000)})::INTEGER",
        **{name: _texts(shape)[name] for name in ("region", "model")},
        **{name: f"CAST({_texts(shape)[name]} AS DECIMAL(18, 2))" for name in shape.extras},
    }


def _texts(shape: Shape) -> dict[str, str]:
    """Property → its SQL, as text."""
    tokens = _tokens_text(shape)
    return {
        "tokens": f"CASE fault WHEN 0 THEN '12,5' WHEN 1 THEN NULL ELSE {tokens} END" if shape.bad else tokens,
        "cost": _decimal_text(_draw(shape, "cost", 10**7), 4, _draw(shape, "cost digits", 5)),
        "seats": f"({_draw(shape, 'seats', 1000)})::VARCHAR",
        "region": _one_of(REGIONS, _draw(shape, "region", len(REGIONS))),
        "model": _one_of(MODELS, _draw(shape, "model", len(MODELS))),
        **{name: _decimal_text(_draw(shape, name, 10**5), 2, "2") for name in shape.extras},
    }


def _tokens_text(shape: Shape) -> str:
    """Up to 1,000 tokens, of which an event that contradicts an earlier one has one more."""
    more = "+ CASE WHEN again = 2 THEN 1000000 ELSE 0 END" if shape.conflicts else ""
    return _decimal_text(f"({_draw(shape, 'tokens', 10**9)} {more})", 6, _draw(shape, "token digits", 7))


def _decimal_text(units: str, scale: int, digits: str) -> str:
    """A plain decimal: so many units of its last place, cut to so many fraction digits."""
    fraction = f"'.' || left(lpad((({units}) % {10**scale})::VARCHAR, {scale}, '0'), {digits})"
    return f"(({units}) // {10**scale})::VARCHAR || CASE WHEN {digits} = 0 THEN '' ELSE {fraction} END"


def _one_of(names: tuple[str, ...], place: str) -> str:
    return f"[{', '.join(map(repr, names))}][{place} + 1]"
