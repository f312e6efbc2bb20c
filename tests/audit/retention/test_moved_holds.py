"""Holds that were there before holds named queries are moved with their releases, and so is the way back."""

import pytest
from django.core.management import call_command
from django.db import connections

from audit.models import LegalHold, Writer
from tests.attacks.scene import CORRELATIONS, Scene
from tests.audit.conftest import one

OLD = (
    "INSERT INTO audit_legalhold "
    "(correlation_id, reason, placed_by, placed_at, released_by, released_at, release_reason) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s)"
)
AT, LATER = "2026-01-02T03:04:05Z", "2026-02-02T03:04:05Z"


@pytest.mark.slow
def test_no_hold_and_no_release_is_lost(elsewhere: Scene) -> None:
    call_command("migrate", "audit", "0053", verbosity=0)
    Writer.objects.create(name="robot")
    with connections["owner"].cursor() as cursor:
        cursor.execute(OLD, [CORRELATIONS[0], "case 1", "olga", AT, "otto", LATER, "settled"])
        cursor.execute(OLD, [CORRELATIONS[0], "case 2", "olga", AT, "", None, ""])
        cursor.execute(OLD, [CORRELATIONS[1], "case 3", "robot", AT, "", None, ""])
    call_command("migrate", verbosity=0)
    ended, person, service = LegalHold.objects.order_by("pk")
    assert ended.released is not None
    assert (ended.released.released_by, ended.released.reason) == ("otto", "settled")
    assert ended.released.released_at.isoformat() == "2026-02-02T03:04:05+00:00"
    assert (person.released, person.by_service, service.by_service) == (None, False, True)
    assert person.placed_at.isoformat() == "2026-01-02T03:04:05+00:00"
    held = "SELECT count(*) FROM audit_record r WHERE audit_held(r) AND correlation_id = %s"
    assert one(held, CORRELATIONS[0]) > 0 and one(held, CORRELATIONS[1]) > 0 and one(held, CORRELATIONS[2]) == 0
    call_command("migrate", "audit", "0051", verbosity=0)
    assert one(
        "SELECT string_agg(concat(reason, released_by, release_reason), ',' ORDER BY id) FROM audit_legalhold"
    ) == ("case 1ottosettled,case 2,case 3")
    call_command("migrate", verbosity=0)
    assert LegalHold.objects.in_force().count() == 2  # type: ignore[attr-defined]
