"""What can be erased of a record goes with the record, by a purge as by nothing else, and never of one that stays."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from audit.ledger import verify
from audit.models import Leaf, PurgeMonth, PurgeRun
from audit.retention import legal_holds, purge
from audit.retention.legal_holds import Named
from tests.attacks.scene import Scene
from tests.audit.conftest import one
from tests.audit.retention.conftest import (
    ANN,
    BEN,
    RULES,
    aged,
    ago,
    approved,
    here,
    month_of,
    seal,
    short,
    with_values,
    word,
)

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _in_a_store_of_its_own(elsewhere: Scene) -> Iterator[None]:
    yield


def old(category: str, days: float = 40, **changes: Any) -> Any:
    """A record that is due, with values beside it."""
    return aged(ago(days), erasing=RULES, event_category=category, actor_ip="192.0.2.7", **changes)


def owner(statement: str, *parameters: Any) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute(statement, parameters)


def test_with_a_record_its_values_and_salts_go_and_those_of_others_stay() -> None:
    category, actor = short(), word()
    gone = [old(category) for _ in range(3)]
    held, young = old(category, actor_id=actor), aged(ago(20), erasing=RULES, actor_ip="192.0.2.7")
    legal_holds.place(Named(actor=actor), reason="case 7", by=ANN, matter="7/2026")
    plan = approved()
    assert with_values([*gone, held, young]) == {*gone, held, young}
    purge.run(plan, by=BEN, portion=2)
    assert here([*gone, held, young]) == with_values([*gone, held, young]) == {held, young}
    seal()
    run = verify.verify()
    assert (run.verdict, run.counts["purged"]) == ("VERIFIED", 3)


def test_with_a_whole_month_its_values_go_before_its_space_is_given_back() -> None:
    category, start = short(), month_of(ago(400))
    one("SELECT audit_make_partition(%s)", start)
    gone, stays = [old(category, 400) for _ in range(3)], old(category, 20)
    plan, name = approved(), f"audit_record_{start:%Y_%m}"
    assert purge._call("audit_purge_look", plan, name) == "whole"
    assert purge._call("audit_purge_detach", plan, name) == "detached"
    assert purge._call("audit_purge_drop", plan, name) == "values"
    assert one("SELECT to_regclass(%s)::text", name) == name
    assert with_values([*gone, stays]) == {stays}
    assert purge._call("audit_purge_drop", plan, name) == "dropped"
    assert one("SELECT to_regclass(%s)::text", name) is None


def test_a_purge_has_not_ended_while_a_month_that_was_taken_out_has_values() -> None:
    category, start = short(), month_of(ago(400))
    one("SELECT audit_make_partition(%s)", start)
    gone = old(category, 400)
    plan, name = approved(), f"audit_record_{start:%Y_%m}"
    assert purge._call("audit_purge_look", plan, name) == "whole"
    assert purge._call("audit_purge_detach", plan, name) == "detached"
    one("SELECT audit_purge(%s, 10000)", plan.pk)
    assert PurgeRun.objects.get(plan=plan).ended_at is None
    done = purge.run(plan, by=BEN)
    assert (done.ended_at is not None, with_values([gone])) == (True, set())
    assert PurgeMonth.objects.get(plan=plan).dropped_at is not None
    assert purge.certificate(plan) is not None


@pytest.mark.parametrize("role", ["default", "reader", "owner"])
def test_by_the_way_of_a_purge_nobody_takes_the_values_of_a_record_that_stays(role: str) -> None:
    category = short()
    gone = old(category)
    purge.run(approved(), by=BEN)
    stays = old(category)
    seal()
    with (
        pytest.raises(Exception, match=r"permission denied|by an approved erasure, or with"),
        connections[role].cursor() as cursor,
    ):
        cursor.execute("DELETE FROM audit_erasable WHERE record_id = %s", [stays])
    assert with_values([gone, stays]) == {stays}


def test_who_notes_a_record_as_removed_and_takes_its_values_is_found_out() -> None:
    """The owner of the tables can do both; the certificate does not cover it, and the record is still there."""
    old(short())
    plan = approved()
    purge.run(plan, by=BEN)
    stays = aged(ago(10), erasing=RULES, actor_ip="192.0.2.7")
    seal()
    assert verify.verify().verdict == "VERIFIED"
    index = Leaf.objects.get(record_id=stays).index
    owner("INSERT INTO audit_purged (first, last, plan_id) VALUES (%s, %s, %s)", index, index + 1, plan.pk)
    owner("DELETE FROM audit_erasable WHERE record_id = %s", stays)
    run = verify.verify()
    assert run.verdict == "ALTERED"
    assert any("actor_ip lost its value" in finding.detail for finding in run.findings.filter(record_id=stays))
