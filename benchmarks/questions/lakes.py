"""Two counters by subject and day over the same month as local Parquet files, as objects, and as tables of two lakes.

The tables are made of the very files that are read locally: both have links to them. So they have the same row groups
and the same compression, and what differs is how they are found: DuckDB reads the files of both. The objects are in a
server on the same machine, written in Python (moto), which keeps them in memory and hands out ranges: reading S3
takes as long as the server does, and no network is measured. It is an upper bound for what ranges cost.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from benchmarks.contestants import TWO_COUNTERS, bare, by_unit, metered, standard
from benchmarks.question import Contestant, Dataset, Question
from benchmarks.questions.counters_by_subject_day import BARE
from benchmarks.servers import BUCKET, need, s3_server, upload

CATALOG, TABLE = "bench", "usage.events"


def beside(dataset: Dataset, kind: str) -> Path:
    """The folder of a table, beside the data set."""
    return dataset.path.parent / f"{dataset.path.name}-{kind}"


@contextmanager
def around(dataset: Dataset) -> Iterator[dict[str, str]]:
    """The S3 server, and where the Iceberg catalog is."""
    need("deltalake", "pyiceberg", "sqlalchemy")
    folder = beside(dataset, "iceberg")
    catalog = {"TYPE": "sql", "URI": f"sqlite:///{folder}/catalog.db", "WAREHOUSE": f"file://{folder}"}
    with s3_server() as environment:
        yield environment | {f"PYICEBERG_CATALOG__{CATALOG.upper()}__{name}": text for name, text in catalog.items()}


def linked(files: Sequence[Path], folder: Path) -> list[str]:
    """Links to files in a folder of a table, which names no file outside of itself."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        os.link(file, folder / file.name)
    return [str(folder / file.name) for file in files]


def prepare(dataset: Dataset) -> None:
    """Both tables, made anew, and the objects."""
    from deltalake import convert_to_deltalake
    from pyiceberg.catalog import load_catalog

    files = sorted(dataset.path.glob("*.parquet"))
    for kind in ("delta", "iceberg"):
        shutil.rmtree(beside(dataset, kind), ignore_errors=True)
        beside(dataset, kind).mkdir()
    linked(files, beside(dataset, "delta"))
    convert_to_deltalake(beside(dataset, "delta"))
    catalog = load_catalog(CATALOG)
    catalog.create_namespace(TABLE.partition(".")[0])
    table = catalog.create_table(TABLE, schema=pyarrow.parquet.read_schema(files[0]))
    table.add_files(linked(files, Path(table.location().removeprefix("file://")) / "data"))
    upload(dataset.path, dataset.path.name)


def metering_duck(dataset: Dataset) -> pa.Table:
    """The files, on this machine."""
    return metered(dataset, TWO_COUNTERS, every="day")


def in_s3(dataset: Dataset) -> pa.Table:
    """The same files as objects, by ranges."""
    return metered(dataset, TWO_COUNTERS, every="day", events=f"s3://{BUCKET}/{dataset.path.name}/")


def in_delta(dataset: Dataset) -> pa.Table:
    """The same files as a Delta table."""
    return metered(dataset, TWO_COUNTERS, every="day", events=f"delta://{beside(dataset, 'delta')}")


def in_iceberg(dataset: Dataset) -> pa.Table:
    """The same files as an Iceberg table, found by its catalog."""
    return metered(dataset, TWO_COUNTERS, every="day", events=f"iceberg://{CATALOG}/{TABLE}")


def bare_query(dataset: Dataset) -> pa.Table:
    """The files on this machine, nothing checked."""
    return by_unit(bare(BARE, dataset))


def imported(*libraries: str) -> None:
    """Libraries are imported before anything is timed, those of lakes as all others."""
    for library in libraries:
        import_module(library)


def contestants(_events: int) -> list[Contestant]:
    """All of them give the same answer."""
    return [
        Contestant("metering-duck", metering_duck),
        Contestant("metering-duck, S3", in_s3, ready=partial(imported, "s3fs")),
        Contestant("metering-duck, Delta", in_delta, ready=partial(imported, "deltalake", "pyarrow.dataset")),
        Contestant(
            "metering-duck, Iceberg",
            in_iceberg,
            ready=partial(imported, "pyiceberg.catalog.sql", "pyiceberg.io.pyarrow"),
        ),
        Contestant("bare query", bare_query),
    ]


QUESTION = Question(
    name="lakes",
    title="The same month, where it lies",
    why="What reading from S3, from a Delta table and from an Iceberg table costs over the same files on a disk.",
    shape=standard,
    contestants=contestants,
    notes="All read the same bytes: both tables are made of the local files, and the objects are copies of them. The "
    "S3 server is moto, written in Python, on this machine and on the same cores: an upper bound for what ranges cost, "
    "and no network.",
    options={"around": around, "prepare": prepare},
)
