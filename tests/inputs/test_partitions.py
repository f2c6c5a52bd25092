"""--time-partition and --assume-unique: on clean data they change no answer; what can be checked of a promise is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import csv, parquet

from metering_duck import ConfigError, SourceError, aggregate, check, compile_sql, meter
from metering_duck.cli.main import cli
from tests.worlds import CLOCK, measuring

FEBRUARY = {"start": "2024-02-01", "end": "2024-03-01"}
FORMS = {"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H", "hour of blanks": "%Y-%m-%d %H"}
TIMES = (
    "2023-01-05T10:30:00Z",
    "2024-01-31T23:59:59.999999Z",
    "2024-02-01T00:00:00Z",
    "2024-02-01T00:00:00.000001Z",
    "2024-02-10T05:30:00Z",
    "2024-02-29T23:59:59.999999Z",
    "2024-03-01T00:00:00Z",
    "2024-03-05T12:00:00Z",
    "2025-02-10T12:00:00Z",
)
# What each kind of reading needs: counters the window, gauges all before its end, spans and --fill everything.
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "counters": ({"aggregation": "sum"}, {}),
    "a percentile": ({"aggregation": "p50"}, {}),
    "two levels": ({"aggregation": "max-of-sum per day"}, {}),
    "gauges": ({"aggregation": "time-weighted-avg"}, {}),
    "states": ({"aggregation": "final-state"}, {"every": "P1D"}),
    "deltas": ({"aggregation": "peak-state", "values": "deltas"}, {}),
    "levels of two levels": ({"aggregation": "max-of-peak-state per day"}, {}),
    "spans": ({"aggregation": "sum", "span": {"duration": "held", "unit": "days"}, "proration": "by-time"}, {}),
    "filling with zero": ({"aggregation": "sum"}, {"fill": "zero", "every": "P10D"}),
    "filling by carrying": ({"aggregation": "latest"}, {"fill": "carry", "every": "P10D"}),
    "chosen for all": ({}, {"aggregation": "integral"}),
    "a zone": ({"aggregation": "count"}, {"timezone": "Asia/Tokyo", "every": "month"}),
    "dimensions": ({"aggregation": "max"}, {"group_by": "region"}),
}


def events(times: Sequence[str] = TIMES) -> list[dict[str, Any]]:
    """An event at each time, of two subjects in turn."""
    return [
        {
            "id": f"e{n}",
            "workspace_id": "w",
            "universe_id": "u",
            "type": "t",
            "subject": f"customer:{n % 2}",
            "time": datetime.fromisoformat(time),
            "q": str(n + 1),
            "held": "40",
            "region": ("eu", "us")[n % 2],
        }
        for n, time in enumerate(times)
    ]


def tree(folder: Path, form: str, rows: list[dict[str, Any]] | None = None, *, suffix: str = "parquet") -> str:
    """A Hive-partitioned folder, each event in the partition of its UTC time."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in events() if rows is None else rows:
        found.setdefault(f"{row['time'].astimezone(UTC):{form}}", []).append(row)
    for value, part in found.items():
        put(folder, value, part, suffix=suffix)
    return str(folder)


def put(folder: Path, value: str, rows: list[dict[str, Any]], *, suffix: str = "parquet", name: str = "a") -> None:
    """A file of some events in a partition."""
    path = folder / f"date={value}" / f"{name}.{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows)
    (parquet.write_table if suffix == "parquet" else csv.write_csv)(table, path)


