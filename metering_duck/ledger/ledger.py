"""The ledger, as Python and the command line use it: what is metered, by which run, and what counts.

Every method opens the file for as long as it needs it. Only one method at a time writes, whatever process it runs in.
Each run is kept with all of its rows, or not at all.
"""

from __future__ import annotations

from os import PathLike
from typing import Any, Unpack

from metering_duck.calls.arguments import machine_of
from metering_duck.contract.config import ConfigLike
from metering_duck.engine.progress import Progress
from metering_duck.ledger.backfilling import backfill
from metering_duck.ledger.closing import close
from metering_duck.ledger.comparing import diff
from metering_duck.ledger.configs import config_or_none, known_config
from metering_duck.ledger.exporting import export_table
from metering_duck.ledger.findings import Finding
from metering_duck.ledger.forking import fork_out_of_ledger
from metering_duck.ledger.meterer import Meterer
from metering_duck.ledger.migrating import Migration, migrate
from metering_duck.ledger.outcomes import Outcome, Report
from metering_duck.ledger.periods import clock_of, cut_periods, moment_of
from metering_duck.ledger.requests import Request
from metering_duck.ledger.rerunning import rerun
from metering_duck.ledger.restating import Restatement, restate
from metering_duck.ledger.simulating import Simulation, simulate
from metering_duck.ledger.status import Status, look_at_status
from metering_duck.ledger.store import WAIT_SECONDS, Store
from metering_duck.ledger.stored import Options, asked_of
from metering_duck.ledger.tracing import Trace, trace
from metering_duck.ledger.verifying import verify
from metering_duck.runs.machine import GivenTime
from metering_duck.runs.rows import Rows


