"""Any honest client's body is read: plain or gzip, with or without a byte order mark, whatever answer it asks for."""

import gzip
import json
from typing import Any

import pytest
from django.conf import settings

from tests.audit.conftest import BATCH, EVENTS, Sender, an_event

GZIP = {"Content-Encoding": "gzip"}
MOST = settings.DATA_UPLOAD_MAX_MEMORY_SIZE


def zipped(*documents: Any) -> bytes:
    """Documents as JSON, each in a member of gzip of its own."""
    return b"".join(gzip.compress(json.dumps(document).encode()) for document in documents)


@pytest.mark.parametrize("name", ["gzip", "x-gzip", "GZip", "identity, gzip"])
def test_a_body_may_come_in_gzip(writer: Sender, name: str) -> None:
    assert writer.post(zipped(an_event()), headers={"Content-Encoding": name}).status_code == 201


def test_gzip_of_several_members_is_one_text(writer: Sender) -> None:
    text = json.dumps([an_event(), an_event()]).encode()
    body = gzip.compress(text[:100]) + gzip.compress(text[100:])
    assert writer.post(body, BATCH, headers=GZIP).json()["count"] == 2


@pytest.mark.parametrize("name", ["", "identity"])
def test_a_plain_body_may_say_so(writer: Sender, name: str) -> None:
    assert writer.post(an_event(), headers={"Content-Encoding": name}).status_code == 201


@pytest.mark.parametrize("name", ["deflate", "br", "zstd", "gzip, gzip", "gzip, br", "compress"])
def test_another_encoding_is_415_and_the_answer_says_what_is_taken(writer: Sender, name: str) -> None:
    response = writer.post(gzip.compress(zipped(an_event())), headers={"Content-Encoding": name})
    assert (response.status_code, response["Accept-Encoding"]) == (415, "gzip")
    assert "gzip, once" in response.json()["detail"]
    assert name in response.json()["detail"]


@pytest.mark.parametrize("times", [MOST, 10 * MOST])
def test_what_comes_out_of_gzip_is_bounded_as_what_is_sent_plain(writer: Sender, times: int) -> None:
    packer = gzip.zlib.compressobj(wbits=31)  # type: ignore[attr-defined]
    block = b" " * 2**20
    bomb = packer.compress(b"{}") + b"".join(packer.compress(block) for _ in range(times // 2**20))
    response = writer.post(bomb + packer.flush(), headers=GZIP)
    assert (response.status_code, response.json()["type"]) == (413, "/problems/too-large")


@pytest.mark.parametrize("body", [b"{}", zipped(an_event())[:-4], zipped(an_event()) + b"x"])
def test_what_is_not_whole_gzip_is_400(writer: Sender, body: bytes) -> None:
    response = writer.post(body, headers=GZIP)
    assert response.status_code == 400
    assert "gzip" in response.json()["field_errors"][""]


def test_a_byte_order_mark_is_skipped(writer: Sender) -> None:
    assert writer.post(b"\xef\xbb\xbf" + json.dumps(an_event()).encode()).status_code == 201


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_the_content_type_may_have_parameters_and_capitals(writer: Sender, content_type: str) -> None:
    assert writer.post(an_event(), content_type=content_type).status_code == 201


@pytest.mark.parametrize("path", [EVENTS, f"{EVENTS}?format=xml", f"{EVENTS}?format=api"])
@pytest.mark.parametrize("accept", ["application/problem+json", "text/html", "application/xml;q=0.9", "", "nonsense"])
def test_an_event_is_kept_whatever_answer_is_asked_for(writer: Sender, path: str, accept: str) -> None:
    response = writer.post(an_event(), path, headers={"Accept": accept})
    assert (response.status_code, response["Content-Type"]) == (201, "application/json")


def test_a_heartbeat_is_kept_whatever_answer_is_asked_for(writer: Sender) -> None:
    response = writer.post({"source_seq": 7.0}, "/api/v1/audit/heartbeats?format=xml", headers={"Accept": "text/html"})
    assert response.status_code == 200
