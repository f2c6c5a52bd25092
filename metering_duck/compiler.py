"""Config → SQL: a wide CASE projection, one text column per measurement, then its DECIMAL, then a verdict on the event.

Pure text in, text out: does not import duckdb and never looks at data. Wide all the way (one row per event); totals.py
turns to one row per unit, after aggregating. Measurements of different catalog entries share a column (a *slot*) when
they mean the same, since an event matches one entry at most (R1).

    fields → arrivals → accepted → projected → quantified → judged
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from metering_duck.config import SCALE_DEFAULT, Entry, Measurement, MeteringConfig, utc
from metering_duck.errors import ConfigError
from metering_duck.layouts import Layout
from metering_duck.quote import literal, literal_list
from metering_duck.stages import Query, Stage, load_stage


@dataclass(frozen=True)
class Slot:
    """One wide column: a_N (applies), q_N (text), v_N (DECIMAL). `unit_sql` is a literal, or a column of records."""

    index: int
    unit_sql: str
    aggregation: str | None
    precision: int
    scale: int
    result_scale: int | None = None

    @property
    def integer_digits(self) -> int:
        """How many digits before the point."""
        return self.precision - self.scale

    @property
    def type_sql(self) -> str:
        """The DECIMAL of the quantity (R5)."""
        return f"DECIMAL({self.precision}, {self.scale})"


@dataclass(frozen=True)
class Placed:
    """A measurement in its slot: the number of its entry, its path in the config, and what it measures."""

    slot: Slot
    entry: int
    path: str
    measurement: Measurement


@dataclass(frozen=True)
class Selection:
    """Which events are read (R10, R24) and which subjects are shown; None is all of them."""

    workspaces: tuple[str, ...] = ()
    universes: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    as_of: bool = False


def place(config: MeteringConfig, aggregation: str | None = None) -> list[Placed]:
    """Each measurement in a slot; `aggregation` overrides every measurement's own."""
    slots: list[Slot] = []
    placed = []
    numbered = iter(config.measurements)
    for number, entry in enumerate(config.entries):
        taken: set[int] = set()
        for measurement in entry.measurements:
            wanted = Slot(
                -1,
                literal(measurement.unit),
                aggregation or measurement.aggregation,
                measurement.precision,
                measurement.scale,
                measurement.result_scale,
            )
            slot = next((s for s in slots if s.index not in taken and replace(s, index=-1) == wanted), None)
            if slot is None:
                slot = replace(wanted, index=len(slots))
                slots.append(slot)
            taken.add(slot.index)
            placed.append(Placed(slot, number, next(numbered)[0], measurement))
    return placed


def slots_of(placed: Iterable[Placed]) -> list[Slot]:
    """The slots in use, in their order."""
    return sorted({p.slot for p in placed}, key=lambda slot: slot.index)


