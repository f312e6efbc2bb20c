"""Virtual environments of their own for what is measured beside this commit: another commit, and the peers."""

import hashlib
import os
import subprocess
import sys
import venv

from bench.fleet import ROOT

KEPT = ROOT / ".local" / "environments"


def python_with(pinned: bytes) -> str:
    """The Python of a virtual environment with these hash-pinned requirements, made when it is first asked for.

    Raises `RuntimeError` with the words of pip.
    """
    folder = KEPT / f"{sys.version_info.major}.{sys.version_info.minor}-{hashlib.sha256(pinned).hexdigest()[:12]}"
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        venv.create(folder, clear=True, with_pip=True)
        (folder / "requirements.txt").write_bytes(pinned)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        done = subprocess.run([*pip, "-r", str(folder / "requirements.txt")], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"pip could not install {folder / 'requirements.txt'}:\n{done.stderr[-2000:]}")
        ready.touch()
        # Hundreds of megabytes: until the disk has them, each commit that is measured would wait for them.
        os.sync()
    return str(python)
