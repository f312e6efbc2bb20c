"""unasked: records that clients of Kubernaut's Data Storage service do not know come only where they are asked for.

They know neither the category nor the data of the store's own records, and would fail on a page with one of them; a
conflict even has the correlation of the client whose event was refused. Notification audits are in no answer there.
"""

from collections.abc import Mapping

from audit.models import OWN_WRITER, Record, RecordQuerySet

# Who asks by one of these asks in this service's own words, or by who did something to what: all records belong there.
ASKED_BY = ("q", "actor_id", "resource_type", "resource_id")
OWN_CATEGORY = "access"
# The types of notification audits; the status follows.
DELIVERIES = "notification.delivery."
STATUSES = ("sent", "failed", "pending", "acknowledged", "escalated")


def left_out(parameters: Mapping[str, str]) -> RecordQuerySet:
    """All records but those, unless the parameters of a search ask for them (docs/api.md, Finding records)."""
    records = Record.objects.all()
    if (
        any(parameters.get(name) for name in ASKED_BY)
        or parameters.get("event_type", "").startswith(("audit.", DELIVERIES))
        or parameters.get("event_category") == OWN_CATEGORY
    ):
        return records
    types = [f"{DELIVERIES}{status}" for status in STATUSES]
    # Not terms of the query: they would have it planned as a search by several fields.
    return records.exclude(writer=str(OWN_WRITER)).exclude(event_type__in=types)
