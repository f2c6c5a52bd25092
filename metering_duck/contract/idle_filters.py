"""Idle filters: conditions of a filter that can never hold, and conditions that say what the others say already.

A condition is idle if the others and its opposite together are impossible. What is called impossible here is so for
every text; where that is not known (`matches`), nothing is said. Owns no SQL: contract/filters.py says what runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from metering_duck.contract.filters import OPERATORS, Filter, is_number

# Operator → the operator that holds where it does not, whatever the text, and also of an absent property.
OPPOSITES = {"equals": "notEquals", "notEquals": "equals", "in": "notIn", "notIn": "in"}
OPPOSITES |= {"exists": "missing", "missing": "exists"}
# Comparison → the comparison that holds of a number where it does not.
TURNED = {"gt": "lte", "gte": "lt", "lt": "gte", "lte": "gt"}
# Where filters are of which one must hold, the filters, and whether they must hold or must not.
Branches = tuple[str, dict[str, Filter], bool]
# A number, and whether it lies outside itself.
Bound = tuple[Decimal, bool]


@dataclass(frozen=True)
class Condition:
    """That an operator holds of the text of a property or field, or, where `holds` is false, that it does not."""

    subject: tuple[str, str]
    operator: str
    value: Any
    path: str = ""
    holds: bool = True

    @property
    def opposite(self) -> Condition:
        """The condition that holds where this one does not."""
        if self.operator in OPPOSITES:
            other = OPPOSITES[self.operator]
            value = self.value
            return replace(self, operator=other, value=value)
        return replace(self, holds=not self.holds)

    @property
    def texts(self) -> set[str] | None:
        """The only texts of which it can hold; None where there is no such list."""
        if self.operator == "equals":
            return {self.value}
        return set(self.value) if self.operator == "in" else None

    def allows(self, text: str | None) -> bool:
        """Whether it may hold of a text, or of an absent property."""
        found = self._holds_of(text)
        return found is None or found == self.holds

    def _holds_of(self, text: str | None) -> bool | None:
        """Whether the operator holds; None where that is not known here."""
        if self.operator in ("notEquals", "notIn", "missing"):
            listed = {"notEquals": (self.value,), "notIn": self.value, "missing": (text,)}[self.operator]
            return text not in listed if self.operator != "missing" else text is None
        if text is None:
            return False
        match self.operator:
            case "equals":
                return bool(text == self.value)
            case "in":
                return text in self.value
            case "exists":
                return True
            case "prefix":
                return text.startswith(self.value)
            case "contains":
                return self.value in text
            case "matches":
                return None
        return is_number(text) and _compares(Decimal(text), self.operator, Decimal(self.value))


def _compares(number: Decimal, operator: str, other: Decimal) -> bool:
    match operator:
        case "gt":
            return number > other
        case "gte":
            return number >= other
        case "lt":
            return number < other
    return number <= other


# --- what is impossible ----------------------------------------------------------------------------------------------


def are_impossible(conditions: Sequence[Condition]) -> bool:
    """Whether no event can fulfil all conditions."""
    subjects = {condition.subject for condition in conditions}
    return any(_no_text([c for c in conditions if c.subject == subject]) for subject in subjects)


def _no_text(conditions: Sequence[Condition]) -> bool:
    """Whether no text of one property, nor its absence, fulfils all conditions."""
    if all(condition.allows(None) for condition in conditions):
        return False
    if any(condition.operator == "missing" for condition in conditions):
        return True
    listed = [texts for condition in conditions if (texts := condition.texts) is not None]
    if listed:
        return not any(all(c.allows(text) for c in conditions) for text in set.intersection(*listed))
    return _no_number(conditions) or _no_beginning(conditions) or _contradicts(conditions)


def _no_number(conditions: Sequence[Condition]) -> bool:
    """Whether comparisons leave no number."""
    if not any(c.operator in TURNED and c.holds for c in conditions):
        return False
    least: list[Bound] = []
    most: list[Bound] = []
    for condition in conditions:
        operator = condition.operator
        if operator not in TURNED:
            continue
        operator = operator if condition.holds else TURNED[operator]
        bounds = least if operator in ("gt", "gte") else most
        bounds.append((Decimal(condition.value), operator in ("gt", "lt")))
    return any(
        low > high or (low == high and (open_low or open_high)) for low, open_low in least for high, open_high in most
    )


def _is_empty(low: Bound, high: Bound) -> bool:
    """Whether no number lies between two bounds."""
    return low[0] > high[0] or (low[0] == high[0] and (low[1] or high[1]))


def _no_beginning(conditions: Sequence[Condition]) -> bool:
    """Whether prefixes exclude each other."""
    prefixes = [c.value for c in conditions if c.operator == "prefix" and c.holds]
    return any(not one.startswith(other) and not other.startswith(one) for one in prefixes for other in prefixes)


def _contradicts(conditions: Sequence[Condition]) -> bool:
    """Whether one condition says that another does not hold."""
    for no in (c for c in conditions if not c.holds):
        for yes in (c for c in conditions if c.holds):
            if (yes.operator, yes.value) == (no.operator, no.value):
                return True
            if no.operator == "prefix" and yes.operator == "prefix" and yes.value.startswith(no.value):
                return True
            if no.operator == "contains" and yes.operator in ("prefix", "contains") and no.value in yes.value:
                return True
    return False


# --- what is idle ----------------------------------------------------------------------------------------------------


def idle_conditions(chosen: Filter, path: str, known: Sequence[Condition] = ()) -> Iterator[str]:
    """What in a filter changes nothing, or lets nothing through, a sentence each; `known` holds in any case."""
    if _is_dead(*_flat(chosen, path, holds=False), known):
        yield f"{path}: holds of every event, and changes nothing."
        return
    conditions, branches = _flat(chosen, path, holds=True)
    yield from _idle(conditions, branches, path, list(known))


def never_holds(chosen: Filter, known: Sequence[Condition] = ()) -> bool:
    """Whether a filter lets no event through."""
    conditions, branches = _flat(chosen, "", holds=True)
    return _is_dead(conditions, branches, known)


def _is_dead(conditions: Sequence[Condition], branches: Sequence[Branches], known: Sequence[Condition]) -> bool:
    """Whether no event can fulfil all conditions, and one filter of each of the `branches`."""
    held = [*known, *conditions]
    if are_impossible(held):
        return True
    return any(
        all(_is_dead(*_flat(inner, "", holds=holds), held) for inner in filters.values())
        for _, filters, holds in branches
    )


def _idle(
    conditions: Sequence[Condition], branches: Sequence[Branches], path: str, known: list[Condition]
) -> Iterator[str]:
    if _is_dead(conditions, branches, known):
        yield f"{path}: can never hold, so that nothing passes it."
        return
    kept = list(conditions)
    for condition in conditions:
        others = [*known, *(c for c in kept if c is not condition)]
        if are_impossible([*others, condition.opposite]):
            kept.remove(condition)
            yield f"{condition.path}: changes nothing; the other conditions say it already."
        elif condition.operator in ("in", "notIn"):
            yield from _idle_texts(condition, others)
    for place, filters, holds in branches:
        yield from _idle_branches(place, filters, [*known, *kept], holds=holds)


def _idle_texts(condition: Condition, others: Sequence[Condition]) -> Iterator[str]:
    """The texts of a list that are there twice, or that the other conditions exclude."""
    listed = condition.value
    for text in dict.fromkeys(t for t in listed if listed.count(t) > 1):
        yield f"{condition.path}: found {json.dumps(text)} twice; once says the same."
    for text in dict.fromkeys(listed):
        if are_impossible([*others, replace(condition, operator="equals", value=text)]):
            yield f"{condition.path}: {json.dumps(text)} changes nothing; the other conditions exclude it."


def _idle_branches(place: str, filters: dict[str, Filter], known: list[Condition], *, holds: bool) -> Iterator[str]:
    """The filters of an `or` that never hold or are there twice, and what is idle inside the others."""
    seen: dict[str, Filter] = {}
    for name, inner in filters.items():
        path = f"{place}.{name}" if place else name
        same = next((other for other, known_filter in seen.items() if known_filter == inner), None)
        conditions, branches = _flat(inner, path, holds=holds)
        if same:
            yield f"{path}: is the same as {same}, and changes nothing."
        elif _is_dead(conditions, branches, known):
            yield f"{path}: can never hold, and changes nothing."
        else:
            yield from _idle(conditions, branches, path, known)
        seen.setdefault(name, inner)


def _flat(chosen: Filter, path: str, *, holds: bool) -> tuple[list[Condition], list[Branches]]:
    """The conditions that must all hold, and the filters of which one must, each with where it is."""
    if chosen.not_ is not None:
        return _flat(chosen.not_, f"{path}.not", holds=not holds)
    if chosen.inner:
        if bool(chosen.and_) != holds:
            return [], [(path, chosen.inner, holds)]
        conditions: list[Condition] = []
        branches: list[Branches] = []
        for name, inner in chosen.inner.items():
            more, others = _flat(inner, f"{path}.{name}", holds=holds)
            conditions += more
            branches += others
        return conditions, branches
    subject = ("field", str(chosen.field)) if chosen.property is None else ("property", chosen.property)
    found = [Condition(subject, key, value, f"{path}.{key}") for key, value in chosen.given.items() if key in OPERATORS]
    if holds or len(found) == 1:
        return [c if holds else c.opposite for c in found], []
    # That not all of several conditions hold: one of them does not.
    alone = {c.operator: Filter.model_validate({subject[0]: subject[1], c.operator: c.value}) for c in found}
    return [], [(path, alone, False)]
