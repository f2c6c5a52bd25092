"""The printed script: short, on lines that can be read, and what it says is what runs."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metering_duck import aggregate, compile_sql, meter, rollup
from metering_duck.cli.demo import CONFIG as DEMO
from metering_duck.errors import QuantityOverflow
from metering_duck.runs.script import FAMILIES, OVERFLOWS
from metering_duck.statements.layout import WIDTH
from metering_duck.statements.quote import identifier, literal, shown
from metering_duck.statements.stages import functions, functions_of
from metering_duck.statements.tokens import tokens_of

ROOT = Path(__file__).parents[2]
WINDOW = {"start": "2024-01-01", "end": "2024-02-01"}
CLOCK = "2024-06-01T00:00:00Z"
ONE_SUM = {"measurements": [{"sourceProperty": "response_time_ms", "unit": "milliseconds", "aggregation": "sum"}]}
OPERATORS: dict[str, Any] = {
    "equals": "a",
    "notEquals": "a",
    "in": [f"value {n}" for n in range(60)],
    "notIn": ["a", "x" * 300],
    "exists": True,
    "missing": True,
    "prefix": "it's",
    "contains": "quote '' and \" " * 20,
    "matches": "^(a|b)+$" * 30,
    "gt": "1.5",
    "gte": "1" * 60,
    "lt": "1e9",
    "lte": "-2",
}
AGGREGATIONS = (
    "sum", "min", "max", "count", "avg", "latest", "first", "unique-count", "time-weighted-avg", "integral-hours",
    "time-weighted-avg-known", "peak-state", "min-state", "final-state", "p95", "p50-interpolated",
)  # fmt: skip


def measured(*measurements: dict[str, Any]) -> dict[str, Any]:
    """A config of measurements of one property each."""
    listed = [{"sourceProperty": f"property {n}", "unit": f"unit {n}", **m} for n, m in enumerate(measurements)]
    return {"measurements": listed}


def every_operator() -> dict[str, Any]:
    """A config in which each operator filters, alone and among others."""
    found = [{"property": "tier", key: value} for key, value in OPERATORS.items()]
    combined = [{"and": found}, {"or": found}, {"not": {"or": [{"not": one} for one in found]}}]
    return measured(*({"filter": one, "aggregation": "sum"} for one in [*found, *combined]))


def scripts() -> Iterator[tuple[str, str]]:
    """Name and text of many printed scripts."""
    for folder in sorted((ROOT / "tests" / "golden").iterdir()):
        yield folder.name, folder.joinpath("compiled.sql").read_text(encoding="utf-8")
    for path in sorted((ROOT / "examples").glob("*/config.json")):
        for name, window in (("meter", {}), ("aggregate", {**WINDOW, "every": "day"})):
            chosen = {} if name == "meter" else {"aggregation": None}
            config = json.loads(path.read_text(encoding="utf-8"))
            if name == "meter" or all("aggregation" in m for m in measurements_of(config)):
                yield f"{path.parent.name}-{name}", compile_sql(config, **window, **chosen)
    yield "demo", compile_sql(DEMO, **WINDOW)
    yield "one-sum", compile_sql(ONE_SUM, **WINDOW, scale=0)
    yield "operators", compile_sql(every_operator(), **WINDOW)
    many = measured(*({"aggregation": name} for name in AGGREGATIONS))
    for fill in ("none", "zero", "carry"):
        yield f"many-{fill}", compile_sql(many, **WINDOW, every="day", timezone="Europe/Berlin", fill=fill)
    yield "many-digits", compile_sql(many, **WINDOW, digits=6, group_by=("region", "x" * 200), bundled=True)
    yield "hundred", compile_sql(measured(*[{"aggregation": "avg"}] * 100), **WINDOW)
    deltas = [
        {"aggregation": "peak-state", "values": "deltas"},
        {"aggregation": "avg-of-integral", "innerWindow": "day"},
    ]
    deltas += [{"aggregation": "sum-of-max", "innerDimension": "node"}, {"aggregation": "sum", "unit": "unit 0 too"}]
    yield "two-levels", compile_sql(measured(*deltas), **WINDOW)
    span = {"start": "from", "end": "to"}
    converted = {"sourceProperty": ["a", "b"], "divide": "1024", "timesDuration": "hours", "proration": "by-time"}
    yield "spans", compile_sql(measured({**converted, "span": span, "aggregation": "sum"}), **WINDOW)
    long = {"sourceProperty": "it's " * 60, "unit": "u\n" * 100, "aggregation": "sum"}
    yield "long", compile_sql({"measurements": [long]}, **WINDOW, workspace="w" * 500, subject=["s"] * 3)
    yield "asked", compile_sql(ONE_SUM, **WINDOW, as_of="2024-02-01", map_universe={"a": "b" * 200}, assume_unique=True)
    subscriptions = [{"universe": "u", "subject": f"s{n}", "interval": "P1M", "anchor": "2024-01-31"} for n in range(3)]
    yield "subscriptions", compile_sql(DEMO, **WINDOW, subscriptions=subscriptions)
    with meter(events(), ONE_SUM, clock=CLOCK) as found:
        records = found.to_arrow()
    with aggregate(records=records, **WINDOW, clock=CLOCK) as result:
        yield "records", result.sql
    with aggregate(events(), ONE_SUM, **WINDOW, every="day", clock=CLOCK) as result:
        daily = result.to_arrow()
    with rollup(daily, every="week", clock=CLOCK) as result:
        yield "rollup", result.sql
    for shape in ("cloudevents", "openmeter", "lago", "stripe"):
        yield shape, compile_sql(ONE_SUM, shaped(shape), **WINDOW, from_=shape)
    without_ids = [{key: value for key, value in one.items() if key != "id"} for one in events()]
    yield "generated", compile_sql(ONE_SUM, without_ids, **WINDOW, generate_ids=True)


def measurements_of(config: dict[str, Any]) -> list[dict[str, Any]]:
    """The measurements of a config, of its entries too."""
    return [*config.get("measurements", []), *(m for e in config.get("entries", []) for m in e["measurements"])]


def events() -> list[dict[str, Any]]:
    """Three events, one of them sent twice."""
    listed = [
        {
            "id": f"e{n}",
            "workspaceID": "w",
            "universeID": "u",
            "type": "t",
            "subject": "s",
            "time": f"2024-01-0{n + 1}T00:00:00Z",
            "meteredAt": f"2024-01-0{n + 1}T00:00:00Z",
            "properties": {"response_time_ms": "1.5", "property 0": "2"},
        }
        for n in range(3)
    ]
    return [*listed, listed[0]]


def shaped(shape: str) -> list[dict[str, Any]]:
    """An event as another system writes it."""
    cloud = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "subject": "c", "data": {"a": 1}}
    lago = {"transaction_id": "1", "external_subscription_id": "s", "code": "c", "timestamp": 1704067200}
    stripe = {"event_name": "n", "identifier": "1", "timestamp": 1704067200, "payload": {"stripe_customer_id": "c"}}
    of_shape = {
        "cloudevents": {**cloud, "data": events()[0]},
        "lago": lago | {"properties": {"a": 1}},
        "stripe": stripe,
    }
    return [of_shape.get(shape, cloud | {"time": "2024-01-01T00:00:00Z"})]


@pytest.fixture(scope="module")
def printed() -> dict[str, str]:
    """Many printed scripts by name."""
    return dict(scripts())


# --- how long --------------------------------------------------------------------------------------------------------


def test_a_script_is_short(tmp_path: Path) -> None:
    """A person reads a sum's script to its end: each stage is there once, and no macro that is not called."""
    json_file = tmp_path / "event.json"
    json_file.write_text(json.dumps(events()[0]), encoding="utf-8")
    counts = [compile_sql(config, **WINDOW).count("\n") for config in (ONE_SUM, DEMO)]
    counts += [compile_sql(config).count("\n") for config in (ONE_SUM, DEMO)]
    # JSON has more lines: it is read by functions that keep every digit and take nothing that is no JSON.
    counts.append(compile_sql(ONE_SUM, json_file, **WINDOW).count("\n"))
    assert [True] * 5 == [count <= most for count, most in zip(counts, (530, 850, 340, 425, 660), strict=True)], counts


