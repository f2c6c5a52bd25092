"""Remote files: s3://, gs://, az:// and http(s):// by fsspec, and the errors of its libraries as errors of ours.

Credentials are found by each library's own chain (for S3 the environment, profiles, AWS_ENDPOINT_URL, roles); none is
taken from a path, and none is ever in a message.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import IO, Any

from metering_duck.errors import MeteringError, NothingThere, SourceError
from metering_duck.files.names import events_below

# Scheme → the library that reads it, and the extra that installs it.
LIBRARIES = {
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    "gcs": ("gcsfs", "gcs"),
    "az": ("adlfs", "azure"),
    "abfs": ("adlfs", "azure"),
    "abfss": ("adlfs", "azure"),
    "http": ("aiohttp", "http"),
    "https": ("aiohttp", "http"),
}
S3_SCHEMES = ("s3", "s3a")
DELTA_LOG = "_delta_log"
UNEXPLAINED = "cannot be read"
NO_OBJECT = "found no such object; expected one, a folder, or a glob of some."
# How much is read ahead with each range: few requests, and a footer does not take the whole file.
BLOCK_BYTES = 1 << 20
# The size of the parts of an upload, which S3 wants to be at least 5 MB.
PART_BYTES = 16 << 20
# For how many files the ETag is asked again, to say which of them has changed.
ASKED_AT_MOST = 100
S3_RETRIES = {"max_attempts": 8, "mode": "standard"}
# Words of a message about reading → words of the same message about writing.
READS_AND_WRITES = {
    "permission to read it": "permission to write it",
    "to get its objects": "to put objects there",
    "s3:GetObject": "s3:PutObject",
    "cannot be read (": "cannot be written (",
    "a file that can be read to its end": "a place that can be written",
}
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
# The parts of a URL that may hold a secret: a user before the host, and the query of a signed URL.
_USER = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY = re.compile(r"\?\S+")


def scheme_of(path: str) -> str:
    """The scheme of a URL, in lower case; "" for a path on this machine."""
    found = _SCHEME.match(path)
    return found.group(1).lower() if found else ""


def shown(url: str) -> str:
    """A URL without the parts that may hold a secret; a path on this machine as it is."""
    if not scheme_of(url):
        return url
    without_user = _USER.sub("…@", url)
    return _QUERY.sub("?…", without_user)


def filesystem_of(url: str, **options: Any) -> Any:
    """The fsspec file system of a URL; `options` are fsspec's.

    Raises: SourceError for a scheme that is not known, or whose library is not installed.
    """
    scheme = scheme_of(url)
    if scheme not in LIBRARIES:
        known = ", ".join(f"{name}://" for name in LIBRARIES)
        raise SourceError(f"{shown(url)}: found the scheme {scheme}://; expected a path, or one of {known}.")
    library, extra = LIBRARIES[scheme]
    if scheme in S3_SCHEMES:
        _check_bucket(url)
        options |= {"default_block_size": BLOCK_BYTES, "config_kwargs": {"retries": S3_RETRIES}}
    try:
        import fsspec

        return fsspec.filesystem(scheme, **options)
    except ImportError:
        raise SourceError(
            f"{shown(url)}: found no {library}; expected it, to read {scheme}://. "
            f"hint: pip install 'metering-duck[{extra}]'"
        ) from None


def _check_bucket(url: str) -> None:
    """Refuse credentials in a path, since paths are remembered and shown.

    Raises: SourceError.
    """
    if "@" in bucket_of(url):
        hint = "hint: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        raise SourceError(f"{shown(url)}: found credentials before the bucket; expected a bucket alone. {hint}")


def listed(urls: Sequence[str]) -> dict[str, dict[str, Any]]:
    """URL → what its server says of the file: the size, and for S3 and the web the ETag.

    Raises: SourceError for a file that is gone.
    """
    found = {}
    for url in urls:
        if LIBRARIES[scheme_of(url)][0] in ("s3fs", "aiohttp"):
            with explaining_reads(url):
                found[url] = filesystem_of(url).info(url)
    return found


def etag_of(url: str) -> str | None:
    """The ETag of the file that is at a URL now; None where it has no ETag."""
    with explaining_reads(url):
        tag: str | None = filesystem_of(url, skip_instance_cache=True).info(url).get("ETag")
        return tag


def changed(found: Mapping[str, Mapping[str, Any]], urls: Iterable[str]) -> list[str]:
    """The files whose ETag has changed since they were listed; only the first ASKED_AT_MOST are asked for it."""
    with_etag = [url for url in urls if "ETag" in found.get(url, ())]
    others = []
    for url in with_etag[:ASKED_AT_MOST]:
        with contextlib.suppress(SourceError):
            if etag_of(url) != found[url]["ETag"]:
                others.append(url)
    return others


def filesystems_of(urls: Sequence[str], found: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    """The file systems that read these URLs; with S3, each read asks for the ETag that was `found` by the listing."""
    files: dict[str, Any] = {}
    for url in urls:
        # A URL with credentials is refused here, too, whoever listed it.
        filesystem_of(url)
        library = LIBRARIES[scheme_of(url)][0]
        if library not in files:
            files[library] = filesystem_of(url, skip_instance_cache=True)
    if "s3fs" in files:
        for url, info in found.items():
            if scheme_of(url) in S3_SCHEMES:
                folder = info["name"].rpartition("/")[0]
                files["s3fs"].dircache.setdefault(folder, []).append(info)
    for one in files.values():
        one.modified = partial(_modified, one.modified)
    return list(files.values())


def _modified(ask: Callable[[str], Any], path: str) -> Any:
    """When a file was written, which DuckDB asks for; a constant moment where the library cannot say when."""
    try:
        return ask(path)
    except NotImplementedError:
        return datetime(1970, 1, 1, tzinfo=UTC)


def expand_url(url: str, suffixes: Collection[str]) -> list[str]:
    """The files that a URL, a folder or a glob names, in the order of their names; in a folder those with `suffixes`.

    Raises: SourceError where there is no such file, or the place cannot be looked at.
    """
    # Hadoop writes s3a:// for s3://, and one object must not have two names.
    url = re.sub("^s3a://", "s3://", url, flags=re.IGNORECASE)
    files = filesystem_of(url)
    with explaining_reads(url):
        _forget(files, url)
        if scheme_of(url) in ("http", "https"):
            # Asks the server for the file itself: a listing of the web would not tell.
            files.info(url)
            return [url]
        if any(mark in url for mark in "*?["):
            found = _matching(files, url)
        elif url.endswith("/") or not files.isfile(url):
            found = _below(files, url, suffixes)
        else:
            found = [url]
        if not found:
            # Raises an error of its own for a bucket that is not there, or may not be listed.
            files.ls(bucket_of(url), detail=False)
    if not found:
        raise NothingThere(f"{shown(url)}: {NO_OBJECT}")
    return [path if scheme_of(path) else f"{scheme_of(url)}://{path}" for path in sorted(found)]


def _matching(files: Any, url: str) -> list[str]:
    """The files that a glob names; a folder of a Delta table is refused."""
    folder = re.split(r"[*?[]", url)[0].rpartition("/")[0]
    if files.exists(f"{folder}/{DELTA_LOG}"):
        check_no_delta(url, [f"{folder}/{DELTA_LOG}/"])
    found = []
    for path, info in files.glob(url, detail=True).items():
        if info["type"] == "file" and not _is_hidden(path, url):
            found.append(path)
    return found


def _below(files: Any, url: str, suffixes: Collection[str]) -> list[str]:
    """The files with events below a folder; a folder of a Delta table is refused."""
    found = files.find(url)
    check_no_delta(url, found)
    start = len(url.split("://", 1)[1].rstrip("/"))
    below = {path[start:].strip("/"): path for path in found}
    return [below[path] for path in events_below(shown(url), list(below), suffixes, names_only=True)]


def _forget(files: Any, url: str) -> None:
    """Forget earlier listings of a URL, and no others: the listing of another input of this run is still needed."""
    if scheme_of(url) not in S3_SCHEMES:
        files.invalidate_cache()
        return
    start = re.split(r"[*?[]", url.split("://", 1)[1])[0]
    for folder in [folder for folder in files.dircache if folder.startswith(start.rstrip("/"))]:
        del files.dircache[folder]
    files.invalidate_cache(start)


def check_no_delta(pattern: str, paths: Iterable[str]) -> None:
    """Refuse to read the files of a Delta table as plain files, since its log has deleted some of them.

    Raises: SourceError.
    """
    log = next((path for path in paths if f"/{DELTA_LOG}/" in path), None)
    if log:
        table = log.partition(f"/{DELTA_LOG}/")[0]
        place = f"{scheme_of(pattern)}://{table}" if scheme_of(pattern) and not scheme_of(table) else table
        raise SourceError(
            f"{shown(pattern)}: found a Delta table, whose log says which of its rows are there; expected files alone. "
            f"hint: delta://{shown(place)}"
        )


def _is_hidden(path: str, pattern: str) -> bool:
    """Whether a glob leaves a file out because its name begins with a dot, which the glob's name does not."""
    name, asked = path.rpartition("/")[2], pattern.rpartition("/")[2]
    return name.startswith(".") and not asked.startswith(".")


