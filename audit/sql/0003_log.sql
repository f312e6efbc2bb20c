-- The sealed log: one leaf a record, dense; every eighth level of the tree above; the signed tree heads.
--
-- What is sealed is decided in the transaction that inserts the record: record.sql puts the leaf hash into the queue, so a
-- record that is changed before the sealer sees it is found out as well, and one that was slipped in has no leaf.

CREATE TABLE audit_leaf (
    index     bigint NOT NULL PRIMARY KEY CHECK (index >= 0),
    record_id uuid   NOT NULL UNIQUE,
    leaf_hash bytea  NOT NULL CHECK (octet_length(leaf_hash) = 32)
);

CREATE TABLE audit_node (
    level smallint NOT NULL CHECK (level > 0),
    index bigint   NOT NULL CHECK (index >= 0),
    hash  bytea    NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (level, index)
);
COMMENT ON TABLE audit_node IS 'hash = root of the 256^level leaves from index * 256^level on (audit/formats/tiles.py)';

CREATE TABLE audit_checkpoint (
    number     bigint      NOT NULL PRIMARY KEY CHECK (number >= 0),
    size       bigint      NOT NULL CHECK (size >= 0),
    root       bytea       NOT NULL CHECK (octet_length(root) = 32),
    note       text        NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX audit_checkpoint_size ON audit_checkpoint (size, number);

CREATE TABLE audit_cosignature (
    checkpoint  bigint       NOT NULL REFERENCES audit_checkpoint (number),
    name        varchar(200) NOT NULL,
    line        text         NOT NULL,
    attested_at timestamptz  NOT NULL,
    PRIMARY KEY (checkpoint, name)
);

-- Records whose leaf is not written yet. A heap without an index: rows live for a fraction of a second, and the sealer
-- reads from where it left off. Vacuum comes early, for dead rows at the front are what slows such a queue.
CREATE TABLE audit_unsealed (
    record_id uuid        NOT NULL,
    leaf_hash bytea       NOT NULL CHECK (octet_length(leaf_hash) = 32),
    stored_at timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- The leaf hash of a record: SHA-256(0x00 || entry), the entry as in audit/formats/entry.py.
-- Computed too in audit/formats/canonical.py (the digest), verify.py and audit/verifier/records.js.
CREATE FUNCTION audit_leaf_hash(
    event_id uuid, digest bytea, received_at timestamptz, parked_at timestamptz, stored_at timestamptz
) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
AS $body$
    SELECT sha256('\x00'::bytea || convert_to(
        '{"digest":"' || encode(digest, 'hex')
        || '","event_id":"' || event_id::text
        || '","parked_at":' || coalesce(
            '"' || to_char(parked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"', 'null')
        || ',"received_at":"' || to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        || '","stored_at":"' || to_char(stored_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"}',
        'UTF8'))
$body$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['audit_leaf', 'audit_node', 'audit_checkpoint', 'audit_cosignature'] LOOP
        EXECUTE format('CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON %I '
                       'FOR EACH ROW EXECUTE FUNCTION audit_refuse_change()', name);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER audit_no_change', name);
        PERFORM audit_guard_truncate(name::regclass);
    END LOOP;
END
$$;

INSERT INTO audit_unsealed (record_id, leaf_hash, stored_at)
SELECT id, audit_leaf_hash(id, digest, received_at, parked_at, stored_at), stored_at FROM audit_record ORDER BY id;

-- reverse
DROP FUNCTION audit_leaf_hash(uuid, bytea, timestamptz, timestamptz, timestamptz);
DROP TABLE audit_unsealed, audit_cosignature, audit_checkpoint, audit_node, audit_leaf;
