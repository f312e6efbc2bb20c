"""The page about what never came: from one sentence down to single numbers."""

import html
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.admin import dashboard
from audit.admin.completeness import discrepancy
from audit.admin.completeness.discrepancy import STATES
from audit.admin.frame import navigation
from audit.completeness import counts, findings, sequences, summary
from audit.completeness.summary import Completeness
from audit.models import AuditorScope, Expectation, Gap, Manifest, Record
from audit.postgres import sql
from tests import plans
from tests.admin.completeness.conftest import a_gap, a_manifest
from tests.admin.conftest import logged_in, person
from tests.audit.completeness.conftest import BEGAN, a_standing, at, follow, numbered, numbers_of
from tests.audit.conftest import BATCH, Sender
from tests.plans import Read

PAGE = "/admin/audit/gap/"


def act_on(gap: Gap) -> str:
    return reverse("admin:audit_gap_act", args=[gap.pk])


def detail(gap: Gap) -> str:
    return reverse("admin:audit_gap_change", args=[gap.pk])


def test_the_page_begins_with_the_sentence_and_names_each_writer(auditor: Client) -> None:
    sender = Sender("write")
    sender.post(numbered(1, 2, 4), BATCH)
    follow()
    page = html.unescape(auditor.get(PAGE).content.decode())
    assert "All events that were received from " in page
    assert sender.name in page
    assert "not complete" in page


def test_the_number_in_the_menu_is_the_sum_on_the_page_of_findings_by_when_they_were_detected(auditor: Client) -> None:
    gap, before = a_gap(), summary_of(auditor.get(PAGE))
    Gap.objects.filter(pk=gap.pk).update(found_at=datetime.now(UTC) - timedelta(days=2))
    navigation._kept.clear()
    answer = auditor.get(PAGE)
    after = summary_of(answer)
    assert [old - new for old, new in zip(before, after, strict=True)] == [1, 0, 0, 0]
    ever = after[-1]
    section = next(section for section in answer.context["rail"] if section.name == "Completeness")
    assert section.number == (str(ever) if ever <= navigation.COUNTED else f"{navigation.COUNTED}+")
    assert f'title="{section.number} {findings.COUNTED}"' in answer.content.decode()
    asked = {"q": gap.numbering.writer, "state": "open"}
    for days, is_there in (("1", False), ("7", True)):
        assert (detail(gap) in auditor.get(PAGE, asked | {"detected": days}).content.decode()) is is_there


def summary_of(answer: Any) -> list[int]:
    """The last row of the table of findings: their sums by when they were detected."""
    return [count for count, _ in answer.context["findings"][-1][1]]


def test_gaps_are_found_by_writer_and_state(auditor: Client) -> None:
    gap, closed = a_gap(), a_gap(1, 3)
    sequences.apply(numbers_of(closed.numbering.writer, 2))
    for found, state in ((gap, "open"), (closed, "closed")):
        for asked in ("open", "explained", "closed"):
            page = auditor.get(PAGE, {"q": found.numbering.writer, "state": asked}).content.decode()
            assert (detail(found) in page) is (asked == state)


def test_the_newest_gaps_are_read_by_an_index_however_many_there_are(auditor: Client) -> None:
    with CaptureQueriesContext(connections["default"]) as queries:
        auditor.get(reverse("admin:audit_gap_changelist"))
    newest = [query["sql"] for query in queries if 'ORDER BY "audit_gap"."found_at" DESC' in query["sql"]]
    [listed] = [text for text in newest if '"owner" =' not in text and "COUNT(" not in text]
    with transaction.atomic("owner"), connections["owner"].cursor() as cursor:
        # Of a few rows to sort all costs less.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute(f"EXPLAIN {listed}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "audit_gap_newest" in plan, plan


