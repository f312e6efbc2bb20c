"""The daily review: the exceptions of a day stay what they were, a signature holds them, a day without one is found."""

import secrets
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connections
from django.test import override_settings

from audit import tasks
from audit.completeness import explain
from audit.errors import Immutable
from audit.ingest import rejections
from audit.models import Followed, Gap, Manifest, MissedReview, Numbering, Record, Rejection, Review
from audit.review import dispositions, exception_report, signoff
from audit.review.signoff import NotSigned
from tests.audit.review.conftest import a_day, a_quiet_day, failed, happened, noon, sign


def rows(day: date, part: str) -> dict[str, int]:
    counts: dict[str, int] = exception_report.exception_report(day).document["parts"][part]
    return counts


def acts(day: date) -> list[str]:
    acts = Record.objects.filter(resource_type="review", resource_id=day.isoformat()).order_by("event_timestamp", "id")
    return [act.event_action for act in acts]


def test_a_day_names_what_failed_and_what_was_grave_with_the_search_that_finds_it() -> None:
    day = a_day()
    failed(day, 2)
    happened(day, severity="critical", event_type="gateway.signal.received")
    happened(day)
    happened(day + timedelta(days=1), event_outcome="failure")
    assert rows(day, "failed") == {"payments.card.refused, tests": 2}
    assert rows(day, "grave") == {"critical, gateway.signal.received": 1}
    (row,) = next(group.rows for group in exception_report.exception_report(day).groups if group.name == "failed")
    assert row.query == f"outcome:failure type:payments.card.refused writer:tests on:{day}"


def test_what_the_store_says_of_itself_is_sorted() -> None:
    day = a_day()
    own = {"event_category": "security", "writer": "auditsite"}
    happened(day, event_type="audit.person.login_refused", event_outcome="failure", **own)
    happened(day, event_type="audit.event.conflict", event_outcome="failure", **own)
    happened(day, event_type="audit.writer.key_issued", **own)
    happened(day, event_type="audit.parked.retried", **own)
    happened(day, event_type="audit.person.logged_in", **own)
    look = {"event_category": "access", "writer": "auditsite", "event_type": "audit.records.searched"}
    happened(day, actor_id='the "auditor"', event_action="searched", **look)
    assert rows(day, "logins") == {"audit.person.login_refused, failure": 1}
    assert rows(day, "alarms") == {"audit.event.conflict, failure": 1}
    assert rows(day, "changes") == {"audit.writer.key_issued, success": 1}
    assert rows(day, "acts") == {"audit.parked.retried, success": 1}
    assert rows(day, "looked") == {'searched, the "auditor"': 1}
    groups = exception_report.exception_report(day).groups
    assert {group.name for group in groups if not group.counts} >= {"acts", "looked"}


def test_a_finding_is_open_on_the_days_on_which_it_was_whatever_became_of_it_since() -> None:
    day, at = a_day(), datetime.now(UTC)
    numbering = Numbering.objects.create(writer=f"writer-{secrets.token_hex(4)}")
    gap = Gap.objects.create(
        numbering=numbering, first=3, last=4, missing=2, before_at=at, found_at=noon(day), closed_at=noon(day, 48)
    )
    what = "gaps in the numbers of writers"
    before = [rows(day + timedelta(days=n), "open").get(what, 0) for n in (0, 1, 2)]
    assert [before[1] - before[0], before[1] - before[2]] == [1, 1]
    assert rows(day, "found")[what] >= 1
    Gap.objects.filter(pk=gap.pk).update(closed_at=noon(day, 54))
    assert rows(day + timedelta(days=1), "open")[what] == before[1]


def test_a_manifest_is_an_exception_of_its_day_only_where_it_did_not_agree_by_its_end() -> None:
    """A client states one each hour: those that agree are no findings."""
    day, what = a_day(), "manifests that do not agree"
    for closed_at in (noon(day), noon(day, 1), noon(day, 20), None):
        stated = {"since": noon(day), "until": noon(day, 1), "count": 2, "key": secrets.token_hex(32)}
        Manifest.objects.create(
            writer=f"writer-{secrets.token_hex(4)}", found_at=noon(day), closed_at=closed_at, **stated
        )
    assert rows(day, "found")[what] == 2


def test_what_is_shown_in_two_places_is_one_exception() -> None:
    day = a_day()
    before = exception_report.exception_report(day).exceptions
    happened(day, event_outcome="failure", severity="critical")
    own = {"event_category": "security", "writer": "auditsite", "event_outcome": "failure"}
    happened(day, event_type="audit.gap.found", **own)  # it tells of gaps, which are counted themselves
    happened(day, event_type="audit.event.conflict", **own)
    Rejection.objects.create(day=day, writer="tests", reason=rejections.CONFLICT, events=1)
    assert rows(day, "acts") == {"audit.gap.found, failure": 1}
    assert exception_report.exception_report(day).exceptions == before + 2