def readings(given: Any, config: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    """The readings of February, if it is not said otherwise."""
    with aggregate(given, config, clock=CLOCK, **{**FEBRUARY, **options}) as result:
        return result.to_dicts()


def rows_read(given: Any, config: dict[str, Any], **options: Any) -> int:
    """How many events were read."""
    with aggregate(given, config, clock=CLOCK, **{**FEBRUARY, **options}) as result:
        return result.accounting.read


# --- --time-partition ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("kind", "form"),
    [*((k, "%Y-%m") for k in KINDS), *((k, f) for k in ("counters", "gauges") for f in FORMS.values())],
)
def test_fewer_partitions_give_the_same_readings(kind: str, form: str, tmp_path: Path) -> None:
    """Whatever is aggregated and however time is partitioned, the readings are those of all files."""
    folder = tree(tmp_path, form)
    measured, options = KINDS[kind]

    assert readings(folder, measuring(**measured), **options) == readings(
        folder, measuring(**measured), **options, time_partition="date"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "expected"),
    [("counters", 4), ("a percentile", 4), ("gauges", 6), ("deltas", 6), ("spans", 9), ("filling with zero", 9)],
)
def test_only_what_is_needed_is_read(kind: str, expected: int, tmp_path: Path) -> None:
    """Counters need the window, gauges all that was before its end, spans and filling everything."""
    measured, options = KINDS[kind]

    assert expected == rows_read(tree(tmp_path, "%Y-%m"), measuring(**measured), **options, time_partition="date")


@pytest.mark.parametrize(
    ("form", "expected"),
    [("%Y", 8), ("%Y-%m", 5), ("%Y-%m-%d", 2), ("%Y-%m-%dT%H", 1)],
    ids=["year", "month", "day", "hour"],
)
def test_partitions_that_overlap_the_window_are_read(form: str, expected: int, tmp_path: Path) -> None:
    """A window of half an hour needs the year, month, day or hour that it lies in, and no other."""
    times = (*TIMES[:4], "2024-02-10T05:00:00Z", "2024-02-10T04:59:59Z", *TIMES[5:8])
    window = {"start": "2024-02-10T05:00:00Z", "end": "2024-02-10T05:30:00Z"}
    folder = tree(tmp_path, form, events(times))

    assert expected == rows_read(folder, measuring(aggregation="sum"), **window, time_partition="date")


def test_a_table_of_subscriptions_says_what_is_needed(tmp_path: Path) -> None:
    """The first start and the last end of all windows bound what is read."""
    folder = tree(tmp_path, "%Y-%m-%d")
    subscriptions = [
        {"universe": "u", "subject": "customer:0", "start": "2024-02-01T00:00:00Z", "end": "2024-02-11T00:00:00Z"},
        {"universe": "u", "subject": "customer:1", "start": "2024-02-05T00:00:00Z", "end": "2024-03-01T00:00:00Z"},
    ]
    options = {"start": None, "end": None, "windows": subscriptions}
    config = measuring(aggregation="sum")

    assert readings(folder, config, **options) == readings(folder, config, **options, time_partition="date")
    assert 4 == rows_read(folder, config, **options, time_partition="date")


def test_a_window_without_a_partition_has_no_reading(tmp_path: Path) -> None:
    """Where no file can have events of the window there is no reading, and no error; filling still fills."""
    folder, config = tree(tmp_path, "%Y-%m"), measuring(aggregation="sum")
    window = {"start": "2030-01-01", "end": "2030-02-01"}

    assert [] == readings(folder, config, **window, time_partition="date")
    filled = readings(folder, config, **window, fill="zero", time_partition="date")
    assert readings(folder, config, **window, fill="zero") == filled
    assert [0, 0] == [row["quantity"] for row in filled]


def test_gauges_of_a_late_window_carry_their_levels(tmp_path: Path) -> None:
    """A level that was set in an old partition is carried into a window that has no partition."""
    folder, config = tree(tmp_path, "%Y-%m"), measuring(aggregation="final-state")
    window = {"start": "2030-01-01", "end": "2030-02-01"}
    found = readings(folder, config, **window, time_partition="date")

    assert readings(folder, config, **window) == found
    assert [(9, True), (8, True)] == [(row["quantity"], row["carried"]) for row in found]


def test_partitions_of_csv_are_left_out_too(tmp_path: Path) -> None:
    """The folders' names are looked at, not the files."""
    folder, config = tree(tmp_path, "%Y-%m-%d", suffix="csv"), measuring(aggregation="sum")

    assert readings(folder, config) == readings(folder, config, time_partition="date")
    assert 4 == rows_read(folder, config, time_partition="date")


