"""Compliance reports over HTTP: asked for with the scope `export`, fetched as files, with their evidence."""

import json
from typing import Any

import pytest

from audit import tasks
from audit.models import Export, Record
from audit.reports import build, render
from tests.audit.conftest import Sender
from tests.audit.reports.conftest import sealed, today

REPORTS = "/api/v1/audit/reports"


@pytest.fixture
def exporter() -> Sender:
    return Sender("export")


def begun(sender: Sender) -> dict[str, Any]:
    sealed()
    day = today().isoformat()
    answer = sender.post({"first": day, "last": day, "packs": ["soc2"]}, path=REPORTS)
    assert answer.status_code == 202, answer.content
    report: dict[str, Any] = answer.json()
    assert answer["Location"] == f"{REPORTS}/{report['report_id']}"
    return report


def made(sender: Sender) -> dict[str, Any]:
    asked = begun(sender)
    tasks.continue_report(asked["report_id"])
    report: dict[str, Any] = sender.get(f"{REPORTS}/{asked['report_id']}").json()
    assert report["state"] == "ready"
    return report


def test_a_report_is_asked_for_made_and_fetched(exporter: Sender) -> None:
    report = made(exporter)
    path = f"{REPORTS}/{report['report_id']}/files"
    document = json.loads(exporter.get(f"{path}/report.json").content)
    assert build.digest(document["content"]) == document["sha256"] == report["digest"]
    page = exporter.get(f"{path}/report.html")
    assert page["Content-Type"] == "text/html; charset=utf-8"
    assert report["digest"] in page.content.decode()
    assert ("report.pdf" in report["files"]) == render.has_pdf()
    acts = Record.objects.filter(correlation_id=f"report-{report['report_id']}", event_type="audit.report.downloaded")
    assert sorted(act.event_data["file"] for act in acts) == ["report.html", "report.json"]
    assert {(act.actor_id, act.actor_type) for act in acts} == {(exporter.name, "service")}


def test_the_evidence_of_a_report_is_begun(exporter: Sender) -> None:
    report = made(exporter)
    answer = exporter.post({}, path=f"{REPORTS}/{report['report_id']}/bundle")
    assert answer.status_code == 202
    bundle = Export.objects.get(pk=answer.json()["export_id"])
    assert (bundle.checkpoint, bundle.requested_by) == (report["checkpoint"], exporter.name)


def test_what_is_not_ready_is_not_handed_out(exporter: Sender) -> None:
    path = f"{REPORTS}/{begun(exporter)['report_id']}"
    for answer in (exporter.get(f"{path}/files/report.json"), exporter.post({}, path=f"{path}/bundle")):
        assert answer.status_code == 400
        assert "is pending" in answer.json()["field_errors"]["report_id"]


def test_only_the_scope_export_and_only_the_one_who_asked(exporter: Sender, service: Sender) -> None:
    path = f"{REPORTS}/{made(exporter)['report_id']}"
    assert service.get(path).status_code == 403
    other = Sender("export")
    for answer in (other.get(path), other.get(f"{path}/files/report.json"), other.post({}, path=f"{path}/bundle")):
        assert answer.status_code == 404
    assert exporter.get(f"{path}/files/report.txt").status_code == 404
    assert exporter.get(f"{path}/files/json").status_code == 404


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([], ""),
        ({}, "first"),
        ({"first": 1, "last": "2026-01-01", "packs": ["soc2"]}, "first"),
        ({"first": "2026-01-02", "last": "2026-01-01", "packs": ["soc2"]}, "last"),
        ({"first": "2026-01-01", "last": "2026-01-01", "packs": "soc2"}, "packs"),
        ({"first": "2026-01-01", "last": "2026-01-01", "packs": ["so\x00c"]}, "packs"),
        ({"first": "2026-01-01", "last": "2026-01-01", "packs": ["soc2"], "x": 1}, "x"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(exporter: Sender, body: Any, named: str) -> None:
    sealed()
    answer = exporter.post(body, path=REPORTS)
    assert answer.status_code == 400
    assert named in answer.json()["field_errors"]
