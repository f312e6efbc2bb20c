"""The attacks, each with what must become of it. The table in docs/attacks.md is made from this."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.test import override_settings

from audit.formats import canonical, event, note, tiles
from audit.formats.note import Signer
from audit.ingest.record import store
from audit.ledger import keys
from audit.ledger.seal import Sealer
from audit.models import Record
from tests.attacks.erasures import ASK, NOTE, TAKE, as_removed, decided_by, with_triggers, without_triggers
from tests.attacks.scene import CORRELATIONS, Scene, seal, send
from tests.attacks.statements import (
    APPROVE_OWN,
    COPY,
    DELETE,
    DELETE_CORRELATION,
    DELETE_LEAVES,
    DELETE_NOTED,
    DELETE_TAIL,
    DETACH,
    DETACH_MONTH,
    DISABLE,
    DROP_HEAD,
    EDIT,
    EDIT_COSIGNATURE,
    EDIT_DATA,
    EDIT_DIGEST,
    EDIT_HEAD,
    EDIT_LEAF,
    EDIT_NODE,
    EDIT_PARKED,
    EDIT_SIZE,
    EDIT_STORED,
    EDIT_TIME,
    FAR_LEAF,
    FORGED,
    GRANT,
    INDEX,
    LEAF_FOR_COPY,
    LEAF_FUNCTION,
    LOWER_FLOOR,
    NO_OP,
    NOTE_PURGED,
    OTHER,
    POINT_ELSEWHERE,
    PURGE,
    SWAP_LEAVES,
    TRIGGER_THAT_NEVER_FIRES,
    TRUNCATE,
    TURN_BACK,
    drop_checkpoints,
    leaf,
)
from tests.attacks.tools import Superuser, as_role, plain, record_id, statement, unguarded
from tests.audit.conftest import an_event

VERIFIED, ALTERED, MISSING, UNKNOWN, FORKED = "VERIFIED", "ALTERED", "MISSING", "UNKNOWN", "FORKED"


@dataclass(frozen=True)
class Attack:
    """What is done, and by what it is found out."""

    name: str
    act: Callable[[Superuser, Scene], None]
    alone: str = VERIFIED
    """The verdict where the store has neither anchor nor witness."""
    anchored: str = ""
    """The verdict with an anchor; the same as alone where empty."""
    witnessed: str = ""
    """The verdict with a witness; the same as alone where empty."""
    check: str = ""
    """The system check that reports it."""
    prevented: bool = False
    refuses: bool = False
    """Whether the sealer signs nothing on top of it."""
    why: str = ""
    """Where it cannot be detected: why."""

    @property
    def with_anchor(self) -> str:
        return self.anchored or self.alone

    @property
    def with_witness(self) -> str:
        return self.witnessed or self.alone


def true_digest(db: Superuser) -> None:
    """Give the edited record the digest that its content has now."""
    record = Record.objects.get(id=record_id(db, INDEX))
    digest = canonical.digest(canonical.canonical(record.document()))
    db.execute("UPDATE audit_record SET digest = %s WHERE id = %s", [digest, record.id])


def rebuild(db: Superuser, signer: Signer | None = None) -> None:
    """Make nodes, roots and, with a key, signatures anew from the leaves as they are."""
    leaves = [bytes(row[0]) for row in db.execute("SELECT leaf_hash FROM audit_leaf ORDER BY index").fetchall()]
    edge, done = tiles.Edge(), 0
    for number, size, at in db.execute(
        "SELECT number, size, created_at FROM audit_checkpoint ORDER BY number"
    ).fetchall():
        for node in edge.extend(leaves[done:size]):
            values = [node.hash, node.level, node.index]
            db.execute("UPDATE audit_node SET hash = %s WHERE level = %s AND index = %s", values)
        done = size
        db.execute("UPDATE audit_checkpoint SET root = %s WHERE number = %s", [edge.root(), number])
        if signer is not None:
            text = note.TreeHead(signer.name, size, edge.root()).text
            signed = note.join(text, [signer.sign(text), signer.cosign(text, int(at.timestamp()))])
            db.execute("UPDATE audit_checkpoint SET note = %s WHERE number = %s", [signed, number])


def edited_with_digest(db: Superuser, scene: Scene) -> None:
    db.execute(EDIT.format(id=record_id(db, INDEX)).encode())
    true_digest(db)


def edited_with_leaf(db: Superuser, scene: Scene) -> None:
    edited_with_digest(db, scene)
    db.execute(EDIT_LEAF.format(id=record_id(db, INDEX)).encode())


def edited_with_nodes(db: Superuser, scene: Scene) -> None:
    edited_with_leaf(db, scene)
    kept = db.execute("SELECT number, root FROM audit_checkpoint").fetchall()
    rebuild(db)
    for number, root in kept:
        db.execute("UPDATE audit_checkpoint SET root = %s WHERE number = %s", [root, number])


def rewritten(key: Callable[[], Signer | None]) -> Callable[[Superuser, Scene], None]:
    """Edit a record, make its digest and leaf fit, then everything above them."""

    def run(db: Superuser, scene: Scene) -> None:
        edited_with_leaf(db, scene)
        rebuild(db, key())
        db.execute("DELETE FROM audit_cosignature")

    return unguarded(run)


def another_key() -> Signer:
    return Signer(own_key().name, bytes(32))


def own_key() -> Signer:
    signer = keys.load().signer
    assert signer is not None
    return signer


def rolled_back(db: Superuser, scene: Scene) -> None:
    """Take the last 200 records out everywhere, as if they had never been."""
    db.execute("DELETE FROM audit_record WHERE id IN (SELECT record_id FROM audit_leaf WHERE index >= 400)")
    db.execute("DELETE FROM audit_leaf WHERE index >= 400")
    db.execute("DELETE FROM audit_node WHERE (index + 1) * 256 ^ level > 400")
    db.execute(
        "DELETE FROM audit_cosignature WHERE checkpoint IN (SELECT number FROM audit_checkpoint WHERE size > 400)"
    )
    db.execute("DELETE FROM audit_checkpoint WHERE size > 400")
    # And what the sealer intended on top of them.
    db.execute("DELETE FROM audit_intent")


def restored(db: Superuser, scene: Scene) -> None:
    db.close()
    scene.restore_early()


def swapped(db: Superuser, scene: Scene) -> None:
    one, two = record_id(db, INDEX), record_id(db, OTHER)
    for before, after in ((one, UUID(int=one.int ^ 1)), (two, one), (UUID(int=one.int ^ 1), two)):
        db.execute("UPDATE audit_record SET id = %s WHERE id = %s", [after, before])


def cleared_queue(db: Superuser, scene: Scene) -> None:
    send(3)
    db.execute("DELETE FROM audit_unsealed")
    seal()


def edited_while_it_waits(db: Superuser, scene: Scene) -> None:
    (accepted,) = send(1)
    edit = f"UPDATE audit_record SET severity = 'low' WHERE id = '{accepted.id}'"
    statement(edit)(db, scene)
    seal()


def head_that_is_no_checkpoint(*texts: str) -> Callable[[Superuser, Scene], None]:
    """SQL with all triggers off, where the newest head covers 5 records more than the newest checkpoint."""

    def run(db: Superuser, scene: Scene) -> None:
        send(5)
        with override_settings(SEAL_KEEP_S=1_000_000.0):  # however long the store took to be copied
            assert not Sealer().once(keep_each=False).kept
        statement(*texts)(db, scene)

    return run


def queued_again(db: Superuser, scene: Scene) -> None:
    db.execute("INSERT INTO audit_unsealed SELECT record_id, leaf_hash, now() FROM audit_leaf WHERE index IN (1, 2, 3)")
    db.execute("INSERT INTO audit_unsealed SELECT * FROM audit_unsealed")
    send(5)
    seal()


def queued_without_record(db: Superuser, scene: Scene) -> None:
    db.execute(f"INSERT INTO audit_unsealed VALUES (gen_random_uuid(), {FORGED}, now())".encode())
    seal()


def slipped_through_the_queue(db: Superuser, scene: Scene) -> None:
    """As the store itself would: record and queue."""
    old = an_event(event_timestamp="2001-01-01T00:00:00Z", correlation_id=CORRELATIONS[0])
    store([event.accept(old, writer="tests")], timeout_s=20)
    seal()


def other_leaf_function(db: Superuser, scene: Scene) -> None:
    db.execute(LEAF_FUNCTION.encode())
    send(1)
    seal()


def damaged_anchor(db: Superuser, scene: Scene) -> None:
    """Done to the file, not to the database."""
    path: Path | None = settings.SEAL_ANCHOR_FILE
    if path is not None:
        path.write_text(path.read_text(encoding="utf-8").replace("\\n300\\n", "\\n301\\n"), encoding="utf-8")


def removed_anchor(db: Superuser, scene: Scene) -> None:
    """Of a log that is some seconds old, so that it could be called one that is not anchored yet."""
    if settings.SEAL_ANCHOR_FILE is not None:
        settings.SEAL_ANCHOR_FILE.unlink()


THE_KEY = "who has the key can tell another story; only what others have kept of the first one shows it"
THE_END = "the store is whole as it was then; only what others have kept shows that there was more"
APPENDED = "it is a record like any other, at the end of the log, whatever time it claims"
NO_ACTS = "it is an erasure like any other, but for the records of its acts: whoever looks for these finds none"
NO_WITNESS = "without the witness's key there is nothing to check its line with"
NO_ANCHOR = "without an anchor there is none to edit"
NONE_TO_REMOVE = "without an anchor there is none to remove"

ATTACKS = [
    # Refused at once.
    Attack("edit a record as the application", as_role("audit_app", EDIT), prevented=True),
    Attack("delete a record as the owner of the tables", as_role("audit_owner", DELETE), prevented=True),
    Attack("purge without an approved plan, as the application", as_role("audit_app", PURGE), prevented=True),
    Attack("approve a purge of one's own, as the application", as_role("audit_app", APPROVE_OWN), prevented=True),
    Attack("note a record as purged, as the application", as_role("audit_app", NOTE_PURGED), prevented=True),
    Attack("detach a month of records as the application", as_role("audit_app", DETACH_MONTH), prevented=True),
    Attack("purge as the reader", as_role("audit_reader", PURGE), prevented=True),
    Attack("empty the holds as the owner", as_role("audit_owner", "TRUNCATE audit_legalhold CASCADE"), prevented=True),
    Attack("lower a floor that was approved, as the owner", as_role("audit_owner", LOWER_FLOOR), prevented=True),
    Attack(
        "take back what is noted as purged, as the owner",
        as_role("audit_owner", "TRUNCATE audit_purged"),
        prevented=True,
    ),
    Attack("edit a record as superuser in replica mode", as_role("replica", EDIT), prevented=True),
    Attack("truncate the records as superuser in replica mode", as_role("replica", TRUNCATE), prevented=True),
    Attack("edit a leaf as the application", as_role("audit_app", "UPDATE audit_leaf SET index = 7"), prevented=True),
    Attack("delete a checkpoint as the owner", as_role("audit_owner", "DELETE FROM audit_checkpoint"), prevented=True),
    Attack("take away the newest head as the owner", as_role("audit_owner", "DELETE FROM audit_head"), prevented=True),
    Attack("turn the newest head back as the application", as_role("audit_app", TURN_BACK), prevented=True),
    Attack("truncate the leaves as the owner", as_role("audit_owner", "TRUNCATE audit_leaf"), prevented=True),
    Attack("insert a leaf as the reader", as_role("audit_reader", leaf(600, "gen_random_uuid()")), prevented=True),
    Attack("give a leaf an index that is taken", as_role("audit_app", leaf(5, "gen_random_uuid()")), prevented=True),
    Attack("give a record a second leaf", as_role("audit_app", leaf(600, "'{id}'")), prevented=True),
    # Content, from the row up to the signature.
    Attack("edit a record", statement(EDIT), ALTERED),
    Attack("edit what the digest does not cover (time of storage)", statement(EDIT_STORED), ALTERED),
    Attack("say of a record that it was parked", statement(EDIT_PARKED), ALTERED),
    Attack("edit one value inside event_data", statement(EDIT_DATA), ALTERED),
    Attack("edit the digest alone", statement(EDIT_DIGEST), ALTERED),
    Attack("edit record and digest", unguarded(edited_with_digest), ALTERED),
    Attack("edit record, digest and leaf", unguarded(edited_with_leaf), ALTERED),
    Attack("edit record, digest, leaf and nodes", unguarded(edited_with_nodes), ALTERED, refuses=True),
    Attack("edit all that, and the roots", rewritten(lambda: None), ALTERED, FORKED, FORKED, refuses=True),
    Attack("rewrite all and sign it with another key", rewritten(another_key), UNKNOWN, FORKED, FORKED, refuses=True),
    Attack("rewrite all and sign it with the log's own key", rewritten(own_key), VERIFIED, FORKED, FORKED, why=THE_KEY),
    # What is gone.
    Attack("note a record as purged and delete it, as the owner", plain(NOTE_PURGED, DELETE_NOTED), alone=ALTERED),
    Attack("delete a record in the middle", statement(DELETE), MISSING),
    Attack("delete the last 50 records", statement(DELETE_TAIL), MISSING),
    Attack("delete all records of one correlation", statement(DELETE_CORRELATION), MISSING),
    Attack("delete all records", statement("DELETE FROM audit_record"), MISSING),
    Attack("truncate the records", statement(TRUNCATE), MISSING),
    Attack("detach a partition", statement(DETACH), MISSING),
    Attack("delete a record and its leaf", statement(DELETE, f"DELETE FROM audit_leaf WHERE index = {INDEX}"), MISSING),
    Attack("delete the last records and leaves", statement(DELETE_TAIL, DELETE_LEAVES), MISSING, refuses=True),
    Attack("delete all leaves", statement("DELETE FROM audit_leaf"), MISSING, refuses=True),
    Attack("take the last 200 records out everywhere", unguarded(rolled_back), VERIFIED, MISSING, MISSING, why=THE_END),
    Attack("restore an old dump", restored, VERIFIED, MISSING, MISSING, why=THE_END),
    Attack("drop a checkpoint in the middle", statement(*drop_checkpoints("= 3")), MISSING),
    Attack("drop the newest checkpoint", statement(*drop_checkpoints("= 5")), UNKNOWN, MISSING, MISSING, refuses=True),
    Attack("drop all checkpoints", statement(*drop_checkpoints(">= 0")), UNKNOWN, MISSING, MISSING, refuses=True),
    Attack("drop the newest head, no checkpoint yet", head_that_is_no_checkpoint(DROP_HEAD), UNKNOWN, refuses=True),
    Attack("delete a node", statement("DELETE FROM audit_node WHERE index = 1"), MISSING, refuses=True),
    # What was slipped in.
    Attack("insert a back-dated record", statement(COPY), UNKNOWN),
    Attack("insert a record and a leaf for it", statement(COPY, LEAF_FOR_COPY), UNKNOWN, refuses=True),
    Attack("forge a leaf far beyond the end", as_role("audit_app", FAR_LEAF), UNKNOWN, refuses=True),
    Attack("send a back-dated event through the store itself", slipped_through_the_queue, VERIFIED, why=APPENDED),
    # Values that can be erased.
    Attack("take a value away as the application", with_triggers("audit_app", TAKE), prevented=True),
    Attack("take a value away as the owner of the tables", with_triggers("audit_owner", TAKE), prevented=True),
    Attack("note an erasure that nobody approved, as the owner", with_triggers("audit_owner", NOTE), prevented=True),
    Attack("take a value away with the triggers off", without_triggers(TAKE), MISSING),
    Attack("note a record as purged and take its values, as the owner", as_removed, MISSING),
    Attack("edit a value with the triggers off", without_triggers("UPDATE audit_erasable SET value = '1'"), ALTERED),
    Attack("note an erasure that nobody asked for, and take the value", without_triggers(NOTE, TAKE), MISSING),
    Attack(
        "ask for an erasure and approve it as the same person",
        without_triggers(ASK, decided_by("olga"), NOTE, TAKE),
        MISSING,
    ),
    Attack(
        "ask for and approve an erasure as two people who never did",
        without_triggers(ASK, decided_by("otto"), NOTE, TAKE),
        why=NO_ACTS,
    ),
    # Order and identity.
    Attack("swap the contents of two records", unguarded(swapped), ALTERED),
    Attack("swap two leaves", statement(*SWAP_LEAVES), ALTERED),
    Attack("point a leaf at another record", statement(*POINT_ELSEWHERE), ALTERED),
    Attack("edit a node alone", statement(EDIT_NODE), ALTERED, refuses=True),
    Attack("edit the time of a checkpoint", statement(EDIT_TIME), ALTERED),
    Attack("edit the size of a checkpoint", statement(EDIT_SIZE), ALTERED),
    Attack("edit the newest head, no checkpoint yet", head_that_is_no_checkpoint(EDIT_HEAD), ALTERED, refuses=True),
    Attack("edit a cosignature", statement(EDIT_COSIGNATURE), VERIFIED, VERIFIED, ALTERED, why=NO_WITNESS),
    Attack("edit the anchor", damaged_anchor, VERIFIED, ALTERED, VERIFIED, why=NO_ANCHOR),
    Attack("remove the anchor", removed_anchor, VERIFIED, MISSING, VERIFIED, why=NONE_TO_REMOVE),
    # The machinery.
    Attack("clear the unsealed queue", cleared_queue, UNKNOWN),
    Attack("edit a record while it waits for the sealer", edited_while_it_waits, ALTERED),
    Attack("queue a record that does not exist", queued_without_record, MISSING),
    Attack("replace the function that computes leaves", other_leaf_function, ALTERED, check="audit.E002"),
    Attack("replace the trigger function by one that lets all pass", plain(NO_OP), check="audit.E002"),
    Attack("replace a trigger by one that never fires", plain(*TRIGGER_THAT_NEVER_FIRES), check="audit.E001"),
    Attack("leave the triggers disabled", plain(DISABLE), check="audit.E001"),
    Attack(
        "give the application the right to update",
        plain(GRANT),
        check="audit.E003",
    ),
]
