"""What ten years leave behind beside records: checkpoints, cosignatures, and a writer who means harm."""

import multiprocessing
from datetime import UTC, datetime, timedelta

import psycopg

from audit.formats import note, tiles
from audit.formats.note import Signer
from bench.fleet import Fleet

PORTION = 20_000
WITNESS = "witness.example/w"
EPOCHS, HEARTBEATS, MANIFESTS = 20_000, 10_000, 5_000
HEAD = """
INSERT INTO audit_head (number, size, root, note, created_at, kept)
SELECT number, size, root, note, created_at, true FROM audit_checkpoint ORDER BY number DESC LIMIT 1
"""
COSIGNED = """
INSERT INTO audit_cosignature (checkpoint, name, line, attested_at)
SELECT number, %s, '— ' || %s || ' ' || repeat('A', 104), created_at FROM audit_checkpoint
"""
HEARD = """
INSERT INTO audit_heartbeat (writer, epoch, seq, at, waiting_seq, waiting_at)
SELECT 'hostile', 'h' || n, 9, now(), 9, now() - interval '1 hour' FROM generate_series(1, %s) n
"""
STATED = """
INSERT INTO audit_manifest (key, writer, epoch, since, until, count, event_ids, ids_digest, contents_digest, came,
    surplus, agrees, found_at, explanation, owner)
SELECT encode(sha256(n::text::bytea), 'hex'), 'hostile', '', now() - interval '1 day', now(), 1000000, '[]', '', '', 0,
    0, false, now() - interval '2 hours', '', '' FROM generate_series(1, %s) n
"""


def checkpoints(fleet: Fleet, count: int) -> None:
    """Sign the empty log once a minute, as often as the minutes that are over: every signature holds."""
    url, began = fleet.postgres.url("postgres", "drill"), datetime.now(UTC) - timedelta(minutes=count + 1)
    portions = [(url, first, min(first + PORTION, count), began) for first in range(0, count, PORTION)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(copy_checkpoints, portions)
    fleet.sql(HEAD)
    fleet.sql(COSIGNED, WITNESS, WITNESS)


def copy_checkpoints(portion: tuple[str, int, int, datetime]) -> None:
    """Copy the checkpoints first .. last-1."""
    url, first, last, began = portion
    signer, root = Signer("drill.example/log", bytes(32)), tiles.Edge().root()
    text = note.TreeHead(signer.name, 0, root).text
    plain = signer.sign(text)
    statement = b"COPY audit_checkpoint (number, size, root, note, created_at) FROM STDIN"
    with psycopg.connect(url) as connection, connection.cursor().copy(statement) as copy:
        for number in range(first, last):
            at = began + timedelta(minutes=number)
            signed = note.join(text, [plain, signer.cosign(text, int(at.timestamp()))])
            copy.write_row((number, 0, root, signed, at))


def a_hostile_writer(fleet: Fleet, share: float) -> None:
    """An epoch an event, heartbeats in as many others, open manifests of what never came; nobody has reconciled yet."""
    from audit.formats import event
    from audit.ingest.record import store

    document: dict[str, object] = {
        "version": "1.0",
        "event_type": "hostile.act",
        "event_category": "hostile",
        "event_action": "act",
    }
    document |= {"event_outcome": "success", "correlation_id": "hostile", "event_data": {}, "source_seq": 2}
    document |= {"actor_type": "service", "actor_id": "hostile", "resource_type": "none", "resource_id": "none"}
    epochs = range(int(EPOCHS * share))
    for first in range(0, len(epochs), 1_000):
        moment = datetime.now(UTC).isoformat()
        events = [
            event.accept(document | {"event_timestamp": moment, "source_epoch": f"e{n}"}, writer="hostile")
            for n in epochs[first : first + 1_000]
        ]
        store(events, timeout_s=60)
    fleet.manage("seal")
    fleet.sql(HEARD, int(HEARTBEATS * share))
    fleet.sql(STATED, int(MANIFESTS * share))
