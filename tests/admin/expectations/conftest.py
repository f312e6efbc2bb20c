"""An unmet expectation to be shown."""

import secrets
from datetime import UTC, datetime

from audit.expectations import evaluate
from audit.models import Expectation, Followed, Unmet
from tests.admin.conftest import stored_record
from tests.audit.conftest import sealed_event


def an_unmet(rule: Expectation, *, others: int = 1) -> Unmet:
    """A correlation whose rule was not met, with other events in it."""
    of = f"rr-{secrets.token_hex(6)}"
    began = stored_record(event_type=f"{rule.name}.x", correlation_id=of)
    for _ in range(others):
        stored_record(event_type=f"{rule.name}.other", correlation_id=of)
    Followed.objects.get_or_create(name=Followed.COMPLETENESS)
    event = sealed_event(began.writer, began.event_timestamp, id=began.pk, event_type=began.event_type, correlation=of)
    evaluate.apply([event._replace(leaf_index=2**40, category=began.event_category, stored_at=began.stored_at)])
    while evaluate.settle(datetime.now(UTC)):
        pass
    return Unmet.objects.get(expectation=rule, subject=of)
