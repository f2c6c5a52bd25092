"""httpfs: s3:// and http(s):// are read by DuckDB's own extension where it can be loaded, else by fsspec.

fsspec lists files in any case (engine/remote.py). The credentials are those that botocore finds in its usual chain;
they are bound to a statement, kept in the connection's memory, and never part of a SQL text.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import duckdb

from metering_duck.engine.extensions import load, missing
from metering_duck.engine.locking import unlocked
from metering_duck.engine.remote import S3_RETRIES, S3_SCHEMES, bucket_of, explaining_reads, scheme_of

SCHEMES = {*S3_SCHEMES, "http", "https"}
# The environment variable that turns httpfs off when it is "0".
CHOICE = "METERING_DUCK_HTTPFS"
SETTINGS: dict[str, object] = {
    # Each read compares the ETag of an object with its ETag when the connection first opened it.
    "enable_http_metadata_cache": True,
    "unsafe_disable_etag_checks": False,
    # The name of an object is taken as it is: ? begins no options, * and [ match no other names.
    "s3_url_compatibility_mode": True,
    "allow_asterisks_in_http_paths": True,
    "enable_curl_server_cert_verification": True,
    "enable_server_cert_verification": True,
    # A request that is throttled is tried again after 0.1, 0.2, 0.4 s and so on, some 13 s in all.
    "http_retries": S3_RETRIES["max_attempts"],
    "http_retry_wait_ms": 100,
    "http_retry_backoff": 2,
}
# Settings that LOAD takes from the environment, and that every statement could see.
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
    """Whether fsspec's own files or variables set options of s3fs, which no other library reads."""
    try:
        from fsspec.config import conf
    except ImportError:
        return False
    return bool(conf.get("s3") or conf.get("s3a"))


@cache
def _fault() -> str | None:
    """Why httpfs cannot be used on this machine."""
    with unlocked() as connection:
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

    Raises: SourceError where the credentials cannot be found out.
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
    """The file of trusted certificates, and the options of a DuckDB secret that reads what s3fs could read."""
    from botocore.httpsession import get_cert_path
    from botocore.session import Session

    session = Session()
    client = session.create_client("s3")
    credentials = session.get_credentials()
    options: dict[str, Any] = {"REGION": client.meta.region_name}
    if credentials:
        keys = credentials.get_frozen_credentials()
        options |= {"KEY_ID": keys.access_key, "SECRET": keys.secret_key}
        if keys.token:
            options["SESSION_TOKEN"] = keys.token
    at = urlsplit(client.meta.endpoint_url)
    # Amazon's own endpoints are made by httpfs, which follows a bucket into another region.
    if at.netloc not in ("s3.amazonaws.com", f"s3.{client.meta.region_name}.amazonaws.com"):
        options |= {"ENDPOINT": at.netloc, "USE_SSL": at.scheme == "https"}
    options["URL_STYLE"] = _url_style(client.meta.config.s3 or {}, at.netloc, buckets)
    return get_cert_path(session.get_config_variable("ca_bundle") or True), options


def _url_style(config: Mapping[str, str], host: str, buckets: Iterable[str]) -> str:
    """Whether a bucket is part of the host's name (vhost) or of the path, as botocore would decide."""
    style = config.get("addressing_style", "auto")
    if style == "auto":
        is_amazon = host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
        # The certificate of a host does not hold for a bucket with a dot in its name.
        has_dots = any("." in bucket for bucket in buckets)
        return "vhost" if is_amazon and not has_dots else "path"
    return "vhost" if style == "virtual" else "path"
