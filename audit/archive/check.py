"""check: prove an archive against the log: its index, each volume, and that nothing lacks or is there too much.

Each volume is verified by `verify.py`, the program that auditors have, in a process of its own: this says of a volume
what they will read. The checkpoint is compared with the root to which the leaves of the store lead.
"""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from django.db import transaction

from audit.archive import index, keeping, volumes
from audit.archive.create import Progress
from audit.archive.folder import Target
from audit.archive.index import Index, IndexFault
from audit.archive.places import Place, target_of
from audit.errors import ArchiveUnusable, LogDamaged
from audit.evidence.manifest import VERIFIER
from audit.evidence.request import Requester, record_act
from audit.formats import note
from audit.formats.note import NoteError, TreeHead, Verifier
from audit.ledger import keys, reader
from audit.ledger.verify.result import Verdict
from audit.models import Archive, ArchiveCheck, ArchiveVolume

# A volume of a gigabyte takes two minutes on a slow machine.
VERIFY_TIMEOUT_S = 3_600
KNOWN_FILES = {index.INDEX, index.SIGNATURE}
# What the verdict of a line of verify.py stands before, and of what it cannot use.
UNUSABLE = "cannot be used: "
# What the record of a check names.
FAULTS_RECORDED, FAULT_CHARACTERS = 20, 300


class Fault(NamedTuple):
    """What is wrong with an archive, and how bad that is."""

    kind: Verdict
    text: str

    def __str__(self) -> str:
        return f"{self.kind}  {self.text}"


def check(
    requester: Requester, place: Place, number: int | None = None, progress: Progress | None = None
) -> ArchiveCheck:
    """Prove the archive in a place, or the volume of this number alone; keep what it said, and record it.

    Raises `ArchiveUnusable` where the place has no archive of this log that is whole, or no volume of this number;
    `KeyMissing`, `NothingKept`, and what the database raises.
    """
    target, started_at = target_of(place), datetime.now(UTC)
    archive, signed, faults = _open(target)
    wanted = [volume for volume in _named(archive, signed) if number in (None, volume.number)]
    if number is not None and not wanted:
        raise ArchiveUnusable(f"The archive has no volume {number}: it has {len(_named(archive, signed))}.")
    faults += _faults_of_files(target, _named(archive, signed)) if number is None else []
    proved = 0
    for of_volume, records in _volumes_checked(target, wanted, signed, progress or (lambda done, total: None)):
        faults += of_volume
        proved += records
    kept = keeping.look(target, [*sorted(KNOWN_FILES), *(volume.name for volume in wanted)])
    faults += [Fault(Verdict.NOT_COVERED, f"{text}, and ARCHIVE_LOCK_REQUIRED asks for it") for text in kept.unlocked]
    result = ArchiveCheck(archive=archive, volume=number, folder=str(target), volumes=len(wanted), records=proved)
    result.requested_by, result.started_at, result.notes = requester.name, started_at, kept.notes
    return _kept(result, faults, requester)


def _kept(result: ArchiveCheck, faults: list[Fault], requester: Requester) -> ArchiveCheck:
    """Record what a check found, and keep it."""
    verdict = min((fault.kind for fault in faults), key=list(Verdict).index, default=Verdict.VERIFIED)
    result.verdict, result.ended_at = verdict, datetime.now(UTC)
    result.faults = [str(fault) for fault in faults[: ArchiveCheck.MOST_NAMED]]
    result.notes = result.notes[: ArchiveCheck.MOST_NAMED]
    record_act(
        "checked",
        result.archive,
        requester,
        outcome="success" if verdict is Verdict.VERIFIED else "failure",
        verdict=verdict,
        volume=result.volume,
        volumes=result.volumes,
        records=result.records,
        folder=result.folder,
        faults=len(faults) or None,
        named=[text[:FAULT_CHARACTERS] for text in result.faults[:FAULTS_RECORDED]] or None,
        notes=[text[:FAULT_CHARACTERS] for text in result.notes[:FAULTS_RECORDED]] or None,
    )
    result.save(force_insert=True)
    return result


