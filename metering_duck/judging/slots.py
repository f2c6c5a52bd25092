"""Slots: where each measurement's columns are in the wide projection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from metering_duck.contract.aggregations import Aggregation
from metering_duck.contract.config import Entry, MeteringConfig
from metering_duck.contract.measurements import Measurement, Span
from metering_duck.contract.result_scales import result_scales
from metering_duck.decimals.columns import HALF_EVEN, DecimalType
from metering_duck.errors import ConfigError
from metering_duck.statements.quote import literal, shown

UNIT_COLUMN = "unit"


TEXT_DECIMAL = DecimalType(20, 18)


@dataclass(frozen=True)
class Slot:
    """One wide column: a_N (applies), q_N (text), v_N (DECIMAL). Without a `unit` it is in the column of records.

    `result_scale` is that of the readings which it takes part in. With several source properties, `added`, there is a
    q_N_0, v_N_0, … for each; what `counts_events` has no text, and v_N is 1. A span is start_N and end_N, and
    `factor` and `times_duration` convert the quantity. `inner_column` has an inner dimension's text. What `is_in_all`
    applies to every event that is metered; slots of the same `levels` have the same quantities. `units`
    are those of records that a config rounds as this slot does, `workspaces` those whose readings it is in, where
    workspaces have scales of their own.
    """

    index: int
    unit: str | None
    aggregation: Aggregation | None
    decimal: DecimalType
    result_scale: int | None = None
    rounding: str = HALF_EVEN
    added: tuple[str, ...] = ()
    counts_events: bool = False
    factor: Fraction = Fraction(1)
    span: Span | None = None
    times_duration: str | None = None
    inner_column: str = ""
    of_record: bool = False
    units: tuple[str, ...] = ()
    workspaces: tuple[str, ...] = ()
    is_in_all: bool = False
    levels: str = ""

    @property
    def unit_sql(self) -> str:
        """SQL for the unit: a literal, or the column of records."""
        return UNIT_COLUMN if self.unit is None else literal(self.unit)

    @property
    def unit_shown(self) -> str:
        """The unit in a comment, whatever its text."""
        return UNIT_COLUMN if self.unit is None else shown(self.unit)

    @property
    def scale(self) -> int:
        """The fraction digits of its quantities."""
        return self.decimal.scale

    @property
    def counts_texts(self) -> bool:
        """Whether its texts are told apart and are no quantities."""
        return self.aggregation is not None and self.aggregation.definition.takes_texts

    @property
    def aggregation_shown(self) -> str:
        """The text of its aggregation in a comment, whatever its inner dimension is called."""
        return self.aggregation.text_with(by=shown) if self.aggregation else ""

    @property
    def is_prorated(self) -> bool:
        """Whether its quantities are split over the windows that their spans overlap."""
        return self.aggregation is not None and self.aggregation.prorated

    @property
    def text_sql(self) -> str:
        """The text that unique-count tells apart."""
        return f"value_{self.index}" if self.of_record else f"q_{self.index}"

    @property
    def column_numbers(self) -> list[str]:
        """What its q and v columns are numbered: N, or N_0, N_1, … with several source properties; none without."""
        if self.counts_events:
            return []
        return [f"{self.index}_{n}" for n in range(len(self.added))] if self.added else [str(self.index)]

    @property
    def is_plain(self) -> bool:
        """Whether its quantity is one text as it is."""
        return not (self.added or self.counts_texts or self.times_duration) and self.factor == 1


@dataclass(frozen=True)
class SlotMeasurement:
    """A measurement in its slot: the number of its entry, its path in the config, and what it measures."""

    slot: Slot
    entry: int
    path: str
    measurement: Measurement


def place(config: MeteringConfig, aggregation: str | None = None) -> list[SlotMeasurement]:
    """Each measurement in a slot; `aggregation` overrides every measurement's own."""
    slots: list[Slot] = []
    placed = []
    paths, scales = iter(config.measurements), result_scales(config, aggregation)
    for number, entry in enumerate(config.entries):
        taken: set[int] = set()
        for measurement in entry.measurements:
            path = next(paths)[0]
            wanted = replace(_slot(measurement, aggregation), result_scale=scales[path])
            _check_slot(wanted, measurement, entry, path)
            free = (s for s in slots if s.index not in taken and replace(s, index=-1) == wanted)
            slot = next(free, None)
            if slot is None:
                slot = replace(wanted, index=len(slots))
                slots.append(slot)
            taken.add(slot.index)
            placed.append(SlotMeasurement(slot, number, path, measurement))
    return _with_workspaces(placed, config)


