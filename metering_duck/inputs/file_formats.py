"""A file format: its name, how its files are recognised, and which kind of input they become.

The formats are listed in inputs/formats.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from metering_duck.inputs.file_set import FileSet
from metering_duck.inputs.input import Input


@dataclass(frozen=True)
class FileFormat:
    """A file format.

    Its files have one of the `suffixes`; `begins` says whether a file's first bytes look like this format; `opened`
    makes an input of its files. `has_partitions` says that Hive folders above its files are columns.
    """

    name: str
    suffixes: tuple[str, ...]
    opened: Callable[[FileSet], Input]
    begins: Callable[[bytes], bool]
    has_partitions: bool = False
