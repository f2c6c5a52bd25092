"""Plans: what a run of one period would read, and under which digest its answer is known.

A window's files, the files with other rows of its repeated keys, and the levels that its gauges begin with: nothing
else can change its readings. So two plans of one digest have the same readings, and what is in no plan is not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from metering_duck.contract.config import MeteringConfig
from metering_duck.errors import ConfigError, LedgerError
from metering_duck.inputs.fields import Reach
from metering_duck.inputs.source import Source
from metering_duck.judging.repeated_hashes import Hashes
from metering_duck.ledger.configs import KnownConfig, digest
from metering_duck.ledger.manifest import SourceFile, files_of, history_of
from metering_duck.ledger.periods import Period
from metering_duck.ledger.places import stamps_of
from metering_duck.ledger.store import StoreEngine
from metering_duck.ledger.stored import question_text, source_digested
from metering_duck.runs.history import LEVELS_SCHEMA, History
from metering_duck.runs.question import Question

# Before the first event there can be: the start of a run over all that was before a moment.
BEGINNING = datetime(1, 1, 2, tzinfo=UTC)
ASKED = "asked_files"


@dataclass(frozen=True)
class Levels:
    """What gauges begin with: the run that has them, None where nothing was before, their digest, and they themselves.

    A `gap` is a plan that is to be run first, from their moment to the one where they are needed.
    """

    run_id: int | None
    sha256: str
    table: pa.Table = field(default_factory=LEVELS_SCHEMA.empty_table, compare=False, repr=False)
    gap: Plan | None = None


@dataclass(frozen=True)
class Plan:
    """A run that could be done: `files` count, `others` are only compared with; `as_of` is None where it leaves nothing
    out of them."""

    period: Period
    config: KnownConfig
    question: Question
    source: Source
    reach: Reach
    files: tuple[SourceFile, ...]
    others: tuple[SourceFile, ...]
    repeated: Hashes | None
    as_of: datetime | None
    levels: Levels | None = None

    @property
    def needs_levels(self) -> bool:
        """Whether levels of earlier periods are carried into this one, which it does not read itself."""
        return self.reach == "window" and has_gauges(self.config.config, self.question)

    @property
    def sources_sha256(self) -> str:
        """What is read, whatever the files are called."""
        counting, compared = (sorted((f.sha256, f.entered_at) for f in files) for files in (self.files, self.others))
        return digest(counting, compared, self.as_of)

    @property
    def inputs_sha256(self) -> str:
        """All that the readings are made of."""
        levels = self.levels.sha256 if self.levels else None
        window = (self.period.start, self.period.end, self.reach)
        asked, read = question_text(self.question), source_digested(self.source)
        return digest(self.config.sha256, asked, read, window, self.sources_sha256, levels)

    def history(self, *, numbers_rows: bool = False) -> History:
        """As the engine is told."""
        return replace(
            history_of([*self.files, *self.others]),
            others=tuple(file.path for file in self.others),
            repeated=self.repeated,
            levels=self.levels.table if self.levels else None,
            numbers_rows=numbers_rows,
            reach=self.reach,
        )


def has_gauges(config: MeteringConfig, question: Question) -> bool:
    """Whether any measurement is a level that holds."""
    return any(made.is_gauge for made in config.aggregated(question.aggregation))


def check_whole(config: MeteringConfig, question: Question) -> None:
    """Refuse quantities that are split by time: their parts are known only when all windows are (R26).

    Raises: ConfigError.
    """
    for path, measurement in config.measurements:
        if (found := measurement.aggregated(question.aggregation)) and found.prorated:
            raise ConfigError(
                f"{path}: found a quantity that is split by time; expected a whole one, since a ledger meters its "
                "periods one by one, and parts that are rounded apart may not add up (R26). "
                "hint: metering-duck aggregate, over all periods at once"
            )


def reach_of(config: MeteringConfig, question: Question) -> Reach:
    """Which events the readings need, where the levels before the window are known.

    Rows for what has no events need every key: they need all. An inner gauge of two levels begins with levels that no
    run keeps: it needs all that was before.
    """
    if question.fill != "none":
        return "all"
    found = config.aggregated(question.aggregation)
    return "before" if any(made.is_gauge and made.outer for made in found) else "window"


def visible_files(engine: StoreEngine, as_of: datetime | None) -> list[SourceFile]:
    """The files that a run may use: those that are there, or, as of a moment, those that had been seen by then.

    As of a moment before the first was seen, what their events say of themselves decides: all files that say it.
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
    """What a run would read of the `visible` files; its levels are to be found yet."""
    check_whole(config.config, question)
    reach = reach_of(config.config, question)
    by_id = {file.file_id: file for file in visible}
    counting = touching(engine, period, reach, visible)
    repeated, compared = (None, set()) if source.assume_unique else _repeated(engine, period, reach)
    cuts = as_of is not None and all(file.entered_at > as_of for file in visible)
    # Where no file has an event of the period, any file tells what events look like.
    chosen = [by_id[n] for n in sorted(counting)] or list(visible[:1])
    others = tuple(by_id[n] for n in sorted(compared - {file.file_id for file in chosen}))
    return Plan(period, config, question, source, reach, tuple(chosen), others, repeated, as_of if cuts else None)


