"""Compliance reports: the same days and the same checkpoint give the same digest, whatever came since."""

import json
import secrets
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connections
from django.db.utils import InternalError

from audit import checks, tasks, visibility
from audit.completeness import coverage, explain, reconcile
from audit.errors import Invalid
from audit.evidence.request import Requester
from audit.formats import canonical
from audit.formats.event import accept
from audit.ingest import trail
from audit.ingest.record import store
from audit.ledger import reader, seal, verify
from audit.models import OWN_WRITER, Checkpoint, Gap, Numbering, Record, Report
from audit.reports import again, build, packs, render
from audit.reports.packs import UnreadablePack
from audit.reports.sections import SECTIONS, fields, volumes
from audit.reports.snapshot import Snapshot, preset_days
from audit.visibility import Scope
from tests.audit.conftest import an_event
from tests.audit.reports.conftest import ME, figures, made, sealed, today

CONTROLS = json.loads((Path(__file__).parents[2] / "data" / "controls.json").read_text(encoding="utf-8"))


def a_gap(writer: str) -> Gap:
    now = datetime.now(UTC)
    numbering = Numbering.objects.create(writer=writer, epoch=secrets.token_hex(4))
    return Gap.objects.create(numbering=numbering, first=3, last=4, missing=2, before_at=now, found_at=now)


def test_the_same_days_and_checkpoint_give_the_same_digest_whatever_came_since() -> None:
    sealed(5)
    gap = a_gap("tests")
    trail.add("audit.episode.ended", actor=OWN_WRITER, correlation=f"episode-{secrets.token_hex(4)}", lost=0)
    verify.verify()
    sealed()
    first = made(names=tuple(packs.load()))
    sealed(7, event_outcome="failure")
    gap.closed_at = datetime.now(UTC)
    gap.save()
    explain.explain(a_gap("tests"), "the disk was full", by="tests")
    trail.add("audit.episode.annotated", actor="tests", correlation="episode-x", note="mended")
    trail.add("audit.review.signed", trail.Where(resource=("day", str(today()))), actor="tests", correlation="reviews")
    verify.verify()
    sealed()
    reconcile.reconcile()
    repeated = build.resume(build.repeat(first, ME))
    assert repeated.is_same, again.differences(repeated)
    assert repeated.digest == first.digest == build.digest(repeated.content or {})
    assert made(names=tuple(packs.load())).digest != first.digest


@pytest.mark.parametrize("settles_s", [3_600.0, 0.0])
def test_a_report_waits_for_what_others_had_begun_when_its_checkpoint_was_signed(
    monkeypatch: pytest.MonkeyPatch, settles_s: float
) -> None:
    writer, asked = f"w-{secrets.token_hex(4)}", list[float]()

    def meanwhile(seconds: float) -> None:
        """Another process commits what it had dated before: no time passes here."""
        asked.append(seconds)
        gap = a_gap(writer)
        Gap.objects.filter(pk=gap.pk).update(found_at=sealed_at)

    sealed()
    begun = build.request(ME, today(), today(), ["soc2"])
    sealed_at = Checkpoint.objects.get(number=begun.checkpoint).created_at
    monkeypatch.setattr(build, "SETTLE_S", settles_s)
    monkeypatch.setattr(build, "time", SimpleNamespace(sleep=meanwhile))
    earliest = datetime.now(UTC)
    report = build.resume(begun)
    latest = datetime.now(UTC)
    (waited_s,) = asked
    shortest, longest = (max(settles_s - (now - sealed_at).total_seconds(), 0) for now in (latest, earliest))
    assert shortest <= waited_s <= longest
    gaps = next(section for section in (report.content or {})["sections"] if section["key"] == "completeness")
    assert writer in [row["cells"][0] for row in gaps["tables"][0]["rows"]], "it was computed before the wait was over"


def test_a_report_names_the_record_that_has_its_digest() -> None:
    sealed()
    report_made = made()
    acts = Record.objects.filter(correlation_id=f"report-{report_made.pk}").order_by("event_timestamp")
    assert [act.event_type for act in acts] == ["audit.report.asked", "audit.report.made"]
    assert acts[1].event_data["digest"] == report_made.digest
    assert report_made.digest == build.digest(json.loads(json.dumps(report_made.content)))


def test_volumes_are_those_of_the_checkpoint_however_far_the_log_was_followed() -> None:
    writer = f"w-{secrets.token_hex(4)}"
    sealed(4, writer=writer)
    basis = Snapshot(today() - timedelta(days=1), today(), reader.signed_head("default"))
    sealed(3, writer=writer)  # after the checkpoint

    def counted() -> int:
        lines = volumes.day_counts(basis, basis.begins, basis.ends)
        return sum(line.events for line in lines if line.writer == writer)

    before = counted()
    reconcile.reconcile()
    assert before == counted() == 4
    (followed,) = coverage.sums([writer], basis.begins, basis.ends, timedelta(days=2)).values()
    assert followed.events == 7


