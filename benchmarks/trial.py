"""One contestant, once, in a process of its own: what the child does, and what it tells its parent.

    parent: Trial as JSON → python -m benchmarks.trial → child: an answer as Parquet, an Outcome as a line of JSON

Only `answer(dataset)` is timed. The contestant's library is imported and it is made ready before, the answer is written
after.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pyarrow.compute
import pyarrow.dataset
import pyarrow.parquet

from benchmarks.events import Shape
from benchmarks.question import MEMORY_LIMIT, Contestant, Dataset

PROJECT = Path(__file__).parent.parent
STATUS = Path("/proc/self/status")
# By the first word of a contestant's name; a library that is imported in the timed part would be measured with it.
LIBRARIES = {
    "metering-duck": ("duckdb", "metering_duck.calls.metering", "metering_duck.rollups.combining"),
    "bare query": ("duckdb",),
    "ClickHouse": ("chdb", "chdb.session"),
    "Polars": ("polars",),
}
STDERR_LINES = 8
NOTHING: Mapping[str, str] = {}


class TrialFailed(Exception):
    """A contestant gave no answer; the text says why, in the last lines that it wrote."""


@dataclass(frozen=True)
class Trial:
    """What a child is told: the question as it is asked for `events`, the contestant, and its data set on disk.

    Without a contestant the data set is prepared, and there is no outcome.
    """

    question: str
    events: int
    contestant: str
    data: str
    shape: dict[str, object]
    answer: str
    outcome: str


@dataclass(frozen=True)
class Outcome:
    """What one run took.

    Units:  seconds of the clock and of the processor (all threads, user and system); MB of 10⁶ bytes at the peak of
            the whole process, libraries included; rows of the answer.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float
    answer_rows: int


def run_trial(
    question: str,
    events: int,
    contestant: Contestant,
    dataset: Dataset,
    answer: Path,
    *,
    memory_limit: str | None = None,
    timeout: float | None = None,
    environment: Mapping[str, str] = NOTHING,
    project: Path = PROJECT,
) -> Outcome:
    """Run a contestant in a new process and wait for it; its answer is in the file `answer` then.

    `project` is the checkout whose code runs.

    Raises: TrialFailed; KeyboardInterrupt where that was what ended the child.
    """
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        outcome = Path(folder) / "outcome.json"
        where, shape = str(dataset.path), asdict(dataset.shape)
        trial = Trial(question, events, contestant.name, where, shape, str(answer), str(outcome))
        _run_child(trial, memory_limit, timeout, environment, project)
        return Outcome(**json.loads(outcome.read_text()))


def run_preparation(
    question: str,
    events: int,
    dataset: Dataset,
    *,
    timeout: float | None = None,
    environment: Mapping[str, str] = NOTHING,
) -> None:
    """Do in a new process what the question wants done with the data set before the first round.

    Raises: as run_trial.
    """
    trial = Trial(question, events, "", str(dataset.path), asdict(dataset.shape), "", "")
    _run_child(trial, None, timeout, environment)


def _run_child(
    trial: Trial,
    memory_limit: str | None,
    timeout: float | None,
    more: Mapping[str, str],
    project: Path = PROJECT,
) -> None:
    """The user's own settings of metering-duck do not reach the child."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("METERING_DUCK_")}
    environment.pop(MEMORY_LIMIT, None)
    # A path of the caller's would come before the checkout that is meant.
    environment.pop("PYTHONPATH", None)
    environment |= {MEMORY_LIMIT: memory_limit} if memory_limit else {}
    environment |= more
    command = [sys.executable, "-m", "benchmarks.trial", json.dumps(asdict(trial))]
    try:
        done = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, errors="replace", timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise TrialFailed(f"no answer in {timeout:g} s") from None
    if done.returncode == -signal.SIGINT:
        raise KeyboardInterrupt
    if done.returncode or (trial.outcome and not Path(trial.outcome).exists()):
        raise TrialFailed(_last_words(done))


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stderr.splitlines() if line.strip()][-STDERR_LINES:]
    return "\n".join([f"exit code {done.returncode}", *lines])


# --- in the child ----------------------------------------------------------------------------------------------------


def find_contestant(question: str, events: int, name: str) -> Contestant:
    """The contestant of that name, of the question as it is asked for so many events."""
    from benchmarks.questions import QUESTIONS

    return next(one for one in QUESTIONS[question].contestants(events) if one.name == name)


def import_libraries(name: str) -> None:
    """Import what the contestant answers with.

    pyarrow imports pandas, where there is one, when it first makes an array. That is done here, for everyone: 0.15 s
    that are not measured then, and 50 MB that all have in their peaks.
    """
    pa.repeat("", 1)
    for library in LIBRARIES.get(name.partition(",")[0], ()):
        import_module(library)


def measured(contestant: Contestant, dataset: Dataset) -> tuple[pa.Table, Outcome]:
    """The contestant's answer, and what it took in this process, once it is ready."""
    if contestant.ready:
        contestant.ready()
    cpu_before = _cpu_seconds()
    before = time.perf_counter()
    answer = contestant.answer(dataset)
    seconds = time.perf_counter() - before
    return answer, Outcome(seconds, _cpu_seconds() - cpu_before, _peak_mb(), answer.num_rows)


def _cpu_seconds() -> float:
    """Of this process and of the children that it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _peak_mb() -> float:
    """The most memory that this process has held. ru_maxrss would be that of its parent, where that held more."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1_000_000


def main(text: str) -> None:
    """Run the trial that the text describes."""
    from benchmarks.questions import QUESTIONS

    trial = Trial(**json.loads(text))
    dataset = Dataset(Path(trial.data), Shape(**trial.shape))  # type: ignore[arg-type]
    if not trial.contestant:
        QUESTIONS[trial.question].options["prepare"](dataset)
        return
    contestant = find_contestant(trial.question, trial.events, trial.contestant)
    import_libraries(contestant.name)
    answer, outcome = measured(contestant, dataset)
    pyarrow.parquet.write_table(answer, trial.answer)
    Path(trial.outcome).write_text(json.dumps(asdict(outcome)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
