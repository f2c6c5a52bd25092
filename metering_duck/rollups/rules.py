"""Rules: how readings of each aggregation combine, read from the table of aggregations (contract/definitions.py).

A reading keeps one exact state: a number, and, for some aggregations, which record the number is from. The stage
`rules` tells sql/combined.sql how states come together, and by what the result is divided; the conditions below say
which readings have which part of a state.
"""

from __future__ import annotations

from collections.abc import Iterable

from metering_duck.contract.definitions import ALL, GAUGES, Definition
from metering_duck.statements.quote import literal
from metering_duck.statements.stages import Stage

# State of a reading → how states of several windows become one.
COMBINES = {
    "sum": "added",
    "count": "added",
    "level_time": "added",
    "greatest": "greatest",
    "least": "least",
    "last": "last",
    "first": "first",
}
COMBINING = tuple(definition for definition in ALL if not definition.refusal)
COMBINED = tuple(definition.name for definition in COMBINING)


def _is_one_sql(definitions: Iterable[Definition]) -> str:
    """SQL for whether a reading is of one of the aggregations."""
    return f"aggregation IN ({', '.join(literal(definition.name) for definition in definitions)})"


IS_GAUGE = f"aggregation IN ({', '.join(literal(name) for name in GAUGES)})"
IS_QUOTIENT = _is_one_sql(one for one in COMBINING if one.divided_by is not None)
IS_OVER_TIME = _is_one_sql(one for one in COMBINING if one.divided_by not in (None, "records"))
IS_OVER_KNOWN_TIME = _is_one_sql(one for one in COMBINING if one.divided_by == "known-time")
IS_OF_ONE_RECORD = _is_one_sql(one for one in COMBINING if {"last", "first"} & set(one.keeps))
IS_WHOLE = _is_one_sql(one for one in COMBINING if one.is_whole)


def rules_stage() -> Stage:
    """`rules`: for each aggregation, how its states combine, and what they are divided by."""
    rows = ",\n    ".join(_rule_sql(definition) for definition in COMBINING)
    sql = f"SELECT *\nFROM (VALUES\n    {rows}\n) AS rules(aggregation, combines, divided_by, divisor)"
    return Stage("rules", "how the states of each aggregation combine, and what the result is divided by", sql)


def _rule_sql(definition: Definition) -> str:
    (state,) = definition.keeps
    if state not in COMBINES:
        raise ValueError(
            f"{definition.name}: found the state {state}, which has no rule to combine by; expected one of "
            f"{', '.join(COMBINES)}. hint: a row of COMBINES, or a refusal"
        )
    divided_by, divisor = "number", "CAST(NULL AS BIGINT)"
    if definition.divided_by is None:
        divisor = "1"
    elif isinstance(definition.divided_by, int):
        divisor = str(definition.divided_by)
    else:
        divided_by = definition.divided_by
    cells = (literal(definition.name), literal(COMBINES[state]), literal(divided_by), divisor)
    return f"({', '.join(cells)})"
