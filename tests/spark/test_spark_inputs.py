"""Spark in this process: what it reads is what one machine reads, or is refused by name; its user's session stays."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyspark
import pytest
from pyarrow import parquet
from pyspark import SparkContext
from pyspark.sql import SparkSession

import metering_duck
from metering_duck.cli.doctor import examine
from metering_duck.errors import ConfigError, MeteringError, SchemaError, SourceError
from metering_duck.inputs.file_set import FileSet
from metering_duck.spark.errors import in_our_words
from metering_duck.spark.frames import check_file_names, hadoop_url
from tests.spark_cluster import BRIEF_JVM

pytestmark = pytest.mark.spark

CONFIG = {"measurements": [{"sourceProperty": "n", "unit": "n", "aggregation": "sum"}]}
MONTH: dict[str, Any] = {"start": "2024-01-01", "end": "2024-02-01", "clock": "2024-06-01"}
# What a cluster may be set to, and a person never reads in a result.
LAX = {
    "spark.sql.files.ignoreCorruptFiles": "true",
    "spark.sql.files.ignoreMissingFiles": "true",
    "spark.sql.parquet.binaryAsString": "true",
    "spark.sql.parquet.datetimeRebaseModeInRead": "LEGACY",
    "spark.sql.session.timeZone": "Asia/Tokyo",
    "spark.sql.caseSensitive": "false",
}


@pytest.fixture(scope="module")
def session() -> Iterator[SparkSession]:
    """A user's session, set as clusters are."""
    os.environ |= {"PYSPARK_PYTHON": sys.executable, "JDK_JAVA_OPTIONS": BRIEF_JVM}
    builder = SparkSession.builder.master("local[1]").appName("theirs").config("spark.log.level", "OFF")
    for name, value in (LAX | {"spark.ui.enabled": "false"}).items():
        builder = builder.config(name, value)
    started = builder.getOrCreate()
    yield started
    started.stop()


def rows(count: int, **columns: Any) -> pa.Table:
    """Events of three subjects, an hour apart, with other columns instead or beside."""
    plain: dict[str, Any] = {
        "workspace_id": ["w"] * count,
        "universe_id": ["u"] * count,
        "id": [f"e{n}" for n in range(count)],
        "type": ["t"] * count,
        "subject": [f"s{n % 3}" for n in range(count)],
        "time": [datetime(2024, 1, 2, tzinfo=UTC) + timedelta(hours=n) for n in range(count)],
        "n": [str(n) for n in range(count)],
    }
    return pa.table(plain | columns)