def bucket_of(url: str) -> str:
    """The bucket or container of a URL."""
    return url.split("://", 1)[1].split("/", 1)[0]


def delta_options(place: str) -> dict[str, str] | None:
    """Options for Delta's library, for what it does not read from the environment: plain http, and AWS_PROFILE.

    Raises: SourceError for credentials in a place, and for a profile without credentials.
    """
    if scheme_of(place) not in S3_SCHEMES:
        return None
    _check_bucket(place)
    found = {}
    if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        found["aws_allow_http"] = "true"
    if os.environ.get("AWS_PROFILE") and not os.environ.get("AWS_ACCESS_KEY_ID"):
        with contextlib.suppress(ImportError):
            from botocore.session import Session

            with explaining_reads(place):
                keys = Session().get_credentials().get_frozen_credentials()
            found |= {"aws_access_key_id": keys.access_key, "aws_secret_access_key": keys.secret_key}
            if keys.token:
                found["aws_session_token"] = keys.token
    return found or None


def open_url(url: str) -> IO[bytes]:
    """A remote file, opened to be read from its beginning.

    Raises: SourceError.
    """
    with explaining_reads(url):
        opened: IO[bytes] = filesystem_of(url).open(url, "rb")
        return opened


@contextlib.contextmanager
def explaining_reads(url: str) -> Iterator[None]:
    """Raise a library's errors about reading a remote file as SourceError: the library's words may hold secrets."""
    try:
        yield
    except (MeteringError, KeyboardInterrupt):
        raise
    except Exception as error:
        said = explained(error, url)
        raise (NothingThere if said == NO_OBJECT else SourceError)(f"{shown(url)}: {said}") from None


