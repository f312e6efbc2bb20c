"""export: make an evidence bundle, a part at a time: begun, cut off and gone on with as one pleases.

All that is read is under the one checkpoint that the request found, so that it is the same whenever it is read. The
bundle has its name only when it is whole and its digest is in a record: what a kill leaves behind has none.
"""

import fcntl
import hashlib
import json
import shutil
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import structlog
from django.conf import settings
from django.db import OperationalError
from django.db.models import Q

from audit import visibility
from audit.errors import ExportsOff, KeyMissing, LogDamaged
from audit.evidence import manifest as bundle_manifest
from audit.evidence import record_lines, redaction, request, resumable_zip, volumes
from audit.evidence.download import Piece
from audit.evidence.request import Wanted
from audit.formats import grammar, sampling
from audit.formats.event import Invalid
from audit.ingest import trail
from audit.ingest.trail import Where
from audit.ledger import reader
from audit.models import OWN_WRITER, Checkpoint, Export
from audit.search import cost

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 5
ABANDONED = timedelta(minutes=2)
SAVED_S = 0.5
"""How often one who makes a bundle says so, and hears that it is cancelled; at each whole volume besides."""
Progress = Callable[[int, int | None], None]
"""Told how many records are written, of how many."""


class Stopped(Exception):
    """The export is cancelled, or the time is up."""


class Asker(NamedTuple):
    """Who asks, and what he may see."""

    name: str
    by_service: bool = False
    sight: visibility.Sight = visibility.EVERYTHING
    address: str | None = None
    may_unredacted: bool = False


def ask(asker: Asker, **wanted: Unpack[Wanted]) -> Export:
    """Begin a bundle of the records that match a query, or of a range of the log. None of them is read yet.

    Raises `ExportsOff`, `NotSealed`, `Invalid` for what cannot be asked, `NothingKept`.
    """
    _folder()
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
    _record("asked", export, asker, **facts, rules=rules, of_report=wanted.get("of_report"), **_range(export))
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
    _record("cancelled", export, asker)
    now = datetime.now(UTC)
    return bool(_under_way(export).update(state="cancelled", updated_at=now, ended_at=now, expires_at=_expiry(now)))


def resume(export: Export, asker: Asker) -> bool:
    """Let it be gone on with after a cancel or a failure. False where there is nothing to go on with."""
    if export.state not in ("cancelled", "failed"):
        return False
    _record("resumed", export, asker)
    found = Export.objects.filter(pk=export.pk, state=export.state)
    changed = {"state": "pending", "updated_at": datetime.now(UTC), "ended_at": None, "expires_at": None, "error": ""}
    return bool(found.update(**changed))


def fetch(export: Export, asker: Asker, name: str) -> Piece:
    """The zip of a bundle that is ready, or a file in it; that it is fetched is recorded first.

    Raises `NothingKept`, `Invalid`, and `KeyError` where it has no such file.
    """
    path = _folder() / export.name
    if export.state != "ready" or not path.is_file():
        raise Invalid({"export_id": f"this bundle is {export.state}: only one that is ready can be fetched"})
    if record_lines.sight_of(export) != tuple(asker.sight):
        raise Invalid({"export_id": "what you may see has changed since this bundle was made: make another"})
    if export.unredacted and not asker.may_unredacted:
        raise Invalid({"export_id": "this bundle is not redacted, and you may not have that any more: make another"})
    whole = name == export.name
    offset, length = (0, path.stat().st_size) if whole else resumable_zip.place(path, name)
    _record("fetched", export, asker, file=name, digest=export.digest)
    tag = export.digest if whole else hashlib.sha256(f"{export.digest} {name}".encode()).hexdigest()
    return Piece(path, name, offset, length, tag)


def go_on(export: Export, *, seconds: float | None = None, progress: Progress | None = None) -> Export:
    """Make what can be made of the bundle in so many seconds. Another process that is at it is left alone.

    Raises what the database raises, and `NothingKept`; it can be gone on with then.
    """
    ends = None if seconds is None else time.monotonic() + seconds
    work = _work(export)
    with _alone(work) as mine:
        export.refresh_from_db()
        if not mine or export.state not in Export.UNDER_WAY:
            return export
        try:
            _save(export, state="running")
            _make(export, work, ends, progress or (lambda done, total: None))
        except Stopped:
            pass
        except (OSError, LogDamaged, KeyMissing) as error:
            _fail(
                export, f"The folder cannot be written: {error.strerror}." if isinstance(error, OSError) else str(error)
            )
        except OperationalError as error:
            if not cost.was_stopped(error):
                raise
            _fail(export, f"Finding the records takes longer than {record_lines.FIND_S} s: narrow the query by time.")
    export.refresh_from_db()
    return export


def left() -> Export | None:
    """A bundle that nobody is making, the longest left alone: it waits for a worker, or the one it had is gone."""
    stale = Q(state="running", updated_at__lt=datetime.now(UTC) - ABANDONED)
    return Export.objects.filter(Q(state="pending") | stale).order_by("updated_at").first()


def drop_expired() -> int:
    """Remove what is kept no longer; return how many bundles that were."""
    found = list(Export.objects.filter(expires_at__lt=datetime.now(UTC)).exclude(state="expired"))
    for export in found:
        (_folder() / export.name).unlink(missing_ok=True)
        shutil.rmtree(_work(export), ignore_errors=True)
        _lock(_work(export)).unlink(missing_ok=True)
        Export.objects.filter(pk=export.pk).update(state="expired", updated_at=datetime.now(UTC))
    return len(found)


