"""Benches and drills that need the history of git, which a clone of the tests has not."""

import subprocess

from tests.commands.conftest import environment
from tests.commands.named import ROOT


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command here, where git has the history."""
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
