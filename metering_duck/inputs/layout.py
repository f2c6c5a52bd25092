"""Layouts: what an input calls the fields of an event or a record, and how its properties are kept.

A layout writes the stage `fields`, in which every input looks alike; pure text. inputs/from_columns.py and
inputs/from_json.py find out which layout an input has. `fields` has: workspace_id, universe_id, id, event_id, type,
subject, time_text, recorded_at, time_cut, time_naive, metered_at, keyless, reason, reason_text, file, properties,
content_text, one p_N per property that is asked for, and number_N where it is a number already; of records also
quantity, unit and aggregation. What a query does not use is never computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from metering_duck.inputs.fields import (
    ABSENT,
    ENTERED_BY_FILE,
    ENTERED_COLUMN,
    EXTENT,
    FILE_COLUMN,
    LAST_TIME,
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


@dataclass(frozen=True)
class Json:
    """Where an input's JSON is: SQL for its text; field → pointers to try; the pointer to its properties, if there.

    `made` are columns of what is parsed, for what is asked of it several times. `object_name` and `texts_name` are
    columns that the input does not have.
    """

    sql: str
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    properties: tuple[str, ...] | None = None
    is_record: bool = False
    made: Mapping[str, str] = field(default_factory=dict)
    object_name: str = "object"
    texts_name: str = "texts"

    def column(self, name: str) -> Column:
        """A field's text among the texts that are parsed."""
        position = 0
        for known, pointers in self.fields.items():
            if known == name:
                texts = [f"{self.texts_name}[{position + n + 1}]" for n in range(len(pointers))]
                return Column(f"coalesce({', '.join(texts)})" if len(texts) > 1 else texts[0])
            position += len(pointers)
        return Column(ABSENT)

    def property_sql(self, name: str, properties: Sequence[str]) -> str:
        """A property's text among the texts that are parsed."""
        known = sum(len(pointers) for pointers in self.fields.values())
        return f"{self.texts_name}[{known + list(properties).index(name) + 1}]"

    def stages(self, properties: Sequence[str]) -> list[Stage]:
        """From `input` to `parsed`: what the JSON holds at the pointers that are needed, every digit kept."""
        pointers = [pointer for pointers in self.fields.values() for pointer in pointers]
        if self.properties is not None:
            pointers += [json_pointer(*self.properties, name) for name in properties]
        usable = case({f"json_valid({self.sql}) AND json_type({self.sql}) = 'OBJECT'": self.sql})
        texts = f"json_texts({self.object_name}, {literal_list(pointers)})"
        stages = [
            Stage("objects", "the JSON that is an object", select({self.object_name: usable}, "input", star="*")),
            Stage("parsed", "its texts, every digit kept", select({self.texts_name: texts}, "objects", star="*")),
        ]
        if self.made:
            stages.append(Stage("read", "what is not as we write it", select(self.made, "parsed", star="*")))
        return [*stages, load_stage("observations")] if self.is_record else stages


