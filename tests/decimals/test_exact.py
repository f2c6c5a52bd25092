"""metering_duck.exact against Fraction, SQL against Python, and sums and averages at the ends of their range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal, localcontext
from fractions import Fraction
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import metering_duck
from metering_duck import QuantityOverflow, exact
from metering_duck.decimals.quotients import steps_sql
from metering_duck.rollups.combining import STEPS
from metering_duck.statements.select import select
from metering_duck.statements.stages import Stage, load_stage, load_text
from tests import oracle
from tests.worlds import CLOCK, Event, event, measuring

TOP = Decimal("99999999999999999999.999999999999999999")
BOTTOM = TOP.copy_negate()
TINY = Decimal("0.000000000000000001")
CENTURIES = ("1800-01-01T00:00:00Z", "2100-01-01T00:00:00Z")

signs = st.sampled_from(("", "+", "-"))
digits = st.text("0123456789", max_size=45)
exponents = st.one_of(
    st.just(""),
    st.integers(-45, 45).map(lambda power: f"e{power}"),
    st.sampled_from(("E+07", "e-0", "e00000000000000000000001", "e999999999999999999999", "E-999999999999999999999")),
)
spelled = st.builds("{}{}{}{}{}".format, signs, digits, st.sampled_from(("", ".")), digits, exponents)
nonsense = st.sampled_from(
    ("", ".", "-", "e1", "1e", "1_000", " 1", "1 ", "1,5", "0x1", "NaN", "-Infinity", "١", "1\n", "1\0")
)
quantity_texts = st.one_of(spelled, nonsense, st.text(max_size=5))
shapes = st.sampled_from(((38, 18), (38, 0), (38, 38), (10, 2), (1, 0), (1, 1)))
integers_38 = st.one_of(
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.integers(-3, 3),
    st.sampled_from((10**38 - 1, -(10**38) + 1, 10**37, 5 * 10**17, -5 * 10**18, 10**18 + 1)),
)
wide = integers_38.map(lambda unscaled: exact.quotient(unscaled, 10**18))


@pytest.fixture(scope="module")
def sql() -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory DuckDB with the macros of sql/functions.sql."""
    with duckdb.connect(":memory:", config={"python_enable_replacements": "false"}) as connection:
        connection.execute(load_text("functions"))
        yield connection


def run_stage(
    connection: duckdb.DuckDBPyConnection, stage: Stage, table: str, rows: Sequence[Sequence[Any]], columns: str
) -> list[dict[str, Any]]:
    """A stage's rows over one table; values are given as text, so that no digit goes through a float."""
    names = [column.split(" ")[0] for column in columns.split(", ")]
    given_rows = pa.table({name: pa.array([str(row[n]) for row in rows], pa.string()) for n, name in enumerate(names)})
    connection.register("given_rows", given_rows)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} ({columns})")
    connection.execute(f"INSERT INTO {table} SELECT * FROM given_rows")
    return connection.sql(stage.sql).to_arrow_table().to_pylist()


# --- parse, format, round --------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=400)
@given(quantity_texts, shapes)
def test_parse_equals_the_oracle(text: str, shape: tuple[int, int]) -> None:
    """A text is the exact Decimal that it spells, or refused with the oracle's reason, in every DECIMAL (R4, R5)."""
    precision, scale = shape
    expected = oracle.quantity_of(text, precision, scale)
    try:
        actual: Fraction | str = Fraction(exact.parse(text, precision=precision, scale=scale))
    except ValueError as error:
        actual = str(error).split(":")[0]
    assert expected == actual


@settings(max_examples=8)
@given(st.lists(quantity_texts, min_size=60, max_size=60), shapes)
def test_sql_and_python_parse_alike(sql: duckdb.DuckDBPyConnection, texts: list[str], shape: tuple[int, int]) -> None:
    """quantity_fault and quantity_plain say of every text what exact.parse and exact.format say."""
    precision, scale = shape
    expected = []
    for text in texts:
        try:
            expected.append((None, exact.format(exact.parse(text, precision=precision, scale=scale))))
        except ValueError as error:
            expected.append((str(error).split(":")[0], None))
    sql.register("texts", pa.table({"n": range(len(texts)), "text": pa.array(texts, pa.string())}))
    plain = f"quantity_fault(text, {precision - scale}, {scale})"
    query = f"SELECT {plain}, CASE WHEN {plain} IS NULL THEN quantity_plain(text) END FROM texts ORDER BY n"
    assert expected == sql.sql(query).fetchall()


