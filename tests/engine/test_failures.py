"""What DuckDB, Arrow and the caller's own streams raise is an error of ours, at the file or the input by its name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyarrow import parquet

from metering_duck import ConfigError, Interrupted, MeteringError, SourceError, StageError, aggregate, load_config
from metering_duck.engine.duckdb import Engine
from metering_duck.engine.failures import Failures, given_failure, reading
from metering_duck.engine.unreadable import KnownInputs
from metering_duck.errors import of_the_system, spelled
from tests.messages import CONFIG, ONE, WINDOW, M, table

READS: dict[str, Any] = {**WINDOW, "clock": "2024-06-01"}


def answer(given: Any) -> list[dict[str, Any]]:
    """The readings of an input."""
    with aggregate(given, CONFIG, **READS) as readings:
        return readings.to_dicts()


class Mine(Exception):
    """An error of the caller's own."""


def objects(error: BaseException) -> Iterator[Any]:
    """An event, and then an error."""
    yield ONE
    raise error


def batches(error: BaseException) -> pa.RecordBatchReader:
    """A stream that breaks off behind its first batch."""

    def broken() -> Iterator[pa.RecordBatch]:
        yield table().to_batches()[0]
        raise error

    return pa.RecordBatchReader.from_batches(table().schema, broken())


@pytest.mark.parametrize("make", [objects, batches])
@pytest.mark.parametrize(
    "error", [Mine("no more"), OSError("no more"), ValueError("no more"), TypeError("no more")], ids=repr
)
def test_what_an_iterator_raises_is_the_cause(make: Any, error: Exception) -> None:
    """A generator or a stream that breaks off is an input that cannot be read, and its own error is at hand."""
    with pytest.raises(
        SourceError, match=rf"^a .*: cannot be read \({type(error).__name__}: no more\); expected rows"
    ) as caught:
        answer(make(error))

    assert error is caught.value.__cause__


@pytest.mark.parametrize("make", [objects, batches])
def test_an_error_of_ours_goes_through_a_stream(make: Any) -> None:
    """A result of ours that is read as an input keeps its error."""
    error = ConfigError("config: found nothing; expected something.")
    with pytest.raises(ConfigError) as caught:
        answer(make(error))

    assert error is caught.value


def test_ctrl_c_in_a_stream_is_an_interrupt() -> None:
    """Not an input that cannot be read."""
    with pytest.raises(Interrupted):
        answer(batches(KeyboardInterrupt()))


def test_a_stream_is_consumed_however_it_was_read() -> None:
    """By a run, or by somebody else's connection: it would be empty, and is refused."""
    by_run, by_duckdb = table().to_reader(), table().to_reader()
    answer(by_run)
    connection = duckdb.connect()
    connection.register("given", by_duckdb)
    connection.execute("FROM given").fetchall()

    for reader in (by_run, by_duckdb):
        with pytest.raises(SourceError, match="is consumed, since it was read before"):
            answer(reader)


def test_a_relation_that_fails_is_named() -> None:
    """A query of the caller's own that fails is an input that cannot be read."""
    with pytest.raises(SourceError, match=r"^a duckdb DuckDBPyRelation: cannot be read .*boom"):
        answer(duckdb.connect().sql("SELECT error('boom') AS id"))


def test_a_relation_of_a_connection_that_is_not_free_has_a_way_out() -> None:
    """A result that was not fetched to its end keeps the connection: a cursor of it reads beside it."""
    connection = duckdb.connect()
    connection.register("given", table())
    connection.execute("CREATE TABLE kept AS FROM given")
    connection.execute("FROM range(9)").fetchone()
    with pytest.raises(SourceError, match=r"not fetched to its end; expected .* hint: .*connection\.cursor\(\)$"):
        answer(connection.table("kept"))

    assert answer(table()) == answer(connection.cursor().table("kept"))


def test_the_file_is_found_that_no_message_names(tmp_path: Path) -> None:
    """Where DuckDB does not say which of several files is bad, each is read by itself, and the bad one is named."""
    good = parquet_bytes()
    for n in range(5):
        (tmp_path / f"{n}.parquet").write_bytes(good)
    bad = bytearray(good)
    bad[1_000:2_000] = b"\xff" * 1_000
    (tmp_path / "3.parquet").write_bytes(bad)

    with pytest.raises(SourceError, match=f"^{re.escape(str(tmp_path))}/3.parquet: "):
        answer(str(tmp_path))