def _volumes_checked(
    target: Target, wanted: list[ArchiveVolume], signed: Index | None, tell: Progress
) -> Iterator[tuple[list[Fault], int]]:
    """Yield what is wrong with each volume, and how many records of it are proved; tell how far this is."""
    done, total = 0, sum(volume.last - volume.first for volume in wanted)
    tell(done, total)
    for volume in wanted:
        yield _volume_checked(target, volume, signed)
        done += volume.last - volume.first
        tell(done, total)


def _open(target: Target) -> tuple[Archive, Index | None, list[Fault]]:
    """Find out which archive this is, and read its index where that holds. Raises `ArchiveUnusable`."""
    archive = _known(target)
    if archive is not None and archive.is_under_way:
        raise ArchiveUnusable(f"The archive in {target} is not whole: run `manage.py archive create` for it again.")
    try:
        signed = index.read(target)
    except IndexFault as error:
        if archive is None:
            raise ArchiveUnusable(f"{target} holds no archive that this store knows: {error}.") from None
        return archive, None, [Fault(Verdict(error.kind), f"{error}{_index_still_holding(target, archive)}")]
    if archive is None:
        return _adopt(target, signed), signed, _faults_of_log(signed)
    faults = _faults_of_log(signed)
    if archive.digest != signed.digest:
        text = f"{index.INDEX} is signed, and is not the index that was recorded when the archive was created"
        faults.append(Fault(Verdict.FORKED, text))
    return archive, signed, faults


def _known(target: Target) -> Archive | None:
    """Return the row of the archive: by the id that its files claim, or else by the place that it was made in."""
    claimed = index.read_id(target)
    known = Archive.objects.filter(pk=claimed).first() if claimed else None
    return known or Archive.objects.filter(folder=str(target)).first()


@transaction.atomic
def _adopt(target: Target, signed: Index) -> Archive:
    """Make the rows of an archive that this store made and does not know any more: it was restored since."""
    document = signed.document
    archive = Archive(pk=signed.id, folder=str(target), first=signed.first, last=signed.last, state="ready")
    archive.checkpoint, archive.size, archive.digest = document["log"]["checkpoint"], signed.size, signed.digest
    archive.requested_by, archive.done = document["created_by"], signed.last - signed.first
    archive.bytes = sum(volume.bytes for volume in signed.volumes)
    archive.requested_at = datetime.fromisoformat(document["begun_at"])
    archive.updated_at = archive.ended_at = datetime.now(UTC)
    archive.save(force_insert=True)
    for volume in signed.volumes:
        volume.save(force_insert=True)
    return archive


def _named(archive: Archive, signed: Index | None) -> list[ArchiveVolume]:
    """Return the volumes that there should be: by the index, or by the store where the index does not hold."""
    return list(archive.volumes.all()) if signed is None else signed.volumes


def _faults_of_log(signed: Index) -> list[Fault]:
    """Compare the checkpoint of the index with the log of the store."""
    try:
        text, _ = note.verify(signed.note, keys.load().all_verifiers)
        head = TreeHead.parse(text)
    except NoteError as error:
        return [Fault(Verdict.ALTERED, f"the checkpoint in {index.INDEX} does not hold: {error}")]
    if (head.size, head.root) != (signed.size, signed.root):
        return [Fault(Verdict.ALTERED, f"the checkpoint in {index.INDEX} has another root than the index names")]
    try:
        if reader.signed_size() < head.size:
            text = f"the log of the store has fewer leaves than the {head.size} of the checkpoint: was it restored?"
            return [Fault(Verdict.NOT_COVERED, text)]
        if reader.root(head.size) == head.root:
            return []
        text = f"the log of the store has another root at {head.size} leaves than the checkpoint of the archive"
    except LogDamaged as error:
        text = str(error)
    return [Fault(Verdict.FORKED, text)]


def _faults_of_files(target: Target, named: list[ArchiveVolume]) -> list[Fault]:
    """Name what is there and in no index."""
    strange = sorted(target.list().keys() - KNOWN_FILES - {volume.name for volume in named})
    return [Fault(Verdict.NOT_COVERED, f"{name} is there, and the index does not name it") for name in strange]