@dataclass(frozen=True)
class Layout:
    """An input's fields and properties, as SQL over what can stand behind FROM.

    `property_sql` gives a property's text, `properties_sql` all of them as a MAP in the order of their names;
    `property_numbers` are those that are exact numbers already. `keyless` faults leave a row without a key; the others
    do not. `row_sql` numbers the rows of a file, if that is asked for. The rows of `only_files` count; those of others
    are only compared with them. `by_file` says that files entered at different times, as the table `entered` has it.
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

    def column(self, name: str) -> Column:
        """A field's column; an absent optional one is NULL."""
        return self.columns.get(name, Column(ABSENT))

    @property
    def time(self) -> TimeColumn:
        """When it was."""
        return TimeColumn(self.column("recorded_at" if self.is_records else "time"), self.zone)

    @property
    def metered(self) -> TimeColumn:
        """When it entered."""
        return TimeColumn(self.column("metered_at"))

    @property
    def constants(self) -> dict[str, str]:
        """The columns that are the same in every row, as SQL."""
        found = {name: self.column(name).constant_sql for name in ("workspace_id", "universe_id", "subject")}
        never = {"time_cut": self.time.cut_sql, "time_naive": self.time.naive_sql}
        known = {name: sql for name, sql in never.items() if sql == "FALSE"}
        return known | {name: sql for name, sql in found.items() if sql}

    def with_universes(self, renamed: Mapping[str, str]) -> Layout:
        """The same input with other names for some universes; ids stay apart, since a key has its universe (R8)."""
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
        """Whether a field is proven to be missing nowhere."""
        generated = self.generates_ids and name in ("id", "event_id")
        source = "source_event_id" if name == "event_id" else name
        return not generated and self.column(source).proven.is_present

    def stages(self, properties: Sequence[str], *, suspects: bool = False, reach: Reach = "all") -> list[Stage]:
        """From the input to `fields`; `properties` become p_0, p_1, …

        With `suspects`, only the rows whose key may occur more than once, so that nothing is computed of the others;
        but of generated ids all, since these are known only later.
        """
        more = {ROW_COLUMN: self.row_sql} if self.row_sql else {}
        source, star = self.relation, "*"
        if self.by_file:
            # Joined here, below all expressions: above them, DuckDB plans for half a minute.
            more[ENTERED_COLUMN] = "entered.entered_at"
            source = f"{self.relation} AS lying\nLEFT JOIN entered ON entered.file = lying.{FILE_COLUMN}"
            star = "lying.*"
        lies = select(more, source, star=star, where=[] if suspects else self._near(reach))
        stages = [Stage("input", "the input as it lies", lies)]
        if self.json:
            stages += self.json.stages(properties)
        key = [self.column(name).text_sql for name in ("workspace_id", "universe_id", "id")]
        where = [f"hash({', '.join(key)}) IN (SELECT key_hash FROM repeated_keys)"]
        only = where if suspects and not self.generates_ids else []
        named = select(self._named(properties), stages[-1].name, where=only)
        stages.append(Stage("named", "its fields under one name each, its times in UTC microseconds (R11)", named))
        if self.generates_ids:
            stages.append(load_stage("generated_ids"))
        fields = self._fields_sql(stages[-1].name)
        return [*stages, Stage("fields", "what makes a row unusable, and its content in one canonical text", fields)]

    def _near(self, reach: Reach) -> list[str]:
        """What a reader can leave out unread: other files, and times out of reach where they are of a type."""
        files = [f"list_contains({literal_list(self.only_files)}, {FILE_COLUMN})"] if self.only_files else []
        if not self.time.is_ordinary or self.time.column.type != "TIMESTAMP WITH TIME ZONE":
            return files
        bounds = {name: f"make_timestamptz(epoch_us(${name}))" for name in ("start", "end")}
        return [*files, *reach_conditions(reach, self.time.column.sql, **bounds)]

    def _named(self, properties: Sequence[str]) -> dict[str, str]:
        time, metered = self.time, self.metered
        early = [*self.keyless, *self.faults]
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
            **({"misplaced": self.partition.misplaced_sql(time.moment_sql)} if self.partition else {}),
            "file": self.file_sql,
            **({"row": ROW_COLUMN} if self.row_sql else {}),
            **({ENTERED_BY_FILE: ENTERED_COLUMN} if self.by_file else {}),
            "early_reason": case((fault.condition, literal(fault.reason)) for fault in early),
            "early_text": case((fault.condition, fault.text) for fault in early),
        }
        if self.is_records:
            columns |= {name: self.column(name).text_sql for name in ("quantity", "unit", "aggregation", "value")}
            for name in ("window_start", "window_end"):
                columns[name] = TimeColumn(self.column(name), self.zone).moment_sql
        columns |= {f"p_{n}": self._property_sql(name, properties) for n, name in enumerate(properties)}
        numbers = self.property_numbers
        columns |= {f"number_{n}": numbers[name].sql for n, name in enumerate(properties) if name in numbers}
        columns["properties"] = case(((fault.condition, "NULL") for fault in early), self.properties_sql)
        return columns

    def _property_sql(self, name: str, properties: Sequence[str]) -> str:
        if self.property_sql is not None:
            return self.property_sql(name)
        return self.json.property_sql(name, properties) if self.json else ABSENT

    @property
    def _required(self) -> dict[str, str]:
        """Field → what a row lacks without it, of the fields that may be missing."""
        required = {"id": "id", "workspace_id": "workspace", "universe_id": "universe", "subject": "subject"}
        required |= {"event_id": "source-event", "unit": "unit"} if self.is_records else {"type": "type"}
        return {name: what for name, what in required.items() if not self.is_present(name)}

    def _field_faults(self, required: Mapping[str, str]) -> list[Fault]:
        """What makes a row unusable, once its fields have one name each."""
        faults = [Fault(f"coalesce({name}, '') = ''", f"{what}-missing", name) for name, what in required.items()]
        if not self.time.is_ordinary:
            faults += [
                Fault("NOT time_given", "time-missing", "time_text"),
                Fault(
                    f"recorded_at IS NULL OR recorded_at NOT BETWEEN {ZERO_TIME} AND {LAST_TIME}",
                    "time-invalid",
                    "time_text",
                ),
                Fault(f"recorded_at = {ZERO_TIME}", "time-missing", "time_text"),
            ]
        if not self.metered.is_ordinary:
            faults.append(Fault("metered_given AND metered_at IS NULL", "metered-at-invalid", "metered_text"))
        return faults

    def _fields_sql(self, source: str) -> str:
        """What makes a row unusable, whether it has a key, and its content in one canonical text."""
        required = self._required
        faults = self._field_faults(required)
        keyless = [f"early_reason = {literal(fault.reason)}" for fault in self.keyless]
        keyless += [f"coalesce({name}, '') = ''" for name in ("id", "workspace_id", "universe_id") if name in required]
        content = {"type": "type", "subject": "subject", "time": "coalesce(time_text(recorded_at), time_text)"}
        if self.is_records:
            content |= names(("quantity", "unit", *(name for name in EXTENT if name in self.columns)))
        columns = {
            "keyless": f"({' OR '.join(keyless)}) IS TRUE" if keyless else "FALSE",
            "reason": f"coalesce(early_reason, {case((f.condition, literal(f.reason)) for f in faults)})",
            "reason_text": case(
                [("early_reason IS NOT NULL", "early_text"), *((fault.condition, fault.text) for fault in faults)]
            ),
            "content_text": f"CAST(to_json({struct({**content, 'properties': 'properties'})}) AS VARCHAR)",
        }
        return select(
            columns, source, star="* EXCLUDE (early_reason, early_text, time_given, metered_text, metered_given)"
        )