def parquet_bytes() -> bytes:
    """Many events in Parquet, compressed."""
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.concat_tables([table(id=f"e{n}") for n in range(2_000)]), sink, compression="zstd")
    return bytes(sink.getvalue())


def test_an_engine_that_broke_says_why_ever_after(tmp_path: Path) -> None:
    """After an internal error of DuckDB a database takes no statement; each says the first error, and others run on."""
    with Engine(temp_dir=tmp_path) as broken, Engine(temp_dir=tmp_path) as other:
        texts = []
        for error in (
            duckdb.InternalException("INTERNAL Error: assertion"),
            duckdb.FatalException("FATAL Error: invalidated"),
        ):
            with pytest.raises(StageError) as caught, broken.failures.translated("q", "SELECT 1", {}):
                raise error
            texts.append(str(caught.value))

        assert [texts[0]] * 2 == texts
        assert [(1,)] == other.rows("SELECT 1")


RAISED: dict[str, tuple[Exception, str]] = {
    "a size that no machine has": (
        duckdb.OutOfMemoryException(
            "Out of Memory Error: failed to allocate data of size 4.0 EiB (1.0 GiB/2.0 GiB used)"
        ),
        "input: cannot be read (a size in it asks for 4.0 EiB, more than all memory that may be used); expected a file "
        "that can be read to its end.",
    ),
    "a full disk": (
        duckdb.IOException('IO Error: Could not write file "/x/duckdb_temp": No space left on device'),
        'run: cannot write what does not fit into memory (Could not write file "/x/duckdb_temp": No space left on '
        "device); expected room on the disk. hint: make room, or name another --temp-dir",
    ),
    "no more files": (
        OSError(24, "Too many open files"),
        "run: cannot be used (Too many open files); expected that more files may be open at once. hint: ulimit -n "
        "4096, or fewer files in one run",
    ),
    "bytes that are no text": (
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        "input: cannot be read ('utf-8' codec can't decode byte 0xff in position 0: invalid start byte); expected a "
        "file that can be read to its end.",
    ),
    "what is not implemented": (
        duckdb.NotImplementedException("Not implemented Error: Unsupported Arrow type"),
        "input: cannot be read (Unsupported Arrow type); expected a file that can be read to its end.",
    ),
    "Arrow's own": (
        pa.ArrowInvalid("Invalid offsets"),
        "input: cannot be read (Invalid offsets); expected a file that can be read to its end.",
    ),
}


@pytest.mark.parametrize("case", RAISED)
def test_every_kind_of_error_is_translated(case: str, tmp_path: Path) -> None:
    """Whatever DuckDB, Arrow and the operating system raise inside the engine, in one voice."""
    error, text = RAISED[case]
    with Engine(temp_dir=tmp_path) as engine:
        translated = engine.failures.translated("q", "SELECT 1", {})
        with pytest.raises(MeteringError) as caught, translated:
            raise error

    assert text == str(caught.value)


def test_other_libraries_are_translated_where_they_are_called() -> None:
    """Their errors are the cause; what the operating system refuses says so; an error of ours stays as it is."""
    error, ours = LookupError("gone"), SourceError("x: is bad; expected good.")
    with (
        pytest.raises(SourceError, match=r"^a table: cannot be read \(LookupError: gone\)") as caught,
        reading("a table"),
    ):
        raise error
    with pytest.raises(SourceError, match=r"^a table: cannot be used \(No space left on device\)"), reading("a table"):
        raise OSError(28, "No space left on device")
    with pytest.raises(SourceError) as kept, reading("a table"):
        raise ours

    assert error is caught.value.__cause__
    assert ours is kept.value is given_failure("y", ours)


