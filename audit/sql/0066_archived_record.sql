-- Archived records that somebody reads back, to search in them: copies, in a table of their own, a partition an archive.
-- Nothing of the store is computed from them: they are no records, have no leaves, and go with `archive forget`.

CREATE TABLE audit_archived_record (
    archive_id uuid   NOT NULL,
    leaf_index bigint NOT NULL,
    LIKE audit_record,
    PRIMARY KEY (archive_id, id)
) PARTITION BY LIST (archive_id);

-- As the records have them, for the same words of the search.
CREATE INDEX audit_archived_leaf        ON audit_archived_record (archive_id, leaf_index);
CREATE INDEX audit_archived_id          ON audit_archived_record (id);
CREATE INDEX audit_archived_time        ON audit_archived_record (event_timestamp DESC, id DESC);
CREATE INDEX audit_archived_correlation ON audit_archived_record (correlation_id, event_timestamp DESC, id DESC);
CREATE INDEX audit_archived_type        ON audit_archived_record (event_type, event_timestamp DESC, id DESC);
CREATE INDEX audit_archived_category    ON audit_archived_record (event_category, event_timestamp DESC, id DESC);
CREATE INDEX audit_archived_actor       ON audit_archived_record (actor_id, event_timestamp DESC, id DESC);
CREATE INDEX audit_archived_resource    ON audit_archived_record (resource_id, event_timestamp DESC, id DESC);
CREATE INDEX audit_archived_writer      ON audit_archived_record (writer, event_timestamp DESC, id DESC);
CREATE INDEX audit_archived_outcome     ON audit_archived_record (event_outcome, event_timestamp DESC, id DESC)
    WHERE event_outcome <> 'success';
CREATE INDEX audit_archived_severity    ON audit_archived_record (severity, event_timestamp DESC, id DESC)
    WHERE severity <> 'info';
CREATE INDEX audit_archived_data        ON audit_archived_record USING gin (event_data jsonb_path_ops);

CREATE FUNCTION audit_archived_partition(archive uuid) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $body$ SELECT 'audit_archived_' || replace(archive::text, '-', '') $body$;

-- Make the partition of an archive, where there is none.
CREATE FUNCTION audit_read_archive(archive uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET lock_timeout = '5s'
AS $body$
DECLARE
    name text := public.audit_archived_partition(archive);
BEGIN
    IF NOT EXISTS (SELECT FROM public.audit_archive WHERE id = archive) THEN
        RAISE EXCEPTION 'there is no archive %', archive;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext(name));
    IF to_regclass('public.' || name) IS NULL THEN
        EXECUTE format('CREATE TABLE public.%I PARTITION OF public.audit_archived_record FOR VALUES IN (%L)', name, archive);
        -- Rights are given on the parent alone.
        EXECUTE format('REVOKE ALL ON public.%I FROM PUBLIC, audit_app, audit_reader', name);
    END IF;
END
$body$;

-- Drop it. Whoever searches is waited for, 5 s; nobody who records waits for either.
CREATE FUNCTION audit_forget_archive(archive uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET lock_timeout = '5s'
AS $body$
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS public.%I', public.audit_archived_partition(archive));
END
$body$;

REVOKE ALL ON FUNCTION audit_read_archive(uuid), audit_forget_archive(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_read_archive(uuid), audit_forget_archive(uuid) TO audit_app;

-- reverse
DROP FUNCTION audit_read_archive(uuid);
DROP FUNCTION audit_forget_archive(uuid);
DROP FUNCTION audit_archived_partition(uuid);
DROP TABLE audit_archived_record;
