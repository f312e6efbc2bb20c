"""Bodies that work when they are pasted: an event first, and then what is asked about it."""

from typing import Any

# What is tried on a store that is in use stays there for ever: it must not look like something that happened.
CORRELATION = "example-4711"
EVENT: dict[str, Any] = {
    "version": "1.0",
    "event_timestamp": "2026-01-15T09:30:00Z",
    "event_type": "example.refund.approved",
    "event_category": "example",
    "event_action": "approved",
    "event_outcome": "success",
    "actor_type": "user",
    "actor_id": "example-person",
    "correlation_id": CORRELATION,
    "event_data": {"amount": 25},
}

_CLOUD_EVENT = {
    "specversion": "1.0",
    "id": CORRELATION,
    "source": "/example",
    "type": "example.refund.approved",
    "time": "2026-01-15T09:30:00Z",
}
_CLUSTER_EVENT = {
    "auditID": CORRELATION,
    "stage": "ResponseComplete",
    "verb": "get",
    "requestURI": "/version",
    "user": {"username": "example-person"},
    "stageTimestamp": "2026-01-15T09:30:00Z",
}

# By the id of the operation. None is for bodies that hold what an answer before gave, such as receipts.
BODIES: dict[str, Any] = {
    "record_event": EVENT,
    "record_batch": [EVENT, EVENT | {"event_type": "example.refund.paid", "event_action": "paid"}],
    "import_events": _CLOUD_EVENT,
    "import_kubernetes": {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [_CLUSTER_EVENT]},
    "import_cloudevents": _CLOUD_EVENT,
    "import_otlp": {
        "resourceLogs": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "example"}}]},
                "scopeLogs": [
                    {
                        "logRecords": [
                            {
                                "timeUnixNano": "1768469400000000000",
                                "severityText": "INFO",
                                "body": {"stringValue": "An example: the refund was approved."},
                                "attributes": [{"key": "log.record.uid", "value": {"stringValue": CORRELATION}}],
                            }
                        ]
                    }
                ],
            }
        ]
    },
    "record_notification": {
        "remediation_id": CORRELATION,
        "notification_id": "notification-1",
        "recipient": "somebody@example.com",
        "channel": "email",
        "message_summary": "An example: the refund was paid.",
        "status": "sent",
        "sent_at": "2026-01-15T09:31:00Z",
    },
    "post_heartbeat": {"source_seq": 1, "source_epoch": "run-1"},
    "post_manifest": {"since": "2026-01-15T09:00:00Z", "until": "2026-01-15T10:00:00Z", "count": 2},
    "post_export": {"q": f"correlation:{CORRELATION}"},
    "post_statement": {"q": f"correlation:{CORRELATION}"},
    "post_report": {"first": "2026-01-15", "last": "2026-01-15", "packs": ["soc2"]},
    "verify_chain": {"correlation_id": CORRELATION},
    "register_schema": {
        "event_type": "example.refund.approved",
        "mode": "warn",
        "reason": "An example",
        "schema": {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number"}}},
    },
    "place_legal_hold": {"correlation_id": CORRELATION, "reason": "An example, no matter"},
    "release_legal_hold": {"release_reason": "The example is over"},
}
