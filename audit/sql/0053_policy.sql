-- How long a record is kept at least. What one person asks for holds once a second person has approved it; both rows are
-- appended, and neither is ever changed. Whether a record may go is said by audit_retained_until alone.

-- The times are those of PostgreSQL's clock, whatever was sent: a floor applies from its approval on, never from before.
CREATE FUNCTION audit_check_request() RETURNS trigger
LANGUAGE plpgsql
AS $body$
BEGIN
    NEW.asked_at := clock_timestamp();
    IF NEW.asked_by = '' OR btrim(NEW.reason) = '' THEN
        RAISE EXCEPTION 'a request names who asks, and why' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$body$;
CREATE TRIGGER audit_check BEFORE INSERT ON audit_retentionrequest
    FOR EACH ROW EXECUTE FUNCTION audit_check_request();
ALTER TABLE audit_retentionrequest ADD CONSTRAINT audit_retentionrequest_days CHECK (days BETWEEN 1 AND 36500);
ALTER TABLE audit_retentionrequest ADD CONSTRAINT audit_retentionrequest_policy
    CHECK (kind <> 'policy' OR days IS NOT NULL);

CREATE FUNCTION audit_check_decision() RETURNS trigger
LANGUAGE plpgsql
AS $body$
DECLARE
    asked_by text;
BEGIN
    SELECT q.asked_by INTO asked_by FROM audit_retentionrequest q WHERE q.id = NEW.request_id;
    IF asked_by IS NULL THEN
        RAISE EXCEPTION 'there is no request % to decide', NEW.request_id USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.decision = 'withdrawn' AND NEW.decided_by IS DISTINCT FROM asked_by THEN
        RAISE EXCEPTION 'only % takes the request % back', asked_by, NEW.request_id USING ERRCODE = 'check_violation';
    ELSIF NEW.decision IN ('approved', 'declined') AND (NEW.decided_by = '' OR NEW.decided_by = asked_by) THEN
        RAISE EXCEPTION 'a second person decides the request % of %', NEW.request_id, asked_by
            USING ERRCODE = 'check_violation';
    ELSIF NEW.decision NOT IN ('approved', 'declined', 'withdrawn') THEN
        RAISE EXCEPTION '% is no decision', NEW.decision USING ERRCODE = 'check_violation';
    END IF;
    -- What decides whether records may go waits until nobody is removing any, and is seen by whoever removes next.
    PERFORM pg_advisory_xact_lock(hashtext('audit_retention'));
    NEW.decided_at := clock_timestamp();
    RETURN NEW;
END
$body$;

-- What holds before anybody decides: seven years.
INSERT INTO audit_retentionrequest (kind, category, days, reason, asked_by)
VALUES ('policy', '', 2557, 'Seven years: what a new store begins with.', 'auditsite');
INSERT INTO audit_retentiondecision (request_id, decision, decided_by, decided_at, record_id)
SELECT id, 'approved', 'auditsite', '1970-01-01 00:00:00+00', '00000000-0000-0000-0000-000000000000'
FROM audit_retentionrequest;
SET CONSTRAINTS ALL IMMEDIATE;

CREATE TRIGGER audit_check BEFORE INSERT ON audit_retentiondecision
    FOR EACH ROW EXECUTE FUNCTION audit_check_decision();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['audit_retentionrequest', 'audit_retentiondecision'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER audit_check', name);
        EXECUTE format('CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON %I '
                       'FOR EACH ROW EXECUTE FUNCTION audit_refuse_change()', name);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER audit_no_change', name);
        PERFORM audit_guard_truncate(name::regclass);
    END LOOP;
END
$$;

CREATE VIEW audit_floor AS
SELECT q.id AS request_id, q.category, q.days, d.decided_at AS applies_from
FROM audit_retentionrequest q JOIN audit_retentiondecision d ON d.request_id = q.id
WHERE q.kind = 'policy' AND d.decision = 'approved';

-- The most days that a category was to be kept at any time since a moment. A floor holds until the next one of its
-- category; the default also until the first one of the category. So what is lowered later shortens nothing.
CREATE FUNCTION audit_floor_since(category text, since timestamptz) RETURNS integer
LANGUAGE sql STABLE
AS $body$
    SELECT max(days) FROM (
        SELECT f.days, f.applies_from, least(
            lead(f.applies_from) OVER (PARTITION BY f.category ORDER BY f.applies_from, f.request_id),
            CASE WHEN f.category = '' THEN min(f.applies_from) FILTER (WHERE f.category <> '') OVER () END
        ) AS ends
        FROM audit_floor f WHERE f.category = '' OR f.category = $1
    ) spans
    WHERE ends IS NULL OR (ends > since AND ends > applies_from)
$body$;

-- Until when a record is kept at least: counted from when it was stored, by the longest floor that has applied since, or
-- by its own retention_days where they are more. What the store recorded of removals, holds, floors and keys stays.
-- A day is 24 hours, whatever the time zone of the session.
CREATE FUNCTION audit_retained_until(r audit_record) RETURNS timestamptz
LANGUAGE sql STABLE
AS $body$
    SELECT CASE
        WHEN r.writer = 'auditsite' AND r.event_type ~ '^audit\.(purge|policy|hold|sealkey|receiptkey)\.' THEN 'infinity'
        ELSE coalesce(r.stored_at + make_interval(hours => 24 * greatest(
            audit_floor_since(r.event_category, r.stored_at), r.retention_days)), 'infinity')
    END
$body$;

-- reverse
DROP FUNCTION audit_retained_until(audit_record);
DROP FUNCTION audit_floor_since(text, timestamptz);
DROP VIEW audit_floor;
DROP TRIGGER audit_check ON audit_retentionrequest;
DROP TRIGGER audit_check ON audit_retentiondecision;
DROP TRIGGER audit_no_change ON audit_retentionrequest;
DROP TRIGGER audit_no_change ON audit_retentiondecision;
DROP TRIGGER audit_no_truncate ON audit_retentionrequest;
DROP TRIGGER audit_no_truncate ON audit_retentiondecision;
DROP FUNCTION audit_check_request();
DROP FUNCTION audit_check_decision();