@pytest.mark.slow
def test_no_line_is_longer_than_140_characters(printed: dict[str, str]) -> None:
    """Whatever a config holds, every line of its script can be read without turning the page."""
    longest = {name: max(script.split("\n"), key=len) for name, script in printed.items()}
    assert {} == {name: line for name, line in longest.items() if len(line) > WIDTH}


@pytest.mark.slow
def test_a_line_has_one_branch(printed: dict[str, str]) -> None:
    """No line of a script has the second branch of a CASE that begins on it."""
    found = [line for script in printed.values() for line in script.split("\n") if branches_of_one_case(line) > 1]
    assert [] == found


def branches_of_one_case(line: str) -> int:
    """How many WHEN the CASE with most of them has on one line."""
    stack, most = [0], 0
    for token in tokens_of(line):
        if token.text == "CASE":
            stack.append(0)
        elif token.text == "WHEN":
            stack[-1] += 1
            most = max(most, stack[-1])
        elif token.text == "END" and len(stack) > 1:
            stack.pop()
    return most


# --- what it says ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_script_has_the_macros_that_it_calls(printed: dict[str, str]) -> None:
    """Every macro of ours that a script calls is in it, before it is called, and no other one."""
    for name, script in printed.items():
        made = re.findall(r"^CREATE OR REPLACE TEMP MACRO (\w+)\(", script, re.MULTILINE)
        of_stages = script[script.rindex("TEMP MACRO") :].split(";\n\n", 1)[1] if made else script
        assert made == functions_of(of_stages), name
        assert set(made) <= set(functions())


