"""An installation is backed up, its volumes burn, and it is restored by the commands of docs/deployment.md."""

from uuid import UUID

import psycopg

from bench.account import compare
from bench.composed.drill import Drill, console
from bench.composed.installation import Installation
from bench.drills.holder import Steady
from bench.load import WRITER

# Receipts come in, the ids of what is missing go out; what there is to say is said beside.
CHECK = "cat >/tmp/receipts; python manage.py restore check /tmp/receipts --missing /tmp/missing >&2; cat /tmp/missing"
MANAGE = ("python", "manage.py")
# What is being written at this moment has another name.
UNFINISHED = ("--exclude", ".*.gz", "--exclude", "*.part")
COPIED = {
    "secrets.tar": ("/kept", "/keys/log", "/keys/receipt", "/keys/public"),
    "backups.tar": (*UNFINISHED, "/data/backups", "/wal"),
}


class Restored(Drill):
    """`make compose-restore`."""

    title = "docker-compose.yml, restored"
    held = "backed up, burned, restored: nothing lost, duplicated or altered"

    def __init__(self, installation: Installation, share: float):
        super().__init__(installation, share)
        self.gone: set[str] = set()

    def run(self) -> bool:
        """Run all of it, print the table, and say whether everything held."""
        self.step("up", self.installation.up)
        key = self.installation.manage("writer", "create", WRITER, "--scopes", "write", "read", service="web").strip()
        context = self.installation.trust()
        self.writer = Steady(self.installation.port, key, host="localhost", context=context)
        self.ledger = self.writer.ledger
        try:
            self.phases()
        finally:
            self.writer.stop()
        self.afterwards()
        verdict = compare(self.installation, self.ledger)
        self.step("the target has every record", self.check_stream)
        self._print(verdict)
        return verdict.whole and not self.faults

    def phases(self) -> None:
        """Back up, go on, burn, restore, bring back."""
        self.writer.go_on()
        self.step("normal service", self.more)
        self.step("an outage", self._outage)
        self.step("a backup", lambda: self.installation.manage("backup", "/backups", service="backup"))
        self.step("an outage after it", self._outage)
        self.step("copies, elsewhere", self._copy)
        self.step("normal service, which nobody copies", self.more)
        self.writer.rest()
        self.step("down, with all volumes", self.installation.burn)
        self.step("volumes from the copies", self._put_back)
        self.step("servers, writers' side, drainers", lambda: self.installation.up("proxy", "drain"))
        self.step("what is gone", self._check)
        self.step("brought back", self._bring_back)
        self.step("all of it", self.installation.up)
        self.writer.go_on()
        self.step("normal service again", self.more)
        self.writer.rest()

    def afterwards(self) -> None:
        """By the writer's receipts."""
        self.step("nothing is lacking", lambda: self._ask(lacks=False))

    def _outage(self) -> None:
        """Events that wait in the queue, and are drained."""
        self.installation.kill("postgres")
        self.more()
        self.installation.start("postgres")
        self.installation.wait_healthy("postgres")
        self.drained()

    def _copy(self) -> None:
        for name, folders in COPIED.items():
            with (self.installation.folder / name).open("wb") as file:
                self.installation.pipe("setup", "tar", "-c", *folders, output=file)

    def _put_back(self) -> None:
        for name in COPIED:
            with (self.installation.folder / name).open("rb") as file:
                self.installation.pipe("setup", "tar", "-x", "--numeric-owner", "-C", "/", source=file)
        self.installation.once("setup")
        (newest, *_) = reversed(self.installation.once("restore", "--list").split())
        said = self.installation.once("--no-deps", "backup", *MANAGE, "backup", "--check", f"/backups/{newest}")
        self.faults += [] if "whole" in said else [f"the copied backup: {said}"]
        said = self.installation.once("restore", newest)
        self.faults += [] if said.count("put back") >= 2 else [f"restored: {said}"]

    def _check(self) -> None:
        """`restore check` names what is gone: exactly that."""
        self.drained()
        self.gone = self._lacking()
        named = self._ask(lacks=bool(self.gone))
        console.print(f"{len(self.gone)} of {len(self.ledger.acknowledged)} promised events are gone")
        if named != self.gone:
            self.faults.append(f"{len(self.gone - named)} gone and not named, {len(named - self.gone)} named, not gone")

    def _bring_back(self) -> None:
        self.installation.manage("refill", service="drain")
        self.writer.send_again(self._lacking())
        self.drained()
        # The folder of the target burned as well.
        self.installation.once("--no-deps", "stream", *MANAGE, "stream", "place", "records", "--from", "0")

    def _ask(self, *, lacks: bool) -> set[str]:
        """What `restore check` names as missing, by all receipts of the writer."""
        folder = self.installation.folder
        receipts, missing = self.writer.write_receipts(folder / "receipts"), folder / "missing.txt"
        with receipts.open("rb") as source, missing.open("wb") as output:
            said = self.installation.pipe("--no-deps", "worker", "sh", "-c", CHECK, source=source, output=output)
        if ("nothing is known to be lacking" in said) == lacks:
            self.faults.append(f"restore check: {said}")
        return set(missing.read_text(encoding="ascii").split())

    def _lacking(self) -> set[str]:
        """What was acknowledged and is no record: asked of the database itself."""
        with psycopg.connect(self.installation.address()) as connection:
            rows = connection.execute("SELECT id FROM audit_record WHERE writer = %s", (WRITER,)).fetchall()
        stored: set[UUID] = {row[0] for row in rows}
        return {str(event) for event in self.writer.acknowledged - stored}