@settings(max_examples=300)
@given(integers_38, st.integers(0, 38))
def test_format_is_plain_and_parses_back(unscaled: int, scale: int) -> None:
    """Formatted text has no exponent, no idle zero and no -0, and parses to the very same number (R17)."""
    quantity = exact.quotient(unscaled, 10**scale, scale=scale)
    text = exact.format(quantity)
    assert Fraction(unscaled, 10**scale) == Fraction(text)
    assert quantity == exact.parse(text, precision=38, scale=scale)
    assert not set("eE+") & set(text)
    assert text == "0" or text.lstrip("-").startswith("0.") or text.lstrip("-")[0] != "0"
    assert text != "-0"
    assert not ("." in text and text.endswith(("0", ".")))


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        (Decimal("-0.000"), "0"),
        (Decimal("1E+3"), "1000"),
        (Decimal("100"), "100"),
        (Decimal("-1.50"), "-1.5"),
        (-7, "-7"),
        (TINY, "0.000000000000000001"),
        (TOP, "99999999999999999999.999999999999999999"),
    ],
)
def test_format_writes_what_people_expect(quantity: Decimal | int, expected: str) -> None:
    """Zeros that mean something stay, the others go (R17)."""
    assert expected == exact.format(quantity)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.fractions(max_denominator=10**12), st.integers(-3, 30))
def test_round_half_even_equals_the_oracle(value: Fraction, scale: int) -> None:
    """Rounding is to the nearest, and of two nearest to the even one, once (R16)."""
    power = Fraction(10) ** scale
    assert round(value * power) / power == Fraction(exact.round_half_even(value, scale))


@pytest.mark.parametrize(
    ("text", "expected"), [("0.5", "0"), ("1.5", "2"), ("2.5", "2"), ("-0.5", "0"), ("-1.5", "-2"), ("2.5000001", "3")]
)
def test_halves_go_to_the_even_digit(text: str, expected: str) -> None:
    """A half is rounded to the even neighbour, on both sides of zero, and anything beyond a half is not a half."""
    assert expected == exact.format(exact.round_half_even(Decimal(text), 0))


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity")])
def test_what_is_not_finite_is_refused(value: Decimal) -> None:
    """NaN and infinity are no quantities, whatever type they have."""
    with pytest.raises(ValueError, match="quantity-syntax"):
        exact.format(value)
    with pytest.raises(ValueError, match="quantity-syntax"):
        exact.round_half_even(value)


@pytest.mark.parametrize("call", [exact.format, exact.round_half_even, lambda value: exact.quotient(value, 2)])
def test_a_float_is_refused(call: Any) -> None:
    """A float has lost its digits already, so none is let in."""
    with pytest.raises(TypeError, match="float"):
        call(0.1)


def test_the_callers_decimal_context_changes_nothing() -> None:
    """A context of three digits that rounds down gives the same answers as any other."""

    def answers() -> list[str]:
        parts = exact.allocate(Decimal("10.01"), [1, 2])
        return [str(exact.parse("1234.5678")), str(exact.quotient(Decimal(2), Decimal(3))), *map(str, parts)]

    expected = answers()
    with localcontext() as context:
        context.prec, context.rounding = 3, ROUND_DOWN
        assert expected == answers()


# --- quotients -------------------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(integers_38, st.integers(1, 10**19), st.integers(0, 38), st.integers(1, 40))
def test_quotient_equals_the_oracle(numerator: int, denominator: int, scale: int, digits: int) -> None:
    """A quotient is rounded once, to a scale or to significant digits (R15, R16)."""
    value = Fraction(numerator, denominator)
    assert oracle.rounded(value, scale) == Fraction(exact.quotient(numerator, denominator, scale=scale))
    assert oracle.significant(value, digits) == Fraction(exact.quotient(numerator, denominator, digits=digits))
    assert oracle.rounded(value) == Fraction(exact.quotient(numerator, denominator))


