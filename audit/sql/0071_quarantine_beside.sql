-- What stands beside an event of the queue, so that a quarantined one can be parked again as it was. What was erased of
-- the record with its id goes here, too; all else of the quarantine never changes.
ALTER TABLE audit_quarantine ADD COLUMN beside bytea;

-- What is left of it without what was erased; NULL where nothing is, or where it cannot be read and something was erased.
CREATE FUNCTION audit_beside_left(key text, beside bytea) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp
AS $body$
DECLARE
    gone text[];
    kept jsonb;
BEGIN
    IF beside IS NULL OR key !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        RETURN beside;
    END IF;
    gone := ARRAY(SELECT e.path FROM public.audit_erased e WHERE e.record_id = key::uuid);
    IF cardinality(gone) = 0 THEN
        RETURN beside;
    END IF;
    BEGIN
        kept := convert_from(beside, 'UTF8')::jsonb;
        IF NOT kept ?| gone THEN
            RETURN beside;
        END IF;
        kept := kept - gone;
    EXCEPTION WHEN OTHERS THEN
        RETURN NULL;
    END;
    RETURN nullif(convert_to(kept::text, 'UTF8'), '{}'::bytea);
END
$body$;

CREATE FUNCTION audit_quarantine_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $body$
DECLARE
    expected public.audit_quarantine := OLD;
BEGIN
    expected.beside := public.audit_beside_left(OLD.key, OLD.beside);
    IF TG_OP = 'UPDATE' AND expected.beside IS DISTINCT FROM OLD.beside AND NEW IS NOT DISTINCT FROM expected THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% on % is refused: audit records are append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation',
              HINT = 'What stands beside an event goes by an approved erasure alone.';
END
$body$;
DROP TRIGGER audit_no_change ON audit_quarantine;
CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_quarantine
    FOR EACH ROW EXECUTE FUNCTION audit_quarantine_change();
ALTER TABLE audit_quarantine ENABLE ALWAYS TRIGGER audit_no_change;

-- reverse
DROP TRIGGER audit_no_change ON audit_quarantine;
CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_quarantine
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
ALTER TABLE audit_quarantine ENABLE ALWAYS TRIGGER audit_no_change;
DROP FUNCTION audit_quarantine_change();
DROP FUNCTION audit_beside_left(text, bytea);
ALTER TABLE audit_quarantine DROP COLUMN beside;
