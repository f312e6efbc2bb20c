-- Holds are appended, and so are their releases; whether a record is held is said by audit_held alone.

-- The columns of the release stay for the processes of the release before, which still read them.
ALTER TABLE audit_legalhold ALTER COLUMN released_by SET DEFAULT '', ALTER COLUMN release_reason SET DEFAULT '';

-- Whether a service or a person placed a hold was not kept: a name that only a writer has is a service's.
UPDATE audit_legalhold SET by_service = true
WHERE placed_by IN (SELECT name FROM audit_writer) AND placed_by NOT IN (SELECT username FROM auth_user);

-- What was released is released, by whom it was and when.
ALTER TABLE audit_retentionrequest DISABLE TRIGGER audit_check;
ALTER TABLE audit_retentiondecision DISABLE TRIGGER audit_check;
INSERT INTO audit_retentionrequest (kind, category, hold_id, by_service, reason, asked_by, asked_at)
SELECT 'release', '', id, false, release_reason, released_by, released_at
FROM audit_legalhold WHERE released_at IS NOT NULL ORDER BY id;
INSERT INTO audit_retentiondecision (request_id, decision, decided_by, decided_at, record_id)
SELECT id, 'approved', asked_by, asked_at, '00000000-0000-0000-0000-000000000000'
FROM audit_retentionrequest WHERE kind = 'release';
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE audit_retentionrequest ENABLE ALWAYS TRIGGER audit_check;
ALTER TABLE audit_retentiondecision ENABLE ALWAYS TRIGGER audit_check;

ALTER TABLE audit_retentionrequest ADD CONSTRAINT audit_retentionrequest_release
    CHECK ((kind = 'release') = (hold_id IS NOT NULL));

CREATE VIEW audit_holdrelease AS
SELECT q.hold_id, q.asked_by, q.reason, d.decided_by AS released_by, d.decided_at AS released_at
FROM audit_retentionrequest q JOIN audit_retentiondecision d ON d.request_id = q.id
WHERE q.kind = 'release' AND d.decision = 'approved';

-- A hold names something, why, and who; and there is one at a time on the same for the same matter.
CREATE FUNCTION audit_check_hold() RETURNS trigger
LANGUAGE plpgsql
AS $body$
BEGIN
    IF concat(NEW.correlation_id, NEW.actor, NEW.resource, NEW.writer, NEW.category, NEW.since, NEW.before) = '' THEN
        RAISE EXCEPTION 'a hold names what is held' USING ERRCODE = 'check_violation';
    ELSIF NEW.placed_by = '' OR btrim(NEW.reason) = '' THEN
        RAISE EXCEPTION 'a hold says who placed it, and why' USING ERRCODE = 'check_violation';
    END IF;
    -- A hold waits until nobody is removing records, and is seen by whoever removes next.
    PERFORM pg_advisory_xact_lock(hashtext('audit_retention'));
    NEW.placed_at := clock_timestamp();
    IF EXISTS (
        SELECT FROM audit_legalhold h
        WHERE (h.matter, h.correlation_id, h.actor, h.resource, h.writer, h.category)
            = (NEW.matter, NEW.correlation_id, NEW.actor, NEW.resource, NEW.writer, NEW.category)
          AND h.since IS NOT DISTINCT FROM NEW.since AND h.before IS NOT DISTINCT FROM NEW.before
          AND NOT EXISTS (SELECT FROM audit_holdrelease x WHERE x.hold_id = h.id)
    ) THEN
        RAISE EXCEPTION 'the same is held for this matter already' USING ERRCODE = 'unique_violation';
    END IF;
    RETURN NEW;
END
$body$;
CREATE TRIGGER audit_check BEFORE INSERT ON audit_legalhold FOR EACH ROW EXECUTE FUNCTION audit_check_hold();
ALTER TABLE audit_legalhold ENABLE ALWAYS TRIGGER audit_check;
CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_legalhold
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
ALTER TABLE audit_legalhold ENABLE ALWAYS TRIGGER audit_no_change;
SELECT audit_guard_truncate('audit_legalhold');

-- A service releases by itself what a service has placed on a correlation: its key was given to it by two people.
CREATE OR REPLACE FUNCTION audit_check_decision() RETURNS trigger
LANGUAGE plpgsql
AS $body$
DECLARE
    asked audit_retentionrequest;
    alone boolean;
