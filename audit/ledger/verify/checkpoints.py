"""Verify every signed head: its signature, number and time; and what anchor and witnesses have of the log."""

from collections.abc import Iterator
from typing import NamedTuple

from django.db.models import Q

from audit.formats import note
from audit.formats.note import NoteError
from audit.ledger import anchor, reader, witnesses
from audit.ledger.keys import Keys
from audit.ledger.verify.result import RunReport, Verdict
from audit.models import Checkpoint

CHUNK = 500
CLOCK_SLACK_S = 2.0


class Head(NamedTuple):
    """A root that was signed for the first `size` leaves."""

    size: int
    root: bytes
    kind: Verdict | None  # what it means when the leaves do not lead there; None where its root means nothing
    subject: str
    name: str
    number: int | None = None  # of a checkpoint


def checkpoints(report: RunReport, keys: Keys, last: int, using: str, *, at_end: bool) -> Iterator[Head]:
    """Yield the checkpoints from where the run is up to size `last` in their order, each checked by itself on the way.

    Those of one size may be millions: no more than CHUNK are in memory, and the next are read when they are asked for.
    `at_end` says that the log ends at `last`.
    """
    after, before = _place(report, using)
    # Past a part of the log the later ones are left out by their numbers: to leave out each by its size reads them all.
    covered = Q(size__lte=last) if at_end else Q(number__lte=_newest_number(last, using))
    size = report.run.position
    while rows := list(Checkpoint.objects.using(using).filter(covered, number__gt=after).order_by("number")[:CHUNK]):
        _check_cosignatures(report, rows, using)
        for row in rows:
            _check_order(report, before, row, after)
            kind = _check_signature(report, keys, row)
            size = size if kind is None else row.size
            yield Head(size, bytes(row.root), kind, "checkpoint", f"checkpoint {row.number}", row.number)
            before, after = row, row.number


def check_head(report: RunReport, keys: Keys, head: Checkpoint, using: str) -> None:
    """Check a head by itself: one that is no checkpoint yet as well."""
    _check_cosignatures(report, [head], using)
    report.count("checkpoints")
    _check_signature(report, keys, head)


def anchored(report: RunReport, keys: Keys, first: int, last: int, *, newest_only: bool) -> Iterator[Head]:
    """Yield the anchored checkpoints of sizes first .. last that are signed by the log."""
    if not anchor.has_anchor():
        report.leave_out("No anchor is configured: a log rewritten with its own key would not show here.", "anchor")
    for name in anchor.empty_anchors():
        detail = f"The anchor {name} is configured and has nothing: it was removed, or is not mounted."
        if Checkpoint.objects.exists():
            report.find(Verdict.MISSING, "anchor", detail)
    torn: list[str] = []
    for entry in anchor.newest_anchored() if newest_only else anchor.anchored():
        if entry.note is None:
            torn.append(entry.where)
            continue
        try:
            head = note.TreeHead.parse(note.split(entry.note)[0])
            if not first <= head.size <= last:
                continue
            note.verify(entry.note, keys.all_verifiers)
        except note.UnknownKey as error:
            report.find(_verdict_of_unknown(keys, entry.note), "anchor", f"{entry.where}: {error}")
            continue
        except NoteError as error:
            report.find(Verdict.ALTERED, "anchor", f"{entry.where}: {error}")
            continue
        report.count("anchored checkpoints")
        yield Head(head.size, head.root, Verdict.FORKED, "anchor", entry.where)
    if torn:
        report.leave_out(f"{len(torn)} checkpoints of the anchor are torn and were not compared: first {torn[0]}.")


def witnessed(report: RunReport, keys: Keys) -> Iterator[Head]:
    """Yield the newest checkpoint that each configured witness has seen."""
    if not (configured := witnesses.witnesses()):
        report.leave_out("No witness is configured: a log rewritten with its own key would not show here.", "witness")
    for witness in configured:
        name = witness.verifier.name
        try:
            text = witnesses.latest_of(witness, keys.origin)
            head = note.TreeHead.parse(note.verify(text, keys.all_verifiers)[0])
        except (OSError, NoteError) as error:
            report.leave_out(f"The witness {name} was not asked: {type(error).__name__}.", "witness")
            continue
        report.count("witnesses")
        yield Head(head.size, head.root, Verdict.FORKED, "witness", f"witness {name}")


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
    return Verdict.UNKNOWN if note.origin_of(text) == keys.origin else Verdict.FORKED


def _check_signature(report: RunReport, keys: Keys, row: Checkpoint) -> Verdict | None:
    """Check that the log signed this checkpoint, and that its columns say the same as its note.

    Returns what it means when the leaves do not lead to its root; None where its root means nothing.
    """
    try:
        text, signed = note.verify(row.note, keys.all_verifiers)
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
    if head != note.TreeHead(keys.origin, row.size, bytes(row.root)):
        detail = f"Checkpoint {row.number}: size, root or origin in the table are not the signed ones."
    elif not moments or any(abs(moment - row.created_at.timestamp()) > CLOCK_SLACK_S for moment in moments):
        detail = f"Checkpoint {row.number}: its time in the table is not the signed one."
    else:
        return Verdict.ALTERED
    report.find(Verdict.ALTERED, "checkpoint", detail, index=row.number)
    return None


def _check_cosignatures(report: RunReport, rows: list[Checkpoint], using: str) -> None:
    verifiers = {witness.verifier.name: witness.verifier for witness in witnesses.witnesses()}
    notes = {row.number: row.note for row in rows}
    for name, line, number in reader.cosignatures(list(notes), using):
        if name not in verifiers:
            report.leave_out(f"Cosignatures of {name} were not checked: it is not in SEAL_WITNESSES.")
            continue
        try:
            note.verify(note.join(note.split(notes[number])[0], [line]), [verifiers[name]])
            report.count("cosignatures")
        except NoteError as error:
            detail = f"Checkpoint {number}, cosignature of {name}: {error}."
            report.find(Verdict.ALTERED, "cosignature", detail, index=number)
