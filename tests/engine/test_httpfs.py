"""What reads s3:// and http://, DuckDB's httpfs or fsspec: the same rows, the same walls, the same words.

Each test runs with both where the extension is on the machine; where it is not, the half that needs it is skipped, and
says so.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

import pyarrow as pa
import pytest
import s3fs
from click.testing import CliRunner
from moto.server import DomainDispatcherApplication, create_backend_app
from pyarrow import parquet
from werkzeug.serving import make_server

from metering_duck import MeteringError, SourceError, meter
from metering_duck.cli.doctor import examine
from metering_duck.cli.main import cli
from metering_duck.engine.duckdb import Engine
from metering_duck.engine.extensions import can_load, missing
from metering_duck.engine.httpfs import CHOICE, SETTINGS, s3_options, why_fsspec
from metering_duck.engine.remote import expand_url
from tests.lake_server import SECRET

pytestmark = pytest.mark.slow

HAS_HTTPFS = can_load("httpfs")
WITHOUT = f"{missing('httpfs')}: only fsspec is proven here"
NEEDS_HTTPFS = pytest.mark.skipif(not HAS_HTTPFS, reason=WITHOUT)
CONFIG = {"measurements": [{"sourceProperty": "n", "unit": "calls", "aggregation": "sum"}]}


@pytest.fixture(params=["fsspec", pytest.param("httpfs", marks=NEEDS_HTTPFS)])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What reads in this test."""
    monkeypatch.setenv(CHOICE, "1" if request.param == "httpfs" else "0")
    monkeypatch.setitem(SETTINGS, "http_retry_wait_ms", 5)
    return str(request.param)


@pytest.fixture
def lake(bucket: s3fs.S3FileSystem) -> s3fs.S3FileSystem:
    """The bucket."""
    return bucket


def put(files: s3fs.S3FileSystem, name: str, seed: int = 1, rows: int = 1) -> str:
    """An object of numbers that compress badly, and its URL."""
    table = pa.table({"a": [n * 2654435761 * seed % 2**32 for n in range(rows)], "b": range(rows)})
    with files.open(f"lake/{name}", "wb") as file:
        parquet.write_table(table, file, row_group_size=20_000)
    return f"s3://lake/{name}"


def rows_of(engine: Engine, url: str, columns: str = "b") -> list[tuple[Any, ...]]:
    """What an engine reads at a URL."""
    quoted = url.replace("'", "''")
    return engine.rows(f"SELECT {columns} FROM read_parquet('{quoted}', filename = 'place')")


# --- which of both ---------------------------------------------------------------------------------------------------


def loaded(engine: Engine) -> bool:
    """Whether an engine has httpfs."""
    return engine.rows("SELECT count(*) FROM duckdb_settings() WHERE name = 'http_retries'") == [(1,)]


def said_of(what: str) -> str:
    """What the doctor found."""
    return next(row["found"] for row in examine() if row["what"] == what)


@NEEDS_HTTPFS
def test_httpfs_reads_where_it_can_be_loaded_and_the_doctor_says_so(lake: s3fs.S3FileSystem) -> None:
    """Proven with the extension: it is loaded and reads, s3fs only lists."""
    url = put(lake, "one.parquet")
    with Engine() as engine:
        engine.lock_down([url])
        assert ([(0,)], True) == (rows_of(engine, url), loaded(engine))
    assert said_of("s3://").endswith(" lists, httpfs reads")


@pytest.mark.skipif(HAS_HTTPFS, reason="the extension httpfs is here: the test above proves that it reads")
def test_s3fs_reads_where_httpfs_cannot_be_loaded_and_the_doctor_says_so(lake: s3fs.S3FileSystem) -> None:
    """Proven without the extension: nothing is fetched, and s3fs lists and reads."""
    url = put(lake, "one.parquet")
    with Engine() as engine:
        engine.lock_down([url])
        assert ([(0,)], False) == (rows_of(engine, url), loaded(engine))
    assert said_of("s3://").endswith(f" lists and reads; {missing('httpfs')}")


