-- Before a record goes it lies in an archive, unless its plan says why it need not: checked here, as all else.

-- The archives that hold what they say: the last check of the whole was VERIFIED, no fault was seen since, and the record
-- of that check is sealed, so that whoever writes these tables cannot keep their word out of the log.
CREATE FUNCTION audit_holding_archives()
RETURNS TABLE (id uuid, first bigint, last bigint, checked_at timestamptz)
LANGUAGE sql STABLE
AS $body$
    SELECT a.id, a.first, a.last, w.ended_at
    FROM public.audit_archive a
    JOIN LATERAL (
        SELECT c.id, c.verdict, c.started_at, c.ended_at FROM public.audit_archivecheck c
        WHERE c.archive_id = a.id AND c.volume IS NULL ORDER BY c.id DESC LIMIT 1
    ) w ON w.verdict = 'VERIFIED'
    WHERE a.state = 'ready'
      AND NOT EXISTS (
        SELECT FROM public.audit_archivecheck c
        WHERE c.archive_id = a.id AND c.id > w.id AND c.verdict <> 'VERIFIED')
      AND EXISTS (
        SELECT FROM public.audit_record r JOIN public.audit_leaf l ON l.record_id = r.id
        WHERE r.correlation_id = 'archive-' || a.id AND r.writer = 'auditsite'
          AND r.event_type = 'audit.archive.checked' AND r.event_timestamp >= w.started_at
          AND r.id >= public.audit_uuid7_floor(w.started_at - interval '1 hour')
          AND r.event_data ->> 'verdict' = 'VERIFIED' AND r.event_data ->> 'volume' IS NULL
          AND l.index < (SELECT h.size FROM public.audit_head h))
$body$;

-- The leaves that archives hold.
CREATE FUNCTION audit_archived() RETURNS int8multirange
LANGUAGE sql STABLE
AS $body$
    SELECT coalesce(range_agg(int8range(h.first, h.last)), '{}'::int8multirange) FROM public.audit_holding_archives() h
$body$;

-- The leaves of a plan that neither an archive holds nor a purge has removed.
CREATE FUNCTION audit_not_archived(wanted bigint) RETURNS TABLE (first bigint, last bigint)
LANGUAGE sql STABLE
AS $body$
    SELECT lower(r), upper(r) FROM public.audit_retentionrequest q, unnest(
        int8multirange(int8range(q.first, q.size)) - public.audit_archived() - coalesce((
            SELECT range_agg(int8range(p.first, p.last)) FROM public.audit_purged p
            WHERE p.first < q.size AND p.last > q.first), '{}'::int8multirange)
    ) r
    WHERE q.id = wanted AND q.kind = 'purge' ORDER BY 1
$body$;

-- Note leaves as removed under a plan, and count them. Nothing is noted, so nothing goes, that no archive holds, unless
-- the plan says why.
CREATE OR REPLACE FUNCTION audit_note_purged(wanted bigint, indexes bigint[], categories text[], months text[])
RETURNS void
LANGUAGE plpgsql
AS $body$
DECLARE
    archived int8multirange;
    lacking  bigint;
BEGIN
    IF EXISTS (SELECT FROM public.audit_retentionrequest q WHERE q.id = wanted AND q.without_archive = '') THEN
        archived := public.audit_archived();
        SELECT min(i.index) INTO lacking FROM unnest(indexes) i(index) WHERE NOT i.index <@ archived;
        IF lacking IS NOT NULL THEN
            RAISE EXCEPTION 'the record of leaf % is in no archive whose last check is VERIFIED and sealed', lacking
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
    END IF;
    INSERT INTO public.audit_purged (first, last, plan_id)
    SELECT min(index), max(index) + 1, wanted
    FROM (SELECT index, index - row_number() OVER (ORDER BY index) AS island FROM unnest(indexes) index) i
    GROUP BY island;
    INSERT INTO public.audit_purgecount AS c (plan_id, category, month, records)
    SELECT wanted, u.category, u.month, count(*) FROM unnest(categories, months) u(category, month) GROUP BY 2, 3
    ON CONFLICT (plan_id, category, month) DO UPDATE SET records = c.records + excluded.records;
    UPDATE public.audit_purgerun SET purged = purged + cardinality(indexes), updated_at = clock_timestamp()
    WHERE plan_id = wanted;
END
$body$;

-- reverse
CREATE OR REPLACE FUNCTION audit_note_purged(wanted bigint, indexes bigint[], categories text[], months text[])
RETURNS void
LANGUAGE plpgsql
AS $body$
BEGIN
    INSERT INTO public.audit_purged (first, last, plan_id)
    SELECT min(index), max(index) + 1, wanted
    FROM (SELECT index, index - row_number() OVER (ORDER BY index) AS island FROM unnest(indexes) index) i
    GROUP BY island;
    INSERT INTO public.audit_purgecount AS c (plan_id, category, month, records)
    SELECT wanted, u.category, u.month, count(*) FROM unnest(categories, months) u(category, month) GROUP BY 2, 3
    ON CONFLICT (plan_id, category, month) DO UPDATE SET records = c.records + excluded.records;
    UPDATE public.audit_purgerun SET purged = purged + cardinality(indexes), updated_at = clock_timestamp()
    WHERE plan_id = wanted;
END
$body$;
DROP FUNCTION audit_not_archived(bigint);
DROP FUNCTION audit_archived();
DROP FUNCTION audit_holding_archives();
