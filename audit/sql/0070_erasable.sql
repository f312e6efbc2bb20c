-- Members of events that can be erased later. The digest covers commitments to them, in the column `erasable`; their
-- salts and values stand beside the record, and go by an erasure that two people agreed on, and by nothing else.
ALTER TABLE audit_record ADD COLUMN erasable jsonb;
ALTER TABLE audit_archived_record ADD COLUMN erasable jsonb;

CREATE TABLE audit_erasable (
    record_id uuid         NOT NULL,
    path      varchar(500) NOT NULL,
    salt      bytea        NOT NULL CHECK (octet_length(salt) = 32),
    -- RFC 8785, as the commitment covers it.
    value     text         NOT NULL,
    PRIMARY KEY (record_id, path)
);

-- The way to the records in which a member has some value: a person who asks for an erasure knows no more.
CREATE INDEX audit_erasable_value ON audit_erasable USING hash (value);

-- What was erased, by which request. The row is written first: it is what lets the value go.
CREATE TABLE audit_erased (
    record_id  uuid         NOT NULL,
    path       varchar(500) NOT NULL,
    request_id bigint       NOT NULL,
    erased_at  timestamptz  NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (record_id, path)
);
CREATE INDEX audit_erased_request ON audit_erased (request_id);

-- How far each request has come. `place` is how many of its records were looked at.
CREATE TABLE audit_erasureprogress (
    request_id bigint  NOT NULL PRIMARY KEY,
    place      integer NOT NULL DEFAULT 0,
    erased     bigint  NOT NULL DEFAULT 0,
    held       uuid[]  NOT NULL DEFAULT '{}',
    done_at    timestamptz
);

CREATE FUNCTION audit_is_approved(request bigint) RETURNS boolean
LANGUAGE sql STABLE
AS $body$
    SELECT EXISTS (SELECT FROM audit_erasurerequest r JOIN audit_erasuredecision d ON d.request_id = r.id
                   WHERE r.id = request AND d.approved AND d.decided_by <> r.asked_by)
$body$;

-- One decision for each request, by another person than the one who asked.
CREATE FUNCTION audit_second_person() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $body$
BEGIN
    IF EXISTS (SELECT FROM public.audit_erasurerequest WHERE id = NEW.request_id AND asked_by = NEW.decided_by) THEN
        RAISE EXCEPTION 'erasure request % was asked for by %: a second person decides', NEW.request_id, NEW.decided_by
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$body$;
CREATE TRIGGER audit_second_person BEFORE INSERT ON audit_erasuredecision
    FOR EACH ROW EXECUTE FUNCTION audit_second_person();
ALTER TABLE audit_erasuredecision ENABLE ALWAYS TRIGGER audit_second_person;

-- Nothing counts as erased but what an approved request names, and no hold covers.
CREATE FUNCTION audit_may_be_erased() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $body$
DECLARE
    asked record;
BEGIN
    SELECT records, paths INTO asked FROM public.audit_erasurerequest WHERE id = NEW.request_id;
    IF NOT FOUND OR NOT public.audit_is_approved(NEW.request_id) THEN
        RAISE EXCEPTION 'erasure request % is not approved by a second person', NEW.request_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NOT NEW.record_id = ANY (asked.records)
       OR (cardinality(asked.paths) > 0 AND NOT NEW.path = ANY (asked.paths)) THEN
        RAISE EXCEPTION 'erasure request % does not name % of record %', NEW.request_id, NEW.path, NEW.record_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF EXISTS (SELECT FROM public.audit_record r WHERE r.id = NEW.record_id AND public.audit_held(r)) THEN
        RAISE EXCEPTION 'record % is under a legal hold: nothing of it is erased', NEW.record_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$body$;
CREATE TRIGGER audit_may_be_erased BEFORE INSERT ON audit_erased
    FOR EACH ROW EXECUTE FUNCTION audit_may_be_erased();
ALTER TABLE audit_erased ENABLE ALWAYS TRIGGER audit_may_be_erased;

-- A value goes once it is noted as erased, or its record as removed; it never changes.
CREATE FUNCTION audit_erased_alone() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $body$
BEGIN
    IF TG_OP = 'DELETE' AND (
        EXISTS (SELECT FROM public.audit_erased WHERE record_id = OLD.record_id AND path = OLD.path)
        OR public.audit_is_purged(OLD.record_id)
    ) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% on % is refused: values go by an approved erasure, or with their record', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation',
              HINT = 'Ask for an erasure; a second person approves it.';
END
$body$;
CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_erasable
    FOR EACH ROW EXECUTE FUNCTION audit_erased_alone();
