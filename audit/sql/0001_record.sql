-- The records: one immutable row an event, partitioned by month on its UUIDv7.
--
-- The primary key alone is the partition key and the idempotency key. The limits of the columns
-- are those of audit/formats/event.py; tests/audit/formats/test_event.py holds the two together.

CREATE TABLE audit_record (
    id              uuid         NOT NULL,
    writer          varchar(100) NOT NULL,
    version         varchar(20)  NOT NULL,
    event_type      varchar(100) NOT NULL,
    event_timestamp timestamptz  NOT NULL,
    event_category  varchar(50)  NOT NULL,
    event_action    varchar(50)  NOT NULL,
    event_outcome   varchar(10)  NOT NULL,
    correlation_id  varchar(255) NOT NULL,
    event_data      jsonb        NOT NULL,
    actor_type      varchar(50)  NOT NULL,
    actor_id        varchar(255) NOT NULL,
    actor_ip        varchar(45),
    resource_type   varchar(100) NOT NULL,
    resource_id     varchar(255) NOT NULL,
    parent_event_id uuid,
    namespace       varchar(253),
    cluster_id      varchar(255),
    severity        varchar(20)  NOT NULL,
    duration_ms     integer,
    error_code      varchar(50),
    error_message   varchar(10000),
    retention_days  integer,
    is_sensitive    boolean      NOT NULL,
    source_seq      bigint,
    digest          bytea        NOT NULL,
    received_at     timestamptz  NOT NULL,
    parked_at       timestamptz,
    stored_at       timestamptz  NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (id),
    CONSTRAINT audit_record_digest_is_sha256 CHECK (octet_length(digest) = 32)
) PARTITION BY RANGE (id);

COMMENT ON TABLE audit_record IS 'Append-only. No UPDATE, DELETE or TRUNCATE by anyone: see 0002_append_only.sql';

-- Every index ends in (event_timestamp, id), the order of every list, so that a page costs the same at any depth.
CREATE INDEX audit_record_time        ON audit_record (event_timestamp DESC, id DESC);
CREATE INDEX audit_record_correlation ON audit_record (correlation_id, event_timestamp DESC, id DESC);
CREATE INDEX audit_record_type        ON audit_record (event_type, event_timestamp DESC, id DESC);
CREATE INDEX audit_record_category    ON audit_record (event_category, event_timestamp DESC, id DESC);
CREATE INDEX audit_record_actor       ON audit_record (actor_id, event_timestamp DESC, id DESC);
CREATE INDEX audit_record_resource    ON audit_record (resource_id, event_timestamp DESC, id DESC);
-- Common values (success, info) are found at once by time; only the rare ones need an index.
CREATE INDEX audit_record_outcome     ON audit_record (event_outcome, event_timestamp DESC, id DESC)
    WHERE event_outcome <> 'success';
CREATE INDEX audit_record_severity    ON audit_record (severity, event_timestamp DESC, id DESC)
    WHERE severity <> 'info';
-- A short pending list bounds the stall of the insert that has to flush it.
CREATE INDEX audit_record_data        ON audit_record USING gin (event_data jsonb_path_ops)
    WITH (fastupdate = on, gin_pending_list_limit = 512);

-- The least UUIDv7 of a moment: the bound between two partitions.
CREATE FUNCTION audit_uuid7_floor(moment timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $body$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$body$;

CREATE TABLE audit_record_default PARTITION OF audit_record DEFAULT;

-- reverse
DROP TABLE audit_record;
DROP FUNCTION audit_uuid7_floor(timestamptz);
