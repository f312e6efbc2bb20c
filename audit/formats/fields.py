"""The fields that a query may name, and the index that finds each. The only table of both."""

from typing import Literal

import msgspec

Kind = Literal["text", "uuid", "outcome", "time"]


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field of the query language. An indexed one finds records; any other only narrows a search."""

    column: str
    kind: Kind = "text"
    indexed: bool = False
    meaning: str
    example: str


FIELDS = {
    "actor": Field(column="actor_id", indexed=True, meaning="who did it", example="actor:alice"),
    "type": Field(column="event_type", indexed=True, meaning="what happened", example="type:gateway.*"),
    "category": Field(column="event_category", indexed=True, meaning="kind of event", example="category:security"),
    "resource": Field(column="resource_id", indexed=True, meaning="on what", example="resource:pod-7"),
    "correlation": Field(
        column="correlation_id", indexed=True, meaning="what belongs together", example="correlation:rr-2026-004"
    ),
    "writer": Field(column="writer", indexed=True, meaning="the service that sent it", example="writer:billing"),
    "id": Field(
        column="id",
        kind="uuid",
        indexed=True,
        meaning="one event",
        example="id:0198c5a2-7b1e-7000-8000-00000000002a",
    ),
    "outcome": Field(
        column="event_outcome",
        kind="outcome",
        indexed=True,
        meaning="success, failure or pending",
        example="outcome:failure",
    ),
    "severity": Field(column="severity", indexed=True, meaning="how grave", example="-severity:info"),
    "after": Field(
        column="event_timestamp", kind="time", indexed=True, meaning="at this time or later", example="after:7d"
    ),
    "before": Field(
        column="event_timestamp", kind="time", indexed=True, meaning="earlier than this", example="before:2026-01-01"
    ),
    "until": Field(
        column="event_timestamp",
        kind="time",
        indexed=True,
        meaning="at this time or earlier",
        example="until:2026-01-01T12:00:00Z",
    ),
    "on": Field(
        column="event_timestamp", kind="time", indexed=True, meaning="on this day, UTC", example="on:2026-03-04"
    ),
    "action": Field(column="event_action", meaning="the verb", example="action:deleted"),
    "actor_type": Field(column="actor_type", meaning="what kind of actor", example="actor_type:user"),
    "resource_type": Field(column="resource_type", meaning="what kind of thing", example="resource_type:Pod"),
    "namespace": Field(column="namespace", meaning="the namespace", example="namespace:prod"),
    "cluster": Field(column="cluster_id", meaning="the cluster", example="cluster:eu-1"),
    "error": Field(column="error_code", meaning="the error code", example="error:E_TIMEOUT"),
    "ip": Field(column="actor_ip", meaning="the actor's address, as it was sent", example="ip:192.0.2.7"),
    "parent": Field(
        column="parent_event_id",
        kind="uuid",
        meaning="the event that led to it",
        example="parent:0198c5a2-7b1e-7000-8000-00000000002a",
    ),
}

# Other names of the same: those of the event's own fields.
ALIASES = {field.column: name for name, field in FIELDS.items() if field.kind != "time"} | {"since": "after"}

DATA = "data"
OUTCOMES = ("success", "failure", "pending")
