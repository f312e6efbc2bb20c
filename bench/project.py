"""A Django project that knows nothing of the site, under gunicorn: what is measured beside us, or calls us."""

import os
import subprocess
from pathlib import Path

from bench.environment import python_with
from bench.fleet import ROOT, answers
from bench.load import wait_until

PINNED = ROOT / "requirements" / "peers.txt"
QUIET = ("--verbosity", "0")


class Project:
    """A project with libraries of its own, installed when it is first asked for. Raises `RuntimeError`."""

    def __init__(self, package: str, **environ: str):
        self._python = python_with(PINNED.read_bytes())
        self._package = package
        own = {"DJANGO_SETTINGS_MODULE": f"{package}.settings", "PYTHONPATH": str(ROOT)}
        self._env = os.environ | own | environ

    def make_tables(self) -> None:
        """Make its tables. Raises `RuntimeError`."""
        # What refers to tables of Django's comes after them, and triggers after their tables.
        for command in (("migrate", *QUIET), ("migrate", "--run-syncdb", *QUIET), ("pgtrigger", "install")):
            self.manage(*command)

    def manage(self, *command: str) -> None:
        """Run a command of Django's. Raises `RuntimeError` with the end of what it said."""
        django = [self._python, "-m", "django", *command]
        done = subprocess.run(django, cwd=ROOT, env=self._env, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{self._package}: `{command[0]}` failed:\n{done.stderr[-2000:]}")

    def serve(self, port: int, log: Path, *, workers: int, threads: int, **environ: str) -> subprocess.Popen[bytes]:
        """Start gunicorn at a loopback port; returns when it answers."""
        command = [str(Path(self._python).parent / "gunicorn"), f"{self._package}.wsgi", "--worker-class", "gthread"]
        command += ["--workers", str(workers), "--threads", str(threads)]
        command += ["--bind", f"127.0.0.1:{port}", "--log-level", "warning"]
        with log.open("ab") as file:
            process = subprocess.Popen(command, cwd=ROOT, env=self._env | environ, stdout=file, stderr=file)
        wait_until(lambda: answers(port), seconds=60, what=f"{self._package}, whose log is {log}")
        return process
