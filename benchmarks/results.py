"""What a run found: its dataclasses, the arithmetic of medians and ratios, and the JSON file that holds them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median

from pydantic import TypeAdapter, ValidationError

from benchmarks.question import Question, Target
from benchmarks.trial import Outcome

_SIZE = re.compile(r"(\d+)([kKM]?)")
_UNITS = {"": 1, "k": 1_000, "K": 1_000, "M": 1_000_000}


@dataclass(frozen=True)
class Timing:
    """One contestant's rounds at one question.

    Units:  seconds and cpu_seconds by round; `peak_mb` is the highest of the rounds; `events` are those that it was
            given, `file_rows` also those sent again; `answer_rows` its answer's. `error` says why there are fewer
            rounds than were asked for.
    """

    contestant: str
    events: int
    file_rows: int
    subjects: int
    measurements: int
    seconds: list[float]
    cpu_seconds: list[float]
    median: float | None
    min: float | None
    max: float | None
    cpu_median: float | None
    peak_mb: float | None
    answer_rows: int | None
    error: str | None = None


@dataclass(frozen=True)
class Ratio:
    """A target and what was found: the ratio of medians, and the least and most of the ratios round by round.

    `against` is the fastest of `of`. None where one of the two was not measured.
    """

    contestant: str
    of: list[str]
    at_most: float
    per_event: bool
    against: str | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    met: bool | None = None


@dataclass(frozen=True)
class Asked:
    """A question, its contestants' timings, its targets, and what was wrong with the answers."""

    name: str
    title: str
    why: str
    notes: str
    growth: str | None
    timings: list[Timing]
    ratios: list[Ratio]
    differences: list[str] = field(default_factory=list)

    @property
    def errors(self) -> list[str]:
        """Everything that went wrong, each with the question's name."""
        return self.differences + [
            f"{self.name}: {timing.contestant}: {timing.error}" for timing in self.timings if timing.error
        ]


@dataclass(frozen=True)
class Report:
    """A whole run. Units: `load` is the machine's load average over a minute when it began."""

    events: int
    rounds: int
    memory_limit: str | None
    started_at: str
    ended_at: str
    load: float
    commit: str
    dirty: bool
    machine: dict[str, str | int | float]
    versions: dict[str, str]
    questions: list[Asked]

    @property
    def errors(self) -> list[str]:
        """Everything that went wrong."""
        return [error for asked in self.questions for error in asked.errors]


# --- arithmetic ------------------------------------------------------------------------------------------------------


def timing(
    contestant: str, shape: tuple[int, int, int, int], outcomes: Sequence[Outcome], error: str | None = None
) -> Timing:
    """A contestant's outcomes, round by round, as one; `shape` is events, rows of the files, subjects, measurements."""
    seconds = [outcome.seconds for outcome in outcomes]
    cpu = [outcome.cpu_seconds for outcome in outcomes]
    return Timing(
        contestant,
        *shape,
        seconds=seconds,
        cpu_seconds=cpu,
        median=median(seconds) if seconds else None,
        min=min(seconds, default=None),
        max=max(seconds, default=None),
        cpu_median=median(cpu) if cpu else None,
        peak_mb=max((outcome.peak_mb for outcome in outcomes), default=None),
        answer_rows=outcomes[-1].answer_rows if outcomes else None,
        error=error,
    )


def ratio(target: Target, timings: Sequence[Timing]) -> Ratio:
    """A target with the ratio that was found. Round n is paired with round n: they ran in one state of the machine."""
    measured = {one.contestant: one for one in timings if one.seconds}
    mine = measured.get(target.contestant)
    rivals = [measured[name] for name in target.against if name in measured]
    plain = Ratio(target.contestant, list(target.against), target.at_most, target.per_event)
    if mine is None or not rivals:
        return plain
    rival = min(rivals, key=lambda one: _cost(one, median(one.seconds), target))
    pairs = [_cost(mine, a, target) / _cost(rival, b, target) for a, b in _paired(mine.seconds, rival.seconds)]
    found = _cost(mine, median(mine.seconds), target) / _cost(rival, median(rival.seconds), target)
    return Ratio(
        target.contestant,
        list(target.against),
        target.at_most,
        target.per_event,
        against=rival.contestant,
        ratio=found,
        low=min(pairs),
        high=max(pairs),
        met=found <= target.at_most,
    )


def _paired(mine: list[float], rivals: list[float]) -> list[tuple[float, float]]:
    """Round by round; who ran fewer rounds is paired with its last one in those after."""
    count = max(len(mine), len(rivals))
    return [(mine[min(n, len(mine) - 1)], rivals[min(n, len(rivals) - 1)]) for n in range(count)]


def _cost(one: Timing, seconds: float, target: Target) -> float:
    return seconds / one.events if target.per_event else seconds


def counterpart(timings: Sequence[Timing], one: Timing, name: str) -> Timing | None:
    """Who of that name did as `one`, with as many events: the plain one, or the same variant, or the only one."""
    found = {
        other.contestant: other
        for other in timings
        if other.median and other.events == one.events and other.contestant.partition(",")[0] == name
    }
    variant = f"{name},{one.contestant.partition(',')[2]}"
    return found.get(name) or found.get(variant) or (next(iter(found.values())) if len(found) == 1 else None)


def asked(question: Question, timings: list[Timing], differences: list[str]) -> Asked:
    """A question with what was found."""
    ratios = [ratio(target, timings) for target in question.targets]
    growth = question.options.get("growth")
    return Asked(question.name, question.title, question.why, question.notes, growth, timings, ratios, differences)


# --- files -----------------------------------------------------------------------------------------------------------

_REPORT = TypeAdapter(Report)


def read_report(path: Path) -> Report:
    """The report in a JSON file.

    Raises: ValueError, if it holds something else.
    """
    try:
        return _REPORT.validate_json(path.read_bytes())
    except ValidationError:
        raise ValueError(f"{path}: found no report; expected a JSON file that `run` wrote.") from None


def write_report(report: Report, folder: Path) -> tuple[Path, Path | None]:
    """Write the report under its date, and under a name that stays; not the second if what is there asked more."""
    folder.mkdir(parents=True, exist_ok=True)
    dated = unused(folder, f"{date.fromisoformat(report.started_at[:10])}-{size(report.events)}")
    dated.write_bytes(_REPORT.dump_json(report, indent=2) + b"\n")
    latest = folder / f"latest-{size(report.events)}.json"
    if latest.exists() and not _answered(report) >= _answered(read_report(latest)):
        return dated, None
    shutil.copyfile(dated, latest)
    return dated, latest


def _answered(report: Report) -> set[tuple[str, str]]:
    return {(one.name, timing.contestant) for one in report.questions for timing in one.timings}


def unused(folder: Path, stem: str) -> Path:
    """A JSON file that is not there yet: a second run of a day is -2."""
    path, count = folder / f"{stem}.json", 1
    while path.exists():
        count += 1
        path = folder / f"{stem}-{count}.json"
    return path


def size(events: int) -> str:
    """10000000 as 10M."""
    for unit, count in (("M", 1_000_000), ("k", 1_000)):
        if events % count == 0:
            return f"{events // count}{unit}"
    return str(events)


def parse_size(text: str) -> int:
    """10M as 10000000.

    Raises: ValueError.
    """
    match = _SIZE.fullmatch(text)
    if not match or not int(match[1]):
        raise ValueError(f"found {text!r}; expected a count such as 10M, 200k or 1000000.")
    return int(match[1]) * _UNITS[match[2]]
