-- Insert events, given as a JSON array of canonical documents beside arrays of what the documents do not hold.
-- The conflict target is named: without it a clash on any other key would be lost in silence.
-- What is stored is queued for the sealer by the same statement, its leaf hash computed from what was stored.
WITH stored AS (
    INSERT INTO audit_record (
        id, writer, version, event_type, event_timestamp, event_category, event_action, event_outcome,
        correlation_id, event_data, actor_type, actor_id, actor_ip, resource_type, resource_id, parent_event_id,
        namespace, cluster_id, severity, duration_ms, error_code, error_message, retention_days, is_sensitive,
        source_seq, source_epoch, digest, received_at, parked_at
    )
    SELECT * FROM ROWS FROM (
        json_to_recordset($1::json) AS (
            event_id uuid, writer text, version text, event_type text, event_timestamp timestamptz,
            event_category text, event_action text, event_outcome text, correlation_id text, event_data jsonb,
            actor_type text, actor_id text, actor_ip text, resource_type text, resource_id text,
            parent_event_id uuid, namespace text, cluster_id text, severity text, duration_ms integer,
            error_code text, error_message text, retention_days integer, is_sensitive boolean, source_seq bigint,
            source_epoch text
        ),
        unnest($2::bytea[]), unnest($3::timestamptz[]), unnest($4::timestamptz[])
    )
    ON CONFLICT (id) DO NOTHING
    RETURNING id, digest, received_at, parked_at, stored_at
), queued AS (
    INSERT INTO audit_unsealed (record_id, leaf_hash, stored_at)
    SELECT id, audit_leaf_hash(id, digest, received_at, parked_at, stored_at), stored_at FROM stored
)
SELECT id FROM stored
