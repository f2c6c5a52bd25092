"""Explaining: a config and what is asked of it as a page in plain words, for whoever reads the SQL beside it.

For each measurement what counts, how it is aggregated over which windows, and how it is rounded; for all of them what
is left out. A rule is named by its number together with its words. Nothing is read and nothing is run.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from metering_duck.calls.arguments import names_of
from metering_duck.contract.aggregations import Aggregation
from metering_duck.contract.config import ConfigLike, Entry, load_config
from metering_duck.contract.definitions import Definition
from metering_duck.contract.filters import Filter
from metering_duck.contract.measurements import Measurement, Span
from metering_duck.contract.schemas import REASONS
from metering_duck.decimals.columns import SCALE_DEFAULT, DecimalType

WIDTH = 77
LABEL = 12
# Number → words, as pages name them.
RULES = {
    1: "an event matches one entry of a config at most",
    2: "a filter is looked at first: what it leaves out cannot be at fault",
    3: "an event with one fault counts nowhere: it is rejected as a whole",
    4: "a quantity is plain digits, with a sign, a point and an exponent if need be; nothing else is one",
    5: "a quantity is kept digit by digit, or its event is rejected",
    6: "a property that is measured is no dimension",
    8: "an event counts once: of the rows with one key the first to enter",
    9: "every event read is metered, unmatched, a duplicate, a conflict or rejected",
    10: "a reading has one workspace, universe, subject, unit, aggregation and window, and the dimensions asked for",
    11: "times are UTC microseconds; a window has its start in it and its end not",
    12: "a counter looks at the records inside its window; without one there is no reading",
    13: "what is last goes by its time, then by when it entered, then by its event id",
    14: "a level holds until the next one; the last before a window is carried into it",
    15: "an average is an exact numerator by an exact divisor",
    16: "a result is rounded once, at the end",
    18: "a sum with more than 38 digits is an error, never a wrong number",
    19: "a state is of levels, so the one that is carried in counts",
    24: "as of a moment counts what had entered by then",
    26: "what is split over windows adds up to the whole: the parts are settled by largest remainder",
}
OUTER = {
    "sum": "the sum",
    "max": "the largest",
    "min": "the smallest",
    "avg": "the sum, divided by how many there are",
    "count": "how many there are",
}
FILLED = {"zero": "; 0 where there is none", "carry": "; what was last where there is none"}
ROUNDINGS = {"half-even": "half to even", "half-up": "half away from zero", "ceiling": "up", "floor": "down"}


def explain(config: ConfigLike, **options: Any) -> str:
    """A page in plain words on what a config counts and leaves out; the options are those of aggregate.

    Raises: ConfigError for a config that is none.
    """
    return _Page(load_config(config).entries, options).text()


def comment_of(config: ConfigLike, **options: Any) -> str:
    """The page as the comment above a script."""
    return "\n".join(f"-- {line}".rstrip() for line in explain(config, **options).splitlines()) + "\n\n"


class _Page:
    """The page of a config's entries, and the rules that it has named so far."""

    def __init__(self, entries: tuple[Entry, ...], options: Mapping[str, Any]) -> None:
        self.entries, self.options = entries, options
        self.rules: set[int] = set()

    def text(self) -> str:
        """The whole page."""
        blocks = ["What is measured, in plain words", self._of_events()]
        wrapped = len(self.entries) == 1
        for n, entry in enumerate(self.entries):
            for m, measurement in enumerate(entry.measurements):
                path = f"measurements[{m}]" if wrapped else f"entries[{n}].measurements[{m}]"
                blocks.append(self._measurement(path, entry, measurement))
        blocks += [self._left_out(), *([self._windows()] if self._is_aggregated else []), self._rules()]
        return "\n\n".join(blocks) + "\n"

    @property
    def _is_aggregated(self) -> bool:
        return any(self.options.get(name) is not None for name in ("start", "end", "windows", "subscriptions"))

    def _rule(self, *numbers: int) -> str:
        """Numbers of rules behind what they say; their words stand at the page's end."""
        self.rules |= set(numbers)
        return f"({', '.join(f'R{n}' for n in numbers)})"

    # --- parts ------------------------------------------------------------------------------------------------------

    def _of_events(self) -> str:
        told = []
        for name, label in (("workspace", "workspace"), ("universe", "universe"), ("event_type", "type")):
            chosen = names_of(self.options.get(name), name)
            told += [f"of the {label} {_listed(chosen)}"] if chosen else []
        subjects = names_of(self.options.get("subject"), "subject")
        told += [f"readings are made of the subject {_listed(subjects)}"] if subjects else []
        if self.options.get("as_of") is not None:
            told.append(f"that had entered by {self.options['as_of']} {self._rule(24)}")
        return _wrapped("Events", f"every one that is read{', ' if told else ''}{', '.join(told)}")

    def _measurement(self, path: str, entry: Entry, measurement: Measurement) -> str:
        aggregation = measurement.aggregated(self.options.get("aggregation"))
        lines = [f'{path}: {" + ".join(measurement.source_property)}, in "{measurement.unit}"']
        lines += [_wrapped("  counts", f"{_matching(entry)} {self._rule(1)}")]
        if measurement.filter:
            words = f"where {filter_words(measurement.filter)} {self._rule(2)}"
            lines.append(_wrapped("  filter", words))
        if aggregation and aggregation.definition.takes_texts:
            lines.append(_wrapped("  quantity", f"none: the texts of {measurement.source_property[0]} are told apart"))
        else:
            lines.append(_wrapped("  quantity", self._quantity(measurement)))
        lines += [_wrapped("  span", _span_words(measurement.span))] if measurement.span else []
        if self._is_aggregated and aggregation:
            lines.append(_wrapped("  aggregated", self._aggregated(aggregation)))
            lines.append(_wrapped("  rounded", self._rounded(measurement, aggregation)))
        elif aggregation:
            lines.append(_wrapped("  aggregated", f"by {aggregation.text}, when its records are"))
        return "\n".join(lines)

    def _quantity(self, measurement: Measurement) -> str:
        added = " + ".join(measurement.source_property)
        decimal = DecimalType(measurement.integer_digits, measurement.scale)
        words = (
            f"{added}, at most {decimal.integer_digits} digits before the point and {decimal.scale} behind it, as a "
            f"{decimal.sql} {self._rule(4, 5)}"
        )
        by = [f"multiplied by {measurement.multiply}"] if measurement.multiply else []
        by += [f"divided by {measurement.divide}"] if measurement.divide else []
        by += (
            [f"multiplied by the {measurement.times_duration} that its span lasts"]
            if measurement.times_duration
            else []
        )
        if by:
            words += f"; {' and '.join(by)}, rounded once, half to even, to {measurement.scale} digits"
        return words

    def _aggregated(self, aggregation: Aggregation) -> str:
        if aggregation.outer:
            per = f"each inner window of {aggregation.per}" if aggregation.per else f"each {aggregation.by}"
            outer = OUTER.get(aggregation.outer) or _answers(aggregation.outermost)
            return f"one value of {per}, {self._aggregated(aggregation.inner)}; then of those values {outer}"
        if aggregation.is_gauge:
            of_levels = (14, 15, 13) if aggregation.definition.weighs else (14, 19, 13)
            level = "every record changes the level by its quantity; " if aggregation.deltas else ""
            carried = "a level holds until the subject's next one, and the last before the window is carried in"
            return f"{aggregation.text}: {_answers(aggregation.definition)}; {level}{carried} {self._rule(*of_levels)}"
        if aggregation.prorated:
            split = "each quantity split by time over the windows that its span overlaps, then added"
            return f"{aggregation.text}: {split} {self._rule(26, 18)}"
        words = _answers(aggregation.definition)
        rules = {"sum": (12, 18), "avg": (12, 15), "latest": (12, 13), "first": (12, 13)}
        found = self._rule(*rules.get(aggregation.function, (12,)))
        return f"{aggregation.text}: {words}, of the records inside the window {found}"

    def _rounded(self, measurement: Measurement, aggregation: Aggregation) -> str:
        if self.options.get("digits") is not None:
            return f"averages to {self.options['digits']} significant digits, half to even {self._rule(16)}"
        scale, rounding = self.options.get("scale"), ROUNDINGS[measurement.rounding]
        if scale is None:
            own = measurement.result_scale
            scale = max(measurement.scale, SCALE_DEFAULT) if own is None else own
        if aggregation.definition.is_whole and not aggregation.outer:
            return "not at all: it is a whole number"
        return f"to {scale} digits behind the point, {rounding} {self._rule(16)}"

    def _left_out(self) -> str:
        spans = any(m.span for entry in self.entries for m in entry.measurements)
        lines = ["Left out"]
        entry = "no measurement applies: no entry is for it, or every filter leaves it out"
        lines.append(_wrapped("  unmatched", f"{entry} {self._rule(1, 2)}"))
        if self.options.get("assume_unique"):
            lines.append(_wrapped("  duplicates", "not looked for: every id is taken to occur once"))
        else:
            same = "the key (workspace, universe, id) came before, with the same content"
            lines.append(_wrapped("  duplicates", f"{same} {self._rule(8)}"))
            lines.append(_wrapped("  conflicts", f"it came before, with other content {self._rule(8)}"))
        lines.append(_wrapped("  rejected", f"as a whole, with the reason {self._rule(3)}:"))
        named = [*_OF_EVENTS, "source-missing", "quantity-syntax", "quantity-too-large"]
        named += ["quantity-too-fine", *(["span-missing", "span-invalid"] if spans else [])]
        lines += [_wrapped("", f"{name}: {_without_rule(REASONS[name])}") for name in named]
        lines.append(_wrapped("  in sum", f"what is read is all of these and what is metered {self._rule(9)}"))
        return "\n".join(lines)

    def _windows(self) -> str:
        o = self.options
        zone = o.get("timezone") or "UTC"
        if o.get("subscriptions") is not None:
            words = "each subject's own periods, as the table of subscriptions has them"
        elif o.get("windows") is not None:
            words = "those of the table of windows"
        elif o.get("every"):
            words = f"[{o['start']}, {o['end']}) cut by {o['every']} on the clocks of {zone}"
            words += f", from {o['anchor']}" if o.get("anchor") else ""
            words += "; periods that begin in it, uncut" if o.get("whole_periods") else ""
        else:
            words = f"[{o['start']}, {o['end']}) as one, on the clocks of {zone}"
        lines = [_wrapped("Windows", f"{words} {self._rule(11)}")]
        groups = names_of(o.get("group_by"), "group_by")
        key = "one for each workspace, universe, subject, unit and window that has a record"
        key = key.replace("workspace, ", "") if o.get("across_workspaces") else key
        key += f", and each {_listed(groups)}" if groups else ""
        fill = {"zero": "; 0 where there is none", "carry": "; what was last where there is none"}.get(
            o.get("fill", ""), ""
        )
        lines.append(_wrapped("Readings", f"{key}{fill} {self._rule(10)}"))
        return "\n".join(lines)

    def _rules(self) -> str:
        return "\n".join(["Rules", *(_wrapped(f"  R{n}", RULES[n]) for n in sorted(self.rules))])


