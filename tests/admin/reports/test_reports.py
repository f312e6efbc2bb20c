"""Compliance reports in the admin: asked for, read, taken away, made again; reading one is recorded."""

import html
import json
import re
import secrets
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse

from audit import tasks, visibility
from audit.ingest import trail
from audit.models import OWN_WRITER, AuditorScope, Export, Record, Report
from audit.reports import build, packs, render
from audit.reports.sections import fields
from tests.admin.conftest import logged_in, person
from tests.audit.reports.conftest import ME, figures, made, sealed

MAKE, LIST = reverse("admin:audit_report_make"), reverse("admin:audit_report_changelist")


def asked(client: Client, **form: object) -> Report:
    answer = client.post(MAKE, {"period": "so_far", "pack": ["soc2", "gdpr"]} | form)
    assert answer.status_code == 302
    return Report.objects.get(pk=answer["Location"].split("/")[-3])


def page(client: Client, report: Report) -> str:
    answer = client.get(reverse("admin:audit_report_change", args=[report.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_auditor_asks_for_a_report_watches_it_and_reads_it(auditor: Client) -> None:
    word = sealed()
    assert "the last quarter" in auditor.get(LIST).content.decode()
    report = asked(auditor)
    assert "Sections computed" in page(auditor, report)
    tasks.continue_report(str(report.pk))
    shown = page(auditor, report)
    report.refresh_from_db()
    assert "CC7.1.3" in shown
    assert "Art. 17(3)(b)" in shown
    assert report.digest in shown
    assert "Requests that were decided elsewhere are not kept here" in shown
    acts = Record.objects.filter(correlation_id=f"report-{report.pk}").order_by("event_timestamp")
    assert [act.event_action for act in acts] == ["asked", "made", "viewed"]
    assert acts[2].event_category == "access"
    assert word


def test_a_figure_leads_to_the_search_that_gives_it(auditor: Client) -> None:
    word = f"gateway.signal.s{secrets.token_hex(4)}"
    sealed(3, event_type=word)
    report = made()
    section = next(section for section in (report.content or {})["sections"] if section["key"] == "volumes")
    query = next(figure["query"] for figure in section["figures"] if figure["key"] == "failures")
    shown = page(auditor, report)
    assert f"?q={query.replace(':', '%3A').replace(' ', '%20')}&amp;as_of=" in shown
    assert auditor.get(reverse("admin:audit_record_changelist"), {"q": query}).status_code == 200


def test_a_link_of_a_figure_finds_as_many_after_more_was_sealed(auditor: Client) -> None:
    word = f"gateway.signal.s{secrets.token_hex(4)}"
    sealed(3, event_type=word)
    size = (made().content or {})["checkpoint"]["size"]
    sealed(2, event_type=word)
    query, records = f"type:{word}", reverse("admin:audit_record_changelist")
    bound = auditor.get(records, {"q": query, "as_of": size})
    assert bound.context["cl"].count_text == "3"
    assert auditor.get(records, {"q": query}).context["cl"].count_text == "5"
    assert f"As of the checkpoint of {size:,} records: 3 match" in bound.content.decode()
    for size in ("x", "9" * 5_000):
        assert "is no number" in auditor.get(records, {"q": query, "as_of": size}).content.decode()
        assert auditor.get(f"{records}list.json", {"q": query, "as_of": size}).status_code == 400


def test_a_figure_leads_to_the_records_that_it_counts_or_nowhere(
    auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed(2)
    for noun in ("gap", "manifest", "promise", "expectation"):
        trail.add(f"audit.{noun}.explained", actor=OWN_WRITER, correlation="completeness")
    trail.add("audit.gap.found", actor=OWN_WRITER, correlation="completeness")
    for act in ("login_refused", "login_locked"):
        trail.add(f"audit.person.{act}", actor="mallory", outcome="failure", correlation="person-mallory")
    sealed(1)
    for version in (2, 3, 6):
        monkeypatch.setattr(build, "VERSION", version)
        report = made()
        trail.add("audit.gap.explained", actor=OWN_WRITER, correlation="completeness")
        sealed(1)
        shown = page(auditor, report)
        names = [name.replace(".", "-") for name in figures(report)]
        rows = {name: shown.partition(f'<tr id="{name}">')[2].partition("</tr>")[0] for name in names}
        for key in ("sampled", *(key for key, _ in fields.FIELDS)):
            assert "href" not in rows[f"fields-{key}"], key
            assert "sample" in rows[f"fields-{key}"] or "share of the records looked at" in rows[f"fields-{key}"]
        assert '<a href="#fields-list-2">each is in the table below</a>' in rows["fields-types"]
        assert 'id="fields-list-2"' in shown
        for name in ("completeness.explained", "access.login_refused"):
            address = re.search(r'href="([^"]*)"', rows[name.replace(".", "-")])
            assert address
            found = auditor.get(html.unescape(address[1])).context["cl"].count_text
            assert found == str(figures(report)[name]), (version, name)


def test_whatever_is_clicked_there_is_still_as_of_the_checkpoint(auditor: Client) -> None:
    word = f"gateway.signal.s{secrets.token_hex(4)}"
    sealed(3, event_type=word)
    size = (made().content or {})["checkpoint"]["size"]
    sealed(2, event_type=word)
    records, asked = reverse("admin:audit_record_changelist"), {"q": f"type:{word}", "as_of": size}
    shown = auditor.get(records, asked).content.decode()
    leads = [lead.replace("&amp;", "&") for lead in re.findall(r'href="([^"]*)"', shown) if f"q=type%3A{word}" in lead]
    assert len(leads) > 10
    of_now = {lead.partition("?")[0] for lead in leads if f"as_of={size}" not in lead}
    assert of_now == {"", reverse("admin:audit_statement_changelist")}  # "As of now", and a signed count
    for form in ("csv", "json"):
        answer: Any = auditor.get(f"{records}list.{form}", asked)
        rows = b"".join(answer.streaming_content) if answer.streaming else answer.content
        assert rows.count(f'"event_type": "{word}"'.encode() if form == "json" else word.encode()) == 3
    window = auditor.get(records, asked | {"from": "2026-01-01T00:00", "until": ""})
    assert f"as_of={size}" in window["Location"]


def test_the_page_of_a_report_is_read_by_people_and_its_content_stays_as_it_was_signed(auditor: Client) -> None:
    sealed()
    report = made()
    content = report.content or {}
    shown = html.unescape(page(auditor, report))
    assert f"<h1>Compliance report, {content['packs'][0]['title']}: " in shown
    sampled = shown.partition('<tr id="fields-sampled">')[2].partition("</tr>")[0]
    assert "every so many leaves" in sampled and "href" not in sampled
    assert '<a href="#volumes-list-1">each is in the table below</a>' in shown
    assert 'id="volumes-list-1"' in shown
    marks = shown.count('<span class="badge badge-warning"><span aria-hidden="true">!</span> exception</span></li>')
    assert marks == sum(control["exceptions"] for control in content["controls"])
    assert build.digest(content) == report.digest
    fields = next(section for section in content["sections"] if section["key"] == "fields")
    next(figure for figure in fields["figures"] if figure["key"] == "skew")["value"] = (
        "0.001 s, of 99 in 100 at most 288427.677 s"
    )
    rows = next(section for section in render.context(report)["sections"] if section["key"] == "fields")["figures"]
    assert "0.001 s, of 99 in 100 at most 3 d 8 h" in [row["value"] for row in rows]


# What a PDF is made of, tests/audit/reports holds; it takes seconds.
@pytest.mark.parametrize("kind", ["json", "html", pytest.param("pdf", marks=pytest.mark.long)])
def test_a_report_is_taken_away_as_a_file_and_that_is_recorded(auditor: Client, kind: str) -> None:
    if kind == "pdf" and not render.has_pdf():
        pytest.skip("WeasyPrint or Pango is not there: install auditsite[pdf] and libpango")
    sealed()
    report = made()
    answer = auditor.get(reverse("admin:audit_report_file", args=[report.pk, kind]))
    assert answer.status_code == 200
    assert f"report-{report.first}-{report.last}.{kind}" in answer["Content-Disposition"]
    if kind == "json":
        twin = json.loads(answer.content)
        assert build.digest(twin["content"]) == twin["sha256"] == report.digest
    if kind == "html":
        assert "http://testserver/admin/audit/record/?q=" in answer.content.decode()
    last = Record.objects.filter(event_type="audit.report.downloaded", correlation_id=f"report-{report.pk}").first()
    assert last is not None
    assert last.event_data["file"] == f"report.{kind}"


def test_without_the_extra_the_page_says_what_to_install(auditor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed()
    report = made()
    monkeypatch.setattr(render, "has_pdf", lambda: False)
    assert "install <code>auditsite[pdf]</code>" in page(auditor, report)
    answer = auditor.get(reverse("admin:audit_report_file", args=[report.pk, "pdf"]), follow=True)
    assert "PDF files need WeasyPrint" in answer.content.decode()


def test_a_report_is_made_again_and_compared(auditor: Client) -> None:
    sealed()
    report = made()
    sealed()
    answer = auditor.post(reverse("admin:audit_report_act", args=[report.pk]), {"act": "again"})
    repeated = Report.objects.get(pk=answer["Location"].split("/")[-3])
    tasks.continue_report(str(repeated.pk))
    assert "with the same digest as" in page(auditor, repeated)


def test_what_is_not_the_same_is_said_and_where(auditor: Client) -> None:
    sealed()
    report = made()
    other = made()
    content = json.loads(json.dumps(report.content))
    content["sections"][0]["figures"][0]["value"] = 77
    forged = Report(first=report.first, last=report.last, packs=report.packs, requested_by="x", again_of=report)
    forged.requested_at = forged.updated_at = forged.ended_at = report.requested_at
    forged.checkpoint, forged.state, forged.content, forged.digest = (
        other.checkpoint,
        "ready",
        content,
        build.digest(content),
    )
    forged.beside = report.beside
    forged.save(force_insert=True)
    shown = page(auditor, forged)
    assert "Different: Volumes. Verify the log, and tell your security officer." in shown


def test_controls_that_were_rewritten_are_no_reason_to_call_the_security_officer(
    auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed()
    report = made()
    soc2 = packs.load()["soc2"]
    control = msgspec.structs.replace(soc2.controls[0], gist="Written otherwise.")
    other = msgspec.structs.replace(soc2, controls=(control, *soc2.controls[1:]))
    monkeypatch.setattr(packs, "load", lambda: {"soc2": other})
    repeated = build.resume(build.repeat(report, ME))
    shown = page(auditor, repeated)
    assert f"is not that of the first report (version {soc2.version}, text {packs.text_of(soc2)})" in shown
    assert f"this site has version {soc2.version}, text {packs.text_of(other)}" in shown
    assert "the log says what it said" in shown
    assert "security officer" not in shown


def test_a_form_that_cannot_be_read_is_refused_with_a_reason(auditor: Client) -> None:
    sealed()
    for form, says in (
        ({"period": "days", "first": "2026-01-01", "last": "soon"}, "last: is no day such as"),
        ({"period": "days", "first": "2026-02-01", "last": "2026-01-01", "pack": "soc2"}, "is before the first"),
        ({"period": "month"}, "choose at least one set of controls"),
        ({"period": "month", "pack": "so\x00c"}, "there is no set of controls"),
    ):
        assert says in auditor.post(MAKE, form, follow=True).content.decode(), form


def test_the_evidence_of_a_report_is_a_bundle_under_its_checkpoint(auditor: Client, operator: Client) -> None:
    sealed()
    report = made()
    button = reverse("admin:audit_report_evidence", args=[report.pk])
    assert "Export the evidence of this report" in page(auditor, report)
    answer = auditor.post(button)
    begun = Export.objects.get(pk=answer["Location"].split("/")[-3])
    assert (begun.kind, begun.checkpoint) == ("range", report.checkpoint)
    asked_for = Record.objects.get(correlation_id=f"export-{begun.pk}", event_type="audit.export.asked")
    assert asked_for.event_data["of_report"]["digest"] == report.digest
    assert auditor.get(button).status_code == 405
    assert operator.post(button).status_code == 403
    assert auditor.post(reverse("admin:audit_report_evidence", args=[asked(auditor).pk])).status_code == 404


def test_a_report_is_cancelled(auditor: Client) -> None:
    sealed()
    report = asked(auditor)
    act = reverse("admin:audit_report_act", args=[report.pk])
    assert auditor.post(act, {"act": "cancel"}).status_code == 302
    assert "cancelled" in page(auditor, report)
    assert auditor.post(act, {"act": "again"}).status_code == 404
    assert auditor.post(act, {"act": "explode"}).status_code == 404


@pytest.mark.parametrize("group", ["operator", "administrator", None])
def test_only_those_who_may_read_records_make_and_read_reports(group: str | None) -> None:
    sealed()
    client, report = logged_in(person(group)), made()
    assert client.post(MAKE, {"period": "month", "pack": "soc2"}).status_code == 403
    assert client.get(LIST).status_code == 403
    for name, more in (("change", ()), ("file", ("json",))):
        assert client.get(reverse(f"admin:audit_report_{name}", args=[report.pk, *more])).status_code == 403


def test_who_has_a_scope_reads_no_report_of_everything() -> None:
    user = person("auditor")
    AuditorScope.objects.create(user=user, writers=[f"nobody-{secrets.token_hex(4)}"])
    client = logged_in(user)
    sealed()
    report = made()
    assert client.get(reverse("admin:audit_report_change", args=[report.pk])).status_code == 404
    assert client.get(reverse("admin:audit_report_file", args=[report.pk, "json"])).status_code == 404
    own = asked(client)
    tasks.continue_report(str(own.pk))
    assert "No event happened in this period" in page(client, own)
    assert own in build.visible(visibility.EVERYTHING)


def test_a_set_of_controls_with_an_error_is_told_on_the_page(
    auditor: Client, settings: LazySettings, tmp_path: Path
) -> None:
    (tmp_path / "broken.json").write_text("{")
    settings.CONTROL_PACKS = tmp_path
    shown = auditor.get(LIST).content.decode()
    assert "A set of controls cannot be read, so no report can be made. broken.json" in shown
