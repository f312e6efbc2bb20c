"""Each container goes away once, there are two of each for a while, all are started in any order."""

import random
import re
import time
from functools import partial

from bench.composed.drill import Drill
from bench.composed.installation import SCALED, SERVICES, Installation
from bench.load import wait_until

# How long a container is away.
AWAY_S = 3.0


class Killed(Drill):
    """`make compose-test`."""

    held = "up, killed, scaled, restarted: nothing lost, duplicated or altered"

    def __init__(self, installation: Installation, share: float, seed: int):
        super().__init__(installation, share)
        self.random = random.Random(seed)

    def phases(self) -> None:
        self.step("normal service", self.more)
        for service in SERVICES:
            self.step(f"{service} killed", partial(self._away, service))
        self.step("redis killed while events wait", self._wait_through_a_crash)
        self.step("two of each, PostgreSQL killed", self._scale)
        self.step("one of two gone, with a spool", self._leave_spool)
        self.step("one of each again", self.installation.up)
        self.step("normal service with one of each", self.more)
        self.step("all stopped, started in any order", self._restart)
        self.step("up again, over what runs", self.installation.up)
        self.step("normal service again", self.more)

    def afterwards(self) -> None:
        """The images, and the backup that the installation has made by itself."""
        self.step("what is in the images", self._look_inside)
        self.step("a backup is whole", self._check_backup)

    def _away(self, service: str) -> None:
        self.installation.kill(service)
        if service == "postgres":
            self.parked("parked events")
        else:
            time.sleep(AWAY_S)
        self.installation.start(service)
        self.installation.wait_healthy(service)
        self.more()

    def _wait_through_a_crash(self) -> None:
        """What was parked has to come back from Redis' own file."""
        self.installation.kill("postgres")
        self.parked("parked events")
        self.installation.kill("redis")
        for service in ("redis", "postgres"):
            self.installation.start(service)
            self.installation.wait_healthy(service)
        self.drained()

    def _scale(self) -> None:
        """Two of each, all of which work, and say so to Prometheus."""
        self.installation.scale(2)
        self._away("postgres")
        self.drained()
        for service in SCALED:
            for container in self.installation.containers(service):
                counters = self.installation.counters(container)
                # Of each container its own: 0 where it has done nothing.
                if service == "ingest" and not re.search(r'^audit_recorded_total{.*"stored".*} [1-9]', counters, re.M):
                    self.faults.append(f"a container of ingest, {container}, has stored nothing")
                if "# TYPE audit_" not in counters:
                    self.faults.append(f"{container} of {service} counts nothing")

    def _leave_spool(self) -> None:
        """Neither server takes an event; then half of ingest is gone for good, and what it spooled is not."""
        for service in ("redis", "postgres"):
            self.installation.kill(service)
        second = self.installation.containers("ingest")[1]
        name = self.installation.execute_in(second, "hostname").strip()
        wait_until(lambda: bool(self._spool_of(name)), seconds=60, what="a spool of the second ingest", every_s=0.5)
        self.installation.remove(second)
        for service in ("redis", "postgres"):
            self.installation.start(service)
            self.installation.wait_healthy(service)
        self.drained()
        self.faults += [f"in the spool of a container that is gone: {file}" for file in self._spool_of(name)]

    def _spool_of(self, name: str) -> list[str]:
        """The files that a container of this name has left in the spool, which all share."""
        return [file for file in self.installation.execute("drain", "ls", "/spool").split() if name in file]

    def _restart(self) -> None:
        services = list(SERVICES)
        self.random.shuffle(services)
        for service in services:
            self.installation.stop(service)
        self.random.shuffle(services)
        for service in services:
            self.installation.start(service)
        for service in services:
            self.installation.wait_healthy(service)

    def _look_inside(self) -> None:
        """The extras work in the image, and no process has more rights than it needs."""
        pdf = "import weasyprint, allauth, jwt; weasyprint.HTML(string='x').write_pdf('/tmp/x.pdf')"
        self.installation.execute("web", "python", "-c", pdf)
        for service in ("web", "postgres", "redis", "proxy"):
            status = self.installation.execute(service, "cat", "/proc/1/status")
            wanted = {"CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"}
            self.faults += [f"{service}: not {fact}" for fact in wanted if fact not in status]
        given = self.installation.given.read_text(encoding="ascii").strip()
        if self.installation.execute("web", "cat", "/run/secrets/secret_key") != given:
            self.faults.append("the secret that was given is not the one that is used")

    def _check_backup(self) -> None:
        (name, *_) = (
            each for each in self.installation.execute("backup", "ls", "/backups").split() if "part" not in each
        )
        said = self.installation.manage("backup", "--check", f"/backups/{name}", service="backup")
        archived = self.installation.execute("postgres", "ls", "/wal").split()
        self.faults += [f"the backup: {said}"] if "whole" not in said else []
        self.faults += ["no WAL was archived"] if not archived else []
