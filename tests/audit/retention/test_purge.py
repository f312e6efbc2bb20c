"""Records that are due are removed by a plan of two people, in portions, and everything else stays; leaves stay too."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections

from audit.errors import Conflict, Invalid
from audit.formats import event, note
from audit.ingest.record import store
from audit.ledger import purged, reader, verify
from audit.models import Leaf, Purged, PurgeMonth, PurgeRun, Record, RetentionRequest
from audit.postgres import sql
from audit.receipts import locate
from audit.reports.sections import purges
from audit.reports.snapshot import Snapshot
from audit.retention import approval, legal_holds, policy, purge
from audit.retention.legal_holds import Named
from tests.attacks.scene import Scene
from tests.audit.conftest import an_event, one
from tests.audit.retention.conftest import ANN, BEN, NO_ARCHIVE, aged, ago, approved, here, month_of, seal, short, word
from tests.servers import RECEIPT_KEY

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _in_a_store_of_its_own(elsewhere: Scene) -> Iterator[None]:
    yield


def test_what_is_due_goes_and_what_is_not_stays(elsewhere: Scene) -> None:
    category = short()
    old = [aged(ago(40 + n), event_category=category) for n in range(5)]
    young = aged(ago(20), event_category=category)
    longer = aged(ago(40), event_category=category, retention_days=60)
    other = aged(ago(40))
    counted = purge.count(ago(0))
    assert counted.due == 0, "what is not sealed is not counted"
    plan = approved()
    assert sum(row["due"] for row in plan.counts or ()) == 5
    assert here([*old, young, longer, other]) == {*old, young, longer, other}
    done = purge.run(plan, by=BEN, portion=2)
    assert (done.purged, done.ended_at is not None) == (5, True)
    assert here([*old, young, longer, other]) == {young, longer, other}
    assert Leaf.objects.filter(record_id__in=old).count() == 5
    assert sum(row.records for row in plan.removed.all()) == 5


def test_counting_looks_into_no_month_in_which_nothing_can_be_due() -> None:
    short(300)
    for start in (month_of(ago(400)), month_of(ago(200))):
        one("SELECT audit_make_partition(%s)", start)
    lines = [line for (line,) in sql.rows("EXPLAIN ANALYZE SELECT * FROM audit_purge_counts(now())")]
    never = [line for line in lines if f"audit_record_{ago(200):%Y_%m}" in line and "never executed" not in line]
    assert any(f"audit_record_{ago(400):%Y_%m}" in line for line in lines)
    assert never == [], lines


def test_a_purged_log_is_verified_and_says_so_with_its_certificate() -> None:
    category = short()
    old = [aged(ago(40), event_category=category) for _ in range(3)]
    plan = approved()
    purge.run(plan, by=BEN)
    seal()
    certificate = purge.certificate(plan)
    assert certificate is not None
    run = verify.verify()
    assert run.verdict == "VERIFIED", [finding.detail for finding in run.findings.all()]
    assert run.counts["purged"] == 3
    assert any(str(certificate.pk) in text for text in run.not_covered)
    facts = purged.read(certificate.event_data["note"])
    assert (facts["records"], facts["asked_by"], facts["approved_by"]) == (3, ANN, BEN)
    assert sum(sum(months.values()) for months in facts["counts"].values()) == 3
    assert locate.find([str(old[0])]).purged[str(old[0])][1] == plan.pk
    assert reader.evidence(old[0]).proof.text  # its leaf is proved as before


def test_a_record_that_is_gone_without_a_purge_is_missing_as_before(superuser: Any, elsewhere: Scene) -> None:
    aged(ago(40), event_category=short())
    purge.run(approved(), by=BEN)
    gone = aged(ago(10))
    seal()
    _as_superuser(superuser, elsewhere, "DELETE FROM audit_record WHERE id = %s", gone)
    run = verify.verify()
    assert run.verdict == "MISSING"
    assert [finding.record_id for finding in run.findings.filter(kind="MISSING")] == [gone]


def test_who_notes_a_record_as_purged_and_deletes_it_is_found_out(superuser: Any, elsewhere: Scene) -> None:
    """The owner of the tables can do both; the certificate does not cover it."""
    aged(ago(40), event_category=short())
    plan = approved()
    purge.run(plan, by=BEN)
    gone = aged(ago(10))
    seal()
    index = Leaf.objects.get(record_id=gone).index
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_purged (first, last, plan_id) VALUES (%s, %s, %s)", [index, index + 1, plan.pk]
        )
        cursor.execute("DELETE FROM audit_record WHERE id = %s", [gone])
    run = verify.verify()
    assert run.verdict == "ALTERED"
    assert gone in {finding.record_id for finding in run.findings.filter(kind="MISSING")}
    assert locate.find([str(gone)]).orphans == {str(gone): index}


def test_a_certificate_that_others_signed_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    aged(ago(40), event_category=short())
    plan = approved()
    monkeypatch.setattr(purge, "_sign", lambda facts: _signed_by_another(facts))
    purge.run(plan, by=BEN)
    seal()
    run = verify.verify()
    assert (run.verdict, run.counts.get("purged", 0)) == ("ALTERED", 0)


def _signed_by_another(facts: dict[str, Any]) -> str:
    text = f"{purged.FORMAT}\n{RECEIPT_KEY.name}\n{facts['plan']}\n"
    return note.join(text, [note.Signer(RECEIPT_KEY.name, bytes(32)).sign(text)])


def test_until_it_is_certified_a_run_says_not_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(4):
        aged(ago(40), event_category=(category := short()))
    plan = approved()
    monkeypatch.setattr(purge, "certify", lambda *args, **facts: None)
    purge.run(plan, by=BEN)
    run = verify.verify()
    assert (run.verdict, run.counts["purged without a certificate"]) == ("NOT COVERED", 4)
    assert any("no certificate yet" in text for text in run.not_covered)
    monkeypatch.undo()
    purge.run(plan, by=BEN)
    seal()
    assert verify.verify().verdict == "VERIFIED", category


def test_what_is_held_stays_also_where_the_hold_came_after_the_approval() -> None:
    category, actor = short(), word()
    old = [aged(ago(40), event_category=category, actor_id=actor if n < 2 else "other") for n in range(4)]
    plan = approved()
    hold = legal_holds.place(Named(actor=actor), reason="case 7", by=ANN, matter="7/2026")
    purge.run(plan, by=BEN)
    assert here(old) == set(old[:2])
    request = legal_holds.ask_release(hold, reason="settled", by=ANN)
    legal_holds.decide_release(request, approve=True, by=BEN)
    purge.run(approved(), by=BEN)
    assert here(old) == set()


def test_a_floor_that_was_raised_after_the_approval_keeps_what_was_due() -> None:
    category = short()
    old = [aged(ago(40), event_category=category)]
    plan = approved()
    policy.decide(policy.ask(category, 400, reason="a new law", by=ANN), approve=True, by=BEN)
    purge.run(plan, by=BEN)
    assert here(old) == set(old)


def test_what_became_due_after_the_cut_and_what_was_sealed_after_it_stays() -> None:
    category = short()
    early, later, last = (aged(ago(days), event_category=category) for days in (50, 40, 50))
    plan = approved(ago(15))
    after = aged(ago(60), event_category=category)
    seal()
    purge.run(plan, by=BEN)
    assert here([early, later, last, after]) == {later, after}


def test_a_run_that_was_cut_off_goes_on_where_it_was() -> None:
    category = short()
    old = [aged(ago(40), event_category=category) for _ in range(6)]
    plan = approved()
    done = purge.run(plan, by=BEN, portion=2, seconds=0)
    assert (done.purged, done.ended_at) == (2, None)
    assert purge.certificate(plan) is None
    assert purge.run(plan, by=BEN, portion=2).purged == 6
    assert here(old) == set()
    again = purge.run(plan, by=BEN)
    assert again.purged == 6
    assert Record.objects.filter(event_type="audit.purge.completed").count() == 1
    assert Record.objects.filter(event_type="audit.purge.begun").count() == 1


def test_between_portions_it_rests_longer_than_it_worked(monkeypatch: pytest.MonkeyPatch) -> None:
    category = short()
    for _ in range(5):
        aged(ago(40), event_category=category)
    plan = approved()
    took, rested, now = iter([1.5, 2.5, 99.0]), list[float](), [0.0]
    call = sql.rows

    def slow(statement: str, *arguments: Any, **more: Any) -> Any:
        if "audit_purge(" in statement:
            now[0] += next(took)
        return call(statement, *arguments, **more)

    monkeypatch.setattr(purge, "sql", SimpleNamespace(rows=slow, now=sql.now))
    monkeypatch.setattr(purge, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=rested.append))
    purge.run(plan, by=BEN, portion=2)
    assert [seconds for seconds in rested if seconds] == [6.0, 10.0, purge.REST_S]


def test_a_month_that_is_due_as_a_whole_is_dropped_and_one_that_is_not_goes_row_by_row() -> None:
    category = short()
    whole, part = month_of(ago(400)), month_of(ago(300))
    for start in (whole, part):
        one("SELECT audit_make_partition(%s)", start)
    gone = [aged(at, event_category=category) for at in (ago(400), ago(401), ago(300))]
    stays = aged(ago(300))
    plan = approved()
    purge.run(plan, by=BEN)
    assert here([*gone, stays]) == {stays}
    [month] = PurgeMonth.objects.filter(plan=plan)
    assert month.name == f"audit_record_{whole:%Y_%m}"
    assert month.dropped_at is not None
    assert one("SELECT to_regclass(%s)", month.name) is None
    assert PurgeRun.objects.get(plan=plan).purged == 3
    seal()
    run = verify.verify()
    assert (run.verdict, run.counts["purged"]) == ("VERIFIED", 3)


def test_a_month_into_which_something_came_meanwhile_is_not_dropped() -> None:
    category = short()
    start = month_of(ago(400))
    one("SELECT audit_make_partition(%s)", start)
    aged(ago(400), event_category=category)
    plan, name = approved(), f"audit_record_{start:%Y_%m}"
    assert purge._call("audit_purge_look", plan, name) == "whole"
    late = aged(ago(400))
    assert purge._call("audit_purge_detach", plan, name) == "changed"
    assert purge._call("audit_purge_look", plan, name) == "kept"
    purge.run(plan, by=BEN)
    assert here([late]) == {late}


def test_a_hold_that_came_meanwhile_keeps_a_month() -> None:
    category = short()
    start = month_of(ago(400))
    one("SELECT audit_make_partition(%s)", start)
    old = aged(ago(400), event_category=category, actor_id="held-later")
    plan, name = approved(), f"audit_record_{start:%Y_%m}"
    assert purge._call("audit_purge_look", plan, name) == "whole"
    legal_holds.place(Named(actor="held-later"), reason="case 7", by=ANN, matter="7/2026")
    assert purge._call("audit_purge_detach", plan, name) == "changed"
    purge.run(plan, by=BEN)
    assert here([old]) == {old}


def test_while_somebody_reads_a_month_nothing_waits_for_it(superuser: Any, elsewhere: Scene) -> None:
    category = short()
    start = month_of(ago(400))
    one("SELECT audit_make_partition(%s)", start)
    aged(ago(400), event_category=category)
    plan, name = approved(), f"audit_record_{start:%Y_%m}"
    assert purge._call("audit_purge_look", plan, name) == "whole"
    with psycopg.connect(
        superuser.info.dsn, password=superuser.info.password, dbname=f"{elsewhere.name}_now"
    ) as backup:
        backup.execute("SELECT count(*) FROM audit_record")  # as pg_dump holds it
        assert purge._call("audit_purge_detach", plan, name) == "locked"
        assert not Purged.objects.exists()
        backup.rollback()
    assert purge._call("audit_purge_detach", plan, name) == "detached"
    assert purge._call("audit_purge_drop", plan, name) == "dropped"


def test_the_id_of_a_purged_record_stays_taken() -> None:
    old = aged(ago(40), event_category=(category := short()))
    purge.run(approved(), by=BEN)
    again = event.accept(an_event(event_id=str(old), event_category=category), writer="tests")
    with pytest.raises(Conflict):
        store([again], timeout_s=20)
    assert here([old]) == set()


def test_two_people_make_a_plan_and_nothing_due_makes_none() -> None:
    with pytest.raises(purge.NothingDue):
        purge.ask(ago(0), reason="x", by=ANN)
    with pytest.raises(Invalid, match="later than now"):
        purge.ask(ago(-1), reason="x", by=ANN)
    aged(ago(40), event_category=short())
    seal()
    plan = purge.ask(ago(0), reason="it is over", by=ANN, without_archive=NO_ARCHIVE)
    with pytest.raises(purge.NotApproved):
        purge.run(plan, by=BEN)
    with pytest.raises(approval.SecondPersonNeeded):
        purge.decide(plan, approve=True, by=ANN)
    purge.withdraw(plan, by=ANN)
    with pytest.raises(purge.NotApproved):
        purge.run(RetentionRequest.objects.get(pk=plan.pk), by=BEN)


def test_until_the_approval_is_sealed_nothing_goes() -> None:
    old = aged(ago(40), event_category=short())
    seal()
    plan = purge.ask(ago(0), reason="it is over", by=ANN, without_archive=NO_ARCHIVE)
    purge.decide(plan, approve=True, by=BEN)
    with pytest.raises(purge.NotReady, match="not sealed yet"):
        purge.run(RetentionRequest.objects.get(pk=plan.pk), by=BEN)
    assert here([old]) == {old}


def test_a_clock_that_ran_ahead_removes_nothing(superuser: Any, elsewhere: Scene) -> None:
    old = aged(ago(40), event_category=short())
    plan = approved()
    _as_superuser(superuser, elsewhere, "UPDATE audit_head SET created_at = created_at - interval '3 hours'")
    with pytest.raises(purge.NotReady, match="a clock that nobody confirms"):
        purge.run(plan, by=BEN)
    assert here([old]) == {old}


def test_an_operator_plans_and_runs_it_by_commands() -> None:
    aged(ago(40), event_category=(category := short()))
    seal()
    assert f"{category:50}            1 due            0 held" in said("plan")
    assert not RetentionRequest.objects.filter(kind="purge").exists()
    asked = said("plan", "--reason", "it is over", "--without-archive", NO_ARCHIVE)
    plan = RetentionRequest.objects.get(kind="purge")
    assert f"Purge {plan.pk} is requested" in asked
    with pytest.raises(CommandError, match="No second person has approved"):
        said("run", str(plan.pk))
    with pytest.raises(CommandError, match="has no certificate"):
        said("show", str(plan.pk), "--certificate")
    purge.decide(plan, approve=True, by=BEN)
    seal()
    with pytest.raises(SystemExit) as ended:
        said("run", str(plan.pk))
    assert ended.value.code == 0
    assert f"purge {plan.pk}: due" in said("show")
    assert "1 removed, ended" in said("show", str(plan.pk))
    assert said("show", str(plan.pk), "--certificate").startswith("auditsite/purge/v1\n")
    [(first, last)] = purge.removed_ranges(plan)
    assert said("show", str(plan.pk), "--ranges") == f"{first} {last}\n"
    with pytest.raises(CommandError, match="There is no purge 999999"):
        said("show", "999999")


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("purge", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_a_report_tells_what_was_removed_by_whom_and_why() -> None:
    for _ in range(2):
        aged(ago(40), event_category=short())
    purge.run(approved(), by=BEN)
    seal()
    today = datetime.now(UTC).date()
    snapshot = Snapshot(today, today, reader.signed_head("default"))
    assert [figure.value for figure in purges.figures(snapshot)] == [2, 1]
    [row] = purges.table(snapshot).rows
    assert row.cells[1:] == ("2", "it is over", f"{ANN}, approved by {BEN}")


def test_ranges_that_touch_are_one_in_a_certificate() -> None:
    assert list(purged.merged([(5, 7), (0, 2), (2, 5), (9, 10)])) == [(0, 7), (9, 10)]
    assert purged.digest([(0, 2), (2, 5)]) == purged.digest([(0, 5)]) != purged.digest([(0, 6)])
    assert list(purged.merged([])) == []


def test_a_leaf_is_purged_only_within_the_ranges() -> None:
    spans = [purged.Span(2, 4, 1), purged.Span(6, 7, 2)]
    assert [purged.plan_of(index, spans) for index in range(8)] == [None, None, 1, 1, None, None, 2, None]


def test_no_span_lies_before_the_first_purged_leaf() -> None:
    aged(ago(40), event_category=short())
    plan = approved()
    purge.run(plan, by=BEN)
    [(first, last)] = purge.removed_ranges(plan)
    assert purged.spans(first - 5, first) == []
    assert purged.plans_at([first - 1, *range(first, last), last]) == dict.fromkeys(range(first, last), plan.pk)
    assert (purged.plans(first, last), purged.plans(last, last + 9)) == ([plan.pk], [])


def _as_superuser(superuser: Any, scene: Scene, statement: str, *parameters: Any) -> None:
    """Run a statement with all triggers off."""
    place = {"password": superuser.info.password, "dbname": f"{scene.name}_now", "autocommit": True}
    with psycopg.connect(superuser.info.dsn, **place) as adversary:
        tables = adversary.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE oid IN ('audit_record'::regclass, 'audit_head'::regclass)"
            " OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'audit_record'::regclass)"
        ).fetchall()
        for (table,) in tables:
            adversary.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
        adversary.execute(statement.encode(), parameters)
