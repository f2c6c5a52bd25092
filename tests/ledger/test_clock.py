"""A clock that goes back: what was asked as of a moment stays as it is, and the run says so (R24)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from metering_duck.cli.main import cli
from metering_duck.errors import ConfigError
from metering_duck.ledger.ledger import Ledger
from tests import ledger_worlds, worlds
from tests.ledger_worlds import event

CONFIG = {"measurements": [{"sourceProperty": "tokens", "unit": "tokens", "aggregation": "sum"}]}
MONTH = {"start": "2024-01-01", "end": "2024-02-01"}
JUNE, MAY = datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC)
DAY = datetime(2024, 1, 5, tzinfo=UTC)


def with_files(folder: Path) -> Ledger:
    """A ledger that saw one file in June, beside which there is another one by now."""
    ledger = Ledger.init(folder / "ledger.duckdb")
    worlds.write_table(folder / "events" / "1.parquet", [event(1, DAY, tokens=1)])
    ledger.backfill(folder / "events", CONFIG, **MONTH, clock=JUNE)
    worlds.write_table(folder / "events" / "2.parquet", [event(2, DAY, tokens=20)])
    return ledger


def as_of(ledger: Ledger, moment: datetime) -> list[str]:
    """The quantities as of a moment."""
    outcome = ledger.rerun("2024-01", as_of=moment)
    with ledger.export("readings", run=outcome.run_id) as rows:
        return [f"{row['quantity'].normalize():f}" for row in rows.to_dicts()]


def entered(ledger: Ledger) -> list[datetime]:
    """When each file entered."""
    return [row[0] for row in ledger_worlds.query(ledger, "SELECT entered_at FROM source_files ORDER BY file_id")]


@pytest.mark.slow
def test_a_file_does_not_enter_before_one_that_the_ledger_has(tmp_path: Path) -> None:
    """With a clock of May, a file that comes after one of June enters after it, with a notice."""
    ledger = with_files(tmp_path)
    (outcome,) = ledger.backfill(**MONTH, clock=MAY)
    assert [JUNE, JUNE + timedelta(microseconds=1)] == entered(ledger)
    (notice,) = outcome.notices
    assert "found 2024-05-01T00:00:00Z, before 2024-06-01T00:00:00Z" in notice
    assert ["1"] == as_of(ledger, JUNE)
    assert ["21"] == as_of(ledger, JUNE + timedelta(seconds=1))


@pytest.mark.slow
def test_a_clock_of_the_far_future_is_told_and_of_the_last_year_refused(tmp_path: Path) -> None:
    """All that a ledger finds later enters after such a clock: it is said at once; after the last year nothing can."""
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    worlds.write_table(tmp_path / "events" / "1.parquet", [event(1, DAY, tokens=1)])
    with pytest.raises(
        ConfigError, match=r"^clock: found 9999-12-31T00:00:00Z; expected a moment after which files can"
    ):
        ledger.backfill(tmp_path / "events", CONFIG, **MONTH, clock="9999-12-31")
    (outcome,) = ledger.backfill(tmp_path / "events", CONFIG, **MONTH, clock="9998-01-01")
    assert "clock: found 9998-01-01T00:00:00Z, after tomorrow, where now is" in outcome.notices[0]


@pytest.mark.slow
def test_a_file_does_not_go_before_the_last_that_came(tmp_path: Path) -> None:
    """A file that is found gone by a clock of May was there in June, as of which it still counts."""
    ledger = with_files(tmp_path)
    ledger.backfill(**MONTH, clock=JUNE)
    (tmp_path / "events" / "2.parquet").rename(tmp_path / "away")
    (outcome,) = ledger.backfill(**MONTH, clock=MAY, without_missing=True)
    assert "clock: found" in outcome.notices[0]
    (tmp_path / "away").rename(tmp_path / "events" / "2.parquet")
    gone = ledger_worlds.query(ledger, "SELECT gone_at FROM source_files WHERE file_id = 2")
    assert [(JUNE + timedelta(microseconds=1),)] == gone
    assert ["21"] == as_of(ledger, JUNE)


@pytest.mark.slow
def test_a_clock_that_stands_or_finds_nothing_is_no_matter(tmp_path: Path) -> None:
    """The same clock again, and an earlier one that finds no file, give no notice."""
    ledger = with_files(tmp_path)
    assert () == ledger.backfill(**MONTH, clock=JUNE)[0].notices
    assert [JUNE, JUNE] == entered(ledger)
    assert () == ledger.backfill(**MONTH, clock=MAY)[0].notices


@pytest.mark.slow
def test_the_command_says_it(tmp_path: Path) -> None:
    """backfill, rerun and restate print the notice."""
    path = with_files(tmp_path).store.path
    given = ["--ledger", str(path), "--clock", "2024-05-01"]
    said = CliRunner().invoke(cli, ["rerun", "2024-01", *given]).stderr
    assert said.startswith("note: clock: found 2024-05-01T00:00:00Z, before 2024-06-01T00:00:00Z"), said
    Ledger(path).close("2024-01", by="ann")
    worlds.write_table(tmp_path / "events" / "3.parquet", [event(3, DAY, tokens=300)])
    said = CliRunner().invoke(cli, ["restate", "2024-01", *given]).stderr
    assert said.startswith("note: clock: found 2024-05-01T00:00:00Z"), said


@pytest.mark.slow
def test_the_config_that_was_added_last_counts(tmp_path: Path) -> None:
    """A config that is given under a clock of May replaces that of June, from the same period on."""
    ledger = with_files(tmp_path)
    other = {"measurements": [{"sourceProperty": "tokens", "unit": "other", "aggregation": "sum"}]}
    ledger.backfill(config=other, **MONTH, clock=MAY)
    with ledger.export("readings") as rows:
        assert ["other"] == [row["unit"] for row in rows.to_dicts()]