def test_what_the_system_refuses_is_told_from_bugs() -> None:
    """Memory that cannot be had and files that cannot be opened are no bugs; a wrong key is."""
    assert "run: cannot get memory (can't start new thread)" in str(
        of_the_system(RuntimeError("can't start new thread"))
    )
    assert "run: cannot get memory (x.so: failed to map segment)" in str(
        of_the_system(ImportError("Please read\nx.so: failed to map segment"))
    )
    assert "/a: cannot be used (Permission denied)" in str(
        of_the_system(PermissionError(13, "Permission denied", "/a"))
    )
    assert None is of_the_system(KeyError("x"))


ARGUMENTS = (
    *(
        "start",
        "every",
        "timezone",
        "fill",
        "scale",
        "digits",
        "group_by",
        "map",
        "from_",
        "clock",
        "workspace",
        "as_of",
    ),
    *("threads", "memory_limit", "temp_dir", "progress"),
)
VALUES = {"digits": 10**5_000, "an object": object(), "lists": [[[]]], "infinite": 1e400}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_argument_of_any_kind_ends_in_an_error_of_ours(name: str) -> None:
    """A number of 5,000 digits, any object, a list of lists: refused in a message of a few lines."""
    for value in VALUES.values():
        with pytest.raises(MeteringError) as caught:
            aggregate([ONE], CONFIG, **{**READS, name: value}).to_dicts()
        assert len(str(caught.value)) < 600


@pytest.mark.parametrize("key", ["resultScale", "unit", "filter", "aggregation", "rounding", "span", "multiply"])
def test_a_config_of_huge_numbers_is_refused(key: str) -> None:
    """Python does not even spell them."""
    for value in (10**5_000, {"property": "a", "in": [10**5_000]}):
        with pytest.raises(ConfigError, match=r"^config: found a number of more than 1,000 digits; expected fewer"):
            load_config({"measurements": [{**M, key: value}]})


def test_long_values_are_cut() -> None:
    """What is shown of a value fits on a screen."""
    assert ("'x'", 301) == (spelled("x"), len(spelled("x" * 5_000)))
    assert "a number of more than 4,300 digits" == spelled(10**5_000)


def test_a_bad_file_of_a_table_is_named(tmp_path: Path) -> None:
    """The files of a Delta table, too, where DuckDB reads them."""
    import deltalake

    for n in range(3):
        rows = pa.concat_tables([table(id=f"e{n}.{m}") for m in range(999)])
        deltalake.write_deltalake(tmp_path / "t", rows, mode="append")
    path = sorted((tmp_path / "t").glob("*.parquet"))[1]
    bad = bytearray(path.read_bytes())
    bad[200 : len(bad) // 2] = b"\xff" * (len(bad) // 2 - 200)
    path.write_bytes(bad)

    with pytest.raises(SourceError, match=f"^{re.escape(str(path))}: "):
        answer(f"delta://{tmp_path}/t")


LIMITS = {
    'IO Error: Cannot open file "/proc/self/cgroup": Too many open files': (
        'run: cannot be opened (Cannot open file "/proc/self/cgroup": Too many open files); expected that more files '
        "may be open at once. hint: ulimit -n 4096, or fewer files in one run"
    ),
    'IO Error: Cannot open file "/a/e.parquet": Too many open files': (
        '/a/e.parquet: cannot be opened (Cannot open file "/a/e.parquet": Too many open files); expected that more '
        "files may be open at once. hint: ulimit -n 4096, or fewer files in one run"
    ),
}


@pytest.mark.parametrize("said", LIMITS)
def test_too_many_open_files_are_no_damaged_file(said: str) -> None:
    """A limit of the process is told as that, at the input if it is one, and with the way out."""
    assert LIMITS[said] == str(KnownInputs(["/a/e.parquet"]).failure(said))


def test_memory_that_is_used_up_has_a_way_out() -> None:
    """What DuckDB cannot keep in memory, nor spill, names the options that give it room."""
    failures = Failures(KnownInputs().failure, Path("/spills"))
    with pytest.raises(MeteringError) as error, failures.translated("rows", "SQL", {}):
        raise duckdb.OutOfMemoryException("failed to pin block (1.0 MiB/1.0 MiB used)")

    said = str(error.value)
    assert said.startswith("run: memory is used up (failed to pin block (1.0 MiB/1.0 MiB used)); expected to spill"), (
        said
    )
    assert said.endswith("hint: a larger --memory-limit, fewer --threads, or a --temp-dir with more room"), said