# A writer with gaps in an epoch each, and as many open manifests and unmet expectations: of this hour.
MORE = """
WITH numbering AS (
    INSERT INTO audit_numbering (writer, epoch, highest, events, reused, reused_first)
    SELECT %(name)s, 'e' || n, 5, 1, 0, '[]' FROM generate_series(1, %(count)s) n RETURNING id
), gap AS (
    INSERT INTO audit_gap (numbering_id, first, last, missing, before_at, found_at, told_at, tail, owner, explanation)
    SELECT id, 1, 4, 4, now(), now(), now(), false, '', '' FROM numbering
), manifest AS (
    INSERT INTO audit_manifest (key, writer, epoch, since, until, count, event_ids, ids_digest, contents_digest, came,
        surplus, agrees, found_at, told_at, explanation, owner)
    SELECT encode(sha256((%(name)s || n)::bytea), 'hex'), %(name)s, '', now(), now(), 1, '[]', '', '', 0, 0, false,
        now(), now(), '', '' FROM generate_series(1, %(count)s) n
)
INSERT INTO audit_unmet (expectation_id, subject, key, writer, since, due_at, wanted, kind, expect_types, came,
    found_at, told_at, explanation, owner)
SELECT %(rule)s, %(name)s || n, '', %(name)s, now(), now(), 'y', 'has', '["y"]', 0, now(), now(), '', ''
FROM generate_series(1, %(count)s) n
"""
FOUND = re.compile(r'FROM "?audit_(?:gap|numbering|manifest|unmet|hole|brokenpromise|heartbeat)\b')


def reads_of(client: Client, address: str) -> list[Read]:
    """What PostgreSQL reads of findings and numbers for a page."""
    navigation._kept.clear()
    with CaptureQueriesContext(connections["default"]) as queries:
        assert client.get(address).status_code == 200
    return plans.reads_of([query["sql"] for query in queries], FOUND)


def rows(found: Iterable[Read]) -> int:
    return sum(read.rows for read in found)


def much_more(few: dict[str, list[Read]], many: dict[str, list[Read]], most: int) -> str:
    """Of each address that reads more than `most` rows more: how many it reads, and by which statements and nodes."""
    return "\n".join(
        f"{address}: {rows(few[address]):,} rows, then {rows(reads):,}\n{plans.most(reads)}"
        for address, reads in many.items()
        if rows(reads) > rows(few[address]) + most
    )


def add_and_analyze(name: str, count: int, rule: Expectation) -> None:
    sql.run(MORE, {"name": name, "count": count, "rule": rule.pk})
    with transaction.atomic("owner"), connections["owner"].cursor() as cursor:
        cursor.execute("ANALYZE audit_gap, audit_numbering, audit_manifest, audit_unmet")
    counts.fold(lambda: False)


def test_pages_read_as_many_rows_however_many_gaps_one_writer_has(
    auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discrepancy, "MOST_LISTED", 100)
    own = a_gap()
    name = f"many-{own.pk}"
    rule = Expectation.objects.create(name=name, kind="has", active=False, why="A test asks.")
    addresses = ["/admin/", PAGE, f"{PAGE}?state=open", f"{PAGE}?state=closed"]
    addresses += [f"/admin/audit/{kind}/?state={state}" for kind in ("manifest", "unmet") for state in STATES]

    def read(count: int) -> dict[str, list[Read]]:
        add_and_analyze(f"{name}-{count}", count, rule)
        return {address: reads_of(auditor, address) for address in addresses}

    few, many = read(300), read(6_000)
    assert not (more := much_more(few, many, 300)), more
    assert all(rows(reads) < 3_000 for reads in many.values()), "\n".join(map(plans.most, many.values()))


def test_who_sees_some_writers_reads_their_gaps_alone() -> None:
    own, name = a_gap(), f"many-{secrets.token_hex(4)}"
    user = person("auditor")
    AuditorScope.objects.create(user=user, writers=[own.numbering.writer], categories=[])
    scoped, addresses = logged_in(user), (PAGE, f"{PAGE}?state=open", f"{PAGE}?state=explained")
    assert detail(own) in scoped.get(PAGE).content.decode()
    counts.fold(lambda: False)
    before = {address: reads_of(scoped, address) for address in addresses}
    add_and_analyze(name, 6_000, Expectation.objects.create(name=name, kind="has", active=False, why="A test asks."))
    after = {address: reads_of(scoped, address) for address in addresses}
    assert not (more := much_more(before, after, 299)), more


