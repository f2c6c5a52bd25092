"""From texts and numbers to DECIMALs: exactly or not at all, whatever way a text takes through the SQL (R4, R5)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering_duck import aggregate, exact, meter
from tests.worlds import CLOCK

NASTY = (
    "", " ", " 7", "7 ", "7\n", "\t7", "1\t", "\u00a07", "7\u00a0", "1\x0b", "1\0", "\x001", "- 1", "1 000",
    "1_000", "_1", "1_", "1__0", "1,5", "1'000", "1:", "1/", "1;", "1-", "1+", "x", "0x10", "1f", "1d", "true", "NULL",
    "1e3", "1E-3", "1e+3", "1e", "e1", "1e1.5", "1e 3", "5e-19", "5e-18", "0e99", "0e-99", "1e20", "1e19", "10e18",
    "100000e15", "0.00001e24", "1e9223372036854775808", "1e-9223372036854775809",
    "+5", "++5", "+", "-", "--1", "+-1", "-+1", "-0", "+0", "-0.0",
    ".5", "5.", ".", "-.5", "+.5", "-5.", "..5", "5..", "1.2.3", ".e1", "5.e1", ".5e1", "1.", "1.0", "100",
    "٣", "１", "²", "½", "1٣", "1.٣", "NaN", "nan", "Infinity", "-inf", "infinity",
    "1.1234567890123456780", "1.12345678901234567800000", "1.1234567890123456789", "0.0000000000000000010",
    "0.0000000000000000001", "0." + "0" * 40, "0." + "0" * 40 + "1", "1." + "0" * 40, "." + "0" * 19,
    "0" * 25 + "7", "-" + "0" * 25 + "7.50", "0" * 40, "0" * 60 + "1", "0" * 25 + "." + "0" * 25, "1" + "0" * 20,
    "9" * 20, "9" * 21, "9" * 38, "9" * 39, "9" * 20 + "." + "9" * 18, "-" + "9" * 20 + "." + "9" * 18,
    "9" * 20 + "." + "9" * 19, "12345678901234567890.123456789012345678",
)  # fmt: skip
TYPES = ((38, 18), (38, 0), (38, 38), (9, 2), (18, 18), (20, 0), (1, 0), (1, 1), (38, 19))
LETTERS = st.text(alphabet="0123456789012345678900..-+eE_ ,\t\n٣x", max_size=45)
NUMBERS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(("", "", "-", "+")),
    st.text(alphabet="0019", max_size=24),
    st.one_of(st.just(""), st.text(alphabet="0019", max_size=24).map(".{}".format)),
    st.sampled_from(("", "", "", "e0", "E2", "e-2", "e+17", "e-18", "e20")),
)


def parsed(text: str, precision: int, scale: int) -> Decimal | None:
    """What Python's own arithmetic makes of a text."""
    try:
        return exact.parse(text, precision=precision, scale=scale)
    except ValueError:
        return None


def metered(values: pa.Array, precision: int, scale: int, *, copies: int = 1) -> list[Decimal | None]:
    """What becomes of each value, and, of each of several measurements that take it, the same."""
    numbers = range(len(values))
    table = pa.table(
        {
            "id": [f"{n:05}" for n in numbers],
            **{name: [name] * len(values) for name in ("workspace_id", "universe_id", "type", "subject")},
            "time": ["2024-01-01T00:00:00Z"] * len(values),
            "q": values,
        }
    )
    kind = {"sourceProperty": "q", "precision": precision, "scale": scale}
    config = {"measurements": [{**kind, "unit": f"unit {n}"} for n in range(copies)]}
    with meter(table, config, clock=CLOCK) as result:
        found: dict[str, set[Decimal]] = {}
        for row in result.to_dicts():
            found.setdefault(row["source_event_id"], set()).add(row["quantity"])
        rejected = {row["id"] for row in result.rejects.to_pylist()}
    assert {f"{n:05}" for n in numbers} == found.keys() | rejected
    assert set() == found.keys() & rejected
    assert {1} | {len(each) for each in found.values()} == {1}
    return [next(iter(found[f"{n:05}"])) if f"{n:05}" in found else None for n in numbers]


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize(("precision", "scale"), TYPES, ids=str)
@pytest.mark.parametrize("copies", [1, 3])
def test_nasty_texts_are_what_python_makes_of_them(precision: int, scale: int, copies: int) -> None:
    """Plain digits, other spellings and what is none: the DECIMAL or the reject that exact.parse gives, each alone or
    parsed once for several measurements."""
    expected = [parsed(text, precision, scale) for text in NASTY]
    found = metered(pa.array(NASTY), precision, scale, copies=copies)

    assert dict(zip(NASTY, expected, strict=True)) == dict(zip(NASTY, found, strict=True))


