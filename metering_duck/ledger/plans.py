"""Plans: what a run of one period would read, and the digest by which its answer is known.

The readings of a period depend on the files with its events, on the files with other rows of its repeated keys, on the
levels that its gauges begin with, and on nothing else. So two plans of one digest have the same readings, and a run
reads only the files of its plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from metering_duck.calls.arguments import check_aggregations
from metering_duck.contract.config import MeteringConfig
from metering_duck.contract.schemas import IDS_VERSION
from metering_duck.errors import ConfigError, LedgerError, first_few
from metering_duck.inputs.fields import Reach
from metering_duck.inputs.source import Source
from metering_duck.judging.repeated_hashes import Hashes
from metering_duck.ledger.configs import KnownConfig, digest
from metering_duck.ledger.manifest import EVENT_KEY, WITHOUT_KEYS, SourceFile, files_of, history_of
from metering_duck.ledger.periods import Period
from metering_duck.ledger.places import stamps_of
from metering_duck.ledger.store import StoreEngine
from metering_duck.ledger.stored import has_new_ids, question_text, source_digested
from metering_duck.runs.history import LEVELS_SCHEMA, History
from metering_duck.runs.question import Question

# Before the first event there can be: the start of a run over all that was before a moment.
BEGINNING = datetime(1, 1, 2, tzinfo=UTC)
ASKED = "asked_files"


@dataclass(frozen=True)
class CarriedLevels:
    """The levels that gauges begin with, their digest, and the run that ended with them; None if nothing was before.

    A `gap` is a plan that is to be run first, from the moment of these levels to the moment at which they are needed.
    """

    run_id: int | None
    sha256: str
    table: pa.Table = field(default_factory=LEVELS_SCHEMA.empty_table, compare=False, repr=False)
    gap: Plan | None = None


@dataclass(frozen=True)
class Plan:
    """A run that could be done: the events of `files` count, and `others` are only searched for repeated keys.

    `as_of` is None where it leaves no event out.
    """

    period: Period
    config: KnownConfig
    question: Question
    source: Source
    reach: Reach
    files: tuple[SourceFile, ...]
    others: tuple[SourceFile, ...]
    repeated: Hashes | None
    as_of: datetime | None
    levels: CarriedLevels | None = None

    @property
    def needs_levels(self) -> bool:
        """Whether levels are carried into the period from earlier events, which the plan does not read itself."""
        return self.reach == "window" and has_gauges(self.config.config, self.question)

    @property
    def sources_sha256(self) -> str:
        """A digest of the files that are read, whatever they are called."""
        return digest(_contents(self.files), _contents(self.others), self.as_of)

    @property
    def inputs_sha256(self) -> str:
        """A digest of everything that the readings are made of."""
        levels = self.levels.sha256 if self.levels else None
        window = (self.period.start, self.period.end, self.reach)
        asked, read = question_text(self.question), source_digested(self.source)
        # Where the definition of ids changed nothing, a run of before is a run of the same inputs.
        ids = (f"ids {IDS_VERSION}",) if has_new_ids(self.config.config, self.question) else ()
        return digest(self.config.sha256, asked, read, window, self.sources_sha256, levels, *ids)

    def history(self, *, numbers_rows: bool = False) -> History:
        """The files of the plan as a run takes them."""
        return replace(
            history_of([*self.files, *self.others]),
            others=tuple(file.path for file in self.others),
            repeated=self.repeated,
            levels=self.levels.table if self.levels else None,
            numbers_rows=numbers_rows,
            reach=self.reach,
            digests={file.path: file.sha256 for file in (*self.files, *self.others) if not file.is_day},
        )


def _contents(files: Iterable[SourceFile]) -> list[tuple[str, datetime]]:
    """The digests of files and when each entered, in an order that does not depend on their names."""
    return sorted((file.sha256, file.entered_at) for file in files)


def has_gauges(config: MeteringConfig, question: Question) -> bool:
    """Whether any measurement is a level that holds."""
    return any(made.is_gauge for made in config.aggregated(question.aggregation))


def check_whole(config: MeteringConfig, question: Question) -> None:
    """Refuse quantities that are split by time: their parts are known only when all windows are (R26).

    Raises: ConfigError.
    """
    for path, measurement in config.measurements:
        found = measurement.aggregated(question.aggregation)
        if found is not None and found.prorated:
            raise ConfigError(
                f"{path}: found a quantity that is split by time; expected a whole one, since a ledger meters its "
                "periods one by one, and parts that are rounded apart may not add up (R26). "
                "hint: metering-duck aggregate, over all periods at once"
            )


def reach_with_levels(config: MeteringConfig, question: Question) -> Reach:
    """Which events the readings need beside those of the window, if the levels before the window are known.

    Rows for windows without events need the keys of all events. An inner gauge of two levels begins with levels that no
    run keeps, so it needs all events before the window.
    """
    if question.fill != "none":
        return "all"
    found = config.aggregated(question.aggregation)
    return "before" if any(made.is_gauge and made.outer for made in found) else "window"


def visible_files(engine: StoreEngine, as_of: datetime | None) -> list[SourceFile]:
    """The files that a run may use: those that are there, or with `as_of` those that had been seen by that moment.

    If no file had been seen by then, they are all files whose events say themselves when they entered: then each event
    decides.
    """
    if as_of is None:
        return files_of(engine)
    seen = files_of(engine, "entered_at <= $as_of AND (gone_at IS NULL OR gone_at > $as_of)", {"as_of": as_of})
    return seen or files_of(engine, "gone_at IS NULL AND last_metered_at <> entered_at")


def make_plan(
    engine: StoreEngine,
    period: Period,
    config: KnownConfig,
    question: Question,
    source: Source,
    visible: Sequence[SourceFile],
    as_of: datetime | None,
) -> Plan:
    """The plan of a run over the `visible` files; the levels that it begins with are not looked for here."""
    check_aggregations(config.config, question.aggregation)
    check_whole(config.config, question)
    reach = reach_with_levels(config.config, question)
    by_id = {file.file_id: file for file in visible}
    counting = touching(engine, period, reach, visible)
    repeated, compared = None, set[int]()
    if not source.assume_unique:
        repeated, compared = _repeated(engine, period, reach)
    if as_of is not None and any(file.entered_at <= as_of for file in visible):
        # The files that are visible were chosen by the moment: none of their events is left out.
        as_of = None
    # Where no file has an event of the period, one file is read for the columns of events.
    chosen = [by_id[n] for n in sorted(counting)] or list(visible[:1])
    others = tuple(by_id[n] for n in sorted(compared - {file.file_id for file in chosen}))
    return Plan(
        period=period,
        config=config,
        question=question,
        source=source,
        reach=reach,
        files=tuple(chosen),
        others=others,
        repeated=repeated,
        as_of=as_of,
    )


def keep_ids(engine: StoreEngine, files: Iterable[SourceFile]) -> None:
    """Fill the table ASKED with the numbers of files, for queries about only these files."""
    ids = pa.array([file.file_id for file in files], pa.int32())
    engine.keep(ASKED, pa.table({"file_id": ids}))


def _window_sql(reach: Reach, first: str = "recorded_at", last: str = "recorded_at") -> str:
    """SQL for whether events from `first` to `last` are in reach of the window."""
    bounds = {"window": f"{last} >= $start AND {first} < $end", "before": f"{first} < $end", "all": "TRUE"}
    return bounds[reach]


def _bound(period: Period, reach: Reach) -> dict[str, object]:
    """The parameters of the SQL of `_window_sql`."""
    start, end = period.start.replace(tzinfo=None), period.end.replace(tzinfo=None)
    bounds: dict[Reach, dict[str, object]] = {"window": {"start": start, "end": end}, "before": {"end": end}, "all": {}}
    return bounds[reach]


def touching(engine: StoreEngine, period: Period, reach: Reach, visible: Iterable[SourceFile]) -> set[int]:
    """Which of the visible files have an event in reach."""
    keep_ids(engine, visible)
    touches = _window_sql(reach, "first_recorded_at", "last_recorded_at")
    sql = f"SELECT DISTINCT file_id FROM source_hours JOIN {ASKED} USING (file_id) WHERE {touches}"
    return {int(row[0]) for row in engine.rows(sql, _bound(period, reach))}


def _repeated(engine: StoreEngine, period: Period, reach: Reach) -> tuple[Hashes, set[int]]:
    """The hashes of the keys in reach that occur more than once, and the files that have them.

    The hashes are those of the DuckDB that runs now, for the run that is planned; none of them is kept (R38).
    """
    _check_keys(engine)
    key = ", ".join(EVENT_KEY)
    visible = f"repeated_rows JOIN {ASKED} USING (file_id)"
    ((hashes, files),) = engine.rows(
        f"""
        WITH here AS (SELECT {key} FROM {visible} WHERE {_window_sql(reach)}),
        found AS (
            SELECT {key}, list(file_id) AS file_ids FROM {visible}
            SEMI JOIN here USING ({key}) GROUP BY ALL HAVING count(*) > 1
        ),
        hashed AS (SELECT hash({key}) AS key_hash, file_ids FROM found)
        SELECT list(key_hash ORDER BY key_hash), list_distinct(flatten(list(file_ids))) FROM hashed
        """,
        _bound(period, reach),
    )
    return np.array(hashes or [], dtype=np.uint64), set(files or [])


def _check_keys(engine: StoreEngine) -> None:
    """Refuse the files of the table ASKED whose repeated keys are kept as an earlier version kept them.

    Raises: LedgerError.
    """
    asked = f"SELECT path FROM source_files JOIN {ASKED} USING (file_id)"
    found = [row[0] for row in engine.rows(f"{asked} WHERE {WITHOUT_KEYS} ORDER BY file_id")]
    if found:
        raise LedgerError(
            f"{engine.path}: found the event keys of {first_few(found)} as an earlier version kept them; expected them "
            "read again from the files. hint: metering-duck ledger migrate"
        )


def whole_sha256(visible: Iterable[SourceFile], as_of: datetime | None) -> str:
    """A digest of all files that may be used."""
    return digest("all files", _contents(visible), as_of)


def history_sha256(engine: StoreEngine, moment: datetime, visible: Sequence[SourceFile], as_of: datetime | None) -> str:
    """A digest of the visible files with events before a moment, or with other rows of the keys of such events."""
    keep_ids(engine, visible)
    key = ", ".join(EVENT_KEY)
    touching = f"""
        SELECT DISTINCT file_id FROM source_hours JOIN {ASKED} USING (file_id) WHERE first_recorded_at < $moment
        UNION
        SELECT file_id FROM repeated_rows JOIN {ASKED} USING (file_id)
        SEMI JOIN (SELECT {key} FROM repeated_rows WHERE recorded_at < $moment) AS before USING ({key})
    """
    ids = {int(row[0]) for row in engine.rows(touching, {"moment": moment.replace(tzinfo=None)})}
    files = [file for file in visible if file.file_id in ids]
    return digest(_contents(files), as_of)


def check_readable(files: Iterable[SourceFile]) -> None:
    """Refuse files that have gone or changed since they were seen.

    Raises: LedgerError.
    """
    asked = list(files)
    stamps = stamps_of(file.path for file in asked)
    for file in asked:
        if not file.is_as(stamps.get(file.path)):
            seen = f"it was when it was seen on {file.entered_at:%Y-%m-%d}"
            if file.path not in stamps:
                raise LedgerError(f"{file.path}: is gone; expected it as {seen}. hint: put it back")
            raise LedgerError(
                f"{file.path}: is not what {seen}; expected the same bytes. hint: put it back as it was; "
                "metering-duck ledger status lists what has changed"
            )