# --- words -----------------------------------------------------------------------------------------------------------

# The reasons that any event may be rejected for, whatever is measured.
_OF_EVENTS = (
    "id-missing", "workspace-missing", "universe-missing", "subject-missing", "type-missing", "time-missing",
    "time-invalid", "metered-at-invalid",
)  # fmt: skip


def _wrapped(label: str, words: str) -> str:
    """Words behind a label, on lines that begin below each other."""
    first = f"{label.ljust(LABEL)} "
    below = " " * len(first)
    text = " ".join(words.split())
    return "\n".join(textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=below, break_on_hyphens=False))


def _listed(names: Iterable[str]) -> str:
    *before, last = [f'"{name}"' for name in names]
    return f"{', '.join(before)} or {last}" if before else last


def _without_rule(words: str) -> str:
    return re.sub(r" \(R\d+\)", "", words).replace("`", "")


def _answers(definition: Definition) -> str:
    """What an aggregation answers, without what the table says of others."""
    return definition.answers.partition(";")[0]


def _matching(entry: Entry) -> str:
    """Which events an entry is for."""
    workspace = f'of the workspace "{entry.workspace_id}"' if entry.workspace_id is not None else "of any workspace"
    kind = f'of the type "{entry.type}"' if entry.type is not None else "of any type"
    words = f"events {kind}, {workspace}"
    words += f", from {entry.effective_from:%Y-%m-%dT%H:%M:%S%z}" if entry.effective_from else ""
    return words + (f", before {entry.effective_to:%Y-%m-%dT%H:%M:%S%z}" if entry.effective_to else "")


