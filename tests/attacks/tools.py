"""Tools of the attacker: SQL as a role, as superuser, and with the triggers off."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg

from tests.attacks.scene import Scene
from tests.attacks.statements import INDEX, OTHER

Superuser = psycopg.Connection[Any]
Act = Callable[[Superuser, Scene], None]
TABLES = ("audit_record", "audit_leaf", "audit_node", "audit_head", "audit_checkpoint", "audit_cosignature")
# pg_trigger.tgenabled: how a trigger is enabled again.
ENABLE = {"A": "ENABLE ALWAYS", "O": "ENABLE"}
_MONTHS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_record'::regclass"
_TRIGGERS = "SELECT tgname, tgenabled::text FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal"


@contextmanager
def triggers_off(db: Superuser, *tables: str) -> Iterator[None]:
    """With the triggers of these tables off, and on again afterwards as they were, so that no trace is left."""
    before = {table: db.execute(_TRIGGERS, [table]).fetchall() for table in tables}
    for table in before:
        db.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
    yield
    for table, triggers in before.items():
        left = {trigger for trigger, _ in db.execute(_TRIGGERS, [table]).fetchall()}  # the act may have dropped some
        for trigger, enabled in (each for each in triggers if each[0] in left):
            db.execute(f"ALTER TABLE {table} {ENABLE[enabled]} TRIGGER {trigger}".encode())


def unguarded(act: Act) -> Act:
    """With all triggers of the log off."""

    def run(db: Superuser, scene: Scene) -> None:
        months = [name for (name,) in db.execute(_MONTHS).fetchall()]
        with triggers_off(db, *TABLES, *months):
            act(db, scene)

    return run


def statement(*texts: str) -> Act:
    """SQL, with all triggers off."""

    def run(db: Superuser, scene: Scene) -> None:
        ids = {"id": record_id(db, INDEX), "other": record_id(db, OTHER)}
        _run(db, [text.format(**ids) for text in texts])

    return unguarded(run)


def as_role(role: str, text: str) -> Act:
    """SQL in the name of a role, triggers as they are."""

    def run(db: Superuser, scene: Scene) -> None:
        statement = text.format(id=record_id(db, INDEX))
        if role == "replica":
            db.execute("SET session_replication_role = replica")
        else:
            db.execute(f"SET ROLE {role}".encode())
        db.execute(statement.encode())

    return run


def plain(*texts: str) -> Act:
    """SQL as superuser, triggers as they are."""
    return lambda db, scene: _run(db, texts)


def record_id(db: Superuser, index: int) -> UUID:
    row = db.execute("SELECT record_id FROM audit_leaf WHERE index = %s", [index]).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def _run(db: Superuser, texts: Sequence[str]) -> None:
    for text in texts:
        db.execute(text.encode())
