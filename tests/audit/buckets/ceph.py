"""A real S3 server with versions and object locks: the gateway of Ceph, over a cluster of one monitor and one disk.

All of it is in one folder, the disk in memory, on loopback alone. Each process is on a leash and ends with us.
"""

import atexit
import os
import secrets
import shutil
import subprocess
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from audit.buckets.storage import Storage
from auditsite.embedded import Server
from bench.ports import free_port
from tests.servers import FOLDER

PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "ceph")
INSTALL = "no gateway of Ceph: apt-get install --no-install-recommends ceph-mon ceph-osd radosgw"
CONFIGURATION = """
[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
public_network = 127.0.0.0/8
mon_allow_pool_size_one = true
mon_data_avail_crit = 1
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
mon_warn_on_pool_no_redundancy = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
memstore_device_bytes = 2147483648
mon_data = {folder}/mon
osd_data = {folder}/osd
run_dir = {folder}
admin_socket = {folder}/$name.asok
pid_file =
log_file =
log_to_stderr = true
err_to_stderr = true
rgw_data = {folder}/gateway
rgw_enable_gc_threads = false
rgw_enable_lc_threads = false
rgw_enable_quota_threads = false
rgw_enable_usage_log = false
rgw_thread_pool_size = 16
keyring = {folder}/keyring
"""


def is_installed() -> bool:
    return all(shutil.which(program) for program in PROGRAMS)


class Daemon(Server):
    """A process of Ceph."""

    def __init__(self, data: Path, name: str, command: list[str], answers: Callable[[], bool]):
        self.name = name
        super().__init__(data, "none")
        self._with, self._is_up = command, answers

    def _command(self) -> list[str]:
        return self._with

    def _answers(self) -> bool:
        return self._is_up()


class Gateway:
    """The cluster and its gateway; `start` returns when buckets can be made."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.v1, self.v2, self.port = (free_port() for _ in range(3))
        self.access_key, self.secret_key = f"K{secrets.token_hex(8)}", secrets.token_hex(16)
        self._daemons: list[Daemon] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage(self) -> Storage:
        return Storage(
            endpoint=self.endpoint,
            access_key=self.access_key,
            secret_key=self.secret_key,
            addressing="path",
            timeout_s=20.0,
        )

    def start(self) -> None:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill all of it: there is nothing to keep."""
        for daemon in reversed(self._daemons):
            daemon.kill()
            daemon.stop()
        self._daemons = []
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        for name in ("mon", "osd", "gateway"):
            (self.folder / name).mkdir(parents=True)
        fsid, disk = str(uuid.uuid4()), str(uuid.uuid4())
        text = CONFIGURATION.format(fsid=fsid, folder=self.folder, v1=self.v1, v2=self.v2)
        (self.folder / "ceph.conf").write_text(text, encoding="utf-8")
        places = f"[v2:127.0.0.1:{self.v2},v1:127.0.0.1:{self.v1}]"
        map_file = str(self.folder / "monmap")
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", places, map_file)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", map_file)
        self._daemon("monitor", ["ceph-mon", "-f", "-i", "a"], lambda: self._tells("ceph", "mon", "stat"))
        self._run("ceph", "osd", "new", disk, "0")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        self._daemon("disk", ["ceph-osd", "-f", "-i", "0"], lambda: True)
        beast = f"--rgw-frontends=beast endpoint=127.0.0.1:{self.port}"
        self._daemon("gateway", ["radosgw", "-f", "-n", "client.gateway", beast], self._serves)
        given = ("--access-key", self.access_key, "--secret-key", self.secret_key)
        self._run("radosgw-admin", "user", "create", "--uid", "tests", "--display-name", "tests", *given)

    def _daemon(self, name: str, command: list[str], answers: Callable[[], bool]) -> None:
        program, *arguments = command
        whole = [str(shutil.which(program)), "-c", str(self.folder / "ceph.conf"), *arguments]
        daemon = Daemon(self.folder / f"{name}-log", name, whole, answers)
        self._daemons.append(daemon)
        daemon.start()

    def _run(self, program: str, *arguments: str) -> None:
        run = self._ran(program, *arguments)
        assert run.returncode == 0, f"{program}: {run.stdout}{run.stderr}"

    def _tells(self, program: str, *arguments: str) -> bool:
        return self._ran(program, "--connect-timeout", "2", *arguments).returncode == 0

    def _ran(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        env = os.environ | {"CEPH_CONF": str(self.folder / "ceph.conf")}
        command = [program, "-c", str(self.folder / "ceph.conf"), *arguments]
        if program == "monmaptool":
            command = [program, *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)

    def _serves(self) -> bool:
        try:
            with urlopen(self.endpoint, timeout=2) as answer:
                return bool(answer.status == 200)
        except HTTPError:
            return True
        except OSError:
            return False


@cache
def started() -> Gateway:
    """The gateway of this process, for all tests that ask for it; it stops when the process ends."""
    made = Gateway(FOLDER / "ceph")
    atexit.register(made.stop)
    made.start()
    return made