def test_a_record_outside_the_period_does_not_count() -> None:
    sealed()
    report_made = made(first=today())
    earlier = figures(report_made)["volumes.events"]
    store([accept(an_event(event_timestamp="2026-01-04T10:00:00Z"), writer="tests")], timeout_s=20)
    seal.Sealer().once()
    assert figures(made())["volumes.events"] - earlier < 10_000
    old = Snapshot(date(2026, 1, 4), date(2026, 1, 4), reader.signed_head("default"))
    with visibility.as_system():
        assert SECTIONS["volumes"][0](old).figures[0].value != 0


def test_an_outage_shows_cause_duration_remediation_and_what_was_lost() -> None:
    word, now = f"episode-{secrets.token_hex(6)}", datetime.now(UTC)
    facts = {"reasons": {"database-down": 9}, "parked": 9, "stored": 9, "lost": 0, "dead": 0}
    times = {"began_at": (now - timedelta(seconds=90)).isoformat(), "emptied_at": now.isoformat()}
    for _ in range(2):  # a kill came between the record and the row: it is recorded once more
        trail.add("audit.episode.ended", actor=OWN_WRITER, correlation=word, **facts, **times)
    trail.add("audit.episode.annotated", actor="olga", correlation=word, note="the disk was full")
    sealed()
    report = made(first=today() - timedelta(days=1))
    section = next(section for section in report.content["sections"] if section["key"] == "queue")  # type: ignore[index]
    rows = [row["cells"] for row in section["tables"][0]["rows"] if "the disk was full (olga" in row["cells"][-1]]
    assert len([row for row in rows if row[1:6] == ["90 s", "database-down", 9, 9, 0]]) == 1


def test_every_section_has_exactly_the_figures_that_controls_may_name() -> None:
    sealed()
    report = made()
    for section in report.content["sections"]:  # type: ignore[index]
        assert tuple(figure["key"] for figure in section["figures"]) == SECTIONS[section["key"]][1], section["key"]


def test_every_control_of_the_reference_is_answered_or_says_why_not() -> None:
    controls = {(name, control.id) for name, pack in packs.load().items() for control in pack.controls}
    assert controls == {(name, number) for name, numbers in CONTROLS["packs"].items() for number in numbers}
    sealed()
    judged = made(names=tuple(CONTROLS["packs"])).content["controls"]  # type: ignore[index]
    assert len(judged) == len(controls)
    for control in judged:
        assert control["evidence"] or control["why"], control["id"]
        assert control["verdict"] == "shown" or control["why"], control["id"]


def test_a_day_without_a_signed_review_is_not_shown_as_reviewed() -> None:
    sealed()
    old = date(2026, 2, 3)
    report = build.resume(build.request(ME, old, old, ["pci-dss"]))
    judged = {control["id"]: control for control in report.content["controls"]}  # type: ignore[index]
    assert judged["10.4.1"]["verdict"] == "partly"
    assert "No daily review was signed" in judged["10.4.1"]["why"]


def test_who_has_a_scope_sees_his_writers_alone_and_reads_so() -> None:
    writer = f"w-{secrets.token_hex(4)}"
    sealed(4, writer=writer)
    reconcile.reconcile()
    sight = (Scope((writer,)),)
    report = made(Requester("scoped", sight=sight))
    values = figures(report)
    assert (values["volumes.events"], values["volumes.writers"], values["access.looks"]) == (4, 1, "—")
    assert "Outside what the one who asked may see" in json.dumps(report.content)
    assert report in build.visible(sight)
    assert report not in build.visible((Scope(("another",)),))
    assert report in build.visible(visibility.EVERYTHING)


def test_the_sample_is_the_same_for_everybody() -> None:
    sealed(20)
    basis = Snapshot(today(), today(), reader.signed_head("default"))
    assert fields.sample(basis) == fields.sample(basis)
    assert set(fields.sample(basis)) <= set(basis.leaves)
    assert len(set(fields.sample(basis))) == min(len(basis.leaves), fields.SAMPLE_SIZE)


def test_a_report_that_is_made_can_neither_be_changed_nor_removed() -> None:
    sealed()
    report_made = made()
    with pytest.raises((IntegrityError, InternalError)):
        Report.objects.filter(pk=report_made.pk).update(digest="0" * 64)
    with connections["owner"].cursor() as cursor, pytest.raises((IntegrityError, InternalError)):
        cursor.execute("DELETE FROM audit_report WHERE id = %s", [report_made.pk])


def test_a_report_is_cancelled_and_not_gone_on_with() -> None:
    sealed()
    begun = build.request(ME, today(), today(), ["soc2"])
    assert build.cancel(begun, ME)
    assert build.resume(begun).state == "cancelled"
    begun.refresh_from_db()
    assert not build.cancel(begun, ME)