def _volume_checked(target: Target, volume: ArchiveVolume, signed: Index | None) -> tuple[list[Fault], int]:
    """Say what is wrong with a volume; or how many records it has: of leaves that were purged before, it has none."""
    try:
        with target.get(volume.name) as path:
            faults = list(faults_of_file(path, volume, signed))
            if not faults:
                return [], int(volumes.read_manifest(path)["records"])
    except FileNotFoundError:
        faults = [missing(volume)]
    still = keeping.still_holding(target, volume.name, lambda path: volumes.sha256(path) == volume.sha256)
    return [faults[0]._replace(text=faults[0].text + still), *faults[1:]], 0


def missing(volume: ArchiveVolume) -> Fault:
    return Fault(Verdict.MISSING, f"{volume.name} is missing: leaves {volume.first} to {volume.last - 1}")


def faults_of_file(path: Path, volume: ArchiveVolume, signed: Index | None) -> Iterator[Fault]:
    """Yield what is wrong with the file of a volume, by the index, and with its bundle, by verify.py."""
    name = volume.name
    if path.stat().st_size != volume.bytes or volumes.sha256(path) != volume.sha256:
        yield Fault(Verdict.ALTERED, f"{name} was changed: its SHA-256 is not the one that the index names")
        for inner in volumes.damaged(path):
            yield Fault(Verdict.ALTERED, f"{name}: {inner} is damaged")
    elif signed is not None:
        yield from _faults_of_place(path, volume, signed)
    for fault in _verified(path):
        yield Fault(fault.kind, f"{name}: {fault.text}")


def _index_still_holding(target: Target, archive: Archive) -> str:
    """Name the versions of the index and of its signature that hold, where they are not those on top."""
    told = [
        (index.INDEX, keeping.still_holding(target, index.INDEX, lambda path: volumes.sha256(path) == archive.digest)),
        (index.SIGNATURE, keeping.still_holding(target, index.SIGNATURE, lambda path: index.signs(path, archive))),
    ]
    return "".join(f"; {name}{still.replace(';', ':', 1)}" for name, still in told if still)


def _faults_of_place(path: Path, volume: ArchiveVolume, signed: Index) -> Iterator[Fault]:
    """Say where a volume is of other leaves, or of another checkpoint, than the index names."""
    manifest = volumes.read_manifest(path)
    log = manifest["log"]
    if manifest["range"] != {"first": volume.first, "last": volume.last} or manifest["redaction"]:
        yield Fault(Verdict.ALTERED, f"{volume.name} is not the range that the index names, whole")
    if log["size"] != signed.size or log["root"] != signed.document["log"]["root"]:
        yield Fault(Verdict.ALTERED, f"{volume.name} is proved against another checkpoint than the index names")


def _verified(path: Path) -> list[Fault]:
    """Return what verify.py says is wrong with the bundle of a volume, as it says it."""
    given = [("--key", str(key)) for key in _keys_of(path)]
    given += [("--receipt-key", str(key)) for key in keys.receipts().verifiers]
    command = [sys.executable, str(VERIFIER), "evidence", str(path), *(word for pair in given for word in pair)]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=VERIFY_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return [Fault(Verdict.NOT_COVERED, f"verify.py did not end within {VERIFY_TIMEOUT_S} s")]
    if run.returncode == 0 and run.stdout.endswith(f"VERDICT: {Verdict.VERIFIED}\n"):
        return []
    said = [line for line in f"{run.stdout}\n{run.stderr}".splitlines() if line.strip()]
    faults = [Fault(kind, line.removeprefix(kind).strip()) for line in said if (kind := _kind(line)) is not None]
    return faults or [Fault(Verdict.ALTERED, said[-1] if said else f"verify.py ended with {run.returncode}")]


def _keys_of(path: Path) -> list[Verifier]:
    """Return the keys of the log that a bundle names: verify.py takes those of one, and a resumed log has two names."""
    known = keys.load()
    try:
        origin = volumes.read_manifest(path)["log"]["origin"]
    except (*volumes.UNREADABLE, TypeError):
        origin = known.origin
    return [key for key in known.verifiers if key.name == origin] or list(known.verifiers[:1])


def _kind(line: str) -> Verdict | None:
    """Return the verdict that begins a line of verify.py which names a fault."""
    if line.startswith(UNUSABLE):
        return Verdict.ALTERED
    return next(
        (kind for kind in (Verdict.ALTERED, Verdict.FORKED, Verdict.NOT_COVERED) if line.startswith(kind)), None
    )
