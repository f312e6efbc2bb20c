-- What can be erased of a record goes when the record is removed. Of single records in the same transaction; of a month
-- that was taken out as a whole, in portions, before its space is given back. Until then the run has not ended.
CREATE OR REPLACE FUNCTION audit_purge(wanted bigint, bound integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '5s'
AS $body$
DECLARE
    plan       public.audit_retentionrequest;
    place      bigint;
    stop       bigint;
    ids        uuid[];
    indexes    bigint[];
    categories text[];
    months     text[];
    gone       bigint;
BEGIN
    IF bound NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'bound must be between 1 and 10000, not %', bound;
    END IF;
    PERFORM public.audit_remove_alone();
    plan := public.audit_approved_plan(wanted);
    INSERT INTO public.audit_purgerun (plan_id, position, purged, started_at, updated_at)
    VALUES (plan.id, plan.first, 0, clock_timestamp(), clock_timestamp()) ON CONFLICT DO NOTHING;
    SELECT r.position INTO place FROM public.audit_purgerun r WHERE r.plan_id = plan.id;
    stop := least(place + bound, plan.size);
    SELECT array_agg(l.record_id ORDER BY l.index), array_agg(l.index ORDER BY l.index),
           array_agg((x.r).event_category ORDER BY l.index),
           array_agg(to_char((x.r).stored_at AT TIME ZONE 'UTC', 'YYYY-MM') ORDER BY l.index)
    INTO ids, indexes, categories, months
    FROM public.audit_leaf l
    JOIN LATERAL (SELECT r FROM public.audit_record r WHERE r.id = l.record_id OFFSET 0) x ON true
    WHERE l.index >= place AND l.index < stop AND public.audit_may_go(x.r, l.index, plan);
    IF ids IS NOT NULL THEN
        PERFORM public.audit_note_purged(plan.id, indexes, categories, months);
        DELETE FROM public.audit_record WHERE id = ANY (ids);
        GET DIAGNOSTICS gone = ROW_COUNT;
        IF gone <> cardinality(ids) THEN
            RAISE EXCEPTION '% of % records were removed: nothing is', gone, cardinality(ids);
        END IF;
        DELETE FROM public.audit_stray WHERE id = ANY (ids);
        DELETE FROM public.audit_erasable WHERE record_id = ANY (ids);
    END IF;
    UPDATE public.audit_purgerun r SET position = stop, updated_at = clock_timestamp(),
        ended_at = CASE WHEN stop >= plan.size AND NOT EXISTS (
            SELECT FROM public.audit_purgemonth m
            WHERE m.plan_id = plan.id AND m.detached_at IS NOT NULL AND m.dropped_at IS NULL
        ) THEN coalesce(r.ended_at, clock_timestamp()) END
    WHERE r.plan_id = plan.id;
    RETURN stop;
END
$body$;

-- Give the space of a month that was taken out back to the disk, once nothing stands beside its records: answer
-- dropped, values (ask again: more of them may be left) or locked. By itself, for a file takes time to be removed.
CREATE OR REPLACE FUNCTION audit_purge_drop(wanted bigint, partition text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '100ms'
AS $body$
DECLARE
    place regclass := to_regclass(format('public.%I', partition));
    least_id uuid;
    last_id  uuid;
    gone     bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM public.audit_purgemonth m WHERE m.plan_id = wanted
                   AND m.name = partition AND m.detached_at IS NOT NULL AND m.dropped_at IS NULL) THEN
        RAISE EXCEPTION '% was not taken out under the plan %', partition, wanted;
    END IF;
    IF EXISTS (SELECT FROM pg_inherits WHERE inhrelid = place) THEN
        RAISE EXCEPTION '% is part of the records', partition;
    END IF;
    IF place IS NOT NULL THEN
        EXECUTE format('SELECT (SELECT id FROM public.%1$I ORDER BY id LIMIT 1), '
                       '(SELECT id FROM public.%1$I ORDER BY id DESC LIMIT 1)', partition) INTO least_id, last_id;
        EXECUTE format(
            'DELETE FROM public.audit_erasable e USING ('
            'SELECT v.record_id, v.path FROM public.audit_erasable v WHERE v.record_id BETWEEN $1 AND $2 '
            'AND EXISTS (SELECT FROM public.%I p WHERE p.id = v.record_id) LIMIT 10000) d '
            'WHERE e.record_id = d.record_id AND e.path = d.path', partition)
        USING least_id, last_id;
        GET DIAGNOSTICS gone = ROW_COUNT;
        IF gone > 0 THEN
            RETURN 'values';
        END IF;
        EXECUTE format('DROP TABLE public.%I', partition);
    END IF;
    UPDATE public.audit_purgemonth m SET dropped_at = clock_timestamp()
    WHERE m.plan_id = wanted AND m.name = partition;
    RETURN 'dropped';
EXCEPTION WHEN lock_not_available THEN
    RETURN 'locked';
END
$body$;

-- reverse
CREATE OR REPLACE FUNCTION audit_purge(wanted bigint, bound integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '5s'
AS $body$
DECLARE
    plan       public.audit_retentionrequest;
    place      bigint;
    stop       bigint;
    ids        uuid[];
    indexes    bigint[];
    categories text[];
    months     text[];
    gone       bigint;
BEGIN
    IF bound NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'bound must be between 1 and 10000, not %', bound;
    END IF;
    PERFORM public.audit_remove_alone();
    plan := public.audit_approved_plan(wanted);
    INSERT INTO public.audit_purgerun (plan_id, position, purged, started_at, updated_at)
    VALUES (plan.id, plan.first, 0, clock_timestamp(), clock_timestamp()) ON CONFLICT DO NOTHING;
    SELECT r.position INTO place FROM public.audit_purgerun r WHERE r.plan_id = plan.id;
    stop := least(place + bound, plan.size);
    SELECT array_agg(l.record_id ORDER BY l.index), array_agg(l.index ORDER BY l.index),
           array_agg((x.r).event_category ORDER BY l.index),
           array_agg(to_char((x.r).stored_at AT TIME ZONE 'UTC', 'YYYY-MM') ORDER BY l.index)
    INTO ids, indexes, categories, months
    FROM public.audit_leaf l
    JOIN LATERAL (SELECT r FROM public.audit_record r WHERE r.id = l.record_id OFFSET 0) x ON true
    WHERE l.index >= place AND l.index < stop AND public.audit_may_go(x.r, l.index, plan);
    IF ids IS NOT NULL THEN
        PERFORM public.audit_note_purged(plan.id, indexes, categories, months);
        DELETE FROM public.audit_record WHERE id = ANY (ids);
        GET DIAGNOSTICS gone = ROW_COUNT;
        IF gone <> cardinality(ids) THEN
            RAISE EXCEPTION '% of % records were removed: nothing is', gone, cardinality(ids);
        END IF;
        DELETE FROM public.audit_stray WHERE id = ANY (ids);
    END IF;
    UPDATE public.audit_purgerun r SET position = stop, updated_at = clock_timestamp(),
        ended_at = CASE WHEN stop >= plan.size THEN coalesce(r.ended_at, clock_timestamp()) END
    WHERE r.plan_id = plan.id;
    RETURN stop;
END
$body$;

CREATE OR REPLACE FUNCTION audit_purge_drop(wanted bigint, partition text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '100ms'
AS $body$
DECLARE
    place regclass := to_regclass(format('public.%I', partition));
BEGIN
    IF NOT EXISTS (SELECT FROM public.audit_purgemonth m WHERE m.plan_id = wanted
                   AND m.name = partition AND m.detached_at IS NOT NULL AND m.dropped_at IS NULL) THEN
        RAISE EXCEPTION '% was not taken out under the plan %', partition, wanted;
    END IF;
    IF EXISTS (SELECT FROM pg_inherits WHERE inhrelid = place) THEN
        RAISE EXCEPTION '% is part of the records', partition;
    END IF;
    IF place IS NOT NULL THEN
        EXECUTE format('DROP TABLE public.%I', partition);
    END IF;
    UPDATE public.audit_purgemonth m SET dropped_at = clock_timestamp()
    WHERE m.plan_id = wanted AND m.name = partition;
    RETURN 'dropped';
EXCEPTION WHEN lock_not_available THEN
    RETURN 'locked';
END
$body$;
