"""What a server of buckets refuses is said in words, with what to do, and without what is secret."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from audit.buckets import address, client
from audit.buckets.bucket import Bucket
from audit.buckets.faults import BucketFault
from audit.buckets.storage import Storage
from bench.ports import free_port
from tests.audit.buckets.conftest import Ours, library

library()
SECRET = "the-secret-of-the-key"
AT = address.read("s3://bucket/prefix")


def refused(storage: Storage, place: address.Address = AT) -> BucketFault:
    with pytest.raises(BucketFault) as caught:
        Bucket(place, storage).list()
    assert SECRET not in str(caught.value)
    assert str(place) in str(caught.value)
    return caught.value


def ours(endpoint: str, **more: Any) -> Storage:
    return Storage(endpoint=endpoint, access_key="AKTESTS", secret_key=SECRET, addressing="path", **more)


def test_a_key_that_the_server_does_not_know_is_named(locking: Ours) -> None:
    fault = refused(ours(locking.gateway.endpoint), address.read(locking.place()))
    assert "the server does not know the access key" in str(fault) and not fault.passes


def test_a_secret_that_is_another_is_named(locking: Ours) -> None:
    storage = locking.gateway.storage._replace(secret_key=SECRET)
    assert "the secret is not that of the access key" in str(refused(storage, address.read(locking.place())))


def test_a_bucket_that_is_missing_is_named(locking: Ours) -> None:
    fault = refused(locking.gateway.storage, address.read("s3://nobody-has-made-this"))
    assert "there is no such bucket" in str(fault) and not fault.passes


def test_a_server_that_is_not_there_may_be_back_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TRIES", 1)
    port = free_port()
    fault = refused(ours(f"http://127.0.0.1:{port}"))
    assert "the server did not answer (EndpointConnection)" in str(fault) and fault.passes


def test_a_server_that_never_answers_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TRIES", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        fault = refused(ours(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.2))
    assert "the server did not answer (ReadTimeout)" in str(fault) and fault.passes


# The words in which S3 answers (its API reference, "Error responses").
REGION = b"""<?xml version="1.0"?><Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is
malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'</Message><Region>eu-central-1</Region></Error>"""
SLOW = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>'
ODD = b'<?xml version="1.0"?><Error><Code>Odd</Code><Message>the-secret-of-the-key</Message></Error>'


@pytest.mark.parametrize(
    ("status", "body", "says", "passes"),
    [
        (400, REGION, "the bucket is in the region eu-central-1: set S3_REGION to it", False),
        (503, SLOW, "the server answered 503 SlowDown: try again later", True),
        (418, ODD, "the server answered 418 Odd: the server refuses this", False),
    ],
)
def test_what_the_server_answers_is_said_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, says: str, passes: bool
) -> None:
    monkeypatch.setattr(client, "TRIES", 1)
    with answering(status, body) as endpoint:
        fault = refused(ours(endpoint))
    assert says in str(fault) and fault.passes is passes


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that answers everything so; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("storage", "says"),
    [
        (Storage(endpoint="ftp://s3.example.org"), "S3_ENDPOINT must be an address"),
        (Storage(endpoint="https://me:word@s3.example.org"), "S3_ENDPOINT must be an address"),
        (Storage(endpoint="https://s3.example.org", access_key="A"), "S3_SECRET_ACCESS_KEY is not"),
        (Storage(endpoint="https://s3.example.org", secret_key="A"), "S3_ACCESS_KEY_ID is not"),
        (Storage(endpoint="https://s3.example.org", ca_file=Path("/nowhere.pem")), "there is no such file"),
    ],
)
def test_settings_that_cannot_be_used_are_named_before_anything_is_asked(storage: Storage, says: str) -> None:
    assert says in str(refused(storage))


def test_without_credentials_it_says_how_to_give_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    port = free_port()
    assert "there are no credentials" in str(refused(Storage(endpoint=f"http://127.0.0.1:{port}", region="x")))


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(client.LibraryMissing, match=r"install the extra `s3`"):
        Bucket(AT, Storage()).list()


def test_what_s3_can_be_asked_is_read_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.loaders import JSONFileLoader

    read: list[str] = []
    load = JSONFileLoader.load_file
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda self, path: read.append(path) or load(self, path))
    storage = ours("http://127.0.0.1:1")
    client.connect(storage, "one")
    read.clear()
    client.connect(storage, "another")
    assert read == []
