"""Damaged files: bits turned over, bytes cut off, blocks moved, in every format and compression.

A run over a damaged file ends in one of three ways: the right answer, an error that names the file, or, where the
format has nothing that tells, exactly what the damaged bytes say to a reader that is not the engine.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from metering_duck.errors import MeteringError
from tests.fire import events, forms, judging, processes, reading, texts
from tests.fire.case import Case, DidNotHold, Tried
from tests.fire.judging import Answer
from tests.fire.reading import ChecksumDiffers, NotReadable, NotSure, Read
from tests.worlds import CLOCK, Event

TRIES = 10
CONFIG: Event = {
    "measurements": [
        {"sourceProperty": "q", "unit": "tokens", "aggregation": "sum"},
        {
            "sourceProperty": "r",
            "unit": "calls",
            "aggregation": "max",
            "filter": {"property": "region", "in": ["eu", "us"]},
        },
    ]
}
OPTIONS: dict[str, Any] = {"start": "2024-01-01", "end": "2024-04-01", "group_by": ("region",)}
AS_OPTIONS = (
    "--start",
    "2024-01-01",
    "--end",
    "2024-04-01",
    "--group-by",
    "region",
    "--clock",
    CLOCK,
    "--threads",
    "1",
)
TEXTS = ("ndjson", "json", "csv")
FORMS = (
    *(f"{kind}{codec}" for kind in TEXTS for codec in ("", ".gz", ".zst")),
    *("parquet", "parquet", "parquet", "parquet", "duckdb parquet", "duckdb parquet", "arrow", "arrow stream"),
)


@dataclass(frozen=True)
class Base:
    """A file before it is harmed: its bytes, what they hold, and what it is called."""

    form: str
    data: bytes
    reads: Sequence[Read]
    right: Answer
    details: str
    read: Callable[[bytes], list[Read]]

    @property
    def is_parquet(self) -> bool:
        """Whether it is a Parquet file, by whichever writer."""
        return "parquet" in self.form

    @property
    def suffix(self) -> str:
        """The suffix of the file."""
        return {"duckdb parquet": "parquet", "arrow stream": "arrow"}.get(self.form, self.form)


def play(case: Case) -> Tried:
    """One file, harmed several times, each time in another way."""
    chance = case.chance
    base = make(chance)
    tried = Tried(f"damage/{base.form}")
    harms: list[str] = []
    for number in range(TRIES):
        data, harm = harmed(chance, base.data)
        harms.append(f"{number}: {harm}")
        path = case.folder / f"harmed-{number}.{base.suffix}"
        path.write_bytes(data)
        tried.events += len(base.reads)
        try:
            tried.count(_judge(case, base, path, data))
            if chance.random() < 1 / 15:
                tried.count(_by_command(case, path))
            path.unlink()
        except DidNotHold as fault:
            fault.what = f"{fault.what} ({base.form})"
            fault.details = f"{path.name}: {harm}; {base.details}\n{fault.details}"
            tried.fault(fault)
    if tried.faults:
        (case.folder / f"whole.{base.suffix}").write_bytes(base.data)
        (case.folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
        (case.folder / "harms.txt").write_text("\n".join(harms), encoding="utf-8")
    return tried


# --- a file ----------------------------------------------------------------------------------------------------------


def make(chance: random.Random) -> Base:
    """A file of good events; whole, the oracle's answer is the engine's."""
    form = chance.choice(FORMS)
    made = _events(chance)
    kind, _, codec = form.partition(".")
    if kind in TEXTS:
        text, read = _text(chance, kind, made)
        data = forms.compressed(chance, text, codec)
        return _base(form, data, read(text), "", lambda harm: read(reading.decompressed(harm, codec)))
    table = _table(chance, made)
    if kind.startswith("arrow"):
        codec = chance.choice((None, "lz4", "zstd"))
        data = forms.arrow_bytes(chance, table, "stream" if "stream" in kind else "file", codec)
        return _base(form, data, reading.of_arrow(data), f"buffers {codec}", reading.of_arrow)
    if kind == "duckdb parquet":
        data, details = _of_duckdb(chance, table)
    else:
        options = {
            "write_page_checksum": chance.random() < 0.5,
            "compression": chance.choice(("none", "snappy", "zstd", "gzip", "lz4", "brotli")),
        }
        data, details = forms.parquet_bytes(chance, table, **options), json.dumps(options)
    return _base(form, data, reading.of_parquet(data), details, reading.of_parquet)


def _base(form: str, data: bytes, reads: list[Read], details: str, read: Callable[[bytes], list[Read]]) -> Base:
    return Base(form, data, reads, judging.expected(reads, CONFIG, OPTIONS), details, read)


def _events(chance: random.Random) -> list[Event]:
    """Ten to eighty events, a few of them duplicates, with a property that fills pages."""
    found, length = events.words(chance, plain=True), chance.choice((0, 10, 200))
    made = []
    for number in range(chance.randint(10, 80)):
        quantity = Decimal(chance.randrange(10**9)).scaleb(-chance.randrange(7))
        properties = {
            "q": f"{quantity:f}",
            "r": str(chance.randrange(1000)),
            "region": chance.choice(("eu", "us", "ap")),
            "note": f"{chance.getrandbits(4 * length):0{length}x}" if length else "-",
        }
        one: Event = {
            "id": f"e{number}",
            "workspaceID": chance.choice(found.workspaces),
            "universeID": chance.choice(("u1", "u2")),
            "type": "call",
            "subject": chance.choice(found.subjects),
            "time": f"2024-0{chance.randint(1, 3)}-{chance.randint(1, 28):02}T{chance.randrange(24):02}:00:00Z",
            "meteredAt": chance.choice(texts.METERED),
            "properties": properties,
        }
        made += [one] if chance.random() < 0.9 else [one, one]
    return made


def _text(chance: random.Random, kind: str, made: list[Event]) -> tuple[bytes, Callable[[bytes], list[Read]]]:
    if kind == "ndjson":
        return forms.lines(chance, made, odd=False).encode(), reading.of_lines
    if kind == "csv":
        columns = forms.csv_columns(made)
        return forms.csv(chance, made).encode(), lambda text: reading.of_csv(text, columns)
    return ("[" + ",\n".join(forms.line_of(chance, one) for one in made) + "]").encode(), reading.of_array


def _table(chance: random.Random, made: list[Event]) -> pa.Table:
    """Events in typed columns, properties beside fields or in a MAP."""
    if chance.random() < 0.3:
        return forms.table_of(chance, made)
    number = chance.choice((pa.decimal128(20, 6), pa.decimal128(38, 6), pa.string()))
    quantities = [one["properties"]["q"] for one in made]
    moments = {
        name: pa.array([one[spelled] for one in made]).cast(pa.timestamp("us", "UTC"))
        for name, spelled in (("time", "time"), ("metered_at", "meteredAt"))
    }
    plain = {
        "id": "id",
        "workspace_id": "workspaceID",
        "universe_id": "universeID",
        "type": "type",
        "subject": "subject",
    }
    return pa.table(
        {
            **{name: [one[spelled] for one in made] for name, spelled in (plain | {"subject": "subject"}).items()},
            **moments,
            "q": pa.array(quantities if number == pa.string() else list(map(Decimal, quantities)), number),
            "r": pa.array([int(one["properties"]["r"]) for one in made], chance.choice((pa.int64(), pa.int32()))),
            **{name: [one["properties"][name] for one in made] for name in ("region", "note")},
        }
    )


def _of_duckdb(chance: random.Random, table: pa.Table) -> tuple[bytes, str]:
    codec = chance.choice(("uncompressed", "snappy", "zstd", "gzip", "lz4_raw", "brotli"))
    version = chance.choice(("V1", "V2"))
    with duckdb.connect() as connection, tempfile.TemporaryDirectory() as folder:
        connection.register("rows_of_file", table)
        path = Path(folder) / "rows.parquet"
        connection.execute(
            f"COPY rows_of_file TO '{path}' (FORMAT parquet, COMPRESSION {codec}, PARQUET_VERSION {version})"
        )
        data = path.read_bytes()
    return data, f"DuckDB, {codec}, {version}"


# --- harm ------------------------------------------------------------------------------------------------------------


def harmed(chance: random.Random, data: bytes) -> tuple[bytes, str]:
    """The bytes with some harm done, and what it was: a few words, a colon, and where.

    A flip among the last bytes is one of a checksum or a length that follows good content, where the format has some.
    """
    while True:
        found, harm = chance.choices(HARMS, [weight for _, weight in WEIGHTS])[0](chance, data)
        if found != data:
            return found, harm


def _flip(chance: random.Random, data: bytes) -> tuple[bytes, str]:
    place, bit = chance.randrange(len(data)), chance.randrange(8)
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :], f"a bit: {bit} of byte {place}"


def _flip_at_end(chance: random.Random, data: bytes) -> tuple[bytes, str]:
    place, bit = len(data) - chance.randint(1, min(8, len(data))), chance.randrange(8)
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[
        place + 1 :
    ], f"a bit at the end: {bit} of byte {place}"


def _flips(chance: random.Random, data: bytes) -> tuple[bytes, str]:
    found, places = bytearray(data), [chance.randrange(len(data)) for _ in range(chance.randint(2, 8))]
    for place in places:
        found[place] ^= 1 << chance.randrange(8)
    return bytes(found), f"some bits: of bytes {places}"


def _overwrite(chance: random.Random, data: bytes) -> tuple[bytes, str]:
    start, length = chance.randrange(len(data)), chance.choice((1, 2, 8, 100, 4096))
    new = chance.choice((bytes(length), b"\xff" * length, chance.randbytes(length)))
    new = new[: len(data) - start]
    return data[:start] + new + data[start + len(new) :], f"bytes written over: {len(new)} from {start}"


def _cut(chance: random.Random, data: bytes) -> tuple[bytes, str]:
    end = chance.randrange(len(data)) if chance.random() < 0.7 else max(0, len(data) - chance.randint(1, 16))
    return data[:end], f"cut: at {end} of {len(data)}"


def _taken_out(chance: random.Random, data: bytes) -> tuple[bytes, str]:
    start, length = chance.randrange(len(data)), chance.choice((1, 2, 16, 300))
    return data[:start] + data[start + length :], f"bytes taken out: {length} from {start}"


def _put_in(chance: random.Random, data: bytes) -> tuple[bytes, str]:
    start, length = chance.randrange(len(data) + 1), chance.choice((1, 2, 16, 300))
    return data[:start] + chance.randbytes(length) + data[start:], f"bytes put in: {length} at {start}"


def _twice(chance: random.Random, data: bytes) -> tuple[bytes, str]:
    start, length = chance.randrange(len(data)), chance.choice((1, 16, 300, 4096))
    return data[: start + length] + data[start:], f"bytes twice: {length} from {start}"


def _behind(chance: random.Random, data: bytes) -> tuple[bytes, str]:
    new = chance.choice((b"\0" * chance.randint(1, 600), chance.randbytes(chance.randint(1, 40)), data))
    return data + new, f"bytes behind the end: {len(new)}"


def _swapped(chance: random.Random, data: bytes) -> tuple[bytes, str]:
    length = min(chance.choice((1, 16, 512)), len(data) // 2)
    one, other = sorted(chance.randrange(len(data) - length + 1) for _ in range(2))
    other = max(other, one + length)
    if other + length > len(data):
        return data, ""
    found = data[:one] + data[other : other + length] + data[one + length : other] + data[one : one + length]
    return found + data[other + length :], f"blocks swapped: {length} bytes at {one} and {other}"


WEIGHTS = (
    (_flip, 31),
    (_flip_at_end, 4),
    (_flips, 8),
    (_overwrite, 12),
    (_cut, 20),
    (_taken_out, 7),
    (_put_in, 4),
    (_twice, 4),
    (_behind, 5),
    (_swapped, 5),
)
HARMS = tuple(harm for harm, _ in WEIGHTS)


# --- what came of it -------------------------------------------------------------------------------------------------


def _judge(case: Case, base: Base, path: Path, data: bytes) -> str:
    case.now("engine")
    found = judging.answered(str(path), CONFIG, OPTIONS)
    case.now("another reader")
    if case.plant == "digit" and isinstance(found, MeteringError):
        # What the engine would say, if it took what it could read and said nothing of the rest.
        found = judging.expected(base.reads[: len(base.reads) // 2], CONFIG, OPTIONS)
    if isinstance(found, MeteringError):
        if path.name not in str(found):
            raise DidNotHold(f"an error that names no file: {judging.first_words(found)}", str(found))
        return "an error that names the file"
    if not base.right.difference(found, rejects=False):
        _expect_checksums(base, data)
        return "the right answer"
    try:
        reads = base.read(data)
    except NotReadable as error:
        if base.is_parquet and not isinstance(error, ChecksumDiffers) and _is_told_by_verifying(path):
            return "told by --verify-files alone"
        if found.counts["rejected"] == found.counts["read"]:
            return "nothing counts, and every row is a reject"
        raise DidNotHold(
            "a wrong answer from a file that is not whole", f"{error}\n{base.right.shown(found)}"
        ) from None
    except NotSure as error:
        if found.counts["read"] >= len(base.reads):
            return "an answer that accounts for every row"
        raise DidNotHold("an answer that nobody can check", f"{error}\n{base.right.shown(found)}") from None
    said = judging.expected(reads, CONFIG, OPTIONS)
    if said.difference(found, rejects=False):
        if base.is_parquet and _is_told_by_verifying(path):
            return "told by --verify-files alone"
        raise DidNotHold("another answer than the damaged file says", said.shown(found))
    return "what the damaged bytes say"


def _is_told_by_verifying(path: Path) -> bool:
    """Whether --verify-files refuses a Parquet file that a run takes.

    Which values of a page are absent has no check but its checksum, if it has one; that DuckDB and another reader agree
    over every page is more than a run can look at (docs/files.md).
    """
    found = judging.answered(str(path), CONFIG, {**OPTIONS, "verify_files": True})
    return isinstance(found, MeteringError) and path.name in str(found)


def _expect_checksums(base: Base, data: bytes) -> None:
    """A right answer is no excuse: where a checksum does not hold, nobody knows that it is right."""
    try:
        base.read(data)
    except ChecksumDiffers as error:
        raise DidNotHold("a checksum that does not hold, and no error", str(error)) from None
    except (NotReadable, NotSure):
        pass


def _by_command(case: Case, path: Path) -> str:
    """The command line says what the library says: the same bytes, or the same words."""
    config = case.folder / "config.json"
    config.write_text(json.dumps(CONFIG), encoding="utf-8")
    case.now("command")
    arguments = ["aggregate", str(path), "--config", str(config), *AS_OPTIONS]
    done = processes.run(arguments, case.folder)
    case.now("library")
    found = judging.written(str(path), CONFIG, OPTIONS)
    if "Traceback" in done.error:
        raise DidNotHold("a traceback on the command line", done.error)
    if isinstance(found, MeteringError):
        if done.code not in (1, 2) or path.name not in done.error or done.output:
            raise DidNotHold("a command that does not say what the library says", f"{done}\n{found}")
        return "the command line says the same"
    if (done.code, done.output) != (0, found):
        raise DidNotHold("a command that does not say what the library says", f"{done}\n{found!r}")
    return "the command line says the same"
