"""Compliance reports count what the store's own code records: reviews, holds, redaction, outages, verification."""

import json
import re
import secrets
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from django.conf import LazySettings

import dlq.stream
from audit import tasks
from audit.errors import Invalid
from audit.evidence import build as evidence_build
from audit.evidence import export, statements
from audit.evidence.request import Requester
from audit.formats.event import accept
from audit.ingest import trail
from audit.ingest.record import store
from audit.ledger import reader, seal, verify
from audit.models import OWN_WRITER, Expectation, Record, Report, Unmet, Verification
from audit.queue import outages
from audit.reports import again, build
from audit.reports.figures import Figure
from audit.reports.sections import acts, completeness, integrity, redaction, retention, reviews
from audit.reports.sections import legal_holds as legal_holds_section
from audit.reports.sections import outages as outages_section
from audit.reports.snapshot import Snapshot
from audit.retention import legal_holds
from audit.review import signoff
from audit.visibility import Scope
from tests.admin.conftest import parked_message
from tests.audit.evidence.conftest import leaves, rules
from tests.audit.reports.conftest import figures, made, sealed, today
from tests.audit.review.conftest import a_day, failed, followed, noon, sign
from tests.days import LATE, own_days

__all__ = ["followed", "rules"]
ME = Requester("tests")


def a_basis(first: date | None = None, last: date | None = None) -> Snapshot:
    sealed(1)
    return Snapshot(first or today(), last or today(), reader.signed_head("default"))


def values(shown: tuple[Figure, ...]) -> dict[str, Any]:
    return {figure.key: figure.value for figure in shown}


def test_days_are_counted_as_the_daily_review_records_them(followed: Callable[[date | None], None]) -> None:
    day = own_days(4, since=LATE)
    failed(day)
    followed(day)
    sign(day, "the bank refused one", by="olga")
    sign(day, "so it did", by="otto")
    sign(day, "and again", by="olga")
    assert day + timedelta(days=1) in signoff.find_missed(now=noon(day, 24 * 4))
    sign(day + timedelta(days=1), "late", by="olga")
    section = reviews.section(a_basis(day, day + timedelta(days=3)))
    shown = values(section.figures)
    assert shown["signed"] == "2 of 4"
    assert (shown["missed"], shown["late"], shown["countersigned"]) == (2, 1, 1)
    assert shown["unasked"] == 1
    assert shown["partly"] >= 1  # the second day has lines only where something else was found before it
    assert section.figures[0].state == "exception"
    rows = {row.cells[0]: row for row in section.tables[0].rows}
    assert re.fullmatch(r"signed, 0 of \d+ lines? reviewed", str(rows[day.isoformat()].cells[1]))
    assert "olga" in rows[day.isoformat()].cells[2] and "otto" in rows[day.isoformat()].cells[2]
    assert rows[day.isoformat()].cells[4] == "the bank refused one"
    late, missed = (str(rows[(day + timedelta(days=n)).isoformat()].cells[1]) for n in (1, 2))
    assert late.startswith("signed late") and missed == "missed"
    first = Record.objects.get(event_type="audit.review.signed", resource_id=day.isoformat())
    assert rows[day.isoformat()].query == f"id:{first.id}"


def test_holds_are_those_of_the_records_and_of_the_checkpoint() -> None:
    placed, released = sealed(2), sealed(2)
    legal_holds.place(placed, reason="case 7", by="olga")
    legal_holds.place(released, reason="case 8", by="olga", by_service=True)
    before = a_basis()
    legal_holds.release(released, reason="settled", by="otto")
    after = a_basis()
    was, now = ({hold.placed.resource: hold for hold in legal_holds_section.holds(basis)} for basis in (before, after))
    assert was[released].released is None
    assert now[placed].released is None
    end = now[released].released
    assert end is not None and end.actor == "otto"
    was_figures, is_figures = (
        values(legal_holds_section.figures(basis_of, legal_holds_section.holds(basis_of)))
        for basis_of in (before, after)
    )
    assert was_figures["holds"] - is_figures["holds"] == 1
    assert is_figures["holds_released"] - was_figures["holds_released"] == 1
    yesterday = today() - timedelta(days=1)
    old = Snapshot(yesterday, yesterday, after.checkpoint)
    assert placed not in {hold.placed.resource for hold in legal_holds_section.holds(old)}
    rows = {row.cells[0]: row.cells for row in legal_holds_section.table(after, legal_holds_section.holds(after)).rows}
    if placed in rows:  # a table names the newest
        assert rows[placed][2:] == ("case 7", "in force")


