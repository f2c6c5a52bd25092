"""Nothing from data or config is ever SQL, the engine can reach nothing but its inputs, and terminals get no control
codes."""

from __future__ import annotations

import io
import json
import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

import metering_duck
from metering_duck import ConfigError, MeteringError, aggregate, check, compile_sql, load_config, meter
from metering_duck.cli.main import cli
from metering_duck.engine.duckdb import Engine
from metering_duck.statements.stages import Query, Stage
from tests.selection import examples
from tests.worlds import Event, row

WINDOW = {"start": "2024-01-01", "end": "2024-02-01", "clock": "2024-06-01"}
HOSTILE = [
    "' OR 1=1; DROP TABLE x; --",
    '" OR ""=""; --',
    "'); ATTACH '/tmp/evil.db'; SELECT ('",
    "$clock $start $$ $1 ? :name @x %(a)s",
    "/* comment */ -- line\n; SELECT 1",
    "{0} {rows} {{x}} %s %d \\",
    "line\nbreak\ttab\r\nend",
    "nul \0 inside",
    "escape \x1b[31m bell \x07",
    "\ufdd0number\ufdd1 \ufffe \uffff",
    "é ü ß 漢字 😀 \U0010fffd \u202e right to left",
    "a/b~c~0~1/0/*",
    " blank ",
    "null",
    "key=value",
    "[1, 2]",
    '{"a": 1}',
    "E'\\x27'",
    "*",
]


def event(text: str, number: int = 1) -> Event:
    """An event in which everything that may be text is the text."""
    whose = dict.fromkeys(("workspace", "universe", "type", "subject"), text)
    properties = {text: "2.5", "dimension": text, f"{text}key": text}
    return row(f"{text}{number}", f"2024-01-0{number}T00:00:00Z", properties, **whose)


def config(text: str) -> Event:
    """A config in which everything that may be text is the text."""
    measurement = {
        "sourceProperty": text,
        "unit": text,
        "aggregation": "sum",
        "filter": {"property": "dimension", "equals": text},
    }
    gauge = {**measurement, "aggregation": "time-weighted-avg"}
    return {"entries": [{"workspaceID": text, "type": text, "measurements": [measurement, gauge]}]}


def arrow(events: list[Event]) -> pa.Table:
    """The events with properties as a MAP."""
    kind = pa.map_(pa.string(), pa.string())
    plain = pa.Table.from_pylist([{k: v for k, v in e.items() if k != "properties"} for e in events])
    return plain.append_column("properties", pa.array([list(e["properties"].items()) for e in events], kind))


@pytest.mark.slow
@pytest.mark.sampled(12)
@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", ["dicts", "arrow"])
def test_hostile_text_is_text_everywhere_at_once(text: str, kind: str) -> None:
    """As key, filter value, unit, subject, workspace, universe, type, id, dimension and group-by: metered, and
    unchanged."""
    events = [event(text, 1), event(text, 2)]
    source: Any = events if kind == "dicts" else arrow(events)
    with meter(source, config(text), workspace=text, universe=text, clock="2024-06-01") as records:
        rows = records.to_dicts()
    options = {"workspace": text, "universe": text, "subject": text, "group_by": ["dimension", f"{text}key"], **WINDOW}
    with aggregate(source, config(text), **options) as readings:
        found = readings.to_dicts()
        buffer = io.BytesIO()
        readings.write_to(buffer, "ndjson")

    assert [(text, text, text, text, f"{text}{n}") for n in (1, 1, 2, 2)] == [
        (r["workspace_id"], r["universe_id"], r["subject"], r["unit"], r["source_event_id"]) for r in rows
    ]
    assert [{"dimension": text, f"{text}key": text}] * 4 == [r["dimensions"] for r in rows]
    assert [("sum", "5"), ("time-weighted-avg", None)] == [
        (r["aggregation"], f"{r['quantity'].normalize():f}" if r["aggregation"] == "sum" else None) for r in found
    ]
    assert [(text, {"dimension": text, f"{text}key": text})] * 2 == [(r["unit"], r["dimensions"]) for r in found]
    assert [text] * 2 == [json.loads(line)["subject"] for line in buffer.getvalue().splitlines()]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("text", [text for text in HOSTILE if "\0" not in text])
def test_hostile_names_of_columns_are_names(text: str) -> None:
    """A column of any name can be mapped to a field and taken as a property."""
    name = f"{text}."
    table = pa.table({"id": ["1"], name: ["customer"], f"{name}2": ["2.5"], "time": ["2024-01-01T00:00:00Z"]})
    mapping = {
        "subject": name,
        "properties.q": f"{name}2",
        "workspace_id": f"'{text}'",
        "universe_id": "'u'",
        "type": "'t'",
    }
    with meter(table, {"measurements": [{"sourceProperty": "q", "unit": "x"}]}, map=mapping) as records:
        found = [(r["subject"], r["workspace_id"], f"{r['quantity'].normalize():f}") for r in records.to_dicts()]

    assert [("customer", text, "2.5")] == found