def test_a_stage_is_there_once(printed: dict[str, str]) -> None:
    """No view and no table is made twice."""
    for name, script in printed.items():
        made = re.findall(r"^CREATE OR REPLACE TEMP (?:VIEW|TABLE) (\w+) AS$", script, re.MULTILINE)
        assert {} == {stage: count for stage, count in Counter(made).items() if count > 1}, name


NUMBERED = re.compile(r"([a-z][a-z_]*?)_(\d+)(?:_\d+)?")
OF_PROPERTIES = {"p", "number", "q_of_p", "v_of_p"}
# Numbered after a series, a kind or a quotient, whose comments say which one.
OF_STAGES = {"value", "inner"}


def short_names(line: str, others: frozenset[str]) -> list[tuple[str, str]]:
    """Family and number of each numbered name in a line, but for the others."""
    words = [token.text for token in tokens_of(line) if token.kind == "word" and token.text not in others]
    return [match.group(1, 2) for word in words if (match := NUMBERED.fullmatch(word))]


def positions(line: str) -> list[tuple[str, str]]:
    """List and number of each text that a line takes out of a list, as texts[1]."""
    tokens = [token.text for token in tokens_of(line) if token.kind in ("word", "other")]
    taken = zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False)
    return [(name, n) for name, opened, n, closed in taken if opened + closed == "[]" and n.isdecimal()]


def is_listed(number: int, sentence: str) -> bool:
    """Whether a legend has the number: on its own, or from one to another; a list without numbers has all."""
    spans = re.findall(r"\b(\d+)(?: to (\d+))? (?:is|are) ", sentence)
    return not spans or any(int(first) <= number <= int(last or first) for first, last in spans)


def comments_up_to(lines: list[str], number: int) -> str:
    """All comments of a script before and on a line, as one text."""
    comments = (line.strip().removeprefix("--") for line in lines[: number + 1] if line.lstrip().startswith("--"))
    return " ".join(" ".join(comments).split())


