"""Attacks on values that can be erased: each brings a record of its own, with the address of its actor beside it."""

from collections.abc import Callable

from audit.formats.erasable.rules import Rule, Rules
from audit.formats.event import accept
from audit.ingest.record import store
from tests.attacks.scene import CORRELATIONS, Scene, seal
from tests.attacks.statements import SOME_REQUEST
from tests.attacks.tools import Superuser, triggers_off
from tests.audit.conftest import an_event

RULES = Rules([Rule(name="address", path="actor_ip", reason="GDPR")])
TAKE = "DELETE FROM audit_erasable"
NOTE = "INSERT INTO audit_erased (record_id, path, request_id) SELECT record_id, path, 1 FROM audit_erasable"
NOTE_REMOVED = (
    f"INSERT INTO audit_purged (first, last, plan_id) SELECT index, index + 1, {SOME_REQUEST} FROM audit_leaf "
    "WHERE record_id IN (SELECT record_id FROM audit_erasable)"
)
ASK = (
    "INSERT INTO audit_erasurerequest (id, asked_by, asked_at, subject, records, paths, basis, reason) "
    "SELECT 1, 'olga', now(), 'ids', array_agg(record_id), '{}', 'none', 'none' FROM audit_erasable"
)
DECIDE = "INSERT INTO audit_erasuredecision VALUES (1, true, '{by}', now(), '')"
TABLES = ("audit_erasable", "audit_erased", "audit_erasuredecision")


def with_triggers(role: str, text: str) -> Callable[[Superuser, Scene], None]:
    """SQL in the name of a role, triggers as they are."""

    def run(db: Superuser, scene: Scene) -> None:
        _store_one()
        db.execute(f"SET ROLE {role}".encode())
        db.execute(text.encode())

    return run


def without_triggers(*texts: str) -> Callable[[Superuser, Scene], None]:
    """SQL with the triggers of these tables off, and on again afterwards, so that no trace is left."""

    def run(db: Superuser, scene: Scene) -> None:
        _store_one()
        with triggers_off(db, *TABLES):
            for text in texts:
                db.execute(text.encode())

    return run


def as_removed(db: Superuser, scene: Scene) -> None:
    """The owner notes the record as removed, as a purge does, and the trigger lets its values go."""
    _store_one()
    db.execute(b"SET ROLE audit_owner")
    for text in (NOTE_REMOVED, TAKE):
        db.execute(text.encode())
    db.execute(b"RESET ROLE")


def decided_by(name: str) -> str:
    return DECIDE.replace("{by}", name)


def _store_one() -> None:
    event = an_event(correlation_id=CORRELATIONS[0], actor_ip="192.0.2.7")
    store([accept(event, writer="tests", erasing=RULES)], timeout_s=20)
    seal()
