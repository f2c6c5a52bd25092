"""The benchmark suite: its events are repeatable, its answers are compared, its reports add up. No times are tested."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from benchmarks.__main__ import cli
from benchmarks.answers import Answer, difference
from benchmarks.charts import write_charts
from benchmarks.comparing import changes
from benchmarks.contestants import clickhouse
from benchmarks.events import Shape, generate, piece_sql
from benchmarks.pages import filled_text, markdown
from benchmarks.profiles import AFTER, BETWEEN, seconds_by_query
from benchmarks.question import MEMORY_LIMIT, CannotAsk, Contestant, Dataset, Target, memory_bytes
from benchmarks.questions import ORDER, QUESTIONS
from benchmarks.results import Asked, Report, Timing, parse_size, ratio, read_report, size, timing, write_report
from benchmarks.runner import Plan, contestants_of, run
from benchmarks.servers import need, spark_cluster
from benchmarks.tasks import ASKED, STEPS, Found, Step, TaskReport, fill_page, steps_of, tasks_markdown, write_tasks
from benchmarks.trial import Outcome, TrialFailed, find_contestant, measured, run_trial

# Not part of the product; .ci/run asks every question of a million events, too.
pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parent.parent
FOLDER = PROJECT / "benchmarks" / "questions"
MIXED = Shape(20_000, 10, duplicates=0.05, conflicts=0.02, late=0.03, bad=0.04)
COUNTERS = "counters_by_subject_day"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that keeps generated events for the tests of this file."""
    return tmp_path_factory.mktemp("data")


# --- events ----------------------------------------------------------------------------------------------------------


def test_the_same_shape_gives_the_same_rows_on_any_number_of_threads() -> None:
    """Events depend on the shape and its seed, not on how many threads make them."""

    def rows(shape: Shape, threads: int) -> list[tuple[object, ...]]:
        with duckdb.connect(":memory:", config={"threads": str(threads)}) as connection:
            return connection.execute(piece_sql(shape, 0)).fetchall()

    once = rows(MIXED, 1)

    assert [True, False] == [once == rows(MIXED, 4), once == rows(replace(MIXED, seed=2), 1)]


def test_generated_files_are_kept(data: Path) -> None:
    """Events are made once: a second call finds the files of the first, byte for byte as they are made elsewhere."""
    files = list(generate(MIXED, data).glob("*.parquet"))
    made = [file.stat().st_mtime_ns for file in files]
    generate(MIXED, data)
    elsewhere = generate(MIXED, data / "elsewhere")

    assert made == [file.stat().st_mtime_ns for file in files]
    assert [file.read_bytes() for file in files] == [(elsewhere / file.name).read_bytes() for file in files]


def test_shares_are_those_asked_for(data: Path) -> None:
    """So many events come twice, contradict each other, are late or at fault, give or take chance."""
    found = duckdb.sql(f"""
        WITH events AS (FROM '{generate(MIXED, data)}/*.parquet')
        SELECT count(DISTINCT id), count(*) - count(DISTINCT id), count(*) FILTER (time < metered_at - INTERVAL 1 DAY),
            count(*) FILTER (properties.tokens = '12,5'), count(*) FILTER (properties.tokens IS NULL),
            count(*) FILTER (subject = ''), count(*) FILTER (time IS NULL)
        FROM events""").fetchall()[0]

    expected = (20_000, 1_400, 600, 200, 200, 200, 200)
    assert [True] * 7 == [abs(one - other) <= 0.25 * other for one, other in zip(found, expected, strict=True)]


def test_only_the_first_of_a_repeated_event_counts(data: Path) -> None:
    """A copy has the content of its event and enters later; one in conflict has other tokens and enters later."""
    first, other = duckdb.execute(f"""
        WITH events AS (FROM '{generate(MIXED, data)}/*.parquet'),
        again AS (SELECT id, count(DISTINCT properties) AS contents, count(DISTINCT metered_at) AS entered FROM events
            GROUP BY id HAVING count(*) > 1)
        SELECT count(*) FILTER (contents = 1), count(*) FILTER (contents = 2) FROM again WHERE entered = 2
    """).fetchall()[0]

    assert [True, True] == [abs(first - 1000) < 150, abs(other - 400) < 100]


