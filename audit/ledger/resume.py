"""resume: let the log of a restored store go on, under a signed cross-link: never by hand, and never forked.

1. `request`: somebody says why. What anchor and witnesses have is gathered, and kept with the request.
2. `decide`: a second person approves. Until then the sealer refuses to sign.
3. `resume`: where the private key is. A new name and a new key; the cross-link, signed by both keys, and a head of the
   same leaves under the new name are written in one transaction; then the new key signs, and the anchor gets the link.

The new name is what keeps the promise of a log: the one of before has leaves outside that can never be here again, and
so no tree of that name is signed any more. Safe to be killed anywhere, and to run again.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import connections, transaction

from audit import metrics
from audit.errors import KeyMissing, ResumeRefused
from audit.formats import crosslink, note
from audit.formats.crosslink import CrossLink
from audit.formats.note import AnySigner, Signer, TreeHead
from audit.ingest import trail
from audit.ledger import anchor, crosslinks, heads, outside, reader
from audit.ledger import keys as ledger_keys
from audit.ledger.seal import sign_head, signed_edge
from audit.models import OWN_WRITER, Checkpoint, LogResume, Record
from audit.postgres import sql

log = structlog.get_logger(__name__)

CORRELATION = "log-resume"
APPROVED, DECLINED = "approved", "declined"
LOCK = "SELECT pg_advisory_xact_lock(hashtext('audit_seal'))"


class NotYours(ResumeRefused):
    """Whoever asked that the log go on cannot approve it: a second person has to."""


def waiting() -> LogResume | None:
    """The request that is not decided, or approved and not carried out yet."""
    return LogResume.objects.filter(resumed_at=None).exclude(decision=DECLINED).first()


def request(reason: str, *, by: str) -> LogResume:
    """Ask that the log go on from where it was restored.

    Raises `ResumeRefused` where nothing outside is ahead of the log, or a request is open; `LogDamaged` where the log
    in the database is not what was signed; `NothingKept`.
    """
    if waiting() is not None:
        raise ResumeRefused("A request is open already: have it decided first.")
    restored, known, conflicts = _state()
    if not conflicts:
        raise ResumeRefused("Nothing that anchor or witnesses have is ahead of the log: the sealer may go on as it is.")
    facts: dict[str, Any] = {
        "restored": _named(restored),
        "known": [[*_named(each.head), each.where] for each in known.heads],
        "unasked": known.unasked,
    }
    _link(restored, known.heads, Signer("unsigned", bytes(32)), reason, by, by).text  # noqa: B018  refuses bad texts
    trail.add("audit.log.resume_asked", actor=by, correlation=CORRELATION, reason=reason, conflicts=conflicts, **facts)
    return LogResume.objects.create(reason=reason, asked_by=by, asked_at=datetime.now(UTC), **facts)


def decide(row: LogResume, *, approve: bool, by: str) -> None:
    """Approve or decline, once and for good. Raises `NotYours`, `ResumeRefused`, `NothingKept`."""
    if by == row.asked_by:
        raise NotYours
    decision = APPROVED if approve else DECLINED
    with transaction.atomic():
        row = LogResume.objects.select_for_update().get(pk=row.pk)
        if row.decision:
            raise ResumeRefused(f"It is {row.decision} already, by {row.decided_by}.")
        facts = {"asked_by": row.asked_by, "reason": row.reason, "restored": row.restored, "known": row.known}
        trail.add(f"audit.log.resume_{decision}", actor=by, correlation=CORRELATION, **facts)
        row.decision, row.decided_by, row.decided_at = decision, by, datetime.now(UTC)
        row.save(update_fields=["decision", "decided_by", "decided_at"])


def resume() -> tuple[LogResume, str]:
    """Carry an approved request out; return it with the cross-link, a signed note.

    Raises `ResumeRefused` where none is approved, or more is known outside than it knew; `KeyMissing` without the file
    of the private key; `LogDamaged`, `NothingKept`, database errors and, for the anchor and the key, `OSError`.
    """
    row = waiting()
    if row is None or row.decision != APPROVED:
        raise ResumeRefused(
            "No request is approved: `manage.py log resume --reason ...` asks, a second person approves."
        )
    _refuse_alone(row)
    path = settings.SEAL_KEY_FILE
    old = ledger_keys.load().signer
    if path is None or old is None:
        raise KeyMissing("The log goes on with a new key: run this where SEAL_KEY_FILE is, and can be replaced.")
    public = settings.SEAL_PUBLIC_KEYS_FILE or ledger_keys.public_path(path)
    signed, checkpoint = _sign(row, path, public, old)
    says = crosslink.CrossLink.parse(note.split(signed)[0])
    if ledger_keys.load().origin != says.continues.name:
        new = ledger_keys.prepare(path, public, old, says.continues.name)
        if new.verifier != says.continues:
            raise ResumeRefused(
                f"{path}.next is not the key that the cross-link names: {says.continues}. Put that there."
            )
        ledger_keys.replace(path, public, new)
    anchor.anchor_crosslink(signed, checkpoint.number)
    anchor.anchor(checkpoint, reader.full_note(checkpoint, "default"))
    trail.add(
        "audit.log.resumed",
        actor=row.asked_by,
        correlation=CORRELATION,
        approved_by=row.decided_by,
        restored=row.restored,
        known=row.known,
        continues=str(says.continues),
        crosslink=signed,
    )
    LogResume.objects.filter(pk=row.pk).update(resumed_at=datetime.now(UTC))
    metrics.resumed.inc()
    log.warning("log_resumed", restored=says.restored.size, continues=says.continues.name)
    return row, signed


def _sign(row: LogResume, path: Path, public: Path, old: AnySigner) -> tuple[str, Checkpoint]:
    """Write the cross-link and the first head under the new name; return those of a run that was killed, too."""
    keys = ledger_keys.load()
    done = [link for link in crosslinks.read(keys, "default") if _is_of(link.says, row)]
    if done:
        return done[0].note, Checkpoint.objects.using("default").get(number=done[0].checkpoint)
    restored, known, conflicts = _state()
    if not conflicts or _named(restored) != row.restored:
        raise ResumeRefused("The log is not where it was when this was asked: decline it, and ask again.")
    _refuse_more(row, known)
    unused = ledger_keys.prepared(path)  # of a run that was killed before it signed, perhaps
    had = [each for each in keys.verifiers if unused is None or each != unused.verifier]
    origins = {verifier.name for verifier in had} | {origin for origin, *_ in row.known}
    new = ledger_keys.prepare(path, public, old, crosslink.following(origins))
    link = _link(restored, known.heads, new, row.reason, row.asked_by, row.decided_by)
    signed = crosslink.sign(link, old, new)
    with transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.execute(LOCK)
        heads.keep()
        before = reader.head("default")
        edge = signed_edge(before, keys)
        if before is None or edge.size != restored.size:
            raise ResumeRefused("Another sealer has signed meanwhile: ask again.")
        checkpoint = sign_head(cursor, before, edge, new, keep=True)
        sql.run(
            "INSERT INTO audit_crosslink (checkpoint, note, created_at) VALUES (%s, %s, %s)",
            [checkpoint.number, signed, link.at],
        )
    return signed, checkpoint


def _state() -> tuple[TreeHead, outside.Known, list[str]]:
    """The head in the database, what is known outside of each name, and what of it conflicts. Raises `LogDamaged`."""
    keys = ledger_keys.load()
    head = reader.head("default")
    if head is None:
        raise ResumeRefused("Nothing is signed in this database: restore a backup that has a checkpoint.")
    signed_edge(head, keys)
    known = outside.everything(keys)
    restored = TreeHead(crosslinks.own_name(head, keys), head.size, bytes(head.root))
    links = crosslinks.read(keys, "default")
    # Names that an earlier cross-link has ended, and knew enough of, are told there.
    told = [link.says.closes(each.head.origin) for each in known.heads for link in links]
    ended = {head.origin: head.size for head in told if head is not None}
    open_heads = [each for each in known.heads if each.head.size > ended.get(each.head.origin, -1)]
    return restored, known._replace(heads=open_heads), outside.conflicts(known, head, keys, "default")


def _refuse_alone(row: LogResume) -> None:
    """Rows of requests can be changed by whoever has taken over the application; records of an approval cannot."""
    if row.decided_by in ("", row.asked_by):
        raise NotYours
    approved = Record.objects.filter(writer=OWN_WRITER, event_type="audit.log.resume_approved", actor_id=row.decided_by)
    about = {"asked_by": row.asked_by, "reason": row.reason, "restored": row.restored}
    if not approved.filter(correlation_id=CORRELATION, event_data__contains=about).exists():
        raise ResumeRefused(
            f"No record says that {row.decided_by} has approved this: where the queue has it, drain it first; "
            "else somebody wrote into the database, so tell your security officer."
        )


def _refuse_more(row: LogResume, known: outside.Known) -> None:
    """Nobody approved what is not in the request."""
    approved = {origin: size for origin, size, *_ in row.known}
    for each in known.heads:
        if each.head.size > approved.get(each.head.origin, -1):
            raise ResumeRefused(
                f"{each.where} has {each.head.size} records of {each.head.origin}, more than was known when this was "
                "asked: decline it, and ask again."
            )
    if len(known.unasked) > len(row.unasked):
        raise ResumeRefused(f"{known.unasked[0]} does not answer, and did when this was asked: run this again.")


def _link(
    restored: TreeHead, known: list[outside.Outside], new: AnySigner, reason: str, asked_by: str, approved_by: str
) -> CrossLink:
    return CrossLink(
        restored=restored,
        known=tuple(sorted((each.head for each in known), key=lambda head: head.origin)),
        continues=new.verifier,
        at=datetime.now(UTC),
        asked_by=asked_by,
        approved_by=approved_by,
        reason=reason,
    )


def _named(head: TreeHead) -> list[Any]:
    return [head.origin, head.size, note.encode64(head.root)]


def _is_of(says: CrossLink, row: LogResume) -> bool:
    same = (says.asked_by, says.approved_by, says.reason) == (row.asked_by, row.decided_by, row.reason)
    return same and _named(says.restored) == row.restored


def links() -> list[crosslinks.Link]:
    """The cross-links under which the log went on so far. Raises `LogDamaged`."""
    return crosslinks.read(ledger_keys.load())
