"""Scheduled tasks that no package of the store owns: what is nobody's record has an end."""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import DatabaseError, connections, transaction
from django.test import Client
from django_q.conf import Conf
from django_q.models import Failure, Schedule, Task
from django_q.scheduler import scheduler

from audit import tasks
from audit.completeness import heartbeats
from audit.ledger import verify
from audit.models import Finding, Heartbeat, Numbering, Verification
from audit.postgres import sql
from auditsite.redis_clients import Broker
from bench.load import wait_until
from tests.audit.conftest import send

# Workers that wait for a row of the schedule.
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND datname = current_database() AND strpos(query, 'django_q_schedule') > 0
"""


def failed(days_ago: float) -> str:
    at = datetime.now(UTC) - timedelta(days=days_ago)
    key = uuid4().hex
    Task.objects.create(id=key, name=key, func="audit.tasks.tick", started=at, stopped=at, success=False)
    return key


def session(expires_in: timedelta) -> str:
    made = SessionStore()
    made.set_expiry(expires_in)
    made.save()
    return str(made.session_key)


def test_sessions_that_are_over_and_old_failures_are_removed(settings: Any) -> None:
    settings.FAILED_TASK_DAYS = 30
    old, young = failed(31), failed(29)
    over, still = session(timedelta(seconds=-1)), session(timedelta(hours=1))
    tasks.tidy()
    assert set(Failure.objects.filter(id__in=[old, young]).values_list("id", flat=True)) == {young}
    assert set(Session.objects.filter(pk__in=[over, still]).values_list("pk", flat=True)) == {still}


# Before the days that a report may have: what a report of another test read stays.
NO_REPORT = datetime(1969, 12, 1, tzinfo=UTC)


def run(scope: str, verdict: str, days_ago: float, before: datetime = NO_REPORT + timedelta(days=31)) -> Verification:
    at = before - timedelta(days=days_ago)
    times = {"started_at": at, "updated_at": at, "ended_at": at}
    return Verification.objects.create(scope=scope, verdict=verdict, requested_by="auditsite", **times)


def test_runs_of_verification_that_found_nothing_have_an_end_and_no_others_have(settings: Any) -> None:
    settings.VERIFICATION_DAYS = (datetime.now(UTC) - NO_REPORT) / timedelta(days=1)
    over = [run("newest", "VERIFIED", 40), run("correlation", "NOT COVERED", 32)]
    stay = [run("newest", "ALTERED", 40), run("all", "VERIFIED", 40), run("rolling", "VERIFIED", 40)]
    named, at = stay[-1], datetime.now(UTC)
    facts = {"kind": "ALTERED", "subject": "node", "detail": "", "first_seen": at, "last_seen": at}
    Finding.objects.create(key=f"test:{uuid4()}", run=named, **facts)
    stay += [run("newest", "VERIFIED", 20), run("correlation", "VERIFIED", 1), run("rolling", "VERIFIED", 1)]
    stay += [run("newest", "VERIFIED", 0, before=at)]  # the next one begins where it ended
    tasks.tidy()
    left = set(Verification.objects.filter(pk__in=[each.pk for each in over + stay]).values_list("pk", flat=True))
    assert left == {each.pk for each in stay}
    # Whatever is configured, PostgreSQL keeps what pages count, and the application removes no row by itself.
    with pytest.raises(DatabaseError, match="the last 31 days stay"):
        sql.run("SELECT audit_forget_verifications(now() - interval '30 days')")
    with pytest.raises(DatabaseError, match="permission denied"):
        sql.run("DELETE FROM audit_verification WHERE id = %s", [named.pk])
    named.findings.all().update(run=verify.verify("range", first=0, last=1))


def test_heartbeats_of_epochs_that_are_over_have_an_end(settings: Any) -> None:
    settings.HEARTBEAT_DAYS = 30
    writer, now = f"beats-{uuid4().hex}", datetime.now(UTC)

    def beat(epoch: str, days_ago: float, **facts: Any) -> None:
        at = now - timedelta(days=days_ago)
        Heartbeat.objects.create(writer=writer, epoch=epoch, at=at, **{"seq": 5} | facts)
        Numbering.objects.create(writer=writer, epoch=epoch, highest=5, updated_at=at)

    beat("counted", 40)
    beat("silent", 40, seq=None)
    beat("to be judged", 40, waiting_seq=5, waiting_at=now)
    beat("not counted", 40, seq=6)
    beat("young", 20)
    heartbeats.forget()
    left = Heartbeat.objects.filter(writer=writer).values_list("epoch", flat=True)
    assert set(left) == {"to be judged", "not counted", "young"}
    settings.HEARTBEAT_DAYS = 1
    heartbeats.forget()
    assert "young" in set(left.all())  # a writer's newest stays: it says when the writer was heard


def test_what_a_bundle_that_nobody_knows_left_on_the_disk_has_an_end(settings: Any, tmp_path: Path) -> None:
    settings.EXPORT_DIR, settings.EXPORT_DAYS = tmp_path, 7
    old, young = tmp_path / f"{uuid4()}.partial", tmp_path / f"evidence-{uuid4()}.zip"
    old.mkdir()
    files = [old / "leaves", old.with_suffix(".lock"), tmp_path / "of-somebody-else", young]
    for file in files:
        file.write_bytes(b"12345678")
    long_ago = datetime.now(UTC).timestamp() - 8 * 86_400
    for path in [*files[:3], old]:
        os.utime(path, (long_ago, long_ago))
    metrics = Client().get("/metrics").content.decode()
    assert re.search(r"^audit_export_bytes 32\.0$", metrics, re.MULTILINE)
    assert 'audit_table_rows{table="audit_verification"}' in metrics
    assert tasks.tidy().endswith("2 parts of bundles removed")
    assert {path.name for path in tmp_path.iterdir()} == {"of-somebody-else", young.name}


def test_a_task_is_as_quick_where_nothing_has_ended() -> None:
    send(1)
    tasks.tidy()
    assert tasks.tidy().startswith("0 failed tasks, 0 verifications, 0 heartbeats")


def test_of_two_workers_one_starts_what_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both look for what is due at once: the second waits for the row, and finds it not due any more."""
    name = f"tests-{uuid4().hex}"
    monkeypatch.setattr(Conf, "CLUSTER_NAME", name)
    due = Schedule.objects.create(name=name, func="audit.tasks.tick", schedule_type="I", minutes=1, cluster=name)
    queue = Broker(list_key=f"django_q:{name}:q")

    def both_wait() -> bool:
        sql.rows("SELECT pg_stat_clear_snapshot()")
        return bool(sql.rows(WAITING)[0][0] == 2)

    def look() -> None:
        scheduler(broker=queue)
        connections.close_all()

    workers = [Thread(target=look) for _ in range(2)]
    with transaction.atomic():
        Schedule.objects.select_for_update().get(pk=due.pk)
        for worker in workers:
            worker.start()
        wait_until(both_wait, seconds=30, what="both workers to wait for the row")
    for worker in workers:
        worker.join()
    due.delete()
    assert queue.queue_size() == 1