def said(events: Any, engine: str = "spark", **options: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Readings and books."""
    given = MONTH | {"map": {"properties": ["n"]}, "engine": engine} | options
    with metering_duck.aggregate(events, CONFIG, **given) as result:
        return result.to_arrow().to_pylist(), result.accounting.to_dict()


def test_folders_of_several_trees_are_columns(session: SparkSession, tmp_path: Path) -> None:
    """Their values are decoded as DuckDB decodes them, stand in place of a column, and may be missing."""
    for n, (tree, folder) in enumerate(
        [
            ("one", "tenant=a%20b+c/day=2024-01-02"),
            ("one", "tenant=50%/day=2024-01-03"),
            ("two", "tenant=it's/day=2024-01-02"),
            ("two/more", "tenant=__HIVE_DEFAULT_PARTITION__/day=2024-01-02"),
        ]
    ):
        place = tmp_path / tree / folder
        place.mkdir(parents=True)
        table = rows(5, id=[f"{n}-{k}" for k in range(5)], tenant=["within"] * 5)
        parquet.write_table(table, place / "a b+c%20d.parquet")
    trees = [str(tmp_path / "one"), str(tmp_path / "two")]
    named = {"map": {"properties": ["n"], "subject": "tenant"}, "folder_keys": True}

    assert said(trees, "duckdb", **named) == said(trees, **named)
    assert 20 == said(trees, **named)[1]["read"]


def test_odd_columns_are_what_they_are_on_one_machine(session: SparkSession, tmp_path: Path) -> None:
    """Names with dots and quotes, times of the type INT96, which has no zone, and a text that begins late."""
    count = 3_000
    times = [datetime(2024, 1, 1) + timedelta(minutes=20 * n) for n in range(count)]
    odd = rows(count, n=[None] * 1500 + ["7"] * 1500, time=times)
    odd = odd.rename_columns({"id": "key.id", "subject": "who`s", "time": "at"})
    parquet.write_table(odd, tmp_path / "events.parquet", use_deprecated_int96_timestamps=True)
    given: dict[str, Any] = {"assume_timezone": "Europe/Berlin", "every": "day", "end": "2024-03-01"}
    given["map"] = {"id": "key.id", "subject": "who`s", "time": "at", "properties": "n"}

    found = said(str(tmp_path), **given)
    assert said(str(tmp_path), "duckdb", **given) == found
    assert 66 == len(found[0])


def test_what_a_cluster_is_set_to_changes_nothing(session: SparkSession, tmp_path: Path) -> None:
    """A corrupt file is an error, old dates and binary ids are read as they lie, and all settings are as they were."""
    binary = pa.array([f"e{n}".encode() for n in range(9)], pa.binary())
    parquet.write_table(rows(9, more=binary), tmp_path / "a.parquet")
    assert said(str(tmp_path), "duckdb") == said(str(tmp_path))

    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-100])
    with pytest.raises(SourceError, match=r"b\.parquet"):
        said(str(tmp_path))
    assert {name: session.conf.get(name) for name in LAX} == LAX
    assert "theirs" == session.sparkContext.appName


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """Spark would leave out its rows, which somebody lost, without a word."""
    (tmp_path / "a.parquet").touch()
    with pytest.raises(SourceError, match=r"a\.parquet' too small to be a Parquet file"):
        said(str(tmp_path / "a.parquet"), master="local[1]")


def test_a_session_that_runs_is_found_from_any_thread(session: SparkSession, tmp_path: Path) -> None:
    """It is taken as it is: neither its name nor its log is another afterwards."""
    parquet.write_table(rows(9), tmp_path / "a.parquet")
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(said(str(tmp_path))))
    thread.start()
    thread.join()

    assert [said(str(tmp_path), "duckdb")] == found
    assert "theirs" == session.sparkContext.appName


def test_another_master_than_that_of_the_session_is_refused(session: SparkSession, tmp_path: Path) -> None:
    """One process has one Spark; it is not passed off as another."""
    parquet.write_table(rows(9), tmp_path / "a.parquet")
    assert said(str(tmp_path), "duckdb") == said(str(tmp_path), master="local[1]")
    with pytest.raises(ConfigError) as raised:
        said(str(tmp_path), master="local[7]")
    expected = "found a session that runs already, on local[1]; expected local[7]. hint: stop it, or leave master out"
    assert f"master: {expected}" == str(raised.value)


def test_a_frame_of_spark_needs_its_engine(session: SparkSession, tmp_path: Path) -> None:
    """With it, it is an input; without it, the way out is said by every function that takes events."""
    parquet.write_table(rows(9), tmp_path / "a.parquet")
    frame = session.read.parquet(str(tmp_path / "a.parquet"))
    assert said(str(tmp_path), "duckdb")[0] == said(frame)[0]
    for call in (
        lambda: metering_duck.aggregate(frame, CONFIG, **MONTH),
        lambda: metering_duck.meter(frame, CONFIG),
        lambda: metering_duck.check(CONFIG, frame),
        lambda: metering_duck.compile_sql(CONFIG, frame),
    ):
        with pytest.raises(SourceError, match=r'found a Spark DataFrame, .* hint: aggregate\(…, engine="spark"\)'):
            call()


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"n": list(range(9))}, "found the column n as STRING and as BIGINT in several files, which Spark"),
        ({"at": pa.array([1] * 9, pa.time64("ns"))}, "Spark cannot read it"),
        ({"half": pa.array([1] * 9, pa.float16())}, "Spark cannot read it"),
    ],
)
def test_columns_that_spark_has_no_type_for_are_named(
    columns: dict[str, Any], expected: str, session: SparkSession, tmp_path: Path
) -> None:
    """One line, with the file or the column, and the way out."""
    parquet.write_table(rows(9), tmp_path / "a.parquet")
    parquet.write_table(rows(9, **columns), tmp_path / "b.parquet")
    with pytest.raises(SourceError, match=expected) as raised:
        said(str(tmp_path))
    assert "hint: " in str(raised.value)
    assert 1 == len(str(raised.value).splitlines())


def test_the_first_file_says_what_a_column_of_texts_is(session: SparkSession, tmp_path: Path) -> None:
    """JSON or one plain property: as on one machine, whichever file Spark reads first."""
    for n, (first, then) in enumerate([("7", '{"n": "7"}'), ('{"n": "7"}', "7")]):
        folder = tmp_path / str(n)
        folder.mkdir()
        parquet.write_table(rows(9, p=[first] * 9), folder / "a.parquet")
        many = rows(3000, id=[f"f{k}" for k in range(3000)], p=[then] * 3000)
        parquet.write_table(many, folder / "b.parquet")
        named = {"map": {"properties": "p"}}
        assert said(str(folder), "duckdb", **named) == said(str(folder), **named)


def test_a_key_of_any_name_is_compared(session: SparkSession, tmp_path: Path) -> None:
    """Quotes in a name are doubled in SQL; the column is read all the same, and duplicates are found."""
    table = rows(9, id=["e1"] * 9, subject=["s"] * 9, time=[datetime(2024, 1, 2, tzinfo=UTC)] * 9, n=["1"] * 9)
    parquet.write_table(table.rename_columns({"id": 'i"d'}), tmp_path / "a.parquet")
    named = {"map": {"properties": ["n"], "id": 'i"d'}}
    assert said(str(tmp_path), "duckdb", **named) == said(str(tmp_path), **named)
    assert 8 == said(str(tmp_path), **named)[1]["duplicates"]


@pytest.mark.parametrize("first", ["plain", "old"])
@pytest.mark.parametrize("then", ["with a zone", "text"])
def test_files_are_held_against_each_other_as_on_one_machine(
    first: str, then: str, session: SparkSession, tmp_path: Path
) -> None:
    """Times of several kinds, among them INT96, are refused by the same words."""
    naive = rows(9, time=[datetime(2024, 1, 2, n) for n in range(9)])
    texts = rows(9, id=[f"f{n}" for n in range(9)], time=["2024-01-02T00:00:00Z"] * 9)
    zoned = rows(9, id=[f"f{n}" for n in range(9)])
    for place, other in (("ab", "ba"), ("ba", "ab")):
        folder = tmp_path / place
        folder.mkdir()
        old = {"use_deprecated_int96_timestamps": first == "old"}
        parquet.write_table(naive, folder / f"{place[0]}.parquet", **old)
        parquet.write_table(zoned if then == "with a zone" else texts, folder / f"{other[0]}.parquet")
        refusals = []
        for engine in ("duckdb", "spark"):
            with pytest.raises(SchemaError, match=r"column time: found .* and ") as raised:
                said(str(folder), engine)
            refusals.append(str(raised.value))
        assert refusals[0] == refusals[1]


def test_an_old_time_that_a_later_file_brings_has_no_zone(session: SparkSession, tmp_path: Path) -> None:
    """As a dimension it is the text that it is on one machine."""
    later = rows(9, id=[f"f{n}" for n in range(9)], x=[datetime(2024, 1, 2)] * 9, time=["2024-01-02T00:00:00Z"] * 9)
    parquet.write_table(rows(9, time=["2024-01-02T00:00:00Z"] * 9), tmp_path / "a.parquet")
    parquet.write_table(later, tmp_path / "b.parquet", use_deprecated_int96_timestamps=True)
    named = {"map": {"properties": ["n", "x"]}, "group_by": ["x"]}
    assert said(str(tmp_path), "duckdb", **named) == said(str(tmp_path), **named)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("s3://lake/_events/_a.parquet", "a name that begins with _"),
        ("/lake/.a.parquet", "a name that begins with ."),
        ("/lake/ev[1].parquet", "[ in a path"),
        ("/lake/2024-01-01T00:00.parquet", ": in a path"),
    ],
)
def test_files_that_spark_would_pass_over_are_refused(path: str, said: str) -> None:
    """Spark leaves out what seems hidden, and takes brackets for a pattern, both without a word."""
    hint = "hint: rename it, or leave the engine out"
    with pytest.raises(SourceError) as raised:
        check_file_names(FileSet((path,)))
    assert f"{path}: found {said}, which Spark reads otherwise; expected a plain name. {hint}" == str(raised.value)


def test_a_folder_that_is_no_text_is_refused() -> None:
    """As on one machine, where its bytes are no UTF-8 either."""
    with pytest.raises(SourceError, match=r"tenant=%FF/a\.parquet: found a folder that is no UTF-8; expected a name"):
        check_file_names(FileSet(("/lake/tenant=%FF/a.parquet",), ("tenant",)))


def test_a_column_that_spark_has_for_itself_is_refused(session: SparkSession, tmp_path: Path) -> None:
    """It would stand in the way of the file that each row is of."""
    parquet.write_table(rows(9, _metadata=["x"] * 9), tmp_path / "a.parquet")
    with pytest.raises(SchemaError, match="column _metadata: found a name that Spark uses; expected another"):
        said(str(tmp_path))


@pytest.mark.parametrize(
    ("path", "expected"),
    [("s3://lake/t", "s3a://lake/t"), ("/lake/t", "file:///lake/t"), ("gs://lake/t", "gs://lake/t")],
)
def test_places_are_what_hadoop_calls_them(path: str, expected: str) -> None:
    """Those of Delta tables, too, wherever the command runs."""
    assert (expected, f"file://{Path.cwd()}/t") == (hadoop_url(path), hadoop_url("t"))


@pytest.mark.parametrize(
    ("text", "log", "expected"),
    [
        (
            "[JAVA_GATEWAY_EXITED] Java gateway process exited.",
            'Exception in thread "main" java.lang.UnsupportedClassVersionError: org/apache/spark/launcher/Main',
            "engine: found a Java that is too old for this Spark; expected 17 or newer. ",
        ),
        (
            "[JAVA_GATEWAY_EXITED] Java gateway process exited.",
            'Exception in thread "main" org.apache.spark.SparkException: With master yarn set it.\n\tat a.b',
            "engine: Spark failed (org.apache.spark.SparkException: With master yarn set it); ",
        ),
        ("[DATA_SOURCE_NOT_FOUND] Failed to find the data source: delta. Make sure", "", "engine: found no library"),
        (
            "Traceback (most recent call last):\n  File x\nModuleNotFoundError: No module named 'duckdb'",
            "",
            "engine: f",
        ),
    ],
)
def test_what_spark_says_becomes_one_line(text: str, log: str, expected: str) -> None:
    """What a JVM that did not start has written says why."""
    error = in_our_words("engine", text, log)

    assert isinstance(error, MeteringError)
    assert str(error).startswith(expected), str(error)
    assert "hint: " in str(error)
    assert 1 == len(str(error).splitlines())


@pytest.mark.parametrize(
    ("java", "works", "found", "hint"),
    [
        ('JAVA_VERSION="17.0.15"', True, "Java 17.0.15", ""),
        ('JAVA_VERSION="1.8.0_392"', False, "Java 1.8.0_392", "install OpenJDK 17, or set JAVA_HOME"),
        ("", True, "Java of unknown version", ""),
        (None, False, "no Java", "install OpenJDK 17, or set JAVA_HOME; --master sc://HOST needs none"),
    ],
)
def test_the_doctor_knows_whether_spark_can_run(
    java: str | None, works: bool, found: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library, and a Java that is new enough."""
    if java is not None:
        (tmp_path / "release").write_text(java)
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "java").touch()
        (tmp_path / "bin" / "java").chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    (row,) = [row for row in examine() if row["what"] == "--engine spark"]
    expected = {"works": works, "found": f"pyspark {pyspark.__version__}, {found}", "hint": hint}
    assert {"what": "--engine spark"} | expected == row