@pytest.mark.sampled(4)
@pytest.mark.parametrize("text", [text for text in HOSTILE if "\0" not in text])
def test_hostile_names_of_files_and_partitions_are_names(text: str, tmp_path: Path) -> None:
    """A file name of any text, and a Hive partition value of any text (as Hive writes it), are read as they are."""
    folder = tmp_path / f"workspace_id={quote(text, safe='')}"
    folder.mkdir()
    table = pa.Table.from_pylist([{k: v for k, v in event("plain").items() if k not in ("workspace_id", "properties")}])
    parquet.write_table(table.append_column("q", [["1"]]), folder / f"x{text.replace('/', '')}.parquet")
    with meter(tmp_path, {"measurements": [{"sourceProperty": "q", "unit": "x"}]}, workspace=text) as records:
        assert [text] == [r["workspace_id"] for r in records.to_dicts()]


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("text", [text for text in HOSTILE if "\0" not in text])
def test_compiled_sql_is_one_script_of_the_same_statements(text: str) -> None:
    """However hostile the config, the script has the statements that a harmless config has, and no other."""

    def statements(word: str) -> list[object]:
        script = compile_sql(config(word), start="2024-01-01", end="2024-02-01", group_by=word + "2", workspace=word)
        return [statement.type for statement in duckdb.connect().extract_statements(script)]

    assert statements("harmless") == statements(text)


@pytest.mark.slow
@examples(25)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_any_text_of_any_plane_survives(text: str) -> None:
    """Property: whatever Unicode text a property key, unit and subject are, they come out as they went in."""
    with aggregate([event(text)], config(text), **WINDOW) as readings:
        assert {(text, text, text)} == {(r["unit"], r["subject"], r["workspace_id"]) for r in readings.to_dicts()}


HALF = "half \ud800"


def test_a_lone_surrogate_is_refused_or_rejected() -> None:
    """Half a character is not text: a config with one is refused, an event with one is a reject, and nothing
    crashes."""
    with pytest.raises(ConfigError, match="lone surrogate"):
        load_config(config(HALF))
    with meter([event(HALF)], config("x"), clock="2024-06-01") as records:
        assert ["json-invalid"] == records.rejects["reason"].to_pylist()


@pytest.mark.parametrize(
    "options",
    [
        {"workspace": HALF},
        {"subject": HALF},
        {"group_by": HALF},
        {"map": {"subject": HALF}},
        {"map": {"workspace_id": f"'{HALF}'"}},
        {"map": {f"properties.{HALF}": "id"}},
    ],
    ids=str,
)
def test_a_lone_surrogate_in_an_option_is_refused(options: Event) -> None:
    """An option that is not text ends in an error of ours, not in a crash of the client."""
    with pytest.raises(MeteringError):
        aggregate([event("x")], config("x"), **options, **WINDOW).to_dicts()


# --- what the engine can reach ---------------------------------------------------------------------------------------

FORBIDDEN = [
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_blob('{folder}/secret.txt')",
    "SELECT * FROM read_parquet('{folder}/allowed/../secret.parquet')",
    "COPY (SELECT 1) TO '{folder}/stolen.csv'",
    "COPY (SELECT 1) TO '/tmp/metering-duck-stolen.csv'",
    "EXPORT DATABASE '{folder}/stolen'",
    "ATTACH '{folder}/evil.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "INSTALL 'evil' FROM 'https://example.com'",
    "SELECT * FROM read_csv('https://example.com/x.csv')",
    "SET enable_external_access = true",
    "SET allowed_directories = ['/']",
    "SET lock_configuration = false",
    "SET threads = 64",
    "RESET lock_configuration",
    "PRAGMA enable_external_access",
    "CREATE SECRET (TYPE s3, KEY_ID 'a', SECRET 'b')",
]


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_a_locked_engine_reaches_nothing_but_its_inputs(sql: str, tmp_path: Path) -> None:
    """After lock_down: no other file, no write, no ATTACH, no INSTALL, no network, no setting."""
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    (tmp_path / "allowed").mkdir()
    parquet.write_table(pa.table({"a": [1]}), tmp_path / "secret.parquet")
    parquet.write_table(pa.table({"a": [1]}), tmp_path / "allowed" / "e.parquet")
    before = sorted(os.listdir(tmp_path))
    with Engine() as engine:
        engine.lock_down([str(tmp_path / "allowed" / "e.parquet")])
        allowed = engine.table(Query("q", (Stage("q", "an input", f"SELECT a FROM '{tmp_path}/allowed/e.parquet'"),)))
        with pytest.raises(MeteringError):
            engine.rows(sql.replace("{folder}", str(tmp_path)))

    assert [1] == allowed["a"].to_pylist()
    assert before == sorted(os.listdir(tmp_path))
    assert not os.path.exists("/tmp/metering-duck-stolen.csv")