class Ledger:
    """A ledger: configs, files seen, runs, readings by run, rejects, conflicts, periods and restatements, in one file.

    Shape:  `path` is a DuckDB file; docs/ledger.md lists its tables. It never holds events.
    Units:  `wait` is in seconds. With `verify_files` objects are proven whole each time they are read (R35).
    Exact:  a run is repeatable byte for byte, and known by the SHA-256 of its readings as NDJSON (R23, R24).
    Raises: LedgerError for a file that is absent, damaged, in use or of a later version.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        wait: float = WAIT_SECONDS,
        threads: int | None = None,
        memory_limit: str | None = None,
        temp_dir: str | PathLike[str] | None = None,
        verify_files: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.store = Store(path, wait=wait)
        self.machine = machine_of(threads, memory_limit, temp_dir, progress, verify_files)
        self.meterer = Meterer(self.store, self.machine)

    @classmethod
    def init(cls, path: str | PathLike[str], **options: Any) -> Ledger:
        """Make a new, empty ledger.

        Raises: LedgerError for a file that is there already.
        """
        ledger = cls(path, **options)
        ledger.store.create()
        return ledger

    def backfill(
        self,
        events: Any = None,
        config: ConfigLike | None = None,
        *,
        start: GivenTime = None,
        end: GivenTime = None,
        every: str | None = None,
        timezone: str | None = None,
        anchor: GivenTime = None,
        as_of: GivenTime = None,
        clock: GivenTime = None,
        without_missing: bool = False,
        strict: bool = False,
        report: Report | None = None,
        **options: Unpack[Options],
    ) -> list[Outcome]:
        """Meter every period between two moments, one after another; each is kept as soon as it is done.

        Shape:  `events` are paths, folders and globs, added to those that the ledger knows; `config` is effective from
                `start` on, and to `end` in any case; without one, those that were effective before. `options` say how
                events are read, the same for all files of a ledger: map, map_universe, assume_timezone, generate_ids,
                assume_unique, folder_keys, binary_as_text; others are those of aggregate(): aggregation, fill (none or
                zero), group_by, workspace, universe, subject, across_workspaces, scale, digits.
                A period that was metered from the same inputs is left as it is; a closed one is never touched.
        Raises: LedgerError, ConfigError, SourceError, SchemaError, QuantityOverflow. What was done before stays done.
        Source: R9, R23.
        """
        question, source = asked_of(options)
        periods = cut_periods(start=start, end=end, every=every, timezone=timezone, anchor=anchor)
        request = Request(events, moment_of(as_of, "as-of"), clock_of(clock), without_missing)
        known = config_or_none(config)
        return backfill(self.meterer, periods, known, question, source, request, strict=strict, report=report)

    def rerun(
        self,
        period: str,
        *,
        config: ConfigLike | None = None,
        as_of: GivenTime = None,
        as_was: bool = False,
        events: Any = None,
        timezone: str | None = None,
        clock: GivenTime = None,
        without_missing: bool = False,
    ) -> Outcome:
        """Meter a period again: as it is now, as of a moment, as it was, or as if another config had been in force.

        Shape:  a run of its own. It counts only where the period is open and config is its own; otherwise it is there
                to be compared. `status` is reproduced where the same inputs gave the same bytes; else changed, or
                same where no quantity differs; and new for a part of a period, such as a day of a month, which is
                metered as the whole was.
        Raises: LedgerError where the same inputs gave other bytes, or a file is not what it was.
        Source: R23, R24.
        """
        request = Request(events, moment_of(as_of, "as-of"), clock_of(clock), without_missing)
        return rerun(self.meterer, period, config_or_none(config), request, as_was=as_was, timezone=timezone)

    def close(
        self, period: str, *, by: str | None = None, timezone: str | None = None, clock: GivenTime = None
    ) -> Outcome:
        """The readings of a period become final: no later run overwrites them. Closing it again changes nothing.

        Shape:  `is_stale` says that its files are others than those of its run already; it is closed all the same.
        Raises: LedgerError for a period that was not metered.
        """
        return close(self.meterer, period, by=by, timezone=timezone, clock=clock_of(clock))

    def migrate(self) -> Migration:
        """Bring a ledger of an earlier version forward: read the keys of its events again from the files (R38)."""
        return migrate(self.meterer)

    def status(self, events: Any = None) -> Status:
        """What is metered, open, closed and stale, and which periods new files touch, `events` too; writes nothing."""
        return look_at_status(self.meterer, events)

    def verify(self, *, files: bool = False) -> list[Finding]:
        """Recompute digests, and hold the tables against each other; with `files`, also against the event files.

        Shape:  one Finding for each thing that was looked at; its `problem` is empty where all is well.
        """
        return verify(self.store, files=files)

    def export(self, table: str, *, run: int | None = None) -> Rows:
        """The rows of readings (those that count now, or of one run), rejects, conflicts, runs, periods, files,
        restatements or causes.

        Raises: ConfigError for another table; LedgerError for an unknown run.
        """
        return export_table(self.store, table, run)

    def trace(self, reading: str, *, run: int | None = None) -> Trace:
        """The events behind a reading, by its id or the beginning of it, with totals that add up to it.

        Raises: LedgerError for a reading that there is not, and for files that are not what they were.
        """
        return trace(self.meterer, reading, run)

    def diff(self, old: int, new: int, *, causes: bool = True) -> Rows:
        """Two runs side by side: of every reading whose quantity differs old, new and delta, and its causes.

        Shape:  one row per reading; `causes` is a list of {cause, event_id, recorded_at, old, new, measurement, file}.
        Exact:  old + delta = new, to the last digit (R25).
        Raises: LedgerError for an unknown run, and where files are gone that tell the causes (causes=False needs none).
        """
        return diff(self.meterer, old, new, causes=causes)

    def restate(
        self,
        period: str,
        *,
        config: ConfigLike | None = None,
        events: Any = None,
        book: bool = False,
        by: str | None = None,
        timezone: str | None = None,
        clock: GivenTime = None,
        without_missing: bool = False,
    ) -> Restatement:
        """What a closed period would be now, against what it is; with `book`, from now on it is that.

        Shape:  one row per reading that changes, as diff gives them. Nothing is kept where nothing changes.
        Exact:  Σ old + Σ delta = Σ new is checked before anything is kept (R25). Booked twice it is booked once.
        Raises: LedgerError for a period that is open: it is simply metered again.
        """
        request = Request(events, None, clock_of(clock), without_missing)
        known = config_or_none(config)
        return restate(self.meterer, period, known, request, books=book, by=by, timezone=timezone)

    def simulate(
        self,
        period: str | None = None,
        *,
        config: ConfigLike,
        universe: str,
        of: str = "production",
        start: GivenTime = None,
        end: GivenTime = None,
        timezone: str | None = None,
        clock: GivenTime = None,
        causes: bool = False,
    ) -> Simulation:
        """What periods would be under another config, in a universe of its own; those of the ledger stay as they are.

        Shape:  one row per reading that differs, as diff gives them, under the name of the universe `of`. The periods
                are the one that is named, or all of the ledger between `start` and `end`. The simulated readings are
                those of runs that never count.
        Raises: ConfigError for a universe that does not begin with simulation-; LedgerError.
        """
        between = moment_of(start, "start"), moment_of(end, "end")
        known, now = known_config(config), clock_of(clock)
        return simulate(self.meterer, period, known, universe, of, between, timezone=timezone, clock=now, causes=causes)

    def fork_universe(self, source: str, target: str, *, as_of: GivenTime = None) -> Rows:
        """The events of one universe under the name of another, out of all files that the ledger knows.

        Shape:  one row per event, to be written to a file and metered beside the others; `as_of` keeps those that had
                entered by then. Nothing is written to the ledger.
        """
        return fork_out_of_ledger(self.meterer, source, target, as_of=moment_of(as_of, "as-of"))
