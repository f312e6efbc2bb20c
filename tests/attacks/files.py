"""Somebody who can write where evidence lies outside the store: certificates, archives, backups, cross-links.

The table "What the files can do" in docs/attacks.md is made from TAMPERINGS. Each is judged by who would be deceived:
`verify.py` as auditors have it, `manage.py archive check`, `manage.py backup --check` and `restore secrets`.
"""

import contextlib
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.test import override_settings

from audit.errors import BackupFailed
from audit.formats import crosslink, note
from audit.formats.crosslink import CrossLink
from audit.formats.note import Signer, TreeHead
from audit.ledger import purged
from audit.recovery import safe
from audit.recovery.backup import back_up
from audit.recovery.backup_check import check_backup
from audit.retention import purge
from tests import servers
from tests.attacks.scene import Scene
from tests.audit.archive.conftest import archived, checked
from tests.audit.retention.conftest import BEN, aged, ago, approved, short
from tests.auditor import verify
from tests.servers import RECEIPT_KEY, SEAL_KEY

STRANGER = bytes(32)


@dataclass(frozen=True)
class Tampering:
    """What is done to a file, and what is said of it then."""

    name: str
    act: Callable[[Path], str]
    fate: str


# --- The certificate of a purge -------------------------------------------------------------------


def changed_certificate(folder: Path) -> str:
    text = _certificate()
    return _of_certificate(folder, text.replace('"records": 1', '"records": 2'))


def certificate_of_another_key(folder: Path) -> str:
    body, _ = note.split(_certificate())
    return _of_certificate(folder, note.join(body, [Signer(RECEIPT_KEY.name, STRANGER).sign(body)]))


def certificate_of_more(folder: Path) -> str:
    """Its ranges are in a file of their own: one more is put there."""
    text = _certificate()
    facts = purged.read(text)
    ranges = folder / "ranges"
    ranges.write_text("".join(f"{first} {last}\n" for first, last in [(3, 4), *facts["named"]]), encoding="utf-8")
    return _of_certificate(folder, text, "--ranges", str(ranges), "--leaf", "3")


def certificate_for_another_leaf(folder: Path) -> str:
    return _of_certificate(folder, _certificate(), "--leaf", "3")


def _certificate() -> str:
    """That of a purge of one record."""
    aged(ago(40), event_category=short())
    plan = approved()
    purge.run(plan, by=BEN)
    found = purge.certificate(plan)
    assert found is not None
    return str(found.event_data["note"])


def _of_certificate(folder: Path, text: str, *arguments: str) -> str:
    file = folder / "certificate.txt"
    file.write_text(text, encoding="utf-8")
    return _verified("purge", str(file), "--receipt-key", str(RECEIPT_KEY), *arguments)


# --- An archive ------------------------------------------------------------------------------------


def altered_volume(folder: Path) -> str:
    path = folder / "archive" / "volume-0001.zip"
    return _of_archive(folder, lambda: path.write_bytes(_flipped(path.read_bytes())))


def missing_volume(folder: Path) -> str:
    return _of_archive(folder, (folder / "archive" / "volume-0001.zip").unlink)


def index_of_another_key(folder: Path) -> str:
    return _of_archive(folder, lambda: _sign_index(folder / "archive", Signer(RECEIPT_KEY.name, STRANGER)))


def index_signed_anew(folder: Path) -> str:
    """As somebody could who has the key of receipts."""
    return _of_archive(folder, lambda: _sign_index(folder / "archive", RECEIPT_KEY))


def _of_archive(folder: Path, act: Callable[[], object]) -> str:
    archived(folder / "archive", 4)
    act()
    return str(checked(folder / "archive").verdict)


def _sign_index(archive: Path, signer: Signer) -> None:
    """Another index, of the same volumes, signed by a key."""
    document = json.loads((archive / "archive.json").read_bytes()) | {"created_by": "somebody else"}
    body = json.dumps(document, indent=2).encode()
    (archive / "archive.json").write_bytes(body)
    lines = (archive / "archive.txt").read_text(encoding="utf-8").split("\n")[:3]
    text = "\n".join([*lines, hashlib.sha256(body).hexdigest()]) + "\n"
    (archive / "archive.txt").write_text(note.join(text, [signer.sign(text)]), encoding="utf-8")


# --- A backup --------------------------------------------------------------------------------------


def altered_backup(folder: Path) -> str:
    made = _backup(folder)
    (made / "redis.rdb").write_bytes(b"REDIS0011" + b"forged")
    return _of_backup(made)


def backup_without_a_file(folder: Path) -> str:
    made = _backup(folder)
    (made / "postgres" / "pg_wal.tar").unlink()
    return _of_backup(made)