def test_an_engine_that_was_told_of_no_file_opens_none(tmp_path: Path) -> None:
    """Whoever forgets to lock an engine has a locked one: its first query comes after that, whichever it is."""
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    with Engine() as engine, pytest.raises(MeteringError, match="disabled by configuration"):
        engine.rows(f"SELECT * FROM read_text('{tmp_path}/secret.txt')")
    with Engine() as engine:
        engine.keep("one", pa.table({"a": [1]}))
        with pytest.raises(MeteringError, match="locked"):
            engine.rows("SET threads = 3")


def test_connections_are_opened_in_one_place() -> None:
    """Nothing but engine/locking.py opens a connection of DuckDB, and what it opens elsewhere is locked there."""
    package = Path(metering_duck.__file__).parent
    opening = re.compile(r"\bduckdb\.(connect|sql|execute|query|from_\w+|read_\w+)\(.")
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if opening.search(path.read_text(encoding="utf-8").replace("duckdb.connect()", ""))
    }
    assert {"engine/locking.py"} == found
    unlocked = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\bunlocked\(\)", path.read_text(encoding="utf-8"))
    }
    # The extensions and httpfs load and set, and ask nothing; the others lock what they open.
    assert unlocked == {
        *("engine/connection.py", "engine/extensions.py", "engine/httpfs.py", "engine/locking.py"),
        "inputs/ducklake.py",
    }


def test_a_python_variable_is_no_table() -> None:
    """A name in SQL never finds a Python variable of the caller."""
    stolen = pa.table({"secret": [1]})
    with Engine() as engine, pytest.raises(MeteringError, match="stolen"):
        engine.rows("SELECT * FROM stolen")

    assert 1 == stolen.num_rows


def test_a_run_leaves_nothing_behind(tmp_path: Path) -> None:
    """The temporary folder of a run is private while it lasts and gone when it is closed."""
    with meter([event("x")], config("x"), temp_dir=tmp_path) as records:
        records.to_dicts()
        modes = [path.stat().st_mode & 0o077 for path in tmp_path.iterdir()]

    assert ([0], []) == (modes, os.listdir(tmp_path))


