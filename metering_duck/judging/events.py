"""Config → SQL: a wide CASE projection, one text column per measurement, then its DECIMAL, then a verdict on the event.

Pure text in, text out: does not import duckdb and never looks at data. Wide all the way (one row per event);
readings/assembling.py turns to one row per unit, after aggregating. Measurements of different catalog entries share a
column (a *slot*) when they mean the same, since an event matches one entry at most (R1).

    input → named → fields → arrivals → accepted → matched → projected → quantified → judged
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from metering_duck.contract.config import Entry, MeteringConfig
from metering_duck.contract.filters import condition_sql
from metering_duck.contract.times import utc
from metering_duck.decimals.columns import DecimalType, decimal_of_type
from metering_duck.errors import ConfigError
from metering_duck.inputs.layout import Layout, number_column, property_column, unusable_reasons
from metering_duck.judging.arrivals import Selection, accepted_stage, arrivals_stages, renamed_stages
from metering_duck.judging.faults import NO_TEXT, OF_TEXTS, TOO_LARGE, fault_columns, faults_of, faulty_sql
from metering_duck.judging.quantities import Parsed, parsed_once, quantified_stages, told_apart_stage
from metering_duck.judging.rejects import rejects_query
from metering_duck.judging.slots import Slot, SlotMeasurement, place, slots_legend
from metering_duck.judging.spans import Conversion, conversion_stages, span_stages
from metering_duck.statements.quote import literal
from metering_duck.statements.select import case, select
from metering_duck.statements.stages import Query, Stage

# The field of events that can be grouped by where no event has a property of its name.
TYPE = "type"


@dataclass(frozen=True)
class Compiler:
    """A config, a layout and a selection, from which the stages up to `judged` are made.

    What is grouped by is a property; with `groups_by_field`, `type` is the event's field, since no event has such a
    property (R37).
    """

    config: MeteringConfig
    layout: Layout
    selection: Selection
    aggregation: str | None = None
    group_by: tuple[str, ...] = ()
    groups_by_field: bool = False

    @cached_property
    def measured(self) -> list[SlotMeasurement]:
        """The measurements in their slots."""
        placed = place(self.config, self.aggregation)
        filtered = {p.slot for p in placed if p.measurement.filter}
        is_one = len(self.config.entries) == 1
        levels: dict[Slot, str] = {}
        for p in placed:
            m = p.measurement
            levels[p.slot] = levels.get(p.slot, "") + repr((p.entry, m.filter, m.source_property))
        return [
            replace(p, slot=self._known(p.slot, levels[p.slot], is_in_all=is_one and p.slot not in filtered))
            for p in placed
        ]

    def _known(self, slot: Slot, levels: str, *, is_in_all: bool) -> Slot:
        """A slot that knows where its inner dimension is, whether it always applies, and what its quantities are."""
        by = slot.aggregation.by if slot.aggregation else None
        levels += repr((slot.decimal, slot.factor, slot.span, slot.times_duration))
        return replace(slot, inner_column=self.property_sql(by) if by else "", is_in_all=is_in_all, levels=levels)

    @cached_property
    def slots(self) -> list[Slot]:
        """The slots, in their order."""
        return sorted({p.slot for p in self.measured}, key=lambda slot: slot.index)

    @cached_property
    def properties(self) -> list[str]:
        """Every property that the config or the grouping names, in order; the Nth is column p_N."""
        measurements = [measurement for _, measurement in self.config.measurements]
        named = {name for measurement in measurements for name in measurement.properties}
        named = named.union(*(measurement.filter.properties for measurement in measurements if measurement.filter))
        inner = {found.by for m in measurements if (found := m.aggregated(self.aggregation)) and found.by}
        return sorted(named | inner | (set(self.group_by) - ({TYPE} if self.groups_by_field else set())))

    def property_sql(self, name: str) -> str:
        """The column that holds a property's text."""
        return property_column(self.properties.index(name))

    def _number_sql(self, name: str) -> str:
        """The column that holds the exact number which the input has for a property."""
        return number_column(self.properties.index(name))

    @property
    def constants(self) -> dict[str, str]:
        """The columns of a reading's key that are the same in every row, with their SQL."""
        constants = self.layout.constants | ({} if self.group_by else {"dimensions": dimensions_sql({})})
        if self.selection.renamed:
            constants.pop("universe_id", None)
        return constants

    def arrivals(self, *, suspects: bool = False) -> list[Stage]:
        """From the input to `arrivals`: one row per event read, with what makes it unusable, if anything."""
        return arrivals_stages(self.layout, self.properties, self.selection, suspects=suspects)

    def judged(self, *, repeated: bool) -> list[Stage]:
        """From the input to `judged`: one row per event, its quantities, and its status (R9)."""
        return [
            *self.arrivals(),
            accepted_stage(repeated=repeated),
            *renamed_stages(self.selection),
            Stage("matched", "which entry of the config an event matches (R1)", self._matched_sql()),
            Stage(
                "projected",
                "each measurement's text where it applies: its filter first (R2)",
                self._projected_sql(),
                self._legend,
            ),
            *quantified_stages(self.parsed),
            *self.converted,
            Stage("judged", "an event is metered, unmatched or rejected as a whole (R3, R9)", self._judged_sql()),
        ]

    @cached_property
    def _legend(self) -> tuple[str, ...]:
        return slots_legend(self.measured)

    def _matched_sql(self) -> str:
        whens = [(entry_condition_sql(entry), str(number)) for number, entry in enumerate(self.config.entries)]
        return select({"entry": case(whens)}, "renamed" if self.selection.renamed else "accepted", star="*")

    def _projected_sql(self) -> str:
        columns = {}
        for slot in self.slots:
            here = [(self._applies_sql(p), p) for p in self.measured if p.slot == slot]
            columns[f"a_{slot.index}"] = " OR ".join(f"({applies})" for applies, _ in here)
            if slot.counts_events:
                quantity = f"CAST(1 AS {slot.decimal.sql})"
                columns[f"v_{slot.index}"] = case((applies, quantity) for applies, _ in here)
            for n, text in enumerate(slot.column_numbers):
                found = [(applies, self.property_sql(p.measurement.source_property[n])) for applies, p in here]
                columns[f"q_{text}"] = case(found)
                if self._is_number(slot, n):
                    numbers = [(applies, self._number_sql(p.measurement.source_property[n])) for applies, p in here]
                    columns[f"number_of_{text}"] = case(numbers)
        for one in self.parsed:
            if one.takers:
                columns[one.text] = case({" OR ".join(when for _, when in one.takers): one.source})
        columns["dimensions"] = self._dimensions_sql()
        return select(columns, "matched", star="*")

    def _sources(self, slot: Slot, place: int) -> set[str]:
        """The properties that a slot's text comes from, one for each entry at most."""
        return {p.measurement.source_property[place] for p in self.measured if p.slot == slot}

    def _is_number(self, slot: Slot, place: int) -> bool:
        """Whether the input has exact numbers there, of a type whose every value fits."""
        numbers = self.layout.property_numbers
        found = (numbers.get(name) for name in self._sources(slot, place))
        return not slot.counts_texts and all(
            column and slot.decimal.holds(decimal_of_type(column.type)) for column in found
        )

    @cached_property
    def parsed(self) -> list[Parsed]:
        """What is parsed: each slot's texts, but what several take from one property as one DECIMAL only once."""
        alone: list[Parsed] = []
        together: dict[tuple[str, DecimalType], list[tuple[str, Slot]]] = {}
        for slot in self.slots:
            for n, text in enumerate(slot.column_numbers):
                sources = sorted(self._sources(slot, n))
                if self._is_number(slot, n):
                    alone.append(Parsed(f"q_{text}", f"v_{text}", slot.decimal, f"number_of_{text}"))
                elif not slot.counts_texts and len(sources) == 1:
                    together.setdefault((sources[0], slot.decimal), []).append((text, slot))
                elif not slot.counts_texts:
                    alone.append(Parsed(f"q_{text}", f"v_{text}", slot.decimal))
        for n, ((name, decimal), users) in enumerate(together.items()):
            alone.append(parsed_once(self.property_sql(name), n, decimal, users))
        return alone

    def _applies_sql(self, placed: SlotMeasurement) -> str:
        """When a measurement applies (R2). Never NULL."""
        applies = f"entry IS NOT DISTINCT FROM {placed.entry}"
        chosen = placed.measurement.filter
        return applies if chosen is None else f"{applies} AND {condition_sql(chosen, self.property_sql)}"

    def _dimensions_sql(self) -> str:
        """The group-by dimensions; what an entry measures is no dimension there (R6)."""
        values = {}
        for name in sorted(set(self.group_by)):
            if name == TYPE and self.groups_by_field:
                values[name] = TYPE
                continue
            measured = [str(n) for n, entry in enumerate(self.config.entries) if name in entry.source_properties]
            if len(measured) == len(self.config.entries):
                raise ConfigError(
                    f"group_by: found {name!r}, which the config measures; expected a dimension. "
                    "hint: a property that is measured is no dimension (R6)"
                )
            column = self.property_sql(name)
            values[name] = case({f"entry IN ({', '.join(measured)})": "NULL"}, column) if measured else column
        return dimensions_sql(values)

    @cached_property
    def converted(self) -> list[Stage]:
        """The spans, and the quantities that are not one text as it is; no stage where there is none."""
        spans = {slot.index: slot.span for slot in self.slots if slot.span}
        stages = span_stages(spans, self.property_sql, self.layout.zone)
        texts = [slot for slot in self.slots if slot.counts_texts]
        if texts:
            stages.append(told_apart_stage(texts, stages[-1].name if stages else "quantified"))
        converted = [
            Conversion(s.index, tuple(f"v_{t}" for t in s.column_numbers), s.factor, s.times_duration, s.decimal)
            for s in self.slots
            if not (s.is_plain or s.counts_texts)
        ]
        return [*stages, *conversion_stages(converted, stages[-1].name if stages else "quantified")]

    def _judged_sql(self) -> str:
        status = {
            "reason IS NOT NULL OR faulty IS NOT NULL": "'rejected'",
            "entry IS NULL": "'unmatched-entry'",
            f"NOT ({' OR '.join(f'a_{slot.index}' for slot in self.slots)})": "'unmatched-filter'",
        }
        # An event that cannot be used has no entry.
        columns = {"faulty": faulty_sql(self.measured), "status": case(status, "'metered'")}
        return select(columns, self.converted[-1].name if self.converted else "quantified", star="*")

    def rejects(self, *, repeated: bool) -> Query:
        """One row per rejected event: who it was, which measurement, the offending text, and why (R3)."""
        return rejects_query(self.judged(repeated=repeated), fault_columns(self.measured, self.property_sql))