def test_many_kinds_are_the_most_frequent_and_the_rest_together() -> None:
    day = a_day()
    Rejection.objects.bulk_create(
        Rejection(day=day, writer="tests", reason=f"reason {n:02}", events=100 - n)
        for n in range(exception_report.MAX_ROWS + 3)
    )
    counts = rows(day, "rejected")
    assert len(counts) == exception_report.MAX_ROWS + 1
    assert counts[exception_report.REST] == 80 + 79 + 78


def test_signing_is_a_record_with_all_that_was_shown() -> None:
    day = a_day()
    failed(day)
    signed = sign(day)
    record = Record.objects.get(event_type="audit.review.signed", resource_id=day.isoformat())
    assert record.actor_id == "officer"
    assert record.event_data["digest"] == signed.digest == signoff.report_to_sign(day).digest
    assert record.event_data["note"] == "looked at"
    assert record.event_data["shown"] == signed.shown
    assert [state.state for state in signoff.states([day])] == ["signed in part"]


def test_exceptions_need_a_note_and_a_quiet_day_none() -> None:
    day = a_day()
    failed(day)
    with pytest.raises(NotSigned, match="or in the note"):
        sign(day, "  \x00")
    assert acts(day) == []
    quiet = a_quiet_day()
    assert signoff.report_to_sign(quiet).exceptions == 0
    assert sign(quiet, "").note == ""


def test_a_day_whose_lines_are_all_disposed_of_needs_no_note() -> None:
    day = a_day()
    failed(day, 2)
    happened(day, severity="critical", event_type="gateway.signal.received")
    shown = exception_report.exception_report(day)
    lines = {
        group.name: {row.label: {"is": "ticket", "why": "T-1"} for row in group.rows}
        for group in shown.groups
        if group.counts and group.rows
    }
    some = {"failed": lines["failed"]}
    with pytest.raises(NotSigned, match="of each line"):
        signoff.sign(day, "", by="officer", seen=(shown.digest, 0), lines=some)
    signoff.sign(day, "", by="officer", seen=(shown.digest, 0), lines=lines)
    (state,) = signoff.states([day])
    assert (state.state, state.reviewed.left) == ("signed", 0)
    assert state.signatures[0].lines == lines


LINE = {"failed": {"payments.card.refused, tests": {"is": "expected", "why": ""}}}
OTHER = {"grave": {"critical, gateway.signal.received": {"is": "ticket", "why": "T-1"}}}


def a_day_of_two_lines() -> date:
    day = a_quiet_day()
    failed(day, 2)
    happened(day, severity="critical", event_type="gateway.signal.received")
    return day


def test_a_day_with_lines_left_is_signed_only_by_whoever_says_so_and_then_in_part() -> None:
    day = a_day_of_two_lines()
    with pytest.raises(NotSigned, match="1 of 2 lines have no disposition"):
        sign(day, lines=LINE, in_part=False)
    sign(day, lines=LINE)
    record = Record.objects.get(event_type="audit.review.signed", resource_id=day.isoformat())
    assert record.event_data["reviewed"] == "1 of 2 lines reviewed"
    assert (record.event_data["lines_reviewed"], record.event_data["lines_shown"]) == (1, 2)
    (state,) = signoff.states([day])
    assert (state.state, signoff.STATES[state.state], str(state.reviewed)) == (
        "signed in part",
        "warning",
        "1 of 2 lines reviewed",
    )


def test_dispositions_stand_beside_later_ones_until_the_line_counts_more() -> None:
    day = a_day_of_two_lines()
    sign(day, lines=LINE)
    sign(day, lines=OTHER, by="other", in_part=False)
    (state,) = signoff.states([day])
    assert (state.state, state.reviewed) == ("signed", (2, 2))
    sign(day, lines={"grave": {"critical, gateway.signal.received": {"is": "expected", "why": "T-1 is done"}}})
    said = dispositions.history(signoff.states([day])[0].signatures)[("grave", "critical, gateway.signal.received")]
    assert [(saying.by, saying.disposition) for saying in said] == [("other", "ticket"), ("officer", "expected")]
    failed(day)
    sign(day)
    assert str(signoff.states([day])[0].reviewed) == "1 of 2 lines reviewed"


def test_a_ticket_that_follows_is_named() -> None:
    day = a_day_of_two_lines()
    with pytest.raises(NotSigned, match=r"“critical, gateway.signal.received” is followed by a ticket: say which"):
        sign(day, lines={"grave": {"critical, gateway.signal.received": {"is": "ticket", "why": ""}}})