def test_the_code_has_no_door_for_code() -> None:
    """No pickle, eval, exec or shell in the package."""
    package = Path(metering_duck.__file__).parent
    doors = re.compile(r"\b(pickle|marshal|shelve|eval|exec|os\.system|subprocess|__import__|yaml)\b(?=\(|\.|$| )")
    found = [
        (path.name, line)
        for path in sorted(package.rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if doors.search(line.split("#")[0])
    ]

    assert [] == [
        (name, line)
        for name, line in found
        if re.search(r"import (pickle|marshal|shelve|subprocess|yaml)|\b(eval|exec)\(|os\.system", line)
    ]


# --- what a terminal gets --------------------------------------------------------------------------------------------

STEERING = "\x1b[2J[b]m[/]\x9b\x07\r\u202e"


STEERED = {
    "records": ["meter", "events.json", "--config", "config.json", "--format", "table"],
    "bundles": ["meter", "events.json", "--config", "config.json", "--format", "table", "--bundled"],
    "readings": [
        "aggregate",
        "events.json",
        "--config",
        "config.json",
        "--format",
        "table",
        "--start",
        "2024-01-01",
        "--end",
        "2024-02-01",
    ],
    "check": ["check", "config.json", "events.json", "--format", "table"],
    "a missing column": ["meter", "columns.parquet", "--config", "config.json"],
    "a config's fault": ["meter", "events.json", "--config", "bad.json"],
    "records without an aggregation": ["aggregate", "records.json", "--start", "2024-01-01", "--end", "2024-02-01"],
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("case", STEERED)
def test_a_terminal_is_shown_control_characters_and_does_not_obey_them(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Escape sequences, bells, carriage returns and markup in data are shown as text, in tables, checks and
    messages."""
    monkeypatch.chdir(tmp_path)
    events = [event(STEERING), {**event(STEERING, 2), "properties": {STEERING: STEERING, "dimension": STEERING}}]
    Path("events.json").write_text(json.dumps(events), encoding="utf-8")
    Path("config.json").write_text(json.dumps(config(STEERING)), encoding="utf-8")
    Path("bad.json").write_text(json.dumps({"measurements": [{STEERING: STEERING}]}), encoding="utf-8")
    record = {
        "id": "r",
        "workspaceID": "w",
        "universeID": "u",
        "subject": "c",
        "recordedAt": "2024-01-01T00:00:00Z",
        "sourceEventID": "e",
    }
    Path("records.json").write_text(
        json.dumps([{**record, "measurement": {"quantity": "1", "unit": STEERING}}]), encoding="utf-8"
    )
    parquet.write_table(pa.table({STEERING: [1]}), "columns.parquet")
    done = CliRunner().invoke(cli, STEERED[case])
    shown = done.stdout + done.stderr

    assert set() == {char for char in shown if not char.isprintable() and char != "\n"}
    assert "[b]m[/]" in shown


def test_json_keeps_control_characters_escaped() -> None:
    """In NDJSON a control character is an escape, so that a line stays a line."""
    buffer = io.BytesIO()
    with meter([event("a\nb\x1bc\0d")], config("a\nb\x1bc\0d"), clock="2024-06-01") as records:
        records.write_to(buffer, "ndjson")

    assert (2, set()) == (buffer.getvalue().count(b"\n"), {byte for byte in buffer.getvalue() if byte < 32} - {10})


def test_check_shows_hostile_rejects_as_data() -> None:
    """A report holds the offending text as it came; nothing is lost or changed."""
    bad = {**event("x"), "properties": {"x": HOSTILE[0], "dimension": "x"}}

    assert [HOSTILE[0]] == [row["example_text"] for row in check(config("x"), [bad])["rejects"]]


HALF_MARKS = ("\ufdd0", "\ufdd1", r"\ufdd0", r"\uFDD1", r"\ufDd0", r"\\\ufdd1", r"\ud83d\ude00\uFdD0")
NO_MARKS = (r"\\ufdd0", r"\ufdd2", "ufdd0", r"\u0041fdd0", r"\\\\ufdd1")


def as_given(folder: Path, kind: str, line: str) -> Any:
    """The event of a line of JSON, in a form of input that is read as JSON."""
    event = json.loads(line, parse_float=Decimal)
    if kind == "objects":
        return [event]
    if kind == "table":
        held = line.partition('"properties": ')[2][:-1]
        return pa.table({name: [held if name == "properties" else value] for name, value in event.items()})
    path = folder / f"events.{kind}"
    path.write_text(f"[{line}]" if kind == "json" else f"{line}\n", encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", ["ndjson", "json", "objects", "table"])
def test_a_mark_beside_a_fragile_number_is_kept_or_rejected(kind: str, tmp_path: Path) -> None:
    """A character that is half of the mark of numbers never goes out of a text, however JSON spells it: where digits
    could not be kept, its event is rejected, and any other is metered as it is."""
    whose = '"workspaceID": "w", "universeID": "u", "type": "t", "subject": "s", "time": "2024-01-01T00:00:00.5Z"'
    settings = {"measurements": [{"sourceProperty": "n", "unit": "u"}]}
    for text in (*HALF_MARKS, *NO_MARKS):
        line = f'{{"id": "1", {whose}, "properties": {{"a": "{text}", "n": 12345678901234567890.5}}}}'
        with meter(as_given(tmp_path, kind, line), settings) as records:
            found = [(str(row["quantity"])[:22], dict(row["dimensions"])) for row in records.to_dicts()]
            reasons = records.rejects["reason"].to_pylist()
        if text in HALF_MARKS:
            assert ([], ["number-inexact"]) == (found, reasons)
        else:
            assert ([("12345678901234567890.5", {"a": json.loads(f'"{text}"')})], []) == (found, reasons)


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("text", HALF_MARKS)
def test_a_mark_in_a_bundled_record_is_one_reject(text: str, tmp_path: Path) -> None:
    """A record whose digits could not be kept is rejected, and the records beside it are aggregated."""
    whose = '"workspaceID": "w", "universeID": "u", "subject": "s", "recordedAt": "2024-01-01T00:00:00Z"'
    observed = '"observations": [{"quantity": %s, "unit": "%s", "aggregation": "sum"}]'
    line = f'{{"id": "%s", "sourceEventID": "%s", {whose}, {observed}}}\n'
    path = tmp_path / "records.ndjson"
    path.write_text(line % ("1", "1", "1.5", "u") + line % ("2", "2", "2.5", text), encoding="utf-8")
    with aggregate(records=path, config={"measurements": [{"sourceProperty": "n", "unit": "u"}]}, **WINDOW) as result:
        assert ["1.500000000000000000"] == [str(row["quantity"]) for row in result.to_dicts()]
        assert ["number-inexact"] == result.rejects["reason"].to_pylist()