def test_a_worker_finds_a_report_that_another_left_behind() -> None:
    sealed()
    begun = build.request(ME, today(), today(), ["soc2"])
    Report.objects.filter(pk=begun.pk).update(state="running", updated_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert Report.next_pending() == begun
    while begun.is_under_way:
        tasks.go_on_with_reports()
        begun.refresh_from_db()
    assert begun.state == "ready"


@pytest.mark.parametrize(
    ("first", "last", "names", "says"),
    [
        (date(2026, 1, 2), date(2026, 1, 1), ["soc2"], "is before the first"),
        (date(2020, 1, 1), date(2026, 1, 1), ["soc2"], "at most 1100 days"),
        (date(2026, 1, 1), date(2999, 1, 1), ["soc2"], "at most 1100 days"),
        (date(2998, 1, 1), date(2999, 1, 1), ["soc2"], "days end with"),
        (date(2026, 1, 1), date(2026, 1, 2), [], "at least one set"),
        (date(2026, 1, 1), date(2026, 1, 2), ["soc3"], "there is no set of controls soc3"),
    ],
)
def test_what_cannot_be_reported_is_refused_with_a_reason(first: date, last: date, names: list[str], says: str) -> None:
    sealed()
    with pytest.raises(Invalid, match=says):
        build.request(ME, first, last, names)


def test_each_month_that_is_over_is_reported_once(settings: LazySettings) -> None:
    sealed()
    settings.REPORT_PACKS = ["hipaa"]
    month = datetime(1990 + secrets.randbelow(30), 1 + secrets.randbelow(12), 1, 3, tzinfo=UTC)
    begun = build.request_monthly(month)
    assert begun is not None
    assert begun.last == month.date() - timedelta(days=1)
    assert begun.first == begun.last.replace(day=1)
    assert build.request_monthly(month + timedelta(days=9)) is None
    settings.REPORT_PACKS = []
    assert build.request_monthly(month + timedelta(days=40)) is None
    build.resume(begun)


def a_pack(**changes: Any) -> dict[str, Any]:
    control = {"id": "1", "gist": "Logs are kept.", "evidence": ["keeping.oldest"]}
    return {"pack": "house", "title": "House rules", "version": "1", "controls": [control | changes]}


def test_a_folder_adds_sets_of_controls(settings: LazySettings, tmp_path: Path) -> None:
    (tmp_path / "house.json").write_text(json.dumps(a_pack()))
    settings.CONTROL_PACKS = tmp_path
    sealed()
    report = made(names=("house",))
    assert [control["verdict"] for control in report.content["controls"]] == ["shown"]  # type: ignore[index]
    settings.CONTROL_PACKS = None
    with pytest.raises(Invalid, match="there is no set of controls house"):
        build.repeat(report, ME)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"evidence": ["keeping.forever"]}, "there is no figure 'keeping.forever'"),
        ({"evidence": []}, "neither evidence nor not_shown"),
        ({"wrong": 1}, "unknown field `wrong`"),
        ({"id": ""}, "length >= 1"),
    ],
)
def test_a_set_of_controls_with_an_error_is_refused(
    settings: LazySettings, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    (tmp_path / "house.json").write_text(json.dumps(a_pack(**changes)))
    settings.CONTROL_PACKS = tmp_path
    with pytest.raises(UnreadablePack, match=r"house\.json.*") as caught:
        packs.load()
    assert says in str(caught.value)
    (problem,) = checks.control_packs(None)
    assert problem.id == "audit.E011" and says in problem.msg


def test_periods_are_whole_months_quarters_and_years() -> None:
    day = date(2026, 11, 25)
    assert preset_days("month", day) == (date(2026, 10, 1), date(2026, 10, 31))
    assert preset_days("quarter", day) == (date(2026, 7, 1), date(2026, 9, 30))
    assert preset_days("year", day) == (date(2025, 1, 1), date(2025, 12, 31))
    assert preset_days("month", date(2026, 1, 9)) == (date(2025, 12, 1), date(2025, 12, 31))
    assert preset_days("so_far", day) == (date(2026, 11, 1), day)


def test_a_pdf_has_the_digest_and_fetches_nothing() -> None:
    if not render.has_pdf():  # asked here, for loading WeasyPrint takes longer than collecting a hundred tests
        pytest.skip("WeasyPrint or Pango is not there: install auditsite[pdf] and libpango")
    sealed(actor_id="<img src=https://evil.example/x.png>")
    report = made()
    made_of = render.file(report, "pdf")
    assert made_of.startswith(b"%PDF")
    assert report.digest in render.html(report)
    with pytest.raises(ValueError, match="is not fetched"):
        render._refuse_url("https://evil.example/x.png")


def test_the_command_makes_a_report_and_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sealed()
    file = tmp_path / "report.json"
    call_command("report", "--from", str(today()), "--to", str(today()), "--pack", "soc2", "--output", str(file))
    twin = json.loads(file.read_text())
    assert build.digest(twin["content"]) == twin["sha256"]
    assert twin["sha256"] in capsys.readouterr().out
    with pytest.raises(CommandError, match="there is no set of controls"):
        call_command("report", "--from", str(today()), "--to", str(today()), "--pack", "none")


def test_the_content_is_canonical() -> None:
    sealed(actor_id="Grüße \u202e\U0001f600")
    report = made()
    assert canonical.canonical(report.content or {})
