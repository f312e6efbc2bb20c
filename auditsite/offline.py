"""Run a tool that reads the settings but needs no server: `python -m auditsite.offline mypy`."""

import os
import subprocess
import sys
from pathlib import Path

from audit.formats.note import Signer

NOWHERE = {
    "DATABASE_URL": "postgresql://audit_app@/none",
    "DATABASE_OWNER_URL": "postgresql://audit_owner@/none",
    "DATABASE_READER_URL": "postgresql://audit_reader@/none",
    "REDIS_URL": "redis://127.0.0.1:1",
    "SECRET_KEY": "offline",
    "SEAL_KEY": Signer("offline.invalid/log", bytes(32)).encode(),
    "RECEIPT_KEY": Signer("offline.invalid/log/receipts", bytes(32)).encode(),
    # makemigrations says that it cannot compare with the database's history; there is none here.
    "PYTHONWARNINGS": "ignore:Got an error checking a consistent migration history:RuntimeWarning",
}


def main(command: list[str]) -> int:
    """Run the command from this environment's programs."""
    here = Path(sys.executable).parent
    return subprocess.run([str(here / command[0]), *command[1:]], env=os.environ | NOWHERE).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
