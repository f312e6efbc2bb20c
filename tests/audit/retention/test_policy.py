"""A record is kept by the longest floor that has applied since it was stored; two people change one."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import psycopg
import pytest
from django.db import IntegrityError, OperationalError, connections
from django.db.utils import ProgrammingError
from hypothesis import given, settings
from hypothesis.strategies import builds, integers, lists, none, sampled_from

from audit.errors import Invalid, NothingKept
from audit.models import Floor, Record, RetentionDecision, RetentionRequest
from audit.retention import approval, policy
from tests.audit.conftest import one
from tests.audit.retention.conftest import ANN, BEN, DAY, aged, ago, backdated_floors, floor, word

BEGAN = datetime(2010, 1, 1, tzinfo=UTC)
SEEDED = 2_557


class Change(NamedTuple):
    """A floor of one of two categories, or of the default (""), that applies from a day on."""

    category: str
    days: int
    day: int


def longest_floor(changes: list[Change], category: str, stored: int, default: int = SEEDED) -> int:
    """The plain model: walk through the days from the one on which it was stored, and look what applies on each."""
    most = 0
    last = max([stored, *(change.day for change in changes)])
    for day in range(stored, last + 1):
        own = [change for change in changes if change.category == category and change.day <= day]
        of_all = [change for change in changes if change.category == "" and change.day <= day]
        newest = max(own or of_all, key=lambda change: change.day, default=None)
        most = max(most, default if newest is None else newest.days)
    return most


DAYS = integers(1, 36_500)
CHANGES = lists(
    builds(Change, category=sampled_from(["", "a", "b"]), days=DAYS, day=integers(0, 12)),
    max_size=8,
    unique_by=lambda change: (change.category, change.day),
)


@settings(max_examples=60)
@given(changes=CHANGES, stored=integers(0, 12), own=none() | DAYS, category=sampled_from(["a", "b"]))
def test_a_record_is_kept_as_long_as_the_plain_model_says(
    changes: list[Change], stored: int, own: int | None, category: str
) -> None:
    connection = connections["owner"]
    connection.ensure_connection()
    with psycopg.connect(connection.connection.info.dsn, password=connection.connection.info.password) as database:
        # The floors of this example alone, in a table that hides the view of all of them.
        database.execute(
            "CREATE TEMP TABLE audit_floor (request_id bigint, category text, days integer, applies_from timestamptz);"
        )
        rows = [Change("", SEEDED, -20_000), *changes]
        for number, change in enumerate(rows):
            place = [number, change.category, change.days, BEGAN + change.day * DAY]
            database.execute("INSERT INTO audit_floor VALUES (%s, %s, %s, %s)", place)
        database.execute("SET search_path = pg_temp, public")
        row = database.execute(
            "SELECT audit_retained_until(jsonb_populate_record(NULL::audit_record, %s))",
            [
                psycopg.types.json.Jsonb(
                    {
                        "writer": "w",
                        "event_type": "a.b",
                        "event_category": category,
                        "retention_days": own,
                        "stored_at": (BEGAN + stored * DAY).isoformat(),
                    }
                )
            ],
        ).fetchone()
    assert row is not None
    days = max(longest_floor(changes, category, stored), own or 0)
    assert row[0] == BEGAN + (stored + days) * DAY


def test_a_new_store_keeps_everything_for_seven_years() -> None:
    assert policy.current()[0][:2] == ("", SEEDED)
    record = Record.objects.get(pk=aged(ago(30), event_category=word()))
    until = policy.retained_until(record)
    assert until is not None
    assert until - record.stored_at == timedelta(days=SEEDED)


def test_its_own_days_only_lengthen_what_a_record_is_kept() -> None:
    category = word()
    floor(category, 40)
    for own, days in ((10, SEEDED), (5_000, 5_000)):
        record = Record.objects.get(pk=aged(ago(30), event_category=category, retention_days=own))
        assert policy.retained_until(record) == record.stored_at + timedelta(days=days)


def test_lowering_a_floor_shortens_nothing_that_is_stored() -> None:
    category = word()
    backdated_floors(category, [(4_000, ago(100))])
    before = Record.objects.get(pk=aged(ago(50), event_category=category))
    floor(category, 30)
    after = Record.objects.get(pk=aged(datetime.now(UTC), event_category=category))
    assert policy.retained_until(before) == before.stored_at + timedelta(days=4_000)
    assert policy.retained_until(after) == after.stored_at + timedelta(days=30)
    assert policy.days_of(category) == 30


def test_raising_a_floor_lengthens_what_is_stored() -> None:
    category = word()
    record = Record.objects.get(pk=aged(ago(50), event_category=category))
    floor(category, 9_000)
    assert policy.retained_until(record) == record.stored_at + timedelta(days=9_000)


def test_what_the_store_says_of_its_own_removals_holds_and_keys_stays_for_good() -> None:
    request = policy.ask(word(), 30, reason="shorter", by=ANN)
    recorded = Record.objects.get(event_type="audit.policy.asked", event_data__category=request.category)
    assert policy.retained_until(recorded) is None
    other = Record.objects.get(pk=aged(ago(10), event_type="audit.policy.asked", event_category=word()))
    assert policy.retained_until(other) is not None


def test_a_change_holds_once_a_second_person_approved_it_and_both_are_records() -> None:
    category = word()
    request = policy.ask(category, 4_000, reason=" a new law ", by=ANN)
    assert policy.days_of(category) == SEEDED
    with pytest.raises(approval.SecondPersonNeeded):
        policy.decide(request, approve=True, by=ANN)
    decision = policy.decide(request, approve=True, by=BEN)
    assert policy.days_of(category) == 4_000
    asked = Record.objects.get(event_type="audit.policy.asked", event_data__category=category)
    assert (asked.actor_id, asked.event_data["days_before"], asked.event_data["reason"]) == (ANN, SEEDED, "a new law")
    approved = Record.objects.get(pk=decision.record_id)
    assert (approved.event_type, approved.actor_id) == ("audit.policy.approved", BEN)
    assert approved.event_data["asked_by"] == ANN
    with pytest.raises(approval.DecidedAlready):
        policy.decide(request, approve=False, by="otto")


def test_a_change_that_is_declined_or_withdrawn_changes_nothing() -> None:
    category = word()
    policy.decide(policy.ask(category, 40, reason="x", by=ANN), approve=False, by=BEN)
    mine = policy.ask(category, 50, reason="x", by=ANN)
    with pytest.raises(approval.NotTheirs):
        policy.withdraw(mine, by=BEN)
    policy.withdraw(mine, by=ANN)
    assert not Floor.objects.filter(category=category).exists()
    with pytest.raises(approval.DecidedAlready):
        policy.decide(mine, approve=True, by=BEN)


def test_what_cannot_be_recorded_is_not_asked_or_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    category = word()
    request = policy.ask(category, 40, reason="x", by=ANN)

    def refuse(*facts: object, **more: object) -> None:
        raise NothingKept

    monkeypatch.setattr("audit.ingest.trail.add", refuse)
    with pytest.raises(NothingKept):
        policy.ask(category, 50, reason="x", by=ANN)
    with pytest.raises(NothingKept):
        policy.decide(request, approve=True, by=BEN)
    assert [row.pk for row in RetentionRequest.objects.filter(category=category)] == [request.pk]
    assert not RetentionDecision.objects.filter(request=request).exists()


@pytest.mark.parametrize(
    ("category", "days", "reason", "member"),
    [
        *(("Upper", 30, "x", "category"), ("a" * 51, 30, "x", "category"), ("a", 0, "x", "days")),
        *(("a", 36_501, "x", "days"), ("a", 30, " ", "reason"), ("a", 30, "x" * 2_001, "reason")),
    ],
)
def test_a_change_that_cannot_be_is_refused_by_name(category: str, days: int, reason: str, member: str) -> None:
    with pytest.raises(Invalid) as refused:
        policy.ask(category, days, reason=reason, by=ANN)
    assert list(refused.value.errors) == [member]


ASK = (
    "INSERT INTO audit_retentionrequest (kind, category, days, reason, asked_by) VALUES ('policy', '{}', {}, 'x', '{}')"
)
DECIDE = (
    "INSERT INTO audit_retentiondecision (request_id, decision, decided_by, record_id) "
    "VALUES ({}, '{}', '{}', gen_random_uuid())"
)
DECIDE_NEW = (
    "INSERT INTO audit_retentiondecision (request_id, decision, decided_by, record_id) "
    "SELECT id, 'approved', '{}', gen_random_uuid() FROM q"
)


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        (DECIDE.format("{request}", "approved", ANN), "a second person decides"),
        (DECIDE.format("{request}", "declined", ANN), "a second person decides"),
        (DECIDE.format("{request}", "approved", ""), "a second person decides"),
        (DECIDE.format("{request}", "withdrawn", BEN), "takes the request"),
        (DECIDE.format("{request}", "obeyed", BEN), "is no decision"),
        (DECIDE.format("999999999", "approved", BEN), "no request 999999999"),
        (f"WITH q AS ({ASK.format('x', 5, ANN)} RETURNING id) {DECIDE_NEW.format(ANN)}", "a second person|no request"),
        (ASK.format("x", 0, ANN), "audit_retentionrequest_days"),
        (ASK.format("x", 5, ""), "names who asks"),
        ("UPDATE audit_retentionrequest SET days = 1 WHERE id = {request}", "permission denied"),
        ("DELETE FROM audit_retentionrequest WHERE id = {request}", "permission denied"),
        ("TRUNCATE audit_retentiondecision", "permission denied"),
        ("INSERT INTO audit_floor VALUES ({request}, 'x', 1, now())", "cannot insert into view"),
    ],
)
def test_past_the_application_postgresql_refuses(statement: str, refusal: str) -> None:
    request = policy.ask(word(), 40, reason="x", by=ANN)
    with (
        pytest.raises((IntegrityError, OperationalError, ProgrammingError), match=refusal),
        connections["default"].cursor() as cursor,
    ):
        cursor.execute(statement.format(request=request.pk))


@pytest.mark.parametrize("act", ["UPDATE {} SET decided_by = 'x' {}", "DELETE FROM {} {}", "TRUNCATE {}"])
def test_the_owner_is_refused_too(act: str) -> None:
    request = floor(word(), 40)
    where = f"WHERE request_id = {request.pk}"
    with pytest.raises(IntegrityError, match="append-only"), connections["owner"].cursor() as cursor:
        cursor.execute(act.format("audit_retentiondecision", where))


def test_nobody_says_from_when_on_a_floor_applies() -> None:
    request = policy.ask(word(), 40, reason="x", by=ANN)
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_retentiondecision VALUES (%s, 'approved', 'ben', '2001-01-01', gen_random_uuid())",
            [request.pk],
        )
    assert one(
        "SELECT decided_at > now() - interval '1 minute' FROM audit_retentiondecision WHERE request_id = %s", request.pk
    )
