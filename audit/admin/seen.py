"""Who looked at a record: shown on its page."""

from typing import Any

from django.http import HttpRequest

from audit import visibility
from audit.access import access_log
from audit.admin.display import time_tag
from audit.models import Record

SHOWN = 20


def context(request: HttpRequest, record: Record) -> dict[str, Any]:
    """The newest looks at this record, for those who may know; the one at hand is recorded when the page is made."""
    if not request.user.has_perm("audit.view_access"):
        return {"looks": None}
    with visibility.own_account():
        found = list(access_log.at(record)[: SHOWN + 1])
    return {"looks": [row(one) for one in found[:SHOWN]], "more_looks": len(found) > SHOWN}


def row(one: Record) -> dict[str, Any]:
    """One look, as tables show it."""
    facts = one.event_data
    return {
        "at": time_tag(one.event_timestamp),
        "who": one.actor_id,
        "kind": one.actor_type,
        "act": one.event_action,
        "address": one.actor_ip or "\u2014",
        "path": facts.get("path", ""),
        "query": facts.get("query", ""),
        "rows": "all that match" if facts.get("rows_follow") else facts.get("rows", 0),
        "status": facts.get("status", ""),
        "refused": one.event_outcome != "success",
        "id": one.pk,
    }
