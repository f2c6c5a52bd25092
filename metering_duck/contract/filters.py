"""Filters: which events a measurement counts (R2), as a frozen model, and as a SQL condition that is never NULL.

Pure text in, text out. A number is compared exactly, whatever its number of digits: see quantity_key in
sql/functions.sql.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from metering_duck.contract.models import Model, SomeText, Text
from metering_duck.decimals import arithmetic
from metering_duck.errors import cut
from metering_duck.statements.quote import literal
from metering_duck.statements.select import case

DEPTH_MAX = 32
# A quantity (R4) whose exponent has at most 9 digits: a longer exponent could not be compared.
NUMBER_PATTERN = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,9})?$"
_NUMBER = re.compile(NUMBER_PATTERN)


# --- the model -------------------------------------------------------------------------------------------------------


def _is_given(value: object) -> object:
    if value is None:
        raise ValueError('found null; expected a value. hint: "missing": true finds what has no such property')
    return value


def _true(value: object) -> object:
    if value is not True:
        found = cut(json.dumps(value, default=str))
        raise ValueError(f'found {found}; expected true. hint: "missing": true is the opposite of "exists": true')
    return value


def is_number(text: str) -> bool:
    """Whether a text is a quantity that comparisons compare."""
    return _NUMBER.fullmatch(text) is not None


def _number(value: object) -> object:
    """The text of a number; a float is refused, since reading JSON has rounded its digits already."""
    found = cut(json.dumps(value, default=str))
    if isinstance(value, float):
        raise ValueError(f'found {found}; expected a whole number or text. hint: write it in quotes, "{found}"')
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not is_number(text):
        raise ValueError(f'found {found}; expected a number such as "1.5", its exponent of at most 9 digits')
    return text


T = TypeVar("T")
Given = Annotated[T | None, BeforeValidator(_is_given)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]
Yes = Annotated[Literal[True], BeforeValidator(_true)]
_NUMBER_SCHEMA = {"type": ["integer", "string"], "pattern": NUMBER_PATTERN}
Number = Annotated[str, BeforeValidator(_number), WithJsonSchema(_NUMBER_SCHEMA)]
Filters = Annotated[tuple["Filter", ...], Field(min_length=1)]

TESTED = ("property", "field")
COMBINED = ("and", "or", "not")


def _complete_schema(schema: dict[str, Any]) -> None:
    """Say in JSON Schema: no key is null, and a filter either tests one property or field, or combines filters."""
    schema["properties"] = {key: described["anyOf"][0] for key, described in schema["properties"].items()}
    operators = [{"required": [key]} for key in OPERATORS]
    schema["oneOf"] = [
        *({"required": [key], "anyOf": operators, "properties": dict.fromkeys(COMBINED, False)} for key in TESTED),
        *({"required": [key], "maxProperties": 1} for key in COMBINED),
    ]


class Filter(Model, json_schema_extra=_complete_schema):
    """A property or field, and what must hold of its text, all of it; or filters in `and`, `or`, `not`.

    Texts are compared exactly and case-sensitively; of an absent property only `missing`, `notEquals` and `notIn` hold.
    `matches` is a regular expression (RE2), found anywhere in the text.

    Exact: numbers are compared whatever their number of digits; no comparison holds of a text that is no quantity (R4).
    """

    property: Given[SomeText] = None
    field: Given[Literal["type", "subject"]] = None
    equals: Given[SomeText] = None
    not_equals: Given[Text] = Field(default=None, alias="notEquals")
    in_: Given[Texts] = Field(default=None, alias="in")
    not_in: Given[Texts] = Field(default=None, alias="notIn")
    exists: Given[Yes] = None
    missing: Given[Yes] = None
    prefix: Given[SomeText] = None
    contains: Given[SomeText] = None
    matches: Given[SomeText] = None
    gt: Given[Number] = None
    gte: Given[Number] = None
    lt: Given[Number] = None
    lte: Given[Number] = None
    and_: Given[Filters] = Field(default=None, alias="and")
    or_: Given[Filters] = Field(default=None, alias="or")
    not_: Given[Filter] = Field(default=None, alias="not")

    @model_validator(mode="before")
    @classmethod
    def _is_not_too_deep(cls, data: Any) -> Any:
        level, depth = _combined_in(data), 1
        while level:
            depth += 1
            if depth > DEPTH_MAX:
                raise ValueError(f"is nested more than {DEPTH_MAX} deep; expected at most that")
            level = [inner for outer in level for inner in _combined_in(outer)]
        return data

    @model_validator(mode="after")
    def _says_one_thing(self) -> Filter:
        subjects = [key for key in self.given if key not in OPERATORS]
        operators = [key for key in self.given if key in OPERATORS]
        if not subjects:
            found = _quoted(operators) or "nothing"
            raise ValueError(
                f'found {found}; expected a "property" or "field" beside a condition, or "and", "or", "not"'
            )
        if len(subjects) > 1:
            raise ValueError(f'found {_quoted(subjects)} in one object; expected one of them. hint: nest them in "and"')
        if operators and subjects[0] in COMBINED:
            raise ValueError(f"found {_quoted(operators)} beside {_quoted(subjects)}; expected it beside a property")
        if not operators and subjects[0] in TESTED:
            raise ValueError(f'found {_quoted(subjects)} alone; expected a condition beside it, such as "equals"')
        return self

    @cached_property
    def given(self) -> dict[str, Any]:
        """JSON key → value, of the keys that were given."""
        found = {}
        for name, info in type(self).model_fields.items():
            value = getattr(self, name)
            if value is not None:
                found[info.alias or name] = value
        return found

    @cached_property
    def inner(self) -> dict[str, Filter]:
        """Path → filter, of the filters that this filter combines."""
        if self.not_ is not None:
            return {"not": self.not_}
        return {f"{key}[{n}]": f for key in ("and", "or") for n, f in enumerate(self.given.get(key, ()))}

    @cached_property
    def properties(self) -> set[str]:
        """Every property that is tested, at any depth."""
        own = set() if self.property is None else {self.property}
        return own.union(*(inner.properties for inner in self.inner.values()))

    @cached_property
    def identity(self) -> tuple[str, ...]:
        """Texts that tell this filter from others: property and text of a plain equality, else its JSON (R7)."""
        if self.given.keys() == {"property", "equals"}:
            return self.given["property"], self.given["equals"]
        keys = self.model_dump(by_alias=True, exclude_none=True)
        return (json.dumps(keys, ensure_ascii=False, sort_keys=True, separators=(",", ":")),)

    def patterns(self, path: str) -> Iterator[tuple[str, str]]:
        """Path and regular expression of every `matches`, at any depth."""
        if self.matches is not None:
            yield f"{path}.matches", self.matches
        for place, inner in self.inner.items():
            yield from inner.patterns(f"{path}.{place}")


def _combined_in(data: Any) -> list[Any]:
    """The filters inside a filter, as they were given and whatever they are: nothing is checked yet."""
    if not isinstance(data, Mapping):
        return []
    found: list[Any] = []
    for name in COMBINED:
        for key in (name, f"{name}_"):
            if key not in data:
                continue
            if isinstance(data[key], list | tuple):
                found += data[key]
            else:
                found.append(data[key])
    return found


def _quoted(keys: Iterable[str]) -> str:
    return " and ".join(f'"{key}"' for key in keys)


# --- SQL -------------------------------------------------------------------------------------------------------------


def condition_sql(chosen: Filter, property_sql: Callable[[str], str]) -> str:
    """SQL for whether an event passes a filter, never NULL; `property_sql` gives the column of a property."""
    inner = [condition_sql(f, property_sql) for f in chosen.inner.values()]
    if chosen.not_ is not None:
        return f"NOT ({inner[0]})"
    if inner:
        return _all_of(inner, "AND" if chosen.and_ else "OR")
    text = str(chosen.field) if chosen.property is None else property_sql(chosen.property)
    return _all_of([OPERATORS[key](text, value) for key, value in chosen.given.items() if key in OPERATORS], "AND")


def _all_of(conditions: list[str], word: str) -> str:
    return conditions[0] if len(conditions) == 1 else f"({f' {word} '.join(conditions)})"


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(literal(text) for text in texts)


def _compared(operator: str) -> Callable[[str, str], str]:
    return lambda text, number: comparison_sql(text, operator, number)


OPERATORS: dict[str, Callable[[str, Any], str]] = {
    "equals": lambda text, wanted: f"{text} IS NOT DISTINCT FROM {literal(wanted)}",
    "notEquals": lambda text, wanted: f"{text} IS DISTINCT FROM {literal(wanted)}",
    "in": lambda text, wanted: f"coalesce({text} IN ({_listed(wanted)}), FALSE)",
    "notIn": lambda text, wanted: f"coalesce({text} NOT IN ({_listed(wanted)}), TRUE)",
    "exists": lambda text, _: f"{text} IS NOT NULL",
    "missing": lambda text, _: f"{text} IS NULL",
    "prefix": lambda text, wanted: f"coalesce(starts_with({text}, {literal(wanted)}), FALSE)",
    "contains": lambda text, wanted: f"coalesce(contains({text}, {literal(wanted)}), FALSE)",
    "matches": lambda text, pattern: f"coalesce(regexp_matches({text}, {literal(pattern)}), FALSE)",
    "gt": _compared(">"),
    "gte": _compared(">="),
    "lt": _compared("<"),
    "lte": _compared("<="),
}
KEYS = (*TESTED, *OPERATORS, *COMBINED)


def comparison_sql(text: str, operator: str, number: str) -> str:
    """Compare a text with a number: as DECIMALs where both are short, else digit by digit; FALSE for no quantity."""
    whens = {f"is_quantity({text})": f"quantity_key({text}) {operator} quantity_key({literal(number)})"}
    try:
        short = literal(arithmetic.format(arithmetic.parse(number)))
    except ValueError:
        return case(whens, "FALSE")
    decimal = "DECIMAL(38, 18)"
    fast = {f"is_short({text})": f"TRY_CAST({text} AS {decimal}) {operator} CAST({short} AS {decimal})"}
    return case(fast | whens, "FALSE")