def test_rules_of_redaction_count_as_they_stood_at_the_end(rules: Callable[..., Any]) -> None:
    name = f"rule-{secrets.token_hex(4)}"
    before = values(redaction.section(a_basis()).figures)
    rules("actor_ip", name=name, event_type=f"{name}.*", method="mask", reason="GDPR Art. 5(1)(c)")
    officer = ME._replace(may_unredacted=True)
    word = sealed(1)
    for unredacted in (False, True):
        export.cancel(export.request(officer, query=f"correlation:{word}", unredacted=unredacted), officer)
    basis = a_basis()
    shown = values(redaction.section(basis).figures)
    assert [shown[key] - before[key] for key in ("rules", "changed", "redacted", "unredacted")] == [1, 1, 1, 1]
    (kept,) = [rule for rule in redaction.rules_in_force(basis) if rule.act.data["name"] == name]
    assert kept.rule["reason"] == "GDPR Art. 5(1)(c)"


def test_what_an_outage_lost_is_what_the_queue_says(settings: LazySettings) -> None:
    before = values(outages_section.section(a_basis()).figures)
    settings.DLQ_PREFIX = f"report-{secrets.token_hex(6)}"  # a queue of its own
    gone, home = parked_message(), parked_message()
    waiting = dlq.stream.for_drain()
    waiting.redis.xdel(waiting.keys.stream, gone.id)
    waiting.redis.zrem(waiting.keys.due, gone.id)
    waiting.acknowledge([home], "drained")
    closed = outages.follow()
    assert closed is not None
    shown = values(outages_section.section(a_basis()).figures)
    assert [shown[key] - before[key] for key in ("episodes", "diverted", "brought_home", "lost")] == [1, 2, 1, 1]


def test_nothing_is_called_unchanged_that_nobody_looked_at() -> None:
    sealed(1)
    verify.verify()
    done = {figure.key: figure for figure in retention.verified(a_basis())}
    assert done["verified"].state == "shown"
    old = a_day()
    bare = {figure.key: figure for figure in retention.verified(a_basis(old, old))}
    assert bare["verified"].state in ("none", "shown")
    assert retention._uncovered([(0, 4), (2, 6), (8, 9)], 12) == 5
    assert retention._uncovered([], 12) == 12
    assert retention._uncovered([(0, 99)], 12) == 0


def runs_of(day: date, *verdicts: str, scope: str = "newest", records: int = 7) -> None:
    """Verifications that ended on the day; those that found nothing have an end, for one of now is the newest."""
    noon_of = datetime.combine(day, time(12), UTC)
    for at, verdict in [*((noon_of, verdict) for verdict in verdicts), (datetime.now(UTC), "VERIFIED")]:
        times = {"started_at": at, "updated_at": at, "ended_at": at}
        facts = {"scope": scope, "verdict": verdict, "counts": {"records": records}}
        Verification.objects.create(requested_by=OWN_WRITER, **facts, **times)


def test_the_same_again_whatever_verifications_have_come_to_their_end_since(settings: LazySettings) -> None:
    settings.VERIFICATION_DAYS = 31
    day = own_days(since=LATE)
    sealed(1)
    runs_of(day, "VERIFIED", "VERIFIED", "NOT COVERED")
    report = build.resume(build.request(ME, day, day, ["soc2"]))
    assert figures(report)["integrity.runs"] == 3
    tasks.tidy()
    repeated = build.resume(build.repeat(report, ME))
    assert repeated.is_same, again.differences(repeated)


