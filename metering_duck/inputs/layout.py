"""Layouts: where an input has the fields of an event or a record, and how it keeps their properties.

A layout writes the SQL of the stage `fields`, which has the same columns for every input; nothing is read here.
inputs/from_columns.py and inputs/from_json.py find out which layout an input has.

`fields` has: workspace_id, universe_id, id, event_id, type, subject, time_text, recorded_at, time_cut, time_naive,
metered_at, keyless, reason, reason_text, file, properties, content_text, one p_N per property that is asked for, and
number_N for a property that is a number already; of records also quantity, unit and aggregation. DuckDB computes only
the columns that a query uses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from metering_duck.inputs.fields import (
    ABSENT,
    ENTERED_BY_FILE,
    ENTERED_COLUMN,
    EXTENT,
    FILE_COLUMN,
    ROW_COLUMN,
    ZERO_TIME,
    Column,
    Fault,
    Reach,
    TimeColumn,
    constant_column,
    json_pointer,
    reach_conditions,
)
from metering_duck.inputs.partitions import TimePartition
from metering_duck.statements.quote import literal, literal_list
from metering_duck.statements.select import case, names, select, struct
from metering_duck.statements.stages import Stage, load_stage

# The texts of an observation in a bundled record, in the order of sql/observations.sql.
OBSERVED = ("quantity", "unit", "aggregation", "window_start", "window_end", "value")


def property_column(number: int) -> str:
    """The column of `fields` that has a property's text."""
    return f"p_{number}"


def number_column(number: int) -> str:
    """The column of `fields` that has the exact number of a property that is a number already."""
    return f"number_{number}"


@dataclass(frozen=True)
class Json:
    """Where an input's fields are in JSON: `sql` is the text of the JSON, `fields` are field → pointers to try.

    `properties` is the pointer to the object with the properties, as its keys, None where no property is asked by a
    pointer. With `reserved`, an object without that object has its members as properties, all but those of these names.
    `made` are more columns out of the parsed texts. `object_name` and `texts_name` are columns' names that the input
    does not have.
    """

    sql: str
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    properties: tuple[str, ...] | None = None
    reserved: Collection[str] | None = None
    is_record: bool = False
    made: Mapping[str, str] = field(default_factory=dict)
    object_name: str = "object"
    texts_name: str = "texts"

    def column(self, name: str) -> Column:
        """A field's text in the list of parsed texts."""
        position = 0
        for known, pointers in self.fields.items():
            if known == name:
                texts = [f"{self.texts_name}[{position + n + 1}]" for n in range(len(pointers))]
                if len(texts) == 1:
                    return Column(texts[0])
                return Column(f"coalesce({', '.join(texts)})")
            position += len(pointers)
        return Column(ABSENT)

    def spelled_twice(self, mapped: Collection[str]) -> tuple[Fault, ...]:
        """The fault of an object that has one field under several names (R37); where one is mapped, it is taken."""
        counts, position = [], 0
        for name, pointers in self.fields.items():
            first, position = position + 1, position + len(pointers)
            if len(pointers) > 1 and name not in mapped:
                counts.append(f"list_count({self.texts_name}[{first}:{position}]) > 1")
        return (Fault(" OR ".join(counts), "property-repeated", "line"),) if counts else ()

    def property_sql(self, name: str, properties: Sequence[str]) -> str:
        """SQL for a property's text in the list of parsed texts."""
        known = sum(len(pointers) for pointers in self.fields.values())
        text = f"{self.texts_name}[{known + list(properties).index(name) + 1}]"
        if self.reserved is None:
            return text
        alone = self._alone(properties)
        member = f"{self.texts_name}[{known + len(properties) + alone.index(name) + 1}]" if name in alone else "NULL"
        return f"if({self.has_properties}, {text}, {member})"

    @property
    def has_properties(self) -> str:
        """SQL for whether an object has an object with the properties; not TRUE where it has none."""
        return f"json_type({self.object_name}, {literal(json_pointer(*self.properties or ()))}) = 'OBJECT'"

    def _alone(self, properties: Sequence[str]) -> list[str]:
        """The properties that may be members of an object without an object for them."""
        return [name for name in properties if self.reserved is not None and name not in self.reserved]

    def _legend(self, properties: Sequence[str]) -> tuple[str, ...]:
        """Which text of the list is which field's, or which property's; a field may have several places."""
        listed, last = [], 0
        for name, pointers in self.fields.items():
            first, last = last + 1, last + len(pointers)
            places = f"{first} is" if first == last else f"{first} to {last} are"
            listed.append(f"{places} {name}")
        if self.properties is not None:
            listed += [f"{last + n + 1} is {property_column(n)}" for n in range(len(properties))]
        last += len(properties)
        for n, name in enumerate(self._alone(properties), start=1):
            listed.append(f"{last + n} is {property_column(list(properties).index(name))} without an object")
        return (f"{self.texts_name}[N] is the text of a field: {', '.join(listed)}.",) if listed else ()

    def stages(self, properties: Sequence[str]) -> list[Stage]:
        """From `input` to `parsed`: the texts at the pointers that are needed, with every digit of numbers."""
        pointers = [pointer for pointers in self.fields.values() for pointer in pointers]
        if self.properties is not None:
            pointers += [json_pointer(*self.properties, name) for name in properties]
            pointers += [json_pointer(name) for name in self._alone(properties)]
        usable = case({f"is_json({self.sql}) AND json_type({self.sql}) = 'OBJECT'": self.sql})
        texts = f"json_texts({self.object_name}, {literal_list(pointers)})"
        stages = [
            Stage("objects", "the JSON that is an object", select({self.object_name: usable}, "input", star="*")),
            Stage(
                "parsed",
                "its texts, every digit kept",
                select({self.texts_name: texts}, "objects", star="*"),
                self._legend(properties),
            ),
        ]
        if self.made:
            stages.append(Stage("read", "what is not as we write it", select(self.made, "parsed", star="*")))
        if self.is_record:
            listed = ", ".join(f"{n} is {name}" for n, name in enumerate(OBSERVED, start=1))
            legend = (f"observed[N] is a text of the observation: {listed}.",)
            stages.append(replace(load_stage("observations"), legend=legend))
        return stages


