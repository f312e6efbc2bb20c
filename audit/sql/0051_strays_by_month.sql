-- Each record is looked up in its own month: a plain join would read the whole store for every portion.
CREATE OR REPLACE FUNCTION audit_note_strays(first bigint, last bigint) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
AS $body$
BEGIN
    INSERT INTO public.audit_stray (id, event_timestamp)
    SELECT r.id, r.event_timestamp FROM public.audit_leaf l
    JOIN LATERAL (SELECT * FROM public.audit_record WHERE id = l.record_id OFFSET 0) r ON true
    WHERE l.index >= first AND l.index < last
      AND r.event_timestamp > public.audit_uuid7_time(r.id) + interval '1 day'
    ON CONFLICT DO NOTHING;
    RETURN (SELECT count(*) FROM public.audit_leaf WHERE index >= first AND index < last);
END
$body$;

-- reverse
CREATE OR REPLACE FUNCTION audit_note_strays(first bigint, last bigint) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
AS $body$
BEGIN
    INSERT INTO public.audit_stray (id, event_timestamp)
    SELECT r.id, r.event_timestamp FROM public.audit_leaf l JOIN public.audit_record r ON r.id = l.record_id
    WHERE l.index >= first AND l.index < last
      AND r.event_timestamp > public.audit_uuid7_time(r.id) + interval '1 day'
    ON CONFLICT DO NOTHING;
    RETURN (SELECT count(*) FROM public.audit_leaf WHERE index >= first AND index < last);
END
$body$;