@pytest.mark.slow
@pytest.mark.parametrize(
    "config", [None, {"measurements": [{"sourceProperty": "q", "unit": "x", "aggregation": "sum"}]}]
)
def test_records_are_read_whole(config: dict[str, Any] | None, tmp_path: Path) -> None:
    """Records say themselves how they are aggregated, whatever a config says: all are read, and checked."""
    with meter(events(), measuring(aggregation="final-state"), clock=CLOCK) as result:
        records = result.to_arrow().drop_columns(["dimensions"])
    for n, row in enumerate(records.to_pylist()):
        part = tmp_path / f"date={row['recorded_at']:%Y-%m-%d}"
        part.mkdir(exist_ok=True)
        parquet.write_table(records.slice(n, 1), part / f"{n}.parquet")
    late = {"start": "2026-01-01", "end": "2026-02-01", "clock": CLOCK}
    with aggregate(records=str(tmp_path), config=config, **late, time_partition="date") as result:
        found, read = result.to_dicts(), result.accounting.read
    with aggregate(records=str(tmp_path), config=config, **late) as result:
        expected = result.to_dicts()

    assert expected == found
    assert (2, len(TIMES)) == (len(found), read)


@pytest.mark.parametrize("misplaced", ["2024-02-06", "2024-02-04"])
@pytest.mark.parametrize("q", ["1", "2"], ids=["a duplicate", "a conflict"])
def test_what_is_dropped_is_checked_before(q: str, misplaced: str, tmp_path: Path) -> None:
    """A copy in another partition than its time's is refused, whichever of the two would be kept."""
    (event,) = events(["2024-02-05T00:00:00Z"])
    put(tmp_path, "2024-02-05", [event])
    put(tmp_path, misplaced, [{**event, "q": q}])

    with pytest.raises(SourceError, match="found 1 event in another date"):
        readings(str(tmp_path), measuring(aggregation="sum"), time_partition="date")


def test_times_are_placed_by_their_utc_date(tmp_path: Path) -> None:
    """A time with an offset, and one in an assumed zone, belong to the UTC date of their moment."""
    row = {**events()[0], "time": "2024-02-01T00:30:00+01:00"}
    naive = {**row, "id": "naive", "time": "2024-02-01T00:30:00"}
    put(tmp_path, "2024-01-31", [row, naive])
    options = {"start": "2024-01-31", "end": "2024-02-01", "assume_timezone": "Europe/Berlin"}

    (found,) = readings(str(tmp_path), measuring(aggregation="count"), **options, time_partition="date")
    assert 2 == found["quantity"]


@pytest.mark.slow
@pytest.mark.parametrize("measured", [{"aggregation": "sum"}, {"aggregation": "time-weighted-avg"}], ids=str)
@pytest.mark.parametrize("time", ["2024-02-09T23:59:59.999999Z", "2024-02-11T00:00:00Z", "2031-01-01T00:00:00Z"])
def test_a_misplaced_row_is_refused(time: str, measured: dict[str, Any], tmp_path: Path) -> None:
    """A row that is read in another partition than that of its time is an error: others may be in unread files."""
    folder = tree(tmp_path, "%Y-%m-%d")
    put(tmp_path, "2024-02-10", [{**events([time])[0], "id": "stray"}], name="b")
    with pytest.raises(SourceError, match="found 1 event in another date than the UTC day of its time") as caught:
        readings(folder, measuring(**measured), time_partition="date")

    assert "customer:0" in str(readings(folder, measuring(**measured)))
    assert f"the first of {time}; expected none." in str(caught.value)


def test_a_misplaced_row_that_makes_no_reading_is_refused_too(tmp_path: Path) -> None:
    """Rejected, unmatched and unscheduled rows are checked like others."""
    folder = tree(tmp_path, "%Y-%m-%d")
    stray = {**events(["2024-02-02T00:00:00Z"])[0], "id": "stray", "q": "no quantity"}
    put(tmp_path, "2024-02-10", [stray], name="b")
    with pytest.raises(SourceError, match="found 1 event in another date"):
        readings(folder, measuring(aggregation="sum"), time_partition="date", subject="customer:1")


