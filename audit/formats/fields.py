"""The fields that a query may name, and the index that finds each. The only table of both."""

from typing import Literal

import msgspec

Kind = Literal["text", "uuid", "outcome", "time", "address"]


class Field(msgspec.Struct, frozen=True):
    """One field of the query language. An indexed one finds records; any other only narrows a search."""

    column: str
    meaning: str
    example: str
    kind: Kind = "text"
    indexed: bool = False


FIELDS = {
    "actor": Field("actor_id", "who did it", "actor:alice", indexed=True),
    "type": Field("event_type", "what happened", "type:gateway.*", indexed=True),
    "category": Field("event_category", "kind of event", "category:security", indexed=True),
    "resource": Field("resource_id", "on what", "resource:pod-7", indexed=True),
    "correlation": Field("correlation_id", "what belongs together", "correlation:rr-2026-004", indexed=True),
    "writer": Field("writer", "the service that sent it", "writer:billing", indexed=True),
    "id": Field("id", "one event", "id:0198c5a2-7b1e-7000-8000-00000000002a", kind="uuid", indexed=True),
    "outcome": Field("event_outcome", "success, failure or pending", "outcome:failure", kind="outcome", indexed=True),
    "severity": Field("severity", "how severe", "-severity:info", indexed=True),
    "after": Field("event_timestamp", "at this time or later", "after:7d", kind="time", indexed=True),
    "before": Field("event_timestamp", "earlier than this", "before:2026-01-01", kind="time", indexed=True),
    "until": Field(
        "event_timestamp",
        "at this time or earlier; a bare day is taken in whole",
        "until:2026-01-01T12:00:00Z",
        kind="time",
        indexed=True,
    ),
    "on": Field("event_timestamp", "on this day, UTC", "on:2026-03-04", kind="time", indexed=True),
    "action": Field("event_action", "the verb", "action:deleted"),
    "actor_type": Field("actor_type", "what kind of actor", "actor_type:user"),
    "resource_type": Field("resource_type", "what kind of thing", "resource_type:Pod"),
    "namespace": Field("namespace", "the namespace", "namespace:prod"),
    "cluster": Field("cluster_id", "the cluster", "cluster:eu-1"),
    "error": Field("error_code", "the error code", "error:E_TIMEOUT"),
    "ip": Field("actor_ip", "the actor's address, in any spelling", "ip:192.0.2.7", kind="address"),
    "parent": Field(
        "parent_event_id", "the event that led to it", "parent:0198c5a2-7b1e-7000-8000-00000000002a", kind="uuid"
    ),
}
# The names of the event's own fields are accepted too, and words that people type first.
ALIASES = {field.column: name for name, field in FIELDS.items() if field.kind != "time"} | {
    "since": "after",
    **dict.fromkeys(("user", "who", "by"), "actor"),
    **dict.fromkeys(("event", "what"), "type"),
    **dict.fromkeys(("host", "address"), "ip"),
    **dict.fromkeys(("service", "source"), "writer"),
    **dict.fromkeys(("object", "target"), "resource"),
    "event_id": "id",
}

DATA = "data"
# What a word without a field is looked for in, each by an index; the id where the word is one.
ANY = "any"
ANYWHERE = ("id", "correlation", "actor", "resource")
OUTCOMES = ("success", "failure", "pending")