def test_a_giant_has_its_share_and_no_other_set_changes(data: Path) -> None:
    """Half of all events and a tenth of the rest are the first subject's; a set without a giant keeps its name."""
    shape = Shape(20_000, 10, giant=0.5)
    first, others = duckdb.sql(f"""
        WITH subjects AS (SELECT subject, count(*) AS events FROM '{generate(shape, data)}/*.parquet' GROUP BY subject)
        SELECT max(events), count(*) - 1 FROM subjects""").fetchall()[0]

    assert (True, 9) == (abs(first - 11_000) < 300, others)
    assert "20000-struct-30d-2c1ef0dcbf" == Shape(20_000, 10).name
    with pytest.raises(ValueError, match="found giant 2; expected a share from 0 to 1"):
        Shape(20_000, 10, giant=2)


@pytest.mark.parametrize("properties", ["struct", "map", "json", "typed"])
def test_every_layout_holds_the_same_events(properties: str, data: Path) -> None:
    """The layout of properties changes no quantity, and folders by day hold the events of their day."""
    tokens = {
        "struct": "properties.tokens",
        "map": "properties['tokens']",
        "json": "json_extract_string(properties, '$.tokens')",
        "typed": "tokens",
    }
    totals = []
    for shape in (Shape(5_000, 10, properties=properties, partitioned=True), Shape(5_000, 10)):
        source = f"read_parquet('{Dataset(generate(shape, data), shape).files}')"
        tokens_sql = tokens[shape.properties]
        totals.append(duckdb.sql(f"SELECT sum({tokens_sql}::DECIMAL(18, 6)), sum(hash(id)) FROM {source}").fetchall())
    partitioned = Dataset(generate(Shape(5_000, 10, properties=properties, partitioned=True), data), MIXED).path

    assert totals[0] == totals[1]
    assert [(30, 0)] == duckdb.sql(
        f"SELECT count(DISTINCT day), count(*) FILTER (day <> (time AT TIME ZONE 'UTC')::DATE) "
        f"FROM read_parquet('{partitioned}/**/*.parquet')"
    ).fetchall()


def test_sizes_are_written_as_people_write_them() -> None:
    """10M is ten million, and back."""
    texts = ["10M", "200k", "1234"]

    assert [10_000_000, 200_000, 1234] == [parse_size(text) for text in texts]
    assert texts == [size(parse_size(text)) for text in texts]
    with pytest.raises(ValueError, match="found '10G'; expected a count such as 10M"):
        parse_size("10G")


# --- questions -------------------------------------------------------------------------------------------------------


def test_every_question_file_is_asked() -> None:
    """Each file of benchmarks/questions/ is in the fixed order, and has a question of its name."""
    files = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")

    assert files == sorted(ORDER)
    assert list(ORDER) == [name.replace("-", "_") for name in QUESTIONS]


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_explains_itself(name: str) -> None:
    """A question says what it is and why it is asked, its file too; targets name contestants that there are."""
    question = QUESTIONS[name]
    contestants = question.contestants(10_000_000)
    names = [one.name for one in contestants]
    targeted = [one for target in question.targets for one in (target.contestant, *target.against)]
    module = sys.modules[f"benchmarks.questions.{name.replace('-', '_')}"]

    assert [True] * 3 == [bool(text and text.strip()) for text in (question.title, question.why, module.__doc__)]
    assert [] == [one for one in targeted if one not in names]
    assert sorted(set(names)) == sorted(names)
    assert [one.name for one in question.contestants(10_000_000)] == names


def test_a_contestant_holds_only_its_own_library() -> None:
    """Questions import no contestant's library, so that one process has not the memory of another's."""
    libraries = ("chdb", "polars", "pyspark", "moto", "s3fs", "deltalake", "pyiceberg")
    code = f"import sys, benchmarks.questions; print([name for name in {libraries} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)

    assert "[]\n" == done.stdout


