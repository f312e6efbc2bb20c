"""Nobody removes a record past the plan of two people: not the application, the reader or the owner of the tables."""

from collections.abc import Iterator

import pytest
from django.db import OperationalError, connections
from django.db.utils import InternalError, ProgrammingError

from audit.retention import legal_holds, purge
from audit.retention.legal_holds import Named
from tests.attacks.scene import Scene
from tests.audit.retention.conftest import ANN, BEN, NO_ARCHIVE, aged, ago, approved, here, seal, short, word

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _in_a_store_of_its_own(elsewhere: Scene) -> Iterator[None]:
    yield


FORGED_DECISION = (
    "INSERT INTO audit_retentiondecision (request_id, decision, decided_by, record_id) "
    "VALUES ({plan}, 'approved', 'mallory', '{record}')"
)


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("DELETE FROM audit_record WHERE id = '{record}'", "permission denied"),
        ("INSERT INTO audit_purged VALUES (0, 9, {plan})", "permission denied"),
        ("UPDATE audit_purgerun SET position = 0", "permission denied"),
        ("SELECT audit_note_purged({plan}, ARRAY[1], ARRAY['x'], ARRAY['x'])", "permission denied"),
        ("ALTER TABLE audit_record DETACH PARTITION audit_record_default", "must be owner"),
        ("SELECT audit_purge({plan}, 100)", "no second person has approved"),
        ("SELECT audit_purge({plan}, 10001)", "bound must be"),
        ("SELECT audit_purge(999999, 10)", "there is no plan"),
        (FORGED_DECISION + "; SELECT audit_purge({plan}, 100)", "not sealed yet"),
        ("SELECT audit_purge_look({plan}, 'audit_record_default')", "is no month|no second person"),
        ("SELECT audit_purge_detach({plan}, 'audit_record_2020_01')", "no second person"),
        ("SELECT audit_purge_drop({plan}, 'audit_leaf')", "was not taken out"),
        ("SET audit.release = 'authorized'; DELETE FROM audit_record", "permission denied"),
    ],
)
def test_the_application_removes_nothing_by_itself(statement: str, refusal: str) -> None:
    record = aged(ago(40), event_category=short())
    seal()
    plan = purge.ask(ago(0), reason="it is over", by=ANN, without_archive=NO_ARCHIVE)
    wrong = (OperationalError, ProgrammingError, InternalError)
    with pytest.raises(wrong, match=refusal), connections["default"].cursor() as cursor:
        cursor.execute(statement.format(plan=plan.pk, record=record))
    assert here([record]) == {record}


def test_tables_of_ones_own_do_not_stand_in_for_those_of_the_store() -> None:
    """What a function of the owner looks at is not what the caller put in its place."""
    category, actor = short(), word()
    before = aged(ago(40), event_category=category)
    record = aged(ago(40), event_category=category, actor_id=actor)
    legal_holds.place(Named(actor=actor), reason="case 7", by=ANN, matter="7/2026")
    after = aged(ago(40), event_category=category)
    plan = approved()
    with connections["default"].cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE audit_legalhold (LIKE public.audit_legalhold)")
        cursor.execute(
            "CREATE TEMP TABLE audit_floor (request_id bigint, category text, days int, applies_from timestamptz)"
        )
        cursor.execute("SET search_path = pg_temp, public")
        try:
            cursor.execute("SELECT audit_purge(%s, 10000)", [plan.pk])
        finally:
            cursor.execute("RESET search_path")
            cursor.execute("DROP TABLE pg_temp.audit_legalhold, pg_temp.audit_floor")
    assert here([before, record, after]) == {record}


def test_a_snapshot_from_before_a_hold_removes_nothing() -> None:
    aged(ago(40), event_category=short())
    plan = approved()
    with pytest.raises(OperationalError, match="READ COMMITTED"), connections["default"].cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            cursor.execute("SELECT audit_purge(%s, 10)", [plan.pk])
        finally:
            cursor.execute("ROLLBACK")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_record WHERE id = '{record}'",
        "UPDATE audit_purged SET last = last + 100",
        "DELETE FROM audit_purged",
        "TRUNCATE audit_purged",
    ],
)
def test_the_owner_is_refused_by_the_triggers(statement: str) -> None:
    category = short()
    aged(ago(40), event_category=category)
    plan = approved()
    purge.run(plan, by=BEN)
    record = aged(ago(40), event_category=category)
    with pytest.raises(Exception, match="append-only"), connections["owner"].cursor() as cursor:
        cursor.execute(statement.format(record=record))
    assert here([record]) == {record}


@pytest.mark.parametrize("statement", ["SELECT audit_purge({plan}, 10)", "DELETE FROM audit_record"])
def test_the_reader_removes_nothing(statement: str) -> None:
    aged(ago(40), event_category=short())
    plan = approved()
    with pytest.raises(ProgrammingError, match="permission denied"), connections["reader"].cursor() as cursor:
        cursor.execute(statement.format(plan=plan.pk))