def test_quotient_refuses_what_has_no_answer() -> None:
    """Nothing is divided by zero, and a scale and significant digits are not asked for together."""
    with pytest.raises(ZeroDivisionError):
        exact.quotient(1, 0)
    with pytest.raises(ValueError, match="scale and digits"):
        exact.quotient(1, 3, scale=2, digits=2)


numerators = st.tuples(
    integers_38.flatmap(lambda level: st.integers(1, 10**16).map(lambda held: level * held)),
    st.integers(1, 10**16),
    st.sampled_from((18, 0, 2, 38)),
    st.sampled_from((18, 0, 2, 20)),
    st.integers(1, 34),
)


halves = st.builds(
    lambda odd, half, scale: ((2 * odd + 1) * half, 2 * half, scale, scale, max(len(str(abs(10 * odd + 5))) - 1, 1)),
    st.integers(-(10**17), 10**17) | st.integers(-9, 9),
    st.integers(1, 10**16) | st.just(1),
    st.sampled_from((18, 0, 2)),
)


def in_parts(numerator: int, base: int) -> tuple[int, int]:
    """A numerator as high × base + low, both of its sign."""
    high, low = divmod(abs(numerator), base)
    return (-high, -low) if numerator < 0 else (high, low)


@pytest.mark.slow
@settings(max_examples=10)
@given(st.lists(numerators | halves, min_size=40, max_size=40))
def test_sql_and_python_divide_alike(
    sql: duckdb.DuckDBPyConnection, cases: list[tuple[int, int, int, int, int]]
) -> None:
    """divided, averages and significant.sql give exact.quotient's answer wherever it fits 38 digits (R15, R16)."""
    rows, expected, significant = [], [], []
    for numerator, divisor, scale, result_scale, digits in cases:
        quotient = exact.quotient(Fraction(numerator, 10**scale), divisor, scale=result_scale)
        if abs(numerator) // divisor >= 10**38 or abs(Fraction(quotient)) >= 10 ** (38 - result_scale):
            continue
        rows.append((*in_parts(numerator, 10**19), 10**19, divisor, scale, result_scale, "half-even"))
        expected.append(int(Fraction(quotient) * 10**result_scale))
        significant.append(
            (digits, exact.format(exact.quotient(Fraction(numerator, 10**scale), divisor, digits=digits)))
        )
    columns = "high HUGEINT, low HUGEINT, base HUGEINT, divisor HUGEINT"
    columns += ", scale INTEGER, result_scale INTEGER, rounding VARCHAR"
    division = load_stage("divided")
    run_stage(sql, division, "numerators", rows, columns)
    steps = select(steps_sql(*STEPS), f"(\n{division.sql}\n)", star="*")
    sql.execute(f"CREATE OR REPLACE TEMP TABLE divided AS {steps}")
    found = sql.sql(load_stage("averages").sql).to_arrow_table().to_pylist()
    assert expected == [int(row["rounded"]) for row in found]
    names = ("negative", "quotient", "remainder", "divisor", "scale")
    columns = "negative BOOLEAN, quotient HUGEINT, remainder HUGEINT, divisor HUGEINT, scale INTEGER, digits INTEGER"
    divided = [
        (*(int(row[name]) for name in names), digits) for row, (digits, _) in zip(found, significant, strict=True)
    ]
    found = run_stage(sql, load_stage("significant"), "divided", [(bool(row[0]), *row[1:]) for row in divided], columns)
    assert [text for _, text in significant] == [row["significant"] for row in found]


