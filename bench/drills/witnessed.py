"""A witness as somebody else runs it, and the line for SEAL_WITNESSES that says where it is."""

import subprocess
import sys
from collections.abc import Iterable

from bench.fleet import ROOT, Fleet
from bench.ports import free_port


class Witnessed:
    """The process of a witness, which keeps what it has seen in a folder of its own."""

    def __init__(self, fleet: Fleet, *, folder: str = "witness", name: str = "witness.example/w"):
        """`folder`, below the fleet's own, holds its key and what it has seen."""
        self._fleet = fleet
        self._state = fleet.folder / folder
        self._name = name
        self._address = f"127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None
        # The public key that it cosigns with, once it has begun.
        self.key = ""

    @property
    def line(self) -> str:
        """What SEAL_WITNESSES has of it."""
        return f"http://{self._address}={self.key}"

    def start(self, logs: Iterable[str]) -> None:
        """Begin, or begin again, with these public keys of the log: its operator tells it of new ones."""
        told = [argument for key in logs for argument in ("--log", key)]
        base = [sys.executable, "manage.py", "witness", "--state", str(self._state), "--name", self._name, *told]
        shown = subprocess.run(
            [*base, "--show-key"], cwd=ROOT, env=self._fleet.env, capture_output=True, text=True, check=True
        )
        self.key = shown.stdout.strip()
        with (self._fleet.folder / "witness.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*base, "--listen", self._address], cwd=ROOT, env=self._fleet.env, stdout=log, stderr=log
            )

    def stop(self) -> None:
        """End; what it has seen stays."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=20)
            self._process = None