def test_verifications_that_are_kept_no_longer_are_counted(settings: LazySettings) -> None:
    settings.VERIFICATION_DAYS = 31
    day = date(1969, 5, 1)  # of which there is no report
    runs_of(day, "VERIFIED", "VERIFIED", "ALTERED")
    runs_of(day + timedelta(days=1), "VERIFIED")
    tasks.tidy()
    runs_of(day, "VERIFIED")
    tasks.tidy()
    basis = a_basis(day, day)
    section = integrity.section(basis)
    assert [values(section.figures)[key] for key in ("runs", "checked", "failed")] == [4, 28, 1]
    assert [row.cells for row in section.tables[0].rows] == [("newest", "ALTERED", 1, 7), ("newest", "VERIFIED", 3, 21)]
    shown = {figure.key: figure for figure in retention.verified(basis)}
    assert "which leaves they computed is not kept any more" in shown["verified"].note
    before = values(integrity.section(Snapshot(day, day, basis.checkpoint, version=5)).figures)
    assert before["runs"] == 1, "as reports of then said it"


def acts_of(day: date, event_type: str, count: int, *, hour: int, outcome: str = "success") -> None:
    """So many acts of the store, as of an hour of the day."""
    act = trail.document(event_type, actor="olga", outcome=outcome, correlation=f"rr-{secrets.token_hex(4)}")
    events = [act | {"event_timestamp": f"{day}T{hour:02}:00:{n % 60:02}Z"} for n in range(count)]
    store([accept(event, writer=OWN_WRITER) for event in events], timeout_s=20)


def test_what_a_table_does_not_count_takes_no_place_in_it_however_much_came_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(acts, "MAX_ROWS", 4)
    day = own_days()
    acts_of(day, "audit.writer.changed", 5, hour=1)
    acts_of(day, "audit.parked.paused", 1, hour=2)  # counted by two figures
    acts_of(day, "audit.person.logged_in", 45, hour=3)
    acts_of(day, "audit.verification.ended", 2, hour=1, outcome="failure")
    acts_of(day, "audit.verification.ended", 45, hour=3)
    basis = a_basis(day, day)
    (changes,), (alerts,) = acts.changes(basis).tables, acts.alerts(basis).tables
    assert [row.cells[1] for row in changes.rows] == ["audit.parked.paused", *["audit.writer.changed"] * 3]
    assert changes.left_off == 2
    assert [row.cells[1] for row in alerts.rows] == ["audit.verification.ended"] * 2
    assert alerts.left_off == 0
    before = Snapshot(day, day, basis.checkpoint, version=5)
    assert [acts.changes(before).tables[0].rows, acts.alerts(before).tables[0].rows] == [(), ()], "as reports of then"


def test_statements_and_exports_are_told_under_access() -> None:
    sealed()
    before = figures(made())
    statements.make(ME, f"correlation:{sealed(1)}")
    seal.Sealer().once()
    after = figures(made())
    assert after["handed.statements"] - before["handed.statements"] >= 1
    assert after["access.taken"] - before["access.taken"] >= 1


def test_the_evidence_of_a_report_is_what_was_sealed_in_its_period_under_its_checkpoint() -> None:
    sealed(5)
    report = made()
    sealed(3)
    begun = build.request_evidence(report, ME)
    basis = Snapshot(report.first, report.last, reader.signed_head("default"))
    assert begun.checkpoint == report.checkpoint
    assert begun.last == begun.size < basis.size
    act = Record.objects.get(event_type="audit.export.asked", correlation_id=f"export-{begun.pk}")
    assert act.event_data["of_report"] == {"id": str(report.pk), "digest": report.digest}
    export.cancel(begun, ME)


def test_the_same_again_whatever_was_held_released_and_reviewed_since() -> None:
    word, day = sealed(2), own_days(since=LATE)
    legal_holds.place(word, reason="case 7", by="olga", by_service=True)
    sign(day, "all read", by="olga")
    sealed()
    report = made(names=("gdpr", "nist-au"))
    legal_holds.release(word, reason="settled", by="otto")
    sign(day, "read again", by="otto")
    verify.verify()
    sealed()
    repeated = build.resume(build.repeat(report, ME))
    assert repeated.is_same, again.differences(repeated)