@dataclass(frozen=True)
class Compiler:
    """A config, a layout and a selection, from which the stages up to `judged` are made."""

    config: MeteringConfig
    layout: Layout
    selection: Selection
    aggregation: str | None = None
    group_by: tuple[str, ...] = ()

    @cached_property
    def placed(self) -> list[Placed]:
        """The measurements in their slots."""
        return place(self.config, self.aggregation)

    @property
    def slots(self) -> list[Slot]:
        """The wide columns."""
        return slots_of(self.placed)

    @cached_property
    def properties(self) -> list[str]:
        """Every property that the config or the grouping names, in order; the Nth is column p_N."""
        named = {p.measurement.source_property for p in self.placed}
        named |= {p.measurement.filter.property for p in self.placed if p.measurement.filter}
        return sorted(named | set(self.group_by))

    def property_sql(self, name: str) -> str:
        """The column that holds a property's text."""
        return f"p_{self.properties.index(name)}"

    def arrivals(self = False) -> list[Stage]:
        """From the input to `arrivals`: one row per event read, with what makes it unusable, if anything."""
        return [*self.layout.stages(self.properties), arrivals_stage(self.selection)]

    def accepted(self, *, repeated: bool) -> list[Stage]:
        """From the input to `accepted`: one row per event (R8)."""
        return [*self.arrivals(), accepted_stage(repeated=repeated)]

    def judged(self, *, repeated: bool) -> list[Stage]:
        """From the input to `judged`: one row per event, its quantities, and its status (R9)."""
        return [
            *self.accepted(repeated=repeated),
            Stage("matched", "which entry of the config an event matches (R1)", f"SELECT\n    *,\n    {self._entry_sql()} AS entry\nFROM accepted"),
            Stage("projected", "each measurement's text where it applies: its filter first, then its source (R2)", self._projected_sql()),
            quantified_stage(self.slots),
            Stage("judged", "an event is metered, unmatched or rejected as a whole (R3, R9)", self._judged_sql()),
        ]

    def _entry_sql(self) -> str:
        whens = [f"WHEN {entry_condition_sql(e)} THEN {n}" for n, e in enumerate(self.config.entries)]
        return "CASE " + " ".join(whens) + " END"

    def _condition_sql(self, placed: Placed) -> str:
        """When a measurement applies. Never NULL."""
        condition = f"entry IS NOT DISTINCT FROM {placed.entry}"
        chosen = placed.measurement.filter
        if chosen is None:
            return condition
        return f"{condition} AND {self.property_sql(chosen.property)} IS NOT DISTINCT FROM {literal(chosen.equals)}"

    def _projected_sql(self) -> str:
        columns = ["*"]
        for slot in self.slots:
            here = [p for p in self.placed if p.slot == slot]
            columns.append(" OR ".join(f"({self._condition_sql(p)})" for p in here) + f" AS a_{slot.index}")
            whens = [f"WHEN {self._condition_sql(p)} THEN {self.property_sql(p.measurement.source_property)}" for p in here]
            columns.append("CASE " + " ".join(whens) + f" END AS q_{slot.index}")
        columns.append(f"{self._dimensions_sql()} AS dimensions")
        return "SELECT\n    " + ",\n    ".join(columns) + "\nFROM matched"

    def _dimensions_sql(self) -> str:
        """The group-by dimensions as one JSON object; what an entry measures is no dimension there (R6)."""
        values = {}
        for name in sorted(set(self.group_by)):
            measured = [str(n) for n, e in enumerate(self.config.entries) if name in e.source_properties]
            column = self.property_sql(name)
            if len(measured) == len(self.config.entries):
                raise ConfigError(
                    f"group_by: found {name!r}, which the config measures; expected a dimension. hint: a property that is "
                    "measured is no dimension (R6)"
                )
            values[name] = f"CASE WHEN entry IN ({', '.join(measured)}) THEN NULL ELSE {column} END" if measured else column
        return dimensions_sql(values)

    def _judged_sql(self) -> str:
        faults = [
            f"WHEN entry = {p.entry} AND a_{p.slot.index} AND v_{p.slot.index} IS NULL THEN {n}"
            for n, p in enumerate(self.placed)
        ]
        applies = " OR ".join(f"a_{slot.index}" for slot in self.slots)
        return (
            "SELECT\n    *,\n"
            f"    CASE WHEN reason IS NULL THEN CASE {' '.join(faults)} END END AS faulty,\n"
            "    CASE\n"
            "        WHEN reason IS NOT NULL OR faulty IS NOT NULL THEN 'rejected'\n"
            "        WHEN entry IS NULL THEN 'unmatched-entry'\n"
            f"        WHEN NOT ({applies}) THEN 'unmatched-filter'\n"
            "        ELSE 'metered'\n"
            "    END AS status\n"
            "FROM quantified"
        )

    def rejects(self, *, repeated: bool) -> Query:
        """One row per rejected event: who it was, which measurement, the offending text, and why (R3)."""

        def by_fault(values: Iterable[str]) -> str:
            return "CASE faulty " + " ".join(f"WHEN {n} THEN {value}" for n, value in enumerate(values)) + " END"

        why = [
            f"CASE WHEN q_{s.index} IS NULL THEN 'source-missing' "
            f"ELSE quantity_fault(q_{s.index}, {s.integer_digits}, {s.scale}) END"
            for s in (p.slot for p in self.placed)
        ]
        text = by_fault(f"q_{p.slot.index}" for p in self.placed)
        columns = {
            "measurement": by_fault(literal(p.path) for p in self.placed),
            "source_property": by_fault(literal(p.measurement.source_property) for p in self.placed),
            "unit": by_fault(literal(p.measurement.unit) for p in self.placed),
            "text": f"CASE WHEN reason IS NOT NULL THEN reason_text ELSE {text} END",
            "reason": f"coalesce(reason, {by_fault(why)})",
        }
        return rejects_query(self.judged(repeated=repeated), columns)


def rejects_query(judged: Sequence[Stage], columns: Mapping[str, str]) -> Query:
    """`rejects` in a fixed order: what was wrong (`columns`) beside the event's identity and its file."""
    identity = {name: name for name in ("workspace_id", "universe_id", "id", "type", "subject")} | {"time": "time_text"}
    listed = ",\n    ".join(f"{sql} AS {name}" for name, sql in {**identity, **columns, "file": "file"}.items())
    rejects = Stage("rejects", "every rejected event with its reason", f"SELECT\n    {listed}\nFROM judged\nWHERE status = 'rejected'")
    ordered = Stage(
        "rejects_in_order",
        "in a fixed order",
        "SELECT * FROM rejects\nORDER BY workspace_id, universe_id, id, \"time\", measurement, \"text\", reason, file",
    )
    return Query("rejects", (*judged, rejects, ordered))


