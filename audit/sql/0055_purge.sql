-- Removal of records that are due: by a plan that two people made, and by nobody's right but that of these functions.
-- The application has no DELETE; it names a plan and a bound, and PostgreSQL checks age, floor, hold, seal and approval.
-- Leaves stay: the log and every proof stay as they are. Which leaves have no record any more says audit_purged.

ALTER TABLE audit_retentionrequest ADD CONSTRAINT audit_retentionrequest_purge CHECK (
    (kind = 'purge') = (cut IS NOT NULL AND first IS NOT NULL AND size IS NOT NULL AND counts IS NOT NULL)
    AND first >= 0 AND first <= size);

-- What a plan would remove as of `cut`, and what of that is held, by category and month of storage. An id is at most an
-- hour ahead of the time of storage: months whose ids are later than that are not looked into.
CREATE FUNCTION audit_purge_counts(cut timestamptz)
RETURNS TABLE (category text, month text, due bigint, held bigint, first bigint, last bigint)
LANGUAGE sql STABLE
AS $body$
    SELECT d.category, d.month, count(*) FILTER (WHERE NOT d.held), count(*) FILTER (WHERE d.held),
           min(d.index) FILTER (WHERE NOT d.held), max(d.index) FILTER (WHERE NOT d.held)
    FROM (
        SELECT r.event_category AS category, to_char(r.stored_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month,
               audit_held(r) AS held, (SELECT l.index FROM audit_leaf l WHERE l.record_id = r.id) AS index
        FROM audit_record r
        WHERE r.id < audit_uuid7_floor(cut + interval '1 hour') AND audit_retained_until(r) <= cut
    ) d
    WHERE d.index IS NOT NULL GROUP BY 1, 2
$body$;

-- A record may go under a plan, now. `index` is its leaf's.
CREATE FUNCTION audit_may_go(r audit_record, index bigint, plan audit_retentionrequest) RETURNS boolean
LANGUAGE sql STABLE
AS $body$
    SELECT index >= plan.first AND index < plan.size AND audit_retained_until(r) <= plan.cut AND NOT audit_held(r)
$body$;

-- The plan, where it may be worked on: approved by a second person, the record of that sealed, the clock the sealer's.
CREATE FUNCTION audit_approved_plan(wanted bigint) RETURNS audit_retentionrequest
LANGUAGE plpgsql STABLE
AS $body$
DECLARE
    plan     public.audit_retentionrequest;
    decision public.audit_retentiondecision;
    signed   bigint;
    signed_at timestamptz;
BEGIN
    SELECT * INTO plan FROM public.audit_retentionrequest WHERE id = wanted AND kind = 'purge';
    IF plan.id IS NULL THEN
        RAISE EXCEPTION 'there is no plan %', wanted USING ERRCODE = 'no_data_found';
    END IF;
    SELECT * INTO decision FROM public.audit_retentiondecision WHERE request_id = wanted;
    IF decision.decision IS DISTINCT FROM 'approved' OR decision.decided_by = plan.asked_by THEN
        RAISE EXCEPTION 'no second person has approved the plan %', wanted USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT h.size, h.created_at INTO signed, signed_at FROM public.audit_head h;
    IF NOT EXISTS (
        SELECT FROM public.audit_leaf l JOIN public.audit_record r ON r.id = l.record_id
        WHERE l.record_id = decision.record_id AND l.index < signed
          AND r.writer = 'auditsite' AND r.event_type = 'audit.purge.approved'
          AND r.actor_id = decision.decided_by AND r.event_data ->> 'request' = wanted::text
    ) THEN
        RAISE EXCEPTION 'the record that approves the plan % is not sealed yet', wanted
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF plan.size > signed OR plan.cut > clock_timestamp() THEN
        RAISE EXCEPTION 'the plan % reaches past what is signed, or past now', wanted
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- Age is told by this clock alone, so it has to agree with the one that signs: a head is signed each hour.
    IF clock_timestamp() NOT BETWEEN signed_at - interval '5 minutes' AND signed_at + interval '2 hours' THEN
        RAISE EXCEPTION 'the newest head is of %: it is now %, and nothing is removed by a clock that nobody confirms',
            signed_at, clock_timestamp() USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Is the sealer running, and are the clocks right?';
    END IF;
    RETURN plan;
END
$body$;

-- Nobody decides, places a hold or removes meanwhile; and each statement sees what was decided before it began.
CREATE FUNCTION audit_remove_alone() RETURNS void
LANGUAGE plpgsql
AS $body$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'records are removed in a transaction that is READ COMMITTED, or a hold could be overlooked'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('audit_retention'));
END
$body$;

