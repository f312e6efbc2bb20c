"""Attacks on what is kept: floors, holds, plans of removal, certificates, and the resume of a restored log.

Who has taken over the application can write two names under a plan, so most of these are approved in all form. The
table in docs/attacks.md is made from REMOVALS, with that of the catalogue.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from django.conf import settings

from audit.formats import event, note
from audit.ingest.record import store
from audit.ledger import purged
from audit.models import OWN_WRITER, Record
from audit.retention import legal_holds
from audit.retention.legal_holds import Named
from tests.attacks.catalogue import MISSING, VERIFIED, Attack, restored
from tests.attacks.scene import BATCH, EARLY, Scene, seal
from tests.attacks.tools import Superuser, as_role, plain, triggers_off
from tests.audit.conftest import an_event
from tests.audit.retention.conftest import aged, ago, backdated_floors, short, word
from tests.servers import RECEIPT_KEY

NOT_COVERED, ALTERED = "NOT COVERED", "ALTERED"
THE_END = "the store and its anchor are whole as they were then; only a witness shows that there was more"
HOLD_GONE = "the record of its placing is in the log; that no row stands for it is not looked for"
ASK = (
    "INSERT INTO audit_retentionrequest (kind, category, reason, asked_by, cut, first, size, counts, without_archive) "
    "SELECT 'purge', '', 'x', 'ann', clock_timestamp(), 0, size, '[]', %s FROM audit_head RETURNING id"
)
FLOOR = (
    "INSERT INTO audit_retentionrequest (kind, category, days, reason, asked_by) VALUES ('policy', %s, 1, 'x', 'ann') "
    "RETURNING id"
)
DECIDE = (
    "INSERT INTO audit_retentiondecision (request_id, decision, decided_by, record_id) VALUES (%s, 'approved', %s, %s)"
)
NOBODY = UUID(int=0)
RELEASE = (
    "INSERT INTO audit_retentionrequest (kind, category, hold_id, reason, asked_by) "
    "SELECT 'release', '', max(id), 'x', 'ann' FROM audit_legalhold RETURNING id"
)
# The same columns as the tables of the store, and nothing in them.
SHADOWS = (
    "CREATE TEMP TABLE audit_legalhold (LIKE public.audit_legalhold)",
    "CREATE TEMP TABLE audit_floor (request_id bigint, category text, days int, applies_from timestamptz)",
    "SET search_path = pg_temp, public",
)
DROP_MONTH = (
    "DO $$ DECLARE p text; BEGIN SELECT tableoid::regclass INTO p FROM audit_record WHERE id = '{id}'; "
    "EXECUTE format('DROP TABLE %s', p); END $$"
)
ALL_RELEASED = (
    "CREATE OR REPLACE VIEW audit_holdrelease AS SELECT h.id AS hold_id, q.asked_by, q.reason, "
    "q.asked_by AS released_by, now() AS released_at FROM audit_legalhold h, audit_retentionrequest q"
)
NOTHING_HELD = (
    "CREATE OR REPLACE FUNCTION audit_held(r audit_record) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT false'"
)


class Kept(Exception):
    """The attack went through, and removed nothing."""


class Victim:
    """A record that is due, or is not; a hold on its actor is placed where it is asked for."""

    def __init__(self, db: Superuser, *, due: bool = True):
        self.db, self.actor = db, word()
        self.category = short() if due else word()
        self.id = aged(ago(40), event_category=self.category, actor_id=self.actor)
        seal()

    def hold(self) -> None:
        legal_holds.place(Named(actor=self.actor), reason="case 7", by="olga", matter="7/2026")

    def plan(self, *, decided_by: str = "ben", recorded: bool = True, without_archive: str = "x") -> int:
        """A plan of everything, written into the tables by the application, the record of its approval sealed."""
        self.db.execute("SET ROLE audit_app")
        plan = self._asked(ASK, without_archive)
        record = NOBODY
        if recorded:
            about = {"event_type": "audit.purge.approved", "actor_id": decided_by, "event_data": {"request": plan}}
            forged = event.accept(an_event(**about), writer=OWN_WRITER)
            store([forged], timeout_s=20)
            record = forged.id
        self.db.execute(DECIDE, [plan, decided_by, record])
        seal()
        return plan

    def lower_floor(self) -> None:
        self.db.execute("SET ROLE audit_app")
        self.db.execute(DECIDE, [self._asked(FLOOR, self.category), "ben", NOBODY])

    def purge(self, plan: int) -> None:
        """Run it to its end as the application. Raises `Kept` where the record is there still."""
        self.db.execute("SET ROLE audit_app")
        self.db.execute("SELECT audit_purge(%s, 10000)", [plan])
        if Record.objects.filter(pk=self.id).exists():
            raise Kept

    def _asked(self, statement: str, *parameters: str) -> int:
        row = self.db.execute(statement.encode(), parameters).fetchone()
        assert row is not None
        return int(row[0])


def purge_what_is_held(db: Superuser, scene: Scene) -> None:
    victim = Victim(db)
    victim.hold()
    victim.purge(victim.plan())


def purge_what_no_archive_holds(db: Superuser, scene: Scene) -> None:
    victim = Victim(db)
    victim.purge(victim.plan(without_archive=""))


def purge_what_was_held_after_the_approval(db: Superuser, scene: Scene) -> None:
    victim = Victim(db)
    plan = victim.plan()
    victim.hold()
    victim.purge(plan)


def purge_with_tables_of_ones_own(db: Superuser, scene: Scene) -> None:
    victim = Victim(db)
    victim.hold()
    plan = victim.plan()
    for statement in SHADOWS:
        db.execute(statement.encode())
    victim.purge(plan)


def purge_in_a_snapshot_of_before_the_hold(db: Superuser, scene: Scene) -> None:
    victim = Victim(db)
    plan = victim.plan()
    db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    db.execute("SELECT count(*) FROM audit_legalhold")
    victim.hold()
    victim.purge(plan)


def lower_a_floor_and_purge(db: Superuser, scene: Scene) -> None:
    victim = Victim(db, due=False)
    victim.lower_floor()
    victim.purge(victim.plan())


def purge_before_the_approval_is_sealed(db: Superuser, scene: Scene) -> None:
    victim = Victim(db)
    victim.purge(victim.plan(recorded=False))


def purge_by_a_clock_ahead_of_the_sealers(db: Superuser, scene: Scene) -> None:
    victim = Victim(db)
    plan = victim.plan()
    db.execute("RESET ROLE")
    with triggers_off(db, "audit_head"):
        db.execute("UPDATE audit_head SET created_at = created_at - interval '3 hours'")
    victim.purge(plan)


def release_alone(db: Superuser, scene: Scene) -> None:
    victim = Victim(db)
    victim.hold()
    db.execute("SET ROLE audit_app")
    db.execute(DECIDE, [victim._asked(RELEASE), "ann", NOBODY])


def end_a_hold(db: Superuser, scene: Scene) -> None:
    victim = Victim(db)
    victim.hold()
    db.execute("SET ROLE audit_owner")
    db.execute("UPDATE audit_legalhold SET released_at = now(), before = '1970-01-01'")


def take_a_hold_away(db: Superuser, scene: Scene) -> None:
    victim = Victim(db)
    victim.hold()
    with triggers_off(db, "audit_legalhold"):
        db.execute("DELETE FROM audit_legalhold")


def take_a_hold_away_and_purge(db: Superuser, scene: Scene) -> None:
    victim = Victim(db)
    victim.hold()
    plan = victim.plan()
    db.execute("RESET ROLE")
    with triggers_off(db, "audit_legalhold"):
        db.execute("DELETE FROM audit_legalhold")
    victim.purge(plan)


def backdate_a_floor_and_purge(db: Superuser, scene: Scene) -> None:
    victim = Victim(db, due=False)
    backdated_floors(victim.category, [(1, ago(4_000))])  # as the owner, past the trigger
    victim.purge(victim.plan())


def forge_a_certificate(db: Superuser, scene: Scene) -> None:
    """Whoever has everything but the key of receipts."""
    victim = Victim(db)
    plan = victim.plan()
    victim.purge(plan)
    ranges = list(purged.merged(db.execute("SELECT first, last FROM audit_purged").fetchall()))
    facts = json.dumps({"plan": plan, "ranges_sha256": purged.digest(ranges)})
    text = f"{purged.FORMAT}\n{RECEIPT_KEY.name}\n{facts}\n"
    signed = note.join(text, [note.Signer(RECEIPT_KEY.name, bytes(32)).sign(text)])
    about = {"event_type": purged.COMPLETED, "event_data": {"request": plan, "note": signed}}
    store([event.accept(an_event(**about), writer=OWN_WRITER)], timeout_s=20)
    seal()


def restored_with_its_anchor(db: Superuser, scene: Scene) -> None:
    """Who restores an old dump puts back the anchor that was beside it, too."""
    restored(db, scene)
    path: Path | None = settings.SEAL_ANCHOR_FILE
    if path is not None:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if int(json.loads(line)["note"].split("\n")[1]) <= EARLY * BATCH]
        path.write_text("".join(kept), encoding="utf-8")


def forged_crosslink() -> Callable[[Superuser, Scene], None]:
    at = datetime(2026, 8, 18, tzinfo=UTC).isoformat()
    return as_role("audit_app", f"INSERT INTO audit_crosslink (checkpoint, note, created_at) VALUES (5, 'x', '{at}')")


REMOVALS = [
    # Refused, or nothing goes.
    Attack("purge what is held, under two names, as the application", purge_what_is_held, prevented=True),
    Attack("purge under two names what no archive holds", purge_what_no_archive_holds, prevented=True),
    Attack("purge what was held after the approval", purge_what_was_held_after_the_approval, prevented=True),
    Attack("purge with tables of one's own before those of the store", purge_with_tables_of_ones_own, prevented=True),
    Attack("purge in a snapshot of before the hold", purge_in_a_snapshot_of_before_the_hold, prevented=True),
    Attack("lower a floor under two names, and purge what is stored", lower_a_floor_and_purge, prevented=True),
    Attack("purge under two names, the approval not in the log", purge_before_the_approval_is_sealed, prevented=True),
    Attack("purge by a clock ahead of the sealer's", purge_by_a_clock_ahead_of_the_sealers, prevented=True),
    Attack("release a hold alone, as the application", release_alone, prevented=True),
    Attack("end a hold by an update, as the owner", end_a_hold, prevented=True),
    Attack("take a cross-link back, as the owner", as_role("audit_owner", "TRUNCATE audit_crosslink"), prevented=True),
    Attack("take a backup's note back, as the owner", as_role("audit_owner", "TRUNCATE audit_backup"), prevented=True),
    # With the triggers off, or by who owns the tables.
    Attack("drop a month of records as the owner", as_role("audit_owner", DROP_MONTH), MISSING),
    Attack("take a hold away with the triggers off", take_a_hold_away, VERIFIED, why=HOLD_GONE),
    Attack("take a hold away with the triggers off, and purge what it held", take_a_hold_away_and_purge, NOT_COVERED),
    Attack("backdate a floor with the triggers off, and purge by it", backdate_a_floor_and_purge, NOT_COVERED),
    Attack("certify a purge with another key", forge_a_certificate, ALTERED),
    Attack(
        "restore an old dump, and the anchor with it",
        restored_with_its_anchor,
        VERIFIED,
        VERIFIED,
        MISSING,
        why=THE_END,
    ),
    Attack("forge a cross-link as the application", forged_crosslink(), "FORKED", refuses=True),
    # The machinery.
    Attack("replace the function that says what is held", plain(NOTHING_HELD), check="audit.E002"),
    Attack("put a view that releases all in the place of that of releases", plain(ALL_RELEASED), check="audit.E002"),
    Attack(
        "leave the check of decisions disabled",
        plain("ALTER TABLE audit_retentiondecision DISABLE TRIGGER audit_check"),
        check="audit.E001",
    ),
    Attack("hide the holds", plain("ALTER TABLE audit_legalhold FORCE ROW LEVEL SECURITY"), check="audit.E001"),
    Attack(
        "give the application the right to one column",
        plain("GRANT UPDATE (days) ON audit_retentionrequest TO audit_app"),
        check="audit.E003",
    ),
]
