"""export: make an evidence bundle, a part at a time: begun, cut off and gone on with as one pleases.

All that is read is under the one checkpoint that the request found, so that it is the same whenever it is read. The
bundle has its name only when it is whole and its digest is in a record: what a kill leaves behind has none.
"""

import hashlib
import shutil
from datetime import UTC, datetime, timedelta
from typing import Any, Unpack

import structlog
from django.db.models import Q

from audit.errors import Invalid
from audit.evidence import build, record_lines, request, resumable_zip
from audit.evidence.download import Piece
from audit.evidence.request import Asker, Wanted
from audit.ledger import reader
from audit.models import Checkpoint, Export

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 5
ABANDONED = timedelta(minutes=2)


def ask(asker: Asker, **wanted: Unpack[Wanted]) -> Export:
    """Begin a bundle of the records that match a query, or of a range of the log. None of them is read yet.

    Raises `ExportsOff`, `NotSealed`, `Invalid` for what cannot be asked, `NothingKept`.
    """
    build.folder()
    now, head = datetime.now(UTC), _head(wanted)
    export = Export(
        requested_by=asker.name, by_service=asker.by_service, sight=asker.sight, requested_at=now, updated_at=now
    )
    export.checkpoint, export.size = head.number, head.size
    request.fill(export, wanted)
    if export.unredacted and not asker.may_unredacted:
        raise Invalid({"unredacted": "needs a right of its own: ask an officer for it, or leave this out"})
    if whose(asker).filter(ended_at=None).count() >= MOST_AT_ONCE:
        raise Invalid({"q": f"{MOST_AT_ONCE} bundles of yours are being made already: wait for one, or cancel it"})
    facts = {"query": export.query or None, "size": export.size, "unredacted": export.unredacted or None}
    facts |= {"sample": export.sample, "seed": export.seed or None}
    rules = [rule["name"] for rule in export.redaction] or None
    request.record(
        "asked", export, asker, **facts, rules=rules, of_report=wanted.get("of_report"), **export.range_facts()
    )
    export.save(force_insert=True)
    return export


def _head(wanted: Wanted) -> Checkpoint:
    if "as_of" not in wanted:
        return reader.signed_head()
    return Checkpoint.objects.using("reader").get(number=wanted["as_of"])


def whose(asker: Asker) -> Any:
    """The bundles of the one who asks: nobody is given another's, who may have seen more."""
    return Export.objects.filter(requested_by=asker.name, by_service=asker.by_service)


def cancel(export: Export, asker: Asker) -> bool:
    """Stop the making; what is written stays for a resume until it expires. False where it has ended already."""
    if export.state not in Export.UNDER_WAY:
        return False
    request.record("cancelled", export, asker)
    now = datetime.now(UTC)
    return bool(
        export.while_under_way().update(state="cancelled", updated_at=now, ended_at=now, expires_at=Export.expiry(now))
    )


def resume(export: Export, asker: Asker) -> bool:
    """Let it be gone on with after a cancel or a failure. False where there is nothing to go on with."""
    if export.state not in ("cancelled", "failed"):
        return False
    request.record("resumed", export, asker)
    found = Export.objects.filter(pk=export.pk, state=export.state)
    changed = {"state": "pending", "updated_at": datetime.now(UTC), "ended_at": None, "expires_at": None, "error": ""}
    return bool(found.update(**changed))


def fetch(export: Export, asker: Asker, name: str) -> Piece:
    """The zip of a bundle that is ready, or a file in it; that it is fetched is recorded first.

    Raises `NothingKept`, `Invalid`, and `KeyError` where it has no such file.
    """
    path = build.folder() / export.name
    if export.state != "ready" or not path.is_file():
        raise Invalid({"export_id": f"this bundle is {export.state}: only one that is ready can be fetched"})
    if record_lines.sight_of(export) != tuple(asker.sight):
        raise Invalid({"export_id": "what you may see has changed since this bundle was made: make another"})
    if export.unredacted and not asker.may_unredacted:
        raise Invalid({"export_id": "this bundle is not redacted, and you may not have that any more: make another"})
    whole = name == export.name
    offset, length = (0, path.stat().st_size) if whole else resumable_zip.place(path, name)
    request.record("fetched", export, asker, file=name, digest=export.digest)
    tag = export.digest if whole else hashlib.sha256(f"{export.digest} {name}".encode()).hexdigest()
    return Piece(path, name, offset, length, tag)


def left() -> Export | None:
    """A bundle that nobody is making, the longest left alone: it waits for a worker, or the one it had is gone."""
    stale = Q(state="running", updated_at__lt=datetime.now(UTC) - ABANDONED)
    return Export.objects.filter(Q(state="pending") | stale).order_by("updated_at").first()


def drop_expired() -> int:
    """Remove what is kept no longer; return how many bundles that were."""
    found = list(Export.objects.filter(expires_at__lt=datetime.now(UTC)).exclude(state="expired"))
    for export in found:
        (build.folder() / export.name).unlink(missing_ok=True)
        shutil.rmtree(build.work_folder(export), ignore_errors=True)
        build.lock_file(build.work_folder(export)).unlink(missing_ok=True)
        Export.objects.filter(pk=export.pk).update(state="expired", updated_at=datetime.now(UTC))
    return len(found)
