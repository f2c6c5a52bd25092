"""Lake folders: files on this machine that lie in the folder of a Delta or Iceberg table, at any depth.

The table says which rows of its files are there, and which columns they have; the files alone do not.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from metering_duck.engine.remote import DELTA_LOG, check_no_delta
from metering_duck.errors import SourceError


def check_no_table(pattern: str, paths: Iterable[str]) -> None:
    """Refuse files of a Delta or Iceberg table as plain files; each folder above them is looked at once.

    Raises: SourceError that names the table.
    """
    looked_at: set[str] = set()
    for folder in dict.fromkeys(os.path.dirname(os.path.abspath(path)) for path in paths):
        for place in (folder, os.path.realpath(folder)):
            while place not in looked_at:
                looked_at.add(place)
                _check_folder(pattern, place)
                place = os.path.dirname(place)


def _check_folder(pattern: str, folder: str) -> None:
    """Refuse a folder that is that of a table.

    Raises: SourceError.
    """
    log = os.path.join(folder, DELTA_LOG)
    if os.path.isdir(log):
        check_no_delta(pattern, [f"{log}/"])
    with contextlib.suppress(OSError), os.scandir(os.path.join(folder, "metadata")) as files:
        if any(".metadata.json" in file.name for file in files):
            raise SourceError(
                f"{pattern}: found files of the Iceberg table in {folder}, whose metadata says which of its rows are "
                "there; expected files alone. hint: iceberg://CATALOG/NAMESPACE.TABLE"
            )