def test_what_keeps_to_fsspec_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other schemes, the caller's word, and a proxy, in this order before the extension is looked for."""
    assert "httpfs reads no gs://" == why_fsspec(["s3://lake/a", "gs://lake/b"])
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert "there is a proxy, of which httpfs knows less" == why_fsspec(["s3://lake/a"])
    monkeypatch.setenv(CHOICE, "0")
    assert f"{CHOICE} is 0" == why_fsspec(["s3://lake/a"])


# --- rows, walls, words ----------------------------------------------------------------------------------------------


NAMES = ["a.parquet", "sp ace.parquet", "pl+us.parquet", "pct%20x.parquet", "day=1/é.parquet", "h#sh.parquet", "a&b.pq"]
# A name in which fsspec sees a pattern.
PATTERNS = ["q?s3_endpoint=evil.parquet", "st*r.parquet", "br[a].parquet"]


@pytest.mark.parametrize("name", NAMES)
def test_an_object_of_any_name_is_read_by_its_name(lake: s3fs.S3FileSystem, reader: str, name: str) -> None:
    """Blanks, signs, escapes and other alphabets; its path is the one that was given."""
    url = put(lake, name)
    with Engine() as engine:
        engine.lock_down([url])
        assert [(0, url)] == rows_of(engine, url, "b, place")


@NEEDS_HTTPFS
@pytest.mark.parametrize("name", PATTERNS)
def test_to_httpfs_a_name_is_no_pattern_and_has_no_options(lake: s3fs.S3FileSystem, name: str) -> None:
    """A question mark does not say where else to send the credentials."""
    url = put(lake, name)
    with Engine() as engine:
        engine.lock_down([url])
        assert [(0, url)] == rows_of(engine, url, "b, place")


def test_s3a_is_s3(lake: s3fs.S3FileSystem, reader: str) -> None:
    """An object has one name, by whichever scheme it is asked for."""
    url = put(lake, "b.parquet")
    urls = expand_url(url.replace("s3://", "s3a://"), (".parquet",))
    with Engine() as engine:
        engine.lock_down(urls)
        assert [(0, url)] == rows_of(engine, urls[0], "b, place")


FORBIDDEN = [
    "FROM 's3://lake/other.parquet'",
    "FROM 's3a://lake/open.parquet'",
    "FROM 's3://lake/*.parquet'",
    "FROM 's3://lake/x/../open.parquet'",
    "FROM 's3://lake/open.parquet?s3_endpoint=evil'",
    "FROM glob('s3://lake/*')",
    "FROM read_text('{server}/lake/open.parquet')",
    "FROM read_text('/etc/hostname')",
    "COPY (SELECT 1) TO 's3://lake/stolen.parquet'",
    "SET allowed_paths = ['s3://lake/other.parquet']",
    "SET s3_endpoint = 'evil'",
    "LOAD ducklake",
    "FROM duckdb_secrets(redact = false)",
]


def test_only_the_objects_that_are_listed_can_be_opened(lake: s3fs.S3FileSystem, reader: str, server: str) -> None:
    """No other object, no listing, no other server, no writing, no setting."""
    url, _ = put(lake, "open.parquet"), put(lake, "other.parquet")
    with Engine() as engine:
        engine.lock_down([url])
        for sql in FORBIDDEN:
            with pytest.raises(MeteringError):
                engine.rows(sql.format(server=server))
        assert [(0,)] == rows_of(engine, url)
    assert not lake.exists("lake/stolen.parquet")


def test_the_secret_is_nowhere_to_be_read(lake: s3fs.S3FileSystem, reader: str, tmp_path: Path) -> None:
    """Neither in the settings and secrets of the engine, nor in what compile shows, nor in a message of any length."""
    url = put(lake, "secret.parquet")
    with Engine() as engine:
        engine.lock_down([url])
        shown = [engine.rows(f"FROM {table}()") for table in ("duckdb_settings", "duckdb_secrets", "duckdb_variables")]
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    for command in (["compile", url], ["meter", url, "--verbose"], ["meter", url.replace("secret", "none")]):
        done = CliRunner().invoke(cli, [*command, "--config", str(tmp_path / "config.json")])
        shown.append([(done.output, str(done.exception))])
    assert SECRET not in str(shown)