@pytest.mark.slow
def test_every_short_name_is_in_the_legend(printed: dict[str, str]) -> None:
    """What p_0, a_0 and texts[1] stand for, and which slot, property or field has the number, is said before."""
    unknown = set()
    for name, script in printed.items():
        made = re.findall(r"^ *(?:WITH )?(\w+) AS \($| (\w+) AS$|^CREATE \w.* VIEW (\w+) AS", script, re.MULTILINE)
        others = frozenset(stage for found in made for stage in found)
        lines = script.split("\n")
        seen: set[tuple[str, str]] = set()
        for number, line in enumerate(lines):
            if line.lstrip().startswith("--"):
                continue
            for listed_in, of in set(positions(line)) - seen:
                seen.add((listed_in, of))
                _, _, sentence = comments_up_to(lines, number).rpartition(f" {listed_in}[N] is ")
                if not sentence or not is_listed(int(of), sentence.partition(". ")[0]):
                    unknown.add((name, listed_in, of))
            for family, of in set(short_names(line, others)) - seen:
                seen.add((family, of))
                said = comments_up_to(lines, number)
                if family != "p" and (family not in FAMILIES or FAMILIES[family] not in said):
                    unknown.add((name, family, of))
                if family in OF_PROPERTIES:
                    listed = said.partition("p_N is the text of property N: ")[2]
                    if not re.search(rf"(^|, ){of} is ", listed):
                        unknown.add((name, family, of))
                elif family not in OF_STAGES and f"Slot {of} is " not in said:
                    unknown.add((name, family, of))
    assert [] == sorted(unknown)


def test_every_slot_and_property_is_named(printed: dict[str, str]) -> None:
    """The numbers of short names are those of slots and properties that the legend lists."""
    script = printed["demo"]
    slots = re.findall(r"^-- Slot (\d+) is (.*)\.$", script, re.MULTILINE)
    assert [
        ("0", '"input_tokens" in "input-tokens", sum: entries[0].measurements[0]'),
        ("1", '"output_tokens" in "output-tokens", sum: entries[0].measurements[1]'),
        ("2", '"output_tokens" in "premium-output-tokens", sum: entries[0].measurements[2]'),
        ("3", '"seats" in "seats", time-weighted-avg: entries[1].measurements[0]'),
    ] == slots
    listed = '0 is "input_tokens", 1 is "output_tokens", 2 is "seats", 3 is "tier"'
    assert f"-- p_N is the text of property N: {listed}.\n" in script


@pytest.mark.parametrize(
    "names",
    [("a  b", "a b"), ("p" * 85 + "_in", "p" * 85 + "_out"), ("a\u202eb", "a\\u202eb"), ("\x1b[1m", "a, 1 is b")],
)
def test_two_names_do_not_look_the_same(names: tuple[str, str]) -> None:
    """Properties, units and inner dimensions of like names are told apart, and nothing in a comment is invisible."""
    listed = [
        {"sourceProperty": name, "unit": f"u{name}", "aggregation": "sum-of-max", "innerDimension": f"d{name}"}
        for name in names
    ]
    said = [line for line in compile_sql({"measurements": listed}, **WINDOW).split("\n") if line.lstrip()[:2] == "--"]
    as_one = " ".join(line.strip().removeprefix("-- ") for line in said)
    for n, name in enumerate(names):
        unit = shown(f"u{name}")
        assert f"Slot {n} is {shown(name)} in {unit}, sum-of-max by {shown(f'd{name}')}: " in as_one
        assert f"{n} is {shown(name)}" in as_one.partition("p_N is the text of property N: ")[2]
        assert f"the sum-of-max of {unit}" in as_one
    assert all(line.isprintable() for line in said)


def test_a_script_says_what_runs_instead() -> None:
    """Where what runs depends on the events, a sentence says so above the stage."""
    script = compile_sql(DEMO, **WINDOW)
    for stage, sentence in (
        ("repeated_keys", "sorts them outside of SQL"),
        ("settled", "looks at a row's key before"),
        ("tied_moments", "orders levels by their times alone"),
        ("accepted", "Where no key occurs twice"),
        ("counted", "more than 38 digits on the way"),
    ):
        before = script[: re.search(rf"^CREATE OR REPLACE TEMP \w+ {stage} AS$", script, re.MULTILINE).start()]  # type: ignore[union-attr]
        assert sentence in " ".join(before.rpartition("\n\n")[2].replace("\n-- ", " ").split()), stage


