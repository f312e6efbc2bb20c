-- The id of a record that was removed stays taken: its leaf is in the log, and a second record of that id would not be
-- what was sealed. Nothing is stored; the sender is told of a conflict. What is younger than a day cannot be removed.
CREATE FUNCTION audit_skip_purged() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
BEGIN
    IF EXISTS (
        SELECT FROM public.audit_leaf l JOIN LATERAL (
            SELECT p.last FROM public.audit_purged p WHERE p.first <= l.index ORDER BY p.first DESC LIMIT 1
        ) p ON p.last > l.index
        WHERE l.record_id = NEW.id
    ) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$body$;
CREATE TRIGGER audit_purged BEFORE INSERT ON audit_record FOR EACH ROW
    WHEN (audit_uuid7_time(NEW.id) < now() - interval '23 hours') EXECUTE FUNCTION audit_skip_purged();

-- reverse
DROP TRIGGER audit_purged ON audit_record;
DROP FUNCTION audit_skip_purged();
