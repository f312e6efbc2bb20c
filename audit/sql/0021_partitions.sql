-- Partitions without stopping the world. CREATE TABLE ... PARTITION OF locks the parent against everybody, and waits
-- for whoever reads it: every insert waits behind it. A table that is made first and attached then locks the parent
-- against other changes of its definition alone, and, for as long as it is scanned, the default partition.

-- Make the partition of the month that begins at `start`; answer what came of it: made, exists, or locked, where
-- somebody holds the default partition (a backup, a long query): ask again later. Nobody waits longer than lock_timeout.
--
-- Records of that month that are in the default partition already (a clock was ahead) may not be moved. They stay, and
-- the partition begins after the last of them; what is before the first gets a partition of its own.
CREATE FUNCTION audit_make_partition(start timestamptz) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET lock_timeout = '100ms'
AS $body$
DECLARE
    name  text := 'audit_record_' || to_char(start AT TIME ZONE 'UTC', 'YYYY_MM');
    lower uuid := public.audit_uuid7_floor(start);
    upper uuid := public.audit_uuid7_floor((start AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC');
    first uuid;
    last  uuid;
BEGIN
    IF start <> date_trunc('month', start AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' THEN
        RAISE EXCEPTION 'a partition begins with a month, not at %', start;
    END IF;
    -- Two tasks at once would both see the month missing; the second waits here.
    PERFORM pg_advisory_xact_lock(hashtext('audit_make_partitions'));
    IF to_regclass('public.' || name) IS NOT NULL THEN
        RETURN 'exists';
    END IF;
    -- Before it is looked into, so that nothing comes into it meanwhile.
    LOCK TABLE public.audit_record_default IN ACCESS EXCLUSIVE MODE;
    SELECT id INTO first FROM public.audit_record_default WHERE id >= lower AND id < upper ORDER BY id LIMIT 1;
    SELECT id INTO last FROM public.audit_record_default WHERE id >= lower AND id < upper ORDER BY id DESC LIMIT 1;
    IF first IS NULL THEN
        PERFORM public.audit_attach_partition(name, lower, upper);
    ELSE
        RAISE WARNING 'audit_record_default holds records of %: they stay there', name;
        PERFORM public.audit_attach_partition(name || '_before', lower, public.audit_uuid7_floor(audit_uuid7_time(first)));
        PERFORM public.audit_attach_partition(
            name, public.audit_uuid7_floor(audit_uuid7_time(last) + interval '1 millisecond'), upper);
    END IF;
    RETURN 'made';
EXCEPTION WHEN lock_not_available THEN
    RETURN 'locked';
END
$body$;

CREATE FUNCTION audit_attach_partition(name text, lower uuid, upper uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public
AS $body$
BEGIN
    IF lower >= upper THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.audit_record INCLUDING ALL)', name);
    EXECUTE format('ALTER TABLE public.audit_record ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                   name, lower, upper);
    EXECUTE format('ALTER TABLE public.%I ENABLE ALWAYS TRIGGER audit_no_change', name);
    PERFORM public.audit_guard_truncate(format('public.%I', name)::regclass);
    -- Rights are given on the parent alone; a partition is not to be touched directly.
    EXECUTE format('REVOKE ALL ON public.%I FROM PUBLIC, audit_app, audit_reader', name);
END
$body$;

-- The moment of a UUIDv7, to the millisecond.
CREATE FUNCTION audit_uuid7_time(id uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $body$
    SELECT to_timestamp(('x' || lpad(substr(replace(id::text, '-', ''), 1, 12), 16, '0'))::bit(64)::bigint / 1000.0)
$body$;

-- Make the partitions of this month and of the `months` after it; answer how many are new.
CREATE OR REPLACE FUNCTION audit_make_partitions(months integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
AS $body$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    made       integer := 0;
BEGIN
    IF months NOT BETWEEN 0 AND 120 THEN
        RAISE EXCEPTION 'months must be between 0 and 120, not %', months;
    END IF;
    FOR ahead IN 0..months LOOP
        -- From the first of the month, so that the 31st never skips a short month.
        IF public.audit_make_partition((this_month + make_interval(months => ahead)) AT TIME ZONE 'UTC') = 'made' THEN
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END
$body$;

REVOKE ALL ON FUNCTION audit_make_partition(timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION audit_attach_partition(text, uuid, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_make_partition(timestamptz) TO audit_app;

-- reverse
CREATE OR REPLACE FUNCTION audit_make_partitions(months integer) RETURNS integer
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
DROP FUNCTION audit_make_partition(timestamptz);
DROP FUNCTION audit_attach_partition(text, uuid, uuid);
DROP FUNCTION audit_uuid7_time(uuid);