@pytest.mark.slow
@settings(max_examples=6)
@given(st.lists(st.one_of(LETTERS, NUMBERS, st.sampled_from(NASTY)), min_size=50, max_size=300), st.sampled_from(TYPES))
def test_any_text_is_what_python_makes_of_it(texts: list[str], kind: tuple[int, int]) -> None:
    """Texts drawn from the letters of numbers, and from what is almost a number."""
    assert [parsed(text, *kind) for text in texts] == metered(pa.array(texts, pa.string()), *kind)


@pytest.mark.slow
@pytest.mark.parametrize("aggregation", ["sum", "latest", "time-weighted-avg", "p50"])
def test_one_bad_text_among_plain_ones_is_alone_rejected(aggregation: str) -> None:
    """What is looked at again because of another row keeps its value (R3)."""
    texts = ["1", "2.5", "1e1", " 7", "+5", "0" * 30 + "3", "1_0"]
    events = [
        {
            "id": str(n), "workspace_id": "w", "universe_id": "u", "type": "t", "subject": str(n),
            "time": "2024-01-01T00:00:00Z", "q": text, "r": "1e0",
        }
        for n, text in enumerate(texts)
    ]  # fmt: skip
    config = {"measurements": [{"sourceProperty": p, "unit": p, "aggregation": aggregation} for p in ("q", "r")]}
    with aggregate(events, config, start="2024-01-01", end="2024-01-02", clock=CLOCK) as result:
        found = {row["subject"]: row["quantity"] for row in result.to_dicts() if row["unit"] == "q"}

    expected = {"0": 1, "1": Decimal("2.5"), "2": 10, "4": 5, "5": 3}
    assert expected == found


# --- numbers ---------------------------------------------------------------------------------------------------------

INTEGERS = {
    f"{sign}int{bits}": (0 if sign else -(2 ** (bits - 1)), 2 ** (bits if sign else bits - 1) - 1)
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
MAKE: dict[str, Callable[[], pa.Array]] = {
    **{
        name: lambda name=name, ends=ends: pa.array([*ends, 0, 1, 7, 100, None], getattr(pa, name)())
        for name, ends in INTEGERS.items()
    },
    **{
        f"decimal({precision}, {scale})": lambda p=precision, s=scale: decimals(p, s)
        for precision, scale in (*TYPES, (4, 1), (19, 3), (5, 5), (38, 20), (38, 10))
    },
    "bool": lambda: pa.array([True, False, None]),
    "double": lambda: pa.array([0.1, 1.5, -0.0, 1e3, 1e25, 1e-7, float("nan"), float("inf"), None]),
    "float": lambda: pa.array([1.5, -2.25, 0.0, None], pa.float32()),
}


def decimals(precision: int, scale: int) -> pa.Array:
    """The largest, the smallest and some others of a DECIMAL."""
    digits = [
        "9" * precision,
        "-" + "9" * precision,
        "0",
        "1",
        "-1",
        "5" + "0" * (precision - 1),
        "12"[: min(precision, 2)],
    ]
    values = [Decimal(f"{d}E-{scale}") for d in digits]
    return pa.array([*values, None], pa.decimal128(precision, scale))


def as_texts(values: pa.Array) -> pa.Array:
    """Each number as plain text."""

    def text(value: Any) -> str | None:
        if isinstance(value, bool):
            return "true" if value else "false"
        return None if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)

    return pa.array([text(value) for value in values.to_pylist()], pa.string())


@pytest.mark.slow
@pytest.mark.sampled(14)
@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize(("precision", "scale"), [(38, 18), (9, 2), (20, 0)], ids=str)
def test_numbers_are_what_their_texts_are(kind: str, precision: int, scale: int) -> None:
    """A column of numbers, whether every one fits the measurement or not, gives what the same digits give as text."""
    values = MAKE[kind]()

    assert metered(as_texts(values), precision, scale) == metered(values, precision, scale)


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize("copies", [2, 3])
@pytest.mark.parametrize("kind", ["int64", "decimal(38, 18)", "decimal(38, 20)"])
def test_numbers_that_several_take_are_the_same(kind: str, copies: int) -> None:
    """Several measurements of one number take the same quantity, cast or parsed."""
    values = MAKE[kind]()

    assert metered(as_texts(values), 38, 18, copies=copies) == metered(values, 38, 18, copies=copies)


def told(table: pa.Table, config: dict[str, Any]) -> Any:
    """Readings, rejects and books."""
    with aggregate(table, config, start="2024-01-01", end="2024-02-01", clock=CLOCK) as result:
        rejects = [{k: v for k, v in row.items() if k != "file"} for row in result.rejects.to_pylist()]
        return result.to_dicts(), rejects, result.accounting.to_dict()


