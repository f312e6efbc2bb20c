"""Nodes with a network of their own, all on one bridge; the links between them can be cut.

The whole of it lives in namespaces of the process that starts it (`python -m bench.failover` enters them first): when
that ends, the kernel takes processes, links and mounts away.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

BRIDGE = "hub0"
PREFIX = "10.9.0."
NETWORK = f"{PREFIX}0/24"
OUTSIDE = f"{PREFIX}62"
# Groups of neighbours, so that one rule cuts a node off from all of a group.
SERVERS, QUEUES, HOSTS = f"{PREFIX}0/28", f"{PREFIX}16/28", f"{PREFIX}32/28"
ENTERED = "AUDITSITE_FAILOVER_ENTERED"


def enter() -> None:
    """Start this program again in namespaces of its own, once. Raises `SystemExit` where that is not allowed."""
    if os.environ.get(ENTERED):
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", "name", BRIDGE, "type", "bridge")
        _run("ip", "link", "set", BRIDGE, "up")
        _run("ip", "addr", "add", f"{OUTSIDE}/24", "dev", BRIDGE)
        return
    if os.geteuid() != 0:
        raise SystemExit("make failover makes networks and mounts: run it as root, on a machine for tests.")
    spaces = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"]
    # A shell is the first process in there: it reaps orphans, and whoever looks for a killed PostgreSQL finds none.
    shell = ["sh", "-c", '"$@"; exit $?', "sh"]
    command = ["unshare", *spaces, *shell, sys.executable, "-m", "bench.failover", *sys.argv[1:]]
    os.execvpe(command[0], command, os.environ | {ENTERED: "1"})


class Node:
    """A place with an address of its own, in which programs run."""

    def __init__(self, name: str, number: int):
        self.name, self.address = name, f"{PREFIX}{number}"
        self._link = f"v-{name}"
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        own = Path("/proc/self/ns/net").readlink()
        while Path(f"/proc/{self._holder.pid}/ns/net").readlink() == own:
            time.sleep(0.01)
        peer = ("peer", "name", "eth0", "netns", str(self._holder.pid))
        _run("ip", "link", "add", "name", self._link, "type", "veth", *peer)
        _run("ip", "link", "set", self._link, "master", BRIDGE, "up")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")

    def run(self, *command: str) -> None:
        """Run a command here to its end. Raises `subprocess.CalledProcessError`."""
        _run(*self._inside(), *command)

    def start(
        self, command: list[str], log: Path, *, env: Mapping[str, str], user: str | None = None, cwd: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program here, in a session of its own, as a user."""
        own = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        with log.open("ab") as file:
            return self._popen([*self._inside(), *own, *command], file, env, cwd)

    def cut(self) -> None:
        """Take its link away: nothing reaches it, and it reaches nobody."""
        _run("ip", "link", "set", self._link, "down")

    def cut_from(self, group: str) -> None:
        """Swallow all between it and a group of neighbours."""
        self.run("iptables", "-I", "INPUT", "-s", group, "-j", "DROP")
        self.run("iptables", "-I", "OUTPUT", "-d", group, "-j", "DROP")

    def heal(self) -> None:
        """Undo what was cut."""
        _run("ip", "link", "set", self._link, "up")
        self.run("iptables", "-F")

    def _inside(self) -> list[str]:
        return ["nsenter", "--target", str(self._holder.pid), "--net"]

    @staticmethod
    def _popen(
        command: list[str], file: IO[bytes], env: Mapping[str, str], cwd: Path | None
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=dict(env), stdout=file, stderr=file, cwd=cwd, start_new_session=True)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
