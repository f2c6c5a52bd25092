"""This checkout next to another commit: both answer in turn, each by its own code, and their answers are compared."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.pairing import checked_out, run_pairs
from benchmarks.questions import QUESTIONS
from benchmarks.runner import Plan
from benchmarks.trial import PROJECT, TrialFailed

QUESTION = QUESTIONS["counters_by_subject_day"]


def plan(folder: Path, rounds: int = 2) -> Plan:
    """One question of a thousand events, asked of the plain variant."""
    return Plan(1_000, (QUESTION,), folder, rounds, ("metering-duck",), None, 100.0)


def copied(folder: Path) -> Path:
    """This checkout's code, copied."""
    for name in ("metering_duck", "benchmarks", "sql"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns(".data", "results", "__pycache__"))
    return folder


@pytest.mark.slow
def test_both_sides_answer_in_turn(tmp_path: Path) -> None:
    """Each side has every round; the other one begins in the next round."""
    said: list[str] = []
    pairs = run_pairs(plan(tmp_path / "data"), copied(tmp_path / "before"), said.append)
    first = [line.split(": ")[2] for line in said if "unique" not in line]

    expected = ["metering-duck before", "metering-duck now", "metering-duck now", "metering-duck before"]
    assert expected == first
    assert [None, None] == [pair.error for pair in pairs]
    assert all(ratio > 0 for pair in pairs for ratio in pair.ratios("seconds"))


@pytest.mark.slow
def test_a_side_that_fails_is_an_error(tmp_path: Path) -> None:
    """A checkout that cannot answer is said to fail, and has no ratio."""
    before = copied(tmp_path / "before")
    (before / "metering_duck" / "calls" / "metering.py").write_text("raise RuntimeError('broken')\n")
    pair, *_ = run_pairs(plan(tmp_path / "data", rounds=1), before, lambda _: None)

    assert [] == pair.ratios("seconds")
    assert "RuntimeError: broken" in str(pair.error)


def test_a_commit_is_checked_out(tmp_path: Path) -> None:
    """The folder has what the commit has; a revision that is none is refused by its name."""
    if subprocess.run(["git", "-C", str(PROJECT), "rev-parse", "HEAD"], capture_output=True).returncode:
        pytest.skip("this copy has no history")
    with checked_out("HEAD") as folder:
        assert (folder / "benchmarks" / "trial.py").is_file()
    with pytest.raises(TrialFailed, match="no-such-commit: found no such commit"), checked_out("no-such-commit"):
        pass