def dimensions_sql(values: Mapping[str, str]) -> str:
    """Dimensions as the text of one JSON object; NULL when there are none to group by."""
    if not values:
        return "CAST(NULL AS VARCHAR)"
    pairs = ", ".join(f"{literal(name)}, {sql}" for name, sql in sorted(values.items()))
    return f"CAST(json_object({pairs}) AS VARCHAR)"


def entry_condition_sql(entry: Entry) -> str:
    """When an event matches an entry: workspace, type, and business time (R1)."""
    parts = ["reason IS NULL"]
    if entry.workspace_id is not None:
        parts.append(f"workspace_id = {literal(entry.workspace_id)}")
    if entry.type is not None:
        parts.append(f"type = {literal(entry.type)}")
    if entry.effective_from is not None:
        parts.append(f"recorded_at >= TIMESTAMP '{utc(entry.effective_from):%Y-%m-%d %H:%M:%S.%f}'")
    if entry.effective_to is not None:
        parts.append(f"recorded_at < TIMESTAMP '{utc(entry.effective_to):%Y-%m-%d %H:%M:%S.%f}'")
    return " AND ".join(parts)


def arrivals_stage(selection: Selection) -> Stage:
    """`arrivals`: the rows that had entered by the cut-off, of the workspaces and universes asked for."""
    conditions = []
    for column, values, name in (
        ("workspace_id", selection.workspaces, "workspace"),
        ("universe_id", selection.universes, "universe"),
    ):
        if values:
            conditions.append(f"{column} IN ({', '.join(f'${name}_{n}' for n in range(len(values)))})")
    if selection.as_of:
        conditions.append("metered_at <= $as_of")
    where = "\nWHERE " + "\n    AND ".join(conditions) if conditions else ""
    sql = f"SELECT * REPLACE (coalesce(metered_at, $clock) AS metered_at)\nFROM fields{where}"
    return Stage("arrivals", "what had entered by the cut-off, of the workspaces and universes asked for (R24)", sql)


def accepted_stage(*, repeated: bool) -> Stage:
    """`accepted`: one row per key (R8); without repeated keys that is every row."""
    if not repeated:
        return Stage("accepted", "every event once (R8): no key occurs twice", "SELECT * FROM arrivals")
    return Stage(
        "accepted",
        "every event once (R8): the keys that occur once, and the kept row of each that occurs more often",
        "SELECT * FROM arrivals\n"
        "WHERE keyless OR hash(workspace_id, universe_id, id) NOT IN (SELECT key_hash FROM repeated_keys)\n"
        "UNION ALL BY NAME\n"
        "SELECT * EXCLUDE (content, verdict, kept_content, kept_metered_at) FROM settled\n"
        "WHERE verdict = 'kept'",
    )


def suspects_stage() -> Stage:
    """`suspects`: the rows whose key may occur more than once, with their canonical content."""
    return Stage(
        "suspects",
        "the rows of keys that may occur more than once, and their content in one canonical text",
        "SELECT\n    *,\n    content_text AS content\n"
        "FROM arrivals\n"
        "WHERE NOT keyless AND hash(workspace_id, universe_id, id) IN (SELECT key_hash FROM repeated_keys)",
    )


def quantified_stage(slots: Sequence[Slot]) -> Stage:
    """`quantified`: each text as a DECIMAL when it is one exactly, else NULL (R4, R5)."""
    columns = ["*", *(quantity_sql(f"q_{s.index}", s) + f" AS v_{s.index}" for s in slots)]
    return Stage("quantified", "each text as a DECIMAL, exactly or not at all (R4, R5)", "SELECT\n    " + ",\n    ".join(columns) + "\nFROM projected")


def quantity_sql(text: str, slot: Slot) -> str:
    """Plain digits that fit are cast; other spellings are first written plainly; what does not fit is NULL."""
    plain = f"[+-]?[0-9]{{1,{max(slot.integer_digits, 1)}}}" + (f"(\\.[0-9]{{0,{slot.scale}}})?" if slot.scale else "\\.?")
    return (
        f"CASE\n        WHEN {text} IS NULL THEN NULL\n"
        f"        WHEN regexp_full_match({text}, '{plain}') THEN TRY_CAST({text} AS {slot.type_sql})\n"
        f"        WHEN quantity_fault({text}, {slot.integer_digits}, {slot.scale}) IS NULL"
        f" THEN CAST(quantity_plain({text}) AS {slot.type_sql})\n    END"
    )