def _span_words(span: Span) -> str:
    """From when to when a quantity extends."""
    own = "the event's own time"
    length = f"{span.duration} {span.unit}"
    if span.duration is None:
        return f"from {span.start or own} to {span.end or own}"
    if span.end is not None or (span.start is None and span.event_time == "end"):
        return f"the {length} up to {span.end or own}"
    return f"the {length} from {span.start or own}"


_OPERATORS = {
    "equals": 'is "{}"',
    "notEquals": 'is not "{}"',
    "in": "is {}",
    "notIn": "is none of {}",
    "exists": "is there",
    "missing": "is not there",
    "prefix": 'begins with "{}"',
    "contains": 'contains "{}"',
    "matches": "matches {}",
    "gt": "is more than {}",
    "gte": "is {} or more",
    "lt": "is less than {}",
    "lte": "is {} or less",
}


def filter_words(chosen: Filter) -> str:
    """A filter in words."""
    if chosen.not_ is not None:
        return f"it is not so that {filter_words(chosen.not_)}"
    for combined, word in ((chosen.and_, " and "), (chosen.or_, " or ")):
        if combined:
            return word.join(f"({filter_words(inner)})" if inner.inner else filter_words(inner) for inner in combined)
    name = chosen.property if chosen.property is not None else f"the event's {chosen.field}"
    tested = [(key, value) for key, value in chosen.given.items() if key in _OPERATORS]
    words = [_OPERATORS[key].format(_listed(value) if isinstance(value, tuple) else value) for key, value in tested]
    return f"{name} {' and '.join(words)}"
