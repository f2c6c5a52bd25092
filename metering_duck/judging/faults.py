"""Faults: what can be wrong with what an event measures, and how a reject says it (R3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metering_duck.judging.slots import SlotMeasurement
from metering_duck.judging.spans import unreadable_sql
from metering_duck.statements.quote import literal
from metering_duck.statements.select import case

PropertySql = Callable[[str], str]
UNKNOWN = "CAST(NULL AS VARCHAR)"
# What sql/rejects.sql finds in a quantity's text, and where there is no text.
NO_TEXT = "source-missing"
TOO_LARGE = "quantity-too-large"
OF_TEXTS = ("quantity-syntax", TOO_LARGE, "quantity-too-fine")


@dataclass(frozen=True)
class MeasuredFault:
    """When a measurement is at fault, with which property and which text, each as SQL, and the name of the reason.

    Without a name, sql/rejects.sql finds the reason in the quantity's text.
    """

    when: str
    source_property: str
    text: str
    reason: str = ""

    @property
    def reason_sql(self) -> str:
        """SQL for the reason; NULL where it is to be found in the text."""
        return literal(self.reason) if self.reason else UNKNOWN


def faults_of(placed: SlotMeasurement, property_sql: PropertySql) -> list[MeasuredFault]:
    """What can be wrong with a measurement, in the order in which it is looked at."""
    slot, measurement = placed.slot, placed.measurement
    faults = []
    if measurement.span:
        for name in measurement.span.properties:
            text, source = property_sql(name), literal(name)
            faults.append(MeasuredFault(f"{text} IS NULL", source, text, "span-missing"))
            unreadable = unreadable_sql(measurement.span, name, slot.index)
            faults.append(MeasuredFault(unreadable, source, text, "span-invalid"))
        last = measurement.span.properties[-1]
        faults.append(MeasuredFault(f"start_{slot.index} IS NULL", literal(last), property_sql(last), "span-invalid"))
    if slot.added:
        for name, number in zip(slot.added, slot.column_numbers, strict=True):
            faults.append(MeasuredFault(f"v_{number} IS NULL", literal(name), f"q_{number}"))
    if slot.counts_events:
        return faults
    first = literal(measurement.source_property[0])
    return [*faults, MeasuredFault("TRUE", first, f"q_{slot.column_numbers[0]}")]


def faulty_sql(placed: Sequence[SlotMeasurement]) -> str:
    """SQL for the number of the first measurement that applies to an event and has no quantity, or no span."""
    faults = []
    for n, p in enumerate(placed):
        index = p.slot.index
        missing = [] if p.slot.counts_events else [f"v_{index} IS NULL"]
        missing += [f"start_{index} IS NULL"] if p.slot.span else []
        if missing:
            lacks = missing[0] if len(missing) == 1 else f"({' OR '.join(missing)})"
            faults.append((f"entry = {p.entry} AND a_{index} AND {lacks}", str(n)))
    return case(faults)


def fault_columns(placed: Sequence[SlotMeasurement], property_sql: PropertySql) -> dict[str, str]:
    """The columns of `rejected` that say which measurement is at fault, of the number in `faulty`, and how."""
    each = [_fault_columns_of(p, property_sql) for p in placed]
    return {name: _of_faulty([columns[name] for columns in each]) for name in each[0]}


def _fault_columns_of(p: SlotMeasurement, property_sql: PropertySql) -> dict[str, str]:
    """What the columns of a fault hold where one measurement is at fault."""
    faults = faults_of(p, property_sql)
    return {
        "measurement": literal(p.path),
        "source_property": _first([(fault.when, fault.source_property) for fault in faults]),
        "unit": literal(p.measurement.unit),
        "faulty_text": _first([(fault.when, fault.text) for fault in faults]),
        "known_reason": _first([(fault.when, fault.reason_sql) for fault in faults]),
        "integer_digits": str(p.slot.decimal.integer_digits),
        "fraction_digits": str(p.slot.scale),
    }


def _of_faulty(values: Sequence[str]) -> str:
    """Of a value for each measurement, that of the measurement whose number is in `faulty`."""
    return case([(str(number), value) for number, value in enumerate(values)], of="faulty")


def _first(values: Sequence[tuple[str, str]]) -> str:
    """The value of the first condition that holds; where all values are one, that one."""
    if len({value for _, value in values}) == 1:
        return values[0][1]
    return case(values)
