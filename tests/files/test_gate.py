"""The gate: whatever is read, no number leaves before every file has been proven whole."""

from __future__ import annotations

import gzip
import json
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from metering_duck import Ledger, SourceError, aggregate, fork_universe, meter, rollup
from metering_duck.engine.duckdb import Engine
from metering_duck.files.arrow_batches import batches_of
from metering_duck.files.gate import Gate
from metering_duck.files.proofs import Claim
from tests.files.harm import CONFIG, arrow, csv, events, metered, ndjson, parquet_with, table, zstd
from tests.worlds import CLOCK

MONTH = {"start": "2024-01-01", "end": "2024-02-01", "aggregation": "sum", "clock": CLOCK}
CUT = gzip.compress(ndjson(60))[:-1]


def written(path: Path, content: bytes) -> Path:
    """A file with this content, in a folder that is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def header(flags: int, fields: bytes) -> bytes:
    """A gzip member whose header has more fields."""
    content = ndjson(60)
    made = zlib.compressobj(wbits=-15)
    trailer = zlib.crc32(content).to_bytes(4, "little") + len(content).to_bytes(4, "little")
    return (
        b"\x1f\x8b\x08" + bytes([flags, 0, 0, 0, 0, 0, 255]) + fields + made.compress(content) + made.flush() + trailer
    )


def crc16() -> bytes:
    """The checksum of a header that has nothing else."""
    return (zlib.crc32(b"\x1f\x8b\x08\x02\x00\x00\x00\x00\x00\xff") & 0xFFFF).to_bytes(2, "little")


LEGAL = {
    "zeros behind": gzip.compress(ndjson(60)) + b"\0" * 511,
    "one zero behind": gzip.compress(ndjson(60)) + b"\0",
    "an empty member behind": gzip.compress(ndjson(60)) + gzip.compress(b""),
    "many members": b"".join(gzip.compress(line + b"\n") for line in ndjson(60).splitlines()),
    "a comment": header(16, b"a comment\0"),
    "a name and a comment": header(24, b"a\0b\0"),
    "a checksum of the header": header(2, crc16()),
    "a mark of text": header(1, b""),
    "a comment and an odd writer": header(16, b"a comment\0").replace(b"\0\xff", b"\x07\x20", 1),
    "a comment of an odd writer in a later member": gzip.compress(b"")
    + header(16, b"a comment\0").replace(b"\0\xff", b"\x07\x20", 1),
    "a comment in a later member": gzip.compress(b"") + header(16, b"a comment\0"),
}


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", LEGAL)
def test_gzip_that_is_legal_is_read_under_its_own_name(name: str, tmp_path: Path) -> None:
    """What DuckDB refuses of gzip is read all the same; rejects and the summary have the file's own name."""
    path = written(tmp_path / "region=eu" / "a.ndjson.gz", LEGAL[name])
    with meter(path, CONFIG, clock=CLOCK) as records:
        assert 60 == records.accounting.metered
        assert [str(path)] == [proof["file"] for proof in records.files]
    config = {"measurements": [{"sourceProperty": "nothing", "unit": "seats"}]}
    with meter(path, config, clock=CLOCK) as records:
        assert {str(path)} == set(records.rejects["file"].to_pylist())


def test_a_padded_csv_keeps_its_partitions(tmp_path: Path) -> None:
    """The copy that is read in a file's place lies in folders of the same names."""
    for region in ("eu", "us"):
        written(
            tmp_path / f"region={region}" / "a.csv.gz",
            gzip.compress(csv(2).replace(b'"e', b'"' + region.encode())) + b"\0",
        )
    with aggregate(tmp_path, CONFIG, group_by="region", **MONTH) as readings:
        found = {row["dimensions"]["region"]: row["quantity"] for row in readings.to_dicts()}

    assert {"eu": Decimal(3), "us": Decimal(3)} == found


HARMED = {
    "a cut member": (CUT, "found that it ends in the middle of gzip member 1"),
    "a cut second member": (gzip.compress(b"\n") + CUT, "found that it ends in the middle of gzip member 2"),
    "another checksum": (
        gzip.compress(ndjson(60))[:-5] + b"1234\0",
        "found that the checksum of gzip member 1 does not",
    ),
    "another length": (gzip.compress(ndjson(60))[:-2] + b"12", "found that the length of gzip member 1 is not"),
    "bytes behind": (gzip.compress(ndjson(60)) + b"more", "found bytes behind gzip member 1 that are no member"),
    "a member behind zeros": (gzip.compress(b"\n") + bytes(9) + CUT, "found 9 zeros behind gzip member 1, and bytes"),
}


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", HARMED)
def test_what_is_wrong_with_a_gzip_file_is_said(name: str, tmp_path: Path) -> None:
    """The error names the file, the member, and the way out."""
    content, found = HARMED[name]
    path = written(tmp_path / "a.ndjson.gz", content)

    assert str(metered(path)).startswith(f"{path}: {found}")
    assert str(metered(path)).endswith("hint: fetch it again, or take it from its source anew")