def test_no_session_of_ours_is_left(session: SparkSession) -> None:
    """The context is still the user's."""
    assert SparkContext._active_spark_context is session.sparkContext


def test_what_files_may_hold_is_read_as_on_one_machine(session: SparkSession, tmp_path: Path) -> None:
    """Bytes as text, a folder's key in place of a column, events counted without a property, and groups by type."""
    binary = {name: pa.array([text.encode() for text in rows(6)[name].to_pylist()]) for name in ("id", "subject")}
    (tmp_path / "n=50").mkdir()
    parquet.write_table(rows(6, **binary, type=["a", "b"] * 3), tmp_path / "n=50" / "e.parquet")
    given: dict[str, Any] = {"binary_as_text": True, "folder_keys": True, "group_by": ["type"]}
    counted = {"entries": [{"type": "b", "measurements": [{"unit": "events", "aggregation": "count"}]}]}

    found = said(str(tmp_path), **given)
    assert said(str(tmp_path), "duckdb", **given) == found
    assert [50] * 6 == [row["quantity"] for row in found[0]]
    both = [
        metering_duck.aggregate(str(tmp_path), counted, engine=engine, **MONTH, **given).to_arrow().to_pylist()
        for engine in ("duckdb", "spark")
    ]
    assert both[0] == both[1]
    assert 3 == sum(row["quantity"] for row in both[0])


