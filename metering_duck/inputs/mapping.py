"""The option --map: which column of an input is which field, which field is a constant, which columns are properties.

The error for fields that no column has is here, too, since --map mends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from metering_duck.contract.config import check_text
from metering_duck.errors import ConfigError, SchemaError, did_you_mean, first_few

OPTIONAL = {
    "metered_at",
    "aggregation",
    "properties",
    "dimensions",
    "observations",
    "window_start",
    "window_end",
    "value",
}
# The fields of a record that may be in its member `measurement`.
MEASURED = ("quantity", "unit", "aggregation", "value")
SHOWN_COLUMNS = 12
EXAMPLES = {"workspace_id": "'acme'", "universe_id": "'production'", "type": "'api.request'", "unit": "'tokens'"}
# Field → the names that it may have.
Spellings = Mapping[str, tuple[str, ...]]


class FieldMap:
    """A mapping as the caller gave it, checked and sorted.

    `columns` are field → column, `constants` field → text, and `properties` name → column. `names` are all fields, each
    with its spellings. A table of ours, of readings or of periods, has fields but no option (`is_option`).
    """

    def __init__(self, given: Mapping[str, Any] | None, names: Spellings, *, is_option: bool = True) -> None:
        self.is_option = is_option
        # What divides the columns of a CSV file, where that is in doubt.
        self.told_apart = ""
        self.columns: dict[str, str] = {}
        self.constants: dict[str, str] = {}
        self.properties: dict[str, str] = {}
        self.lists_properties = False
        self.names = names
        self.bag = "dimensions" if "dimensions" in names else "properties"
        fields = {alias: name for name, aliases in names.items() for alias in (name, *aliases)}
        if "time" in names:
            fields |= dict.fromkeys(("recorded_at", "recordedAt"), "time")
        for key, value in (given or {}).items():
            self._add(key, value, fields, names)

    def _add(self, key: str, value: Any, fields: Mapping[str, str], names: Spellings) -> None:
        """Take one entry of the mapping; `fields` are spelling → field.

        Raises: ConfigError.
        """
        check_text(key, "map")
        if isinstance(value, str):
            check_text(value, "map")
        head, _, rest = key.partition(".")
        if head == self.bag and (rest or not isinstance(value, str) or "," in value):
            self._add_properties(rest, value)
        elif key not in fields:
            known = [*names, f"{self.bag}.NAME"]
            raise ConfigError(f"map: found {key!r}; expected a field. hint: {did_you_mean(key, known)}")
        elif not isinstance(value, str) or not value:
            raise ConfigError(
                f"map: found {key}={value!r}; expected a column's name, or a constant such as \"'acme'\"."
            )
        elif len(value) >= 2 and value[0] == value[-1] == "'":
            self.constants[fields[key]] = value[1:-1].replace("''", "'")
        else:
            self.columns[fields[key]] = value

    def take_property(self, name: str, column: str) -> None:
        """Take a column as the property `name`."""
        self.lists_properties = True
        self.properties[name] = column

    def _add_properties(self, name: str, value: Any) -> None:
        """Take one property, or, without a name, a list or a mapping of several."""
        self.lists_properties = True
        if name:
            self.take_property(name, value)
        elif isinstance(value, Mapping):
            self.properties.update(value)
        else:
            listed = value.split(",") if isinstance(value, str) else value
            self.properties.update({column.strip(): column.strip() for column in listed})

    def column_of(self, name: str, aliases: Sequence[str], found: Iterable[str], where: str) -> str | None:
        """The column of a field: as mapped, otherwise by the field's own name in any spelling.

        Raises: SchemaError when the mapped column is not there.
        """
        columns = list(found)
        wanted = self.columns.get(name)
        if wanted is None:
            return next((alias for alias in (*aliases, name) if alias in columns), None)
        if wanted not in columns:
            hint = did_you_mean(wanted, columns)
            raise SchemaError(where, repr(wanted), found="no such column", expected=f"the column of {name}", hint=hint)
        return wanted

    def spellings(self, name: str) -> tuple[str, ...]:
        """The names that a field may have: as mapped, otherwise the field's own name in any spelling."""
        if name in self.columns:
            return (self.columns[name],)
        return (*self.names[name], name)

    def spelled_twice(self, found: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
        """Each field that is neither mapped nor a constant, and the several names in `found` that it has there."""
        columns = set(found)
        for name, aliases in self.names.items():
            if name not in self.columns and name not in self.constants:
                nested = (f"measurement.{name}",) if name in MEASURED else ()
                there = [alias for alias in dict.fromkeys((*aliases, name, *nested)) if alias in columns]
                if len(there) > 1:
                    yield name, there

    def check_spelled_once(self, found: Iterable[str], keys: Iterable[str], where: str) -> None:
        """Refuse names of which several are one field (R37); `keys` are those that are folders'.

        Raises: SchemaError.
        """
        folders = set(keys)
        for name, there in self.spelled_twice(found):
            shown = " and ".join(f"the folder {one}=…" if one in folders else one for one in there)
            hint = f"--map {name}=COLUMN takes one of them"
            if not self.is_option:
                hint = "leave out or rename one of them"
            elif folders.intersection(there):
                hint = "--folder-keys takes what the folder says, --no-folder-keys what the file says"
            raise SchemaError(where, there[0], found=f"{shown}, which are one field", expected="one of them", hint=hint)

    def take_folder_keys(self, keys: Iterable[str]) -> None:
        """Take each field whose name a folder has from the folder, as the caller has chosen."""
        for name in self.names:
            spelled = [alias for alias in self.spellings(name) if alias in keys]
            if spelled and name not in self.constants:
                self.columns.setdefault(name, spelled[0])

    def check_properties(self, found: Iterable[str], where: str) -> None:
        """Refuse a property whose column the input does not have.

        Raises: SchemaError.
        """
        columns = list(found)
        for column in self.properties.values():
            if column not in columns:
                hint = did_you_mean(column, columns)
                raise SchemaError(
                    where, repr(column), found="no such column", expected="a property's column", hint=hint
                )


def divided(told_apart: str) -> str:
    """What a message says of columns of CSV that may be divided by another character; "" where that is in no doubt."""
    return f", which {told_apart} divides" if told_apart else ""


def may_lack(name: str, found: Iterable[str], *, generates_ids: bool) -> bool:
    """Whether an input can do without a field."""
    if name in OPTIONAL or (name == "id" and generates_ids):
        return True
    return name in ("quantity", "unit") and bool({"measurement", "observations"} & set(found))


def raise_missing(
    missing: Sequence[str], where: str, found: Sequence[str], names: Spellings, told_apart: str = ""
) -> NoReturn:
    """Raise one SchemaError for all missing fields, with a hint that mends every field."""
    maps = " ".join(
        f'--map "{name}={EXAMPLES[name]}"' if name in EXAMPLES else f"--map {name}=COLUMN" for name in missing
    )
    ids = ", or --generate-ids where events have no id" if "id" in missing else ""
    blanks = [f"{column!r}" for column in found if any(column.strip() in (one, *names[one]) for one in missing)]
    if blanks:
        ids += f"; did you mean {first_few(blanks)}, which has blanks around it?"
    spelled = ", ".join(f"{name} (or {names[name][0]})" if names[name][0] != name else name for name in missing)
    more = f" and {len(found) - SHOWN_COLUMNS} more" if len(found) > SHOWN_COLUMNS else ""
    shown = (", ".join(found[:SHOWN_COLUMNS]) or "none") + more
    shown += divided(told_apart)
    one = len(missing) == 1
    raise SchemaError(
        where,
        spelled,
        found=f"no such column{'' if one else 's'} among {shown}",
        expected="one" if one else "one for each",
        hint=maps + ids,
    )