@pytest.mark.parametrize("name", ["states", "time_weighted_by_hour", "time_weighted_by_month"])
def test_variants_without_ties_answer_the_same(name: str, data: Path) -> None:
    """In data without ties the order by time alone gives the answer of the full order, and the notes say so."""
    question = QUESTIONS[name]
    variants = ("ClickHouse, no ties", "Polars, no ties")
    plan = Plan(20_000, (question,), data, rounds=1, contestants=("metering-duck", "bare query", *variants))

    report = run(plan, lambda _: None)

    assert [] == report.errors
    assert set(variants) < {one.contestant for one in report.questions[0].timings}
    assert "detects ties first" in question.notes


def test_a_memory_limit_is_a_size() -> None:
    """Units are powers of 1000, with an i powers of 1024; what is no size is refused."""
    sizes = ["4GB", "1.5 kib", "500mb", "2TiB"]

    assert [4_000_000_000, 1_536, 500_000_000, 2 * 1024**4] == [memory_bytes(text) for text in sizes]
    for text in ("lots", "4", "0GB", "-1GB", "4GB; x", ""):
        with pytest.raises(ValueError, match="expected a size such as 4GB"):
            memory_bytes(text)


def test_clickhouse_is_given_the_memory_limit(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of a run is ClickHouse's own, and half of it is where it goes on on disk."""
    monkeypatch.setenv(MEMORY_LIMIT, "1GB")
    names = ["max_bytes_before_external_group_by", "max_bytes_before_external_sort", "max_memory_usage"]
    listed = ", ".join(f"'{name}'" for name in names)
    sql = f"SELECT name, toInt64(value) AS bytes FROM system.settings WHERE name IN ({listed}) ORDER BY name"

    found = clickhouse(sql, Dataset(data, MIXED), once=False)

    assert dict(zip(names, [500_000_000, 500_000_000, 1_000_000_000], strict=True)) == {
        row["name"]: row["bytes"] for row in found.to_pylist()
    }


# --- answers ---------------------------------------------------------------------------------------------------------


def answer(folder: Path, contestant: str, **columns: object) -> Answer:
    """An answer in a file, from columns."""
    path = folder / f"{contestant}.parquet"
    pyarrow.parquet.write_table(pa.table(columns), path)
    return Answer(contestant, path)


def test_equal_answers_may_differ_in_type_and_order(tmp_path: Path) -> None:
    """Numbers are compared by their value, times in UTC, rows in any order."""
    noon = pa.array([datetime(2024, 1, 1, 12), datetime(2024, 1, 2)], pa.timestamp("us", "UTC"))
    one = answer(tmp_path, "one", subject=["a", "b"], at=noon, quantity=pa.array([1, 2], pa.int64()))
    quantity = pa.array([Decimal("2.000"), Decimal("1.000")], pa.decimal128(20, 3))
    at = pa.array([datetime(2024, 1, 2), datetime(2024, 1, 1, 12)], pa.timestamp("us"))
    other = answer(tmp_path, "other", quantity=quantity, at=at, subject=["b", "a"])

    assert difference("q", one, other) is None


def test_unequal_answers_are_shown(tmp_path: Path) -> None:
    """A difference names question and contestants, counts the rows, and shows the first three of each side."""
    one = answer(tmp_path, "one", subject=list("abcdef"), quantity=["1"] * 6)
    other = answer(tmp_path, "other", subject=list("abcdef"), quantity=["1", "2", "2", "2", "2", "1"])

    assert difference("q", one, other) == (
        "q: found 4 rows that only one has and 4 that only other has; expected equal answers.\n"
        "  only one: quantity 1, subject b\n  only one: quantity 1, subject c\n  only one: quantity 1, subject d\n"
        "  only other: quantity 2, subject b\n  only other: quantity 2, subject c\n  only other: quantity 2, subject d"
    )


def test_a_row_too_many_is_a_difference(tmp_path: Path) -> None:
    """Rows that repeat are counted: one more of the same is unequal."""
    one, other = answer(tmp_path, "one", subject=["a"]), answer(tmp_path, "other", subject=["a", "a"])

    assert difference("q", one, other) == (
        "q: found 0 rows that only one has and 1 that only other has; expected equal answers.\n  only other: subject a"
    )


def test_answers_are_exact_and_have_the_same_columns(tmp_path: Path) -> None:
    """A floating-point answer, or one with other columns, is refused."""
    one, other = answer(tmp_path, "one", quantity=[1]), answer(tmp_path, "other", quantity=[1.0])
    named = answer(tmp_path, "named", amount=[1])

    assert [
        "q: other: column quantity: found DOUBLE; expected a type that is exact.",
        "q: found columns quantity of one and amount of named; expected the same.",
    ] == [difference("q", one, other), difference("q", one, named)]


# --- runs ------------------------------------------------------------------------------------------------------------


def test_a_run_alternates_and_its_answers_are_equal(data: Path) -> None:
    """Each round asks every contestant once, the next one first; small answers of all of them are equal."""
    said: list[str] = []
    plan = Plan(20_000, (QUESTIONS[COUNTERS],), data, rounds=2, contestants=("metering-duck", "bare query"))
    names = [one.name for one in contestants_of(plan, QUESTIONS[COUNTERS])]

    report = run(plan, said.append)

    assert [] == report.errors
    assert [*names, *names[1:], names[0]] == [line.split(": ")[2] for line in said if ": round " in line]
    assert [2] * len(names) == [len(one.seconds) for one in report.questions[0].timings]
    assert [True] * len(names) == [(one.peak_mb or 0) > 20 for one in report.questions[0].timings]


def test_what_runs_beside_a_question_is_there_until_its_last_round(data: Path) -> None:
    """`around` is open once, before the first process and after the last; all of them have its environment."""
    seen: list[str] = []

    @contextmanager
    def around(dataset: Dataset) -> Iterator[dict[str, str]]:
        seen.append(f"began with {dataset.shape.events}")
        yield {MEMORY_LIMIT: "lots"}
        seen.append("ended")

    question = replace(QUESTIONS[COUNTERS], options={"around": around})
    report = run(Plan(20_000, (question,), data, contestants=("bare query",), rounds=1), seen.append)

    said = f"{COUNTERS}: 20k events", f"{COUNTERS}: round 1: bare query: failed"
    assert [said[0], "began with 20000", said[1], "ended"] == seen
    assert [True] == ["SET memory_limit" in error for error in report.errors]


def test_a_question_that_cannot_be_asked_is_one_error(data: Path) -> None:
    """What is missing is said once, in a line, nobody is timed, and the page has a line for each as failed."""

    def around(_dataset: Dataset) -> Iterator[dict[str, str]]:
        raise CannotAsk("found no cluster; expected one.")

    question = replace(QUESTIONS[COUNTERS], options={"around": around})
    report = run(Plan(20_000, (question,), data, contestants=("metering-duck", "bare query")), lambda _: None)

    assert [f"{COUNTERS}: found no cluster; expected one."] == report.errors
    assert [[]] * 3 == [one.seconds for one in report.questions[0].timings]
    assert 3 == markdown(report).count("failed")


def test_what_is_not_installed_is_named_with_the_way_out() -> None:
    """A question says which libraries it has not got."""
    with pytest.raises(CannotAsk) as raised:
        need("duckdb", "nosuchthing")

    hint = "hint: pip install -e '.[benchmarks]'"
    assert f"found no nosuchthing; expected duckdb, nosuchthing. {hint}" == str(raised.value)


def test_without_java_there_is_no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Spark needs Java: where there is none, nothing is started, and one line says so."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(CannotAsk, match=r"^found no Java; expected 17 or newer, for Spark\. hint: [^\n]*$"),
        spark_cluster(),
    ):
        pass