def test_a_report_of_an_earlier_version_of_the_content_is_the_same_when_it_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trail.add("audit.expectation.unmet", actor=OWN_WRITER, correlation="completeness")
    sealed()
    versions = []
    for version in (1, 2, 3, 4, 5, 6):
        with monkeypatch.context() as before:
            before.setattr(build, "VERSION", version)
            report = made(names=("soc2",))
        repeated = build.resume(build.repeat(report, ME))
        assert repeated.is_same, again.differences(repeated)
        assert (repeated.content or {})["format"] == f"auditsite-report-{version}"
        versions.append(by_name(report))
    first, second, third, fourth, fifth, sixth = versions
    assert (made(names=("soc2",)).content or {})["format"] == "auditsite-report-6"
    assert "erasure.asked" not in third and "erasure.asked" in fourth
    assert "reviews.partly" not in first and "reviews.partly" in second
    assert [each["alerts.unmet_told"]["state"] for each in versions] == [
        *("exception", "exception"),
        *("shown", "shown", "shown", "shown"),
    ]
    assert "type:audit.person.login_locked" not in fifth["access.login_refused"]["query"]
    assert sixth["access.login_refused"]["query"].startswith(
        "type:audit.person.login_refused type:audit.person.login_locked "
    ), "both are counted"
    assert second["fields.who"]["query"] and not third["fields.who"]["query"]
    assert "type:audit.gap.* " in second["completeness.explained"]["query"]
    assert "type:audit.expectation.explained " in third["completeness.explained"]["query"]


def by_name(report: Report) -> dict[str, Any]:
    """The figures of a report by section and key."""
    sections = (report.content or {})["sections"]
    return {f"{section['key']}.{figure['key']}": figure for section in sections for figure in section["figures"]}


def test_an_expectation_is_an_exception_while_it_is_open_and_not_for_having_been_told() -> None:
    day = own_days(since=LATE)
    finding = unmet(datetime.combine(day, time(12), UTC))
    trail.add("audit.expectation.unmet", actor=OWN_WRITER, correlation="completeness")
    basis = a_basis(day, day)
    shown = {figure.key: figure for figure in completeness.section(basis).figures}
    assert (shown["unmet"].value, shown["unmet_open"].value, shown["unmet_open"].state) == (1, 1, "exception")
    finding.closed_at = basis.at - timedelta(seconds=1)
    finding.save()
    shown = {figure.key: figure for figure in completeness.section(basis).figures}
    assert (shown["unmet"].value, shown["unmet_open"].value, shown["unmet_open"].state) == (1, 0, "shown")
    told = next(figure for figure in acts.alerts(a_basis()).figures if figure.key == "unmet_told")
    assert (told.value in (0, "—"), told.state) == (False, "shown")


def unmet(found_at: datetime) -> Unmet:
    rule = Expectation.objects.create(
        name=f"rule-{secrets.token_hex(4)}",
        kind="followed",
        when_types=["a.began"],
        expect_types=["a.ended"],
        within_s=60,
    )
    return Unmet.objects.create(
        expectation=rule,
        subject=f"rr-{secrets.token_hex(4)}",
        writer="tests",
        kind=rule.kind,
        wanted=rule.words,
        since=found_at,
        due_at=found_at,
        found_at=found_at,
    )


def test_who_has_a_scope_gets_his_records_as_the_evidence() -> None:
    writer = f"w-{secrets.token_hex(4)}"
    sealed(4, writer=writer)
    scoped = Requester(f"scoped-{writer}", sight=(Scope((writer,)),))
    report = made(scoped)
    bundle = evidence_build.resume(build.request_evidence(report, scoped))
    assert (bundle.kind, bundle.done, bundle.checkpoint) == ("query", 4, report.checkpoint)
    assert len(leaves(bundle)) == 4


def test_of_a_period_in_which_nothing_was_sealed_there_is_no_evidence() -> None:
    sealed()
    old = date(1970, 3, 1)
    report: Report = build.resume(build.request(ME, old, old, ["soc2"]))
    with pytest.raises(Invalid, match="nothing was sealed in this period"):
        build.request_evidence(report, ME)


def test_every_pack_says_where_purges_stand_and_none_that_there_are_no_holds() -> None:
    sealed()
    text = json.dumps(made(names=("gdpr", "iso27001", "nist-au", "sec-17a-4", "soc2")).content)
    assert "Purges and their certificates stand under Retention and holds" in text
    assert "holds do not exist" not in text and "no legal holds" not in text