def keep_ids(engine: StoreEngine, files: Iterable[SourceFile]) -> None:
    """The table that says which files are meant."""
    ids = pa.array([file.file_id for file in files], pa.int32())
    engine.keep(ASKED, pa.table({"file_id": ids}))


def _window_sql(reach: Reach, first: str = "recorded_at", last: str = "recorded_at") -> str:
    """Whether moments from `first` to `last` touch the window, as far as it reaches."""
    bounds = {"window": f"{last} >= $start AND {first} < $end", "before": f"{first} < $end", "all": "TRUE"}
    return bounds[reach]


def _bound(period: Period, reach: Reach) -> dict[str, object]:
    naive: dict[str, object] = {
        name: moment.replace(tzinfo=None) for name, moment in (("start", period.start), ("end", period.end))
    }
    bounds: dict[Reach, dict[str, object]] = {"window": naive, "before": {"end": naive["end"]}, "all": {}}
    return bounds[reach]


def touching(engine: StoreEngine, period: Period, reach: Reach, visible: Iterable[SourceFile]) -> set[int]:
    """Which of the visible files have an event in reach."""
    keep_ids(engine, visible)
    touches = _window_sql(reach, "first_recorded_at", "last_recorded_at")
    sql = f"SELECT DISTINCT file_id FROM source_hours JOIN {ASKED} USING (file_id) WHERE {touches}"
    return {int(row[0]) for row in engine.rows(sql, _bound(period, reach))}


def _repeated(engine: StoreEngine, period: Period, reach: Reach) -> tuple[Hashes, set[int]]:
    """The hashes of the keys in reach that may occur more than once, and the files that have them."""
    visible = f"repeated_rows JOIN {ASKED} USING (file_id)"
    ((hashes, files),) = engine.rows(
        f"""
        WITH here AS (SELECT key_hash FROM {visible} WHERE {_window_sql(reach)}),
        found AS (
            SELECT key_hash, list(file_id) AS file_ids FROM {visible}
            WHERE key_hash IN (SELECT key_hash FROM here) GROUP BY key_hash HAVING count(*) > 1
        )
        SELECT list(key_hash ORDER BY key_hash), list_distinct(flatten(list(file_ids))) FROM found
        """,
        _bound(period, reach),
    )
    return np.array(hashes or [], dtype=np.uint64), set(files or [])


def whole_sha256(visible: Iterable[SourceFile], as_of: datetime | None) -> str:
    """A digest of all that may be used."""
    return digest("all files", sorted((file.sha256, file.entered_at) for file in visible), as_of)


def history_sha256(engine: StoreEngine, moment: datetime, visible: Sequence[SourceFile], as_of: datetime | None) -> str:
    """A digest of all that was before a moment, among the visible files."""
    keep_ids(engine, visible)
    touching = f"""
        SELECT DISTINCT file_id FROM source_hours JOIN {ASKED} USING (file_id) WHERE first_recorded_at < $moment
        UNION
        SELECT file_id FROM repeated_rows JOIN {ASKED} USING (file_id)
        WHERE key_hash IN (SELECT key_hash FROM repeated_rows WHERE recorded_at < $moment)
    """
    ids = {int(row[0]) for row in engine.rows(touching, {"moment": moment.replace(tzinfo=None)})}
    files = sorted((file.sha256, file.entered_at) for file in visible if file.file_id in ids)
    return digest(files, as_of)


def check_readable(files: Iterable[SourceFile]) -> None:
    """Refuse files that are not what they were when they were seen.

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
