"""Lake files: which files a table of a lake may name.

The log of a table may come from somebody else, and may name any file. Files are read below the table's own folder;
where else, the caller says.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import unquote

from metering_duck.engine.remote import scheme_of, shown
from metering_duck.errors import SourceError

# The environment variable with further places of files, separated by commas.
PLACES = "METERING_DUCK_LAKE_FILES"


def check_below(where: str, files: Iterable[str], roots: Sequence[str]) -> None:
    """Refuse files that lie neither below one of the roots nor where the caller allows it.

    Raises: SourceError that names the file.
    """
    allowed = [_place(root) for root in (*roots, *_granted())]
    for file in files:
        if not any(_is_below(_place(file), root) for root in allowed):
            raise SourceError(
                f"{where}: found the file {shown(file)}, which lies outside of the table; expected files below "
                f"{shown(roots[0])}. hint: {PLACES}=FOLDER allows those below that folder, too"
            )


def _granted() -> Iterator[str]:
    """The further places that the caller allows."""
    for place in os.environ.get(PLACES, "").split(","):
        if place.strip():
            yield place.strip()


def _place(text: str) -> str:
    """A path or URL in one spelling: an absolute path on this machine, or s3:// for its other names."""
    text = re.sub("^s3[an]://", "s3://", text, flags=re.IGNORECASE)
    local = re.sub("^file:(//)?", "", text, flags=re.IGNORECASE)
    return text if scheme_of(local) else os.path.abspath(local)


def _is_below(file: str, root: str) -> bool:
    """Whether a file lies in a folder or below it."""
    if scheme_of(file):
        return file.startswith(f"{root.rstrip('/')}/") and ".." not in unquote(file).split("/")
    if scheme_of(root):
        return False
    folder = root.rstrip("/")
    return file.startswith(f"{folder}/") or os.path.realpath(file).startswith(f"{os.path.realpath(folder)}/")
