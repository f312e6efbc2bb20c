-- What the log was read of before anything was counted. Events that had waited by then passed a queue that did not
-- count them by day and writer yet: they are entered as brought home past it, so that they explain themselves.
INSERT INTO audit_account (day, writer, direct, queued, spooled, changed_at)
SELECT (r.received_at AT TIME ZONE 'UTC')::date, r.writer, count(*) FILTER (WHERE r.parked_at IS NULL),
    count(r.parked_at), count(r.parked_at), clock_timestamp()
FROM audit_leaf l JOIN audit_record r ON r.id = l.record_id
WHERE l.index < (SELECT position FROM audit_followed WHERE name = 'completeness')
GROUP BY 1, 2;

-- reverse
DELETE FROM audit_account;