def _make(export: Export, work: Path, ends: float | None, progress: Progress) -> None:
    if not export.is_whole and not (work / bundle_manifest.FOUND).exists():
        _find(export, work)
    if not resumable_zip.back(work / export.name, len(export.volumes)):
        _save(export, volumes=[], done=0, digest="", manifest=None)  # what was whole is lost: begun anew
        export.refresh_from_db()
        resumable_zip.back(work / export.name, 0)
    export.total = _total(export, work)
    with record_lines.Readers() as readers:
        writer = volumes.Writer(
            readers,
            work / export.name,
            size=export.size,
            with_csv=export.with_csv,
            redactor=redaction.redactor(export),
        )
        while export.done < export.total:
            _stop_if_late(ends)
            _write_volume(export, work, writer, progress)
    _stop_if_late(ends)
    _finish(export, work)


def _write_volume(export: Export, work: Path, writer: volumes.Writer, progress: Progress) -> None:
    indexes, before, saved_at = _indexes(export, work), export.done, time.monotonic()

    def tell(written: int) -> None:
        nonlocal saved_at
        progress(before + written, export.total)
        if time.monotonic() - saved_at > SAVED_S:
            _save(export)
            saved_at = time.monotonic()

    facts = writer.write(len(export.volumes) + 1, indexes, tell)
    export.volumes, export.done = [*export.volumes, facts], before + len(indexes)
    _save(export, volumes=export.volumes, done=export.done, total=export.total)


def _find(export: Export, work: Path) -> None:
    """Write down which leaves match, or are drawn, eight bytes each: so many may match, memory stays flat."""
    parts = _drawn(export) if export.sample else record_lines.find(export, grammar.parse(export.query))
    found = (array("q", part).tobytes() for part in parts)
    fresh = work / f"{bundle_manifest.FOUND}.new"
    volumes.write_file(fresh, found)
    fresh.rename(work / bundle_manifest.FOUND)
    _save(export)


def _drawn(export: Export) -> Iterator[list[int]]:
    """The sample; of how many it is drawn is known after that."""
    indexes: Iterable[int] = range(export.first, export.last)
    if export.kind == "query":
        indexes = chain.from_iterable(record_lines.find(export, grammar.parse(export.query)))
    export.population = 0

    def counted() -> Iterator[int]:
        for export.population, index in enumerate(indexes, start=1):
            yield index

    yield sampling.draw(counted(), export.sample or 0, export.seed)
    _save(export, population=export.population)


def _total(export: Export, work: Path) -> int:
    return export.last - export.first if export.is_whole else (work / bundle_manifest.FOUND).stat().st_size // 8


def _indexes(export: Export, work: Path) -> volumes.Indexes:
    first = export.done
    last = min(first + settings.EXPORT_VOLUME, export.total or 0)
    if export.is_whole:
        return range(export.first + first, export.first + last)
    found = array("q")
    with (work / bundle_manifest.FOUND).open("rb") as file:
        file.seek(first * 8)
        found.fromfile(file, last - first)
    return found.tolist()


def _finish(export: Export, work: Path) -> None:
    """Everything else, then the record with the digest, then the name, and then only the word that it is ready."""
    if not export.digest:
        export.manifest, export.digest = bundle_manifest.write(export, work)
        _save(export, manifest=export.manifest, digest=export.digest)
    manifest: dict[str, Any] = json.loads((work / "manifest.json").read_bytes())
    whole = work / export.name
    bundle_manifest.pack(work, manifest, whole)
    _save(export)
    facts = {"digest": export.digest, "size": export.size, "records": export.done, **_range(export)}
    facts |= {"population": export.population}
    _record("made", export, Asker(OWN_WRITER, True), **facts)
    size = whole.stat().st_size
    whole.rename(_folder() / export.name)
    resumable_zip.sync(_folder())
    now = datetime.now(UTC)
    _save(export, state="ready", bytes=size, ended_at=now, expires_at=_expiry(now))
    shutil.rmtree(work, ignore_errors=True)


def _fail(export: Export, reason: str) -> None:
    log.error("export_failed", export=str(export.pk), reason=reason)
    now = datetime.now(UTC)
    _under_way(export).update(state="failed", error=reason, updated_at=now, ended_at=now, expires_at=_expiry(now))


def _record(act: str, export: Export, asker: Asker, **facts: Any) -> None:
    kind = "service" if asker.by_service else "user"
    where = Where(kind, "security", ("export", str(export.pk)), asker.address)
    trail.add(f"audit.export.{act}", where, actor=asker.name, correlation=f"export-{export.pk}", **facts)


def _range(export: Export) -> dict[str, Any]:
    found = {"first": export.first, "last": export.last, "received": export.received}
    return found if export.kind == "range" else {}


def _save(export: Export, **facts: Any) -> None:
    """Note how far it is. Raises `Stopped` where somebody has cancelled it meanwhile."""
    if not _under_way(export).update(updated_at=datetime.now(UTC), **facts):
        raise Stopped


def _under_way(export: Export) -> Any:
    return Export.objects.filter(pk=export.pk, state__in=Export.UNDER_WAY)


def _stop_if_late(ends: float | None) -> None:
    if ends is not None and time.monotonic() > ends:
        raise Stopped


def _expiry(now: datetime) -> datetime:
    return now + timedelta(days=settings.EXPORT_DAYS)


def _folder() -> Path:
    if settings.EXPORT_DIR is None:
        raise ExportsOff
    return Path(settings.EXPORT_DIR)


def _work(export: Export) -> Path:
    return _folder() / f"{export.pk}.partial"


def _lock(work: Path) -> Path:
    return work.with_suffix(".lock")


@contextmanager
def _alone(work: Path) -> Iterator[bool]:
    """Whether this process alone works here; the kernel forgets it with the process."""
    with _lock(work).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        work.mkdir(exist_ok=True)
        yield True