def test_rows_without_a_partition_are_always_read(tmp_path: Path) -> None:
    """What Hive puts aside because it has no value is read and judged, whatever the window."""
    folder = tree(tmp_path, "%Y-%m-%d")
    lost = {**events()[0], "time": None}
    late = {**events(["2024-02-20T00:00:00Z"])[0], "id": "late", "q": "100"}
    put(tmp_path, "__HIVE_DEFAULT_PARTITION__", [{**lost, "id": "lost"}, late])
    config = measuring(aggregation="sum")
    with aggregate(folder, config, **FEBRUARY, clock=CLOCK, time_partition="date") as result:
        found, books = result.to_dicts(), result.accounting
        reasons = [(row["id"], row["reason"]) for row in result.rejects.to_pylist()]

    assert readings(folder, config) == found
    assert [("lost", "time-missing")] == reasons
    assert (6, 5, 1) == (books.read, books.metered, books.rejected)


def test_nothing_but_rows_without_a_partition_is_read(tmp_path: Path) -> None:
    """A tree that has only the partition of absent values is read whole."""
    put(tmp_path, "__HIVE_DEFAULT_PARTITION__", events())

    assert len(TIMES) == rows_read(str(tmp_path), measuring(aggregation="sum"), time_partition="date")


def test_the_last_year_has_no_next(tmp_path: Path) -> None:
    """The last partitions of the calendar are read like others."""
    rows = events(["9999-12-31T22:59:59Z", "0001-01-02T00:00:00Z"])
    for value, row in (("9999-12-31", rows[0]), ("0001-01-02", rows[1])):
        put(tmp_path, value, [row])
    window = {"start": "9999-12-01", "end": "9999-12-31T23:00:00Z"}

    (found,) = readings(str(tmp_path), measuring(aggregation="sum"), **window, time_partition="date")
    assert 1 == found["quantity"]
    assert 1 == rows_read(str(tmp_path), measuring(aggregation="sum"), **window, time_partition="date")


@pytest.mark.parametrize(
    "value",
    ["2024 02 10", "٢٠٢٤-02-10", "2024-2-10", "24-02-10", "2024-02-10T", "20240210", "2024-02-30", "10000", "x"],
)
def test_what_is_no_date_is_refused_or_checked(value: str, tmp_path: Path) -> None:
    """A value is a date by which every row is checked, or an error; it never lets a misplaced row through."""
    put(tmp_path, value, events(["2024-02-11T00:00:00Z"]))
    with pytest.raises(SourceError):
        readings(str(tmp_path), measuring(aggregation="sum"), time_partition="date")


def test_of_two_folders_of_one_name_neither_is_taken(tmp_path: Path) -> None:
    """DuckDB takes the outer one, which may be somebody's backup folder: all rows would be of its date or tenant."""
    put(tmp_path / "date=2024-02-10", "2023-01-01", events(["2024-02-10T05:30:00Z"]))

    with pytest.raises(SourceError, match="found a partition twice in its path; expected it once"):
        readings(str(tmp_path), measuring(aggregation="count"), time_partition="date")


def refused(given: Any, column: str = "date") -> str:
    """What is said of partitions that cannot be used."""
    with pytest.raises((ConfigError, SourceError)) as caught:
        readings(given, measuring(aggregation="sum"), time_partition=column)
    return str(caught.value)