def reject_reasons(compiler: Compiler) -> set[str]:
    """The reasons for which an event may be rejected, as this config and this input have them."""
    measured = [fault for placed in compiler.measured for fault in faults_of(placed, compiler.property_sql)]
    found = {fault.reason for fault in measured if fault.reason}
    if not all(slot.counts_events for slot in compiler.slots):
        found.add(NO_TEXT)
    if not all(parsed.number for parsed in compiler.parsed):
        found.update(OF_TEXTS)
    if not all(slot.is_plain or slot.counts_texts for slot in compiler.slots):
        found.add(TOO_LARGE)
    return unusable_reasons(compiler.layout) | found


def entry_condition_sql(entry: Entry) -> str:
    """When an event matches an entry: workspace, type, and business time (R1)."""
    parts = ["reason IS NULL"]
    if entry.workspace_id is not None:
        parts.append(f"workspace_id = {literal(entry.workspace_id)}")
    if entry.type is not None:
        parts.append(f"type = {literal(entry.type)}")
    if entry.effective_from is not None:
        parts.append(f"recorded_at >= TIMESTAMP '{utc(entry.effective_from):%Y-%m-%d %H:%M:%S.%f}'")
    if entry.effective_to is not None:
        parts.append(f"recorded_at < TIMESTAMP '{utc(entry.effective_to):%Y-%m-%d %H:%M:%S.%f}'")
    return " AND ".join(parts)


# --- what events and records share -----------------------------------------------------------------------------------


def dimensions_sql(values: Mapping[str, str]) -> str:
    """Dimensions as the text of one JSON object; NULL when there are none to group by."""
    if not values:
        return "CAST(NULL AS VARCHAR)"
    pairs = ", ".join(f"{literal(name)}, {sql}" for name, sql in sorted(values.items()))
    return f"CAST(json_object({pairs}) AS VARCHAR)"
