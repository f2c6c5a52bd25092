"""The cases of shared/reports, which restate what users of other systems reported, through metering-duck aggregate."""

from __future__ import annotations

import json
import os
import re
import traceback
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from shared_folder import need

from metering_duck.cli.main import cli

Case = dict[str, Any]
CASES: list[Case] = [
    json.loads(line) for line in need("reports/cases.jsonl").read_text(encoding="utf-8").splitlines() if line
]
FILES = need("files")
CLOCK = "2026-11-30T00:00:00Z"

# Rule → its cases that do not hold, since the rule is not built yet.
NOT_BUILT_YET = {
    "R27": (
        "level-resize-group level-resize-filter level-owner level-owner-next-month level-stop-misses "
        "level-two-vms level-peak level-ties two-apps-level-of"
    ),
    "R28": (
        "config-level-runs-on config-level-then-event config-other-factor config-on-boundary config-ends "
        "config-other-property"
    ),
    "R29": "held-heartbeat held-gap held-over-midnight held-average held-known held-exactly",
    "R30": (
        "totals-reset totals-reset-max totals-reset-latest totals-first-counts totals-by-hour "
        "totals-out-of-order totals-by-session totals-two-meters totals-negative totals-negative-by-day "
        "totals-reject"
    ),
    "R31": (
        "each-6s each-90-60 each-90-60-edges each-minimum each-minimum-zero each-free "
        "each-free-then-minimum each-maximum each-negative each-floor each-half-up each-half-even "
        "each-hour-of-span each-after-conversion each-largest each-decimal-step"
    ),
    "R32": (
        "spans-peak spans-average spans-hours spans-by-minute spans-before-window spans-touching set-or-add "
        "set-or-add-peak set-or-add-other"
    ),
    "R33": "idle-p95 idle-average idle-min idle-by-day period-to-date period-of-subscription",
    "R34": "cumulative cumulative-level cumulative-no-reading rolling-30-days rolling-7-days cumulative-rolling-both",
    "fields": (
        "map-property-subject map-first-present map-first-present-csv map-natural-key map-composite-key "
        "map-composite-apart map-nested map-nested-digits unwrap"
    ),
    "lookup": "lookup-parent lookup-in-time lookup-overlap lookup-plan",
    "times": (
        "time-unit-seconds time-unit-milliseconds time-unit-microseconds time-unit-nanoseconds "
        "time-unit-json time-format time-text-date time-text-space-short time-text-utc time-text-compact "
        "time-text-no-seconds time-text-half-hour time-text-short-behind"
    ),
    "times-minus": (
        "times-slice times-missing times-exact minus-cached minus-cached-max minus-several minus-not-a-number"
    ),
    "two-levels": "seat-days intervals-above excess-above busiest-user-hour",
}
FAILING = {id: rule for rule, ids in NOT_BUILT_YET.items() for id in ids.split()}


def marked(case: Case) -> Any:
    """A case as a parameter; expected to fail where its rule is not built yet."""
    rule = FAILING.get(case["id"])
    marks = [pytest.mark.xfail(strict=True, reason=f"{rule}: not built yet")] if rule else []
    return pytest.param(case, id=case["id"], marks=marks)


def test_what_is_not_built_is_in_the_cases() -> None:
    """Each case of the table is a case of its rule."""
    rules = {case["id"]: case["rule"] for case in CASES}

    assert FAILING == {id: rules.get(id) for id in FAILING}


@pytest.mark.parametrize("case", [marked(case) for case in CASES])
def test_a_report_has_its_right_answer(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run gives the readings, the error, the ids and the books that a case expects."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("METERING_DUCK_")]:
        monkeypatch.delenv(name)
    given = written(case)
    expected = case["expected"]
    runs = [outcome(given, case | run) for run in case.get("runs", [{}])]

    if isinstance(expected, dict) and "ids" in expected:
        assert [0] * len(runs) == [code for code, _, _ in runs], [message for _, message, _ in runs]
        ids = [[row["id"] for row in rows] for _, _, rows in runs]
        flat = [id for own in ids for id in own]
        if expected["ids"] == "apart":
            assert len(flat) == len(set(flat))
        else:
            assert [sorted(ids[0])] * len(ids) == [sorted(own) for own in ids]
        return
    ((code, message, rows),) = runs
    if isinstance(expected, dict):
        if code == 0 and "or" in expected:
            assert wanted(expected["or"]) == shown(rows)
            return
        texts = [expected["error"]] if isinstance(expected["error"], str) else expected["error"]
        assert code != 0
        assert [text for text in texts if text.lower() not in message.lower()] == []
        assert re.findall(r"Traceback|SELECT |StageError", message) == []
        return
    assert code == 0, message
    assert wanted(expected) == shown(rows)
    books = json.loads(Path("summary.json").read_text(encoding="utf-8"))
    assert case.get("books", {}) == {name: books.get(name) for name in case.get("books", {})}


def written(case: Case) -> str:
    """The input of a case; the tables beside it are written, too."""
    for name, text in case.get("tables", {}).items():
        Path(name).write_text(text, encoding="utf-8")
    if "file" in case:
        return str(FILES / case["file"])
    if "input" in case:
        Path(case["input"]["name"]).write_text(case["input"]["text"], encoding="utf-8", newline="")
        return str(case["input"]["name"])
    if "generate" in case:
        made = case["generate"]
        text = made["head"] + made["fill"] * int(made["times"]) + made["tail"]
        Path(made["name"]).write_text(text, encoding="utf-8", newline="")
        return str(made["name"])
    lines = "".join(json.dumps(event) + "\n" for event in case["events"])
    Path("events.ndjson").write_text(lines, encoding="utf-8")
    return "events.ndjson"


def outcome(given: str, case: Mapping[str, Any]) -> tuple[int, str, list[Case]]:
    """The exit code, what is said on standard error, and the readings of one run."""
    Path("config.json").write_text(json.dumps(case["config"]), encoding="utf-8")
    arguments = ["aggregate", given, "--config", "config.json", "--summary", "summary.json", "--format", "ndjson"]
    clock = [] if "--clock" in case["args"] else ["--clock", CLOCK]
    done = CliRunner().invoke(cli, [*arguments, *clock, *case["args"]])
    said = done.stderr
    if done.exception and not isinstance(done.exception, SystemExit):
        said += "".join(traceback.format_exception(done.exception))
    rows = [json.loads(line) for line in done.stdout.splitlines()] if done.exit_code == 0 else []
    return done.exit_code, said, rows


def wanted(readings: list[Case]) -> list[Any]:
    """Expected readings as comparable rows, in order."""
    rows = (
        (r["subject"], r["unit"], r["window_start"], r["window_end"], r.get("dimensions") or {}, r["quantity"])
        for r in readings
    )
    return in_order(rows)


def shown(readings: list[Case]) -> list[Any]:
    """Readings as they are written, as comparable rows, in order."""
    rows = (
        (
            *(r["subject"], r["measurement"]["unit"], r["window"]["start"], r["window"]["end"]),
            *(r.get("dimensions") or {}, r["measurement"]["quantity"]),
        )
        for r in readings
    )
    return in_order(rows)


def in_order(rows: Iterator[tuple[Any, ...]]) -> list[Any]:
    """Rows in the order of their keys, quantities as exact numbers."""
    made = [(*row[:4], json.dumps(row[4], sort_keys=True), Fraction(row[5])) for row in rows]
    return sorted(made, key=str)
