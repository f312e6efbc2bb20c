"""Alarms on saved searches: each record is told once, to who may read it, and no search keeps the others waiting."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connections

from audit import tasks
from audit.access.access_log import sight_of
from audit.formats.event import accept
from audit.ingest.record import store
from audit.ledger import seal
from audit.models import AuditorScope, OutboxAlarm, Record, SavedView, SearchAlarm
from audit.search import alarms, saved_views
from auditsite.roles import ROLES
from tests.admin.conftest import logged_in, person
from tests.audit.conftest import an_event

ROOT = Path(__file__).parents[3]
# Ends itself with -9 before the first statement that has both words.
CHILD = """
import os, signal, sys
import django
django.setup()
from django.db import connections
from audit.access.access_log import sight_of
from audit.search import alarms
def execute(run, sql, *rest):
    if sys.argv[1] in sql and sys.argv[2] in sql:
        os.kill(os.getpid(), signal.SIGKILL)
    return run(sql, *rest)
with connections["default"].execute_wrapper(execute):
    alarms.tell(seconds=60, sight_of=sight_of)
"""


@pytest.fixture(autouse=True)
def no_others() -> Iterator[None]:
    """Alarms of other tests, and what is left to deliver, would have turns as well."""
    SearchAlarm.objects.all().delete()
    OutboxAlarm.objects.filter(heard_at=None).update(heard_at=datetime.now(UTC))
    yield
    SearchAlarm.objects.all().delete()


@pytest.fixture
def ann() -> User:
    return person("auditor")


def watched(owner: User, query: str) -> SavedView:
    view = saved_views.save(f"search {secrets.token_hex(4)}", query, by=owner)
    alarms.turn_on(view, by=owner)
    return view


def keep(count: int = 1, **changes: Any) -> None:
    store([accept(an_event(**changes), writer="tests") for _ in range(count)], timeout_s=20)


def run() -> alarms.Told:
    while seal.Sealer().once().more:
        pass
    SearchAlarm.objects.update(due_at=datetime.now(UTC))
    return alarms.tell(seconds=60, sight_of=sight_of)


def told(view: SavedView) -> list[int]:
    """How many records each alarm on the search told of."""
    return [row.figures["records"] for row in OutboxAlarm.objects.filter(text__contains=view.name).order_by("id")]


def test_each_record_is_told_once_and_none_of_before_and_none_of_the_looks_themselves(ann: User) -> None:
    actor = f"alice-{secrets.token_hex(4)}"
    keep(actor_id=actor)
    while seal.Sealer().once().more:
        pass
    view, looks = watched(ann, f"actor:{actor} outcome:failure"), watched(ann, f"actor:{ann.username} action:watched")
    for hour, outcome in ((1, "failure"), (2, "success"), (3, "failure")):
        keep(actor_id=actor, event_outcome=outcome, event_timestamp=f"2026-08-18T0{hour}:00:00Z", event_data={"s": 42})
    run(), run()
    assert tasks.tell_saved_searches() == "2 searches looked for, 0 told, 0 could not look"
    assert (told(view), told(looks)) == ([2], [])
    text = OutboxAlarm.objects.get(text__contains=view.name).text
    assert f"2 new records match the saved search “{view.name}” of {ann.username}" in text
    address = urlsplit(text.rpartition(" See ")[2])
    [query] = parse_qs(address.query)["q"]
    assert query == f"actor:{actor} outcome:failure after:2026-08-18T01:00:00.000000Z until:2026-08-18T03:00:00.000000Z"
    assert logged_in(ann).get(address.geturl()).context["cl"].result_count == 2
    look = Record.objects.get(event_type=alarms.WATCHED, event_data__saved_search=view.name)
    assert (look.actor_id, look.event_category, look.event_data["rows"]) == (ann.username, "access", 2)
    alarm = SearchAlarm.objects.get(view=view)
    assert (alarm.told_records, alarm.problem) == (2, "")
    assert alarm.looked_until is not None and alarm.looked_until > view.saved_at


@pytest.mark.slow
@pytest.mark.parametrize("place", [("INSERT", "audit_outboxalarm"), ("UPDATE", 'audit_searchalarm" SET "position')])
def test_a_run_that_is_killed_beside_its_alarm_or_its_place_tells_once(ann: User, place: tuple[str, str]) -> None:
    view = watched(ann, f"actor:bob-{secrets.token_hex(4)}")
    keep(3, actor_id=view.query.removeprefix("actor:"))
    while seal.Sealer().once().more:
        pass
    database = connections["default"].settings_dict["NAME"]
    addresses = {name: urlsplit(os.environ[name])._replace(path=f"/{database}").geturl() for name in ROLES}
    command = [sys.executable, "-c", CHILD, *place]
    child = subprocess.run(command, env=os.environ | addresses, cwd=ROOT, capture_output=True, text=True)
    assert child.returncode == -9, child.stderr
    assert told(view) == []
    run(), run()
    assert told(view) == [3]


def test_who_lost_the_right_or_never_saw_the_records_is_told_nothing(ann: User) -> None:
    actor = f"carol-{secrets.token_hex(4)}"
    limited, left, gone = person("auditor"), person("auditor"), person("auditor")
    views = {user: watched(user, f"actor:{actor}") for user in (ann, limited, left, gone)}
    AuditorScope.objects.create(user=limited, writers=["somebody-else"], categories=[])
    ann.groups.clear()
    User.objects.filter(pk=left.pk).update(is_active=False)
    User.objects.filter(pk=gone.pk).delete()
    keep(actor_id=actor)
    assert run().stuck == 2
    assert [told(view) for view in views.values()] == [[], [], [], []]
    assert "may not read" in SearchAlarm.objects.get(view=views[ann]).problem
    assert not SearchAlarm.objects.filter(view=views[gone]).exists()
    User.objects.filter(pk=left.pk).update(is_active=True)  # it goes on from where it stopped
    run()
    assert told(views[left]) == [1]


@pytest.mark.slow
def test_an_expensive_search_is_marked_and_keeps_no_other_from_being_told(
    ann: User, superuser: psycopg.Connection[Any]
) -> None:
    actor = f"dave-{secrets.token_hex(4)}"
    expensive, cheap = watched(ann, f"actor:{actor} ip:2001:db8::1"), watched(person("auditor"), f"actor:{actor}")
    SearchAlarm.objects.filter(view=expensive).update(batch=SearchAlarm.LEAST)
    keep(actor_id=actor, actor_ip="2001:db8::1")
    [(definition,)] = superuser.execute("SELECT pg_get_functiondef('audit_address(text)'::regprocedure)").fetchall()
    superuser.execute(definition.replace("bytes := ", "PERFORM pg_sleep(600); bytes := "))
    try:
        run(), run()
        assert (told(expensive), told(cheap)) == ([], [1])
        assert "took longer than 1 s" in SearchAlarm.objects.get(view=expensive).problem
        page = logged_in(ann).get("/admin/audit/record/views/").content.decode()
        assert "The alarm cannot look." in page and "took longer than 1 s" in page
    finally:
        superuser.execute(definition)
    run()
    assert told(expensive) == [1]
    assert SearchAlarm.objects.get(view=expensive).problem == ""


def test_who_waits_longest_has_the_first_turn_and_undelivered_alarms_stop_the_run(
    ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = watched(ann, "actor:a"), watched(ann, "actor:b")
    now = datetime.now(UTC)
    SearchAlarm.objects.filter(view=first).update(turn_at=now)
    SearchAlarm.objects.filter(view=second).update(turn_at=now - timedelta(minutes=5))
    assert alarms.tell(seconds=-1, sight_of=sight_of).looked == 0
    monkeypatch.setattr(alarms, "UNHEARD", 0)
    assert run().looked == 0
    monkeypatch.setattr(alarms, "UNHEARD", 1)
    waiting = OutboxAlarm.objects.create(alarm=alarms.ALARM, text="somebody has to hear this")
    assert run().looked == 0
    waiting.delete()
    run()
    turns = SearchAlarm.objects.filter(view__in=(first, second)).order_by("turn_at").values_list("view", flat=True)
    assert list(turns) == [second.pk, first.pk]


def test_alarms_are_bounded_recorded_and_their_owner_s_alone(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    view = watched(ann, "actor:a")
    with pytest.raises(saved_views.NotSaved, match="Only who saved"):
        alarms.turn_off(view, by=person("auditor"))
    monkeypatch.setattr(alarms, "MOST_EACH", 1)
    with pytest.raises(saved_views.NotSaved, match="alarms are kept for each person"):
        watched(ann, "actor:b")
    monkeypatch.setattr(alarms, "MOST", 1)
    with pytest.raises(saved_views.NotSaved, match="which is the most"):
        watched(person("auditor"), "actor:b")
    saved_views.rename(view, f"{view.name} anew", by=ann)
    SearchAlarm.objects.filter(view=view).update(problem="It took too long.", told_first=datetime.now(UTC))
    saved_views.save(view.name, "actor:a -outcome:success", by=ann)
    alarm = SearchAlarm.objects.get(view=view)
    assert (alarm.problem, alarm.told_first) == ("", None)
    saved_views.save(view.name, view.query, by=ann)
    alarms.turn_off(view, by=ann)
    noted = Record.objects.filter(
        actor_id=ann.username, event_type__startswith="audit.view.", event_data__query=view.query
    )
    acts = [record.event_type.removeprefix("audit.view.") for record in noted.order_by("id")]
    assert acts == ["saved", "alarm_on", "renamed", "saved", "alarm_off"]