def backup_of_another_store(folder: Path) -> str:
    """Another manifest, signed by another key."""
    made = _backup(folder)
    text, _ = note.split((made / "manifest.txt").read_text(encoding="utf-8"))
    (made / "manifest.txt").write_text(note.join(text, [Signer(RECEIPT_KEY.name, STRANGER).sign(text)]))
    return _of_backup(made)


def keys_without_the_passphrase(folder: Path) -> str:
    phrase, other = folder / "phrase", folder / "other"
    phrase.write_text("correct horse battery staple", encoding="utf-8")
    other.write_text("wrong horse battery staple", encoding="utf-8")
    safe.close(folder / "safe.json", phrase)
    try:
        safe.open_safe(folder / "safe.json", other, folder / "keys")
    except BackupFailed:
        return "REFUSED"
    return "OPENED"


def _backup(folder: Path) -> Path:
    assert servers.postgres is not None
    with override_settings(DATABASE_BACKUP_URL=servers.postgres.url(), SEAL_ANCHOR_FILE=None, DLQ_SPOOL_DIR=None):
        return folder / back_up(folder, by="olga").name


def _of_backup(made: Path) -> str:
    try:
        _, faults = check_backup(made)
    except BackupFailed:
        return "REFUSED"
    return "NOT WHOLE" if faults else "WHOLE"


# --- A cross-link -----------------------------------------------------------------------------------


def cross_link_of_another_key(folder: Path) -> str:
    """Somebody says that the log goes on with their key."""
    new = Signer(f"{SEAL_KEY.name}/resumed-1", STRANGER)
    return _of_cross_link(folder, crosslink.sign(_link(new), Signer(SEAL_KEY.name, STRANGER), new))


def changed_cross_link(folder: Path) -> str:
    new = Signer(f"{SEAL_KEY.name}/resumed-1", STRANGER)
    signed = crosslink.sign(_link(new), SEAL_KEY, new)
    return _of_cross_link(folder, signed.replace("the disk burned", "a planned move"))


def cross_link_without_the_new_key(folder: Path) -> str:
    text = _link(Signer(f"{SEAL_KEY.name}/resumed-1", STRANGER)).text
    return _of_cross_link(folder, note.join(text, [SEAL_KEY.sign(text)]))


def _link(new: Signer) -> CrossLink:
    restored, known = (TreeHead(SEAL_KEY.name, size, bytes(32)) for size in (400, 600))
    return CrossLink(restored, (known,), new.verifier, datetime.now(UTC), "olga", "carla", "the disk burned")


def _of_cross_link(folder: Path, text: str) -> str:
    file = folder / "cross-links.txt"
    file.write_text(text, encoding="utf-8")
    return _verified("crosslink", str(file), "--key", str(SEAL_KEY))


# --- All of them ------------------------------------------------------------------------------------


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def _verified(*arguments: str) -> str:
    """What verify.py says at its end; where it cannot use what it is given, that."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        status = verify.main(list(arguments))
    last = printed.getvalue().strip().splitlines()[-1]
    return "CANNOT BE USED" if status == 2 else last.removeprefix("VERDICT: ")


TAMPERINGS = [
    Tampering("change a number in the certificate of a purge", changed_certificate, "ALTERED"),
    Tampering("sign a certificate with another key", certificate_of_another_key, "NOT COVERED"),
    Tampering("put a range more into the file of its ranges", certificate_of_more, "ALTERED"),
    Tampering("name a leaf that a certificate does not cover", certificate_for_another_leaf, "NOT COVERED"),
    Tampering("alter a volume of an archive", altered_volume, "ALTERED"),
    Tampering("take a volume of an archive away", missing_volume, "MISSING"),
    Tampering("write another index of an archive, with another key", index_of_another_key, "ALTERED"),
    Tampering("write another index of an archive, with the store's own key", index_signed_anew, "FORKED"),
    Tampering("alter Redis' file in a backup", altered_backup, "NOT WHOLE"),
    Tampering("take a file of a backup away", backup_without_a_file, "NOT WHOLE"),
    Tampering("sign a backup with another key", backup_of_another_store, "REFUSED"),
    Tampering("open the keys of a backup with another passphrase", keys_without_the_passphrase, "REFUSED"),
    Tampering("sign a cross-link with another key than that of before", cross_link_of_another_key, "CANNOT BE USED"),
    Tampering("change the reason of a cross-link", changed_cross_link, "CANNOT BE USED"),
    Tampering("name a key in a cross-link that did not sign it", cross_link_without_the_new_key, "CANNOT BE USED"),
]


def run_tampering(tampering: Tampering, scene: Scene, folder: Path) -> str:
    """Do it in a folder of its own, beside a copy of the store; return what was said of the file."""
    place = folder / f"tampering-{TAMPERINGS.index(tampering)}"
    place.mkdir()
    try:
        with scene.outside(), scene.fresh():
            return tampering.act(place)
    finally:
        shutil.rmtree(place)
