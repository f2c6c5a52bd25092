"""Explaining: what a run counts and leaves out as a page in plain words, for whoever reads the SQL beside it.

The page is made of the values that run: the opened input with its Source, Question and Windows, the compiler with its
slots, and the Totals of the readings. For each measurement it says what counts, how it is aggregated and how it is
rounded; for all of them what is left out. A rule is named by its number together with its words. Nothing is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from metering_duck.calls.filter_words import denied_words, filter_words
from metering_duck.calls.page_text import heading, joined, listed, quoted, quotes_words, wrapped, written
from metering_duck.calls.reading_words import (
    aggregated_words,
    answers,
    readings_words,
    rounded_words,
    windows_words,
)
from metering_duck.calls.rule_words import NamedRules
from metering_duck.calls.source_words import fields_words, renamed_words, shape_words
from metering_duck.contract.config import Entry, MeteringConfig
from metering_duck.contract.measurements import Measurement, Span
from metering_duck.contract.schemas import REASONS
from metering_duck.contract.times import format_time
from metering_duck.judging.events import Compiler, reject_reasons
from metering_duck.judging.slots import SlotMeasurement
from metering_duck.readings.series import Series, Totals
from metering_duck.runs.books import counted_noun
from metering_duck.runs.local import compiler_of, totals_of
from metering_duck.runs.opening import Opened


def explain(config: MeteringConfig, opened: Opened) -> str:
    """A page in plain words on what a run of a config over an opened input counts and leaves out."""
    compiler = compiler_of(config, opened)
    totals = None if opened.question.periods is None else totals_of(opened, compiler)
    return _Page(opened, compiler, totals).text()


def comment_of(config: MeteringConfig, opened: Opened) -> str:
    """The page as the comment above a script."""
    return "\n".join(f"-- {line}".rstrip() for line in explain(config, opened).rstrip("\n").split("\n")) + "\n\n"


@dataclass
class _Page:
    """The page of a run, and the rules that it has named so far; without `totals` records are made, not readings."""

    opened: Opened
    compiler: Compiler
    totals: Totals | None
    rules: NamedRules = field(default_factory=NamedRules)

    def text(self) -> str:
        """The whole page."""
        question, windows = self.opened.question, self.opened.windows
        blocks = ["What is measured, in plain words", self._of_events()]
        blocks += [self._of_measurement(placed) for placed in self.compiler.measured]
        blocks.append(self._left_out())
        if self.totals is not None:
            made = readings_words(question, self.totals, self.rules)
            blocks.append(f"{windows_words(question, windows, self.rules)}\n{made}")
        elif question.bundled:
            blocks.append(wrapped("Records", "one row for each event, with all that it measured"))
        quotes = quotes_words("\n".join(blocks))
        blocks += [wrapped("Quotes", quotes)] if quotes else []
        return "\n\n".join([*blocks, self.rules.text()]) + "\n"

    # --- events -----------------------------------------------------------------------------------------------------

    def _of_events(self) -> str:
        """Which events are read, and how."""
        source, question = self.opened.source, self.opened.question
        chosen = {"workspace": question.workspaces, "universe": question.universes, "type": source.types}
        told = [f"of the {label} {listed(names)}" for label, names in chosen.items() if names]
        if question.as_of is not None:
            told.append(f"that had entered by {format_time(question.as_of)} {self.rules.name(24)}")
        lines = [wrapped("Events", ", ".join(["every one that is read", *told]))]
        assumed = self.opened.shells["input"]().assumed
        if assumed:
            lines.append(wrapped("  assumed", f"{assumed}, since no events were given"))
        lines += [wrapped(f"  {label}", words) for label, words in self._read_as().items()]
        if question.subjects:
            lines.append(wrapped("  subjects", f"readings are made of {listed(question.subjects, 'and')} alone"))
        return "\n".join(lines)

    def _read_as(self) -> dict[str, str]:
        """Label → how the source is read, where the call says it."""
        source, question, partition = self.opened.source, self.opened.question, self.opened.layout.partition
        found = {}
        if source.shape is not None:
            found["shape"] = shape_words(source.shape)
        fields = fields_words(source, self.opened.layout)
        if fields:
            found["fields"] = fields
        if source.generate_ids:
            found["ids"] = "each row gets one that is made of its content; rows of the same content are counted apart"
        if source.timezone is not None:
            shown = f"without an offset, `time` is what clocks of {source.timezone} show; metered_at is UTC"
            found["times"] = f"{shown} {self.rules.name(11)}"
        if source.universe_names:
            found["universes"] = renamed_words(source.universe_names)
        if partition is not None:
            day = f"the column {quoted(partition.column)} has the UTC {partition.unit} of each event's time"
            found["files"] = f"{day}; those that the windows do not need are not read"
        if question.clock is not None:
            found["entered"] = f"by {format_time(question.clock)} where they do not say when"
        return found

    # --- measurements -----------------------------------------------------------------------------------------------

    def _of_measurement(self, placed: SlotMeasurement) -> str:
        """What a measurement counts, and how its readings are made."""
        measurement, slot = placed.measurement, placed.slot
        sources = " + ".join(quoted(name) for name in measurement.source_property) or "each event"
        lines = [heading(f"{placed.path}: {sources}, in {quoted(measurement.unit)}")]
        entry = self.compiler.config.entries[placed.entry]
        lines.append(wrapped("  counts", f"{_matching(entry)} {self.rules.name(1)}"))
        if measurement.filter:
            words = f"where {filter_words(measurement.filter)} {self.rules.name(2)}"
            denied = denied_words(measurement.filter)
            lines.append(wrapped("  filter", f"{words}; {denied}" if denied else words))
        if slot.counts_texts:
            lines.append(wrapped("  quantity", f"none: the texts of {sources} are told apart"))
        else:
            lines.append(wrapped("  quantity", self._quantity(placed)))
        if measurement.span:
            lines.append(wrapped("  span", _span_words(measurement.span)))
        if slot.aggregation is None:
            return "\n".join(lines)
        if self.totals is None:
            aggregation = slot.aggregation.text_with(per=written, by=quoted)
            lines.append(wrapped("  aggregated", f"by {aggregation}, when its records are"))
            return "\n".join(lines)
        series = next(series for series in self.totals.series if slot in series.slots)
        lines.append(wrapped("  aggregated", aggregated_words(slot.aggregation, self.rules)))
        lines += self._together(placed, series)
        lines.append(wrapped("  rounded", rounded_words(self.totals, series, self.rules)))
        return "\n".join(lines)

    def _quantity(self, placed: SlotMeasurement) -> str:
        """How a measurement's text becomes a DECIMAL, and what it is multiplied by."""
        measurement, decimal = placed.measurement, placed.slot.decimal
        if placed.slot.counts_events:
            return "1 for each event"
        added = " + ".join(quoted(name) for name in measurement.source_property)
        before = f"at most {counted_noun(decimal.integer_digits, 'digit')} before the point"
        words = f"{added}, {before} and {decimal.scale} behind it, as a {decimal.sql} {self.rules.name(4, 5)}"
        converted = _conversions(measurement)
        if converted:
            digits = counted_noun(decimal.scale, "digit")
            words += f"; {' and '.join(converted)}, rounded once, half to even, to {digits}"
        return words

    def _together(self, placed: SlotMeasurement, series: Series) -> list[str]:
        """The line that says with which other measurements a measurement makes its readings; none where it is alone."""
        paths = [
            other.path
            for other in self.compiler.measured
            if other is not placed and other.slot in series.slots and self._meet(placed, other)
        ]
        if not paths:
            return []
        same = f"with {joined(paths, 'and')}, of the same unit and aggregation"
        result = f"one reading of all their records, {answers(series.aggregation.outermost)}"
        return [wrapped("  together", f"{same}: {result} {self.rules.name(10)}")]

    def _meet(self, one: SlotMeasurement, other: SlotMeasurement) -> bool:
        """Whether records of two measurements can be in one reading: not if they are of different workspaces."""
        entries = self.compiler.config.entries
        workspaces = {entries[placed.entry].workspace_id for placed in (one, other)} - {None}
        return len(workspaces) < 2 or self.opened.question.across_workspaces

    # --- what is left out -------------------------------------------------------------------------------------------

    def _left_out(self) -> str:
        """What makes no record: unmatched, duplicates, conflicts, and rejects with their reasons."""
        lines = ["Left out"]
        entry = "no measurement applies: no entry is for it, or every filter leaves it out"
        lines.append(wrapped("  unmatched", f"{entry} {self.rules.name(1, 2)}"))
        lines += self._repeated()
        lines.append(wrapped("  rejected", f"as a whole, with the reason {self.rules.name(3)}:"))
        reasons = reject_reasons(self.compiler)
        lines += [wrapped("", f"{name}: {_without_rule(words)}") for name, words in REASONS.items() if name in reasons]
        if self.opened.question.strict:
            lines.append(wrapped("  strict", "one that is rejected or in conflict stops the run with an error"))
        lines.append(wrapped("  in sum", f"what is read is all of these and what is metered {self.rules.name(9)}"))
        return "\n".join(lines)

    def _repeated(self) -> Iterator[str]:
        """What becomes of events whose key came before."""
        source = self.opened.source
        if source.assume_unique:
            yield wrapped("  duplicates", "not looked for: every id is taken to occur once")
        elif source.generate_ids:
            yield wrapped("  duplicates", "none: no two rows get the same id")
        else:
            same = "the key (workspace, universe, id) came before, with the same content"
            yield wrapped("  duplicates", f"{same} {self.rules.name(8)}")
            yield wrapped("  conflicts", f"it came before, with other content {self.rules.name(8)}")


