"""Another commit's site, with its own code and the libraries it asks for, on servers of its own."""

import subprocess
import sys
from pathlib import Path

from bench.environment import python_with
from bench.fleet import ROOT, Fleet
from bench.ingest.machine import commit
from bench.ingest.scene import Site

PINNED = "requirements/dev.txt"


def start(name: str, folder: Path) -> Site:
    """Unpack a commit into the folder, install what it needs where that differs from ours, and have it serve.

    Raises `ValueError` where git does not know the commit.
    """
    unpack(name, folder)
    fleet = Fleet(root=folder, python=python_of(folder), drainers=0)
    try:
        fleet.start()
        return Site(fleet, fleet.new_writer())
    except BaseException:
        fleet.stop()
        raise


def unpack(name: str, folder: Path) -> None:
    """The files of a commit, and nothing of git's: no work tree is left behind if this process is killed.

    Raises `ValueError` where git does not know the commit.
    """
    if not commit(name):
        raise ValueError(f"git knows no commit {name!r} here: name one of `git log`, in a clone with its history.")
    archive = subprocess.run(["git", "archive", "--format=tar", name], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)


def python_of(folder: Path) -> str:
    """The Python that runs an unpacked commit: ours, or where it pins other libraries, the one that has those."""
    pinned = (folder / PINNED).read_bytes()
    return sys.executable if pinned == (ROOT / PINNED).read_bytes() else python_with(pinned)