ALTER TABLE audit_erasable ENABLE ALWAYS TRIGGER audit_no_change;

DO $$
DECLARE
    append_only text;
BEGIN
    FOREACH append_only IN ARRAY ARRAY['audit_erased', 'audit_erasurerequest', 'audit_erasuredecision'] LOOP
        EXECUTE format('CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON %I '
                       'FOR EACH ROW EXECUTE FUNCTION audit_refuse_change()', append_only);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER audit_no_change', append_only);
        PERFORM audit_guard_truncate(append_only::regclass);
    END LOOP;
    PERFORM audit_guard_truncate('audit_erasable');
END
$$;

-- Erase what an approved request names of its next `most` records; answer whether there are more. Held records keep
-- everything, and are noted. A portion is one transaction: what breaks off is done again from the place before it.
-- Nobody places a hold meanwhile, so none is overlooked. What stands beside events of the same id in the quarantine goes.
-- SECURITY DEFINER: the application may have values erased, it may not remove a row itself.
CREATE FUNCTION audit_erase(request bigint, most integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '5s'
AS $body$
DECLARE
    asked  public.audit_erasurerequest;
    so_far public.audit_erasureprogress;
    chosen uuid[];
    kept   uuid[];
    gone   bigint;
    is_end boolean;
BEGIN
    IF most IS NULL OR most NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'an erasure goes on by 1 to 1000 records, not %', most;
    END IF;
    PERFORM public.audit_remove_alone();
    SELECT * INTO asked FROM public.audit_erasurerequest WHERE id = request;
    IF NOT FOUND OR NOT public.audit_is_approved(request) THEN
        RAISE EXCEPTION 'erasure request % is not approved by a second person', request
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    INSERT INTO public.audit_erasureprogress (request_id) VALUES (request) ON CONFLICT DO NOTHING;
    SELECT * INTO so_far FROM public.audit_erasureprogress WHERE request_id = request FOR UPDATE;
    IF so_far.done_at IS NOT NULL THEN
        RETURN false;
    END IF;
    chosen := asked.records[so_far.place + 1 : so_far.place + most];
    kept := ARRAY(SELECT r.id FROM public.audit_record r WHERE r.id = ANY (chosen) AND public.audit_held(r));
    INSERT INTO public.audit_erased (record_id, path, request_id)
    SELECT e.record_id, e.path, request FROM public.audit_erasable e
    WHERE e.record_id = ANY (chosen) AND NOT e.record_id = ANY (kept)
      AND (cardinality(asked.paths) = 0 OR e.path = ANY (asked.paths));
    DELETE FROM public.audit_erasable e USING public.audit_erased d
    WHERE e.record_id = ANY (chosen) AND d.request_id = request AND d.record_id = e.record_id AND d.path = e.path;
    GET DIAGNOSTICS gone = ROW_COUNT;
    UPDATE public.audit_quarantine q SET beside = public.audit_beside_left(q.key, q.beside)
    WHERE q.key = ANY (chosen::text[]) AND q.beside IS NOT NULL
      AND q.beside IS DISTINCT FROM public.audit_beside_left(q.key, q.beside);
    is_end := so_far.place + most >= cardinality(asked.records);
    UPDATE public.audit_erasureprogress
    SET place = least(so_far.place + most, cardinality(asked.records)), erased = so_far.erased + gone,
        held = so_far.held || kept, done_at = CASE WHEN is_end THEN clock_timestamp() END
    WHERE request_id = request;
    RETURN NOT is_end;
END
$body$;
REVOKE ALL ON FUNCTION audit_erase(bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_erase(bigint, integer) TO audit_app;

-- reverse
DROP FUNCTION audit_erase(bigint, integer);
DROP TABLE audit_erasureprogress;
DROP TABLE audit_erasable;
DROP TABLE audit_erased;
DROP TRIGGER audit_second_person ON audit_erasuredecision;
DROP TRIGGER audit_no_change ON audit_erasuredecision;
DROP TRIGGER audit_no_truncate ON audit_erasuredecision;
DROP TRIGGER audit_no_change ON audit_erasurerequest;
DROP TRIGGER audit_no_truncate ON audit_erasurerequest;
DROP FUNCTION audit_erased_alone();
DROP FUNCTION audit_may_be_erased();
DROP FUNCTION audit_second_person();
DROP FUNCTION audit_is_approved(bigint);
ALTER TABLE audit_archived_record DROP COLUMN erasable;
ALTER TABLE audit_record DROP COLUMN erasable;