def test_whoever_signed_signs_again_and_only_another_person_countersigns() -> None:
    day = a_day()
    sign(day)
    sign(day)
    sign(day, by="other")
    sign(day, by="other")
    assert acts(day) == ["signed", "signed_again", "countersigned", "signed_again"]


def test_a_day_that_is_not_over_is_not_signed() -> None:
    today = datetime.now(UTC).date()
    with pytest.raises(NotSigned, match="is not over"):
        signoff.sign(today, "early", by="officer", seen=(signoff.report_to_sign(today).digest, 0))


def test_two_people_never_sign_the_same_day_unknown_to_each_other() -> None:
    day = a_day()
    failed(day)
    seen = (signoff.report_to_sign(day).digest, 0)
    signoff.sign(day, "the first", by="officer", seen=seen, in_part=True)
    with pytest.raises(NotSigned, match="somebody signed"):
        signoff.sign(day, "the second", by="other", seen=seen)
    assert sign(day, "I agree", by="other").number == 2
    assert acts(day) == ["signed", "countersigned"]


def test_what_came_since_the_page_was_shown_is_not_signed_unseen() -> None:
    day = a_day()
    failed(day)
    seen = (signoff.report_to_sign(day).digest, 0)
    failed(day)
    with pytest.raises(NotSigned, match="read it again"):
        signoff.sign(day, "looked at", by="officer", seen=seen)


def test_what_comes_late_is_counted_beside_the_signature() -> None:
    day = a_day()
    failed(day)
    signed = sign(day)
    assert signoff.report_to_sign(day).added_since(signed.shown) == 0
    failed(day, 2)
    happened(day, severity="high")
    assert signoff.report_to_sign(day).added_since(signed.shown) == 3


def test_a_signature_is_never_changed_nor_taken_away() -> None:
    signed = sign(a_day(), "once")
    with pytest.raises(Immutable):
        signed.save()
    for statement in ("UPDATE audit_review SET note = 'other'", "DELETE FROM audit_review", "TRUNCATE audit_review"):
        for alias in ("default", "owner"):
            with pytest.raises(DatabaseError), connections[alias].cursor() as cursor:
                cursor.execute(statement)
    assert Review.objects.get(pk=signed.pk).note == "once"


def test_reviews_are_asked_for_from_the_day_on_which_they_began(followed: Any) -> None:
    day = a_day()
    followed(None)
    assert signoff.find_missed(noon(day)) == []
    states = [state.state for state in signoff.states([day - timedelta(days=1), day], noon(day, 24))]
    assert states == ["not asked for", "due"]
    begun = Record.objects.filter(event_type="audit.review.begun", event_data__first_day=day.isoformat())
    assert begun.count() == 1


def test_a_day_that_nobody_signs_in_time_is_a_finding_once(followed: Any) -> None:
    day = a_day()
    followed(day)
    assert signoff.find_missed(noon(day, 24 + 11)) == []
    assert signoff.find_missed(noon(day, 24 + 13)) == [day]
    assert signoff.find_missed(noon(day, 24 + 14)) == []
    missed = MissedReview.objects.get(day=day)
    assert (missed.state, missed.told_at is not None) == ("open", True)
    assert acts(day) == ["missed"]
    assert [state.state for state in signoff.states([day])] == ["missed"]
    assert signoff.waiting().missed >= 1
    sign(day, "late, I was ill")
    missed.refresh_from_db()
    assert missed.state == "closed"
    assert signoff.states([day])[0].state.startswith("signed late")


def test_a_day_that_is_signed_in_time_is_none(followed: Any) -> None:
    day = a_day()
    followed(day)
    sign(day)
    assert signoff.find_missed(noon(day, 48 + 13)) == [day + timedelta(days=1)]
    explain.explain(MissedReview.objects.get(day=day + timedelta(days=1)), "a holiday", by="officer")
    assert [state.state for state in signoff.states([day + timedelta(days=1)])] == ["explained"]
    assert acts(day) == ["signed"]


def test_without_review_hours_nothing_is_asked_for(followed: Any) -> None:
    day = a_day()
    followed(day)
    with override_settings(REVIEW_HOURS=0):
        assert signoff.find_missed(noon(day, 240)) == []
        assert signoff.waiting().due == 0
    assert not Followed.objects.filter(name=signoff.REVIEWS).exists()


def test_the_schedule_judges(followed: Any) -> None:
    followed(None)
    assert tasks.judge_reviews() == "0 reviews missed"
    assert Followed.objects.get(name=signoff.REVIEWS).followed_at.date() <= datetime.now(UTC).date()
    assert signoff.waiting().due <= 1
