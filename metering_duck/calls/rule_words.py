"""The rules in words, and which of them a page has named: a number in the text has its words at the page's end."""

from __future__ import annotations

from dataclasses import dataclass, field

from metering_duck.calls.page_text import wrapped

# Number → words, as pages name them.
RULES = {
    1: "an event matches one entry of a config at most",
    2: "a filter is looked at first: what it leaves out cannot be at fault",
    3: "an event with one fault counts nowhere: it is rejected as a whole",
    4: "a quantity is plain digits, with a sign, a point and an exponent if need be; nothing else is one",
    5: "a quantity is kept digit by digit, or its event is rejected",
    8: "an event counts once: of the rows with one key the first to enter",
    9: "every event read is metered, unmatched, a duplicate, a conflict or rejected",
    10: (
        "a reading has one universe, subject, unit, aggregation and window, the dimensions asked for, and one "
        "workspace unless it goes across them"
    ),
    11: "times are UTC microseconds; a window has its start in it and its end not",
    12: (
        "a counter looks at the records inside its window; without a record there is no reading, unless windows are "
        "filled"
    ),
    13: "what is last goes by its time, then by when it entered, then by its event id",
    14: "a level holds until the next one; the last before a window is carried into it",
    15: "an average is an exact numerator by an exact divisor",
    16: "a result is rounded once, at the end; an inner value of two levels before that, once",
    18: "a sum with more than 38 digits is an error, never a wrong number",
    19: "a state is of levels, so the one that is carried in counts",
    24: "as of a moment counts what had entered by then",
    26: "what is split over windows adds up to the whole: the parts are settled by largest remainder",
}


@dataclass
class NamedRules:
    """The numbers of the rules that a page has named so far."""

    numbers: set[int] = field(default_factory=set)

    def name(self, *numbers: int) -> str:
        """The numbers of the rules behind what they say, in brackets."""
        self.numbers |= set(numbers)
        return f"({', '.join(f'R{n}' for n in numbers)})"

    def text(self) -> str:
        """The words of every rule that was named."""
        return "\n".join(["Rules", *(wrapped(f"  R{n}", RULES[n]) for n in sorted(self.numbers))])