def rewritten(files: s3fs.S3FileSystem, url: str) -> None:
    """Other rows in the place of an object."""
    put(files, url.removeprefix("s3://lake/"), seed=7, rows=100_000)


def removed(files: s3fs.S3FileSystem, url: str) -> None:
    """The object is gone."""
    files.rm(url)


def not_allowed(files: s3fs.S3FileSystem, url: str) -> None:
    """The server knows nobody any more."""
    allow_without_a_known_key(files, "0")


def allow_without_a_known_key(files: s3fs.S3FileSystem, count: str) -> None:
    """How many more requests the server answers whoever asks."""
    headers = {"Content-Type": "text/plain"}
    urlopen(Request(f"{files.client_kwargs['endpoint_url']}/moto-api/reset-auth", count.encode(), headers)).close()


CHANGES: dict[str, tuple[Callable[[s3fs.S3FileSystem, str], None], str]] = {
    "rewritten": (rewritten, "changed while it was read; expected it to hold still. hint: run again"),
    "removed": (removed, "found no such object; expected one, a folder, or a glob of some."),
    "not allowed": (not_allowed, "found credentials that are not valid here; expected valid ones."),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("pattern", ["s3://lake/held/", "s3://lake/held/*.parquet", "s3://lake/held/a.parquet"])
def test_what_happens_to_an_object_while_it_is_read_is_said(
    lake: s3fs.S3FileSystem, server: str, reader: str, change: str, pattern: str
) -> None:
    """An object that changes between two queries that read it is an error; another input was listed in between."""
    url, other = put(lake, "held/a.parquet", rows=100_000), put(lake, "beside/b.parquet")
    act, expected = CHANGES[change]
    urls = [*expand_url(pattern, (".parquet",)), *expand_url("s3://lake/beside/", (".parquet",))]
    changing = s3fs.S3FileSystem(client_kwargs={"endpoint_url": server}, skip_instance_cache=True)
    assert [url, other] == urls
    with Engine() as engine:
        engine.lock_down(urls)
        rows_of(engine, url, "sum(b)")
        act(changing, url)
        try:
            with pytest.raises(SourceError) as raised:
                rows_of(engine, url, "sum(a)")
        finally:
            allow_without_a_known_key(changing, "inf")
    assert str(raised.value).startswith(url)
    assert expected in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.slow
def test_a_throttled_request_is_tried_again(lake: s3fs.S3FileSystem, reader: str, monkeypatch: Any) -> None:
    """The server says SlowDown three times, and then answers."""
    left, told = [3], 0
    application = DomainDispatcherApplication(create_backend_app)

    def throttled(environment: dict[str, Any], start: Any) -> Any:
        nonlocal told
        if environment["REQUEST_METHOD"] == "GET" and environment["PATH_INFO"].endswith("parquet") and left[0]:
            left[0], told = left[0] - 1, told + 1
            start("503 Slow Down", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"]
        return application(environment, start)

    url = put(lake, "throttled.parquet")
    with listening(make_server("127.0.0.1", 0, throttled, threaded=True)) as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        s3fs.S3FileSystem.clear_instance_cache()
        with Engine() as engine:
            engine.lock_down([url])
            assert ([(0,)], 3) == (rows_of(engine, url), told)


# --- what the usual chain says ---------------------------------------------------------------------------------------


AMAZON = {"REGION": "eu-west-1", "KEY_ID": "key", "SECRET": "word"}
CHAINS: dict[str, tuple[dict[str, str], str, dict[str, Any]]] = {
    "Amazon": ({}, "lake", {**AMAZON, "URL_STYLE": "vhost"}),
    "a dot in a bucket": ({}, "my.lake", {**AMAZON, "URL_STYLE": "path"}),
    "a session": ({"AWS_SESSION_TOKEN": "t"}, "lake", {**AMAZON, "SESSION_TOKEN": "t", "URL_STYLE": "vhost"}),
    "an endpoint": (
        {"AWS_ENDPOINT_URL": "http://minio:9000/"},
        "lake",
        {**AMAZON, "ENDPOINT": "minio:9000", "USE_SSL": False, "URL_STYLE": "path"},
    ),
    "an endpoint for S3 alone": (
        {"AWS_ENDPOINT_URL": "http://other", "AWS_ENDPOINT_URL_S3": "https://minio"},
        "lake",
        {**AMAZON, "ENDPOINT": "minio", "USE_SSL": True, "URL_STYLE": "path"},
    ),
    "a profile": (
        {"AWS_PROFILE": "work"},
        "lake",
        {"REGION": "eu-central-1", "KEY_ID": "k2", "SECRET": "w2", "ENDPOINT": "s3.work", "USE_SSL": True}
        | {"URL_STYLE": "vhost"},
    ),
}
PROFILE = """[profile work]
region = eu-central-1
aws_access_key_id = k2
aws_secret_access_key = w2
endpoint_url = https://s3.work
s3 =
    addressing_style = virtual
"""


@pytest.mark.parametrize("chain", CHAINS)
def test_the_usual_chain_says_where_and_as_whom_to_read(
    chain: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Environment and profiles give the key, the session, the region, the endpoint and how a bucket is named."""
    environment, bucket, expected = CHAINS[chain]
    (tmp_path / "config").write_text(PROFILE)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    if "AWS_PROFILE" not in environment:
        environment = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "word", **environment}
        environment["AWS_DEFAULT_REGION"] = "eu-west-1"
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert expected == s3_options([bucket])[1]


def test_the_authorities_that_s3fs_trusts_are_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bundle of the user's in place of the library's own."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert Path(s3_options(["lake"])[0]).is_file()
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "mine.pem"))
    assert str(tmp_path / "mine.pem") == s3_options(["lake"])[0]


# --- the web ---------------------------------------------------------------------------------------------------------


class Web(BaseHTTPRequestHandler):
    """One Parquet file at every path, read by ranges; `version` is its ETag, and its first event's quantity."""

    version = 1

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.wfile.write(self.answer())

    def answer(self) -> bytes:
        """The headers, and the body that goes with them."""
        whole = io.BytesIO()
        event = {"id": "1", "workspace_id": "w", "universe_id": "u", "type": "t", "subject": "s", "n": self.version}
        parquet.write_table(pa.Table.from_pylist([{**event, "time": "2024-01-01T00:00:00Z"}]), whole)
        body, asked = whole.getvalue(), self.headers.get("Range")
        if asked:
            first, last = (int(text) for text in asked.removeprefix("bytes=").split("-"))
            part = body[first : last + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(body)}")
        else:
            part = body
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", f'"{self.version}"')
        self.end_headers()
        return part

    def log_message(self, *_: Any) -> None:
        """Nothing on standard error."""


@contextmanager
def listening(server: Any) -> Iterator[int]:
    """The port of a server that runs in a thread."""
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_on_the_web_is_metered_in_place(reader: str) -> None:
    """By ranges; when it is another at the end than it was at the beginning, that is an error without its signature."""
    handler = type("Handler", (Web,), {})
    with listening(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as port:
        url = f"http://127.0.0.1:{port}/events.parquet"
        with meter(url, CONFIG) as result:
            assert [1] == [int(row["quantity"]) for row in result.to_dicts()]
        with meter(f"{url}?X-Amz-Signature=hidden" if reader == "httpfs" else url, CONFIG) as result:
            handler.version = 2
            with pytest.raises(SourceError, match=r"events.parquet.*: changed while it was read") as raised:
                _ = result.accounting
    assert "hidden" not in str(raised.value)
