"""The certificate of a purge holds after the log was resumed under another name."""

from typing import Any

from audit.ledger import keys, purged
from audit.ledger.purged import standing
from audit.models import Record
from audit.retention import purge
from tests.attacks.scene import Scene
from tests.audit.ledger.conftest import go_on
from tests.audit.retention.conftest import BEN, aged, ago, approved, seal, short
from tests.servers import SEAL_KEY


def test_a_certificate_of_before_a_resume_is_believed_after_it(restored: Scene, settings: Any) -> None:
    settings.SEAL_WITNESSES, anchor = [], settings.SEAL_ANCHOR_FILE
    settings.SEAL_ANCHOR_FILE = None  # the sealer goes on below what the anchor has, until it is asked again
    old = aged(ago(40), event_category=short())
    plan = approved()
    purge.run(plan, by=BEN)
    seal()
    settings.SEAL_ANCHOR_FILE = anchor
    assert go_on().continues.name == keys.load().origin != SEAL_KEY.name
    assert not Record.objects.filter(pk=old).exists()
    assert standing(plan.pk).state == "certified"
    found = purge.certificate(plan)
    assert found is not None
    assert purged.read(found.event_data["note"])["plan"] == plan.pk