def test_a_gap_shows_its_numbers_and_between_which_times_they_were_made(auditor: Client) -> None:
    gap = a_gap(1, 9)
    sequences.apply(numbers_of(gap.numbering.writer, 4))
    page = auditor.get(detail(gap)).content.decode()
    for text in ("of the 7 numbers 2 to 8, 6 are missing", *(f"{at(seq):%Y-%m-%d %H:%M:%S}" for seq in (1, 4, 9))):
        assert text in page


def test_the_records_beside_a_gap_are_linked(auditor: Client) -> None:
    sender = Sender("write")
    events = numbered(1, 3)
    sender.post(events, BATCH)
    follow()
    page = auditor.get(detail(Gap.objects.get(numbering__writer=sender.name))).content.decode()
    for event in events:
        assert reverse("admin:audit_record_change", args=[event["event_id"]]) in page


def test_an_auditor_takes_care_and_explains_and_both_are_recorded(auditor: Client) -> None:
    gap = a_gap()
    auditor.post(act_on(gap), {"act": "own"})
    gap.refresh_from_db()
    assert gap.owner.startswith("auditor-")
    page = auditor.post(act_on(gap), {"act": "explain", "explanation": "<b>rolled back</b>"}, follow=True)
    assert "&lt;b&gt;rolled back&lt;/b&gt;" in page.content.decode()
    gap.refresh_from_db()
    assert gap.state == "explained"
    recorded = Record.objects.filter(event_type="audit.gap.explained", event_data__writer=gap.numbering.writer)
    assert recorded.get().event_data["explanation"] == "<b>rolled back</b>"


def test_an_explanation_without_words_is_refused(auditor: Client) -> None:
    gap = a_gap()
    page = auditor.post(act_on(gap), {"act": "explain", "explanation": " "}, follow=True).content.decode()
    assert "needs words" in page
    gap.refresh_from_db()
    assert gap.state == "open"


def test_who_may_not_explain_does_not_see_the_form_and_is_refused(administrator: Client, auditor: Client) -> None:
    gap = a_gap()
    assert administrator.get(detail(gap)).status_code == 403
    assert administrator.post(act_on(gap), {"act": "own"}).status_code == 403
    assert auditor.get(act_on(gap)).status_code == 405
    assert auditor.get(reverse("admin:audit_gap_change", args=[2**60])).status_code == 404


def test_a_closed_gap_says_when_the_last_late_one_came(auditor: Client) -> None:
    gap = a_gap(1, 3)
    sequences.apply(numbers_of(gap.numbering.writer, 2))
    page = auditor.get(detail(gap)).content.decode()
    assert "all came after all" in page
    assert f"{datetime.now(UTC):%Y-%m-%d}" in page


def test_a_manifest_shows_which_events_never_came(auditor: Client) -> None:
    sender = Sender("write")
    sender.post(numbered(1, 4), BATCH)
    said = {"since": "2026-08-18T10:00:00Z", "until": "2026-08-18T11:00:00Z", "count": 4, "first_seq": 1, "last_seq": 4}
    sender.post(said, "/api/v1/audit/manifests")
    follow()
    found = Manifest.objects.get(writer=sender.name)
    page = auditor.get(reverse("admin:audit_manifest_change", args=[found.pk])).content.decode()
    assert f"2 of 4 events that {sender.name} stated came" in page
    listed = auditor.get("/admin/audit/manifest/", {"q": sender.name}).content.decode()
    assert "incomplete" in listed
    assert reverse("admin:audit_manifest_changelist") + f"?q={sender.name}" in auditor.get(PAGE).content.decode()


def test_a_manifest_that_names_nothing_says_so(auditor: Client) -> None:
    found = a_manifest(count=4)
    page = auditor.get(reverse("admin:audit_manifest_change", args=[found.pk])).content.decode()
    assert "only to the writer" in page
    auditor.post(reverse("admin:audit_manifest_act", args=[found.pk]), {"act": "own"})
    found.refresh_from_db()
    assert found.owner.startswith("auditor-")


@pytest.mark.parametrize(("age", "level"), [(timedelta(minutes=2), "ok"), (timedelta(hours=1), "warning")])
def test_what_was_found_complete_long_ago_says_nothing_of_now(
    age: timedelta, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Completeness([a_standing()], BEGAN, datetime.now(UTC) - age)
    monkeypatch.setattr(summary, "summarize", lambda: whole)
    assert [part.level for part in dashboard._completeness()] == [level]
