"""Quantities: from a column of texts to a DECIMAL column, exactly or not at all (R4, R5); pure text.

projected → plain → respelled → quantified
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metering_duck.decimals.columns import DecimalType
from metering_duck.judging.slots import Slot
from metering_duck.statements.select import case, select
from metering_duck.statements.stages import Stage


@dataclass(frozen=True)
class Parsed:
    """What becomes the column `value`: the texts in the column `text`, or the exact numbers in the column `number`.

    Where several measurements take one property, it is parsed once, out of the column `source`: `takers` says which
    columns take the value, and when.
    """

    text: str
    value: str
    decimal: DecimalType
    number: str = ""
    source: str = ""
    takers: tuple[tuple[str, str], ...] = ()


def parsed_once(column: str, number: int, decimal: DecimalType, users: Sequence[tuple[str, Slot]]) -> Parsed:
    """What becomes the value of each of its users, a text of a slot, which all take one property as one DECIMAL.

    The property is in `column`; a single user has a text of its own already.
    """
    (text, _), *others = users
    if not others:
        return Parsed(f"q_{text}", f"v_{text}", decimal)
    takers = tuple((f"v_{text}", f"a_{slot.index}") for text, slot in users)
    of = f"{column}_{number}"
    return Parsed(f"q_of_{of}", f"v_of_{of}", decimal, source=column, takers=takers)


def quantified_stages(parsed: Sequence[Parsed]) -> list[Stage]:
    """Plain digits that fit are cast; other spellings are first written plainly; the rest is NULL."""
    why = _why(parsed)
    taken = {column: case({when: one.value}) for one in parsed for column, when in one.takers}
    name = "parsed_once" if taken else "quantified"
    plain = select({one.value: _plain_sql(one) for one in parsed}, "projected", star="*")
    texts = [one for one in parsed if not one.number]
    stages = _respelled_stages(plain, texts, why, name) if texts else [Stage(name, why, plain)]
    if taken:
        why = "the quantity of a property that several measurements take, for each of them where it applies"
        stages.append(Stage("quantified", why, select(taken, name, star="*")))
    return stages


def told_apart_stage(slots: Sequence[Slot], before: str) -> Stage:
    """The quantities of slots that count which texts there are."""
    ones = {f"v_{s.index}": case({f"q_{s.index} IS NOT NULL": f"CAST(1 AS {s.decimal.sql})"}) for s in slots}
    why = "texts that are told apart count one each: their quantity is 1"
    return Stage("told_apart", why, select(ones, before, star="*"))


def _why(parsed: Sequence[Parsed]) -> str:
    """Why quantities are looked at, by what the input has: texts, numbers, or neither."""
    if not parsed:
        return "no text is a quantity: events count one each, or which texts there are is measured"
    if all(one.number for one in parsed):
        return "each quantity as a DECIMAL: the input has exact numbers, and each of them fits (R5)"
    return "each quantity's text as a DECIMAL, exactly or not at all (R4, R5): first the texts of plain digits"


def _respelled_stages(plain: str, texts: Sequence[Parsed], why: str, name: str) -> list[Stage]:
    left = " OR ".join(f"({one.text} IS NOT NULL AND {one.value} IS NULL AND is_quantity({one.text}))" for one in texts)
    listed = ", ".join(one.text for one in texts)
    respelled = case({left: f"list_transform([{listed}], lambda t: quantity_respelled(t))"}, "CAST([] AS VARCHAR[])")
    exact = ", ".join(
        f"coalesce({one.value}, {_respelled_sql(n, one.decimal)}) AS {one.value}" for n, one in enumerate(texts)
    )
    return [
        Stage("plain", why, plain),
        Stage(
            "respelled",
            "quantities in other spellings, such as 1e3, written in plain digits",
            select({"respelled": respelled}, "plain", star="*"),
            ("respelled[N] is the Nth of the texts that are listed here, NULL where that is no quantity.",),
        ),
        Stage(
            name,
            "the quantities in other spellings as DECIMALs too, where they fit",
            select({}, "respelled", star=f"* EXCLUDE (respelled) REPLACE ({exact})"),
        ),
    ]


def _plain_sql(one: Parsed) -> str:
    if one.number:
        return f"CAST({one.number} AS {one.decimal.sql})"
    return case({f"is_plain_number({one.text}, {one.decimal.scale})": f"TRY_CAST({one.text} AS {one.decimal.sql})"})


def _respelled_sql(place: int, decimal: DecimalType) -> str:
    """A respelled text has no zero that says nothing, so that its digits can be counted."""
    whole, fraction, text = max(decimal.integer_digits, 1), decimal.scale, f"respelled[{place + 1}]"
    digits = f"-?[0-9]{{1,{whole}}}" + (f"(\\.[0-9]{{1,{fraction}}})?" if fraction else "")
    return case({f"regexp_full_match({text}, '{digits}')": f"TRY_CAST({text} AS {decimal.sql})"})