# --- splitting -------------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(wide, st.lists(st.integers(0, 10**12), min_size=1, max_size=8).filter(any))
def test_parts_add_up_to_the_whole(total: Decimal, weights: list[int]) -> None:
    """Parts add up exactly, each is its share cut or one digit more, and those with most claim have more (R26)."""
    parts = list(map(Fraction, exact.allocate(total, weights)))
    sign = -1 if total < 0 else 1
    shares = [abs(Fraction(total)) * weight / sum(weights) * 10**18 for weight in weights]
    units = [sign * part * 10**18 for part in parts]
    assert Fraction(total) == sum(parts)
    more = [unit - share.numerator // share.denominator for unit, share in zip(units, shares, strict=True)]
    assert set(more) <= {0, 1}
    claims = [(-(share % 1), place) for place, share in enumerate(shares)]
    assert sorted(claims)[: int(sum(more))] == sorted(claim for claim, extra in zip(claims, more, strict=True) if extra)


@pytest.mark.parametrize(
    ("total", "weights", "problem"),
    [
        (Decimal(1), [], "weights"),
        (Decimal(1), [0, 0], "weights"),
        (Decimal(1), [2, -1], "weights"),
        (Decimal("0.001"), [1], "total"),
    ],
)
def test_what_cannot_be_split_is_refused(total: Decimal, weights: list[int], problem: str) -> None:
    """No weight, none above zero, a negative one, or a total finer than the parts: each is named."""
    with pytest.raises(ValueError, match=f"^{problem}: found"):
        exact.allocate(total, weights, scale=2)


splits = st.lists(
    st.tuples(wide, st.lists(st.integers(0, 10**17), min_size=1, max_size=6).filter(any)), min_size=10, max_size=10
)


@settings(max_examples=5)
@given(splits)
def test_columns_are_split_as_lists_are(cases: list[tuple[Decimal, list[int]]]) -> None:
    """allocate_column gives each split the parts of allocate, ties to the smaller part_key (R26)."""
    rows = [
        {"split_id": f"{n}", "part_key": f"{place}", "total": total, "weight": weight}
        for n, (total, weights) in enumerate(cases)
        for place, weight in enumerate(weights)
    ]
    kinds = {"split_id": pa.string(), "part_key": pa.string(), "total": pa.decimal128(38, 18), "weight": pa.int64()}
    expected = [
        {"split_id": f"{n}", "part_key": f"{place}", "part": part}
        for n, (total, weights) in enumerate(cases)
        for place, part in enumerate(exact.allocate(total, weights))
    ]
    actual = exact.allocate_column(pa.Table.from_pylist(rows[::-1], pa.schema(kinds.items())))
    assert expected == actual.to_pylist()
    assert pa.decimal128(38, 18) == actual.schema.field("part").type


# --- the ends of the range -------------------------------------------------------------------------------------------


def events_of(quantities: Sequence[Any], times: Sequence[str], subject: str = "customer:1") -> list[Event]:
    """One event for each quantity and time."""
    whose = {"workspace": "w1", "universe": "production", "type": "seat", "subject": subject}
    texts = [quantity if isinstance(quantity, str) else exact.format(quantity) for quantity in quantities]
    return [
        event(f"{subject}-{n:05}", time, {"q": text}, **whose)
        for n, (text, time) in enumerate(zip(texts, times, strict=True))
    ]


def expect(events: list[Event], config: Event, **options: Any) -> list[oracle.Row]:
    """The engine's readings, after they were found to be the oracle's."""
    books = oracle.meter(events, config, clock=CLOCK)
    assert len(books.records) == len(events) * len(config["measurements"])
    expected = oracle.readings(books.records, **options)
    with metering_duck.aggregate(events, config, clock=CLOCK, **options) as result:
        actual = [oracle.plain_reading(row) for row in result.to_dicts()]
    assert oracle.in_order(expected) == oracle.in_order(actual)
    return actual


@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.parametrize("level", [TOP, BOTTOM, TINY, -TINY])
def test_the_extremes_hold_for_three_centuries(level: Decimal) -> None:
    """The largest and smallest levels of DECIMAL(38, 18), held for three centuries of microseconds, are exact (R15)."""
    events = events_of([level], [CENTURIES[0]])
    readings = expect(events, measuring(*oracle.GAUGES), start=CENTURIES[0], end=CENTURIES[1])
    assert {Fraction(level)} == {reading["quantity"] for reading in readings}
    late = (datetime(2100, 1, 1, tzinfo=UTC) - timedelta(microseconds=7)).isoformat()
    events = events_of([level, level.copy_negate()], ["1799-01-01T00:00:00Z", late])
    expect(events, measuring(*oracle.GAUGES), start=CENTURIES[0], end=CENTURIES[1])


@pytest.mark.slow
@settings(max_examples=3)
@given(st.lists(st.tuples(wide, st.integers(0, 9_467_020_800_000_000)), min_size=60, max_size=60))
def test_averages_over_the_whole_range_equal_the_oracle(levels: list[tuple[Decimal, int]]) -> None:
    """Levels of any size and sign, changing at any microsecond, average without overflow, down to each digit (R15)."""
    first = datetime(1800, 1, 1, tzinfo=UTC)
    times = [(first + timedelta(microseconds=moment)).isoformat() for _, moment in levels]
    events = events_of([level for level, _ in levels], times)
    expect(events, measuring("time-weighted-avg", "min-state"), start=CENTURIES[0], end=CENTURIES[1])


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("precision", "scale", "quantities"),
    [
        (38, 0, ["9" * 38, "-" + "9" * 38, "1", "-7"]),
        (38, 38, ["0." + "9" * 38, "-0." + "9" * 38, "1e-38", "-7e-38"]),
        (38, 37, ["9." + "9" * 37, "-9." + "9" * 37, "1e-37", "-7e-37"]),
        (38, 20, ["9" * 18 + "." + "9" * 20, "-" + "9" * 18 + "." + "9" * 20, "1e-20", "-7e-20"]),
        (10, 2, ["99999999.99", "-99999999.99", "0.01", "-0.07"]),
        (1, 0, ["9", "-9", "1", "-7"]),
    ],
)
def test_other_decimals_are_exact_too(precision: int, scale: int, quantities: list[str]) -> None:
    """Every aggregation is exact in the DECIMAL that a measurement declares, at its extremes (R5, R15)."""
    times = [CENTURIES[0], "1850-03-01T00:00:00.000001Z", "1900-01-01T00:00:00Z", "2099-12-31T23:59:59.999999Z"]
    counters = measuring("sum", "max", "min", "latest", precision=precision, scale=scale)
    gauges = measuring(*oracle.GAUGES, precision=precision, scale=scale)
    options = {"start": CENTURIES[0], "end": CENTURIES[1], "scale": scale}
    expect(events_of(quantities, times), counters, **options)
    expect(events_of(quantities, times), gauges, **options)


