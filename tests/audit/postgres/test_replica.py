"""Lists and exports are read from a replica as far as it keeps up, and say so; nothing is decided on one that lags."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.completeness import reconcile
from audit.errors import OnReplica
from audit.evidence import statements
from audit.evidence.request import THE_STORE
from audit.ledger.verify import run as verify_run
from audit.models import ACCESS, Record
from audit.postgres import replica
from audit.postgres.connecting import addresses
from audit.postgres.replica import Source
from audit.reports import build as reports
from audit.search import cost
from auditsite.postgres_address import read
from tests.admin.conftest import logged_in, person, stored_record
from tests.audit.replicated import Pair, paired

LIST = "/admin/audit/record/?q=correlation:{}"
HAS_ALL = "Read from a replica that has all that the primary had."


@pytest.fixture(scope="module")
def both() -> Iterator[Pair]:
    """Two servers for all tests here; no commit waits for the standby."""
    with paired() as made:
        made.leave()
        yield made


@pytest.fixture
def standby(both: Pair, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """A pair of which the site reads lists from the standby."""
    both.use(both.primary)
    both.follow_again()
    own = {**connections["reader"].settings_dict, "HOST": str(both.standby.sockets), "PORT": ""}
    monkeypatch.setitem(connections.settings, replica.ALIAS, own)
    # How busy this machine is decides no test.
    monkeypatch.setattr(replica, "SHOWN_WAIT_S", 20.0)
    monkeypatch.setattr(replica, "LOOK_S", 20.0)
    replica.forget()
    yield both
    connections[replica.ALIAS].close()
    del connections[replica.ALIAS]
    replica.forget()
    both.leave()


@pytest.fixture
def impatient(standby: Pair) -> Iterator[Pair]:
    """A standby that lets no query wait what it gets from the primary."""
    standby.run(standby.standby, "ALTER SYSTEM SET max_standby_streaming_delay = 0", "SELECT pg_reload_conf()")
    yield standby
    standby.run(standby.standby, "ALTER SYSTEM RESET max_standby_streaming_delay", "SELECT pg_reload_conf()")


@contextmanager
def held_up(pair: Pair) -> Iterator[None]:
    """The standby gets what is written, and shows none of it."""
    pair.run(pair.standby, "SELECT pg_wal_replay_pause()")
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(replica, "SHOWN_WAIT_S", 0.0)
            yield
    finally:
        pair.run(pair.standby, "SELECT pg_wal_replay_resume()")


def looks_of(client: Client) -> int:
    """How many looks the primary has of whoever is logged in."""
    name = client.session["_auth_user_id"]
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM audit_record r JOIN auth_user u ON u.username = r.actor_id "
            "WHERE u.id = %s AND event_category = %s",
            [name, ACCESS],
        )
        return int(cursor.fetchone()[0])


def read_from(answer: Any) -> str:
    """What the answer says of where it was read."""
    assert answer.status_code == 200
    return str(answer["Audit-Read-From"])


@pytest.mark.slow
def test_a_list_is_read_from_the_replica_and_its_look_is_recorded_on_the_primary(standby: Pair) -> None:
    record = stored_record(correlation_id="rr-replica")
    client = logged_in(person("auditor"))
    for address in (LIST, LIST.replace("?", "list.json?"), LIST.replace("?", "list.csv?")):
        before = looks_of(client)
        with CaptureQueriesContext(connections["reader"]) as on_primary:
            answer = client.get(address.format(record.correlation_id))
        assert read_from(answer) == HAS_ALL
        assert not [query for query in on_primary.captured_queries if "audit_record" in query["sql"]]
        assert record.event_type in b"".join(answer).decode()
        assert looks_of(client) == before + 1
    page = client.get(LIST.format(record.correlation_id)).content.decode()
    assert HAS_ALL in page
    timeline = client.get(f"/admin/audit/record/timeline/?correlation={record.correlation_id}")
    assert read_from(timeline) == HAS_ALL and HAS_ALL in timeline.content.decode()


@pytest.mark.slow
def test_how_far_it_is_behind_is_shown_and_measured(standby: Pair) -> None:
    client = logged_in(person("auditor"))
    with held_up(standby):
        record = stored_record(correlation_id="rr-behind")
        answer = client.get(LIST.format("rr-behind"))
        assert "bytes behind, at most" in read_from(answer)
        assert str(record.pk) not in answer.content.decode()
        metrics = client.get("/metrics").content.decode()
        assert "audit_replica_up 1.0" in metrics and "audit_replica_behind_bytes 0.0" not in metrics
    source = replica.look(20)
    assert source == Source(True), "where nothing is written it is not behind, however long ago that was"


@pytest.mark.slow
def test_what_is_too_far_behind_is_not_shown(standby: Pair, settings: Any) -> None:
    settings.REPLICA_MAX_LAG_S = -1.0
    client = logged_in(person("auditor"))
    with held_up(standby):
        record = stored_record(correlation_id="rr-too-far")
        answer = client.get(LIST.format("rr-too-far"))
    assert read_from(answer).startswith("Read from the primary: the replica is ") and "behind" in read_from(answer)
    assert str(record.pk) in answer.content.decode()


@pytest.mark.slow
def test_pages_of_one_record_and_of_verdicts_read_the_primary(standby: Pair) -> None:
    client = logged_in(person(None, is_superuser=True))
    with held_up(standby):
        record = stored_record(correlation_id="rr-one")
        for address in (f"/admin/audit/record/{record.pk}/change/", "/admin/", "/admin/audit/verification/"):
            answer = client.get(address)
            assert answer.status_code == 200 and "Audit-Read-From" not in answer, address


@pytest.mark.slow
def test_a_replica_that_dies_under_a_list_leaves_it_to_the_primary(
    standby: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = stored_record(correlation_id="rr-dies")
    client = logged_in(person("auditor"))
    assert read_from(client.get(LIST.format("rr-dies"))) == HAS_ALL
    before = looks_of(client)
    # It dies after it was asked how far it is.
    chosen = replica.of_page

    def dies() -> Source:
        source = chosen()
        standby.standby.kill()
        return source

    monkeypatch.setattr(replica, "of_page", dies)
    answer = client.get(LIST.format("rr-dies"))
    monkeypatch.undo()
    assert read_from(answer) == "Read from the primary: the replica does not answer, or has cut off what it was asked."
    assert str(record.pk) in answer.content.decode()
    assert looks_of(client) == before + 1
    assert connections["reader"].alias == "reader"


@pytest.mark.slow
def test_a_query_that_recovery_cuts_off_is_asked_of_the_primary(impatient: Pair) -> None:
    """As a purge does to a long search: what it removes is still being read on the replica."""
    source = replica.look(20)
    assert source == Source(True)
    conflict = pytest.raises(OperationalError, match="conflict with recovery")
    with conflict as caught, replica.reading(source), connections["reader"].cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT count(*) FROM audit_stream")
        with connections["owner"].cursor() as owner:
            owner.execute("BEGIN; LOCK TABLE audit_stream IN ACCESS EXCLUSIVE MODE; COMMIT")
        cursor.execute("SELECT pg_sleep(4)")
    assert not cost.was_stopped(caught.value), "the middleware takes it for a failure of the replica"
    assert replica.leave_out(psycopg.OperationalError()).is_replica is False
    assert replica.look().why == "the replica does not answer, or has cut off what it was asked"


@pytest.mark.slow
def test_nothing_is_decided_on_a_replica_that_lacks_something(standby: Pair) -> None:
    lacks, whole = Source(True, bytes=1, seconds=0.1), Source(True)
    for decides in (
        lambda: verify_run.newest(),
        lambda: reconcile.reconcile(seconds=1),
        lambda: statements.make(THE_STORE, "correlation:x"),
        lambda: reports.content(None),  # type: ignore[arg-type]
    ):
        with replica.reading(lacks), pytest.raises(OnReplica):
            decides()
    with replica.reading(whole):
        replica.require_whole()
    replica.require_whole()


@pytest.mark.slow
def test_an_export_waits_for_the_replica_or_reads_the_primary(standby: Pair, settings: Any) -> None:
    settings.REPLICA_WAIT_S = 20.0
    standby.run(standby.standby, "SELECT pg_wal_replay_pause()")
    record = stored_record(correlation_id="rr-waits")
    resumes = threading.Timer(0.3, standby.run, (standby.standby, "SELECT pg_wal_replay_resume()"))
    resumes.start()
    with replica.whole() as source:
        assert source == Source(True)
        assert connections["reader"].alias == replica.ALIAS
        assert Record.objects.filter(pk=record.pk).exists()
    resumes.join()
    settings.REPLICA_WAIT_S = 0.0
    with held_up(standby):
        record = stored_record(correlation_id="rr-waits")
        with replica.whole() as source:
            assert not source.is_replica and "bytes behind after 0.0 s" in source.why
            assert connections["reader"].alias == "reader"
            assert Record.objects.filter(pk=record.pk).exists()


@pytest.mark.slow
def test_a_server_that_is_no_replica_of_this_store_is_not_read(standby: Pair) -> None:
    def found() -> list[str]:
        replica.forget()
        connections[replica.ALIAS].close()
        return [str(message.msg) for message in addresses.addresses(None, ["default"]) if message.id == "audit.W033"]

    own = connections.settings[replica.ALIAS]
    assert found() == []
    own["HOST"] = str(standby.primary.sockets)
    assert found() == [
        "Nothing is read from the replica: DATABASE_REPLICA_URL leads to a server that follows no other."
    ]
    standby.standby.kill()
    own["HOST"] = str(standby.standby.sockets)
    assert found() == [
        "Nothing is read from the replica: the replica does not answer, or has cut off what it was asked."
    ]


def test_without_a_replica_nothing_says_where_it_is_read() -> None:
    client = logged_in(person("auditor"))
    answer = client.get(LIST.format("rr-none"))
    assert answer.status_code == 200 and "Audit-Read-From" not in answer
    with replica.whole() as source:
        assert not source.is_replica and source.why == "there is no replica"


def test_several_replicas_are_followed_while_they_follow() -> None:
    address = "postgresql://one,two/audit"
    assert read("DATABASE_REPLICA_URL", address)["target_session_attrs"] == "prefer-standby"
    with pytest.raises(Exception, match=r"it would lead to the primary\. Set prefer-standby"):
        read("DATABASE_REPLICA_URL", f"{address}?target_session_attrs=primary")


def test_what_is_said_of_a_source_is_plain() -> None:
    assert str(Source(True)) == HAS_ALL
    assert str(Source(True, 12_345, 1.21)) == "Read from a replica that is 12,345 bytes behind, at most 1.3 s."
    assert Source(True, 1_472, 0.0).lag == "1,472 bytes behind, at most 0.1 s"
    assert Source(True, 1_472, math.inf).lag == "1,472 bytes behind, since when it does not know"
    assert str(Source(False, why="so")) == "Read from the primary: so."
