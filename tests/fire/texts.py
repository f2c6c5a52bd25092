"""Hostile texts, times and quantities, out of pools small enough that equal ones are common."""

from __future__ import annotations

import random

AWKWARD = (
    *("'", '"', "''", ";", "--", "/*", "*/", "\n", "\r\n", "\t", "\0", "\\", "$start", "{}", "%s", "~0/1", " ", "a,b"),
    *('"":""', "\u2028", "é", "e\u0301", "\ufdd0", "\ufdd1", "\ufeff", "\uffff", "😀", "\U0010ffff", "NULL", "null"),
    *("'; DROP TABLE input; --", "\x01\x02\x03\x04", "\x7f", "\x85", "\xa0", "ß", "İ", "ſ", "=1+1", "../..", "a\0b"),
    *("\u202e", "\u200d", "1e3", "-0", "true", "__HIVE_DEFAULT_PARTITION__", "#", "|", "\ufffd", "\ue000", "ﬀ"),
)
START, END = "2024-01-31T00:00:00Z", "2024-03-02T12:00:00Z"
CHANGE = "2024-02-01T06:30:00Z"
TIMES = (
    *("2023-11-05T00:00:00Z", "2024-01-30T23:59:59.999999Z", "2024-01-30T23:59:59.9999999Z", START, END, CHANGE),
    *(
        "2024-01-31T01:00:00+01:00",
        "2024-01-31T00:00:00.000001Z",
        "2024-02-01T06:30:00.0000019",
        "2024-02-01 06:30:00Z",
    ),
    *("2024-02-29T13:17:11.5-08:00", "2024-03-01T00:00:00Z", "2024-03-02T11:59:59.999999Z", "2024-02-10t10:00:00z"),
)
ODD_TIMES = (
    *("0001-01-01T00:00:00.000001Z", "9999-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.5Z"),
    "2024-02-15T12:00:00.123456789012345678901234567890Z",
    *("2024-02-15T12:00:00+14:00", "2024-02-15T12:00:00-00:00", "1582-10-10T00:00:00Z", "2024-02-15T23:59:59+23:59"),
)
# Times outside of the years 1 to 9999, and the one that says that there is none.
EDGE_TIMES = (
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00Z"),
    "0001-01-01T01:00:00+01:00",
)
NO_TIMES = (
    *("2024-02-30T00:00:00Z", "2024-13-01T00:00:00Z", "2024-02-15T24:00:00Z", "2024-02-15T23:59:60Z", "1708000000"),
    *("2024-02-15T12:00Z", "2024-02-15", "2024-02-15T12:00:00.Z", "2024-02-15T12:00:00+2400", "٢024-02-15T12:00:00Z"),
    *(
        "12024-02-15T12:00:00Z",
        " 2024-02-15T12:00:00Z",
        "2024-02-15T12:00:00Z ",
        "2024-02-15T12:00:00+24:00",
        "now",
        "",
    ),
    *("2024-02-15T12:00:00Z\n", "2024-02-15T12:00:00ZZ", "-2024-02-15T12:00:00Z", "infinity"),
)
METERED = ("2024-03-05T00:00:00Z", "2024-03-06T00:00:00.5Z", "2024-07-01T00:00:00Z")
QUANTITIES = (
    *("0", "-0.0", "1", "-1", "3", "2.5", "+7.", ".125", "1e3", "-2.50E-1", "0.000000000000000001", "1e-18", "007"),
    *(
        "-0.000000000000000007",
        "33333333.333333333333333333",
        "1.0",
        "0e99999999999",
        "123456789012345678",
        "00",
        "-.5",
    ),
    *("0.000000000000000000000000000000", "1000000e-6", "12345678901234567", "-33.3", "0.1", "0.2", "0.30", "5e0"),
)
LARGE = ("2999999999999999999.999999999999999999", "-2999999999999999999.999999999999999999", "99999999999999999999")
HUGE = ("99999999999999999999.999999999999999999", "-99999999999999999999.999999999999999999", "5e19", "1e19")
NO_QUANTITIES = (
    *("", "x", " 1", "1 ", "1_000", "NaN", "Infinity", "-inf", "1e20", "0.1e-18", "1,5", "--1", "1e", ".", "٣", "0x10"),
    *(
        "1e400",
        "1e-400",
        "−1",
        "1e+",
        "+",
        "e5",
        "1.2.3",
        "1\n",
        "\t1",
        "1\0",
        "½",
        "1" + "0" * 60,
        "0." + "0" * 60 + "1",
    ),
    *(
        "9" * 5000,
        "1" + "0" * 5000 + "e-5000",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        "\u00a01",
        "1f",
        "0b1",
    ),
)


def any_text(chance: random.Random) -> str:
    """A text of one to six characters of any plane of Unicode, or an awkward one, or one behind the other."""
    if chance.random() < 0.6:
        return chance.choice(AWKWARD)
    found = "".join(any_character(chance) for _ in range(chance.randint(1, 5)))
    return chance.choice(AWKWARD) + found if chance.random() < 0.3 else found


def any_character(chance: random.Random) -> str:
    """A character of a random plane; no surrogate, which is no character."""
    plane = chance.choice((0, 0, 0, 0, 1, 1, 2, 3, 14, 15, 16))
    while True:
        code = plane * 0x10000 + chance.randrange(0x10000) if chance.random() < 0.7 else chance.randrange(0x250)
        if not 0xD800 <= code < 0xE000:
            return chr(code)


def several(chance: random.Random, least: int, most: int) -> list[str]:
    """So many texts that differ."""
    count, found = chance.randint(least, most), dict[str, None]()
    while len(found) < count:
        found[any_text(chance)] = None
    return list(found)


def quantity(chance: random.Random, *, large: bool, bad: bool) -> str:
    """A quantity's text, now and then one that is none."""
    kind = chance.random()
    if bad and kind < 0.06:
        return chance.choice(NO_QUANTITIES)
    if large and kind < 0.2:
        return chance.choice(LARGE)
    if kind < 0.35:
        return f"{chance.choice(('', '-'))}{chance.randrange(10 ** chance.randint(1, 12))}"
    if kind < 0.5:
        return f"{chance.randrange(10**6)}.{chance.randrange(10**12):012}"
    return chance.choice(QUANTITIES)


def moment(chance: random.Random, *, bad: bool) -> str:
    """A time's text, now and then a rare one or one that is none."""
    kind = chance.random()
    if bad and kind < 0.04:
        return chance.choice(NO_TIMES)
    if bad and kind < 0.05:
        return chance.choice(EDGE_TIMES)
    if kind < 0.1:
        return chance.choice(ODD_TIMES)
    if kind < 0.6:
        return chance.choice(TIMES)
    day, clock = f"2024-02-{chance.randint(1, 29):02}", f"{chance.randrange(24):02}:{chance.randrange(60):02}:00"
    return f"{day}T{clock}{chance.choice(('Z', '.5Z', '+05:30', '.000001Z'))}"
