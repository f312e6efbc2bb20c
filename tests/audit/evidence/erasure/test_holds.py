"""No erasure passes a hold: not one that is placed meanwhile, nor by tables that stand in for those of the store."""

import threading
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connections

from audit.evidence.erasure import requests
from audit.models import ErasureRequest
from audit.models.erasure.requests import Progress
from audit.retention import legal_holds
from audit.retention.legal_holds import Named
from tests.attacks.scene import Scene
from tests.audit.evidence.erasure.conftest import asked, person, stored, values

HOLD = (
    "INSERT INTO audit_legalhold (correlation_id, actor, resource, writer, category, matter, reason, placed_by, "
    "placed_at, by_service) VALUES (%s, '', '', '', '', 'case 7', 'case 7', 'olga', now(), false)"
)
WAITS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def approved(email: str) -> ErasureRequest:
    request = requests.ask(asked(email), by="olga")
    requests.decide(request, approve=True, by="otto")
    return request


def test_a_hold_on_anything_but_a_correlation_keeps_values_too() -> None:
    email, actor = person(), f"actor-{person()}"
    held, free = stored(email, 1, actor_id=actor), stored(email, 1)
    legal_holds.place(Named(actor=actor), reason="case 7", by="olga", matter="7/2026")
    assert requests.preview(asked(email)).held == 1
    progress = requests.carry_out(approved(email))
    assert progress.held == (held[0].pk,)
    assert (len(values(held[0].pk)), values(free[0].pk)) == (2, {})


def test_an_erasure_waits_for_a_hold_that_is_being_placed_and_sees_it(superuser: psycopg.Connection[Any]) -> None:
    email = person()
    (row,) = stored(email, 1)
    request, done = approved(email), []

    def erase() -> None:
        try:
            done.append(requests.carry_out(request))
        finally:
            connections.close_all()

    worker = threading.Thread(target=erase)
    with superuser.transaction():
        superuser.execute(HOLD.encode(), [row.correlation_id])
        worker.start()
        while superuser.execute(WAITS).fetchone() == (0,):
            assert worker.is_alive(), done
    worker.join()
    assert [progress.held for progress in done] == [(row.pk,)]
    assert len(values(row.pk)) == 2


def test_while_records_are_removed_for_long_an_erasure_stops_and_goes_on_later(
    superuser: psycopg.Connection[Any],
) -> None:
    email = person()
    (row,) = stored(email, 1)
    request = approved(email)
    superuser.execute("ALTER FUNCTION audit_erase SET lock_timeout = '50ms'")
    try:
        with superuser.transaction():
            superuser.execute("SELECT pg_advisory_xact_lock(hashtext('audit_retention'))")
            assert requests.carry_out(request) == Progress()
            assert len(values(row.pk)) == 2
    finally:
        superuser.execute("ALTER FUNCTION audit_erase SET lock_timeout = '5s'")
    assert requests.carry_out(request).done_at is not None


@pytest.mark.slow
def test_tables_of_ones_own_stand_in_for_none_of_the_store(elsewhere: Scene) -> None:
    email = person()
    (row,) = stored(email, 1)
    legal_holds.place(row.correlation_id, reason="case 7", by="olga")
    request = approved(email)
    undecided = requests.ask(asked(email), by="olga")
    with connections["default"].cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE audit_legalhold (LIKE public.audit_legalhold)")
        cursor.execute("CREATE TEMP TABLE audit_erasuredecision (LIKE public.audit_erasuredecision)")
        cursor.execute("INSERT INTO pg_temp.audit_erasuredecision VALUES (%s, true, 'otto', now(), '')", [undecided.pk])
        cursor.execute("SET search_path = pg_temp, public")
        try:
            cursor.execute("SELECT audit_erase(%s, 10)", [request.pk])
            with pytest.raises(DatabaseError, match="not approved"):
                cursor.execute("SELECT audit_erase(%s, 10)", [undecided.pk])
        finally:
            cursor.execute("RESET search_path")
            cursor.execute("DROP TABLE pg_temp.audit_legalhold, pg_temp.audit_erasuredecision")
    assert len(values(row.pk)) == 2
