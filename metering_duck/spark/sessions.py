"""Spark sessions: a session that runs already, or a new one, with settings that no other user of Spark sees."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from metering_duck.errors import ConfigError, SourceError
from metering_duck.spark.errors import GET_JAVA, JAVA_NEEDED, errors, in_our_words

# The ports of a master and of a Connect server where none is given.
PORTS = {"spark": 7077, "sc": 15002}
PATIENCE_S = 10
# A Connect server that went away is asked again for a quarter of a minute, and not for a quarter of an hour.
RETRIES = 5
# Settings that a cluster or a user may have changed, and that would change numbers: times are in UTC, times without a
# zone stay without one, names are compared letter by letter, binary stays binary, and a file that cannot be read is an
# error. Batches are of bounded size.
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.caseSensitive": "true",
    "spark.sql.parquet.binaryAsString": "false",
    "spark.sql.parquet.int96AsTimestamp": "true",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.legacy.parquet.nanosAsLong": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.execution.arrow.useLargeVarTypes": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(64 << 20),
}
# The variable that pyspark sets once it is the client of a Connect server.
IS_CONNECT = "SPARK_CONNECT_MODE_ENABLED"
# Settings for a Spark that this process starts: a person does not want to read its log.
QUIET = {"spark.log.level": "OFF", "spark.ui.showConsoleProgress": "false", "spark.ui.enabled": "false"}


def check_installed(master: str | None) -> None:
    """Refuse to start a session without what it needs on this machine.

    Raises: ConfigError without Java; SourceError where nobody answers at the address of a master.
    """
    _check_answers(master or os.environ.get("SPARK_REMOTE") or "")
    if _is_connect(master) or _has_context():
        return
    if find_java() is None:
        raise ConfigError(
            f"engine: found no Java; expected {JAVA_NEEDED} or newer for the engine spark. hint: {GET_JAVA}"
        )


def find_java() -> str | None:
    """The Java that Spark would start on this machine: of JAVA_HOME, otherwise of the PATH."""
    home = os.environ.get("JAVA_HOME")
    return shutil.which(os.path.join(home, "bin", "java") if home else "java")


@contextlib.contextmanager
def own_session(master: str | None) -> Iterator[Any]:
    """A session with SETTINGS: on the master that is asked for, beside a session that runs already, or started now.

    Raises: ConfigError where another session runs in this process; SourceError where no session can be started.
    """
    with errors("engine"), contextlib.ExitStack() as opening:
        own = _new_session(master, opening)
        for name, value in SETTINGS.items():
            own.conf.set(name, value)
        ending = opening.pop_all()
    with ending:
        yield own


def _new_session(master: str | None, ending: contextlib.ExitStack) -> Any:
    """A session of our own beside all others; `ending` gets what must be undone at the end."""
    from pyspark.sql import SparkSession

    if IS_CONNECT in os.environ and not _is_connect(master) and master is not None:
        raise ConfigError(
            f"master: found a session of Spark Connect in this process; expected {master}. "
            "hint: stop it, or leave master out"
        )
    running = _running() if master is None else None
    if running is None and _is_connect(master):
        own = SparkSession.builder.remote(master or os.environ["SPARK_REMOTE"]).create()
        return _of_connect(own, ending)
    session = running or _session(master)
    if not _is_of_connect(session):
        return session.newSession()
    if hasattr(session, "newSession"):
        return _of_connect(session.newSession(), ending)
    # Spark Connect before 4.3 has no second session: the user's own is used, and gets its settings back.
    for name in SETTINGS:
        ending.callback(_set_again, session.conf, name, session.conf.get(name, None))
    return session


def _set_again(conf: Any, name: str, before: str | None) -> None:
    """Give a setting its earlier value back."""
    if before is None:
        conf.unset(name)
    else:
        conf.set(name, before)


def _of_connect(own: Any, ending: contextlib.ExitStack) -> Any:
    """A session of Connect that is stopped at the end; a lost server is asked only RETRIES times."""
    from pyspark.sql.connect.client.retries import DefaultPolicy

    own.client.set_retry_policies([DefaultPolicy(max_retries=RETRIES)])
    ending.callback(own.stop)
    ending.callback(own.client.set_retry_policies, [DefaultPolicy(max_retries=1)])
    return own


def _session(master: str | None) -> Any:
    """The classic session of this process, or a new one."""
    from pyspark.sql import SparkSession

    if not _has_context():
        _start_context(master)
    # A builder without options does not change the settings of a session that runs.
    session = SparkSession.builder.getOrCreate()
    check_master(session, master)
    return session


def check_master(session: Any, master: str | None) -> None:
    """Refuse a session that runs on another master than the one asked for.

    Raises: ConfigError.
    """
    found = master if _is_of_connect(session) else session.sparkContext.master
    if master is not None and found != master:
        raise ConfigError(
            f"master: found a session that runs already, on {found}; expected {master}. "
            "hint: stop it, or leave master out"
        )


def _running() -> Any:
    """The session that this process has already, from any of its threads; None where there is no session."""
    from pyspark.sql import SparkSession

    if IS_CONNECT in os.environ:
        from pyspark.sql.connect.session import SparkSession as Connected

        with contextlib.suppress(Exception):
            return Connected.builder.getOrCreate()
    return SparkSession.getActiveSession()


def _is_of_connect(session: Any) -> bool:
    return type(session).__module__.startswith("pyspark.sql.connect")


def _is_connect(master: str | None) -> bool:
    """Whether the master is a Connect server."""
    if master is not None:
        return master.startswith("sc://")
    return "SPARK_REMOTE" in os.environ


def _has_context() -> bool:
    """Whether this process has a Spark of its own already: in any of its threads, or as spark-submit started it."""
    from pyspark import SparkContext

    in_environment = {"PYSPARK_GATEWAY_PORT", IS_CONNECT} & set(os.environ)
    return bool(in_environment) or SparkContext._active_spark_context is not None


def _start_context(master: str | None) -> None:
    """Start a JVM, on all cores of this machine if no master is given; its log is read only if the start fails."""
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway

    # Workers on this machine use the Python of this process, and its libraries.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    conf = SparkConf().setAppName("metering-duck").setAll(list(QUIET.items()))
    if master is not None:
        conf.setMaster(master)
    with tempfile.TemporaryFile() as log:
        try:
            gateway = launch_gateway(conf, {"stderr": log})  # type: ignore[no-untyped-call]
            SparkContext(conf=conf, gateway=gateway)
        except Exception as error:
            log.seek(0)
            raise in_our_words("engine", str(error), log.read().decode(errors="replace")) from error


def _check_answers(url: str) -> None:
    """Refuse a master or a Connect server at whose address nobody listens: Spark itself would try for minutes.

    Raises: SourceError.
    """
    scheme, mark, rest = url.partition("://")
    if not mark or scheme not in PORTS:
        return
    places = [urlsplit(f"//{place}") for place in rest.partition("/")[0].split(",")]
    for place in places:
        with contextlib.suppress(OSError, ValueError):
            socket.create_connection((place.hostname, place.port or PORTS[scheme]), PATIENCE_S).close()
            return
    shown = ", ".join(place.netloc.rpartition("@")[2] for place in places)
    raise SourceError(
        f"engine: found nobody who answers at {scheme}://{shown}; expected a Spark master, or a Connect server. "
        "hint: look at --master, SPARK_REMOTE and the network"
    )
