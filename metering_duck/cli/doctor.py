"""The doctor: what this machine has for metering-duck, and what to install for the rest. No secret is shown."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import duckdb

from metering_duck.engine.extensions import can_load, missing
from metering_duck.engine.httpfs import why_fsspec
from metering_duck.engine.locking import locked
from metering_duck.spark.errors import GET_JAVA, JAVA_NEEDED
from metering_duck.spark.sessions import find_java
from metering_duck.version import __version__

# What is read or written → the library that does it, and the extra that installs that library.
EXTRAS = {
    "s3://": ("s3fs", "s3"),
    "gs://": ("gcsfs", "gcs"),
    "az://": ("adlfs", "azure"),
    "http(s)://": ("aiohttp", "http"),
    "delta://": ("deltalake", "delta"),
    "iceberg://": ("pyiceberg", "iceberg"),
    "pandas": ("pandas", "pandas"),
}
# The kinds of URLs that DuckDB may read itself → an example.
READ_BY_HTTPFS = {"s3://": "s3://bucket/", "http(s)://": "https://host/"}
EXTENSIONS = {
    "httpfs": "INSTALL httpfs in a DuckDB shell of the same version, once; s3:// and http:// are read without it",
    "ducklake": "INSTALL ducklake in a DuckDB shell of the same version, once; DuckLake is not read without it",
}
GIB = 1 << 30


def examine() -> list[dict[str, Any]]:
    """One row for each thing looked at: `what`, whether it `works`, what was `found`, and a `hint` where it does not.

    Nothing is downloaded, and nobody is asked over the network.
    """
    rows = [_row("metering-duck", True, f"{__version__}, Python {sys.version.split()[0]}")]
    rows.append(_row("engine", True, f"duckdb {duckdb.__version__}, {os.cpu_count()} cores, {_memory()}"))
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    rows.append(_row("temporary files", free > GIB, f"{folder}, {free / GIB:.0f} GiB free", "--temp-dir DIR"))
    for what, (library, extra) in EXTRAS.items():
        found = _version(library)
        if found:
            try:
                importlib.import_module(library)
            except Exception as error:
                rows.append(_row(what, False, f"{library} {found}, which fails ({error})", _install(extra)))
                continue
        text = f"{library} {found}{_reader(what)}" if found else f"no {library}"
        rows.append(_row(what, found is not None, text, _install(extra)))
    rows += [_spark(), _credentials()]
    for name, hint in EXTENSIONS.items():
        found = f"the extension {name} can be loaded" if can_load(name) else missing(name)
        rows.append(_row(f"duckdb {name}", can_load(name), found, hint))
    return rows


def _row(what: str, works: bool, found: str, hint: str = "") -> dict[str, Any]:
    """One row of the report; the hint is left out where the thing works."""
    return {"what": what, "works": works, "found": found, "hint": "" if works else hint}


def _install(extra: str) -> str:
    return f"pip install 'metering-duck[{extra}]'"


def _version(library: str) -> str | None:
    """The version of an installed library; None where it is not installed."""
    if importlib.util.find_spec(library) is None:
        return None
    try:
        return version(library)
    except PackageNotFoundError:
        return "of unknown version"


def _memory() -> str:
    """How much memory the engine may take before it spills."""
    with locked() as connection:
        row = connection.execute("SELECT current_setting('memory_limit')").fetchone()
        return f"{row[0] if row else 'unknown'} before it spills"


def _reader(what: str) -> str:
    """The end of a sentence that says whether a library reads what it lists, or httpfs does."""
    if what not in READ_BY_HTTPFS:
        return ""
    reason = why_fsspec([READ_BY_HTTPFS[what]])
    return f" lists and reads; {reason}" if reason else " lists, httpfs reads"


def _spark() -> dict[str, Any]:
    """Whether this machine can drive a Spark cluster, or be one."""
    what, found = "--engine spark", _version("pyspark")
    if found is None:
        return _row(what, False, "no pyspark", _install("spark"))
    java = find_java()
    if java is None:
        return _row(what, False, f"pyspark {found}, no Java", f"{GET_JAVA}; --master sc://HOST needs none")
    # The file `release` of a Java says its version.
    told = Path(java).resolve().parent.parent / "release"
    known = re.search(r'JAVA_VERSION="(\d+)([^"]*)"', told.read_text() if told.is_file() else "")
    number = f"{known[1]}{known[2]}" if known else "of unknown version"
    return _row(what, known is None or int(known[1]) >= JAVA_NEEDED, f"pyspark {found}, Java {number}", GET_JAVA)


def _credentials() -> dict[str, Any]:
    """Where the usual chain finds S3 credentials without asking over the network."""
    what, hint = "S3 credentials", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role"
    if importlib.util.find_spec("botocore") is None:
        return _row(what, False, "not looked for without s3fs", _install("s3"))
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    session = Session()
    disabled = os.environ.get("AWS_EC2_METADATA_DISABLED")
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    try:
        found = session.get_credentials()
    except BotoCoreError as error:
        return _row(what, False, type(error).__name__, hint)
    finally:
        if disabled is None:
            del os.environ["AWS_EC2_METADATA_DISABLED"]
        else:
            os.environ["AWS_EC2_METADATA_DISABLED"] = disabled
    return _row(what, found is not None, f"from {found.method}" if found else "none on this machine", hint)
