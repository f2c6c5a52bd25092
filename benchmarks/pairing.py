"""This checkout next to another commit, in one run: the same contestant of both, in turn, on the same events.

    round 1: before, now    round 2: now, before    round 3: before, now    …

The other commit is checked out into a folder of its own, and its child runs there: with its own package and its own
question. A ratio is of one round, so that a slow minute of the machine is both's.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.answers import Answer, difference
from benchmarks.events import generate
from benchmarks.question import Contestant, Dataset, Question
from benchmarks.runner import Plan, Say, contestants_of, read_through, shape_of
from benchmarks.trial import PROJECT, Outcome, TrialFailed, run_trial

OURS = "metering-duck"


@dataclass
class Pair:
    """One contestant of a question, now and before. `error` says why there are fewer rounds than were asked for."""

    question: str
    contestant: str
    now: list[Outcome] = field(default_factory=list)
    before: list[Outcome] = field(default_factory=list)
    error: str | None = None

    def ratios(self, measure: str) -> list[float]:
        """Now by before, round by round, of `seconds`, `cpu_seconds` or `peak_mb`."""
        pairs = zip(self.now, self.before, strict=True)
        return [getattr(now, measure) / getattr(before, measure) for now, before in pairs]

    def ratio(self, measure: str) -> float:
        """The median of the ratios."""
        return median(self.ratios(measure))


@contextlib.contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """A folder with another commit of this repository in it.

    Raises: TrialFailed for a revision that git does not know.
    """
    with tempfile.TemporaryDirectory(prefix="benchmarks-before-") as folder:
        archive = subprocess.run(
            ["git", "-C", str(PROJECT), "archive", "--format=tar", revision, "--"], capture_output=True
        )
        if archive.returncode:
            raise TrialFailed(f"{revision}: found no such commit ({archive.stderr.decode().strip()}); expected one.")
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder)


def run_pairs(plan: Plan, before: Path, say: Say) -> list[Pair]:
    """Every contestant of ours at every question of the plan, in both checkouts."""
    pairs = []
    for question in plan.questions:
        for contestant in contestants_of(plan, question):
            if contestant.name.partition(",")[0] == OURS and "around" not in question.options:
                pairs.append(_run_pair(plan, question, contestant, before, say))
    return pairs


def _run_pair(plan: Plan, question: Question, contestant: Contestant, before: Path, say: Say) -> Pair:
    shape = shape_of(plan, question, contestant)
    dataset = Dataset(generate(shape, plan.data), shape)
    read_through(dataset.path)
    pair = Pair(question.name, contestant.name)
    with tempfile.TemporaryDirectory(prefix="benchmarks-answers-") as folder:
        sides = {"before": (before, pair.before), "now": (PROJECT, pair.now)}
        answers = {side: Answer(f"{contestant.name} {side}", Path(folder) / f"{side}.parquet") for side in sides}
        try:
            for number in range(plan.rounds):
                for side in _turns(number, list(sides)):
                    project, outcomes = sides[side]
                    outcome = run_trial(
                        question.name,
                        plan.events,
                        contestant,
                        dataset,
                        answers[side].path,
                        memory_limit=plan.memory_limit,
                        timeout=plan.timeout,
                        project=project,
                    )
                    outcomes.append(outcome)
                    say(f"{question.name}: round {number + 1}: {contestant.name} {side}: {outcome.seconds:.3f} s")
            pair.error = difference(question.name, answers["before"], answers["now"])
        except TrialFailed as failure:
            pair.error = f"{question.name}: {contestant.name}: {failure}"
            del pair.before[len(pair.now) :], pair.now[len(pair.before) :]
    return pair


def _turns(number: int, sides: Sequence[str]) -> list[str]:
    """Who goes first changes with each round."""
    return list(sides if number % 2 == 0 else reversed(sides))
