"""Random events, configs, options and windows, in every form that an input has, against the oracle."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from metering_duck.errors import ConfigError, MeteringError, QuantityOverflow, SchemaError
from tests.fire import configs, events, forms, judging, reading, texts
from tests.fire.case import Case, DidNotHold, Tried
from tests.fire.reading import Read
from tests.worlds import Event

FORMS = (
    "objects",
    "table",
    "ndjson",
    "ndjson.gz",
    "ndjson.zst",
    "json",
    "csv",
    "csv.gz",
    "csv.zst",
    "parquet",
    "arrow",
    "arrow.mixed",
)
# Files whose columns may be unlike: they are read as one table, or refused.
MIXED = "arrow.mixed"
WORLDS = 20


def play(case: Case) -> Tried:
    """One question over one set of events."""
    chance = case.chance
    form = chance.choice(FORMS)
    tried = Tried(f"events/{form}")
    found = events.words(chance, plain=form.startswith("csv") or chance.random() < 0.3)
    asked = configs.asked(chance, found)
    converts = asked.has("multiply", "divide", "timesDuration", "scale", "precision")
    made = events.events(
        chance, found, worlds=WORLDS, large=not converts and chance.random() < 0.5, bad=chance.random() < 0.7
    )
    if not converts and chance.random() < 0.05:
        for one in made[::5]:
            one["properties"]["q"] = chance.choice(texts.HUGE)
    _complete(asked, made)
    given, reads = _given(chance, case.folder, form, made, odd=not {"workspace", "as_of"} & asked.options.keys())
    question = {"config": asked.config, "options": asked.options, "form": form}
    (case.folder / "question.json").write_text(json.dumps(question, indent=2, default=str), encoding="utf-8")
    tried.events = len(reads)
    try:
        tried.count(_judge(case, form, given, reads, asked))
    except DidNotHold as fault:
        tried.fault(fault)
    return tried


def _complete(asked: configs.Asked, made: Sequence[Event]) -> None:
    """Subscriptions of every universe, where a question has some."""
    rows = asked.options.get("subscriptions")
    if rows:
        universes = dict.fromkeys(one["universeID"] for one in made if one["universeID"])
        asked.options["subscriptions"] = [{**row, "universe": name} for name in universes for row in rows]


def _judge(case: Case, form: str, given: Any, reads: Sequence[Read], asked: configs.Asked) -> str:
    case.now("engine")
    found = judging.answered(given, asked.config, asked.options)
    case.now("oracle")
    if isinstance(found, ConfigError):
        if "which the config measures" in str(found):
            return "a measured dimension, refused"
        raise DidNotHold(f"a config or option that was refused: {judging.first_words(found)}", str(found))
    right = judging.expected(reads, asked.config, asked.options)
    if isinstance(found, SchemaError) and form == MIXED:
        return "files that differ, refused"
    if isinstance(found, QuantityOverflow):
        if judging.overflows(right, asked.config, asked.options):
            return "an overflow, said"
        raise DidNotHold("an overflow where none is", str(found))
    if isinstance(found, MeteringError):
        raise DidNotHold(f"an error over good events: {judging.first_words(found)}", str(found))
    if case.plant == "digit" and found.readings:
        row = found.readings[0]
        found = replace(
            found, readings=[{**row, "quantity": row["quantity"] + Fraction(1, 10**18)}, *found.readings[1:]]
        )
    part = right.difference(found)
    if part:
        raise DidNotHold(f"{part} that are not the oracle's", right.shown(found))
    return "the oracle's answer"


# --- the same events in many forms -----------------------------------------------------------------------------------


def _given(chance: random.Random, folder: Path, form: str, made: list[Event], *, odd: bool) -> tuple[Any, list[Read]]:
    """An input in a form, and its events as something that is not the engine reads them."""
    kind, _, codec = form.partition(".")
    if kind == "objects":
        (folder / "events.json").write_text(json.dumps(made, indent=0), encoding="utf-8")
        return made, forms.reads_of(made)
    if kind == "table":
        table = forms.table_of(chance, made)
        (folder / "events.arrow").write_bytes(forms.arrow_bytes(chance, table, "file", None))
        return table, reading.of_table(table)
    if kind in ("parquet", "arrow"):
        return _tables(chance, folder, form, made)
    parts = _parts(chance, made) if kind == "ndjson" else [made]
    paths, reads = [], []
    for number, part in enumerate(parts):
        data, found = _written(chance, kind, part, odd=odd)
        path = folder / f"part-{number}.{form}"
        path.write_bytes(forms.compressed(chance, data, codec))
        paths.append(str(path))
        reads += found
    return paths, reads


def _parts(chance: random.Random, made: Any) -> list[Any]:
    """Events, or rows of a table, in one to three files, none of them empty."""
    count = min(len(made), chance.choice((1, 1, 2, 3)))
    return [made[n::count] for n in range(count)]


def _tables(chance: random.Random, folder: Path, form: str, made: list[Event]) -> tuple[list[str], list[Read]]:
    """Files of one table, whose columns are the same in all of them, if they are not mixed; and their events."""
    table, paths, reads = forms.table_of(chance, made), [], []
    for number, rows in enumerate(_parts(chance, list(range(len(made))))):
        part = forms.table_of(chance, [made[n] for n in rows]) if form == MIXED else table.take(rows)
        data = forms.parquet_bytes(chance, part) if form == "parquet" else forms.arrow_bytes(chance, part)
        path = folder / f"part-{number}.{form.partition('.')[0]}"
        path.write_bytes(data)
        paths.append(str(path))
        reads += reading.of_table(part)
    return paths, reads


def _written(chance: random.Random, kind: str, made: list[Event], *, odd: bool) -> tuple[bytes, list[Read]]:
    if kind == "ndjson":
        text = forms.lines(chance, made, odd=odd).encode()
        return text, reading.of_lines(text)
    if kind == "json":
        lines = [forms.line_of(chance, one) for one in made]
        text = "[" + chance.choice((",", ",\n", " , ")).join(lines) + "]"
        return text.encode(), [reading.of_line(line) for line in lines]
    text = forms.csv(chance, made).replace("\0", "").encode()
    return text, reading.of_csv(text, forms.csv_columns(made))
