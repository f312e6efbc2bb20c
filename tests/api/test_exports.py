"""Evidence bundles over HTTP: asked for with the scope `export`, looked after, and fetched in parts."""

import hashlib
import io
import json
import zipfile
from typing import Any

import pytest

from audit import tasks
from audit.evidence import export
from audit.models import Export, Record
from tests.api.conftest import EXPORTS
from tests.audit.conftest import Sender
from tests.audit.evidence.conftest import sealed


@pytest.fixture
def exporter() -> Sender:
    return Sender("export")


def made(exporter: Sender, **asked: Any) -> dict[str, Any]:
    answer = exporter.post(asked, path=EXPORTS)
    assert answer.status_code == 202, answer.content
    begun = answer.json()
    assert answer["Location"] == f"{EXPORTS}/{begun['export_id']}"
    tasks.continue_export(begun["export_id"])
    bundle: dict[str, Any] = exporter.get(answer["Location"]).json()
    assert bundle["state"] == "ready"
    return bundle


def fetched(exporter: Sender, bundle: dict[str, Any], name: str = "", **headers: str) -> tuple[int, bytes, Any]:
    path = f"{EXPORTS}/{bundle['export_id']}/files/{name or bundle['file']}"
    answer = exporter.client.get(path, headers={"Authorization": f"Bearer {exporter.key}"} | headers)
    return answer.status_code, b"".join(answer) if answer.streaming else answer.content, answer


def test_a_bundle_is_asked_for_made_and_fetched(exporter: Sender) -> None:
    bundle = made(exporter, q=f"correlation:{sealed(3)}", csv=True)
    assert (bundle["done"], bundle["of"], bundle["kind"]) == (3, 3, "query")
    status, body, answer = fetched(exporter, bundle)
    assert status == 200
    assert answer["Content-Length"] == str(len(body)) == str(bundle["bytes"])
    with zipfile.ZipFile(io.BytesIO(body)) as whole:
        assert whole.testzip() is None
        manifest = whole.read("manifest.json")
        for name in whole.namelist():
            assert fetched(exporter, bundle, name)[1] == whole.read(name)
    assert hashlib.sha256(manifest).hexdigest() == bundle["digest"]
    assert json.loads(manifest) == bundle["manifest"]
    acts = Record.objects.filter(correlation_id=f"export-{bundle['export_id']}", event_type="audit.export.fetched")
    assert {act.actor_id for act in acts} == {exporter.name}


def test_a_download_goes_on_where_it_stopped(exporter: Sender) -> None:
    bundle = made(exporter, q=f"correlation:{sealed(3)}")
    _, whole, answer = fetched(exporter, bundle)
    tag, size = answer["ETag"], len(whole)
    status, body, answer = fetched(exporter, bundle, Range="bytes=1000-", **{"If-Range": tag})
    assert (status, body) == (206, whole[1000:])
    assert answer["Content-Range"] == f"bytes 1000-{size - 1}/{size}"
    assert fetched(exporter, bundle, Range="bytes=0-0")[:2] == (206, whole[:1])
    assert fetched(exporter, bundle, Range="bytes=10-99999999999")[:2] == (206, whole[10:])
    assert fetched(exporter, bundle, Range="bytes=-7")[:2] == (206, whole[-7:])
    assert fetched(exporter, bundle, Range="bytes=1000-", **{"If-Range": '"another"'})[:2] == (200, whole)
    for several in ("bytes=0-1,5-6", "bytes=-", "rows=1-2", "bytes=x-"):
        assert fetched(exporter, bundle, Range=several)[0] == 200
    for outside in (f"bytes={size}-", "bytes=5-4", "bytes=-0"):
        status, _, answer = fetched(exporter, bundle, Range=outside)
        assert status == 416
        assert answer["Content-Range"] == f"bytes */{size}"


def test_a_range_of_the_log_is_asked_for_by_its_leaves(exporter: Sender) -> None:
    sealed(3)
    bundle = made(exporter, first=0, last=3)
    assert (bundle["kind"], bundle["first"], bundle["last"], bundle["done"]) == ("range", 0, 3, 3)


