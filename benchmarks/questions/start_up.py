"""How long until something is there: ten times `metering-duck --help`, and ten first answers for ten events.

`import duckdb` in a Python of its own is what the help is compared with: it must not wait for the engine. Each
contestant starts ten processes, one after the other, so a single start takes a tenth of what is shown.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa

from benchmarks.contestants import END, START, TWO_COUNTERS, finished
from benchmarks.events import Shape
from benchmarks.question import Contestant, Dataset, Question, Target

DUCK = (sys.executable, "-m", "metering_duck")


def started(command: Sequence[str], starts: int) -> pa.Table:
    """How many processes ended well; all must."""
    for _ in range(starts):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return finished(pa.table({"unit": ["starts"], "quantity": [str(starts)]}))


def show_help(_dataset: Dataset, starts: int) -> pa.Table:
    """What a user types first."""
    return started([*DUCK, "--help"], starts)


def import_duckdb(_dataset: Dataset, starts: int) -> pa.Table:
    """A Python that loads DuckDB and does nothing with it."""
    return started([sys.executable, "-c", "import duckdb"], starts)


def do_nothing(_dataset: Dataset, starts: int) -> pa.Table:
    """A Python that does nothing at all."""
    return started([sys.executable, "-c", "pass"], starts)


def answer_first(dataset: Dataset, starts: int) -> pa.Table:
    """Ten events, two counters, readings of days."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        config = Path(folder) / "config.json"
        config.write_text(json.dumps({"measurements": TWO_COUNTERS}))
        window = ["--start", START, "--end", END, "--every", "day"]
        return started([*DUCK, "aggregate", dataset.files, "--config", str(config), *window], starts)


def ten_events(_events: int) -> Shape:
    """However many are asked for."""
    return Shape(events=10, subjects=2)


def contestants(events: int) -> list[Contestant]:
    """Their answers say nothing, so none are compared; in a smoke run, where times do not count, they start twice."""
    starts = 10 if events > 1_000_000 else 2
    asked = {
        "metering-duck, --help": show_help,
        "metering-duck, ten events": answer_first,
        "plain Python, import duckdb": import_duckdb,
        "plain Python, nothing": do_nothing,
    }
    return [Contestant(name, partial(answer, starts=starts), group=None) for name, answer in asked.items()]


QUESTION = Question(
    name="start_up",
    title="Ten starts of a process",
    why="Whether the command feels slow in the shell.",
    shape=ten_events,
    contestants=contestants,
    targets=(Target("metering-duck, --help", ("plain Python, import duckdb",), 1.5),),
    notes="Each contestant starts ten processes: a single start takes a tenth of what is shown.",
)
