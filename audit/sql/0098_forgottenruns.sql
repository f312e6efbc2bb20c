-- Runs of verification that found nothing have an end (0045_tidy), and reports read them. A report can be made again for as
-- long as it is kept, so what it read stays: the runs from its first day to the end of its checkpoint's. Of others that are
-- removed it is counted how many a day there were, and how many records they had computed.
CREATE OR REPLACE FUNCTION audit_forget_verifications(before timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
AS $body$
DECLARE
    reported tstzmultirange;
    removed integer;
BEGIN
    IF before > now() - interval '31 days' THEN
        RAISE EXCEPTION 'runs of the last 31 days stay: % is too late', before;
    END IF;
    -- A report that is asked for meanwhile waits, and reads what is left.
    LOCK TABLE public.audit_report IN SHARE MODE;
    SELECT coalesce(range_agg(tstzrange(
            report.first::timestamp AT TIME ZONE 'UTC',
            (date_trunc('day', head.created_at AT TIME ZONE 'UTC') + interval '1 day') AT TIME ZONE 'UTC')), '{}')
        INTO reported
        FROM public.audit_report report JOIN public.audit_checkpoint head ON head.number = report.checkpoint
        WHERE report.state IN ('pending', 'running', 'ready');
    WITH forgotten AS (
        DELETE FROM public.audit_verification WHERE id IN (
            SELECT id FROM public.audit_verification run
            WHERE ended_at < before AND verdict IN ('VERIFIED', 'NOT COVERED') AND scope <> 'all'
              AND NOT ended_at <@ reported
              AND NOT EXISTS (SELECT FROM public.audit_finding WHERE run_id = run.id)
              AND EXISTS (SELECT FROM public.audit_verification later
                          WHERE later.scope = run.scope AND later.id > run.id AND later.ended_at IS NOT NULL)
            ORDER BY id LIMIT 10000)
        RETURNING ended_at, scope, verdict, counts
    ), counted AS (
        INSERT INTO public.audit_forgottenruns AS sum (day, scope, verdict, runs, records)
        SELECT (ended_at AT TIME ZONE 'UTC')::date, scope, verdict, count(*),
               coalesce(sum((counts ->> 'records')::bigint), 0)
        FROM forgotten GROUP BY 1, 2, 3
        ON CONFLICT (day, scope, verdict) DO UPDATE
            SET runs = sum.runs + excluded.runs, records = sum.records + excluded.records
    )
    SELECT count(*) INTO removed FROM forgotten;
    RETURN removed;
END
$body$;

-- reverse
CREATE OR REPLACE FUNCTION audit_forget_verifications(before timestamptz) RETURNS integer
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