@contextlib.contextmanager
def explaining_writes(url: str) -> Iterator[None]:
    """Raise a library's errors about writing to a remote place as SourceError."""
    try:
        yield
    except (MeteringError, KeyboardInterrupt):
        raise
    except Exception as error:
        found = explained(error, url)
        for reads, writes in READS_AND_WRITES.items():
            found = found.replace(reads, writes)
        raise SourceError(f"{shown(url)}: {found}") from None


@contextlib.contextmanager
def written_url(url: str) -> Iterator[IO[bytes]]:
    """A new remote file that others see only when it is whole, and not at all when anything failed.

    Raises: SourceError.
    """
    files = filesystem_of(url)
    with explaining_writes(url), files.transaction, files.open(url, "wb", block_size=PART_BYTES) as file:
        yield file


def explained(error: BaseException | str, url: str = "") -> str:
    """What was found and what was expected, told from the kind of an error or from its text."""
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        # Some libraries raise FileNotFoundError for every failure: the error behind it tells more.
        behind = explained(error.__cause__, url)
        if not behind.startswith(UNEXPLAINED):
            return behind
    kind = error if isinstance(error, str) else f"{type(error).__name__} {error}"
    profile = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE" if "s3" in scheme_of(url) else "its own"
    known = {
        r"ProfileNotFound": (
            f"found no profile {os.environ.get('AWS_PROFILE', '')}; expected one of ~/.aws/config. hint: AWS_PROFILE"
        ),
        r"Invalid endpoint": (
            "found an AWS_ENDPOINT_URL that is no URL; expected one. hint: AWS_ENDPOINT_URL=https://host:port"
        ),
        r"NoCredentials|Unable to locate credentials|DefaultCredentialsError|PartialCredentials": (
            f"found no credentials; expected those of the usual chain. hint: set {profile}, or a role"
        ),
        r"NoSuchBucket|bucket does not exist": (
            f"found no bucket {bucket_of(url) if url else ''}; expected one that exists. "
            "hint: look at its spelling, its region, and AWS_ENDPOINT_URL"
        ),
        r"InvalidAccessKeyId|SignatureDoesNotMatch|AuthFailure|InvalidToken|ExpiredToken|"
        r"(?i:access key id you provided|token.{0,20}(malformed|invalid|expired)|signature.{0,20}does not match|"
        r"validate the provided access credentials)": (
            "found credentials that are not valid here; expected valid ones. hint: renew them, or set AWS_PROFILE"
        ),
        r"AccessDenied|PermissionError|Forbidden|\b403\b|\b401\b": (
            "found no permission to read it; expected to list its folder and to get its objects. "
            "hint: s3:ListBucket and s3:GetObject, or other credentials"
        ),
        r"FileExpired|PreconditionFailed|pre-conditions|ETag on reading|when it was opened|after it was opened": (
            "changed while it was read; expected it to hold still. hint: run again"
        ),
        r"FileNotFoundError|NoSuchKey|\b404\b|No files found|Cannot access file": (NO_OBJECT),
        r"SlowDown|Throttl|TooManyRequests|reduce your request rate|\b503\b|\b429\b": (
            "was throttled, and each of several tries again; expected an answer. hint: run later, or read fewer files"
        ),
        r"(?i:certificate|SSLError)": (
            "found a certificate that is not trusted; expected one of a known authority. "
            "hint: AWS_CA_BUNDLE for S3, else those of the system"
        ),
        r"EndpointConnection|ConnectTimeout|ConnectionError|ConnectionRefused|CannotConnect|ClientConnector|"
        r"(?i:could ?n.t (connect|resolve)|could not (connect|resolve|establish)|timeout was reached)|"
        r"tcp connect error": (
            "found nobody who answers; expected the service to be there. hint: look at AWS_ENDPOINT_URL and the network"
        ),
    }
    for pattern, message in known.items():
        if re.search(pattern, kind):
            return message
    name = "an error" if isinstance(error, str) else type(error).__name__
    return f"{UNEXPLAINED} ({name}); expected a file that can be read to its end."
