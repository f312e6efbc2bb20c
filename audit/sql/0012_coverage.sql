-- What was followed before there was coverage is counted once, here; from then on `reconcile` counts.
INSERT INTO audit_hourcount (writer, hour, events, failures, parked)
SELECT r.writer, date_trunc('hour', r.event_timestamp, 'UTC'), count(*),
       count(*) FILTER (WHERE r.event_outcome = 'failure'), count(r.parked_at)
FROM audit_record r JOIN audit_leaf l ON l.record_id = r.id
WHERE l.index < (SELECT position FROM audit_followed WHERE name = 'completeness') GROUP BY 1, 2;

-- reverse
DELETE FROM audit_hourcount;
