"""Archives of a log that was resumed under another name are proved, of before and of after, each by its keys."""

from pathlib import Path
from typing import Any

from audit.archive import create
from audit.archive.span import read_span
from audit.formats.note import Signer
from tests.attacks.scene import Scene
from tests.audit.archive.conftest import archived, checked
from tests.audit.evidence.conftest import ME
from tests.audit.ledger.conftest import go_on, key_files, restored
from tests.servers import RECEIPT_KEY, SEAL_KEY

__all__ = ["key_files", "restored"]


def test_archives_of_both_names_are_verified(restored: Scene, settings: Any, tmp_path: Path) -> None:
    settings.SEAL_WITNESSES = []
    before = tmp_path / "before"
    create.resume(create.create(ME, before, read_span("0", "10")), ME)
    name = go_on().continues.name
    assert name != SEAL_KEY.name
    rotated = Signer(f"{name}/receipts", bytes(32))  # as `manage.py receiptkey rotate` does
    settings.RECEIPT_KEY, settings.RECEIPT_PUBLIC_KEYS = rotated.encode(), f"{rotated}\n{RECEIPT_KEY}"
    archived(tmp_path / "after", 4)
    for folder in (before, tmp_path / "after"):
        result = checked(folder)
        assert (result.verdict, result.faults) == ("VERIFIED", []), folder
