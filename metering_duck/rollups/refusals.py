"""Refusals: the checks of readings that do not combine; each check looks at all readings at once.

A roll-up never guesses: every message says whose readings they are, why they do not combine, and what to do instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from metering_duck.contract.aggregations import parse
from metering_duck.contract.times import format_time
from metering_duck.decimals.columns import DIGITS_MAX, PART_DIGITS
from metering_duck.engine.duckdb import Engine
from metering_duck.errors import ConfigError, QuantityOverflow, SchemaError, did_you_mean, first_few
from metering_duck.inputs.from_json import ONE_OBJECT
from metering_duck.rollups.given_readings import ALL, EXPECTED, FIELDS
from metering_duck.rollups.rules import COMBINED
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query, Stage, load_stage

AGAIN = "hint: aggregate the events again, with the {} you want"
DIGITS_IN_PARTS = DIGITS_MAX + PART_DIGITS
Row = dict[str, Any]


@dataclass(frozen=True)
class Checks:
    """The checks of one roll-up; `where` is what messages call its readings."""

    engine: Engine
    where: str

    def _found(self, check: str, parameters: dict[str, object] | None = None) -> Row | None:
        """The first reading that fulfils all conditions of `where`; None where there is no such reading."""
        query = Query(check, (load_stage(f"checks/{check}"),), parameters or {})
        rows: list[Row] = self.engine.table(query).to_pylist()
        return rows[0] if rows else None

    def _first(self, query: Query, order: Sequence[str]) -> Row | None:
        """The first row of a query, in the order of the columns `order`; None where it has no row."""
        source = query.stages[-1].name
        first = Stage("first", "the first of them", select({}, source, star="*", order_by=order) + "\nLIMIT 1")
        rows: list[Row] = self.engine.table(Query(query.name, (*query.stages, first), query.parameters)).to_pylist()
        return rows[0] if rows else None

    def all_values(self) -> None:
        """Refuse a value that cannot be used, and numbers of more digits than can be added.

        Raises: SchemaError, QuantityOverflow.
        """
        bad = self._found("reading_faults")
        if bad:
            raise self._fault(**bad)
        digits: dict[str, object] = {"digits_in_parts": DIGITS_IN_PARTS, "digits_max": DIGITS_MAX}
        wide = self._found("reading_digits", digits)
        if wide:
            raise QuantityOverflow(
                f"readings: found a {wide['aggregation']} of {wide['unit']!r} whose numbers together have more than "
                f"{DIGITS_IN_PARTS} digits; expected fewer. {AGAIN.format('windows')}"
            )

    def _fault(self, fault: str, fault_text: str | None, subject: str | None, aggregation: str | None) -> SchemaError:
        found = "none" if fault_text is None else repr(fault_text[:100])
        whose = f" in a reading of {subject!r}" if subject else ""
        expected = EXPECTED[FIELDS[fault].kind] if fault in FIELDS else ONE_OBJECT
        if fault == "window_end" and fault_text is not None:
            expected += " after its start"
        if fault in ("numerator", "divisor_us") or fault.startswith("last_"):
            expected += f", which a reading of {aggregation!r} has"
        hint = "readings as metering-duck aggregate writes them"
        return SchemaError(self.where, fault, found=found + whose, expected=expected, hint=hint)

    def aggregations(self) -> None:
        """Refuse an aggregation that does not combine, and a reading with parts of split records.

        Raises: ConfigError.
        """
        found = self.engine.rows("SELECT DISTINCT aggregation FROM finer ORDER BY aggregation")
        problems = [_refusal(name) for (name,) in found if name not in COMBINED]
        if problems:
            raise ConfigError(problems)
        split = self._found("prorated_readings")
        if split:
            raise ConfigError(
                f"readings: found a prorated {_named(split)}; expected whole records, since a split is made at the "
                f"windows that it is for (R26). {AGAIN.format('windows')}"
            )

    def keys(self, dropped: Sequence[str], *, across_workspaces: bool) -> None:
        """Refuse to drop an unknown dimension, or a dimension or workspace that keeps the levels of gauges apart.

        Raises: ConfigError.
        """
        known = {row[0] for row in self.engine.rows("SELECT DISTINCT unnest(json_keys(dimensions)) FROM finer")}
        unknown = [name for name in dropped if name != ALL and name not in known]
        if unknown and self.engine.count("finer"):
            hint = did_you_mean(unknown[0], sorted(known)) if known else "the readings have none"
            raise ConfigError(f"drop: found {unknown[0]!r}; expected a dimension of the readings. hint: {hint}")
        gauge = self._found("merged_gauges", {"across_workspaces": across_workspaces})
        if gauge:
            option = gauge["option"]
            whose = f"{gauge['aggregation']} of {gauge['unit']!r} for {gauge['subject']!r}"
            again = AGAIN.format("dimensions" if option == "drop" else "workspaces")
            raise ConfigError(
                f"{option}: found the {whose}; expected counters only, since the levels of several series are not "
                f"one level's history. {again}"
            )

    def groupings(self, dropped: Sequence[str]) -> None:
        """Refuse to drop dimensions where readings of several groupings, of the same records, would be added up.

        Raises: ConfigError.
        """
        if not dropped:
            return
        query = Query("mixed_groupings", (load_stage("checks/mixed_groupings"),))
        row = self._first(query, ("subject", "finer_start", "unit", "aggregation", "names", "other_names"))
        if row is None:
            return
        one, other = (" and ".join(names) or "nothing" for names in (row["names"], row["other_names"]))
        raise ConfigError(
            f"drop: found the {_named(row)}, grouped by {one}, and one grouped by {other}; expected one grouping, "
            "since both are of the same records. hint: give readings of one grouping; those of an earlier version "
            "do not say which properties are absent, and are made anew with metering-duck aggregate"
        )

    def overlaps(self) -> None:
        """Refuse two readings of one key whose windows share time.

        Raises: ConfigError.
        """
        query = Query("overlapping", (load_stage("overlapping"),))
        row = self._first(query, ("subject", "finer_start", "next_start", "unit", "aggregation"))
        if row is None:
            return
        other = _window(row["next_start"], row["next_end"])
        if other != _window(row["finer_start"], row["finer_end"]):
            raise ConfigError(
                f"readings: found the {_named(row)}, and one that overlaps it in {other}; expected each moment once. "
                "hint: give hours or days, not both"
            )
        same = "twice, alike" if row["is_same"] else "twice, with different content"
        raise ConfigError(
            f"readings: found the {_named(row)}, {same}; expected it once. "
            "hint: give each file once, and only the newest of several restatements"
        )

    def straddling(self, query: Query) -> None:
        """Refuse a reading whose window crosses the boundary of a new window.

        Raises: ConfigError.
        """
        row = self._first(query, ("subject", "finer_start", "unit", "aggregation"))
        if row:
            raise ConfigError(
                f"readings: found the {_named(row)}, across the new boundary {_time(row['boundary'])}; expected each "
                "reading within one new window. hint: finer readings, or another --every, --timezone or --anchor"
            )

    def missing(self, query: Query) -> None:
        """Refuse a gauge that has a level, and no reading in a window before or after it.

        Raises: ConfigError.
        """
        row = self._first(query, ("subject", "missing_start", "unit", "aggregation"))
        if row:
            raise ConfigError(
                f"readings: found no {_named(row, 'missing')}; expected it, since there was a level before or after. "
                "hint: give those readings too, or --start and --end that leave that time out"
            )


def _refusal(name: str) -> str:
    """Why readings of an aggregation do not combine."""
    again = AGAIN.format("windows")
    found = f'readings: found the aggregation "{name}"'
    try:
        parsed = parse(name, "readings")
    except ConfigError:
        return f"{found}; expected one of {', '.join(COMBINED)}. hint: {did_you_mean(name, COMBINED)}"
    if parsed.outer:
        return f"{found}, of two levels, whose inner values a reading does not keep; expected one level. {again}"
    if parsed.definition.refusal:
        return f"{found}, {parsed.definition.refusal}; expected what adds up. {again}"
    return f'{found}; expected its own name "{parsed.name}". hint: known: {first_few(COMBINED)}.'


def _time(moment: datetime) -> str:
    return format_time(moment.replace(tzinfo=UTC))


def _window(start: datetime, end: datetime) -> str:
    return f"[{_time(start)}, {_time(end)})"


def _named(row: Row, bounds: str = "finer") -> str:
    """Which reading: its aggregation, unit, subject and window."""
    window = _window(row[f"{bounds}_start"], row[f"{bounds}_end"])
    return f"{row['aggregation']} of {row['unit']!r} for {row['subject']!r} in {window}"