@pytest.mark.slow
def test_numbers_of_several_types_and_entries_are_what_their_texts_are() -> None:
    """Entries that take one unit from columns of different numbers, filters, sums of properties, conversions, counts of
    texts and dimensions see the digits that the texts have."""
    count = 8
    numbers = {
        "a": pa.array(range(count), pa.int16()),
        "b": pa.array([Decimal(f"{n}E-18") for n in range(count)], pa.decimal128(18, 18)),
        "c": pa.array([Decimal("99999999999999999999") - n for n in range(count)], pa.decimal128(20, 0)),
        "d": pa.array([2**64 - 1 - n if n != 3 else None for n in range(count)], pa.uint64()),
    }
    fields = {
        "id": [f"e{n}" for n in range(count)],
        "workspace_id": ["w"] * count,
        "universe_id": ["u"] * count,
        "type": [("x", "y")[n % 2] for n in range(count)],
        "subject": ["c"] * count,
        "time": [f"2024-01-0{n + 1}T00:00:00Z" for n in range(count)],
    }
    large = {"property": "a", "gt": "2"}
    config = {
        "entries": [
            {
                "type": "x",
                "measurements": [
                    {"sourceProperty": "b", "unit": "one", "aggregation": "max"},
                    {"sourceProperty": "a", "unit": "level", "aggregation": "time-weighted-avg"},
                    {"sourceProperty": ["a", "b"], "unit": "both", "aggregation": "sum"},
                    {"sourceProperty": "a", "unit": "thirds", "aggregation": "sum", "divide": "3"},
                ],
            },
            {
                "type": "y",
                "measurements": [
                    {"sourceProperty": "c", "unit": "one", "aggregation": "max"},
                    {"sourceProperty": "d", "unit": "level", "aggregation": "time-weighted-avg"},
                    {"sourceProperty": "c", "unit": "kinds", "aggregation": "unique-count"},
                    {"sourceProperty": "a", "unit": "large", "aggregation": "sum", "filter": large},
                ],
            },
        ]
    }
    texts = {name: as_texts(values) for name, values in numbers.items()}

    assert told(pa.table(fields | texts), config) == told(pa.table(fields | numbers), config)


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", ["int32", "uint64", "decimal(38, 18)", "decimal(9, 2)", "double"])
def test_quantities_of_records_may_be_numbers(kind: str) -> None:
    """Records whose quantity is a number column give the readings and rejects of those with its text."""
    values = MAKE[kind]()
    numbers = range(len(values))
    fields = {
        "id": [f"r{n}" for n in numbers],
        "workspace_id": ["w"] * len(values),
        "universe_id": ["u"] * len(values),
        "subject": [f"c{n}" for n in numbers],
        "unit": ["x"] * len(values),
        "recorded_at": ["2024-01-01T00:00:00Z"] * len(values),
        "source_event_id": [f"e{n}" for n in numbers],
    }
    found = []
    for column in (as_texts(values), values):
        table = pa.table({**fields, "quantity": column})
        for name in ("sum", "final-state"):
            with aggregate(
                records=table, aggregation=name, start="2024-01-01", end="2024-02-01", clock=CLOCK
            ) as result:
                rejects = [{k: v for k, v in row.items() if k != "file"} for row in result.rejects.to_pylist()]
                found.append((result.to_dicts(), rejects, result.accounting.to_dict()))

    assert found[:2] == found[2:]


def test_one_property_in_two_decimals_is_parsed_for_each() -> None:
    """Measurements that share a property share its parsing only where they also share its DECIMAL, whatever applies."""
    chosen = [("a", "1", 2), ("b", "2", 2), ("c", "3", 4), ("d", "4", 4)]
    measurements = [
        {
            "sourceProperty": "q",
            "unit": unit,
            "aggregation": "sum",
            "precision": 20,
            "scale": scale,
            "filter": {"property": "region", "equals": region},
        }
        for unit, region, scale in chosen
    ]
    event = {"workspaceID": "w", "universeID": "u", "type": "t", "subject": "s", "time": "2024-01-02T00:00:00Z"}
    events = [{**event, "id": unit, "properties": {"q": "0.25", "region": region}} for unit, region, _ in chosen]
    with aggregate(events, {"measurements": measurements}, start="2024-01-01", end="2024-02-01") as result:
        found = {row["unit"]: row["quantity"] for row in result.to_dicts()}
        assert 0 == result.accounting.rejected

    assert dict.fromkeys("abcd", Decimal("0.25")) == found