# --- it runs ---------------------------------------------------------------------------------------------------------


def rows_of(script: str, given: pa.Table | None = None) -> list[dict[str, Any]]:
    """The rows of a script in a DuckDB that knows nothing of metering-duck."""
    with duckdb.connect(config={"python_enable_replacements": "false"}) as connection:
        if given is not None:
            connection.register("input_rows", given)
        *before, last = connection.extract_statements(script)
        for statement in before:
            connection.execute(statement)
        return connection.sql(last.query).to_arrow_table().to_pylist(maps_as_pydicts="strict")


@pytest.mark.slow
@pytest.mark.parametrize("config", [every_operator(), measured(*({"aggregation": a} for a in AGGREGATIONS)), DEMO])
def test_a_script_gives_what_the_run_gives(tmp_path: Path, config: dict[str, Any]) -> None:
    """Long texts, every operator and many measurements: the script's rows are those of aggregate, and of meter."""
    path = tmp_path / "events.ndjson"
    properties = {f"property {n}": f"{n}.5" for n in range(17)} | {"tier": "a", "output_tokens": "7", "seats": "2"}
    listed = [one | {"properties": properties | {"input_tokens": "5"}} for one in events()]
    listed = [one | {"type": "llm.completion" if n % 2 else "seats.changed"} for n, one in enumerate(listed)]
    path.write_text("\n".join(map(json.dumps, listed)), encoding="utf-8")
    for call, options in ((meter, {}), (aggregate, {**WINDOW, "every": "week"})):
        with call(str(path), config, **options, clock=CLOCK) as result:
            assert result.to_dicts() == rows_of(compile_sql(config, str(path), **options, clock=CLOCK))