def test_what_was_received_in_a_time_is_asked_for_by_that_time(exporter: Sender) -> None:
    sealed(3)
    bundle = made(exporter, received_since="5m")
    assert bundle["kind"] == "range"
    assert bundle["received"]["records"] >= 3


def test_a_bundle_is_cancelled_and_gone_on_with(exporter: Sender) -> None:
    begun = exporter.post({"q": f"correlation:{sealed(1)}"}, path=EXPORTS).json()
    path = f"{EXPORTS}/{begun['export_id']}"
    assert exporter.post({}, path=f"{path}/cancel").json()["state"] == "cancelled"
    tasks.continue_export(begun["export_id"])
    assert exporter.get(path).json()["state"] == "cancelled"
    answer = exporter.get(f"{path}/files/README.html")
    assert answer.status_code == 400
    assert "is cancelled" in answer.json()["field_errors"]["export_id"]
    assert exporter.post({}, path=f"{path}/resume").json()["state"] == "pending"
    tasks.continue_export(begun["export_id"])
    assert exporter.get(path).json()["state"] == "ready"


def test_what_was_cancelled_is_gone_on_with_only_while_few_are_under_way(exporter: Sender) -> None:
    query = {"q": f"correlation:{sealed(1)}"}
    stopped = exporter.post(query, path=EXPORTS).json()["export_id"]
    assert exporter.post({}, path=f"{EXPORTS}/{stopped}/cancel").status_code == 200
    under_way = [exporter.post(query, path=EXPORTS).json()["export_id"] for _ in range(export.MAX_UNDER_WAY)]
    answer = exporter.post({}, path=f"{EXPORTS}/{stopped}/resume")
    assert answer.status_code == 400
    assert "5 bundles of yours are being made" in answer.json()["field_errors"]["export_id"]
    assert exporter.get(f"{EXPORTS}/{stopped}").json()["state"] == "cancelled"
    for begun in under_way:
        assert exporter.post({}, path=f"{EXPORTS}/{begun}/cancel").status_code == 200


def test_only_the_scope_export_and_only_the_one_who_asked(exporter: Sender, service: Sender) -> None:
    bundle = made(exporter, q=f"correlation:{sealed(1)}")
    path = f"{EXPORTS}/{bundle['export_id']}"
    assert service.post({"q": ""}, path=EXPORTS).status_code == 403
    assert service.get(path).status_code == 403
    other = Sender("export")
    for answer in (other.get(path), other.get(f"{path}/files/{bundle['file']}"), other.post({}, path=f"{path}/cancel")):
        assert answer.status_code == 404
    assert fetched(exporter, bundle, "../../etc/passwd")[0] == 404
    assert fetched(exporter, bundle, "no-such-file")[0] == 404


def test_a_key_that_may_read_some_writers_gets_those_alone() -> None:
    narrow = Sender("export")
    narrow.writer.reads_writers = ["nobody-at-all"]
    narrow.writer.save()
    correlation = sealed(2)
    bundle = made(narrow, q=f"correlation:{correlation}")
    assert bundle["done"] == 0
    answer = narrow.post({"first": 0, "last": 1}, path=EXPORTS)
    assert answer.status_code == 400
    assert "you may see those of some" in answer.json()["field_errors"]["first"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"q": 1},
        {"csv": True},
        {"q": "", "first": 1},
        {"received_since": "x"},
        {"received_until": "1h"},
        {"q": "a\x00"},
        {"x": 1},
        {"first": True},
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(exporter: Sender, body: Any) -> None:
    sealed(1)
    answer = exporter.post(body, path=EXPORTS)
    assert answer.status_code == 400
    assert answer.json()["field_errors"]


def test_without_a_folder_no_bundles_are_made(exporter: Sender, settings: Any) -> None:
    settings.EXPORT_DIR = None
    answer = exporter.post({"q": ""}, path=EXPORTS)
    assert answer.status_code == 503
    assert "EXPORT_DIR" in answer.json()["detail"]
    assert not Export.objects.filter(requested_by=exporter.name).exists()