def test_partitions_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    """No partitions, a column that is none, a value that is no date, and dates of two forms."""
    put(tmp_path / "other", "2024-02-10", events())
    put(tmp_path / "mixed", "2024-02", events())
    put(tmp_path / "mixed", "2024-02-10", events())
    put(tmp_path / "none", "today", events())
    plain = tmp_path / "plain.parquet"
    parquet.write_table(pa.Table.from_pylist(events()), plain)

    assert "found no partitions in" in refused(str(plain))
    assert "found no partitions in a list of objects" in refused(events())
    assert "found the partitions date in" in refused(str(tmp_path / "other"), "day")
    assert "found months and days in date; expected dates of one form." in refused(str(tmp_path / "mixed"))
    assert "found the partition 'today'; expected the UTC date of its events" in refused(str(tmp_path / "none"))


# --- --assume-unique -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", KINDS)
def test_unique_ids_need_no_look(kind: str) -> None:
    """Where no id occurs twice, readings and books are the same without looking for those that do."""
    measured, options = KINDS[kind]
    found = []
    for unique in (False, True):
        with aggregate(
            events(), measuring(**measured), clock=CLOCK, **FEBRUARY, **options, assume_unique=unique
        ) as result:
            found.append((result.to_dicts(), result.accounting.to_dict(), result.rejects.to_pylist()))

    assert found[0] == found[1]


@pytest.mark.slow
def test_a_tie_is_broken_without_a_look_for_duplicates() -> None:
    """Events of one moment are still put in the order of their ids (R13)."""
    tied = [{**events()[4], "id": name, "q": name[1:]} for name in ("e3", "e9", "e1")]
    for aggregation in ("final-state", "latest", "time-weighted-avg", "peak-state"):
        config = measuring(aggregation=aggregation)
        assert readings(tied, config) == readings(tied, config, assume_unique=True)


def test_records_are_the_same_without_a_look() -> None:
    """meter gives the same records, and says what it took for granted."""
    found = []
    for unique in (False, True):
        with meter(events(), measuring(), clock=CLOCK, assume_unique=unique) as result:
            found.append((result.to_dicts(), result.accounting.to_dict(), result.notices))

    assert found[0][:2] == found[1][:2]
    assert [] == found[0][2]
    assert ["no duplicate was looked for: every id is taken to occur once (assume-unique)."] == found[1][2]


def test_a_promise_that_is_broken_counts_twice() -> None:
    """Equal events count twice when they are said to be none: the price of the promise, in books that balance."""
    twice = [*events(), *events()]
    with aggregate(twice, measuring(aggregation="sum"), clock=CLOCK, **FEBRUARY, assume_unique=True) as result:
        doubled, books = [row["quantity"] for row in result.to_dicts()], result.accounting

    assert [2 * row["quantity"] for row in readings(events(), measuring(aggregation="sum"))] == doubled
    assert (18, 18, 0, True) == (books.read, books.metered, books.duplicates, books.balances)


def test_check_takes_the_promise_too() -> None:
    """check reports the same books, and the notice."""
    report = check(measuring(aggregation="sum"), events(), assume_unique=True)

    assert (9, 9) == (report["accounting"]["read"], report["accounting"]["metered"])
    assert ["no duplicate was looked for: every id is taken to occur once (assume-unique)."] == report["notices"]


def test_generated_ids_may_be_promised_unique() -> None:
    """Generated ids are unique by themselves; the promise changes nothing."""
    rows = [{k: v for k, v in row.items() if k != "id"} for row in [*events(), *events()]]
    config = measuring(aggregation="sum")

    assert readings(rows, config, generate_ids=True) == readings(rows, config, generate_ids=True, assume_unique=True)


def test_the_script_looks_for_nothing() -> None:
    """Without a look for duplicates the SQL has no stage of it, of readings and of records."""
    gauge = measuring(aggregation="final-state")
    plain = [compile_sql(gauge, **window) for window in (FEBRUARY, {})]
    unique = [compile_sql(gauge, assume_unique=True, **window) for window in (FEBRUARY, {})]

    names = ("repeated_keys", "settled", "suspects")
    assert [[True] * 3] * 2 == [[name in text for name in names] for text in plain]
    assert [[False] * 3] * 2 == [[name in text for name in names] for text in unique]
    assert ["tied_moments" in text for text in unique] == [True, False]


