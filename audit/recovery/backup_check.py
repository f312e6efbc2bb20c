"""check_backup: say whether a backup is whole, as it was signed: before it is restored, and now and then."""

import hashlib
import json
from pathlib import Path
from typing import Any

from audit.errors import BackupFailed
from audit.formats import note
from audit.ledger import keys
from audit.recovery.backup import FORMAT, measure


def check_backup(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the manifest, and what does not fit it. Raises `BackupFailed` where no key of ours signed it."""
    try:
        body = (folder / "manifest.json").read_bytes()
        text, _ = note.verify((folder / "manifest.txt").read_text(encoding="utf-8"), keys.receipts().verifiers)
        manifest: dict[str, Any] = json.loads(body)
    except (OSError, note.NoteError, ValueError) as error:
        raise BackupFailed(f"{folder} is no backup that a key of this store signed: {error}.") from None
    kind, _origin, name, digest = (*text.split("\n"), "", "", "")[:4]
    if (kind, name, digest) != (FORMAT, manifest.get("name"), hashlib.sha256(body).hexdigest()):
        raise BackupFailed(f"{folder}/manifest.json is not the one that was signed.")
    faults = []
    for file, facts in manifest["files"].items():
        path = folder / file
        if not path.is_file():
            faults.append(f"{file} is gone")
        elif measure(path) != facts:
            faults.append(f"{file} is not what it was")
    return manifest, faults
