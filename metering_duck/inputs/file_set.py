"""File sets: files of one format that are read together, and the Hive partitions in the names of their folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from metering_duck.engine.remote import shown
from metering_duck.errors import first_few
from metering_duck.inputs.fields import FILE_COLUMN
from metering_duck.inputs.file_sizes import size_of
from metering_duck.inputs.in_shell import InShell
from metering_duck.inputs.partitions import TimePartition, check_folder_keys, paths_of_texts, paths_of_times
from metering_duck.statements.quote import literal, path_list
from metering_duck.statements.select import case, select


@dataclass(frozen=True)
class FileSet:
    """Files of one format.

    `keys` are the Hive partition columns in their paths; `keys_are_chosen` says that the caller takes them also where
    a file has a column of such a name. `label` is what messages call standard input. `copies` are those of the files
    that were made by this run, of a pipe or a frame, and are removed when it ends. `stand_ins` are files with the
    copies that are read in their place, under the files' own names. `again` are links to files that are read already.
    """

    paths: tuple[str, ...]
    keys: tuple[str, ...] = ()
    label: str = ""
    copies: tuple[str, ...] = ()
    keys_are_chosen: bool = False
    stand_ins: tuple[tuple[str, str], ...] = ()
    again: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What messages call the files."""
        return self.label or first_few(shown(path) for path in self.paths)

    @property
    def file_sql(self) -> str:
        """SQL for the name of the file that a row is in."""
        return literal(self.label) if self.label else FILE_COLUMN

    def notes(self) -> tuple[str, ...]:
        """A notice of the links that are not read, since the file itself is."""
        named = first_few(shown(path) for path in self.again)
        return (f"{named}: found a link to a file that is read already; it counts once.",) if self.again else ()

    def reader_sql(self, function: str, **options: str) -> str:
        """SQL that reads the files by a table function, with a column for a row's file; Hive partitions are text."""
        hive = "hive_partitioning = true, hive_types_autocast = false" if self.keys else "hive_partitioning = false"
        given = ", ".join(f"{name} = {value}" for name, value in options.items())
        instead = {path: copy for path, copy in self.stand_ins if path in self.paths}
        read = path_list([instead.get(path, path) for path in self.paths])
        rows = f"{function}({read}, {given}, {hive}, filename = {literal(FILE_COLUMN)})"
        if not instead:
            return rows
        name = case([(literal(copy), literal(path)) for path, copy in instead.items()], FILE_COLUMN, of=FILE_COLUMN)
        return f"({select({}, rows, star=f'* REPLACE ({name} AS {FILE_COLUMN})')})"

    def check_keys(self, names: Iterable[str], path: str) -> None:
        """Refuse a column of a file whose name a folder has, too, unless the caller has chosen (R37).

        Raises: SchemaError.
        """
        if not self.keys_are_chosen:
            check_folder_keys(names, self.keys, path)

    def in_shell(self) -> InShell:
        """The DuckDB shell reads the same files."""
        return InShell(copies=self.copies)

    def sizes(self) -> list[int]:
        """The bytes of each file."""
        return [size_of(path) for path in self.paths]

    def of_times(self, column: str, first: datetime | None, last: datetime | None) -> tuple[FileSet, TimePartition]:
        """The files whose partition may hold events of `[first, last)`, both naive UTC; at least one file.

        Raises: ConfigError for files without such partitions; SourceError for a value that is no date.
        """
        paths, partition = paths_of_times(self.paths, self.keys, self.name, column, first, last)
        return replace(self, paths=paths), partition

    def of_texts(self, wanted: Mapping[str, Sequence[str]]) -> FileSet:
        """The files whose partitions have one of the `wanted` texts of each column; at least one file."""
        asked = {column: set(texts) for column, texts in wanted.items() if texts and column in self.keys}
        return replace(self, paths=paths_of_texts(self.paths, asked))
