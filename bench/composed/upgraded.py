"""An installation of an older commit is upgraded in its place, as docs/deployment.md says, while events are sent."""

import shutil
import threading
import time
from pathlib import Path

from bench.composed.drill import PICTURES, Drill, console
from bench.composed.engine import ROOT, build
from bench.composed.installation import SERVICES, Installation
from bench.composed.visitor import look
from bench.ingest.against import unpack

# The last commit before streams, imports and schemas.
FROM = "6506cdc"
# What the folder of an installation has of the repository, beside what its image is built of.
OF_COMPOSE = ("docker-compose.yml", "deploy")
# Where writers send again, and nothing is lost: as long as proxy and ingest need to start again.
SILENT_MOST_S = 60.0
PING = "import os, redis; redis.Redis.from_url(open(os.environ['REDIS_URL_FILE']).read().strip()).ping()"
PAGES = (
    "",
    "audit/record/",
    "audit/record/?q=",
    "audit/checkpoint/",
    "audit/parked/",
    "audit/finding/",
    "audit/stream/",
)


class Upgraded(Drill):
    """`make compose-upgrade`."""

    title = "docker-compose.yml, upgraded"
    held = "upgraded under load: nothing lost, duplicated or altered"

    def __init__(self, installation: Installation, share: float, before: dict[str, str], after: dict[str, str]):
        """`before` and `after` are the images, by the variables that name them."""
        super().__init__(installation, share)
        self._after = after
        self.site = installation.folder / "site"
        installation.root = self.site
        installation.env |= before
        installation.services = tuple(name for name in SERVICES if name != "stream")

    def phases(self) -> None:
        """Fill, back up, upgrade, go on."""
        self.step("normal service, before", self.more)
        kept = self._secrets()
        self.step("a backup", lambda: self.installation.manage("backup", "/backups", service="backup"))
        watch = _Silence(self)
        self.step("upgraded", self._upgrade)
        self.step("normal service, after", self.more)
        silent = watch.end()
        console.print(f"no event was promised for {silent:.1f} s at most, {self.ledger.promised(202)} by 202")
        if silent > SILENT_MOST_S:
            self.faults.append(f"no event was promised for {silent:.0f} s")
        if self._secrets() != kept:
            self.faults.append("a secret or a key is not that of before")

    def afterwards(self) -> None:
        """What docs/deployment.md has looked at after an upgrade, and the pages."""
        self.step("checks", lambda: self.installation.manage("check", "--deploy", "--database", "default"))
        # Redis reads who may do what at its start: it must have been started anew.
        self.step("a role that is new", lambda: self.installation.execute("stream", "python", "-c", PING))
        address = f"https://localhost:{self.installation.port}"
        self.step("pages", lambda: self.faults.extend(look(address, PAGES, PICTURES / "upgraded")))

    def _upgrade(self) -> None:
        """The new version in the same folder, over the same volumes."""
        for name in OF_COMPOSE:
            place = self.site / name
            if (ROOT / name).is_dir():
                # The folders stay, as `git pull` leaves them: containers have them mounted.
                shutil.copytree(ROOT / name, place, dirs_exist_ok=True)
            else:
                shutil.copy(ROOT / name, place)
        self.installation.env |= self._after
        self.installation.services = SERVICES
        self.installation.up()

    def _secrets(self) -> str:
        """The secrets that the site has, and the public keys."""
        names = "secret_key database_url redis_web_url redis_queue_url"
        script = f"cd /run/secrets && sha256sum {names} /keys/public/*.pub"
        return self.installation.execute("web", "sh", "-c", script)


class _Silence:
    """The longest time in which no event was promised, from now until `end`."""

    def __init__(self, drill: Drill):
        self._drill, self._stop, self._longest = drill, threading.Event(), 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> float:
        self._stop.set()
        self._thread.join()
        return self._longest

    def _watch(self) -> None:
        count, since = len(self._drill.ledger.acknowledged), time.monotonic()
        while not self._stop.wait(0.05):
            if (now := len(self._drill.ledger.acknowledged)) != count:
                count, since = now, time.monotonic()
            self._longest = max(self._longest, time.monotonic() - since)


def older(commit: str, folder: Path) -> dict[str, str]:
    """Unpack a commit below the folder, and build its image; return its images. Raises `ValueError`."""
    site = folder / "site"
    site.mkdir()
    unpack(commit, site)
    return build(site)