def test_a_contestant_is_ready_before_it_answers(data: Path) -> None:
    """`ready` is called once, and then the answer is asked for."""
    calls: list[str] = []

    def answer(dataset: Dataset) -> pa.Table:
        calls.append("answer")
        return pa.table({"subject": ["a"]})

    contestant = Contestant("metering-duck", answer, ready=lambda: calls.append("ready"))
    _, outcome = measured(contestant, Dataset(data, MIXED))

    assert (["ready", "answer"], 1) == (calls, outcome.answer_rows)


def test_smoke_checks_answers_and_writes_nothing(data: Path) -> None:
    """`smoke` asks a question of everyone once and says that the answers are equal."""
    before = sorted((PROJECT / "benchmarks").rglob("*.json"))
    done = invoke("smoke", "--events", "20k", "--questions", "conditional_counters", "--data", str(data))
    answers = len(QUESTIONS["conditional_counters"].contestants(20_000))

    assert (0, f"1 questions, {answers} answers; all that must be equal are\n") == (done.exit_code, done.stdout), (
        done.stderr
    )
    assert before == sorted((PROJECT / "benchmarks").rglob("*.json"))


def test_a_failure_is_shown_and_the_rest_goes_on(data: Path) -> None:
    """A contestant that gives no answer is an error of the report, and its timing is there without rounds."""
    plan = Plan(20_000, (QUESTIONS[COUNTERS],), data, contestants=("bare query", "Polars"), timeout=0.01)

    report = run(plan, lambda _: None)

    assert [
        f"{COUNTERS}: {one.contestant}: no answer in 0.01 s" for one in report.questions[0].timings
    ] == report.errors
    assert "failed" in markdown(report)


