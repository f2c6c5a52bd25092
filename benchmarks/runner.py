"""Running a plan: data, a warm-up, rounds that alternate over the contestants, one child at a time, answers compared.

It measures and reports; what it found is results.py's, what a child does is trial.py's.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.answers import Answer, difference
from benchmarks.events import Shape, generate
from benchmarks.machine import commit, machine, versions
from benchmarks.question import CannotAsk, Contestant, Dataset, Question
from benchmarks.results import Asked, Report, Timing, asked, size, timing
from benchmarks.trial import Outcome, TrialFailed, run_preparation, run_trial

Say = Callable[[str], None]
WARM_UP_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Plan:
    """What to ask whom, how often.

    `contestants` are names, whole or up to their first comma; none means all. `at_once` is how many questions are asked
    side by side: above 1 only to check answers, for what runs beside another is not measured.
    """

    events: int
    questions: tuple[Question, ...]
    data: Path
    rounds: int = 3
    contestants: tuple[str, ...] = ()
    memory_limit: str | None = None
    timeout: float | None = None
    at_once: int = 1


def run(plan: Plan, say: Say) -> Report:
    """Ask all questions; `say` is told what is going on. What fails is in the report, and the rest goes on."""
    head, dirty = commit()
    started, load = _now(), os.getloadavg()[0]
    pool = ThreadPoolExecutor(plan.at_once)
    try:
        questions = list(pool.map(lambda question: _ask(plan, question, say), plan.questions))
    finally:
        pool.shutdown(cancel_futures=True)
    return Report(
        events=plan.events,
        rounds=plan.rounds,
        memory_limit=plan.memory_limit,
        started_at=started,
        ended_at=_now(),
        load=round(load, 2),
        commit=head,
        dirty=dirty,
        machine=machine(),
        versions=versions(),
        questions=questions,
    )


def contestants_of(plan: Plan, question: Question) -> list[Contestant]:
    """Those that were asked for and are not too slow for so many events."""
    return [
        one
        for one in question.contestants(plan.events)
        if (not plan.contestants or {one.name, one.name.partition(",")[0]} & set(plan.contestants))
        and (one.events_max is None or shape_of(plan, question, one).events <= one.events_max)
    ]


def shape_of(plan: Plan, question: Question, contestant: Contestant) -> Shape:
    """The contestant's own shape, or else the question's."""
    return contestant.shape or question.shape(plan.events)


# --- one question ----------------------------------------------------------------------------------------------------


class Course:
    """One contestant on its way through the rounds: its data, its outcomes, its answers, its failure if it had one."""

    def __init__(self, plan: Plan, question: Question, contestant: Contestant, folder: Path, number: int) -> None:
        self.plan, self.question, self.contestant = plan, question, contestant
        self.rounds = min(plan.rounds, contestant.rounds_max or plan.rounds)
        self.outcomes: list[Outcome] = []
        self.error: str | None = None
        self.environment: dict[str, str] = {}
        self._folder, self._number = folder, number
        self.shape = shape_of(plan, question, contestant)
        self.dataset = Dataset(generate(self.shape, plan.data), self.shape)

    @property
    def answers(self) -> list[Answer]:
        """Its answers, one a round."""
        return [Answer(self.contestant.name, self._file(number)) for number in range(len(self.outcomes))]

    def run(self) -> str:
        """Run a round; what to say of it."""
        file = self._file(len(self.outcomes))
        try:
            outcome = run_trial(
                self.question.name,
                self.plan.events,
                self.contestant,
                self.dataset,
                file,
                memory_limit=self.plan.memory_limit,
                timeout=self.plan.timeout,
                environment=self.environment,
            )
        except TrialFailed as failure:
            self.error = str(failure)
            return "failed"
        self.outcomes.append(outcome)
        return f"{outcome.seconds:.3f} s, {outcome.peak_mb:,.0f} MB"

    def timing(self) -> Timing:
        """All its rounds."""
        shape = (self.shape.events, self.shape.rows, self.shape.subjects, self.shape.measurements)
        return timing(self.contestant.name, shape, self.outcomes, self.error)

    def _file(self, number: int) -> Path:
        return self._folder / f"{self._number}-{number}.parquet"


def _ask(plan: Plan, question: Question, say: Say) -> Asked:
    with tempfile.TemporaryDirectory(prefix="benchmarks-answers-") as folder:
        say(f"{question.name}: {size(plan.events)} events")
        courses = [
            Course(plan, question, contestant, Path(folder), number)
            for number, contestant in enumerate(contestants_of(plan, question))
        ]
        wrong = []
        try:
            with _around(plan, question) as environment:
                for course in courses:
                    course.environment = environment
                _prepare(plan, question, courses)
                for number in range(plan.rounds):
                    _run_round(number, courses, say)
        except CannotAsk as reason:
            wrong = [f"{question.name}: {reason}"]
        return asked(question, [course.timing() for course in courses], wrong or differences(question.name, courses))


def _around(plan: Plan, question: Question) -> AbstractContextManager[dict[str, str]]:
    """What runs beside a question while it is asked, with the environment that leads to it."""
    if "around" not in question.options:
        return nullcontext({})
    shape = question.shape(plan.events)
    beside: AbstractContextManager[dict[str, str]] = question.options["around"](
        Dataset(generate(shape, plan.data), shape)
    )
    return beside


def _prepare(plan: Plan, question: Question, courses: Sequence[Course]) -> None:
    """What the question wants done before it is asked, not timed; and all files in memory."""
    for dataset, environment in {one.dataset.path: (one.dataset, one.environment) for one in courses}.values():
        try:
            if "prepare" in question.options:
                run_preparation(question.name, plan.events, dataset, timeout=plan.timeout, environment=environment)
        except TrialFailed as failure:
            for course in courses:
                course.error = f"nothing was prepared: {failure}"
        read_through(dataset.path)


def _run_round(number: int, courses: Sequence[Course], say: Say) -> None:
    """Each contestant once. Every round begins with the next one, so that none is always the first or the last."""
    start = number % len(courses) if courses else 0
    turns = [one for one in (*courses[start:], *courses[:start]) if number < one.rounds and not one.error]

    for course in turns:
        say(f"{course.question.name}: round {number + 1}: {course.contestant.name}: {course.run()}")


def read_through(folder: Path) -> None:
    """Read all files once, so that the first contestant does not wait for the disk and the others not."""
    for file in sorted(folder.rglob("*.parquet")):
        with file.open("rb", buffering=0) as opened:
            while opened.read(WARM_UP_BYTES):
                pass


def differences(question: str, courses: Sequence[Course]) -> list[str]:
    """What is unequal: every contestant's first answer against its group's first one, later rounds against its own."""
    found: list[str | None] = []
    first: dict[str, Answer] = {}
    for course in courses:
        if course.answers and course.contestant.group is not None:
            reference = first.setdefault(course.contestant.group, course.answers[0])
            if reference is not course.answers[0]:
                found.append(difference(question, reference, course.answers[0]))
        for number, answer in enumerate(course.answers[1:], start=2):
            again = replace(answer, contestant=f"{answer.contestant} in round {number}")
            found.append(difference(question, course.answers[0], again) if course.contestant.group else None)
    return [one for one in found if one]


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
