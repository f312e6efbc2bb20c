"""The project as a user has it: a clone with its `.venv`, and a site that `make run` serves from it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from bench.ports import free_port
from tests import servers
from tests.commands.named import ROOT

# Bytecode is copied: a user has it from the second `make` on, and the first one spends a fifth of a minute on it.
LEFT_OUT = (".venv", ".local", ".git", "secrets", ".hypothesis", ".*_cache")
# What the test session sets for itself; a user's shell has none of it.
OF_TESTS = (
    "DATABASE",
    "REDIS",
    "CACHE_",
    "QUEUE_",
    "SEAL_",
    "RECEIPT_",
    "EXPORT_",
    "RECORD_",
    "DLQ_",
    "PYTEST",
    "DJANGO_",
)
OF_TESTS += ("RUN_ENV", "SECRET_KEY", "SECURE_COOKIES", "STATIC_", "DEBUG", "LOG_LEVEL", "COV_", "MAKE", "MFLAGS")


def environment(**more: str) -> dict[str, str]:
    """What a user's shell has."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OF_TESTS)}
    return kept | {"COLUMNS": "100"} | more


@dataclass
class Clone:
    """A copy of the project in a folder of its own."""

    folder: Path

    def run(
        self, *command: str, given: str | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it, standard error with standard output."""
        pipe, out = subprocess.PIPE, subprocess.STDOUT
        environ = environment(**(env or {}))
        return subprocess.run(command, cwd=self.folder, input=given, env=environ, stdout=pipe, stderr=out, text=True)

    def make(self, target: str, *variables: str) -> subprocess.CompletedProcess[str]:
        """Run a target; the environment is ready, so nothing is installed."""
        return self.run("make", "--no-print-directory", "-o", ".venv/ready", target, *variables)


@dataclass
class Site:
    """A `make run`, and what it said when it served."""

    clone: Clone
    process: subprocess.Popen[str]
    greeting: str

    def stop(self) -> str:
        """Ctrl-C; return what was said after the greeting."""
        os.killpg(self.process.pid, signal.SIGINT)
        said, _ = self.process.communicate(timeout=120)
        return said


@pytest.fixture(scope="session")
def clone() -> Iterator[Clone]:
    """One for all tests of this folder."""
    folder = servers.open_folder() / "auditsite"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (folder / ".venv").symlink_to(sys.prefix)
    yield Clone(folder)
    shutil.rmtree(folder.parent, ignore_errors=True)


@pytest.fixture
def site(clone: Clone) -> Iterator[Site]:
    """Served until the test ends."""
    process = subprocess.Popen(
        ["make", "--no-print-directory", "-o", ".venv/ready", "run"],
        cwd=clone.folder,
        env=environment(PORT=str(free_port()), PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        yield Site(clone, process, _greeting(process.stdout))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=120)


def _greeting(printed: IO[str]) -> str:
    said = ""
    for line in printed:
        said += line
        if "Ctrl-C stops everything" in line:
            return said
    raise AssertionError(f"`make run` ended before it served:\n{said}")
