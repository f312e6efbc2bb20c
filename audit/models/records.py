"""Records: the rows that store events."""

import copy
from typing import Any, Self

from django.db import models

from audit import visibility
from audit.formats import canonical, event, times
from audit.formats.erasable.commitments import MEMBER
from audit.formats.erasable.rules import MAY
from audit.models import base
from audit.models.base import AppendOnly, NotedAppendOnlyQuerySet, visible_to
from audit.models.erasure.values import NONE, Values, values_of
from audit.models.ledger import Leaf


class StoreName(str):
    """The name of the store as an actor. Only the store's own code holds one: a person's name is a plain text."""

    __slots__ = ()


OWN_WRITER = StoreName("auditsite")
"""The writer of the records that the store makes of its own acts."""


class RecordQuerySet(NotedAppendOnlyQuerySet["Record"]):
    def within(self, scopes: visibility.Scopes) -> "RecordQuerySet":
        """Those that somebody with these scopes may see."""
        return self.filter(visible_to(scopes, "writer", "event_category")) if scopes else self

    def with_values(self) -> list["Record"]:
        """The rows, each with what stands beside it, in one query more where anything does."""
        rows = list(self)
        with_some = [row.pk for row in rows if row.erasable is not None]
        found = values_of(with_some, self.db) if with_some else {}
        for row in rows:
            row.__dict__["_values"] = found.get(row.pk, NONE)
        return rows

    def with_state(self) -> "RecordQuerySet":
        """Each row with whether it is sealed, in the same query."""
        return self.annotate(sealed=models.Exists(Leaf.objects.filter(record_id=models.OuterRef("id"))))


RecordsManager = models.Manager.from_queryset(RecordQuerySet)


class RecordManager(RecordsManager["Record"]):
    """Gives the viewer only records that they may see, whatever page or path asks."""

    def get_queryset(self) -> RecordQuerySet:
        return RecordQuerySet(self.model, using=self._db).within(visibility.scopes())


class EventColumns(AppendOnly):
    """An event, and what the store knows of it: the columns of a record, wherever it is read."""

    id = models.UUIDField(primary_key=True)
    writer = models.CharField(max_length=100)
    version = base.text("version")
    event_type = base.text("event_type")
    event_timestamp = models.DateTimeField()
    event_category = base.text("event_category")
    event_action = base.text("event_action")
    event_outcome = models.CharField(
        max_length=10, choices=[(value, value) for value in ("success", "failure", "pending")]
    )
    correlation_id = base.text("correlation_id")
    event_data = models.JSONField()
    actor_type = base.text("actor_type")
    actor_id = base.text("actor_id")
    actor_ip = base.text("actor_ip", null=True)
    resource_type = base.text("resource_type")
    resource_id = base.text("resource_id")
    parent_event_id = models.UUIDField(null=True)
    namespace = base.text("namespace", null=True)
    cluster_id = base.text("cluster_id", null=True)
    severity = base.text("severity")
    duration_ms = models.IntegerField(null=True)
    error_code = base.text("error_code", null=True)
    error_message = base.text("error_message", null=True)
    retention_days = models.IntegerField(null=True)
    is_sensitive = models.BooleanField()
    source_seq = models.BigIntegerField(null=True)
    source_epoch = base.text("source_epoch", null=True)
    # Commitments to what can be erased, by path; None where nothing can.
    erasable = models.JSONField(null=True)
    digest = models.BinaryField()
    received_at = models.DateTimeField()
    parked_at = models.DateTimeField(null=True)
    stored_at = models.DateTimeField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.event_type} {self.id}"

    @property
    def state(self) -> str:
        """The promise that holds for this record, in the words of the API."""
        raise NotImplementedError

    def document(self) -> dict[str, Any]:
        """The event as it was accepted: what the digest covers."""
        document = {name: getattr(self, name) for name in (*event.FIELDS, MEMBER) if name != "event_id"}
        document |= {"event_id": str(self.id), "writer": self.writer}
        document["event_timestamp"] = times.timestamp_text(self.event_timestamp)
        if self.parent_event_id is not None:
            document["parent_event_id"] = str(self.parent_event_id)
        return {name: value for name, value in document.items() if value is not None}

    def values(self) -> Values:
        """What stands beside the record; read when it is asked for, unless `RecordQuerySet.with_values` did."""
        if self.erasable is None:
            return NONE
        found: Values | None = self.__dict__.get("_values")
        if found is None:
            found = values_of([self.pk], self._state.db or "default").get(self.pk, NONE)
            self.__dict__["_values"] = found
        return found

    def without_data(self) -> None:
        """Leave out what a list does not show: `event_data`, and the values of what can be erased."""
        self.event_data = {}
        self.__dict__["_values"] = NONE

    def shown(self) -> dict[str, Any]:
        """The event as it was sent, as far as nothing of it was erased."""
        document = self.document()
        return document if self.erasable is None else self.values().put_into(document)

    def in_words(self) -> Self:
        """A copy for pages: values in their places, and words where one was erased. It is not what was accepted."""
        if self.erasable is None:
            return self
        shown, document = copy.copy(self), self.values().in_words(self.document())
        for name in MAY:
            setattr(shown, name, document.get(name))
        return shown

    def as_json(self) -> dict[str, Any]:
        """The record as the API shows it: the event with its values, then what the store knows of it."""
        return self.shown() | {
            "state": self.state,
            "digest": bytes(self.digest).hex(),
            "received_at": times.timestamp_text(self.received_at),
            "parked_at": self.parked_at and times.timestamp_text(self.parked_at),
            "stored_at": times.timestamp_text(self.stored_at),
        }

    @property
    def digest_holds(self) -> bool:
        """Whether the digest, computed anew from what the database returns, is the stored one."""
        return canonical.digest(canonical.canonical(self.document())) == bytes(self.digest)


class Record(EventColumns):
    """The immutable row that stores one event. The table is made by audit/sql/0001_record.sql."""

    objects = RecordManager()

    class Meta:
        db_table = "audit_record"
        default_permissions = ("view",)
        base_manager_name = "objects"
        ordering = ("-event_timestamp", "-id")

    @property
    def state(self) -> str:
        """The promise that holds for this record, in the words of the API."""
        # A leaf and the checkpoint that covers it are committed together.
        sealed = self.__dict__.get("sealed")  # by with_state()
        if sealed is None:
            sealed = Leaf.objects.filter(record_id=self.id).exists()
        return "sealed" if sealed else "stored"
