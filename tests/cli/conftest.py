"""The folder that tests of commands run in."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.running import CONFIG, ENVIRONMENT, EVENTS, PLAIN


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with events.csv, clean.csv, config.json and plain.json, and no METERING_DUCK_ variables."""
    (tmp_path / "events.csv").write_text(EVENTS, encoding="utf-8")
    (tmp_path / "clean.csv").write_text("".join(EVENTS.splitlines(keepends=True)[:3]), encoding="utf-8")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (tmp_path / "plain.json").write_text(json.dumps(PLAIN), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in set(os.environ) - set(ENVIRONMENT):
        monkeypatch.delenv(name)
    return tmp_path
