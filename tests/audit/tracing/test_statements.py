"""What can be erased is traced, too: the statement for both has both."""

import secrets

import msgspec
from django.db import connection

from audit.formats import event
from audit.formats.erasable.kept import Kept
from audit.ingest.record import store
from tests.audit.conftest import an_event


def test_an_event_with_values_beside_it_carries_its_trace_to_the_sealer(django_db_setup: None) -> None:
    trace = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"

    accepted = event.accept(an_event(), writer="tests")
    values = {"/event_data/x": Kept(secrets.token_bytes(32), b"1")}
    beside = msgspec.structs.replace(accepted, beside=values, trace=trace)
    assert store([beside], timeout_s=20) == ["stored"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT trace FROM audit_unsealed WHERE record_id = %s", [beside.id])
        assert cursor.fetchall() == [(trace,)]