def records_query(compiler: Compiler, *, repeated: bool, bundled: bool) -> Query:
    """`records`: one row per event and measurement (R7), or one bundle per event, in the order of their keys."""
    slots = compiler.slots
    decimal = common_decimal(slots)
    identity = measurement_identities(compiler.placed)
    observations = []
    for slot in slots:
        here = [p for p in compiler.placed if p.slot == slot]
        key = "CASE entry " + " ".join(f"WHEN {p.entry} THEN {literal(identity[p.path])}" for p in here) + " END"
        own = literal(slot.aggregation) if slot.aggregation else "CAST(NULL AS VARCHAR)"
        observations.append(
            f"CASE WHEN a_{slot.index} THEN {{'quantity': CAST(v_{slot.index} AS {decimal}), 'unit': {slot.unit_sql}, "
            f"'aggregation': {own}, 'measurement': {key}}} END"
        )
    sources = " ".join(
        f"WHEN {n} THEN {literal_list(entry.source_properties)}" for n, entry in enumerate(compiler.config.entries)
    )
    listed = Stage(
        "observed",
        "what each metered event measured, and the dimensions that are left (R6)",
        "SELECT\n    *,\n"
        f"    list_filter([{', '.join(observations)}], lambda o: o IS NOT NULL) AS observations,\n"
        "    map_from_entries(list_filter(map_entries(properties), lambda e: NOT list_contains("
        f"CASE entry {sources} END, e.key))) AS rest\n"
        "FROM judged\nWHERE status = 'metered'",
    )
    common = (
        "    workspace_id,\n    universe_id,\n    subject,\n    recorded_at AT TIME ZONE 'UTC' AS recorded_at,\n"
    )
    tail = "    rest AS dimensions,\n    id AS source_event_id,\n    metered_at AT TIME ZONE 'UTC' AS metered_at\n"
    if bundled:
        shape = (
            "SELECT\n    id,\n" + common + "    list_transform(observations, lambda o: {'quantity': o.quantity, 'unit': o.unit, "
            "'aggregation': o.aggregation, 'window': {'start': recorded_at AT TIME ZONE 'UTC', 'end': recorded_at AT TIME ZONE 'UTC'}}) AS observations,\n"
            + tail + "FROM observed\nORDER BY workspace_id, universe_id, observed.id"
        )
        final = Stage("bundles", "one record per event, its observations bundled", shape)
        return Query("records", (*compiler.judged(repeated=repeated), listed, final))
    unnested = Stage("unnested", "one row per event and measurement (R7)", "SELECT\n    *,\n    unnest(observations) AS o\nFROM observed")
    shape = (
        "SELECT\n    digest(encoded(workspace_id) || encoded(universe_id) || encoded(id) || encoded(o.measurement)) AS id,\n"
        + common + "    o.quantity AS quantity,\n    o.unit AS unit,\n    o.aggregation AS aggregation,\n"
        + tail + "FROM unnested\nORDER BY workspace_id, universe_id, unnested.id, o.measurement"
    )
    final = Stage("records", "one record per event and measurement, in the order of their keys", shape)
    return Query("records", (*compiler.judged(repeated=repeated), listed, unnested, final))


def measurement_identities(placed: Iterable[Placed]) -> dict[str, str]:
    """Path → what tells a measurement from the others of its entry (R7): source, unit, filter; a repeated one is counted."""
    seen: dict[tuple[int, str], int] = {}
    identities = {}
    for p in placed:
        chosen = p.measurement.filter
        parts = [p.measurement.source_property, p.measurement.unit, *((chosen.property, chosen.equals) if chosen else ())]
        text = "".join(f"{len(part.encode())}:{part}" for part in parts)
        seen[p.entry, text] = seen.get((p.entry, text), 0) + 1
        identities[p.path] = text + (f"#{seen[p.entry, text]}" if seen[p.entry, text] > 1 else "")
    return identities


def common_decimal(slots: Sequence[Slot]) -> str:
    """The DECIMAL that holds the quantities of all slots exactly.

    Raises: ConfigError when there is none of 38 digits.
    """
    scale = max((s.scale for s in slots), default=SCALE_DEFAULT)
    digits = max((s.integer_digits for s in slots), default=20)
    if digits + scale > 38:
        raise ConfigError(
            f"measurements: found {digits} digits before the point in one and {scale} behind it in another; expected at "
            "most 38 together in one column. hint: narrow precision and scale, or meter them in two runs"
        )
    return "DECIMAL(38, 18)" if digits <= 20 and scale <= SCALE_DEFAULT else f"DECIMAL(38, {scale})"


def deduplication_queries(arrivals: Sequence[Stage]) -> tuple[Query, Query]:
    """`repeated_keys` and `settled`: first the few keys that may occur twice, then the exact comparison of just those."""
    return (
        Query("repeated_keys", (*arrivals, load_stage("repeated_keys"))),
        Query("settled", (*arrivals, suspects_stage(), load_stage("verdicts"))),
    )