@dataclass(frozen=True)
class Layout:
    """An input's fields and properties, as SQL over the `relation` behind FROM.

    `property_sql` gives a property's text, `properties_sql` all properties as a MAP in the order of their names;
    `property_numbers` are the properties that are exact numbers already. A row with a `keyless` fault has no key; a row
    with another fault has one. `row_sql` numbers the rows of a file, if that is asked for. With `only_files`, the rows
    of these files count, and the rows of other files are only compared with them. `by_file` says that files entered at
    different times, which the table `entered` has. A MAP of properties, which may have one twice, is `map_column`.
    `has_ids` says that the input has a field for ids, which is not used where ids are generated.
    """

    relation: str
    columns: Mapping[str, Column]
    properties_sql: str
    property_sql: Callable[[str], str] | None = None
    property_numbers: Mapping[str, Column] = field(default_factory=dict)
    zone: str = "UTC"
    file_sql: str = ABSENT
    keyless: tuple[Fault, ...] = ()
    faults: tuple[Fault, ...] = ()
    json: Json | None = None
    is_records: bool = False
    generates_ids: bool = False
    has_metered_at: bool = True
    partition: TimePartition | None = None
    quantity_type: str = ""
    row_sql: str = ""
    only_files: tuple[str, ...] = ()
    by_file: bool = False
    map_column: str = ""
    has_ids: bool = False

    def column(self, name: str) -> Column:
        """A field's column; an optional field that the input does not have is NULL."""
        return self.columns.get(name, Column(ABSENT))

    @property
    def time(self) -> TimeColumn:
        """The time of the event, or of the record."""
        return TimeColumn(self.column("recorded_at" if self.is_records else "time"), self.zone)

    @property
    def metered(self) -> TimeColumn:
        """The time when the event or record entered."""
        return TimeColumn(self.column("metered_at"))

    @property
    def constants(self) -> dict[str, str]:
        """Column → SQL, for the columns of `fields` that are the same in every row."""
        found = {}
        for name, flag in (("time_cut", self.time.cut_sql), ("time_naive", self.time.naive_sql)):
            if flag == "FALSE":
                found[name] = flag
        for name in ("workspace_id", "universe_id", "subject"):
            constant = self.column(name).constant_sql
            if constant is not None:
                found[name] = constant
        return found

    def with_universe_names(self, renamed: Mapping[str, str]) -> Layout:
        """The layout with other names for some universes; ids stay apart, since a key has its universe (R8)."""
        if not renamed:
            return self
        column = self.column("universe_id")
        if column.constant_sql and column.proven.constant is not None:
            new = constant_column(renamed.get(column.proven.constant, column.proven.constant))
        else:
            pairs = [(literal(old), literal(name)) for old, name in renamed.items()]
            new = Column(case(pairs, column.text_sql, of=column.text_sql), proven=replace(column.proven, constant=None))
        return replace(self, columns={**self.columns, "universe_id": new})

    def is_present(self, name: str) -> bool:
        """Whether a field is proven to have a value in every row."""
        generated = self.generates_ids and name in ("id", "event_id")
        source = "source_event_id" if name == "event_id" else name
        return not generated and self.column(source).proven.is_present

    def stages(self, properties: Sequence[str], *, suspects: bool = False, reach: Reach = "all") -> list[Stage]:
        """From the input to `fields`; `properties` become p_0, p_1, …

        With `suspects`, only the rows whose key may occur more than once, so that nothing is computed for the other
        rows; where ids are generated, all rows, since keys are not known before.
        """
        more = {ROW_COLUMN: self.row_sql} if self.row_sql else {}
        source, star = self.relation, "*"
        if self.by_file:
            # The join is here, below all expressions: with the join above them, DuckDB plans for half a minute.
            more[ENTERED_COLUMN] = "entered.entered_at"
            source = f"{self.relation} AS lying\nLEFT JOIN entered ON entered.file = lying.{FILE_COLUMN}"
            star = "lying.*"
        lies = select(more, source, star=star, where=[] if suspects else self._near(reach))
        stages = [Stage("input", "the input as it lies", lies)]
        if self.json:
            stages += self.json.stages(properties)
        where = []
        if suspects and not self.generates_ids:
            key = [self.column(name).text_sql for name in ("workspace_id", "universe_id", "id")]
            where = [f"hash({', '.join(key)}) IN (SELECT key_hash FROM repeated_keys)"]
        named = select(self._named(properties), stages[-1].name, where=where)
        stages.append(Stage("named", "its fields under one name each, its times in UTC microseconds (R11)", named))
        if self.generates_ids:
            stages.append(load_stage("generated_ids"))
        fields = _fields_sql(self, stages[-1].name)
        return [*stages, Stage("fields", "what makes a row unusable, and its content in one canonical text", fields)]

    def _near(self, reach: Reach) -> list[str]:
        """Conditions by which a reader skips rows: of other files, and of times out of reach, where these are typed."""
        files = [f"list_contains({literal_list(self.only_files)}, {FILE_COLUMN})"] if self.only_files else []
        if not self.time.is_ordinary or self.time.column.type != "TIMESTAMP WITH TIME ZONE":
            return files
        bounds = {name: f"make_timestamptz(epoch_us(${name}))" for name in ("start", "end")}
        return [*files, *reach_conditions(reach, self.time.column.sql, **bounds)]

    def _named(self, properties: Sequence[str]) -> dict[str, str]:
        """The columns of the stage `named`: each field under one name, faults that the input shows, and properties."""
        time, metered = self.time, self.metered
        early = [*self.keyless, *self.faults, *self._keys_twice()]
        columns = {name: self.column(name).text_sql for name in ("workspace_id", "universe_id", "subject", "id")}
        columns |= {
            "event_id": self.column("source_event_id" if self.is_records else "id").text_sql,
            "type": self.column("type").text_sql,
            "time_text": time.text_sql,
            "time_given": time.given_sql,
            "recorded_at": time.moment_sql,
            "time_cut": time.cut_sql,
            "time_naive": time.naive_sql,
            "metered_text": self.column("metered_at").text_sql,
            "metered_at": metered.moment_sql,
            "metered_given": metered.given_sql,
        }
        if self.partition:
            columns["misplaced"] = self.partition.misplaced_sql(time.moment_sql)
        columns["file"] = self.file_sql
        if self.row_sql:
            columns["row"] = ROW_COLUMN
        if self.by_file:
            columns[ENTERED_BY_FILE] = ENTERED_COLUMN
        columns["early_reason"] = case((fault.condition, literal(fault.reason)) for fault in early)
        columns["early_text"] = case((fault.condition, fault.text) for fault in early)
        if self.is_records:
            columns |= {name: self.column(name).text_sql for name in ("quantity", "unit", "aggregation", "value")}
            for name in ("window_start", "window_end"):
                columns[name] = TimeColumn(self.column(name), self.zone).moment_sql
        columns |= {property_column(n): self._property_sql(name, properties) for n, name in enumerate(properties)}
        numbers = self.property_numbers
        columns |= {number_column(n): numbers[name].sql for n, name in enumerate(properties) if name in numbers}
        columns["properties"] = case(((fault.condition, "NULL") for fault in early), self.properties_sql)
        return columns

    def _keys_twice(self) -> list[Fault]:
        """The fault of a MAP that has a name twice, of which SQL would take the first."""
        if not self.map_column:
            return []
        text = f"CAST(map_entries({self.map_column}) AS VARCHAR)"
        twice = f"list_transform([map_keys({self.map_column})], lambda found: has_twice(found))[1]"
        return [Fault(twice, "property-repeated", text)]

    def _property_sql(self, name: str, properties: Sequence[str]) -> str:
        """SQL for a property's text; NULL where the input has no properties."""
        if self.property_sql is not None:
            return self.property_sql(name)
        if self.json is not None:
            return self.json.property_sql(name, properties)
        return ABSENT

    @property
    def required(self) -> dict[str, str]:
        """Field that may be missing → the name that the reason code has for it."""
        required = {"id": "id", "workspace_id": "workspace", "universe_id": "universe", "subject": "subject"}
        required |= {"event_id": "source-event", "unit": "unit"} if self.is_records else {"type": "type"}
        return {name: lacking for name, lacking in required.items() if not self.is_present(name)}

    def field_faults(self) -> list[Fault]:
        """The faults that are found once each field has one name."""
        required = self.required.items()
        faults = [Fault(f"coalesce({name}, '') = ''", f"{lacking}-missing", name) for name, lacking in required]
        if not self.time.is_ordinary:
            faults += [
                Fault("NOT time_given", "time-missing", "time_text"),
                Fault(f"recorded_at = {ZERO_TIME}", "time-missing", "time_text"),
                Fault("usable_moment(recorded_at) IS NULL", "time-invalid", "time_text"),
            ]
        if "metered_at" in self.columns and not self.metered.is_ordinary:
            is_none = "metered_given AND usable_moment(metered_at) IS NULL"
            faults.append(Fault(is_none, "metered-at-invalid", "metered_text"))
        return faults


