-- Append-only: whoever asks, and in whatever session mode, a record is neither changed nor removed.
--
-- ENABLE ALWAYS makes the triggers fire under session_replication_role = replica too. Row triggers on
-- the parent reach every partition by themselves; a TRUNCATE trigger does not, so each partition gets its own.

CREATE FUNCTION audit_refuse_change() RETURNS trigger
LANGUAGE plpgsql
AS $body$
BEGIN
    RAISE EXCEPTION '% on % is refused: audit records are append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation',
              HINT = 'To correct a record, write a new one that names it.';
END
$body$;

CREATE FUNCTION audit_guard_truncate(partition regclass) RETURNS void
LANGUAGE plpgsql
AS $body$
BEGIN
    EXECUTE format('CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT '
                   'EXECUTE FUNCTION audit_refuse_change()', partition);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER audit_no_truncate', partition);
END
$body$;

CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_record
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
ALTER TABLE audit_record ENABLE ALWAYS TRIGGER audit_no_change;
SELECT audit_guard_truncate('audit_record');
SELECT audit_guard_truncate('audit_record_default');

-- Make the partitions of this month and of the `months` after it; answer how many are new.
-- SECURITY DEFINER: the application may ask for partitions, it may not create tables.
CREATE FUNCTION audit_make_partitions(months integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
AS $body$
DECLARE
    start timestamptz;
    name  text;
    made  integer := 0;
BEGIN
    IF months NOT BETWEEN 0 AND 120 THEN
        RAISE EXCEPTION 'months must be between 0 and 120, not %', months;
    END IF;
    -- Two tasks at once would both see the month missing; the second waits here.
    PERFORM pg_advisory_xact_lock(hashtext('audit_make_partitions'));
    FOR ahead IN 0..months LOOP
        -- From the first of the month, so that the 31st never skips a short month.
        start := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead)) AT TIME ZONE 'UTC';
        name := 'audit_record_' || to_char(start AT TIME ZONE 'UTC', 'YYYY_MM');
        CONTINUE WHEN to_regclass('public.' || name) IS NOT NULL;
        BEGIN
            EXECUTE format(
                'CREATE TABLE public.%I PARTITION OF public.audit_record FOR VALUES FROM (%L) TO (%L)',
                name,
                public.audit_uuid7_floor(start),
                public.audit_uuid7_floor((start AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'));
        EXCEPTION WHEN check_violation THEN
            -- Records of that month are in the default partition already, and may not move: they stay there.
            RAISE WARNING 'partition % was not made: audit_record_default holds records of its month', name;
            CONTINUE;
        END;
        EXECUTE format('ALTER TABLE public.%I ENABLE ALWAYS TRIGGER audit_no_change', name);
        PERFORM public.audit_guard_truncate(format('public.%I', name)::regclass);
        -- Rights are given on the parent alone; a partition is not to be touched directly.
        EXECUTE format('REVOKE ALL ON public.%I FROM PUBLIC, audit_app, audit_reader', name);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$body$;
REVOKE ALL ON FUNCTION audit_make_partitions(integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION audit_guard_truncate(regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_make_partitions(integer) TO audit_app;

SELECT audit_make_partitions(6);

-- reverse
DROP FUNCTION audit_make_partitions(integer);
DROP TRIGGER audit_no_change ON audit_record;
DROP TRIGGER audit_no_truncate ON audit_record;
DROP TRIGGER audit_no_truncate ON audit_record_default;
DROP FUNCTION audit_guard_truncate(regclass);
DROP FUNCTION audit_refuse_change() CASCADE;