@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.parametrize("text", ["100000000", "0.001", "1e8", "99999999.999"])
def test_a_narrow_decimal_rejects_what_does_not_fit(text: str) -> None:
    """Text that DECIMAL(10, 2) cannot hold exactly rejects its event, and is never rounded into it (R5)."""
    events = events_of([text], ["2024-01-15T00:00:00Z"])
    config = measuring("sum", precision=10, scale=2)
    with metering_duck.meter(events, config, clock=CLOCK) as result:
        assert result.to_dicts() == []
        assert [oracle.quantity_of(text, 10, 2)] == [row["reason"] for row in result.rejects.to_pylist()]


@pytest.mark.slow
def test_a_sum_may_pass_38_digits_on_its_way() -> None:
    """A sum that fits is right, however far its partial sums leave the DECIMAL, and whatever the order (R18, R23)."""
    quantities = [TOP, TOP, TOP, BOTTOM, BOTTOM, Decimal("-0.123"), -TINY]
    times = ["2024-01-15T00:00:00Z"] * len(quantities)
    expected = Fraction(TOP) - Fraction("0.123") - Fraction(TINY)
    for turn in range(0, len(quantities), 3):
        events = events_of(quantities[turn:] + quantities[:turn], times)
        (reading,) = expect(events, measuring("sum"), start="2024-01-01T00:00:00Z", end="2024-02-01T00:00:00Z")
        assert expected == reading["quantity"]


