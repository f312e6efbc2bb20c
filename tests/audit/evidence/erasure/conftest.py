"""Scenes of erasure: records of a person, under a rule."""

import json
import secrets
from typing import Any

from django.db import connections

from audit.evidence.erasure.requests import Asked
from audit.formats.erasable.rules import Rule, Rules
from audit.formats.event import accept
from audit.ingest import record
from audit.models import Record
from tests.audit.conftest import with_id

RULES = Rules([Rule(name="mail", path="event_data.email", reason="r"), Rule(name="ip", path="actor_ip", reason="r")])
BASIS = "GDPR Art. 17(1)(b)"


def person() -> str:
    return f"zofie-{secrets.token_hex(6)}@example.org"


def stored(email: str, count: int = 2, *, writer: str = "shop", **changes: Any) -> list[Record]:
    """So many records with this address, of one correlation."""
    correlation = f"order-{secrets.token_hex(6)}"
    documents = [
        with_id(correlation_id=correlation, event_data={"email": email, "n": n + 0.5}, actor_ip="192.0.2.7", **changes)
        for n in range(count)
    ]
    record.record([accept(document, writer=writer, erasing=RULES) for document in documents])
    return list(Record.objects.filter(correlation_id=correlation).order_by("id"))


def asked(email: str, **changes: str) -> Asked:
    return Asked(**{"kind": "value", "subject": email, "paths": "", "basis": BASIS, "reason": "she asked", **changes})


def values(record_id: Any) -> dict[str, Any]:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT path, value FROM audit_erasable WHERE record_id = %s", [record_id])
        return {path: json.loads(value) for path, value in cursor.fetchall()}
