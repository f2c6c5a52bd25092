"""A real notebook kernel, with and without ipywidgets: an aggregate, how a result is shown, an error, an interrupt."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ipykernel") is None, reason="needs a kernel: pip install -e '.[notebook]'"),
]
HIDE = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "ipywidgets":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
"""
SETUP = """
from metering_duck import aggregate, meter
EVENT = {"id": "e1", "workspaceID": "w", "universeID": "u", "type": "t", "subject": "c",
         "time": "2024-01-01T00:00:00Z", "properties": {"q": "2.5"}}
CONFIG = {"measurements": [{"sourceProperty": "q", "unit": "x", "aggregation": "sum"}]}
WINDOW = {"start": "2024-01-01", "end": "2024-02-01", "clock": "2024-06-01"}
"""
LARGE = """
import duckdb
rows = duckdb.sql(
    "SELECT CAST(i AS VARCHAR) AS id, 'w' AS workspace_id, 'u' AS universe_id, 't' AS type, 'c' || i AS subject, "
    "TIMESTAMPTZ '2024-01-01 00:00:00Z' + to_milliseconds(i) AS time, CAST(i AS VARCHAR) AS q FROM range(4000000) t(i)"
)
aggregate(rows, CONFIG, **WINDOW, every="PT1S").to_arrow().num_rows
"""


class Notebook:
    """A running kernel; `run` gives what a cell shows: texts, results and errors."""

    def __init__(self, manager: Any, client: Any) -> None:
        self.manager, self.client = manager, client

    def run(self, code: str, *, interrupt_after: float | None = None) -> list[tuple[str, str]]:
        """Run a cell to its end: the kind and the text of each thing that it shows."""
        asked = self.client.execute(code)
        if interrupt_after is not None:
            time.sleep(interrupt_after)
            self.manager.interrupt_kernel()
        shown: list[tuple[str, str]] = []
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != asked:
                continue
            if kind == "status" and content["execution_state"] == "idle":
                return shown
            if kind == "stream":
                shown.append((content["name"], content["text"]))
            elif kind in ("execute_result", "display_data"):
                shown.append((kind, content["data"].get("text/plain", "")))
            elif kind == "error":
                shown.append((content["ename"], content["evalue"]))


@pytest.fixture(scope="module", params=["with ipywidgets", "without ipywidgets"])
def notebook(request: pytest.FixtureRequest) -> Iterator[Notebook]:
    """A kernel of this Python."""
    from jupyter_client.manager import start_new_kernel

    here = str(Path(__file__).parent.parent)
    path = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    manager, client = start_new_kernel(kernel_name="python3", env=os.environ | {"PYTHONPATH": path})
    try:
        opened = Notebook(manager, client)
        if request.param == "without ipywidgets":
            assert [] == opened.run(HIDE)
        assert [] == opened.run(SETUP)
        yield opened
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_notebook_aggregates(notebook: Notebook) -> None:
    """The rows are those of any other process, and nothing else is shown."""
    code = "[str(row['quantity']) for row in aggregate([EVENT], CONFIG, **WINDOW).to_dicts()]"

    assert [("execute_result", "['2.500000000000000000']")] == notebook.run(code)


def test_a_notebook_shows_a_result(notebook: Notebook) -> None:
    """A result says what it is, before and after it is read; no bar is drawn."""
    assert [("execute_result", "<Result of readings: not read yet>")] == notebook.run(
        "found = aggregate([EVENT], CONFIG, **WINDOW); found"
    )
    ((kind, text),) = notebook.run("found.accounting; found")

    assert ("execute_result", True) == (kind, text.startswith("<Result of readings: 1 read = 1 metered"))
    assert [("execute_result", "1")] == notebook.run("found.pl().height")


def test_a_notebook_shows_an_error(notebook: Notebook) -> None:
    """An error of ours, by its own name."""
    ((kind, text),) = notebook.run("meter('nowhere.parquet', CONFIG)")

    assert ("NothingThere", True) == (kind, text.startswith("nowhere.parquet: found no such file"))


def test_a_notebook_tells_progress(notebook: Notebook) -> None:
    """A function that is told the progress does no harm, whether DuckDB tells any or not."""
    code = (
        "seen = []; aggregate([EVENT], CONFIG, **WINDOW, progress=lambda *told: seen.append(told)).to_arrow().num_rows"
    )

    assert [("execute_result", "1")] == notebook.run(code)


def test_a_notebook_is_interrupted(notebook: Notebook) -> None:
    """The button that stops a cell stops the run, and the kernel goes on."""
    ((kind, text),) = notebook.run(LARGE, interrupt_after=1.5)

    assert ("Interrupted", "run: was interrupted; nothing was written.") == (kind, text), text
    assert [("execute_result", "1")] == notebook.run("aggregate([EVENT], CONFIG, **WINDOW).count()")