def _with_workspaces(placed: Sequence[SlotMeasurement], config: MeteringConfig) -> list[SlotMeasurement]:
    """Measurements whose slots know their workspaces, where slots of one unit and aggregation have several scales."""
    scales: dict[tuple[str | None, str], set[int | None]] = {}
    workspaces: dict[int, set[str]] = {}
    for p in placed:
        scales.setdefault(_made_of(p.slot), set()).add(p.slot.result_scale)
        workspaces.setdefault(p.slot.index, set()).add(config.entries[p.entry].workspace_id or "")
    return [
        replace(p, slot=replace(p.slot, workspaces=tuple(sorted(workspaces[p.slot.index]))))
        if len(scales[_made_of(p.slot)]) > 1
        else p
        for p in placed
    ]


def _made_of(slot: Slot) -> tuple[str | None, str]:
    return slot.unit, slot.aggregation.name if slot.aggregation else ""


def slots_legend(placed: Sequence[SlotMeasurement]) -> tuple[str, ...]:
    """What each slot is, a sentence each: what is measured, its unit, its aggregation, and its place in the config."""
    measured: dict[Slot, list[SlotMeasurement]] = {}
    for p in placed:
        measured.setdefault(p.slot, []).append(p)
    sentences = []
    for slot, found in sorted(measured.items(), key=lambda item: item[0].index):
        measurement = found[0].measurement
        source = " + ".join(map(shown, measurement.source_property)) or "each event"
        aggregation = f", {slot.aggregation_shown}" if slot.aggregation else ""
        paths = ", ".join(p.path for p in found)
        sentences.append(f"Slot {slot.index} is {source} in {slot.unit_shown}{aggregation}: {paths}.")
    return tuple(sentences)


def _check_slot(slot: Slot, measurement: Measurement, entry: Entry, path: str) -> None:
    """Refuse an aggregation, of the call or of the measurement, that the measurement lacks something for.

    Only one property can be told apart, a prorated sum needs a span, and what is measured is no inner dimension.
    """
    found = slot.aggregation
    if found is None:
        return
    if slot.counts_texts and slot.added:
        raise ConfigError(f"{path}.sourceProperty: found several with unique-count; expected one.")
    if slot.counts_texts and slot.counts_events:
        raise ConfigError(f"{path}.sourceProperty: found none with unique-count; expected one.")
    if found.prorated and measurement.span is None:
        hint = '"span": {"start": "from", "end": "to"}'
        raise ConfigError(f"{path}: found prorated-sum without a span; expected one. hint: {hint}")
    if found.by in entry.source_properties:
        raise ConfigError(
            f"{path}: found the inner dimension {found.by!r}, which the config measures; expected a dimension. "
            "hint: a property that is measured is no dimension (R6)"
        )


def _slot(measurement: Measurement, chosen: str | None) -> Slot:
    """What a measurement needs of its slot."""
    aggregation = measurement.aggregated(chosen)
    counts_texts = aggregation is not None and aggregation.definition.takes_texts
    decimal = DecimalType(measurement.integer_digits, measurement.scale)
    return Slot(
        index=-1,
        unit=measurement.unit,
        aggregation=aggregation,
        decimal=TEXT_DECIMAL if counts_texts else decimal,
        rounding=measurement.rounding,
        added=measurement.source_property if len(measurement.source_property) > 1 else (),
        counts_events=not measurement.source_property,
        factor=measurement.factor,
        span=measurement.span,
        times_duration=measurement.times_duration,
    )