def by_id(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in the order of their ids."""
    return sorted(rows, key=lambda row: str(row["id"]))


SCHEDULES: dict[str, dict[str, Any]] = {
    "pairs": {"windows": [("2024-01-01", "2024-01-03"), ("2024-01-03", "2024-02-01")]},
    "rows": {"windows": [{"start": "2024-01-01", "end": "2024-01-02"}, {"start": "2024-01-02", "end": "2024-01-05"}]},
    "subscriptions": {
        **WINDOW,
        "subscriptions": [{"universe": "u", "subject": "s", "interval": "P1M", "anchor": "2023-12-31"}],
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("options", SCHEDULES.values(), ids=SCHEDULES)
def test_a_script_has_few_given_objects_in_it(options: dict[str, Any]) -> None:
    """Events and windows that are given as lists of Python objects stand in the script, which runs as it stands."""
    with aggregate(events(), ONE_SUM, **options, clock=CLOCK) as result:
        assert "Runs as it stands in the DuckDB shell." in result.sql
        assert by_id(result.to_dicts()) == by_id(rows_of(result.sql))


def first_sentences(script: str) -> str:
    """What a script says before its first statement, as one text."""
    return " ".join(script.partition("\nSET ")[0].replace("\n-- ", " ").split())


def test_a_script_says_which_tables_it_lacks() -> None:
    """Of many objects, and of the rows of a table in this process, the reader has to make a table first."""
    windows = pa.table({"start": ["2024-01-01"], "end": ["2024-02-01"]})
    with aggregate(events() * 100, ONE_SUM, windows=windows) as many:
        said = first_sentences(many.sql)
    assert (
        "Runs in the DuckDB shell where there is what it reads: input_lines, as JSON text in the column "
        "line, the objects that were given as input; windows_rows, the rows that were given as windows." in said
    )
    with aggregate(events(), ONE_SUM, **WINDOW, clock=CLOCK) as result:
        readings = result.to_arrow()
    with rollup(readings, every="month") as months:
        assert "readings_given_rows, the rows that were given as readings_given." in first_sentences(months.sql)


def test_a_script_made_without_events_says_which_file_it_assumes() -> None:
    """Nobody gave events.parquet: the first sentence names it, and what it has to hold."""
    said = first_sentences(compile_sql(ONE_SUM, **WINDOW))
    assert "where there is what it reads: events.parquet with the columns id, workspace_id," in said


def test_a_script_says_which_files_the_run_made_of_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame and standard input are copied into a file that is gone with the run: the script does not run as it is."""
    lines = "\n".join(json.dumps(event) for event in events())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    names = ("id", "workspace_id", "universe_id", "type", "subject", "time", "response_time_ms")
    frame = polars.LazyFrame({name: ["2024-01-05" if name == "time" else "7"] for name in names})
    for given in [frame, "-"]:
        with aggregate(given, ONE_SUM, **WINDOW, clock=CLOCK) as result:
            said = first_sentences(result.sql)
        path = re.search(r"Reads (\S+), which the run made of its input and removes when it ends", said)
        assert path is not None
        assert path[1] in result.sql
        assert "as it stands" not in said
        assert not Path(path[1]).exists()


def test_a_text_that_looks_like_a_table_of_ours_stays() -> None:
    """Only the table behind FROM is put in its place: a unit may have the same words."""
    config = {
        "measurements": [{"sourceProperty": "response_time_ms", "unit": "FROM input_lines", "aggregation": "sum"}]
    }
    with aggregate(events(), config, **WINDOW, clock=CLOCK) as result:
        assert ["FROM input_lines"] == [row["unit"] for row in rows_of(result.sql)]


def long_lines(script: str) -> set[str]:
    """The lines of a script that are longer than a line should be, without white space around them."""
    return {line.strip() for line in script.split("\n") if len(line) > WIDTH}


ROW = {"id": "e1", "workspace_id": "w", "universe_id": "u", "type": "t", "subject": "s", "time": "2024-01-05T00:00:00Z"}
LENGTHS = (123, 139, 300)


def files_of_long_names(folder: Path, name: str) -> Iterator[Path]:
    """One event in files of several formats, with a property of this name and a column that nobody asks for."""
    cells = {**ROW, name: "1.5", f"{name}_unused": "7"}
    folder.joinpath("a.csv").write_text(",".join(cells) + "\n" + ",".join(cells.values()) + "\n", encoding="utf-8")
    row = {**ROW, "properties": {name: "1.5", f"{name}_unused": "7"}}
    folder.joinpath("a.ndjson").write_text(json.dumps(row), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist([cells]), folder / "columns.parquet")
    pq.write_table(pa.Table.from_pylist([row]), folder / "struct.parquet")
    yield from sorted(folder.iterdir())


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize("length", LENGTHS)
def test_a_script_with_long_names_runs(tmp_path: Path, length: int) -> None:
    """However long a column or a property is named, the script runs, and only its name may take more than a line."""
    name = ("it's a name " * 30)[:length].strip() + "x"
    config = {"measurements": [{"sourceProperty": name, "unit": "u", "aggregation": "sum"}]}
    whole = {quote(f"{name}{end}") for quote in (identifier, literal) for end in ("", "_unused")}
    for path in files_of_long_names(tmp_path, name):
        with aggregate(path, config, **WINDOW, clock=CLOCK) as result:
            assert result.to_dicts() == rows_of(result.sql)
            assert long_lines(result.sql) <= whole, path


@pytest.mark.slow
def test_a_table_of_windows_may_have_long_names(tmp_path: Path) -> None:
    """A column that nobody asks for, with a long name, is no fault in a CSV file of windows."""
    windows = tmp_path / "windows.csv"
    windows.write_text(f"start,end,{'h' * 140}\n2024-01-01,2024-02-01,x\n", encoding="utf-8")
    with aggregate(events(), ONE_SUM, windows=windows, clock=CLOCK) as result:
        assert result.to_dicts() == rows_of(result.sql)
        assert long_lines(result.sql) <= {literal("h" * 140)}


@pytest.mark.slow
@pytest.mark.parametrize("length", [90, 200])
def test_a_database_may_lie_at_a_long_path(tmp_path: Path, length: int) -> None:
    """The path of a DuckDB file stands in one piece, alone on its line where it is long."""
    folder = tmp_path / ("d" * length)
    folder.mkdir()
    path = folder / "events.duckdb"
    with duckdb.connect(path) as connection:
        connection.register("rows", pa.Table.from_pylist([{**ROW, "response_time_ms": "1.5"}]))
        connection.execute("CREATE TABLE usage AS FROM rows")
    with aggregate(f"duckdb://{path}?table=usage", ONE_SUM, **WINDOW, clock=CLOCK) as result:
        assert result.to_dicts() == rows_of(result.sql)
        assert long_lines(result.sql) <= {literal(str(path))}


@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMPTZ"])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_a_script_made_without_events_reads_times_with_and_without_an_offset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, zone: str | None
) -> None:
    """Over the file that it assumes the script has the rows of aggregate, whether the file's times have an offset."""
    monkeypatch.chdir(tmp_path)
    times = ("2024-01-01 00:30", "2024-01-31 23:30", "2024-03-31 02:30", "2024-10-27 02:30", "infinity")
    rows = ", ".join(f"('e{n}', {kind} '{time}')" for n, time in enumerate(times))
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.sql(f"""
        SELECT id, 'w' AS workspace_id, 'u' AS universe_id, 't' AS type, 's' AS subject, time,
            MAP {{'response_time_ms': '1.5'}} AS properties, time AS metered_at
        FROM (VALUES {rows}) AS events(id, time)
    """).write_parquet("events.parquet")
    options = {"start": "2024-01-01", "end": "2025-01-01", "every": "day", "clock": CLOCK, "assume_timezone": zone}
    with aggregate("events.parquet", ONE_SUM, **options) as result:
        expected = result.to_dicts()
        assert expected == rows_of(result.sql)
    assert expected == rows_of(compile_sql(ONE_SUM, **options))
    # On clocks of Berlin the first event is in December.
    assert len(expected) == (3 if zone and kind == "TIMESTAMP" else 4)


