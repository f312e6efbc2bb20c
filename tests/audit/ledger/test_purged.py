"""A certificate is believed only of what the sealed approval of its plan allows, whoever owns the tables."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from django.db import connections

from audit.ledger import purged, verify
from audit.models import Leaf, PurgeRun, RetentionRequest
from audit.retention import legal_holds, purge
from audit.retention.legal_holds import Named
from tests.attacks.scene import Scene
from tests.audit.retention.conftest import ANN, BEN, aged, ago, approved, here, seal, short, word

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _in_a_store_of_its_own(elsewhere: Scene) -> Iterator[None]:
    yield


def removed_by_the_owner(plan: RetentionRequest, gone: UUID, *, counted: bool) -> None:
    """Note a record as removed under a plan and remove it; with `counted`, in what the run says of itself too."""
    index = Leaf.objects.get(record_id=gone).index
    with connections["owner"].cursor() as cursor:
        cursor.execute("INSERT INTO audit_purged VALUES (%s, %s, %s)", [index, index + 1, plan.pk])
        cursor.execute("DELETE FROM audit_record WHERE id = %s", [gone])
        if counted:
            cursor.execute("UPDATE audit_purgerun SET purged = purged + 1 WHERE plan_id = %s", [plan.pk])


def uncertified(monkeypatch: pytest.MonkeyPatch) -> tuple[RetentionRequest, UUID, UUID]:
    """A plan that was carried out and not certified yet, over three records of which two were due; the one that was
    not, which is among its leaves, and one that is past them."""
    category = short()
    aged(ago(40), event_category=category)
    within = aged(ago(10), event_category=category)
    aged(ago(40), event_category=category)
    plan = approved()
    past = aged(ago(10))
    seal()
    with monkeypatch.context() as patch:
        patch.setattr(purge, "certify", lambda *args, **facts: None)
        purge.run(plan, by=BEN)
    return plan, within, past


FAULTS = [
    ("within", False, "3 leaves are noted as removed, and 2 records were"),
    ("within", True, "3 records were removed, and 2 were to go"),
    ("past", True, "leaf .* is none of the leaves"),
]


@pytest.mark.parametrize(("which", "counted", "says"), FAULTS)
def test_nothing_is_certified_that_the_approval_does_not_allow(
    monkeypatch: pytest.MonkeyPatch, which: str, counted: bool, says: str
) -> None:
    plan, within, past = uncertified(monkeypatch)
    removed_by_the_owner(plan, {"within": within, "past": past}[which], counted=counted)
    with pytest.raises(purge.NotReady, match=says):
        purge.run(plan, by=BEN)
    assert purge.certificate(plan) is None


@pytest.mark.parametrize(("which", "counted", "says"), FAULTS)
def test_a_certificate_of_more_than_the_approval_allows_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, which: str, counted: bool, says: str
) -> None:
    """It was signed before anybody looked at what was to be signed."""
    plan, within, past = uncertified(monkeypatch)
    removed_by_the_owner(plan, {"within": within, "past": past}[which], counted=counted)
    with monkeypatch.context() as patch:
        patch.setattr(purged, "excess", lambda *args: None)
        purge.certify(plan, PurgeRun.objects.get(plan=plan), by=BEN)
    seal()
    run = verify.verify()
    assert run.verdict == "ALTERED"
    assert run.findings.filter(detail__iregex=says).exists(), [finding.detail for finding in run.findings.all()]


def test_what_was_held_when_it_was_planned_may_go_once_it_is_released() -> None:
    """The plan counted less than may go since: that is told by the sealed record of the release."""
    category, actor = short(), word()
    aged(ago(40), event_category=category)
    held = aged(ago(40), event_category=category, actor_id=actor)
    aged(ago(40), event_category=category)
    hold = legal_holds.place(Named(actor=actor), reason="case 7", by=ANN, matter="7/2026")
    plan = approved()
    request = legal_holds.ask_release(hold, reason="it is settled", by=ANN)
    legal_holds.decide_release(request, approve=True, by=BEN)
    seal()
    assert purge.run(plan, by=BEN).purged == 3
    seal()
    assert here([held]) == set()
    run = verify.verify()
    assert (run.verdict, run.counts["purged"]) == ("VERIFIED", 3), [finding.detail for finding in run.findings.all()]
