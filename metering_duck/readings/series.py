"""Series: the slots of one unit under one aggregation; and Totals: which readings are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

from metering_duck.contract.aggregations import Aggregation
from metering_duck.contract.intervals import Interval, parse_interval
from metering_duck.decimals.columns import DIGITS_MAX, HALF_EVEN, SCALE_DEFAULT, DecimalType, Rounding, common_type
from metering_duck.errors import ConfigError
from metering_duck.judging.slots import UNIT_COLUMN, Slot
from metering_duck.readings.identity import NO_SETTINGS, Settings
from metering_duck.statements.select import names, select
from metering_duck.windows.cutting import Windows

KEY = ("workspace_id", "universe_id", "subject", "dimensions")
# Column of a reading's key → how readings are ordered by it.
SCOPE_ORDER = {"universe_id": "universe_id", "workspace_id": "workspace_id NULLS FIRST", "subject": "subject"}
DIMENSIONS_ORDER = "CAST(dimensions AS VARCHAR)"
# The key without the window: readings are written in this order, byte for byte. What comes last sets apart readings of
# two inner windows, which have one name.
LAST_IN_ORDER = ("window_start", "id")
READING_ORDER = SCOPE_ORDER | names(("unit", "aggregation")) | {"dimensions": DIMENSIONS_ORDER}


@dataclass(frozen=True)
class Series:
    """The slots that make the readings of one unit under one aggregation (R10), all held in one DECIMAL."""

    unit_sql: str
    aggregation: Aggregation
    slots: tuple[Slot, ...]
    decimal: DecimalType
    rounding: str

    @property
    def result_scale(self) -> int:
        """The fraction digits of results: as the measurements say; otherwise 18, or more where a quantity has more."""
        own = [slot.result_scale for slot in self.slots if slot.result_scale is not None]
        if own:
            return max(own)
        return max(self.decimal.scale, SCALE_DEFAULT)

    @property
    def unit_shown(self) -> str:
        """The unit in a comment, whatever its text."""
        return self.slots[0].unit_shown


def _series(unit: str, slots: tuple[Slot, ...]) -> Series:
    """The series of slots of one unit, whose aggregations have one name.

    Raises: ConfigError where the aggregations or the roundings differ.
    """
    aggregation, rounding = _common_aggregation(unit, slots), _common_rounding(unit, slots)
    decimal = common_type((slot.decimal for slot in slots), f"the unit {unit}")
    if aggregation.outer:
        # Inner readings are values of the widest scale that a reading has.
        scale = max(decimal.scale, SCALE_DEFAULT)
        decimal = DecimalType(DIGITS_MAX - scale, scale)
    return Series(unit, aggregation, slots, decimal, rounding)


def _common_aggregation(unit: str, slots: Sequence[Slot]) -> Aggregation:
    """The aggregation of all slots; where only some slots split their spans by time, the aggregation that splits.

    Raises: ConfigError.
    """
    made = sorted({slot.aggregation for slot in slots if slot.aggregation}, key=lambda a: a.text)
    if len({replace(aggregation, prorated=False) for aggregation in made}) > 1:
        found = " and ".join(f'"{aggregation.text}"' for aggregation in made)
        raise ConfigError(f"the unit {unit}: found {found}; expected one of them. hint: give each a unit of its own")
    return next((aggregation for aggregation in made if aggregation.prorated), made[0])


def _common_rounding(unit: str, slots: Sequence[Slot]) -> str:
    """The rounding of the results of all slots.

    Raises: ConfigError.
    """
    roundings = sorted({slot.rounding for slot in slots})
    if len(roundings) > 1:
        raise ConfigError(
            f"the unit {unit}: found the roundings {' and '.join(roundings)}; expected one. "
            "hint: give each a unit of its own"
        )
    return roundings[0]


@dataclass(frozen=True)
class Totals:
    """The shape of an aggregation: its slots, windows, and options.

    The package readings is below runs and cannot hold a Question, so `Question.totals` copies the question's options
    into a Totals. `inner_of` then changes some of them for the inner totals of two levels.

    `subjects` is the number of subjects that readings are limited to, 0 for all. `exact` adds sums in two parts, for
    the rare sum that passes 38 digits while it is added; `exact_levels` does so for sums of level × time. `scale`,
    `digits` and `fill` are as in aggregate(), `settings` are what the call adds to ids. `prefix` begins the names of
    its tables, `inner_column` is the property that an inner dimension is in. `constant_fields` are the columns of
    `judged` that are the same in every row, with their SQL. `tied` says that events of one subject may share a moment.
    With `has_levels_before`, the level that each gauge has before the window is in the table `levels_before`. `noted`
    are columns, each with the values of which the scan notes whether they occur.
    """

    slots: tuple[Slot, ...]
    windows: Windows
    across_workspaces: bool = False
    subjects: int = 0
    scale: int | None = None
    digits: int | None = None
    fill: str = "none"
    settings: Settings = NO_SETTINGS
    exact: bool = False
    exact_levels: bool = False
    prefix: str = ""
    inner_column: str = ""
    constant_fields: tuple[tuple[str, str], ...] = ()
    tied: bool = True
    has_levels_before: bool = False
    noted: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @cached_property
    def series(self) -> list[Series]:
        """The slots by unit and aggregation, in a fixed order; by scale, too, where workspaces have their own."""

        def key(slot: Slot) -> tuple[str, str, int, tuple[bool, int]]:
            # Where the unit is a column of records, each slot has units of its own.
            name = slot.aggregation.name if slot.aggregation else ""
            scale = None if self.across_workspaces else slot.result_scale
            number = slot.index if slot.unit_sql == UNIT_COLUMN else 0
            return slot.unit_sql, name, number, (scale is not None, scale or 0)

        grouped = groupby(sorted(self.slots, key=key), key=key)
        return [self._wide_enough(_series(unit, tuple(group))) for (unit, *_), group in grouped]

    def _wide_enough(self, series: Series) -> Series:
        """The series; split spans have the result's scale (R26), where that is finer than the quantity's."""
        if not series.aggregation.prorated or series.aggregation.outer:
            return series
        scale = max(series.decimal.scale, series.result_scale if self.scale is None else self.scale)
        return replace(series, decimal=DecimalType(DIGITS_MAX - scale, scale))

    @property
    def counters(self) -> list[Series]:
        """The series that look only at the records of a window, each record whole (R12)."""
        return [series for series in self.series if series.aggregation.is_counter]

    @property
    def gauges(self) -> list[list[Series]]:
        """The series of levels (R14, R19), grouped by DECIMAL, scale and rounding."""
        by_type: dict[tuple[DecimalType, int, str], list[Series]] = {}
        for series in self.series:
            if series.aggregation.is_gauge and not series.aggregation.outer:
                by_type.setdefault((series.decimal, series.result_scale, series.rounding), []).append(series)
        return list(by_type.values())

    @property
    def weighed(self) -> list[tuple[Slot, Series]]:
        """The slots whose levels, as events set them, are multiplied by times, each with its series."""
        gauges = [series for group in self.gauges for series in group]
        weighed = [s for s in gauges if s.aggregation.definition.weighs and not s.aggregation.deltas]
        return [(slot, series) for series in weighed for slot in series.slots]

    @property
    def valued(self) -> list[Series]:
        """The series that need a row for each value."""
        gauged = [series for group in self.gauges for series in group]
        return [series for series in self.series if not series.aggregation.is_counter and series not in gauged]

    def rounding(self, series: Series) -> Rounding:
        """The rounding of a series: as the call asks, otherwise as the measurements say (R16); all in one column."""
        if self.scale is not None:
            return Rounding(self.scale, column_scale=self.scale, mode=series.rounding)
        column_scale = max(0, *(s.result_scale for s in self.series))
        return Rounding(series.result_scale, self.digits, column_scale, series.rounding)

    @property
    def shown(self) -> list[str]:
        """Conditions of rows that make readings: metered, and of a subject that is asked for. All rows are counted."""
        return ["status = 'metered'", *self.of_subjects]

    @property
    def of_subjects(self) -> list[str]:
        """The condition of rows of a subject that is asked for; none where all subjects are."""
        subjects = ", ".join(f"$subject_{n}" for n in range(self.subjects))
        return [f"subject IN ({subjects})"] if subjects else []

    @property
    def constants(self) -> dict[str, str]:
        """The columns of `judged` that are the same in every row, with their SQL: nothing is grouped by them (R10)."""
        found = dict(self.constant_fields)
        if self.across_workspaces:
            found["workspace_id"] = self.workspace_sql
        if self.inner_column:
            found.pop("dimensions", None)
        return found

    @property
    def key_columns(self) -> dict[str, str]:
        """The columns of the key, as SQL over `judged`."""
        key = {
            "workspace_id": self.workspace_sql,
            **names(("universe_id", "subject")),
            "dimensions": self.dimensions_sql,
        }
        return {name: self.constants.get(name, sql) for name, sql in key.items()}

    @property
    def workspace_sql(self) -> str:
        """The workspace of a reading; across workspaces there is none (R10)."""
        return "CAST(NULL AS VARCHAR)" if self.across_workspaces else "workspace_id"

    @property
    def dimensions_sql(self) -> str:
        """SQL for the dimensions of a reading; with an inner column, a JSON list of them and the inner column."""
        return f"CAST(json_array(dimensions, {self.inner_column}) AS VARCHAR)" if self.inner_column else "dimensions"

    # --- two levels -------------------------------------------------------------------------------------------------

    def inner_of(self, series: Series) -> Totals:
        """The inner totals of a series of two levels."""
        number = self.valued.index(series)
        prefix = f"{self.prefix}inner_{number}_"
        aggregation, by = series.aggregation, series.slots[0].inner_column
        slots = tuple(_inner_slot(slot) for slot in series.slots)
        if aggregation.by:
            windows = self.windows
        else:
            windows = inner_windows(self.windows, str(aggregation.per), prefix)
        return replace(
            self,
            slots=slots,
            windows=windows,
            scale=None,
            digits=None,
            fill="none",
            prefix=prefix,
            inner_column=by,
            has_levels_before=False,
            noted=(),
        )

    @property
    def inner_intervals(self) -> list[tuple[str, Interval]]:
        """The text and the inner interval of each aggregation that has an inner interval."""
        made = [series.aggregation for series in self.valued if series.aggregation.per]
        return [(found.text, parse_interval(found.per, "aggregation")) for found in made]


def _inner_slot(slot: Slot) -> Slot:
    """A slot under the inner one of its two aggregations; inner readings are rounded to 18 digits, half to even."""
    inner = slot.aggregation.inner if slot.aggregation else None
    return replace(slot, aggregation=inner, result_scale=None, rounding=HALF_EVEN)


def inner_windows(outer: Windows, per: str, prefix: str) -> Windows:
    """Each window of `outer` cut by an interval: at boundaries of the calendar, or in steps from its start."""
    interval = parse_interval(per, "aggregation")
    columns = {
        "universe_id": "universe_id",
        "subject": "subject",
        "outer_index": "window_index",
        "zone": "zone",
        **interval.columns(interval.origin_sql("window_start", "zone")),
        "starts": "window_start",
        "ends": "window_end",
    }
    return Windows(None, None, None, outer.zone, None, False, select(columns, outer.name), outer.by_subject, prefix)


def last_columns(record: str | None) -> dict[str, str]:
    """The columns of the record that gave a latest, a first or a final state, which a roll-up compares (R13, R20)."""
    if record is None:
        moment = "CAST(NULL AS TIMESTAMP)"
        return {"last_recorded_at": moment, "last_metered_at": moment, "last_event_id": "CAST(NULL AS VARCHAR)"}
    return {
        "last_recorded_at": f"({record}).recorded_at",
        "last_metered_at": f"({record}).metered_at",
        "last_event_id": f"({record}).id",
    }
