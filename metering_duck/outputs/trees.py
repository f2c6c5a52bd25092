"""Trees: rows as Parquet in Hive-partitioned folders, on disk or at a URL; a partition is there whole, or not at all.

Files are written aside first. On disk that is a hidden folder of the tree, from which they are renamed one by one. For
a URL it is a folder on this machine, from which they are uploaded in one transaction: others see none of them before
its end. A partition is one file of one name, so that writing the same rows again changes nothing, and new rows replace
it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.engine.owned import owned_folder, remove_left
from metering_duck.engine.remote import PART_BYTES, explaining_writes, filesystem_of, scheme_of
from metering_duck.errors import ConfigError, SourceError, did_you_mean
from metering_duck.outputs.files import put_in_place, sync_folder, unwritten
from metering_duck.outputs.texts import limited, on_top
from metering_duck.outputs.writing import ROW_GROUP_ROWS
from metering_duck.statements.quote import identifier, literal
from metering_duck.statements.select import case, select, star_with
from metering_duck.statements.stages import Query

PARTITIONS_MAX = 1_024
# The folder of rows without a value, as Hive calls it.
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
# Partitions by UTC time: name → how many characters of a date name one.
DATES = {"year": 4, "month": 7, "date": 10}
MOMENTS = ("recorded_at", "window_start")
# What the name of a folder begins with while it is written aside, if it is spelled by us: pyarrow cuts names at a NUL.
# Its spelling in pyarrow's folders.
SPELLED, IN_FOLDERS = chr(0xFDD0), "%EF%B7%90"
# How the folder in which a tree is written is called.
ASIDE = ".metering-duck-rows-"
SYNCED_AT_ONCE = 16


def write_tree(engine: Engine, rows: Query, shape: str, target: str, partition_by: Sequence[str]) -> list[str]:
    """Write a query's rows below `target`, in folders by columns or by year, month or date; the paths of its files.

    Exact:  quantities stay DECIMAL; the same rows give the same bytes (R23). The files lack the partitions' columns.
    Raises: ConfigError for a column that cannot be a folder's name; SourceError where nothing can be written.
    """
    from pyarrow import dataset

    rows = with_dates(engine, rows, partition_by)
    schema = engine.table(limited(rows, 0)).schema
    folders = pa.schema([schema.field(name) for name in partition_by])
    for name, kind in zip(folders.names, folders.types, strict=True):
        if not (pa.types.is_string(kind) or pa.types.is_integer(kind)):
            raise ConfigError(f"partition-by: found {name}, a {kind}; expected a column of texts, or a date.")
    texts = [name for name, kind in zip(folders.names, folders.types, strict=True) if pa.types.is_string(kind)]
    with _aside(engine, target) as stage:
        with _explained(target, partition_by):
            dataset.write_dataset(
                pa.RecordBatchReader.from_batches(schema, engine.stream(_spelled(rows, texts))),
                stage,
                format="parquet",
                file_options=dataset.ParquetFileFormat().make_write_options(compression="zstd"),
                partitioning=dataset.partitioning(folders, flavor="hive"),
                basename_template=f"{shape}s-{{i}}.parquet",
                use_threads=False,
                max_partitions=PARTITIONS_MAX,
                max_open_files=PARTITIONS_MAX,
                min_rows_per_group=ROW_GROUP_ROWS,
                max_rows_per_group=ROW_GROUP_ROWS,
            )
        made = sorted(path.relative_to(stage) for path in Path(stage).rglob("*.parquet"))
        if any(NO_VALUE in path.as_posix() for path in made):
            _check_no_value(engine, rows, partition_by)
        finals = {path: _final(path) for path in made}
        _publish(Path(stage), finals, target)
    return [f"{target.rstrip('/')}/{path.as_posix()}" for path in finals.values()]


@contextmanager
def _explained(target: str, partition_by: Sequence[str]) -> Iterator[None]:
    """Raise what pyarrow says of folders in a with statement as errors that a person can act on.

    Raises: ConfigError; SourceError for a place that cannot be written.
    """
    try:
        yield
    except pa.ArrowInvalid as error:
        if "partitions" not in str(error):
            found = str(error).splitlines()[0].rstrip(".")
            raise ConfigError(f"partition-by: cannot be written ({found}); expected names of folders.") from None
        raise ConfigError(
            f"partition-by: found more than {PARTITIONS_MAX:,} partitions of {', '.join(partition_by)}; expected "
            "fewer. hint: --partition-by month, or write one window after another"
        ) from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG and "too long" not in str(error):
            raise unwritten(target, error) from None
        raise ConfigError(
            f"partition-by: found a value of {', '.join(partition_by)} that is too long for the name of a folder; "
            "expected at most some 250 bytes. hint: another column, or a Delta or Iceberg table"
        ) from None


def _spelled(rows: Query, texts: Sequence[str]) -> Query:
    """The query with each text that has a NUL as the name of its folder, behind the mark SPELLED (R38)."""
    columns = {}
    for name in texts:
        column = identifier(name)
        odd = f"contains({column}, chr(0)) OR starts_with({column}, {literal(SPELLED)})"
        columns[column] = case({odd: f"{literal(SPELLED)} || url_encode({column})"}, column)
    if not columns:
        return rows
    star = star_with(columns)
    return on_top(rows, "spelled", "NUL as it stands in folders", lambda source: select({}, source, star=star))


def _final(path: Path) -> Path:
    """The path in the tree of a file that is written aside: what we spelled has been spelled once more by pyarrow."""
    parts = []
    for part in path.parts:
        name, equals, value = part.partition("=")
        if value.startswith(IN_FOLDERS):
            value = value.removeprefix(IN_FOLDERS).replace("%25", "%")
        parts.append(f"{name}{equals}{value}")
    return Path(*parts)


def _check_no_value(engine: Engine, rows: Query, partition_by: Sequence[str]) -> None:
    """Refuse rows whose value is the name of the folder for rows without a value.

    Raises: ConfigError.
    """
    named = [f"CAST({identifier(name)} AS VARCHAR) = {literal(NO_VALUE)}" for name in partition_by]
    where = f"({' OR '.join(named)})"
    called = on_top(
        rows, "called", "what cannot be a folder", lambda source: select({}, source, star="*", where=[where])
    )
    if engine.table(limited(called, 1)).num_rows:
        raise ConfigError(f"partition-by: found the value {NO_VALUE}, which means no value; expected other names.")


def with_dates(engine: Engine, rows: Query, partition_by: Sequence[str]) -> Query:
    """The query with the dates among `partition_by` as columns."""
    names = engine.table(limited(rows, 0)).schema.names
    moment = next((name for name in MOMENTS if name in names), None)
    known = [*names, *(DATES if moment else ())]
    for name in partition_by:
        if name not in known:
            raise ConfigError(f"partition-by: found {name!r}; expected a column. hint: {did_you_mean(name, known)}")
    if len(set(partition_by)) < len(partition_by):
        raise ConfigError(f"partition-by: found a column twice in {', '.join(partition_by)}; expected it once.")
    dates = [name for name in partition_by if name not in names]
    text = f"CAST(CAST({identifier(moment or '')} AT TIME ZONE 'UTC' AS DATE) AS VARCHAR)"
    columns = {name: f"left({text}, {DATES[name]})" for name in dates}
    return on_top(rows, "dated", "the folders' dates", lambda source: select(columns, source, star="*"))


@contextmanager
def _aside(engine: Engine, target: str) -> Iterator[str]:
    """A folder to write in that no reader looks into; it is removed afterwards, as are those of killed writers."""
    if scheme_of(target):
        filesystem_of(target)
        place = engine.directory
    else:
        place = Path(target)
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SourceError(f"{target}: cannot be written ({error.strerror}); expected a folder.") from None
        remove_left(place, ASIDE)
    try:
        stage = owned_folder(ASIDE, place)
    except OSError as error:
        raise unwritten(target, error) from None
    try:
        yield f"{stage.path}/rows"
    finally:
        stage.remove()


def _publish(stage: Path, finals: Mapping[Path, Path], target: str) -> None:
    """Bring the finished files to their places in the tree."""
    if scheme_of(target):
        files = filesystem_of(target)
        with explaining_writes(target), files.transaction:
            for path, final in finals.items():
                place = f"{target.rstrip('/')}/{final.as_posix()}"
                with open(stage / path, "rb") as file, files.open(place, "wb", block_size=PART_BYTES) as to:
                    shutil.copyfileobj(file, to, 1 << 20)
        return
    try:
        with _new_folders(Path(target), finals.values()):
            places = {stage / path: Path(os.path.realpath(Path(target) / final)) for path, final in finals.items()}
            # A disk brings many files to itself at once in little more time than one.
            with ThreadPoolExecutor(SYNCED_AT_ONCE) as pool:
                list(pool.map(_sync, places))
                for written, final_place in places.items():
                    put_in_place(written, final_place)
                list(pool.map(sync_folder, dict.fromkeys(place.parent for place in places.values())))
    except OSError as error:
        raise unwritten(target, error) from None


@contextmanager
def _new_folders(target: Path, made: Iterable[Path]) -> Iterator[None]:
    """The folders of a tree's files; those that were made for nothing are removed again."""
    new: list[Path] = []
    try:
        for path in made:
            wanted = (target / path).parent
            missing = [folder for folder in (wanted, *wanted.parents) if not folder.exists()]
            new += reversed(missing)
            wanted.mkdir(parents=True, exist_ok=True)
        yield
    except OSError:
        for folder in reversed(new):
            # One that has a file is kept.
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _sync(path: Path) -> None:
    """Bring a whole file to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
