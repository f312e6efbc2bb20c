-- The first answers of each correlation from a time on, whether sealed or not: whole types, and beginnings of types.
SELECT asked.subject, r.event_timestamp, r.id
FROM unnest(%s::text[], %s::timestamptz[]) AS asked(subject, since)
CROSS JOIN LATERAL (
    SELECT event_timestamp, id FROM audit_record
    WHERE correlation_id = asked.subject AND event_timestamp >= asked.since
      AND (event_type = ANY(%s::text[]) OR event_type ^@ ANY(%s::text[]))
    ORDER BY event_timestamp, id LIMIT %s
) r
ORDER BY asked.subject, r.event_timestamp, r.id