def test_a_variant_is_refused_where_it_is_used(session: SparkSession, tmp_path: Path) -> None:
    """In files and in a DataFrame: Spark hands it over as bytes, which no option makes text."""
    path = str(tmp_path / "e.parquet")
    duckdb.from_arrow(rows(6)).project("*, {'n': 1}::VARIANT AS odd").to_parquet(path)
    parquet.write_table(rows(6), tmp_path / "plain.parquet")
    frame = session.read.parquet(str(tmp_path / "plain.parquet")).selectExpr("*", "parse_json('[1]') AS odd")

    for events in (path, frame):
        assert 6 == said(events)[1]["read"]
        with pytest.raises(SchemaError, match="column odd: found VARIANT, which only DuckDB reads"):
            said(events, map={"properties": ["n", "odd"]}, binary_as_text=True)


def test_what_spark_reads_of_files_is_proven_or_said(session: SparkSession, tmp_path: Path) -> None:
    """Checksums of pages are compared; the summary says what is not proven, unless files are read once more."""
    path = tmp_path / "e.parquet"
    parquet.write_table(rows(6), path, write_page_checksum=True, compression="none")
    for verifies in (False, True):
        with metering_duck.aggregate(
            str(path), CONFIG, **MONTH, engine="spark", verify_files=verifies, map={"properties": ["n"]}
        ) as result:
            assert [(str(path), verifies)] == [(file["file"], file["whole"]) for file in result.files]
    path.write_bytes(path.read_bytes().replace(b"e3", b"f3", 1))
    with pytest.raises(SourceError, match=r"e\.parquet: found that Spark cannot read it \(.*CRC checksum"):
        said(str(path))
    wide = tmp_path / "wide.parquet"
    parquet.write_table(rows(2, wide=pa.nulls(2, pa.decimal256(40, 2))), wide)
    with pytest.raises(SchemaError, match=r"column wide: found DECIMAL\(40, 2\).* leave the engine out"):
        said(str(wide))