def _matching(entry: Entry) -> str:
    """Which events an entry is for."""
    workspace = "of any workspace" if entry.workspace_id is None else f"of the workspace {quoted(entry.workspace_id)}"
    kind = "of any type" if entry.type is None else f"of the type {quoted(entry.type)}"
    words = f"events {kind}, {workspace}"
    words += f", from {format_time(entry.effective_from)}" if entry.effective_from else ""
    return words + (f", before {format_time(entry.effective_to)}" if entry.effective_to else "")


def _conversions(measurement: Measurement) -> list[str]:
    """What a quantity is multiplied and divided by."""
    found = []
    if measurement.multiply:
        found.append(f"multiplied by {written(measurement.multiply)}")
    if measurement.divide:
        found.append(f"divided by {written(measurement.divide)}")
    if measurement.times_duration:
        found.append(f"multiplied by the {measurement.times_duration} that its span lasts")
    return found


def _span_words(span: Span) -> str:
    """From when to when a quantity extends, and how its times are written."""
    words = _extent(span)
    if span.start is None and span.end is None:
        return words
    meant = "RFC 3339" if span.times == "rfc3339" else f"{span.times.removeprefix('epoch-')} since 1970"
    return f"{words}; times in properties are {meant}"


def _extent(span: Span) -> str:
    """From when to when a quantity extends."""
    own = "the event's own time"
    start = quoted(span.start) if span.start is not None else own
    end = quoted(span.end) if span.end is not None else own
    if span.duration is None:
        return f"from {start} to {end}"
    length = f"{quoted(span.duration)} {span.unit}"
    if span.end is not None or (span.start is None and span.event_time == "end"):
        return f"the {length} up to {end}"
    return f"the {length} from {start}"


def _without_rule(words: str) -> str:
    return re.sub(r" \(R\d+\)", "", words).replace("`", "")
