"""What a config counts, in plain words: a page above the SQL, for whoever has to read it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from metering_duck import ConfigError, Filter, compile_sql
from metering_duck.calls.explaining import RULES, WIDTH, explain, filter_words
from metering_duck.cli.main import cli
from metering_duck.contract.aggregations import NAMES

WINDOW = {"start": "2024-01-01", "end": "2024-02-01"}


def measuring(**measurement: Any) -> dict[str, Any]:
    """A config of one measurement."""
    return {"measurements": [{"sourceProperty": "q", "unit": "GiB", **measurement}]}


def paragraph(page: str, label: str) -> str:
    """What stands behind a label, on one line."""
    lines = page.splitlines()
    start = next(n for n, line in enumerate(lines) if line.strip().startswith(label))
    end = next((n for n in range(start + 1, len(lines)) if not lines[n].startswith(" " * 13)), len(lines))
    return " ".join(" ".join(lines[start:end]).split()).removeprefix(label).strip()


@pytest.mark.parametrize(
    ("measurement", "options", "label", "expected"),
    [
        ({}, {}, "counts", "events of any type, of any workspace (R1)"),
        (
            {"filter": {"property": "tier", "in": ["a", "b"]}},
            {},
            "filter",
            'where tier is "a" or "b" (R2)',
        ),
        (
            {"precision": 10, "scale": 2, "divide": "1024"},
            {},
            "quantity",
            "q, at most 8 digits before the point and 2 behind it, as a DECIMAL(10, 2) (R4, R5); divided by 1024, "
            "rounded once, half to even, to 2 digits",
        ),
        (
            {"aggregation": "peak-state"},
            WINDOW,
            "aggregated",
            "peak-state: the highest level that held in the window; a level holds until the subject's next one, and "
            "the last before the window is carried in (R14, R19, R13)",
        ),
        (
            {"aggregation": "max-of-sum", "innerWindow": "hour"},
            WINDOW,
            "aggregated",
            "one value of each inner window of hour, sum: how much in total, of the records inside the window (R12, "
            "R18); then of those values the largest",
        ),
        (
            {"aggregation": "sum", "resultScale": 2, "rounding": "half-up"},
            WINDOW,
            "rounded",
            "to 2 digits behind the point, half away from zero (R16)",
        ),
        ({"aggregation": "count"}, WINDOW, "rounded", "not at all: it is a whole number"),
        (
            {"aggregation": "sum"},
            {**WINDOW, "every": "month", "timezone": "Europe/Berlin"},
            "Windows",
            "[2024-01-01, 2024-02-01) cut by month on the clocks of Europe/Berlin (R11)",
        ),
        (
            {"aggregation": "sum"},
            {"assume_unique": True},
            "duplicates",
            "not looked for: every id is taken to occur once",
        ),
        (
            {"aggregation": "sum"},
            {"workspace": "acme", "as_of": "2024-03-01"},
            "Events",
            'every one that is read, of the workspace "acme", that had entered by 2024-03-01 (R24)',
        ),
    ],
)
def test_the_page_says_it_in_words(
    measurement: dict[str, Any], options: dict[str, Any], label: str, expected: str
) -> None:
    """What counts, which filter, which DECIMAL, how it is aggregated and rounded, over which windows."""
    assert expected == paragraph(explain(measuring(**measurement), **options), label)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"property": "a", "equals": "b"}, 'a is "b"'),
        ({"field": "type", "prefix": "llm"}, 'the event\'s type begins with "llm"'),
        ({"property": "a", "gte": "1", "lt": "2"}, "a is 1 or more and is less than 2"),
        (
            {"or": [{"property": "a", "missing": True}, {"and": [{"property": "b", "exists": True}]}]},
            "a is not there or (b is there)",
        ),
        ({"not": {"property": "a", "notIn": ["x"]}}, 'it is not so that a is none of "x"'),
    ],
)
def test_a_filter_in_words(given: dict[str, Any], expected: str) -> None:
    """Every operator is words, and what is combined keeps its order."""
    assert expected == filter_words(Filter.model_validate(given))


@pytest.mark.parametrize("aggregation", NAMES)
def test_every_aggregation_has_words(aggregation: str) -> None:
    """The page of any aggregation fits 80 columns, and each rule that it names has its words at the end."""
    page = explain(measuring(aggregation=aggregation), **WINDOW)
    assert max(map(len, page.splitlines())) <= WIDTH
    body, rules = page.split("\nRules\n")
    named = {int(number) for number in re.findall(r"\bR(\d+)", body)}
    assert named == {int(line.split()[0][1:]) for line in rules.splitlines() if line.startswith("  R")}
    assert named <= set(RULES)


def test_the_page_stands_above_the_script_in_comments() -> None:
    """compile --explain prints the page and the stages, and the whole of it still is SQL."""
    config = measuring(aggregation="sum")
    plain, explained = (compile_sql(config, **WINDOW, clock="2024-06-01", explain=e) for e in (False, True))
    assert explained.endswith(plain)
    assert all(line.startswith("--") for line in explained.removesuffix(plain).splitlines() if line)
    assert len(duckdb.extract_statements(plain)) == len(duckdb.extract_statements(explained))


def test_the_command_explains(tmp_path: Path) -> None:
    """`compile --explain` on the command line."""
    config = tmp_path / "config.json"
    config.write_text('{"measurements": [{"sourceProperty": "q", "unit": "GiB"}]}', encoding="utf-8")
    run = CliRunner().invoke(cli, ["compile", "--config", str(config), "--explain", "--stage", "matched"])
    assert run.exit_code == 0
    assert run.output.startswith("-- What is measured, in plain words\n")
    assert "AS entry\nFROM accepted\n" in run.output


def test_a_config_that_is_none_has_no_page() -> None:
    """A fault of the config is found as everywhere."""
    with pytest.raises(ConfigError, match="unit"):
        explain({"measurements": [{"sourceProperty": "q"}]})