def test_a_failure_has_the_last_words_of_the_process(data: Path, tmp_path: Path) -> None:
    """What a contestant wrote to standard error last is in its failure."""
    dataset = Dataset(data / "nothing", Shape(20_000, 10))
    with pytest.raises(TrialFailed, match=r"exit code 1\n(.*\n)*.*No files found") as failure:
        run_trial(
            COUNTERS, 20_000, find_contestant(COUNTERS, 20_000, "bare query"), dataset, tmp_path / "answer.parquet"
        )

    assert len(str(failure.value).splitlines()) <= 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--contestants", "nope"), "contestants: found 'nope'; expected some of: metering-duck; "),
        (("--contestants", "ClickHouse,Polars"), "hint: names are separated by ';'"),
        (("--memory-limit", "lots"), "found 'lots'; expected a size such as 4GB."),
        (("--output", "/proc/x"), "output: found /proc/x (No such file or directory); expected a folder that can be"),
    ],
)
def test_wrong_usage_is_said_before_events_are_made(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    """Unknown contestants, a limit that is no size and an output that cannot be written are usage errors."""
    given = arguments if "--output" in arguments else (*arguments, "--output", str(tmp_path / "output"))

    done = invoke("run", "--events", "20k", "--questions", COUNTERS, "--data", str(tmp_path / "data"), *given)

    assert (2, True) == (done.exit_code, message in done.stderr), done.stderr
    assert [] == list(tmp_path.iterdir())


# --- reports ---------------------------------------------------------------------------------------------------------


def timed(contestant: str, *seconds: float, events: int = 10_000_000) -> Timing:
    """A contestant's timing of so many seconds a round."""
    outcomes = [Outcome(one, one, 100.0, 5) for one in seconds]
    return timing(contestant, (events, events, 2_000, 2), outcomes)


def reported(*timings: Timing, growth: str | None = None, events: int = 10_000_000) -> Report:
    """A report of one question."""
    machine: dict[str, str | int | float] = {"cpu": "A", "cores": 2, "memory_gb": 8.0, "os": "L", "kernel": "6"}
    target = Target("metering-duck", ("bare query",), 2.0)
    asked = Asked("q", "A question", "Because.", "", growth, list(timings), [ratio(target, timings)])
    when = "2026-11-23T00:00:00Z"
    return Report(events, 3, None, when, when, 0.1, "c" * 40, False, machine, {"python": "3"}, [asked])


def invoke(*arguments: str) -> Result:
    """What a command does."""
    return CliRunner().invoke(cli, list(arguments))


def test_a_target_is_a_ratio_of_medians_with_its_spread() -> None:
    """The ratio is against the fastest rival's median; its spread is that of the rounds, each with its own pair."""
    target = Target("metering-duck", ("ClickHouse", "Polars"), 0.7)
    timings = [timed("metering-duck", 1, 3, 2), timed("ClickHouse", 9, 9, 9), timed("Polars", 4, 4, 2)]

    found = ratio(target, timings)

    assert ("Polars", 0.5, 0.25, 1.0, True) == (found.against, found.ratio, found.low, found.high, found.met)
    assert ratio(target, timings[:1]).met is None


def test_a_target_per_event_divides_by_the_events() -> None:
    """Ten times the events in eleven times the time is a ratio of 1.1."""
    target = Target("metering-duck, 100M", ("metering-duck, 10M",), 1.15, per_event=True)
    timings = [timed("metering-duck, 100M", 11, events=100_000_000), timed("metering-duck, 10M", 1)]

    assert 1.1 == pytest.approx(ratio(target, timings).ratio)


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    """The JSON holds the whole report; the latest name stays with the run that has more answers."""
    whole = reported(timed("metering-duck", 2, 2), timed("bare query", 1, 1))
    part = reported(timed("metering-duck", 3))

    first, second = write_report(whole, tmp_path), write_report(part, tmp_path)

    assert (tmp_path / "2026-11-23-10M.json", tmp_path / "latest-10M.json") == first
    assert (tmp_path / "2026-11-23-10M-2.json", None) == second
    assert whole == read_report(tmp_path / "latest-10M.json")


def test_a_slip_of_more_than_ten_percent_is_flagged(tmp_path: Path) -> None:
    """What became slower against the bare query is an error; a slower machine that slowed both is none."""
    reports = {
        "old": reported(timed("metering-duck", 2.0), timed("bare query", 1.0)),
        "same": reported(timed("metering-duck", 2.19), timed("bare query", 1.0)),
        "slower": reported(timed("metering-duck", 2.25), timed("bare query", 1.0)),
        "both": reported(timed("metering-duck", 2.18), timed("bare query", 1.09)),
    }
    paths = {name: str(write_report(report, tmp_path / name)[0]) for name, report in reports.items()}

    done = {name: invoke("compare", paths["old"], path) for name, path in paths.items()}

    expected = {"old": 0, "same": 0, "slower": 1, "both": 0}
    assert expected == {name: one.exit_code for name, one in done.items()}
    message = "error: q: metering-duck: found 2.25 × bare query, 12% over the 2 before; expected at most 10%.\n"
    assert message == done["slower"].stderr


def test_without_a_bare_query_seconds_are_compared() -> None:
    """Where there is no bare query, or it is the contestant, the measure is seconds; a variant has its own floor."""
    timings = (timed("metering-duck, by month", 2), timed("bare query, by month", 1), timed("bare query, by hour", 4))
    alone = reported(timed("metering-duck", 3))

    found = [(one.contestant, one.measure) for one in changes(reported(*timings), reported(*timings))]

    assert [("metering-duck", "s")] == [(one.contestant, one.measure) for one in changes(alone, alone)]
    assert ("metering-duck, by month", "× bare query") == found[0]


def test_reports_of_other_machines_are_not_compared(tmp_path: Path) -> None:
    """Another machine or size says nothing of the code: the command says which, and exits with 2."""
    old = reported(timed("metering-duck", 2.0))
    new = replace(old, events=1_000_000, machine=old.machine | {"cpu": "B"})
    paths = [str(write_report(report, tmp_path)[0]) for report in (old, new)]

    done = invoke("compare", *paths)

    assert 2 == done.exit_code
    start = f"error: {paths[1]}: cannot be compared with {paths[0]}: "
    assert f"{start}events: found 1M against 10M; expected the same.\n" in done.stderr
    assert f"{start}cpu: found B against A; expected the same.\n" in done.stderr


@pytest.mark.parametrize("content", [b"nonsense", b"{}", b"\xff", b""])
def test_a_file_that_is_no_report_is_named(content: bytes, tmp_path: Path) -> None:
    """`report` and `compare` say in one line which file is no report, and exit with 2."""
    file = tmp_path / "file.json"
    file.write_bytes(content)

    done = [invoke("report", str(file)), invoke("compare", str(file), str(file))]

    message = f"error: {file}: found no report; expected a JSON file that `run` wrote.\n"
    assert [(2, message)] * 2 == [(one.exit_code, one.stderr) for one in done]


def test_a_contestant_that_is_lost_is_an_error(tmp_path: Path) -> None:
    """Who worked before and failed, or is missing at the same question, is an error; a question not asked is a note."""
    rival, error = timed("Polars", 3.0), "exit code 1\nsecond line"
    failed = timing("metering-duck", (10_000_000, 10_000_000, 2_000, 2), [], error)
    old, new = reported(timed("metering-duck", 2.0), rival), reported(failed, rival)
    other = replace(old, questions=[*old.questions, replace(old.questions[0], name="r")])
    reports = (old, new, reported(rival), other)
    paths = [str(write_report(report, tmp_path / str(number))[0]) for number, report in enumerate(reports)]

    done = [invoke("compare", *pair) for pair in (paths[:2], (paths[0], paths[2]), (paths[3], paths[0]))]

    assert [
        (1, "error: q: metering-duck: found that it failed (exit code 1); expected an answer as before.\n"),
        (1, "error: q: metering-duck: found that it is missing; expected an answer as before.\n"),
        (0, "note: r: Polars: is in only one of the two\nnote: r: metering-duck: is in only one of the two\n"),
    ] == [(one.exit_code, "".join(sorted(one.stderr.splitlines(True)))) for one in done]


def test_reports_with_nothing_in_common_are_not_compared(tmp_path: Path) -> None:
    """Without a contestant in both there is nothing to compare; another DuckDB is only a note."""
    old, new = reported(timed("metering-duck", 2.0)), reported(timed("Polars", 3.0))
    newer = replace(old, versions={"duckdb": "9"})
    paths = [str(write_report(report, tmp_path / str(number))[0]) for number, report in enumerate((old, new, newer))]

    nothing, versions = invoke("compare", *paths[:2]), invoke("compare", paths[0], paths[2])

    reason = "found nothing that both have measured; expected a contestant of the same question."
    assert 2 == nothing.exit_code
    assert f"error: {paths[1]}: cannot be compared with {paths[0]}: {reason}\n" in nothing.stderr
    assert (0, "note: duckdb: found 9 against none; a change may be its own\n") == (
        versions.exit_code,
        versions.stderr,
    )


def test_a_report_becomes_tables_and_charts(tmp_path: Path) -> None:
    """The Markdown has targets and medians; charts are made of what there is."""
    report = reported(timed("metering-duck", 2, 2), timed("bare query", 1.25, 1.25))
    growth = reported(timed("metering-duck, 1M", 1, events=1_000_000), timed("metering-duck, 10M", 9), growth="events")

    text = markdown(report)

    assert "| A question | metering-duck ≤ 2 × bare query | 1.60 | 1.60 – 1.60 | met |" in text
    assert "| bare query | 10M | 1.25 | 1.25 – 1.25 | 0.625 | 1.25 | 100 | 5 |" in text
    assert ["r-ratios.svg"] == [path.name for path in write_charts(report, tmp_path / "r.json")]
    assert ["g-growth.svg"] == [path.name for path in write_charts(growth, tmp_path / "g.json")]


def test_pages_are_filled_between_their_marks(tmp_path: Path) -> None:
    """What stands between the marks of this size is replaced; all else, other sizes too, stays."""
    page = "a\n<!-- latest 10M targets -->\nold\n<!-- /latest -->\nb\n<!-- latest 1M targets -->\nc\n<!-- /latest -->\n"
    report = reported(timed("metering-duck", 2), timed("bare query", 1))

    filled = filled_text(page, report, "results", tmp_path / "latest-10M.json")

    assert "old" not in filled
    assert filled.endswith("b\n<!-- latest 1M targets -->\nc\n<!-- /latest -->\n")
    assert filled == filled_text(filled, report, "results", tmp_path / "latest-10M.json")


def test_a_profile_adds_up() -> None:
    """The seconds by query are those between reports, and with the rest they are the whole."""
    heard = [(1.5, "counted"), (1.7, "counted"), (2.5, "readings")]

    found = seconds_by_query(heard, 0.0, 3.0)

    expected = {BETWEEN: 1.9, "counted": 0.4, "readings": 0.2, AFTER: 0.5}
    assert pytest.approx(expected) == found


# --- tasks -----------------------------------------------------------------------------------------------------------


def stage(number: int, *rdds: tuple[int, str, list[int]]) -> dict[str, object]:
    """A stage of Spark's event log that has ended, of RDDs: number, scope and parents."""
    infos = [{"RDD ID": one, "Scope": json.dumps({"name": scope}), "Parent IDs": of} for one, scope, of in rdds]
    return {"Event": "SparkListenerStageCompleted", "Stage Info": {"Stage ID": number, "RDD Info": infos}}


def task(number: int, seconds: float, shuffled: int = 0) -> dict[str, object]:
    """A task of a stage, in Spark's event log."""
    metrics = {
        "Input Metrics": {"Records Read": 5},
        "Shuffle Read Metrics": {"Local Bytes Read": shuffled, "Remote Bytes Read": shuffled},
        "Shuffle Write Metrics": {"Shuffle Bytes Written": 7},
    }
    info = {"Launch Time": 1000, "Finish Time": 1000 + round(seconds * 1000)}
    return {"Event": "SparkListenerTaskEnd", "Stage ID": number, "Task Info": info, "Task Metrics": metrics}


def test_tasks_are_those_of_the_stages_that_compute_a_step() -> None:
    """Each MapInArrow after the first is a step; who only reads what was kept of it is none of its tasks."""
    made = [stage(n, (10 * n, "Scan", []), (10 * n + 1, "MapInArrow", [10 * n])) for n in range(5)]
    kept = stage(5, (41, "MapInArrow", []), (50, "InMemoryTableScan", [41]), (51, "map", [50]))
    ended = [task(0, 9), *(task(n, 1, n) for n in range(1, 5)), task(4, 3, 4), task(5, 8)]

    found = steps_of([{"Event": "SparkListenerLogStart"}, *made, kept, *ended])

    assert list(STEPS) == [one.name for one in found]
    assert Step("keys", [1.0], 5, 2, 7) == found[0]
    assert ([1.0, 3.0], 2.0, 3.0, 10, 16, 14) == (
        found[3].seconds,
        found[3].median,
        found[3].max,
        found[3].rows_read,
        found[3].shuffle_read_bytes,
        found[3].shuffle_written_bytes,
    )
    with pytest.raises(ValueError, match=r"event log: found 3 steps; expected keys, repeated, counted, readings\."):
        steps_of([*made[:4], kept])


def test_task_times_are_written_beside_the_results(tmp_path: Path) -> None:
    """The JSON has every task's seconds, the Markdown the longest by the median one, the page what is between marks."""
    steps = [Step(name, [1.0, 2.0, 9.0], 0, 2_500_000, 0) for name in STEPS]
    found = [Found(name, title, 30.0, steps) for name, (title, _, _) in ASKED.items()]
    report = TaskReport(replace(reported(events=2_000_000), questions=[]), 400, 0.5, 2, {"a": "b"}, found)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- latest 2M tasks -->\nold\n<!-- /latest -->\nafter\n")

    path = write_tasks(report, tmp_path)
    fill_page(report, page)

    assert "2026-11-23-2M-tasks.json" == path.name
    assert [1.0, 2.0, 9.0] == json.loads(path.read_text())["found"][1]["steps"][3]["seconds"]
    assert tasks_markdown(report) == path.with_suffix(".md").read_text()
    row = "| readings | some of the subjects | 3 | 2.00 | 9.00 | 4.50 |  | 2.50 |  |"
    assert [True] * 2 == [row in text for text in (tasks_markdown(report), page.read_text())]
    assert (True, False) == (page.read_text().endswith("<!-- /latest -->\nafter\n"), "old" in page.read_text())
