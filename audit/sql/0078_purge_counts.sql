-- Counting what is due looks into no month in which nothing can be: a record is kept for as many days as the least floor
-- there ever was, at least, and an id is at most an hour ahead of the time of storage.
CREATE OR REPLACE FUNCTION audit_purge_counts(cut timestamptz)
RETURNS TABLE (category text, month text, due bigint, held bigint, first bigint, last bigint)
LANGUAGE sql STABLE
AS $body$
    SELECT d.category, d.month, count(*) FILTER (WHERE NOT d.held), count(*) FILTER (WHERE d.held),
           min(d.index) FILTER (WHERE NOT d.held), max(d.index) FILTER (WHERE NOT d.held)
    FROM (
        SELECT r.event_category AS category, to_char(r.stored_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month,
               audit_held(r) AS held, (SELECT l.index FROM audit_leaf l WHERE l.record_id = r.id) AS index
        FROM audit_record r
        WHERE r.id < audit_uuid7_floor(
                cut - make_interval(hours => 24 * (SELECT min(f.days) FROM audit_floor f)) + interval '1 hour')
          AND audit_retained_until(r) <= cut
    ) d
    WHERE d.index IS NOT NULL GROUP BY 1, 2
$body$;

-- reverse
CREATE OR REPLACE FUNCTION audit_purge_counts(cut timestamptz)
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
