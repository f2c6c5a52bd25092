"""How events are read, in plain words: whose they are, where their fields lie, and what their universes are called.

The words come from the values that run: the Source, its Shape and mapping, and the Layout of the opened input.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from metering_duck.calls.page_text import joined, quoted
from metering_duck.inputs.fields import field_names
from metering_duck.inputs.foreign_shapes import Path, Shape
from metering_duck.inputs.layout import Layout
from metering_duck.inputs.mapping import FieldMap
from metering_duck.inputs.source import Source


def shape_words(shape: Shape) -> str:
    """Whose events these are, and in what each of them lies."""
    words = f"events as {shape.name} has them"
    if shape.is_wrapped:
        return f"{words}: each is what {quoted(shape.wrapper)} holds; what is around it is not read"
    places = ["as they are"]
    places += [f"each in {quoted(shape.wrapper)}"] if shape.wrapper else []
    places += [f"several in the list {quoted(shape.batch)}"] if shape.batch else []
    words += f", {joined(places, 'or')}"
    return words + ("; their times may be seconds since 1970" if shape.has_unix_times else "")


def fields_words(source: Source, layout: Layout) -> str:
    """Where fields and properties are, as the shape and the mapping of a call say it; "" where neither does."""
    mapping = FieldMap(source.map, field_names(records=source.is_records))
    found = list(_shaped(source.shape, source, layout, mapping)) if source.shape is not None else []
    return "; ".join([*found, *_mapped(mapping)])


def _shaped(shape: Shape, source: Source, layout: Layout, mapping: FieldMap) -> Iterator[str]:
    """Where the fields are that a shape places, and that the mapping leaves where they are."""
    mapped = {*mapping.columns, *mapping.constants}
    for name, paths in shape.fields.items():
        if name not in mapped:
            yield f"{name} is in {' or, where that is missing, in '.join(map(_place, paths))}"
    for name, text in shape.constants.items():
        # A table may have a column of this name: the shape's constant is left out then.
        called = source.universe_names.get(text, text) if name == "universe_id" else text
        is_constant = layout.column(name).proven.constant == called
        if name not in mapped:
            yield f"{name} is always {quoted(text)}" if is_constant else f"{name} is in the column of that name"
    if shape.properties and "properties" not in mapped and not mapping.lists_properties:
        yield f"the properties are in {quoted(shape.properties)}"


def _place(path: Path) -> str:
    """A place in an event, the name that is looked for first."""
    return " of ".join(quoted(name) for name in reversed(path))


def _mapped(mapping: FieldMap) -> Iterator[str]:
    """Where fields and properties are, as the mapping of a call says it."""
    for name, column in mapping.columns.items():
        yield f"{name} is in {quoted(column)}"
    for name, text in mapping.constants.items():
        yield f"{name} is always {quoted(text)}"
    for name, column in mapping.properties.items():
        yield f"the property {quoted(name)} is in {quoted(column)}"
    if mapping.lists_properties:
        yield "no other property is read"


def renamed_words(universes: Mapping[str, str]) -> str:
    """The other names of universes."""
    pairs = [f"{quoted(old)} is called {quoted(new)}" for old, new in universes.items()]
    return f"{'; '.join(pairs)}, before anything else is looked at; ids stay apart"