def unusable_reasons(layout: Layout) -> set[str]:
    """The reasons for which the stage `fields` may find that a row cannot be used."""
    faults = [*layout.keyless, *layout.faults, *layout.field_faults()]
    generated = {"id-missing"} if layout.generates_ids else set()
    if layout.map_column:
        faults.append(Fault("", "property-repeated", ""))
    return {fault.reason for fault in faults} - generated


def _fields_sql(layout: Layout, source: str) -> str:
    """The stage `fields`: why a row cannot be used, whether it has a key, and its content as one canonical text."""
    required = layout.required
    faults = layout.field_faults()
    keyless = [f"early_reason = {literal(fault.reason)}" for fault in layout.keyless]
    keyless += [f"coalesce({name}, '') = ''" for name in ("id", "workspace_id", "universe_id") if name in required]
    time = "coalesce(time_text(usable_moment(recorded_at)), time_text)"
    content = {"type": "type", "subject": "subject", "time": time}
    if layout.is_records:
        content |= names(("quantity", "unit", *(name for name in EXTENT if name in layout.columns)))
    # What cannot be read differs by its text.
    content["properties"] = case({"early_reason IS NOT NULL": "to_json(early_text)"}, "to_json(properties)")
    columns = {
        "keyless": f"({' OR '.join(keyless)}) IS TRUE" if keyless else "FALSE",
        "reason": f"coalesce(early_reason, {case((f.condition, literal(f.reason)) for f in faults)})",
        "reason_text": case(
            [("early_reason IS NOT NULL", "early_text"), *((fault.condition, fault.text) for fault in faults)]
        ),
        "content_text": f"CAST(to_json({struct(content)}) AS VARCHAR)",
    }
    star = "* EXCLUDE (early_reason, early_text, time_given, metered_text, metered_given)"
    if any(fault.reason == "metered-at-invalid" for fault in faults):
        star += " REPLACE (usable_moment(metered_at) AS metered_at)"
    return select(columns, source, star=star)
