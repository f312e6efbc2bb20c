"""An unmet expectation to be shown."""

import secrets
from datetime import UTC, datetime

from audit.expectations import evaluate
from audit.formats.expectation import ObservedEvent
from audit.models import Expectation, Followed, Unmet
from tests.admin.conftest import stored_record


def an_unmet(rule: Expectation, *, others: int = 1) -> Unmet:
    """A correlation whose rule was not met, with other events in it."""
    of = f"rr-{secrets.token_hex(6)}"
    began = stored_record(event_type=f"{rule.name}.x", correlation_id=of)
    for _ in range(others):
        stored_record(event_type=f"{rule.name}.other", correlation_id=of)
    seen = (began.pk, began.writer, began.event_type, began.event_category, of, began.event_timestamp, began.stored_at)
    Followed.objects.get_or_create(name=Followed.COMPLETENESS)
    evaluate.take([ObservedEvent(2**40, *seen)])
    while evaluate.settle(datetime.now(UTC)):
        pass
    return Unmet.objects.get(expectation=rule, subject=of)
