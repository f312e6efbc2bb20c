-- Whether the leaf of a record is noted as removed: in one place, for records, their ids, and what stands beside them.
-- OR REPLACE, for a store may have the function from a build between two releases.
CREATE OR REPLACE FUNCTION audit_is_purged(wanted uuid) RETURNS boolean
LANGUAGE sql STABLE
AS $body$
    SELECT EXISTS (
        SELECT FROM public.audit_leaf l JOIN LATERAL (
            SELECT p.last FROM public.audit_purged p WHERE p.first <= l.index ORDER BY p.first DESC LIMIT 1
        ) p ON p.last > l.index
        WHERE l.record_id = wanted
    )
$body$;

-- A record is deleted only once its leaf is noted as removed. All other changes of append-only tables are refused.
CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger
LANGUAGE plpgsql
AS $body$
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME ~ '^audit_record(_|$)' THEN
        IF public.audit_is_purged(OLD.id) THEN  -- by itself, for rows of other tables have no id
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION '% on % is refused: audit records are append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation',
              HINT = 'To correct a record, write a new one that names it.';
END
$body$;

-- The id of a record that was removed stays taken.
CREATE OR REPLACE FUNCTION audit_skip_purged() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
BEGIN
    IF public.audit_is_purged(NEW.id) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$body$;

-- reverse
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

CREATE OR REPLACE FUNCTION audit_skip_purged() RETURNS trigger
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

DROP FUNCTION audit_is_purged(uuid);
