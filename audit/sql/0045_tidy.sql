-- Runs of verification that found nothing are nobody's record: a person's run is recorded as an event, and so is whatever
-- is found. SECURITY DEFINER: the application may have them removed, it may not remove a row itself.
--
-- What stays: runs that found something or that a finding names, runs of the whole log (they clear findings), the newest
-- of each scope (the next one begins where it ended), and all of the last 31 days (of which pages and reports count).
CREATE FUNCTION audit_forget_verifications(before timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
AS $body$
DECLARE
    forgotten integer;
BEGIN
    IF before > now() - interval '31 days' THEN
        RAISE EXCEPTION 'runs of the last 31 days stay: % is too late', before;
    END IF;
    DELETE FROM public.audit_verification WHERE id IN (
        SELECT id FROM public.audit_verification run
        WHERE ended_at < before AND verdict IN ('VERIFIED', 'NOT COVERED') AND scope <> 'all'
          AND NOT EXISTS (SELECT FROM public.audit_finding WHERE run_id = run.id)
          AND EXISTS (SELECT FROM public.audit_verification later
                      WHERE later.scope = run.scope AND later.id > run.id AND later.ended_at IS NOT NULL)
        ORDER BY id LIMIT 10000);
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$body$;
REVOKE ALL ON FUNCTION audit_forget_verifications(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_forget_verifications(timestamptz) TO audit_app;

-- reverse
DROP FUNCTION audit_forget_verifications(timestamptz);