BEGIN
    SELECT * INTO asked FROM audit_retentionrequest q WHERE q.id = NEW.request_id;
    IF asked.id IS NULL THEN
        RAISE EXCEPTION 'there is no request % to decide', NEW.request_id USING ERRCODE = 'check_violation';
    END IF;
    alone := asked.by_service AND asked.kind = 'release' AND EXISTS (
        SELECT FROM audit_legalhold h WHERE h.id = asked.hold_id AND h.by_service
        AND concat(h.actor, h.resource, h.writer, h.category, h.since, h.before) = '');
    IF NEW.decision = 'withdrawn' AND NEW.decided_by IS DISTINCT FROM asked.asked_by THEN
        RAISE EXCEPTION 'only % takes the request % back', asked.asked_by, asked.id USING ERRCODE = 'check_violation';
    ELSIF NEW.decision IN ('approved', 'declined') AND NOT alone
        AND (NEW.decided_by = '' OR NEW.decided_by = asked.asked_by) THEN
        RAISE EXCEPTION 'a second person decides the request % of %', asked.id, asked.asked_by
            USING ERRCODE = 'check_violation';
    ELSIF NEW.decision NOT IN ('approved', 'declined', 'withdrawn') THEN
        RAISE EXCEPTION '% is no decision', NEW.decision USING ERRCODE = 'check_violation';
    END IF;
    -- What decides whether records may go waits until nobody is removing any, and is seen by whoever removes next.
    PERFORM pg_advisory_xact_lock(hashtext('audit_retention'));
    IF asked.kind = 'release' AND NEW.decision = 'approved'
        AND EXISTS (SELECT FROM audit_holdrelease x WHERE x.hold_id = asked.hold_id) THEN
        RAISE EXCEPTION 'the hold % is released already', asked.hold_id USING ERRCODE = 'unique_violation';
    END IF;
    NEW.decided_at := clock_timestamp();
    RETURN NEW;
END
$body$;

-- Whether a record may not be removed, whatever its age.
CREATE FUNCTION audit_held(r audit_record) RETURNS boolean
LANGUAGE sql STABLE
AS $body$
    SELECT EXISTS (
        SELECT FROM audit_legalhold h
        WHERE h.correlation_id IN ('', r.correlation_id)
          AND h.actor IN ('', r.actor_id) AND h.resource IN ('', r.resource_id)
          AND h.writer IN ('', r.writer) AND h.category IN ('', r.event_category)
          AND (h.since IS NULL OR h.since <= r.event_timestamp)
          AND (h.before IS NULL OR r.event_timestamp < h.before)
          AND NOT EXISTS (SELECT FROM audit_holdrelease x WHERE x.hold_id = h.id))
$body$;

-- reverse
DROP FUNCTION audit_held(audit_record);
DROP TRIGGER audit_check ON audit_legalhold;
DROP TRIGGER audit_no_change ON audit_legalhold;
DROP TRIGGER audit_no_truncate ON audit_legalhold;
DROP FUNCTION audit_check_hold();
UPDATE audit_legalhold h SET released_by = x.released_by, released_at = x.released_at, release_reason = x.reason
FROM audit_holdrelease x WHERE x.hold_id = h.id;
DROP VIEW audit_holdrelease;
ALTER TABLE audit_retentionrequest DROP CONSTRAINT audit_retentionrequest_release;
ALTER TABLE audit_retentionrequest DISABLE TRIGGER audit_no_change;
ALTER TABLE audit_retentiondecision DISABLE TRIGGER audit_no_change;
DELETE FROM audit_retentiondecision WHERE request_id IN (SELECT id FROM audit_retentionrequest WHERE kind = 'release');
DELETE FROM audit_retentionrequest WHERE kind = 'release';
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE audit_retentionrequest ENABLE ALWAYS TRIGGER audit_no_change;
ALTER TABLE audit_retentiondecision ENABLE ALWAYS TRIGGER audit_no_change;
CREATE OR REPLACE FUNCTION audit_check_decision() RETURNS trigger
LANGUAGE plpgsql
AS $body$
DECLARE
    asked_by text;
BEGIN
    SELECT q.asked_by INTO asked_by FROM audit_retentionrequest q WHERE q.id = NEW.request_id;
    IF NEW.decision = 'withdrawn' AND NEW.decided_by IS DISTINCT FROM asked_by THEN
        RAISE EXCEPTION 'only % takes the request % back', asked_by, NEW.request_id USING ERRCODE = 'check_violation';
    ELSIF NEW.decision IN ('approved', 'declined') AND (NEW.decided_by = '' OR NEW.decided_by = asked_by) THEN
        RAISE EXCEPTION 'a second person decides the request % of %', NEW.request_id, asked_by
            USING ERRCODE = 'check_violation';
    ELSIF NEW.decision NOT IN ('approved', 'declined', 'withdrawn') THEN
        RAISE EXCEPTION '% is no decision', NEW.decision USING ERRCODE = 'check_violation';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('audit_retention'));
    NEW.decided_at := clock_timestamp();
    RETURN NEW;
END
$body$;