# --- both, in the shell ----------------------------------------------------------------------------------------------


def shell(*arguments: str) -> Any:
    """A run of the command."""
    return CliRunner().invoke(cli, list(arguments))


def test_both_work_in_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The options of the command are those of the function; the notice is on standard error."""
    monkeypatch.chdir(tmp_path)
    tree(tmp_path / "tree", "%Y-%m-%d")
    (tmp_path / "config.json").write_text(json.dumps(measuring(aggregation="sum")), encoding="utf-8")
    window = ("--config", "config.json", "--start", "2024-02-01", "--end", "2024-03-01", "--clock", CLOCK)
    plain = shell("aggregate", "tree", *window)
    fast = shell("aggregate", "tree", *window, "--time-partition", "date", "--assume-unique")
    script = shell("compile", "tree", *window, "--time-partition", "date", "--assume-unique")
    records = shell("meter", "tree", "--config", "config.json", "--clock", CLOCK, "--assume-unique")

    assert [0] * 4 == [done.exit_code for done in (plain, fast, script, records)]
    assert plain.stdout == fast.stdout
    notice = "note: no duplicate was looked for: every id is taken to occur once (assume-unique).\n"
    books = "{0} read = {0} metered + 0 unmatched + 0 duplicates + 0 conflicts + 0 rejected\n"
    assert [books.format(9), notice + books.format(4)] == [plain.stderr, fast.stderr]
    assert notice + books.format(9) == records.stderr
    assert "repeated_keys" not in script.stdout
    assert "date=2024-01-31" not in script.stdout


@pytest.mark.parametrize("command", ["meter", "check"])
def test_only_windows_need_partitions(command: str) -> None:
    """What has no window reads everything: there is no such option."""
    done = shell(command, "--time-partition", "date")

    assert 2 == done.exit_code


def test_a_dry_run_tells_what_it_would_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and bytes that would be read and left out, what would be written and what replaced; nothing is done."""
    monkeypatch.chdir(tmp_path)
    tree(tmp_path / "tree", "%Y-%m-%d")
    (tmp_path / "config.json").write_text(json.dumps(measuring(aggregation="sum")), encoding="utf-8")
    (tmp_path / "rejects.csv").write_text("before", encoding="utf-8")
    sizes = {path: path.stat().st_size for path in sorted((tmp_path / "tree").rglob("*.parquet"))}
    read = [size for path, size in sizes.items() if "date=2024-02" in str(path)]
    window = ("--start", "2024-02-01", "--end", "2024-03-01", "--time-partition", "date")
    done = shell(
        *("aggregate", "tree", "--config", "config.json", *window, "--dry-run"),
        *("-o", "readings.parquet", "--rejects", "rejects.csv", "--format", "json"),
    )
    told = json.loads(done.stdout)

    left_out = {"left_out_files": len(sizes) - len(read), "left_out_bytes": sum(sizes.values()) - sum(read)}
    name = told["reads"].pop("input")
    assert {"files": len(read), "bytes": sum(read)} | left_out == told["reads"]
    assert name.startswith(str(tmp_path / "tree"))
    assert [
        {"option": "--output", "path": "readings.parquet", "exists": False},
        {"option": "--rejects", "path": "rejects.csv", "exists": True},
    ] == told["writes"]
    assert (0, "", "before") == (done.exit_code, done.stderr, Path("rejects.csv").read_text(encoding="utf-8"))
    assert not Path("readings.parquet").exists()


def test_a_folder_whose_marks_are_no_text_is_refused(tmp_path: Path) -> None:
    """A value such as %FF is no UTF-8: the folder is named, with the way out."""
    folder = tmp_path / "subject=%FF"
    folder.mkdir()
    (folder / "a.csv").write_text("id\n1\n")
    with pytest.raises(SourceError, match=r"^input: found the folder subject=%FF; expected UTF-8 .* hint: rename it"):
        meter(tmp_path, {"measurements": [{"sourceProperty": "q", "unit": "q"}]})