def test_a_sum_of_two_measurements_may_pass_38_digits_on_its_way() -> None:
    """Measurements with one unit are added without overflow where their sum fits (R18)."""
    events = events_of([TOP, TOP], ["2024-01-15T00:00:00Z"] * 2)
    events = [{**event, "properties": {**event["properties"], "r": exact.format(BOTTOM)}} for event in events]
    config = {"measurements": [{"sourceProperty": p, "unit": "seats", "aggregation": "sum"} for p in ("q", "r")]}
    (reading,) = expect(events, config, start="2024-01-01T00:00:00Z", end="2024-02-01T00:00:00Z")
    assert reading["quantity"] == 0


@pytest.mark.parametrize("quantities", [[TOP, TINY], [BOTTOM, -TINY]])
def test_a_sum_that_does_not_fit_is_an_error(quantities: list[Decimal]) -> None:
    """A sum beyond its DECIMAL raises, and names the unit, the subject and the window (R18)."""
    fine = events_of([Decimal(1)], ["2024-01-15T00:00:00Z"], "customer:fine")
    events = fine + events_of(quantities, ["2024-01-15T00:00:00Z"] * 2, "customer:9")
    window = {"start": "2024-01-01T00:00:00Z", "end": "2024-02-01T00:00:00Z"}
    with (
        metering_duck.aggregate(events, measuring("sum"), **window) as result,
        pytest.raises(QuantityOverflow) as raised,
    ):
        result.to_arrow()
    named = ("'seats'", "'customer:9'", "[2024-01-01T00:00:00Z, 2024-02-01T00:00:00Z)")
    assert all(name in str(raised.value) for name in named)


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize("aggregation", ["max", "min", "latest", *oracle.GAUGES])
def test_a_result_scale_without_room_is_an_error(aggregation: str) -> None:
    """A quantity that has no room at the scale asked for raises, and is never cut (R18)."""
    events = events_of([TOP], ["2024-01-15T00:00:00Z"])
    window = {"start": "2024-01-15T00:00:00Z", "end": "2024-02-01T00:00:00Z", "scale": 19}
    with metering_duck.aggregate(events, measuring(aggregation), **window) as result, pytest.raises(QuantityOverflow):
        result.to_arrow()


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize("scale", [0, 1, 2, 6, 17, 18, 19, 30])
def test_a_scale_rounds_once_and_keeps_the_exact_value(scale: int) -> None:
    """Any scale rounds half to even, on both sides of zero, with the exact value beside it (R16, R20)."""
    quantities = ["0.5", "1.5", "2.5", "-0.5", "-2.5", "0.25", "-0.35", "1.0000005", "0.000000000000000005", "3"]
    events = [
        event
        for n, quantity in enumerate(quantities)
        for event in events_of([quantity], ["2024-01-15T00:00:00Z"], f"customer:{n}")
    ]
    config = measuring("sum", "max", "time-weighted-avg", "final-state")
    expect(events, config, start="2024-01-15T00:00:00Z", end="2024-01-15T00:00:07Z", scale=scale)


@pytest.mark.slow
@pytest.mark.parametrize("digits", [1, 2, 17, 34])
def test_significant_digits_of_an_average(digits: int) -> None:
    """An average of so many significant digits is rounded once, whatever its size and sign (R16)."""
    levels = ["1", "-2", "0.000000000000000001", exact.format(TOP), "0.15", "0.25", "12345678901234567890.5"]
    events = [
        event
        for n, level in enumerate(levels)
        for event in events_of([level, "0"], ["2024-01-15T00:00:00Z", "2024-01-15T00:00:01Z"], f"customer:{n}")
    ]
    window = {"start": "2024-01-15T00:00:00Z", "end": "2024-01-15T00:00:07Z"}
    expect(events, measuring("time-weighted-avg"), **window, digits=digits)


def test_the_go_references_counterexample_sums_exactly() -> None:
    """1e19, 0.123, −1e19 gives 0.123: an addition is never rounded (the reference, at 34 digits, gives 0 for 1e33)."""
    events = events_of(["1e19", "0.123", "-1e19"], ["2024-01-15T00:00:00Z"] * 3)
    (reading,) = expect(events, measuring("sum"), start="2024-01-01T00:00:00Z", end="2024-02-01T00:00:00Z")
    assert Fraction("0.123") == reading["quantity"]
