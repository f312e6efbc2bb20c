"""Schemas of event types over HTTP: writers read what their events have to fit; a key with the scope schema registers.

Each registration is another revision, which nobody changes.
"""

import json
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from audit.access import client
from audit.api.auth import writer_name
from audit.api.base import ApiView, members, parameters
from audit.api.openapi import schemas as openapi
from audit.errors import Invalid
from audit.formats import event
from audit.formats.times import timestamp_text
from audit.ingest.trail import Where
from audit.models import EventSchema
from audit.schemas.register import holding, register, revisions

# What the store calls otherwise than the members of the call.
CALLED = {"document": "schema", "event_version": "version"}
MEMBERS = ("event_type", "version", "mode", "reason", "schema")


class SchemasApi(ApiView):
    scopes: ClassVar = {"GET": ("write", "read", "schema"), "POST": "schema"}


class SchemasView(SchemasApi):
    """What holds of each type, and another revision of one."""

    @extend_schema(**openapi.GET_SCHEMAS)
    def get(self, request: Request) -> Response:
        newest = holding()
        return Response({"schemas": [_shown(row) for row in newest], "total": len(newest)})

    @extend_schema(**openapi.POST_SCHEMA)
    def post(self, request: Request) -> Response:
        asked = _asked(request.data)
        where = Where("service", address=client.address(request))
        text = json.dumps(asked["schema"], ensure_ascii=False) if "schema" in asked else None
        named = {"mode": asked["mode"], "reason": asked["reason"]}
        by = writer_name(request)
        try:
            row = register(text, asked["event_type"], asked.get("version", ""), **named, by=by, where=where)
        except Invalid as error:
            raise Invalid({CALLED.get(name, name): text for name, text in error.errors.items()}) from None
        return Response(_shown(row) | {"schema": row.document}, status=201)


class RevisionsView(SchemasApi):
    """The revisions of the schema of a type, the newest first."""

    @extend_schema(**openapi.GET_REVISIONS)
    def get(self, request: Request, event_type: str) -> Response:
        rows = list(_named(request, event_type))
        if not rows:
            raise NotFound(_absent(event_type))
        return Response({"schemas": [_shown(row) for row in rows], "total": len(rows)})


class RevisionView(SchemasApi):
    """One revision, with the schema itself."""

    @extend_schema(**openapi.GET_REVISION)
    def get(self, request: Request, event_type: str, revision: int) -> Response:
        row = _named(request, event_type).filter(revision=revision).first()
        if row is None:
            raise NotFound(_absent(event_type))
        return Response(_shown(row) | {"schema": row.document})


def _named(request: Request, event_type: str) -> QuerySet[EventSchema]:
    """The revisions of the schema that a request names. Raises `NotFound` for what names none."""
    version = parameters(request).get("version", "")
    if not event.is_type(event_type) or dict(event.text_faults("version", version)):
        raise NotFound(_absent(event_type))
    return revisions(event_type, version)


def _shown(row: EventSchema) -> dict[str, Any]:
    return {
        "event_type": row.event_type,
        "version": row.event_version,
        "revision": row.revision,
        "mode": row.mode,
        "reason": row.reason,
        "made_by": row.made_by,
        "made_at": timestamp_text(row.made_at),
    }


def _absent(event_type: str) -> str:
    return f"There is no such schema of {event_type[:100]}: GET schemas lists them; `version` is part of the name."


def _asked(document: Any) -> dict[str, Any]:
    """The document, all text but the schema. Raises `Invalid`."""
    given, errors = members(document, MEMBERS)
    texts = {"version": ""} | given
    for name in MEMBERS[:-1]:
        if not isinstance(value := texts.get(name), str) or "\x00" in value:
            errors[name] = "is text without U+0000" if name == "version" else "is required: text without U+0000"
    if errors:
        raise Invalid(errors)
    return given
