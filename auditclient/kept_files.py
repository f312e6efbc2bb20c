"""What is kept for people, a file a day: events that can never be stored, with the reason, and the store's receipts."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

REJECTED, RECEIPTS = "rejected", "receipts"


def reject(folder: Path, body: bytes, reason: str) -> None:
    """Keep an event with the reason why the store will never take it: on the disk when it returns. Raises `OSError`."""
    row = {"at": _now().isoformat(), "reason": reason}
    try:
        row["event"] = json.loads(body)
    except ValueError:
        row["raw"] = body.decode(errors="backslashreplace")
    _append(folder / REJECTED, "ndjson", json.dumps(row, ensure_ascii=False).encode() + b"\n", sync=True)


def keep_receipt(folder: Path, receipt: str) -> None:
    """Keep a receipt. Raises `OSError`."""
    _append(folder / RECEIPTS, "txt", receipt.encode(), sync=False)


def rejected(folder: Path) -> Iterator[str]:
    """Yield the lines of all rejected events, the oldest first."""
    for path in sorted((folder / REJECTED).glob("*.ndjson")):
        with path.open(encoding="utf-8") as lines:
            yield from lines


def receipts(folder: Path) -> Iterator[str]:
    """Yield the texts of all receipts, the oldest first."""
    for path in sorted((folder / RECEIPTS).glob("*.txt")):
        kept: list[str] = []
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if line == "auditsite/receipt/v1\n" and kept:
                    yield "".join(kept)
                    kept.clear()
                kept.append(line)
        if kept:
            yield "".join(kept)


def _now() -> datetime:
    return datetime.now(UTC)


def _append(folder: Path, suffix: str, data: bytes, *, sync: bool) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{_now():%Y-%m-%d}.{suffix}"
    # One write to a file that is only appended to: processes that share it do not mix their lines.
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(f"{path} took a part only")
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
