"""The log of a Delta table is looked through for files outside of the table before deltalake opens any of them.

The log may name a file by a path from the table's folder, or by a whole path: a file of rows, of deleted rows, or a
part of a checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from metering_duck.engine.remote import DELTA_LOG, scheme_of
from metering_duck.errors import SourceError
from metering_duck.inputs.lake_files import check_below

# A path that may lead out of the table: a whole one, one with a scheme, one with .. in it, in any spelling.
LEADS_OUT = r"(?i)^(/|\\|%2f|%5c|[a-z][a-z0-9+.-]*(:|%3a))|(\.|%2e){2}|%25"
_TEXT = pa.string()
_DELETED = pa.struct([("storageType", _TEXT), ("pathOrInlineDv", _TEXT)])
# The parts of the log's lines that name other files than those of rows.
LINE = pa.schema(
    [("add", pa.struct([("deletionVector", _DELETED)])), ("sidecar", pa.struct([("path", _TEXT)]))],
)


def check_added(where: str, root: str, actions: pa.Table) -> None:
    """Refuse files of rows outside of the table.

    Raises: SourceError.
    """
    paths = actions.column("path").combine_chunks().cast(_TEXT)
    suspects = paths.filter(pc.match_substring_regex(paths, LEADS_OUT)).to_pylist()
    check_below(where, (_whole(root, path) for path in suspects), [root])


def check_log(where: str, place: str, *, only_checkpoints: bool) -> None:
    """Refuse parts of checkpoints, and files of deleted rows, outside of a table on this machine.

    The checkpoints are looked at before the table is opened; the rest of the log only where rows may be deleted.

    Raises: SourceError, also for a log that cannot be read.
    """
    folder = Path(place.removeprefix("file://")) / DELTA_LOG
    if scheme_of(place.removeprefix("file://")) or not folder.is_dir():
        return
    root = str(folder.parent)
    try:
        named = list(_named(folder, only_checkpoints=only_checkpoints))
    except (OSError, pa.ArrowException) as error:
        raise SourceError(
            f"{where}: its log cannot be read ({str(error).splitlines()[0].rstrip('.')}); expected a Delta table."
        ) from None
    for path, base in named:
        if path:
            check_below(where, [_whole(base or root, path)], [root])


def _named(folder: Path, *, only_checkpoints: bool) -> Iterator[tuple[str | None, str]]:
    """Every file that the log names beside those of rows, and the folder that its path is from."""
    for path in sorted(folder.glob("*.checkpoint*" if only_checkpoints else "*")):
        readers = {".json": _lines, ".parquet": _rows}
        for one in readers[path.suffix](path) if path.suffix in readers and path.is_file() else ():
            deleted = (one.get("add") or {}).get("deletionVector") or {}
            if deleted.get("storageType") not in (None, "u", "i"):
                yield deleted.get("pathOrInlineDv"), ""
            yield (one.get("sidecar") or {}).get("path"), str(folder / "_sidecars")


def _lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of the log that name such a file."""
    from pyarrow import json

    size = path.stat().st_size
    if not size:
        return []
    table = json.read_json(
        path,
        read_options=json.ReadOptions(block_size=size + 1),
        parse_options=json.ParseOptions(explicit_schema=LINE, unexpected_field_behavior="ignore"),
    )
    return _with_names(table)


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a checkpoint that name such a file."""
    from pyarrow import parquet

    wanted = ("add.deletionVector.storageType", "add.deletionVector.pathOrInlineDv", "sidecar.path")
    with parquet.ParquetFile(path) as file:
        known = {file.schema.column(n).path for n in range(len(file.schema))}
        chosen = [name for name in wanted if name in known]
        return _with_names(file.read(chosen)) if chosen else []


def _with_names(table: pa.Table) -> list[dict[str, Any]]:
    """The rows that name a file."""
    masks = []
    if "add" in table.schema.names:
        deleted = pc.struct_field(table.column("add"), ["deletionVector", "storageType"])
        masks.append(pc.fill_null(pc.invert(pc.is_in(deleted, pa.array(["u", "i"], _TEXT), skip_nulls=False)), False))
        masks[-1] = pc.and_(masks[-1], pc.is_valid(deleted))
    if "sidecar" in table.schema.names:
        masks.append(pc.is_valid(pc.struct_field(table.column("sidecar"), ["path"])))
    if not masks:
        return []
    mask = masks[0] if len(masks) == 1 else pc.or_(*masks)
    found: list[dict[str, Any]] = table.filter(mask).to_pylist()
    return found


def _whole(root: str, path: str) -> str:
    """A path of the log as a whole one, without escapes."""
    decoded = unquote(path)
    while decoded != path:
        path, decoded = decoded, unquote(decoded)
    if scheme_of(path) or path.startswith(("/", "file:")):
        return path
    return f"{root.rstrip('/')}/{path}"