FRAMES = {
    "a cut frame": (zstd(ndjson(60))[:-1], "found that it ends in the middle of zstd frame 1"),
    "a cut behind a block": (zstd(ndjson(60))[: 6 + 3 * 1003], "found that it ends in the middle of zstd frame 1"),
    "a cut without a checksum": (zstd(b"") + zstd(ndjson(60), checked=False)[:-1], "middle of zstd frame 2"),
    "another checksum": (zstd(ndjson(60))[:-4] + b"1234", "found that the checksum of zstd frame 1 does not fit"),
    "in the second": (zstd(b"\n") + zstd(ndjson(60))[:-4] + b"1234", "checksum of zstd frame 2 does not fit"),
    "bytes behind": (zstd(ndjson(60)) + b"more", "found bytes behind zstd frame 1 that are no frame"),
    "zeros behind": (zstd(ndjson(60)) + bytes(9), "found bytes behind zstd frame 1 that are no frame"),
    "a window of 2 GB": (b"\x28\xb5\x2f\xfd\x00\xa8" + bytes(9), "needs a window of 2,048 MB; .* zstd -d --long=31"),
    "a dictionary": (b"\x28\xb5\x2f\xfd\x01\x50\x07" + bytes(9), "found that zstd frame 1 needs a dictionary"),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", FRAMES)
def test_what_is_wrong_with_a_zstd_file_is_said(name: str, tmp_path: Path) -> None:
    """The error names the file, the frame, and the way out."""
    content, found = FRAMES[name]
    path = written(tmp_path / "a.ndjson.zst", content)
    with pytest.raises(SourceError, match=f"{path}: .*{found}"), meter(path, CONFIG) as records:
        _ = records.accounting


def harmed_page() -> bytes:
    """A Parquet file with a digit changed in a page that has a checksum."""
    whole = parquet_with(60, use_dictionary=False, compression="none")
    place = whole.index(b"2024-01-01T00:00:07Z")
    return whole[:place] + b"3" + whole[place + 1 :]


def test_a_harmed_page_names_the_file_and_the_column(tmp_path: Path) -> None:
    """DuckDB does not compare the checksums of pages, and would sum what it finds."""
    path = written(tmp_path / "a.parquet", harmed_page())

    assert str(metered(path)).startswith(f"{path}: found that the checksum of page 1 of the column time does not fit")


def test_one_harmed_file_of_several_is_named(tmp_path: Path) -> None:
    """The error is about the file that is harmed, not about the files that are read with it."""
    written(tmp_path / "a.parquet", parquet_with(60))
    written(tmp_path / "b.parquet", harmed_page())

    assert str(metered(tmp_path)).startswith(f"{tmp_path}/b.parquet: found that the checksum")


def test_a_file_is_named_where_duckdb_fails_over_its_damage(tmp_path: Path) -> None:
    """Damage that makes a row unreadable is said to be damage, and not that the row has too few columns."""
    content = csv(60)
    path = written(tmp_path / "a.csv.gz", gzip.compress(content.replace(b",", b"x", 1))[:-8] + bytes(8))

    assert str(metered(path)).startswith(f"{path}: found that the checksum of gzip member 1 does not fit")


ARROWS: dict[str, Callable[[int], bytes]] = {
    "file": lambda count: arrow(count, pa.ipc.new_file),
    "stream": lambda count: arrow(count, pa.ipc.new_stream),
}


@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", ARROWS)
def test_an_arrow_file_cut_anywhere_is_an_error(kind: str, tmp_path: Path) -> None:
    """A stream that is cut between two batches looks like a shorter one: it has to end with the mark of its end."""
    whole = ARROWS[kind](60)
    path = written(tmp_path / "a.arrow", whole)
    assert Decimal(1830) == metered(path)
    for size in (len(whole) - 8, len(whole) - 9, len(whole) // 2, 100):
        written(path, whole[:size])
        assert path.name in str(metered(path)), size


@pytest.mark.parametrize("kind", ARROWS)
def test_arrow_that_was_put_into_one_file_is_refused(kind: str, tmp_path: Path) -> None:
    """A reader stops at the end of the first stream, and takes the footer of the last file."""
    whole, path = ARROWS[kind](60), tmp_path / "a.arrow"
    end = whole[-10 - int.from_bytes(whole[-10:-6], "little") :] if kind == "file" else whole[-8:]
    for data in (whole + whole, whole + b"abcdefgh" * 2 + end, whole + end):
        said = str(metered(written(path, data)))
        assert said.startswith(f"{path}: found "), said
        assert "name them apart" in said


@pytest.mark.parametrize("make", [pa.ipc.new_file, pa.ipc.new_stream])
@pytest.mark.parametrize("is_old", [True, False])
def test_legal_arrow_is_whole(make: Callable[..., Any], tmp_path: Path, *, is_old: bool) -> None:
    """Dictionaries and their deltas, the older layout of messages, and files without rows are read."""
    texts = [["x", "y"], ["x", "y", "z"]]
    batches = [pa.record_batch({"a": pa.array(one).dictionary_encode()}) for one in texts]
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True, use_legacy_format=is_old)
    for count in (2, 0):
        with make(tmp_path / "a.arrow", batches[0].schema, options=options) as writer:
            for batch in batches[:count]:
                writer.write_batch(batch)
        assert (count, 5 if count else 0) == batches_of(str(tmp_path / "a.arrow"))


@pytest.mark.parametrize("text", [b"[", b'[{"id": "a"}', json.dumps(events(3)).encode()[:-1]])
def test_an_array_that_does_not_end_is_an_error(text: bytes, tmp_path: Path) -> None:
    """An array that is cut is not read as a shorter one."""
    path = written(tmp_path / "a.json", text)

    assert str(metered(path)).startswith(f"{path}: ")


@pytest.mark.slow
def test_rows_are_proven_also_where_only_some_are_asked_for(tmp_path: Path) -> None:
    """A file of two workspaces is counted whole, though the rows of one are read; so is one with batches."""
    lost = b"h" * 33_000_000
    text = csv(3).replace(b'"q"', b'"q","note"').replace(b'"3"', b'"3","' + lost.replace(b"hhhh", b"hhh\n") + b'"')
    text = text.replace(b'"1"\n', b'"1",""\n').replace(b'"2"\n', b'"2",""\n')
    path = written(tmp_path / "a.csv", text)
    for options in ({}, {"workspace": "w"}, {"event_type": "t"}, {"assume_unique": True}, {"generate_ids": True}):
        assert "a.csv: " in str(metered(path, **options)), options


def test_windows_subscriptions_and_readings_pass_the_gate_too(tmp_path: Path) -> None:
    """A table of periods, and readings that are rolled up, are files whose rows count."""
    path = written(tmp_path / "a.ndjson", ndjson(3))
    windows = b"start,end\n2024-01-01,2024-02-01\n"
    cut = written(tmp_path / "w.csv.gz", gzip.compress(windows)[:-1])
    with pytest.raises(SourceError, match=r"w.csv.gz: found that it ends in the middle"):
        aggregate(path, CONFIG, aggregation="sum", windows=str(cut))
    with aggregate(path, CONFIG, **MONTH) as readings:
        readings.write(tmp_path / "r.ndjson")
    written(tmp_path / "r.ndjson.zst", zstd((tmp_path / "r.ndjson").read_bytes())[:-1])
    with pytest.raises(SourceError, match=r"r.ndjson.zst: found that it ends in the middle"):
        rollup(tmp_path / "r.ndjson.zst", clock=CLOCK)


def test_a_fork_is_made_of_whole_files(tmp_path: Path) -> None:
    """Events that are written under another universe come from files that were proven."""
    path = written(tmp_path / "a.ndjson.gz", CUT)
    with pytest.raises(SourceError, match=r"a.ndjson.gz: found that it ends"), fork_universe(path, "u", "v") as rows:
        rows.to_arrow()


@pytest.mark.slow
def test_records_pass_the_gate_bundled_or_not(tmp_path: Path) -> None:
    """Records are counted by their file, though a bundle makes several rows of one."""
    config = {"measurements": [{"sourceProperty": "q", "unit": unit} for unit in ("seats", "chairs")]}
    with meter(written(tmp_path / "a.ndjson", ndjson(60)), config, clock=CLOCK, bundled=True) as records:
        records.write(tmp_path / "records.ndjson")
    with aggregate(records=tmp_path / "records.ndjson", **MONTH) as readings:
        assert 120 == readings.accounting.read
        assert 60 == readings.files[0]["rows"]
    written(tmp_path / "records.ndjson.gz", gzip.compress((tmp_path / "records.ndjson").read_bytes())[:-1])
    with (
        pytest.raises(SourceError, match=r"records.ndjson.gz: found that it ends"),
        aggregate(records=tmp_path / "records.ndjson.gz", **MONTH) as readings,
    ):
        _ = readings.accounting


PROVEN = {
    "a.ndjson": (ndjson(6), {"checksums": 0, "rows": 6, "rows_counted_by": "lines"}),
    "a.csv": (csv(6), {"checksums": 0, "rows": 6, "rows_counted_by": "records"}),
    "a.json": (json.dumps(events(6)).encode(), {"checksums": 0, "rows": 6, "rows_counted_by": "objects"}),
    "a.ndjson.gz": (
        gzip.compress(ndjson(6)),
        {"members": 1, "checksums": 1, "rows": 6, "rows_counted_by": "lines"},
    ),
    "a.ndjson.zst": (
        zstd(ndjson(6)) + zstd(b"\n", checked=False),
        {"frames": 2, "checksums": 1, "rows": 6, "rows_counted_by": "lines"},
    ),
    "a.parquet": (
        parquet_with(6, use_dictionary=False),
        {"checksums": 7, "rows": 6, "rows_counted_by": "footer"},
    ),
    "a.arrow": (ARROWS["stream"](60), {"batches": 6, "checksums": 0, "rows": 60, "rows_counted_by": "batches"}),
}


@pytest.mark.parametrize("name", PROVEN)
def test_the_run_says_what_was_proven(name: str, tmp_path: Path) -> None:
    """For each file: that it is whole, how many of its parts have a checksum, and its rows, with who counted them."""
    content, proven = PROVEN[name]
    path = written(tmp_path / name, content)
    with meter(path, CONFIG, clock=CLOCK) as records:
        assert [{"file": str(path), "whole": True, "bytes": len(content), **proven}] == records.files


@pytest.mark.slow
def test_a_ledger_keeps_what_was_proven_when_a_file_was_first_seen(tmp_path: Path) -> None:
    """The manifest has what --summary says; a file that is not whole does not come into it."""
    path = written(tmp_path / "a.ndjson.gz", gzip.compress(ndjson(6)))
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    period = {"start": "2024-01-01", "end": "2024-02-01"}
    ledger.backfill(str(path), CONFIG, aggregation="sum", **period)
    written(tmp_path / "b.ndjson.gz", CUT)
    with pytest.raises(SourceError, match=r"b.ndjson.gz: found that it ends in the middle of gzip member 1"):
        ledger.backfill(str(tmp_path), aggregation="sum", **period)
    with duckdb.connect(str(tmp_path / "ledger.duckdb"), read_only=True) as found:
        rows = found.sql("SELECT path, proven FROM source_files").fetchall()

    said = {"whole": True, "bytes": path.stat().st_size, "members": 1, "checksums": 1}
    assert [(str(path), {**said, "rows": 6, "rows_counted_by": "lines"})] == [
        (name, json.loads(it)) for name, it in rows
    ]


def elsewhere(path: Path) -> Claim:
    """A file that is fetched before it is proven."""

    def fetch(target: str) -> None:
        shutil.copyfile(path, target)

    return Claim("s3://bucket/a.ndjson.gz", "s3://bucket/a.ndjson.gz", "ndjson", "gzip", fetch=fetch)


def test_what_lies_elsewhere_is_proven_on_request(tmp_path: Path) -> None:
    """Without a request nothing is fetched, and the proof says that the file was not proven."""
    path = written(tmp_path / "cut.gz", CUT)
    gate = Gate()
    gate.add([elsewhere(path)])
    (proof,) = gate.proofs().values()
    why = "it lies elsewhere, and was not fetched a second time; --verify-files does"
    assert {"file": "s3://bucket/a.ndjson.gz", "whole": False, "why": why} == proof.to_dict()
    verifying = Gate(verifies=True)
    verifying.add([elsewhere(path)])
    with pytest.raises(SourceError, match=r"s3://bucket/a.ndjson.gz: found that it ends in the middle"):
        verifying.proofs()


def test_what_is_fetched_lies_in_the_folder_of_the_engine(tmp_path: Path) -> None:
    """That folder is locked while its run lives, and swept when it was killed; no copy lies elsewhere."""
    path, places = written(tmp_path / "whole.gz", gzip.compress(b"{}\n")), list[Path]()

    def fetch(target: str) -> None:
        places.append(Path(target))
        shutil.copyfile(path, target)

    with Engine(temp_dir=tmp_path, gate=Gate(verifies=True)) as engine:
        engine.gate.add([replace(elsewhere(path), fetch=fetch)])
        engine.gate.proofs()
        assert [True] == [engine.directory in place.parents for place in places]


def test_an_input_in_memory_has_no_file_to_prove() -> None:
    """Nothing is proven of a table of this process."""
    with meter(table(3), CONFIG, clock=CLOCK) as records:
        assert [] == records.files


def test_verify_files_is_true_or_false(tmp_path: Path) -> None:
    """Anything else is refused."""
    options: dict[str, Any] = {"verify_files": "yes"}

    assert "verify-files: found 'yes'; expected True or False." == metered(tmp_path, **options)