def of_38_digits(aggregation: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Three events whose sum passes 38 digits on its way, and their config."""
    texts = ["9" * 38, "9" * 38, "-" + "9" * 38]
    given = [one | {"properties": {"response_time_ms": text}} for one, text in zip(events(), texts, strict=False)]
    measurement = {**ONE_SUM["measurements"][0], "precision": 38, "scale": 0, "aggregation": aggregation}
    return given, {"measurements": [measurement]}


@pytest.mark.slow
@pytest.mark.parametrize("aggregation", ["sum", "avg"])
def test_a_script_says_when_it_stops_with_an_overflow(aggregation: str) -> None:
    """Sums that pass 38 digits on the way stop a script, which says so first; the run then adds in two parts."""
    given, config = of_38_digits(aggregation)
    with aggregate(given, config, **WINDOW, scale=0, clock=CLOCK) as result:
        before = result.sql
        assert OVERFLOWS in first_sentences(before)
        with pytest.raises(duckdb.OutOfRangeException, match="Overflow"):
            rows_of(before)
        assert [Decimal({"sum": "9", "avg": "3"}[aggregation] * 38)] == [row["quantity"] for row in result.to_dicts()]
        assert OVERFLOWS not in first_sentences(result.sql)
        assert result.to_dicts() == rows_of(result.sql)


@pytest.mark.sampled(5)
@pytest.mark.slow
@pytest.mark.parametrize("aggregation", [name for name in AGGREGATIONS if name not in ("sum", "avg")])
def test_a_script_of_another_aggregation_does_not_stop(aggregation: str) -> None:
    """Quantities of 38 digits that are not added have the rows of the run, or NULL where it says whose do not fit."""
    given, config = of_38_digits(aggregation)
    with aggregate(given, config, **WINDOW, scale=0, clock=CLOCK) as result:
        rows = rows_of(result.sql)
        assert OVERFLOWS not in first_sentences(result.sql)
        try:
            assert rows == result.to_dicts()
        except QuantityOverflow:
            assert [None] == [row["quantity"] for row in rows]
