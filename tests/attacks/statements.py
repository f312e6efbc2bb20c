"""What the attacker says to the database; `{id}` and `{other}` stand for two records."""

from tests.attacks.scene import CORRELATIONS

INDEX, OTHER = 123, 456
"""The leaves of the two records."""
FORGED = "sha256('forged'::bytea)"
EDIT = "UPDATE audit_record SET actor_id = 'nobody' WHERE id = '{id}'"
EDIT_STORED = "UPDATE audit_record SET stored_at = stored_at - interval '1 day' WHERE id = '{id}'"
EDIT_PARKED = "UPDATE audit_record SET parked_at = received_at WHERE id = '{id}'"
EDIT_DATA = "UPDATE audit_record SET event_data = jsonb_set(event_data, '{{count}}', '4') WHERE id = '{id}'"
EDIT_DIGEST = f"UPDATE audit_record SET digest = {FORGED} WHERE id = '{{id}}'"
EDIT_LEAF = (
    "UPDATE audit_leaf SET leaf_hash = audit_leaf_hash(r.id, r.digest, r.received_at, r.parked_at, r.stored_at) "
    "FROM audit_record r WHERE r.id = record_id AND r.id = '{id}'"
)
EDIT_NODE = f"UPDATE audit_node SET hash = {FORGED} WHERE index = 1"
EDIT_TIME = "UPDATE audit_checkpoint SET created_at = created_at - interval '1 day' WHERE number = 2"
EDIT_SIZE = "UPDATE audit_checkpoint SET size = 350 WHERE number = 3"
DROP_HEAD = "DELETE FROM audit_head"
EDIT_HEAD = f"UPDATE audit_head SET root = {FORGED}"
TURN_BACK = "UPDATE audit_head SET size = 500, kept = false"
EDIT_COSIGNATURE = (
    "UPDATE audit_cosignature SET line = (SELECT line FROM audit_cosignature WHERE checkpoint = 1) WHERE checkpoint = 2"
)
DELETE = "DELETE FROM audit_record WHERE id = '{id}'"
DELETE_TAIL = "DELETE FROM audit_record WHERE id IN (SELECT record_id FROM audit_leaf WHERE index >= 550)"
DELETE_LEAVES = "DELETE FROM audit_leaf WHERE index >= 550"
DELETE_CORRELATION = f"DELETE FROM audit_record WHERE correlation_id = '{CORRELATIONS[2]}'"
TRUNCATE = "TRUNCATE audit_record"
DETACH = (
    "DO $$ DECLARE p text; BEGIN SELECT tableoid::regclass INTO p FROM audit_record WHERE id = '{id}'; "
    "EXECUTE format('ALTER TABLE audit_record DETACH PARTITION %s', p); END $$"
)
COPY = (
    "INSERT INTO audit_record SELECT (jsonb_populate_record(r, "
    "jsonb_build_object('id', gen_random_uuid(), 'event_timestamp', '2001-01-01T00:00:00Z'))).* "
    "FROM audit_record r WHERE id = '{id}'"
)
LEAF_FOR_COPY = (
    f"INSERT INTO audit_leaf SELECT 600, id, {FORGED} FROM audit_record WHERE event_timestamp < '2002-01-01'"
)
SWAP_LEAVES = (
    f"UPDATE audit_leaf SET index = 10000 WHERE index = {INDEX}",
    f"UPDATE audit_leaf SET index = {INDEX} WHERE index = {OTHER}",
    f"UPDATE audit_leaf SET index = {OTHER} WHERE index = 10000",
)
POINT_ELSEWHERE = (
    f"UPDATE audit_leaf SET record_id = gen_random_uuid() WHERE index = {OTHER}",
    f"UPDATE audit_leaf SET record_id = '{{other}}' WHERE index = {INDEX}",
    f"UPDATE audit_leaf SET record_id = '{{id}}' WHERE index = {OTHER}",
)
GRANT = "GRANT UPDATE ON audit_record TO audit_app"
DISABLE = "ALTER TABLE audit_record DISABLE TRIGGER USER"
NO_OP = "CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
TRIGGER_THAT_NEVER_FIRES = (
    "DROP TRIGGER audit_no_change ON audit_leaf",
    "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_leaf FOR EACH ROW WHEN (false) "
    "EXECUTE FUNCTION audit_refuse_change()",
    "ALTER TABLE audit_leaf ENABLE ALWAYS TRIGGER audit_no_change",
)
LEAF_FUNCTION = (
    "CREATE OR REPLACE FUNCTION audit_leaf_hash(event_id uuid, digest bytea, received_at timestamptz, "
    "parked_at timestamptz, stored_at timestamptz) RETURNS bytea LANGUAGE sql AS $$SELECT sha256('forged'::bytea)$$"
)


def leaf(index: int, record: str) -> str:
    """An insert of a forged leaf."""
    return f"INSERT INTO audit_leaf VALUES ({index}, {record}, {FORGED})"


FAR_LEAF = leaf(1_000_000, "gen_random_uuid()")


def drop_checkpoints(which: str) -> tuple[str, str]:
    """Deletes of checkpoints and their cosignatures."""
    return (
        f"DELETE FROM audit_cosignature WHERE checkpoint {which}",
        f"DELETE FROM audit_checkpoint WHERE number {which}",
    )


# --- Retention ---------------------------------------------------------------------------------

SOME_REQUEST = "(SELECT min(id) FROM audit_retentionrequest)"
PURGE = f"SELECT audit_purge({SOME_REQUEST}, 100)"
APPROVE_OWN = """
WITH q AS (
    INSERT INTO audit_retentionrequest (kind, category, reason, asked_by, cut, first, size, counts)
    VALUES ('purge', '', 'x', 'mallory', now(), 0, 600, '[]') RETURNING id
) INSERT INTO audit_retentiondecision (request_id, decision, decided_by, record_id)
SELECT id, 'approved', 'mallory', gen_random_uuid() FROM q
"""
NOTE_PURGED = f"INSERT INTO audit_purged (first, last, plan_id) VALUES ({INDEX}, {INDEX} + 1, {SOME_REQUEST})"
DELETE_NOTED = f"DELETE FROM audit_record WHERE id = (SELECT record_id FROM audit_leaf WHERE index = {INDEX})"
DETACH_MONTH = "ALTER TABLE audit_record DETACH PARTITION audit_record_default"
LOWER_FLOOR = "UPDATE audit_retentionrequest SET days = 1"