-- Note leaves as removed under a plan, and count them.
CREATE FUNCTION audit_note_purged(wanted bigint, indexes bigint[], categories text[], months text[]) RETURNS void
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

-- Remove what may go of the next `bound` leaves of a plan, from where the last call left off; answer where it is now.
CREATE FUNCTION audit_purge(wanted bigint, bound integer) RETURNS bigint
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

-- What is held and decided, so that a change is noticed.
CREATE FUNCTION audit_retention_state() RETURNS text
LANGUAGE sql STABLE
AS $body$
    SELECT (SELECT count(*) FROM public.audit_legalhold) || '/' || (SELECT count(*) FROM public.audit_retentiondecision)
$body$;

-- Look whether all records of a month may go under a plan, without a lock that anybody waits for, and note it: whole, or
-- kept, where one may not.
CREATE FUNCTION audit_purge_look(wanted bigint, partition text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
DECLARE
    plan  public.audit_retentionrequest := public.audit_approved_plan(wanted);
    seen  text := public.audit_retention_state();
    total bigint;
    due   bigint;
BEGIN
    IF partition !~ '^audit_record_[0-9]{4}_[0-9]{2}(_before)?$' OR NOT EXISTS (
        SELECT FROM pg_inherits WHERE inhparent = 'public.audit_record'::regclass
        AND inhrelid = to_regclass(format('public.%I', partition))) THEN
        RAISE EXCEPTION '% is no month of records', partition;
    END IF;
    EXECUTE format(
        'SELECT count(*), count(*) FILTER (WHERE l.index IS NOT NULL '
        'AND public.audit_may_go(p::public.audit_record, l.index, $1)) '
        'FROM ONLY public.%I p LEFT JOIN public.audit_leaf l ON l.record_id = p.id', partition)
    INTO total, due USING plan;
    IF total = 0 OR due < total THEN
        RETURN 'kept';
    END IF;
    INSERT INTO public.audit_purgemonth AS m (plan_id, name, records, state, looked_at)
    VALUES (plan.id, partition, total, seen, clock_timestamp())
    ON CONFLICT (plan_id, name) DO UPDATE SET records = excluded.records, state = excluded.state,
        looked_at = excluded.looked_at
    WHERE m.detached_at IS NULL;
    RETURN 'whole';
END
$body$;

-- Take a month that was found to be whole out of the records; answer detached, changed (look again) or locked (ask
-- again). Late events of that month wait meanwhile, all others for as long as a definition takes to change. PostgreSQL
-- detaches nothing CONCURRENTLY where there is a default partition.
CREATE FUNCTION audit_purge_detach(wanted bigint, partition text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '100ms'
AS $body$
DECLARE
    plan   public.audit_retentionrequest;
    looked public.audit_purgemonth;
    total  bigint;
    indexes    bigint[];
    categories text[];
    months     text[];
BEGIN
    PERFORM public.audit_remove_alone();
    plan := public.audit_approved_plan(wanted);
    SELECT * INTO looked FROM public.audit_purgemonth m
    WHERE m.plan_id = plan.id AND m.name = partition AND m.detached_at IS NULL;
    IF looked.name IS NULL THEN
        RAISE EXCEPTION 'nobody has looked whether % may go as a whole', partition;
    END IF;
    EXECUTE format('LOCK TABLE ONLY public.%I IN SHARE MODE', partition);
    EXECUTE format('SELECT count(*) FROM public.%I', partition) INTO total;
    -- Records never change and holds only come by a row: the same number of both is the same records and holds.
    IF total <> looked.records OR looked.state <> public.audit_retention_state() THEN
        RETURN 'changed';
    END IF;
    INSERT INTO public.audit_purgerun (plan_id, position, purged, started_at, updated_at)
    VALUES (plan.id, plan.first, 0, clock_timestamp(), clock_timestamp()) ON CONFLICT DO NOTHING;
    EXECUTE format(
        'SELECT array_agg(l.index), array_agg(p.event_category), '
        'array_agg(to_char(p.stored_at AT TIME ZONE ''UTC'', ''YYYY-MM'')) '
        'FROM public.%I p JOIN public.audit_leaf l ON l.record_id = p.id', partition)
    INTO indexes, categories, months;
    IF cardinality(indexes) <> total THEN
        RETURN 'changed';
    END IF;
    PERFORM public.audit_note_purged(plan.id, indexes, categories, months);
    EXECUTE format('DELETE FROM public.audit_stray s USING public.%I p WHERE s.id = p.id', partition);
    UPDATE public.audit_purgemonth m SET detached_at = clock_timestamp() WHERE m.plan_id = plan.id AND m.name = partition;
    EXECUTE format('ALTER TABLE public.audit_record DETACH PARTITION public.%I', partition);
    RETURN 'detached';
EXCEPTION WHEN lock_not_available THEN
    RETURN 'locked';
END
$body$;

-- Give the space of a month that was taken out back to the disk. By itself, for a file takes time to be removed.
CREATE FUNCTION audit_purge_drop(wanted bigint, partition text) RETURNS text
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

-- A record is deleted only once its leaf is noted as removed. All other changes of append-only tables are refused.
CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger
LANGUAGE plpgsql
AS $body$
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME ~ '^audit_record(_|$)' THEN
        IF EXISTS (
            SELECT FROM public.audit_leaf l JOIN LATERAL (
                SELECT p.last FROM public.audit_purged p WHERE p.first <= l.index ORDER BY p.first DESC LIMIT 1
            ) p ON p.last > l.index
            WHERE l.record_id = OLD.id
        ) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION '% on % is refused: audit records are append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation',
              HINT = 'To correct a record, write a new one that names it.';
END
$body$;

CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_purged
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
ALTER TABLE audit_purged ENABLE ALWAYS TRIGGER audit_no_change;
SELECT audit_guard_truncate('audit_purged');

REVOKE ALL ON FUNCTION audit_purge(bigint, integer), audit_purge_look(bigint, text), audit_purge_detach(bigint, text),
    audit_purge_drop(bigint, text), audit_note_purged(bigint, bigint[], text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_purge(bigint, integer), audit_purge_look(bigint, text),
    audit_purge_detach(bigint, text), audit_purge_drop(bigint, text) TO audit_app;

-- reverse
DROP FUNCTION audit_purge_drop(bigint, text);
DROP FUNCTION audit_purge_detach(bigint, text);
DROP FUNCTION audit_purge_look(bigint, text);
DROP FUNCTION audit_retention_state();
DROP FUNCTION audit_purge(bigint, integer);
DROP FUNCTION audit_note_purged(bigint, bigint[], text[], text[]);
DROP FUNCTION audit_remove_alone();
DROP FUNCTION audit_approved_plan(bigint);
DROP FUNCTION audit_may_go(audit_record, bigint, audit_retentionrequest);
DROP FUNCTION audit_purge_counts(timestamptz);
ALTER TABLE audit_retentionrequest DROP CONSTRAINT audit_retentionrequest_purge;
CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger
LANGUAGE plpgsql
AS $body$
BEGIN
    RAISE EXCEPTION '% on % is refused: audit records are append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation',
              HINT = 'To correct a record, write a new one that names it.';
END
$body$;
