"""export: request, cancel, reopen, fetch and expire evidence bundles.

Everything in a bundle is read under the one checkpoint that its request found, so it is the same whenever it is read.
"""

import hashlib
from datetime import UTC, datetime
from typing import Unpack

from django.conf import settings
from django.db.models import QuerySet

from audit.errors import Invalid
from audit.evidence import build, resumable_zip, room
from audit.evidence.download import FileSlice
from audit.evidence.request import ExportRequest, Requester, fill, record_act, refuse_unredacted
from audit.ledger import heads
from audit.models import Checkpoint, Export

# Bundles of one requester that may be under way at once.
MAX_UNDER_WAY = 5


def request(requester: Requester, **wanted: Unpack[ExportRequest]) -> Export:
    """Begin a bundle of the records that match a query, or of a range of the log. No record is read yet.

    Raises `ExportsOff`, `NotSealed`, `Invalid`, `NothingKept`.
    """
    build.folder()
    now, checkpoint = datetime.now(UTC), _checkpoint(wanted)
    export = Export(requested_by=requester.name, by_service=requester.by_service, sight=requester.sight)
    export.requested_at = export.updated_at = now
    export.checkpoint, export.size = checkpoint.number, checkpoint.size
    fill(export, wanted)
    refuse_unredacted(requester, export.unredacted)
    _refuse_too_many(requester, "q")
    facts = {"query": export.query or None, "size": export.size, "unredacted": export.unredacted or None}
    facts |= {"sample": export.sample, "seed": export.seed or None, **export.range_facts()}
    rules = [rule["name"] for rule in export.redaction] or None
    record_act("asked", export, requester, **facts, rules=rules, of_report=wanted.get("of_report"))
    export.save(force_insert=True)
    return export


def _refuse_too_many(requester: Requester, field: str) -> None:
    """Bundles are bounded by how many are made at once, of one requester and of all, and by the disk that they take.

    Raises `Invalid`, at this member of the request.
    """
    if requested_by(requester).filter(ended_at=None).count() >= MAX_UNDER_WAY:
        raise Invalid({field: f"{MAX_UNDER_WAY} bundles of yours are being made already: wait for one, or cancel it"})
    if Export.objects.filter(ended_at=None).count() >= settings.EXPORT_AT_ONCE:
        raise Invalid({field: f"{settings.EXPORT_AT_ONCE} bundles are being made already (EXPORT_AT_ONCE): try later"})
    if lacking := room.lacking(build.folder()):
        raise Invalid({field: lacking})


def _checkpoint(wanted: ExportRequest) -> Checkpoint:
    if "as_of" not in wanted:
        return heads.give_out()
    return Checkpoint.objects.using("reader").get(number=wanted["as_of"])


def requested_by(requester: Requester) -> QuerySet[Export]:
    """The requester's own bundles: nobody gets another's, which may hold more than they may see."""
    return Export.objects.filter(requested_by=requester.name, by_service=requester.by_service)


def cancel(export: Export, requester: Requester) -> bool:
    """Stop the build; what is written stays until it expires, for a reopen. False where it has ended already."""
    if not export.is_under_way:
        return False
    record_act("cancelled", export, requester)
    return export.end("cancelled")


def reopen(export: Export, requester: Requester) -> bool:
    """Queue a cancelled or failed bundle again, within the bounds of a new one. False in any other state.

    Raises `Invalid`, `ExportsOff`, `NothingKept`.
    """
    if export.state not in ("cancelled", "failed"):
        return False
    _refuse_too_many(requester, "export_id")
    record_act("resumed", export, requester)
    rows = Export.objects.filter(pk=export.pk, state=export.state)
    return bool(rows.update(state="pending", updated_at=datetime.now(UTC), ended_at=None, expires_at=None, error=""))


def fetch(export: Export, requester: Requester, name: str) -> FileSlice:
    """The zip of a ready bundle, or a file in it. The fetch is recorded first.

    Raises `NothingKept`, `Invalid`, and `KeyError` where the bundle has no such file.
    """
    path = build.folder() / export.name
    if export.state != "ready" or not path.is_file():
        raise Invalid({"export_id": f"this bundle is {export.state}: only one that is ready can be fetched"})
    if export.scopes() != tuple(requester.sight):
        raise Invalid({"export_id": "what you may see has changed since this bundle was made: make another"})
    if export.unredacted and not requester.may_unredacted:
        raise Invalid({"export_id": "this bundle is not redacted, and you may not have that any more: make another"})
    is_zip = name == export.name
    offset, length = (0, path.stat().st_size) if is_zip else resumable_zip.locate(path, name)
    record_act("fetched", export, requester, file=name, digest=export.digest)
    etag = export.digest if is_zip else hashlib.sha256(f"{export.digest} {name}".encode()).hexdigest()
    return FileSlice(path, name, offset, length, etag)


def remove_expired() -> int:
    """Remove the bundles whose time is over; return how many."""
    expired = list(Export.objects.filter(expires_at__lt=datetime.now(UTC)).exclude(state="expired"))
    for export in expired:
        build.remove(export)
        Export.objects.filter(pk=export.pk).update(state="expired", updated_at=datetime.now(UTC))
    return len(expired)
