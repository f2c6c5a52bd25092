"""Two counters by subject and day over the same events, with properties in four shapes: STRUCT, MAP, JSON, columns.

A STRUCT is read a field at a time, a MAP and JSON text whole; a typed column need not be read from text, and cannot
hold what is no number.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pyarrow as pa

from benchmarks.contestants import TWO_COUNTERS, bare, by_unit, metered, standard
from benchmarks.events import PROPERTIES, Shape
from benchmarks.question import Contestant, Dataset, Question

# How the bare query takes a property of each shape.
EXTRACTS = {
    "struct": "properties.{name}",
    "map": "properties['{name}']",
    "json": "properties ->> '{name}'",
    "typed": "{name}",
}

BARE = """
SELECT
    subject,
    make_timestamp(day * $day_us) AS window_start,
    tokens::DECIMAL(38, 18) AS "tokens",
    tokens_eu::DECIMAL(38, 18) AS "tokens-eu-west"
FROM (
    SELECT
        subject,
        epoch_us(time) // $day_us AS day,
        sum(tokens) AS tokens,
        sum(CASE WHEN region = $region THEN tokens END) AS tokens_eu
    FROM (SELECT subject, time, ($tokens)::DECIMAL(18, 6) AS tokens, $region_text AS region FROM $events)
    GROUP BY subject, day
)"""


def metering_duck(dataset: Dataset) -> pa.Table:
    """All checks on. Typed columns need no mapping: without a column `properties` all that are no field are."""
    return metered(dataset, TWO_COUNTERS, every="day")


def bare_query(dataset: Dataset, extract: str) -> pa.Table:
    """No check, no id looked at."""
    tokens, region = (extract.format(name=name) for name in ("tokens", "region"))
    return by_unit(bare(BARE, dataset, tokens=tokens, region_text=region))


def shaped(events: int, properties: str) -> Shape:
    """The standard month with its properties in another shape."""
    return replace(standard(events), properties=properties)


def contestants(events: int) -> list[Contestant]:
    """All of them give the same answer."""
    return [
        contestant
        for kind in PROPERTIES
        for contestant in (
            Contestant(f"metering-duck, {kind}", metering_duck, shape=shaped(events, kind)),
            Contestant(f"bare query, {kind}", partial(bare_query, extract=EXTRACTS[kind]), shape=shaped(events, kind)),
        )
    ]


QUESTION = Question(
    name="property_shapes",
    title="Two counters, with properties in four shapes",
    why="Which shape of properties to store: what each costs beside the same query by hand.",
    shape=standard,
    contestants=contestants,
)
