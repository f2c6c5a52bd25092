"""How a ledger's file is opened: by links, by programs that only read, and where an earlier version made it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from metering_duck.ledger.ledger import Ledger
from tests.ledger_worlds import problems
from tests.worlds import CLOCK, event, measuring

MARCH: dict[str, Any] = {"start": "2024-03-01", "end": "2024-04-01", "every": "month", "clock": CLOCK}
SUM = measuring("sum")


@pytest.mark.slow
def test_a_link_is_the_ledger_that_it_leads_to(tmp_path: Path) -> None:
    """A link to the file and one to its folder: what is written lies beside the file itself, and so does the lock."""
    (tmp_path / "real").mkdir()
    (tmp_path / "e.ndjson").write_text(json.dumps(event("1", "2024-03-02T00:00:00Z", {"q": "7"})))
    (tmp_path / "folder").symlink_to("real")
    Ledger.init(tmp_path / "folder" / "ledger.duckdb")
    (tmp_path / "link.duckdb").symlink_to("real/ledger.duckdb")
    for place in ("link.duckdb", "folder/ledger.duckdb"):
        ledger = Ledger(tmp_path / place)
        (outcome,) = ledger.backfill(tmp_path / "e.ndjson", SUM, **MARCH)
        assert (1, []) == (outcome.run_id, problems(ledger))
    assert ["e.ndjson", "folder", "link.duckdb", "real"] == sorted(os.listdir(tmp_path))
    assert ["ledger.duckdb", "ledger.duckdb.lock"] == sorted(os.listdir(tmp_path / "real"))
