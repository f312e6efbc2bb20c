"""Verify every signed head: its signature, number and time; and what anchor and witnesses have of the log."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from django.db.models import Q

from audit.errors import LogDamaged
from audit.formats import note
from audit.formats.note import NoteError
from audit.ledger import anchor, crosslinks, reader, witnesses
from audit.ledger import keys as ledger_keys
from audit.ledger.crosslinks import Link
from audit.ledger.keys import Keys
from audit.ledger.verify import young
from audit.ledger.verify.result import RunReport, Verdict
from audit.models import Checkpoint

CHUNK = 500
# A count of a run, which is no name of a finding.
TORN = "torn checkpoints of the anchor"
CLOCK_SLACK_S = 2.0


class Head(NamedTuple):
    """A root that was signed for the first `size` leaves."""

    size: int
    root: bytes
    kind: Verdict | None  # what it means when the leaves do not lead there; None where its root means nothing
    subject: str
    name: str
    number: int | None = None  # of a checkpoint
    place: str = ""  # of a checkpoint of the anchor
    # What it adds to the counts of the run once the tree has come past it.
    counts: tuple[tuple[str, int], ...] = ()


def checkpoints(
    report: RunReport, keys: Keys, links: list[Link], last: int, using: str, *, at_end: bool
) -> Iterator[Head]:
    """Yield the checkpoints from where the run is up to size `last` in their order, each checked by itself on the way.

    Those of one size may be millions: no more than CHUNK are in memory, and the next are read when they are asked for.
    `at_end` says that the log ends at `last`.
    """
    after, before = _place(report, using)
    # Past a part of the log the later ones are left out by their numbers: to leave out each by its size reads them all.
    covered = Q(size__lte=last) if at_end else Q(number__lte=_newest_number(last, using))
    size = report.run.position
    while rows := list(Checkpoint.objects.using(using).filter(covered, number__gt=after).order_by("number")[:CHUNK]):
        cosigned = _check_cosignatures(report, rows, reader.cosignatures([row.number for row in rows], using))
        for row in rows:
            _check_order(report, before, row, after)
            kind = _check_signature(report, keys, links, row, using)
            size = size if kind is None else row.size
            name, counts = f"checkpoint {row.number}", (("checkpoints", 1), ("cosignatures", cosigned[row.number]))
            yield Head(size, bytes(row.root), kind, "checkpoint", name, row.number, counts=counts)
            before, after = row, row.number


def check_head(report: RunReport, keys: Keys, head: Checkpoint, using: str) -> None:
    """Check a head by itself: one that is no checkpoint yet as well."""
    cosigned = _check_cosignatures(report, [head], reader.cosignatures_of(head, using))
    report.count("cosignatures", cosigned[head.number])
    report.count("checkpoints")
    _check_signature(report, keys, cross_links(report, keys, using), head, using)


def cross_links(report: RunReport, keys: Keys, using: str) -> list[Link]:
    """The cross-links under which the log went on after restores; a finding where one cannot be believed."""
    # A store that was restored from before a resume has the name of then, whatever key is here.
    report.own_name = _own_name(report, reader.head(using), keys)
    try:
        links = crosslinks.read(keys, using)
    except LogDamaged as error:
        report.find(Verdict.FORKED, "cross-link", str(error))
        return []
    if links:
        report.counts["cross-links"] = len(links)  # they are read again where the log was resumed meanwhile
    for link in links:
        lost = sum(max(head.size - link.says.restored.size, 0) for head in link.says.known)
        report.leave_out(
            f"The log was restored at {link.says.restored.size} leaves and goes on as {link.says.continues.name}, by a "
            f"cross-link of {link.says.at:%Y-%m-%d %H:%M}Z: {lost} leaves that had been signed after those are gone."
        )
    return links


def _own_name(report: RunReport, head: Checkpoint | None, keys: Keys) -> str:
    """The name of the newest head; a finding, and that of the key, where its note cannot be read."""
    try:
        return crosslinks.own_name(head, keys)
    except LogDamaged as error:
        report.find(Verdict.FORKED, "checkpoint", str(error), index=None if head is None else head.number)
        return keys.origin


def _verified(text: str, keys: Keys) -> tuple[str, list[note.Attestation]]:
    """Verify a note of the log. A run takes hours: a key that it does not know may sign since. Raises `NoteError`."""
    try:
        return note.verify(text, keys.all_verifiers)
    except note.UnknownKey:
        return note.verify(text, ledger_keys.load().all_verifiers)


def anchored(
    report: RunReport, keys: Keys, links: list[Link], first: int, last: int, using: str, *, newest_only: bool
) -> Iterator[Head]:
    """Yield the anchored checkpoints of sizes first .. last that are signed by the log, from where the run is.

    Between them are heads without a meaning, for the run to move its place past what is torn or of other sizes.
    """
    if not anchor.has_anchor():
        report.leave_out("No anchor is configured: a log rewritten with its own key would not show here.", "anchor")
    for name in anchor.empty_anchors():
        _check_empty(report, name, using)
    # Lines need not be in order: what comes after the run's place may be of a smaller size than the leaf that it is at.
    size, place = report.run.position, report.run.anchor_place
    first, torn, unread = report.run.first if place else first, [], 0
    for entry in anchor.newest_anchored(keys.origin) if newest_only else anchor.anchored(place):
        head = None if entry.note is None else _anchored_head(report, keys, links, entry.where, entry.note, first, last)
        if entry.note is None:
            torn.append(entry.where)
            yield Head(size, b"", None, "anchor", entry.where, place=entry.place, counts=((TORN, 1),))
        elif head is not None:
            size = head.size
            counted = (("anchored checkpoints", 1),)
            yield Head(size, head.root, Verdict.FORKED, "anchor", entry.where, place=entry.place, counts=counted)
        elif (unread := unread + 1) % CHUNK == 0:
            yield Head(size, b"", None, "anchor", entry.where, place=entry.place)
    if count := report.counts[TORN]:
        which = "first" if len(torn) == count else "among them"
        where = torn[0] if torn else "those of an earlier part of this run"
        report.leave_out(f"{count} checkpoints of the anchor are torn and were not compared: {which} {where}.")


def _check_empty(report: RunReport, name: str, using: str) -> None:
    """Check whether something should be in an anchor that has nothing."""
    if not Checkpoint.objects.using(using).exists():
        return
    if (age_s := young.first_checkpoint(using)) is None:
        detail = f"The anchor {name} is configured and has nothing: it was removed, or is not mounted."
        report.find(Verdict.MISSING, "anchor", detail)
    else:
        text = f"The anchor {name} has nothing yet: the first checkpoint is {age_s:.0f} s old, and not anchored yet."
        report.leave_out(text, "anchor")


def _anchored_head(
    report: RunReport, keys: Keys, links: list[Link], where: str, text: str, first: int, last: int
) -> note.TreeHead | None:
    """Return the head of an anchored note, where it is of these sizes and there is something to compare it with."""
    try:
        head = note.TreeHead.parse(note.split(text)[0])
        if not first <= head.size <= last:
            return None
        _, signed = _verified(text, keys)
    except note.UnknownKey as error:
        report.find(_verdict_of_unknown(keys, text), "anchor", f"{where}: {error}")
        return None
    except NoteError as error:
        report.find(Verdict.ALTERED, "anchor", f"{where}: {error}")
        return None
    return None if _is_cut_off(report, links, head, signed, "anchor", where) else head


def witnessed(report: RunReport, keys: Keys, links: list[Link], using: str) -> Iterator[Head]:
    """Yield the newest checkpoint that each configured witness has seen."""
    if not (configured := witnesses.witnesses()):
        report.leave_out("No witness is configured: a log rewritten with its own key would not show here.", "witness")
    for witness in configured:
        name = witness.verifier.name
        for origin in dict.fromkeys(verifier.name for verifier in keys.verifiers):
            try:
                text, signed = _verified(witnesses.latest_of(witness, origin), keys)
                head = note.TreeHead.parse(text)
            except witnesses.NothingSeen:
                if origin == keys.origin:
                    report.leave_out(_why_unseen(name, origin, using), "witness")
                continue
            except (OSError, NoteError) as error:
                report.leave_out(f"The witness {name} was not asked: {type(error).__name__}.", "witness")
                continue
            report.count("witnesses")
            if not _is_cut_off(report, links, head, signed, "witness", f"witness {name}"):
                yield Head(head.size, head.root, Verdict.FORKED, "witness", f"witness {name}")


def _why_unseen(name: str, origin: str, using: str) -> str:
    if (age_s := young.first_checkpoint(using)) is not None:
        return f"The witness {name} has seen nothing of {origin} yet: the first checkpoint is {age_s:.0f} s old."
    return f"The witness {name} has seen nothing of {origin}: it does not know its key, or was not asked yet."


def _is_cut_off(
    report: RunReport,
    links: list[Link],
    head: note.TreeHead,
    signed: list[note.Attestation],
    subject: str,
    where: str,
) -> bool:
    """Whether a head from outside is of leaves that a cross-link says are gone: there is nothing to compare it with.

    A finding where the link says less than was so: heads beyond those that it knew, or signed after it.
    """
    if (link := crosslinks.closing(head.origin, links)) is None:
        return False
    moments = [each.moment for each in signed if each.moment is not None and each.verifier.name == head.origin]
    if any(moment > link.says.at.timestamp() + CLOCK_SLACK_S for moment in moments):
        detail = f"{where} was signed as {head.origin} after that name was closed by a cross-link: there are two logs."
        report.find(Verdict.FORKED, subject, detail, index=head.size)
        return True
    if head.size <= link.says.restored.size:
        return False
    report.count("heads that a cross-link cut off")
    if head.size > crosslinks.last_of(head.origin, link):
        detail = f"{where} was signed over {head.size} records of {head.origin}, and the cross-link knew of less."
        report.find(Verdict.MISSING, subject, detail, index=head.size)
    return True


def _place(report: RunReport, using: str) -> tuple[int, Checkpoint | None]:
    """Return the number to begin after, and its checkpoint where the run has checked it.

    Without a saved place it begins with the newest one that ends where the range begins.
    """
    run = report.run
    if (saved := run.checkpoints_position) is not None:
        return saved, Checkpoint.objects.using(using).filter(number=saved).first()
    return -1 if run.position == 0 else _newest_number(run.position, using) - 1, None


def _newest_number(size: int, using: str) -> int:
    """Return the number of the newest checkpoint of at most this size; 0 where there is none."""
    row = Checkpoint.objects.using(using).filter(size__lte=size).order_by("-size", "-number").first()
    return 0 if row is None else row.number


def _check_order(report: RunReport, before: Checkpoint | None, row: Checkpoint, after: int) -> None:
    if row.number != after + 1:
        detail = f"The checkpoints {after + 1} to {row.number - 1} are gone."
        report.find(Verdict.MISSING, "checkpoint", detail, index=after + 1)
    if before is None:
        return
    if row.size < before.size:
        detail = f"Checkpoint {row.number} has {row.size} records, the one before {before.size}: the log shrank."
        report.find(Verdict.FORKED, "checkpoint", detail, index=row.number)
    silence = (row.created_at - before.created_at).total_seconds()
    report.counts["longest_silence_s"] = max(report.counts["longest_silence_s"], round(silence))


def _verdict_of_unknown(keys: Keys, text: str) -> Verdict:
    """A key of this log that is not known here may be new; a key of another log cannot be."""
    return Verdict.UNKNOWN if keys.is_ours(note.origin_of(text)) else Verdict.FORKED


def _check_signature(report: RunReport, keys: Keys, links: list[Link], row: Checkpoint, using: str) -> Verdict | None:
    """Check that the log signed this checkpoint, and that its columns say the same as its note.

    Returns what it means when the leaves do not lead to its root; None where its root means nothing.
    """
    try:
        text, signed = _verified(row.note, keys)
        head = note.TreeHead.parse(text)
    except note.UnknownKey as error:
        verdict = _verdict_of_unknown(keys, row.note)
        advice = " Add its public half to SEAL_PUBLIC_KEYS if it is one of yours." * (verdict is Verdict.UNKNOWN)
        report.find(verdict, "checkpoint", f"Checkpoint {row.number}: {error}.{advice}", index=row.number)
        return Verdict.FORKED if verdict is Verdict.UNKNOWN else None
    except NoteError as error:
        report.find(Verdict.FORKED, "checkpoint", f"Checkpoint {row.number}: {error}.", index=row.number)
        return None
    moments = [attestation.moment for attestation in signed if attestation.moment is not None]
    if crosslinks.origin_of(row.number, links, report.own_name) != head.origin:
        # The log may have been resumed since this run has read them, and have another key since, too.
        links[:] = cross_links(report, ledger_keys.load(), using)
    if head != note.TreeHead(crosslinks.origin_of(row.number, links, report.own_name), row.size, bytes(row.root)):
        detail = f"Checkpoint {row.number}: size, root or origin in the table are not the signed ones."
    elif not moments or any(abs(moment - row.created_at.timestamp()) > CLOCK_SLACK_S for moment in moments):
        detail = f"Checkpoint {row.number}: its time in the table is not the signed one."
    else:
        return Verdict.ALTERED
    report.find(Verdict.ALTERED, "checkpoint", detail, index=row.number)
    return None


def _check_cosignatures(
    report: RunReport, rows: list[Checkpoint], cosignatures: list[tuple[str, str, int]]
) -> Counter[int]:
    """Return how many cosignatures hold of each checkpoint, by its number."""
    verifiers = {(verifier.name, verifier.id): verifier for verifier in witnesses.verifiers()}
    names = {name for name, _ in verifiers}
    notes = {row.number: row.note for row in rows}
    hold: Counter[int] = Counter()
    for name, line, number in cosignatures:
        if name not in names:
            report.leave_out(f"Cosignatures of {name} were not checked: it is not in SEAL_WITNESSES.")
            continue
        try:
            cosigned = note.join(note.split(notes[number])[0], [line])
            (signature,) = note.split(cosigned)[1]
            if signature.name == name and (name, signature.id) not in verifiers:
                report.leave_out(
                    f"Cosignatures of {name} by the key {signature.id.hex()} were not checked: that key is not in "
                    "SEAL_WITNESSES. Add it as =KEY if it is the one of before."
                )
                continue
            note.verify(cosigned, verifiers.values())
            hold[number] += 1
        except (NoteError, ValueError) as error:
            detail = f"Checkpoint {number}, cosignature of {name}: {error}."
            report.find(Verdict.ALTERED, "cosignature", detail, index=number)
    return hold
