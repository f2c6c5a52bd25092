"""httpfs: s3:// and http(s):// read by DuckDB's own extension where it can be loaded, by fsspec where not.

Listing stays with fsspec (engine/remote.py). The credentials are those of the usual chain, as botocore finds them; they
are bound to a statement, kept in the connection's memory, and never part of a SQL text.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import duckdb

from metering_duck.engine.extensions import CLOSED, load, missing
from metering_duck.engine.remote import S3_RETRIES, S3_SCHEMES, bucket_of, explaining_reads, scheme_of

SCHEMES = {*S3_SCHEMES, "http", "https"}
# "0" keeps to fsspec.
CHOICE = "METERING_DUCK_HTTPFS"
SETTINGS: dict[str, object] = {
    # What an object was when it was first opened, it stays for the connection: each read compares its ETag with that.
    "enable_http_metadata_cache": True,
    "unsafe_disable_etag_checks": False,
    # A name of an object is a name: ? begins no options, * and [ match nothing else.
    "s3_url_compatibility_mode": True,
    "allow_asterisks_in_http_paths": True,
    "enable_curl_server_cert_verification": True,
    "enable_server_cert_verification": True,
    # What is throttled is tried again after 0.1, 0.2, 0.4 s and so on, some 13 s in all.
    "http_retries": S3_RETRIES["max_attempts"],
    "http_retry_wait_ms": 100,
    "http_retry_backoff": 2,
}
# What LOAD takes from the environment, and every statement could see.
TAKEN_BY_LOAD = ("s3_access_key_id", "s3_secret_access_key", "s3_session_token", "s3_endpoint", "s3_use_ssl")


def why_fsspec(urls: Iterable[str]) -> str | None:
    """Why fsspec reads these URLs; None where httpfs does."""
    schemes = {scheme_of(url) for url in urls}
    if not schemes <= SCHEMES:
        return f"httpfs reads no {min(schemes - SCHEMES)}://"
    if os.environ.get(CHOICE) == "0":
        return f"{CHOICE} is 0"
    if {"http", "https", "all"} & set(getproxies()):
        return "there is a proxy, of which httpfs knows less"
    if schemes & set(S3_SCHEMES) and _has_own_options():
        return "fsspec's own configuration has options for s3"
    return _fault()


def _has_own_options() -> bool:
    """Whether s3fs is told by a file or a variable of fsspec's what no other library knows."""
    try:
        from fsspec.config import conf
    except ImportError:
        return False
    return bool(conf.get("s3") or conf.get("s3a"))


@cache
def _fault() -> str | None:
    """Why httpfs cannot be used on this machine."""
    with duckdb.connect(":memory:", config=CLOSED) as connection:
        try:
            load(connection, "httpfs")
        except duckdb.Error:
            return missing("httpfs")
        try:
            _set(connection)
        except duckdb.Error:
            return f"the extension httpfs of duckdb {duckdb.__version__} has other settings"
        return None


def prepare(connection: duckdb.DuckDBPyConnection, urls: Sequence[str]) -> None:
    """Make a connection read these URLs by httpfs, S3 with the credentials of the usual chain; to be locked afterwards.

    Raises: SourceError for credentials that cannot be told.
    """
    load(connection, "httpfs")
    _set(connection)
    objects = [url for url in urls if scheme_of(url) in S3_SCHEMES]
    if objects:
        with explaining_reads(objects[0]):
            authority, options = s3_options({bucket_of(url) for url in objects})
            connection.execute("SET ca_cert_file = $path", {"path": authority})
            names = ", ".join(f"{name} ${name}" for name in options)
            connection.execute(f"CREATE TEMPORARY SECRET metering_duck (TYPE s3, {names})", options)


def _set(connection: duckdb.DuckDBPyConnection) -> None:
    for name in TAKEN_BY_LOAD:
        connection.execute(f"RESET {name}")
    for name, value in SETTINGS.items():
        connection.execute(f"SET {name} = $value", {"value": value})


def s3_options(buckets: Iterable[str]) -> tuple[str, dict[str, Any]]:
    """The certificates that are trusted, and the options of a secret that opens what s3fs opens."""
    from botocore.httpsession import get_cert_path
    from botocore.session import Session

    session = Session()
    client = session.create_client("s3")
    credentials = session.get_credentials()
    options: dict[str, Any] = {"REGION": client.meta.region_name}
    if credentials:
        keys = credentials.get_frozen_credentials()
        options |= {"KEY_ID": keys.access_key, "SECRET": keys.secret_key}
        options |= {"SESSION_TOKEN": keys.token} if keys.token else {}
    at = urlsplit(client.meta.endpoint_url)
    is_amazon = at.netloc.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    # Amazon's own are made by httpfs, which changes them with the region of a bucket that lies elsewhere.
    if at.netloc not in ("s3.amazonaws.com", f"s3.{client.meta.region_name}.amazonaws.com"):
        options |= {"ENDPOINT": at.netloc, "USE_SSL": at.scheme == "https"}
    style = (client.meta.config.s3 or {}).get("addressing_style", "auto")
    if style == "auto":
        style = "virtual" if is_amazon and not any("." in bucket for bucket in buckets) else "path"
    options["URL_STYLE"] = "vhost" if style == "virtual" else "path"
    return get_cert_path(session.get_config_variable("ca_bundle") or True), options
